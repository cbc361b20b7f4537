"""The paper's three data sets, as their archives unpack. Each must be complete.

STL-10 (Coates, Lee & Ng 2011) holds 5000 training and 8000 test images of 96 x 96 pixels. Food-11
(Singla, Yuan & Ebrahimi 2016) holds ``{training,validation,evaluation}/<class>_<n>.jpg``, or class
folders in Kaggle's edition. BCCD (Mooney 2018, from Shenggan's 410 photographs) holds
``images/{TRAIN,TEST}/<class>/_<photograph>_<n>.jpeg``: many variants, turned and shifted, of each
photograph. Its folder TEST_SIMPLE, photographs whose variants are in TEST, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import STL10
from torchvision.datasets.utils import check_integrity

from neuromod.errors import UserError
from neuromod.support.cache import digest
from neuromod.support.paths import shown, usable
from neuromod.tuning.datasets.folders import Listing, from_listings, list_classes, list_images
from neuromod.tuning.datasets.image_files import named
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, Split, halves

DEEPEST = 4
"""Levels of folders to search for an archive's images (chosen here)."""


@dataclass(frozen=True)
class Archive:
    """The content of an archive of class folders.

    Attributes
    ----------
    get : str
        What to unpack, and where to get it.
    parts : dict
        Folder of each part of the split.
    counts : dict
        Files of each class in each part. Classes stand in the order of the numbers that file names
        may begin with.
    group_of : callable, optional
        Number of a test image's group: see `halves`.
    """

    title: str
    get: str
    parts: Mapping[str, str]
    counts: Mapping[str, tuple[int, ...]]
    group_of: Callable[[Path], int] | None = None

    @property
    def n_files(self) -> int:
        """Number of files in all."""
        return sum(map(sum, self.counts.values()))


def _photograph(path: Path) -> int:
    """Number of the photograph that one of BCCD's images, ``_<photograph>_<n>``, shows."""
    found = re.fullmatch(r"_(\d+)_\d+", path.stem)
    if not found:
        raise UserError(f"{path} is not named as BCCD's images are, _<photograph>_<number>.jpeg.")
    return int(found[1])


ARCHIVES = {
    "food11": Archive(
        "Food-11",
        "Food-11.zip from https://www.epfl.ch/labs/mmspg/downloads/food-image-datasets/, or "
        "https://www.kaggle.com/datasets/trolukovich/food11-image-dataset",
        {"train": "training", "validation": "validation", "test": "evaluation"},
        {
            "Bread": (994, 362, 368),
            "Dairy product": (429, 144, 148),
            "Dessert": (1500, 500, 500),
            "Egg": (986, 327, 335),
            "Fried food": (848, 326, 287),
            "Meat": (1325, 449, 432),
            "Noodles-Pasta": (440, 147, 147),
            "Rice": (280, 96, 96),
            "Seafood": (855, 347, 303),
            "Soup": (1500, 500, 500),
            "Vegetable-Fruit": (709, 232, 231),
        },
    ),
    "bccd": Archive(
        "BCCD",
        "the archive of https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
        {"train": "TRAIN", "test": "TEST"},
        {
            "EOSINOPHIL": (2497, 623),
            "LYMPHOCYTE": (2483, 620),
            "MONOCYTE": (2478, 620),
            "NEUTROPHIL": (2499, 624),
        },
        _photograph,
    ),
}


def load_archive(archive: Archive, folder: Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load an unpacked archive of class folders, if it is whole.

    Parameters
    ----------
    folder : path
        Where it was unpacked, or up to `DEEPEST` levels above.
    split_seed : int
        Of the halving of test images, if the archive has no validation images.
    """
    root = _find(archive, folder)
    listings: dict[str, Listing] = {}
    missing: list[str] = []
    for number, (part, name) in enumerate(archive.parts.items()):
        listings[part] = _list(archive, root / name)
        if len(listings[part]) != len(archive.counts):
            raise UserError(
                f"{root / name} holds {len(listings[part])} classes where {archive.title} has "
                f"{len(archive.counts)}: {', '.join(archive.counts)}."
            )
        expected = [counts[number] for counts in archive.counts.values()]
        for (label, files), count in zip(listings[part].items(), expected, strict=True):
            missing += _missing(f"{name}/{label}", files, count)
    _check_whole(archive.title, root, missing, archive.n_files, "the archive")
    return from_listings(archive.title, root, listings, split_seed, archive.group_of)


def _find(archive: Archive, folder: Path) -> Path:
    """The folder, nearest to ``folder``, that holds the archive's parts."""
    parts = list(archive.parts.values())
    usable(folder / parts[0])
    for depth in range(DEEPEST + 1):
        for found in sorted(folder.glob("*/" * depth + parts[0])):
            if all((found.parent / part).is_dir() for part in parts):
                return found.parent
    raise UserError(
        f"{archive.title} is not in {shown(folder)}: get {archive.get}, and unpack it there, so "
        f"that there are folders {', '.join(parts)} with {archive.n_files} files."
    )


def _list(archive: Archive, folder: Path) -> Listing:
    files = [path for path in list_images(folder) if path.parent == folder]
    if not files:
        return list_classes(folder)
    classes = list(archive.counts)
    listing: Listing = {name: [] for name in classes}
    for path in files:
        number = path.stem.partition("_")[0]
        if not number.isdecimal() or int(number) >= len(classes):
            raise UserError(
                f"{path} is not named as {archive.title}'s images are, <class>_<number>.jpg with "
                f"classes 0 to {len(classes) - 1}."
            )
        listing[classes[int(number)]].append(path)
    return listing


def _missing(where: str, files: list[Path], expected: int) -> list[str]:
    """Names of the files that a class lacks: by number if files are numbered from 0."""
    lacking = max(expected - len(files), 0)
    numbers = {path.stem.rpartition("_")[2] for path in files}
    absent = [n for n in range(expected) if str(n) not in numbers]
    if len(absent) == lacking:
        return [f"{where} number {n}" for n in absent]
    return [f"some of {where}, where {len(files)} of {expected} are"] * lacking


def _check_whole(title: str, root: Path, missing: Sequence[str], of: int, again: str) -> None:
    if missing:
        raise UserError(
            f"{title} in {root} is not whole: {len(missing)} of {of} files are missing "
            f"({named(missing)}); unpack {again} again."
        )


class _Labelled(STL10):  # type: ignore[misc]
    """torchvision's reader without the 2.8 GB of unlabelled images."""

    train_list: ClassVar = [
        each for each in STL10.train_list if not each[0].startswith("unlabeled")
    ]


def load_stl10(folder: str | Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load STL-10's labelled images.

    The archive has no validation images. Half of every class's test images become validation
    images, so that all 500 training images per class can be trained on, as in the paper.

    Parameters
    ----------
    folder : path
        Where the archive was unpacked, or its ``stl10_binary``.

    Returns
    -------
    ImageData
        Read into memory, 0.4 GB.
    """
    folder = usable(folder)
    folder = folder.parent if folder.name == STL10.base_folder else folder
    hashes = _Labelled.train_list + _Labelled.test_list
    _check_stl10(folder / STL10.base_folder, dict(hashes))
    train, test = (_Labelled(str(folder), split=part) for part in ("train", "test"))
    labels = np.concatenate([train.labels, test.labels]).astype(np.int64)
    later = np.arange(len(train), len(labels))
    validation, tested = halves(labels[later], later, split_seed)

    def image(index: int) -> Tensor:
        pixels = train.data[index] if index < len(train) else test.data[index - len(train)]
        return torch.from_numpy(np.ascontiguousarray(pixels)) / 255

    return ImageData(
        name="STL-10",
        classes=tuple(train.classes),
        image=image,
        labels=labels,
        split=Split(np.arange(len(train)), later[validation], later[tested]),
        identity=digest(hashes),
    )


def _check_stl10(folder: Path, hashes: Mapping[str, str]) -> None:
    names = [*hashes, STL10.class_names_file]
    absent = [name for name in names if not (folder / name).is_file()]
    if len(absent) == len(names):
        raise UserError(
            f"STL-10 is not in {shown(folder.parent)}: get {STL10.url} and unpack it there, "
            f"so that there is a folder {STL10.base_folder} with {len(names)} files: "
            f"{', '.join(names)}."
        )
    _check_whole("STL-10", folder, absent, len(names), STL10.filename)
    damaged = [name for name, md5 in hashes.items() if not check_integrity(folder / name, md5)]
    if damaged:
        raise UserError(
            f"STL-10 in {folder} is damaged: {len(damaged)} of {len(names)} files have another "
            f"hash than expected ({named(damaged)}); unpack {STL10.filename} again."
        )
