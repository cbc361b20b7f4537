"""Hill fits and Schild regression give back what went in."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import second, umolar

from neuromod.analysis.dose_response import fit_hill, for_log_axis, half_effect
from neuromod.analysis.schild import schild
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


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(71)
    exact = hill(DOSES, 1.1, 2.9, 0.83, 1.37)
    trials = 400
    hits = np.zeros(2)
    for _ in range(trials):
        fit = fit_hill(DOSES, exact + generator.normal(0, 0.05, len(DOSES)))
        hits += [
            fit.ec50.low < 0.83 < fit.ec50.high,
            fit.hill_slope.low < 1.37 < fit.hill_slope.high,
        ]
    # Four binomial standard deviations around 95 %, and what linearisation may cost.
    assert np.all(np.abs(hits / trials - 0.95) < 0.05)


def test_parallel_curves_share_all_but_their_ec50():
    ratios = np.array([1.0, 3.7, 19.0])
    response = np.concatenate([hill(DOSES, 1.3, 4.7, 0.83 * ratio, 1.37) for ratio in ratios])
    fit = fit_hill(np.tile(DOSES, 3), response, np.repeat([0, 1, 2], len(DOSES)))
    assert [ratio.value for ratio in fit.dose_ratios] == pytest.approx([3.7, 19.0], rel=1e-5)
    assert fit.ec50.value == pytest.approx(0.83, rel=1e-5)


def test_points_without_a_response_are_left_out():
    response = hill(DOSES, 1.3, 4.7, 0.83, 1.37)
    response[[0, 7]] = np.nan
    assert fit_hill(DOSES, response).ec50.value == pytest.approx(0.83, rel=1e-6)


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


def fit_of_ratios(ratios, generator=None, noise=0.0):
    curves = [hill(DOSES, 1.3, 4.7, 0.53 * ratio, 1.37) for ratio in (1, *ratios)]
    response = np.concatenate(curves)
    if generator is not None:
        response = response + generator.normal(0, noise, len(response))
    number = np.repeat(np.arange(len(curves)), len(DOSES))
    return fit_hill(np.tile(DOSES, len(curves)), response, number)


def test_schild_plot_of_simple_competition_has_slope_1_and_pa2_of_the_antagonist():
    antagonist = np.array([0.3, 1.1, 4.1]) * umolar
    result = schild(antagonist, fit_of_ratios(1 + np.array([0.3, 1.1, 4.1]) / 0.17))
    assert result.slope.value == pytest.approx(1, abs=1e-5)
    # K_B of 0.17 uM, in mol/l.
    assert result.pA2.value == pytest.approx(-np.log10(0.17e-6), abs=1e-5)


def test_schild_plot_of_cooperative_antagonism_is_steeper():
    conc = np.array([0.3, 0.7, 1.9, 4.1])
    result = schild(conc * umolar, fit_of_ratios(1 + (conc / 0.29) ** 1.4))
    assert result.slope.value == pytest.approx(1.4, rel=1e-5)
    assert result.pA2.value == pytest.approx(-np.log10(0.29e-6), abs=1e-5)


def test_schild_intervals_cover_the_truth_though_all_ratios_share_the_controls_error():
    conc = np.geomspace(0.9, 13, 8)
    generator = np.random.default_rng(53)
    trials = 200
    hits = np.zeros(2)
    for _ in range(trials):
        result = schild(conc * umolar, fit_of_ratios(1 + conc / 0.17, generator, 0.06))
        hits += [
            result.slope.low < 1 < result.slope.high,
            result.pA2.low < -np.log10(0.17e-6) < result.pA2.high,
        ]
    # Four binomial standard deviations; for independent ratios, pA2's would cover it in 88 %.
    assert np.all(np.abs(hits / trials - 0.95) < 0.062)


def test_too_few_dose_ratios_are_refused():
    with pytest.raises(UserError, match="three dose ratios"):
        schild(np.array([0.3, 1.1, 4.1]) * umolar, fit_of_ratios([0.6, 1.9, 3.7]))


def test_no_concentration_stands_left_of_the_lowest_on_a_logarithmic_axis():
    assert for_log_axis([0, 0.6, 7.0]) == pytest.approx([0.2, 0.6, 7.0])


def test_doses_that_end_before_the_ec50_leave_its_interval_wide_open():
    conc = np.array([0, 0.001, 0.003, 0.01, 0.03, 0.1])
    noise = 0.002 * np.array([1, -1, 1, -1, 1, -1])
    fit = fit_hill(conc, hill(conc, 1.3, 4.7, 3.1, 1.0) + noise)
    assert fit.ec50.high / fit.ec50.low > 100


def test_all_or_none_responses_are_no_hill_function():
    with pytest.raises(UserError, match="around the EC50"):
        fit_hill(DOSES, np.where(DOSES > 1.7, 3.9, 1.3))
