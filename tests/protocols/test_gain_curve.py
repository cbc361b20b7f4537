"""f-I curves under a modulator follow the closed form, and give the gain back."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import linspace, ms, mV, nA, pA, second, umolar

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.messenger import Messenger
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


def test_a_neuron_without_closed_form_has_its_gain_measured_by_its_own_curve():
    run = neuromod.run(
        GainCurve(
            neuron=GainLIF(b=40 * pA),
            conc=[0, 1.3] * umolar,
            I=[0.4, 0.7, 1.1, 1.7] * nA,
            duration=0.4 * second,
        )
    )
    assert "closed_form_Hz" not in run.table
    gains = run.tables["gains"].set_index("conc_uM")
    # Occupancy 1.3/2.3, Hill function with n = 2 and K = 0.5, at most a gain of 3.
    expected = 1 + 2 * (1.3 / 2.3) ** 2 / ((1.3 / 2.3) ** 2 + 0.25)
    assert gains.recovered_gain[1.3] == pytest.approx(expected, rel=0.01)
    assert gains.recovered_gain[0] == pytest.approx(1, rel=0.01)
    excitability = run.tables["excitability"].set_index("conc_uM")
    # Below rheobase, 20 mV over 40 Mohm, there is no spike; the gain divides it.
    assert excitability.rheobase_nA[0] == pytest.approx(0.55)
    assert np.isnan(excitability.rheobase_nA[1.3])
    assert np.allclose(excitability.rest_mV, -70)
    assert draw(run.protocol, run.tables, run.recordings).png
    assert "closed form" in " ".join(s.text for s in run.protocol.report(run.tables))


def test_a_basal_messenger_s_gain_is_recovered_too():
    receptor = Receptor(name="D1", ligand="dopamine")
    cAMP = Messenger(raised_by=("D1",), basal=0.3, gain_max=2.3)
    run = neuromod.run(
        GainCurve(
            neuron=GainLIF(b=13 * pA, receptors=(receptor, cAMP)),
            conc=[0, 1.7] * umolar,
            I=[0.7, 1.1, 1.7] * nA,
            duration=0.3 * second,
        )
    )
    gains = run.tables["gains"]
    # Without dopamine the messenger is at 0.3, where the Hill function with K = 0.3 is one half.
    assert gains.gain[0] == pytest.approx(1.65)
    assert np.allclose(gains.recovered_gain, gains.gain, rtol=0.02)


def test_a_control_alone_is_drawn():
    run = neuromod.run(GainCurve(conc=[0] * umolar, I=[0.7, 0.9, 1.1] * nA, duration=0.3 * second))
    assert draw(run.protocol, run.tables, run.recordings).png
