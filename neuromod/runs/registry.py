"""Models and protocols by name: this package's and those of others, from entry points."""

from __future__ import annotations

import ast
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from neuromod.errors import UserError, unknown

if TYPE_CHECKING:
    from neuromod.parameters import Parameters
    from neuromod.protocol import Protocol


def names(kind: str) -> list[str]:
    """Names of all models or protocols.

    Parameters
    ----------
    kind : str
        ``"model"`` or ``"protocol"``.

    Returns
    -------
    list of str
    """
    return sorted(_entries(kind))


def find_protocol(name: str) -> type[Protocol]:
    """Protocol class by name.

    Parameters
    ----------
    name : str

    Returns
    -------
    type

    Raises
    ------
    UserError
        When there is none, or what it needs is not installed.
    """
    return _load("protocol", name)


def find_model(name: str) -> type[Parameters]:
    """Model class by name.

    Parameters
    ----------
    name : str

    Returns
    -------
    type

    Raises
    ------
    UserError
        When there is none, or what it needs is not installed.
    """
    return _load("model", name)


def name_of(protocol: Protocol) -> str:
    """Name under which a protocol's class is registered, or the class's own.

    Parameters
    ----------
    protocol : Protocol

    Returns
    -------
    str
    """
    home = (type(protocol).__module__, type(protocol).__qualname__)
    entries = _entries("protocol").items()
    found = (name for name, entry in entries if (entry.module, entry.attr) == home)
    return next(found, type(protocol).__name__)


def title(kind: str, name: str) -> str:
    """First sentence that a model or protocol says of itself.

    It is read from the source, because importing what a protocol needs can take seconds.

    Parameters
    ----------
    kind : str
        ``"model"`` or ``"protocol"``.
    name : str
        One of `names`.

    Returns
    -------
    str
        Empty where there is no such source or docstring.
    """
    entry = _entries(kind)[name]
    try:
        spec = find_spec(entry.module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    classes = (part for part in tree.body if isinstance(part, ast.ClassDef))
    docstrings = (ast.get_docstring(part) for part in classes if part.name == entry.attr)
    first = (next(docstrings, None) or "").partition("\n\n")[0]
    return " ".join(first.split())


def missing(kind: str, name: str) -> list[str]:
    """Packages that a model or protocol needs, as the extras of its entry point, and lacks here.

    Parameters
    ----------
    kind : str
        ``"model"`` or ``"protocol"``.
    name : str
        One of `names`.

    Returns
    -------
    list of str
    """
    entry = _entries(kind)[name]
    required = entry.dist.requires if entry.dist else None
    needed = [Requirement(text) for text in required or ()]
    return [
        need.name
        for need in needed
        for extra in entry.extras
        if need.marker and need.marker.evaluate({"extra": extra}) and not _installed(need.name)
    ]


def how_to_get(kind: str, name: str) -> str:
    """Command that installs what a model or protocol needs.

    Parameters
    ----------
    kind : str
        ``"model"`` or ``"protocol"``.
    name : str
        One of `names`.

    Returns
    -------
    str
        Empty where its entry point names no extra.
    """
    entry = _entries(kind)[name]
    if not entry.extras or entry.dist is None:
        return ""
    return f"pip install '{entry.dist.name}[{','.join(entry.extras)}]'"


def _entries(kind: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"neuromod.{kind}s")}


def _load(kind: str, name: str) -> type:
    entries = _entries(kind)
    if name not in entries:
        raise unknown(kind, name, entries)
    try:
        loaded: type = entries[name].load()
    except ModuleNotFoundError as error:
        command = how_to_get(kind, name)
        hint = f": {command} brings it." if command else "."
        raise UserError(
            f"The {kind} {name!r} needs {error.name}, which is not installed{hint}"
        ) from error
    return loaded


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
