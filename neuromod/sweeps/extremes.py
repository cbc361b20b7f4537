"""Lowest and highest of every result of a sweep, and at which point: the best and worst cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.support.text import say
from neuromod.sweeps.points import Points
from neuromod.sweeps.results import row_of

if TYPE_CHECKING:
    import xarray

COLUMNS = [
    *("result", "row", "nominal", "lowest", "lowest_at", "highest", "highest_at"),
    "farthest_percent",
]


def extremes(dataset: xarray.Dataset, points: Points, usual: Mapping[str, Any]) -> pd.DataFrame:
    """Table of the lowest and highest of every number that varies.

    Parameters
    ----------
    dataset : Dataset
        Results over the points.
    points : Points
    usual : mapping of str to value
        What the protocol has for each setting that varies.

    Returns
    -------
    DataFrame
        One row for each result and row of its table: ``result``, ``row`` as its other columns name
        it, ``nominal``, the value at the point that has what is usual (nan if there is none),
        ``lowest`` and ``highest`` with the point of each, the first of several, and
        ``farthest_percent``, how far the one farther from the nominal lies from it.
    """
    nominal = _nominal(points, usual)
    found: list[pd.DataFrame] = []
    for name, variable in dataset.data_vars.items():
        if variable.dtype.kind != "f":
            continue
        row = row_of(variable)
        names = _rows(dataset, row) if row else [""]
        values = variable.values.reshape(len(points), len(names))
        found.append(_extremes(str(name), names, values, points, nominal))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _extremes(
    result: str, names: list[str], values: np.ndarray, points: Points, nominal: int | None
) -> pd.DataFrame:
    """Rows of one result, values of shape (points, rows)."""
    there = np.isfinite(values)
    at_least = np.where(there, values, np.inf).argmin(axis=0)
    at_most = np.where(there, values, -np.inf).argmax(axis=0)
    every = np.arange(len(names))
    lowest, highest = values[at_least, every], values[at_most, every]
    usual = np.full(len(names), np.nan) if nominal is None else values[nominal]
    farthest = np.where(highest - usual >= usual - lowest, highest, lowest)
    off = np.divide(
        farthest - usual, np.abs(usual), out=np.full(len(names), np.nan), where=usual != 0
    )
    table = pd.DataFrame(
        {
            "result": result,
            "row": names,
            "nominal": usual,
            "lowest": lowest,
            "lowest_at": [_at(points, number) for number in at_least],
            "highest": highest,
            "highest_at": [_at(points, number) for number in at_most],
            "farthest_percent": 100 * off,
        }
    )
    return table[lowest < highest]


def _nominal(points: Points, usual: Mapping[str, Any]) -> int | None:
    """The point at which every setting is what it usually is, if there is one."""
    same = np.ones(len(points), dtype=bool)
    for axis in points.axes:
        value: Any = usual.get(axis.name)
        if value is None or np.ndim(value):
            return None
        values = points.of(axis)
        if axis.is_numeric:
            same &= np.isclose(np.asarray(values), np.asarray(value), rtol=1e-9, atol=0)
        else:
            same &= np.array([str(one) == str(value) for one in values])
    return int(np.argmax(same)) if same.any() else None


def _at(points: Points, number: int) -> str:
    """A point in words."""
    return ", ".join(f"{name} {say(value)}" for name, value in points.at(int(number)).items())


def _rows(dataset: xarray.Dataset, row: str) -> list[str]:
    """Names of a table's rows, by as few of the columns that all points share as tell them."""
    shared = [name for name, values in dataset.coords.items() if values.dims == (row,)]
    size = dataset.sizes[row]
    used: list[list[str]] = []
    names = [""] * size
    for name in shared:
        values = dataset.coords[name].values
        if len(np.unique(values)) == 1:
            continue
        used.append([f"{name} {say(value.item())}" for value in values])
        names = [", ".join(parts) for parts in zip(*used, strict=True)]
        if len(set(names)) == size:
            return names
    numbered = (f"row {number}" for number in range(1, size + 1))
    return [", ".join(filter(None, parts)) for parts in zip(names, numbered, strict=True)]
