"""Data sets of labelled images with a fixed split, and the input format of a network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

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

    kind: ClassVar[str] = "images"

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def prepare(self, image: Tensor) -> Tensor:
        """Turn an image with values 0 to 1, shape (1 or 3, h, w), into the backbone's input.

        It is resized bilinearly, with anti-aliasing, whatever its aspect ratio: the paper resizes
        to 256 x 256.

        Raises
        ------
        UserError
            If the sample is no image.
        """
        if image.dim() != 3:
            raise UserError(
                f"An image backbone sees images, and not samples of shape {tuple(image.shape)} and "
                f"type {image.dtype}."
            )
        image = image.mean(0, keepdim=True) if self.channels == 1 else image
        image = functional.resize(image, [self.size, self.size], antialias=True)
        image = image.expand(self.channels, -1, -1)
        normal: Tensor = functional.normalize(image, list(self.mean), list(self.std))
        return normal


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
    classes : tuple of str
        Name of each label.
    image : callable
        Reads the image with an index, with values 0 to 1 and shape (1 or 3, h, w).
    labels : array of int, shape (n,)
    identity : str
        Hash that changes whenever the images may have changed.
    files : tuple of path
        Each image's file; empty if images have no files of their own.
    kind : str
        What its samples are: "images", "texts" or "sounds".
    """

    name: str
    classes: tuple[str, ...]
    image: Callable[[int], Tensor]
    labels: IntArray
    split: Split
    identity: str
    files: tuple[Path, ...] = ()
    kind: str = "images"

    def __len__(self) -> int:
        return len(self.labels)


EXAMPLES = {"images": "digits", "texts": "docstrings", "sounds": "timbres"}
"""A data set of each kind of samples."""


def check_kind(backbone: str, takes: str, data: ImageData) -> None:
    """Refuse samples of another kind than a backbone takes."""
    if data.kind != takes:
        raise UserError(
            f"{backbone} takes {takes}, and {data.name} holds {data.kind}: take data of {takes}, "
            f"such as {EXAMPLES[takes]}, or a backbone of {data.kind}."
        )


def stratified_split(labels: IntArray, seed: int = SPLIT_SEED) -> Split:
    """Split 50 % / 20 % / 30 % into training, validation and test, class by class.

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
    """Halve test images into indices for validation and for test, class by class.

    Images of one class and group, such as variants of one photograph, stay together. At least one
    group of each class is in both halves.
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

    The same images come back with fewer of them in ``split.train``, as the name says.

    Parameters
    ----------
    per_class : int, optional
        Images of each class. If the smallest class has fewer, its number is taken, with a
        warning. By default that number is taken.
    """
    if per_class is not None and per_class < 1:
        raise UserError(f"per_class is {per_class}, but must be at least 1.")
    train = data.split.train
    counts = np.bincount(data.labels[train], minlength=len(data.classes))
    fewest, rarest = int(counts.min()), data.classes[counts.argmin()]
    if fewest == 0:
        raise UserError(f"{data.name} has no training image of {rarest}.")
    number = min(per_class or fewest, fewest)
    if per_class is not None and number < per_class:
        few = f"{number} training images per class instead of {per_class}"
        log.warning("%s: %s, because %s has no more.", data.name, few, rarest)
    drawn = np.random.default_rng(seed)
    chosen = [
        drawn.choice(train[data.labels[train] == label], number, replace=False)
        for label in range(len(data.classes))
    ]
    split = replace(data.split, train=np.sort(np.concatenate(chosen)))
    return replace(data, name=f"{data.name}, {number} a class", split=split)


def inverted(data: ImageData) -> ImageData:
    """Swap dark and bright: every pixel value x becomes 1 - x."""
    return _changed(data, "inverted", lambda image, _: 1 - image)


def rotated(data: ImageData, degrees: float) -> ImageData:
    """Turn every image counter-clockwise about its centre, with bilinear interpolation.

    New corners are black (0).
    """

    def turn(image: Tensor, _: int) -> Tensor:
        turned: Tensor = functional.rotate(image, degrees, InterpolationMode.BILINEAR)
        return turned

    return _changed(data, f"rotated by {degrees:g} degrees", turn)


def noisy(data: ImageData, sigma: float, seed: int = 0) -> ImageData:
    """Add Gaussian noise of standard deviation `sigma` to pixels of 0 to 1, and clip them again.

    Image i always gets the same noise of a seed, in whatever order images are read.
    """

    def add(image: Tensor, index: int) -> Tensor:
        noise = np.random.default_rng([seed, index]).standard_normal(image.shape, np.float32)
        return (image + sigma * torch.from_numpy(noise)).clamp(0, 1)

    return _changed(data, f"noise {sigma:g}, seed {seed}", add)


def _changed(data: ImageData, name: str, change: Callable[[Tensor, int], Tensor]) -> ImageData:
    """Each image changed by a function of the image and its index."""
    return replace(
        data,
        name=f"{data.name}, {name}",
        image=lambda index: change(data.image(index), index),
        identity=digest([data.identity, name]),
    )
