"""Competitive antagonism: Schild regression of dose ratios, and Gaddum and Schild's global fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
from brian2 import Quantity, have_same_dimensions, molar
from scipy.optimize import curve_fit
from scipy.special import expit
from scipy.stats import t as student

from neuromod.analysis.dose_response import CurveFit, HillFit
from neuromod.analysis.doses import Points, doses
from neuromod.analysis.hill_family import (
    AROUND,
    CONFIDENCE,
    FARTHEST,
    STEEPEST,
    Estimate,
    HillFamily,
    fit,
)
from neuromod.errors import UserError
from neuromod.parameters import in_words, unit_of

# First guesses of the global fit.
SCHILD_SLOPES = (1.0, 0.5, 2.0)
CONSTANTS = 25


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


@dataclass(frozen=True, eq=False)
class GaddumSchild(CurveFit):
    """Hill functions whose EC50 grows with the antagonist: `ec50` is that without antagonist.

    Attributes
    ----------
    schild_slope : Estimate
        1 for simple competition.
    pA2 : Estimate
        ``-log10`` of the concentration in mol/l that doubles the EC50; for simple competition
        that of the antagonist's dissociation constant.
    """

    schild_slope: Estimate
    pA2: Estimate


def schild(antagonist: Any, fit: HillFit) -> Schild:
    """Schild regression, the second of two steps; `gaddum_schild` is one.

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
        When fewer than three dose ratios lie above 1, and for what is no list of concentrations
        with their unit, one for each dose ratio.
    """
    conc = _in_molar(antagonist)
    ratios = np.array([ratio.value for ratio in fit.dose_ratios])
    if len(conc) != len(ratios) or not np.all(conc > 0):
        raise UserError(
            f"antagonist needs a concentration above 0 for each of {len(ratios)} dose ratios, not "
            f"{len(conc)} values."
        )
    above = ratios > 1
    if np.sum(above) < 3:
        raise UserError("A Schild regression needs at least three dose ratios above 1.")
    x, ratios = np.log10(conc[above]), ratios[above]
    y = np.log10(ratios - 1)
    per_log = ratios / (ratios - 1) / np.log(10)
    errors = fit.covariance[np.ix_(above, above)] * np.outer(per_log, per_log)

    def line(x: np.ndarray, slope: float, pA2: float) -> np.ndarray:
        return slope * (x + pA2)

    start = [1, np.mean(y - x)]
    best, covariance = curve_fit(line, x, y, start, sigma=errors, absolute_sigma=True)
    reach = student.ppf((1 + CONFIDENCE) / 2, fit.freedom) * np.sqrt(np.diag(covariance))
    ends = np.transpose([best, best - reach, best + reach])
    return Schild(*(Estimate(*row) for row in ends.tolist()))


def gaddum_schild(
    conc: Any,
    response: Any,
    antagonist: Any,
    *,
    bottom: Any = None,
    top: Any = None,
    slope: float | None = None,
    schild_slope: float | None = None,
    robust: bool = False,
) -> GaddumSchild:
    """Global fit of an antagonist's shift of a dose-response curve.

    Hill functions with common ends and slope are fitted to all points at once, the EC50 of each
    ``ec50*(1 + (antagonist*10**pA2)**schild_slope)`` (Gaddum 1937, J. Physiol. 89:7P; Lew & Angus
    1995, Trends Pharmacol. Sci. 16:328-337; Motulsky & Christopoulos 2004, Fitting Models to
    Biological Data). Unlike a Schild plot this takes no logarithms of fitted numbers, leaves out no
    dose ratio, and gives the control no more weight than other curves.

    Parameters
    ----------
    conc, response : list, ndarray or Quantity, shape (n,)
        Of the agonist; see `fit_hill`.
    antagonist : Quantity, shape (n,)
        Its concentration at every point, 0 for none, mol/m^3.
    bottom, top, slope, schild_slope : number or Quantity, optional
        Held at this value instead of being fitted; a Schild slope of 1 is simple competition.
    robust : bool
        As for `fit_hill`.

    Returns
    -------
    GaddumSchild
        With 95 % intervals of the profile likelihood, as those of `fit_hill`.

    Raises
    ------
    UserError
        As `fit_hill`, and when `antagonist` is no list of concentrations with their unit.
    """
    baths = _in_molar(antagonist)
    points = Points.read(conc, response, antagonist=baths)
    baths = baths[points.known]
    if not np.any(baths > 0):
        raise UserError("antagonist needs at least one concentration above 0.")
    log_bath = np.log(baths, where=baths > 0, out=np.full(len(baths), -np.inf))
    above = log_bath[baths > 0]
    family = HillFamily.of(
        points.conc,
        points.response,
        partial(_shifted, log_bath),
        {
            "schild_slope": (-STEEPEST, STEEPEST),
            "pA2": (above.min() - FARTHEST, above.max() + FARTHEST),
        },
        points.given(bottom, top, slope=slope, schild_slope=schild_slope),
    )
    found = fit(family, _guesses(family, log_bath), robust)
    constant = astuple(found.estimate(3))
    value, high, low = (-np.log10(part) for part in constant)
    return GaddumSchild.of(
        points,
        found,
        robust,
        schild_slope=found.estimate(2),
        pA2=Estimate(float(value), float(low), float(high)),
    )


def _in_molar(antagonist: Any) -> np.ndarray:
    """Concentrations in mol/l.

    Raises
    ------
    UserError
        For plain numbers and for another unit, from which a pA2 would be wrong without a word.
    """
    plain, dimension = doses("antagonist", antagonist)
    if not have_same_dimensions(molar, Quantity(1.0, dim=dimension)):
        unit = in_words(unit_of(Quantity(1.0, dim=dimension)))
        raise UserError(
            "antagonist needs concentrations with their unit, such as [0.1, 1, 10]*umolar, not "
            f"{unit}: pA2 is -log10 of mol/l."
        )
    return np.asarray(Quantity(plain, dim=dimension) / molar)


def _shifted(log_bath: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints under the antagonist, and their derivatives by EC50, Schild slope and constant."""
    ec50, log_slope, constant = theta
    slope = np.exp(np.clip(log_slope, -2 * STEEPEST, 2 * STEEPEST))
    with np.errstate(invalid="ignore"):
        over = slope * (log_bath - constant)
        share = expit(over)
        by_slope = np.where(share > 0, share * over, 0.0)
    return ec50 + np.logaddexp(0, over), np.column_stack(
        [np.ones_like(share), by_slope, -slope * share]
    )


def _guesses(family: HillFamily, log_bath: np.ndarray) -> Iterator[np.ndarray]:
    """Every slope and Schild slope with constants around the antagonist's concentrations."""
    levels, number = np.unique(log_bath, return_inverse=True)
    above = levels[np.isfinite(levels)]
    constants = np.linspace(above.min() - AROUND, above.max() + AROUND, CONSTANTS)
    for slope in family.slopes:
        lowest = family.midpoints(slope, number)[0]
        for schild_slope in SCHILD_SLOPES:
            for constant in constants:
                shift = np.logaddexp(0, schild_slope * (levels[0] - constant))
                yield np.array([slope, lowest - shift, np.log(schild_slope), constant])
