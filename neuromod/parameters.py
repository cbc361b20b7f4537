"""Parameters with a unit, a physical range, a meaning and a source.

Models and protocols are frozen dataclasses of such parameters, so that both are checked when
they are made and can describe themselves.
"""

from __future__ import annotations

import dataclasses
import inspect
import numbers
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from brian2 import DimensionMismatchError, Equations, Quantity, get_dimensions
from brian2.equations.equations import EquationError
from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension, get_unit, have_same_dimensions

from neuromod.errors import UserError, listed, unknown
from neuromod.support.text import handy, number, say, short, typed, with_unit

EXACT = 8
"""Digits of a value that is refused: enough to tell it from the nearest one that is not."""
MOST_VALUES = 1_000_000
"""Of a list; each is written into a run's settings as text, and most make a neuron."""
LARGEST = 2**63 - 1
"""Whole number."""
HUGE = 1e60
"""In base units: nothing measured is, and products of five stay finite."""
BASE_UNITS = {
    "m": "meter",
    "kg": "kilogram",
    "s": "second",
    "A": "amp",
    "K": "kelvin",
    "mol": "mole",
    "cd": "candle",
}


@dataclass(frozen=True)
class About:
    """Description of a parameter.

    Attributes
    ----------
    meaning : str
        One line for people.
    source : str
        A publication, or ``"calibrated here"``, or ``"chosen here"``, with the reason.
    low, high : number or Quantity or None
        Physical range, both ends allowed unless `low_excluded`.
    choices : tuple of str
        The values that a text may have.
    named : mapping of str to Parameters
        Ready-made values that may be given by name.
    kinds : tuple of type
        Classes that a model may be of; the default's own if there are none.
    any_unit : bool
        Whether a number may have any unit, which only equations elsewhere can tell.
    """

    meaning: str
    source: str
    low: Any = None
    high: Any = None
    low_excluded: bool = False
    choices: tuple[str, ...] = ()
    named: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    kinds: tuple[type, ...] = ()
    any_unit: bool = False

    @property
    def range(self) -> str:
        """The values allowed, in words; empty where any will do."""
        if self.choices or self.named:
            return " or ".join((*self.choices, *self.named))
        if not self.bounds:
            return ""
        plain, unit = handy(Quantity(self.bounds))
        first, last = number(plain[0]), number(plain[-1])
        words = f"above {first}" if self.low_excluded else f"at least {first}"
        if self.low is None:
            words = f"at most {last}"
        elif self.high is not None:
            words = f"{words}, at most {last}" if self.low_excluded else f"{first} to {last}"
        return with_unit(words, unit)

    @property
    def bounds(self) -> list[Any]:
        """The bounds that are set."""
        return [bound for bound in (self.low, self.high) if bound is not None]


def parameter(
    default: Any,
    meaning: str,
    source: str,
    *,
    low: Any = None,
    high: Any = None,
    low_excluded: bool = False,
    choices: tuple[str, ...] = (),
    named: Mapping[str, Any] | None = None,
    kinds: tuple[type, ...] = (),
    any_unit: bool = False,
) -> Any:
    """Field of a `Parameters` dataclass.

    The default's type, unit and dimensionality (scalar or 1-D) bind every later value; for the rest
    see `About`. A whole number counts things that are made: `MOST_VALUES` is its highest, unless
    `high` says otherwise.
    """
    if high is None and isinstance(default, int) and not isinstance(default, bool):
        high = MOST_VALUES
    # Not `named or {}`, which would load all that is named to count it.
    named = {} if named is None else named
    about = About(meaning, source, low, high, low_excluded, choices, named, kinds, any_unit)
    if isinstance(default, np.ndarray | Parameters | Mapping):
        return dataclasses.field(default_factory=lambda: default, metadata={"about": about})
    return dataclasses.field(default=default, metadata={"about": about})


def positive(default: Any, meaning: str, source: str, high: Any = None) -> Any:
    """Field whose values are above 0; see `parameter`."""
    return parameter(default, meaning, source, low=_zero(default), high=high, low_excluded=True)


def not_negative(default: Any, meaning: str, source: str, high: Any = None) -> Any:
    """Field whose values are 0 or above; see `parameter`."""
    return parameter(default, meaning, source, low=_zero(default), high=high)


def _zero(default: Any) -> Any:
    """0 in the unit of a value."""
    return Quantity(0, dim=default.dim) if isinstance(default, Quantity) else 0


@dataclass(frozen=True)
class ModelInput:
    """What reaches a neuron from outside, such as a current or a supply; a population is given it.

    The default is what reaches a neuron that is given nothing.
    """

    default: Any
    about: About


def model_input(
    default: Any, meaning: str, source: str, *, low: Any = None, high: Any = None
) -> ModelInput:
    """An input of a model; see `About`."""
    return ModelInput(default, About(meaning, source, low, high))


class _Signature:
    """That of a class's ``__init__``, which Python would otherwise take from its ``__new__``."""

    def __get__(self, made: object, cls: type) -> inspect.Signature:
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=[*own.parameters.values()][1:])


@dataclass(frozen=True, eq=False)
class Parameters:
    """Base of every model and protocol: a frozen set of checked parameters.

    Raises
    ------
    UserError
        When a name is unknown, or a value has the wrong unit or type or lies outside its physical
        range.
    """

    __signature__ = _Signature()

    def __new__(cls, *_: Any, **named: Any) -> Self:
        """Refuse names of no parameter, of which the dataclass would say less."""
        # Copies are made often, and without names.
        known = cls.__signature__.parameters if named else {}
        for name in named:
            if name not in known:
                raise _unknown_parameter(cls, name, known)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, default, about in parameters(type(self)):
            checked = check(name, getattr(self, name), default, about)
            object.__setattr__(self, name, checked)
        self.check_values(lambda name: own_value(self, name))

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together; none by default.

        Parameters
        ----------
        own : callable
            Of a parameter's name: its value, or one value for each neuron.
        """

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = [name for name, _, _ in parameters(type(self))]
        return all(_same(getattr(self, n), getattr(other, n)) for n in names)

    __hash__ = None  # type: ignore[assignment]


def _unknown_parameter(cls: type[Parameters], name: str, known: Iterable[str]) -> UserError:
    inputs = getattr(cls(), "inputs", {})
    # A protocol may have something else under that name.
    inputs = inputs if isinstance(inputs, Mapping) else {}
    if name in inputs:
        return UserError(
            f"{name} is an input of {cls.__name__}, no parameter: give it to the population, as in "
            f"Population(..., values={{{name!r}: ...}})."
        )
    return unknown(f"parameter of {cls.__name__}", name, [*known, *inputs])


def parameters(cls: type[Parameters]) -> Iterator[tuple[str, Any, About]]:
    """Name, default and description of every parameter of a model or protocol class."""
    for field in dataclasses.fields(cls):
        if "about" not in field.metadata:
            continue
        if field.default_factory is not dataclasses.MISSING:
            yield field.name, field.default_factory(), field.metadata["about"]
        else:
            yield field.name, field.default, field.metadata["about"]


def namespace(settings: Parameters) -> dict[str, Any]:
    """Values of a model's numeric parameters by name, those of models inside it included."""
    values: dict[str, Any] = {}
    for name, _, _ in parameters(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, Parameters):
            values |= namespace(value)
        elif not isinstance(value, str | bool | tuple | Mapping):
            values[name] = value
    return values


def holds_models(value: Any) -> bool:
    """Whether a parameter's value is a list of models, such as a neuron's receptors.

    Only its default tells for sure: a list may be empty.
    """
    return isinstance(value, tuple) and any(isinstance(item, Parameters) for item in value)


def lists_models(default: Any, about: About) -> bool:
    """Whether a parameter takes a list of models, which is empty by default in some."""
    return isinstance(default, tuple) and (bool(about.kinds) or holds_models(default))


def abouts(settings: Parameters) -> dict[str, About]:
    """Descriptions by the name that each parameter has in a model's equations.

    Parameters of a model in a list of models carry its name, as in ``k_on_D1``.
    """
    found: dict[str, About] = {}
    for name, _, about in parameters(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, Parameters):
            found |= abouts(value)
        elif holds_models(value):
            for member in value:
                found |= {f"{n}_{member.name}": inner for n, inner in abouts(member).items()}
        else:
            found[name] = about
    return found


def used(values: Mapping[str, Any], equations: str) -> dict[str, Any]:
    """Those values that equations name."""
    words = set(re.findall(r"[A-Za-z_]\w*", equations))
    return {name: value for name, value in values.items() if name in words}


def check(name: str, value: Any, default: Any, about: About) -> Any:
    """Validate one value against its parameter's unit, kind and range.

    Parameters
    ----------
    name : str
        The parameter's, for the message.
    value : number, str, Quantity, tuple or Parameters
    default : number, str, Quantity, tuple or Parameters
        It says what is expected.
    about : About

    Returns
    -------
    value
        As given, or converted to the default's kind (scalar to one-element array, int to float).
    """
    if isinstance(default, Parameters):
        if isinstance(value, str) and about.named:
            if value not in about.named:
                raise unknown(type(default).__name__.lower(), value, about.named)
            return about.named[value]
        kinds = about.kinds or (type(default),)
        if not isinstance(value, kinds):
            expected = listed([kind.__name__ for kind in kinds], "or")
            raise UserError(f"{name} must be a {expected}, not {short(value)}.")
        return value
    if isinstance(default, Mapping):
        return _checked_mapping(name, value, about)
    if isinstance(default, bool | str):
        value = value.item() if isinstance(value, np.generic) else value
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(value, type(default)):
            kind = "text" if isinstance(default, str) else "True or False"
            raise UserError(f"{name} = {short(value)} must be {kind}, such as {default!r}.")
        if about.choices and value not in about.choices:
            raise unknown(name, str(value), about.choices)
        return value
    is_list = isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim)
    if is_list and len(value) > MOST_VALUES:
        raise UserError(f"{name} takes {say(MOST_VALUES)} values at most, not {say(len(value))}.")
    if isinstance(default, tuple):
        items = tuple(value) if is_list else (value,)
        if not items and default and not lists_models(default, about):
            raise UserError(f"{name} needs at least one value.")
        example = default[0] if default else about.kinds[0]() if about.kinds else ""
        items = tuple(check(name, item, example, about) for item in items)
        for item in items:
            _check_word(name, item)
        return items
    if np.ndim(default) == 1 and isinstance(value, list | tuple):
        value = as_array(name, value)
    if about.any_unit:
        default = Quantity(1.0, dim=get_dimensions(value)) if isinstance(value, Quantity) else 1.0
    return _check_number(name, value, default, about)


def _checked_mapping(name: str, value: Any, about: About) -> Mapping[str, Any]:
    """Numbers of any unit, or else texts, by names that may stand in equations."""
    if not isinstance(value, Mapping):
        raise UserError(f"{name} needs values by name, not {short(value)}.")
    checked: dict[str, Any] = {}
    for key, item in value.items():
        if not (isinstance(key, str) and key.isascii() and key.isidentifier()):
            raise UserError(f"{name} needs names of letters, digits and underscores, not {key!r}.")
        example = 1.0 if about.any_unit else ""
        checked[key] = check(f"{name}.{key}", item, example, about)
    return MappingProxyType(checked)


def _check_word(name: str, item: Any) -> None:
    """Refuse a word that would be several, or another, when a list is read again."""
    if isinstance(item, str) and (not item or "," in item or item != item.strip(" '\"[]()")):
        raise UserError(
            f"{name} takes words without commas, brackets or quotes, not {short(item)}."
        )


def _check_number(name: str, value: Any, default: Any, about: About) -> Any:
    _check_is_number(name, value, default)
    if not have_same_dimensions(value, default):
        raise UserError(
            f"{name} = {say(value, digits=EXACT)} has the wrong unit: "
            f"{in_words(unit_of(default))} was expected, such as {typed(np.ravel(default)[-1])}."
        )
    if np.ndim(default) == 0 and np.ndim(value) != 0:
        raise UserError(f"{name} takes one value, not {np.size(value)}.")
    if np.ndim(default) == 1 and (np.ndim(value) > 1 or not np.size(value)):
        raise UserError(f"{name} needs a list of at least one value.")
    if not np.all(np.isfinite(value)):
        raise UserError(f"{name} = {say(value)} must be finite.")
    if isinstance(default, int) and not isinstance(default, Quantity):
        if int(value) != value:
            raise UserError(f"{name} = {value} must be a whole number.")
        value = int(value)
        _check_size(name, value)
    else:
        _check_extreme(name, value, 1 / HUGE if about.low_excluded else 0)
        # Of one type, because they are read again as such; 1/second is a unit to Brian2.
        plain = np.array(value, dtype=float, ndmin=np.ndim(default))
        has_unit = isinstance(default, Quantity)
        value = Quantity(plain, dim=default.dim) if has_unit else plain if plain.ndim else plain[()]
        value = value if isinstance(value, np.ndarray) else float(value)
    check_range(name, value, about)
    return value


def _check_extreme(name: str, value: Any, least: float) -> None:
    """Refuse numbers that nobody has measured, and whose products and quotients overflow."""
    sizes = np.ravel(np.abs(np.asarray(value, dtype=float)))
    extreme = sizes[(sizes > HUGE) | ((sizes < least) & (sizes > 0))]
    if len(extreme):
        unit = "" if unit_of(value) == "1" else f" {unit_of(value)}"
        raise UserError(
            f"{name} = {extreme[0]:.8g}{unit} is out of range: a size of {least:g} to "
            f"{HUGE:g} was expected."
        )


def _check_is_number(name: str, value: Any, default: Any) -> None:
    """Refuse what is no real number or array of them, and whole numbers beyond 64 bits."""
    # To Python true is a number.
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        _check_size(name, int(value))
    elif (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real | np.ndarray)
        or (np.asarray(value).dtype.kind not in "iuf" or np.ma.is_masked(value))
    ):
        example = typed(np.ravel(default)[0])
        raise UserError(f"{name} = {short(value)} is not a number; expected one such as {example}.")


def _check_size(name: str, value: int) -> None:
    if abs(value) > LARGEST:
        raise UserError(f"{name} = {short(value)} is out of range: at most {LARGEST} was expected.")


def as_array(what: str, values: Sequence[Any]) -> Any:
    """One array of a list of numbers with a common unit, as people write it."""
    try:
        return Quantity(list(values)) if values else np.zeros(0)
    except (TypeError, ValueError, OverflowError, DimensionMismatchError) as error:
        raise UserError(f"{what} needs numbers of one unit, not {short(values)}.") from error


def check_range(name: str, value: Any, about: About) -> None:
    """Refuse a number or an array of numbers out of its physical range."""
    beyond = np.zeros(np.shape(value), dtype=bool)
    if about.low is not None:
        beyond |= np.asarray(value <= about.low if about.low_excluded else value < about.low)
    if about.high is not None:
        beyond |= np.asarray(value > about.high)
    if not np.any(beyond):
        return
    first = np.atleast_1d(value)[np.atleast_1d(beyond)][0]
    # In the unit in which the range is told.
    plain, unit = handy(Quantity([first, *about.bounds]))
    shown = with_unit(number(plain[0], EXACT), unit)
    raise UserError(f"{name} = {shown} is out of range: expected {about.range}.")


def refuse_where(wrong: Any, problem: str, *values: Any) -> None:
    """Refuse values that do not go together, naming the first neuron for which they do not.

    Parameters
    ----------
    wrong : bool or ndarray of bool, shape () or (n,)
    problem : str
        A sentence without its full stop, with ``{}`` for each value.
    *values : number or Quantity, shape () or (n,)
    """
    if not np.any(wrong):
        return
    first = int(np.flatnonzero(np.atleast_1d(wrong))[0])
    each = [np.atleast_1d(value)[first if np.size(value) > 1 else 0] for value in values]
    shown = [say(value, digits=EXACT) for value in each]
    where = f" (neuron {first})" if np.ndim(wrong) else ""
    raise UserError(f"{problem.format(*shown)}{where}.")


def refuse_changed(prefix: str, model: Parameters, names: Sequence[str], instead: str) -> None:
    """Refuse values that a protocol would silently override.

    Parameters
    ----------
    prefix : str
        The model's name in the protocol.
    model : Parameters
    names : sequence of str
        Parameters that the protocol sets itself.
    instead : str
        What to do, for the message.
    """
    for name, default, _ in parameters(type(model)):
        if name in names and not _same(getattr(model, name), default):
            raise UserError(f"{prefix}.{name} would have no effect here: {instead}.")


def own_value(model: Any, name: str) -> Any:
    """A model's parameter by its name in the equations, such as ``tau_m`` or ``k_on_D1``."""
    return getattr(model, name) if hasattr(model, name) else model.constants[name]


def unit_of(value: Any) -> str:
    """Base unit of a value as Brian2 writes it in equations, ``"1"`` where it has none."""
    dimensions = get_dimensions(value)
    return "1" if dimensions.is_dimensionless else _name_of(dimensions)


@cache
def _name_of(dimensions: Dimension) -> str:
    """Unit of dimensions as equations take it: no parentheses, no prefix as in mV/ms, no metre2."""
    name = repr(get_unit(dimensions))
    with warnings.catch_warnings():
        # Brian2 calls pyparsing by names that newer releases deprecate.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            Equations(f"x : {name}")
        except EquationError:
            powers = ((base, dimensions.get_dimension(sym)) for sym, base in BASE_UNITS.items())
            return "*".join(f"{base}**{power:g}" for base, power in powers if power)
    return name


def in_words(unit: str) -> str:
    """A unit in words, for messages."""
    return "a number without unit" if unit == "1" else f"a value in {unit}"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if getattr(a, "dim", DIMENSIONLESS) is not getattr(b, "dim", DIMENSIONLESS):
        return False
    return np.shape(a) == np.shape(b) and bool(np.all(a == b))
