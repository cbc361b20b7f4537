"""Synapses and supplies of circuit neurons, read back from an experiment's connections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from brian2 import second

from neuromod.errors import UserError, listed, unknown
from neuromod.experiment import Connection, Experiment, Population
from neuromod.models.axon_hillock import AxonHillock
from neuromod.models.circuit import SOLVED, CircuitNeuron
from neuromod.models.circuit_equations import suffix
from neuromod.models.dpi_neuron import DPINeuron

Neurons = Mapping[str, Sequence[int]]
"""Neurons of an experiment by the name of their population."""

CIRCUITS = (CircuitNeuron, DPINeuron, AxonHillock)
"""Models that are circuits."""
PULSED = ("up", "down", "mirrors", "n_mirrors", "active")
STEPPED = ("vdd", "v")
SYNAPSE = ["target", "j", "source", "i", "domain"]


def pick(experiments: Mapping[str, Experiment], name: str | None) -> Experiment:
    """One of a protocol's experiments; the name may be left out where there is one."""
    if name is None and len(experiments) > 1:
        raise UserError(
            f"There are several experiments, {', '.join(experiments)}: --experiment "
            f"{next(iter(experiments))} takes one of them."
        )
    if name is not None and name not in experiments:
        raise unknown("experiment", name, experiments)
    return experiments[name or next(iter(experiments))]


def choose(experiment: Experiment, wanted: Sequence[str]) -> Neurons:
    """Neurons to look at, with all whose spikes reach them.

    Parameters
    ----------
    experiment : Experiment
    wanted : sequence of str
        Such as ``"0,3"``, or ``"output:0,3"`` where there are several populations; empty for all.

    Raises
    ------
    UserError
        When there is no such neuron, or one is no circuit neuron.
    """
    sizes = {population.name: population.size for population in experiment.populations}
    chosen: dict[str, set[int]] = {}
    for text in wanted:
        name, numbers = _split(text, sizes)
        chosen.setdefault(name, set()).update(numbers)
    if not wanted:
        chosen = {name: set(range(size)) for name, size in sizes.items()}
    before = None
    while before != (before := sum(map(len, chosen.values()))):
        for population in experiment.populations:
            _with_rails(population, chosen)
        for connection in experiment.connections:
            if connection.target in chosen and connection.source in sizes:
                reached = np.isin(connection.j, list(chosen[connection.target]))
                more = connection.i[reached].tolist()
                chosen.setdefault(connection.source, set()).update(more)
    held = [population for population in experiment.populations if chosen.get(population.name)]
    for population in held:
        if not isinstance(population.model, CIRCUITS):
            raise UserError(
                f"Population {population.name} has no circuit neurons: a netlist can hold only "
                "those."
            )
        if type(population.model) is not type(held[0].model):
            raise UserError(
                f"{population.name} and {held[0].name} are different circuits: a netlist holds "
                f"one kind, such as --neurons {held[0].name}:0."
            )
    return {name: sorted(numbers) for name, numbers in chosen.items() if numbers}


def _with_rails(population: Population, chosen: dict[str, set[int]]) -> None:
    """Add all that share a supply with chosen neurons."""
    for name in (name for name in population.values if re.fullmatch(r"rail(_\w+)?", name)):
        rails = np.broadcast_to(population.values[name], population.size)
        own = list(chosen.get(population.name, ()))
        if own:
            chosen[population.name] |= set(np.flatnonzero(np.isin(rails, rails[own])).tolist())


def synapses(
    experiment: Experiment, neurons: Neurons, variables: Sequence[str] = PULSED
) -> pd.DataFrame:
    """Synapses onto some neurons, from `choose`; a row may stand for several that pulse together.

    The columns are the neurons at both ends, ``target`` and ``j``, ``source`` and ``i``; the power
    ``domain``; when a pulse begins after the source's spike and how long it is, ``start`` and
    ``width``, seconds; and what it adds to each of the variables. For the circuit neuron these are
    units onto and off the membrane and references that conduct, ``up``, ``down`` and ``mirrors``;
    ``n_mirrors``, n-type ones of these where both types differ; and ``active``, above 0 where the
    comparator's NOR sees the pulse. Connections that are no pulses are refused.
    """
    table = _wires(experiment, neurons, variables)
    if table.width.isna().any() or (table.weight < 0).any():
        raise UserError(
            f"Connections onto {listed(variables)} must be pulses, with a width and a weight "
            "above 0."
        )
    by = [*SYNAPSE, "start", "width"]
    wired = table.pivot_table("weight", by, "variable", aggfunc="sum", fill_value=0)
    return wired.reindex(columns=list(variables), fill_value=0.0).reset_index()


def changes(experiment: Experiment, neurons: Neurons) -> dict[tuple[str, int, str, str], pd.Series]:
    """Changes of supplies, and kicks of membranes, of neurons from `choose` during a run.

    Only inputs may make them: spikes of neurons are not known beforehand.

    Returns
    -------
    dict of (population, neuron, ``"vdd"`` or ``"v"``, domain) to Series
        Volt that are added, by the second at which they are.
    """
    table = _wires(experiment, neurons, STEPPED)
    if table.empty:
        return {}
    sources = {source.name: source for source in experiment.sources}
    undrawn = table[~table.source.isin(sources)]
    if len(undrawn):
        first = undrawn.iloc[0]
        raise UserError(
            f"Spikes of {first.source} change {first.variable} of {first.target}: in a netlist "
            "only inputs drawn before the run can."
        )
    events = [
        pd.DataFrame({"source": s.name, "i": s.neurons, "at": np.asarray(s.times / second)})
        for s in sources.values()
    ]
    held = table.merge(pd.concat(events), on=["source", "i"])
    held["at"] += held.start
    groups = held.groupby(["target", "j", "variable", "domain"])
    return {key: group.groupby("at").weight.sum() for key, group in groups}


def _split(text: str, sizes: Mapping[str, int]) -> tuple[str, list[int]]:
    name, colon, numbers = text.rpartition(":")
    if not colon and len(sizes) > 1:
        raise UserError(
            f"Neurons {text} of which population? There are {', '.join(sizes)}: "
            f"{next(iter(sizes))}:{text} would work."
        )
    name = name if colon else next(iter(sizes))
    if name not in sizes:
        raise unknown("population", name, sizes)
    fields = numbers.split(",")
    known = [n.isdecimal() and int(n) < sizes[name] for n in fields]
    if not all(known):
        raise UserError(
            f"{name} has neurons 0 to {sizes[name] - 1}, not {fields[known.index(False)]!r}: "
            "write numbers between commas."
        )
    return name, [int(n) for n in fields]


def _wires(experiment: Experiment, neurons: Neurons, kinds: Iterable[str]) -> pd.DataFrame:
    """One row for each synapse of the connections onto some variables; times in seconds."""
    columns = [*SYNAPSE, "variable", "start", "width", "weight"]
    rows = []
    models = {population.name: population for population in experiment.populations}
    step = float(experiment.dt / second)
    for connection in experiment.connections:
        held = np.isin(connection.j, neurons.get(connection.target, ()))
        if not held.any():
            continue
        kind, domain = _meaning(connection, models[connection.target])
        if kind not in kinds:
            continue
        width = np.nan if connection.width is None else connection.width / experiment.dt
        values = {
            "target": connection.target,
            "j": connection.j[held],
            "source": connection.source,
            "i": connection.i[held],
            "domain": domain,
            "variable": kind,
            # A spike acts in the step after its own.
            "start": (round(float(connection.delay / experiment.dt)) + 1) * step,
            "width": np.round(float(width)) * step,
            "weight": np.broadcast_to(np.asarray(connection.weight), held.shape)[held],
        }
        rows.append(pd.DataFrame(values))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _meaning(connection: Connection, population: Population) -> tuple[str, str]:
    """What a connection's variable is, and of which domain."""
    model: Any = population.model
    if isinstance(model, CircuitNeuron):
        meanings = {
            f"{kind}{suffix(domain)}": (kind, domain)
            for kind in (*PULSED, "vdd", "others", *SOLVED)
            for domain in model.domains
        } | {name: (name, model.domains[0]) for name in ("active", "v")}
        known = "pulses of synapses, kicks of v and changes of a supply"
    else:
        meanings = {name: (name, "") for name in model.pulsed}
        known = f"pulses onto {listed(model.pulsed)}"
    if connection.variable not in meanings:
        raise UserError(
            f"Connections onto {connection.variable} of {connection.target} cannot be written as "
            f"a netlist: only {known} can."
        )
    return meanings[connection.variable]
