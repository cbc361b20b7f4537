"""A recurrent network, again and again on one device: whether its runs part, and how far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from brian2 import Hz, ms, mV, nA, pA, second
from scipy.stats import t as student

from neuromod.devices.simulation import simulate
from neuromod.experiment import Connection, Experiment, Population
from neuromod.inputs.spikes import fixed_indegree
from neuromod.models.adex import AdEx
from neuromod.recording import Recording
from neuromod.recording.agreement import parting

TIMES = 10
MOVED = 1 * mV
# Chance that a run of a right device is taken for a wrong one; chosen here.
MISTAKEN = 1e-3


@dataclass(frozen=True)
class Repeated:
    """A recurrent network on a device in one precision, some times over.

    Attributes
    ----------
    neurons, synapses, steps : int
    runs : int
    distinct : int
        How many different sets of spike trains came out.
    runs_part_at, reference_parts_at : int, optional
        First time step in which any run differs from the first, and the first from Brian2's
        runtime, by a spike; None where none does.
    rates_Hz : tuple of float
        Spikes per neuron and second, of every run.
    reference_Hz : float
        On Brian2's runtime.
    copies_Hz : tuple of float
        There, of copies of the network in each of which another neuron starts 1 mV higher.
    lowest_Hz, highest_Hz : float
        Between which one more copy would lie; see `tolerance`.
    """

    precision: str
    neurons: int
    synapses: int
    steps: int
    runs: int
    distinct: int
    runs_part_at: int | None
    reference_parts_at: int | None
    rates_Hz: tuple[float, ...]
    reference_Hz: float
    copies_Hz: tuple[float, ...]
    lowest_Hz: float
    highest_Hz: float

    @property
    def same_spikes(self) -> bool:
        """Whether every run has the spikes of Brian2's runtime."""
        return self.distinct == 1 and self.reference_parts_at is None

    @property
    def within(self) -> bool:
        """Whether the rate of every run lies where that of a copy would."""
        return all(self.lowest_Hz <= rate <= self.highest_Hz for rate in self.rates_Hz)


@dataclass(frozen=True)
class Reference:
    """The network on Brian2's runtime, and the rates of its copies."""

    experiment: Experiment
    recording: Recording
    copies_Hz: tuple[float, ...]


def network(size: int = 500, seed: int = 3) -> Experiment:
    """Excitatory and inhibitory neurons with random synapses and a delay, driven by a current.

    Its numbers are chosen here. The neurons are `AdEx`, whose spikes begin smoothly, so that
    differences grow: in single precision the network leaves its course in double precision within
    0.2 s. Leaky integrate-and-fire neurons forget the last digit at every reset.
    """
    draw = np.random.default_rng(seed)
    neuron = AdEx(synapse="exponential")
    everyone = np.arange(size)
    start = {"v": neuron.start["v"] + draw.uniform(0, 10, size) * mV}
    cells = Population("cells", neuron, size, {"I_ext": 1 * nA, **start})
    kinds = np.split(everyone, [size * 4 // 5])
    connections = []
    for sources, indegree, weight in zip(kinds, (80, 20), (100 * pA, -600 * pA), strict=True):
        i, j = fixed_indegree(sources, everyone, indegree, draw, recurrent=True)
        wire = Connection("cells", "cells", "I_syn", i=i, j=j, weight=weight, delay=1.5 * ms)
        connections.append(wire)
    return Experiment(
        populations=(cells,),
        connections=tuple(connections),
        duration=1 * second,
        dt=0.1 * ms,
        seed=seed,
    )


def refer(experiment: Experiment, copies: int = TIMES) -> Reference:
    """Run a network on Brian2's runtime, and copies of it side by side."""
    found = simulate(side_by_side(experiment, copies))
    size = experiment.populations[0].size
    counts = found.spikes["cells"].counts().reshape(copies, size).sum(axis=1)
    rates = counts / size / float(experiment.duration / second)
    return Reference(experiment, simulate(experiment), tuple(rates.tolist()))


def side_by_side(experiment: Experiment, copies: int) -> Experiment:
    """Copies of a network in one; in each of them another neuron starts `MOVED` higher."""
    (cells,) = experiment.populations
    v = np.tile(np.asarray(cells.values["v"] / mV), (copies, 1))
    v[np.arange(copies), np.arange(copies)] += float(MOVED / mV)
    first = np.arange(copies)[:, np.newaxis] * cells.size
    wires = [
        replace(wire, i=(first + wire.i).ravel(), j=(first + wire.j).ravel())
        for wire in experiment.connections
    ]
    many = replace(cells, size=cells.size * copies, values={**cells.values, "v": v.ravel() * mV})
    return replace(experiment, populations=(many,), connections=tuple(wires))


def tolerance(rates: tuple[float, ...], mistaken: float = MISTAKEN) -> tuple[float, float]:
    """Lowest and highest rate of one more run of the same kind: Student's prediction interval.

    Parameters
    ----------
    rates : tuple of float
        Of at least two runs, taken to be normally distributed.
    mistaken : float
        Chance that it lies outside all the same.
    """
    count = len(rates)
    reach = student.ppf(1 - mistaken / 2, count - 1) * np.std(rates, ddof=1)
    reach *= np.sqrt(1 + 1 / count)
    return float(np.mean(rates) - reach), float(np.mean(rates) + reach)


def repeat(reference: Reference, device: str, precision: str, times: int = TIMES) -> Repeated:
    """Run a network some times on a device."""
    experiment = reference.experiment
    runs = [simulate(experiment, device, precision) for _ in range(times)]
    partings = [parting(runs[0], run) for run in runs[1:]]
    lowest, highest = tolerance(reference.copies_Hz)
    return Repeated(
        precision,
        experiment.populations[0].size,
        sum(len(wire.i) for wire in experiment.connections),
        round(float(experiment.duration / experiment.dt)),
        times,
        len({_trains(run) for run in runs}),
        min((step for step in partings if step is not None), default=None),
        parting(reference.recording, runs[0]),
        tuple(_rate(run) for run in runs),
        _rate(reference.recording),
        reference.copies_Hz,
        lowest,
        highest,
    )


def _trains(recording: Recording) -> bytes:
    """All spikes of a recording, which has them in order of time."""
    spikes = recording.spikes["cells"]
    return np.asarray(spikes.times).tobytes() + spikes.neurons.tobytes()


def _rate(recording: Recording) -> float:
    spikes = recording.spikes["cells"]
    return float(len(spikes.neurons) / spikes.size / recording.duration / Hz)
