"""An experiment as GeNN 5 takes it: neurons, sources of spikes and synapses, with code and values.

Nothing here needs GeNN. Brian2 says what a model's code is; GeNN's order within a time step, which
other devices follow, is kept by what comes where:

- at the start of a neuron's step what is held over the step is computed and traces are sampled,
  then the input that arrives is added, then the state moves, then a threshold may be crossed;
- synapses do the same at the start of theirs, before spikes arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2 import SpikeGeneratorGroup, second

from neuromod.checks import steps_in
from neuromod.devices.genn.translation import SOURCE, TYPES, Code, belongs, kind, named, translate
from neuromod.devices.objects import neurons, own_names, plastic_synapses
from neuromod.experiment import Experiment, PlasticConnection, Spikes

Typed = tuple[str, Any]
"""A type in GeNN and a value, or an array of values."""
SAMPLE = "_sample"
# GeNN 5.4 hands no other whole numbers over to its library as they are.
PASSED = {"bool": "uint8_t", "int64_t": "double"}


@dataclass(frozen=True, eq=False)
class Traced:
    """A variable that is traced.

    Attributes
    ----------
    trace : int
        Its trace's place in the experiment.
    variable, own : str
        Its name in the experiment and in Brian2.
    neurons : ndarray of int
        Different neurons or synapses, ascending.
    order : ndarray of int
        Which of these each of the trace's is.
    stride : int
        Time steps from one sample to the next.
    """

    trace: int
    variable: str
    own: str
    neurons: np.ndarray
    order: np.ndarray
    stride: int

    @property
    def buffer(self) -> str:
        """The array in GeNN that samples are written to."""
        return f"trace_{self.trace}_{self.own}"


@dataclass(eq=False)
class Part:
    """Neurons or synapses with code of their own, by names in GeNN.

    Attributes
    ----------
    parameters : dict of str to (str, value)
        Type and value of what is one for all and does not change.
    variables : dict of str to (str, ndarray)
        Type and values at the start of all else.
    written : set of str
        Variables that change.
    traced : list of Traced
    """

    parameters: dict[str, Typed] = field(default_factory=dict)
    variables: dict[str, Typed] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    traced: list[Traced] = field(default_factory=list)


@dataclass(eq=False)
class Neurons(Part):
    """A population.

    Attributes
    ----------
    size : int
    inputs : tuple of str
        Brian2's names of variables that synapses add to.
    step, reset : str
        Code of a time step, which ends with the condition of a spike, and of a spike.
    """

    size: int = 1
    inputs: tuple[str, ...] = ()
    step: str = ""
    reset: str = ""


@dataclass(eq=False)
class Synapses(Part):
    """A connection, plastic or not.

    Attributes
    ----------
    source, target : str
    i, j : ndarray of int, shape (synapses,)
    delay : int
        In time steps.
    adds_to : str
        Brian2's name of a variable of the target; empty for none.
    of_source, of_target : dict of str to (str, str)
        Type, and Brian2's name there, of what the code reads of neurons.
    dynamics, on_pre, on_post : str
        Code of a time step and of spikes.
    """

    source: str = ""
    target: str = ""
    i: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    j: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    delay: int = 0
    adds_to: str = ""
    of_source: dict[str, tuple[str, str]] = field(default_factory=dict)
    of_target: dict[str, tuple[str, str]] = field(default_factory=dict)
    dynamics: str = ""
    on_pre: str = ""
    on_post: str = ""


@dataclass(frozen=True, eq=False)
class Network:
    """All of an experiment.

    Attributes
    ----------
    groups : dict of str to Brian2 object
        Of populations and plastic connections, by name; they hold the values at the start.
    neurons : dict of str to Neurons
    sources : dict of str to Spikes
    synapses : dict of str to Synapses
        Plastic connections by name, other ones by number and edge.
    """

    groups: dict[str, Any]
    neurons: dict[str, Neurons]
    sources: dict[str, Spikes]
    synapses: dict[str, Synapses]


def network(experiment: Experiment, dtype: Any) -> Network:
    """Take an experiment apart for GeNN.

    Parameters
    ----------
    experiment : Experiment
        Which `refuse` lets pass.
    dtype : dtype
        Of everything but time.
    """
    groups = {population.name: neurons(population) for population in experiment.populations}
    silent = {
        source.name: SpikeGeneratorGroup(
            source.size, [], [] * second, name=f"neurons_{source.name}"
        )
        for source in experiment.sources
    }
    names = own_names(experiment)
    synapses = dict(_wires(experiment, dtype))
    for changing in experiment.plastic:
        own = names[changing.name]
        ends = (groups | silent)[changing.source], groups[changing.target]
        group = plastic_synapses(changing, *ends, f"plastic_{changing.name}", own)
        groups[changing.name] = group
        traces = _traces(experiment, changing.name, own)
        delay = steps_in("delay", changing.delay, experiment.dt)
        synapses[changing.name] = _plastic(changing, group, traces, delay, dtype)
    cells = {
        population.name: _neurons(
            groups[population.name],
            _inputs(population.name, synapses.values()),
            _read(population.name, synapses.values()),
            _traces(experiment, population.name, {}),
            dtype,
        )
        for population in experiment.populations
    }
    for made in (*groups.values(), *silent.values()):
        # Brian2 warns of objects that it never ran.
        made._network = "GeNN"
    return Network(groups, cells, {source.name: source for source in experiment.sources}, synapses)


def _wires(experiment: Experiment, dtype: Any) -> Iterator[tuple[str, Synapses]]:
    """Synapses that add a weight; a pulse has those of a rising and of a falling edge."""
    for number, wire in enumerate(experiment.connections):
        for edge, (weight, delay) in enumerate(wire.edges):
            if not len(wire.i):
                continue
            made = Synapses(
                source=wire.source,
                target=wire.target,
                i=wire.i,
                j=wire.j,
                delay=steps_in("delay", delay, experiment.dt),
                adds_to=wire.variable,
                on_pre="addToPost(weight);",
            )
            values = made.variables if np.ndim(weight) else made.parameters
            values["weight"] = TYPES[np.dtype(dtype)], np.asarray(weight, dtype=float)
            yield f"{number}_{edge}", made


def _inputs(name: str, synapses: Iterable[Synapses]) -> tuple[str, ...]:
    """Variables of a population that synapses add to."""
    return tuple(sorted({s.adds_to for s in synapses if s.target == name and s.adds_to}))


def _read(name: str, synapses: Iterable[Synapses]) -> set[str]:
    """Variables of a population that synapses read."""
    ends = [end for s in synapses for end in ((s.source, s.of_source), (s.target, s.of_target))]
    return {variable for end, read in ends if end == name for _, variable in read.values()}


def _neurons(
    group: Any, inputs: tuple[str, ...], read: set[str], traces: list[Traced], dtype: Any
) -> Neurons:
    """A population: its group of Brian2's, what is added to it and read of it, and its traces."""
    held = translate(_code(group.subexpression_updater), group, dtype)
    step = translate(_code(group.state_updater), group, dtype)
    condition = translate(_code(group.thresholder["spike"]), group, dtype)
    reset = translate(_code(group.resetter.get("spike")), group, dtype, protected=False)
    sampled = [translate(f"{SAMPLE} = {traced.own}", group, dtype) for traced in traces]
    fed = Code(arrays={name: group.variables[name] for name in {*inputs, *read}})
    fed.written |= set(inputs)
    if group._refractory is not False:
        reset.written |= {"lastspike", "not_refractory"}
        reset.arrays |= {name: group.variables[name] for name in reset.written}
        rest = [f"{named('lastspike')} = t;", f"{named('not_refractory')} = false;"]
    else:
        rest = []
    part = Neurons(size=len(group), inputs=inputs)
    _hold(part, group, [held, step, condition, reset, *sampled, fed])
    samples = [_sample(part, len(group), *each) for each in zip(traces, sampled, strict=True)]
    arrivals = [_arrival(group.variables[name]) for name in inputs]
    part.step = _lines(_block(held), *samples, *arrivals, _block(step), condition.text)
    part.reset = _lines(*rest, _block(reset))
    return part


def _plastic(
    changing: PlasticConnection, group: Any, traces: list[Traced], delay: int, dtype: Any
) -> Synapses:
    """A plastic connection: its group of Brian2's and its traces."""
    held = translate(_code(group.subexpression_updater), group, dtype)
    step = translate(_code(group.state_updater), group, dtype)
    on_pre = translate(_code(group.pre), group, dtype)
    on_post = translate(_code(getattr(group, "post", None)), group, dtype)
    sampled = [translate(f"{SAMPLE} = {traced.own}", group, dtype) for traced in traces]
    added = (group.variables[name].name for name in on_pre.added)
    part = Synapses(
        source=changing.source,
        target=changing.target,
        i=changing.i,
        j=changing.j,
        delay=delay,
        adds_to=next(added, ""),
        on_pre=on_pre.text,
        on_post=on_post.text,
    )
    _hold(part, group, [held, step, on_pre, on_post, *sampled])
    samples = [_sample(part, len(group), *each) for each in zip(traces, sampled, strict=True)]
    part.dynamics = _lines(_block(held), *samples, _block(step))
    return part


def _hold(part: Part, group: Any, codes: Iterable[Code]) -> None:
    """Take up all that code reads and writes, at its values at the start."""
    codes = list(codes)
    part.written = {named(name) for code in codes for name in code.written}
    for name, variable in (item for code in codes for item in code.arrays.items()):
        own, values = named(name), variable.get_value()
        whose = belongs(name, group)
        if whose and isinstance(part, Synapses):
            ends = part.of_source if whose == SOURCE else part.of_target
            ends[own] = kind(variable), variable.name
        elif variable.scalar and own not in part.written:
            typed = PASSED.get(kind(variable), kind(variable))
            part.parameters[own] = typed, np.asarray(values).item()
        else:
            part.variables[own] = kind(variable), np.broadcast_to(values, len(group))


def _traces(experiment: Experiment, name: str, own: Mapping[str, str]) -> list[Traced]:
    """What is traced of a population or a plastic connection, whose variables have these names."""
    found = []
    for number, trace in enumerate(experiment.traces):
        if trace.population == name:
            neurons, order = np.unique(trace.neurons, return_inverse=True)
            stride = trace.stride(experiment.dt)
            found += [
                Traced(number, variable, own.get(variable, variable), neurons, order, stride)
                for variable in trace.variables
            ]
    return found


def _sample(part: Part, size: int, traced: Traced, code: Code) -> str:
    """Code that writes a variable into the buffer of its trace, where a sample is due."""
    slots = np.full(size, -1, np.int32)
    slots[traced.neurons] = np.arange(len(traced.neurons))
    slot, every, room, count = (f"{n}_{traced.trace}" for n in ("slot", "every", "room", "count"))
    part.traced.append(traced)
    part.variables[slot] = "int32_t", slots
    part.parameters |= {
        every: ("int32_t", traced.stride),
        room: ("int32_t", 1),
        count: ("int32_t", len(traced.neurons)),
    }
    place = f"((step_/{every}) % {room})*{count} + {slot}"
    return f"""
if ({slot} >= 0) {{
int64_t step_ = (int64_t)(t/dt + 0.5d);
if (step_ % {every} == 0) {{
{code.text}
{traced.buffer}[{place}] = {named(SAMPLE)};
}}
}}
""".strip()


def arriving(variable: str) -> str:
    """The name in GeNN of what arrives for a variable in a time step."""
    return f"in_{variable}"


def _arrival(variable: Any) -> str:
    """Code that adds to a variable what has arrived, unless it is held."""
    name = named(variable.name)
    held = getattr(variable, "conditional_write", None)
    unless = "" if held is None else f"if ({named(held.name)}) "
    return f"{unless}{name} = {name} + {arriving(variable.name)};"


def _code(runner: Any) -> str:
    """What a part of a group of Brian2's runs in every time step or at every spike."""
    if runner is None:
        return ""
    runner.update_abstract_code(run_namespace={})
    return str(runner.abstract_code)


def _block(code: Code) -> str:
    """Code whose own names nothing else sees."""
    return f"{{\n{code.text}\n}}" if code.text else ""


def _lines(*parts: str) -> str:
    return "\n".join(filter(None, parts))
