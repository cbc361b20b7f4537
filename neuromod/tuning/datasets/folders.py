"""Folders of images, one per class, in the usual layouts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS

from neuromod.errors import UserError, listed
from neuromod.support.cache import digest
from neuromod.support.log import note
from neuromod.support.paths import folder_at
from neuromod.tuning.datasets.image_files import named, read_image, repeated, turned
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, Split, halves, stratified_split

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing", "evaluation"),
}
"""Names of the folders of a given split, in upper or lower case."""

Listing = dict[str, list[Path]]
"""Image files of each class."""

READER = 2
"""Number of the way in which pixels are read; features of another way are computed anew."""

log = logging.getLogger(__name__)


def load_folder(root: str | Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load a folder of images in one of two layouts.

    ``root/<class>/<image>`` is split here, in the same proportions for every class.
    ``root/{train,validation,test}/<class>/<image>`` (or other names in `PARTS`) keeps its own
    split; without validation images, half of every class's test images become validation images.
    Hidden files are skipped; other files that are no images of `IMG_EXTENSIONS` are counted, in a
    warning and in ``run.json``.

    Parameters
    ----------
    split_seed : int
        Of the split that is made here.

    Returns
    -------
    ImageData
        Images are read from disk one by one, when they are used.
    """
    root = folder_at(root, "name a folder that has one sub-folder per class")
    parts = _parts(root) or {"all": root}
    listings = {part: list_classes(folder) for part, folder in parts.items()}
    for name, files in listings.get("all", {}).items():
        if len(files) < 4:
            raise UserError(
                f"{root / name} holds {len(files)} images: a split "
                "into training, validation and test needs at least four per class."
            )
    data = from_listings(root.name, root, listings, split_seed)
    _say_passed_over(root, data.files)
    return data


def _say_passed_over(root: Path, taken: Sequence[Path]) -> None:
    """Count the files of a folder that are no images of the data set, by their endings."""
    known = set(taken)
    others = [path for path in root.rglob("*") if path not in known and path.is_file()]
    seen = [path for path in others if not any(map(_hidden, path.relative_to(root).parts))]
    if seen:
        counts = Counter(path.suffix.lower() or "no ending" for path in seen)
        text = ", ".join(f"{count} {ending}" for ending, count in counts.most_common())
        _say(root, "files passed over", f"{text} ({named(_relative(root, sorted(seen)))})")


def _relative(root: Path, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _say(root: Path, what: str, value: str) -> None:
    log.warning("%s: %s: %s.", root, what, value)
    note(f"{what}, {root.name}", value)


def _parts(root: Path) -> dict[str, Path]:
    """The folders of a given split; empty if ``root`` holds none with classes for training."""
    found = {
        part: folder
        for part, names in PARTS.items()
        for folder in _folders(root)
        if folder.name.lower() in names
    }
    if "train" not in found or not _folders(found["train"]):
        return {}
    if "test" not in found:
        raise UserError(
            f"{root} has a folder {found['train'].name!r} but none for test: "
            f"add {' or '.join(map(repr, PARTS['test']))}."
        )
    return found


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not _hidden(path.name))


def _hidden(name: str) -> bool:
    """Whether file systems or archivers add such a name: it is no class or image."""
    return name.startswith(".") or name == "__MACOSX"


def list_images(folder: Path) -> list[Path]:
    """List image files in a folder and below, sorted by name; none is opened."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMG_EXTENSIONS
        and not any(map(_hidden, path.relative_to(folder).parts))
        and path.is_file()
    )


def list_classes(root: Path) -> Listing:
    """List the image files of each class folder; every class must have some."""
    folders = _folders(root)
    if len(folders) < 2:
        raise UserError(
            f"{root} has {len(folders)} sub-folders but needs at least two, one for each class."
        )
    listing = {folder.name: list_images(folder) for folder in folders}
    for name, files in listing.items():
        if not files:
            endings = listed(IMG_EXTENSIONS, "or")
            raise UserError(f"{root / name} holds no images, which are files ending in {endings}.")
    return listing


def from_listings(
    name: str,
    root: Path,
    listings: Mapping[str, Listing],
    split_seed: int,
    group_of: Callable[[Path], int] | None = None,
) -> ImageData:
    """Make a data set of listed files.

    Parameters
    ----------
    root : path
        Folder to which the files' names are relative.
    listings : dict
        Files of each class for "train", "validation" (optional) and "test", or for "all".
    group_of : callable, optional
        Number of a test file's group: see `halves`.
    """
    first, *others = listings
    classes = list(listings[first])
    for part in others:
        if list(listings[part]) != classes:
            raise UserError(
                f"In {root}, {part} holds the classes {', '.join(listings[part])} where "
                f"{first} holds {', '.join(classes)}: they must be the same."
            )
    placed = [
        (path, label, part)
        for part, listing in listings.items()
        for label, each in enumerate(listing.values())
        for path in each
    ]
    files = [path for path, _, _ in placed]
    identity = _identity(root, files)
    labels = np.array([label for _, label, _ in placed], np.int64)
    part_of = np.array([part for _, _, part in placed])
    given = {part: np.flatnonzero(part_of == part) for part in listings}
    if "all" in given:
        split = stratified_split(labels, split_seed)
    else:
        if "validation" not in given:
            test = given["test"]
            groups = np.array([group_of(files[i]) for i in test]) if group_of else test
            validation, tested = halves(labels[test], groups, split_seed)
            given |= {"validation": test[validation], "test": test[tested]}
        split = Split(**given)
    _say_what_was_seen(root, files, split)
    return ImageData(
        name=name,
        classes=tuple(classes),
        image=lambda index: read_image(files[index]),
        labels=labels,
        split=split,
        identity=identity,
        files=tuple(files),
    )


def _say_what_was_seen(root: Path, files: Sequence[Path], split: Split) -> None:
    """Say which images EXIF data turn, and which are in more than one part of a split."""
    if rotated := turned(files):
        _say(
            root,
            "images turned as their EXIF data say",
            f"{len(rotated)} ({named(_relative(root, rotated))})",
        )
    parts = {part: [files[i] for i in rows] for part, rows in vars(split).items()}
    if pairs := repeated(parts):
        names = named([" = ".join(_relative(root, pair)) for pair in pairs])
        _say(root, "identical images in different parts", f"{len(pairs)} ({names})")


def _identity(root: Path, files: Sequence[Path]) -> str:
    """Hash of the names, sizes and times of files; none may be empty."""
    states = {path.relative_to(root).as_posix(): path.stat() for path in files}
    empty = [name for name, state in states.items() if state.st_size == 0]
    if empty:
        raise UserError(
            f"{len(empty)} of {len(files)} images in {root} are empty files ({named(empty)}): "
            "replace or remove them."
        )
    return digest(
        [READER, *((name, each.st_size, each.st_mtime_ns) for name, each in states.items())]
    )
