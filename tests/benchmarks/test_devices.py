"""The same cells on GeNN and on C++ standalone: run times, and what a second run saves.

Run with ``pytest tests/benchmarks`` where ``GENN_PATH`` is set; without GeNN its tests
skip.
"""

from __future__ import annotations

import time
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import pytest
from brian2 import Quantity, nA

from neuromod.agreement.speed import DT, network as cells
from neuromod.devices.simulation import check_request, simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment

# The same work at every size, so many updates of a cell, but long enough that some spike.
UPDATES = 50_000_000
LEAST_STEPS = 300
ROUNDS = 3


def network(size: int, current: Quantity = 0.4 * nA) -> Experiment:
    """The cells that `neuromod agree` times, for as long as the same work takes."""
    return cells(size, duration=max(UPDATES // size, LEAST_STEPS) * DT, current=current)


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


@pytest.mark.slow
def test_another_size_needs_no_compiler(benchmark, tmp_path, monkeypatch):
    """Whole calls on ``cpp`` in seconds of the processor, its children's included."""
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    began = processor_s()
    assert simulate(network(1_000), "cpp").provenance["compiled"]
    first_s, later = processor_s() - began, []

    def again(size: int) -> None:
        began = processor_s()
        assert not simulate(network(size), "cpp").provenance["compiled"]
        later.append(processor_s() - began)

    for size in (1_001, 3_001, 10_007):
        again(size)
    benchmark.pedantic(again, args=(1_009,), rounds=1)
    benchmark.extra_info.update(first_s=first_s, later_s=max(later))
    print(f"\ncpp: first run {first_s:.1f} s, at other sizes at most {max(later):.2f} s")


def processor_s() -> float:
    """Seconds of the processor that this process and its children took."""
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
