"""What can be described by name: this package's own and that of others, from entry points."""

from __future__ import annotations

import ast
import inspect
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from neuromod.errors import UserError, listed, unknown
from neuromod.models.entry_points import entry_points, how_to_get as command_for, is_own, load

if TYPE_CHECKING:
    from neuromod.protocol import Study

GROUPS = {
    "protocol": "neuromod.protocols",
    "model": "neuromod.models",
    "delivery": "neuromod.deliveries",
    "stimulus": "neuromod.stimuli",
    "method": "neuromod.methods",
    "receptor": "neuromod.receptors",
    "sensor": "neuromod.sensors",
    "circuit": "neuromod.circuits",
}
KINDS = tuple(GROUPS)
SHELVES = ("receptor", "sensor", "circuit")
"""Kinds of which this package's own come from tables, not from entry points."""


def names(kind: str) -> list[str]:
    """Names of all of a kind, one of `KINDS`."""
    found: list[str] = _shelf(kind).names() if kind in SHELVES else sorted(_entries(kind))
    return found


def kinds_of(name: str) -> list[str]:
    """Every kind that has something of a name, as `wash` is a protocol and a delivery.

    Where some kind has precisely this name, what `find` would take for it elsewhere does not count.
    """
    exact = [kind for kind in KINDS if name in names(kind)]
    found, flaws = list(exact), []
    for kind in () if exact else KINDS:
        try:
            found += [kind] if _registered(kind, name) else []
        except UserError as error:
            # Files of one kind are read as those of another too.
            flaws.append(f"As a {kind}: {error}")
    if flaws and not found:
        raise UserError(" ".join(flaws))
    if not found:
        known = {name for kind in KINDS for name in names(kind)}
        raise unknown(listed(KINDS, "or"), name, known)
    return found


def find(kind: str, name: str) -> Any:
    """A class, the function of a delivery or stimulus, or a receptor, sensor or circuit.

    Its name is what `neuromod list` shows, or that of its class. Case does not matter, nor does
    whether words are joined by hyphens or underscores.

    Raises
    ------
    UserError
        When there is none, what it needs is not installed, or the package that brings it is broken.
    """
    registered = _registered(kind, name)
    if not registered:
        raise unknown(kind, name, names(kind))
    if kind in SHELVES:
        return _shelf(kind)[registered]
    return load(kind, _entry(kind, registered), lambda found: _check_guest(kind, found))


def flaw(kind: str, name: str) -> str:
    """Sentence on what is wrong with something of another package, which is imported for it.

    Empty where nothing is wrong, or only packages are missing.
    """
    if _is_own(kind, name):
        return ""
    try:
        find(kind, name)
    except UserError as error:
        lacking = isinstance(error.__cause__, ModuleNotFoundError) and missing(kind, name)
        return "" if lacking else str(error)
    return ""


def name_of(protocol: Study) -> str:
    """Name under which a protocol's class is registered, or the class's own."""
    home, own = type(protocol).__module__, type(protocol).__qualname__
    for name, entry in _entries("protocol").items():
        module, attribute = _place(entry)
        # A protocol that is a folder comes through the folder's own door.
        if attribute == own and f"{home}.".startswith(f"{module}."):
            return name
    return type(protocol).__name__


def title(kind: str, name: str) -> str:
    """First sentence that something says of itself; empty where there is none.

    It is read from the source of this package and of what cannot be imported here, because
    importing what a protocol needs can take seconds.
    """
    if kind in SHELVES:
        docstring = "" if missing(kind, name) else _words_on(find(kind, name))
    elif _is_own(kind, name) or missing(kind, name):
        docstring = _docstring(*_place(_entry(kind, name)))
    else:
        docstring = _words_of(find(kind, name))
    return " ".join(docstring.partition("\n\n")[0].split())


def missing(kind: str, name: str) -> list[str]:
    """Packages that something needs, as the extras of its entry point say, and lacks here."""
    if kind in SHELVES and _is_own(kind, name):
        return []
    entry = _entry(kind, name)
    required = (entry.dist.requires if entry.dist else None) or ()
    return [
        need.name
        for need in map(Requirement, required)
        for extra in entry.extras
        if need.marker and need.marker.evaluate({"extra": extra}) and not version_of(need.name)
    ]


def how_to_get(kind: str, name: str) -> str:
    """Command that installs what something needs; empty where its entry point names no extra."""
    return command_for(_entry(kind, name))


def _registered(kind: str, name: str) -> str:
    """Name under which something is registered; empty where nothing is meant."""
    known = names(kind)
    if name in known:
        return name
    if kind in SHELVES and name in _shelf(kind):
        # In a file.
        return name
    entries = {} if kind in SHELVES else _entries(kind)
    classes = {_place(entry)[1]: own for own, entry in entries.items()}
    alike = {_folded(own): own for own in known}
    return classes.get(name) or alike.get(_folded(name), "")


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def _entry(kind: str, name: str) -> EntryPoint:
    return _entries(kind)[_registered(kind, name)]


def _entries(kind: str) -> dict[str, EntryPoint]:
    return entry_points(GROUPS[kind])


def _is_own(kind: str, name: str) -> bool:
    if kind in SHELVES:
        return _registered(kind, name) in list(_shelf(kind))
    return is_own(_entry(kind, name))


def _place(entry: EntryPoint) -> tuple[str, str]:
    """Module and class, whatever the text of an entry point is worth."""
    module, _, name = entry.value.partition("[")[0].partition(":")
    return module.strip(), name.strip()


def _check_guest(kind: str, found: Any) -> None:
    """Refuse what another package brings where it will not do."""
    # Imported here because Brian2 takes its time.
    from neuromod.parameters import Parameters
    from neuromod.protocol import Study

    if not _words_of(found):
        raise ValueError("it has no docstring, whose first sentence would be its title")
    made_of_settings = isinstance(found, type) and issubclass(found, Parameters)
    if kind == "protocol" and not (made_of_settings and issubclass(found, Study)):
        raise TypeError("it is no neuromod.Protocol or neuromod.Training")
    if made_of_settings:
        # With its defaults, as everything else makes it first.
        found()


def _words_of(found: Any) -> str:
    """Docstring of a class or function, unless `dataclass` made it up."""
    words = getattr(found, "__doc__", None) or ""
    return "" if words.startswith(f"{found.__name__}(") else inspect.cleandoc(words)


def _words_on(ready: Any) -> str:
    """What a ready-made model says of itself, or what it binds where its class is another's."""
    made = type(ready)
    own = made.__name__ == getattr(ready, "name", made.__name__) or ready == made()
    return inspect.getdoc(made) or "" if own else f"{ready.ligand.capitalize()} {ready.name}."


def _shelf(kind: str) -> Any:
    # Imported here because Brian2 takes its time.
    from neuromod import models

    shelves = {"receptor": "library", "sensor": "sensors", "circuit": "circuits"}
    return getattr(models, shelves[kind])


def _docstring(module: str, name: str) -> str:
    """Docstring of a class or function in a module, or where that imports it from."""
    spec = _spec(module)
    if spec is None or not str(spec.origin).endswith(".py"):
        return ""
    for part in ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8")).body:
        if isinstance(part, ast.ClassDef | ast.FunctionDef) and part.name == name:
            return ast.get_docstring(part) or ""
        if isinstance(part, ast.ImportFrom) and name in (alias.name for alias in part.names):
            return _docstring(str(part.module), name)
    return ""


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, without importing the packages around it."""
    spec, path = None, None
    parts = module.split(".")
    for depth in range(len(parts)):
        name = ".".join(parts[: depth + 1])
        try:
            found = (finder.find_spec(name, path) for finder in sys.meta_path)
            spec = next((spec for spec in found if spec is not None), None)
        except KeyError:
            # A folder without __init__.py in a package that is not imported.
            spec = None
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def version_of(package: str) -> str:
    """Version of a package that is installed; empty where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
