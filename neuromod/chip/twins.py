"""The same input spikes and weights into biological and into circuit neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from brian2 import Quantity

from neuromod.chip.conversion import TIME_SCALE, VDD_REFERENCE
from neuromod.chip.pulses import code_pulses
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF


def twins(
    cells: Population,
    chips: Population,
    inputs: Spikes,
    codes: Sequence[int],
    traces: Sequence[Trace],
    duration: Quantity,
    dt: Quantity,
    seed: int,
) -> dict[str, Experiment]:
    """Two experiments whose neurons all get the same input, the chip's 1000 times faster.

    Parameters
    ----------
    cells : Population
        Of `GainLIF` with ``synapse="pulse"``.
    chips : Population
        Of `CircuitNeuron`.
    inputs : Spikes
        In chip time.
    codes : sequence of int
        Weight of each input onto every neuron.
    traces : sequence of Trace
        Of either population.
    duration, dt : Quantity
        In chip time, seconds.

    Returns
    -------
    dict of str to Experiment
        ``"circuit"`` and ``"bio"``.

    Raises
    ------
    UserError
        When the cells' synapses are no pulses, or the populations of other models.
    """
    circuit, cell = chips.model, cells.model
    if not isinstance(circuit, CircuitNeuron) or not isinstance(cell, GainLIF):
        raise UserError(
            "Twins are circuit neurons and gain-LIF neurons, not "
            f"{type(circuit).__name__} and {type(cell).__name__}."
        )
    if cell.synapse != "pulse":
        raise UserError("bio.synapse must be 'pulse', the shape that both neurons can share.")
    sides = {}
    for side, population, scale in (("circuit", chips, 1), ("bio", cells, TIME_SCALE)):
        i, j = (index.ravel() for index in np.indices((inputs.size, population.size)))
        weight, width = np.asarray(codes)[i], scale * circuit.t_pulse
        ends = inputs.name, population.name
        if side == "circuit":
            synapses = code_pulses(*ends, i, j, weight, width)
        else:
            current = weight * unit_current(circuit, cell)
            synapses = (Connection(*ends, "I_syn", i=i, j=j, weight=current, width=width),)
        sides[side] = Experiment(
            populations=(population,),
            sources=(replace(inputs, times=scale * inputs.times),),
            connections=synapses,
            traces=[trace for trace in traces if trace.population == population.name],
            duration=scale * duration,
            dt=scale * dt,
            seed=seed,
        )
    return sides


def unit_current(circuit: CircuitNeuron, cell: GainLIF) -> Quantity:
    """Current that moves a cell, as a share of its swing, as one code moves the circuit.

    The circuit is at 0.75 V, where its gain is 1.
    """
    swings = circuit.unit_current(VDD_REFERENCE) * circuit.R_leak
    return swings / (circuit.v_th - circuit.v_rest) * (cell.v_th - cell.v_rest) / cell.R
