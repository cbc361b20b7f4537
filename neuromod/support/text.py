"""Numbers, quantities and units in the words of people: ``100 ms``, ``1, 3 and 10 µM``."""

from __future__ import annotations

import ast
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units import allunits as units, stdunits
from brian2.units.fundamentalunits import (
    Dimension,
    Quantity,
    Unit,
    get_dimensions,
    get_unit,
    have_same_dimensions,
)

from neuromod.errors import UserError, listed as listed, short as short

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 4
LISTED = 7
"""Values of a list that are written one by one; a longer list is given by its ends."""

OF_MEMBRANES = units.ufarad / units.cmetre**2
# From small to large, by dimension; the first value in reach of a unit decides.
LADDERS: dict[Dimension, tuple[Unit, ...]] = {
    ladder[0].dim: ladder
    for ladder in (
        (units.psecond, units.nsecond, units.usecond, units.msecond, units.second),
        (units.famp, units.pamp, units.namp, units.uamp, units.mamp, units.amp),
        (units.nvolt, units.uvolt, units.mvolt, units.volt),
        (units.ohm, units.kohm, units.Mohm, units.Gohm),
        (units.ffarad, units.pfarad, units.nfarad, units.ufarad, units.farad),
        (units.psiemens, units.nsiemens, units.usiemens, units.msiemens, units.siemens),
        (units.ajoule, units.fjoule, units.pjoule, units.njoule, units.ujoule, units.joule),
        (units.fwatt, units.pwatt, units.nwatt, units.uwatt, units.mwatt, units.watt),
        (stdunits.nM, stdunits.uM, stdunits.mM, units.molar),
        (units.hertz, units.khertz, units.Mhertz, units.Ghertz),
        (units.nmetre, units.umetre, units.mmetre, units.metre),
        (units.fcoulomb, units.pcoulomb, units.ncoulomb),
        (units.umetre**2,),
        (stdunits.uM**-1,),
        (units.volt**-1,),
        ((stdunits.uM * units.second) ** -1,),
        (units.uamp / units.volt**2,),
        (units.ffarad / units.umetre**2, OF_MEMBRANES),
        (units.msiemens / units.cmetre**2,),
        (units.uamp / units.cmetre**2,),
        (units.mvolt / units.msecond,),
        (units.mvolt / units.kelvin,),
        (units.mvolt * units.umetre,),
        ((units.mvolt * units.msecond) ** -1,),
        (units.umetre**2 / units.msecond,),
    )
}
# What the field uses below 1 too, and from where on: 0.7 nA rather than 700 pA.
HOMES = {
    unit.dim: (unit, least)
    for unit, least in (
        (units.msecond, 0.1),
        (units.namp, 0.1),
        (stdunits.uM, 0.1),
        (units.volt, 0.2),
        (OF_MEMBRANES, 0.3),
    )
}

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
UNITS_OF_COLUMNS = (
    "h s ms us ns Hz kHz MHz V mV A uA nA pA fA M mM uM nM ohm kohm Mohm nS uS pF fF K "
    "m mm um nm fJ pJ nJ uJ fW pW nW uW mW"
)
OTHER_UNITS_OF_COLUMNS = {"percent": "%", "sigma": "σ", "lsb": "LSB", "um2": "µm²"}
# Of units that Brian2 knows by their full names only.
NAMES = {"V": "volt", "A": "amp", "s": "second", "F": "farad", "S": "siemens", "K": "kelvin"}
NAMES |= {"m": "metre", "M": "molar"}
STATISTICS = ("mean", "sd", "se", "low", "high", "min", "max")


def say(value: Any, unit: Unit | str | None = None, digits: int = DIGITS) -> str:
    """A value as people write it.

    Parameters
    ----------
    value : number, str, Quantity, Unit, or array or sequence of them
        A unit alone, such as ``1/ms``, gives its symbol.
    unit : Unit or str, optional
        To write it in; by default one that gives a handy number. A text is written behind a
        number that has no unit of its own, such as one from a table.
    digits : int
        Significant digits after rounding; zeros at the end are left out, and digits before the
        decimal point are always kept.

    Returns
    -------
    str
        Such as ``0.7 nA``, ``1, 3 and 10 µM``, ``0 to 1.5 nA, 16 values`` or ``43 290``.

    Raises
    ------
    UserError
        When the value cannot be expressed in `unit`.
    """
    if isinstance(value, Unit):
        return symbol(value)
    if value is None or isinstance(value, str | bool | np.bool_):
        return str(value).lower() if not isinstance(value, str) else value
    if isinstance(value, Sequence):
        if not _is_of_one_unit(value):
            return listed([say(item, unit, digits) for item in value])
        value = Quantity(list(value))
    plain, name = handy(value, unit, digits)
    if plain.ndim == 0:
        return with_unit(number(plain[()], digits), name)
    if plain.size > LISTED or plain.ndim > 1:
        flat = plain.ravel()
        ends = f"{number(flat[0], digits)} to {number(flat[-1], digits)}"
        return f"{with_unit(ends, name)}, {plain.size} values"
    return with_unit(listed([number(item, digits) for item in plain]), name)


def span(values: Any, unit: Unit | str | None = None, digits: int = DIGITS) -> str:
    """Smallest and largest of some values, or the one value where both are written alike.

    Parameters
    ----------
    values : array or Quantity, shape (n,)
        Missing values (NaN) are left out.
    unit, digits
        As for `say`.

    Returns
    -------
    str
        Such as ``0.3 to 1.2 s``.
    """
    values = np.ravel(values)
    values = values[~np.isnan(np.asarray(values, dtype=float))]
    if not len(values):
        return "no value"
    plain, name = handy(values, unit, digits)
    low, high = number(plain.min(), digits), number(plain.max(), digits)
    ends = low if low == high else f"{low} to {high}"
    return with_unit(ends, name)


def with_unit(numbers: str, unit: str) -> str:
    """Numbers in words with the symbol of their unit, such as ``3 mV`` or ``0.13/V``."""
    return numbers + unit[1:] if unit.startswith("1/") else f"{numbers} {unit}".rstrip()


def handy(value: Any, unit: Unit | str | None = None, digits: int = DIGITS) -> tuple[Any, str]:
    """Plain numbers of a value or array in one handy unit, and the unit's symbol, if it has any.

    For `unit` and `digits` see `say`.

    Raises
    ------
    UserError
        When the value cannot be expressed in `unit`.
    """
    if isinstance(unit, Unit):
        if not have_same_dimensions(value, unit):
            raise UserError(f"{say(value)} cannot be written in {symbol(unit)}.")
        return np.asarray(value / unit), symbol(unit)
    dimension = get_dimensions(value)
    if dimension.is_dimensionless:
        return np.asarray(value), unit or ""
    if unit:
        raise UserError(f"{say(value)} has a unit: give a Brian2 unit, not {unit!r}.")
    best = _best(np.asarray(value), dimension, digits)
    return np.asarray(value) / float(best), symbol(best)


def typed(value: Any) -> str:
    """A number or quantity as it is typed in Python and after ``--set``, such as ``30*us``."""
    plain, unit = handy(value)
    if unit and not unit.isalpha():
        return say(value)
    name = NAMES.get(unit) or unit.replace("µ", "u").replace("Ω", "ohm")
    return f"{number(plain)}*{name}" if unit else number(plain)


def percent(share: float, digits: int = 3) -> str:
    """A share of one in percent, such as ``12.3 %``."""
    return say(100 * share, "%", digits)


def number(value: Any, digits: int = DIGITS) -> str:
    """A number without unit, rounded; thousands are set apart from five digits on."""
    if isinstance(value, numbers.Integral):
        return _grouped(str(int(value)))
    value = float(value)
    if not math.isfinite(value) or value == 0:
        # Without the sign that a zero may have.
        return f"{value + 0.0:g}"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if not -4 <= exponent < 9:
        return f"{_trimmed(mantissa)}e{exponent}"
    return _grouped(_trimmed(f"{value:.{max(0, digits - 1 - exponent)}f}"))


def signed(change: float, decimals: int = 0) -> str:
    """A change with its sign, such as ``+3`` or ``-0.4``; one that rounds to nothing is ``0``."""
    return f"{change:+.{decimals}f}" if round(change, decimals) else "0"


def symbol(unit: Unit) -> str:
    """Symbol of a unit, such as ``µM``, ``MΩ``, ``1/ms`` or ``µF/cm²``."""
    text = str(unit).replace("^", "**").replace(" ", "*")
    powers: dict[str, int] = {}
    _collect(ast.parse(text, mode="eval").body, 1, powers)
    over = " ".join(_raised(name, power) for name, power in powers.items() if power > 0)
    under = [_raised(name, -power) for name, power in powers.items() if power < 0]
    if not under:
        return over
    return f"{over or 1}/{under[0] if len(under) == 1 else '(' + ' '.join(under) + ')'}"


def column_label(name: str) -> str:
    """Name of a table's column as the label of an axis: ``peak_conc_uM`` is ``peak conc (µM)``.

    The unit is the last word, or stands before a word such as ``mean`` or ``sd``.
    """
    words = name.split("_")
    last = words.pop() if words[-1] in STATISTICS and len(words) > 2 else ""
    if len(words) < 2 or words[-1] not in COLUMN_UNITS:
        return name.replace("_", " ")
    unit = COLUMN_UNITS[words.pop()]
    if words[-1] == "per":
        words.pop()
        above = COLUMN_UNITS[words.pop()] if len(words) > 1 and words[-1] in COLUMN_UNITS else ""
        unit = f"{above or 1}/{unit}"
    return f"{' '.join((*words, last)).strip()} ({unit})"


def plain_sections(tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Title, text and name of every table, for a protocol that writes no report of its own."""
    sections = []
    for name, table in tables.items():
        spans = []
        for column in table.columns if len(table) else ():
            if table[column].dtype.kind in "iuf":
                label, _, unit = column_label(column).rstrip(")").partition(" (")
                spans.append(f"{label} {span(table[column].to_numpy(), unit)}")
        rows = f"{say(len(table))} row{'s' if len(table) != 1 else ''}"
        text = f"{rows}: {'; '.join(spans)}." if spans else f"{rows}."
        title = "Results" if name == "table" else column_label(name).capitalize()
        sections.append((title, text, name))
    return sections


def _best(plain: np.ndarray, dimension: Dimension, digits: int) -> Unit:
    """The unit in which the largest of some numbers in base units is handy."""
    ladder = LADDERS.get(dimension, (get_unit(dimension),))
    sizes = np.abs(plain[np.isfinite(plain) & (plain != 0)], dtype=float)
    home, home_from = HOMES.get(dimension, (None, 1))
    if not sizes.size:
        return home or min(ladder, key=lambda unit: abs(math.log10(float(unit))))
    largest, smallest = sizes.max(), sizes.min()
    if smallest * 1e6 <= largest:
        # No unit suits both ends.
        largest = math.sqrt(largest * smallest)
    fitting = ladder[0]
    for unit in ladder:
        # The home unit takes over earlier, and every unit at what rounds to 1.
        least = home_from if unit is home else 1
        if float(f"{largest / float(unit):.{digits - 1}e}") >= least:
            fitting = unit
    return fitting


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _grouped(text: str) -> str:
    whole, point, rest = text.partition(".")
    if len(whole.lstrip("-")) > 4:
        whole = f"{int(whole):,}".replace(",", " ")
    return f"{whole}{point}{rest}"


def _collect(node: ast.expr, power: int, powers: dict[str, int]) -> None:
    """Add the powers of the units that a product names."""
    match node:
        case ast.Name(id=name):
            powers[name] = powers.get(name, 0) + power
        case ast.BinOp(left=left, op=ast.Pow(), right=exponent):
            _collect(left, power * ast.literal_eval(exponent), powers)
        case ast.BinOp(left=left, op=op, right=right):
            _collect(left, power, powers)
            _collect(right, -power if isinstance(op, ast.Div) else power, powers)


def _raised(name: str, power: int) -> str:
    name = _greek(name)
    return name if power == 1 else f"{name}{str(power).translate(SUPERSCRIPTS)}"


def _greek(name: str) -> str:
    """Symbol of a unit from its name in ASCII."""
    return re.sub(r"^u(?=\w)", "µ", name).replace("ohm", "Ω")


def _is_of_one_unit(values: Sequence[Any]) -> bool:
    kinds = {get_dimensions(v) if _is_number(v) else type(v) for v in values}
    return len(kinds) == 1 and _is_number(values[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | Quantity) and not isinstance(value, bool)


COLUMN_UNITS = OTHER_UNITS_OF_COLUMNS | {name: _greek(name) for name in UNITS_OF_COLUMNS.split()}
