"""What can be described by name: this package's own and that of others, from entry points."""

from __future__ import annotations

import ast
import inspect
import logging
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from neuromod.errors import UserError, listed, unknown

if TYPE_CHECKING:
    from neuromod.protocol import Study

log = logging.getLogger(__name__)

GROUPS = {
    "protocol": "neuromod.protocols",
    "model": "neuromod.models",
    "delivery": "neuromod.deliveries",
    "method": "neuromod.methods",
}
KINDS = (*GROUPS, "receptor")


def names(kind: str) -> list[str]:
    """Names of all of a kind, one of `KINDS`."""
    return list(_library()) if kind == "receptor" else sorted(_entries(kind))


def kinds_of(name: str) -> list[str]:
    """Every kind that has something of a name, as `wash` is a protocol and a delivery.

    Where some kind has precisely this name, what `find` would take for it elsewhere does not count.
    """
    exact = [kind for kind in KINDS if name in names(kind)]
    found = exact or [kind for kind in KINDS if _registered(kind, name)]
    if not found:
        known = {name for kind in KINDS for name in names(kind)}
        raise unknown(listed(KINDS, "or"), name, known)
    return found


def find(kind: str, name: str) -> Any:
    """A class, the function of a delivery, or a receptor.

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
    if kind == "receptor":
        return _library()[registered]
    entry = _entry(kind, registered)
    try:
        return entry.load() if _own(entry) else _welcomed(kind, entry)
    except ModuleNotFoundError as error:
        command = how_to_get(kind, registered)
        hint = f": {command} brings it." if command else "."
        raise UserError(
            f"The {kind} {name!r} needs {error.name}, which is not installed{hint}"
        ) from error
    # A guest may not even end the program.
    except (Exception, SystemExit) as error:
        if _own(entry):
            raise
        said = str(error).strip().partition("\n")[0].rstrip(".")
        giver = entry.dist.name if entry.dist else entry.value
        raise UserError(
            f"The {kind} {name!r} cannot be used, because the package {giver}, which brings it, is "
            f"broken ({type(error).__name__}: {said}): another version of it may work."
        ) from error


def flaw(kind: str, name: str) -> str:
    """Sentence on what is wrong with something of another package, which is imported for it.

    Empty where nothing is wrong, or only packages are missing.
    """
    if kind == "receptor" or _own(_entry(kind, name)):
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
    if kind == "receptor":
        docstring = type(_library()[name]).__doc__ or ""
    elif _own(_entry(kind, name)) or missing(kind, name):
        docstring = _docstring(*_place(_entry(kind, name)))
    else:
        docstring = _words_of(find(kind, name))
    return " ".join(docstring.partition("\n\n")[0].split())


def missing(kind: str, name: str) -> list[str]:
    """Packages that something needs, as the extras of its entry point say, and lacks here."""
    if kind == "receptor":
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
    entry = _entry(kind, name)
    if not entry.extras or entry.dist is None:
        return ""
    return f"pip install '{entry.dist.name}[{','.join(entry.extras)}]'"


def _registered(kind: str, name: str) -> str:
    """Name under which something is registered; empty where nothing is meant."""
    known = names(kind)
    if name in known:
        return name
    entries = {} if kind == "receptor" else _entries(kind)
    classes = {_place(entry)[1]: own for own, entry in entries.items()}
    alike = {_folded(own): own for own in known}
    return classes.get(name) or alike.get(_folded(name), "")


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def _entry(kind: str, name: str) -> EntryPoint:
    return _entries(kind)[_registered(kind, name)]


def _entries(kind: str) -> dict[str, EntryPoint]:
    # Of two of a name, this package's own counts.
    return {entry.name: entry for entry in sorted(_entry_points(GROUPS[kind]), key=_own)}


def _entry_points(group: str) -> Iterator[EntryPoint]:
    """Entry points of a group, without those of packages of which they cannot be read.

    One such package is the end of `importlib.metadata.entry_points`.
    """
    seen: set[str] = set()
    for package in distributions():
        try:
            entries = package.entry_points.select(group=group)
            name = canonicalize_name(package.name) if entries else ""
        except Exception as error:
            _leave_out(str(getattr(package, "_path", package)), f"{type(error).__name__}: {error}")
            continue
        # Of two of a name, the first on the path is the one that is imported.
        if name not in seen:
            yield from entries
        seen.add(name)


@cache
def _leave_out(package: str, reason: str) -> None:
    """Name a broken package, once in a process."""
    log.warning("%s is left out: its entry points cannot be read (%s).", package, reason)


def _place(entry: EntryPoint) -> tuple[str, str]:
    """Module and class, whatever the text of an entry point is worth."""
    module, _, name = entry.value.partition("[")[0].partition(":")
    return module.strip(), name.strip()


def _own(entry: EntryPoint) -> bool:
    return entry.value.startswith("neuromod.")


def _welcomed(kind: str, entry: EntryPoint) -> Any:
    """What another package brings, after a look at whether it will do."""
    # Imported here because Brian2 takes its time.
    from neuromod.parameters import Parameters
    from neuromod.protocol import Study

    found = entry.load()
    if not _words_of(found):
        raise ValueError("it has no docstring, whose first sentence would be its title")
    made_of_settings = isinstance(found, type) and issubclass(found, Parameters)
    if kind == "protocol" and not (made_of_settings and issubclass(found, Study)):
        raise TypeError("it is no neuromod.Protocol or neuromod.Training")
    if made_of_settings:
        # With its defaults, as everything else makes it first.
        found()
    return found


def _words_of(found: Any) -> str:
    """Docstring of a class or function, unless `dataclass` made it up."""
    words = getattr(found, "__doc__", None) or ""
    return "" if words.startswith(f"{found.__name__}(") else inspect.cleandoc(words)


def _library() -> Any:
    # Imported here because Brian2 takes its time.
    from neuromod.models import library

    return library


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
