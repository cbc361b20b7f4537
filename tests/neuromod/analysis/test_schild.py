"""Dose ratios and the global fit give back the antagonist's constant."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import mV, umolar

from neuromod.analysis.dose_response import fit_hill
from neuromod.analysis.schild import gaddum_schild, schild
from neuromod.errors import UserError

DOSES = np.array([0, *np.geomspace(0.013, 170, 15)])
BATHS = np.array([0, 0.3, 1.1, 4.1])


def hill(conc, bottom, top, ec50, slope):
    return bottom + (top - bottom) * conc**slope / (conc**slope + ec50**slope)


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


def test_too_few_dose_ratios_are_refused():
    with pytest.raises(UserError, match="three dose ratios"):
        schild(np.array([0.3, 1.1, 4.1]) * umolar, fit_of_ratios([0.6, 1.9, 3.7]))


@pytest.mark.parametrize(
    ("antagonist", "message"),
    [
        (np.array([0.3e-6, 1.1e-6, 4.1e-6]), r"their unit, .*umolar, not a number without unit"),
        ([0.3, 1.1, 4.1] * mV, "not a value in volt"),
        ([0.3, 1.1] * umolar, "each of 3 dose ratios, not 2 values"),
        ([0, 1.1, 4.1] * umolar, "above 0"),
    ],
)
def test_antagonists_without_the_unit_of_a_concentration_are_refused(antagonist, message):
    fit = fit_of_ratios([2.3, 4.1, 9.7])
    with pytest.raises(UserError, match=message):
        schild(antagonist, fit)


def blocked(k_b, schild_slope, baths=BATHS):
    """Doses, responses and antagonist of curves without noise."""
    conc, bath = np.tile(DOSES, len(baths)), np.repeat(baths, len(DOSES))
    return conc, hill(conc, 1.3, 4.7, 0.53 * (1 + (bath / k_b) ** schild_slope), 1.37), bath


@pytest.mark.parametrize(("k_b", "schild_slope"), [(0.17, 1.0), (0.29, 1.4), (23.0, 0.8)])
def test_the_global_fit_finds_constant_and_schild_slope(k_b, schild_slope):
    conc, response, bath = blocked(k_b, schild_slope)
    fit = gaddum_schild(conc * umolar, response, bath * umolar)
    assert fit.pA2.value == pytest.approx(-np.log10(k_b * 1e-6), abs=1e-6)
    assert fit.schild_slope.value == pytest.approx(schild_slope, rel=1e-6)
    assert fit.ec50.value / umolar == pytest.approx(0.53, rel=1e-6)
    assert [fit.bottom, fit.top] == pytest.approx([1.3, 4.7], rel=1e-6)


def test_one_bath_determines_a_constant_only_for_a_given_schild_slope():
    conc, response, bath = blocked(0.17, 1.0, BATHS[:2])
    fit = gaddum_schild(conc, response, bath * umolar, schild_slope=1)
    assert fit.pA2.value == pytest.approx(-np.log10(0.17e-6), abs=1e-6)
    assert np.isnan([fit.schild_slope.low, fit.schild_slope.high]).all()
    with pytest.raises(UserError, match=r"do not determine .*schild_slope"):
        gaddum_schild(conc, response, bath * umolar)


def test_both_ways_agree_on_noisy_curves_and_the_global_interval_is_in_order():
    conc, response, bath = blocked(0.17, 1.0)
    response = response + np.random.default_rng(37).normal(0, 0.06, len(response))
    joint = gaddum_schild(conc, response, bath * umolar)
    steps = schild(BATHS[1:] * umolar, fit_hill(conc, response, np.searchsorted(BATHS, bath)))
    for one, other in ((joint.pA2, steps.pA2), (joint.schild_slope, steps.slope)):
        assert one.low < one.value < one.high
        assert one.value == pytest.approx(other.value, abs=0.02)
        assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.2)
    robust = gaddum_schild(conc, response, bath * umolar, robust=True)
    assert robust.pA2.value == pytest.approx(joint.pA2.value, abs=0.03)


def test_an_antagonist_that_is_never_there_is_refused():
    conc, response, bath = blocked(0.17, 1.0)
    with pytest.raises(UserError, match="at least one concentration above 0"):
        gaddum_schild(conc, response, 0 * bath * umolar)
    with pytest.raises(UserError, match="with their unit"):
        gaddum_schild(conc, response, bath * 1e-6)
    with pytest.raises(UserError, match="not 64 and 63"):
        gaddum_schild(conc, response, bath[1:] * umolar)
