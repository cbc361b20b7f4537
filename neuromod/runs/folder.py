"""The place of a run on disk: its name is taken before the work and filled in one step after it.

Beside a folder ``NAME``, the hidden ``.NAME-partial`` belongs to the process that makes a run of
that name. It holds the new run and, for the moment in which that takes its name, the old one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from neuromod.errors import UserError
from neuromod.runs.files import INFO
from neuromod.support.cache import is_full, names_reach_disk, no_room
from neuromod.support.claim import claim, owner, release, sweep
from neuromod.support.paths import shown, usable

PARTIAL = "-partial"


@dataclass(frozen=True)
class Place:
    """A name that is reserved for a run.

    Attributes
    ----------
    folder : Path
        Where the run will be.
    new : Path
        Where it is made.
    overwrite : bool
        Whether a run that is there may be replaced.
    """

    folder: Path
    new: Path
    overwrite: bool

    def settle(self) -> Path:
        """Give the new run its name, or another where somebody took it; return the folder."""
        folder = self._free_folder()
        if _is_filled(folder):
            folder.rename(_old(self.new.parent))
        self.new.rename(folder)
        names_reach_disk(folder.parent)
        return folder

    def _free_folder(self) -> Path:
        with suppress(UserError):
            _check_free(self.folder, self.overwrite)
            return self.folder
        others = (f"{self.folder.name}-{number}" for number in itertools.count(2))
        return next(p for p in map(self.folder.with_name, others) if not os.path.lexists(p))


@contextmanager
def reserved(out: Path, overwrite: bool) -> Iterator[Place]:
    """Take a name for a run, and give up what was not settled.

    Raises
    ------
    UserError
        When a run cannot be written there.
    """
    # Through a link, so that the link stays.
    folder = Path(os.path.realpath(usable(out)))
    work = folder.with_name(f".{folder.name}{PARTIAL}")
    try:
        recover(folder)
        _check_free(folder, overwrite)
        if out.is_symlink() and not folder.exists():
            raise UserError(f"{out} is a link to {folder}, which is not there: make that first.")
        with room_for(0, folder, "nothing was run"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            held = claim(work)
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a part of its path is a file" if is_file else error.strerror
        raise UserError(f"{shown(out)} cannot be written: {reason}.") from error
    if held is None:
        raise UserError(
            f"{out} is being written by {owner(work)}: name another folder with --out, or remove "
            f"{work} if that process is gone."
        )
    try:
        # It may have come while another process held the name.
        _check_free(folder, overwrite)
        (work / "new").mkdir()
        yield Place(folder, work / "new", overwrite)
    finally:
        _rescue(work)
        release(work, held)


def recover(folder: Path) -> None:
    """Put in place what killed processes had finished or moved aside beside a folder."""
    sweep(folder.parent.glob(f".*{PARTIAL}"), _rescue)


def sought(folder: str | Path) -> Path:
    """A run's folder, put in place first if it is missing because a process was killed."""
    folder = usable(folder)
    if not folder.exists():
        recover(folder)
    return folder


@contextmanager
def room_for(needed: int, folder: Path, kept: str) -> Iterator[None]:
    """Let the error of a full disk, onto which so many bytes were to come, say what is kept.

    Raises
    ------
    UserError
        When the disk, or the user's share of it, is full.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise UserError(f"{str(no_room(folder, needed)).rstrip('.')}; {kept}.") from error


def _rescue(work: Path) -> None:
    """Put in place a run that was finished, or else the one that it was to replace."""
    folder = work.with_name(work.name[1:].removesuffix(PARTIAL))
    for kept in (work / "new", _old(work)):
        if (kept / INFO).is_file() and not _is_filled(folder):
            kept.rename(folder)


def _old(work: Path) -> Path:
    return work / "old"


def _is_filled(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; --out names a folder.")
    if folder.is_mount():
        raise UserError(f"{folder} is a whole disk: name a folder in it with --out.")
    if (folder / INFO).exists():
        if not overwrite:
            raise UserError(
                f"{folder} already holds a run: name another folder with --out, or "
                "add --overwrite to replace it."
            )
    elif any(folder.iterdir()):
        raise UserError(f"{folder} holds files that are no run: name another folder with --out.")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be replaced: it is not yours to write.")
