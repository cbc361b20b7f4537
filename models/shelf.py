"""Ready-made models by name, from tables that give the source of every number."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from brian2 import umolar

from neuromod.errors import UserError, short, unknown
from neuromod.models.entry_points import entry_points, load
from neuromod.parameters import About, Parameters, check, parameter

Ready = TypeVar("Ready", bound=Parameters)
Entry = Mapping[str, Any]
AFFINITY = About("dissociation constant", "", low=0 * umolar, low_excluded=True)


class NotOnShelfError(UserError, KeyError):
    """A name that a shelf lacks."""

    def __str__(self) -> str:
        return str(self.args[0])


class Shelf(Mapping[str, Ready], Generic[Ready]):
    """Ready-made models by name, as items and as attributes: ``shelf["D1"]`` is ``shelf.D1``.

    Iteration goes over the package's own. A name may also be that of one which an installed
    package brings or, where files are read, a file and one in it, as ``mine.toml:H3``. Of two of a
    name, the package's own counts. Names that are no words of Python's, as ``5HT1A``, are items.

    Parameters
    ----------
    kind : str
        What they are, such as ``"receptor"``; the entry points' group is ``neuromod.KINDs``.
    base : type
        Class of all of them.
    own : mapping of str to model
    read : callable, optional
        Reads a file of them, by name.
    """

    def __init__(
        self,
        kind: str,
        base: type[Ready],
        own: Mapping[str, Ready],
        read: Callable[[Path], Mapping[str, Ready]] | None = None,
    ) -> None:
        self._kind, self._base, self._own, self._read = kind, base, dict(own), read

    def __getitem__(self, name: str) -> Ready:
        if name in self._own:
            return self._own[name]
        path, colon, inside = str(name).rpartition(":")
        if self._read and colon and path.endswith(".toml"):
            found = self._read(Path(path))
            if inside not in found:
                raise unknown(f"{self._kind} in {path}", inside, found)
            return found[inside]
        brought = entry_points(f"neuromod.{self._kind}s")
        if name in brought:
            ready: Ready = load(self._kind, brought[name], lambda found: self._check(name, found))
            return ready
        raise NotOnShelfError(str(unknown(self._kind, str(name), self.names())))

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def __getattr__(self, name: str) -> Ready:
        # Python asks for names of its own, before there is anything here.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except NotOnShelfError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        words = [name for name in self.names() if name.isidentifier()]
        return [*super().__dir__(), *words]

    def __repr__(self) -> str:
        return f"<{self._kind}s {', '.join(self)}>"

    def __or__(self, more: Mapping[str, Any]) -> Shelf[Any]:
        """The shelf with more on it."""
        return Shelf(self._kind, self._base, self._own | dict(more), self._read)

    def names(self) -> list[str]:
        """All names, the package's own first; those in files are not known."""
        return list(dict.fromkeys([*self._own, *sorted(entry_points(f"neuromod.{self._kind}s"))]))

    def _check(self, name: str, found: Any) -> None:
        """Refuse what an installed package brings unless it is one of these, of its own name."""
        if not isinstance(found, self._base):
            raise TypeError(f"it is no {self._base.__name__} but {short(found)}")
        # Run records know it by this name, if it has one.
        own = vars(found).get("name", name)
        if own != name:
            raise ValueError(f"its own name is {own!r}")


def read_shelf(path: str | Path, make: Callable[[str, Entry], Ready]) -> dict[str, Ready]:
    """Models by name from a TOML file with a table for each.

    Parameters
    ----------
    path : path
    make : callable
        Of a name and its table: the model. Its errors are told with the file's name.

    Raises
    ------
    UserError
        When there is no such file, it is not TOML, or a table will not do.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from error
    if not table:
        raise UserError(f"{path} is empty: a table such as [H3] was expected.")
    made = {}
    for name, entry in table.items():
        try:
            if not isinstance(entry, Mapping):
                raise UserError(f"{name} must be a table, such as [H3], not {short(entry)}.")
            made[name] = make(name, entry)
        except UserError as error:
            raise UserError(f"In {path}: {error}") from error
    return made


def check_keys(name: str, entry: Entry, needed: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Refuse a table that lacks what it needs, or has what nobody reads."""
    for key in entry:
        if key not in (*needed, *other):
            raise UserError(str(unknown(f"number or text of {name}", key, (*needed, *other))))
    for key in needed:
        if key not in entry:
            raise UserError(f"{name} lacks {key}.")


def text(name: str, entry: Entry, key: str) -> str:
    """A text of a table."""
    found = entry[key]
    if not isinstance(found, str) or not found.strip():
        raise UserError(f"{key} of {name} must be a text, not {short(found)}.")
    return found


def sourced(name: str, entry: Entry, key: str, unit: Any, about: About) -> tuple[Any, str]:
    """A number of a table in its unit, and where it comes from."""
    found = entry[key]
    if not isinstance(found, list) or len(found) != 2:
        raise UserError(
            f'{key} of {name} must be a number and its source, such as [0.3, "chosen here"], not '
            f"{short(found)}."
        )
    value, source = found
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key} of {name} needs a number, not {short(value)}.")
    if not isinstance(source, str) or not source.strip():
        raise UserError(f"{key} of {name} needs the source of its number, not {short(source)}.")
    return check(f"{key} of {name}", value * unit, 1.0 * unit, about), source


def cited(base: type[Ready], name: str, words: str, values: Mapping[str, tuple[Any, str]]) -> Ready:
    """A model of a class whose defaults are its own, each with its source.

    Parameters
    ----------
    base : type
        Class of the model.
    name : str
        Of the new class.
    words : str
        Its docstring.
    values : mapping of str to (value, source)
        By field; all others are as in `base`.
    """
    fields = []
    for field in dataclasses.fields(base):
        if field.name in values:
            default, source = values[field.name]
            about = dataclasses.replace(field.metadata["about"], source=source)
            fields.append((field.name, field.type, parameter(default, **vars(about))))
    said = {"__doc__": words, "__module__": base.__module__}
    made = dataclasses.make_dataclass(
        name, fields, bases=(base,), frozen=True, eq=False, namespace=said
    )
    ready: Ready = made()
    return ready


def field_of(base: type[Parameters], name: str) -> About:
    """Description of a parameter of a class."""
    about: About = next(f for f in dataclasses.fields(base) if f.name == name).metadata["about"]
    return about
