"""Paths that people give: what is there, or one sentence that says why nothing can be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from neuromod.errors import UserError, short

MOST_SHOWN = 300
"""Characters of a path in a message; no name within one has as many."""


def usable(path: str | Path) -> Path:
    """Return a path at which something is, or could be.

    Raises
    ------
    UserError
        When it cannot be looked at: it is too long, holds a NUL, goes round in a circle of links or
        through a folder that is closed to this user.
    """
    _mode(path)
    return Path(path)


def file_at(path: str | Path, what: str = "file") -> Path:
    """Return the path of a file of some kind, such as ``"gains file"``, that can be read.

    Raises
    ------
    UserError
        When there is none.
    """
    mode = _mode(path)
    if mode is None:
        raise UserError(f"There is no {what} {shown(path)}.")
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise UserError(f"{shown(path)} is {found}, and no {what}.")
    return _open_to_user(path, os.R_OK)


def folder_at(path: str | Path, expected: str) -> Path:
    """Return the path of a folder that can be listed; `expected` says what to name instead.

    Raises
    ------
    UserError
        When there is none.
    """
    mode = _mode(path)
    if mode is None:
        raise UserError(f"There is no folder {shown(path)}: {expected}.")
    if not stat.S_ISDIR(mode):
        raise UserError(f"{shown(path)} is no folder: {expected}.")
    return _open_to_user(path, os.R_OK | os.X_OK)


def shown(path: str | Path) -> str:
    """Return a path as a message has it: in quotes where blanks would hide it, and not too long."""
    text = str(path)
    plain = text.isprintable() and text == text.strip() != ""
    return text if plain and len(text) <= MOST_SHOWN else short(text)


def _mode(path: str | Path) -> int | None:
    """What kind of thing is at a path; None for nothing."""
    try:
        return os.stat(os.fspath(path)).st_mode  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be used: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(
            f"{shown(path)} cannot be used: no path holds a character such as NUL."
        ) from error


def _open_to_user(path: str | Path, access: int) -> Path:
    if not os.access(path, access):
        raise UserError(f"{shown(path)} may not be read by you: change that, or name another.")
    return Path(path)
