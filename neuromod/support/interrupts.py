"""Ctrl-C and SIGTERM: both end a program in the same way, wherever they come."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S = 0.01


@contextmanager
def heard() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt on SIGTERM, too; gives a list that holds SIGTERM once it has come.

    Python drops what is raised in a destructor, and goes on; an interrupt then comes again.
    """
    came: list[int] = []

    def terminate(*_: Any) -> None:
        # Schedulers send it twice, which must not stop the tidying up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        came.append(signal.SIGTERM)
        raise KeyboardInterrupt

    def come_again(dropped: UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            others(dropped)
            return
        number = came.pop() if came else signal.SIGINT
        if number == signal.SIGTERM:
            signal.signal(number, terminate)
        # At once, it would be raised in the destructor again.
        Timer(AGAIN_S, signal.raise_signal, [number]).start()

    before, others = signal.signal(signal.SIGTERM, terminate), sys.unraisablehook
    sys.unraisablehook = come_again
    try:
        yield came
    finally:
        sys.unraisablehook = others
        signal.signal(signal.SIGTERM, before)
