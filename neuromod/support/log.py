"""Journal of a run: the wall time of each stage, and notes such as what came from a cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Journal:
    """Notes of one run: seconds by stage, and anything else worth keeping in ``run.json``."""

    wall_s: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


_open: ContextVar[Journal | None] = ContextVar("open", default=None)


@contextmanager
def journal() -> Iterator[Journal]:
    """Collect the stages and notes of all that runs in this context."""
    token = _open.set(Journal())
    try:
        yield _open.get()  # type: ignore[misc]
    finally:
        _open.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time one stage of a run."""
    started = time.perf_counter()
    yield
    current = _open.get()
    if current is not None:
        elapsed = time.perf_counter() - started
        current.wall_s[name] = current.wall_s.get(name, 0.0) + elapsed


def note(name: str, value: Any) -> None:
    """Note a fact about the run, of a type that JSON holds."""
    current = _open.get()
    if current is not None:
        current.notes[name] = value
