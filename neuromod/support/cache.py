"""Where backbones, features and compiled programs are kept, and how files are written whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

from neuromod.errors import UserError


def cache_dir() -> Path:
    """Return the cache folder: ``$NEUROMOD_CACHE``, or else the user's cache folder."""
    folder = Path(os.environ.get("NEUROMOD_CACHE") or platformdirs.user_cache_dir("neuromod"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache folder {folder} cannot be made ({error.strerror}): "
            "set NEUROMOD_CACHE to a folder that can be written."
        ) from error
    return folder


def digest(value: Any) -> str:
    """Return a hash of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` that becomes ``path`` only if the block succeeds.

    Whatever happens to the machine, the file is then the old one or the new one, and whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.touch()
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error
    try:
        yield temporary
        reach_disk(temporary)
        temporary.replace(path)
        # Some file systems know no such thing as a folder's own state.
        with suppress(OSError):
            reach_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def reach_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
