"""What is to be simulated, said without reference to any device.

An experiment is data: populations of model neurons, spikes drawn beforehand, connections as
explicit pairs, what to record, for how long. It stays within what Brian2's runtime, C++
standalone and GeNN can all run: one clock, homogeneous delays, no randomness on the device, and
synapses that only add a weight to one variable of their target, or change by equations that are
stepped before spikes arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from brian2 import Quantity, have_same_dimensions, second

from neuromod.errors import UserError, unknown
from neuromod.parameters import Parameters, abouts, check_range

# In time steps: what rounding leaves of a whole number of them.
GRID_TOLERANCE = 1e-6


class Model(Protocol):
    """A neuron: equations in Brian2's language and the values of their parameters."""

    @property
    def equations(self) -> str:
        """Differential equations, subexpressions and state variables."""

    @property
    def threshold(self) -> str:
        """Condition for a spike."""

    @property
    def reset(self) -> str:
        """What a spike does to the neuron."""

    @property
    def refractory(self) -> str | Quantity:
        """How long `(unless refractory)` variables are held; a parameter's name, or a time."""

    @property
    def method(self) -> str:
        """Integration method."""

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""

    @property
    def start(self) -> dict[str, Any]:
        """Values of the state variables at the start, where they are not 0."""


@runtime_checkable
class Plastic(Protocol):
    """A synapse that changes: equations in Brian2's language and the values of their parameters."""

    @property
    def equations(self) -> str:
        """Differential equations and subexpressions; the target's variables end in ``_post``."""

    @property
    def on_pre(self) -> str:
        """What a spike of the source does when it arrives."""

    @property
    def on_post(self) -> str:
        """What a spike of the target does; empty for nothing."""

    @property
    def method(self) -> Any:
        """Integration method."""

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that equations and spikes name."""

    @property
    def totals(self) -> tuple[str, ...]:
        """Variables whose values at the end of a run are kept."""


@runtime_checkable
class Completing(Protocol):
    """A model some of whose values follow from others before the run."""

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of single neurons with all that follow from them."""


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one model.

    Attributes
    ----------
    name : str
    model : Model
    size : int
    values : mapping of str to value or array, shape (size,)
        Values of single neurons for any parameter or state variable of the model. State
        variables that are not given start from the model's own parameters.

    Raises
    ------
    UserError
        When a value is out of its physical range, or there is not one for each neuron.
    """

    name: str
    model: Model
    size: int
    values: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def completed(self) -> Mapping[str, Any]:
        """The values, and all that the model makes of them before the run."""
        if isinstance(self.model, Completing):
            return self.model.complete(self.values)
        return self.values

    def own(self, name: str) -> Any:
        """A parameter of single neurons, or else the model's.

        Parameters
        ----------
        name : str

        Returns
        -------
        value or array, shape () or (size,)
        """
        return self.values.get(name, getattr(self.model, name))

    def __post_init__(self) -> None:
        known = abouts(self.model) if isinstance(self.model, Parameters) else {}
        for name, value in (dict(self.values) | dict(self.completed)).items():
            if np.shape(value) not in ((), (self.size,)):
                raise UserError(
                    f"{name} of {self.name} needs {self.size} values, not {np.size(value)}."
                )
            # Concentrations carry the name of their ligand.
            about = known.get(name) or known.get(name.rpartition("_")[0])
            if about:
                check_range(name, value, about)


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
    """

    name: str
    size: int
    neurons: np.ndarray
    times: Quantity

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
    """

    source: str
    target: str
    variable: str
    i: np.ndarray
    j: np.ndarray
    weight: Any
    delay: Quantity = field(default_factory=lambda: 0 * second)

    def __post_init__(self) -> None:
        # GeNN permutes weights in silence unless synapses come sorted by source.
        counts = {len(self.i), len(self.j), *np.shape(self.weight)}
        if len(counts) > 1:
            raise UserError(
                f"A connection from {self.source} to {self.target} needs as many sources as "
                f"targets and weights, not {len(self.i)}, {len(self.j)} and {np.size(self.weight)}."
            )
        order = np.lexsort((self.j, self.i))
        object.__setattr__(self, "i", np.asarray(self.i, dtype=np.int32)[order])
        object.__setattr__(self, "j", np.asarray(self.j, dtype=np.int32)[order])
        if np.ndim(self.weight):
            object.__setattr__(self, "weight", self.weight[order])


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
        Values of single synapses for any parameter or state variable of the model.
    delay : Quantity
        From source to synapse, the same for all.

    Raises
    ------
    UserError
        When a value is out of its physical range, or there is not one for each synapse.
    """

    name: str
    source: str
    target: str
    model: Plastic
    i: np.ndarray
    j: np.ndarray
    values: Mapping[str, Any] = field(default_factory=dict)
    delay: Quantity = field(default_factory=lambda: 0 * second)

    def __post_init__(self) -> None:
        known = abouts(self.model) if isinstance(self.model, Parameters) else {}
        counts = {"j": len(self.j)} | {n: np.size(v) for n, v in self.values.items() if np.ndim(v)}
        for name, count in counts.items():
            if count != len(self.i):
                raise UserError(f"{name} of {self.name} needs {len(self.i)} values, not {count}.")
        for name, value in self.values.items():
            if name in known:
                check_range(name, value, known[name])
        order = np.lexsort((self.j, self.i))
        values = {n: v[order] if np.ndim(v) else v for n, v in self.values.items()}
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "i", np.asarray(self.i, dtype=np.int32)[order])
        object.__setattr__(self, "j", np.asarray(self.j, dtype=np.int32)[order])


def pulses(
    source: str,
    target: str,
    variable: str,
    i: np.ndarray,
    j: np.ndarray,
    weight: Any,
    width: Quantity,
    delay: Quantity = 0 * second,
) -> tuple[Connection, Connection]:
    """Rectangular pulses: `weight` is added at once and taken away after `width`.

    Parameters
    ----------
    source, target, variable, i, j, weight, delay
        See `Connection`.
    width : Quantity
        In seconds; overlapping pulses add up.

    Returns
    -------
    tuple of Connection
        The rising and the falling edge.
    """
    rise = Connection(source, target, variable, i, j, weight, delay)
    return rise, Connection(source, target, variable, i, j, -weight, delay + width)


def code_pulses(
    source: str,
    target: str,
    i: np.ndarray,
    j: np.ndarray,
    codes: Any,
    width: Quantity,
    domain: str = "",
) -> tuple[Connection, ...]:
    """Synapses of circuit neurons: pulses of their codes, and the pulses that the NOR sees.

    Parameters
    ----------
    source, target, i, j
        See `Connection`; the target is a population of circuit neurons.
    codes : value or array, shape (synapses,)
        Signed; a synapse of code 0 still clocks the comparator.
    width : Quantity
        In seconds.
    domain : str
        The power domain whose supply feeds them.

    Returns
    -------
    tuple of Connection
        See `mirror_pulses`.
    """
    codes = np.broadcast_to(codes, np.shape(i))
    return mirror_pulses(
        source, target, i, j, np.maximum(codes, 0), np.maximum(-codes, 0), codes != 0, width, domain
    )


def mirror_pulses(
    source: str,
    target: str,
    i: np.ndarray,
    j: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    mirrors: np.ndarray,
    width: Quantity,
    domain: str = "",
) -> tuple[Connection, ...]:
    """Pulses of circuit synapses, or of bundles of them that pulse together.

    Parameters
    ----------
    source, target, i, j, width, domain
        See `code_pulses`.
    up, down : ndarray, shape (synapses,)
        Units of current onto and off the membrane.
    mirrors : ndarray, shape (synapses,)
        References that conduct during a pulse.

    Returns
    -------
    tuple of Connection
        On the variables ``up``, ``down``, ``mirrors`` and ``active``, where they are not all 0.
    """
    mark = f"_{domain}" if domain else ""
    parts = {f"up{mark}": up, f"down{mark}": down, f"mirrors{mark}": mirrors,
             "active": np.ones(np.shape(i))}  # fmt: skip
    made: list[Connection] = []
    for variable, weight in parts.items():
        held = np.flatnonzero(weight)
        made += pulses(source, target, variable, i[held], j[held], weight[held] * 1.0, width)
    return tuple(made)


@dataclass(frozen=True, eq=False)
class Trace:
    """State variables to record at every time step.

    Attributes
    ----------
    population : str
        Or plastic connection.
    variables : tuple of str
    neurons : ndarray of int
        Or synapses, in their sorted order.
    """

    population: str
    variables: tuple[str, ...]
    neurons: np.ndarray


@dataclass(frozen=True, eq=False)
class Experiment:
    """One simulation.

    Attributes
    ----------
    populations : tuple of Population
        Their spikes are always recorded.
    sources : tuple of Spikes
        Inputs, drawn beforehand.
    connections : tuple of Connection
    traces : tuple of Trace
    duration, dt : Quantity
        In seconds.
    seed : int
        From which everything random in this experiment was drawn; for the record.
    plastic : tuple of PlasticConnection

    Raises
    ------
    UserError
        When a duration or delay is not a whole number of time steps, or names do not fit.
    """

    populations: tuple[Population, ...]
    sources: tuple[Spikes, ...]
    connections: tuple[Connection, ...]
    traces: tuple[Trace, ...]
    duration: Quantity
    dt: Quantity
    seed: int
    plastic: tuple[PlasticConnection, ...] = ()

    def __post_init__(self) -> None:
        # Devices round half steps differently, so there are none.
        steps_in("duration", self.duration, self.dt)
        sizes = {population.name: population.size for population in self.populations}
        sizes |= {source.name: source.size for source in self.sources}
        if len(sizes) < len(self.populations) + len(self.sources):
            raise UserError(f"Two populations of an experiment share a name in {sorted(sizes)}.")
        every: list[Connection | PlasticConnection] = [*self.connections, *self.plastic]
        for connection in every:
            steps_in("delay", connection.delay, self.dt)
            _check_indices(connection.source, connection.i, sizes)
            _check_indices(connection.target, connection.j, sizes)
        for source in self.sources:
            _check_indices(source.name, source.neurons, sizes)
            _check_grid(source, self.dt)
        sizes |= {synapses.name: len(synapses.i) for synapses in self.plastic}
        if len(sizes) < len(self.populations) + len(self.sources) + len(self.plastic):
            raise UserError(f"Plastic connections need names of their own among {sorted(sizes)}.")
        for trace in self.traces:
            _check_indices(trace.population, trace.neurons, sizes)
        recorded = [(t.population, name) for t in self.traces for name in t.variables]
        if len(set(recorded)) < len(recorded):
            raise UserError("A variable of a population can be traced once, for several neurons.")


def steps_in(name: str, time: Quantity, dt: Quantity) -> int:
    """Number of time steps in a time.

    Parameters
    ----------
    name : str
        What the time is, for the message.
    time, dt : Quantity
        In seconds.

    Returns
    -------
    int

    Raises
    ------
    UserError
        When it is not a whole number.
    """
    for value in (time, dt):
        if not have_same_dimensions(value, second):
            raise UserError(f"{name} = {time} in steps of {dt} must be times, such as 10*ms.")
    if dt <= 0 * second:
        raise UserError(f"A time step of {dt} must be above 0.")
    ratio = float(time / dt)
    if ratio < 0 or abs(ratio - round(ratio)) > GRID_TOLERANCE + 1e-12 * ratio:
        raise UserError(f"{name} = {time} must be a whole number of time steps of {dt}.")
    return round(ratio)


def _check_indices(name: str, indices: np.ndarray, sizes: Mapping[str, int]) -> None:
    if name not in sizes:
        raise unknown("population", name, sizes)
    beyond = np.asarray(indices)[(np.asarray(indices) < 0) | (np.asarray(indices) >= sizes[name])]
    if len(beyond):
        raise UserError(f"{name} has neurons 0 to {sizes[name] - 1}, not {beyond[0]}.")


def _check_grid(source: Spikes, dt: Quantity) -> None:
    steps = np.asarray(source.times / dt)
    if np.any(steps < 0) or np.any(np.abs(steps - np.round(steps)) > GRID_TOLERANCE * 1e3):
        raise UserError(f"Spikes of {source.name} must lie at starts of time steps of {dt}.")
