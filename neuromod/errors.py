"""The one error that speaks to users; models and machinery alike may raise it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MAX_LISTED = 40


class UserError(ValueError):
    """A mistake in what the user asked for, told in one sentence."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Error for a name that does not exist, with the nearest names that do.

    Parameters
    ----------
    kind : str
        What was looked for, e.g. ``"protocol"``.
    name : str
        What was asked for.
    valid : iterable of str
        The names that exist.

    Returns
    -------
    UserError
        To be raised by the caller.
    """
    names = sorted(valid)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f": did you mean {' or '.join(near)}?"
    elif len(names) <= MAX_LISTED:
        hint = f"; there are {', '.join(names)}."
    else:
        hint = "."
    return UserError(f"There is no {kind} named {name!r}{hint}")
