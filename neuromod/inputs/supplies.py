"""Supply voltages that change during a run, as a modulator would change them.

A supply holds each value until its next change. Changes are events drawn up beforehand: each adds
to a neuron's supply, and to what its mirrors do there, the difference to the value before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity

from neuromod.chip.conversion import VDD_HIGH, VDD_LOW
from neuromod.errors import UserError
from neuromod.experiment import GRID_TOLERANCE, Connection, Population, Spikes
from neuromod.models.circuit import SOLVED, suffix


@dataclass(frozen=True, eq=False)
class Schedule:
    """What a supply that changes adds to an experiment.

    Attributes
    ----------
    values : mapping of str to Quantity, each of shape (neurons,)
        For the population, at the start.
    sources : tuple of Spikes
        The changes.
    connections : tuple of Connection
    """

    values: Mapping[str, Any]
    sources: tuple[Spikes, ...]
    connections: tuple[Connection, ...]


def schedule(
    population: Population,
    times: Quantity,
    vdd: Quantity,
    dt: Quantity,
    domain: str = "",
) -> Schedule:
    """Supply of every neuron, or of one power domain of them, over time.

    Parameters
    ----------
    population : Population
        Of circuit neurons, with the values of their own that their transistors may have.
    times : Quantity, shape (steps,)
        When each value begins, seconds, from 0 on, in order, at starts of time steps.
    vdd : Quantity, shape (steps, neurons)
        In volt.
    dt : Quantity
        Time step, seconds. A value acts from the step after its own on, as spikes do.
    domain : str
        One of the circuit's.

    Returns
    -------
    Schedule

    Raises
    ------
    UserError
        When times are not in order or off the grid, or a supply leaves 0.5 to 1 V.
    """
    at = np.asarray(times / dt)
    if np.ndim(vdd) != 2 or len(vdd) != len(at) or not len(at):
        raise UserError(
            f"A schedule of {len(at)} times needs as many rows of supplies, one column for each "
            f"neuron, not values of shape {np.shape(vdd)}."
        )
    off_grid = np.abs(at - np.round(at)) > GRID_TOLERANCE * 1e3
    if at[0] != 0 or np.any(np.diff(at) <= 0) or np.any(off_grid):
        raise UserError(f"Times of a schedule must rise from 0 on, in whole steps of {dt}.")
    _check_range(times, vdd)
    mark = suffix(domain)
    name = f"vdd{mark}"
    of_steps = [name, *(f"{solved}{mark}" for solved in SOLVED)]
    circuit: Any = population.model
    completed = circuit.complete({**population.values, name: vdd})
    held = {variable: completed[variable] for variable in of_steps if variable in completed}
    source = Spikes(f"supply{mark}", max(len(at) - 1, 1), np.arange(len(at) - 1), times[1:])
    i, j = (side.ravel() for side in np.indices((len(at) - 1, np.shape(vdd)[1])))
    connections = tuple(
        Connection(source.name, population.name, variable, i, j, (values[1:] - values[:-1]).ravel())
        for variable, values in held.items()
    )
    start = {variable: values[0] for variable, values in held.items()}
    return Schedule(start, (source,), connections)


def _check_range(times: Quantity, vdd: Quantity) -> None:
    beyond = (vdd < VDD_LOW) | (vdd > VDD_HIGH)
    if np.any(beyond):
        row, neuron = np.argwhere(beyond)[0]
        raise UserError(
            f"The schedule takes VDD of neuron {neuron} to {vdd[row, neuron]} at {times[row]}: "
            f"{VDD_LOW} to {VDD_HIGH} was expected; clip it, or scale the gain that it follows."
        )
