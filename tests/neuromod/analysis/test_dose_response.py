"""Hill fits give back what went in, or say that the doses do not determine it."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, Quantity, mV, second, umolar

from neuromod.analysis.dose_response import fit_hill, for_log_axis, half_effect
from neuromod.errors import UserError
from neuromod.models.receptors import Receptor

DOSES = np.array([0, *np.geomspace(0.013, 170, 15)])


def hill(conc, bottom, top, ec50, slope):
    return bottom + (top - bottom) * conc**slope / (conc**slope + ec50**slope)


@pytest.mark.parametrize(("bottom", "top"), [(1.3, 4.7), (2.9, 0.4), (-3.1, 12.7)])
def test_a_hill_function_is_fitted_exactly_whether_it_rises_or_falls(bottom, top):
    fit = fit_hill(DOSES, hill(DOSES, bottom, top, 0.83, 1.37))
    assert fit.bottom == pytest.approx(bottom, rel=1e-6)
    assert fit.top == pytest.approx(top, rel=1e-6)
    assert fit.ec50.value == pytest.approx(0.83, rel=1e-6)
    assert fit.hill_slope.value == pytest.approx(1.37, rel=1e-6)
    assert np.allclose(fit(DOSES), hill(DOSES, bottom, top, 0.83, 1.37))


def test_ec50_scales_with_the_unit_and_the_slope_does_not():
    response = hill(DOSES, 1.1, 2.3, 0.83, 1.37) + 0.01 * np.cos(np.arange(len(DOSES)))
    one, other = fit_hill(DOSES, response), fit_hill(DOSES * 1000, response)
    for part in ("value", "low", "high"):
        assert getattr(other.ec50, part) == pytest.approx(1000 * getattr(one.ec50, part), rel=1e-4)
        assert getattr(other.hill_slope, part) == pytest.approx(
            getattr(one.hill_slope, part), rel=1e-4
        )


def test_parallel_curves_share_all_but_their_ec50():
    ratios = np.array([1.0, 3.7, 19.0])
    response = np.concatenate([hill(DOSES, 1.3, 4.7, 0.83 * ratio, 1.37) for ratio in ratios])
    fit = fit_hill(np.tile(DOSES, 3), response, np.repeat([0, 1, 2], len(DOSES)))
    assert [ratio.value for ratio in fit.dose_ratios] == pytest.approx([3.7, 19.0], rel=1e-5)
    assert fit.ec50.value == pytest.approx(0.83, rel=1e-5)


def test_points_without_a_response_are_left_out_and_counted():
    response = hill(DOSES, 1.3, 4.7, 0.83, 1.37)
    response[[0, 7]] = np.nan
    fit = fit_hill(DOSES, response)
    assert fit.ec50.value == pytest.approx(0.83, rel=1e-6)
    assert fit.left_out == 2
    assert np.flatnonzero(np.isnan(fit.weights)).tolist() == [0, 7]


@pytest.mark.parametrize(
    "response", [np.full(len(DOSES), 2.7), np.where(np.arange(len(DOSES)) < 4, 1.3, np.nan)]
)
def test_responses_that_determine_no_curve_are_refused(response):
    with pytest.raises(UserError, match="at least 5 concentrations"):
        fit_hill(DOSES, response)


def test_half_effect_is_the_receptors_own_ec50_and_slope():
    for receptor in (
        Receptor(n=1.0, K=0.37),
        Receptor(n=3.1, gain_max=0.3),
        Receptor(k_desensitise=0.043 / second, n=1.7),
    ):
        ec50, slope = half_effect(lambda conc, r=receptor: r.gain(conc * umolar), 1e-9, 1e9)
        assert ec50 == pytest.approx(float(receptor.ec50 / umolar), rel=1e-6)
        assert slope == pytest.approx(receptor.hill_slope, rel=1e-6)


def test_half_effect_moves_with_a_competitor_by_gaddums_factor():
    receptor = Receptor(antagonist="rival")
    ec50, slope = half_effect(lambda c: receptor.gain(c * umolar, 0.73 * umolar), 1e-9, 1e9)
    assert ec50 == pytest.approx(float(receptor.ec50 / umolar) * (1 + 0.73 / 0.1), rel=1e-6)
    assert slope == pytest.approx(receptor.hill_slope, rel=1e-6)


def test_a_curve_that_is_flat_or_turns_back_has_no_half_effect():
    assert np.isnan(half_effect(lambda conc: 1.7 + 0 * conc, 1e-3, 1e3)).all()
    bell = half_effect(lambda conc: conc / (conc + 1) - conc / (conc + 9) / 2, 1e-5, 1e5)
    assert np.isnan(bell).all()


def test_no_concentration_stands_left_of_the_lowest_on_a_logarithmic_axis():
    assert for_log_axis([0, 0.6, 7.0]) == pytest.approx([0.2, 0.6, 7.0])


def test_doses_that_end_before_the_ec50_leave_its_interval_open():
    conc = np.array([0, 0.001, 0.003, 0.01, 0.03, 0.1])
    noise = 0.002 * np.array([1, -1, 1, -1, 1, -1])
    fit = fit_hill(conc, hill(conc, 1.3, 4.7, 3.1, 1.0) + noise)
    assert 0.01 < fit.ec50.low < fit.ec50.value
    assert fit.ec50.high == np.inf


def test_all_or_none_responses_are_no_hill_function():
    with pytest.raises(UserError, match="around the EC50"):
        fit_hill(DOSES, np.where(DOSES > 1.7, 3.9, 1.3))


def test_a_perfect_curve_of_six_doses_is_fitted_as_a_list_too():
    conc = [0, 0.01, 0.1, 1, 10, 100]
    fit = fit_hill(conc, [c / (c + 1) for c in conc])
    found = [fit.bottom, fit.top, fit.ec50.value, fit.hill_slope.value]
    assert found == pytest.approx([0, 1, 1, 1], abs=1e-9)


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.9, 4.0])
@pytest.mark.parametrize(
    ("bottom", "top"), [(0, 1), (4.7, -1.3), (-5.3e12, 4.1e12), (3.1e-15, 1.7e-15), (0, -1e-200)]
)
def test_curves_without_noise_are_fitted_exactly_whatever_their_size(bottom, top, slope):
    for ec50, doses in ((1.0, 6), (2.3e-9, 8), (4.1e3, 12)):
        for conc in (
            ec50 * np.geomspace(0.011, 70, doses),
            ec50 * np.array([0, *np.geomspace(0.029, 90, doses - 1)]),
        ):
            fit = fit_hill(conc, hill(conc, bottom, top, ec50, slope))
            assert fit.ec50.value == pytest.approx(ec50, rel=1e-6)
            assert fit.hill_slope.value == pytest.approx(slope, rel=1e-6)
            ends = (np.array([fit.bottom, fit.top]) - bottom) / (top - bottom)
            assert ends == pytest.approx([0, 1], abs=1e-6)


# Rye grass under ferulic acid (mM): root length in cm. Inderjit, Streibig & Olofsdotter 2002,
# Physiol. Plant. 114:422-428, as in the R package drc (Ritz & Streibig 2005, J. Stat. Softw. 12:5).
FERULIC_ACID = np.repeat([0, 0.94, 1.88, 3.75, 7.5, 15, 30], [6, 3, 3, 3, 3, 3, 3])
ROOT_LENGTH = [
    *(7.58, 8.0, 8.3285714, 7.25, 7.375, 7.9625, 8.3555556, 6.9142857, 7.75),
    *(6.8714286, 6.45, 5.9222222, 1.925, 2.8857143, 4.2333333, 1.1875, 0.8571429, 1.0571429),
    *(0.6875, 0.525, 0.825, 0.25, 0.22, 0.44),
]


def test_published_estimates_and_lmfits_profiles_are_found_for_rye_grass():
    fit = fit_hill(FERULIC_ACID, ROOT_LENGTH)
    # drc's four-parameter log-logistic fit: upper, lower, ED50, slope.
    found = [fit.bottom, fit.top, fit.ec50.value, fit.hill_slope.value]
    assert found == pytest.approx([7.79296, 0.48141, 3.05795, 2.98222], rel=3e-6)
    # lmfit 1.3.4, conf_interval of log EC50 and log slope at 95 %.
    assert [fit.ec50.low, fit.ec50.high] == pytest.approx([2.69109829, 3.47538696], rel=1e-6)
    assert [fit.hill_slope.low, fit.hill_slope.high] == pytest.approx(
        [2.18200881, 4.2328924], rel=1e-6
    )


def test_quantities_go_in_and_come_out():
    response = hill(DOSES, 11.0, 47.0, 0.83, 1.37) + 0.3 * np.cos(np.arange(len(DOSES)))
    plain, fit = fit_hill(DOSES, response), fit_hill(DOSES * umolar, response * Hz)
    for part in ("value", "low", "high"):
        concentration = getattr(fit.ec50, part)
        assert concentration / umolar == pytest.approx(getattr(plain.ec50, part), rel=1e-6)
    assert isinstance(fit.ec50.value / umolar, float)
    assert fit.bottom / Hz == pytest.approx(plain.bottom, rel=1e-6)
    assert np.allclose(fit([0.3, 7.0] * umolar) / Hz, plain([0.3, 7.0]), rtol=1e-6)
    with pytest.raises(UserError, match="conc has the wrong unit"):
        fit([0.3, 7.0])


def test_what_is_given_is_held_and_has_no_interval():
    response = hill(DOSES, 1.3, 4.7, 0.83, 1.37) + 0.05 * np.cos(np.arange(len(DOSES)))
    free, held = fit_hill(DOSES, response), fit_hill(DOSES, response, bottom=1.2, slope=1.5)
    assert held.bottom == pytest.approx(1.2, rel=1e-12)
    assert held.hill_slope.value == pytest.approx(1.5, rel=1e-12)
    assert np.isnan([held.hill_slope.low, held.hill_slope.high]).all()
    assert held.freedom == free.freedom + 2
    top = fit_hill(DOSES * umolar, response * mV, top=4.9 * mV)
    assert top.top / mV == pytest.approx(4.9, rel=1e-12)


def test_a_held_top_determines_what_doses_below_the_ec50_leave_open():
    conc = np.array([0, 0.001, 0.003, 0.01, 0.03, 0.1])
    noise = 0.002 * np.array([1, -1, 1, -1, 1, -1])
    response = hill(conc, 1.3, 4.7, 3.1, 1.0) + noise
    assert fit_hill(conc, response, top=4.7, slope=1.0).ec50.high < 5


def test_outliers_have_less_weight_when_asked_for():
    response = hill(DOSES, 1.3, 4.7, 0.83, 1.37)
    response[[4, 12]] += [2.9, -3.3]
    fit = fit_hill(DOSES, response, robust=True)
    assert fit.ec50.value == pytest.approx(0.83, rel=1e-6)
    assert np.flatnonzero(fit.weights < 0.5).tolist() == [4, 12]
    assert (fit.robust, fit.down_weighted) == (True, 2)
    plain = fit_hill(DOSES, response, slope=1.37)
    assert abs(plain.ec50.value / 0.83 - 1) > 0.05
    assert (plain.robust, plain.down_weighted) == (False, 0)


def test_a_robust_fit_of_good_points_is_nearly_the_ordinary_one():
    generator = np.random.default_rng(29)
    response = hill(DOSES, 1.3, 4.7, 0.83, 1.37) + generator.normal(0, 0.07, len(DOSES))
    plain, robust = fit_hill(DOSES, response), fit_hill(DOSES, response, robust=True)
    assert robust.ec50.value == pytest.approx(plain.ec50.value, rel=0.05)
    width, other = (np.log(fit.ec50.high / fit.ec50.low) for fit in (plain, robust))
    assert other == pytest.approx(width, rel=0.3)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"conc": [0, 0.3, np.nan, 3, 10, 30]}, r"conc\[2\] = nan"),
        ({"conc": [0, 0.3, 1, -3, 10, 30]}, r"conc\[3\] = -3: a dose of at least 0"),
        ({"conc": Quantity([0, 0.3, 1, -3, 10, 30]) * umolar}, r"conc\[3\] = -3 µM"),
        ({"conc": [0, 0.3, np.inf, 3, 10, 30]}, r"conc\[2\] = inf"),
        ({"conc": [-9, -8, -7, -6, -5, -4]}, r"look like log10 .* give the conc.*10\*\*conc"),
        ({"conc": [-2, -1.5, -1, -0.5, 0, 0.5]}, "look like log10"),
        ({"conc": [0, 0.3, 1, 3, 10]}, "not 5 and 6"),
        ({"conc": [0, 0, 0, 0, 0, 0]}, "at least 5 concentrations"),
        ({"response": [1, 2, 3, np.inf, 5, 6]}, r"response\[3\] = inf"),
        ({"response": ["a"] * 6}, "response needs numbers"),
        ({"curve": [0, 0, 0, 2, 2, 2]}, "curve 1 has no known response"),
        ({"bottom": 1 * mV}, "bottom has the wrong unit"),
        ({"top": [1, 2]}, "top must be one finite number"),
        ({"slope": -1.3}, "slope = -1.3 must be above 0"),
    ],
)
def test_points_that_mean_something_else_are_refused_by_name(points, message):
    given = {"conc": [0, 0.3, 1, 3, 10, 30], "response": [1, 1.2, 1.9, 3, 3.8, 4.1]}
    with pytest.raises(UserError, match=message):
        fit_hill(**given | points)


def test_what_the_doses_do_not_determine_is_named():
    # Far below the EC50 a Hill function is a power of the dose.
    conc = np.geomspace(1e-9, 1e-6, 9)
    with pytest.raises(UserError, match="do not determine top and EC50"):
        fit_hill(conc, hill(conc, 0, 4.7, 31.0, 1.37))
