"""Progress: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from threading import Event, Thread
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Thing = TypeVar("Thing")
_shown: ContextVar[Progress | None] = ContextVar("shown", default=None)
# Between two lines; what takes less time is not worth one.
EVERY_S = 30.0


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
    token, over = _shown.set(progress), Event()
    lines = Thread(target=_tell, args=(progress, over), daemon=True)
    if progress.disable:
        lines.start()
    try:
        yield
    finally:
        _shown.reset(token)
        over.set()
        if progress.disable:
            lines.join()
        elif progress.live.is_started:
            progress.stop()


def _tell(progress: Progress, over: Event) -> None:
    """Write a line now and then on what is being done, and on what took long and is done.

    A clock decides when, because compiled programs do not say how far they are.
    """
    told: set[int] = set()
    ending = False
    while not ending:
        ending = over.wait(EVERY_S)
        tasks = progress.tasks
        done = [t for t in tasks if (t.finished_time or 0) >= EVERY_S and t.id not in told]
        told.update(task.id for task in done)
        # A task that nobody has come back to may be one that had nothing to do.
        begun = [t for t in tasks if not t.finished and (t.total or t is tasks[-1])]
        lines = [*done, *([] if ending else begun)]
        if lines:
            # A reader who has gone is no reason to fail.
            with suppress(OSError):
                print(*map(_line, lines), sep="; ", file=sys.stderr, flush=True)


def _line(task: Task) -> str:
    share = f"{task.percentage:.0f} %, " if task.total else "running, "
    seconds = task.finished_time or task.elapsed or 0
    return f"{task.description}: {share}{timedelta(seconds=round(seconds))}"


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
