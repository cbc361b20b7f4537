"""Where backbones, features and compiled programs are kept, and how files are written whole."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
from rich.filesize import decimal

from neuromod.errors import UserError
from neuromod.support.paths import shown

log = logging.getLogger(__name__)

# With less free, a disk counts as full.
LEAST_ROOM = 65_536


class NotWrittenError(UserError):
    """A file that cannot be written."""


def cache_dir(part: str = "") -> Path:
    """Return the folder, or a part of it, in which to keep things: the first of `layers`."""
    return layers(part)[0]


def layers(part: str = "") -> list[Path]:
    """Return the folders in which kept things may be; the first is the one to write to.

    It is ``$NEUROMOD_CACHE``, or else the user's cache folder. If that cannot be written, a folder
    among temporary files comes before it, and if others could have written to it, in its place.
    ``$NEUROMOD_SHARED_CACHE`` comes last and is only read.
    """
    own = Path(os.environ.get("NEUROMOD_CACHE") or platformdirs.user_cache_dir("neuromod"))
    shared = os.environ.get("NEUROMOD_SHARED_CACHE")
    foreign = _foreign(own, part)
    obstacle = foreign or _make(own, part)
    found = [own / part] if not foreign and os.access(own / part, os.R_OK | os.X_OK) else []
    if obstacle:
        substitute = Path(tempfile.gettempdir(), f"neuromod-{getattr(os, 'getuid', int)()}")
        _say_once(
            f"The cache folder {shown(own)} {obstacle}: {substitute} is used "
            f"{'instead' if foreign else 'for what is new'}; NEUROMOD_CACHE names another."
        )
        problem = _make(substitute, part) or _foreign(substitute, part)
        if problem or substitute.is_symlink():
            raise UserError(
                f"Neither the cache folder {shown(own)} nor {substitute} can be used: set "
                "NEUROMOD_CACHE to a folder that you, and nobody else, can write."
            )
        found.insert(0, substitute / part)
    if shared and _foreign(Path(shared), part, owned=False):
        _say_once(f"The shared cache {shared} can be written by others: it is not used.")
    elif shared and os.access(shared, os.R_OK | os.X_OK):
        found.append(Path(shared) / part)
    return found


def where_kept(name: str) -> Path:
    """Return where a file is kept, or where it is to be kept if it is nowhere."""
    found = [layer / name for layer in layers()]
    return next((path for path in found if path.exists()), found[0])


def to_keep(name: str) -> Path:
    """Return where to keep a file; a folder that stands in its place makes way."""
    path = cache_dir() / name
    if path.is_dir():
        log.warning("%s is a folder where a file is kept: it is removed.", path)
        discard(path)
    return path


@contextmanager
def spared() -> Iterator[None]:
    """Try to keep something without which all goes on, if there is no place for it."""
    try:
        yield
    except NotWrittenError as error:
        log.warning("%s It is not kept, and the work goes on.", error)


def digest(value: Any) -> str:
    """Return a hash of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_whole(path: Path, size: int = 0) -> Iterator[Path]:
    """Give a temporary name beside ``path`` that becomes ``path`` only if the block succeeds.

    Whatever happens to the machine, the file is then the old one or the new one, and whole. What
    is about to be written has ``size`` bytes, if that is known.
    """
    temporary = _beside(path)
    try:
        temporary.touch()
        yield temporary
        reach_disk(temporary)
        temporary.replace(path)
        names_reach_disk(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise not_written(path, error, size) from error
        raise


def _beside(path: Path) -> Path:
    """A name beside a path, if that can be the path of a file at all."""
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError):
            temporary.lstat()
    except ValueError as error:
        raise NotWrittenError(f"{shown(path)} cannot be written: it names no file.") from error
    return temporary


def not_written(path: Path, error: OSError, size: int = 0) -> NotWrittenError:
    """Return the error for a file that cannot be written, of ``size`` bytes if that is known."""
    if not is_full(error):
        return NotWrittenError(f"{shown(path)} cannot be written ({error.strerror}).")
    return no_room(path, size)


def reserve(folder: Path, size: int) -> None:
    """See that so many bytes have room in a folder; the error of a full disk otherwise."""
    path = folder / ".room"
    try:
        with path.open("wb") as file:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
    finally:
        path.unlink(missing_ok=True)


def check_room(folder: Path, size: int = LEAST_ROOM) -> None:
    """Refuse where a folder's disk is full, as after a program that did not say why it failed."""
    try:
        reserve(folder, size)
    except OSError as error:
        if is_full(error):
            raise no_room(folder) from error


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_room(path: Path, size: int = 0) -> NotWrittenError:
    """Return the error for a full disk: which one it is, and how much is missing."""
    folder = path.parent.resolve()
    disk = next(each for each in (folder, *folder.parents) if os.path.ismount(each))
    free = shutil.disk_usage(folder).free
    about = f"it has {decimal(free)} free"
    if size > free:
        about = f"it lacks {decimal(size - free)} of {decimal(size)}"
    return NotWrittenError(
        f"{path} cannot be written, because the disk {disk}, or your share of it, is full: {about}."
    )


def _make(folder: Path, part: str) -> str:
    """Make a folder and its part, for its owner alone. Returns why nothing can be written there."""
    try:
        for each in (folder, folder / part):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    return "" if os.access(folder / part, os.W_OK | os.X_OK) else "cannot be written"


def _foreign(folder: Path, part: str, owned: bool = True) -> str:
    """Why what is in a folder need not be its user's own; programs in it would be run."""
    for each in (folder, folder / part):
        if os.name == "posix" and os.access(each, os.F_OK):
            about = each.stat()
            if owned and about.st_uid != os.getuid():
                return "is another user's"
            if about.st_mode & 0o022:
                return f"can be written by others (chmod -R go-w {folder} if you trust what it has)"
    return ""


@cache
def _say_once(text: str) -> None:
    log.warning(text)


def remove(path: Path) -> None:
    """Remove a file or folder: at once from where others look for it, who find it whole or not."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    path.rename(aside)
    shutil.rmtree(aside) if aside.is_dir() and not aside.is_symlink() else aside.unlink()


def discard(path: Path) -> None:
    """Remove a file or folder, if it is there and may be removed."""
    with suppress(OSError):
        remove(path)


def names_reach_disk(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    # Some file systems know no such thing as a folder's own state.
    with suppress(OSError):
        reach_disk(folder)


def reach_disk(path: Path) -> None:
    """Wait until a file is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
