"""The same input spikes and weights into biological and into circuit neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
from brian2 import Quantity, siemens

from neuromod.analysis.thresholds import event_threshold
from neuromod.chip.conversion import TIME_SCALE
from neuromod.chip.pulses import code_pulses
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.events import Entrance
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptive import Receptive


def twins(
    cells: Population,
    chips: Population,
    inputs: Spikes,
    codes: Sequence[int],
    unit: Quantity,
    traces: Sequence[Trace],
    duration: Quantity,
    dt: Quantity,
    seed: int,
    scale: Any = 1.0,
) -> dict[str, Experiment]:
    """Two experiments whose neurons all get the same input, the chip's 1000 times faster.

    Parameters
    ----------
    cells : Population
        Of any neuron with receptors; see `Entrance` for where its input arrives.
    chips : Population
        Of `CircuitNeuron`.
    inputs : Spikes
        In chip time.
    codes : sequence of int
        Weight of each input onto every neuron.
    unit : Quantity
        What one code adds to a cell; see `unit_weight`.
    traces : sequence of Trace
        Of either population, their intervals in chip time.
    duration, dt : Quantity
        In chip time, seconds.
    seed : int
        For the record.
    scale : float or ndarray, shape () or (cells,)
        By which the input of every cell is multiplied.

    Returns
    -------
    dict of str to Experiment
        ``"circuit"`` and ``"bio"``.

    Raises
    ------
    UserError
        When the populations are of other models.
    """
    circuit, cell = chips.model, cells.model
    if not isinstance(circuit, CircuitNeuron) or not isinstance(cell, Receptive):
        raise UserError(
            "Twins are circuit neurons and neurons that may have receptors, not "
            f"{type(circuit).__name__} and {type(cell).__name__}."
        )
    sides = {}
    for side, population, slower in (("circuit", chips, 1), ("bio", cells, TIME_SCALE)):
        i, j = (index.ravel() for index in np.indices((inputs.size, population.size)))
        code, width = np.asarray(codes)[i], slower * circuit.t_pulse
        arriving = replace(inputs, times=slower * inputs.times)
        run = Experiment(
            populations=(population,),
            sources=(arriving,),
            connections=code_pulses(inputs.name, chips.name, i, j, code, width)
            if side == "circuit"
            else (),
            traces=[
                replace(trace, every=None if trace.every is None else slower * trace.every)
                for trace in traces
                if trace.population == population.name
            ],
            duration=slower * duration,
            dt=slower * dt,
            seed=seed,
        )
        if side == "bio":
            weight = code * unit * np.broadcast_to(scale, population.size)[j]
            entrance = Entrance.of(cell, width)
            run = run.add(entrance.input(population, arriving, i, j, weight))
        sides[side] = run
    return sides


def unit_weight(circuit: CircuitNeuron, threshold: Quantity) -> Quantity:
    """What one code adds to a cell, whose `threshold` is the single event that makes it fire.

    One pulse of one code is the same share of what makes either neuron fire from rest. The circuit
    is at its reference supply, where its gain is 1.
    """
    return circuit.step(circuit.vdd_reference) / (circuit.v_th - circuit.v_rest) * threshold


def has_pulse_threshold(cell: Receptive) -> TypeGuard[GainLIF]:
    """Whether `firing_event` has a closed form: a LIF with pulses, resting where it leaks to."""
    return (
        isinstance(cell, GainLIF)
        and cell.synapse == "pulse"
        and all(part.g_K == 0 * siemens for part in cell.acting)
    )


def firing_event(cell: Receptive, width: Quantity, dt: Quantity) -> Quantity:
    """Weight of the single event that makes a cell fire from rest at gain 1.

    Parameters
    ----------
    cell : Receptive
    width : Quantity
        Of an event that is a pulse, seconds.
    dt : Quantity
        Time step where it is measured, seconds.

    Returns
    -------
    Quantity
        In closed form for a LIF with pulses, ``(v_th - v_rest)/(R*(1 - exp(-width/tau_m)))``;
        measured for all others, see `event_threshold`.
    """
    if has_pulse_threshold(cell):
        charged = -np.expm1(-float(width / cell.tau_m))
        return (cell.v_th - cell.v_rest) / (cell.R * charged)
    # A basal messenger gives a cell a gain without any ligand.
    basal = float(cell.steady_gain({})) if cell.gain_alone else 1.0
    return basal * event_threshold(cell, Entrance.of(cell, width), dt)
