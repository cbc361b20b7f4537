"""Rows of numbers that are computed once and kept on disk, never all in memory.

A file of rows is filled in any order and by several processes at once. A record beside it says
which rows it holds, so that rows computed before a kill are not computed again.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from neuromod.errors import UserError
from neuromod.support.cache import written_whole

log = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]
Rows = npt.NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]

STALLED_S = 600
"""Seconds without a new row after which other processes count as gone (chosen here)."""

POLL_S = 0.2


@dataclass(frozen=True)
class RowFile:
    """A file of rows, some of which may be missing. It is made if there is none, or a damaged one.

    Attributes
    ----------
    path : path
        Of a NumPy file; beside it stand the record of its rows (``.rows``) and a lock.
    count, width : int
        Rows, and numbers in each.
    dtype : str
        ``"float16"`` or ``"float32"``.
    """

    path: Path
    count: int
    width: int
    dtype: str

    def __post_init__(self) -> None:
        if not self._is_sound():
            with FileLock(self.path.with_suffix(".lock")):
                # Another process may have just made it.
                if not self._is_sound():
                    self._make_anew()

    @property
    def record(self) -> Path:
        """File of one byte for each row: 1 where the row is there."""
        return self.path.with_suffix(".rows")

    def _is_sound(self) -> bool:
        """Whether the file and its record exist and have the right sizes."""
        try:
            values = np.load(self.path, mmap_mode="r", allow_pickle=False)
            fits = (values.shape, values.dtype) == ((self.count, self.width), self.dtype)
            return fits and self.record.stat().st_size == self.count
        except (OSError, ValueError, EOFError):
            return False

    def _make_anew(self) -> None:
        if self.path.exists():
            log.warning("%s is damaged or not neuromod's: it is computed anew.", self.path)
        self.record.unlink(missing_ok=True)
        shape = (self.count, self.width)
        with written_whole(self.path) as temporary:
            np.lib.format.open_memmap(temporary, mode="w+", dtype=self.dtype, shape=shape)
        with written_whole(self.record) as temporary:
            temporary.write_bytes(bytes(self.count))

    @cached_property
    def values(self) -> np.memmap[Any, np.dtype[np.floating[Any]]]:
        """All rows, memory-mapped and read-only; missing ones are zeros."""
        values: np.memmap[Any, np.dtype[np.floating[Any]]] = np.load(self.path, mmap_mode="r")
        return values

    def missing(self, rows: IntArray) -> IntArray:
        """Return those of some rows that are missing."""
        there = np.fromfile(self.record, np.bool_)
        absent: IntArray = rows[~there[rows]]
        return absent

    def fill(
        self,
        rows: IntArray,
        compute: Callable[[IntArray], Rows],
        batch_size: int,
        progress: Progress | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> bool:
        """Compute those of some rows that are missing. Returns whether all were there already.

        Parameters
        ----------
        compute : callable
            Returns the values of a batch of rows.
        progress : callable, optional
            Called with rows that are there, other processes' included, and in all.
        rank, world_size : int
            This process's number, and how many processes on this machine call this with the same
            rows. Each computes its share, then waits for the others.
        """
        missing = self.missing(rows)
        if not len(missing):
            return True
        self._check_space(len(missing))
        share = self.missing(rows[rank::world_size])
        done = self._report(rows, progress)
        with (
            self.path.open("r+b", buffering=0) as values,
            self.record.open("r+b", buffering=0) as record,
        ):
            for start in range(0, len(share), batch_size):
                batch = share[start : start + batch_size]
                self._write(values, record, batch, compute(batch))
                done = self._report(rows, progress)
        since = time.monotonic()
        while done < len(rows):
            time.sleep(POLL_S)
            before, done = done, self._report(rows, progress)
            since = time.monotonic() if done > before else since
            if time.monotonic() - since > STALLED_S:
                raise UserError(
                    f"No other process has added a row to {self.path} for {STALLED_S} s, and "
                    f"{len(rows) - done} are missing: run all again to go on from there."
                )
        return False

    def _check_space(self, count: int) -> None:
        """Refuse to begin if the disk has no room for so many rows."""
        needed = count * self.width * np.dtype(self.dtype).itemsize
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise UserError(
                f"{needed / 1e9:.2f} GB are needed in {self.path.parent} and {free / 1e9:.2f} GB "
                "are free: free some, set NEUROMOD_CACHE to a folder with more, or keep float16."
            )

    def _report(self, rows: IntArray, progress: Progress | None) -> int:
        done = len(rows) - len(self.missing(rows))
        if progress:
            progress(done, len(rows))
        return done

    def _write(self, values: BinaryIO, record: BinaryIO, batch: IntArray, computed: Rows) -> None:
        """Write rows, wait until they are on the disk, and only then record them."""
        with np.errstate(over="ignore"):
            kept = computed.astype(self.dtype, copy=False)
        finite = np.isfinite(kept).all(axis=1)
        if not finite.all():
            raise UserError(
                f"What is computed for image {batch[~finite][0]} has no finite value in "
                f"{self.dtype}: check the weights, or keep float32."
            )
        try:
            for row, numbers in zip(batch, kept, strict=True):
                values.seek(self.values.offset + int(row) * kept.shape[1] * kept.itemsize)
                values.write(numbers.tobytes())
            os.fsync(values.fileno())
            for row in batch:
                record.seek(int(row))
                record.write(b"\x01")
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error.strerror}).") from error
