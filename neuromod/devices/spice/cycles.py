"""How far a circuit's ideal model and its transistors are apart, from spike to spike.

Transistors do what the model's equations leave out, so that their spikes come a little later or
earlier, and those of a long train later and later. Compared are therefore intervals, and membranes
over each way up to a spike, from the end of what the spike before it left, both stretched to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from brian2 import mV, second
from brian2.units.allunits import pjoule

from neuromod.devices.spice.wiring import Neurons
from neuromod.experiment import Experiment, Population
from neuromod.recording import Recording

TARGETS = {"interval_off_percent": 3.0, "rmse_percent": 3.0, "energy_off_percent": 5.0}
"""Most that each column may be; numbers of spikes may differ by one."""
POINTS = 200
"""Of each way up that is compared."""
BOTTOM = 0.02
"""Share of its range within which a membrane is still where a spike left it."""


def compare_cycles(
    experiment: Experiment, neurons: Neurons, ours: Recording, theirs: Recording
) -> pd.DataFrame:
    """Differences between two recordings of the same circuits.

    Parameters
    ----------
    experiment : Experiment
    neurons : mapping of str to sequence of int
        From `wiring.choose`.
    ours, theirs : Recording
        With membranes ``v`` and the total ``energy``; theirs is SPICE's.

    Returns
    -------
    DataFrame
        One row per neuron: numbers of spikes; by how much the mean interval differs, of a single
        spike its time; root mean square error of the membrane over the ways up, in millivolt and
        per cent of its range; energy from all supplies; and whether the targets are met.
    """
    table = by_neuron(
        experiment, neurons, lambda p, neuron: _differences(p.name, neuron, ours, theirs)
    )
    near = (table.spikes - table.spikes_SPICE).abs() <= 1
    return table.assign(agrees=meets(table, TARGETS) & near)


def by_neuron(
    experiment: Experiment,
    neurons: Neurons,
    differences: Callable[[Population, int], dict[str, float]],
) -> pd.DataFrame:
    """A row for every neuron that is compared."""
    return pd.DataFrame(
        [
            {"population": population.name, "neuron": neuron} | differences(population, neuron)
            for population in experiment.populations
            for neuron in neurons.get(population.name, ())
        ]
    )


def meets(table: pd.DataFrame, targets: Mapping[str, float]) -> pd.Series:
    """Which rows lie within all targets; what is not a number does."""
    return (table[list(targets)].fillna(0) <= pd.Series(targets)).all(axis=1)


def _differences(name: str, neuron: int, ours: Recording, theirs: Recording) -> dict[str, float]:
    here, there = (_spikes(recording, name, neuron) for recording in (ours, theirs))
    v, w = (np.asarray(r.trace(name, "v", neuron) / mV) for r in (ours, theirs))
    at = np.asarray(ours.times / second)
    count, span = min(len(here), len(there)), np.ptp(v)
    ways = zip(_ways(at, v, here[:count]), _ways(at, w, there[:count]), strict=True)
    off = np.concatenate([first - second for first, second in ways])
    energy, expected = (float(r.totals[name]["energy"][neuron] / pjoule) for r in (ours, theirs))
    rmse = float(np.sqrt(np.mean(off**2)))
    return {
        "spikes": len(here),
        "spikes_SPICE": len(there),
        "interval_off_percent": 100 * _off(here[:count], there[:count]),
        "rmse_mV": rmse,
        "rmse_percent": 100 * rmse / span if span else np.nan,
        "energy_pJ": energy,
        "energy_SPICE_pJ": expected,
        "energy_off_percent": 100 * abs(energy - expected) / expected if expected else np.nan,
    }


def _off(here: np.ndarray, there: np.ndarray) -> float:
    """Relative difference of the mean intervals of as many spikes, the first of them from 0."""
    if not len(here):
        return float("nan")
    first, second = ((t[-1] - t[0]) if len(t) > 1 else t[0] for t in (here, there))
    return abs(float(first / second) - 1)


def _ways(at: np.ndarray, v: np.ndarray, spikes: np.ndarray) -> Iterator[np.ndarray]:
    """A membrane's ways up to its spikes, each at `POINTS`; all of it where there are none."""
    ends = [*np.searchsorted(at, spikes), *([] if len(spikes) else [len(at)])]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        if end - start < 2:
            yield np.zeros(0)
            continue
        part = v[start:end]
        low = part <= part.min() + BOTTOM * np.ptp(part)
        first = int(np.flatnonzero(low)[-1])
        steps = np.linspace(first, len(part) - 1, POINTS)
        yield np.interp(steps, np.arange(len(part)), part)


def _spikes(recording: Recording, name: str, neuron: int) -> np.ndarray:
    spikes = recording.spikes[name]
    return np.asarray(spikes.times[spikes.neurons == neuron] / second)
