"""Hill fits over a grid of curves are right or refused; their intervals hold what they promise."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from brian2 import umolar
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import f as f_distribution

from neuromod.analysis.dose_response import fit_hill
from neuromod.analysis.schild import gaddum_schild, schild
from neuromod.errors import UserError

pytestmark = pytest.mark.thorough

DOSES = np.array([0, *np.geomspace(0.013, 170, 15)])
FEW = np.array([0, *np.geomspace(0.05, 8, 7)])
ENDS = [(0, 1), (1, 0), (-3.1, 12.7), (2.7, 2.9), (-5e12, 4e12), (3e-15, 1e-15), (0, -1e-200)]
ENDS.append((1000, 1001))


def hill(conc, bottom, top, ec50, slope):
    with np.errstate(divide="ignore"):
        over = slope * (np.log(conc) - np.log(ec50))
    return bottom * expit(-over) + top * expit(over)


def test_every_curve_without_noise_is_fitted_exactly_or_refused():
    """Over 12 decades of EC50, also where doses are far from it and determine little."""
    found = Counter()
    shapes = product((0.5, 0.8, 1, 1.37, 2, 3, 4), range(5, 13), (0, 1), (0, 1, -1.5, 3), (2, 4, 6))
    for case, (slope, doses, zero, center, width) in enumerate(shapes):
        (bottom, top), ec50 = ENDS[case % len(ENDS)], 10.0 ** ((case * 5) % 13 - 9)
        ends = center - width / 2, center + width / 2
        conc = ec50 * np.array([*[0] * zero, *np.logspace(*ends, doses - zero)])
        try:
            fit = fit_hill(conc, hill(conc, bottom, top, ec50, slope))
        except UserError:
            found["refused", center] += 1
            continue
        span = top - bottom
        off = [(fit.bottom - bottom) / span, (fit.top - top) / span]
        off += [fit.ec50.value / ec50 - 1, fit.hill_slope.value / slope - 1]
        assert np.abs(off).max() < 1e-6, (slope, doses, zero, center, width, bottom, top, ec50)
        found["fitted", center] += 1
    # Around the EC50 none is refused.
    assert found["refused", 0] == 0
    assert found["fitted", 0] == 336
    assert found["fitted", 3] > found["refused", 3]


def least(conc, response, ec50):
    """Least sum of squares at an EC50, by nothing but a search over slopes."""

    def squares(log_slope):
        slope = np.exp(log_slope)
        sides = np.column_stack([hill(conc, 1, 0, ec50, slope), hill(conc, 0, 1, ec50, slope)])
        # Far from the EC50 one of them is next to nothing.
        sides = sides / np.maximum(np.linalg.norm(sides, axis=0), 1e-300)
        best = np.linalg.lstsq(sides, response, rcond=None)[0]
        return float(np.sum((response - sides @ best) ** 2))

    grid = np.linspace(np.log(0.02), np.log(50), 121)
    at = grid[np.argmin([squares(x) for x in grid])]
    near = minimize_scalar(
        squares, bounds=(at - 0.1, at + 0.1), method="bounded", options={"xatol": 1e-9}
    )
    return min(squares(at), near.fun)


@pytest.mark.parametrize("ec50", [0.83, 11.0])
def test_the_profile_crosses_its_threshold_at_closed_ends_and_never_at_open_ones(ec50):
    generator, open_ends = np.random.default_rng(17), 0
    for _ in range(40):
        response = hill(FEW, 1.3, 4.7, ec50, 1.0) + generator.normal(0, 0.15, len(FEW))
        try:
            fit = fit_hill(FEW, response)
        except UserError:
            continue
        best = least(FEW, response, fit.ec50.value)
        limit = best * (1 + f_distribution.ppf(0.95, 1, fit.freedom) / fit.freedom)
        for end, far, outwards in ((fit.ec50.low, 1e-8, 0.94), (fit.ec50.high, 1e8, 1.06)):
            if np.isfinite(np.log(end)):
                # Where the midpoint of a steep curve passes a dose, the profile jumps.
                assert least(FEW, response, end / outwards) < limit
                assert least(FEW, response, end * outwards) > limit
            else:
                open_ends += 1
                assert least(FEW, response, far) < limit * (1 + 1e-6)
    assert (open_ends > 10) == (ec50 > FEW.max())


def covered(trials, fit, truths):
    """Shares of intervals that hold the truth."""
    hits = np.zeros(len(truths))
    for _ in range(trials):
        estimates = fit()
        hits += [e.low < t < e.high for e, t in zip(estimates, truths, strict=True)]
    return hits / trials


@pytest.mark.parametrize(
    ("conc", "noise", "outliers", "trials", "least"),
    [
        (DOSES, 0.05, 0, 400, 0.92),
        (FEW, 0.1, 0, 400, 0.92),
        # Which points are outliers is itself uncertain.
        (DOSES, 0.05, 2, 200, 0.88),
    ],
    ids=["many doses", "few doses", "outliers"],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(conc, noise, outliers, trials, least):
    generator = np.random.default_rng(71)

    def once():
        response = hill(conc, 1.1, 2.9, 0.83, 1.37) + generator.normal(0, noise, len(conc))
        off = generator.choice(len(conc), outliers, replace=False)
        response[off] += generator.choice([-1, 1], outliers) * generator.uniform(0.5, 3, outliers)
        fit = fit_hill(conc, response, robust=outliers > 0)
        return fit.ec50, fit.hill_slope

    shares = covered(trials, once, (0.83, 1.37))
    assert np.all((least < shares) & (shares < 0.98)), shares


def parallel(noise, generator, baths):
    conc, bath = np.tile(DOSES, len(baths)), np.repeat(baths, len(DOSES))
    response = hill(conc, 1.3, 4.7, 0.53 * (1 + bath / 0.17), 1.37)
    return conc, response + generator.normal(0, noise, len(response)), bath


def test_schild_intervals_cover_the_truth_though_all_ratios_share_the_controls_error(monkeypatch):
    # Regression needs values and covariance of dose ratios, not their profiles.
    monkeypatch.setattr("neuromod.analysis.hill_family.Found.interval", lambda *_: (0.0, 0.0))
    baths, generator = np.array([0, *np.geomspace(0.9, 13, 8)]), np.random.default_rng(53)

    def once():
        conc, response, bath = parallel(0.06, generator, baths)
        result = schild(baths[1:] * umolar, fit_hill(conc, response, np.searchsorted(baths, bath)))
        return result.slope, result.pA2

    # Four binomial standard deviations; for independent ratios, pA2's would cover it in 88 %.
    assert np.all(np.abs(covered(200, once, (1, -np.log10(0.17e-6))) - 0.95) < 0.062)


def test_intervals_of_the_global_fit_cover_the_truth():
    baths, generator = np.array([0, 0.3, 1.1, 4.1]), np.random.default_rng(59)

    def once():
        conc, response, bath = parallel(0.15, generator, baths)
        fit = gaddum_schild(conc, response, bath * umolar)
        return fit.schild_slope, fit.pA2, fit.hill_slope

    # Four binomial standard deviations.
    shares = covered(150, once, (1, -np.log10(0.17e-6), 1.37))
    assert np.all(np.abs(shares - 0.95) < 0.071), shares
