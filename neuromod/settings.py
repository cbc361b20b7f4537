"""Settings as text: ``tau_m=15*ms`` in, a checked dataclass out, and back without loss.

The grammar is Python's own, walked node by node over a short list of what is allowed: numbers,
units, products, quotients and small powers of them, lists, and ``linspace(a, b, n)``. Nothing is
ever evaluated.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import brian2.units.allunits
import brian2.units.stdunits
import numpy as np
from brian2 import Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS, Unit

from neuromod.errors import UserError, short, unknown
from neuromod.parameters import (
    LARGEST,
    MOST_VALUES,
    About,
    Parameters,
    holds_models,
    parameters,
    unit_of,
)
from neuromod.support.machine import within_means

UNITS: dict[str, Unit] = {
    name: unit
    for module in (brian2.units.allunits, brian2.units.stdunits)
    for name, unit in vars(module).items()
    if isinstance(unit, Unit)
}
# Circuit designers' short names, which Brian2 lacks.
UNITS |= {
    "ns": UNITS["nsecond"],
    "fF": UNITS["ffarad"],
    "fJ": UNITS["fjoule"],
    "pJ": UNITS["pjoule"],
    "fA": UNITS["famp"],
}
Kind = TypeVar("Kind", bound=Parameters)

NONE = "none"
"""An empty list of models, such as the receptors of an unmodulated neuron."""
MAX_POWER = 6


def parse_value(text: str) -> Any:
    """Number, quantity, list or plain word from text.

    Such as ``15*ms``, ``0.55*volt``, ``[1, 2.5]*nA``, ``linspace(0.5, 1, 11)*volt``, ``true`` or
    ``clocked``.

    Raises
    ------
    UserError
        When the text is outside the grammar, or a unit is unknown.
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    try:
        return text if _is_word(tree.body) else _value(tree.body)
    except UserError as error:
        raise UserError(f"In {short(text)}: {error}") from None
    except (OverflowError, ZeroDivisionError, RecursionError):
        raise UserError(f"{short(text)} cannot be computed.") from None


def format_value(value: Any) -> str:
    """Text from which `parse_value` gives exactly the same value back."""
    if isinstance(value, tuple) and not value:
        return NONE
    if isinstance(value, tuple):
        return ", ".join(format_value(item) for item in value) + ("," if len(value) == 1 else "")
    if isinstance(value, np.ndarray):
        number = repr(np.asarray(value).tolist())
        return number if unit_of(value) == "1" else f"{number} * {unit_of(value)}"
    return str(value) if isinstance(value, bool | str) else repr(value)


def change(settings: Kind, assignments: Mapping[str, Any]) -> Kind:
    """Copy of settings with some values changed.

    Parameters
    ----------
    settings : Parameters
        A protocol or model.
    assignments : mapping of str to value
        By name, in order; a parameter of a model inside a protocol may be named alone where only
        one model has it, otherwise as ``model.name``; a whole model by its own name. A list of
        models, such as a neuron's receptors, is given as models or names, after which each has
        parameters of its own, as in ``receptors.D1.k_on``; a name that is not known makes a new
        model if its parameters are given too.

    Raises
    ------
    UserError
        For an unknown or ambiguous name, or a value that does not fit.
    """
    for name, value in assignments.items():
        settings = _assign(settings, name, value, assignments)
    with within_means():
        return _checked(settings)


def flatten(settings: Parameters) -> dict[str, Any]:
    """All values of settings by dotted name; for a list of models, their names and then theirs."""
    flat: dict[str, Any] = {}
    for name, default, _ in parameters(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, Parameters):
            flat |= {f"{name}.{inner}": v for inner, v in flatten(value).items()}
        elif holds_models(default):
            flat[name] = tuple(member.name for member in value)
            for member in value:
                inner = flatten(member)
                flat |= {f"{name}.{member.name}.{n}": inner[n] for n in inner if n != "name"}
        else:
            flat[name] = value
    return flat


def read(settings: Parameters, texts: Mapping[str, str]) -> dict[str, Any]:
    """Values from texts, each read as the kind of value that its setting holds, for `change`.

    A text is taken as it is where the setting is one.

    Raises
    ------
    UserError
        For an unknown or ambiguous name, or a text that cannot be read.
    """
    values = {}
    for name, text in texts.items():
        current = flatten(settings)
        held = current[_resolve(name, current)]
        values[name] = _read(text, held)
        if isinstance(held, tuple):
            # Models that a list gains bring settings of their own.
            settings = _assign(settings, name, values[name], texts)
    return values


def split_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Names and texts of assignments such as ``tau_m=15*ms``."""
    texts = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip() or not text.strip():
            raise UserError(
                f"{short(assignment)} is not of the form name=value, such as tau_m=15*ms."
            )
        texts[name.strip()] = text.strip()
    return texts


def _resolve(name: str, names: Mapping[str, Any]) -> str:
    if name in names:
        return name
    matches = [full for full in names if full.endswith(f".{name}")]
    if len(matches) > 1:
        raise UserError(f"{name!r} could mean {' or '.join(matches)}: write the longer name.")
    if not matches:
        raise unknown("setting", name, {*names, *(n.rpartition(".")[2] for n in names)})
    return matches[0]


def _assign(settings: Kind, name: str, value: Any, given: Mapping[str, Any]) -> Kind:
    own = [own for own, _, _ in parameters(type(settings))]
    path = [name] if name in own else _resolve(name, flatten(settings)).split(".")
    return _replace(settings, path, value, given)


def _replace(settings: Kind, path: list[str], value: Any, given: Mapping[str, Any]) -> Kind:
    field, *inner = path
    default, about = next((d, a) for n, d, a in parameters(type(settings)) if n == field)
    before = getattr(settings, field)
    if holds_models(default):
        if inner:
            value = tuple(
                _replace(m, inner[1:], value, given) if m.name == inner[0] else m for m in before
            )
        else:
            value = _models(value, default[0], about, given)
    elif inner:
        value = _replace(before, inner, value, given)
    # Not checked yet: what is assigned next may be what makes it fit.
    changed = copy.copy(settings)
    object.__setattr__(changed, field, value)
    return changed


def _checked(settings: Kind) -> Kind:
    """The same settings, made as such and thereby checked, from the inside out."""
    inner: dict[str, Any] = {}
    for name, _, _ in parameters(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, Parameters):
            inner[name] = _checked(value)
        elif holds_models(value):
            inner[name] = tuple(_checked(v) if isinstance(v, Parameters) else v for v in value)
    return dataclasses.replace(settings, **inner)


def _models(value: Any, default: Any, about: About, given: Mapping[str, Any]) -> tuple[Any, ...]:
    """Models from models or names; a new name stands for one whose parameters are given too."""
    made: list[Any] = []
    for item in value if isinstance(value, tuple | list) else (value,):
        if isinstance(item, str) and item in about.named:
            made.append(about.named[item])
        elif isinstance(item, str) and any(f".{item}." in f".{name}" for name in given):
            made.append(dataclasses.replace(default, name=item))
        elif isinstance(item, str):
            raise unknown(type(default).__name__.lower(), item, about.named)
        else:
            made.append(item)
    return tuple(made)


def _read(text: str, held: Any) -> Any:
    if isinstance(held, str):
        return text
    if isinstance(held, tuple) and all(isinstance(item, str) for item in held):
        # Names need not be words of Python's grammar, as 5HT1A is not.
        words = [word.strip(" '\"") for word in text.strip("[]() ").split(",")]
        # A comma may end the list, and a list of models may be empty.
        return () if words == [NONE] else tuple(words if words[-1] else words[:-1])
    return parse_value(text)


def _is_word(node: ast.expr) -> bool:
    """Whether the text is a plain word such as ``clocked`` or ``bio-vs-circuit``."""
    if isinstance(node, ast.Name):
        return node.id not in UNITS
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return _is_word(node.left) and _is_word(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Constant(value=str() as word):
            return word
        case ast.Name(id=name) if name in UNITS:
            return UNITS[name]
        case ast.Name(id=name):
            raise unknown("unit", name, UNITS)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _bounded(_number(left) * _number(right))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _number(left) / _number(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            power = _number(right)
            if not isinstance(power, int) or abs(power) > MAX_POWER:
                raise UserError(f"a power must be a whole number up to {MAX_POWER}.")
            return _bounded(_number(left) ** power)
        case ast.List(elts=items):
            return _array([_number(item) for item in items])
        case ast.Tuple(elts=items):
            found = [ast.unparse(item) if _is_word(item) else _value(item) for item in items]
            # Plain numbers and words stay a tuple.
            has_units = any(isinstance(item, Quantity) for item in found)
            return _array(found) if has_units else tuple(found)
        case ast.Call(func=ast.Name(id="linspace"), args=[start, stop, count], keywords=[]):
            return _linspace(_number(start), _number(stop), _value(count))
    raise UserError(
        "this is not a value that can be read: use numbers, units, * / **, [lists] and "
        "linspace(first, last, count), such as 15*ms or [0.5, 0.75]*volt."
    )


def _number(node: ast.expr) -> Any:
    """Value of a node that may stand in arithmetic."""
    value = _value(node)
    if isinstance(value, str | tuple):
        raise UserError("text or lists are mixed with arithmetic.")
    return value


def _bounded(number: Any) -> Any:
    """The number, unless it is an integer that could grow without end."""
    # Of the smallest integer, the minus is read after the number.
    if isinstance(number, int) and abs(number) > LARGEST + 1:
        raise OverflowError
    return number


def _linspace(start: Any, stop: Any, count: Any) -> Any:
    if not isinstance(count, int) or not 1 <= count <= MOST_VALUES:
        raise UserError(f"linspace takes a whole number of points, 1 to {MOST_VALUES}.")
    _check_alike([start, stop])
    return start + (stop - start) * np.linspace(0, 1, count)


def _array(items: list[Any]) -> Any:
    if not items:
        raise UserError("a list needs at least one value.")
    _check_alike(items)
    found = Quantity(items, dtype=float)
    return np.asarray(found) if found.dim is DIMENSIONLESS else found


def _check_alike(items: list[Any]) -> None:
    if any(isinstance(item, str) or np.ndim(item) for item in items):
        raise UserError("a list holds single numbers with units.")
    if len({unit_of(item) for item in items}) > 1:
        raise UserError("all values of a list need the same unit.")
