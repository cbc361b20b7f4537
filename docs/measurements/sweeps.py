"""Chunks, disk and processor hours of large sweeps on 160 cores: a table of how-to/sweeps.md.

``python docs/measurements/sweeps.py 0.087e-3 0.1`` takes the processor seconds that a supply and
a curve cost, as ``pytest -s tests/benchmarks/test_sweeps.py`` prints them.
"""

import sys
from pathlib import Path

import numpy as np

import neuromod
from neuromod.settings import format_value
from neuromod.sweeps.chunks import Chunk, Request, chunk_size
from neuromod.sweeps.points import MOST

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "benchmarks"))
from test_sweeps import REQUESTS

CORES = 160
BYTES = 16
"""Of a number, which is kept in a chunk and in the data set."""


def numbers(name: str) -> float:
    """Numbers that a point leaves."""
    protocol, grid, settings = REQUESTS[name](4)
    found = neuromod.sweep(protocol, grid, workers=1, **settings).dataset
    return sum(variable.size for variable in found.data_vars.values()) / 4


def chunks(name: str, points: int) -> int:
    """Chunks of a study, which has as many sweeps as it takes."""
    protocol, grid, settings = REQUESTS[name](4)
    texts = {setting: format_value(value) for setting, value in settings.items()}
    first = Chunk(Request(protocol, texts), np.arange(1), {n: v[:1] for n, v in grid.items()})
    sweeps = -(-points // MOST)
    each = points // sweeps
    return sweeps * -(-each // chunk_size(first, each, CORES))


def seconds(value: float) -> str:
    """A time in the unit that suits it."""
    for length, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if value > 2 * length:
            return f"{short(value / length)} {unit}"
    return f"{short(value)} s"


def short(value: float) -> str:
    """A number to two digits."""
    return f"{float(f'{value:.2g}'):,g}".replace(",", " ")


for name, cost in zip(REQUESTS, map(float, sys.argv[1:]), strict=True):
    kept = numbers(name)
    print(f"{name}: {kept:g} numbers a point")
    for exponent in range(6, 10):
        points = 10**exponent
        total = points * cost
        print(
            f"10^{exponent} | {short(total / 3600)} processor hours | {seconds(total / CORES)} | "
            f"{chunks(name, points)} chunks | {short(points * kept * BYTES / 1e9)} GB"
        )
