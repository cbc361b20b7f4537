"""Tables of firing rates: text with any separator, decimal mark and encoding, and Excel.

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
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
GROUPED = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+(?!\d)") for mark in ".,"}


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


@dataclass(frozen=True, eq=False)
class _Grid:
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
            if _is_empty(cells[place]):
                raise UserError(f"{self.path}: {self.header[place]} is missing in row {row}.")
            yield row, cells[place]

    def texts(self, place: int) -> list[str]:
        """Cells of a column as names."""
        return [str(value).strip() for _, value in self.column(place)]


@dataclass(frozen=True)
class _Column:
    """Where a column is, and the factor that turns its unit into ours."""

    place: int
    factor: float = 1.0
    most: float = math.inf


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
    grid = _excel(path) if path.suffix.lower() == EXCEL else _text(path)
    found = _columns(grid)
    if not grid.rows:
        raise UserError(f"{path} has no row below its header.")
    names = ("duration", "spikes") if "rate" not in found else ("rate",)
    used = {name: found[name] for name in ("current", *names)}
    mark = _mark(grid, used)
    values = {name: _numbers(grid, column, mark) for name, column in used.items()}
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
    headers = [grid.header[column.place] for column in used.values()]
    how = f"{_said(grid, used, mark)}; {', '.join(headers)}"
    return Table(pd.DataFrame(words | numeric)[columns], how)


def _said(grid: _Grid, used: Mapping[str, _Column], mark: str) -> str:
    """Separator, encoding and marks."""
    texts = [str(v) for c in used.values() for _, v in grid.column(c.place) if isinstance(v, str)]
    other = "," if mark == "." else "."
    said = [*grid.how, *([MARKS[mark]] if mark else [])]
    if any(GROUPED[other].match(text) for text in texts):
        said.append(f"{'commas' if other == ',' else 'points'} for thousands")
    return ", ".join(said)


def _text(path: Path) -> _Grid:
    text, encoding = _decoded(path)
    best: tuple[bool, int, str, list[list[str]]] | None = None
    for separator in SEPARATORS:
        try:
            reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator)
            lines = [[cell.strip() for cell in line] for line in reader]
        except csv.Error as error:
            raise UserError(f"{path} is no table: {error}.") from error
        header = _header(lines)
        rank = (_has_condition(header), len(header))
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


def _excel(path: Path) -> _Grid:
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
    fitting = [name for name, of in lines.items() if _has_condition(_header(of))]
    if len(fitting) > 1:
        raise UserError(
            f"{path} has a table in each of the sheets {listed(fitting)}: save the one that is "
            "meant in a file of its own."
        )
    name = fitting[0] if fitting else next(iter(lines))
    return _grid(path, lines[name], [f"sheet {name}"])


def _header(lines: list[list[Any]]) -> list[str]:
    """Names of columns: the first row that is not empty."""
    first: list[Any] = next((line for line in lines if not all(map(_is_empty, line))), [])
    return ["" if _is_empty(cell) else str(cell).strip() for cell in first]


def _grid(path: Path, lines: list[list[Any]], how: list[str], separator: str = "") -> _Grid:
    header = _header(lines)
    if not header:
        raise UserError(f"{path} is empty.")
    rows = {}
    first = next(n for n, line in enumerate(lines) if not all(map(_is_empty, line)))
    for row, line in enumerate(lines[first + 1 :], 1):
        if all(map(_is_empty, line)):
            continue
        if not all(map(_is_empty, line[len(header) :])):
            hint = " A decimal comma needs another separator." if separator == "," else ""
            raise UserError(
                f"{path}: row {row} has {len(line)} cells and the header {len(header)}.{hint}"
            )
        rows[row] = [*line, *[""] * (len(header) - len(line))]
    return _Grid(path, header, rows, how, separator)


def _is_empty(cell: Any) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or bool(pd.isna(cell))


def _role(header: str) -> tuple[str, str]:
    """What a column holds, or nothing, and its unit as it stands in the header."""
    text = unicodedata.normalize("NFKC", header).strip().lower()
    bracketed = re.fullmatch(r"(.*?)[ _]*[(\[]([^()\[\]]*)[)\]]", text)
    behind = re.fullmatch(r"(.*\S)[ _]+([^ _]+)", text)
    for name, unit in (
        (text, ""),
        *[(m[1], m[2].strip()) for m in (bracketed, behind) if m is not None],
    ):
        plain = re.sub(r"[ _]+", " ", name).strip()
        for role, (names, units) in COLUMNS.items():
            if plain in names and (bool(units) or not unit):
                return role, unit
    return "", ""


def _has_condition(header: list[str]) -> bool:
    return any(_role(name)[0] == "condition" for name in header)


def _columns(grid: _Grid) -> dict[str, _Column]:
    """Columns that are used, by what they hold."""
    found: dict[str, list[_Column]] = {}
    unitless: dict[str, str] = {}
    for place, header in enumerate(grid.header):
        role, unit = _role(header)
        units = COLUMNS[role][1] if role else {}
        if units and unit not in units:
            unitless[role] = header
        elif role:
            found.setdefault(role, []).append(_Column(place, units.get(unit, 1.0)))
    for role, columns in found.items():
        if len(columns) > 1:
            headers = listed([grid.header[column.place] for column in columns])
            raise UserError(f"{grid.path} needs one column of {role}, and has {headers}.")
    _check_there(grid, set(found), unitless)
    return {role: column for role, (column,) in found.items()}


def _check_there(grid: _Grid, found: set[str], unitless: Mapping[str, str]) -> None:
    rate = {"spikes", "duration"} if "spikes" in found else {"rate"}
    lacking = {"condition", "current", *(() if "rate" in found else rate)} - found
    expected = {
        "condition": "a column condition",
        "current": "a column of currents with its unit, such as current_nA or current (nA)",
    }
    for role in ("condition", "current", "rate", "duration"):
        if role in lacking and role in unitless and role != "condition":
            units = ", ".join(map(_written, COLUMNS[role][1]))
            raise UserError(
                f"{grid.path}: {unitless[role]} must end in a unit of {role}, one of {units}."
            )
        if role in lacking:
            what = expected.get(role, "a column rate_Hz, or spikes with duration_s or duration_ms")
            named = ", ".join(name for name in grid.header if name)
            raise UserError(f"{grid.path} needs {what}; it has {named}.")


def _written(unit: str) -> str:
    """A unit as it is written, from lower case."""
    return {"hz": "Hz", "μa": "µA"}.get(unit, unit[:-1] + "A" if unit[-1] == "a" else unit)


def _mark(grid: _Grid, used: Mapping[str, _Column]) -> str:
    """Decimal mark of a file, empty where none of its numbers has one.

    Every number allows one mark or both; all must agree.
    """
    both: tuple[str, str] | None = None
    only: dict[str, str] = {}
    for name, column in used.items():
        what = grid.header[column.place]
        for row, value in grid.column(column.place):
            if not isinstance(value, str):
                continue
            readings = {m: read for m in MARKS if (read := _reading(value, m)) is not None}
            if name == "rate" and len(readings) > 1:
                # What would be faster than any neuron is no thousand.
                slow = {m: r for m, r in readings.items() if r * column.factor < FASTEST_HZ}
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


def _numbers(grid: _Grid, column: _Column, mark: str) -> np.ndarray:
    """Numbers of a column in our unit."""
    found = []
    for row, value in grid.column(column.place):
        read = _reading(value, mark or ".") if isinstance(value, str) else value
        if isinstance(read, bool) or not isinstance(read, numbers.Real) or not math.isfinite(read):
            what = grid.header[column.place]
            raise UserError(f"{grid.path}: {what} in row {row} is {value}, not a finite number.")
        found.append(float(read))
    return np.array(found) * column.factor


def _check_numbers(
    grid: _Grid, used: Mapping[str, _Column], values: Mapping[str, np.ndarray]
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


def _check_rates(grid: _Grid, rate: np.ndarray) -> None:
    if (rate >= FASTEST_HZ).any():
        place = int(np.argmax(rate >= FASTEST_HZ))
        raise UserError(
            f"{grid.path}: the rate in row {list(grid.rows)[place]} is {rate[place]:g} Hz, faster "
            f"than any neuron fires; below {FASTEST_HZ:g} Hz was expected."
        )
