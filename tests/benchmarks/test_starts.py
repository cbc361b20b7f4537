"""What a first run costs, and a second one, against the script that a Brian2 user would write.

Processor time of whole processes with whatever they start, imports and compilers among it: first
with empty caches, then again. The plain script has the equations of the same cells, and the same
device. Run with ``pytest tests/benchmarks``.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

OURS = """
import sys
import numpy as np
from brian2 import ms, nA, second
from neuromod.devices.simulation import simulate
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF

cells = Population("cells", GainLIF(), 10, {"I_ext": np.linspace(0.51, 0.97, 10)*nA})
experiment = Experiment(populations=(cells,), duration=2*second, dt=0.1*ms, seed=1)
print(simulate(experiment, sys.argv[1]).spikes["cells"].counts().sum())
"""
PLAIN = '''
import sys
from brian2 import *

if sys.argv[1] == "cpp":
    set_device("cpp_standalone", directory="program")
defaultclock.dt = 0.1*ms
cells = NeuronGroup(
    10,
    """
    dv/dt = (-70*mV - v + 40*Mohm*gain*(I_syn + I_ext))/(20*ms) : volt (unless refractory)
    dI_syn/dt = -I_syn/(2*ms) : amp
    gain = 1 + 2*messenger**2/(messenger**2 + 0.25) : 1
    dmessenger/dt = (occupancy - messenger)/(500*ms) : 1
    doccupancy/dt = conc/(umolar*second)*(1 - occupancy) - occupancy/second : 1
    I_ext : amp (constant)
    conc : mmolar (constant)
    """,
    threshold="v >= -50*mV",
    reset="v = -70*mV",
    refractory=2*ms,
    method="rk2",
)
cells.v = -70*mV
cells.I_ext = linspace(0.51, 0.97, 10)*nA
spikes = SpikeMonitor(cells)
run(2*second)
print(spikes.num_spikes)
'''


def took(script: str, device: str, environment: dict[str, str], folder: str) -> tuple[float, int]:
    """Processor seconds of a script, and its number of spikes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-c", script, device],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, int(ran.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cython", "cpp"])
def test_starts_against_a_plain_script(benchmark, device, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "NEUROMOD_CACHE": str(tmp_path / "kept")}
    seconds: dict[str, list[float]] = {OURS: [], PLAIN: []}

    def cold_and_warm() -> None:
        for _ in range(2):
            spikes = []
            for script, kept in seconds.items():
                taken, fired = took(script, device, environment, str(tmp_path))
                kept.append(taken)
                spikes.append(fired)
            # The plain script integrates by Runge-Kutta.
            assert spikes[0] > 300
            assert abs(spikes[0] / spikes[1] - 1) < 0.01

    benchmark.pedantic(cold_and_warm, rounds=1)
    for start, ours, plain in zip(("cold", "warm"), *seconds.values(), strict=True):
        benchmark.extra_info[f"{start}_ratio"] = ours / plain
        print(f"\n{device}, {start}: {ours:.1f} s against {plain:.1f} s, ratio {ours / plain:.2f}")
