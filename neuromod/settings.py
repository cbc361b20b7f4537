"""Settings as text: ``tau_m=15*ms`` in, a checked dataclass out, and back without loss.

The grammar is Python's own, walked node by node over a short list of what is allowed: numbers,
units, products, quotients and small powers of them, lists, and ``linspace(a, b, n)`` and its like.
Nothing is ever evaluated.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import brian2.units.allunits
import brian2.units.stdunits
import numpy as np
from brian2 import Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS, Unit

from neuromod.chip.mirror_data import read_mirror
from neuromod.errors import UserError, short, unknown
from neuromod.models.device_table import DeviceTable
from neuromod.parameters import (
    LARGEST,
    MOST_VALUES,
    About,
    Parameters,
    holds_models,
    lists_models,
    parameters,
    unit_of,
)
from neuromod.support.machine import within_means
from neuromod.support.text import NAMES

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
    "fC": UNITS["fcoulomb"],
    "pC": UNITS["pcoulomb"],
}
Kind = TypeVar("Kind", bound=Parameters)

# Signs of units as people write them, and a number or list with a letter right behind it.
GREEK = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u03a9": "ohm", "\u2126": "ohm"})
JOINED = re.compile(r"((?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[\])])\s*(?=[^\W\d_])")

NONE = "none"
"""An empty list of models, such as the receptors of an unmodulated neuron."""
MAX_POWER = 12
"""Of a unit; the cube of a volt in base units has second to the power of -9."""


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
    plain = text.strip().translate(GREEK)
    try:
        tree = ast.parse(plain, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _refuse_without_sign(plain)
        return text
    try:
        return text if _is_word(tree.body) else _value(tree.body)
    except UserError as error:
        raise UserError(f"In {short(text)}: {error}") from None
    except (OverflowError, ZeroDivisionError, RecursionError):
        raise UserError(f"{short(text)} cannot be computed.") from None


def _refuse_without_sign(text: str) -> None:
    """Refuse a number with its unit right behind it, as in ``1uM``, and say how to write it.

    Of anything else that is not in the grammar, the setting knows better what was expected.
    """
    signed = JOINED.sub(r"\1*", text)
    if signed != text and _is_value(signed):
        raise UserError(f"{short(text)} lacks a sign between number and unit: write {signed}.")


def _is_value(text: str) -> bool:
    """Whether a text is a number or a list of numbers, with or without a unit."""
    try:
        tree = ast.parse(text, mode="eval")
        return not _is_word(tree.body) and not isinstance(_value(tree.body), str | tuple)
    except (UserError, SyntaxError, ValueError, OverflowError, ZeroDivisionError, RecursionError):
        return False


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
    for name, default, about in parameters(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, Parameters):
            if type(value) is not type(default):
                flat[name] = _word_for(value, about)
            flat |= {f"{name}.{inner}": v for inner, v in flatten(value).items()}
        elif isinstance(value, Mapping):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        elif lists_models(default, about):
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
        held = _held(settings, name)
        values[name] = _read(text, held)
        if isinstance(held, tuple | Parameters):
            # Models bring settings of their own.
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


def _held(settings: Parameters, name: str) -> Any:
    """What a setting holds, so far; an empty text for a new name in a mapping of texts."""
    current: dict[str, Any] = flatten(settings)
    models = {field: getattr(settings, field) for field, _, _ in parameters(type(settings))}
    chosen = {field: value for field, value in models.items() if isinstance(value, Parameters)}
    if name in chosen:
        return chosen[name]
    if (about := _in_mapping(settings, name)) is not None:
        return current.get(name, 0.0 if about.any_unit else "")
    return current[resolve(name, current)]


def _in_mapping(settings: Parameters, name: str) -> About | None:
    """What the mapping is in which a full name is, which may gain new names; None for others."""
    *path, last = name.split(".")
    holder: Any = settings
    for part in path[:-1]:
        holder = getattr(holder, part, None)
    if not path or not isinstance(holder, Parameters) or not last.isidentifier():
        return None
    fields = {field: (default, about) for field, default, about in parameters(type(holder))}
    default, about = fields.get(path[-1], (None, None))
    return about if isinstance(default, Mapping) else None


def resolve(name: str, names: Mapping[str, Any]) -> str:
    """Full name of a setting among those of `flatten`, by its own or by its end alone.

    Raises
    ------
    UserError
        When there is none or several.
    """
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
    if name in own or _in_mapping(settings, name) is not None:
        path = name.split(".")
    else:
        path = resolve(name, flatten(settings)).split(".")
    return _replace(settings, path, value, given)


def _replace(settings: Kind, path: list[str], value: Any, given: Mapping[str, Any]) -> Kind:
    field, *inner = path
    default, about = next((d, a) for n, d, a in parameters(type(settings)) if n == field)
    before = getattr(settings, field)
    if lists_models(default, about):
        if inner:
            value = tuple(
                _replace(m, inner[1:], value, given) if m.name == inner[0] else m for m in before
            )
        else:
            value = _models(value, about.kinds or (type(default[0]),), about, given)
    elif isinstance(default, Mapping) and inner:
        value = {**before, inner[0]: value}
    elif isinstance(default, Parameters) and not inner and isinstance(value, str):
        if value not in about.named:
            raise unknown(field, value, about.named)
        value = about.named[value]
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


def _models(
    value: Any, kinds: tuple[type, ...], about: About, given: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Models from models or names; a new name stands for one whose parameters are given too.

    A table of one's own mirror is named by the path of its file.
    """
    made: list[Any] = []
    for item in value if isinstance(value, tuple | list) else (value,):
        if isinstance(item, str) and item in about.named:
            made.append(about.named[item])
        elif isinstance(item, str) and any(f".{item}." in f".{name}" for name in given):
            made.append(_kind_of(item, kinds, given)(name=item))
        elif isinstance(item, str) and kinds == (DeviceTable,):
            made.append(read_mirror(item).table)
        elif isinstance(item, str):
            raise unknown(kinds[0].__name__.lower(), item, about.named)
        else:
            made.append(item)
    return tuple(made)


def _kind_of(item: str, kinds: tuple[type, ...], given: Mapping[str, Any]) -> type:
    """Class that has all the parameters that a model in a list is given."""
    parts = (f".{name}".partition(f".{item}.")[2] for name in given)
    names = {part.partition(".")[0] for part in parts if part}
    known = ({name for name, _, _ in parameters(kind)} for kind in kinds)
    return next((k for k, has in zip(kinds, known, strict=True) if names <= has), kinds[0])


def _word_for(value: Parameters, about: About) -> str:
    """Name of a model among those that a setting may be given by name."""
    names = (name for name, named in about.named.items() if type(named) is type(value))
    # Of no such class: the record says which, and cannot be read again.
    return next(names, type(value).__name__)


def _read(text: str, held: Any) -> Any:
    if isinstance(held, str | Parameters):
        return text
    if isinstance(held, tuple) and all(isinstance(item, str) for item in held):
        # Names need not be words of Python's grammar, as 5HT1A is not.
        words = [word.strip(" '\"") for word in text.strip("[]() ").split(",")]
        # A comma may end the list, and a list of models may be empty.
        empty = words == [NONE] and NONE not in held
        return () if empty else tuple(words if words[-1] else words[:-1])
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
        case ast.Name(id=name) if name in NAMES:
            return UNITS[NAMES[name]]
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
        case ast.Call(func=ast.Name(id=name), args=[start, stop, last], keywords=[]) if (
            name in SPACES
        ):
            return SPACES[name](_number(start), _number(stop), _number(last))
    raise UserError(
        "this is not a value that can be read: use numbers, units, * / **, [lists], "
        "linspace(first, last, count), geomspace, logspace and arange(first, end, step), such as "
        "15*ms or [0.5, 0.75]*volt."
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
    """`count` values at equal distances from `start` to `stop`."""
    return _spaced(np.linspace, start, stop, count)


def _geomspace(start: Any, stop: Any, count: Any) -> Any:
    """`count` values at equal ratios from `start` to `stop`."""
    _check_alike([start, stop])
    if not float(start) * float(stop) > 0:
        raise UserError("geomspace goes from one number to another of the same sign, not over 0.")
    return _spaced(np.geomspace, start, stop, count)


def _logspace(start: Any, stop: Any, count: Any) -> Any:
    """10 to the power of `count` numbers at equal distances from `start` to `stop`."""
    if isinstance(start, Quantity) or isinstance(stop, Quantity):
        raise UserError("logspace takes powers of ten: put the unit behind it, as in [...]*uM.")
    return _spaced(np.logspace, start, stop, count)


def _spaced(space: Callable[..., np.ndarray], start: Any, stop: Any, count: Any) -> Any:
    """The values of one of NumPy's functions, to the bit, with the unit of both ends."""
    _check_count(space.__name__, count)
    _check_alike([start, stop])
    with np.errstate(over="ignore", invalid="ignore"):
        values = space(float(start), float(stop), count)
    if not np.all(np.isfinite(values)):
        raise OverflowError
    return Quantity(values, dim=start.dim) if isinstance(start, Quantity) else values


def _arange(start: Any, stop: Any, step: Any) -> Any:
    """Values from `start` in steps of `step` up to, but without, `stop`."""
    _check_alike([start, stop, step])
    # What rounding leaves of a last step is none.
    count = float((stop - start) / step)
    if not 0 < count <= MOST_VALUES:
        raise UserError(f"arange takes steps towards its end, 1 to {MOST_VALUES} of them.")
    return start + step * np.arange(int(np.ceil(count - 1e-9)))


SPACES = {"linspace": _linspace, "geomspace": _geomspace, "logspace": _logspace, "arange": _arange}
"""Lists of numbers by the name of the NumPy function that makes them."""


def _check_count(name: str, count: Any) -> None:
    if not isinstance(count, int) or not 1 <= count <= MOST_VALUES:
        raise UserError(f"{name} takes a whole number of points, 1 to {MOST_VALUES}.")


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
