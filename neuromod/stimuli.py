"""Input spikes, drawn before any device runs so that every device plays the same ones."""

from __future__ import annotations

import numpy as np
from brian2 import Quantity

from neuromod.errors import UserError
from neuromod.experiment import Spikes, steps_in
from neuromod.models.circuit import CircuitNeuron


def poisson(
    name: str,
    size: int,
    rate: Quantity,
    dead_time: Quantity,
    duration: Quantity,
    dt: Quantity,
    generator: np.random.Generator,
) -> Spikes:
    """Poisson spike trains with a dead time after every spike.

    Parameters
    ----------
    name : str
    size : int
        Number of independent trains.
    rate : Quantity
        Mean rate of each train, hertz, dead time included.
    dead_time, duration, dt : Quantity
        In seconds.
    generator : numpy.random.Generator

    Returns
    -------
    Spikes
        At starts of time steps.

    Raises
    ------
    UserError
        When the dead time leaves no room for the rate.
    """
    free = 1 / rate - dead_time
    if free <= 0 * dead_time:
        raise UserError(f"A rate of {rate} does not fit a dead time of {dead_time}.")
    steps = steps_in("duration", duration, dt)
    # Enough intervals that a train is all but never too short: mean and six standard deviations.
    expected = float(duration * rate)
    count = int(expected + 6 * np.sqrt(expected) + 10)
    intervals = generator.exponential(float(free / dt), (size, count)) + float(dead_time / dt)
    at = np.floor(np.cumsum(intervals, axis=1) - float(dead_time / dt)).astype(int)
    neurons, order = np.nonzero(at < steps)
    at = at[neurons, order]
    in_time = np.lexsort((neurons, at))
    return Spikes(name, size, neurons[in_time], at[in_time] * dt)


def circuit_inputs(
    circuit: CircuitNeuron,
    size: int,
    rate: Quantity,
    duration: Quantity,
    dt: Quantity,
    seed: int,
) -> Spikes:
    """Spike trains as other circuit neurons would send them.

    Parameters
    ----------
    circuit : CircuitNeuron
        A presynaptic neuron of the same kind is silent for three pulse widths after a spike,
        which makes the paper's maximum rate of 3.3 MHz.
    size : int
        Number of inputs.
    rate : Quantity
        Mean rate of each, hertz.
    duration, dt : Quantity
        In seconds.
    seed : int

    Returns
    -------
    Spikes
        Named ``"inputs"``.
    """
    dead_time = circuit.t_spike + 2 * circuit.t_pulse
    generator = np.random.default_rng(seed)
    return poisson("inputs", size, rate, dead_time, duration, dt, generator)
