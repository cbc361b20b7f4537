"""Observations as rates of spikes, without chance.

Every observation is scaled by the mean and standard deviation of all that were seen in training,
and drives a pair of neurons that push and pull: one fires at ``rate (1 + tanh z)/2``, the other at
``rate (1 - tanh z)/2``. Each integrates its rate and spikes whenever the integral has grown by 1,
so counts of spikes follow the rates to within one spike. Such deterministic neurons also drive the
spiking controllers of Tang, Kumar, Yoo & Michmizos (2020, CoRL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_SD = 1e-6
"""What varies less stands still; it is only centred."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and sum of squared deviations of observations.

    Mean and sum have the shape (observations,), or (batch, observations) with a count of the shape
    (batch, 1) where every row of a batch has its own.
    """

    count: Any
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, observations: int) -> Moments:
        """Of nothing seen yet."""
        return cls(0.0, np.zeros(observations), np.zeros(observations))

    @classmethod
    def of(cls, seen: np.ndarray) -> Moments:
        """Of observations, shape (n, observations)."""
        return cls(float(len(seen)), seen.mean(0), seen.var(0) * len(seen))

    @classmethod
    def rows(cls, each: Sequence[Moments], times: Sequence[int]) -> Moments:
        """One for each row of a batch: the first so many times, and so on."""
        counts = np.repeat([[one.count] for one in each], times, axis=0)
        means, squares = ([getattr(one, name) for one in each] for name in ("mean", "squares"))
        return cls(counts, np.repeat(means, times, axis=0), np.repeat(squares, times, axis=0))

    def with_(self, other: Moments) -> Moments:
        """Moments of both sets (Chan, Golub & LeVeque 1983, Am. Stat. 37:242)."""
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        mean = self.mean + apart * other.count / count
        squares = self.squares + other.squares + apart**2 * self.count * other.count / count
        return Moments(count, mean, squares)

    def scaled(self, observations: np.ndarray) -> np.ndarray:
        """Observations in standard deviations from the mean; as they are before any were seen."""
        sd = np.sqrt(self.squares / np.maximum(self.count, 1))
        scaled: np.ndarray = (observations - self.mean) / np.where(sd > LEAST_SD, sd, 1.0)
        return scaled


def rates(scaled: np.ndarray, highest: float) -> np.ndarray:
    """Rates of the pairs of input neurons.

    Parameters
    ----------
    scaled : ndarray, shape (batch, observations)
        From `Moments.scaled`.
    highest : float
        Rate that an observation far from the mean approaches.

    Returns
    -------
    ndarray, shape (batch, 2*observations)
        In the unit of `highest`: first all that rise with their observation, then all that fall.
    """
    half = 0.5 * np.tanh(scaled)
    found: np.ndarray = highest * np.concatenate([0.5 + half, 0.5 - half], axis=-1)
    return found


def start(inputs: int) -> np.ndarray:
    """Integrals of input neurons at the start of an episode: spread, lest all spike at once."""
    # Multiples of the golden ratio are the most even.
    return np.arange(1, inputs + 1) * (5**0.5 - 1) / 2 % 1
