"""Dose-response curves: Hill fits with intervals, Schild regression."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, molar
from scipy.optimize import OptimizeWarning, brentq, curve_fit
from scipy.special import expit
from scipy.stats import t as student

from neuromod.errors import UserError

CONFIDENCE = 0.95
# Enough points on a curve to see whether it turns back.
FINE = 400


@dataclass(frozen=True)
class Estimate:
    """A fitted number and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class HillFit:
    """Hill functions of concentration that share everything but their EC50.

    Attributes
    ----------
    bottom, top : float
        Response without effect and at the greatest effect, in the response's unit; `top` is the
        lower one where the ligand inhibits.
    ec50 : Estimate
        Of the first curve, in the unit of the concentrations.
    dose_ratios : tuple of Estimate
        EC50 of every further curve over that of the first.
    covariance : ndarray, shape (dose ratios, dose ratios)
        Of the natural logarithms of the dose ratios, which share the error of the first curve.
    freedom : int
        Degrees of freedom: points minus parameters.
    """

    bottom: float
    top: float
    ec50: Estimate
    hill_slope: Estimate
    dose_ratios: tuple[Estimate, ...]
    covariance: np.ndarray
    freedom: int

    def __call__(self, conc: Any) -> np.ndarray:
        """Response of the first curve at concentrations in the unit of `ec50`, shape (n,)."""
        with np.errstate(divide="ignore"):
            over = np.log(conc) - np.log(self.ec50.value)
        effect = expit(over * self.hill_slope.value)
        return np.asarray(self.bottom + (self.top - self.bottom) * effect)


@dataclass(frozen=True)
class Schild:
    """Regression of ``log10(dose ratio - 1)`` on the logarithm of the antagonist's concentration.

    Attributes
    ----------
    slope : Estimate
        1 for simple competition.
    pA2 : Estimate
        ``-log10`` of the concentration in mol/l at which twice the agonist has the same effect.
    """

    slope: Estimate
    pA2: Estimate


def fit_hill(conc: np.ndarray, response: np.ndarray, curve: np.ndarray | None = None) -> HillFit:
    """Hill functions by least squares; several curves are fitted in parallel.

    Parameters
    ----------
    conc, response : ndarray, shape (n,)
        In any unit; concentrations may be 0, and missing responses (nan) are left out.
    curve : ndarray of int, shape (n,), optional
        Number of each point's curve, from 0; one curve by default.

    Returns
    -------
    HillFit
        EC50, slope and dose ratios are fitted as logarithms; their intervals are Student's t
        intervals from the fit's covariance on that scale (Motulsky & Christopoulos 2004, Fitting
        Models to Biological Data). What no Hill function can follow counts as noise.

    Raises
    ------
    UserError
        When the points do not determine the curves.
    """
    known = np.isfinite(response)
    # curve_fit takes no -inf; the smallest number has no effect either.
    x, response = np.log(np.maximum(conc[known], np.finfo(float).tiny)), response[known]
    number = (np.zeros(len(conc), dtype=int) if curve is None else curve)[known]
    start = _start(x, response, number)
    freedom = len(x) - len(start)
    if freedom < 1 or not np.ptp(response):
        raise UserError(
            f"A Hill fit needs at least {len(start) + 1} concentrations at which the response is "
            "known, and a response that changes."
        )

    def parallel(x: np.ndarray, bottom: float, top: float, log_slope: float, *at: float) -> Any:
        middle = at[0] + np.array([0, *at[1:]])[number]
        return bottom + (top - bottom) * expit(np.exp(log_slope) * (x - middle))

    # Of doses that end before the EC50, an interval may be open.
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("error", OptimizeWarning)
        try:
            best, covariance = curve_fit(parallel, x, response, start)
        except (RuntimeError, OptimizeWarning) as error:
            raise UserError(
                "No Hill function can be fitted: choose several concentrations around the EC50."
            ) from error
        factors = np.exp(_intervals(best, covariance, freedom)[2:]).tolist()
    slope, ec50, *ratios = (Estimate(*factor) for factor in factors)
    bottom, top = best[:2].tolist()
    return HillFit(bottom, top, ec50, slope, tuple(ratios), covariance[4:, 4:], freedom)


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


def schild(antagonist: Quantity, fit: HillFit) -> Schild:
    """Schild regression.

    Parameters
    ----------
    antagonist : Quantity, shape (dose ratios,)
        Concentrations above 0, mol/m^3.
    fit : HillFit
        Parallel curves, the first without antagonist. Dose ratios of at most 1, which have no
        logarithm, are left out.

    Returns
    -------
    Schild
        With Student's t intervals (Arunlakshana & Schild 1959, Br. J. Pharmacol. 14:48-58). Fitted
        by generalised least squares, because all dose ratios share the error of the first curve.

    Raises
    ------
    UserError
        When fewer than three dose ratios lie above 1.
    """
    ratios = np.array([ratio.value for ratio in fit.dose_ratios])
    above = ratios > 1
    if np.sum(above) < 3:
        raise UserError("A Schild regression needs at least three dose ratios above 1.")
    x, ratios = np.log10(np.asarray(antagonist / molar)[above]), ratios[above]
    y = np.log10(ratios - 1)
    per_log = ratios / (ratios - 1) / np.log(10)
    errors = fit.covariance[np.ix_(above, above)] * np.outer(per_log, per_log)

    def line(x: np.ndarray, slope: float, pA2: float) -> np.ndarray:
        return slope * (x + pA2)

    start = [1, np.mean(y - x)]
    best, covariance = curve_fit(line, x, y, start, sigma=errors, absolute_sigma=True)
    return Schild(*(Estimate(*row) for row in _intervals(best, covariance, fit.freedom).tolist()))


def for_log_axis(conc: Any) -> np.ndarray:
    """Concentrations for a logarithmic axis, with 0 placed at a third of the lowest above it.

    Parameters
    ----------
    conc : array, shape (n,)
        Any unit, at least one above 0.
    """
    conc = np.asarray(conc, dtype=float)
    return np.where(conc > 0, conc, conc[conc > 0].min() / 3)


def _start(x: np.ndarray, response: np.ndarray, number: np.ndarray) -> list[float]:
    """First guess: the ends, slope 1, and where each response is nearest to the middle."""
    if not len(x):
        return [0.0] * 4
    bottom, top = response[np.argmin(x)], response[np.argmax(x)]
    off = np.abs(response - (bottom + top) / 2)
    own = (np.flatnonzero(number == curve) for curve in range(number.max() + 1))
    first, *others = (x[points[np.argmin(off[points])]] for points in own)
    return [bottom, top, 0.0, first, *(at - first for at in others)]


def _intervals(best: np.ndarray, covariance: np.ndarray, freedom: int) -> np.ndarray:
    """Value, lower and upper end of every parameter, shape (parameters, 3)."""
    reach = student.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(np.diag(covariance))
    return np.transpose([best, best - reach, best + reach])
