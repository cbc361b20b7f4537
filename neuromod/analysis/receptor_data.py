"""Data for fits of receptors: steady responses, and time courses of known concentrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2 import Quantity, second, umolar
from brian2.units.fundamentalunits import get_unit

from neuromod.analysis.doses import doses, numbers
from neuromod.checks import check_unit, real_numbers
from neuromod.errors import UserError, listed
from neuromod.inputs.modulators import exchanged
from neuromod.parameters import refuse_where
from neuromod.support.text import say

GAIN = "gain"
"""The read-out of responses that are a gain, whose value without modulator is 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Responses:
    """Base of data sets: responses that grow in proportion to the receptor's activation.

    Attributes
    ----------
    response : list, ndarray or Quantity, shape (n,)
        Missing ones (nan) are left out and counted.
    readout : str
        ``"gain"`` for gains; any other name for a response with an offset and a scale of its own,
        which are fitted. Data of one read-out share them.
    error : list, ndarray or Quantity, shape (n,), optional
        Standard errors in the unit of the responses, above 0; they weight the points, and a common
        factor on them is left to the fit.
    name : str
        For tables and figures.
    """

    response: Any
    readout: str = GAIN
    error: Any = None
    name: str = ""

    def __post_init__(self) -> None:
        plain, dimension = numbers("response", self.response)
        if self.readout == GAIN and not dimension.is_dimensionless:
            raise UserError(
                f"A response in {self.unit} is no gain: give its read-out a name, such as "
                "readout='current'."
            )
        if not np.any(np.isfinite(plain)):
            raise UserError("All responses are missing.")
        if self.error is not None:
            check_unit("error", self.error, dimension)
            error, _ = numbers("error", self.error)
            self._check_length("error", error)
            if np.any(~(error[self.known] > 0)):
                raise UserError("error must be above 0 wherever the response is known.")

    @property
    def known(self) -> np.ndarray:
        """Whether each response is a number, shape (n,)."""
        return np.asarray(np.isfinite(numbers("response", self.response)[0]))

    @property
    def unit(self) -> str:
        """Base unit of the responses, empty where they have none."""
        dimension = numbers("response", self.response)[1]
        return "" if dimension.is_dimensionless else str(get_unit(dimension))

    def _check_length(self, what: str, values: np.ndarray) -> None:
        if len(values) != len(self.known):
            raise UserError(
                f"{what} and response need one value for each point, not {len(values)} and "
                f"{len(self.known)}."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Steady(Responses):
    """Responses after they have settled in a bath: dose-response points.

    Attributes
    ----------
    conc : Quantity, shape (n,)
        Of the ligand, mol/m^3; 0 for none.
    antagonist : Quantity, shape (n,), optional
        Of the antagonist.
    """

    conc: Any
    antagonist: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_length("conc", self.levels[0])
        self._check_length("antagonist", self.levels[1])

    @property
    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Concentrations of ligand and antagonist in micromolar, each of shape (n,)."""
        conc = in_umolar("conc", self.conc)
        if self.antagonist is None:
            return conc, np.zeros(len(conc))
        return conc, in_umolar("antagonist", self.antagonist)


@dataclass(frozen=True, eq=False)
class Supplied:
    """A concentration that a supply brings and takes away: a wash, a puff, or a train of them.

    Attributes
    ----------
    conc : Quantity
        Concentration of the supply, mol/m^3.
    onsets : Quantity, shape () or (puffs,)
        In seconds, in order.
    width : Quantity
        Length of each, seconds.
    tau : Quantity
        Time constant of exchange or clearance, seconds; 0 for steps.
    before : Quantity
        Concentration on top of which it comes, in which the cells have settled, mol/m^3.
    """

    conc: Quantity
    onsets: Quantity
    width: Quantity
    tau: Quantity = field(default_factory=lambda: 0 * second)
    before: Quantity = field(default_factory=lambda: 0 * umolar)

    def __post_init__(self) -> None:
        for name in ("conc", "before"):
            value = real_numbers(name, getattr(self, name), umolar.dim)
            refuse_where(value < 0 * umolar, f"{name} must not be negative, as {{}} is", value)
        for name in ("onsets", "width", "tau"):
            real_numbers(name, getattr(self, name), second.dim)
        refuse_where(self.width <= 0 * second, "A width of {} must be above 0", self.width)
        refuse_where(self.tau < 0 * second, "A time constant of {} is negative", self.tau)
        if any(np.ndim(getattr(self, name)) for name in ("conc", "width", "tau", "before")):
            raise UserError("A supply has one concentration, width and time constant.")
        if np.any(np.diff(np.atleast_1d(self.onsets)) < self.width):
            raise UserError(
                f"Supplies of {say(self.width)} overlap: they start at {say(self.onsets)}."
            )

    @property
    def first(self) -> float:
        """Concentration before all, in micromolar."""
        return float(self.before / umolar)

    @property
    def jumps(self) -> bool:
        """Whether it jumps at its kinks."""
        return bool(self.tau == 0 * second)

    @property
    def kinks(self) -> list[float]:
        """Seconds at which a supply starts or ends."""
        onsets = np.atleast_1d(self.onsets / second)
        return [float(kink) for kink in np.unique([onsets, onsets + float(self.width / second)])]

    def level(self, times: np.ndarray) -> np.ndarray:
        """Concentration in micromolar at times in seconds, shape (n,)."""
        onsets = np.atleast_1d(self.onsets / second)
        if self.jumps:
            since = times[:, None] - onsets
            on = np.any((since >= 0) & (since < float(self.width / second)), axis=1)
            return self.first + np.where(on, float(self.conc / umolar), 0.0)
        added = exchanged(times * second, self.conc, onsets * second, self.width, self.tau)
        return self.first + np.asarray(added / umolar)


@dataclass(frozen=True, eq=False)
class Traced:
    """A measured concentration, by straight lines, held before and after.

    Attributes
    ----------
    times : Quantity, shape (n,)
        In seconds, in order.
    conc : Quantity, shape (n,)
        mol/m^3; the cells have settled in the first.
    """

    times: Quantity
    conc: Quantity

    def __post_init__(self) -> None:
        real_numbers("times", self.times, second.dim)
        level = in_umolar("conc", self.conc)
        if np.ndim(self.times) != 1 or len(self.times) != len(level) or len(level) < 2:
            raise UserError("A trace needs as many times as concentrations, at least two.")
        if np.any(np.diff(self.times / second) <= 0):
            raise UserError("The times of a trace must increase.")

    @property
    def first(self) -> float:
        """Concentration before all, in micromolar."""
        return float(in_umolar("conc", self.conc)[0])

    @property
    def jumps(self) -> bool:
        """A trace never jumps."""
        return False

    @property
    def kinks(self) -> list[float]:
        """Seconds of its points."""
        return [float(time / second) for time in self.times]

    def level(self, times: np.ndarray) -> np.ndarray:
        """Concentration in micromolar at times in seconds, shape (n,)."""
        level = in_umolar("conc", self.conc)
        return np.asarray(np.interp(times, np.asarray(self.times / second), level))


@dataclass(frozen=True, eq=False, kw_only=True)
class Course(Responses):
    """Responses over time while the concentration changes in a known way.

    Attributes
    ----------
    times : Quantity, shape (n,)
        In seconds, in order. At the first of them, or when the concentration first changes if
        that is earlier, the cells have settled.
    conc : Supplied or Traced
    """

    times: Quantity
    conc: Supplied | Traced

    def __post_init__(self) -> None:
        super().__post_init__()
        real_numbers("times", self.times, second.dim)
        if np.ndim(self.times) != 1:
            raise UserError("times needs a list of times.")
        self._check_length("times", np.asarray(self.times))
        if len(self.times) < 2 or np.any(np.diff(self.times / second) < 0):
            raise UserError("A time course needs at least two times, in order.")
        if not isinstance(self.conc, Supplied | Traced):
            raise UserError("The concentration of a time course must be a Supplied or a Traced.")


def in_umolar(what: str, values: Any) -> np.ndarray:
    """Concentrations with their unit in micromolar, shape (n,).

    Raises
    ------
    UserError
        For plain numbers, another unit, and what is no list of concentrations.
    """
    plain, dimension = doses(what, values)
    check_unit(what, Quantity(plain, dim=dimension), umolar.dim)
    return np.asarray(plain / float(umolar))


def same_units(data: Sequence[Responses]) -> None:
    """Refuse data of one read-out whose units differ, or of which only some have errors."""
    for readout in dict.fromkeys(one.readout for one in data):
        own = [one for one in data if one.readout == readout]
        if len({one.unit for one in own}) > 1:
            units = listed(sorted({one.unit or "1" for one in own}))
            raise UserError(f"The responses of read-out {readout} have the units {units}.")
        if len({one.error is None for one in own}) > 1:
            raise UserError(f"Give errors for all data of read-out {readout}, or for none.")
