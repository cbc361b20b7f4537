"""How far two recordings of one experiment differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Quantity

from neuromod.experiment import Spikes
from neuromod.recording.recording import Recording


@dataclass(frozen=True)
class Agreement:
    """How far two recordings of one experiment differ.

    Attributes
    ----------
    spikes : int
        Of the first.
    moved : int
        Spikes that the second has in another time step.
    missing, extra : int
        Spikes that only the first and only the second has, beyond those.
    trace : float
        Largest deviation of a trace before spikes differ, as a share of its range.
    """

    spikes: int
    moved: int
    missing: int
    extra: int
    trace: float

    @property
    def differing(self) -> float:
        """Spikes of either that the other lacks in that time step, as a share of all."""
        every = 2 * self.spikes + self.extra - self.missing
        return (2 * self.moved + self.missing + self.extra) / max(every, 1)


def agreement(one: Recording, other: Recording) -> Agreement:
    """How far the second of two recordings differs from the first.

    A spike has moved where a neuron has one more in one time step and one fewer in another.
    """
    moved = missing = extra = 0
    for name, spikes in one.spikes.items():
        without, beyond = (
            np.bincount(lone[:, 1], minlength=spikes.size)
            for lone in lone_spikes(spikes, other.spikes[name], one.dt)
        )
        paired = np.minimum(without, beyond)
        moved += int(paired.sum())
        missing += int((without - paired).sum())
        extra += int((beyond - paired).sum())
    total = sum(len(spikes.neurons) for spikes in one.spikes.values())
    return Agreement(total, moved, missing, extra, _deviation(one, other))


def lone_spikes(one: Spikes, other: Spikes, dt: Quantity) -> tuple[np.ndarray, np.ndarray]:
    """Spikes that only the first has, and those that only the second has.

    Returns
    -------
    tuple of ndarray of int, shape (spikes, 2)
        Time step and neuron of each, in order of time.
    """
    size = max(one.size, other.size)
    a, b = (
        np.rint(np.asarray(spikes.times / dt)).astype(np.int64) * size + spikes.neurons
        for spikes in (one, other)
    )
    alone = np.setdiff1d(a, b), np.setdiff1d(b, a)
    first, second = (np.column_stack(np.divmod(keys, size)) for keys in alone)
    return first, second


def parting(one: Recording, other: Recording) -> int | None:
    """First time step in which two recordings differ by a spike; None where none does."""
    steps = [
        int(lone[0, 0])
        for name, spikes in one.spikes.items()
        for lone in lone_spikes(spikes, other.spikes[name], one.dt)
        if len(lone)
    ]
    return min(steps, default=None)


def _deviation(one: Recording, other: Recording) -> float:
    """Largest deviation of a trace before spikes differ, as a share of its range."""
    parted, worst = parting(one, other), 0.0
    for population, signals in one.signals.items():
        for variable, signal in signals.items():
            a = np.asarray(signal.values)
            b = np.asarray(other.signals[population][variable].values)
            reach = np.ptp(a) or np.abs(a).max() or 1.0
            steps = np.rint(np.asarray(one.times_of(population, variable) / one.dt))
            # The sample after the step of a spike already shows it.
            until = len(steps) if parted is None else np.searchsorted(steps, parted, "right")
            # What is no number agrees with nothing.
            gaps = np.nan_to_num(np.abs(a - b)[:, :until], nan=np.inf)
            worst = max(worst, float(gaps.max(initial=0.0) / reach))
    return worst
