"""Entry points, through which installed packages bring models, receptors and protocols."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any

from packaging.utils import canonicalize_name

from neuromod.errors import UserError

log = logging.getLogger(__name__)


def entry_points(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; of two of a name, this package's own counts.

    Packages of which they cannot be read are left out: one of them is the end of
    `importlib.metadata.entry_points`.
    """
    return dict(_found(group, tuple(sys.path)))


def is_own(entry: EntryPoint) -> bool:
    """Whether an entry point is this package's."""
    return entry.value.startswith("neuromod.")


def how_to_get(entry: EntryPoint) -> str:
    """Command that installs what something needs; empty where its entry point names no extra."""
    if not entry.extras or entry.dist is None:
        return ""
    return f"pip install '{entry.dist.name}[{','.join(entry.extras)}]'"


def load(kind: str, entry: EntryPoint, check: Callable[[Any], None]) -> Any:
    """What an entry point brings.

    Parameters
    ----------
    kind : str
        What it is, for the message, such as ``"receptor"``.
    entry : EntryPoint
    check : callable
        Raises an error for what will not do; for what other packages bring.

    Raises
    ------
    UserError
        When what it needs is not installed, or the package that brings it is broken.
    """
    try:
        found = entry.load()
        if not is_own(entry):
            check(found)
    except ModuleNotFoundError as error:
        command = how_to_get(entry)
        hint = f": {command} brings it." if command else "."
        raise UserError(
            f"The {kind} {entry.name!r} needs {error.name}, which is not installed{hint}"
        ) from error
    # A guest may not even end the program.
    except (Exception, SystemExit) as error:
        if is_own(entry):
            raise
        said = str(error).strip().partition("\n")[0].rstrip(".")
        giver = entry.dist.name if entry.dist else entry.value
        raise UserError(
            f"The {kind} {entry.name!r} cannot be used, because the package {giver}, which brings "
            f"it, is broken ({type(error).__name__}: {said}): another version of it may work."
        ) from error
    return found


@cache
def _found(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Entry points as they are on a path, read once: a hundred packages take 20 ms."""
    del path
    return {entry.name: entry for entry in sorted(_every(group), key=is_own)}


def _every(group: str) -> Iterator[EntryPoint]:
    seen: set[str] = set()
    for package in distributions():
        try:
            entries = package.entry_points.select(group=group)
            name = canonicalize_name(package.name) if entries else ""
        except Exception as error:
            _leave_out(str(getattr(package, "_path", package)), f"{type(error).__name__}: {error}")
            continue
        # Of two of a name, the first on the path is the one that is imported.
        if name not in seen:
            yield from entries
        seen.add(name)


@cache
def _leave_out(package: str, reason: str) -> None:
    """Name a broken package, once in a process."""
    log.warning("%s is left out: its entry points cannot be read (%s).", package, reason)
