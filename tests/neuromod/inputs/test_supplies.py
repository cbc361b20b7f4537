"""A supply that changes gives what constant supplies give, one after the other."""

import numpy as np
import pytest
from brian2 import Mohm, Quantity, amp, joule, nsecond, ohm, usecond, volt

from neuromod.chip.conversion import gain_of, vdd_of
from neuromod.chip.pulses import code_pulses
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.supplies import schedule
from neuromod.models.circuit import CircuitNeuron

DT = 10 * nsecond
VDD = np.array([[0.53, 0.97], [0.81, 0.62], [0.66, 0.88]])
CHANGES = np.array([0, 137, 251])
CIRCUITS = [
    CircuitNeuron(),
    CircuitNeuron(law="ekv"),
    CircuitNeuron(output="mosfet", R_supply=7e4 * ohm),
]


def run(circuit, values, *supplies):
    inputs = Spikes("inputs", 1, np.zeros(6, int), np.array([11, 63, 140, 180, 260, 301]) * DT)
    wires = code_pulses("inputs", "chip", np.array([0, 0]), np.array([0, 1]), [2, 3], 10 * DT)
    quiet = Experiment(
        populations=(Population("chip", circuit, 2, values),),
        sources=(inputs,),
        connections=wires,
        traces=(Trace("chip", ("v", "I_unit", "vdd"), np.arange(2)),),
        duration=400 * DT,
        dt=DT,
    )
    return simulate(quiet.add(*supplies))


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_between_changes_the_mirror_is_that_of_the_constant_supply(circuit):
    made = schedule(Population("chip", circuit, 2), CHANGES * DT, VDD * volt, DT)
    recording = run(circuit, {}, made)
    current = np.asarray(recording.signals["chip"]["I_unit"].values / amp)
    supply = np.asarray(recording.signals["chip"]["vdd"].values / volt)
    # Sampled at the start of a step; a change at step n acts from the next on.
    for step in (0, 100, 137, 139, 250, 253, 399):
        row = np.searchsorted(CHANGES, step - 1, side="right") - 1 if step else 0
        np.testing.assert_allclose(supply[:, step], VDD[row], rtol=1e-12)
        expected = np.asarray(circuit.unit_current(VDD[row] * volt) / amp)
        np.testing.assert_allclose(current[:, step], expected, rtol=1e-11)


def test_a_pulse_charges_by_the_supply_of_its_time():
    circuit = CIRCUITS[0]
    made = schedule(Population("chip", circuit, 2), CHANGES * DT, VDD * volt, DT)
    recording = run(circuit, {}, made)
    v = np.asarray(recording.signals["chip"]["v"].values / volt)
    for before, row, code in ((63, 0, 2), (180, 1, 2), (301, 2, 2)):
        decay = np.exp(-10 * 1e-8 / 20e-6)
        rise = v[0, before + 11] - 0.25 - (v[0, before + 1] - 0.25) * decay
        unit = float(circuit.step(VDD[row, 0] * volt) / volt)
        assert rise == pytest.approx(code * unit, rel=1e-9)


def test_energy_is_drawn_at_the_supply_of_its_time():
    circuit = CIRCUITS[0]
    made = schedule(Population("chip", circuit, 2), CHANGES * DT, VDD * volt, DT)
    recording = run(circuit, {}, made)
    power = VDD * np.asarray(circuit.unit_current(VDD * volt) / amp)
    # Two pulses in each part, code and reference.
    expected = 2 * 1e-7 * power.sum(axis=0) * [3, 4]
    found = np.asarray(recording.totals["chip"]["energy"] / joule)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_one_value_is_a_constant_supply():
    circuit = CIRCUITS[0]
    made = schedule(Population("chip", circuit, 2), [0] * usecond, VDD[:1] * volt, DT)
    changing = run(circuit, {}, made)
    constant = run(circuit, {"vdd": VDD[0] * volt})
    for name, signal in constant.signals["chip"].items():
        other = changing.signals["chip"][name].values
        np.testing.assert_array_equal(np.asarray(signal.values), np.asarray(other))


def test_a_domain_changes_alone():
    chips = Population("chip", CIRCUITS[0], 2, {"vdd_soma": 0.75 * volt, "vdd_tuft": 0.6 * volt})
    made = schedule(chips, CHANGES * DT, VDD * volt, DT, "tuft")
    experiment = Experiment(
        populations=(chips,),
        traces=(Trace("chip", ("vdd_soma", "vdd_tuft", "I_unit_tuft"), np.arange(2)),),
        duration=300 * DT,
        dt=DT,
    )
    recorded = simulate(experiment.add(made)).signals["chip"]
    assert np.all(np.asarray(recorded["vdd_soma"].values / volt) == 0.75)
    np.testing.assert_allclose(recorded["vdd_tuft"].values[:, -1] / volt, VDD[2])
    expected = CIRCUITS[0].unit_current(VDD[2] * volt)
    np.testing.assert_allclose(recorded["I_unit_tuft"].values[:, -1] / expected, 1)


def test_a_domain_that_a_population_has_not_is_refused():
    with pytest.raises(UserError, match=r"no supply of chip named .vdd_tuft.: did you mean vdd"):
        schedule(Population("chip", CIRCUITS[0], 2), CHANGES * DT, VDD * volt, DT, "tuft")


def test_a_supply_that_follows_a_gain_makes_the_synapses_follow_it():
    circuit = CIRCUITS[0]
    gain = np.array([[0.31, 1.7], [1.23, 0.9], [0.66, 1.01]])
    made = schedule(Population("chip", circuit, 2), CHANGES * DT, vdd_of(circuit, gain), DT)
    np.testing.assert_allclose(gain_of(circuit, made.values["vdd"]), gain[0])
    (change,) = (c for c in made.connections if c.variable == "I_unit")
    steps = np.asarray(change.weight / circuit.unit_current(0.75 * volt)).reshape(2, 2)
    np.testing.assert_allclose(steps, np.diff(gain, axis=0))


def test_transistors_of_single_neurons_go_along_with_their_supply():
    own = {"vto": [0.31, 0.42] * volt, "R_S": [17, 29] * Mohm}
    made = schedule(Population("chip", CIRCUITS[0], 2, own), CHANGES * DT, VDD * volt, DT)
    recording = run(CIRCUITS[0], own, made)
    for n in range(2):
        alike = CircuitNeuron(**{name: value[n] for name, value in own.items()})
        expected = np.asarray(alike.unit_current(VDD[:, n] * volt) / amp)
        found = np.asarray(recording.signals["chip"]["I_unit"].values[n, [0, 200, 399]] / amp)
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("times", "vdd", "message"),
    [
        (CHANGES * DT, np.where(VDD == 0.81, 1.03, VDD) * volt, r"neuron 0 to 1\.03 V at 1\.37 µs"),
        (CHANGES * DT, np.where(VDD == 0.62, 0.47, VDD) * volt, r"neuron 1 to 0\.47 V"),
        ([0, 9, 4] * usecond, VDD * volt, "must rise from 0"),
        ([1, 4, 9] * usecond, VDD * volt, "must rise from 0"),
        ([0, 4, 9.003] * usecond, VDD * volt, r"starts of time steps of .*, not at 9\.003 µs"),
        ([0, 4, 9], VDD * volt, "Times of a schedule has the wrong unit"),
        (CHANGES * DT, VDD, "supply has the wrong unit"),
        (CHANGES * DT, np.where(VDD == 0.81, np.nan, VDD) * volt, "supply must be finite"),
        ([0, 4] * usecond, VDD * volt, "as many rows"),
        ([0, 4, 9] * usecond, VDD[:, 0] * volt, "as many rows"),
        (Quantity(np.zeros(0)) * usecond, np.zeros((0, 2)) * volt, "as many rows"),
    ],
)
def test_schedules_that_no_supply_can_follow_are_refused(times, vdd, message):
    with pytest.raises(UserError, match=message):
        schedule(Population("chip", CIRCUITS[0], 2), times, vdd, DT)


@pytest.mark.parametrize(
    ("dt", "message"),
    [(0 * usecond, "time step of .* must be above 0"), (0.01, r"must be a time, .* not 0\.01")],
)
def test_a_schedule_needs_a_time_step(dt, message):
    with pytest.raises(UserError, match=message):
        schedule(Population("chip", CIRCUITS[0], 2), CHANGES * DT, VDD * volt, dt)
