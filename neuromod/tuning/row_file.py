"""Rows of numbers that are computed once and kept on disk, never all in memory.

A file of rows is filled in any order and by several processes at once. A record beside it holds a
digest of each row that is there, so that rows computed before a kill are not computed again, and
damaged ones are. Rows of version 0.1, which had no digests, are computed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from neuromod.errors import UserError
from neuromod.support.cache import NotWrittenError, discard, no_room, not_written, written_whole

log = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]
Rows = npt.NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]

STALLED_S = 600
"""Seconds without a new row after which other processes count as gone (chosen here)."""

POLL_S = 0.2

DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class RowFile:
    """A file of rows, some of which may be missing. It is made if there is none, or a damaged one.

    Where it is only read it is neither made nor filled.

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
    only_read: bool = False

    def __post_init__(self) -> None:
        if not self.only_read and not self._is_sound():
            with self._locked():
                # Another process may have just made it.
                if not self._is_sound():
                    self._make_anew()

    @property
    def record(self) -> Path:
        """File of a digest for each row, which is zeros where the row is missing."""
        return self.path.with_suffix(".rows")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold file and record alone."""
        path = self.path.with_suffix(".lock")
        lock = FileLock(path)
        try:
            lock.acquire()
        except OSError as error:
            raise not_written(path, error) from error
        try:
            yield
        finally:
            lock.release()

    def _is_sound(self) -> bool:
        """Whether the file and its record exist and have the right sizes."""
        values = _opened(self.path)
        # Digests are of rows, whatever order the file says its numbers have.
        if values is None or not values.flags.c_contiguous:
            return False
        if (values.shape, values.dtype) != ((self.count, self.width), self.dtype):
            return False
        try:
            with self.record.open("rb") as record:
                return os.fstat(record.fileno()).st_size == self.count * DIGEST_BYTES
        except OSError:
            return False

    def _make_anew(self) -> None:
        if self.path.exists():
            log.warning(
                "%s is damaged, of version 0.1 or not neuromod's: it is computed anew.", self.path
            )
        for path in (self.record, self.path):
            discard(path)
        shape = (self.count, self.width)
        # In this order a kill leaves no file that looks damaged for want of its record.
        with written_whole(self.record) as temporary:
            temporary.write_bytes(bytes(self.count * DIGEST_BYTES))
        with written_whole(self.path) as temporary:
            np.lib.format.open_memmap(temporary, mode="w+", dtype=self.dtype, shape=shape)

    @cached_property
    def values(self) -> np.memmap[Any, np.dtype[np.floating[Any]]]:
        """All rows, memory-mapped and read-only; missing ones are zeros."""
        values: np.memmap[Any, np.dtype[np.floating[Any]]] = np.load(self.path, mmap_mode="r")
        return values

    @cached_property
    def _digests(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        """The record, memory-mapped and read-only; it shows what other processes add."""
        shape = (self.count, DIGEST_BYTES)
        return np.memmap(self.record, np.uint8, "r", shape=shape)

    def missing(self, rows: IntArray) -> IntArray:
        """Return those of some rows that are missing."""
        absent: IntArray = rows[~self._digests[rows].any(axis=1)]
        return absent

    def damaged(self, rows: IntArray) -> IntArray:
        """Return those of some rows that are not what was written."""
        there = np.setdiff1d(rows, self.missing(rows))
        digests = (self._digest(int(row), self.values[row]) for row in there)
        differ = [self._digests[row].tobytes() != d for row, d in zip(there, digests, strict=True)]
        bad: IntArray = there[np.array(differ, dtype=bool)]
        return bad

    def holds(self, rows: IntArray) -> bool:
        """Whether a file that is only read has some rows, as they were written."""
        return self._is_sound() and not len(self.missing(rows)) and not len(self.damaged(rows))

    def _digest(self, row: int, numbers: Rows) -> bytes:
        """Digest of a row in its place, so that rows or files that change places are noticed."""
        place = f"{self.path.name}\0{row}\0".encode()
        return hashlib.sha256(place + numbers.tobytes()).digest()

    def _forget_damaged(self, rows: IntArray) -> None:
        """Record as missing what is damaged."""
        if not len(self.damaged(rows)):
            return
        with self._locked():
            # Another process may have just computed them again.
            damaged = self.damaged(rows)
            if len(damaged):
                log.warning("%s: %d rows are damaged and computed anew.", self.path, len(damaged))
            with _to_write(self.record) as record:
                for row in damaged:
                    record.seek(int(row) * DIGEST_BYTES)
                    record.write(bytes(DIGEST_BYTES))

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
        if not self.only_read:
            self._forget_damaged(rows)
        missing = self.missing(rows)
        if not len(missing):
            return True
        self._check_space(len(missing))
        share = self.missing(rows[rank::world_size])
        done = self._report(rows, progress)
        with _to_write(self.path) as values, _to_write(self.record) as record:
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
            raise NotWrittenError(
                f"{no_room(self.path, needed)} Free some, set NEUROMOD_CACHE to a folder with "
                "more, or keep float16."
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
            with self._locked():
                for row, numbers in zip(batch, kept, strict=True):
                    values.seek(self.values.offset + int(row) * kept.shape[1] * kept.itemsize)
                    values.write(numbers.tobytes())
                os.fsync(values.fileno())
                for row, numbers in zip(batch, kept, strict=True):
                    record.seek(int(row) * DIGEST_BYTES)
                    record.write(self._digest(int(row), numbers))
        except OSError as error:
            raise not_written(self.path, error, kept.nbytes) from error


def _to_write(path: Path) -> BinaryIO:
    try:
        return path.open("r+b", buffering=0)
    except OSError as error:
        raise not_written(path, error) from error


def _opened(path: Path) -> np.memmap[Any, Any] | None:
    """Numbers of a NumPy file, memory-mapped and read-only; None where it is none."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    # What a foreign file raises depends on its first bytes.
    except Exception:
        return None
    return values if isinstance(values, np.memmap) else None


def is_whole(path: Path) -> bool:
    """Whether every row that is in a file is as it was written."""
    values = _opened(path)
    if values is None or values.ndim != 2:
        return False
    count, width = values.shape
    kept = RowFile(path, count, width, str(values.dtype), only_read=True)
    return kept._is_sound() and not len(kept.damaged(np.arange(count)))
