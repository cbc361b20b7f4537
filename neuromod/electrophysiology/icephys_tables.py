"""Rows of the intracellular tables of an NWB file, with what the tables above say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromod.errors import listed

LEVELS = (
    ("icephys_simultaneous_recordings", "recordings"),
    ("icephys_sequential_recordings", "simultaneous_recordings"),
    ("icephys_repetitions", "sequential_recordings"),
    ("icephys_experimental_conditions", "repetitions"),
)


@dataclass(frozen=True, eq=False)
class Window:
    """Samples of a series that belong to one sweep."""

    series: Any
    start: int = 0
    count: int = -1

    @property
    def whole(self) -> bool:
        """Whether the window is all of its series."""
        return self.start == 0 and self.count in (-1, len(self.series.data))

    @property
    def part(self) -> slice:
        """The window as a slice."""
        return slice(self.start, None if self.count < 0 else self.start + self.count)

    @property
    def key(self) -> tuple[int, int, int]:
        """What is equal for equal windows."""
        length = len(self.series.data) - self.start
        return id(self.series), self.start, length if self.count < 0 else self.count

    @property
    def name(self) -> str:
        """Name of the series, with the samples where they are not all."""
        if self.whole:
            return str(self.series.name)
        return f"{self.series.name} {self.start}+{self.key[2]}"


@dataclass(frozen=True, eq=False)
class Row:
    """A row of intracellular_recordings."""

    response: Window | None
    stimulus: Window | None
    # Whether the stimulus is a template.
    template: bool
    # One of each column condition, from the highest table down.
    conditions: tuple[str, ...]
    # Kind of stimulus.
    kind: str
    problem: str


def rows(file: Any) -> Iterator[Row]:
    """Rows of the table intracellular_recordings, in its order."""
    table = file.intracellular_recordings
    parts = table.category_tables
    said, kinds = _conditions(file), _column(file, "icephys_sequential_recordings", "stimulus_type")
    for number in range(len(table)):
        response = _window(parts["responses"], "response", number)
        stimulus = _window(parts["stimuli"], "stimulus", number)
        template = None if stimulus else _window(parts["stimuli"], "stimulus_template", number)
        named = [column[number] for column in said]
        double = next((sorted(words) for words in named if len(words) > 1), None)
        yield Row(
            response=response,
            stimulus=stimulus or template,
            template=_is_template(file, stimulus or template),
            conditions=tuple("".join(words) if len(words) == 1 else "" for words in named),
            kind=listed(sorted(kinds[number])) if kinds and kinds[number] else "",
            problem=f"it is in several conditions, {listed(double)}" if double else "",
        )


def _window(table: Any, column: str, number: int) -> Window | None:
    """What a row refers to; negative numbers refer to nothing."""
    if column not in table.colnames:
        return None
    start, count, series = table[column][number]
    return None if series is None else Window(series, int(start), int(count))


def _is_template(file: Any, window: Window | None) -> bool:
    return window is not None and any(
        window.series is series for series in file.stimulus_template.values()
    )


def _conditions(file: Any) -> list[list[set[str]]]:
    """Columns condition, for each a set of texts per row of the recordings."""
    found = []
    for name, _ in reversed(LEVELS):
        table = getattr(file, name)
        for column in _called_condition(table):
            found.append(_column(file, name, column))
    recordings = file.intracellular_recordings
    for table in (recordings, *recordings.category_tables.values()):
        for column in _called_condition(table):
            found.append([{text(value)} - {""} for value in table[column][:]])
    return found


def _called_condition(table: Any) -> list[str]:
    names = () if table is None else table.colnames
    return [name for name in names if name.strip().lower() == "condition"]


def _column(file: Any, level: str, column: str) -> list[set[str]]:
    """Texts in a column of a table above, for every row of the recordings."""
    if getattr(file, level) is None:
        return []
    owners = [{number} for number in range(len(file.intracellular_recordings))]
    for name, members in LEVELS:
        table = getattr(file, name)
        if table is None:
            return [set() for _ in owners]
        index = table[members]
        groups = np.split(
            np.asarray(index.target.data[:], int), np.asarray(index.data[:], int)[:-1]
        )
        above = {
            row: {n for n, group in enumerate(groups) if row in group}
            for row in set().union(*owners)
        }
        owners = [set().union(*(above[row] for row in rows)) for rows in owners]
        if name == level:
            break
    texts = [text(value) for value in getattr(file, level)[column][:]]
    return [{texts[row] for row in rows} - {""} for rows in owners]


def text(value: Any) -> str:
    """A value of a table as a name; what is missing is empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value).strip()
