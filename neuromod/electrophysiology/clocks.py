"""Command and potential brought onto one clock by their times, whatever their sampling."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neuromod.errors import UserError

# Chosen here: more intervals unlike the others than this share are no gaps but irregular times.
MOST_GAPS = 0.01


@dataclass(frozen=True, eq=False)
class Trace:
    """Values and their times, second, one for each."""

    values: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if len(self.values) != len(self.times):
            raise UserError(f"has {len(self.values)} values at {len(self.times)} times")
        if len(self.values) < 2:
            raise UserError("has no samples")
        if not np.all(np.diff(self.times) > 0):
            raise UserError("has times that do not rise")
        if not self.even and np.mean(np.abs(self._steps - 1) > 0.5) > MOST_GAPS:
            raise UserError("is sampled at irregular times")

    @property
    def _steps(self) -> np.ndarray:
        """Intervals between samples, in the usual one."""
        steps = np.diff(self.times)
        return np.asarray(steps / np.median(steps))

    @property
    def even(self) -> bool:
        """Whether there are no gaps."""
        return bool(np.max(np.abs(self._steps - 1)) <= 0.5)

    @property
    def sampling(self) -> float:
        """Samples in a second, to the digits that times of a long session have."""
        even = (len(self.times) - 1) / (self.times[-1] - self.times[0])
        return float(f"{even if self.even else 1 / np.median(np.diff(self.times)):.9g}")

    @property
    def end(self) -> float:
        """When the last sample ends."""
        return float(self.times[-1] + 1 / self.sampling)

    def moved(self, start: float) -> Trace:
        """The same values from another time on."""
        return replace(self, times=self.times - self.times[0] + start)

    def overlaps(self, other: Trace) -> bool:
        """Whether some time is covered by both."""
        return bool(max(self.times[0], other.times[0]) < min(self.end, other.end))

    def starts_with(self, other: Trace) -> bool:
        """Whether both start within a sample of each other."""
        sample = max(1 / self.sampling, 1 / other.sampling)
        return bool(abs(self.times[0] - other.times[0]) < sample)

    def at(self, times: np.ndarray) -> np.ndarray:
        """The latest value at each time, nan before the first, after the last and in gaps."""
        step = 1 / self.sampling
        latest = np.searchsorted(self.times, times + 1e-3 * step, side="right") - 1
        age = times - self.times[np.maximum(latest, 0)]
        return np.where((latest >= 0) & (age < 1.5 * step), self.values[latest], np.nan)


def on_one_clock(
    response: Trace, stimulus: Trace, beyond: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Command and potential at the response's sampling, and the time of their first sample.

    Parameters
    ----------
    response, stimulus : Trace
        What was recorded and what drove it, on the file's clock.
    beyond : bool
        Whether the command is shown where nothing was recorded as well.
    """
    sampling, start = response.sampling, float(response.times[0])
    first, last = 0, round((response.end - start) * sampling)
    if beyond:
        first = min(first, int(np.floor((stimulus.times[0] - start) * sampling + 1e-3)))
        last = max(last, int(np.ceil((stimulus.end - start) * sampling - 1e-3)))
    times = start + np.arange(first, last) / sampling
    if response.even:
        potential = np.full(len(times), np.nan)
        potential[-first : len(response.values) - first] = response.values
    else:
        potential = response.at(times)
    return stimulus.at(times), potential, float(times[0])
