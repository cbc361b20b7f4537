"""What was found on this machine, one thing at a time."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from neuromod.devices.builds import GET_COMPILER

Look = tuple[str, str]
"""What a step found, and how to get what does not work; nothing where it works."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked on this machine, and whether it works.

    Attributes
    ----------
    found : str
        A version, a path, a measurement, or the problem.
    get : str
        The next step to take; empty where it works or none is known.
    """

    name: str
    works: bool
    found: str
    get: str = ""


@dataclass(frozen=True)
class Step:
    """One thing to look at on the way to something that works.

    Attributes
    ----------
    look : callable
        Looks at it.
    after : str
        Name of the step without which there is nothing to look at.
    """

    name: str
    look: Callable[[], Look]
    after: str = ""


def look_at(steps: Iterable[Step]) -> list[Finding]:
    """Look at every step; one that hangs on a step that failed cannot be judged, and says so."""
    findings: dict[str, Finding] = {}
    for step in steps:
        before = findings.get(step.after)
        if before and not before.works:
            findings[step.name] = Finding(step.name, False, f"not judged before {step.after} works")
        else:
            found, get = step.look()
            findings[step.name] = Finding(step.name, not get, found, get)
    return list(findings.values())


def said(*command: str | Path) -> str:
    """Standard output of a program; empty where it fails or is missing."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return ""
    return ended.stdout if ended.returncode == 0 else ""


def program(name: str, variable: str = "") -> Look:
    """Look for a program that compiles, or for the one that an environment variable names."""
    called = shlex.split(os.environ.get(variable) or name)[0]
    path = shutil.which(called)
    if path is None:
        return f"{called} not found", GET_COMPILER
    return f"{path}: {said(path, '--version').partition(chr(10))[0]}", ""
