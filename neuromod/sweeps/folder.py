"""The folder of a sweep: what was asked for, every chunk as it ended, and the results.

A chunk's file is written whole or not at all, so whatever kills a sweep, the chunks that ended are
there, and those that did not are computed again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from neuromod.errors import UserError
from neuromod.support.cache import discard, remove, written_whole
from neuromod.support.claim import claim, owner, release
from neuromod.support.paths import usable
from neuromod.sweeps.chunks import Outcome
from neuromod.sweeps.results import as_arrays

if TYPE_CHECKING:
    import xarray

INFO, CHUNKS, RESULTS = "sweep.json", "chunks", "results.zarr"
TABLE, EXTREMES, FAILURES = "table.csv", "extremes.csv", "failures.csv"
FIGURE = "figure.png"
LOCK = ".lock"
MOST_ROWS = 100_000
"""Of a tidy table; more are in the data set alone."""
_FAILED = "failures"


@dataclass(frozen=True)
class Folder:
    """Where a sweep is kept."""

    path: Path

    @property
    def is_begun(self) -> bool:
        """Whether it says what was asked for, which it does before any chunk is computed."""
        return (self.path / INFO).is_file()

    def chunk(self, number: int) -> Path:
        """File of a chunk."""
        return self.path / CHUNKS / f"{number:07d}.npz"

    def has(self, number: int) -> bool:
        """Whether a chunk has ended."""
        return self.chunk(number).is_file()

    def write_chunk(self, number: int, outcome: Outcome) -> None:
        """Keep a chunk's tables and failures."""
        arrays: dict[str, Any] = {
            f"{table}/{column}": values
            for table, columns in as_arrays(outcome.tables).items()
            for column, values in columns.items()
        }
        arrays[_FAILED] = np.array(json.dumps(outcome.failures))
        with written_whole(self.chunk(number)) as path, path.open("wb") as file:
            np.savez(file, **arrays)

    def read_chunk(self, number: int) -> tuple[dict[str, dict[str, np.ndarray]], dict[int, str]]:
        """Columns by table of a chunk, and its failures.

        Raises
        ------
        UserError
            When the file is damaged.
        """
        path = self.chunk(number)
        tables: dict[str, dict[str, np.ndarray]] = {}
        try:
            with np.load(path, allow_pickle=False) as file:
                for name in file.files:
                    table, _, column = name.partition("/")
                    if column:
                        tables.setdefault(table, {})[column] = file[name]
                failures = json.loads(str(file[_FAILED]))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UserError(
                f"{path} is damaged ({error}): remove it, and --resume computes it again."
            ) from error
        return tables, {int(point): why for point, why in failures.items()}

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Keep what was asked for."""
        with written_whole(self.path / INFO) as path:
            path.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")

    def read_info(self) -> dict[str, Any]:
        """What was asked for.

        Raises
        ------
        UserError
            When it is damaged.
        """
        path = self.path / INFO
        try:
            info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}).") from error
        return info

    def write_results(self, dataset: xarray.Dataset) -> None:
        """Keep the data set, in place of an earlier one."""
        path = self.path / RESULTS
        made = self.path / f".{RESULTS}"
        shutil.rmtree(made, ignore_errors=True)
        dataset.to_zarr(made, mode="w", zarr_format=2, consolidated=True)
        if path.exists():
            remove(path)
        made.rename(path)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Keep a table as CSV."""
        with written_whole(self.path / name) as path:
            table.to_csv(path, index=False)

    def write_figure(self, picture: bytes) -> None:
        """Keep the figure."""
        with written_whole(self.path / FIGURE, len(picture)) as path:
            path.write_bytes(picture)


@contextmanager
def taken(path: Path, resume: bool) -> Iterator[Folder]:
    """The folder of a sweep, for this process alone.

    Raises
    ------
    UserError
        When another process is at it, when there is a sweep that is not to be resumed, or none that
        could be.
    """
    folder = Folder(usable(path))
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file: give a folder.")
    if folder.is_begun and not resume:
        raise UserError(f"There is a sweep in {path} already: --resume goes on with it.")
    if resume and not path.is_dir():
        raise UserError(f"There is no sweep in {path} to resume.")
    if path.is_dir() and not folder.is_begun and not _is_left(path):
        raise UserError(f"{path} is not empty, and holds no sweep: give another folder.")
    (path / CHUNKS).mkdir(parents=True, exist_ok=True)
    lock = path / LOCK
    held = claim(lock)
    if held is None:
        raise UserError(f"{owner(lock)} is computing the sweep in {path}.")
    try:
        # What a process was writing when it was killed.
        for parent in (path, path / CHUNKS):
            for part in parent.glob(".*"):
                if part != lock:
                    discard(part)
        yield folder
    finally:
        release(lock, held)


def _is_left(path: Path) -> bool:
    """Whether a folder is empty, but for what a process leaves that was killed at the start."""
    names = {part.name for part in path.iterdir()}
    left = {CHUNKS, LOCK, *(name for name in names if name.startswith(f".{INFO}."))}
    return names <= left and not any((path / CHUNKS).glob("*"))
