"""The DPI neuron against its published equation, quadrature and means that are exact."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Quantity, amp, ms, mV, nA, pA, second, usecond, volt
from brian2.units.allunits import pjoule

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.dpi_neuron import DPINeuron

DPI = DPINeuron()
PLAIN = replace(DPI, I_ca=0 * amp)
DT = 20 * usecond


def run(model, values, duration, dt=DT, traced=("v",), **parts):
    size = max(np.size(value) for value in values.values())
    cells = Population("cells", model, size, values)
    trace = Trace("cells", traced, np.arange(size))
    experiment = Experiment(populations=[cells], traces=[trace], duration=duration, dt=dt, **parts)
    return simulate(experiment)


def traced(recording, name):
    return recording.signals["cells"][name].values


def intervals(recording, neuron):
    spikes = recording.spikes["cells"]
    return np.diff(np.asarray(spikes.times[spikes.neurons == neuron] / ms))


def conducted(model, v):
    return model.I_0 * np.exp(np.asarray(v * model.kappa / model.thermal_voltage))


def test_in_the_current_its_equation_is_that_of_chicca_et_al():
    v = np.array([131, 167, 203, 239]) * mV
    v_ahp, v_syn = 97 * mV, 83 * mV
    values = {"v": v, "v_ahp": v_ahp, "v_syn": v_syn, "I_dc": [3, 17, 41, 77] * pA}
    found = run(DPI, values, 4 * usecond, 1 * usecond, ("v", "v_ahp", "v_syn"))
    mem, ahp, syn = (conducted(DPI, traced(found, n)[:, 0]) for n in ("v", "v_ahp", "v_syn"))
    slope = np.diff(traced(found, "v")[:, :2])[:, 0] * DPI.kappa / DPI.thermal_voltage
    left = DPI.tau_m * (1 + DPI.I_thr / mem) * mem * slope / usecond
    left = np.asarray((left + mem * (1 + ahp / DPI.I_tau)) / pA)
    I_in, I_a = values["I_dc"] + syn, DPI.feedback * mem
    right = DPI.I_thr / DPI.I_tau * (I_in - ahp - DPI.I_tau) + I_a / DPI.I_tau * (mem + DPI.I_thr)
    # The transistors that discharge the membrane conduct a little less near ground.
    spared = np.exp(-np.asarray(v / DPI.thermal_voltage))
    right = right + spared * (mem + DPI.I_thr) * (1 + ahp / DPI.I_tau)
    np.testing.assert_allclose(left, np.asarray(right / pA), rtol=1e-4)


def test_its_rate_is_that_of_the_quadrature():
    current = np.array([6.3, 13.1, 47.3, 211]) * pA
    found = run(PLAIN, {"I_dc": current}, 0.35 * second)
    expected = np.asarray(PLAIN.rate(current) * second)
    assert expected[0] == 0
    assert not len(intervals(found, 0))
    for neuron in range(1, len(current)):
        off = intervals(found, neuron).mean() - 1e3 / expected[neuron]
        assert abs(off) <= float(DT / ms)


def test_it_fires_above_its_rheobase_alone():
    edges = PLAIN.rheobase * np.array([0.999, 1.001])
    assert (np.asarray(PLAIN.rate(edges)) > 0).tolist() == [False, True]


def test_without_feedback_the_membrane_is_a_dpi_whose_step_response_is_known():
    linear = replace(PLAIN, feedback=0.0, I_spk=310 * pA, I_0=0.1 * pA)
    current = np.array([211, 370, 610]) * pA
    # x = I_mem/I_thr obeys tau*(1 + x)*dx/dt = x*(x_end - x).
    end = np.asarray((current + linear.I_0) / linear.I_tau) - 1
    start, spike = float(linear.I_0 / linear.I_thr), float(linear.I_spk / linear.I_thr)
    steps = np.log(spike / start) / end
    steps -= (1 + end) / end * np.log((end - spike) / (end - start))
    period = linear.tau_m * steps + linear.t_ref
    rates = np.asarray(linear.rate(current) * second)
    np.testing.assert_allclose(rates, np.asarray(second / period), rtol=0.02)


def test_the_refractory_period_is_added_to_the_interval():
    longer = replace(PLAIN, t_ref=3.7 * ms)
    found = [run(model, {"I_dc": [83, 190] * pA}, 0.12 * second) for model in (PLAIN, longer)]
    for neuron in range(2):
        short, long = (intervals(each, neuron).mean() for each in found)
        assert long - short == pytest.approx(2.7, abs=0.021)


def test_a_spike_holds_the_membrane_at_ground():
    found = run(PLAIN, {"I_dc": [190] * pA}, 60 * ms)
    (v,), at = traced(found, "v"), found.times
    (first, *_) = found.spikes["cells"].times
    held = (at > first) & (at < first + PLAIN.t_ref)
    assert held.sum() > 40
    assert (v[held] == 0 * volt).all()
    assert v[at > first + PLAIN.t_ref][3] > 0 * volt


PERIOD = 7 * ms
GAINS = np.array([0.5, 1, 2.3])


@pytest.fixture(scope="module")
def driven():
    """Neurons of three gains under a regular train, and how long it lasts."""
    count = 40
    train = Spikes("train", 1, np.zeros(count, int), np.arange(count) * PERIOD)
    every = {"i": np.zeros(3, int), "j": np.arange(3)}
    pulses = Connection("train", "cells", "I_w", **every, weight=0.5 * nA, width=DPI.t_pulse)
    high = replace(DPI, I_spk=10 * nA, feedback=0.0)
    parts = {"sources": [train], "connections": [pulses]}
    return run(high, {"gain": GAINS}, count * PERIOD, traced=("v", "v_syn"), **parts)


def test_the_mean_synaptic_current_is_proportional_to_the_gain(driven):
    period = round(float(PERIOD / DT))
    current = conducted(DPI, traced(driven, "v_syn"))[:, -20 * period :].mean(axis=1)
    expected = DPI.synaptic_current(0.5 * nA * float(DPI.t_pulse / PERIOD), GAINS)
    np.testing.assert_allclose(np.asarray(current / pA), np.asarray(expected / pA), rtol=0.01)
    np.testing.assert_allclose(np.asarray(current / current[1]), GAINS, rtol=0.01)


def test_the_gain_is_a_bias_voltage():
    gains = np.array([0.31, 1, 4.7])
    bias = DPI.bias_for(gains)
    np.testing.assert_allclose(DPI.gain_of(bias), gains, rtol=1e-12)
    # An e-fold at U_T/kappa = 25.85 mV/0.7; the bias conducts 4 pA at a gain of 1.
    np.testing.assert_allclose(
        np.asarray(bias / mV), 25.852 / 0.7 * np.log(gains * 4 / 0.5), rtol=1e-4
    )


def test_adaptation_is_a_dpi_that_is_driven_by_the_spikes():
    found = run(DPI, {"I_dc": [230, 410] * pA}, 0.5 * second, 50 * usecond, ("v", "v_ahp"))
    for neuron, trace in enumerate(traced(found, "v_ahp")):
        slow = intervals(found, neuron)
        assert slow[-1] > 1.2 * slow[0]
        period = slow[-5:].sum()
        spikes = found.spikes["cells"]
        last = (
            np.asarray(spikes.times[spikes.neurons == neuron] / (50 * usecond)).round().astype(int)
        )
        mean = conducted(DPI, trace[last[-6] : last[-1]]).mean() / DPI.I_gain_ahp
        driving = DPI.I_ca * 5 * DPI.t_ref / (period * ms) / DPI.I_tau_ahp
        assert mean == pytest.approx(float(driving) - 1, rel=0.02)


def test_energy_is_what_its_branches_draw():
    values = {"I_dc": [5.3, 61] * pA, "gain": 1.7}
    found = run(DPI, values, 0.2 * second, traced=("v", "v_syn", "v_ahp"))
    mem, syn = (conducted(DPI, traced(found, name)) for name in ("v", "v_syn"))
    spikes = found.spikes["cells"].counts()
    branches = values["I_dc"] * 0.2 * second + (syn.sum(axis=1) + 1.1 * mem.sum(axis=1)) * DT
    drawn = 1.8 * volt * (branches + spikes * DPI.I_ca * DPI.t_ref)
    energy = found.totals["cells"]["energy"]
    np.testing.assert_allclose(energy / pjoule, np.asarray(drawn / pjoule), rtol=0.01)


def test_time_constants_are_those_of_the_sources():
    found = [float(tau / ms) for tau in (DPI.tau_m, DPI.tau_syn, DPI.tau_ahp)]
    np.testing.assert_allclose(found, [20, 10, 50], rtol=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DPINeuron(I_spk=0.4 * pA), "I_spk = 400 fA must lie above I_0 = 500 fA"),
        (lambda: DPINeuron(gain=2.0), "gain is an input of DPINeuron"),
        (lambda: DPINeuron(kappa=1.2), "kappa = 1.2 is out of range"),
        (
            lambda: Population("cells", DPI, 2, {"I_thr": [9, 0.3] * pA}),
            r"I_thr = 300 fA must lie above I_0 = 500 fA.*neuron 1",
        ),
        (lambda: Population("cells", DPI, 1, {"I_dc": -3 * pA}), "I_dc of cells"),
    ],
)
def test_what_no_circuit_can_be_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_step_that_the_leaks_do_not_stand_is_refused():
    cells = Population("cells", replace(DPI, t_ref=20 * ms), 1)
    with pytest.raises(UserError, match="too long for cells"):
        simulate(Experiment(populations=[cells], duration=400 * ms, dt=20 * ms))


def test_weak_inversion_is_off_by_the_root_of_the_inversion():
    assert DPI.inversion == pytest.approx(np.sqrt(1 / 200))


def test_neurons_may_have_values_of_their_own():
    own = {"I_dc": [61, 61] * pA, "C": Quantity([3, 2.1]) * 1e-12 * amp * second / volt}
    found = run(PLAIN, own, 0.2 * second)
    smaller = replace(PLAIN, C=own["C"][1])
    expected = [float(model.rate(own["I_dc"][:1])[0] * second) for model in (PLAIN, smaller)]
    measured = [1e3 / intervals(found, neuron).mean() for neuron in range(2)]
    np.testing.assert_allclose(measured, expected, rtol=0.002)
