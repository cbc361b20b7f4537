"""Input checks: finite numbers, valid indices, times on the grid of time steps.

The first argument of each says what is checked, for the message.
"""

from __future__ import annotations

import numbers
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from brian2 import Quantity, have_same_dimensions, second
from brian2.units.fundamentalunits import Dimension

from neuromod.errors import UserError
from neuromod.parameters import as_array, in_words, unit_of
from neuromod.support.text import say

# Indices are 32-bit numbers on every device.
MOST = 2**31
# In time steps: what rounding leaves of a whole number of them.
GRID_TOLERANCE = 1e-6
# Seconds, and what floating-point numbers count without gaps.
SHORTEST = 1e-18
MOST_STEPS = 2**53
# Digits that show what is off the grid of a long run.
EXACT = 12


def index_array(what: str, values: Any, size: int | None = None) -> np.ndarray:
    """Indices of `size` things, or of any number, as an array of whole numbers, shape (n,).

    Raises
    ------
    UserError
        For a mask, numbers with a fraction or of a floating-point type, more than one dimension, or
        an index out of range.
    """
    found = np.asarray(values)
    if found.dtype == bool:
        raise UserError(
            f"{what} needs indices, not a mask of true and false: use numpy.flatnonzero(mask)."
        )
    if not np.issubdtype(found.dtype, np.integer):
        if found.size:
            raise UserError(f"{what} needs whole numbers as indices, not {found.ravel()[0]}.")
        found = found.astype(int)
    if found.ndim != 1:
        raise UserError(f"{what} needs a list of indices, not an array of shape {found.shape}.")
    # What a population that is not known yet holds is checked when it is.
    start, end = (-MOST, MOST) if size is None else (0, size)
    beyond = found[(found < start) | (found >= end)]
    if len(beyond):
        raise UserError(f"{what} has indices 0 to {end - 1}, not {beyond[0]}.")
    return found


def real_numbers(what: str, value: Any, dimension: Dimension | None = None) -> Any:
    """A value, or a list or array of values, as real and finite numbers.

    Parameters
    ----------
    what : str
        Whose value it is, for the message.
    value : number, Quantity, or array or list of them
    dimension : Dimension, optional
        Brian2's, of the variable that it is for.

    Returns
    -------
    number, Quantity or ndarray
        Lists as arrays, the rest as it was.

    Raises
    ------
    UserError
        For what is no number, complex, masked, not finite, or of another unit.
    """
    found = as_array(what, value) if isinstance(value, list | tuple) else value
    plain = np.asarray(found)
    if plain.dtype.kind not in "iuf" or np.ma.is_masked(found):
        raise UserError(
            f"{what} needs real numbers, not {value!r:.80}; draw random ones beforehand."
        )
    if not np.all(np.isfinite(plain)):
        first = int(np.flatnonzero(~np.isfinite(np.atleast_1d(plain)))[0])
        raise UserError(f"{what} must be finite: value {first} is {plain.ravel()[first]}.")
    if dimension is not None:
        check_unit(what, found, dimension)
    return found


def check_name(what: str, name: Any) -> None:
    """Refuse a name that cannot stand in the names of Brian2's objects."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise UserError(f"The name of {what} needs letters, digits and underscores, not {name!r}.")


def check_size(what: str, size: Any) -> None:
    """Refuse a number of neurons that is not a whole number above 0."""
    whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    if not whole or not 0 < int(size) <= MOST:
        raise UserError(f"{what} needs a whole number of neurons, at least 1, not {size!r}.")


def check_unit(what: str, value: Any, dimension: Dimension) -> None:
    """Refuse a value whose unit is not that of the variable it is for."""
    expected = Quantity(1.0, dim=dimension)
    if not have_same_dimensions(value, expected):
        raise UserError(
            f"{what} has the wrong unit: {in_words(unit_of(expected))} was expected, "
            f"not {in_words(unit_of(value))}."
        )


def steps_in(name: str, time: Quantity, dt: Quantity) -> int:
    """Number of time steps in a time.

    Parameters
    ----------
    name : str
        What the time is, for the message.
    time, dt : Quantity
        In seconds.

    Raises
    ------
    UserError
        When it is no single time, or not a whole number of steps.
    """
    for value in (time, dt):
        if not isinstance(value, Quantity) or not have_same_dimensions(value, second):
            raise UserError(f"{name} must be a time, such as 10*ms, not {value!r:.80}.")
        if np.ndim(value):
            raise UserError(f"{name} takes one time for all, not {np.size(value)}.")
    if not dt > 0 * second:
        raise UserError(f"A time step of {say(dt)} must be above 0.")
    if not float(dt) >= SHORTEST:
        raise UserError(f"A time step of {say(dt)} is too short: at least 1e-18 s was expected.")
    ratio = float(time / dt)
    if ratio > MOST_STEPS:
        raise UserError(
            f"{name} = {say(time)} is too long for time steps of {say(dt)}: clocks count to "
            f"{MOST_STEPS:.2g}."
        )
    if (
        not (ratio == 0 or 0.5 < ratio < np.inf)
        or abs(ratio - round(ratio)) > GRID_TOLERANCE + 1e-12 * ratio
    ):
        raise UserError(
            f"{name} = {say(time, digits=EXACT)} must be a whole number of time steps of "
            f"{say(dt, digits=EXACT)}."
        )
    return round(ratio)


def steps_of(what: str, times: Quantity, dt: Quantity) -> np.ndarray:
    """Time steps at whose start events lie.

    Parameters
    ----------
    what : str
        Whose events they are, for the message.
    times : Quantity, shape (n,)
        In seconds.
    dt : Quantity
        Time step, seconds.

    Returns
    -------
    ndarray of int, shape (n,)

    Raises
    ------
    UserError
        When one lies before 0 or within a step, or `dt` is no time above 0.
    """
    steps_in(what, 0 * second, dt)
    steps = np.asarray(times / dt)
    whole = np.round(steps)
    off = (steps < 0) | (np.abs(steps - whole) > GRID_TOLERANCE * 1e3)
    if np.any(off):
        raise UserError(
            f"{what} must lie at starts of time steps of {say(dt)}, not at "
            f"{say(times[off][0], digits=EXACT)}."
        )
    return whole.astype(int)


def check_distinct(name: str, values: Sequence[object]) -> None:
    """Refuse a setting that names something twice."""
    for value, times in Counter(values).items():
        if times > 1:
            raise UserError(f"{name} names {value} {times} times: name each once.")
