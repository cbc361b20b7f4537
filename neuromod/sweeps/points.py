"""The points of a sweep: settings with many values each, combined on a grid, in pairs or at random.

A random design fills the space between the ends of each setting evenly: Latin hypercube sampling
(McKay, Beckman & Conover 1979, Technometrics 21:239-245) or a scrambled Sobol sequence (Owen 1998,
J. Complexity 14:466-489), both SciPy's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brian2 import DimensionMismatchError, Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS

from neuromod.errors import UserError, listed, short, unknown
from neuromod.parameters import unit_of
from neuromod.settings import NONE, parse_value
from neuromod.support.cache import digest
from neuromod.support.text import say

DESIGNS = ("full", "zip", "latin", "sobol")
"""Every combination of values; the first values together, then the second; and at random."""
MOST = 10_000_000
"""Points; each takes some hundred bytes while results are gathered."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One setting and its values.

    Attributes
    ----------
    name : str
        As after ``--set``.
    values : Quantity, ndarray or tuple, shape (n,)
        Numbers, or words.
    """

    name: str
    values: Any

    def __post_init__(self) -> None:
        if not len(self.values):
            raise UserError(f"{self.name} needs at least one value.")
        different = np.unique(self.values) if self.is_numeric else set(self.values)
        if len(different) < len(self.values):
            raise UserError(f"{self.name} has a value twice: {say(self.values)}.")

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers."""
        return isinstance(self.values, np.ndarray)

    @property
    def fingerprint(self) -> str:
        """The same for the same name and values alone."""
        if self.is_numeric:
            values = hashlib.sha256(np.asarray(self.values, dtype=float).tobytes()).hexdigest()
            return f"{self.name} {values} {unit_of(self.values)}"
        return f"{self.name} {self.values}"


@dataclass(frozen=True, eq=False)
class Points:
    """Combinations of values of settings.

    Attributes
    ----------
    axes : tuple of Axis
    index : ndarray of int, shape (points, axes)
        Which value of each axis a point has.
    full : bool
        Whether they are all combinations, the last axis changing fastest.
    """

    axes: tuple[Axis, ...]
    index: np.ndarray
    full: bool

    def __post_init__(self) -> None:
        for name in self.names:
            if self.names.count(name) > 1:
                raise UserError(f"{name} is given twice.")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the settings."""
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of results over the points: one dimension for each axis of a full grid, else one."""
        return tuple(len(axis.values) for axis in self.axes) if self.full else (len(self),)

    @property
    def fingerprint(self) -> str:
        """The same for the same points in the same order alone."""
        index = hashlib.sha256(self.index.tobytes()).hexdigest()
        return digest([self.full, index, *(axis.fingerprint for axis in self.axes)])

    def of(self, axis: Axis) -> Any:
        """Value of an axis at every point, as an array or as words."""
        chosen = self.index[:, self.axes.index(axis)]
        return axis.values[chosen] if axis.is_numeric else [axis.values[k] for k in chosen]

    def at(self, number: int) -> dict[str, Any]:
        """Values of one point by setting."""
        return {
            axis.name: axis.values[chosen]
            for axis, chosen in zip(self.axes, self.index[number], strict=True)
        }


def points(
    grid: Mapping[str, Any], design: str = "full", samples: int = 0, seed: int = 1
) -> Points:
    """Combine the values of settings.

    Parameters
    ----------
    grid : mapping of str to values
        Numbers with or without unit, words, or texts as after ``--set``. For a random design, the
        two ends of the range of each.
    design : str
        One of `DESIGNS`.
    samples : int
        Number of points of a random design.
    seed : int
        Of a random design.

    Raises
    ------
    UserError
        When values cannot be read, or do not go together.
    """
    if design not in DESIGNS:
        raise unknown("design", design, DESIGNS)
    if not grid:
        raise UserError("A sweep needs at least one setting with its values.")
    axes = [Axis(name, _values(name, given)) for name, given in grid.items()]
    if design in ("latin", "sobol"):
        return _random(axes, design, samples, seed)
    if samples:
        raise UserError(f"samples is for the designs latin and sobol, not for {design}.")
    lengths = [len(axis.values) for axis in axes]
    if design == "zip":
        if len(set(lengths)) > 1:
            told = listed([f"{axis.name} has {len(axis.values)}" for axis in axes])
            raise UserError(f"Settings that are zipped need as many values each: {told}.")
        return _listed(axes)
    count = float(np.prod(np.asarray(lengths, dtype=float)))
    _check_count(count)
    index = np.indices(lengths, dtype=np.int32).reshape(len(axes), -1).T
    return Points(tuple(axes), index, full=True)


def from_table(path: str | Path) -> Points:
    """Points from the rows of a CSV file whose columns are settings.

    Cells are read as after ``--set``; a unit behind a name in the heading, as in ``tau_m (ms)``,
    holds for the column.

    Raises
    ------
    UserError
        When the file is none, a cell is empty, or a value cannot be read.
    """
    try:
        # Without a header: of two columns of one name pandas would rename the second.
        table = pd.read_csv(
            path, header=None, dtype=str, keep_default_na=False, skipinitialspace=True
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a table ({error}).") from error
    if len(table) < 2:
        raise UserError(f"{path} has no points: a heading of settings and rows were expected.")
    columns = [table[column].str.strip() for column in table]
    axes = [_column(path, cells[0], cells[1:]) for cells in columns]
    return _listed([Axis(name, values) for name, (values, _) in axes], [i for _, (_, i) in axes])


def _column(path: Any, heading: str, cells: pd.Series) -> tuple[str, tuple[Any, np.ndarray]]:
    """Setting of a column, its different values and which of them each row has."""
    name, _, unit = heading.strip().rstrip(")").partition("(")
    name, factor = name.strip(), f" * {unit.strip()}" if unit else ""
    empty = np.flatnonzero(cells == "")
    if len(empty):
        raise UserError(f"Row {empty[0] + 1} of {path} has no {name}.")
    which, texts = pd.factorize(cells)
    values = [parse_value(f"{text}{factor}") for text in texts]
    for text, value in zip(texts, values, strict=True):
        if factor and isinstance(value, str):
            raise UserError(
                f"{name} = {short(text)} in {path} is no number, and its unit is given."
            )
    return name, (_gathered(name, values), which)


def _listed(axes: Sequence[Axis], which: Sequence[np.ndarray] = ()) -> Points:
    """Points one by one."""
    index = which or [np.arange(len(axis.values)) for axis in axes]
    return Points(tuple(axes), np.stack(index, axis=1).astype(np.int32), full=False)


def _random(axes: Sequence[Axis], design: str, samples: int, seed: int) -> Points:
    if samples < 1:
        raise UserError(f"The design {design} needs samples, how many points there are to be.")
    _check_count(samples)
    for axis in axes:
        if not axis.is_numeric or len(axis.values) != 2:
            raise UserError(
                f"The design {design} needs the two ends of {axis.name}, such as [1, 3], not "
                f"{say(axis.values)}."
            )
    # Imported here because SciPy's statistics take their time, in every worker.
    from scipy.stats import qmc

    sampler = qmc.LatinHypercube if design == "latin" else qmc.Sobol
    drawn = sampler(len(axes), rng=np.random.default_rng(seed)).random(samples)
    spread = [
        Axis(axis.name, axis.values[0] + column * (axis.values[1] - axis.values[0]))
        for axis, column in zip(axes, drawn.T, strict=True)
    ]
    return _listed(spread)


def _check_count(count: float) -> None:
    if count > MOST:
        raise UserError(
            f"{say(count)} points are more than the {say(MOST)} that one sweep gathers: cut the "
            "grid into several sweeps."
        )


def _values(name: str, given: Any) -> Any:
    """Values of an axis from a text, a list, or an array."""
    value = parse_value(given) if isinstance(given, str) else given
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value
    if isinstance(value, np.ndarray) and value.ndim > 1:
        raise UserError(f"{name} needs a list of single values, not {short(value)}.")
    return _gathered(name, value if isinstance(value, list | tuple | range) else [value])


def _gathered(name: str, values: Sequence[Any]) -> Any:
    """An array of numbers of one unit, or a tuple of words, models, or True and False."""
    if all(isinstance(value, str | bool) for value in values):
        return tuple(values)
    if any(isinstance(value, str | bool) or np.ndim(value) for value in values):
        raise UserError(
            f"The values of {name} must be single numbers or words, not "
            f"{listed(map(short, values))}; an empty list of models is written {NONE}."
        )
    try:
        found = Quantity(list(values))
    except (DimensionMismatchError, TypeError, ValueError) as error:
        raise UserError(
            f"The values of {name} must be numbers of one unit, not {listed(map(short, values))}."
        ) from error
    return np.asarray(found) if found.dim is DIMENSIONLESS else found
