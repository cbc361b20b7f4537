"""Images with labels and a fixed split: the embedded digits, and any class folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import v2 as transforms

from neuromod.cache import digest
from neuromod.errors import UserError

IntArray = npt.NDArray[np.int64]

SPLIT_SEED = 20221
"""Seed of the split into training, validation and test images (chosen; any would do)."""

VALIDATION_FRACTION = 0.2
TEST_FRACTION = 0.3


@dataclass(frozen=True)
class InputSpec:
    """What a backbone takes for an image: square, of so many channels, normalised.

    Attributes
    ----------
    channels : int
        1 (grey) or 3 (RGB).
    size : int
        Height and width, in pixels.
    mean, std : tuple of float
        Of each channel, with pixel values from 0 to 1.
    """

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def prepare(self, image: Tensor) -> Tensor:
        """Turn an image with values 0 to 1, shape (1 or 3, h, w), into the backbone's input.

        Resized bilinearly (with anti-aliasing where it shrinks), as the paper's images are to
        256 x 256, whatever their aspect ratio.
        """
        image = image.mean(0, keepdim=True) if self.channels == 1 else image
        image = transforms.functional.resize(image, [self.size, self.size], antialias=True)
        image = image.expand(self.channels, -1, -1)
        return (image - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[
            :, None, None
        ]


@dataclass(frozen=True)
class Split:
    """Which images are for training, validation and test: three arrays of indices."""

    train: IntArray
    validation: IntArray
    test: IntArray


@dataclass(frozen=True)
class ImageData:
    """A data set: images read one by one when they are asked for, labels, and a fixed split.

    Attributes
    ----------
    name : str
    classes : tuple of str
        Name of each label.
    images : Dataset
        Item i is ``(image, label)``, the image with values 0 to 1 and shape (1 or 3, h, w).
    labels : array of int, shape (n,)
    split : Split
    identity : str
        Hash that changes whenever the images may have changed.
    """

    name: str
    classes: tuple[str, ...]
    images: Dataset[tuple[Tensor, int]]
    labels: IntArray
    split: Split
    identity: str

    def __len__(self) -> int:
        return len(self.labels)


def stratified_split(labels: IntArray, seed: int = SPLIT_SEED) -> Split:
    """Split 50 % / 20 % / 30 % into training, validation and test, alike for every class.

    Parameters
    ----------
    labels : array of int, shape (n,)
    seed : int
        The same labels and seed always give the same split.

    Returns
    -------
    Split
    """
    n_test, n_validation = (
        max(round(fraction * len(labels)), len(np.unique(labels)))
        for fraction in (TEST_FRACTION, VALIDATION_FRACTION)
    )
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=n_test, stratify=labels, random_state=seed
    )
    train, validation = train_test_split(
        rest, test_size=n_validation, stratify=labels[rest], random_state=seed
    )
    return Split(*(np.sort(part).astype(np.int64) for part in (train, validation, test)))


class _Digits(Dataset[tuple[Tensor, int]]):
    """Digits of 8 x 8 pixels, held in memory."""

    def __init__(self, pixels: Tensor, labels: IntArray) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pixels[index], int(self.labels[index])


SOURCE_DIGITS = (0, 1, 2, 3, 4)
TARGET_DIGITS = (5, 6, 7, 8, 9)


def load_digits(classes: Sequence[int] = TARGET_DIGITS, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load scikit-learn's handwritten digits of the classes wanted (no download).

    Label i is ``classes[i]``: with the target classes 5-9, digit 5 is read at the output that was
    pre-trained on digit 0, and so on.

    Parameters
    ----------
    classes : sequence of int
        Digits, of 0 to 9.
    split_seed : int

    Returns
    -------
    ImageData
        Grey images of 8 x 8 pixels, which the backbone's `InputSpec` up-samples.
    """
    digits = sklearn_digits()
    wanted = np.isin(digits.target, classes)
    pixels = (digits.images[wanted] / 16).astype(np.float32)
    labels = np.array([classes.index(digit) for digit in digits.target[wanted]], np.int64)
    return ImageData(
        name="digits " + "".join(map(str, classes)),
        classes=tuple(map(str, classes)),
        images=_Digits(torch.from_numpy(pixels)[:, None], labels),
        labels=labels,
        split=stratified_split(labels, split_seed),
        identity=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    )


def read_image(path: str | Path) -> Tensor:
    """Read an image file as RGB with values 0 to 1, shape (3, h, w)."""
    try:
        with Image.open(path) as image:
            pixels: Tensor = transforms.functional.pil_to_tensor(image.convert("RGB"))
            return pixels / 255
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read as an image: replace or remove it.") from error


PARTS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def load_folder(root: str | Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load a folder of images, in one of two layouts.

    ``root/<class>/<image>`` is split here, alike for every class; in
    ``root/{train,val or validation,test}/<class>/<image>`` the split is the folder's.

    Parameters
    ----------
    root : path
    split_seed : int
        For the first layout.

    Returns
    -------
    ImageData
        Images are read from disk one by one, when they are asked for.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"There is no folder {root}: a folder with one sub-folder a class is meant."
        )
    if (root / "train").is_dir():
        folders = [_image_folder(_part(root, part)) for part in PARTS]
        split = _given_split(folders)
    else:
        folders = [_image_folder(root)]
        split = _own_split(folders[0], root, split_seed)
    for folder in folders:
        if folder.classes != folders[0].classes:
            raise UserError(
                f"{folder.root} holds the classes {', '.join(folder.classes)} where "
                f"{folders[0].root} holds {', '.join(folders[0].classes)}: they must be the same."
            )
    return ImageData(
        name=root.name,
        classes=tuple(folders[0].classes),
        images=ConcatDataset(folders),
        labels=np.concatenate([np.array(folder.targets, np.int64) for folder in folders]),
        split=split,
        identity=digest([_file_identity(root, path) for f in folders for path, _ in f.samples]),
    )


def _part(root: Path, part: str) -> Path:
    for name in PARTS[part]:
        if (root / name).is_dir():
            return root / name
    raise UserError(
        f"{root} has a folder 'train' but none for {part}: "
        f"{' or '.join(repr(name) for name in PARTS[part])} was expected."
    )


def _image_folder(root: Path) -> ImageFolder:
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
    if len(classes) < 2:
        raise UserError(
            f"{root} has {len(classes)} sub-folders where at least two were expected, "
            "one for each class."
        )
    for name in classes:
        if not any(path.suffix.lower() in IMG_EXTENSIONS for path in (root / name).rglob("*")):
            raise UserError(
                f"{root / name} holds no images: files ending in "
                f"{', '.join(IMG_EXTENSIONS)} were expected."
            )
    return ImageFolder(str(root), loader=read_image)


def _given_split(folders: Sequence[ImageFolder]) -> Split:
    starts = np.cumsum([0] + [len(folder) for folder in folders])
    return Split(*(np.arange(a, b) for a, b in pairwise(starts)))


def _own_split(folder: ImageFolder, root: Path, seed: int) -> Split:
    labels = np.array(folder.targets, np.int64)
    fewest = np.bincount(labels).argmin()
    if np.bincount(labels)[fewest] < 4:
        raise UserError(
            f"{root / folder.classes[fewest]} holds {np.bincount(labels)[fewest]} images: a split "
            "into training, validation and test needs at least four a class."
        )
    return stratified_split(labels, seed)


def _file_identity(root: Path, path: str) -> tuple[str, int, int]:
    status = Path(path).stat()
    return Path(path).relative_to(root).as_posix(), status.st_size, status.st_mtime_ns
