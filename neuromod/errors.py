"""The one error that speaks to users; models and machinery alike may raise it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

MAX_LISTED = 40


class UserError(ValueError):
    """A mistake in what the user asked for, told in one sentence."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Error for a name of no `kind`, such as ``"protocol"``, with the nearest that do exist."""
    names = {valid.lower(): valid for valid in sorted(valid)}
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    # Upper and lower case are often all that differs.
    near = [name.lower()] if name.lower() in names else near
    if near:
        hint = f": did you mean {listed([names[word] for word in near], 'or')}?"
    elif len(names) <= MAX_LISTED:
        hint = f"; there are {', '.join(sorted(names.values()))}."
    else:
        hint = "."
    return UserError(f"There is no {kind} named {name!r}{hint}")


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words as a list in a sentence: ``a, b and c``; nothing gives ``none``."""
    words = list(words)
    if len(words) < 2:
        return words[0] if words else "none"
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def with_advice(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """Wrap a lazy loader so that a missing package names the command that installs it."""

    def advised(name: str) -> Any:
        try:
            return load(name)
        except ModuleNotFoundError as error:
            if str(error.name).startswith("neuromod"):
                raise
            raise ModuleNotFoundError(
                f"{name} needs {error.name}, which is not installed: "
                "pip install 'brian2-neuromod[train]' brings it.",
                name=error.name,
            ) from error

    return advised
