"""Times of networks of growing size on a device and on C++ standalone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from brian2 import Quantity, ms, nA, pA, second

from neuromod.agreement.suite import reason
from neuromod.devices.simulation import PRECISIONS, simulate
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.models.gain_lif import GainLIF
from neuromod.support.machine import GB, memory

DT = 0.1 * ms
DURATION = 1 * second
# Of 50 Hz each: a cell receives 1000 synaptic events per second.
SOURCES, INDEGREE, RATE_HZ = 1000, 20, 50
# By synapses the cells fire at about 14 Hz; without, a stronger current lets them fire at 20 Hz.
CURRENT, ALONE = 0.4 * nA, 0.55 * nA
SMALLEST = 10_000
# Of several runs the best counts, but nobody waits long for that.
ROUNDS, LONG_S = 3, 30.0
# Measured on cpp, this process and the program together; at most so much.
NEURON_BYTES, SYNAPSE_BYTES = 150, 120


@dataclass(frozen=True)
class Timed:
    """One network on one device.

    Attributes
    ----------
    neurons, synapses : int
    program_s : float, optional
        Wall time of the compiled program, the best of several.
    build_s : float, optional
        From the experiment to the compiled program.
    compiled : bool, optional
        Whether it had to be compiled; otherwise it was kept from an earlier run.
    spikes : int, optional
    why : str
        Why it was not timed; empty where it was.
    """

    device: str
    precision: str
    neurons: int
    synapses: int
    program_s: float | None = None
    build_s: float | None = None
    compiled: bool | None = None
    spikes: int | None = None
    why: str = ""


def sizes(largest: int) -> list[int]:
    """Ten thousand neurons and ten times as many up to the largest; or that alone if it is less."""
    found = [SMALLEST]
    while found[-1] * 10 <= largest:
        found.append(found[-1] * 10)
    return found if largest >= SMALLEST else [largest]


def network(
    size: int, indegree: int = INDEGREE, duration: Quantity = DURATION, current: Quantity = CURRENT
) -> Experiment:
    """Modulated cells with a constant current and synapses, each with 50 events a second."""
    draw = np.random.default_rng(1)
    steps = round(float(duration / DT))
    count = int(RATE_HZ * SOURCES * float(duration / second))
    at = np.unique(draw.integers(0, steps * SOURCES, count))
    inputs = Spikes("inputs", SOURCES, at % SOURCES, at // SOURCES * DT)
    j = np.repeat(np.arange(size), indegree)
    i = draw.integers(0, SOURCES, len(j))
    synapses = Connection("inputs", "cells", "I_syn", i=i, j=j, weight=60 * pA)
    cells = Population("cells", GainLIF(), size, {"I_ext": current})
    return Experiment(
        populations=(cells,),
        sources=(inputs,) if indegree else (),
        connections=(synapses,) if indegree else (),
        duration=duration,
        dt=DT,
        seed=1,
    )


def planned(device: str, largest: int) -> list[Timed]:
    """What is timed: networks without and with synapses, on C++ standalone and on a device."""
    where = dict.fromkeys([("cpp", "double"), *((device, precision) for precision in PRECISIONS)])
    return [
        Timed(*place, size, size * indegree)
        for size in sizes(largest)
        for indegree in (0, INDEGREE)
        for place in where
    ]


def timed(row: Timed) -> Timed:
    """Run a network, if the machine's memory holds it, and take its times."""
    needed = row.neurons * NEURON_BYTES + row.synapses * SYNAPSE_BYTES
    if needed > memory():
        have = f"and this machine gives {memory() / GB:.3g} GB"
        return replace(row, why=f"It needs {needed / GB:.3g} GB of memory, {have}.")
    try:
        current = CURRENT if row.synapses else ALONE
        return _best(row, network(row.neurons, row.synapses // row.neurons, current=current))
    # A GPU's memory may not suffice, and other networks still count.
    except Exception as error:
        return replace(row, why=reason(error))


def _best(row: Timed, experiment: Experiment) -> Timed:
    """The best time of several runs, and the build of the first, which is the one that compiles."""
    for number in range(ROUNDS):
        recording = simulate(experiment, row.device, row.precision)
        told = recording.provenance
        if not number:
            row = replace(row, build_s=told["build_s"], compiled=told["compiled"])
        row = replace(
            row,
            program_s=min(told["binary_s"], row.program_s or np.inf),
            spikes=len(recording.spikes["cells"].neurons),
        )
        if told["binary_s"] > LONG_S:
            break
    return row
