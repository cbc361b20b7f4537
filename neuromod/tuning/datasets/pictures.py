"""Sample pictures of scikit-image and scikit-learn, cut into classes: a small task of real pixels.

A class is one picture, or the part of it that shows its subject, and its images are square crops
of that part. The part is tiled; each tile is for training, validation or test, and every crop lies
inside one tile. So no pixel is in two parts of the split, but neighbouring tiles resemble each
other, and crops of one tile overlap.

It asks whether a network knows a subject or a texture again. It is no benchmark: a class is one
photograph in one light, so nothing here tells whether other cats or other bricks would be known.
The files come with the packages; none is downloaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from neuromod.errors import UserError
from neuromod.support.cache import checksum, digest
from neuromod.support.tensor_file import hash_tensors
from neuromod.tuning.datasets.image_files import read_image
from neuromod.tuning.datasets.images import (
    SPLIT_SEED,
    TEST_FRACTION,
    VALIDATION_FRACTION,
    ImageData,
    IntArray,
    Split,
)


class Part(NamedTuple):
    """A part of a picture: `columns` x `rows` tiles of `side` pixels, from its left upper corner.

    Attributes
    ----------
    file : str
        Its package and place in it.
    sha256 : str
        First digits of the file's, so that no other picture is cut instead.
    """

    file: str
    sha256: str
    left: int
    top: int
    side: int
    columns: int
    rows: int


PROJECTS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
"""Names by which the packages are installed."""

PARTS = {
    "astronaut": Part("skimage/data/astronaut.png", "88431cd9", 60, 110, 60, 6, 6),
    "bricks": Part("skimage/data/brick.png", "7966caf3", 16, 16, 80, 6, 6),
    "cameraman": Part("skimage/data/camera.png", "b0793d2a", 75, 80, 46, 4, 9),
    "cat": Part("skimage/data/chelsea.png", "596aa1e7", 76, 0, 50, 6, 6),
    "coffee": Part("skimage/data/coffee.png", "cc02f8ca", 125, 20, 58, 6, 6),
    "coins": Part("skimage/data/coins.png", "f8d773fc", 40, 0, 50, 6, 6),
    "dahlia": Part("sklearn/datasets/images/flower.jpg", "a77f6ec4", 165, 105, 48, 6, 6),
    "grass": Part("skimage/data/grass.png", "b6b60224", 16, 16, 80, 6, 6),
    "gravel": Part("skimage/data/gravel.png", "c48615b4", 16, 16, 80, 6, 6),
    "handwriting": Part("skimage/data/text.png", "bd84aa3a", 30, 0, 43, 9, 4),
    "moon": Part("skimage/data/moon.png", "78739619", 16, 16, 80, 6, 6),
    "motorcycle": Part("skimage/data/motorcycle_left.png", "db18e9c4", 125, 180, 60, 9, 4),
    "pagoda": Part("sklearn/datasets/images/china.jpg", "8378025a", 60, 30, 52, 6, 6),
    "print": Part("skimage/data/page.png", "341a6f0a", 3, 10, 42, 9, 4),
    "retina": Part("skimage/data/retina.jpg", "38a07f36", 315, 315, 130, 6, 6),
    "rocket": Part("skimage/data/rocket.jpg", "c2dd0de7", 50, 185, 60, 9, 4),
    "stars": Part("skimage/data/hubble_deep_field.jpg", "3a19c5dd", 80, 16, 140, 6, 6),
    "tissue": Part("skimage/data/ihc.png", "f8dd1aa3", 16, 16, 80, 6, 6),
}
"""Pictures and parts with a subject in most tiles (chosen here): 36 tiles in each."""

TILES = 36
PER_TILE = 4
"""Crops of a tile (chosen here)."""

SMALLEST = 0.75
"""Side of the smallest crop, as a share of the tile's (chosen here)."""

DRAWN_BY = 20226
"""Seed that draws the crops (chosen: any would do)."""


class Crop(NamedTuple):
    """A square of a picture, in its pixels."""

    left: int
    top: int
    side: int


def load_pictures(split_seed: int = SPLIT_SEED) -> ImageData:
    """Load crops of scikit-image's and scikit-learn's sample pictures (no download).

    The crops are always the same; `split_seed` deals the tiles of each class that they lie in to
    training, validation and test.

    Returns
    -------
    ImageData
        Label i is the i-th of `PARTS`. Every class has as many images, of sizes of its own.

    Raises
    ------
    UserError
        If scikit-image is missing, or a picture is not the one that was cut.
    """
    pictures = {name: read_image(_file(part)) for name, part in PARTS.items()}
    crops = [crop for label in range(len(PARTS)) for crop in crops_of(label)]
    classes, per_class = tuple(PARTS), TILES * PER_TILE

    def image(index: int) -> Tensor:
        left, top, side = crops[index]
        picture = pictures[classes[index // per_class]]
        return picture[:, top : top + side, left : left + side]

    return ImageData(
        name="pictures",
        classes=classes,
        image=image,
        labels=np.repeat(np.arange(len(PARTS)), per_class).astype(np.int64),
        split=_split(split_seed),
        identity=digest([crops, hash_tensors(pictures)]),
    )


def crops_of(label: int) -> list[Crop]:
    """Return the crops of a class, tile by tile: each lies inside its tile, in a random place."""
    part = list(PARTS.values())[label]
    drawn = np.random.default_rng([DRAWN_BY, label])
    found = []
    for tile in range(TILES):
        row, column = divmod(tile, part.columns)
        for _ in range(PER_TILE):
            side = int(drawn.integers(round(SMALLEST * part.side), part.side, endpoint=True))
            across, down = drawn.integers(0, part.side - side, 2, endpoint=True).tolist()
            left, top = part.left + column * part.side, part.top + row * part.side
            found.append(Crop(left + across, top + down, side))
    return found


def _split(seed: int) -> Split:
    """Deal the tiles of every class to the parts of the split, and crops with their tiles."""
    n_test, n_validation = (round(share * TILES) for share in (TEST_FRACTION, VALIDATION_FRACTION))
    ends = [n_test, n_test + n_validation]
    dealt: list[list[IntArray]] = [[], [], []]
    for label in range(len(PARTS)):
        order = np.random.default_rng([seed, label]).permutation(TILES) + label * TILES
        for part, tiles in zip(dealt, np.split(order, ends), strict=True):
            part.append((tiles[:, None] * PER_TILE + np.arange(PER_TILE)).ravel())
    test, validation, train = (np.sort(np.concatenate(part)).astype(np.int64) for part in dealt)
    return Split(train, validation, test)


def _file(part: Part) -> Path:
    """The file of a part's picture, if it is the known one."""
    package, *inside = part.file.split("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"The data set pictures needs the package {PROJECTS[package]}: "
            "install brian2-neuromod[imagenet]."
        )
    path = Path(found.submodule_search_locations[0], *inside)
    if not path.is_file() or not checksum(path).startswith(part.sha256):
        raise UserError(
            f"{path} is missing or another picture than the one that was cut: "
            f"install {PROJECTS[package]} again."
        )
    return path
