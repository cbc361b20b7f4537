"""Food-11 and BCCD, the paper's class folders, as their archives unpack. Both must be complete.

Food-11 (Singla, Yuan & Ebrahimi 2016) holds ``{training,validation,evaluation}/<class>_<n>.jpg``,
or class folders in Kaggle's edition. BCCD (Mooney 2018, from Shenggan's 410 photographs) holds
``images/{TRAIN,TEST}/<class>/_<photograph>_<n>.jpeg``: many variants, turned and shifted, of each
photograph. Its folder TEST_SIMPLE, photographs whose variants are in TEST, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neuromod.errors import UserError
from neuromod.tuning.datasets.folders import (
    Listing,
    from_listings,
    list_classes,
    list_images,
    named,
)
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData

DEEPEST = 4
"""Levels of folders to search for an archive's images (chosen here)."""


@dataclass(frozen=True)
class Archive:
    """The content of an archive of class folders.

    Attributes
    ----------
    title : str
    get : str
        What to unpack, and where to get it.
    parts : dict
        Folder of each part of the split.
    classes : tuple of str
        In the order of the numbers that file names may begin with.
    counts : dict
        Files of each class in each part.
    group_of : callable, optional
        Number of a test image's group, if validation images are taken from the test images: see
        `halves`.
    """

    title: str
    get: str
    parts: Mapping[str, str]
    classes: tuple[str, ...]
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
        ("Bread", "Dairy product", "Dessert", "Egg", "Fried food", "Meat", "Noodles-Pasta",
         "Rice", "Seafood", "Soup", "Vegetable-Fruit"),
        {
            "train": (994, 429, 1500, 986, 848, 1325, 440, 280, 855, 1500, 709),
            "validation": (362, 144, 500, 327, 326, 449, 147, 96, 347, 500, 232),
            "test": (368, 148, 500, 335, 287, 432, 147, 96, 303, 500, 231),
        },
    ),
    "bccd": Archive(
        "BCCD",
        "the archive of https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
        {"train": "TRAIN", "test": "TEST"},
        ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL"),
        {"train": (2497, 2483, 2478, 2499), "test": (623, 620, 620, 624)},
        _photograph,
    ),
}  # fmt: skip


def load_archive(archive: Archive, folder: str | Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load an unpacked archive of class folders, if it is whole.

    Parameters
    ----------
    archive : Archive
        One of `ARCHIVES`.
    folder : path
        Where it was unpacked, or up to `DEEPEST` levels above.
    split_seed : int
        Of the halving of test images, if the archive has no validation images.
    """
    root = _find(archive, Path(folder))
    listings = {part: _list(archive, root / name) for part, name in archive.parts.items()}
    _check_whole(archive, root, listings)
    return from_listings(archive.title, root, listings, split_seed, archive.group_of)


def _find(archive: Archive, folder: Path) -> Path:
    """The folder, nearest to ``folder``, that holds the archive's parts."""
    level = [folder] if folder.is_dir() else []
    for _ in range(DEEPEST + 1):
        for root in level:
            if all((root / part).is_dir() for part in archive.parts.values()):
                return root
        level = sorted(path for root in level for path in root.iterdir() if path.is_dir())
    raise UserError(
        f"{archive.title} is not in {folder}: get {archive.get}, and unpack it there, so that "
        f"there are folders {', '.join(archive.parts.values())} with {archive.n_files} files."
    )


def _list(archive: Archive, folder: Path) -> Listing:
    files = [path for path in list_images(folder) if path.parent == folder]
    if not files:
        return list_classes(folder)
    listing: Listing = {name: [] for name in archive.classes}
    for path in files:
        number = path.stem.partition("_")[0]
        if not number.isdecimal() or int(number) >= len(archive.classes):
            raise UserError(
                f"{path} is not named as {archive.title}'s images are, <class>_<number>.jpg with "
                f"classes 0 to {len(archive.classes) - 1}."
            )
        listing[archive.classes[int(number)]].append(path)
    return listing


def _check_whole(archive: Archive, root: Path, listings: Mapping[str, Listing]) -> None:
    """Refuse an archive that lacks files, and say which, or how many of which class."""
    missing: list[str] = []
    for part, listing in listings.items():
        if len(listing) != len(archive.classes):
            raise UserError(
                f"{root / archive.parts[part]} holds {len(listing)} classes where {archive.title} "
                f"has {len(archive.classes)}: {', '.join(archive.classes)}."
            )
        for (name, files), expected in zip(listing.items(), archive.counts[part], strict=True):
            missing += _missing(f"{archive.parts[part]}/{name}", files, expected)
    if missing:
        raise UserError(
            f"{archive.title} in {root} is not whole: {len(missing)} of {archive.n_files} files "
            f"are missing ({named(missing)}); unpack the archive again."
        )


def _missing(where: str, files: list[Path], expected: int) -> list[str]:
    """Names of the files that a class lacks: by number if files are numbered from 0."""
    lacking = max(expected - len(files), 0)
    numbers = {path.stem.rpartition("_")[2] for path in files}
    absent = [n for n in range(expected) if str(n) not in numbers]
    if len(absent) == lacking:
        return [f"{where} number {n}" for n in absent]
    return [f"some of {where}, where {len(files)} of {expected} are"] * lacking
