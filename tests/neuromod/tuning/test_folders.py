from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from PIL.ExifTags import Base  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.support.log import journal  # noqa: E402
from neuromod.tuning.datasets import load_folder  # noqa: E402


def test_a_class_folder_is_split_alike_for_every_class(class_folder: Path) -> None:
    data = load_folder(class_folder)
    assert data.classes == ("bright", "dark", "middling")
    assert [len(part) for part in vars(data.split).values()] == [12, 5, 7]
    image = data.image(0)
    assert image.shape == (3, 9, 11)
    assert data.labels[0] == 0
    assert abs(image.mean().item() - 220 / 255) < 0.05


@pytest.fixture
def parted(class_folder: Path, tmp_path: Path) -> Path:
    """Two classes in folders of a given split."""
    root = tmp_path / "parted"
    for part, numbers in (("train", range(5)), ("val", (5,)), ("test", (6, 7))):
        for name in ("bright", "dark"):
            (root / part / name).mkdir(parents=True)
            for i in numbers:
                shutil.copy(class_folder / name / f"{i}.png", root / part / name)
    return root


def test_a_folder_s_own_split_is_kept(parted: Path) -> None:
    data = load_folder(parted)
    assert data.split.train.tolist() == list(range(10))
    assert data.split.validation.tolist() == [10, 11]
    assert data.split.test.tolist() == [12, 13, 14, 15]
    assert data.labels[data.split.test].tolist() == [0, 0, 1, 1]

    shutil.rmtree(parted / "test" / "dark")
    shutil.copytree(parted / "test" / "bright", parted / "test" / "grey")
    with pytest.raises(
        UserError, match=r"test holds the classes bright, grey where .* bright, dark"
    ):
        load_folder(parted)
    shutil.rmtree(parted / "test")
    with pytest.raises(
        UserError, match="folder 'train' but none for test: add 'test' or 'testing'"
    ):
        load_folder(parted)


def test_without_images_for_validation_the_test_images_are_halved(
    class_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(class_folder, tmp_path / "parted" / "TRAIN")
    shutil.copytree(class_folder, tmp_path / "parted" / "TEST")
    (tmp_path / "parted" / "TEST_SIMPLE").mkdir()
    data = load_folder(tmp_path / "parted")
    assert data.split.train.tolist() == list(range(24))
    assert sorted([*data.split.validation, *data.split.test]) == list(range(24, 48))
    assert np.bincount(data.labels[data.split.validation]).tolist() == [4, 4, 4]


def test_a_class_may_be_called_train(class_folder: Path) -> None:
    (class_folder / "dark").rename(class_folder / "train")
    assert load_folder(class_folder).classes == ("bright", "middling", "train")


def test_a_changed_file_changes_the_identity(class_folder: Path) -> None:
    before = load_folder(class_folder).identity
    assert load_folder(class_folder).identity == before
    shutil.copy(class_folder / "dark" / "0.png", class_folder / "bright" / "0.png")
    assert load_folder(class_folder).identity != before


def test_what_is_wrong_with_a_folder_is_said_in_one_sentence(class_folder: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder .*elsewhere"):
        load_folder(class_folder / "elsewhere")
    with pytest.raises(UserError, match="has 0 sub-folders but needs at least two"):
        load_folder(class_folder / "dark")
    (class_folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no images, which are files ending in \.jpg"):
        load_folder(class_folder)
    shutil.copy(class_folder / "dark" / "0.png", class_folder / "empty")
    with pytest.raises(UserError, match=r"empty holds 1 images: .* at least four"):
        load_folder(class_folder)


def test_an_unreadable_image_is_named_when_it_is_read(class_folder: Path) -> None:
    path = class_folder / "bright" / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    data = load_folder(class_folder)
    with pytest.raises(UserError, match=r"bright/0\.png cannot be read as an image"):
        data.image(0)


def test_empty_files_are_refused_before_anything_is_read(class_folder: Path) -> None:
    for i in range(5):
        (class_folder / "dark" / f"{i}.png").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"5 of 24 images in .* are empty files \(.*0\.png, .*\.\.\.\)"
    ):
        load_folder(class_folder)


def test_what_file_systems_and_archivers_add_is_no_class_and_no_image(class_folder: Path) -> None:
    before = load_folder(class_folder)
    for folder in (class_folder / "__MACOSX" / "dark", class_folder / ".thumbnails"):
        folder.mkdir(parents=True)
        shutil.copy(class_folder / "dark" / "0.png", folder)
    (class_folder / "dark" / "._0.png").write_text("not an image")
    (class_folder / "dark" / "Thumbs.db").write_text("not an image")
    (class_folder / "notes.txt").write_text("about the classes")
    after = load_folder(class_folder)
    assert after.classes == before.classes
    assert after.files == before.files
    assert after.identity == before.identity


def test_names_may_have_spaces_capitals_and_letters_of_any_script(class_folder: Path) -> None:
    (class_folder / "dark").rename(class_folder / "dunkel, sehr – 暗い")
    photograph = class_folder / "bright" / "Größe 1 (Kopie).PNG"
    (class_folder / "bright" / "0.png").rename(photograph)
    data = load_folder(class_folder)
    assert data.classes == ("bright", "dunkel, sehr – 暗い", "middling")
    assert len(data) == 24
    assert photograph in data.files
    assert data.image(data.files.index(photograph)).shape == (3, 9, 11)


def test_a_single_class_is_refused(class_folder: Path) -> None:
    shutil.rmtree(class_folder / "dark")
    shutil.rmtree(class_folder / "bright")
    with pytest.raises(UserError, match="has 1 sub-folders but needs at least two"):
        load_folder(class_folder)


def test_files_that_are_passed_over_are_counted_by_their_ending(class_folder: Path, caplog) -> None:
    for name in ("one.gif", "two.GIF", "labels.csv", "LICENSE", ".hidden"):
        (class_folder / "dark" / name).write_text("no image that is read")
    with journal() as notes:
        assert len(load_folder(class_folder)) == 24
    said = notes.notes["files passed over, shades"]
    assert said.startswith("2 .gif, ")
    assert {"1 .csv", "1 no ending"} < set(said.partition(" (")[0].split(", "))
    assert said in caplog.text


def test_turned_images_and_those_of_two_parts_are_named(class_folder: Path, parted: Path) -> None:
    with journal() as notes:
        load_folder(parted)
    assert not notes.notes
    shutil.copy(class_folder / "dark" / "3.png", parted / "test" / "bright" / "other.png")
    Image.new("RGB", (5, 4)).save(parted / "val" / "dark" / "turned.jpg", exif=exif(6))
    Image.new("RGB", (5, 4)).save(parted / "val" / "dark" / "upright.jpg", exif=exif(1))
    with journal() as notes:
        load_folder(parted)
    shared = notes.notes["identical images in different parts, parted"]
    assert shared == "1 (train/dark/3.png = test/bright/other.png)"
    said = notes.notes["images turned as their EXIF data say, parted"]
    assert said == "1 (val/dark/turned.jpg)"


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[Base.Orientation] = orientation
    return data
