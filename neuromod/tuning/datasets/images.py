"""Data sets of labelled images with a fixed split, and the input format of a network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2 as transforms

from neuromod.errors import UserError
from neuromod.support.cache import digest

log = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]

SPLIT_SEED = 20221
"""Seed of the split into training, validation and test images (chosen: any would do)."""

VALIDATION_FRACTION = 0.2
TEST_FRACTION = 0.3


@dataclass(frozen=True)
class InputSpec:
    """The format of a backbone's input images: square and normalised.

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

        It is resized bilinearly, with anti-aliasing, whatever its aspect ratio: the paper resizes
        to 256 x 256.
        """
        image = image.mean(0, keepdim=True) if self.channels == 1 else image
        image = transforms.functional.resize(image, [self.size, self.size], antialias=True)
        image = image.expand(self.channels, -1, -1)
        return (image - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[
            :, None, None
        ]


@dataclass(frozen=True)
class Split:
    """Indices of the training, validation and test images."""

    train: IntArray
    validation: IntArray
    test: IntArray

    @property
    def rows(self) -> IntArray:
        """Indices of all images in the split, in ascending order."""
        return np.unique(np.concatenate([self.train, self.validation, self.test]))


@dataclass(frozen=True)
class ImageData:
    """A data set: images that are read one by one, labels, and a fixed split.

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
    files : tuple of path
        Each image's file; empty if images have no files of their own.
    """

    name: str
    classes: tuple[str, ...]
    images: Dataset[tuple[Tensor, int]]
    labels: IntArray
    split: Split
    identity: str
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def stratified_split(labels: IntArray, seed: int = SPLIT_SEED) -> Split:
    """Split 50 % / 20 % / 30 % into training, validation and test, class by class.

    Parameters
    ----------
    labels : array of int, shape (n,)
    seed : int
        The same labels and seed always give the same split.
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


def halves(labels: IntArray, groups: IntArray, seed: int = SPLIT_SEED) -> tuple[IntArray, IntArray]:
    """Halve test images into validation and test images, class by class.

    Parameters
    ----------
    labels : array of int, shape (n,)
    groups : array of int, shape (n,)
        Images of one class and group, such as variants of one photograph, stay together.
    seed : int

    Returns
    -------
    tuple of array of int
        Indices for validation and for test, with at least one group of each class in both.
    """
    drawn = np.random.default_rng(seed)
    first: list[IntArray] = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        names, sizes = np.unique(groups[of_class], return_counts=True)
        if len(names) < 2:
            raise UserError(
                "Half of the test images become validation images, "
                f"and class {label} has only one: it needs two or more."
            )
        order = drawn.permutation(len(names))
        taken = np.cumsum(sizes[order]) <= len(of_class) / 2
        taken[:1] = True
        first.append(of_class[np.isin(groups[of_class], names[order[taken]])])
    validation = np.sort(np.concatenate(first))
    return validation, np.setdiff1d(np.arange(len(labels)), validation)


def balanced(data: ImageData, per_class: int | None = None, seed: int = 0) -> ImageData:
    """Draw the same number of training images of every class.

    Parameters
    ----------
    data : ImageData
    per_class : int, optional
        Images of each class. If the smallest class has fewer, its number is taken, with a
        warning. By default that number is taken.
    seed : int
        Of the draw.

    Returns
    -------
    ImageData
        The same images with fewer of them in ``split.train``, as its name says.
    """
    if per_class is not None and per_class < 1:
        raise UserError(f"per_class is {per_class}, but must be at least 1.")
    train = data.split.train
    counts = np.bincount(data.labels[train], minlength=len(data.classes))
    fewest = int(counts.min())
    number = fewest if per_class is None else min(per_class, fewest)
    if number == 0:
        raise UserError(f"{data.name} has no training image of {data.classes[counts.argmin()]}.")
    if per_class is not None and number < per_class:
        log.warning(
            "%s: %d training images per class instead of %d, because %s has no more.",
            data.name,
            number,
            per_class,
            data.classes[counts.argmin()],
        )
    drawn = np.random.default_rng(seed)
    chosen = [
        drawn.choice(train[data.labels[train] == label], number, replace=False)
        for label in range(len(data.classes))
    ]
    split = replace(data.split, train=np.sort(np.concatenate(chosen)))
    return replace(data, name=f"{data.name}, {number} a class", split=split)


class _Transformed(Dataset[tuple[Tensor, int]]):
    """Images of another data set, each changed by a function of the image and its index."""

    def __init__(self, data: ImageData, change: Callable[[Tensor, int], Tensor]) -> None:
        self.data, self.change = data, change

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.data.images[index]
        return self.change(image, index), label


def inverted(data: ImageData) -> ImageData:
    """Swap dark and bright: every pixel value x becomes 1 - x."""
    return _transformed(data, "inverted", lambda image, _: 1 - image)


def rotated(data: ImageData, degrees: float) -> ImageData:
    """Turn every image counter-clockwise about its centre; new corners are black (0).

    Parameters
    ----------
    data : ImageData
    degrees : float
        Pixels are interpolated bilinearly.
    """
    bilinear = transforms.InterpolationMode.BILINEAR
    return _transformed(
        data,
        f"rotated by {degrees:g} degrees",
        lambda image, _: transforms.functional.rotate(image, degrees, bilinear),
    )


def noisy(data: ImageData, sigma: float, seed: int = 0) -> ImageData:
    """Add Gaussian noise to every pixel, and clip values to 0 and 1.

    Parameters
    ----------
    data : ImageData
    sigma : float
        Standard deviation of the noise, with pixel values from 0 to 1.
    seed : int
        Image i always gets the same noise, in whatever order images are read.
    """

    def add(image: Tensor, index: int) -> Tensor:
        noise = np.random.default_rng([seed, index]).standard_normal(image.shape, np.float32)
        return (image + sigma * torch.from_numpy(noise)).clamp(0, 1)

    return _transformed(data, f"noise {sigma:g}, seed {seed}", add)


def _transformed(data: ImageData, name: str, change: Callable[[Tensor, int], Tensor]) -> ImageData:
    return replace(
        data,
        name=f"{data.name}, {name}",
        images=_Transformed(data, change),
        identity=digest([data.identity, name]),
    )
