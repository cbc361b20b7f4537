"""Neurons on one supply feel what all of them draw from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from brian2 import Mohm, amp, joule, nsecond, ohm, second, uA, volt
from brian2.units.allunits import ffarad
from scipy.integrate import solve_ivp

from neuromod.chip.pulses import code_pulses
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.shared_supplies import share_supplies
from neuromod.inputs.supplies import schedule
from neuromod.models.circuit import CircuitNeuron

DT = 10 * nsecond
VDD = 0.83


def chips(codes, at=(5,), values=None, steps=40, **settings):
    """Neurons with one input each, all of which spike in the same steps; none fires."""
    circuit = CircuitNeuron(v_th=5 * volt, **settings)
    neurons = np.arange(len(codes))
    steps_of, of = np.meshgrid(at, neurons, indexing="ij")
    source = Spikes("inputs", len(codes), of.ravel(), steps_of.ravel() * DT)
    values = {"vdd": VDD * volt} | (values or {})
    return Experiment(
        populations=[Population("chip", circuit, len(codes), values)],
        sources=[source],
        connections=code_pulses(
            "inputs", "chip", neurons, neurons, np.array(codes), circuit.t_pulse
        ),
        traces=[Trace("chip", ("v", "I_unit", "I_sag"), neurons)],
        duration=steps * DT,
        dt=DT,
    )


def unit(load, **settings):
    """Unit current of a mirror whose load is that much larger, A."""
    circuit = CircuitNeuron(**settings)
    return float(replace(circuit, R_S=circuit.R_S + load).unit_current(VDD * volt) / amp)


@pytest.mark.parametrize("law", ["square", "ekv"])
@pytest.mark.parametrize(("references", "standing"), [("always", 3), ("pulsed", 0)])
def test_neurons_that_pulse_together_load_their_supply_together(law, references, standing):
    settings = {"law": law, "references": references}
    experiment = chips([7, 4, -3], R_domain=1.3 * Mohm, **settings)
    shared = simulate(share_supplies(experiment, "chip"))
    current = np.asarray(shared.signals["chip"]["I_sag"].values / amp)
    # 11 units push, and three references conduct.
    np.testing.assert_allclose(current[:, 8], unit(14 * 1.3 * Mohm, **settings), rtol=1e-9)
    before = unit(standing * 1.3 * Mohm, **settings)
    np.testing.assert_allclose(current[:, 3], before, rtol=1e-9)


def test_all_that_a_shared_supply_gives_is_what_its_neurons_draw():
    shared = simulate(share_supplies(chips([7, 4, -3], R_domain=1.3 * Mohm), "chip"))
    totals = shared.totals["chip"]
    drawn = float(np.sum(totals["energy"] + totals["idle"]) / joule)
    # Ten steps of a pulse, and the other thirty.
    units = 14 * 10 * unit(14 * 1.3 * Mohm) + 3 * 30 * unit(3 * 1.3 * Mohm)
    assert drawn == pytest.approx(VDD * units * 1e-8, rel=1e-9)


def test_a_neuron_alone_on_its_supply_is_one_with_a_private_resistance():
    codes = [7, 4, -3]
    alone = simulate(share_supplies(chips(codes, R_domain=1.7 * Mohm), "chip", [4, 0, 7]))
    private = simulate(chips(codes, R_supply=1.7 * Mohm))
    np.testing.assert_allclose(
        alone.signals["chip"]["v"].values / volt,
        private.signals["chip"]["v"].values / volt,
        rtol=1e-12,
    )


def test_only_neurons_of_the_same_rail_feel_each_other():
    experiment = chips([7, 2, 5, 2], R_domain=2.3 * Mohm)
    current = simulate(share_supplies(experiment, "chip", [0, 1, 0, 1])).signals["chip"]["I_sag"]
    found = np.asarray(current.values / amp)[:, 8]
    expected = [unit(14 * 2.3 * Mohm), unit(6 * 2.3 * Mohm)]
    np.testing.assert_allclose(found, np.tile(expected, 2), rtol=1e-9)


@pytest.mark.parametrize("held_ns", [0.3, 41, 3000])
def test_a_capacitor_delays_the_sag_as_its_equation_says(held_ns):
    # Time constant of resistance and capacitor alone.
    settings = {"R_domain": 1.3 * Mohm, "C_domain": held_ns * nsecond / (1.3 * Mohm)}
    found = simulate(share_supplies(chips([7, 4, -3], steps=90, **settings), "chip"))
    mirror = CircuitNeuron().mirror()

    def slope(t, supply):
        units = 14 if 60e-9 <= t < 160e-9 else 3
        current = mirror.current(mirror.overdrive(supply[0]))
        return [((VDD - supply[0]) / 1.3e6 - units * current) / (held_ns * 1e-9 / 1.3e6)]

    resting = unit(3 * 1.3 * Mohm) * 3 * 1.3e6
    ends = [0, 60e-9, 160e-9, 900e-9]
    state, moved = VDD - resting, 0.0
    for start, end in pairwise(ends):
        solved = solve_ivp(
            slope, (start, end - 1e-15), [state], "LSODA", rtol=1e-9, atol=1e-12, max_step=2e-10
        )
        state = solved.y[0, -1]
        if start == 60e-9:
            current = mirror.current(mirror.overdrive(solved.y[0]))
            leaked = np.exp(-(end - solved.t) / 20e-6)
            moved = np.trapezoid(7 * current * leaked, solved.t) / 50e-15
    v = np.asarray(found.signals["chip"]["v"].values / volt)[0, 16] - 0.25
    # Over a step the mirrors' current changes in a straight line, by 0.2 V of sag in all.
    assert v == pytest.approx(moved, rel=8e-4)


def test_a_large_capacitor_holds_a_supply_where_references_have_taken_it():
    settings = {"R_domain": 1.3 * Mohm, "C_domain": 1e6 * ffarad}
    found = simulate(share_supplies(chips([7, 4, -3], **settings), "chip"))
    current = np.asarray(found.signals["chip"]["I_sag"].values / amp)[:, 12]
    np.testing.assert_allclose(current, unit(3 * 1.3 * Mohm), rtol=1e-4)


def test_spikes_of_the_population_load_the_supply_of_others_too():
    circuit = CircuitNeuron(R_domain=1.3 * Mohm, references="pulsed")
    # The first neuron fires and drives the second.
    chain = Experiment(
        populations=[Population("chip", circuit, 3, {"vdd": VDD * volt})],
        sources=[Spikes("inputs", 1, np.array([0]), [50] * nsecond)],
        connections=[
            *code_pulses("inputs", "chip", [0, 0], [0, 0], [7, 7], circuit.t_pulse),
            *code_pulses("chip", "chip", [0], [1], [5], circuit.t_pulse),
        ],
        traces=[Trace("chip", ("others",), np.array([2]))],
        duration=60 * DT,
        dt=DT,
    )
    found = simulate(share_supplies(chain, "chip"))
    others = np.asarray(found.signals["chip"]["others"].values)[0]
    fired = round(float(found.spikes["chip"].times[0] / DT))
    assert others[[8, fired + 3, -1]].tolist() == [16, 6, 0]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (lambda: chips([1, 2], R_supply=1 * Mohm), "give its CircuitNeuron an R_domain"),
        (
            lambda: chips([1, 2], R_domain=1 * Mohm, values={"vdd": [0.8, 0.7] * volt}),
            r"Neurons 0 and 1 of chip share a supply and differ in vdd, 0\.8 V and 0\.7 V",
        ),
        (
            lambda: chips([1, 2], R_domain=1 * Mohm, values={"beta": [0.5, 0.6] * uA / volt**2}),
            "differ in beta",
        ),
    ],
)
def test_neurons_that_cannot_share_a_supply_are_refused(experiment, message):
    with pytest.raises(UserError, match=message):
        share_supplies(experiment(), "chip")


def test_a_schedule_of_some_neurons_of_a_shared_supply_is_refused():
    experiment = chips([1, 2], R_domain=1 * Mohm)
    times = [0, 0.1e-6] * second
    for second_row, fine in (([0.7, 0.7], True), ([0.7, 0.8], False)):
        vdd = np.array([[VDD, VDD], second_row]) * volt
        stepped = experiment.add(schedule(experiment.populations[0], times, vdd, DT))
        if fine:
            assert share_supplies(stepped, "chip")
            continue
        with pytest.raises(UserError, match="changes vdd of chip for some neurons"):
            share_supplies(stepped, "chip")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"R_supply": 1 * Mohm}, "R_supply = 0 ohm"),
        ({"output": "mosfet"}, "output=ideal"),
        ({"C_gate": 1 * ffarad}, "set C_gate, or R_supply or R_domain"),
    ],
)
def test_what_a_shared_supply_is_not_solved_for_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        chips([1], R_domain=1 * Mohm, **settings)
    with pytest.raises(UserError, match="give R_domain as well"):
        chips([1], C_domain=1 * ffarad)
    assert float(CircuitNeuron().R_domain / ohm) == 0
