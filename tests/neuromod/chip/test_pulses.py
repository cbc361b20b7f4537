"""Volleys in closed form: by hand, and as the simulation has them."""

import numpy as np
import pytest
from brian2 import Mohm, mV, nsecond, volt
from brian2.units.allunits import ffarad

from neuromod.chip.pulses import PulseTrain, code_pulses, mirror_pulses, respond
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.circuit import CircuitNeuron

CIRCUIT = CircuitNeuron()
DT = 10 * nsecond
TRAIN = PulseTrain(9, 430 * nsecond, DT)


def drawn(neurons):
    """Neurons that differ in everything, and drives that change from volley to volley."""
    generator = np.random.default_rng(29)
    values = {
        "vdd": generator.uniform(0.55, 1, neurons) * volt,
        "C": generator.uniform(31, 77, neurons) * ffarad,
        "R_leak": np.exp(generator.uniform(1.5, 7, neurons)) * Mohm,
        "v_th": generator.uniform(280, 390, neurons) * mV,
    }
    drive = generator.uniform(-3, 7, (neurons, TRAIN.count))
    return values, drive * generator.integers(0, 2, drive.shape)


def simulated(values, drive):
    """One source for each volley and neuron, so that every volley has a drive of its own."""
    neurons = len(drive)
    source = TRAIN.spikes("inputs", neurons)
    volley = np.round(np.asarray(source.times / TRAIN.period)).astype(int) - 1
    i = volley * neurons + source.neurons
    own = type(source)("inputs", drive.size, i, source.times)
    j, codes = np.tile(np.arange(neurons), TRAIN.count), drive.T.ravel()
    up, down, width = np.maximum(codes, 0), np.maximum(-codes, 0), CIRCUIT.t_pulse
    return simulate(
        Experiment(
            populations=(Population("chip", CIRCUIT, neurons, values),),
            sources=(own,),
            connections=mirror_pulses(
                "inputs", "chip", np.arange(drive.size), j, up, down, codes != 0, width
            ),
            traces=(Trace("chip", ("v",), np.arange(neurons)),),
            duration=TRAIN.duration,
            dt=DT,
        )
    )


def test_code_pulses_push_or_pull_by_their_codes_and_count_by_one():
    i, j, codes = np.array([0, 1, 2]), np.array([0, 0, 1]), np.array([5, -3, 0])
    made = code_pulses("inputs", "chip", i, j, codes, 100 * nsecond, "soma")
    assert all(c.width == 100 * nsecond and c.delay == 0 * nsecond for c in made)
    found = {
        c.variable: list(zip(c.i.tolist(), c.j.tolist(), c.weight.tolist(), strict=True))
        for c in made
    }
    assert found == {
        "up_soma": [(0, 0, 5)],
        "down_soma": [(1, 0, 3)],
        "mirrors_soma": [(0, 0, 1), (1, 0, 1)],
        "n_mirrors_soma": [(1, 0, 1)],
        "active": [(0, 0, 1), (1, 0, 1), (2, 1, 1)],
    }


@pytest.fixture(scope="module")
def both():
    values, drive = drawn(137)
    others = {name: value for name, value in values.items() if name != "vdd"}
    return respond(CIRCUIT, TRAIN, drive, values["vdd"], others), simulated(values, drive)


def test_neurons_fire_in_the_volleys_in_which_the_simulation_s_do(both):
    response, recording = both
    spikes = recording.spikes["chip"]
    # A neuron fires a pulse and two steps after its volley, before the next.
    volley = np.floor(np.asarray(spikes.times / TRAIN.period)).astype(int) - 1
    fires = np.zeros_like(response.fires)
    fires[spikes.neurons, volley] = True
    assert 100 < fires.sum() < 0.5 * fires.size
    np.testing.assert_array_equal(response.fires, fires)


def test_membranes_reach_as_far_as_the_simulation_s(both):
    response, recording = both
    v = np.asarray(recording.signals["chip"]["v"].values / volt)
    np.testing.assert_allclose(response.highest, v.max(axis=1), rtol=1e-9)
    np.testing.assert_allclose(response.lowest, v.min(axis=1), rtol=1e-9)


def test_one_pulse_by_hand():
    vdd, code = 0.83 * volt, 3
    response = respond(CIRCUIT, PulseTrain(1, TRAIN.period, DT), np.array([[code]]), vdd)
    # Mirror's current by its square law behind the load; charge into C beside R, tau = 20 us.
    gate = 0.35 + (np.sqrt(1 + 2 * 0.5e-6 * 20e6 * 0.48) - 1) / (0.5e-6 * 20e6)
    rise = code * 0.25e-6 * (gate - 0.35) ** 2 * 400e6 * (1 - np.exp(-0.1 / 20))
    assert response.highest[0] == pytest.approx(0.25 + rise, rel=1e-12)
    assert response.margin[0] == pytest.approx(0.1 - rise, rel=1e-9)
    assert not response.fires.any()


def test_a_neuron_without_pulses_rests():
    response = respond(CIRCUIT, TRAIN, np.zeros((1, 9)), 0.83 * volt)
    assert (response.lowest, response.highest, response.margin) == (0.25, 0.25, pytest.approx(0.1))


@pytest.mark.parametrize(
    ("period", "message"),
    [(290 * nsecond, "dead time: use at least 300"), (371 * nsecond, "whole number of time steps")],
)
def test_volleys_that_neurons_cannot_follow_are_refused(period, message):
    with pytest.raises(UserError, match=message):
        PulseTrain(10, period, DT).check(CIRCUIT)


def test_a_train_at_the_neurons_own_greatest_rate_is_allowed():
    PulseTrain(10, 300 * nsecond, DT).check(CIRCUIT)


@pytest.mark.parametrize("codes", [[3, 2, 1], [3, np.nan], [3, None], "3"])
def test_codes_are_numbers_one_for_each_synapse(codes):
    with pytest.raises(UserError, match="Codes from inputs to chip"):
        code_pulses("inputs", "chip", [0, 1], [0, 0], codes, 100 * nsecond)


def test_codes_and_indices_may_be_lists():
    up, down, mirrors, n_mirrors, active = code_pulses(
        "inputs", "chip", [1, 0], [0, 0], [3, -2], 100 * nsecond
    )
    assert (up.variable, up.i.tolist(), up.weight.tolist()) == ("up", [1], [3])
    assert (down.variable, down.i.tolist(), down.weight.tolist()) == ("down", [0], [2])
    assert len(mirrors.i) == len(active.i) == 2
    assert (n_mirrors.variable, n_mirrors.i.tolist()) == ("n_mirrors", [0])


def test_a_bundle_that_pushes_and_pulls_says_which_references_pull():
    ends, ones = ("inputs", "chip", [0], [0]), np.ones(1)
    bundle = 3 * ones, 2 * ones, 2 * ones
    with pytest.raises(UserError, match="push and pull at once: n_mirrors"):
        mirror_pulses(*ends, *bundle, 100 * nsecond)
    made = mirror_pulses(*ends, *bundle, 100 * nsecond, n_mirrors=ones)
    assert {c.variable: float(c.weight[0]) for c in made}["n_mirrors"] == 1
