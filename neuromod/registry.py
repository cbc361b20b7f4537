"""Models and protocols by name: this package's and those of others, from entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from neuromod.errors import UserError, unknown
from neuromod.models.parameters import Parameters
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
    path = f"{type(protocol).__module__}:{type(protocol).__qualname__}"
    found = (name for name, entry in _entries("protocol").items() if entry.value == path)
    return next(found, type(protocol).__name__)


def _entries(kind: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"neuromod.{kind}s")}


def _load(kind: str, name: str) -> type:
    entries = _entries(kind)
    if name not in entries:
        raise unknown(kind, name, entries)
    try:
        return entries[name].load()
    except ModuleNotFoundError as error:
        raise UserError(
            f"The {kind} {name!r} needs {error.name}, which is not installed: "
            "pip install 'brian2-neuromod[train]' brings it."
        ) from error
