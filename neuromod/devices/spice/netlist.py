"""An experiment's circuit neurons as a netlist, in the language of a simulator.

Where the model stands for transistors the netlist has them: square-law mirrors are level-1
MOSFETs, EKV's are sources that follow its law, and the mirror's equation is left to SPICE to
solve. Comparator, NOR, self-resetting flip-flop and the switches of pulses and reset are ideal
parts, as in the model. Names end in the numbers that neurons have in the experiment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, second

from neuromod.devices.spice import circuits, tables, writers
from neuromod.devices.spice.dialects import NGSPICE, Spice
from neuromod.devices.spice.parts import (
    Capacitor,
    Current,
    Instance,
    Lines,
    Part,
    Points,
    Start,
    Transconductance,
    Voltage,
)
from neuromod.devices.spice.wiring import Neurons, changes, synapses
from neuromod.errors import UserError, listed
from neuromod.experiment import Experiment, Population
from neuromod.models.circuit import TRANSISTOR
from neuromod.models.circuit_equations import suffix
from neuromod.parameters import namespace
from neuromod.support.cache import written_whole
from neuromod.support.paths import shown

MOST_NEURONS, MOST_SYNAPSES = 100, 1000
MAX_STEP = 1 * nsecond
# A comparator that decides at any time does so at the end of the step of its crossing.
CROSSING_STEP = 0.05 * nsecond
RAMP = 10e-12
# Ten time constants of what discharges a gate of 20 fF.
DISCHARGE = 200e-12
# What may differ between the neurons of a population: of the neuron itself, and around it.
OWN = ("C", "v_rest", "v_th", "v_offset", "R_leak", "t_spike", "v_slope")
AROUND = ("R_supply", "G_unit", "v")
# What the netlist has by its parts: how many mirrors there are, and what shares a supply.
COUNTED = ("built", "n_built", "others", "rail")


def netlist(experiment: Experiment, neurons: Neurons, dialect: Spice = NGSPICE) -> str:
    """Netlist of some neurons of an experiment, with the experiment's inputs.

    Parameters
    ----------
    experiment : Experiment
    neurons : mapping of str to sequence of int
        Closed against spikes from others, as `wiring.choose` gives them.
    dialect : Spice
        Of the simulator that is to run it.

    Returns
    -------
    str
        See `saved` for what it saves.

    Raises
    ------
    UserError
        When there are too many neurons or synapses, or a netlist cannot stand for them.
    """
    chosen = {p.name: p for p in experiment.populations if p.name in neurons}
    wired = synapses(experiment, neurons, writers.pulsed(chosen))
    count = sum(map(len, neurons.values()))
    if count > MOST_NEURONS or len(wired) > MOST_SYNAPSES:
        raise UserError(
            f"{count} neurons with {len(wired)} synapses are too many for SPICE, which takes at "
            f"most {MOST_NEURONS} with {MOST_SYNAPSES}; --neurons 0,3 picks some, with those that "
            "drive them."
        )
    # A pulse's timing in picoseconds tells those of one source apart.
    wired["pulse"] = [
        f"pulse_{s.source}_{s.i}_{round(s.start * 1e12)}_{round(s.width * 1e12)}"
        for s in wired.itertuples()
    ]
    drawn = {source.name for source in experiment.sources}
    # Gates that pulses charge are discharged between two that touch, which are one to the NOR.
    parted = {p.name for p in chosen.values() if circuits.discharges(p.model)}
    wired["switching"] = [
        f"{s.pulse}_gates" if s.target in parted and s.source in drawn else s.pulse
        for s in wired.itertuples()
    ]
    for population in chosen.values():
        if writers.writer_of(chosen):
            writers.check(population, dialect)
            continue
        _check_values(population)
        if dialect.models is not None:
            _check_own(population)
    title = ", ".join(f"{name} {_listed(numbers)}" for name, numbers in neurons.items())
    nodes = [node for names in _nodes(neurons).values() for node in names]
    text = [
        *dialect.title(f"Circuit neurons: {title}"),
        *_options(dialect, chosen),
        dialect.write(_parts(experiment, neurons, chosen, wired, dialect)),
        *dialect.analysis(nodes, float(_step(experiment, chosen)), float(experiment.duration)),
    ]
    return "\n".join(text) + "\n"


def save(text: str, path: Path) -> None:
    """Write a netlist to a file of its own; one that is there stays."""
    if os.path.lexists(path):
        raise UserError(f"{shown(path)} exists: name another file with --out.")
    with written_whole(path, len(text)) as temporary:
        temporary.write_text(text)


def saved(neurons: Neurons) -> dict[tuple[str, int], tuple[str, ...]]:
    """Vectors that a netlist saves: membrane, spike (0 or 1 V) and energy (1 V is 1 pJ)."""
    found = _nodes(neurons)
    return {neuron: tuple(f"v({node})" for node in nodes) for neuron, nodes in found.items()}


def _nodes(neurons: Neurons) -> dict[tuple[str, int], tuple[str, ...]]:
    return {
        (name, n): (f"{name}_{n}", f"{name}_{n}_spike", f"{name}_{n}_energy")
        for name, numbers in neurons.items()
        for n in numbers
    }


def _options(dialect: Spice, chosen: dict[str, Population]) -> list[str]:
    """Accuracy, and the user's models with the temperature that they are at."""
    if dialect.models is None:
        return dialect.options(None)
    models: list[Any] = [population.model for population in chosen.values()]
    temperatures = sorted({float(circuit.temperature) for circuit in models})
    if len(temperatures) > 1:
        raise UserError(
            "With models of your own all circuits are at one temperature, not at "
            f"{listed(f'{t:g} K' for t in temperatures)}."
        )
    celsius = temperatures[0] - circuits.ZERO_CELSIUS
    include = dialect.include(dialect.models.file, dialect.models.section)
    return [*dialect.options(celsius), include]


def _step(experiment: Experiment, chosen: dict[str, Population]) -> Quantity:
    """Longest time step that a simulator may take, seconds."""
    if writers.writer_of(chosen):
        return min(experiment.duration, writers.step(chosen))
    models: list[Any] = [population.model for population in chosen.values()]
    continuous = any(circuit.comparator == "continuous" for circuit in models)
    return min(experiment.dt, CROSSING_STEP if continuous else MAX_STEP)


def _parts(
    experiment: Experiment,
    neurons: Neurons,
    chosen: dict[str, Population],
    wired: pd.DataFrame,
    dialect: Spice,
) -> Iterator[Part]:
    """All that a netlist consists of."""
    yield from circuits.pulses(dialect)
    if writers.writer_of(chosen):
        pulses = _pulses(experiment, wired, chosen, dialect)
        yield from writers.parts(dialect, chosen, neurons, pulses, wired)
        return
    for name, population in chosen.items():
        yield from _subcircuits(dialect, population, neurons[name])
    yield Lines(f"\n{dialect.comment} Pulses.")
    yield from _pulses(experiment, wired, chosen, dialect)
    changed = changes(experiment, neurons)
    for name, population in chosen.items():
        for neuron in neurons[name]:
            yield Lines("")
            yield from _neuron(dialect, population, neuron, changed)
            yield from _references(population, neuron, wired)
    for synapse in wired.itertuples():
        yield from _synapse(synapse, chosen[synapse.target])


def _check_values(population: Population) -> None:
    """Refuse values of single neurons that a netlist has no place for."""
    circuit: Any = population.model
    known = {*OWN, *AROUND, *TRANSISTOR} | {
        f"{name}{suffix(domain)}" for name in ("vdd", *COUNTED) for domain in circuit.domains
    }
    for name in population.values.keys() - known:
        raise UserError(
            f"{name} of single neurons of {population.name} has no place in a netlist; "
            f"{', '.join((*OWN, *AROUND, *TRANSISTOR, 'vdd'))} have one."
        )


def _check_own(population: Population) -> None:
    """Refuse what has no transistors that models of the user's could stand for."""
    circuit: Any = population.model
    if circuit.synapse != "mirror" or circuit.law == "table":
        kind = "a table" if circuit.law == "table" else "conductances"
        raise UserError(
            f"{population.name} has {kind} and no transistors: models of your own are for "
            "synapse=mirror with law=square or law=ekv."
        )
    for name in ("beta", "vto"):
        if name in population.values:
            raise UserError(
                f"{name} of single neurons of {population.name} has no place beside models of "
                "your own, which say what a transistor is."
            )


def _subcircuits(dialect: Spice, population: Population, neurons: Sequence[int]) -> Iterator[Part]:
    """A population's neuron, and its synapses: those of all, or each neuron's own."""
    circuit: Any = population.model
    shared = _shared(circuit)
    own = {key: float(np.asarray(shared[key])) for key in OWN}
    yield from circuits.neuron(dialect, population.name, circuit, own)
    for name, neuron in {_family(population, n): n for n in neurons}.items():
        if circuit.law == "table":
            yield from tables.synapses(name, circuit, _only_supply(population, neuron))
            continue
        yield from circuits.synapses(
            dialect,
            name,
            circuit,
            *(_mirror(population, neuron, p_type) for p_type in (True, False)),
        )


def _family(population: Population, neuron: int) -> str:
    """First part of the names of a neuron's synapses: the population's, or its own."""
    circuit: Any = population.model
    of_supply = circuit.law == "table" and circuit.output == "mosfet"
    alike = population.values.keys().isdisjoint(TRANSISTOR) and not of_supply
    return population.name if alike else f"{population.name}_{neuron}"


def _only_supply(population: Population, neuron: int) -> float:
    """Supply of a neuron, V, of whose table a netlist has the currents at that supply alone."""
    circuit: Any = population.model
    if len(circuit.domains) > 1 and circuit.output == "mosfet":
        raise UserError(
            f"{population.name} has {len(circuit.domains)} power domains and a table with currents "
            "by v, of which a netlist has those at one supply: leave v out."
        )
    return _value(population, f"vdd{suffix(circuit.domains[0])}", neuron)


def _mirror(population: Population, neuron: int, pushes: bool) -> Any:
    """The mirror of one neuron that pushes, or pulls."""
    circuit: Any = population.model
    # As given, at the nominal temperature.
    own = {key: np.broadcast_to(population.own(key), population.size) for key in TRANSISTOR}
    dims = {key: getattr(circuit, key).dim for key in TRANSISTOR}
    values = {key: Quantity(own[key][neuron], dim=dims[key]) for key in own}
    return circuit.mirror(pushes, **values)


def _pulses(
    experiment: Experiment, wired: pd.DataFrame, chosen: dict[str, Population], dialect: Spice
) -> Iterator[Part]:
    """Every pulse that reaches a synapse, as a voltage of 0 or 1 V."""
    sources = {source.name: source for source in experiment.sources}
    gates = (wired.switching != wired.pulse).groupby(wired.pulse).any()
    for pulse in wired.drop_duplicates("pulse").itertuples():
        if pulse.source not in sources:
            width = _width(chosen[pulse.source], pulse.i)
            yield from circuits.delayed(dialect, f"{pulse.source}_{pulse.i}_spike", pulse, width)
            continue
        spikes = sources[pulse.source]
        at = np.asarray(spikes.times / second)[spikes.neurons == pulse.i] + pulse.start
        edges = np.column_stack([at, at + pulse.width]).ravel()
        # Pulses that touch are one, but to gates that are discharged between them.
        touch = np.flatnonzero(np.diff(edges) < RAMP)
        nodes = {pulse.pulse: np.delete(edges, [*touch, *touch + 1])}
        if gates[pulse.pulse]:
            edges[touch] -= DISCHARGE
            nodes[f"{pulse.pulse}_gates"] = edges
        for node, switched in nodes.items():
            steps = pd.Series(np.resize([1, -1], len(switched)), switched)
            yield _stepped(f"V{node}", node, 0.0, steps)


def _width(population: Population, neuron: int) -> float:
    """Shortest width of a neuron's spikes, seconds."""
    if writers.writer_of({population.name: population}):
        return float(writers.shortest_spike(population))
    return _value(population, "t_spike", neuron)


def _neuron(
    dialect: Spice,
    population: Population,
    neuron: int,
    changed: dict[tuple[str, int, str, str], pd.Series],
) -> Iterator[Part]:
    """A neuron, its supplies and the energy that they give, and what kicks it."""
    circuit: Any = population.model
    name = f"{population.name}_{neuron}"
    own = {key: _value(population, key, neuron) for key in OWN if key in population.values}
    nodes = (name, f"{name}_inputs", f"{name}_spike")
    yield Instance(f"X{name}", nodes, f"{population.name}_neuron", own)
    for domain in circuit.domains:
        mark = suffix(domain)
        start = _value(population, f"vdd{mark}", neuron)
        steps = changed.get((population.name, neuron, "vdd", domain), pd.Series(dtype=float))
        if circuit.R_domain:
            rail, first = _rail(population, neuron, mark)
            if first == neuron:
                values = (_value(population, key, neuron) for key in ("R_domain", "C_domain"))
                source = _stepped(f"V{rail}", f"{rail}_source", start, steps)
                yield from circuits.shared_supply(rail, source, *values)
            yield from circuits.share(name, mark, rail, f"{rail}_source")
            continue
        behind = bool(float(circuit.R_supply))
        end = f"{name}_source{mark}" if behind else f"{name}_vdd{mark}"
        resistance = _value(population, "R_supply", neuron) if behind else None
        source = _stepped(f"V{name}_vdd{mark}", end, start, steps)
        yield from circuits.supply(name, mark, resistance, source)
    yield Capacitor(f"C{name}_energy", f"{name}_energy", "0", 1e-12)
    kicks = changed.get((population.name, neuron, "v", circuit.domains[0]))
    if kicks is not None:
        yield _kicks(f"I{name}_kicks", name, kicks * _value(population, "C", neuron))
    yield Start((name,), _value(population, "v", neuron))
    yield Start((f"{name}_energy",), 0)
    yield from circuits.at_rest(dialect, f"X{name}")
    if circuit.t_comparator:
        yield from circuits.at_rest(dialect, f"X{name}", "Xwait")


def _rail(population: Population, neuron: int, mark: str) -> tuple[str, int]:
    """Node of the supply that a neuron shares, and the first neuron that does."""
    own = np.broadcast_to(
        population.values.get(f"rail{mark}", range(population.size)), population.size
    )
    first = int(np.flatnonzero(own == own[neuron])[0])
    return f"{population.name}_rail{first}{mark}", first


def _references(population: Population, neuron: int, wired: pd.DataFrame) -> Iterator[Part]:
    """A neuron's references that stay on, at a gate for those that push and one for others."""
    circuit: Any = population.model
    if circuit.synapse != "mirror" or circuit.references != "always":
        return
    name, family = f"{population.name}_{neuron}", _family(population, neuron)
    for domain in circuit.domains:
        mark = suffix(domain)
        here = (wired.target == population.name) & (wired.j == neuron) & (wired.domain == domain)
        own = wired[here]
        share = own.mirrors / (own.up + own.down).replace(0, 1)
        ways = {"push": (share * own.up).sum(), "pull": (share * own.down).sum()}
        built, pulsed = _counted(population, f"built{mark}", neuron), sum(ways.values())
        # Sources that take turns share mirrors, and some mirrors never have a pulse.
        ways = {w: built * n / pulsed for w, n in ways.items()} if pulsed else {"push": built}
        if circuit.skewed:
            n_built = _counted(population, f"n_built{mark}", neuron)
            ways = {"push": built - n_built, "pull": n_built}
        for way in (way for way in ways if ways[way]):
            node = f"{name}_{way}{mark}"
            nodes = f"{name}_vdd{mark}", f"{node}_gate", f"{node}_unit"
            yield Instance(f"Xon_{node}", nodes, f"{family}_{way}_on", {"count": float(ways[way])})


def _counted(population: Population, name: str, neuron: int) -> float:
    """A number of mirrors of a neuron, of which it may have none."""
    return float(np.broadcast_to(population.completed.get(name, 0), population.size)[neuron])


def _synapse(synapse: Any, population: Population) -> Iterator[Part]:
    """A synapse's mirrors or conductances, and its line to the NOR."""
    circuit: Any = population.model
    target, pulse = f"{synapse.target}_{synapse.j}", synapse.pulse
    name = f"{target}_{pulse}{suffix(synapse.domain)}"
    supply = f"{target}_vdd{suffix(synapse.domain)}"
    units = {"push": synapse.up, "pull": synapse.down}
    total = sum(units.values())
    if circuit.synapse == "mirror" and bool(total) != bool(synapse.mirrors):
        raise UserError(
            f"A synapse onto neuron {synapse.j} of {synapse.target} has {total:g} units and "
            f"{synapse.mirrors:g} references: a mirror needs both."
        )
    for kind in (kind for kind in units if units[kind]):
        own = {"units": float(units[kind])}
        nodes = [synapse.switching, supply, target]
        if circuit.synapse == "mirror" and circuit.references == "always":
            bank = f"{target}_{kind}{suffix(synapse.domain)}"
            nodes[2:2] = [f"{bank}_gate", f"{bank}_unit"]
        elif circuit.synapse == "mirror":
            # References of a bundle, which may push and pull, are shared out by its units.
            own["references"] = float(synapse.mirrors * units[kind] / total)
            if circuit.skewed:
                pulls = synapse.n_mirrors
                own["references"] = float(pulls if kind == "pull" else synapse.mirrors - pulls)
        else:
            own["G_unit"] = _value(population, "G_unit", synapse.j)
        circuit_name = f"{_family(population, synapse.j)}_{kind}"
        yield Instance(f"X{kind}_{name}", nodes, circuit_name, own)
    if synapse.active:
        yield Transconductance(f"G{name}", "0", f"{target}_inputs", pulse, 1)


def _shared(circuit: Any) -> dict[str, Any]:
    """Values that hold for all neurons that have none of their own."""
    return {
        **namespace(circuit),
        "R_leak": circuit.leak_resistance,
        **circuit.start,
        "v_slope": circuit.v_slope,
        "v_offset": 0.0,
    }


def _value(population: Population, name: str, neuron: int) -> float:
    """A parameter's or state's value of one neuron, in SI units."""
    known = {**_shared(population.model), **population.values, **population.completed}
    held = np.asarray(known[name])
    return float(held if held.ndim == 0 else held[neuron])


def _stepped(name: str, node: str, start: float, changes: pd.Series) -> Voltage:
    """A voltage source that steps."""
    if changes.empty:
        return Voltage(name, node, "0", start)
    at = changes.index.to_numpy(dtype=float)
    levels = np.concatenate([[start], start + changes.cumsum().to_numpy()])
    points = _points(np.column_stack([at, at + RAMP]), np.repeat(levels, 2)[1:-1], start)
    return Voltage(name, node, "0", start, points)


def _kicks(name: str, node: str, charges: pd.Series) -> Current:
    """A current source that gives charges, coulomb, each as a triangle of one ramp's width."""
    at = np.add.outer(charges.index.to_numpy(dtype=float), np.array([-1, 0, 1]) * RAMP)
    return Current(name, "0", node, _points(at, np.outer(charges.to_numpy() / RAMP, [0, 1, 0])))


def _points(times: np.ndarray, values: np.ndarray, start: float = 0) -> Points:
    """Straight lines from a value at 0 through others at their times."""
    return [(0, start), *zip(times.ravel().tolist(), values.ravel().tolist(), strict=True)]


def _listed(numbers: Any) -> str:
    shown = [str(n) for n in numbers]
    return ", ".join(shown if len(shown) < 10 else [*shown[:9], f"... {shown[-1]}"])
