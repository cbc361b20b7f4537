"""Circuit neurons by neuromod against a plain Brian2 script of the same equations.

Both are compiled by Brian2's C++ standalone, in the same run and by turns; what is compared is
the time that the compiled programs take. Run with ``pytest tests/benchmarks``.
"""

from __future__ import annotations

import tempfile

import brian2 as b2
import numpy as np
import pytest
from brian2.units.allunits import ffarad

from neuromod.devices.simulation import simulate
from neuromod.protocols.vdd_sweep import VddSweep

NEURONS = 10_000
ROUNDS = 5

PLAIN_EQUATIONS = """
dv/dt = (drive*I_unit - (v - v_rest)/R_leak)/C : volt (unless refractory)
I_unit = beta*U**2/(1 + beta*R_S*U + sqrt(1 + 2*beta*R_S*U)) : amp
U = (vdd - vto)*int(vdd > vto) : volt
drive : 1
active : 1
vdd : volt (constant)
"""
PLAIN_CONSTANTS = {
    "C": 50 * ffarad,
    "v_rest": 250 * b2.mV,
    "v_th": 350 * b2.mV,
    "R_leak": 400 * b2.Mohm,
    "R_S": 20 * b2.Mohm,
    "beta": 0.5 * b2.uA / b2.volt**2,
    "vto": 0.35 * b2.volt,
}


def run_plain(sweep: VddSweep) -> tuple[float, np.ndarray]:
    """Seconds and spike counts of the script that a Brian2 user would write."""
    inputs = sweep.inputs
    with tempfile.TemporaryDirectory() as directory:
        b2.set_device("cpp_standalone", directory=directory, with_output=False)
        b2.device.reinit()
        b2.device.activate(directory=directory, with_output=False)
        b2.defaultclock.dt = sweep.dt
        source = b2.SpikeGeneratorGroup(inputs.size, inputs.neurons, inputs.times)
        neurons = b2.NeuronGroup(
            NEURONS,
            PLAIN_EQUATIONS,
            threshold="v >= v_th and active < 0.5",
            reset="v = v_rest",
            refractory=100 * b2.nsecond,
            method="exponential_euler",
            namespace=PLAIN_CONSTANTS,
        )
        neurons.v = 250 * b2.mV
        neurons.vdd = sweep.vdd
        synapses = b2.Synapses(
            source,
            neurons,
            "code : 1",
            on_pre={
                "rise": "drive_post += code; active_post += 1",
                "fall": "drive_post -= code; active_post -= 1",
            },
            delay={"fall": 100 * b2.nsecond},
        )
        synapses.connect()
        synapses.code = np.repeat(sweep.codes, NEURONS)
        spikes = b2.SpikeMonitor(neurons)
        traces = b2.StateMonitor(neurons, "v", record=sweep.traced)
        b2.Network(source, neurons, synapses, spikes, traces).run(sweep.duration)
        result = b2.device.timers["run_binary"], np.array(spikes.count[:])
        b2.device.reinit()
        b2.devices.reset_device()
        return result


def run_neuromod(sweep: VddSweep) -> tuple[float, np.ndarray]:
    """Seconds and spike counts of the same by neuromod."""
    recording = simulate(sweep.experiments()["sweep"], "cpp")
    return recording.provenance["binary_s"], recording.spikes["chip"].counts()


@pytest.mark.slow
def test_vdd_sweep_is_as_fast_as_a_plain_script(benchmark):
    sweep = VddSweep(vdd=np.linspace(0.5, 1.0, NEURONS) * b2.volt, duration=400 * b2.usecond)
    plain, ours = [], []

    def both() -> None:
        seconds, by_script = run_plain(sweep)
        plain.append(seconds)
        seconds, by_neuromod = run_neuromod(sweep)
        ours.append(seconds)
        assert np.array_equal(by_script, by_neuromod)

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=0)
    steps = NEURONS * float(sweep.duration / sweep.dt)
    benchmark.extra_info["neuromod_s"] = min(ours)
    benchmark.extra_info["plain_s"] = min(plain)
    benchmark.extra_info["ratio"] = min(ours) / min(plain)
    benchmark.extra_info["neuron_steps_per_s"] = steps / min(ours)
    print(
        f"\nneuromod {ours} s, plain script {plain} s, ratio of the best "
        f"{min(ours) / min(plain):.3f}, {steps / min(ours):.3g} neuron-steps/s"
    )
