"""Input spikes, drawn before any device runs so that every device plays the same ones."""

from __future__ import annotations

import numpy as np
from brian2 import Hz, Quantity

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
        In seconds; the dead time is rounded up to whole steps, at least one.
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
    steps = steps_in("duration", duration, dt)
    # A neuron spikes at most once in a step.
    dead_steps = max(1, int(np.ceil(float(dead_time / dt) - 1e-6)))
    if rate < 0 * Hz:
        raise UserError(f"A rate of {rate} must not be negative.")
    if rate == 0 * Hz:
        return Spikes(name, size, np.zeros(0, dtype=int), np.zeros(0) * dt)
    free_steps = float(1 / rate / dt) - dead_steps
    if free_steps <= 0:
        raise UserError(f"A rate of {rate} does not fit a dead time of {dead_steps * dt}.")
    # Enough intervals that a train is all but never too short: mean and six standard deviations.
    expected = float(duration * rate)
    count = int(expected + 6 * np.sqrt(expected) + 10)
    intervals = generator.exponential(free_steps, (size, count)) + dead_steps
    at = np.floor(np.cumsum(intervals, axis=1) - dead_steps).astype(int)
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
