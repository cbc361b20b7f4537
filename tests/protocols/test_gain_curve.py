"""f-I curves under a modulator follow the closed form, and give the gain back."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import linspace, ms, mV, nA, pA, second, umolar

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.protocols.gain_curve import GainCurve
from neuromod.runs.report import draw


@pytest.fixture(scope="module")
def run():
    protocol = GainCurve(
        conc=[0, 0.7, 4.3] * umolar, I=linspace(0.13, 1.37, 19) * nA, duration=1.1 * second
    )
    return neuromod.run(protocol)


def test_rates_follow_the_closed_form_within_a_time_step(run):
    table = run.table
    firing = table[table.closed_form_Hz > 0]
    off = np.abs(1 / firing.rate_Hz - 1 / firing.closed_form_Hz)
    assert (off <= 0.05e-3 + 1e-9).all()


def test_neurons_below_rheobase_are_silent(run):
    table = run.table
    assert (table.rate_Hz[table.closed_form_Hz == 0] == 0).all()
    assert (table.closed_form_Hz == 0).any()


def test_gain_follows_binding_and_hill_by_hand(run):
    occupancy = 0.7 / (0.7 + 1.0)
    activation = occupancy**2 / (occupancy**2 + 0.25)
    gains = run.tables["gains"].set_index("conc_uM").gain
    assert gains[0.7] == pytest.approx(1 + 2 * activation)
    assert gains[0.0] == 1


def test_fitted_gain_and_slope_ratio_recover_the_gain(run):
    gains = run.tables["gains"]
    assert np.allclose(gains.fitted_gain, gains.gain, rtol=5e-3)
    assert np.allclose(gains.slope_ratio, gains.gain_over_control, rtol=5e-3)


def test_an_inhibitory_receptor_lowers_the_curve():
    receptor = Receptor(gain_max=0.35)
    run = neuromod.run(
        GainCurve(
            neuron=GainLIF(receptors=(receptor,)),
            conc=[0, 2.3] * umolar,
            I=linspace(0.63, 2.9, 15) * nA,
            duration=0.9 * second,
        )
    )
    gains = run.tables["gains"]
    assert gains.gain.iloc[1] < 0.7
    assert np.allclose(gains.fitted_gain, gains.gain, rtol=1e-2)


def test_a_gain_on_the_threshold_gives_the_same_curves(run):
    on_threshold = neuromod.run(run.protocol, site="threshold")
    assert np.allclose(on_threshold.table.rate_Hz, run.table.rate_Hz, rtol=1e-9)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("tau_m", 15 * mV), ("tau_m", -3 * ms), ("conc", [-1] * umolar), ("v_th", -80 * mV)],
)
def test_impossible_settings_are_refused(setting, value):
    with pytest.raises(neuromod.UserError, match=setting):
        neuromod.run("gain-curve", **{setting: value})


def test_too_few_firing_currents_leave_the_gain_open():
    protocol = GainCurve(conc=[0, 3.1] * umolar, I=[0.13, 0.21, 0.49] * nA, duration=0.3 * second)
    gains = neuromod.run(protocol).tables["gains"]
    assert np.isnan(gains.fitted_gain.iloc[0])
    assert np.isnan(gains.slope_ratio.iloc[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"I": [0.9, 0.4] * nA}, "I must be values in ascending order, not 0.9 and 0.4 nA"),
        ({"neuron": GainLIF(receptors=())}, "needs a receptor"),
    ],
)
def test_what_has_no_curve_under_a_modulator_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        GainCurve(**settings)


def test_a_neuron_without_closed_form_is_refused_before_the_run():
    with pytest.raises(neuromod.UserError, match="set b and g_K to 0"):
        GainCurve(neuron=GainLIF(b=20 * pA))


def test_a_control_alone_is_drawn():
    run = neuromod.run(GainCurve(conc=[0] * umolar, I=[0.7, 0.9, 1.1] * nA, duration=0.3 * second))
    assert draw(run.protocol, run.tables, run.recordings)
