"""Sweeps of a recording, whatever its format, and the rates of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from brian2 import Quantity

READ = [
    *("cell", "electrode", "sweep", "condition", "stimulus", "start_s", "step_s"),
    *("baseline_nA", "current_nA", "spikes", "rate_Hz", "used", "why"),
]


@dataclass(frozen=True, eq=False)
class Sweep:
    """One stretch of one electrode, command and potential on one clock.

    Parameters
    ----------
    name : str
        Of the response, or its number.
    cell : str
        Name of the cell, empty where the file does not say.
    electrode : str
        Name of the electrode.
    labels : tuple of str
        Texts that may name the condition, one of each kind, empty where the file says nothing.
        All sweeps of a file have the same kinds in the same order.
    stimulus : str
        Kind of stimulus, in the file's words.
    command : array
        Current in nanoampere, nan where it is not known.
    potential : array
        Membrane potential in millivolt, nan where it was not recorded.
    sampling : float
        Samples in a second.
    start : float
        Time of the first sample on the file's clock, second.
    problem : str
        Why the sweep cannot be used, where reading the file tells; empty when it can.
    """

    name: str
    cell: str
    electrode: str
    labels: tuple[str, ...]
    stimulus: str
    command: np.ndarray
    potential: np.ndarray
    sampling: float
    start: float = 0.0
    problem: str = ""


def measure(sweeps: Sequence[Sweep], control: str, spike_level: Quantity) -> pd.DataFrame:
    """What every sweep shows: its step, its spikes and their rate, or why it is left out.

    Parameters
    ----------
    sweeps : sequence of Sweep
        Sweeps of one kind of file.
    control : str
        Name of the control condition, in one of the kinds of their labels.
    spike_level : Quantity
        Potential whose upward crossing is a spike, volt.

    Returns
    -------
    DataFrame
        The columns of `READ`, one row per sweep in their order.

    Raises
    ------
    UserError
        When no sweep names the control, or the values cannot be in the units given.
    """
    raise NotImplementedError
