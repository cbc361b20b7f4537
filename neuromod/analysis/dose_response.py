"""Dose-response curves: Hill fits with intervals, half effects of known curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from brian2 import Quantity, get_dimensions
from brian2.units.fundamentalunits import Dimension
from scipy.optimize import brentq
from scipy.special import expit

from neuromod.analysis.doses import Points
from neuromod.analysis.hill_family import FARTHEST, Estimate, Found, HillFamily, fit
from neuromod.checks import check_unit, index_array
from neuromod.errors import UserError

# Enough points on a curve to see whether it turns back.
FINE = 400


@dataclass(frozen=True, eq=False)
class CurveFit:
    """A Hill function of concentration, fitted together with others of common ends and slope.

    Attributes
    ----------
    bottom, top : float or Quantity
        Response without effect and at the greatest effect, in the response's unit; `top` is the
        lower one where the ligand inhibits.
    ec50 : Estimate
        In the unit of the concentrations.
    hill_slope : Estimate
    freedom : int
        Degrees of freedom: points minus parameters.
    weights : ndarray, shape (n,)
        Of every point in the fit: 1, less for outliers of a robust fit, nan where the response is
        missing.
    robust : bool
        Whether outliers were given less weight.
    """

    bottom: Any
    top: Any
    ec50: Estimate
    hill_slope: Estimate
    freedom: int
    weights: np.ndarray
    robust: bool

    @classmethod
    def of(cls, points: Points, found: Found, robust: bool, **others: Any) -> Self:
        """A fit in the units of its points."""
        bottom, top = (_in(points.of_response, float(end)) for end in found.ends)
        ec50 = (_in(points.of_conc, end) for end in astuple(found.estimate(1)))
        weights = np.full(len(points.known), np.nan)
        weights[points.known] = found.family.weights
        slope, freedom = found.estimate(0), found.family.freedom
        return cls(bottom, top, Estimate(*ec50), slope, freedom, weights, robust, **others)

    def __call__(self, conc: Any) -> Any:
        """Response at concentrations in the unit of `ec50`, shape (n,)."""
        check_unit("conc", conc, get_dimensions(self.ec50.value))
        with np.errstate(divide="ignore"):
            over = np.log(np.asarray(conc)) - np.log(float(self.ec50.value))
        effect = expit(over * self.hill_slope.value)
        return self.bottom + (self.top - self.bottom) * effect

    @property
    def left_out(self) -> int:
        """Number of points whose response is missing."""
        return int(np.sum(np.isnan(self.weights)))

    @property
    def down_weighted(self) -> int:
        """Number of points with less than half of the full weight."""
        return int(np.sum(self.weights < 0.5))


@dataclass(frozen=True, eq=False)
class HillFit(CurveFit):
    """Hill functions of concentration that share everything but their EC50: that of the first.

    Attributes
    ----------
    dose_ratios : tuple of Estimate
        EC50 of every further curve over that of the first.
    covariance : ndarray, shape (dose ratios, dose ratios)
        Of the natural logarithms of the dose ratios, which share the error of the first curve.
    """

    dose_ratios: tuple[Estimate, ...]
    covariance: np.ndarray


def fit_hill(
    conc: Any,
    response: Any,
    curve: Any = None,
    *,
    bottom: Any = None,
    top: Any = None,
    slope: float | None = None,
    robust: bool = False,
) -> HillFit:
    """Hill functions by least squares; several curves are fitted in parallel.

    Parameters
    ----------
    conc : list, ndarray or Quantity, shape (n,)
        Concentrations, 0 or above, not their logarithms.
    response : list, ndarray or Quantity, shape (n,)
        Missing responses (nan) are left out and counted.
    curve : list or ndarray of int, shape (n,), optional
        Number of each point's curve, from 0; one curve by default.
    bottom, top, slope : number or Quantity, optional
        Held at this value instead of being fitted.
    robust : bool
        Give outliers less weight, by Tukey's biweight; see `neuromod.analysis.hill_family.fit`.

    Returns
    -------
    HillFit
        In the units of `conc` and `response`, if they have any. The 95 % intervals are those of
        the profile likelihood, where the least sum of squares exceeds the best by the residual
        variance times a quantile of the F distribution (Bates & Watts 1988, Nonlinear Regression
        Analysis; Motulsky & Christopoulos 2004, Fitting Models to Biological Data). An interval
        is open, to 0 or infinity, where it reaches a slope of 1/1000 or 1000, or 12 decades beyond
        the doses: so are those of doses that end before the EC50. What no Hill function can
        follow counts as noise.

    Raises
    ------
    UserError
        When the points do not determine the curves: when at the best fit the Jacobian is singular.
        For doses that are negative, not a number or logarithms, infinite responses, and units that
        do not fit together.
    """
    number = None if curve is None else index_array("curve", curve)
    points = Points.read(conc, response, **({} if number is None else {"curve": number}))
    number = (np.zeros(len(points.known), dtype=int) if number is None else number)[points.known]
    curves = _curves(number)
    reach = points.reach + FARTHEST
    family = HillFamily.of(
        points.conc,
        points.response,
        partial(_parallel, curves[number]),
        {f"dose ratio {at}": (-reach, reach) for at in range(1, len(curves))},
        points.given(bottom, top, slope=slope),
    )
    found = fit(family, _guesses(family, number), robust)
    ratios = tuple(found.estimate(at) for at in range(2, len(found.theta)))
    return HillFit.of(
        points, found, robust, dose_ratios=ratios, covariance=found.covariance[2:, 2:]
    )


def half_effect(
    response: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> tuple[float, float]:
    """Concentration of half the greatest effect, and the Hill slope there, of a known curve.

    Parameters
    ----------
    response : callable
        Response at concentrations of shape (n,), any units.
    low, high : float
        Concentrations between which all but a billionth of the effect lies.

    Returns
    -------
    tuple of float
        Concentration, and slope of ``log(effect/(greatest - effect))`` against its logarithm; nan
        for a curve that is flat, turns back or is unknown (nan).
    """
    values = response(np.concatenate([[0], np.geomspace(low, high, FINE)]))
    span = values[-1] - values[0]
    rises = np.diff(values) * np.sign(span)
    if not abs(span) > 0 or np.any(rises < -1e-9 * abs(span)):
        return float("nan"), float("nan")

    def effect(log_conc: float) -> float:
        return float((response(np.exp([log_conc]))[0] - values[0]) / span)

    middle = brentq(lambda x: effect(x) - 0.5, np.log(low), np.log(high))
    step = 1e-4
    return float(np.exp(middle)), 4 * (effect(middle + step) - effect(middle - step)) / (2 * step)


def for_log_axis(conc: Any) -> np.ndarray:
    """Concentrations for a logarithmic axis, with 0 placed at a third of the lowest above it.

    Parameters
    ----------
    conc : array, shape (n,)
        Any unit, at least one above 0.
    """
    conc = np.asarray(conc, dtype=float)
    return np.where(conc > 0, conc, conc[conc > 0].min() / 3)


def _curves(number: np.ndarray) -> np.ndarray:
    """On which parameters behind the slope the midpoint of every curve depends, 1 or 0.

    Raises
    ------
    UserError
        When a curve has no point.
    """
    empty = np.bincount(number) == 0 if len(number) else np.ones(0, dtype=bool)
    if np.any(empty):
        raise UserError(
            f"curve {int(np.flatnonzero(empty)[0])} has no known response: number curves from 0."
        )
    depends = np.eye(max(len(empty), 1))
    depends[:, 0] = 1
    return depends


def _parallel(depends: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints of parallel curves, and their derivatives."""
    return depends @ theta, depends


def _guesses(family: HillFamily, number: np.ndarray) -> Iterator[np.ndarray]:
    """Every slope with every midpoint, the curves apart by what they seem to be."""
    for slope in family.slopes:
        first, *others = family.midpoints(slope, number)
        for at in family.grid:
            yield np.array([slope, at, *(other - first for other in others)])


def _in(dimension: Dimension, plain: float) -> Any:
    return plain if dimension.is_dimensionless else Quantity(plain, dim=dimension)
