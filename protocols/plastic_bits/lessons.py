"""Images as spikes, and when the network is told what they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

CLASSES, PIXELS = 10, 64
IMAGES = 1797
"""Of scikit-learn's digits."""


@dataclass(frozen=True)
class Timing:
    """Time steps of an image.

    Attributes
    ----------
    shown : int
        In which inputs spike.
    whole : int
        From one image to the next.
    told : int
        From the start of an image until the network is told its class, for as long as it is shown.
    """

    shown: int
    whole: int
    told: int


@dataclass(frozen=True, eq=False)
class Lessons:
    """Digits in the order in which one network sees them, and the spikes of its inputs.

    Attributes
    ----------
    labels : ndarray of int, shape (images,)
        All training images in every pass, and then the test images.
    learned : int
        Images before the test.
    steps, pixels : ndarray of int, shape (spikes,)
        When an input spikes, and which; in order of time.
    """

    labels: np.ndarray
    learned: int
    steps: np.ndarray
    pixels: np.ndarray


def draw_lessons(
    rng: np.random.Generator, images: int, passes: int, tested: int, share: float, timing: Timing
) -> Lessons:
    """Draw images and their order, and the spikes of the inputs.

    An input spikes at regular intervals, at a rate in proportion to its pixel, from a phase that is
    drawn anew for every image. It thus spikes ``share*pixel*shown`` times on average, and at most
    once more or less often than that.

    Parameters
    ----------
    rng : numpy.random.Generator
    images, passes, tested : int
        Training images, how often each comes, and test images.
    share : float
        Spikes of the brightest pixel in a time step, at most 1.
    timing : Timing
    """
    digits = load_digits()
    chosen = rng.permutation(IMAGES)[: images + tested]
    order = np.concatenate(
        [*(rng.permutation(chosen[:images]) for _ in range(passes)), chosen[images:]]
    )
    bright = digits.data[order] / digits.data.max()
    times, pixels = [], []
    # Image by image, which takes little memory.
    for number, values in enumerate(bright):
        passed = np.arange(timing.shown + 1)[:, np.newaxis] * share * values + rng.random(PIXELS)
        step, pixel = np.nonzero(np.diff(np.floor(passed), axis=0))
        times.append(step + number * timing.whole)
        pixels.append(pixel)
    return Lessons(
        digits.target[order], images * passes, np.concatenate(times), np.concatenate(pixels)
    )
