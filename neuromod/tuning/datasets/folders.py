"""Folders of images, one per class, in the usual layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.v2.functional import pil_to_tensor

from neuromod.errors import UserError, listed
from neuromod.support.cache import digest
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, Split, halves, stratified_split

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing", "evaluation"),
}
"""Names of the folders of a given split, in upper or lower case."""

Listing = dict[str, list[Path]]
"""Image files of each class."""

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that are no images, truncated, or too large for it."""

MOST_NAMED = 3


def read_image(path: str | Path) -> Tensor:
    """Read an image file as RGB with values 0 to 1, shape (3, h, w).

    Grey images of 16 bits keep their range. Transparency is dropped, as in torchvision.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "F":
                raise UserError(f"{path} holds fractions for pixels: convert it to 8 or 16 bits.")
            if image.mode.startswith("I"):
                grey = torch.from_numpy(np.asarray(image, dtype=np.float32) / 65535)
                return grey.clamp(0, 1).expand(3, -1, -1)
            pixels: Tensor = pil_to_tensor(image.convert("RGB"))
            return pixels / 255
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as an image: replace or remove it.") from error


def check_readable(files: Sequence[Path]) -> None:
    """Read image files to their ends, and name those that fail.

    JPEG files are decoded at an eighth of their size, which still reads every byte.
    """
    failing = [path for path in files if not _readable(path)]
    if failing:
        raise UserError(
            f"{len(failing)} of {len(files)} images cannot be read ({named(failing)}): "
            "replace or remove them."
        )


def _readable(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.draft(None, (max(image.width // 8, 1), max(image.height // 8, 1)))
            image.load()
            return True
    except UNREADABLE:
        return False


def named(names: Sequence[object]) -> str:
    """Join the first few of many names."""
    more = ", ..." if len(names) > MOST_NAMED else ""
    return ", ".join(map(str, names[:MOST_NAMED])) + more


def load_folder(root: str | Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load a folder of images in one of two layouts.

    ``root/<class>/<image>`` is split here, in the same proportions for every class.
    ``root/{train,validation,test}/<class>/<image>`` (or other names in `PARTS`) keeps its own
    split; without validation images, half of every class's test images become validation images.
    Hidden files and files that are no images are skipped.

    Parameters
    ----------
    split_seed : int
        Of the split that is made here.

    Returns
    -------
    ImageData
        Images are read from disk one by one, when they are used.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"There is no folder {root}: name a folder that has one sub-folder per class."
        )
    parts = _parts(root) or {"all": root}
    listings = {part: list_classes(folder) for part, folder in parts.items()}
    for name, files in listings.get("all", {}).items():
        if len(files) < 4:
            raise UserError(
                f"{root / name} holds {len(files)} images: a split "
                "into training, validation and test needs at least four per class."
            )
    return from_listings(root.name, root, listings, split_seed)


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
    return ImageData(
        name=name,
        classes=tuple(classes),
        image=lambda index: read_image(files[index]),
        labels=labels,
        split=split,
        identity=_identity(root, files),
        files=tuple(files),
    )


def _identity(root: Path, files: Sequence[Path]) -> str:
    """Hash of the names, sizes and times of files; none may be empty."""
    states = {path.relative_to(root).as_posix(): path.stat() for path in files}
    empty = [name for name, state in states.items() if state.st_size == 0]
    if empty:
        raise UserError(
            f"{len(empty)} of {len(files)} images in {root} are empty files ({named(empty)}): "
            "replace or remove them."
        )
    return digest([(name, each.st_size, each.st_mtime_ns) for name, each in states.items()])
