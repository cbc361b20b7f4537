"""Tables of measured responses to a modulator: dose-response points and time courses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neuromod.electrophysiology.grids import (
    EXCEL,
    TEXTS,
    Column,
    Grid,
    decimal_mark,
    how,
    is_empty,
    read_grid,
    read_numbers,
    role,
)
from neuromod.errors import UserError, listed
from neuromod.support.cache import checksum
from neuromod.support.paths import file_at

# Units are compared in lower case; none of a length stands behind a concentration.
MICROMOLAR = {"pm": 1e-6, "nm": 1e-3, "um": 1.0, "μm": 1.0, "mm": 1e3, "m": 1e6}
SECOND = {"s": 1.0, "ms": 1e-3, "min": 60.0}
RESPONSES = ("response", "effect", "rate", "firing rate", "current", "potential", "amplitude")
COLUMNS: dict[str, tuple[tuple[str, ...], Mapping[str, float] | None]] = {
    "conc": (("conc", "concentration", "dose", "agonist", "ligand"), MICROMOLAR),
    "antagonist": (("antagonist", "antagonist conc", "inhibitor"), MICROMOLAR),
    "time": (("time", "t"), SECOND),
    "width": (("width", "puff width"), SECOND),
    "tau_exchange": (("tau exchange", "exchange"), SECOND),
    "gain": (("gain",), {}),
    "response": ((*RESPONSES, "fluorescence", "df/f"), None),
    "error": (("error", "se", "sem", "standard error"), None),
}
UNITS = {"conc": "uM", "antagonist": "uM", "time": "s", "width": "s", "tau_exchange": "s"}
"""Units of the columns of `Measurements.values`."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measured responses of a file.

    Attributes
    ----------
    values : DataFrame
        ``response``, and what the file has of ``conc_uM``, ``antagonist_uM``, ``time_s``,
        ``width_s``, ``tau_exchange_s`` and ``error``; one row per known response.
    header : str
        Of the column of responses.
    is_gain : bool
        Whether they are gains; else their offset and scale are unknown.
    left_out : int
        Rows without a response.
    how : str
        How the file was read.
    digest : str
        SHA-256 of the file.
    """

    values: pd.DataFrame
    header: str
    is_gain: bool
    left_out: int
    how: str
    digest: str


def read_points(path: Path) -> Measurements:
    """Responses in a table with a column for each of what `COLUMNS` names.

    Parameters
    ----------
    path : Path
        Text with tabs, semicolons or commas, or an Excel file.

    Raises
    ------
    UserError
        When the file is missing or damaged, has no responses, or could be read in two ways.
    """
    if file_at(path).suffix.lower() not in (*TEXTS, EXCEL):
        raise UserError(f"{path} must be a table ({', '.join(TEXTS)}, {EXCEL}).")
    digest = checksum(path)
    whole = read_grid(path, COLUMNS, {"conc", "time"})
    found = _columns(whole)
    responses = [held for held in ("gain", "response") if held in found]
    if len(responses) != 1:
        headers = listed([name for name in whole.header if name])
        raise UserError(
            f"{path} needs one column of responses, named gain, {', '.join(RESPONSES)} or dF/F; it "
            f"has {headers}."
        )
    place = found[responses[0]].place
    rows = {row: cells for row, cells in whole.rows.items() if not is_empty(cells[place])}
    grid = replace(whole, rows=rows)
    if not rows:
        raise UserError(f"{path} has no row with a response.")
    mark = decimal_mark(grid, found)
    read = {held: read_numbers(grid, column, mark) for held, column in found.items()}
    _check(grid, found, read)
    names = {held: f"{held}_{UNITS[held]}" if held in UNITS else held for held in read}
    names[responses[0]] = "response"
    values = pd.DataFrame({names[held]: numbers for held, numbers in read.items()})
    left_out = len(whole.rows) - len(rows)
    header, is_gain = grid.header[place], responses == ["gain"]
    return Measurements(values, header, is_gain, left_out, how(grid, found, mark), digest)


def _columns(grid: Grid) -> dict[str, Column]:
    """Columns that are used, by what they hold."""
    found: dict[str, Column] = {}
    for place, header in enumerate(grid.header):
        held, unit = role(header, COLUMNS)
        if not held:
            continue
        units = COLUMNS[held][1]
        if units and unit not in units:
            raise UserError(
                f"{grid.path}: {header} must end in its unit, as in {held}_{UNITS[held]}."
            )
        if held in found:
            both = listed([grid.header[found[held].place], header])
            raise UserError(f"{grid.path} needs one column of {held}, and has {both}.")
        found[held] = Column(place, units[unit] if units else 1.0)
    return found


def _check(grid: Grid, found: Mapping[str, Column], read: Mapping[str, np.ndarray]) -> None:
    """Refuse numbers that no such thing can have."""
    for held, numbers in read.items():
        wrong, expected = np.zeros(len(numbers), dtype=bool), "above 0"
        if held in ("width", "error"):
            wrong = numbers <= 0
        elif held in ("conc", "antagonist", "tau_exchange"):
            wrong, expected = numbers < 0, "not below 0"
        if wrong.any():
            row = list(grid.rows)[int(np.argmax(wrong))]
            column = grid.header[found[held].place]
            raise UserError(f"{grid.path}: {column} in row {row} must be {expected}.")
