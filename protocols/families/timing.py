"""Settings of times: time steps, onsets, durations."""

from __future__ import annotations

from typing import Any

from brian2 import Quantity

from neuromod.parameters import positive


def time(default: Quantity, meaning: str, why: str) -> Any:
    """Setting of one or several times above 0 s; `why` gives the reason for the default."""
    return positive(default, meaning, f"chosen here: {why}")


def time_step(default: Quantity, why: str) -> Any:
    """Setting of the time step; `why` gives the reason for the default."""
    return time(default, "time step", why)
