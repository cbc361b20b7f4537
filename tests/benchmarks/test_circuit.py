"""Circuit neurons against ngspice: what one costs, how right it is at a time step, its memory.

Times are those of Brian2's compiled program and of ngspice's process, in the same run and by
turns. Run with ``pytest tests/benchmarks/test_circuit.py -s``.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

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
ROUNDS = 3
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


@pytest.mark.slow
@needs_ngspice
def test_a_neuron_costs_a_thousandth_of_what_it_costs_in_spice(benchmark):
    made = {size: sweep(size, 1 * nsecond, CircuitNeuron(), 10 * usecond) for size in SIZES}
    for experiment in made.values():
        simulate(experiment, "cpp")
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    spice: list[float] = []

    def everything() -> None:
        for size, experiment in made.items():
            taken[size].append(simulate(experiment, "cpp").provenance["binary_s"])
        spice.append(simulate_in_spice(made[1], {"chip": [0]}).provenance["wall_s"])

    benchmark.pedantic(everything, rounds=ROUNDS, warmup_rounds=0)
    table = pd.DataFrame({"neurons": SIZES, "seconds": [min(taken[size]) for size in SIZES]})
    table["us_per_neuron"] = table.seconds / table.neurons * 1e6
    table["ngspice_over_ours"] = min(spice) / (table.seconds / table.neurons)
    benchmark.extra_info["table"] = table.to_dict("list")
    benchmark.extra_info["ngspice_s"] = min(spice)
    print(f"\nngspice, one neuron: {min(spice):.3f} s\n{table.to_string()}")
    assert table.set_index("neurons").ngspice_over_ours[10_000] > 1000


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
