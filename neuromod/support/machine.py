"""What the machine has; work that it cannot do is refused before it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from neuromod.errors import UserError, short

GB = 1e9
DAY = 24 * 3600.0
LONGEST = 7 * DAY
ANYWAY = "; --force (force=True) starts it anyway."
_forced: ContextVar[bool] = ContextVar("forced", default=False)


@contextmanager
def forced(on: bool = True) -> Iterator[None]:
    """Refuse nothing in this context for want of memory or time."""
    token = _forced.set(on)
    try:
        yield
    finally:
        _forced.reset(token)


def memory() -> float:
    """Bytes of memory that the machine has, used or not; no limit where it does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError):
        return float("inf")


def check_memory(what: str, needed: float) -> None:
    """Refuse what needs more bytes of memory than there are.

    Parameters
    ----------
    what : str
        Such as ``"Drawing spikes of inputs"``.
    needed : float
        Bytes, at least.
    """
    if needed > memory() and not _forced.get():
        raise UserError(
            f"{what} needs {needed / GB:.3g} GB of memory, and this machine has "
            f"{memory() / GB:.3g} GB: shorten the run, lengthen dt or take fewer neurons, synapses "
            f"or traces{ANYWAY}"
        )


def check_time(what: str, needed: float) -> None:
    """Refuse what takes longer than a week; `needed` is the least number of seconds."""
    if needed > LONGEST and not _forced.get():
        raise UserError(
            f"{what} takes {needed / DAY:.3g} days at the least: shorten the run, or lengthen "
            f"dt{ANYWAY}"
        )


@contextmanager
def within_means() -> Iterator[None]:
    """Tell in a sentence when numbers in this context are too many or too large."""
    advice = "shorten the run, lengthen its time step or take fewer or milder values."
    try:
        yield
    except MemoryError as error:
        raise UserError(f"Memory does not suffice ({short(str(error))}): {advice}") from error
    except OverflowError as error:
        raise UserError(f"A number is too large ({error}): {advice}") from error
