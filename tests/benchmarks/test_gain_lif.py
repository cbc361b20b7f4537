"""What a gain costs: cells with a receptor's cascade against cells without, and a plain script.

All are compiled by Brian2's C++ standalone; what is compared is the time that the compiled
programs take, by turns and in the same run. Run with ``pytest tests/benchmarks``.
"""

from __future__ import annotations

import tempfile

import brian2 as b2
import numpy as np
import pytest

from neuromod.devices.simulation import simulate
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.models.gain_lif import GainLIF

DT = 0.1 * b2.ms
# The same work at every size: this many updates of one neuron.
UPDATES = 100_000_000
ROUNDS = 5
CELLS = {True: GainLIF(), False: GainLIF(receptors=())}
SOURCES, INDEGREE, RATE_HZ = 1000, 100, 50

PLAIN_EQUATIONS = """
dv/dt = (v_rest - v + R*gain*(I_syn + I_ext))/tau_m : volt (unless refractory)
dI_syn/dt = -I_syn/tau_syn : amp
gain = 1 + (gain_max - 1)*messenger**2/(messenger**2 + K**2) : 1
dmessenger/dt = (occupancy - messenger)/tau_messenger : 1
doccupancy/dt = k_on*conc*(1 - occupancy) - k_off*occupancy : 1
I_ext : amp (constant)
"""
PLAIN_CONSTANTS = {
    "v_rest": -70 * b2.mV,
    "R": 40 * b2.Mohm,
    "tau_m": 20 * b2.ms,
    "tau_syn": 2 * b2.ms,
    "t_ref": 2 * b2.ms,
    "gain_max": 3.0,
    "K": 0.5,
    "tau_messenger": 500 * b2.ms,
    "k_on": 1 / (b2.umolar * b2.second),
    "k_off": 1 / b2.second,
    "conc": 0 * b2.umolar,
}


def duration_for(size: int) -> b2.Quantity:
    return UPDATES // size * DT


def currents(size: int) -> b2.Quantity:
    return np.linspace(0.1, 1.5, size) * b2.nA


def alone(size: int, modulated: bool) -> Experiment:
    """Cells with a constant current each; without modulator, so that both fire the same spikes."""
    values = {"I_ext": currents(size)}
    cells = Population("cells", CELLS[modulated], size, values)
    return Experiment(populations=(cells,), duration=duration_for(size), dt=DT, seed=1)


def driven(size: int, modulated: bool) -> Experiment:
    """Cells with 100 synapses each that receive 5000 spikes per second, as cortical cells may."""
    draw = np.random.default_rng(1)
    duration = duration_for(size)
    steps = UPDATES // size
    count = int(RATE_HZ * SOURCES * float(duration))
    at = np.unique(draw.integers(0, steps * SOURCES, count))
    inputs = Spikes("inputs", SOURCES, at % SOURCES, at // SOURCES * DT)
    j = np.repeat(np.arange(size), INDEGREE)
    synapses = Connection(
        "inputs", "cells", "I_syn", i=draw.integers(0, SOURCES, len(j)), j=j, weight=55 * b2.pA
    )
    cells = Population("cells", CELLS[modulated], size)
    return Experiment(
        populations=(cells,),
        sources=(inputs,),
        connections=(synapses,),
        duration=duration,
        dt=DT,
        seed=1,
    )


def run(experiment: Experiment) -> tuple[float, np.ndarray]:
    recording = simulate(experiment, "cpp")
    return recording.provenance["binary_s"], recording.spikes["cells"].counts()


def run_plain(size: int) -> tuple[float, np.ndarray]:
    """Seconds and spike counts of the script that a Brian2 user would write, of second order."""
    with tempfile.TemporaryDirectory() as directory:
        b2.set_device("cpp_standalone", directory=directory, with_output=False)
        b2.device.reinit()
        b2.device.activate(directory=directory, with_output=False)
        b2.defaultclock.dt = DT
        neurons = b2.NeuronGroup(
            size,
            PLAIN_EQUATIONS,
            threshold="v >= -50*mV",
            reset="v = -70*mV",
            refractory="t_ref",
            method="rk2",
            namespace=PLAIN_CONSTANTS,
        )
        neurons.v = -70 * b2.mV
        neurons.I_ext = currents(size)
        spikes = b2.SpikeMonitor(neurons)
        b2.Network(neurons, spikes).run(duration_for(size))
        result = b2.device.timers["run_binary"], np.array(spikes.count[:])
        b2.device.reinit()
        b2.devices.reset_device()
        return result


def compare(benchmark, ours, other, what: str, slack: int = 0) -> None:
    """Best of several turns each, and their ratio; both must have fired the same spikes."""
    seconds: tuple[list[float], list[float]] = ([], [])

    def both() -> None:
        results = [ours(), other()]
        for kept, (taken, _) in zip(seconds, results, strict=True):
            kept.append(taken)
        assert results[0][1].sum() > 0
        assert np.abs(results[0][1].astype(int) - results[1][1]).max() <= slack

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    best = [min(kept[1:]) for kept in seconds]
    benchmark.extra_info.update(ours_s=best[0], other_s=best[1], ratio=best[0] / best[1])
    print(f"\n{what}: {best[0]:.3f} s against {best[1]:.3f} s, ratio {best[0] / best[1]:.2f}")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 10_000, 100_000, 1_000_000])
def test_cost_of_a_gain_to_cells_alone(benchmark, size):
    compare(
        benchmark,
        lambda: run(alone(size, True)),
        lambda: run(alone(size, False)),
        f"{size} cells alone, with gain against without",
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 10_000, 100_000])
def test_cost_of_a_gain_to_cells_with_synaptic_input(benchmark, size):
    compare(
        benchmark,
        lambda: run(driven(size, True)),
        lambda: run(driven(size, False)),
        f"{size} cells with 5000 synaptic events/s each, with gain against without",
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 10_000, 100_000])
def test_gain_lif_is_as_fast_as_a_plain_script(benchmark, size):
    # The plain script integrates the membrane approximately: a spike may come or go at the end.
    compare(
        benchmark,
        lambda: run(alone(size, True)),
        lambda: run_plain(size),
        f"{size} cells alone, neuromod against a plain script",
        slack=1,
    )
