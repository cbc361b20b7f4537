"""Circuit neurons against ngspice: what one costs, how right it is at a time step, its memory.

Times are those of Brian2's compiled program, of the whole call in Python around it when nothing is
left to compile or to import, and of ngspice's process, in the same run and by turns. Run with
``pytest tests/benchmarks/test_circuit.py -s``, and the times alone with ``-k costs``.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brian2 import Quantity, khertz, nsecond, usecond, volt

from neuromod.chip.pulses import code_pulses
from neuromod.devices.simulation import simulate
from neuromod.devices.spice.ngspice import simulate_in_spice, version
from neuromod.devices.spice.validation import validate
from neuromod.devices.spice.wiring import choose
from neuromod.experiment import Experiment, Population
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron

SIZES = [1, 10, 100, 1_000, 10_000, 100_000]
STEPS = [1, 2, 5, 10, 20, 50]
FINEST, LONGEST = STEPS[0], STEPS[-1]
DURATION = 10 * usecond
ROUNDS = 5
CODES = (7, 5, 3, -2)
# Every time step above divides it.
GRID = 100 * nsecond
CIRCUITS = {
    "clocked": CircuitNeuron(),
    "continuous": CircuitNeuron(comparator="continuous"),
    "symmetric leak": CircuitNeuron(leak="symmetric"),
    "EKV transistors": CircuitNeuron(law="ekv", output="mosfet"),
    "conductances": CircuitNeuron(synapse="conductance"),
}

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")


def sweep(size: int, dt: Quantity, circuit: CircuitNeuron, duration: Quantity) -> Experiment:
    """Neurons of four inputs each, at supplies from 0.55 V to 1 V."""
    source = circuit_inputs(circuit, len(CODES), 700 * khertz, duration, GRID, seed=5)
    i, j = (side.ravel() for side in np.indices((len(CODES), size)))
    chip = Population("chip", circuit, size, {"vdd": np.linspace(1.0, 0.55, size) * volt})
    wires = code_pulses("inputs", "chip", i, j, np.array(CODES)[i], circuit.t_pulse)
    return Experiment(
        populations=(chip,), sources=(source,), connections=wires, duration=duration, dt=dt, seed=5
    )


def processor() -> str:
    """Name of this machine's processor."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1] if found else platform.processor()


@pytest.mark.slow
@needs_ngspice
def test_a_neuron_costs_a_thousandth_of_what_it_costs_in_spice(benchmark):
    at = [(size, FINEST) for size in SIZES] + [(size, LONGEST) for size in (10_000, 100_000)]
    made = {one: sweep(one[0], one[1] * nsecond, CircuitNeuron(), DURATION) for one in at}
    for experiment in made.values():
        simulate(experiment, "cpp")
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {one: [] for one in made}
    spice: list[float] = []
    busy = os.getloadavg()[0]

    def everything() -> None:
        for one, experiment in made.items():
            began = time.perf_counter()
            program = simulate(experiment, "cpp").provenance["binary_s"]
            taken[one].append((program, time.perf_counter() - began))
        one_neuron = made[1, FINEST]
        spice.append(simulate_in_spice(one_neuron, {"chip": [0]}).provenance["wall_s"])

    benchmark.pedantic(everything, rounds=ROUNDS, warmup_rounds=0)
    table = pd.DataFrame(list(made), columns=["neurons", "dt_ns"])
    table[["program_s", "call_s"]] = [np.min(times, axis=0) for times in taken.values()]
    steps = float(DURATION / nsecond) / table.dt_ns
    table["ns_per_neuron_step"] = table.program_s / (table.neurons * steps) * 1e9
    for part in ("program", "call"):
        table[f"ngspice_over_{part}"] = min(spice) * table.neurons / table[f"{part}_s"]
    benchmark.extra_info["table"] = table.to_dict("list")
    benchmark.extra_info["ngspice_s"] = min(spice)
    benchmark.extra_info["processor"] = processor()
    print(
        f"\n{processor()}, {os.cpu_count()} processors, load {busy:.1f} before; "
        f"ngspice, one neuron: {min(spice):.3f} s\n{table.to_string()}"
    )
    found = table.set_index(["neurons", "dt_ns"])
    assert found.ngspice_over_program[10_000, FINEST] > 1000
    assert found.ngspice_over_program[10_000, LONGEST] > 5000


@cache
def agreement(name: str) -> pd.DataFrame:
    """Worst of eight neurons at every time step, against SPICE given the same pulses."""
    rows = []
    for step in STEPS:
        experiment = sweep(8, step * nsecond, CIRCUITS[name], 20 * usecond)
        found = validate(experiment, choose(experiment, ()))
        most = found[["spike_off_ns", "rmse_mV", "charge_off_percent"]].max()
        both = found[["spikes", "missing", "extra"]].sum()
        rows.append({"dt_ns": step, **most, **both, "agree": f"{found.agrees.sum()} of 8"})
    return pd.DataFrame(rows)


@pytest.mark.slow
@needs_ngspice
@pytest.mark.parametrize("name", CIRCUITS)
def test_agreement_with_spice_against_the_time_step(benchmark, name):
    table = benchmark.pedantic(agreement, (name,), rounds=1)
    benchmark.extra_info["table"] = table.to_dict("list")
    print(f"\n{name}\n{table.to_string()}")
    assert table.agree[0] == "8 of 8"


PEAK = """
import resource
from brian2 import nsecond, usecond
from neuromod.models.circuit import CircuitNeuron
from neuromod.devices.simulation import simulate
from {module} import sweep
simulate(sweep({size}, 10 * nsecond, CircuitNeuron(), usecond), "cpp")
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_bytes(size: int) -> int:
    """Peak memory of the compiled program, which is the largest child once it is compiled."""
    simulate(sweep(size, 10 * nsecond, CircuitNeuron(), 1 * usecond), "cpp")
    code = PEAK.format(module="test_circuit", size=size)
    folder = __file__.rpartition("/")[0]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return int(ended.stdout.split()[-1]) * 1024


@pytest.mark.slow
def test_memory_of_a_neuron_with_four_synapses(benchmark):
    sizes = [100_000, 400_000]
    few, many = benchmark.pedantic(lambda: [peak_bytes(size) for size in sizes], rounds=1)
    each = (many - few) / (sizes[1] - sizes[0])
    benchmark.extra_info["bytes_per_neuron"] = each
    print(f"\n{few / 2**20:.0f} and {many / 2**20:.0f} MiB: {each:.0f} bytes per neuron")
    assert 0 < each < 10_000
