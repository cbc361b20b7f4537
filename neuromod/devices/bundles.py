"""Connections as groups of Brian2's synapses: those that one pulse moves are one group.

A pulse of a circuit's synapse adds to several variables of its neuron, each by a connection of its
own, and takes all away again when it ends. Brian2 has a queue of spikes, indices of neurons and
several pieces of code for every group of synapses: one group for all of these connections takes an
eighth of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions

from neuromod.experiment import Connection


@dataclass(frozen=True, eq=False)
class Bundle:
    """Synapses that add to one or more variables of their target when their source spikes.

    Attributes
    ----------
    source, target : str
        Names of a spike source or population, and of a population.
    i, j : ndarray of int, shape (synapses,)
        Source and target neuron of each synapse.
    weights : mapping of str to value or array, shape (synapses,)
        What is added, by the target's variable.
    delays : tuple of Quantity
        After which it is added; after the second, where there is one, it is taken away.
    """

    source: str
    target: str
    i: np.ndarray
    j: np.ndarray
    weights: Mapping[str, Any]
    delays: tuple[Quantity, ...]


def single(connections: Sequence[Connection]) -> Iterator[Bundle]:
    """Connections as GeNN takes them: one variable and one delay to a group of synapses."""
    for wire in connections:
        for weight, delay in wire.edges:
            if len(wire.i):
                yield _bundle(wire, {wire.variable: weight}, (delay,))


def bundled(connections: Sequence[Connection]) -> Iterator[Bundle]:
    """Connections in as few groups as give the same sums, to the last digit.

    Those that follow each other are one if they lead from and to the same populations at the same
    times, add to different variables, and one of them has the synapses of all; the others are
    given weights of 0 where they have none.
    """
    left = [wire for wire in connections if len(wire.i)]
    while left:
        count = next(n for n in range(_alike(left), 0, -1) if _widest(left[:n]))
        together, left = left[:count], left[count:]
        widest = max(together, key=lambda wire: len(wire.i))
        weights = {wire.variable: _spread(wire, widest) for wire in together}
        yield _bundle(widest, weights, tuple(delay for _, delay in widest.edges))


def _bundle(wire: Connection, weights: Mapping[str, Any], delays: tuple[Quantity, ...]) -> Bundle:
    return Bundle(wire.source, wire.target, wire.i, wire.j, weights, delays)


def _alike(connections: Sequence[Connection]) -> int:
    """How many at the beginning share all but their synapses, and no variable."""
    first, seen = _ways(connections[0]), set()
    for number, wire in enumerate(connections):
        if wire.variable in seen or _ways(wire) != first:
            return number
        seen.add(wire.variable)
    return len(connections)


def _ways(wire: Connection) -> tuple[Any, ...]:
    return wire.source, wire.target, *(float(delay) for _, delay in wire.edges)


def _widest(connections: Sequence[Connection]) -> bool:
    """Whether the one with the most synapses has those of all."""
    widest = max(connections, key=lambda wire: len(wire.i))
    return all(_places(wire, widest) is not None for wire in connections)


def _places(wire: Connection, widest: Connection) -> np.ndarray | None:
    """Where another connection has the synapses of one; None if it lacks any of them."""
    targets = 1 + max(wire.j.max(), widest.j.max())
    # Both are sorted by source, then target; a pair may have several synapses.
    own, other = (np.asarray(w.i, np.int64) * targets + w.j for w in (wire, widest))
    places = np.searchsorted(other, own) + np.arange(len(own)) - np.searchsorted(own, own)
    found = places[-1] < len(other) and np.array_equal(other[places], own)
    return places if found else None


def _spread(wire: Connection, widest: Connection) -> Any:
    """A connection's weights, for the synapses of another that has them all."""
    if len(wire.i) == len(widest.i):
        return wire.weight
    spread = np.zeros(len(widest.i))
    spread[_places(wire, widest)] = np.asarray(wire.weight)
    return Quantity(spread, dim=get_dimensions(wire.weight))
