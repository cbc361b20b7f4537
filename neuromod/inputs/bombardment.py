"""Poisson bombardment of cells by many synapses from outside, drawn beforehand.

Several hundred synapses of a few hertz arrive at a cell with thousands of spikes a second, often
two or three in a time step. A train on a device spikes at most once in a step, so each cell has
several: the first spikes when at least one arrives, the second when at least two do, and so on.
Together they are a Poisson process in every step, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from brian2 import Hz, Quantity
from scipy.stats import poisson as poisson_law

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Spikes
from neuromod.support.machine import check_memory
from neuromod.support.text import say

# Chosen here: with fewer trains a cell would want another one less often than this in a run.
RARE = 1e-9
EVENT_BYTES = 64.0


@dataclass(frozen=True, eq=False)
class Bombardment:
    """Spikes from outside at one rate onto some cells, for a while.

    Attributes
    ----------
    rate : Quantity
        Onto every cell, hertz.
    start, stop : Quantity
        In seconds, whole numbers of time steps.
    targets : ndarray of int, shape (copies, cells)
        Cells of every copy of a network; those of one column receive the same spikes.
    """

    rate: Quantity
    start: Quantity
    stop: Quantity
    targets: np.ndarray


def bombard(
    name: str,
    target: str,
    variable: str,
    parts: Sequence[Bombardment],
    dt: Quantity,
    generator: np.random.Generator,
) -> tuple[Spikes, Connection]:
    """Draw the spikes of several bombardments, and the synapses by which they arrive.

    Parameters
    ----------
    name : str
        Of the source.
    target, variable : str
        The population that receives, and its variable, to which every spike adds 1.
    parts : sequence of Bombardment
    dt : Quantity
        Time step, seconds.
    generator : numpy.random.Generator

    Returns
    -------
    tuple of Spikes and Connection

    Raises
    ------
    UserError
        When a rate is negative, a bombardment ends before it starts, or memory does not suffice.
    """
    neurons, steps, i, j, size = [], [], [], [], 0
    for part in parts:
        first, last = steps_in("start", part.start, dt), steps_in("stop", part.stop, dt)
        if part.rate < 0 * Hz or last < first:
            raise UserError(
                f"A bombardment needs a rate of at least 0 and an end after its start, not "
                f"{say(part.rate)} from {say(part.start)} to {say(part.stop)}."
            )
        cells, mean = part.targets.shape[1], float(part.rate * dt)
        at, cell, order = _counted(mean, cells, last - first, generator)
        deep = max(1, _depth(mean, cells * (last - first)), int(order.max(initial=-1)) + 1)
        neurons.append(size + order * cells + cell)
        steps.append(at + first)
        reached = np.tile(part.targets, (1, deep))
        i.append(np.tile(size + np.arange(deep * cells), len(part.targets)))
        j.append(reached.ravel())
        size += deep * cells
    every, when = np.concatenate(neurons), np.concatenate(steps)
    # Runs in order, which this sort merges.
    in_time = np.argsort(when, kind="stable")
    spikes = Spikes(name, size, every[in_time], when[in_time] * dt)
    ends = {"i": np.concatenate(i), "j": np.concatenate(j)}
    return spikes, Connection(name, target, variable, weight=1.0, **ends)


def _depth(mean: float, places: int) -> int:
    """Spikes in one step that some place exceeds less often than `RARE`."""
    many = np.arange(int(mean + 10 * np.sqrt(mean)) + 40)
    return int(np.argmax(poisson_law.sf(many, mean) * places < RARE))


def _counted(
    mean: float, cells: int, steps: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step and cell of every spike, in order, and how many came to that cell before it then."""
    places = cells * steps
    check_memory("Drawing spikes from outside", EVENT_BYTES * mean * places)
    # So many spikes, each anywhere: a Poisson number in every place.
    place = np.sort(generator.integers(0, max(1, places), generator.poisson(mean * places)))
    number = np.arange(len(place))
    fresh = np.append(True, np.diff(place) > 0)[: len(place)]
    order = number - np.maximum.accumulate(np.where(fresh, number, 0))
    return place // max(1, cells), place % max(1, cells), order
