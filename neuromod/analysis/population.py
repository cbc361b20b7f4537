"""What a modulator did to a population of cells, from what is known about each of them.

The unit is the cell: each has its own control curve and its own parameter, and how much these
differ from cell to cell decides how well their mean is known. Trials of several cells in one fit
would count as independent what is not, such as the drift of a cell between two conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student

from neuromod.analysis.identification import (
    CONFIDENCE,
    INPUT,
    MISFIT,
    NONE,
    OTHER,
    UNDECIDED,
    Fit,
    Hypothesis,
    Identification,
    none_or_undecided,
)
from neuromod.errors import UserError

# The difference of Akaike's criteria up to which a model is as good (Burnham & Anderson 2002). The
# spline's own error, which does not average out over cells, stays below it.
AS_GOOD = 2.0


@dataclass(frozen=True, eq=False)
class Mean:
    """A hypothesis's parameter over cells.

    Attributes
    ----------
    hypothesis : Hypothesis
    value : float
        Mean over cells in the hypothesis's unit; of a gain the geometric mean.
    low, high : float
        Its confidence interval at 95 %, by Student's t over cells, of which each counts the same;
        nan where fewer than two entered.
    cells : tuple of str
        Those that entered.
    unbounded : tuple of str
        Those whose data do not bound the parameter, which are left out of the mean.
    """

    hypothesis: Hypothesis
    value: float
    low: float
    high: float
    cells: tuple[str, ...]
    unbounded: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out the value without effect."""
        return self.low > self.hypothesis.neutral or self.high < self.hypothesis.neutral


@dataclass(frozen=True, eq=False)
class Population:
    """What is known about one modulated condition in several cells.

    Attributes
    ----------
    means : tuple of Mean
        Without modulation, then of every effect.
    weights : dict of str to float
        Akaike weight of every hypothesis, from the criteria of all cells added up.
    verdict : str
        A hypothesis's name, ``"other"`` or ``"undecided"``.
    candidates : tuple of str
        The fewest hypotheses whose weights reach 95 %, the likeliest first, and the effects that
        are possible in a cell and as good in the average one.
    """

    means: tuple[Mean, ...]
    weights: dict[str, float]
    verdict: str
    candidates: tuple[str, ...]


def over_cells(found: Mapping[str, Identification], margin: float) -> Population:
    """Name the effect on a population of cells, where they allow it.

    Parameters
    ----------
    found : mapping of str to Identification
        By cell, two at least.
    margin : float
        Relative change of the input gain that counts as none.

    Returns
    -------
    Population
        An effect is named when its weight reaches 95 %, its mean differs from no effect, no other
        effect is as good in the average cell (by Student's t over cells, because the few that
        drifted most rule a sum) unless every cell alone rules it out, and half of the cells at
        least allow it. No modulation is named when the likeliest effect does not differ, or no
        modulation is a candidate, and the interval of the input gain lies within the margin.

    Raises
    ------
    UserError
        With fewer than two cells.
    """
    if len(found) < 2:
        raise UserError(f"A population has two cells at least, not {len(found)}.")
    fits = {
        one[0].hypothesis.name: dict(zip(found, one, strict=True))
        for one in zip(*(each.fits for each in found.values()), strict=True)
    }
    means = {name: _mean(own) for name, own in fits.items()}
    aicc = {name: np.array([fit.aicc for fit in own.values()]) for name, own in fits.items()}
    shares = softmax([-own.sum() / 2 for own in aicc.values()]).tolist()
    weights = dict(zip(fits, shares, strict=True))
    possible = {name for one in found.values() for name in one.candidates}
    candidates = _candidates(weights, aicc, possible)
    verdict = _verdict(candidates, means, list(fits[candidates[0]].values()), margin)
    return Population(tuple(means.values()), weights, verdict, candidates)


def _mean(fits: Mapping[str, Fit]) -> Mean:
    hypothesis = next(iter(fits.values())).hypothesis
    bounded = tuple(cell for cell, fit in fits.items() if fit.grid[0] < fit.value < fit.grid[-1])
    unbounded = tuple(cell for cell in fits if cell not in bounded)
    if not hypothesis.unit or not bounded:
        nan = float("nan")
        return Mean(hypothesis, nan, nan, nan, bounded, unbounded if hypothesis.unit else ())
    values = np.array([fits[cell].value for cell in bounded])
    is_gain = hypothesis.unit == "1"
    ends = _interval(np.log(values) if is_gain else values)
    value, low, high = np.exp(ends) if is_gain else ends
    return Mean(hypothesis, float(value), float(low), float(high), bounded, unbounded)


def _interval(values: np.ndarray) -> np.ndarray:
    """Mean, and its confidence interval by Student's t."""
    count = len(values)
    if count < 2:
        return np.array([values.mean(), np.nan, np.nan])
    error = values.std(ddof=1) / np.sqrt(count)
    reach = float(student.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return np.asarray(values.mean() + np.array([0, -reach, reach]))


def _candidates(
    weights: Mapping[str, float], aicc: Mapping[str, np.ndarray], possible: set[str]
) -> tuple[str, ...]:
    """The likeliest, and what is as good in the average cell and possible in any of them."""
    ranked = sorted(weights, key=weights.__getitem__, reverse=True)
    reached = np.cumsum([weights[name] for name in ranked])
    needed = int(np.searchsorted(reached, CONFIDENCE)) + 1
    best, rest = aicc[ranked[0]], [name for name in ranked[needed:] if name != NONE.name]
    ahead = {name: _interval(aicc[name] - best)[1] > AS_GOOD for name in rest}
    as_good = [name for name in rest if name in possible and not ahead[name]]
    return (*ranked[:needed], *as_good)


def _verdict(
    candidates: tuple[str, ...], means: Mapping[str, Mean], fits: Sequence[Fit], margin: float
) -> str:
    likeliest = means[candidates[0]]
    if NONE.name in candidates or not likeliest.differs:
        gain = means[INPUT.name]
        return none_or_undecided(gain.low, gain.high, margin)
    if np.mean([fit.misfit() < MISFIT for fit in fits]) > 0.5:
        return OTHER
    return likeliest.hypothesis.name if len(candidates) == 1 else UNDECIDED
