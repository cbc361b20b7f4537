"""Progress: bars on a terminal and in a notebook; elsewhere a command tells now and then."""

from __future__ import annotations

import os
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
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Thing = TypeVar("Thing")
# What shows the tasks of a context, and what each new one calls first.
_shown: ContextVar[tuple[Progress, Callable[[], None]] | None] = ContextVar("shown", default=None)
# Between two lines; what takes less time is not worth one.
EVERY_S = 30.0
# Before anything is shown to those who call from Python, and between two pictures in a notebook.
PATIENCE_S, REDRAWN_S = 2.0, 0.5


@contextmanager
def bars() -> Iterator[None]:
    """Show every `task` of this context on standard error, for the command line."""
    console = Console(stderr=True)
    # A notebook gives `!command` what looks like a terminal, and keeps every frame of a bar.
    from_notebook = "JPY_PARENT_PID" in os.environ
    watched = console.is_terminal and not from_notebook
    progress = Progress(*_columns(), console=console, disable=not watched)
    # Started late, so that an error in the request prints nothing else.
    token, over = _shown.set((progress, progress.start)), Event()
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


@contextmanager
def seen() -> Iterator[None]:
    """Show every `task` of this context where someone watches: on a terminal or in a notebook.

    This is for calls from Python: nothing is shown of what takes less than `PATIENCE_S`, or where
    output goes into a file or a pipe. Within `bars` and within itself it adds nothing. It also
    decorates functions.
    """
    console = Console(stderr=True)
    watched = console.is_jupyter or (sys.stderr is not None and sys.stderr.isatty())
    if _shown.get() is not None or not watched:
        yield
        return
    # In a notebook IPython shows it: rich would need ipywidgets.
    progress = Progress(*_columns(), console=console, disable=console.is_jupyter, transient=True)
    token, over = _shown.set((progress, lambda: None)), Event()
    showing = Thread(target=_show, args=(progress, over), daemon=True)
    showing.start()
    try:
        yield
    finally:
        _shown.reset(token)
        over.set()
        showing.join()
        if progress.live.is_started:
            progress.stop()


@contextmanager
def hidden() -> Iterator[None]:
    """Show no `task` of this context: many that are alike would fill the screen."""
    token = _shown.set((Progress(disable=True), lambda: None))
    try:
        yield
    finally:
        _shown.reset(token)


def _show(progress: Progress, over: Event) -> None:
    """Show what is being done once it has taken long enough."""
    if over.wait(PATIENCE_S):
        return
    if not progress.disable:
        progress.start()
        return
    from IPython.display import HTML, display

    picture = display(progress.make_tasks_table(progress.tasks), display_id=True)
    ending = False
    while not ending:
        ending = over.wait(REDRAWN_S)
        picture.update(progress.make_tasks_table(progress.tasks))
    # What is done is gone, as on a terminal, and no saved notebook or page holds it.
    picture.update(HTML(""))


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


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
    shown = _shown.get()
    if shown is None:
        return lambda _done, _total: None
    progress, begin = shown
    begin()
    bar = progress.add_task(description, total=None)
    return lambda done, total: progress.update(bar, completed=done, total=total)


def watched(description: str, things: Sequence[Thing]) -> Iterator[Thing]:
    """Give things one by one, with a bar of how many are done."""
    progress = task(description)
    for done, thing in enumerate(things):
        progress(done, len(things))
        yield thing
    progress(len(things), len(things))
