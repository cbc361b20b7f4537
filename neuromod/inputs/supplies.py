"""Supply voltages that change during a run, as a modulator would change them.

A supply holds each value until its next change. Changes are events drawn up beforehand: each adds
to a neuron's supply, and to what its mirrors do there, the difference to the value before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import Quantity

from neuromod.checks import GRID_TOLERANCE
from neuromod.chip.conversion import VDD_HIGH, VDD_LOW
from neuromod.errors import UserError, unknown
from neuromod.experiment import Connection, Input, Population, Spikes
from neuromod.models.circuit import SOLVED, suffix
from neuromod.support.text import say


def schedule(
    population: Population, times: Quantity, vdd: Quantity, dt: Quantity, domain: str = ""
) -> Input:
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
        One of the population's.

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
        raise UserError(f"Times of a schedule must rise from 0 on, in whole steps of {say(dt)}.")
    _check_range(times, vdd)
    mark = suffix(domain)
    if f"vdd{mark}" not in population.inputs:
        raise unknown(f"supply of {population.name}", f"vdd{mark}", population.inputs)
    circuit: Any = population.model
    completed = circuit.complete({**population.values, f"vdd{mark}": vdd})
    source = Spikes(f"supply{mark}", max(len(at) - 1, 1), np.arange(len(at) - 1), times[1:])
    i, j = (side.ravel() for side in np.indices((len(at) - 1, np.shape(vdd)[1])))
    # What the mirrors do there changes with the supply.
    changing = [f"{name}{mark}" for name in ("vdd", *SOLVED)]
    connections = []
    for name in changing:
        if name in completed:
            change = np.diff(completed[name], axis=0).ravel()
            wire = Connection(source.name, population.name, name, i=i, j=j, weight=change)
            connections.append(wire)
    start = {f"vdd{mark}": vdd[0]}
    return Input(population.name, start, sources=(source,), connections=tuple(connections))


def _check_range(times: Quantity, vdd: Quantity) -> None:
    beyond = (vdd < VDD_LOW) | (vdd > VDD_HIGH)
    if np.any(beyond):
        row, neuron = np.argwhere(beyond)[0]
        raise UserError(
            f"The schedule takes VDD of neuron {neuron} to {say(vdd[row, neuron])} at "
            f"{say(times[row])}: 0.5 to 1 V was expected; clip it, or scale the gain that it "
            "follows."
        )
