from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import PAPER_PER_CLASS, archives, load_data, load_stl10  # noqa: E402
from neuromod.tuning.datasets.archives import ARCHIVES, load_archive  # noqa: E402

FOOD = replace(ARCHIVES["food11"], counts=dict.fromkeys(ARCHIVES["food11"].counts, (4, 2, 3)))
CELLS = replace(ARCHIVES["bccd"], counts=dict.fromkeys(ARCHIVES["bccd"].counts, (5, 12)))


def save(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (level,) * 3).save(path)


@pytest.fixture
def flat_food(tmp_path: Path) -> Path:
    """As the laboratory's archive unpacks: the class is the first number of a file's name."""
    for label, counts in enumerate(FOOD.counts.values()):
        for folder, count in zip(FOOD.parts.values(), counts, strict=True):
            for i in range(count):
                save(tmp_path / "Food-11" / folder / f"{label}_{i}.jpg", 20 * label)
    return tmp_path


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """As Kaggle's archive unpacks: three photographs of each class, and variants of them."""
    images = tmp_path / "dataset2-master" / "dataset2-master" / "images"
    for name in CELLS.counts:
        for i in range(5):
            save(images / "TRAIN" / name / f"_{i}_{97 * i}.jpeg", 10)
        for i in range(12):
            save(images / "TEST" / name / f"_{i // 4}_{31 * i}.jpeg", 10)
        save(images / "TEST_SIMPLE" / name / "_0_1.jpeg", 10)
    return tmp_path


def test_the_archives_hold_as_many_files_as_their_authors_say() -> None:
    food, blood = (np.array([*ARCHIVES[name].counts.values()]) for name in ("food11", "bccd"))
    assert list(ARCHIVES["food11"].parts) == ["train", "validation", "test"]
    assert food.sum(0).tolist() == [9866, 3430, 3347]
    assert list(ARCHIVES["bccd"].parts) == ["train", "test"]
    assert blood.sum(0).tolist() == [9957, 2487]
    assert food[:, 0].min() == PAPER_PER_CLASS["food11"]
    assert blood[:, 0].min() >= PAPER_PER_CLASS["bccd"]


def test_food11_is_read_as_the_laboratory_packs_it(flat_food: Path) -> None:
    data = load_archive(FOOD, flat_food)
    assert data.name == "Food-11"
    assert data.classes == tuple(FOOD.counts)
    assert [len(part) for part in vars(data.split).values()] == [44, 22, 33]
    for i in (*data.split.train[::7], *data.split.test[::5]):
        assert int(data.files[i].stem.partition("_")[0]) == data.labels[i]
        assert data.image(i).mean().item() == pytest.approx(20 * data.labels[i] / 255, abs=0.01)


def test_food11_is_read_as_class_folders_too(flat_food: Path) -> None:
    data = load_archive(FOOD, flat_food)
    for path in data.files:
        label, number = path.stem.split("_")
        folder = path.parent / list(FOOD.counts)[int(label)]
        folder.mkdir(exist_ok=True)
        path.rename(folder / f"{number}.jpg")
    sorted_out = load_archive(FOOD, flat_food / "Food-11")
    assert sorted_out.classes == data.classes
    assert np.array_equal(sorted_out.labels, data.labels)
    assert np.array_equal(sorted_out.split.test, data.split.test)


def test_missing_files_are_told_by_their_numbers(flat_food: Path) -> None:
    for name in ("training/7_1.jpg", "training/7_2.jpg", "evaluation/0_0.jpg"):
        (flat_food / "Food-11" / name).unlink()
    expected = (
        r"Food-11 in .* is not whole: 3 of 99 files are missing \(training/Rice number 1, "
        r"training/Rice number 2, evaluation/Bread number 0\); unpack the archive again\."
    )
    with pytest.raises(UserError, match=expected):
        load_archive(FOOD, flat_food)


def test_files_with_other_names_are_not_guessed_at(flat_food: Path) -> None:
    save(flat_food / "Food-11" / "training" / "11_0.jpg", 3)
    with pytest.raises(UserError, match=r"11_0\.jpg is not named as Food-11's .* classes 0 to 10"):
        load_archive(FOOD, flat_food)


def test_bccd_s_variants_of_a_photograph_stay_together(cells: Path) -> None:
    data = load_archive(CELLS, cells)
    assert data.classes == ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")
    assert [len(part) for part in vars(data.split).values()] == [20, 16, 32]
    assert not any("TEST_SIMPLE" in path.parts for path in data.files)
    for label in range(4):
        photographs = [
            {data.files[i].stem.split("_")[1] for i in part if data.labels[i] == label}
            for part in (data.split.validation, data.split.test)
        ]
        assert [len(each) for each in photographs] == [1, 2]
        assert not photographs[0] & photographs[1]


def test_where_files_have_no_order_the_class_that_lacks_some_is_told(cells: Path) -> None:
    next(cells.rglob("TRAIN/MONOCYTE/_3_*")).unlink()
    with pytest.raises(
        UserError, match=r"1 of 68 files are missing \(some of TRAIN/MONOCYTE, where 4 of 5 are\)"
    ):
        load_archive(CELLS, cells)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("stl10", r"http://.*stl10_binary\.tar\.gz and unpack it there, .* with 5 files: train_X"),
        ("food11", r"Food-11\.zip .* training, validation, evaluation with 16643 files"),
        ("bccd", r".*kaggle.*blood-cells, and unpack it there, .* TRAIN, TEST with 12444 files"),
    ],
)
def test_an_archive_that_is_not_there_is_told_where_to_be_had(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=rf"is not in .*{tmp_path.name}: get {told}"):
        load_data(name, tmp_path)
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=rf"is not in .*data.{name}: get"):
        load_data(name)


@pytest.fixture
def small_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive's layout with 20 images for training and 40 for tests, of known pixels."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    drawn = np.random.default_rng(6)
    lists: dict[str, list[list[str]]] = {"train": [], "test": []}
    for part, count in (("train", 20), ("test", 40)):
        pixels = drawn.integers(0, 256, (count, 3, 96, 96), np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)
        for name, content in ((f"{part}_X.bin", pixels), (f"{part}_y.bin", labels)):
            (folder / name).write_bytes(content.tobytes())
            lists[part].append([name, hashlib.md5(content.tobytes()).hexdigest()])
        monkeypatch.setattr(archives._Labelled, f"{part}_list", lists[part])
    (folder / "class_names.txt").write_text("\n".join("abcdefghij") + "\n")
    return tmp_path


def test_stl10_is_read_with_columns_first_and_labels_from_one(small_stl10: Path) -> None:
    data = load_stl10(small_stl10)
    assert data.classes == tuple("abcdefghij")
    assert data.labels.tolist() == [i % 10 for i in range(60)]
    stored = np.fromfile(small_stl10 / "stl10_binary" / "test_X.bin", np.uint8)
    image = data.image(20 + 13)
    columns_first = stored.reshape(40, 3, 96, 96)[13]
    np.testing.assert_allclose(image[1, 7, 60].item(), columns_first[1, 60, 7] / 255, rtol=1e-6)
    assert data.identity == load_stl10(small_stl10 / "stl10_binary").identity


def test_stl10_s_test_images_are_halved_and_all_others_train(small_stl10: Path) -> None:
    split = load_stl10(small_stl10).split
    assert split.train.tolist() == list(range(20))
    assert sorted([*split.validation, *split.test]) == list(range(20, 60))
    assert np.bincount(split.validation % 10).tolist() == [2] * 10


def test_a_partial_or_damaged_stl10_is_told_by_file(small_stl10: Path) -> None:
    path = small_stl10 / "stl10_binary" / "test_X.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"is damaged: 1 of 5 files .* \(test_X\.bin\); unpack"):
        load_stl10(small_stl10)
    path.unlink()
    with pytest.raises(UserError, match=r"not whole: 1 of 5 files are missing \(test_X\.bin\)"):
        load_stl10(small_stl10)
