"""Times that protocols set: time steps, onsets, durations."""

from __future__ import annotations

from typing import Any

from brian2 import Quantity

from neuromod.parameters import positive


def time(default: Quantity, meaning: str, why: str) -> Any:
    """Setting of one or several times above 0.

    Parameters
    ----------
    default : Quantity, shape () or (n,)
        In seconds.
    meaning : str
    why : str
        Why this default was chosen.

    Returns
    -------
    dataclasses.Field
    """
    return positive(default, meaning, f"chosen here: {why}")


def time_step(default: Quantity, why: str) -> Any:
    """Setting of the time step.

    Parameters
    ----------
    default : Quantity
        In seconds.
    why : str
        Why this default was chosen.

    Returns
    -------
    dataclasses.Field
    """
    return time(default, "time step", why)
