"""What a cell does under steps of current, measured from its membrane and its spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from brian2 import Hz, Quantity, mV, second

from neuromod.analysis.spike_trains import steady_rates
from neuromod.experiment import Spikes

# Chosen here: the part of a baseline in which the membrane is taken to rest.
RESTING = 0.2
# Chosen here: time steps round intervals, so that a rising curve may fall by less than this share.
ROUNDING = 0.02


@dataclass(frozen=True, eq=False)
class StepResponse:
    """Responses of cells to one step of current each.

    Attributes
    ----------
    rest : Quantity, shape (n,)
        Mean potential at the end of the baseline, volt.
    latency : Quantity, shape (n,)
        From the step's start to the first spike, second; nan without one.
    rate : Quantity, shape (n,)
        In the second half of the step, hertz; 0 with fewer than two spikes there.
    adaptation : ndarray, shape (n,)
        Mean of the difference of successive intervals over their sum; 0 for a regular train, nan
        with fewer than three spikes. As the Allen Cell Types Database defines its index.
    ahp : Quantity, shape (n,)
        How far the potential falls below rest after the step, volt; 0 where it does not.
    """

    rest: Quantity
    latency: Quantity
    rate: Quantity
    adaptation: np.ndarray
    ahp: Quantity


def step_responses(
    potential: Quantity, times: Quantity, spikes: Spikes, onset: Quantity, offset: Quantity
) -> StepResponse:
    """Measure steps of current from `onset` to `offset`.

    Parameters
    ----------
    potential : Quantity, shape (n, samples)
        Membrane potentials, volt.
    times : Quantity, shape (samples,)
        Of the samples, seconds; from before the step to after it.
    spikes : Spikes
        Of the same cells.
    onset, offset : Quantity
        In seconds.
    """
    v, at = np.asarray(potential / mV), np.asarray(times / second)
    start, stop = float(onset / second), float(offset / second)
    rest = v[:, (at >= (1 - RESTING) * start) & (at < start)].mean(axis=1)
    after = v[:, at >= stop].min(axis=1)
    inside = (spikes.times >= onset) & (spikes.times < offset)
    half = inside & (spikes.times >= (onset + offset) / 2)
    late = Spikes(spikes.name, spikes.size, spikes.neurons[half], spikes.times[half])
    each = [
        np.asarray(spikes.times[inside & (spikes.neurons == n)] / second) - start
        for n in range(spikes.size)
    ]
    return StepResponse(
        rest * mV,
        np.array([train[0] if len(train) else np.nan for train in each]) * second,
        steady_rates(late),
        np.array([_adaptation(train) for train in each]),
        np.maximum(rest - after, 0) * mV,
    )


def rheobase(current: Quantity, fired: np.ndarray) -> Quantity:
    """Middle between the strongest current below all that fired and the weakest that fired.

    Parameters
    ----------
    current : Quantity, shape (n,)
        In ascending order, ampere.
    fired : ndarray of bool, shape (n,)

    Returns
    -------
    Quantity
        In ampere; nan where none fired, or the weakest did.
    """
    plain = np.asarray(current)
    first = int(np.argmax(fired)) if np.any(fired) else 0
    middle = (plain[first - 1] + plain[first]) / 2 if first else np.nan
    return Quantity(middle, dim=current.dim)


def frequency_slope(current: Quantity, rate: Quantity) -> Quantity:
    """Slope of the f-I curve over the currents that fire, hertz per ampere; nan below three."""
    firing = np.asarray(rate / Hz) > 0
    dim = (rate / current).dim
    if np.count_nonzero(firing) < 3:
        return Quantity(np.nan, dim=dim)
    line = scipy.stats.linregress(np.asarray(current)[firing], np.asarray(rate)[firing])
    return Quantity(line.slope, dim=dim)


def equivalent_gain(
    current: Quantity, rate: Quantity, control_current: Quantity, control_rate: Quantity
) -> np.ndarray:
    """Gain on the current at which a cell without modulation fires as one with it.

    Parameters
    ----------
    current, rate : Quantity, shape (n,)
        Of the modulated cells, ampere and hertz.
    control_current, control_rate : Quantity, shape (m,)
        f-I curve without modulation, in ascending order of current.

    Returns
    -------
    ndarray, shape (n,)
        Control current of the same rate over the current, by straight lines between the points of
        the curve up to where it falls again; nan for silent cells, and for rates that it does not
        reach. It is the gain where modulation scales the current, and depends on the current where
        it does something else.
    """
    # Around rheobase the phase of a train decides whether a window holds the two spikes of a rate.
    firing = np.asarray(control_rate / Hz) > 0
    at, rates = np.asarray(control_current)[firing], np.asarray(control_rate / Hz)[firing]
    found = np.full(len(current), np.nan)
    if not len(at):
        return found
    rising = np.maximum.accumulate(rates)
    falls = np.flatnonzero(rates < (1 - ROUNDING) * rising)
    rising = rising[: falls[0] if len(falls) else None]
    wanted = np.asarray(rate / Hz)
    reached = (wanted >= rising[0]) & (wanted <= rising[-1])
    equal = np.interp(wanted[reached], rising, at[: len(rising)])
    found[reached] = equal / np.asarray(current)[reached]
    return found


def _adaptation(train: np.ndarray) -> float:
    intervals = np.diff(train)
    if len(intervals) < 2:
        return float("nan")
    # Rounded, because times of a regular train differ in their last digits.
    return round(float(np.mean(np.diff(intervals) / (intervals[1:] + intervals[:-1]))), 12)
