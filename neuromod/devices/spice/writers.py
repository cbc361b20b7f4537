"""Circuits other than the circuit neuron as parts of a netlist: which module writes which model.

A writer is a module with what may differ between its neurons, `OWN` and `AROUND`, and functions
that give parts: ``subcircuits(dialect, population)``, ``instance(dialect, population, index)`` and
``synapse(row, population)``, the row being one of `wiring.synapses` for the model's ``pulsed``. An
instance's membrane is the node ``NAME_INDEX``, and its spike, of 0 or 1 V, ``NAME_INDEX_spike``;
its supplies are those of `circuits.supply`, which add up their energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import pandas as pd
from brian2 import Quantity

from neuromod.devices.spice import axon_hillock, dpi
from neuromod.devices.spice.dialects import Spice
from neuromod.devices.spice.parts import Capacitor, Lines, Part, Start
from neuromod.devices.spice.wiring import PULSED
from neuromod.errors import UserError, listed
from neuromod.experiment import Population
from neuromod.models.axon_hillock import AxonHillock
from neuromod.models.dpi_neuron import DPINeuron

WRITERS: Mapping[type, ModuleType] = {DPINeuron: dpi, AxonHillock: axon_hillock}
STEPS = 20
"""Of a simulator, in the shortest time that a circuit knows of."""


def writer_of(populations: Mapping[str, Population]) -> ModuleType | None:
    """The module that writes these populations, all of one kind; None for circuit neurons."""
    return WRITERS.get(type(next(iter(populations.values())).model))


def pulsed(populations: Mapping[str, Population]) -> Sequence[str]:
    """Variables that pulses act on."""
    first = next(iter(populations.values()))
    return getattr(first.model, "pulsed", PULSED)


def check(population: Population, dialect: Spice) -> None:
    """Refuse what the netlist of such a circuit has no place for."""
    writer = WRITERS[type(population.model)]
    known = (*writer.OWN, *writer.AROUND)
    for name in population.values.keys() - set(known):
        raise UserError(
            f"{name} of single neurons of {population.name} has no place in a netlist; "
            f"{listed(known)} have one."
        )
    if dialect.models is not None:
        raise UserError(
            "Models of your own are for the mirrors of circuit neurons, and "
            f"{population.name} is a {type(population.model).__name__}."
        )


def shortest_spike(population: Population) -> Quantity:
    """Shortest width of a circuit's spikes, seconds."""
    model: Any = population.model
    return model.shortest_spike(population.own)


def step(populations: Mapping[str, Population]) -> Quantity:
    """Longest time step that a simulator may take, seconds."""
    return min(map(shortest_spike, populations.values())) / STEPS


def parts(
    dialect: Spice,
    populations: Mapping[str, Population],
    neurons: Mapping[str, Sequence[int]],
    pulses: Iterator[Part],
    wired: pd.DataFrame,
) -> Iterator[Part]:
    """All that the netlist of such circuits consists of, after the subcircuits of pulses."""
    for population in populations.values():
        yield from WRITERS[type(population.model)].subcircuits(dialect, population)
    yield Lines(f"\n{dialect.comment} Pulses.")
    yield from pulses
    for name, population in populations.items():
        for index in neurons[name]:
            yield Lines("")
            yield from WRITERS[type(population.model)].instance(dialect, population, index)
            energy = f"{name}_{index}_energy"
            yield Capacitor(f"C{energy}", energy, "0", 1e-12)
            yield Start((energy,), 0)
    for row in wired.itertuples():
        population = populations[str(row.target)]
        yield from WRITERS[type(population.model)].synapse(row, population)
