from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("skimage", reason="scikit-image is not installed")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import load_data, pictures  # noqa: E402
from neuromod.tuning.datasets.pictures import PARTS, PER_TILE, TILES, crops_of, load_pictures  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return load_data("pictures")


def pixels(label: int, indices: np.ndarray) -> set[tuple[int, int]]:
    """Places of the pixels that a class's crops with some indices hold."""
    crops = crops_of(label)
    return {
        (x, y)
        for crop in (crops[i - label * TILES * PER_TILE] for i in indices)
        for x in range(crop.left, crop.left + crop.side)
        for y in range(crop.top, crop.top + crop.side)
    }


@pytest.mark.parametrize("label", [1, list(PARTS).index("handwriting")])
def test_no_pixel_is_in_two_parts_of_the_split(data, label: int) -> None:
    split = data.split
    train, validation, test = (
        pixels(label, part[data.labels[part] == label])
        for part in (split.train, split.validation, split.test)
    )
    assert train
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_every_crop_lies_inside_one_tile_and_tiles_stay_together(data) -> None:
    """Which makes the same of all classes: tiles share no pixel."""
    part_of = np.full(len(data), -1)
    for number, indices in enumerate(vars(data.split).values()):
        assert (part_of[indices] == -1).all()
        part_of[indices] = number
    assert (part_of >= 0).all()
    assert (np.ptp(part_of.reshape(-1, PER_TILE), axis=1) == 0).all()
    for label, part in enumerate(PARTS.values()):
        assert part.columns * part.rows == TILES
        for number, crop in enumerate(crops_of(label)):
            row, column = divmod(number // PER_TILE, part.columns)
            left, top = crop.left - part.left, crop.top - part.top
            assert left // part.side == (left + crop.side - 1) // part.side == column
            assert top // part.side == (top + crop.side - 1) // part.side == row


def test_crops_are_squares_of_their_own_picture(data) -> None:
    assert data.classes == tuple(PARTS)
    for label in range(len(PARTS)):
        first, last = label * TILES * PER_TILE, (label + 1) * TILES * PER_TILE - 1
        assert data.labels[first] == data.labels[last] == label
        for index, crop in ((first, crops_of(label)[0]), (last, crops_of(label)[-1])):
            assert data.image(index).shape == (3, crop.side, crop.side)
            assert 0 <= data.image(index).min() < data.image(index).max() <= 1
    from sklearn.datasets import load_sample_image

    label = list(PARTS).index("pagoda")
    left, top, side = crops_of(label)[7]
    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1) / 255
    crop = photograph[:, top : top + side, left : left + side]
    assert torch.equal(data.image(label * TILES * PER_TILE + 7), crop)


def test_classes_are_as_many_images_in_every_part_and_the_seed_deals_them(data) -> None:
    for part, tiles in zip(vars(data.split).values(), (18, 7, 11), strict=True):
        assert np.bincount(data.labels[part]).tolist() == [tiles * PER_TILE] * len(PARTS)
    again, other = load_pictures(), load_pictures(split_seed=3)
    assert again.identity == other.identity == data.identity
    assert np.array_equal(again.split.test, data.split.test)
    assert not np.array_equal(other.split.test, data.split.test)


def test_what_is_missing_or_another_picture_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        other = PARTS["cat"]._replace(sha256="00000000")
        patch.setitem(PARTS, "cat", other)
        with pytest.raises(UserError, match=r"chelsea\.png is missing or another picture"):
            load_pictures()
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs the package scikit-image: install .*\[imagenet\]"):
        load_pictures()
