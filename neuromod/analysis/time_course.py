"""Time courses of a modulator's effect: measured, and integrated independently of any device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from brian2 import Quantity, second
from scipy.integrate import solve_ivp, trapezoid
from scipy.optimize import curve_fit

from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.models.messenger import Messenger
from neuromod.models.receptive import Receptive

Concentration = Callable[[float], np.ndarray]
# The part of a change that an exponential is fitted to, as rise times are measured.
FITTED = (0.1, 0.9)


@dataclass(frozen=True)
class Response:
    """A transient response.

    Attributes
    ----------
    peak : float
        Greatest deviation from the first value, with its sign, in the unit of the values.
    latency : float
        From the stimulus to the peak, seconds.
    half_decay : float
        From the peak until half of the deviation is left, seconds; nan if that is not recorded.
    area : float
        Integral of the deviation, in the unit of the values times seconds.
    """

    peak: float
    latency: float
    half_decay: float
    area: float


def measure_response(times: np.ndarray, values: np.ndarray) -> Response:
    """Peak, latency, half-decay time and area of a response.

    Parameters
    ----------
    times, values : ndarray, shape (n,)
        Seconds since the stimulus, and values in any unit; the first is the baseline.
    """
    change = values - values[0]
    at = int(np.argmax(np.abs(change)))
    left = np.abs(change[at:]) - np.abs(change[at]) / 2
    over = np.flatnonzero(left <= 0)
    half_decay = float("nan")
    if len(over) and over[0] > 0:
        around = slice(over[0] - 1, over[0] + 1)
        # Interpolated where the difference to one half changes its sign.
        crossing = np.interp(0, left[around][::-1], times[at:][around][::-1])
        half_decay = float(crossing - times[at])
    area = float(trapezoid(change, times))
    return Response(float(change[at]), float(times[at]), half_decay, area)


def time_constant(times: np.ndarray, values: np.ndarray) -> float:
    """Time constant of an exponential fitted to a change.

    Parameters
    ----------
    times, values : ndarray, shape (n,)
        Seconds, and values in any unit from the start of the change to its end, the last.

    Returns
    -------
    float
        Seconds. The exponential is fitted by least squares to the part from 10 to 90 %, so that a
        delayed start does not count. nan where nothing changes, or all of it within fewer than
        three samples.
    """
    whole = values[-1] - values[0]
    if whole == 0:
        return float("nan")
    left = (values[-1] - values) / whole
    first, last = (int(np.argmax(left <= 1 - share)) for share in FITTED)
    if last - first < 3:
        return float("nan")
    since, rest = times[first:last] - times[first], left[first:last]
    guess = max(float(since[-1]), float(times[1] - times[0])) / np.log(9)
    (_, tau), _ = curve_fit(
        lambda t, scale, tau: scale * np.exp(-t / tau),
        since,
        rest,
        p0=(rest[0], guess),
        bounds=((0, guess * 1e-3), (np.inf, np.inf)),
    )
    return float(tau)


def momentary_rates(spikes: Spikes, neuron: int) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints of a neuron's intervals between spikes in seconds, and their inverses in hertz."""
    times = np.asarray(spikes.times / second)[spikes.neurons == neuron]
    return (times[1:] + times[:-1]) / 2, 1 / np.diff(times)


def integrated_gain(
    neuron: Receptive, conc: Concentration, times: Quantity, kinks: Sequence[float] = ()
) -> np.ndarray:
    """Gain under a changing concentration, by SciPy: a reference for what devices simulate.

    The equations of binding, desensitisation, messenger and Hill function are written down here a
    second time, and solved with error control (LSODA, Petzold 1983, SIAM J. Sci. Stat. Comput.
    4:136-148).

    Parameters
    ----------
    conc : callable of float
        Concentration of the neuron's first ligand in mol/m^3 at a time in seconds, shape (n,) for
        n neurons; other ligands are absent.
    times : Quantity, shape (steps,)
        In seconds, in order; nothing is bound at the first.
    kinks : sequence of float
        Seconds at which the concentration has a kink, over which no step may reach.

    Returns
    -------
    ndarray, shape (n, steps)
    """
    gain = np.ones(())
    activations = integrated_activations(neuron, conc, times, kinks)
    for part in neuron.acting:
        gain = gain * (1 + (part.gain_max - 1) * activations[part.name])
    return np.asarray(gain)


def integrated_activations(
    neuron: Receptive, conc: Concentration, times: Quantity, kinks: Sequence[float] = ()
) -> dict[str, np.ndarray]:
    """Activation of all that acts on a neuron, by its name; arguments as for `integrated_gain`."""
    seconds = np.asarray(times / second)
    size, acting, sites = len(conc(seconds[0])), neuron.acting, len(neuron.sites)
    unbound = np.zeros((sites, 3, size))
    unbound[:, 2] = 1
    quiet = [np.full(size, part.basal if isinstance(part, Messenger) else 0.0) for part in acting]
    state = np.concatenate([unbound.ravel(), *quiet])
    solved = _solved(_slopes(neuron, conc), state, seconds, kinks)[3 * sites * size :]
    found = {}
    for part, level in zip(acting, solved.reshape(len(acting), size, -1), strict=True):
        messenger = np.maximum(level, 0) ** part.n
        found[part.name] = messenger / (messenger + part.K**part.n)
    return found


def _slopes(neuron: Receptive, conc: Concentration) -> Callable[[float, np.ndarray], np.ndarray]:
    """Derivatives of the receptors' bound, blocked and available shares, and of messengers."""
    receptors, ligand = neuron.sites, neuron.ligands[0]

    def slopes(time: float, state: np.ndarray) -> np.ndarray:
        level = conc(time)
        rows = state.reshape(-1, len(level))
        found, signals = [], {}
        for receptor, (bound, blocked, available) in zip(
            receptors, rows[: 3 * len(receptors)].reshape(-1, 3, len(level)), strict=True
        ):
            agonist, rival = (float(n == ligand) for n in (receptor.ligand, receptor.antagonist))
            free = 1 - bound - blocked
            silenced = float(receptor.k_desensitise) * bound * available
            found += [
                float(receptor.k_on) * agonist * level * free - float(receptor.k_off) * bound,
                float(receptor.k_on_antagonist) * rival * level * free
                - float(receptor.k_off_antagonist) * blocked,
                (1 - available) / float(receptor.tau_recover) - silenced,
            ]
            signals[receptor.name] = bound * available
        for part, messenger in zip(neuron.acting, rows[3 * len(receptors) :], strict=True):
            driven = part.level(signals) if isinstance(part, Messenger) else signals[part.name]
            found.append((driven - messenger) / float(part.tau_messenger))
        return np.concatenate(found)

    return slopes


def _solved(
    slopes: Callable[[float, np.ndarray], np.ndarray],
    state: np.ndarray,
    times: np.ndarray,
    kinks: Sequence[float],
) -> np.ndarray:
    """States at all times, shape (states, steps)."""
    inside = [kink for kink in sorted(kinks) if times[0] < kink < times[-1]]
    parts = []
    for start, end in pairwise([times[0], *inside, times[-1]]):
        wanted = np.append(times[(times >= start) & (times < end)], end)
        solved = solve_ivp(slopes, (start, end), state, "LSODA", wanted, rtol=1e-8, atol=1e-11)
        if not solved.success:
            raise UserError(
                "The gain over time cannot be integrated: take concentrations and rates nearer to "
                "the defaults."
            )
        parts.append(solved.y[:, :-1])
        state = solved.y[:, -1]
    return np.concatenate([*parts, state[:, np.newaxis]], axis=1)
