"""Washing in and out: known at both ends, fast exchange a step, slow exchange quasi-static."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms, nA, nS, pA, second, umolar

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.protocols.wash import Wash
from neuromod.runs.report import draw

# Time constants of 26 to 111 ms between exchanges of 1.5 ms and 1.3 s.
RECEPTOR = {
    "k_on": 11 * PER_UMOLAR_SECOND,
    "k_off": 9 / second,
    "tau_messenger": 60 * ms,
    "n": 1.7,
    "K": 0.41,
    "gain_max": 2.6,
}
SMALL = {
    "conc": [0.4, 2.7] * umolar,
    "tau_exchange": [0.0015, 0.11, 1.3] * second,
    "onset": 0.2 * second,
    "offset": 8.2 * second,
    "duration": 16.2 * second,
    "dt": 0.5 * ms,
}


def run_of(neuron=None, **receptor):
    cell = GainLIF(receptors=(Receptor(**RECEPTOR | receptor),), **(neuron or {}))
    return neuromod.run(Wash(neuron=cell, **SMALL))


@pytest.fixture(scope="module")
def run():
    return run_of()


@pytest.fixture(scope="module")
def constants(run):
    return run.tables["time_constants"].set_index(["tau_exchange_s", "conc_uM"])


def test_after_a_step_occupancy_binds_with_both_rates_and_unbinds_with_one(constants):
    fastest = constants.loc[0.0015]
    assert fastest.occupancy_tau_on_s[0.4] == pytest.approx(1 / (11 * 0.4 + 9), rel=0.01)
    assert fastest.occupancy_tau_on_s[2.7] == pytest.approx(1 / (11 * 2.7 + 9), rel=0.01)
    assert np.allclose(fastest.occupancy_tau_off_s, 1 / 9, rtol=0.01)
    assert np.allclose(constants.binding_s.unstack(0), 1 / (11 * np.array([[0.4], [2.7]]) + 9))


def test_fast_exchange_is_a_step_and_slow_exchange_is_quasi_static(constants):
    for phase in ("on", "off"):
        found, step, slow = (
            constants[f"tau_{phase}{limit}_s"].unstack() for limit in ("", "_step", "_quasi_static")
        )
        assert np.allclose(found.loc[0.0015], step.loc[0.0015], rtol=0.01)
        assert np.allclose(found.loc[1.3], slow.loc[1.3], rtol=0.05)
        # The limits are far from each other (what has fewer than three samples has no fit), and
        # between them it takes longer than in either.
        assert (slow.loc[0.0015].fillna(0) < step.loc[0.0015] / 5).all()
        assert (found.loc[0.11] > np.maximum(step, slow).loc[0.11]).all()


def test_under_a_slow_wash_the_messenger_lags_no_more_than_its_time_constants_allow(run):
    # A first-order lag is never further behind than its time constant times the greatest slope.
    receptor = run.protocol.neuron.receptors[0]
    recording = run.recordings["wash"]
    for cell in (2, 5):
        conc = recording.trace("neurons", "conc_modulator", cell)
        steady = np.asarray(receptor.occupancy(conc))
        activation = (np.asarray(recording.trace("neurons", "gain", cell)) - 1) / 1.6
        messenger = 0.41 * (activation / (1 - activation)) ** (1 / 1.7)
        allowed = np.abs(np.diff(steady)).max() / 0.5e-3 * (1 / 9 + 0.06)
        assert np.abs(messenger - steady).max() < allowed
        # It does lag, though.
        assert np.abs(messenger - steady).max() > allowed / 10


def test_a_saturated_gain_comes_off_later_at_higher_concentrations(constants):
    off = constants.tau_off_s.unstack()
    assert (off[2.7] > off[0.4]).all()


def test_hysteresis_is_all_of_the_gain_after_a_step_and_little_when_slow(run):
    table = run.table.set_index(["tau_exchange_s", "conc_uM"])
    change = (table.steady_gain - 1).unstack()
    share = table.hysteresis.unstack() / change
    assert (share.loc[0.0015] > 0.97).all()
    assert (share.loc[0.0015] <= 1).all()
    assert (share.diff().iloc[1:] < 0).all(axis=None)
    assert (share.loc[1.3] < 0.45).all()


def test_time_courses_end_in_the_steady_states_and_agree_with_an_independent_integration(run):
    table = run.table
    occupancy = 11 * table.conc_uM / (11 * table.conc_uM + 9)
    steady = 1 + 1.6 * occupancy**1.7 / (occupancy**1.7 + 0.41**1.7)
    assert np.allclose(table.steady_gain, steady, rtol=1e-12)
    assert np.allclose(table.gain_washed_in, steady, rtol=2e-3)
    assert np.allclose(table.gain_washed_out, 1, rtol=2e-2)
    # The fastest exchange takes three time steps.
    assert (table.gain_deviation < 2e-3).all()
    assert (table.gain_deviation[table.tau_exchange_s > 0.01] < 1e-5).all()


def test_the_rate_in_the_bath_is_the_closed_form_within_a_time_step(run):
    table = run.table
    exact = run.protocol.neuron.rate(np.full(6, 0.7) * nA, table.gain_washed_in.to_numpy()) / Hz
    assert (np.abs(1 / table.rate_washed_in_Hz - 1 / exact) <= 0.5e-3 + 1e-5).all()


def test_an_inhibitory_receptor_goes_through_its_loop_the_other_way():
    result = run_of(gain_max=0.4)
    assert (result.table.hysteresis < 0).all()
    tau = result.tables["time_constants"]
    assert np.allclose(tau.tau_on_s[[0, 3]], tau.tau_on_step_s[[0, 3]], rtol=0.01)


@pytest.mark.thorough
def test_other_effects_of_the_receptor_leave_its_gain_as_it_is(run):
    result = run_of({"b": 20 * pA}, g_K=1.3 * nS, ahp_max=0.5)
    assert np.allclose(result.table.gain_washed_in, run.table.gain_washed_in, rtol=1e-9)
    assert (result.table.rate_washed_in_Hz < run.table.rate_washed_in_Hz).all()
    assert draw(result.protocol, result.tables, result.recordings).png
    sections = result.protocol.report(result.tables)
    assert [section.table for section in sections] == ["table", "time_constants"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conc": [3, 1] * umolar}, "conc must be values in ascending"),
        ({"conc": [0, 1] * umolar}, "above 0"),
        ({"tau_exchange": [3, 1] * second}, "tau_exchange must be values in ascending"),
        ({"onset": 1.0003 * second}, "onset .* whole number"),
        ({"offset": 0.7 * second}, "The wash-in lasts -300 ms"),
        ({"offset": 37 * second}, "The wash-in lasts 36 s: it needs at least 40 s"),
        ({"duration": 40 * second}, "The wash-out lasts -1 s: it needs at least 40 s"),
        ({"tau_exchange": [11] * second}, "at least 55 s"),
        (
            {"neuron": GainLIF(receptors=(Receptor(k_off=0.09 / second),))},
            r"The wash-in lasts 40 s: it needs at least 55\.5",
        ),
        ({"neuron": GainLIF(receptors=())}, "needs a receptor"),
        ({"neuron": GainLIF(receptors=(Receptor(gain_max=1.0),))}, "does nothing to this neuron"),
    ],
)
def test_washes_that_cannot_be_measured_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        Wash(**settings)
