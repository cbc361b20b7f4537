"""What differs between two runs of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from neuromod.errors import UserError
from neuromod.recording import Recording
from neuromod.recording.agreement import lone_spikes
from neuromod.runs.run import Run
from neuromod.settings import parse_value
from neuromod.support.text import say


def compare(a: Run, b: Run) -> dict[str, pd.DataFrame]:
    """Differences between two runs of the same protocol.

    Returns
    -------
    dict of str to DataFrame
        ``"settings"`` and ``"circumstances"`` (device, versions, machine) hold what differs,
        ``"columns"`` a row for every column of every table, ``"spikes"`` one for every population.

    Raises
    ------
    UserError
        When the runs are of different protocols.
    """
    first, second = a.info["protocol"], b.info["protocol"]
    if first != second:
        raise UserError(f"A run of {first} and a run of {second} have nothing to compare.")
    return {
        "settings": _different(a.info["settings"], b.info["settings"], _readable),
        "circumstances": _different(_circumstances(a.info), _circumstances(b.info)),
        "columns": pd.concat(
            [
                compare_tables(a.tables[name], b.tables[name]).assign(of=f"{name}.csv")
                for name in _in_both(a.tables, b.tables)
            ]
        ),
        "spikes": pd.DataFrame(
            [
                {"recording": name, **row}
                for name in _in_both(a.recordings, b.recordings)
                for row in _spikes(a.recordings[name], b.recordings[name])
            ]
        ),
    }


def compare_tables(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Differences between two tables, column by column.

    Rows are matched by the leading columns, as many as tell the rows of a table apart; a tidy table
    has its conditions first.

    Returns
    -------
    DataFrame
        One row per column that both have: ``column``, ``rows`` compared, ``different`` among them,
        ``largest_difference`` and ``largest_relative`` (of the larger magnitude; missing for
        text, infinite where only one of the two is a number), ``unmatched`` rows of either table.
    """
    keys = _keys(a, b)
    if keys:
        a, b = a.set_index(keys, drop=False), b.set_index(keys, drop=False)
    shared = a.index.intersection(b.index)
    unmatched = len(a) + len(b) - 2 * len(shared)
    rows = []
    for name in _in_both(a.columns, b.columns):
        row = _column(a.loc[shared, name], b.loc[shared, name])
        rows.append({"column": name, **row, "unmatched": unmatched})
    return pd.DataFrame(rows)


def _in_both(a: Iterable[str], b: Container[str]) -> list[str]:
    return [name for name in a if name in b]


def _keys(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Leading columns that tell rows apart in both tables; none where no columns do."""
    for count in range(1, len(a.columns) + 1):
        keys = list(a.columns[:count])
        if not set(keys) <= set(b.columns):
            break
        if not (a.duplicated(keys).any() or b.duplicated(keys).any()):
            return keys
    return []


def _column(a: pd.Series[Any], b: pd.Series[Any]) -> dict[str, Any]:
    if not all(column.dtype.kind in "iuf" for column in (a, b)):
        different = ~((a.to_numpy() == b.to_numpy()) | (a.isna() & b.isna()).to_numpy())
        return _summary(different, np.full(len(a), np.nan), np.full(len(a), np.nan))
    x, y = a.to_numpy(dtype=float), b.to_numpy(dtype=float)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute = np.where(same, 0.0, np.abs(x - y))
        relative = np.where(same, 0.0, absolute / np.maximum(np.abs(x), np.abs(y)))
    # NaN comes of a missing or infinite value against another one.
    return _summary(~same, *(np.where(np.isnan(d), np.inf, d) for d in (absolute, relative)))


def _summary(different: np.ndarray, absolute: np.ndarray, relative: np.ndarray) -> dict[str, Any]:
    return {
        "rows": len(different),
        "different": int(different.sum()),
        "largest_difference": float(absolute.max(initial=0.0)),
        "largest_relative": float(relative.max(initial=0.0)),
    }


def _circumstances(info: Mapping[str, Any]) -> dict[str, Any]:
    machine = {
        name: info.get(name) for name in ("device", "target", "precision", "platform", "cores")
    }
    return {**machine, **info.get("versions", {})}


def _different(
    a: Mapping[str, Any], b: Mapping[str, Any], shown: Callable[[Any], Any] = lambda value: value
) -> pd.DataFrame:
    rows = []
    for name in dict.fromkeys((*a, *b)):
        one, other = a.get(name, "–"), b.get(name, "–")
        if one != other:
            # To the last digit where that is all that differs.
            if shown(one) != shown(other):
                one, other = shown(one), shown(other)
            rows.append({"name": name, "a": one, "b": other})
    return pd.DataFrame(rows, columns=["name", "a", "b"])


def _readable(text: str) -> str:
    """A setting's text as people write it."""
    try:
        return say(parse_value(text))
    except UserError:
        return text


def _spikes(a: Recording, b: Recording) -> list[dict[str, Any]]:
    """Spikes by population; two are the same if neuron and time step are."""
    dt = min(a.dt, b.dt)
    rows = []
    for population in _in_both(a.spikes, b.spikes):
        one, other = a.spikes[population], b.spikes[population]
        only_in_a, only_in_b = map(len, lone_spikes(one, other, dt))
        rows.append(
            {
                "population": population,
                "in_a": len(one.neurons),
                "in_b": len(other.neurons),
                "only_in_a": only_in_a,
                "only_in_b": only_in_b,
                "identical": not only_in_a and not only_in_b,
            }
        )
    return rows
