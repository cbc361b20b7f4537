"""Input spikes and random synapses, drawn beforehand, so that every device has the same."""

from __future__ import annotations

import numpy as np
from brian2 import Hz, Quantity, second

from neuromod.checks import GRID_TOLERANCE, real_numbers, steps_in
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.models.circuit import CircuitNeuron
from neuromod.support.machine import check_memory, check_steps
from neuromod.support.text import say


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
    check_steps(steps)
    # A neuron spikes at most once in a step.
    dead_steps = max(1, int(np.ceil(float(dead_time / dt) - 1e-6)))
    if rate < 0 * Hz:
        raise UserError(f"A rate of {say(rate)} must not be negative.")
    if rate == 0 * Hz:
        return Spikes(name, size, np.zeros(0, dtype=int), np.zeros(0) * dt)
    free_steps = float(1 / rate / dt) - dead_steps
    if free_steps <= 0:
        raise UserError(
            f"A rate of {say(rate)} does not fit a dead time of {say(dead_steps * dt)}."
        )
    # The mean and six standard deviations: hardly any train has too few intervals.
    expected = float(duration * rate)
    count = int(expected + 6 * np.sqrt(expected) + 10)
    check_memory(f"Drawing spikes of {name}", 16.0 * size * count)
    intervals = generator.exponential(free_steps, (size, count)) + dead_steps
    at = np.floor(np.cumsum(intervals, axis=1) - dead_steps).astype(int)
    neurons, order = np.nonzero(at < steps)
    at = at[neurons, order]
    in_time = np.lexsort((neurons, at))
    return Spikes(name, size, neurons[in_time], at[in_time] * dt)


def inhomogeneous(
    name: str,
    size: int,
    times: Quantity,
    rates: Quantity,
    duration: Quantity,
    dt: Quantity,
    generator: np.random.Generator,
) -> Spikes:
    """Poisson spike trains whose rate follows lines between times.

    Every train spikes in a step with the probability ``rate*dt``, independently of all other steps.
    Its mean count is the integral of the rate, whatever the step; the variance is smaller, by the
    factor ``1 - rate*dt`` where the rate is constant, because no step holds two spikes. Candidates
    at the highest rate are drawn first, and kept with the share that the rate has of it (Lewis &
    Shedler 1979, Nav. Res. Logist. Q. 26:403-413).

    Parameters
    ----------
    name : str
    size : int
        Number of independent trains.
    times : Quantity, shape (n,)
        In seconds, in order.
    rates : Quantity, shape (n,) or (n, size)
        Rates at these times, hertz, for all trains or for each; held before and after.
    duration, dt : Quantity
        In seconds.
    generator : numpy.random.Generator

    Returns
    -------
    Spikes
        At starts of time steps, at most one per train and step.

    Raises
    ------
    UserError
        When times are not in order, or a rate is negative or means more than a spike a step.
    """
    steps = steps_in("duration", duration, dt)
    check_steps(steps)
    at = np.atleast_1d(np.asarray(real_numbers(f"Times of {name}", times, second.dim) / dt))
    share = np.asarray(real_numbers(f"Rates of {name}", rates, Hz.dim) * dt, dtype=float)
    share = share[:, np.newaxis] if share.ndim == 1 else share
    if share.ndim != 2 or len(share) != len(at) or share.shape[1] not in (1, size):
        raise UserError(
            f"{name} needs a rate for each of {len(at)} times, for all trains or for each of "
            f"{size}, not values of shape {np.shape(rates)}."
        )
    if np.any(np.diff(at) <= 0):
        raise UserError(f"Times of {name} must increase, not be {say(times)}.")
    if np.any(share < 0) or np.any(share > 1 + GRID_TOLERANCE):
        raise UserError(f"Rates of {name} must lie between 0 and {say(1 / dt)}, a spike a step.")
    highest = float(share.max(initial=0.0))
    # From 0.02 on NumPy draws from a list of all steps.
    each = 24.0 * highest + (8.0 if highest > 0.02 else 0.0)
    check_memory(f"Drawing spikes of {name}", each * size * steps)
    # Of all steps of all trains, some are candidates; steps of a train lie beside each other.
    chosen = generator.binomial(size * steps, min(highest, 1.0))
    places = np.sort(generator.choice(size * steps, chosen, replace=False, shuffle=False))
    trains, found = np.divmod(places, steps)
    # The line's mean over a step is its value in the middle.
    wanted = np.empty(chosen)
    for column in range(share.shape[1]):
        own = trains == column if share.shape[1] > 1 else slice(None)
        wanted[own] = np.interp(found[own] + 0.5, at, share[:, column])
    kept = generator.random(chosen) * highest < wanted
    trains, found = trains[kept], found[kept]
    in_time = np.lexsort((trains, found))
    return Spikes(name, size, trains[in_time], found[in_time] * dt)


def staircase(
    name: str,
    size: int,
    rates: Quantity,
    dwell: Quantity,
    dt: Quantity,
    generator: np.random.Generator,
) -> Spikes:
    """Poisson spike trains whose rate changes in steps.

    Parameters
    ----------
    name : str
    size : int
        Number of independent trains.
    rates : Quantity, shape (stairs,)
        Mean rates of each train, in turn, hertz.
    dwell, dt : Quantity
        Time at each rate, and time step, seconds.
    generator : numpy.random.Generator

    Returns
    -------
    Spikes
        At starts of time steps, at most one per train and step.

    Raises
    ------
    UserError
        When a rate leaves no room for the time step.
    """
    stairs = [poisson(name, size, rate, dt, dwell, dt, generator) for rate in rates]
    neurons = np.concatenate([stair.neurons for stair in stairs])
    times = [
        np.asarray(s.times / dt) + k * steps_in("dwell", dwell, dt) for k, s in enumerate(stairs)
    ]
    return Spikes(name, size, neurons, np.round(np.concatenate(times)) * dt)


def regular(name: str, rates: Quantity, duration: Quantity, dt: Quantity) -> Spikes:
    """Spike trains as regular as the time step allows, each at its own rate.

    Parameters
    ----------
    name : str
    rates : Quantity, shape (trains,)
        In hertz.
    duration, dt : Quantity
        In seconds.

    Returns
    -------
    Spikes
        At starts of time steps, the first at 0; intervals are exact on average.

    Raises
    ------
    UserError
        When a rate is not above 0, or means several spikes in a step.
    """
    steps = steps_in("duration", duration, dt)
    check_steps(steps)
    if np.any(rates <= 0 * Hz) or np.any(rates > (1 + GRID_TOLERANCE) / dt):
        raise UserError(f"Rates must lie above 0 and up to {say(1 / dt)}, one spike a time step.")
    interval = np.asarray(1 / (rates * dt))
    check_memory(f"Making spikes of {name}", 32 * float(np.sum(steps / interval)))
    counts = np.ceil(steps / interval).astype(int)
    neurons = np.repeat(np.arange(len(interval)), counts)
    number = np.arange(len(neurons)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.floor(number * interval[neurons] + GRID_TOLERANCE).astype(int)
    kept = np.lexsort((neurons, at))
    kept = kept[at[kept] < steps]
    return Spikes(name, len(interval), neurons[kept], at[kept] * dt)


def fixed_indegree(
    sources: np.ndarray,
    targets: np.ndarray,
    indegree: int,
    generator: np.random.Generator,
    recurrent: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Random synapses: the same number onto every target, each from a different source.

    Parameters
    ----------
    sources, targets : ndarray of int, shapes (m,) and (n,)
        Neurons to draw from, and neurons that receive.
    indegree : int
        Synapses onto every target.
    generator : numpy.random.Generator
    recurrent : bool
        Whether both belong to one population; no neuron is then its own source.

    Returns
    -------
    tuple of ndarray of int, shape (n*indegree,)
        Source and target of every synapse, the random graph of Brunel 2000, J. Comput. Neurosci.
        8:183-208.

    Raises
    ------
    UserError
        When there are too few sources.
    """
    there = len(sources)
    place = {int(neuron): k for k, neuron in enumerate(sources)} if recurrent else {}
    fewest = there - (1 if place.keys() & set(targets.tolist()) else 0)
    if not 0 <= indegree <= fewest:
        raise UserError(f"An indegree of {indegree} needs as many sources; there are {fewest}.")
    chosen = np.empty((len(targets), indegree), dtype=np.int32)
    for row, target in zip(chosen, targets.tolist(), strict=True):
        own = place.get(target, there)
        drawn = generator.choice(there - (own < there), indegree, replace=False, shuffle=False)
        row[:] = sources[drawn + (drawn >= own)]
    return chosen.ravel(), np.repeat(targets, indegree)


def circuit_inputs(
    circuit: CircuitNeuron, size: int, rate: Quantity, duration: Quantity, dt: Quantity, seed: int
) -> Spikes:
    """Spike trains named ``"inputs"``, as other circuit neurons would send them.

    Parameters
    ----------
    circuit : CircuitNeuron
        A presynaptic neuron of the same kind, whose dead time the trains keep.
    size : int
        Number of inputs.
    rate : Quantity
        Mean rate of each, hertz.
    duration, dt : Quantity
        In seconds.
    seed : int
    """
    generator = np.random.default_rng(seed)
    return poisson("inputs", size, rate, circuit.dead_time, duration, dt, generator)
