"""Tables of firing rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neuromod.electrophysiology.grids import (
    Column,
    Grid,
    decimal_mark,
    how,
    read_grid,
    read_numbers,
    role,
)
from neuromod.errors import UserError, listed

# Names are compared in lower case, in which U+00B5 and U+03BC are one letter.
CURRENT = {"pa": 1e-3, "na": 1.0, "ua": 1e3, "μa": 1e3, "ma": 1e6, "a": 1e9}
RATE = {"hz": 1.0, "1/s": 1.0, "spikes/s": 1.0}
SECOND = {"s": 1.0, "ms": 1e-3}
# Names of columns, and units that stand behind them.
COLUMNS: dict[str, tuple[tuple[str, ...], Mapping[str, float]]] = {
    "cell": (("cell", "cell id", "neuron"), {}),
    "condition": (("condition",), {}),
    "trial": (("trial",), {}),
    "current": (("current", "injected current", "i"), CURRENT),
    "rate": (("rate", "firing rate"), RATE),
    "spikes": (("spikes", "spike count"), {}),
    "duration": (("duration",), SECOND),
}
# Chosen here: no neuron fires faster, and none is given more through an electrode.
FASTEST_HZ = 1000.0
LARGEST_NA = 100.0


@dataclass(frozen=True, eq=False)
class Table:
    """Rates of a file.

    Attributes
    ----------
    rates : DataFrame
        ``cell``, ``condition``, ``current_nA``, ``trial`` and ``rate_Hz``, one row per trial; cells
        and trials are empty where the file has no such column.
    how : str
        How it was read: separator, encoding, decimal mark, and the columns used.
    """

    rates: pd.DataFrame
    how: str


def read_table(path: Path) -> Table:
    """Rates in a table.

    Parameters
    ----------
    path : Path
        Text with tabs, semicolons or commas, or an Excel file.

    Returns
    -------
    Table

    Raises
    ------
    UserError
        When the file is damaged, is no table of rates, or could be read in more than one way.
    """
    grid = read_grid(path, COLUMNS, {"condition"})
    found = _columns(grid)
    if not grid.rows:
        raise UserError(f"{path} has no row below its header.")
    names = ("duration", "spikes") if "rate" not in found else ("rate",)
    used = {name: found[name] for name in ("current", *names)}
    mark = decimal_mark(grid, used)
    values = {name: read_numbers(grid, column, mark) for name, column in used.items()}
    _check_numbers(grid, used, values)
    rate = values["rate"] if "rate" in values else values["spikes"] / values["duration"]
    _check_rates(grid, rate)
    words = {
        name: grid.texts(found[name].place) if name in found else [""] * len(rate)
        for name in ("cell", "condition", "trial")
    }
    # Rounded far below what any stimulator resolves, so that equal currents stay equal.
    numeric = {"current_nA": values["current"].round(9), "rate_Hz": rate}
    columns = ["cell", "condition", "current_nA", "trial", "rate_Hz"]
    return Table(pd.DataFrame(words | numeric)[columns], how(grid, used, mark))


def _columns(grid: Grid) -> dict[str, Column]:
    """Columns that are used, by what they hold."""
    found: dict[str, list[Column]] = {}
    unitless: dict[str, str] = {}
    for place, header in enumerate(grid.header):
        held, unit = role(header, COLUMNS)
        units = COLUMNS[held][1] if held else {}
        if units and unit not in units:
            unitless[held] = header
        elif held:
            most = FASTEST_HZ if held == "rate" else math.inf
            found.setdefault(held, []).append(Column(place, units.get(unit, 1.0), most))
    for held, columns in found.items():
        if len(columns) > 1:
            headers = listed([grid.header[column.place] for column in columns])
            raise UserError(f"{grid.path} needs one column of {held}, and has {headers}.")
    _check_there(grid, set(found), unitless)
    return {held: column for held, (column,) in found.items()}


def _check_there(grid: Grid, found: set[str], unitless: Mapping[str, str]) -> None:
    rate = {"spikes", "duration"} if "spikes" in found else {"rate"}
    lacking = {"condition", "current", *(() if "rate" in found else rate)} - found
    expected = {
        "condition": "a column condition",
        "current": "a column of currents with its unit, such as current_nA or current (nA)",
    }
    for held in ("condition", "current", "rate", "duration"):
        if held in lacking and held in unitless and held != "condition":
            units = ", ".join(map(_written, COLUMNS[held][1]))
            raise UserError(
                f"{grid.path}: {unitless[held]} must end in a unit of {held}, one of {units}."
            )
        if held in lacking:
            what = expected.get(held, "a column rate_Hz, or spikes with duration_s or duration_ms")
            named = ", ".join(name for name in grid.header if name)
            raise UserError(f"{grid.path} needs {what}; it has {named}.")


def _written(unit: str) -> str:
    """A unit as it is written, from lower case."""
    return {"hz": "Hz", "μa": "µA"}.get(unit, unit[:-1] + "A" if unit[-1] == "a" else unit)


def _check_numbers(
    grid: Grid, used: Mapping[str, Column], values: Mapping[str, np.ndarray]
) -> None:
    checks = {
        "current": [(np.abs(values["current"]) > LARGEST_NA, f"at most {LARGEST_NA:g} nA in size")]
    }
    for name in ("rate", "spikes"):
        if name in values:
            checks[name] = [(values[name] < 0, "not below 0")]
    if "spikes" in values:
        checks["spikes"].append((values["spikes"] % 1 != 0, "a whole number"))
        checks["duration"] = [(values["duration"] <= 0, "above 0")]
    for name, wrongs in checks.items():
        column = used[name]
        for wrong, expected in wrongs:
            if wrong.any():
                place = int(np.argmax(wrong))
                raise UserError(
                    f"{grid.path}: {grid.header[column.place]} in row {list(grid.rows)[place]} is "
                    f"{values[name][place] / column.factor:g} and must be {expected}."
                )


def _check_rates(grid: Grid, rate: np.ndarray) -> None:
    if (rate >= FASTEST_HZ).any():
        place = int(np.argmax(rate >= FASTEST_HZ))
        raise UserError(
            f"{grid.path}: the rate in row {list(grid.rows)[place]} is {rate[place]:g} Hz, faster "
            f"than any neuron fires; below {FASTEST_HZ:g} Hz was expected."
        )
