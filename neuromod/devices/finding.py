"""One thing that was looked at on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    works : bool
    found : str
        A version, a path, a measurement, or what went wrong.
    get : str
        The next step to take; empty where it works or none is known.
    """

    name: str
    works: bool
    found: str
    get: str = ""
