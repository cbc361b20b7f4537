"""A receptor's cascade for many sets of parameters at once, as fits need it.

Binding, desensitisation and messenger each relax towards a target, ``dx/dt = rate*(target - x)``.
Every step solves this with its mean rate and a target that moves along a line, which is exact for
constant concentrations and in the limit of fast rates; results with whole and with half steps are
extrapolated to vanishing ones (Richardson 1911, Phil. Trans. R. Soc. A 210:307-357). Concentrations
are in micromolar and times in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import expit

Values = Mapping[str, np.ndarray]
"""Parameters of a receptor by name, each of shape (sets,); K_D and K_B stand for pairs of rates."""
# Steps behind a kink grow from this share of the way to the next, so that every time constant in
# between has some of its length.
STEPS = 120
SHORTEST = 1e-4
# Of a path with many kinks, and the fewest between two of them.
MOST_STEPS, FEWEST = 2000, 6


@dataclass(frozen=True, eq=False)
class Path:
    """A concentration over time in steps, and where between them samples were taken.

    Attributes
    ----------
    times : ndarray, shape (2*pairs + 1,)
        Seconds; steps come in pairs of one length.
    start, end : ndarray, shape (2*pairs, 1)
        Concentration at the start and at the end of each step, which differ from those of its
        neighbours where it jumps.
    before : float
        Concentration in which the receptor has settled at the first time.
    pair : ndarray of int, shape (samples,)
        Pair of steps in which every sample lies.
    weights : ndarray, shape (4, samples, 1)
        Of value and slope at the start and at the end of the pair, in the cubic through them.
    """

    times: np.ndarray
    start: np.ndarray
    end: np.ndarray
    before: float
    pair: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls,
        samples: np.ndarray,
        level: Callable[[np.ndarray], np.ndarray],
        kinks: Sequence[float],
        jumps: bool,
        before: float,
    ) -> Path:
        """A path through samples at times in seconds, shape (samples,), in order.

        Parameters
        ----------
        level : callable
            Concentration at times, shape (n,).
        kinks : sequence of float
            Seconds at which it jumps or bends, in order; the first may precede the samples.
        jumps : bool
            Whether it is constant between kinks, else continuous.
        before : float
            Concentration before the first time.
        """
        whole = _grid(samples, kinks)
        middle = (whole[1:] + whole[:-1]) / 2
        times = np.empty(len(whole) + len(middle))
        times[::2], times[1::2] = whole, middle
        if jumps:
            start = end = level((times[1:] + times[:-1]) / 2)
        else:
            start, end = level(times[:-1]), level(times[1:])
        pair = np.clip(np.searchsorted(whole, samples, "right") - 1, 0, len(middle) - 1)
        length = np.diff(whole)[pair]
        at = (samples - whole[pair]) / length
        # Hermite's cubic.
        weights = np.array(
            [
                (1 + 2 * at) * (1 - at) ** 2,
                at * (1 - at) ** 2 * length,
                at**2 * (3 - 2 * at),
                at**2 * (at - 1) * length,
            ]
        )
        return cls(times, start[:, None], end[:, None], before, pair, weights[:, :, None])

    def messenger(self, values: Values) -> np.ndarray:
        """Messenger level at the samples, shape (samples, sets)."""
        half = _states(np.diff(self.times), self.start, self.end, self.before, values)
        pairs = np.diff(self.times[::2])
        whole = _states(pairs, self.start[::2], self.end[1::2], self.before, values)
        signal, level = ((4 * h[::2] - w) / 3 for h, w in zip(half, whole, strict=True))
        slope = (signal - level) / values["tau_messenger"]
        first, last = self.pair, self.pair + 1
        parts = (level[first], slope[first], level[last], slope[last])
        found = sum(weight * part for weight, part in zip(self.weights, parts, strict=True))
        return np.asarray(np.maximum(found, 0))


def settled(conc: np.ndarray, rival: np.ndarray, values: Values) -> np.ndarray:
    """Steady messenger level at concentrations of ligand and antagonist of shape (n, 1)."""
    dissociation = values["K_D"] * (1 + rival / values["K_B"])
    bound = conc / (conc + dissociation)
    return np.asarray(bound / (1 + values["k_desensitise"] * values["tau_recover"] * bound))


def activation(messenger: np.ndarray, values: Values) -> np.ndarray:
    """Hill function of messenger levels, shape (n, sets)."""
    with np.errstate(divide="ignore"):
        return np.asarray(expit(values["n"] * (np.log(messenger) - np.log(values["K"]))))


def half_effect(values: Values) -> np.ndarray:
    """Concentration of half the greatest steady effect over K_D, shape (sets,)."""
    silencing, n = values["k_desensitise"] * values["tau_recover"], values["n"]
    # Logarithms of the greatest effect, and of the messenger level of half of it.
    greatest = -np.logaddexp(0, n * (np.log(values["K"]) + np.log1p(silencing)))
    messenger = values["K"] * np.exp((greatest - np.log(2 - np.exp(greatest))) / n)
    bound = messenger / (1 - silencing * messenger)
    return np.asarray(bound / (1 - bound))


def _grid(samples: np.ndarray, kinks: Sequence[float]) -> np.ndarray:
    """Ends of steps from the first kink or sample to the last sample."""
    first = min([samples[0], *kinks[:1]])
    inside = [kink for kink in kinks if first < kink < samples[-1]]
    ends = [first, *inside, samples[-1]]
    steps = int(np.clip(MOST_STEPS // len(ends), FEWEST, STEPS))
    share = np.concatenate([[0], np.geomspace(SHORTEST, 1, steps)])
    return np.unique(
        np.concatenate([start + (end - start) * share for start, end in pairwise(ends)])
    )


def _states(
    step: np.ndarray, start: np.ndarray, end: np.ndarray, before: float, values: Values
) -> tuple[np.ndarray, np.ndarray]:
    """Signal of the receptors and messenger at the ends of steps, each of shape (ends, sets)."""
    step = step[:, None]
    k_off, affinity = values["k_off"], values["K_D"]
    bound = _relaxed(
        (1 + (start + end) / 2 / affinity) * k_off * step,
        start / (start + affinity),
        end / (end + affinity),
        before / (before + affinity),
    )
    signal = bound
    if np.any(values["k_desensitise"] > 0):
        rate, recovery = values["k_desensitise"], values["tau_recover"]
        target = 1 / (1 + rate * recovery * bound)
        mean = (bound[1:] + bound[:-1]) / 2
        lasted = (1 / recovery + rate * mean) * step
        signal = bound * _relaxed(lasted, target[:-1], target[1:], target[0])
    lasted = step / values["tau_messenger"]
    return signal, _relaxed(lasted, signal[:-1], signal[1:], signal[0])


def _relaxed(
    lasted: np.ndarray, start: np.ndarray, end: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """What relaxes towards a target that moves from start to end in each step.

    Parameters
    ----------
    lasted : ndarray, shape (steps, sets)
        Steps over time constants.
    start, end : ndarray, shape (steps, sets)
    first : ndarray, shape (sets,)

    Returns
    -------
    ndarray, shape (steps + 1, sets)
    """
    gone = -np.expm1(-lasted)
    kept, added = 1 - gone, start * gone + (end - start) * (1 - gone / lasted)
    added[0] += kept[0] * first
    # Joined in pairs, those in pairs again (Hillis & Steele 1986, Commun. ACM 29:1170-1183).
    reach = 1
    while reach < len(added):
        added[reach:] += kept[reach:] * added[:-reach]
        kept[reach:] = kept[reach:] * kept[:-reach]
        reach *= 2
    return np.concatenate([np.broadcast_to(first, (1, added.shape[1])), added])
