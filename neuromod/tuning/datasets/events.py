"""Recordings of event cameras as frames that drive a spiking classifier, and a synthetic set.

An event says that the brightness of a pixel has changed. Recordings are NumPy's structured arrays
with fields ``x``, ``y``, ``t`` and ``p``, such as the package tonic reads from its data sets and
files. All of those sets are downloads, so that nothing here needs tonic; its `ToFrame` would also
count an event left of the sensor at the right end of a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neuromod.errors import UserError, listed, short
from neuromod.tuning.datasets.digits import TARGET_DIGITS, load_digits
from neuromod.tuning.datasets.images import SPLIT_SEED, IntArray, Split

Events = npt.NDArray[np.void]
FloatArray = npt.NDArray[np.floating[Any]]

EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
"""Column, row, microseconds, and whether it became brighter: as tonic's events are."""

LONGEST = 2**53
"""Of recordings, in units of time, so that floating-point numbers hold every time exactly."""

SIDE, TRAVEL = 16, 6.0
"""Pixels of the synthetic camera in a row and in a column, and those that a digit moves by."""

DURATION, SAMPLES = 100_000, 100
"""Microseconds of a synthetic recording, and how often the camera looks in that time."""

CONTRAST, DARK = 0.3, 0.1
"""Change of the logarithm of brightness that makes an event, and brightness of black, where white
is 1 (chosen: cameras are set to contrasts of about 0.1 to 0.5)."""


@dataclass(frozen=True, eq=False)
class EventData:
    """A data set of labelled recordings with a fixed split.

    Attributes
    ----------
    classes : tuple of str
        Name of each label.
    recordings : tuple of structured arrays
        Events of each recording, as `event_frames` takes them.
    labels : array of int, shape (n,)
    size : tuple of int
        Height and width of the sensor, in pixels.
    duration : float
        Of each recording, in the unit of its times.
    """

    name: str
    classes: tuple[str, ...]
    recordings: tuple[Events, ...]
    labels: IntArray
    split: Split
    size: tuple[int, int]
    duration: float

    def __len__(self) -> int:
        return len(self.labels)

    def frames(self, indices: Sequence[int] | IntArray, steps: int) -> Tensor:
        """Return recordings as `event_frames` does: shape (n, steps, 2, height, width)."""
        chosen = [self.recordings[index] for index in indices]
        return torch.stack([event_frames(e, self.size, steps, self.duration) for e in chosen])


def event_frames(events: Events, size: Sequence[int], steps: int, duration: float) -> Tensor:
    """Count the events of a recording in frames, one for each step of a classifier.

    Parameters
    ----------
    events : structured array, shape (n,)
        With column ``x``, row ``y``, time ``t``, never falling, and polarity ``p``, 1 or true where
        it became brighter. Other fields are passed over.
    size : tuple of int
        Height and width of the sensor, in pixels.
    steps : int
        Number of frames.
    duration : float
        Of the recording, from time 0, in the unit of ``t``. Frame k counts the events from
        ``k*duration/steps`` until before ``(k + 1)*duration/steps``.

    Returns
    -------
    Tensor of float32, shape (steps, 2, height, width)
        Events that became darker are channel 0, brighter ones channel 1.

    Raises
    ------
    UserError
        If an event lies outside the sensor or the recording, comes before the one in front of it,
        or has numbers that are missing, not finite, or of another kind.
    """
    height, width = _checked(events, size, steps, duration)
    x, y = (_whole(events, field, below) for field, below in (("x", width), ("y", height)))
    t, p = _times(events, duration), _whole(events, "p", 2)
    edges = [Fraction(duration) * step / steps for step in range(1, steps)]
    if events["t"].dtype.kind != "f":
        edges = [Fraction(math.ceil(edge)) for edge in edges]
    frame = np.searchsorted(np.array(edges, float), t, side="right")
    shape = (steps, 2, height, width)
    counts = np.bincount(np.ravel_multi_index((frame, p, y, x), shape), minlength=math.prod(shape))
    return torch.from_numpy(counts.astype(np.float32)).reshape(shape)


def moving_digits(
    classes: Sequence[int] = TARGET_DIGITS, seed: int = 0, split_seed: int = SPLIT_SEED
) -> EventData:
    """Return scikit-learn's handwritten digits as an event camera would see them pass by.

    The events are synthetic. A digit of 8 x 8 pixels, white on black, moves over 16 x 16 pixels in
    a straight line at constant speed, six pixels in 100 ms, in a direction that is drawn for each.
    The camera looks every millisecond. A pixel puts out one event for every `CONTRAST` by which the
    logarithm of its brightness differs from that of its last event. There is no noise, no
    refractory time and no mismatch, all of which real cameras have.

    Parameters
    ----------
    classes : sequence of int
        Digits from 0 to 9, as `load_digits` takes them, with its labels and its split.
    seed : int
        Of the directions.
    """
    data = load_digits(classes, split_seed)
    images = torch.cat([data.image(index) for index in range(len(data))]).numpy()
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(data))
    return EventData(
        name=f"moving {data.name}",
        classes=data.classes,
        recordings=tuple(_recorded(images, angles)),
        labels=data.labels,
        split=data.split,
        size=(SIDE, SIDE),
        duration=DURATION,
    )


def _recorded(images: FloatArray, angles: FloatArray) -> list[Events]:
    """Events of each image, shape (n, height, width), while it moves in a direction."""
    directions = np.stack([np.cos(angles), np.sin(angles)])
    seen = _brightness(images, -TRAVEL / 2 * directions)
    found = []
    for sample in range(1, SAMPLES):
        way = TRAVEL * (sample / (SAMPLES - 1) - 0.5)
        crossed = np.trunc((_brightness(images, way * directions) - seen) / CONTRAST)
        seen += CONTRAST * crossed
        number, y, x = np.nonzero(crossed)
        crossed = crossed[number, y, x]
        events = np.zeros(len(number), EVENT)
        events["x"], events["y"], events["p"] = x, y, crossed > 0
        events["t"] = sample * DURATION // SAMPLES
        times = np.abs(crossed).astype(int)
        found.append((np.repeat(number, times), np.repeat(events, times)))
    numbers, events = (np.concatenate(parts) for parts in zip(*found, strict=True))
    # Stable, so that times keep their order.
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(1, len(images)))
    return np.split(events[order], ends)


def _brightness(images: FloatArray, offsets: FloatArray) -> FloatArray:
    """Logarithm of what the camera sees of images that lie off its centre, right and down."""
    pixels = np.arange(images.shape[-1])
    centred = np.arange(SIDE) - (SIDE - len(pixels)) / 2
    # Each pixel of the camera sees those of the image that are less than one pixel away.
    across, down = (
        np.maximum(0, 1 - np.abs(centred[:, None] - offset[:, None, None] - pixels))
        for offset in offsets
    )
    seen = down @ images @ across.swapaxes(1, 2)
    brightness: FloatArray = np.log(DARK + (1 - DARK) * seen)
    return brightness


def _checked(events: Any, size: Sequence[int], steps: int, duration: float) -> tuple[int, int]:
    """Height and width; refuse what is no recording, and frames that cannot be."""
    names = getattr(getattr(events, "dtype", None), "names", None) or ()
    missing = [name for name in EVENT.names or () if name not in names]
    if missing or np.ndim(events) != 1:
        raise UserError(
            "Events are a structured array of one axis with the fields x, y, t and p: this one "
            f"lacks {listed(missing) if missing else 'the one axis'}."
        )
    whole = [*size, steps]
    if len(whole) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in whole):
        raise UserError(
            "Frames need a sensor's height and width and a number of steps, whole and above 0, "
            f"not {short((*size, steps))}."
        )
    if not 0 < duration <= LONGEST:
        raise UserError(f"A recording lasts longer than 0 and up to {LONGEST}, not {duration}.")
    return int(size[0]), int(size[1])


def _whole(events: Events, field: str, below: int) -> IntArray:
    """A field of all events as whole numbers from 0."""
    values = _numbers(events, field)
    # NaN is not among them either.
    _refuse(field, values, (values >= 0) & (values < below) & (values == np.floor(values)), below)
    return values.astype(np.int64)


def _times(events: Events, duration: float) -> npt.NDArray[np.float64]:
    values = _numbers(events, "t")
    _refuse("t", values, (values >= 0) & (values < duration), duration)
    late = np.flatnonzero(values[1:] < values[:-1])
    if len(late):
        at = int(late[0])
        raise UserError(
            f"Event {at + 1} is at t = {values[at + 1]}, after one at {values[at]}: sort events by "
            "time, as events[np.argsort(events['t'], kind='stable')] does."
        )
    return values.astype(float)


def _numbers(events: Events, field: str) -> npt.NDArray[Any]:
    values = events[field]
    if values.dtype.kind not in "biuf" or values.ndim != 1 or np.ma.is_masked(values):
        raise UserError(f"Events need one real number each as {field}, not {values.dtype}.")
    return np.asarray(values)


def _refuse(field: str, values: npt.NDArray[Any], fits: npt.NDArray[np.bool_], end: float) -> None:
    if not fits.all():
        at = int(np.flatnonzero(~fits)[0])
        kind = "times" if field == "t" else "whole numbers"
        raise UserError(
            f"Event {at} has {field} = {values[at]}: {kind} from 0 to below {end} were expected."
        )
