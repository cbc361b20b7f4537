"""Experiments of one kind side by side in one, and its recording as one for each.

Compiling and stepping a network takes much the same time for a few neurons as for thousands, so
experiments that differ only in values are run as one. The neurons of each are as they would be
alone: none reaches another's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from brian2 import Quantity, second
from brian2.units.fundamentalunits import get_dimensions

from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.recording import Recording, Signal


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Several experiments as one.

    Attributes
    ----------
    experiment : Experiment
        What to run.
    parts : tuple of Experiment
    """

    experiment: Experiment
    parts: tuple[Experiment, ...]

    def split(self, recording: Recording) -> Iterator[Recording]:
        """Recordings of the parts, as if each had been run alone."""
        bounds = {
            name: list(accumulate((_size(part, name) for part in self.parts), initial=0))
            for name in recording.spikes.keys() | recording.totals.keys() | recording.signals.keys()
        }
        rows = {
            (trace.population, variable): list(
                accumulate((len(part.traces[k].neurons) for part in self.parts), initial=0)
            )
            for k, trace in enumerate(self.experiment.traces)
            for variable in trace.variables
        }
        spikes = {
            name: _sorted_by_part(found, bounds[name]) for name, found in recording.spikes.items()
        }
        for number, part in enumerate(self.parts):
            yield Recording(
                {name: found[number] for name, found in spikes.items()},
                _signals(recording, rows, part, number),
                recording.duration,
                recording.dt,
                {**recording.provenance, "seed": part.seed},
                {
                    name: {n: _cut(v, bounds[name], number) for n, v in totals.items()}
                    for name, totals in recording.totals.items()
                },
            )


def kind(experiment: Experiment) -> Hashable:
    """What two experiments share that can be run side by side."""
    return (
        *(float(time / second) for time in (experiment.duration, experiment.dt)),
        experiment.overlaps,
        tuple(_kind_of_population(part) for part in experiment.populations),
        tuple(source.name for source in experiment.sources),
        tuple(_kind_of_connection(part) for part in experiment.connections),
        tuple(_kind_of_plastic(part) for part in experiment.plastic),
        tuple(
            (t.population, tuple(t.variables), t.stride(experiment.dt)) for t in experiment.traces
        ),
    )


def side_by_side(parts: Sequence[Experiment]) -> SideBySide | None:
    """Experiments of one `kind` as one, or nothing where models do not take their values so."""
    first = parts[0]
    if len(parts) == 1:
        return SideBySide(first, tuple(parts))
    populations = [
        _joined_population([part.populations[k] for part in parts])
        for k in range(len(first.populations))
    ]
    if not all(populations):
        return None
    changing = {wire.source for wire in first.plastic}
    shared = {
        source.name
        for k, source in enumerate(first.sources)
        if source.name not in changing
        and all(_same_spikes(source, part.sources[k]) for part in parts[1:])
    }
    sizes = {
        name: [0 if name in shared else _size(part, name) for part in parts]
        for name in [*(p.name for p in first.populations), *(s.name for s in first.sources)]
    }
    first_of = {name: list(accumulate(each, initial=0)) for name, each in sizes.items()}
    experiment = replace(
        first,
        populations=[population for population in populations if population],
        sources=[
            source if source.name in shared else _joined_spikes([part.sources[k] for part in parts])
            for k, source in enumerate(first.sources)
        ],
        connections=[
            _joined_connection([part.connections[k] for part in parts], first_of)
            for k in range(len(first.connections))
        ],
        plastic=[
            _joined_plastic([part.plastic[k] for part in parts], first_of)
            for k in range(len(first.plastic))
        ],
        traces=[
            _joined_trace([part.traces[k] for part in parts], parts)
            for k in range(len(first.traces))
        ],
    )
    return SideBySide(experiment, tuple(parts))


def _kind_of_population(part: Population) -> Hashable:
    model = part.model
    code = (model.threshold, model.reset, str(model.refractory), str(model.method))
    functions = tuple(sorted((n, id(v)) for n, v in part.constants.items() if callable(v)))
    given = tuple(sorted(part.values))
    wired = tuple(sorted(part.wired))
    return (part.name, type(model), part.equations, *code, given, part.added, wired, functions)


def _kind_of_connection(part: Connection) -> Hashable:
    width = None if part.width is None else float(part.width / second)
    return part.source, part.target, part.variable, float(part.delay / second), width


def _kind_of_plastic(part: PlasticConnection) -> Hashable:
    model = part.model
    code = (type(model), model.equations, model.on_pre, model.on_post, str(model.method))
    given = tuple(sorted(part.values))
    return part.name, part.source, part.target, *code, given, float(part.delay / second)


def _joined_population(parts: Sequence[Population]) -> Population | None:
    """Neurons of the first's model, each with the values that it would have in its own.

    Nothing where the model makes something else of those values than each part's own does.
    """
    first, size = parts[0], sum(part.size for part in parts)
    solvable = getattr(first.model, "solvable", ())
    names = dict.fromkeys([*first.constants, *first.model.start, *first.values, *solvable])
    functions = {name for name, value in first.constants.items() if callable(value)}
    wanted = {name: _gathered(parts, name, _value) for name in names if name not in functions}
    values = {n: value for n, value in wanted.items() if n in first.values or np.ndim(value)}
    wired = {n: _joined([(part.wired[n], part.size) for part in parts]) for n in first.wired}
    try:
        joined = replace(first, size=size, values=values, wired=wired)
    except UserError:
        return None
    if joined.equations != first.equations:
        return None
    becomes = {**joined.constants, **joined.completed}
    known = first.constants.keys() | first.completed.keys()
    same = all(
        name in known
        and np.allclose(_each(value, size), _each(_gathered(parts, name, _runs), size), 1e-12, 0)
        for name, value in becomes.items()
        if name not in functions and name not in values
    )
    return joined if same else None


def _gathered(parts: Sequence[Population], name: str, of: Callable[[Population, str], Any]) -> Any:
    return _joined([(of(part, name), part.size) for part in parts])


def _value(part: Population, name: str) -> Any:
    """What a population is given of a parameter or state, or else its model has."""
    if name in part.values:
        return part.values[name]
    own = {**part.model.start, **part.constants}
    return own[name] if name in own else part.own(name)


def _runs(part: Population, name: str) -> Any:
    """With what the neurons of a population run."""
    return {**part.constants, **part.completed}[name]


def _joined(parts: Sequence[tuple[Any, int]]) -> Any:
    """One value for all where all have the same, else one for each neuron or synapse."""
    first = parts[0][0]
    if np.ndim(first) == 0 and all(_same(value, first) for value, _ in parts):
        return first
    return Quantity(
        np.concatenate([_each(np.asarray(value), size) for value, size in parts]),
        dim=get_dimensions(first),
    )


def _each(value: Any, size: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, dtype=float), size)


def _same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))


def _same_spikes(a: Spikes, b: Spikes) -> bool:
    return a.size == b.size and _same(a.neurons, b.neurons) and _same(a.times, b.times)


def _joined_spikes(parts: Sequence[Spikes]) -> Spikes:
    first_of = accumulate((part.size for part in parts[:-1]), initial=0)
    neurons = np.concatenate([p.neurons + k for p, k in zip(parts, first_of, strict=True)])
    times = np.concatenate([np.asarray(part.times) for part in parts])
    order = np.argsort(times, kind="stable")
    size = sum(part.size for part in parts)
    return Spikes(parts[0].name, size, neurons[order], times[order] * second)


def _moved(
    parts: Sequence[Connection | PlasticConnection], first_of: Mapping[str, list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets of all synapses."""
    source, target = first_of[parts[0].source], first_of[parts[0].target]
    i = np.concatenate([part.i + source[k] for k, part in enumerate(parts)])
    return i, np.concatenate([part.j + target[k] for k, part in enumerate(parts)])


def _joined_connection(
    parts: Sequence[Connection], first_of: Mapping[str, list[int]]
) -> Connection:
    i, j = _moved(parts, first_of)
    weight = _joined([(part.weight, len(part.i)) for part in parts])
    return replace(parts[0], i=i, j=j, weight=weight)


def _joined_plastic(
    parts: Sequence[PlasticConnection], first_of: Mapping[str, list[int]]
) -> PlasticConnection:
    values = {}
    for name in dict.fromkeys([*parts[0].model.constants, *parts[0].values]):
        own = [(part.values.get(name, part.model.constants.get(name)), part) for part in parts]
        found = _joined([(value, len(part.i)) for value, part in own])
        if np.ndim(found) or name in parts[0].values:
            values[name] = found
    i, j = _moved(parts, first_of)
    return replace(parts[0], i=i, j=j, values=values)


def _joined_trace(traces: Sequence[Trace], parts: Sequence[Experiment]) -> Trace:
    name = traces[0].population
    first_of = accumulate((_size(part, name) for part in parts[:-1]), initial=0)
    neurons = np.concatenate([t.neurons + k for t, k in zip(traces, first_of, strict=True)])
    return replace(traces[0], neurons=neurons)


def _size(part: Experiment, name: str) -> int:
    """Neurons of a population or source, or synapses of a plastic connection."""
    wires = {wire.name: len(wire.i) for wire in part.plastic}
    return wires[name] if name in wires else part.sizes[name]


def _sorted_by_part(spikes: Spikes, bounds: Sequence[int]) -> list[Spikes]:
    """Spikes of every part, in order of time as they were."""
    part = np.searchsorted(bounds, spikes.neurons, side="right") - 1
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(len(bounds)))
    return [
        Spikes(
            spikes.name,
            bounds[k + 1] - bounds[k],
            spikes.neurons[order[ends[k] : ends[k + 1]]] - bounds[k],
            spikes.times[order[ends[k] : ends[k + 1]]],
        )
        for k in range(len(bounds) - 1)
    ]


def _signals(
    recording: Recording,
    rows: Mapping[tuple[str, str], Sequence[int]],
    part: Experiment,
    number: int,
) -> dict[str, dict[str, Signal]]:
    """What was traced of one part."""
    found: dict[str, dict[str, Signal]] = {}
    for trace in part.traces:
        for variable in trace.variables:
            signal = recording.signals[trace.population][variable]
            values = _cut(signal.values, rows[trace.population, variable], number)
            own = Signal(trace.neurons, values, signal.every)
            found.setdefault(trace.population, {})[variable] = own
    return found


def _cut(values: Any, bounds: Sequence[int], number: int) -> Any:
    return values[bounds[number] : bounds[number + 1]]
