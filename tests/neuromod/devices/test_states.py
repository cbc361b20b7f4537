from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from brian2 import Hz, Mohm, Quantity, kohm, ms, mV, nsecond, umolar, usecond, volt

from neuromod.chip.pulses import code_pulses
from neuromod.devices import simulation
from neuromod.devices.simulation import simulate
from neuromod.devices.states import check_states
from neuromod.errors import UserError
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models import CircuitNeuron, GainLIF
from neuromod.models.own_equations import read_equations
from neuromod.models.three_factor import PlasticLIF, ThreeFactor
from neuromod.recording import Signal
from neuromod.support import machine

DT = 0.1 * ms


@dataclass
class Growing:
    """x grows by a part of itself in every step, beyond all numbers."""

    equations: ClassVar[str] = "dx/dt = speed*x*x : 1\nspeed : Hz"
    threshold: ClassVar[str] = "x < 0"
    reset: ClassVar[str] = "x = 0"
    refractory: ClassVar[Quantity] = 0 * ms
    method: ClassVar[str] = "euler"
    constants: ClassVar[dict] = {}
    start: ClassVar[dict] = {"x": 1.7}


def growing(traced=()):
    values = {"speed": np.array([0, 0, 70, 900, 0]) / ms}
    return Experiment(
        populations=(Population("cell", Growing(), 5, values),),
        traces=tuple(Trace("cell", ("x",), np.array(neurons)) for neurons in traced),
        duration=4.1 * ms,
        dt=DT,
    )


COMPILED = ("cpp", "genn-cpu")


@pytest.mark.parametrize(
    "device", ["cython", *(pytest.param(name, marks=pytest.mark.thorough) for name in COMPILED)]
)
def test_a_state_that_is_no_number_at_the_end_names_population_variable_and_neuron(device, needs):
    needs(device)
    with pytest.raises(UserError, match=r"x of cell is inf at the end of the run in neuron 2, whi"):
        simulate(growing(), device)


@pytest.mark.thorough
@pytest.mark.parametrize("device", COMPILED)
def test_every_device_tells_the_states_at_the_end(device, needs, monkeypatch):
    needs(device)
    ends = []

    def keep(experiment, _signals, final):
        (cells,), (synapses,) = experiment.populations, experiment.plastic
        names = [(cells.name, name) for name in read_equations(cells.equations).diff_eq_names]
        names += [
            (synapses.name, name) for name in read_equations(synapses.model.equations).diff_eq_names
        ]
        ends.append({name: np.array(final(*name)) for name in names})

    monkeypatch.setattr(simulation, "check_states", keep)
    spikes = Spikes("inputs", 3, np.array([0, 2, 0, 1]), np.array([1, 1, 4, 6]) * ms)
    rule = ThreeFactor(rule="stdp", w=1.3, eta=40 * Hz, bound=0.7)
    pairs = {"i": np.array([2, 0, 1]), "j": np.array([1, 0, 0])}
    learning = Experiment(
        populations=(
            Population("cells", PlasticLIF(tonic=0.9), 2, {"conc_modulator": 0.4 * umolar}),
        ),
        sources=(spikes,),
        plastic=(PlasticConnection("synapses", "inputs", "cells", rule, **pairs),),
        duration=12 * ms,
        dt=1 * ms,
    )
    for each in ("cython", device):
        simulate(learning, each)
    assert {("cells", "v"), ("synapses", "E"), ("synapses", "eligibility")} <= set(ends[0])
    for name, values in ends[0].items():
        np.testing.assert_allclose(ends[1][name], values, rtol=0, atol=1e-12, err_msg=str(name))
    assert len(set(ends[0]["synapses", "E"])) == 3


def test_a_traced_state_says_when():
    # x = 1.7 doubles its exponent with every step, first in neuron 3.
    with pytest.raises(UserError, match=r"x of cell is inf at 0\.[789] ms in neuron 3, which cann"):
        simulate(growing([[0, 2, 3]]))


def chip(dt=10 * nsecond, values=None, **circuit):
    return Experiment(
        populations=(Population("chip", CircuitNeuron(**circuit), 3, values or {}),),
        duration=2 * usecond,
        dt=dt,
    )


@pytest.mark.parametrize(("leak", "most"), [("one_sided", "422"), ("symmetric", "840")])
def test_a_step_beyond_the_fastest_time_constant_is_refused_before_the_run(leak, most, monkeypatch):
    monkeypatch.setattr(simulation, "_build", None)
    with pytest.raises(UserError, match=f"dt = 10 ns is too long for chip, .* {most}.* ps at most"):
        simulate(chip(leak=leak, R_leak=40 * kohm))


def test_one_neuron_may_be_too_fast():
    values = {"R_leak": np.array([40, 0.3, 40]) * Mohm}
    with pytest.raises(UserError, match=r"too long for chip, .* \(neuron 1\)"):
        simulate(chip(leak="symmetric", values=values))


def test_a_linear_leak_is_solved_exactly_whatever_the_step():
    assert not len(simulate(chip(R_leak=4 * kohm)).spikes["chip"].neurons)


def test_a_membrane_beyond_its_rails_is_refused():
    driven = chip(synapse="conductance")
    signals = {"chip": {"v": Signal(np.array([1]), [[0.25, 1.49, 1.52, 0.25]] * volt)}}
    with pytest.raises(UserError, match=r"v of chip is 1\.52 V at 20 ns in neuron 1, which cannot"):
        check_states(driven, signals, lambda _part, _name: np.zeros(3))
    # Ideal current sources have no rails.
    check_states(chip(), signals, lambda _part, _name: np.zeros(3))


def test_a_conductance_keeps_a_membrane_within_its_rails():
    spikes = Spikes("inputs", 1, np.zeros(9, int), np.arange(1, 10) * 210 * nsecond)
    i, j = np.zeros(3, int), np.arange(3)
    codes = code_pulses("inputs", "chip", i, j, np.array([7, -7, 3]), 100 * nsecond)
    driven = Experiment(
        populations=(Population("chip", CircuitNeuron(synapse="conductance"), 3),),
        sources=(spikes,),
        connections=codes,
        traces=(Trace("chip", ("v",), np.arange(3)),),
        duration=2.5 * usecond,
        dt=10 * nsecond,
    )
    v = np.asarray(simulate(driven).signals["chip"]["v"].values)
    assert 0 < v.min() < v.max() < 0.75


def test_more_than_the_machine_holds_is_refused_before_the_run_unless_forced(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 7e3)
    lif = Experiment(
        populations=(Population("cell", GainLIF(v_th=-40 * mV), 4),),
        traces=(Trace("cell", ("v", "I_syn"), np.arange(4)),),
        duration=9.3 * ms,
        dt=DT,
    )
    with pytest.raises(UserError, match=r"simulation of 93 time steps needs .* GB of memory"):
        simulate(lif)
    with machine.forced():
        assert simulate(lif).signals["cell"]["v"].values.shape == (4, 93)
    # Of every fourth step there are 24 samples, and as many fit.
    seldom = Trace("cell", ("v", "I_syn"), np.arange(4), 0.4 * ms)
    assert simulate(replace(lif, traces=(seldom,))).signals["cell"]["v"].values.shape == (4, 24)


def test_a_run_of_years_is_refused_before_the_run():
    with pytest.raises(UserError, match=r"of 10 000 000 000 000 time steps takes .* days"):
        simulate(
            Experiment(populations=(Population("cell", GainLIF(), 1),), duration=1e12 * ms, dt=DT)
        )
