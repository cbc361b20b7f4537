"""Progress bars on a terminal, and nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Thing = TypeVar("Thing")
_shown: ContextVar[Progress | None] = ContextVar("shown", default=None)


@contextmanager
def bars() -> Iterator[None]:
    """Show every `task` of this context on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    token = _shown.set(progress)
    try:
        yield
    finally:
        _shown.reset(token)
        if progress.live.is_started:
            progress.stop()


def task(description: str) -> Callable[[int, int], None]:
    """Bar for one piece of work.

    Returns
    -------
    callable of (int, int)
        To be called with the work done and the work in total.
    """
    progress = _shown.get()
    if progress is None:
        return lambda _done, _total: None
    # Started late, so that an error in the request prints nothing else.
    progress.start()
    bar = progress.add_task(description, total=None)
    return lambda done, total: progress.update(bar, completed=done, total=total)


def watched(description: str, things: Sequence[Thing]) -> Iterator[Thing]:
    """Give things one by one, with a bar of how many are done."""
    progress = task(description)
    for done, thing in enumerate(things):
        progress(done, len(things))
        yield thing
    progress(len(things), len(things))
