from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import (  # noqa: E402
    InputSpec,
    load_digits,
    load_folder,
    stratified_split,
)


def test_source_and_target_digits_make_up_all_of_them() -> None:
    source, target = load_digits((0, 1, 2, 3, 4)), load_digits()
    assert len(source) + len(target) == 1797
    assert target.classes == ("5", "6", "7", "8", "9")
    assert source.identity != target.identity


def test_labels_point_into_the_classes_that_were_asked_for() -> None:
    backwards = load_digits((9, 5))
    assert set(backwards.labels) == {0, 1}
    nine = load_digits((9,)).images[0][0]
    first_nine = int(np.flatnonzero(backwards.labels == 0)[0])
    assert torch.equal(backwards.images[first_nine][0], nine)


def test_the_split_is_disjoint_complete_stratified_and_fixed() -> None:
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    split = stratified_split(labels, seed=7)
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts)) == list(range(200))
    assert [np.bincount(labels[part]).tolist() for part in parts] == [
        [50, 30, 20],
        [20, 12, 8],
        [30, 18, 12],
    ]
    assert np.array_equal(stratified_split(labels, seed=7).test, split.test)
    assert not np.array_equal(stratified_split(labels, seed=8).test, split.test)


def test_images_are_resized_bilinearly_and_normalised() -> None:
    spec = InputSpec(3, 4, mean=(0.5, 0.0, 0.25), std=(0.5, 1.0, 0.25))
    ramp = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    prepared = spec.prepare(ramp)
    row = torch.tensor([0.0, 0.25, 0.75, 1.0])
    assert prepared.shape == (3, 4, 4)
    channels = torch.stack([(row - 0.5) / 0.5, row, (row - 0.25) / 0.25])
    torch.testing.assert_close(prepared, channels[:, None].expand(3, 4, 4))


def test_colour_images_become_grey_where_the_backbone_is() -> None:
    spec = InputSpec(1, 2, mean=(0.0,), std=(1.0,))
    image = torch.tensor([0.3, 0.6, 0.9])[:, None, None].expand(3, 2, 2)
    torch.testing.assert_close(spec.prepare(image), torch.full((1, 2, 2), 0.6))


def test_a_class_folder_is_split_alike_for_every_class(class_folder: Path) -> None:
    data = load_folder(class_folder)
    assert data.classes == ("bright", "dark", "middling")
    assert [len(part) for part in vars(data.split).values()] == [12, 5, 7]
    image, label = data.images[0]
    assert image.shape == (3, 9, 11)
    assert label == 0
    assert abs(image.mean().item() - 220 / 255) < 0.05


def test_a_folder_s_own_split_is_kept(class_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "parted"
    for part, numbers in (("train", range(5)), ("val", (5,)), ("test", (6, 7))):
        for name in ("bright", "dark"):
            (root / part / name).mkdir(parents=True)
            for i in numbers:
                shutil.copy(class_folder / name / f"{i}.png", root / part / name)
    data = load_folder(root)
    assert data.split.train.tolist() == list(range(10))
    assert data.split.validation.tolist() == [10, 11]
    assert data.split.test.tolist() == [12, 13, 14, 15]
    assert data.labels[data.split.test].tolist() == [0, 0, 1, 1]

    shutil.rmtree(root / "test" / "dark")
    shutil.copytree(root / "test" / "bright", root / "test" / "grey")
    with pytest.raises(UserError, match=r"holds the classes bright, grey where .* bright, dark"):
        load_folder(root)
    shutil.rmtree(root / "val")
    with pytest.raises(UserError, match="none for validation: 'validation' or 'val'"):
        load_folder(root)


def test_a_changed_file_changes_the_identity(class_folder: Path) -> None:
    before = load_folder(class_folder).identity
    assert load_folder(class_folder).identity == before
    shutil.copy(class_folder / "dark" / "0.png", class_folder / "bright" / "0.png")
    assert load_folder(class_folder).identity != before


def test_what_is_wrong_with_a_folder_is_said_in_one_sentence(class_folder: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder .*elsewhere"):
        load_folder(class_folder / "elsewhere")
    with pytest.raises(UserError, match="has 0 sub-folders where at least two"):
        load_folder(class_folder / "dark")
    (class_folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no images: files ending in \.jpg"):
        load_folder(class_folder)
    shutil.copy(class_folder / "dark" / "0.png", class_folder / "empty")
    with pytest.raises(UserError, match=r"empty holds 1 images: .* at least four"):
        load_folder(class_folder)


def test_an_unreadable_image_is_named_when_it_is_read(class_folder: Path) -> None:
    path = class_folder / "bright" / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    data = load_folder(class_folder)
    with pytest.raises(UserError, match=r"bright/0\.png cannot be read as an image"):
        data.images[0]
