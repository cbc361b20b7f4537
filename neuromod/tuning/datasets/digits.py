"""scikit-learn's handwritten digits. The embedded backbone is pre-trained on the digits 0 to 4.

Target tasks are the other digits, or the same ones changed, with test images that it never saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.datasets import load_digits as sklearn_digits

from neuromod.tuning.datasets.images import (
    SPLIT_SEED,
    ImageData,
    inverted,
    noisy,
    rotated,
    stratified_split,
)

SOURCE_DIGITS = (0, 1, 2, 3, 4)
TARGET_DIGITS = (5, 6, 7, 8, 9)

NOISE = 0.5
"""Standard deviation of the noise on pixel values of 0 to 1 (chosen here)."""

ROTATION = 90.0
"""Rotation in degrees (chosen here: exact on a square grid of pixels)."""


def load_digits(classes: Sequence[int] = TARGET_DIGITS, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load scikit-learn's handwritten digits of some classes (no download).

    Label i is ``classes[i]``: with the target classes 5 to 9, the output that was pre-trained on
    digit 0 stands for digit 5, and so on.

    Parameters
    ----------
    classes : sequence of int
        Digits from 0 to 9.

    Returns
    -------
    ImageData
        Grey images of 8 x 8 pixels, which the backbone's `InputSpec` enlarges.
    """
    digits = sklearn_digits()
    wanted = np.isin(digits.target, classes)
    pixels = (digits.images[wanted] / 16).astype(np.float32)
    images = torch.from_numpy(pixels)[:, None]
    labels = np.array([classes.index(digit) for digit in digits.target[wanted]], np.int64)
    return ImageData(
        name="digits " + "".join(map(str, classes)),
        classes=tuple(map(str, classes)),
        image=lambda index: images[index],
        labels=labels,
        split=stratified_split(labels, split_seed),
        identity=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    )


DIGIT_TASKS: dict[str, Callable[[int], ImageData]] = {
    "digits": lambda seed: load_digits(TARGET_DIGITS, seed),
    "digits-noise": lambda seed: noisy(load_digits(SOURCE_DIGITS, seed), NOISE),
    "digits-rotated": lambda seed: rotated(load_digits(SOURCE_DIGITS, seed), ROTATION),
    "digits-inverted": lambda seed: inverted(load_digits(SOURCE_DIGITS, seed)),
}
"""Target tasks for the embedded backbone, each a function of its split's seed."""
