"""A mirror's gate is charged through its load, at once or after many pulses' time."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Mohm, amp, farad, mV, nsecond, uA, volt
from brian2.units.allunits import ffarad
from scipy.integrate import solve_ivp

from neuromod.chip.pulses import code_pulses
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.supplies import schedule
from neuromod.models import gates
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.mirror import LAWS

DT = 10 * nsecond
SOLVED = ("square", "ekv")
SUPPLIES = np.array([0.57, 0.75, 0.93])


def chips(code, at=(5,), vdd=0.75, steps=40, size=1, **settings):
    """Neurons that never fire, driven by one synapse each."""
    circuit = CircuitNeuron(v_th=5 * volt, **settings)
    neurons = np.arange(size)
    wires = code_pulses("inputs", "chip", 0 * neurons, neurons, code, circuit.t_pulse)
    return Experiment(
        populations=[Population("chip", circuit, size, {"vdd": vdd * volt})],
        sources=[Spikes("inputs", 1, np.zeros(len(at), dtype=int), np.array(at) * DT)],
        connections=wires,
        traces=[Trace("chip", ("v", "I_up"), neurons)],
        duration=steps * DT,
        dt=DT,
    )


def charged(law, C_gate):
    mirror = CircuitNeuron(law=law).mirror()
    return mirror, gates.charging(mirror, SUPPLIES, C_gate, 1e-8, 10)


# By hand in ngspice, code 7 at 0.75 V; 140 mV of a mirror that settles at once.
@pytest.mark.parametrize(("C_gate", "moved"), [(0.001, 140), (1, 106), (2, 72), (5, 7)])
def test_a_few_femtofarad_cost_a_pulsed_reference_its_pulse(C_gate, moved):
    found = simulate(chips(7, references="pulsed", C_gate=C_gate * ffarad))
    v = np.asarray(found.trace("chip", "v", 0) / mV) - 250
    assert v.max() == pytest.approx(moved, abs=0.6)


@pytest.mark.parametrize("law", SOLVED)
def test_references_that_stay_on_lose_nothing_to_their_gates(law):
    slow = simulate(chips(7, law=law, C_gate=160 * ffarad))
    ideal = simulate(chips(7, law=law))
    for name in ("energy", "idle"):
        np.testing.assert_allclose(slow.totals["chip"][name], ideal.totals["chip"][name])
    np.testing.assert_allclose(slow.trace("chip", "v", 0), ideal.trace("chip", "v", 0))


@pytest.mark.parametrize("law", SOLVED)
@pytest.mark.parametrize("C_gate", [0.2e-15, 1.3e-15, 8e-15])
def test_what_the_load_gives_the_reference_takes_or_the_gate_keeps(law, C_gate):
    mirror, found = charged(law, C_gate)
    given, taken = (sum(found[f"{n}_{k}"] for k in range(10)) * 1e-8 for n in ("I_in", "I_out"))
    for n, vdd in enumerate(SUPPLIES):

        def slope(_, gate, vdd=vdd):
            return ((vdd - gate) / 20e6 - mirror.current(gate - 0.35)) / C_gate

        end = solve_ivp(slope, (0, 1e-7), [0.0], "LSODA", rtol=1e-10, atol=1e-14).y[0, -1]
        assert given[n] - taken[n] == pytest.approx(C_gate * end, rel=1e-4)


@pytest.mark.parametrize("law", SOLVED)
def test_a_gate_without_capacitance_to_speak_of_is_the_mirror(law):
    mirror, found = charged(law, 1e-22)
    settled = mirror.current(mirror.overdrive(SUPPLIES))
    for part in ("I_out", "I_in"):
        np.testing.assert_allclose(found[f"{part}_7"], settled, rtol=1e-6)


def test_pulses_that_overlap_are_each_as_old_as_they_are():
    """Of two synapses, whose pulses are three steps apart, the sum of each alone."""
    settings = {"references": "pulsed", "C_gate": 1.3 * ffarad}

    def pushed(at):
        experiment = chips(1, **settings)
        circuit = experiment.populations[0].model
        wires = [
            wire
            for n, _ in enumerate(at)
            for wire in code_pulses(
                "inputs", "chip", np.array([n]), np.array([0]), 3 + n, circuit.t_pulse
            )
        ]
        together = Experiment(
            populations=experiment.populations,
            sources=[Spikes("inputs", len(at), np.arange(len(at)), np.array(at) * DT)],
            connections=wires,
            traces=experiment.traces,
            duration=experiment.duration,
            dt=DT,
        )
        return np.asarray(simulate(together).trace("chip", "I_up", 0) / amp)

    one, both = pushed([5]), pushed([5, 8])
    later = np.concatenate([np.zeros(3), one[:-3]]) * 4 / 3
    np.testing.assert_allclose(both, one + later, rtol=1e-9, atol=1e-20)


@pytest.mark.parametrize("output", ["ideal", "mosfet"])
def test_after_a_step_of_the_supply_a_standing_gate_follows_in_its_own_time(output):
    circuit = CircuitNeuron(C_gate=23 * ffarad, output=output, v_th=5 * volt)
    chip = Population("chip", circuit, 1, {"vdd": 0.61 * volt})
    experiment = Experiment(
        populations=[chip],
        traces=[Trace("chip", ("V_gate",), np.array([0]))],
        duration=300 * DT,
        dt=DT,
    )
    stepped = schedule(chip, [0, 50] * DT, np.array([[0.61], [0.88]]) * volt, DT)
    found = np.asarray(simulate(experiment.add(stepped)).trace("chip", "V_gate", 0) / volt)
    mirror = circuit.mirror()
    start = float(mirror.overdrive(0.61) + 0.35)
    assert found[:51] == pytest.approx(start, rel=1e-9)

    def slope(_, gate):
        return ((0.88 - gate) / 20e6 - mirror.current(gate - 0.35)) / 23e-15

    at = np.arange(249) * 1e-8
    solved = solve_ivp(slope, (0, 3e-6), [start], t_eval=at, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[51:], solved.y[0], atol=2e-7)


def test_each_power_domain_has_gates_of_its_own():
    circuit = CircuitNeuron(references="pulsed", C_gate=1.3 * ffarad, v_th=5 * volt)
    ends = "inputs", "chip", np.array([0]), np.array([0])
    wires = [
        *code_pulses(*ends, 5, circuit.t_pulse, "soma"),
        *code_pulses(*ends, -3, circuit.t_pulse, "tuft"),
    ]
    both = Experiment(
        populations=[
            Population("chip", circuit, 1, {"vdd_soma": 0.91 * volt, "vdd_tuft": 0.74 * volt})
        ],
        sources=[Spikes("inputs", 1, np.array([0]), [50] * nsecond)],
        connections=wires,
        traces=[Trace("chip", ("v",), np.array([0]))],
        duration=30 * DT,
        dt=DT,
    )
    v = np.asarray(simulate(both).trace("chip", "v", 0) / volt) - 0.25
    alone = [
        np.asarray(
            simulate(
                chips(code, vdd=vdd, steps=30, references="pulsed", C_gate=1.3 * ffarad)
            ).trace("chip", "v", 0)
            / volt
        )
        - 0.25
        for code, vdd in ((5, 0.91), (-3, 0.74))
    ]
    np.testing.assert_allclose(v, sum(alone), atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": "mosfet", "references": "pulsed"}, "references=always"),
        ({"R_supply": 1 * Mohm}, "set C_gate, or R_supply or R_domain"),
        ({"synapse": "conductance"}, "A conductance has no mirror"),
    ],
)
def test_gates_are_solved_for_nothing_else(settings, message):
    with pytest.raises(UserError, match=message):
        chips(1, C_gate=1 * ffarad, **settings)


def test_gates_of_pulsed_references_are_solved_for_one_time_step():
    circuit = CircuitNeuron(references="pulsed", C_gate=1 * ffarad)
    circuit.check_step(10 * nsecond)
    with pytest.raises(UserError, match=r"dt = 5 ns must be gate_step = 10 ns"):
        circuit.check_step(5 * nsecond)


def test_a_schedule_of_pulsed_gates_is_refused():
    circuit = CircuitNeuron(references="pulsed", C_gate=1 * ffarad)
    chip = Population("chip", circuit, 1, {"vdd": 0.6 * volt, "beta": 0.4 * uA / volt**2})
    with pytest.raises(UserError, match="C_gate of pulsed references is solved for a supply that"):
        schedule(chip, [0, 50] * DT, np.array([[0.6], [0.8]]) * volt, DT)


def test_all_laws_are_tried_here_or_have_no_gate():
    assert set(SOLVED) | {"table"} >= set(LAWS)
    assert float(CircuitNeuron().C_gate / farad) == 0
