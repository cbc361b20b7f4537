"""Transistors of a process kit: which names a file of models has, and what they are.

A model card becomes a transistor, a subcircuit an instance, so that the file has to be read. Files
that it includes are read too, and of a file with sections, such as process corners, the one that
is asked for. SPICE's language and Spectre's are understood as far as that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from neuromod.errors import UserError, listed, unknown
from neuromod.support.paths import shown

KINDS = ("nmos", "pmos")
TERMINALS = 4
DEEPEST = 40
"""Files that may include each other in a row."""


@dataclass(frozen=True)
class OwnModels:
    """An n-type and a p-type transistor from a file.

    Attributes
    ----------
    file : Path
    section : str
        Of the file, such as ``"tt"``; empty for a file without sections.
    nmos, pmos : str
        Names of model cards or of subcircuits.
    subcircuits : tuple of str
        Those of the two that are subcircuits.
    unit : float
        Metres that a width or length of 1 stands for.
    """

    file: Path
    section: str
    nmos: str
    pmos: str
    subcircuits: tuple[str, ...] = ()
    unit: float = 1.0


@dataclass
class _Found:
    """What a file has, by names in lower case: a model's type, or a subcircuit's nodes."""

    cards: dict[str, str] = field(default_factory=dict)
    circuits: dict[str, list[str]] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    sections: dict[str, Path] = field(default_factory=dict)
    unit: float = 1.0


def read_models(file: Path, nmos: str, pmos: str, section: str = "") -> OwnModels:
    """Find two transistors in a file of models.

    Parameters
    ----------
    file : Path
    nmos, pmos : str
        Names of model cards, binned ones without their number, or of subcircuits with a drain, a
        gate, a source and a bulk.
    section : str
        Process corner, or other section of the file.

    Raises
    ------
    UserError
        When a file, section or name is not there, or a name is no such transistor.
    """
    found = _Found()
    taken = _read(file.resolve(), section.lower(), found, 0, file)
    if section and not taken:
        raise unknown(f"section of {shown(file)}", section, found.sections)
    if not section and found.sections and not {nmos.lower(), pmos.lower()} & found.spelled.keys():
        first = next(iter(found.sections))
        raise UserError(
            f"{shown(file)} has sections, {listed(found.sections)}: --corner {first} takes one."
        )
    n, p = _check(file, found, nmos, "nmos"), _check(file, found, pmos, "pmos")
    circuits = tuple(name for name in (n, p) if name.lower() in found.circuits)
    spelled = {name.lower(): name for name in found.sections}
    return OwnModels(file.resolve(), spelled.get(section.lower(), ""), n, p, circuits, found.unit)


def _check(file: Path, found: _Found, name: str, kind: str) -> str:
    """A transistor's name as the file spells it."""
    low = name.lower()
    if low not in found.spelled:
        fitting = [*(n for n, held in found.cards.items() if held == kind), *found.circuits]
        if not fitting:
            raise UserError(f"{shown(file)} holds no model of type {kind}, and no subcircuit.")
        raise unknown(f"model in {shown(file)}", name, [found.spelled[n] for n in fitting])
    if low in found.circuits and len(found.circuits[low]) != TERMINALS:
        raise UserError(
            f"{name} in {shown(file)} has nodes {listed(found.circuits[low])}: a transistor has a "
            "drain, a gate, a source and a bulk."
        )
    if found.cards.get(low, kind) != kind:
        raise UserError(f"{name} in {shown(file)} is of type {found.cards[low]}, not {kind}.")
    return found.spelled[low]


def _read(path: Path, section: str, found: _Found, depth: int, asked: Path) -> bool:
    """Take up what a file has, or a section of it; whether there was that section."""
    if depth > DEEPEST:
        raise UserError(f"{shown(asked)} includes files that include each other without end.")
    inside, circuit, taken = "", False, not section
    for words in _statements(path):
        head = words[0].lower().lstrip(".")
        if (head in ("lib", "section") and len(words) == 2) or head == "library":
            if head != "library":
                inside = words[1].lower()
                found.sections.setdefault(words[1], path)
                taken = taken or inside == section
        elif head in ("endl", "endsection", "endlibrary"):
            inside = ""
        elif inside != section:
            continue
        elif head in ("include", "inc", "lib"):
            _follow(words, path, found, depth, asked)
        elif head == "ends":
            circuit = False
        elif circuit:
            continue
        elif head in ("subckt", "inline"):
            circuit = True
            _add_circuit(words, found)
        elif head == "model" and len(words) > 2:
            _add_card(words, found)
        elif head in ("option", "options"):
            found.unit = _scale(words) or found.unit
    return taken


def _follow(words: list[str], path: Path, found: _Found, depth: int, asked: Path) -> None:
    """Read a file that another includes."""
    section = words[2] if len(words) > 2 else ""
    section = re.sub(r"^section\s*=\s*", "", section)
    target = path.parent / words[1]
    if not target.is_file():
        raise UserError(f"{shown(path)} includes {words[1]}, which is not there.")
    inner = _Found()
    taken = _read(target, section.lower(), inner, depth + 1, asked)
    if not taken:
        raise unknown(f"section of {shown(target)}", section, inner.sections)
    for name in ("cards", "circuits", "spelled"):
        getattr(found, name).update(getattr(inner, name))
    found.unit = inner.unit if inner.unit != 1 else found.unit


def _add_circuit(words: list[str], found: _Found) -> None:
    """Take up a subcircuit's name and nodes."""
    words = words[1:] if words[0].lower() == "inline" else words
    nodes = []
    for word in words[2:]:
        if "=" in word or word.lower().startswith(("params:", "optional")):
            break
        nodes.append(word)
    found.circuits[words[1].lower()] = nodes
    found.spelled[words[1].lower()] = words[1]


def _add_card(words: list[str], found: _Found) -> None:
    """Take up a model's name, without the number of its bin, and its type."""
    name, kind = re.sub(r"\.\d+$", "", words[1]), words[2].lower()
    if kind not in KINDS:
        # Spectre has one name for both: the type is a parameter.
        given = re.search(r"\btype\s*=\s*([np])\b", " ".join(words), re.IGNORECASE)
        kind = f"{given[1].lower()}mos" if given else kind
    found.cards[name.lower()] = kind
    found.spelled[name.lower()] = name


def _scale(words: list[str]) -> float | None:
    """What an option makes of a width or length of 1, metres."""
    given = re.search(r"\bscale\s*=\s*([0-9.]+(?:e[-+]?\d+)?)([a-z]*)", " ".join(words).lower())
    if given is None:
        return None
    return float(given[1]) * {"": 1, "u": 1e-6, "n": 1e-9, "m": 1e-3}.get(given[2][:1], 1)


def _statements(path: Path) -> Iterator[list[str]]:
    """Words of each statement of a file that may be of use here, continued lines joined."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read ({error.strerror}).") from error
    text = re.sub(r"\n[ \t]*\+", " ", re.sub(r"\\\n", " ", text))
    for line in text.splitlines():
        line = re.split(r"\s[$;]|//|;", line)[0].strip()
        if not line or line[0] in "*$":
            continue
        head = line.split(None, 1)[0].lower().lstrip(".")
        if head not in STATEMENTS or (line[0] != "." and head not in SPECTRE):
            continue
        # A value belongs to its name, wherever blanks stand.
        line = re.sub(r"\s*=\s*", "=", line)
        words = re.findall(r"\"[^\"]*\"|'[^']*'|[^\s()\"',]+", line)
        yield [word.strip("\"'") for word in words]


SPECTRE = {
    "model",
    "subckt",
    "inline",
    "ends",
    "include",
    "section",
    "endsection",
    "library",
    "endlibrary",
}
STATEMENTS = SPECTRE | {"lib", "endl", "inc", "option", "options"}
