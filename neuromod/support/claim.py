"""Folders that belong to a running process, and what is left of one that was killed.

A folder is held by a lock on a file in it, which the kernel gives back however its process ends; a
process's number alone may be in use again. A folder of another machine, whose locks may not be seen
from here, is left alone.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from neuromod.errors import UserError
from neuromod.support.cache import check_room, is_full, no_room

OWNER = "owner"
TEMPORARY = "neuromod-"


def claim(folder: Path) -> IO[str] | None:
    """Make a folder this process's, whether it is there or not; None where it is another's.

    `release` takes what this returns.
    """
    while True:
        folder.mkdir(exist_ok=True)
        mark = folder / OWNER
        is_new = not mark.exists()
        with suppress(FileNotFoundError):
            file = mark.open("a+", encoding="utf-8")
            if not _lock(file, is_new):
                file.close()
                return None
            # Whoever gave it up may have removed the file between its opening and its locking.
            if mark.stat().st_ino == os.fstat(file.fileno()).st_ino:
                try:
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {platform.node()}")
                    file.flush()
                except OSError:
                    # A full disk, on which nothing is to be left either.
                    for step in (file.close, mark.unlink, folder.rmdir):
                        with suppress(OSError):
                            step()
                    raise
                return file


def release(folder: Path, held: IO[str]) -> None:
    """Remove a folder that `claim` gave, the mark of its owner last."""
    with held, suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != OWNER:
                path.unlink()
        (folder / OWNER).unlink()
        folder.rmdir()


def owner(folder: Path) -> str:
    """Whose a folder is, in words."""
    with suppress(OSError):
        return (folder / OWNER).read_text(encoding="utf-8") or "a process"
    return "a process"


def sweep(folders: Iterable[Path], rescue: Callable[[Path], None] = lambda _: None) -> None:
    """Remove folders whose owners were killed, after `rescue` has taken what is worth keeping."""
    for folder in folders:
        # Other users' folders cannot be opened, nor are those whose owner has just come marked.
        with suppress(OSError):
            held = claim(folder) if (folder / OWNER).stat().st_size else None
            if held:
                try:
                    rescue(folder)
                finally:
                    release(folder, held)


@contextmanager
def scratch() -> Iterator[Path]:
    """Temporary folder; those that killed processes have left are removed first.

    Raises
    ------
    UserError
        When it cannot be made, or whatever fails for its disk being full.
    """
    try:
        place = Path(tempfile.gettempdir())
        sweep(place.glob(f"{TEMPORARY}*"))
        outer = Path(tempfile.mkdtemp(prefix=TEMPORARY))
    except OSError as error:
        raise UserError(f"No temporary folder can be made ({error.strerror}).") from error
    held = None
    try:
        held = _claimed(outer)
        inner = outer / "work"
        inner.mkdir()
        yield inner
    except UserError:
        raise
    except Exception:
        # Programs and libraries that fail do not say why.
        check_room(outer)
        raise
    finally:
        if held:
            release(outer, held)
        else:
            shutil.rmtree(outer, ignore_errors=True)


def _claimed(folder: Path) -> IO[str] | None:
    """Claim a folder, or tell which disk is full: a claim that fails leaves no folder to ask."""
    try:
        return claim(folder)
    except OSError as error:
        if is_full(error):
            raise no_room(folder) from error
        raise


def _lock(file: IO[str], is_new: bool) -> bool:
    file.seek(0)
    written = file.read()
    if written and not written.endswith(f" on {platform.node()}"):
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks does not tell whether the owner of an old folder lives.
        return is_new
    return True
