"""Doses give the gains and rates of the closed form, and fits find the receptor's EC50."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, linspace, ms, nA, nS, pA, second, umolar

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptor_library import library
from neuromod.models.receptors import Receptor
from neuromod.protocols.dose_response import DoseResponse
from neuromod.runs.report import draw

CONC = [0, 0.007, 0.03, 0.11, 0.37, 1.3, 4.7, 19, 83, 310] * umolar


def run_of(receptor, **settings):
    small = {"conc": CONC, "I": linspace(0.67, 2.3, 5) * nA, "duration": 0.3 * second}
    return neuromod.run(DoseResponse(neuron=GainLIF(receptors=(receptor,)), **small | settings))


@pytest.fixture(scope="module")
def run():
    return run_of(Receptor(n=1.0, K=0.37))


def within_a_time_step(table):
    firing = table[table.closed_form_Hz > 0]
    off = np.abs(1 / firing.rate_Hz - 1 / firing.closed_form_Hz)
    return bool((off <= 0.05e-3 + 1e-9).all())


def test_rates_follow_the_closed_form_within_a_time_step(run):
    assert within_a_time_step(run.table)


def test_gains_recovered_from_rates_follow_binding_and_hill_by_hand(run):
    doses = run.tables["doses"]
    occupancy = doses.conc_uM / (doses.conc_uM + 1.0)
    by_hand = 1 + 2 * occupancy / (occupancy + 0.37)
    assert np.allclose(doses.recovered_gain, by_hand, rtol=1e-2)
    assert np.allclose(doses.gain, by_hand, rtol=1e-12)


def test_the_hill_fit_finds_ec50_and_slope_where_the_curve_is_a_hill_function(run):
    # With exponent 1, c/(c + 1) over K = 0.37 is half of its greatest at c = 0.37/1.37.
    fit = run.tables["gain_fit"].iloc[0]
    assert fit.exact_ec50_uM == pytest.approx(0.37 / 1.37)
    assert fit.exact_hill_slope == pytest.approx(1)
    assert fit.ec50_low_uM < 0.37 / 1.37 < fit.ec50_high_uM
    assert fit.hill_slope_low < 1 < fit.hill_slope_high
    assert fit.ec50_uM == pytest.approx(0.37 / 1.37, rel=0.03)
    assert fit.hill_slope == pytest.approx(1, rel=0.03)
    assert fit.top_gain == pytest.approx(1 + 2 / 1.37, rel=5e-3)


def test_a_robust_fit_counts_the_points_with_less_weight(run):
    robust = replace(run.protocol, robust=True)
    tables = robust.measure(run.recordings)
    assert (tables["rate_fits"].down_weighted >= 0).all()
    assert tables["gain_fit"].ec50_uM[0] == pytest.approx(0.37 / 1.37, rel=0.03)
    assert "of 10 points have less than half" in robust.report(tables)[1].text
    assert "Tukey" not in run.protocol.report(run.tables)[1].text


def test_the_rates_half_effect_lies_at_the_gain_that_gives_half_the_rate(run):
    neuron = run.protocol.neuron
    fits = run.tables["rate_fits"]
    for fit in fits.itertuples():
        current = [fit.current_nA] * 3 * nA
        gain = neuron.receptors[0].gain([0, fit.exact_ec50_uM, 1e9] * umolar)
        none, half, full = np.asarray(neuron.rate(current, gain))
        assert half == pytest.approx((none + full) / 2, rel=1e-6)
    assert np.allclose(fits.ec50_uM, fits.exact_ec50_uM, rtol=0.05)
    assert (fits.exact_ec50_uM < 0.37 / 1.37).all()


def test_a_steep_cascade_is_no_hill_function_and_its_misfit_is_told():
    result = run_of(Receptor(n=4.0))
    fit = result.tables["gain_fit"].iloc[0]
    receptor = result.protocol.neuron.receptors[0]
    assert fit.exact_ec50_uM == pytest.approx(float(receptor.ec50 / umolar))
    assert fit.exact_hill_slope == pytest.approx(receptor.hill_slope)
    assert fit.misfit_percent > 1
    assert fit.ec50_uM == pytest.approx(fit.exact_ec50_uM, rel=0.1)


def test_an_antagonist_in_the_bath_shifts_the_curve_by_gaddums_factor(run):
    blocked = run_of(Receptor(n=1.0, K=0.37, antagonist="rival"), bath=0.43 * umolar)
    fit, control = (r.tables["gain_fit"].iloc[0] for r in (blocked, run))
    assert fit.exact_ec50_uM == pytest.approx(control.exact_ec50_uM * (1 + 0.43 / 0.1))
    assert fit.ec50_uM / control.ec50_uM == pytest.approx(5.3, rel=0.05)


def test_a_desensitised_receptor_reaches_less():
    result = run_of(Receptor(n=1.0, K=0.37, k_desensitise=0.03 / second))
    # At full occupancy the share that still responds is 1/(1 + 0.03*100).
    top = 1 + 2 * 0.25 / (0.25 + 0.37)
    assert result.tables["gain_fit"].top_gain.iloc[0] == pytest.approx(top, rel=0.01)


def test_an_inhibitory_receptor_is_fitted_from_those_cells_that_still_fire():
    result = run_of(Receptor(gain_max=0.4), I=linspace(0.61, 2.9, 6) * nA)
    doses = result.tables["doses"]
    assert doses.cells_firing.iloc[-1] < doses.cells_firing.iloc[0]
    assert np.allclose(doses.recovered_gain, doses.gain, rtol=1e-2)
    assert within_a_time_step(result.table)


def test_with_an_after_spike_current_the_gain_is_recovered_by_the_simulated_control_curve():
    result = neuromod.run(
        DoseResponse(neuron=GainLIF(b=40 * pA), conc=CONC, I=[0.9, 1.7] * nA, duration=0.4 * second)
    )
    assert "closed_form_Hz" not in result.table
    doses = result.tables["doses"]
    assert np.allclose(doses.recovered_gain, doses.gain, rtol=0.01)
    assert (result.tables["rate_fits"].ec50_uM > 0).all()
    assert "exact_ec50_uM" not in result.tables["rate_fits"]
    texts = " ".join(section.text for section in result.protocol.report(result.tables))
    assert "no closed form" in texts
    assert draw(result.protocol, result.tables, result.recordings).png


def test_a_potassium_conductance_alone_gives_rates_a_dose_response():
    neuron = GainLIF(receptors=(Receptor(gain_max=1.0, g_K=4.3 * nS),))
    result = neuromod.run(
        DoseResponse(neuron=neuron, conc=CONC, I=[1.1] * nA, duration=0.3 * second)
    )
    rates = result.table.set_index("conc_uM").rate_Hz
    # With g = 0.8 g_K open the cell is an integrate-and-fire neuron again, its leak 1 + R*g
    # times as large and its rest nearer to E_K.
    opened = 40e6 * 4.3e-9 * 310**2 / (310**2 + 0.25 * 311**2)
    tau, rest = 0.02 / (1 + opened), (-0.07 - 0.09 * opened) / (1 + opened)
    end = rest + 40e6 * 1.1e-9 / (1 + opened)
    interval = 0.002 + tau * np.log((end + 0.07) / (end + 0.05))
    assert 1 / rates[310.0] == pytest.approx(interval, abs=0.05e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conc": [0, 0.3, 1.1, 4.7] * umolar}, "conc must be at least 5 values in ascending"),
        ({"conc": [0, 0.3, 4.7, 1.1, 19] * umolar}, "ascending"),
        ({"conc": [-0.1, 0.3, 1.1, 4.7, 19] * umolar}, "conc"),
        ({"I": [0.9, 0.7] * nA}, "I must be values in ascending"),
        ({"I": [0, 0.7] * nA}, "above 0"),
        ({"I": [0.13, 0.7] * nA}, "below rheobase in every bath"),
        ({"neuron": GainLIF(receptors=())}, "needs a receptor"),
        ({"neuron": GainLIF(receptors=(Receptor(gain_max=1.0),))}, "does nothing to this neuron"),
        ({"duration": 0 * ms}, "duration"),
    ],
)
def test_settings_that_cannot_give_a_dose_response_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        DoseResponse(**settings)


def test_without_a_zero_dose_all_is_there_but_the_control(run):
    result = run_of(run.protocol.neuron.receptors[0], conc=CONC[1:])
    assert result.tables["gain_fit"].ec50_uM[0] == pytest.approx(0.37 / 1.37, rel=0.03)
    assert draw(result.protocol, result.tables, result.recordings).png


def test_receptors_that_act_against_each_other_leave_the_gain_without_an_ec50():
    strong = replace(library["D1"], gain_max=2.6)
    neuron = GainLIF(receptors=(library["D2"], strong))
    result = neuromod.run(DoseResponse(neuron=neuron, conc=CONC, I=[1.1] * nA))
    gain = result.tables["doses"].recovered_gain
    # Little dopamine binds D2 (K_D = 0.01 uM) alone, much binds D1 (1 uM) too.
    assert gain.min() < 0.9 < 1 < gain.iloc[-1]
    assert np.isnan(result.tables["gain_fit"].exact_ec50_uM[0])
    assert "turns back" in result.protocol.report(result.tables)[1].text


@pytest.mark.parametrize("name", library)
def test_default_doses_and_currents_suit_every_receptor_of_the_library(name):
    neuron = GainLIF(receptors=(library[name],))
    protocol = DoseResponse(neuron=neuron)
    ec50 = library[name].ec50
    assert protocol.conc[4] < ec50 < protocol.conc[-3]
    gain = protocol.neuron.steady_gain({neuron.ligands[0]: protocol.conc[-1]})
    assert neuron.rate(protocol.I, gain)[2] > 0 * Hz
