"""Sweeps of a recording, whatever its format, and the rates of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from brian2 import Quantity, mV

from neuromod.electrophysiology.outlines import LEAST_STEP_S
from neuromod.electrophysiology.steps import Found, find_steps
from neuromod.errors import UserError, unknown

READ = [
    *("cell", "electrode", "sweep", "condition", "stimulus", "start_s", "step_s"),
    *("baseline_nA", "current_nA", "spikes", "rate_Hz", "used", "why"),
]


MEASURED = ["start_s", "step_s", "baseline_nA", "current_nA", "spikes", "rate_Hz"]
# Chosen here: what no recording of a neuron exceeds, or stays below (mV, mV, Hz).
MOST_POTENTIAL, LEAST_POTENTIAL, LEAST_SAMPLING = 500.0, 1.0, 500.0
# Chosen here: peaks that stay so little below the level of spikes are said.
NEAR_MV = 15.0
# Chosen here: so much of a step must be recorded; no membrane keeps one value for so long.
LEAST_SHARE, STILL_S = 0.5, 0.01


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
        When no sweep names the control.
    """
    conditions = _conditions(sweeps, control)
    traces = [_recorded(sweep) for sweep in sweeps]
    why = [
        sweep.problem or _implausible(sweep, trace) or ("" if condition else "names no condition")
        for sweep, trace, condition in zip(sweeps, traces, conditions, strict=True)
    ]
    table = pd.DataFrame(
        {
            "cell": [sweep.cell for sweep in sweeps],
            "electrode": [sweep.electrode for sweep in sweeps],
            "sweep": [sweep.name for sweep in sweeps],
            "condition": conditions,
            "stimulus": [sweep.stimulus for sweep in sweeps],
            "why": why,
        }
    )
    measured = pd.DataFrame(index=table.index, columns=MEASURED, dtype=float)
    for _, rows in table[table.why == ""].groupby(["cell", "electrode"], sort=False):
        commands = [sweeps[row].command for row in rows.index]
        samplings = [sweeps[row].sampling for row in rows.index]
        for row, found in zip(
            rows.index, find_steps(commands, samplings, list(rows.condition)), strict=True
        ):
            table.loc[row, "why"] = found.problem
            if not found.problem:
                level = float(spike_level / mV)
                measured.loc[row], note = _counted(sweeps[row], traces[row], found, level)
                table.loc[row, "why"] = note
    found = pd.concat([table, measured], axis=1)
    found["used"] = found.rate_Hz.notna()
    found["spikes"] = found.spikes.astype("Int64")
    return _silence(found, traces)[READ]


def _conditions(sweeps: Sequence[Sweep], control: str) -> list[str]:
    """Condition of every sweep, from the first kind of label that names the control."""
    for labels in zip(*(sweep.labels for sweep in sweeps), strict=True):
        if control in labels:
            return list(labels)
    seen = {label for sweep in sweeps for label in sweep.labels if label}
    if not seen:
        raise UserError(f"No sweep says in which condition it was recorded, such as {control!r}.")
    raise unknown("condition", control, seen)


def _recorded(sweep: Sweep) -> np.ndarray:
    """Potential with nan where nothing was recorded: zeros, or one value to the end.

    A simulated cell at rest keeps one value as well, but had it before.
    """
    trace = np.where(np.isfinite(sweep.potential), sweep.potential, np.nan)
    last = np.flatnonzero(np.isfinite(trace))[-1:] + 1
    if not len(last):
        return trace
    starts = np.append(0, np.flatnonzero(np.diff(trace[: last[0]])) + 1)
    lengths = np.diff(np.append(starts, last[0])) / sweep.sampling
    values = trace[starts]
    still = lengths >= STILL_S
    before = values[:-1][lengths[:-1] >= STILL_S / 5]
    change = np.flatnonzero(np.diff(sweep.command)) + 1
    driven = np.any(np.abs(change - starts[-1]) <= STILL_S / 5 * sweep.sampling)
    ended = np.any(np.isfinite(values[:-1])) and values[-1] not in before and not driven
    gone = still & ((values == 0) | (ended & (starts == starts[-1])))
    trace[: last[0]][np.repeat(gone, np.diff(np.append(starts, last[0])))] = np.nan
    return trace


def _implausible(sweep: Sweep, trace: np.ndarray) -> str:
    """What shows that values are in other units than their file says; empty if nothing does."""
    if not np.any(np.isfinite(trace)):
        return "its potential was not recorded"
    if sweep.sampling < LEAST_SAMPLING:
        return f"{sweep.sampling:g} Hz is too slow for spikes: are its times in milliseconds?"
    peak = float(np.nanmax(np.abs(trace)))
    if peak > MOST_POTENTIAL:
        return f"its potential of {peak:.3g} mV is impossible: is it in mV, with a factor for V?"
    if peak < LEAST_POTENTIAL:
        return f"its potential stays below {peak:.2g} mV: is it in V, with a factor for mV?"
    return ""


def _counted(
    sweep: Sweep, trace: np.ndarray, found: Found, level: float
) -> tuple[dict[str, float], str]:
    """Spikes in what was recorded of a step, and a note on what was not."""
    first, last = found.first, found.last
    known = np.isfinite(trace[first:last]) & np.isfinite(sweep.command[first:last])
    seconds, whole = np.count_nonzero(known) / sweep.sampling, (last - first) / sweep.sampling
    step = {
        "start_s": round(first / sweep.sampling, 6),
        "step_s": round(seconds, 6),
        "baseline_nA": found.baseline,
        "current_nA": found.current,
    }
    note = "" if seconds > 0.999 * whole else f"{seconds:.3g} s of its step of {whole:.3g} s"
    if seconds < max(LEAST_STEP_S, LEAST_SHARE * whole):
        return step, f"only {note or f'{seconds:.3g} s'} were recorded"
    spikes = _spikes(trace, first, last, level)
    low = _spikes(trace, first, last, level - NEAR_MV) - spikes
    rate = {"spikes": spikes, "rate_Hz": spikes / seconds}
    notes = [f"{note} were recorded and used"] if note else []
    notes += [f"{low} more peaks come within {NEAR_MV:g} mV of the spike level"] if low > 0 else []
    return step | rate, "; ".join(notes)


def _spikes(trace: np.ndarray, first: int, last: int, level: float) -> int:
    """Upward crossings of a level; a potential that is above it already does not cross it."""
    before = max(first - 1, 0)
    low, high = trace[before : last - 1], trace[before + 1 : last]
    return int(np.count_nonzero((low <= level) & (high > level)))


def _silence(found: pd.DataFrame, traces: Sequence[np.ndarray]) -> pd.DataFrame:
    """Notes of the highest potential where a whole electrode never fires."""
    for _, rows in found[found.used].groupby(["cell", "electrode"], sort=False):
        if not rows.spikes.any():
            peak = max(float(np.nanmax(traces[row])) for row in rows.index)
            note = f"no spike in any sweep: the potential stays below {peak:.3g} mV"
            found.loc[rows.index, "why"] = [f"{w}; {note}" if w else note for w in rows.why]
    return found
