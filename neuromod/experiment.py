"""A simulation, described independently of any device.

An experiment is data: populations of model neurons, spikes drawn beforehand, connections as
explicit pairs, what to record, for how long. It stays within what Brian2's runtime, C++
standalone and GeNN can all run: one clock, homogeneous delays, no randomness on the device, and
synapses that only add a weight to one variable of their target, or change by equations that are
stepped before spikes arrive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from brian2 import Equations, Quantity, get_dimensions, second
from brian2.utils.stringtools import get_identifiers

from neuromod.checks import (
    check_name,
    check_size,
    check_unit,
    index_array,
    real_numbers,
    steps_in,
    steps_of,
)
from neuromod.errors import UserError, listed, unknown
from neuromod.models.own_equations import (
    FUNCTIONS,
    UNITS,
    check_statements,
    read_equations,
    variables,
)
from neuromod.parameters import About, ModelInput, Parameters, abouts, check_range, own_value, used
from neuromod.support.text import say

# Names that Brian2 itself gives a meaning.
GIVEN = {*FUNCTIONS, *UNITS} | {
    *("t", "dt", "t_in_timesteps", "i", "N", "lastspike", "not_refractory", "xi"),
    *("and", "or", "not", "True", "False"),
}


@runtime_checkable
class Model(Protocol):
    """A neuron: equations in Brian2's language and the values of their parameters.

    It may also have `inputs`, what reaches it from outside; `given(values)`, the model for a
    population with these values; `wired(weights)`, values that follow from the weights of the
    synapses onto a neuron, summed by variable; `ignored`, variables of synapses that it has no use
    for; `complete(values)`, the values of single neurons with all that follows from them before a
    run; and `solvable`, the parameters that only `complete` takes up.

    Attributes
    ----------
    equations : str
        Differential equations, subexpressions and state variables.
    threshold : str
        Condition for a spike.
    reset : str
        What a spike does to the neuron.
    refractory : str or Quantity
        How long ``(unless refractory)`` variables are held: a parameter's name, or a time.
    method : str
        Of integration.
    constants : dict of str to value
        Of the parameters that the equations name.
    start : dict of str to value
        Of the state variables at the start, where they are not 0.
    """

    @property
    def equations(self) -> str: ...
    @property
    def threshold(self) -> str: ...
    @property
    def reset(self) -> str: ...
    @property
    def refractory(self) -> str | Quantity: ...
    @property
    def method(self) -> str: ...
    @property
    def constants(self) -> dict[str, Any]: ...
    @property
    def start(self) -> dict[str, Any]: ...


@runtime_checkable
class Plastic(Protocol):
    """A synapse that changes: equations in Brian2's language and the values of their parameters.

    Attributes
    ----------
    equations : str
        Differential equations and subexpressions; the target's variables end in ``_post``.
    on_pre, on_post : str
        What a spike of the source does when it arrives, and one of the target; empty for nothing.
    method : str or callable
        Of integration.
    constants : dict of str to value
        Of the parameters that equations and spikes name.
    totals : tuple of str
        Variables whose values at the end of a run are kept.
    """

    @property
    def equations(self) -> str: ...
    @property
    def on_pre(self) -> str: ...
    @property
    def on_post(self) -> str: ...
    @property
    def method(self) -> Any: ...
    @property
    def constants(self) -> dict[str, Any]: ...
    @property
    def totals(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one model.

    Attributes
    ----------
    name : str
    model : Model
    size : int
    values : mapping of str to value or array, shape (size,)
        Inputs, parameters and initial states, for all neurons or for each. What is not given
        takes the model's own.
    added : tuple of str
        Equations of what reaches the neurons, beside the model's; see `Input`.
    received : frozenset of str
        Names of the values that came with an `Input`.
    wired : mapping of str to array, shape (size,)
        Values that follow from the synapses onto the neurons; an `Experiment` sets them.

    Raises
    ------
    UserError
        When a value is unknown, not finite, of the wrong unit or out of its physical range, does
        not go with the others, or there is not one for each neuron.

    Examples
    --------
    >>> from brian2 import nA
    >>> from neuromod import Population
    >>> from neuromod.models import GainLIF
    >>> cells = Population("cells", GainLIF(receptors=()), 3, {"I_ext": [0.4, 0.8, 1.2] * nA})
    >>> cells.size, cells.model.tau_m
    (3, 20. * msecond)
    """

    name: str
    model: Model
    size: int
    values: Mapping[str, Any] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    received: frozenset[str] = frozenset()
    wired: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("a population", self.name)
        check_size(self.name, self.size)
        if isinstance(self.model, type) or not isinstance(self.model, Model):
            raise UserError(
                f"{self.name} needs a neuron such as GainLIF(), not {self.model!r:.70}."
            )
        if not isinstance(self.values, Mapping):
            raise UserError(f"{self.name} needs values by name, not {self.values!r:.80}.")
        values = {n: real_numbers(f"{n} of {self.name}", v) for n, v in self.values.items()}
        object.__setattr__(self, "values", values)
        if hasattr(self.model, "given"):
            object.__setattr__(self, "model", self.model.given(values))
        about = {name: given.about for name, given in self.inputs.items()}
        settable = _examples(read_equations(self.equations), self._defaults)
        solvable = {name: getattr(self.model, name) for name in getattr(self.model, "solvable", ())}
        kind = "input, parameter or state"
        _check_values(self, kind, values, self.size, solvable | settable, about)
        if self.completed is not values:
            _check_values(self, kind, self.completed, self.size, settable, about)
        if isinstance(self.model, Parameters):
            self.model.check_values(self.own)
        self._check_code()

    @cached_property
    def completed(self) -> Mapping[str, Any]:
        """The values, and all that the model makes of them before the run."""
        values = {**self.wired, **self.values} if self.wired else self.values
        return self.model.complete(values) if hasattr(self.model, "complete") else values

    @cached_property
    def equations(self) -> str:
        """The model's equations, and those of what reaches it and sets its parameters in motion."""
        text, moved = self.model.equations, set(read_equations("\n".join(self.added)).names)
        own = read_equations(text)
        if fixed := sorted(moved & (own.names - own.parameter_names)):
            raise UserError(
                f"{listed(fixed)} of {self.name} has an equation in the model already: an input "
                "can only set parameters in motion."
            )
        kept = (line for line in text.splitlines() if line.partition(":")[0].strip() not in moved)
        return "\n".join([*kept, *self.added])

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Values of all that the equations name and do not define, for all neurons or for each."""
        return {name: self.completed.get(name, own) for name, own in self._defaults.items()}

    def own(self, name: str) -> Any:
        """A parameter or input of single neurons, shape (size,), or else the model's."""
        if name in self.values:
            return self.values[name]
        return self.inputs[name].default if name in self.inputs else own_value(self.model, name)

    def given(self, *inputs: Input) -> Population:
        """The population with what reaches it.

        Parameters
        ----------
        *inputs : Input
            To this population; their values take the place of those that it has.

        Raises
        ------
        UserError
            When two inputs do not agree on a value.
        """
        values = {name: v for name, v in self.values.items() if name in self.received}
        for given in inputs:
            for name, value in given.values.items():
                if name in values and not np.array_equal(values[name], value):
                    raise UserError(
                        f"Two inputs of {self.name} give different values to {name}: make the "
                        "second for the population that has the first, such as a puff for one "
                        "in a bath."
                    )
            values |= given.values
        blocks = [given.equations for given in inputs if given.equations]
        added = tuple(dict.fromkeys([*self.added, *blocks]))
        merged = {**self.values, **values}
        return replace(self, values=merged, added=added, received=frozenset(values))

    @property
    def inputs(self) -> Mapping[str, ModelInput]:
        """What may reach the neurons, by name."""
        return getattr(self.model, "inputs", {})

    def _check_code(self) -> None:
        """Refuse a neuron that never spikes, and names in its code that stand for nothing."""
        model = self.model
        if not model.threshold:
            raise UserError(f"{self.name} would never spike: its neuron needs a threshold.")
        refractory = model.refractory if isinstance(model.refractory, str) else ""
        codes = "\n".join([model.threshold, model.reset, refractory])
        own = read_equations(self.equations)
        named = own.identifiers | get_identifiers(codes)
        named = {name for name in named if not name.startswith("xi_")}
        for name in sorted(named - own.names - self.constants.keys() - GIVEN):
            raise UserError(
                f"{name} in the equations of {self.name} has no value: give it one in the "
                f"namespace of the neuron, or declare it there with its unit, as in "
                f"'{name} : amp'."
            )

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        """Values of constants that the population does not set."""
        reaching = {name: given.default for name, given in self.inputs.items()}
        reaching |= used(self.values, "\n".join(self.added))
        defined = read_equations(self.equations).names
        return {n: v for n, v in reaching.items() if n not in defined} | self.model.constants


@dataclass(frozen=True, eq=False)
class Input:
    """What reaches a population from outside: values, equations, spikes and connections together.

    Attributes
    ----------
    population : str
    values : mapping of str to value or array, shape (size,)
        For the population.
    equations : str
        Of variables that the model takes as an input, in Brian2's language.
    sources : tuple of Spikes
    connections : tuple of Connection

    Examples
    --------
    >>> from brian2 import ms, umolar
    >>> from neuromod import Input, Population
    >>> from neuromod.inputs.modulators import puffs
    >>> from neuromod.models import GainLIF, library
    >>> cells = Population("cells", GainLIF(receptors=(library.D1,)), 5)
    >>> puff = puffs("dopamine", cells, 3 * umolar, [100] * ms, 50 * ms, 200 * ms, 0.1 * ms)
    >>> isinstance(puff, Input)
    True
    """

    population: str
    values: Mapping[str, Any] = field(default_factory=dict)
    equations: str = ""
    sources: tuple[Spikes, ...] = ()
    connections: tuple[Connection, ...] = ()


@dataclass(frozen=True, eq=False)
class Spikes:
    """Which neuron spiked when; an input to play back, or what was recorded.

    Attributes
    ----------
    name : str
        The population.
    size : int
        Number of neurons, silent ones included.
    neurons : ndarray of int, shape (spikes,)
    times : Quantity, shape (spikes,)
        In seconds, each at the start of its time step, in order of time.

    Raises
    ------
    UserError
        When there is not one time for each neuron, or times are not in order.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neuromod import Spikes
    >>> Spikes("inputs", 2, neurons=[0, 1, 0], times=[10, 12, 14] * ms).counts()
    array([2, 1])
    """

    name: str
    size: int
    neurons: np.ndarray
    times: Quantity

    def __post_init__(self) -> None:
        check_name("a source", self.name)
        check_size(self.name, self.size)
        what = f"Spikes of {self.name}"
        object.__setattr__(self, "neurons", index_array(what, self.neurons, self.size))
        times = real_numbers(f"Times of {self.name}", self.times, second.dim)
        object.__setattr__(self, "times", times)
        if np.shape(self.times) != self.neurons.shape:
            raise UserError(
                f"{what} need a time each: {len(self.neurons)} neurons came with "
                f"{np.size(self.times)} times."
            )
        if np.any(np.diff(np.asarray(self.times)) < 0):
            raise UserError(f"{what} must be in order of time.")

    def counts(self) -> np.ndarray:
        """Spikes of each neuron, shape (size,)."""
        return np.bincount(self.neurons, minlength=self.size)


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses that add `weight` to one variable of their target when their source spikes.

    Attributes
    ----------
    source, target : str
        Names of a spike source or population, and of a population.
    variable : str
        The target's variable.
    i, j : ndarray of int, shape (synapses,)
        Source and target neuron of each synapse; kept sorted by `i`, then `j`.
    weight : value or array, shape (synapses,)
        In the unit of the target's variable.
    delay : Quantity
        The same for all.
    width : Quantity, optional
        Of a rectangular pulse: the weight is taken away again after it. Without, it stays.

    Raises
    ------
    UserError
        When indices are no whole numbers, weights are not finite, or their numbers differ.

    Examples
    --------
    >>> from brian2 import nA
    >>> from neuromod import Connection
    >>> synapses = Connection("inputs", "cells", "I_syn", i=[0, 0], j=[0, 1], weight=2 * nA)
    """

    source: str
    target: str
    variable: str
    _: KW_ONLY
    i: np.ndarray
    j: np.ndarray
    weight: Any
    delay: Quantity = field(default_factory=lambda: 0 * second)
    width: Quantity | None = None

    def __post_init__(self) -> None:
        what = f"connection from {self.source} to {self.target}"
        weight = real_numbers(f"The weight of a {what}", self.weight)
        object.__setattr__(self, "weight", weight)
        counts = {np.size(self.i), np.size(self.j), *np.shape(self.weight)}
        if len(counts) > 1:
            raise UserError(
                f"A {what} needs as many sources as targets and weights, not {np.size(self.i)}, "
                f"{np.size(self.j)} and {np.size(self.weight)}."
            )
        order = _sort_by_source(self, f"A {what}")
        if np.ndim(self.weight):
            object.__setattr__(self, "weight", self.weight[order])

    @property
    def edges(self) -> tuple[tuple[Any, Quantity], ...]:
        """Weight and delay of all that a spike adds: a pulse has a rising and a falling edge."""
        if self.width is None:
            return ((self.weight, self.delay),)
        return (self.weight, self.delay), (-self.weight, self.delay + self.width)


@dataclass(frozen=True, eq=False)
class PlasticConnection:
    """Synapses that change while the network runs.

    In every time step they first change by their equations, from the values at its start; then
    the spikes of the last step arrive, those of the source before those of the target.

    Attributes
    ----------
    name : str
        For traces and totals, as a population's.
    source, target : str
        Names of a spike source or population, and of a population.
    model : Plastic
    i, j : ndarray of int, shape (synapses,)
        Source and target neuron of each synapse; kept sorted by `i`, then `j`.
    values : mapping of str to value or array, shape (synapses,)
        Parameters and initial states, for all synapses or for each.
    delay : Quantity
        From source to synapse, the same for all.

    Raises
    ------
    UserError
        When a value is unknown, not finite, of the wrong unit or out of its physical range, does
        not go with the others, or there is not one for each synapse.

    Examples
    --------
    >>> from neuromod import PlasticConnection
    >>> from neuromod.models import TsodyksMarkram
    >>> depressing = PlasticConnection(
    ...     "depressing", "inputs", "cells", TsodyksMarkram(), i=[0, 0], j=[0, 1]
    ... )
    """

    name: str
    source: str
    target: str
    model: Plastic
    _: KW_ONLY
    i: np.ndarray
    j: np.ndarray
    values: Mapping[str, Any] = field(default_factory=dict)
    delay: Quantity = field(default_factory=lambda: 0 * second)

    def __post_init__(self) -> None:
        check_name("a plastic connection", self.name)
        if isinstance(self.model, type) or not isinstance(self.model, Plastic):
            raise UserError(
                f"{self.name} needs a synapse such as ThreeFactor(), not {self.model!r:.80}."
            )
        size = np.size(self.i)
        if np.size(self.j) != size:
            raise UserError(f"j of {self.name} needs {size} values, not {np.size(self.j)}.")
        values = {n: real_numbers(f"{n} of {self.name}", v) for n, v in self.values.items()}
        settable = _examples(read_equations(self.model.equations), self.model.constants)
        _check_values(self, "parameter or state", values, size, settable)
        order = _sort_by_source(self, self.name)
        values = {n: v[order] if np.ndim(v) else v for n, v in values.items()}
        object.__setattr__(self, "values", values)
        if isinstance(self.model, Parameters):
            self.model.check_values(lambda name: self.values.get(name, own_value(self.model, name)))


@dataclass(frozen=True, eq=False)
class Trace:
    """State variables to record.

    Attributes
    ----------
    population : str
        Or plastic connection.
    variables : tuple of str
    neurons : ndarray of int
        Or synapses, in their sorted order.
    every : Quantity, optional
        From one sample to the next, seconds, a whole number of time steps; every step if not given.
        Samples are momentary values, the first at the start of the run.

    Examples
    --------
    >>> from neuromod import Trace
    >>> trace = Trace("cells", ["v", "gain"], [0, 3])
    """

    population: str
    variables: Sequence[str]
    neurons: np.ndarray
    every: Quantity | None = None

    def __post_init__(self) -> None:
        if isinstance(self.variables, str):
            object.__setattr__(self, "variables", (self.variables,))
        what = f"A trace of {self.population}"
        object.__setattr__(self, "neurons", index_array(what, self.neurons))

    def stride(self, dt: Quantity) -> int:
        """Time steps from one sample to the next.

        Raises
        ------
        UserError
            When `every` is not a whole number of them, at least one.
        """
        if self.every is None:
            return 1
        what = f"every of a trace of {self.population}"
        steps = steps_in(what, self.every, dt)
        if not steps:
            raise UserError(f"{what} must last a time step of {say(dt)} at least.")
        return steps


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """One simulation.

    Attributes
    ----------
    populations : sequence of Population
        Their spikes are always recorded.
    sources : sequence of Spikes
        Inputs, drawn beforehand.
    connections : sequence of Connection
    plastic : sequence of PlasticConnection
    traces : sequence of Trace
    duration, dt : Quantity
        In seconds.
    seed : int
        From which everything random in this experiment was drawn; for the record.
    overlaps : bool
        Whether pulses of a population's neuron may overlap and add up.

    Raises
    ------
    UserError
        When names, indices or units do not fit each other, or a duration, a delay, a refractory
        time or a spike does not lie on the grid of time steps.

    Examples
    --------
    >>> from brian2 import ms, nA
    >>> from neuromod import Connection, Experiment, Population, Spikes, simulate
    >>> from neuromod.models import GainLIF
    >>> inputs = Spikes("inputs", 1, [0, 0, 0], [10, 12, 14] * ms)
    >>> cells = Population("cells", GainLIF(receptors=()), 2, {"trained_gain": [1.0, 1.7]})
    >>> onto = Connection("inputs", "cells", "I_syn", i=[0, 0], j=[0, 1], weight=2 * nA)
    >>> experiment = Experiment(
    ...     populations=[cells],
    ...     sources=[inputs],
    ...     connections=[onto],
    ...     duration=50 * ms,
    ...     dt=0.1 * ms,
    ... )
    >>> simulate(experiment).spikes["cells"].counts()
    array([0, 1])
    """

    populations: Sequence[Population]
    duration: Quantity
    dt: Quantity
    sources: Sequence[Spikes] = ()
    connections: Sequence[Connection] = ()
    plastic: Sequence[PlasticConnection] = ()
    traces: Sequence[Trace] = ()
    seed: int = 0
    overlaps: bool = False

    def __post_init__(self) -> None:
        for name, kind in PARTS.items():
            parts = getattr(self, name)
            if not isinstance(parts, list | tuple) or not all(isinstance(p, kind) for p in parts):
                raise UserError(f"{name} needs a list of {kind.__name__}, not {parts!r:.80}.")
            object.__setattr__(self, name, tuple(parts))
        # Devices round half steps differently, so there are none.
        steps_in("duration", self.duration, self.dt)
        named: list[Any] = [*self.populations, *self.sources, *self.plastic]
        names = [part.name for part in named]
        if len(set(names)) < len(names):
            raise UserError(
                f"Every population, source and plastic connection needs its own name, not {names}."
            )
        for population in self.populations:
            _check_refractory(population, self.dt)
        for source in self.sources:
            self._check_source(source)
        ignored = {p.name: getattr(p.model, "ignored", ()) for p in self.populations}
        kept = [c for c in self.connections if c.variable not in ignored.get(c.target, ())]
        if len(kept) < len(self.connections):
            object.__setattr__(self, "connections", tuple(kept))
        for connection in self.connections:
            self._check_ends(connection)
            self._check_connection(connection)
        object.__setattr__(self, "populations", tuple(map(self._wired, self.populations)))
        for changing in self.plastic:
            self._check_ends(changing)
            self._check_plastic(changing)
        self._check_traces()

    def add(self, *inputs: Input) -> Experiment:
        """The experiment with what reaches its populations.

        Parameters
        ----------
        *inputs : Input
            Populations may share a source, which all of their inputs then hold.

        Raises
        ------
        UserError
            When an input names no population here, or two do not agree on a value or a source.
        """
        known = {population.name for population in self.populations}
        sources = {source.name: source for source in self.sources}
        wired = {(c.source, c.target, c.variable) for c in self.connections}
        for given in inputs:
            for wire in given.connections:
                if (wire.source, wire.target, wire.variable) in wired:
                    raise UserError(
                        f"{wire.source} adds to {wire.variable} of {wire.target} already: give a "
                        "second input a name of its own."
                    )
                wired.add((wire.source, wire.target, wire.variable))
            if given.population not in known:
                raise unknown("population", given.population, known)
            for source in given.sources:
                held = sources.setdefault(source.name, source)
                compared = ("size", "neurons", "times")
                if not all(np.array_equal(getattr(held, n), getattr(source, n)) for n in compared):
                    raise UserError(f"Two sources of different spikes are named {source.name}.")
        return replace(
            self,
            populations=tuple(
                population.given(*(g for g in inputs if g.population == population.name))
                for population in self.populations
            ),
            sources=tuple(sources.values()),
            connections=(*self.connections, *(wire for g in inputs for wire in g.connections)),
        )

    def _wired(self, population: Population) -> Population:
        """A population with what its model makes of the synapses onto it."""
        if not hasattr(population.model, "wired"):
            return population
        sums: dict[str, Any] = {}
        for connection in self.connections:
            if connection.target == population.name:
                weights = np.broadcast_to(np.asarray(connection.weight), connection.j.shape)
                added = np.bincount(connection.j, weights, population.size)
                sums[connection.variable] = sums.get(connection.variable, 0) + added
        return replace(population, wired=population.model.wired(sums))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Neurons of every population and source, by name."""
        parts: list[Population | Spikes] = [*self.populations, *self.sources]
        return {part.name: part.size for part in parts}

    @cached_property
    def _equations(self) -> dict[str, Equations]:
        """Equations of all that has a model."""
        found = {part.name: part.equations for part in self.populations}
        found |= {part.name: part.model.equations for part in self.plastic}
        return {name: read_equations(equations) for name, equations in found.items()}

    def _check_source(self, source: Spikes) -> None:
        steps = steps_of(f"Spikes of {source.name}", source.times, self.dt)
        order = np.lexsort((steps, source.neurons))
        twice = (np.diff(source.neurons[order]) == 0) & (np.diff(steps[order]) == 0)
        if np.any(twice):
            first = order[np.flatnonzero(twice)[0]]
            raise UserError(
                f"Neuron {source.neurons[first]} of {source.name} spikes twice in the time step at "
                f"{say(source.times[first])}; one spike a step was expected."
            )

    def _check_ends(self, connection: Connection | PlasticConnection) -> None:
        steps_in("delay", connection.delay, self.dt)
        for name, indices in ((connection.source, connection.i), (connection.target, connection.j)):
            if name not in self.sizes:
                raise unknown("population", name, self.sizes)
            index_array(name, indices, self.sizes[name])

    def _check_connection(self, connection: Connection) -> None:
        target, variable = connection.target, connection.variable
        equations = self._check_state(target, variable)
        what = f"The weight onto {variable} of {target}"
        check_unit(what, connection.weight, equations[variable].dim)
        if connection.width is not None:
            if not steps_in("width", connection.width, self.dt):
                raise UserError(f"A pulse onto {variable} of {target} must last a time step.")
            source = next((s for s in self.sources if s.name == connection.source), None)
            if source is not None:
                self._check_apart(connection, connection.width, source)

    def _check_state(self, target: str, variable: str) -> Equations:
        """Refuse to add to what is no state of a target; return the target's equations."""
        equations = self._equations.get(target, Equations(""))
        states = equations.diff_eq_names | equations.parameter_names
        if variable not in states:
            if variable in equations.names:
                raise UserError(
                    f"{variable} of {target} is computed from other variables: add to one of "
                    f"{', '.join(sorted(states))} instead."
                )
            raise unknown(f"variable of {target}", variable, states)
        return equations

    def check_pulses(self, spikes: Mapping[str, Spikes]) -> None:
        """Refuse a run in which pulses of populations, whose spikes were recorded, overlapped."""
        for connection in () if self.overlaps else self.connections:
            if connection.width is not None and connection.source in spikes:
                self._check_apart(connection, connection.width, spikes[connection.source])

    def _check_apart(self, connection: Connection, width: Quantity, source: Spikes) -> None:
        """Refuse overlapping pulses of one neuron, which would add up."""
        order = np.lexsort((source.times, source.neurons))
        neurons, times = source.neurons[order], np.asarray(source.times)[order]
        gaps = np.where(np.diff(neurons) == 0, np.diff(times), np.inf)
        gaps[~np.isin(neurons[1:], connection.i)] = np.inf
        if len(gaps) and gaps.min() < float(width) - float(self.dt) / 2:
            at = int(np.argmin(gaps))
            raise UserError(
                f"Pulses of {say(width)} overlap: neuron {neurons[at]} of {source.name} "
                f"spikes at {say(times[at] * second)} and again {say(gaps[at] * second)} later."
            )

    def _check_plastic(self, changing: PlasticConnection) -> None:
        """Refuse synapses that read a variable that their target lacks, or add another unit."""
        model = changing.model
        target = next((p for p in self.populations if p.name == changing.target), None)
        names = {*self._equations[target.name].names, *target.constants} if target else set()
        codes = "\n".join([model.equations, model.on_pre, model.on_post])
        for word in sorted(set(re.findall(r"\b(\w+)_post\b", codes))):
            if word not in names:
                raise unknown(f"variable of {changing.target}", word, names)
        if target:
            for variable in re.findall(r"\b(\w+)_post\s*[-+*/]?=(?!=)", codes):
                self._check_state(target.name, variable)
        dims = {eq.varname: eq.dim for eq in read_equations(model.equations).values()}
        dims |= {name: get_dimensions(value) for name, value in model.constants.items()}
        if target:
            dims |= {f"{n}_post": eq.dim for n, eq in self._equations[target.name].items()}
        check_statements(f"{model.on_pre}\n{model.on_post}", variables(dims))

    def _check_traces(self) -> None:
        sizes = self.sizes | {changing.name: len(changing.i) for changing in self.plastic}
        inputs = {population.name: population.inputs.keys() for population in self.populations}
        recorded: set[tuple[str, str]] = set()
        for trace in self.traces:
            if trace.population not in sizes:
                raise unknown("population", trace.population, sizes)
            index_array(f"A trace of {trace.population}", trace.neurons, sizes[trace.population])
            trace.stride(self.dt)
            names = self._equations.get(trace.population, Equations("")).names
            names = names | inputs.get(trace.population, set())
            for variable in trace.variables:
                if variable not in names:
                    raise unknown(f"variable of {trace.population}", variable, names)
                if (trace.population, variable) in recorded:
                    raise UserError(
                        f"{variable} of {trace.population} is traced twice: name all neurons in "
                        "one trace."
                    )
                recorded.add((trace.population, variable))


PARTS: dict[str, type] = {
    "populations": Population,
    "sources": Spikes,
    "connections": Connection,
    "plastic": PlasticConnection,
    "traces": Trace,
}


def _sort_by_source(synapses: Connection | PlasticConnection, what: str) -> np.ndarray:
    """Sort synapses, which GeNN would otherwise reorder without their weights; return the order."""
    i, j = index_array(what, synapses.i), index_array(what, synapses.j)
    order: np.ndarray = np.lexsort((j, i))
    object.__setattr__(synapses, "i", i.astype(np.int32)[order])
    object.__setattr__(synapses, "j", j.astype(np.int32)[order])
    return order


def _check_values(
    owner: Population | PlasticConnection,
    kind: str,
    values: Mapping[str, Any],
    size: int,
    settable: Mapping[str, Any],
    about: dict[str, About] | None = None,
) -> None:
    """Refuse values of an unknown name, a wrong number or unit, or out of their physical range."""
    about = (abouts(owner.model) if isinstance(owner.model, Parameters) else {}) | (about or {})
    for name, value in values.items():
        if name not in settable:
            raise unknown(f"{kind} of {owner.name}", name, settable)
        what = f"{name} of {owner.name}"
        if np.shape(value) not in ((), (size,)):
            raise UserError(f"{what} needs {size} values, not {np.size(value)}.")
        if not callable(settable[name]):
            check_unit(what, value, get_dimensions(settable[name]))
        if name in about:
            check_range(what, value, about[name])


def _examples(equations: Equations, constants: Mapping[str, Any]) -> dict[str, Any]:
    """A value in the right unit of all that may be set, by name."""
    states = equations.diff_eq_names | equations.parameter_names
    return {name: Quantity(1.0, dim=equations[name].dim) for name in states} | dict(constants)


def _check_refractory(population: Population, dt: Quantity) -> None:
    """Refuse refractory times within a time step, which devices round up or down."""
    refractory = population.model.refractory
    times = population.constants.get(refractory) if isinstance(refractory, str) else refractory
    if isinstance(times, Quantity):
        for time in np.unique(np.asarray(times)):
            steps_in(f"{refractory} of {population.name}", time * second, dt)
