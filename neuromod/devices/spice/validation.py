"""How far the circuit model and SPICE are apart, neuron by neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from brian2 import Quantity, mV, nsecond
from brian2.units.allunits import fjoule

from neuromod.devices.simulation import simulate
from neuromod.devices.spice import cycles
from neuromod.devices.spice.cycles import by_neuron, compare_cycles, meets
from neuromod.devices.spice.ngspice import simulate_in_spice
from neuromod.devices.spice.wiring import Neurons
from neuromod.devices.spice.writers import writer_of
from neuromod.experiment import Experiment, Population, Trace
from neuromod.recording import Recording

DT = 1 * nsecond
"""Time step at which the targets are meant."""
TARGETS = {"rmse_mV": 1.0, "spike_off_ns": 2.0, "charge_off_percent": 1.0}
"""Most that each column may be; there may be neither missing nor extra spikes."""
# Less than a hundredth of a pulse's reference; between nothing and nothing no share is off.
NEGLIGIBLE = 0.01 * fjoule


def validate(experiment: Experiment, neurons: Neurons) -> pd.DataFrame:
    """Simulate some neurons here and in SPICE, and compare.

    Parameters
    ----------
    experiment : Experiment
    neurons : mapping of str to sequence of int
        From `wiring.choose`.

    Returns
    -------
    DataFrame
        See `compare`; `cycles.compare_cycles` for circuits other than the circuit neuron.

    Raises
    ------
    UserError
        When ngspice is missing or fails, or no netlist can be written.
    """
    theirs = simulate_in_spice(experiment, neurons)
    traces = tuple(Trace(name, ("v",), np.array(numbers)) for name, numbers in neurons.items())
    ours = simulate(replace(experiment, traces=traces))
    how = compare_cycles if _is_other(experiment, neurons) else compare
    return how(experiment, neurons, ours, theirs)


def promise(experiment: Experiment, neurons: Neurons) -> str:
    """The targets in words."""
    if _is_other(experiment, neurons):
        return (
            "Targets of an ideal model against transistors: numbers of spikes within one, and at "
            f"most {_listed(cycles.TARGETS)}."
        )
    return f"Targets at dt = 1 ns: no spike missing or extra, and at most {_listed(TARGETS)}."


def _is_other(experiment: Experiment, neurons: Neurons) -> bool:
    """Whether these are circuits other than the circuit neuron."""
    held = {p.name: p for p in experiment.populations if p.name in neurons}
    return writer_of(held) is not None


def _listed(targets: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {most:g}" for name, most in targets.items())


def compare(
    experiment: Experiment, neurons: Neurons, ours: Recording, theirs: Recording
) -> pd.DataFrame:
    """Differences between two recordings of the same circuit neurons.

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
        One row per neuron: numbers of spikes, those of SPICE's that are missing here and those
        that are extra, the largest difference of a spike's time, root mean square error of the
        membrane between spikes in millivolt and per cent of the swing from rest to threshold,
        energy from the synapse supply (at a constant supply, that times its charge), and whether
        all of it meets the targets.
    """
    table = by_neuron(experiment, neurons, lambda p, neuron: _differences(p, neuron, ours, theirs))
    same = (table.missing == 0) & (table.extra == 0)
    return table.assign(agrees=meets(table, TARGETS) & same)


def _differences(
    population: Population, neuron: int, ours: Recording, theirs: Recording
) -> dict[str, float]:
    name = population.name
    width = float(_own(population, "t_spike", neuron) / nsecond)
    swing = _own(population, "v_th", neuron) - _own(population, "v_rest", neuron)
    here, there = (_spikes(recording, name, neuron) for recording in (ours, theirs))
    apart = np.abs(here[:, None] - there)
    # Spikes of one neuron are farther apart than their width.
    paired = apart <= width / 2
    off = (ours.trace(name, "v", neuron) - theirs.trace(name, "v", neuron)) / mV
    at = np.asarray(ours.times / nsecond)
    step = float(ours.dt / nsecond)
    since = at[:, None] - np.concatenate([here, there])
    free = ~((since >= 0) & (since <= width + step)).any(axis=1)
    rmse = float(np.sqrt(np.mean(np.asarray(off)[free] ** 2)))
    energy, expected = (_drawn(population, r, neuron) for r in (ours, theirs))
    least = float(NEGLIGIBLE / fjoule)
    return {
        "spikes": len(here),
        "spikes_SPICE": len(there),
        "missing": int(np.sum(~paired.any(axis=0))),
        "extra": int(np.sum(~paired.any(axis=1))),
        "spike_off_ns": apart[paired].max() if paired.any() else np.nan,
        "rmse_mV": rmse,
        "rmse_percent": 100 * rmse / float(swing / mV),
        "energy_fJ": energy,
        "energy_SPICE_fJ": expected,
        "charge_off_percent": 100 * abs(energy - expected) / max(expected, least),
    }


def _drawn(population: Population, recording: Recording, neuron: int) -> float:
    """Energy from a neuron's synapse supply, fJ; SPICE's is one sum."""
    totals, paid = recording.totals[population.name], ["energy"]
    if getattr(population.model, "references", "") == "always" and "idle" in totals:
        paid.append("idle")
    return float(sum(totals[name][neuron] / fjoule for name in paid))


def _own(population: Population, name: str, neuron: int) -> Quantity:
    value = population.own(name)
    return value[neuron] if np.ndim(value) else value


def _spikes(recording: Recording, name: str, neuron: int) -> np.ndarray:
    """Times of a neuron's spikes, nanoseconds."""
    spikes = recording.spikes[name]
    return np.asarray(spikes.times[spikes.neurons == neuron] / nsecond)
