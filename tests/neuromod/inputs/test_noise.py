"""Noise has the variance and the memory that its physics gives it."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Mohm, kelvin, mV, nsecond, volt
from brian2.units.allunits import ffarad

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.noise import noisy_supply, thermal
from neuromod.models.circuit import CircuitNeuron

DT = 10 * nsecond
# A time constant of 1 us, so that a short run forgets its start.
LEAKY = CircuitNeuron(R_leak=20 * Mohm)
NEURONS, STEP, STEPS = 3000, 13, 700


def generator(seed=11):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def membranes():
    """The membrane's distance from rest after every kick, volt, shape (kicks, neurons).

    The first half of the neurons starts as noise would have left it, the second at rest.
    """
    made = thermal(Population("chip", LEAKY, 2 * NEURONS), STEP * DT, STEPS * DT, DT, generator())
    start = np.asarray(made.values["v"] / volt)
    start[NEURONS:] = 0.25
    chip = Population("chip", LEAKY, 2 * NEURONS)
    quiet = Experiment(
        populations=(chip,),
        traces=(Trace("chip", ("v",), np.arange(2 * NEURONS)),),
        duration=STEPS * DT,
        dt=DT,
        seed=11,
    )
    noisy = quiet.add(replace(made, values={"v": start * volt}))
    recorded = simulate(noisy).signals["chip"]["v"].values
    # A kick acts in the step after its own; samples show the start of a step.
    kicks = np.arange(STEP, STEPS - 2, STEP) + 2
    return np.asarray(recorded / volt)[:, kicks].T - 0.25


def test_a_membrane_s_variance_is_k_t_over_c(membranes):
    # 0.29 mV of 50 fF at 300 K; it has leaked for one step since the kick.
    expected = 1.380649e-23 * 300 / 50e-15 * np.exp(-2 * 0.01)
    assert np.sqrt(expected) == pytest.approx(0.288e-3, rel=0.02)
    variance = membranes[:, :NEURONS].var(axis=1)
    # 3000 neurons know a variance to 2.6 %; kicks of 0.13 us share some of their memory.
    np.testing.assert_allclose(variance, expected, rtol=0.13)
    assert variance.mean() == pytest.approx(expected, rel=0.02)


def test_from_rest_the_variance_grows_with_half_the_time_constant(membranes):
    variance = membranes[:, NEURONS:].var(axis=1)
    since = np.arange(1, len(variance) + 1) * 0.13
    expected = 1.380649e-23 * 300 / 50e-15 * (1 - np.exp(-2 * since)) * np.exp(-2 * 0.01)
    np.testing.assert_allclose(variance, expected, rtol=0.13)


def test_noise_is_forgotten_with_the_membrane_s_time_constant(membranes):
    noise = membranes[:, :NEURONS]
    for lag in (1, 4, 9):
        found = (noise[lag:] * noise[:-lag]).mean() / noise.var()
        assert found == pytest.approx(np.exp(-lag * 0.13), abs=0.02)


def test_a_larger_capacitor_is_quieter_and_a_hotter_one_louder():
    circuits = [
        CircuitNeuron(),
        CircuitNeuron(C=200 * ffarad, R_leak=100 * Mohm),
        CircuitNeuron(temperature=432 * kelvin),
    ]
    start = [
        np.std(thermal(chips, DT, 90 * DT, DT, generator()).values["v"] / mV)
        for chips in (Population("chip", chip, 500) for chip in circuits)
    ]
    assert start[1] / start[0] == pytest.approx(0.5)
    assert start[2] / start[0] == pytest.approx(1.2)


def test_a_supply_s_noise_is_a_new_deviation_in_every_interval():
    vdd = np.repeat([0.63, 0.81], 400) * volt
    spread = np.repeat([3.0, 11.0], 400) * mV
    chips = Population("chip", CircuitNeuron(), 800, {"vdd": vdd})
    made = noisy_supply(chips, spread, 7 * DT, 300 * DT, DT, generator())
    (change,) = (c for c in made.connections if c.variable == "vdd")
    steps = np.zeros((change.i.max() + 1, 800))
    steps[change.i, change.j] = np.asarray(change.weight / volt)
    deviation = np.vstack([np.asarray(made.values["vdd"] / volt), steps]).cumsum(axis=0) - (
        np.asarray(vdd / volt)
    )
    assert len(deviation) == 43
    quiet, loud = deviation[:, :400], deviation[:, 400:]
    assert quiet.std() == pytest.approx(3e-3, rel=0.03)
    assert loud.std() == pytest.approx(11e-3, rel=0.03)
    assert abs(np.mean(loud[1:] * loud[:-1])) < 0.03 * loud.var()
    assert abs(np.mean(quiet * loud)) < 0.03 * quiet.std() * loud.std()


def test_noise_that_takes_a_supply_out_of_range_is_refused():
    chips = Population("chip", CircuitNeuron(), 50, {"vdd": 0.98 * volt})
    with pytest.raises(UserError, match=r"0\.5 to 1 V was expected"):
        noisy_supply(chips, 20 * mV, DT, 50 * DT, DT, generator())


def test_populations_may_share_the_times_of_their_noise():
    chip = CircuitNeuron()
    quiet = Experiment(
        populations=(Population("one", chip, 2), Population("two", chip, 3)),
        duration=40 * DT,
        dt=DT,
        seed=11,
    )
    draws = generator()
    made = [thermal(population, 9 * DT, 40 * DT, DT, draws) for population in quiet.populations]
    noisy = quiet.add(*made)
    assert [source.name for source in noisy.sources] == ["thermal"]
    assert [connection.target for connection in noisy.connections] == ["one", "two"]
    assert [np.size(p.values["v"]) for p in noisy.populations] == [2, 3]
