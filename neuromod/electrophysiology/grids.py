"""Tables in files: text with any separator, decimal mark and encoding, and Excel.

What is found out about a file is found from all of its numbers together, and said; what could be
read in two ways is refused.
"""

from __future__ import annotations

import csv
import io
import math
import numbers
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuromod.errors import UserError, listed, short

TEXTS = (".csv", ".tsv", ".tab", ".txt")
EXCEL = ".xlsx"
# The one for which nothing else can be meant comes first.
SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
MARKS = {".": "decimal point", ",": "decimal comma"}
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
GROUPED = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+(?!\d)") for mark in ".,"}

Roles = Mapping[str, tuple[tuple[str, ...], Mapping[str, float] | None]]
"""What a column may hold: its names in lower case, and factors of the units that may stand behind
them, none where it has no unit, any unit where there is no mapping."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a file by row, the header first; numbers of rows count from the one after it."""

    path: Path
    header: list[str]
    rows: dict[int, list[Any]]
    how: list[str]
    separator: str = ""

    def column(self, place: int) -> Iterator[tuple[int, Any]]:
        """Number of the row and value of every cell of a column.

        Raises
        ------
        UserError
            Where one is empty.
        """
        for row, cells in self.rows.items():
            if is_empty(cells[place]):
                raise UserError(f"{self.path}: {self.header[place]} is missing in row {row}.")
            yield row, cells[place]

    def texts(self, place: int) -> list[str]:
        """Cells of a column as names."""
        return [str(value).strip() for _, value in self.column(place)]


@dataclass(frozen=True)
class Column:
    """Where a column is, and the factor that turns its unit into ours.

    Attributes
    ----------
    place : int
    factor : float
    most : float
        In our unit; a number that can be read in two ways is not the one from here on.
    """

    place: int
    factor: float = 1.0
    most: float = math.inf


def read_grid(path: Path, roles: Roles, keys: set[str]) -> Grid:
    """The cells of a file.

    Parameters
    ----------
    path : Path
        Text with tabs, semicolons or commas, or an Excel file.
    roles : mapping
    keys : set of str
        What a table has a column of, by which separator and sheet are told.

    Raises
    ------
    UserError
        When the file is damaged, or several sheets of it have such a table.
    """
    read = _excel if path.suffix.lower() == EXCEL else _text
    return read(path, roles, keys)


def _text(path: Path, roles: Roles, keys: set[str]) -> Grid:
    text, encoding = _decoded(path)
    best: tuple[bool, int, str, list[list[str]]] | None = None
    for separator in SEPARATORS:
        try:
            reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator)
            lines = [[cell.strip() for cell in line] for line in reader]
        except csv.Error as error:
            raise UserError(f"{path} is no table: {error}.") from error
        header = _header(lines)
        rank = (_is_headed(header, roles, keys), len(header))
        if best is None or rank > best[:2]:
            best = (*rank, separator, lines)
    assert best is not None
    return _grid(path, best[3], [SEPARATORS[best[2]], encoding], best[2])


def _decoded(path: Path) -> tuple[str, str]:
    """Text of a file, and the name of its encoding."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    encoding, said = "utf-8-sig", "UTF-8"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = said = "UTF-16"
    elif b"\0" in raw:
        raise UserError(f"{path} is no text: save it as CSV in UTF-8, or as Excel ({EXCEL}).")
    try:
        return raw.decode(encoding), said
    except UnicodeDecodeError:
        pass
    try:
        # What Excel writes in Western Europe; Latin-1 has the same letters.
        return raw.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is in an unknown encoding: save it in UTF-8.") from error


def _excel(path: Path, roles: Roles, keys: set[str]) -> Grid:
    try:
        sheets = pd.read_excel(
            path,
            sheet_name=None,
            header=None,
            dtype=object,
            keep_default_na=False,
            engine="openpyxl",
        )
    except ImportError as error:
        raise UserError(
            f"{path} needs openpyxl: pip install 'brian2-neuromod[recordings]' brings it."
        ) from error
    except Exception as error:
        # Damaged files make openpyxl and zipfile raise anything.
        raise UserError(f"{path} cannot be read as an Excel file: {error}") from error
    lines = {name: sheet.to_numpy(dtype=object).tolist() for name, sheet in sheets.items()}
    fitting = [name for name, of in lines.items() if _is_headed(_header(of), roles, keys)]
    if len(fitting) > 1:
        raise UserError(
            f"{path} has a table in each of the sheets {listed(fitting)}: save the one that is "
            "meant in a file of its own."
        )
    name = fitting[0] if fitting else next(iter(lines))
    return _grid(path, lines[name], [f"sheet {name}"])


def _header(lines: list[list[Any]]) -> list[str]:
    """Names of columns: the first row that is not empty."""
    first: list[Any] = next((line for line in lines if not all(map(is_empty, line))), [])
    return ["" if is_empty(cell) else str(cell).strip() for cell in first]


def _grid(path: Path, lines: list[list[Any]], how: list[str], separator: str = "") -> Grid:
    header = _header(lines)
    if not header:
        raise UserError(f"{path} is empty.")
    rows = {}
    first = next(n for n, line in enumerate(lines) if not all(map(is_empty, line)))
    for row, line in enumerate(lines[first + 1 :], 1):
        if all(map(is_empty, line)):
            continue
        if not all(map(is_empty, line[len(header) :])):
            hint = " A decimal comma needs another separator." if separator == "," else ""
            raise UserError(
                f"{path}: row {row} has {len(line)} cells and the header {len(header)}.{hint}"
            )
        rows[row] = [*line, *[""] * (len(header) - len(line))]
    return Grid(path, header, rows, how, separator)


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or bool(pd.isna(cell))


def role(header: str, roles: Roles) -> tuple[str, str]:
    """What a column holds, or nothing, and its unit as it stands in the header."""
    text = unicodedata.normalize("NFKC", header).strip().lower()
    bracketed = re.fullmatch(r"(.*?)[ _]*[(\[]([^()\[\]]*)[)\]]", text)
    behind = re.fullmatch(r"(.*\S)[ _]+([^ _]+)", text)
    for name, unit in (
        (text, ""),
        *[(m[1], m[2].strip()) for m in (bracketed, behind) if m is not None],
    ):
        plain = re.sub(r"[ _]+", " ", name).strip()
        for found, (names, units) in roles.items():
            if plain in names and (units is None or bool(units) or not unit):
                return found, unit
    return "", ""


def _is_headed(header: list[str], roles: Roles, keys: set[str]) -> bool:
    return any(role(name, roles)[0] in keys for name in header)


def decimal_mark(grid: Grid, used: Mapping[str, Column]) -> str:
    """Decimal mark of a file, empty where none of its numbers has one.

    Every number allows one mark or both; all must agree.
    """
    both: tuple[str, str] | None = None
    only: dict[str, str] = {}
    for column in used.values():
        what = grid.header[column.place]
        for row, value in grid.column(column.place):
            if not isinstance(value, str):
                continue
            readings = {m: read for m in MARKS if (read := _reading(value, m)) is not None}
            if len(readings) > 1:
                # What would be faster than any neuron is no thousand.
                slow = {m: r for m, r in readings.items() if r * column.factor < column.most}
                readings = slow or readings
            where = f"{what} in row {row} is {short(value)}"
            if not readings:
                hint = ": its unit belongs into the column's name" if value[:1].isdigit() else ""
                raise UserError(f"{grid.path}: {where}, not a finite number{hint}.")
            if len(readings) == 1:
                only.setdefault(next(iter(readings)), where)
            elif len(set(readings.values())) > 1:
                both = both or (where, value)
    if len(only) > 1:
        raise UserError(
            f"{grid.path}: {only['.']} and {only[',']}: all numbers need the same decimal mark."
        )
    if only or both is None:
        return next(iter(only), "")
    if grid.separator == "," and "," not in both[1]:
        # Where points part thousands, commas do not part columns.
        return "."
    low, high = sorted(_reading(both[1], mark) or 0 for mark in MARKS)
    raise UserError(
        f"{grid.path}: {both[0]}, which may be {low:g} or {high:g}: write it without a mark for "
        "thousands, or with other decimals."
    )


def _reading(text: str, mark: str) -> float | None:
    """A number as it reads with a decimal mark; none where it is no number then."""
    text = text.strip().replace("−", "-")
    other = "," if mark == "." else "."
    grouped = GROUPED[other].match(text)
    if grouped:
        text = grouped[0].replace(other, "") + text[grouped.end() :]
    if other in text or text.count(mark) > 1:
        return None
    text = text.replace(mark, ".")
    if not PLAIN.fullmatch(text) or not math.isfinite(float(text)):
        return None
    return float(text)


def read_numbers(grid: Grid, column: Column, mark: str) -> np.ndarray:
    """Numbers of a column in our unit."""
    found = []
    for row, value in grid.column(column.place):
        read = _reading(value, mark or ".") if isinstance(value, str) else value
        if isinstance(read, bool) or not isinstance(read, numbers.Real) or not math.isfinite(read):
            what = grid.header[column.place]
            raise UserError(f"{grid.path}: {what} in row {row} is {value}, not a finite number.")
        found.append(float(read))
    return np.array(found) * column.factor


def how(grid: Grid, used: Mapping[str, Column], mark: str) -> str:
    """Separator, encoding, marks, and the columns used, in words."""
    texts = [str(v) for c in used.values() for _, v in grid.column(c.place) if isinstance(v, str)]
    other = "," if mark == "." else "."
    said = [*grid.how, *([MARKS[mark]] if mark else [])]
    if any(GROUPED[other].match(text) for text in texts):
        said.append(f"{'commas' if other == ',' else 'points'} for thousands")
    headers = ", ".join(grid.header[column.place] for column in used.values())
    return f"{', '.join(said)}; {headers}"
