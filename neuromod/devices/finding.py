"""What was found on this machine, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass


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
