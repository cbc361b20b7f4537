"""Doses and responses as people give them: read as numbers with their units, or refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions, have_same_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension

from neuromod.errors import UserError, short
from neuromod.parameters import as_array, in_words, unit_of
from neuromod.support.text import say

# Logarithms to base 10 of concentrations in mol/l, with room on both sides.
LEAST_LOG, MOST_LOG = -15, 3


@dataclass(frozen=True, eq=False)
class Points:
    """Doses whose response is known, in base units.

    Attributes
    ----------
    conc, response : ndarray, shape (known,)
    known : ndarray of bool, shape (n,)
        Of the points given, whether the response is a number.
    of_conc, of_response : Dimension
    """

    conc: np.ndarray
    response: np.ndarray
    known: np.ndarray
    of_conc: Dimension
    of_response: Dimension

    @classmethod
    def read(cls, conc: Any, response: Any, **others: np.ndarray) -> Points:
        """Points from lists, arrays or quantities; others must have as many values.

        Raises
        ------
        UserError
            For what `doses` and `numbers` refuse, and for lengths that differ.
        """
        dose, of_conc = doses("conc", conc)
        measured, of_response = numbers("response", response)
        for name, values in {"response": measured, **others}.items():
            if len(values) != len(dose):
                raise UserError(
                    f"conc and {name} need one value for each point, not {len(dose)} and "
                    f"{len(values)}."
                )
        known = ~np.isnan(measured)
        return cls(dose[known], measured[known], known, of_conc, of_response)

    @property
    def reach(self) -> float:
        """Natural logarithm of the greatest dose over the least above 0."""
        above = self.conc[self.conc > 0]
        return float(np.log(above.max() / above.min())) if len(above) else 0.0

    def given(self, bottom: Any, top: Any, **parameters: float | None) -> dict[str, float]:
        """What is given rather than fitted: the ends, and logarithms of parameters by name.

        Raises
        ------
        UserError
            For a value of another unit, and for a parameter that is not above 0.
        """
        held = {
            "bottom": value("bottom", bottom, self.of_response),
            "top": value("top", top, self.of_response),
        }
        for name, number in parameters.items():
            plain = value(name, number, DIMENSIONLESS)
            if plain <= 0:
                raise UserError(f"{name} = {say(plain)} must be above 0.")
            held[name] = float(np.log(plain))
        return held


def numbers(what: str, values: Any) -> tuple[np.ndarray, Dimension]:
    """A list or array of real numbers, shape (n,), in base units, and its dimension.

    Raises
    ------
    UserError
        For what is no list of real numbers of one unit, or has an infinite value.
    """
    found = as_array(what, values) if isinstance(values, list | tuple) else values
    plain = np.asarray(found)
    if plain.dtype.kind not in "iuf" or plain.ndim != 1 or np.ma.is_masked(found):
        raise UserError(f"{what} needs a list of real numbers, not {short(values)}.")
    plain, dimension = plain.astype(float), get_dimensions(found)
    _refuse(what, Quantity(plain, dim=dimension), np.isinf(plain), "a finite number")
    return plain, dimension


def doses(what: str, values: Any) -> tuple[np.ndarray, Dimension]:
    """Doses, shape (n,), in base units, and their dimension.

    Raises
    ------
    UserError
        Where one is negative or not a number, and when they look like logarithms.
    """
    plain, dimension = numbers(what, values)
    found = Quantity(plain, dim=dimension)
    if dimension.is_dimensionless and _look_like_logarithms(plain):
        raise UserError(
            f"The doses of {what} look like log10 of concentrations ({say(plain, digits=3)}): give "
            f"the concentrations, 10**{what}."
        )
    _refuse(what, found, ~(plain >= 0), "a dose of at least 0")
    return plain, dimension


def value(what: str, given: Any, dimension: Dimension) -> float:
    """A number that was given rather than fitted, in base units; nan for None.

    Raises
    ------
    UserError
        For what is no finite number of the dimension.
    """
    if given is None:
        return float("nan")
    expected = Quantity(1.0, dim=dimension)
    plain = np.asarray(given)
    if plain.dtype.kind not in "iuf" or plain.ndim or not np.isfinite(plain):
        raise UserError(f"{what} must be one finite number, not {short(given)}.")
    if not have_same_dimensions(given, expected):
        raise UserError(
            f"{what} has the wrong unit: {in_words(unit_of(expected))} was expected, "
            f"not {in_words(unit_of(given))}."
        )
    return float(plain)


def _refuse(what: str, values: Any, wrong: np.ndarray, expected: str) -> None:
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{what}[{first}] = {say(values[first])}: {expected} was expected.")


def _look_like_logarithms(plain: np.ndarray) -> bool:
    """Whether all are negative, or some are and all lie at even steps, in the range of log10."""
    levels = np.unique(plain[np.isfinite(plain)])
    if len(levels) < 3 or levels[0] >= 0 or levels[0] < LEAST_LOG or levels[-1] > MOST_LOG:
        return False
    steps = np.diff(levels)
    return bool(levels[-1] < 0 or np.allclose(steps, steps[0], rtol=0.05))
