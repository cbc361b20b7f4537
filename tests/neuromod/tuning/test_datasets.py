from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import balanced, load_data, load_digits  # noqa: E402
from neuromod.tuning.datasets.digits import DIGIT_TASKS, SOURCE_DIGITS  # noqa: E402
from neuromod.tuning.datasets.images import (  # noqa: E402
    InputSpec,
    halves,
    inverted,
    noisy,
    rotated,
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
    nine = load_digits((9,)).image(0)
    first_nine = int(np.flatnonzero(backwards.labels == 0)[0])
    assert torch.equal(backwards.image(first_nine), nine)


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


def test_halves_keep_groups_together_and_classes_apart() -> None:
    labels = np.repeat([0, 1, 2], [30, 12, 7])
    groups = np.concatenate([np.arange(30) // 5, np.zeros(11, int), [1], np.arange(7)])
    validation, test = halves(labels, groups, seed=3)
    assert sorted([*validation, *test]) == list(range(49))
    for label in range(3):
        chosen, tested = (groups[part[labels[part] == label]] for part in (validation, test))
        assert not set(chosen) & set(tested)
    assert np.bincount(labels[validation]).tolist() in ([15, 1, 3], [15, 11, 3])
    with pytest.raises(UserError, match="class 1 has only one"):
        halves(np.array([0, 0, 1]), np.arange(3))


def test_a_balanced_subset_has_equally_many_images_of_every_class() -> None:
    data = load_digits()
    subset = balanced(data, 37, seed=4)
    assert np.bincount(data.labels[subset.split.train]).tolist() == [37] * 5
    assert set(subset.split.train) < set(data.split.train)
    assert subset.split.test is data.split.test
    assert (subset.name, subset.identity) == ("digits 56789, 37 a class", data.identity)
    assert np.array_equal(balanced(data, 37, seed=4).split.train, subset.split.train)
    assert not np.array_equal(balanced(data, 37, seed=5).split.train, subset.split.train)
    used = subset.split.rows
    assert len(used) == 185 + len(data.split.validation) + len(data.split.test)
    assert (np.diff(used) > 0).all()


def test_where_there_are_fewer_images_the_most_there_is_is_taken_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = load_digits()
    fewest = np.bincount(data.labels[data.split.train]).min()
    with caplog.at_level(logging.WARNING):
        assert len(balanced(data).split.train) == 5 * fewest
        assert not caplog.text
        subset = balanced(data, 100)
    assert len(subset.split.train) == 5 * fewest
    assert f"{fewest} training images per class instead of 100, because" in caplog.text
    with pytest.raises(UserError, match="per_class is 0, but must be at least 1"):
        balanced(data, 0)


def test_variants_change_the_images_and_nothing_else() -> None:
    data = load_digits((0, 1))
    images = torch.stack([data.image(i) for i in range(len(data))])
    for change, expected in (
        (inverted(data), 1 - images),
        (rotated(data, 90), torch.rot90(images, 1, (2, 3))),
    ):
        changed = [change.image(i) for i in range(len(data))]
        torch.testing.assert_close(torch.stack(changed), expected)
        assert change.labels is data.labels
        assert change.split is data.split


def test_noise_has_the_size_asked_for_and_belongs_to_its_image() -> None:
    data = load_digits((0, 1))
    changed = noisy(data, 0.1, seed=2)
    first = [changed.image(i) for i in range(len(data))]
    again = [noisy(data, 0.1, seed=2).image(i) for i in reversed(range(len(data)))][::-1]
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(noisy(data, 0.1, seed=3).image(0), first[0])
    clean = torch.stack([data.image(i) for i in range(len(data))])
    middle = (clean > 0.4) & (clean < 0.6)
    noise = (torch.stack(first) - clean)[middle]
    # Standard error of a standard deviation: sigma/sqrt(2 n), with n of some 2000 pixels.
    assert noise.std().item() == pytest.approx(0.1, abs=4 * 0.1 / (2 * len(noise)) ** 0.5)
    assert torch.stack(first).min() == 0
    assert torch.stack(first).max() == 1


def test_every_variant_has_an_identity_of_its_own() -> None:
    data = load_digits(SOURCE_DIGITS)
    variants = [
        data,
        inverted(data),
        rotated(data, 90),
        rotated(data, 45),
        noisy(data, 0.5),
        noisy(data, 0.4),
        noisy(data, 0.5, seed=1),
        inverted(rotated(data, 90)),
    ]
    assert len({each.identity for each in variants}) == len(variants)


@pytest.mark.parametrize("name", DIGIT_TASKS)
def test_digits_come_at_several_distances_by_name(name: str) -> None:
    data = load_data(name)
    assert data.classes == tuple("56789" if name == "digits" else "01234")
    source = load_digits(SOURCE_DIGITS)
    if name != "digits":
        # The backbone was trained on the source digits' training images
        assert not set(data.split.test) & set(source.split.train)
        assert data.identity != source.identity


def test_a_name_that_is_none_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no data set or folder named 'food12': .* food11"):
        load_data("food12")
    for name, known in (("", "''"), ("x" * 10_000, r"'x{39}\.\.\.x{39}'")):
        with pytest.raises(
            UserError, match=f"no data set or folder named {known}; there are bccd,"
        ):
            load_data(name)
    with pytest.raises(UserError, match=r"There is no folder .*shades"):
        load_data(tmp_path / "shades")
    with pytest.raises(UserError, match="folder says where an archive was unpacked, and 'digits'"):
        load_data("digits", tmp_path)


@pytest.mark.parametrize("name", [None, "stl10", "bccd"])
def test_a_folder_that_cannot_be_is_told(name: str | None) -> None:
    long = f"/{'x' * 10_000}"
    with pytest.raises(UserError, match=r"^'/x{38}\.\.\..*' cannot be used: File name too long\.$"):
        load_data(name, long) if name else load_data(long)


def test_a_class_folder_is_loaded_by_its_path(class_folder: Path) -> None:
    assert load_data(str(class_folder)).classes == ("bright", "dark", "middling")
