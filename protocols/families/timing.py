"""Settings of times: time steps, onsets, durations."""

from __future__ import annotations

from math import gcd
from typing import Any

from brian2 import Quantity

from neuromod.checks import GRID_TOLERANCE, steps_in
from neuromod.parameters import positive


def time(default: Quantity, meaning: str, why: str) -> Any:
    """Setting of one or several times above 0 s; `why` gives the reason for the default."""
    return positive(default, meaning, f"chosen here: {why}")


def time_step(default: Quantity, why: str) -> Any:
    """Setting of the time step; `why` gives the reason for the default."""
    return time(default, "time step", why)


def sampling(longest: Quantity, dt: Quantity, *marks: Quantity) -> Quantity:
    """Interval between samples: of whole time steps, and such that marks are among the samples.

    Parameters
    ----------
    longest : Quantity
        In seconds; a shorter interval is taken where marks ask for it, and a time step at least.
    dt : Quantity
        Time step, seconds.
    *marks : Quantity
        Times in whole time steps.
    """
    apart = gcd(*(steps_in("mark", mark, dt) for mark in marks))
    most = max(1, int(float(longest / dt) + GRID_TOLERANCE))
    return max(n for n in range(1, most + 1) if apart % n == 0) * dt
