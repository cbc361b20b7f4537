"""The same cells on GeNN and on C++ standalone: run times, and what a second run saves.

Run with ``pytest tests/benchmarks`` where ``GENN_PATH`` is set; without GeNN its tests
skip.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from brian2 import Quantity, ms, nA, pA

from neuromod.devices.simulation import check_request, simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.models.gain_lif import GainLIF

DT = 0.1 * ms
# The same work at every size, so many updates of a cell, but long enough that some spike.
UPDATES = 50_000_000
LEAST_STEPS = 300
ROUNDS = 3
SOURCES, INDEGREE, RATE_HZ = 1000, 20, 50


def network(size: int, current: Quantity = 0.4 * nA) -> Experiment:
    """Modulated cells with a constant current and 1000 synaptic events per second each."""
    draw = np.random.default_rng(1)
    steps = max(UPDATES // size, LEAST_STEPS)
    count = int(RATE_HZ * SOURCES * float(steps * DT))
    at = np.unique(draw.integers(0, steps * SOURCES, count))
    inputs = Spikes("inputs", SOURCES, at % SOURCES, at // SOURCES * DT)
    j = np.repeat(np.arange(size), INDEGREE)
    i = draw.integers(0, SOURCES, len(j))
    synapses = Connection("inputs", "cells", "I_syn", i=i, j=j, weight=60 * pA)
    cells = Population("cells", GainLIF(), size, {"I_ext": current})
    return Experiment(
        populations=(cells,),
        sources=(inputs,),
        connections=(synapses,),
        duration=steps * DT,
        dt=DT,
        seed=1,
    )


def needs(device: str) -> None:
    try:
        check_request(device, "double")
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("device", ["genn-cpu", "genn"])
@pytest.mark.parametrize("size", [1_000, 10_000, 100_000, 1_000_000])
def test_genn_against_cpp(benchmark, size, device, precision):
    needs(device)
    experiment = network(size)
    seconds: tuple[list[float], list[float]] = ([], [])

    def both() -> None:
        counts = []
        for kept, where in zip(seconds, ((device, precision), ("cpp", "double")), strict=True):
            recording = simulate(experiment, *where)
            kept.append(recording.provenance["binary_s"])
            counts.append(recording.spikes["cells"].counts().sum())
        assert counts[1] > 0
        assert abs(counts[0] / counts[1] - 1) < 0.01

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    best = [min(kept[1:]) for kept in seconds]
    benchmark.extra_info.update(genn_s=best[0], cpp_s=best[1], ratio=best[0] / best[1])
    print(
        f"\n{size} cells, {precision}: {device} {best[0]:.3f} s, cpp {best[1]:.3f} s, "
        f"ratio {best[0] / best[1]:.2f}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpp", "genn-cpu", "genn"])
def test_another_value_needs_no_compiler(benchmark, device, tmp_path, monkeypatch):
    """Whole calls: writing the sources, looking up or compiling the program, running it."""
    if device != "cpp":
        needs(device)
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    started = time.perf_counter()
    first = simulate(network(1_000), device)
    first_s = time.perf_counter() - started
    assert first.provenance["compiled"]

    def again() -> None:
        changed = simulate(network(1_000, 0.37 * nA), device)
        assert not changed.provenance["compiled"]

    benchmark.pedantic(again, rounds=ROUNDS, warmup_rounds=0)
    later_s = benchmark.stats.stats.min
    benchmark.extra_info.update(first_s=first_s, later_s=later_s)
    print(f"\n{device}: first run {first_s:.1f} s, with another value {later_s:.2f} s")
