"""Results of a sweep as one labelled data set: a dimension for every setting, and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.support.text import column_label, handy
from neuromod.sweeps.points import Axis, Points

if TYPE_CHECKING:
    import xarray

MAIN = "table"
POINT = "point"


@dataclass(eq=False)
class Gathered:
    """Columns of the protocol's tables over all points, filled chunk by chunk.

    Attributes
    ----------
    points : Points
    columns : dict of (str, str) to ndarray, shape (points, rows)
        By table and column; NaN, or an empty text, where a point has no such row.
    """

    points: Points
    columns: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def add(self, tables: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Take up tables of some points, whose numbers are in their column ``point``."""
        for table, columns in tables.items():
            numbers = columns[POINT]
            row = _places(numbers)
            for name, values in columns.items():
                if name != POINT:
                    self._place((table, name), numbers, row, values)

    def _place(self, key: Any, numbers: Any, row: np.ndarray, values: np.ndarray) -> None:
        held = self._room(key, int(row.max(initial=-1)) + 1, values.dtype)
        held[numbers, row] = values

    def _room(self, key: Any, rows: int, dtype: Any) -> np.ndarray:
        """The array of a column, of a type and length that hold more values."""
        before = self.columns.get(key)
        is_text = dtype.kind == "U"
        wanted = dtype if is_text else np.dtype(float)
        if before is not None:
            wanted = np.promote_types(before.dtype, wanted)
            rows = max(rows, before.shape[1])
            if wanted == before.dtype and rows == before.shape[1]:
                return before
        empty: Any = "" if is_text else np.nan
        made = np.full((len(self.points), rows), empty, dtype=wanted)
        if before is not None:
            made[:, : before.shape[1]] = before
        self.columns[key] = made
        return made

    def dataset(self, provenance: Mapping[str, Any]) -> xarray.Dataset:
        """All columns over the settings.

        A column of the main table has its own name, one of another table that of the table before
        it, as in ``gains.recovered_gain``. Rows of a table have a dimension, ``row``, unless there
        is one for each point; columns that are the same for all points are its coordinates.
        """
        import xarray

        names = self.points.names if self.points.full else (POINT,)
        coordinates = {axis.name: _coordinate(self.points, axis) for axis in self.points.axes}
        variables: dict[str, Any] = {}
        for (table, column), values in self.columns.items():
            name = column if table == MAIN else f"{table}.{column}"
            name = f"{name}_" if name in coordinates else name
            row = "row" if table == MAIN else f"{table}.row"
            about = _about(column, "" if table == MAIN else f"{table}: ")
            if values.shape[1] == 1:
                variables[name] = (names, values[:, 0].reshape(self.points.shape), about)
            elif len(values) > 1 and _alike(values):
                coordinates[name] = ((row,), values[0], about)
            else:
                # Of tables of different lengths, missing rows are empty.
                shape = (*self.points.shape, values.shape[1])
                variables[name] = ((*names, row), values.reshape(shape), about)
        return xarray.Dataset(variables, coordinates, dict(provenance))


def as_arrays(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, np.ndarray]]:
    """Columns of tables as arrays of numbers or of text, which NumPy stores without objects."""
    return {
        name: {column: _plain(table[column]) for column in table} for name, table in tables.items()
    }


def tidy(dataset: xarray.Dataset) -> pd.DataFrame:
    """Main table of all points, a row for each of theirs, with the settings before it."""
    rows = dataset.drop_dims([d for d in dataset.dims if str(d).endswith(".row")])
    frame: pd.DataFrame = rows.to_dataframe().reset_index()
    return frame.drop(columns=[POINT, "row"], errors="ignore")


def row_of(variable: xarray.DataArray) -> str:
    """Dimension of a variable that is a table's rows; empty where a point has one."""
    return next((d for d in map(str, variable.dims) if d == "row" or d.endswith(".row")), "")


def _places(numbers: np.ndarray) -> np.ndarray:
    """Which of its point's rows each row is; rows of a point follow each other."""
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    counts = np.diff(np.r_[starts, len(numbers)])
    return np.arange(len(numbers)) - np.repeat(starts, counts)


def _plain(column: pd.Series) -> np.ndarray:
    if column.dtype.kind in "iufb":
        return np.asarray(column)
    return np.array(["" if pd.isna(value) else str(value) for value in column], dtype=str)


def _alike(values: np.ndarray) -> bool:
    """Whether all points have the same rows."""
    if values.dtype.kind == "U":
        return bool(np.all(values == values[0]))
    return bool(np.all(np.isfinite(values[0])) and np.all(values == values[0]))


def _coordinate(points: Points, axis: Axis) -> Any:
    """Values of a setting, and their unit."""
    dims = (axis.name,) if points.full else (POINT,)
    values = axis.values if points.full else points.of(axis)
    if not axis.is_numeric:
        return dims, np.array([str(value) for value in values]), {"long_name": axis.name}
    plain, unit = handy(values)
    return dims, plain, {"units": unit or "1", "long_name": axis.name}


def _about(column: str, before: str) -> dict[str, str]:
    """Name and unit of a column, as its name tells."""
    words, _, unit = column_label(column).rstrip(")").partition(" (")
    return {"long_name": before + words} | ({"units": unit} if unit else {})
