"""f-I curves from files: tidy tables (CSV) and current-clamp recordings (NWB)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo
import numpy as np
import pandas as pd
import quantities as pq
from brian2 import Quantity, mV
from elephant.spike_train_generation import threshold_detection

from neuromod.analysis.identification import LEAST_CURRENTS
from neuromod.errors import UserError, unknown

COLUMNS = ["condition", "current_nA", "trial", "rate_Hz"]
TO_NANOAMPERE = {"pA": 1e-3, "nA": 1.0, "uA": 1e3, "µA": 1e3, "mA": 1e6, "A": 1e9}
TO_SECOND = {"duration_s": 1.0, "duration_ms": 1e-3}
# Chosen here: shorter steps give no rate; smaller differences of commands are noise.
LEAST_STEP_S = 0.05
RESOLUTION_NA = 1e-4
# What pynwb writes where a text was left out.
UNSAID = ("no description", "N/A", None)


def read_curves(path: Path, control: str, spike_level: Quantity) -> pd.DataFrame:
    """f-I curves in a file.

    Parameters
    ----------
    path : Path
        A table (``.csv``) or a current-clamp recording (``.nwb``).
    control : str
        Name of the control condition.
    spike_level : Quantity
        Potential whose upward crossing is a spike in an NWB file, volt.

    Returns
    -------
    DataFrame
        ``condition``, ``current_nA``, ``trial`` and ``rate_Hz``, one row per trial.

    Raises
    ------
    UserError
        When the file is missing, damaged, or holds no such curves.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    kind = path.suffix.lower()
    if kind not in (".csv", ".nwb"):
        raise UserError(f"{path} must be a table (.csv) or a current-clamp recording (.nwb).")
    found = _read_csv(path) if kind == ".csv" else _read_nwb(path, control, spike_level)
    _check(path, found, control)
    if "trial" not in found:
        trials = found.groupby(["condition", "current_nA"], sort=False).cumcount() + 1
        found = found.assign(trial=trials)
    return found[COLUMNS].reset_index(drop=True)


def _check(path: Path, found: pd.DataFrame, control: str) -> None:
    conditions = list(dict.fromkeys(found.condition))
    if control not in conditions:
        raise UserError(f"{path}: {unknown('control condition', control, conditions)}")
    if len(conditions) < 2:
        raise UserError(
            f"{path} holds one condition, {control!r}: a modulated one is needed to compare."
        )
    for name, currents in found.groupby("condition").current_nA.nunique().items():
        if currents < LEAST_CURRENTS:
            raise UserError(
                f"{path} has {currents} different currents under {name!r}: at least "
                f"{LEAST_CURRENTS} are needed."
            )


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"condition": str, "trial": str}, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is no table of comma-separated values: {error}.") from error
    table = table.rename(columns=str.strip)
    if "condition" not in table:
        raise UserError(f"{path} needs a column condition; it has {', '.join(table.columns)}.")
    if table.condition.isna().any():
        raise UserError(f"{path}: condition is missing in row {_row(table.condition.isna())}.")
    return table.assign(
        condition=table.condition.str.strip(),
        current_nA=_current(path, table),
        rate_Hz=_rate(path, table),
    )


def _current(path: Path, table: pd.DataFrame) -> pd.Series:
    named = [name for name in table.columns if re.match(r"current(_|$)", name)]
    if len(named) != 1:
        raise UserError(
            f"{path} needs one column of currents with its unit, such as current_nA; it has "
            f"{', '.join(named or table.columns)}."
        )
    unit = named[0].partition("_")[2]
    if unit not in TO_NANOAMPERE:
        raise UserError(
            f"{path}: {named[0]} must end in a unit of current, one of {', '.join(TO_NANOAMPERE)}."
        )
    # Rounded far below what any stimulator resolves, so that equal currents stay equal.
    return (_numbers(path, table, named[0]) * TO_NANOAMPERE[unit]).round(9)


def _rate(path: Path, table: pd.DataFrame) -> pd.Series:
    if "rate_Hz" in table:
        return _numbers(path, table, "rate_Hz", low=0)
    durations = [name for name in TO_SECOND if name in table]
    if "spikes" not in table or not durations:
        raise UserError(
            f"{path} needs a column rate_Hz, or spikes with duration_s or duration_ms; it has "
            f"{', '.join(table.columns)}."
        )
    spikes = _numbers(path, table, "spikes", low=0)
    seconds = _numbers(path, table, durations[0]) * TO_SECOND[durations[0]]
    for wrong, name, expected in (
        (spikes % 1 != 0, "spikes", "a whole number"),
        (seconds <= 0, durations[0], "above 0"),
    ):
        if wrong.any():
            raise UserError(f"{path}: {name} in row {_row(wrong)} must be {expected}.")
    return spikes / seconds


def _numbers(path: Path, table: pd.DataFrame, name: str, low: float | None = None) -> pd.Series:
    numbers = pd.to_numeric(table[name], errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        value = table[name][wrong].iloc[0]
        raise UserError(f"{path}: {name} in row {_row(wrong)} is {value}, not a finite number.")
    if low is not None and (numbers < low).any():
        row = _row(numbers < low)
        raise UserError(f"{path}: {name} in row {row} is {numbers[row - 1]:g}, below {low:g}.")
    return numbers


def _row(wrong: pd.Series) -> int:
    """Number of the first row concerned; the row after the header is 1."""
    return int(np.argmax(np.asarray(wrong))) + 1


@dataclass(frozen=True, eq=False)
class _Sweep:
    """One current step: command in nanoampere, potential in millivolt, sampling in hertz."""

    labels: tuple[str, ...]
    command: np.ndarray
    potential: np.ndarray
    sampling: float

    @property
    def step(self) -> tuple[int, int]:
        """First sample, and the one after the last, of the longest stretch off the baseline."""
        level = np.round(self.command / RESOLUTION_NA)
        edges = np.flatnonzero(np.diff(level)) + 1
        starts, ends = np.append(0, edges), np.append(edges, len(level))
        length = np.where(level[starts] == level[0], 0, ends - starts)
        longest = int(np.argmax(length))
        return int(starts[longest]), int(starts[longest] + length[longest])


def _read_nwb(path: Path, control: str, spike_level: Quantity) -> pd.DataFrame:
    try:
        from pynwb import NWBHDF5IO
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} needs pynwb: pip install 'brian2-neuromod[nwb]' brings it."
        ) from error
    try:
        with warnings.catch_warnings(), NWBHDF5IO(str(path), "r") as file:
            # hdmf calls pandas by names that newer releases deprecate.
            warnings.simplefilter("ignore")
            sweeps = list(_sweeps(file.read()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        # Damaged files make pynwb, hdmf and h5py raise anything.
        raise UserError(f"{path} cannot be read as an NWB file: {error}") from error
    if not sweeps:
        raise UserError(
            f"{path} holds no CurrentClampSeries with the CurrentClampStimulusSeries that drove "
            "it: join them in the table intracellular_recordings or by equal sweep_number."
        )
    labels = _conditions(path, sweeps, control)
    usual = _usual_step(path, sweeps)
    found = pd.DataFrame(_measure(sweep, usual, spike_level) for sweep in sweeps)
    return found.assign(condition=labels)


def _sweeps(file: Any) -> Iterator[_Sweep]:
    """Responses with their stimuli, from the tables or, where there are none, by sweep number."""
    from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

    for response, stimulus, condition in _paired(file):
        if not isinstance(response, CurrentClampSeries):
            continue
        if not isinstance(stimulus, CurrentClampStimulusSeries):
            continue
        sampling = _sampling(response)
        if not np.isclose(sampling, _sampling(stimulus)):
            raise UserError(f"{response.name} and its stimulus are sampled at different rates.")
        texts = (condition, response.description, response.stimulus_description)
        labels = tuple("" if text in UNSAID else str(text).strip() for text in texts)
        command = stimulus.get_data_in_units() * 1e9
        potential = response.get_data_in_units() * 1e3
        length = min(len(command), len(potential))
        yield _Sweep(labels, command[:length], potential[:length], sampling)


def _paired(file: Any) -> Iterator[tuple[Any, Any, str]]:
    """Response, stimulus, and their entry in a column `condition` of an intracellular table."""
    from hdmf.common.hierarchicaltable import flatten_column_index, to_hierarchical_dataframe

    table = file.get_icephys_meta_parent_table()
    if table is None:
        stimuli = {stimulus.sweep_number: stimulus for stimulus in _numbered(file.stimulus)}
        for response in _numbered(file.acquisition):
            if response.sweep_number in stimuli:
                yield response, stimuli[response.sweep_number], ""
        return
    frame = to_hierarchical_dataframe(table).reset_index()
    # Columns are named by nested pairs of table and column.
    flatten_column_index(frame, max_levels=1, inplace=True)
    for _, row in frame.iterrows():
        yield row["response"].timeseries, row["stimulus"].timeseries, row.get("condition", "")


def _numbered(group: Any) -> list[Any]:
    """Series of a file that have a sweep number, in its order."""
    numbered = [s for s in group.values() if getattr(s, "sweep_number", None) is not None]
    return sorted(numbered, key=lambda series: series.sweep_number)


def _sampling(series: Any) -> float:
    if series.rate is not None:
        return float(series.rate)
    return float(1 / np.median(np.diff(series.timestamps[:])))


def _conditions(path: Path, sweeps: list[_Sweep], control: str) -> tuple[str, ...]:
    """Condition of every sweep, from the first kind of label that names the control."""
    for labels in zip(*(sweep.labels for sweep in sweeps), strict=True):
        if control in labels:
            return labels
    seen = sorted({label for sweep in sweeps for label in sweep.labels if label})
    raise UserError(
        f"{path} names no condition {control!r} in a column condition of its intracellular "
        "tables, nor in a description or stimulus_description of its CurrentClampSeries; it has "
        f"{', '.join(seen) or 'no such text'}."
    )


def _usual_step(path: Path, sweeps: list[_Sweep]) -> tuple[int, int]:
    """First sample, and the one after the last, of a typical step; test pulses do not count."""
    steps = [sweep.step for sweep in sweeps]
    longest = max(last - first for first, last in steps)
    long = [step for step in steps if 2 * (step[1] - step[0]) >= longest]
    first, last = (int(np.median(side)) for side in zip(*long, strict=True))
    if (last - first) / sweeps[0].sampling < LEAST_STEP_S:
        raise UserError(f"{path} holds no current steps of at least {1e3 * LEAST_STEP_S:g} ms.")
    return first, last


def _measure(sweep: _Sweep, usual: tuple[int, int], spike_level: Quantity) -> dict[str, float]:
    """Current step in nanoampere and rate in hertz; a step of 0 has the usual length."""
    first, last = sweep.step
    # A shorter one is a test pulse in a sweep without a step.
    if 2 * (last - first) < usual[1] - usual[0]:
        first, last = usual
    current = float(np.median(sweep.command[first:last]) - sweep.command[0])
    signal = neo.AnalogSignal(
        sweep.potential[first:last] * pq.mV, sampling_rate=sweep.sampling * pq.Hz
    )
    train = threshold_detection(signal, threshold=float(spike_level / mV) * pq.mV)
    rate = len(train) * sweep.sampling / (last - first)
    return {"current_nA": round(current, 6), "rate_Hz": rate}
