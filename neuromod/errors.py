"""The one error that speaks to users; models and machinery alike may raise it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

MAX_LISTED = 40
MAX_SHOWN = 80
"""Characters of a value in a message, or bits of an integer, or items of a list."""


class UserError(ValueError):
    """A mistake in what the user asked for, told in one sentence.

    Examples
    --------
    >>> import neuromod
    >>> neuromod.run("gain-curv")
    Traceback (most recent call last):
        ...
    neuromod.errors.UserError: There is no protocol named 'gain-curv': did you mean gain-curve, ...
    """


class UnsupportedError(UserError):
    """An experiment that a device cannot run, or would run wrongly."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Error for a name of no `kind`, such as ``"protocol"``, with the nearest that do exist."""
    names = {valid.lower(): valid for valid in sorted(valid)}
    # The comparison takes its time, and nobody means a name by a page of text.
    near = get_close_matches(name[:MAX_SHOWN].lower(), names, n=3, cutoff=0.5)
    # Upper and lower case are often all that differs.
    near = [name.lower()] if name.lower() in names else near
    if near:
        hint = f": did you mean {listed([names[word] for word in near], 'or')}?"
    elif len(names) <= MAX_LISTED:
        hint = f"; there are {', '.join(sorted(names.values()))}."
    else:
        hint = "."
    return UserError(f"There is no {kind} named {short(name)}{hint}")


def short(value: Any) -> str:
    """A value as Python writes it, with dots for what lies beyond its first and last characters."""
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, list | tuple) and len(value) > MAX_SHOWN:
        return f"a list of {len(value)} values"
    text = " ".join(repr(value).split())
    half = MAX_SHOWN // 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]}...{text[-half:]}"


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
