"""What the machine has; work that it cannot do is refused before it starts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit

from neuromod.errors import UserError, short

GB = 1e9
DAY = 24 * 3600.0
LONGEST = 7 * DAY
# Where Linux tells which groups this process is in, and what each of them may use.
MEMBERSHIPS = Path("/proc/self/cgroup")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Least wall time of a time step on the fastest device.
STEP_S = 1e-7
# What torch says of a CPU and of a GPU.
NO_MEMORY = re.compile("can't allocate memory|out of memory")
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
    """Bytes of memory that this process may have at the most, used or not.

    They are what the machine has, or less where the process or a control group that it is in, such
    as a container or a job of a scheduler, is limited.
    """
    limits = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")), *_group_limits()]
    own = getrlimit(RLIMIT_AS)[0]
    return min(limits) if own == RLIM_INFINITY else min(*limits, float(own))


def _group_limits() -> Iterator[float]:
    """Limits of the control groups that this process is in and of those around them."""
    groups = MEMBERSHIPS.read_text().splitlines() if MEMBERSHIPS.exists() else []
    for number, controllers, path in (group.split(":", 2) for group in groups):
        # Version 2 of control groups is one tree with number 0, version 1 a tree a controller.
        file = "memory.max" if number == "0" else "memory.limit_in_bytes"
        tree = CONTROL_GROUPS / controllers
        if controllers in ("", "memory"):
            own = tree / path.lstrip("/")
            for place in (own, *own.parents):
                # A container need not see its own group; no limit is the word max.
                with suppress(OSError, ValueError):
                    yield float((place / file).read_text())


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
            f"{what} needs {needed / GB:.3g} GB of memory, and this machine gives "
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


def check_steps(steps: int) -> None:
    """Refuse a run of more time steps than the fastest device takes in a week."""
    check_time(f"A simulation of {steps:.4g} time steps", steps * STEP_S)


@contextmanager
def within_means() -> Iterator[None]:
    """Tell in a sentence when numbers in this context are too many or too large.

    It also decorates functions. Torch tells of memory by the words of a RuntimeError.
    """
    advice = "shorten the run, lengthen its time step or take fewer or milder values."
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error).strip().split("\n")[0]
        if not isinstance(error, MemoryError) and not NO_MEMORY.search(said):
            raise
        raise UserError(f"Memory does not suffice ({short(said)}): {advice}") from error
    except OverflowError as error:
        # The C library's have a number before their words.
        said = error.args[-1] if error.args else "overflow"
        raise UserError(f"A number is too large ({said}): {advice}") from error
