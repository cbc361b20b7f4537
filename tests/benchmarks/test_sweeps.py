"""Sweeps of a growing number of points: time and memory, their exponents, and two workers to one.

Run with ``pytest tests/benchmarks/test_sweeps.py -s`` on a machine whose packages Python has
compiled (a first run does that, unless PYTHONDONTWRITEBYTECODE is set); each size is told when it
ends. ``-m ""`` adds the largest, which take from minutes to an hour. Exponents are of processor
time, of all processes together, which other work on the machine changes less than time on the
clock; two workers are compared by the clock, and need two idle cores. A sweep is also compared with
what its user would write, a loop of runs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from brian2 import Hz, linspace, nA, second, umolar, usecond, volt

import neuromod

RUNS = 5

# In a process of its own, whose memory is its own.
ONE = """
import resource, sys, time
from benchmarks_of_sweeps import REQUESTS
import neuromod
name, points, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
begun = time.perf_counter()
protocol, grid, settings = REQUESTS[name](points)
neuromod.sweep(protocol, grid, workers=workers, **settings)
taken = time.perf_counter() - begun
who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
own, workers = (resource.getrusage(one) for one in who)
cpu = [used.ru_utime + used.ru_stime for used in (own, workers)]
print(taken, max(own.ru_maxrss, workers.ru_maxrss) / 1e6, sum(cpu), cpu[0])
"""


def supplies(points: int) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Circuit neurons that differ in their supply, which the protocol takes as a list."""
    return "vdd-sweep", {"vdd": linspace(0.5, 1, points) * volt}, {"duration": 40 * usecond}


def receptors(points: int) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Dose-response curves over two parameters of the receptor, each a point of its own."""
    side = round(points**0.5)
    grid = {"gain_max": np.linspace(1.5, 3, side), "k_off": np.linspace(3, 9, points // side) * Hz}
    short = {"I": [0.9, 1.7] * nA, "conc": [0, 0.1, 1, 10, 100] * umolar, "duration": 0.5 * second}
    return "dose-response", grid, short


REQUESTS = {"supplies": supplies, "receptors": receptors}


def measured(name: str, points: int, workers: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and gigabytes of a sweep in a process of its own, told at once."""
    code = ONE.replace("benchmarks_of_sweeps", "test_sweeps")
    command = [sys.executable, "-c", code, name, str(points), str(workers)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
    taken, memory, everywhere, own = map(float, ended.stdout.split()[-4:])
    print(
        f"\n{name}, {points} points, {workers} workers: {taken:.1f} s; {everywhere:.1f} processor "
        f"seconds, {own:.1f} of them in the process that was called; at most {memory:.2f} GB",
        end="",
        flush=True,
    )
    return taken, everywhere, memory


HERE = __file__.rpartition("/")[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("supplies", (10**3, 10**4, 10**5)),
        ("receptors", (10**2, 10**3)),
        pytest.param("supplies", (10**5, 10**6), marks=pytest.mark.thorough),
        pytest.param("receptors", (10**3, 10**4), marks=pytest.mark.thorough),
    ],
)
def test_time_and_memory_against_the_number_of_points(name: str, sizes: tuple[int, ...]) -> None:
    found = np.array([measured(name, points, 1)[1:] for points in sizes])
    exponents = np.log(found[1:] / found[:-1]) / np.log(np.divide(sizes[1:], sizes[:-1]))[:, None]
    fitted = np.polyfit(np.log(sizes), np.log(found), 1)[0]
    for what, each, whole in zip(("time", "memory"), exponents.T, fitted, strict=True):
        print(f"\nexponent of {what}: {whole:.2f}; between sizes {each.round(2)}", end="")
    more = (found[-1, 0] - found[-2, 0]) / (sizes[-1] - sizes[-2])
    print(f"\na point more between the last two sizes: {1e3 * more:.3g} processor ms")


@pytest.mark.slow
def test_a_sweep_against_a_loop_of_runs() -> None:
    protocol, grid, settings = receptors(100)
    begun = time.perf_counter()
    neuromod.sweep(protocol, grid, workers=1, **settings)
    swept = time.perf_counter() - begun
    begun = time.perf_counter()
    for gain_max in grid["gain_max"][:RUNS]:
        neuromod.run(protocol, gain_max=gain_max, k_off=grid["k_off"][0], **settings)
    each = (time.perf_counter() - begun) / RUNS
    print(f"\na point takes {each / (swept / 100):.1f} times as long as a run as in a sweep of 100")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("supplies", 10**5),
        ("receptors", 600),
        pytest.param("supplies", 10**6, marks=pytest.mark.thorough),
    ],
)
def test_two_workers_against_one(name: str, points: int) -> None:
    pytest.importorskip("distributed")
    (one, alone, _), (two, shared, _) = (measured(name, points, workers) for workers in (1, 2))
    print(
        f"\ntwo workers are {one / two:.2f} times as fast, start and gathering included, and take "
        f"{shared / alone:.2f} times the processor time"
    )
