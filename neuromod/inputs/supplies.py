"""Supply voltages that change during a run, as a modulator would change them.

A supply holds each value until its next change. Changes are events drawn up beforehand: each adds
to a neuron's supply, and to what its mirrors do there, the difference to the value before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import Quantity, second, volt

from neuromod.checks import real_numbers, steps_of
from neuromod.errors import UserError, unknown
from neuromod.experiment import Connection, Input, Population, Spikes
from neuromod.models.circuit import SOLVED
from neuromod.models.circuit_equations import suffix
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
        When times are not in order or off the grid, or a supply leaves the circuit's range.
    """
    what = "Times of a schedule"
    times = np.atleast_1d(real_numbers(what, times, second.dim))
    vdd = real_numbers("A schedule's supply", vdd, volt.dim)
    if np.ndim(vdd) != 2 or len(vdd) != len(times) or not len(times):
        raise UserError(
            f"A schedule of {len(times)} times needs as many rows of supplies, one column for each "
            f"neuron, not values of shape {np.shape(vdd)}."
        )
    steps = steps_of(what, times, dt)
    if steps[0] != 0 or np.any(np.diff(steps) <= 0):
        raise UserError(f"{what} must rise from 0 on, not be {say(times)}.")
    circuit: Any = population.model
    beyond = (vdd < circuit.vdd_low) | (vdd > circuit.vdd_high)
    if np.any(beyond):
        row, neuron = np.argwhere(beyond)[0]
        raise UserError(
            f"The schedule takes VDD of neuron {neuron} to {say(vdd[row, neuron])} at "
            f"{say(times[row])}: {circuit.supply_range} was expected; clip it, or scale the gain "
            "that it follows."
        )
    mark = suffix(domain)
    if f"vdd{mark}" not in population.inputs:
        raise unknown(f"supply of {population.name}", f"vdd{mark}", population.inputs)
    if circuit.law == "table" and circuit.output == "mosfet":
        raise UserError(
            f"The supply of {population.name} cannot change in a run: its table has currents by v, "
            "which are looked up for one supply; leave v out, or take the law that neuromod "
            "fit-mirror finds."
        )
    if circuit.C_gate and circuit.references == "pulsed":
        raise UserError(
            "C_gate of pulsed references is solved for a supply that stays: use "
            "references=always for a schedule."
        )
    completed = circuit.complete({**population.values, f"vdd{mark}": vdd})
    changes = np.arange(len(times) - 1)
    source = Spikes(f"supply{mark}", max(len(changes), 1), changes, times[1:])
    i, j = (side.ravel() for side in np.indices((len(changes), vdd.shape[1])))
    connections = []
    # What the mirrors do there changes with the supply.
    for name in (f"{name}{mark}" for name in ("vdd", *SOLVED)):
        if name in completed:
            change = np.diff(completed[name], axis=0).ravel()
            wire = Connection(source.name, population.name, name, i=i, j=j, weight=change)
            connections.append(wire)
    start = {f"vdd{mark}": vdd[0]}
    return Input(population.name, start, sources=(source,), connections=tuple(connections))
