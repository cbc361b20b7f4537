"""Measures of spike trains, traces and f-I curves.

Elephant is imported by what uses it: any part of it brings in all of it, scikit-learn and SciPy's
statistics, which takes as long as importing Brian2.
"""

from __future__ import annotations

import numpy as np
import quantities as pq
from brian2 import Hz, Quantity, second
from neo import SpikeTrain

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Spikes

# Chosen here: fewer intervals say little about their variation.
LEAST_INTERVALS = 5


def steady_rates(spikes: Spikes) -> Quantity:
    """Rate of every neuron from its first to its last spike.

    Returns
    -------
    Quantity, shape (neurons,)
        In hertz; 0 with fewer than two spikes. Unlike the count over the duration, it does not
        depend on where in an interval the recording stops.
    """
    times = np.asarray(spikes.times / second)
    first, last = np.full(spikes.size, np.inf), np.full(spikes.size, -np.inf)
    np.minimum.at(first, spikes.neurons, times)
    np.maximum.at(last, spikes.neurons, times)
    counts = spikes.counts()
    several = counts > 1
    return np.where(several, (counts - 1) / np.where(several, last - first, 1), 0) * Hz


def between(spikes: Spikes, start: Quantity, stop: Quantity, dt: Quantity) -> Spikes:
    """Spikes of a part of a run, at times counted from its start.

    Parameters
    ----------
    start, stop : Quantity
        In seconds, whole numbers of time steps; the step at `stop` is no longer inside.
    dt : Quantity
        Time step, seconds.

    Raises
    ------
    UserError
        When the part does not start and stop with a time step.
    """
    first, end = steps_in("start", start, dt), steps_in("stop", stop, dt)
    steps = np.round(np.asarray(spikes.times / dt)).astype(int)
    inside = (steps >= first) & (steps < end)
    return Spikes(spikes.name, spikes.size, spikes.neurons[inside], (steps[inside] - first) * dt)


def interval_cvs(spikes: Spikes, neurons: np.ndarray) -> np.ndarray:
    """Coefficient of variation of each neuron's inter-spike intervals, by Elephant.

    Parameters
    ----------
    neurons : ndarray of int, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        Sample standard deviation over mean: 0 for a clock, 1 for a Poisson process; nan with
        fewer than 5 intervals. Short recordings miss the longest intervals: a Poisson process
        with 30 spikes gives 0.97 on average.
    """
    from elephant.statistics import cv, isi

    intervals = [isi(times) for times in _times_of(spikes, neurons)]
    return np.array(
        [cv(gaps, ddof=1) if len(gaps) >= LEAST_INTERVALS else np.nan for gaps in intervals]
    )


def count_correlation(
    spikes: Spikes, neurons: np.ndarray, width: Quantity, duration: Quantity
) -> float:
    """Mean correlation of spike counts over all pairs of some neurons, by Elephant.

    Parameters
    ----------
    neurons : ndarray of int, shape (n,)
    width : Quantity
        Of the bins in which spikes are counted, seconds.
    duration : Quantity
        Length of the recording, seconds; spikes after the last whole bin are left out.

    Returns
    -------
    float
        Pearson's coefficient, averaged over all pairs of neurons whose counts vary; nan with
        fewer than two such neurons or bins. Independent trains give 0 on average; one pair has a
        standard deviation of one over the root of the number of bins.
    """
    from elephant.conversion import BinnedSpikeTrain

    bins = int(float(duration / width) + 1e-9)
    if bins < 2:
        return float("nan")
    end, size = bins * float(width), float(width) * pq.s
    trains = [_train(times[times < end], end) for times in _times_of(spikes, neurons)]
    counts = BinnedSpikeTrain(trains, size, n_bins=bins, t_start=0 * pq.s).to_array()
    varying = counts[counts.std(axis=1) > 0]
    if len(varying) < 2:
        return float("nan")
    return float(np.corrcoef(varying)[np.triu_indices(len(varying), 1)].mean())


def _times_of(spikes: Spikes, neurons: np.ndarray) -> list[np.ndarray]:
    """Spike times in seconds of each of some neurons."""
    asked = np.isin(spikes.neurons, neurons)
    owner, times = spikes.neurons[asked], np.asarray(spikes.times / second)[asked]
    return [times[owner == neuron] for neuron in neurons]


def coincidence_factor(
    data: np.ndarray, model: np.ndarray, window: float, duration: float
) -> float:
    """Coincidence factor of two spike trains; each spike is matched at most once.

    Parameters
    ----------
    data, model : ndarray, shape (spikes,)
        Spike times in seconds, sorted.
    window : float
        Largest distance of two spikes that coincide, seconds.
    duration : float
        Length of the trains, seconds.

    Returns
    -------
    float
        1 for trains that coincide, as two empty ones do; 0 at chance level; nan where the model's
        rate is so high that chance alone fills every window. Kistler, Gerstner & van Hemmen
        1997, Neural Comput. 9:1015-1045; Jolivet et al. 2008, J. Neurosci. Methods 169:417-424.
    """
    if not len(data) and not len(model):
        return 1.0
    by_chance = 2 * window * len(model) / duration
    if by_chance >= 1:
        return float("nan")
    excess = _coincidences(data, model, window) - by_chance * len(data)
    return float(excess / (0.5 * (len(data) + len(model))) / (1 - by_chance))


def _coincidences(data: np.ndarray, model: np.ndarray, window: float) -> int:
    """Largest one-to-one matching; taking the earliest pair that fits is optimal on a line."""
    matched = i = k = 0
    while i < len(data) and k < len(model):
        gap = model[k] - data[i]
        if abs(gap) <= window:
            matched, i, k = matched + 1, i + 1, k + 1
        elif gap > 0:
            i += 1
        else:
            k += 1
    return matched


def van_rossum(a: np.ndarray, b: np.ndarray, tau: float, duration: float) -> float:
    """Van Rossum distance of two spike trains, by Elephant.

    Parameters
    ----------
    a, b : ndarray, shape (spikes,)
        Spike times in seconds.
    tau : float
        Time constant in seconds.
    duration : float
        Length of the trains, seconds.

    Returns
    -------
    float
        1 where one train has one more spike, far from all others. van Rossum 2001, Neural
        Comput. 13:751-763, in Elephant's normalisation.
    """
    from elephant.spike_train_dissimilarity import van_rossum_distance

    pair = [_train(a, duration), _train(b, duration)]
    return float(van_rossum_distance(pair, time_constant=tau * pq.s)[0, 1])


def victor_purpura(a: np.ndarray, b: np.ndarray, tau: float, duration: float) -> float:
    """Victor-Purpura distance of two spike trains, by Elephant.

    Victor & Purpura 1996, J. Neurophysiol. 76:1310-1326.

    Parameters
    ----------
    a, b : ndarray, shape (spikes,)
        Spike times in seconds.
    tau : float
        Shift in seconds that costs as much as adding or removing a spike.
    duration : float
        Length of the trains, seconds.
    """
    from elephant.spike_train_dissimilarity import victor_purpura_distance

    pair = [_train(a, duration), _train(b, duration)]
    return float(victor_purpura_distance(pair, cost_factor=(1 / tau) * pq.Hz)[0, 1])


def _train(times: np.ndarray, duration: float) -> SpikeTrain:
    return SpikeTrain(times * pq.s, t_stop=duration)


def rmse(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Root of the mean squared difference of two traces over some samples.

    Parameters
    ----------
    a, b : ndarray, shape (steps,)
    where : ndarray of bool, shape (steps,)

    Returns
    -------
    float
        In the traces' unit; nan where no sample is left.
    """
    return float(np.sqrt(np.mean((a - b)[where] ** 2))) if where.any() else float("nan")


def slope_ratio(currents: np.ndarray, control: np.ndarray, modulated: np.ndarray) -> float:
    """Gain from two f-I curves alone: the ratio of currents that give the same rate.

    Multiplying the input by a gain compresses the curve along the current axis, so that at equal
    rates its slope is the control's times the gain. The ratio of currents at equal rates is fitted
    by a line through the origin.

    Parameters
    ----------
    currents : ndarray, shape (n,)
        In ascending order, any unit.
    control, modulated : ndarray, shape (n,)
        Rates at these currents, any common unit.

    Raises
    ------
    UserError
        When the curves have no rates in common.
    """
    pairs = [(np.asarray(rates), np.asarray(currents)) for rates in (control, modulated)]
    curves = [(rates[rates > 0], at[rates > 0]) for rates, at in pairs]
    if min(len(rates) for rates, _ in curves) < 2:
        raise UserError("A slope ratio needs at least two currents above rheobase on each curve.")
    low, high = max(rates[0] for rates, _ in curves), min(rates[-1] for rates, _ in curves)
    if low >= high:
        raise UserError("A slope ratio needs f-I curves that share a range of rates.")
    at_control, at_modulated = (np.interp(np.linspace(low, high, 50), *curve) for curve in curves)
    return float(at_control @ at_modulated / (at_modulated @ at_modulated))
