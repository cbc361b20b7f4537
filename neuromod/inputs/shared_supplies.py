"""Supplies that neurons share, each behind a resistance of its own: what one draws, all feel.

Every neuron of a rail sees the same supply, so that its mirrors conduct the same unit of current.
What the others draw is a number of such units, which their pulses switch: they reach it as pulses
of their own, onto `others`. See `CircuitNeuron.R_domain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from neuromod.checks import index_array
from neuromod.errors import UserError, unknown
from neuromod.experiment import Connection, Experiment, Population
from neuromod.models.circuit import TRANSISTOR, CircuitNeuron
from neuromod.models.circuit_equations import suffix
from neuromod.support.text import say


def share_supplies(experiment: Experiment, name: str, rails: Any = 0) -> Experiment:
    """Let circuit neurons share the supplies of their power domains.

    Parameters
    ----------
    experiment : Experiment
        Whole: what is added to it later loads no shared supply.
    name : str
        Of the population.
    rails : int or ndarray of int, shape () or (neurons,)
        Neurons of one number share their supplies; all of the population if none is given.

    Returns
    -------
    Experiment
        In which every neuron's supply is loaded by all of its rail. References that stay on load it
        from the start.

    Raises
    ------
    UserError
        When there is no such population, it has no `R_domain`, or neurons that share a supply are
        not alike: at different voltages, or with different transistors.
    """
    populations = {population.name: population for population in experiment.populations}
    if name not in populations:
        raise unknown("population", name, populations)
    population = populations[name]
    circuit: Any = population.model
    if not isinstance(circuit, CircuitNeuron) or not circuit.R_domain:
        raise UserError(
            f"{name} shares no supply with a resistance: give its CircuitNeuron an R_domain."
        )
    given = index_array(f"Rails of {name}", np.broadcast_to(rails, population.size))
    rails = np.unique(given, return_inverse=True)[1]
    _check_alike(experiment, population, rails)
    values: dict[str, Any] = {}
    added: list[Connection] = []
    for mark in map(suffix, circuit.domains):
        values[f"rail{mark}"] = rails * 1.0
        if circuit.references == "always":
            built = np.asarray(population.completed.get(f"built{mark}", 0)) * np.ones(len(rails))
            values[f"others{mark}"] = np.bincount(rails, built)[rails] - built
        loading = {f"up{mark}"} | ({f"mirrors{mark}"} if circuit.references == "pulsed" else set())
        added += _loads(experiment, name, loading, rails, f"others{mark}")
    loaded = replace(population, values={**population.values, **values})
    return replace(
        experiment,
        populations=tuple(loaded if p.name == name else p for p in experiment.populations),
        connections=(*experiment.connections, *added),
    )


def _loads(
    experiment: Experiment, name: str, loading: set[str], rails: np.ndarray, variable: str
) -> Iterator[Connection]:
    """Pulses of a rail's neurons as all others of it feel them."""
    member = sparse.csr_matrix((np.ones(len(rails)), (np.arange(len(rails)), rails)))
    together: dict[tuple[Any, ...], Any] = {}
    first: dict[tuple[Any, ...], Connection] = {}
    for wire in experiment.connections:
        if wire.target == name and wire.variable in loading:
            width = None if wire.width is None else float(wire.width)
            key = wire.source, float(wire.delay), width
            together[key] = together.get(key, 0) + _matrix(experiment, wire)
            first.setdefault(key, wire)
    for key, units in together.items():
        others = sparse.coo_matrix(units @ member @ member.T - units)
        kept = others.data != 0
        if kept.any():
            ends = {"i": others.row[kept], "j": others.col[kept], "weight": others.data[kept]}
            yield replace(first[key], variable=variable, **ends)


def _check_alike(experiment: Experiment, population: Population, rails: np.ndarray) -> None:
    """Refuse neurons of one rail that differ in what sets their unit of current."""
    circuit: Any = population.model
    name, supplies = population.name, [f"vdd{suffix(domain)}" for domain in circuit.domains]
    # The first neuron of each one's rail.
    lead = np.unique(rails, return_index=True)[1][np.unique(rails, return_inverse=True)[1]]
    for key in (*supplies, *TRANSISTOR):
        value = np.broadcast_to(population.own(key), len(rails))
        differs = np.flatnonzero(value != value[lead])
        if len(differs):
            one, other = lead[differs[0]], differs[0]
            held = " and ".join(say(population.own(key)[n]) for n in (one, other))
            raise UserError(
                f"Neurons {one} and {other} of {name} share a supply and differ in {key}, {held}: "
                "give them one value, or rails of their own."
            )
    for wire in experiment.connections:
        if wire.target == name and wire.variable in supplies:
            changes = _matrix(experiment, wire)
            if (changes - changes[:, lead]).count_nonzero():
                raise UserError(
                    f"{wire.source} changes {wire.variable} of {name} for some neurons of a shared "
                    "supply: change it for all of them, or give them rails of their own."
                )


def _matrix(experiment: Experiment, wire: Connection) -> Any:
    """Weights from every source onto every neuron, sparse."""
    weights = np.broadcast_to(np.asarray(wire.weight), wire.i.shape)
    shape = experiment.sizes[wire.source], experiment.sizes[wire.target]
    return sparse.csc_matrix((weights, (wire.i, wire.j)), shape=shape)
