"""The level of a command outside of its step, told by what the commands of sweeps share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuromod.electrophysiology.outlines import LEAST_STEP_S, Outline


def baselines(outlines: Sequence[Outline]) -> list[float]:
    """Level of every command outside of its step, nan where nothing tells it from the step.

    It is where a command is for most of the time in which the commands hardly differ. Where they
    never differ it is the level that most of them share, or the one to which a command returns.
    """
    settled = [o for o in outlines if not o.problem]
    quiet = _quiet(settled)
    if len(quiet):
        held = [np.nan if o.problem else _held(o, quiet) for o in outlines]
        return _alike(held, outlines)
    first = [np.nan if o.problem else _baseline(o, settled) for o in outlines]
    known = np.array([level for level in first if np.isfinite(level)])
    return [
        _of_the_others(o, known) if np.isnan(level) and not o.problem else level
        for o, level in zip(outlines, first, strict=True)
    ]


def _quiet(outlines: Sequence[Outline]) -> np.ndarray:
    """Times, from and to, at which commands differ far less than they do during their steps."""
    if len(outlines) < 3:
        return np.empty((0, 2))
    bounds = np.unique(np.concatenate([np.append(o.first, o.last) / o.sampling for o in outlines]))
    middle = (bounds[:-1] + bounds[1:]) / 2
    levels = np.array([_level_at(o, middle) for o in outlines])
    covered = np.mean(np.isfinite(levels), axis=0) > 0.5
    spread = np.subtract(*np.nanquantile(levels[:, covered], [0.75, 0.25], axis=0))
    tolerance = float(np.median([o.tolerance for o in outlines]))
    if not np.any(covered) or spread.max() <= 2 * tolerance:
        return np.empty((0, 2))
    alike = spread <= max(tolerance, spread.max() / 4)
    return np.asarray(np.stack([bounds[:-1], bounds[1:]], axis=1)[covered][alike])


def _alike(held: Sequence[float], outlines: Sequence[Outline]) -> list[float]:
    """The same levels, without those so far from the usual one that they may be steps."""
    usual = float(np.nanmedian(held))
    steps = [np.ptp(o.level) for o in outlines if len(o.level) > 1]
    near = float(np.median(steps)) / 4 if steps else 0.0
    return [
        level if o.problem or len(o.level) == 1 or abs(level - usual) <= near else np.nan
        for level, o in zip(held, outlines, strict=True)
    ]


def _level_at(one: Outline, times: np.ndarray) -> np.ndarray:
    piece = np.searchsorted(one.first / one.sampling, times, side="right") - 1
    inside = (piece >= 0) & (times < one.last[piece] / one.sampling)
    return np.where(inside, one.level[piece], np.nan)


def _held(one: Outline, quiet: np.ndarray) -> float:
    """The level that a command begins and ends with, or has for most of some times.

    It is nan where two levels come close.
    """
    levels = _different(one)
    ends = one.level[[0, -1]]
    if len(levels) > 1 and np.ptp(ends) <= one.tolerance and _is_quiet(one, quiet):
        return float(levels[np.argmin(np.abs(levels - ends[0]))])
    first, last = one.first[:, None] / one.sampling, one.last[:, None] / one.sampling
    common = np.minimum(last, quiet[:, 1]) - np.maximum(first, quiet[:, 0])
    spent = np.maximum(common, 0).sum(axis=1)
    time = np.array([spent[one.at(level)].sum() for level in levels])
    best = int(np.argmax(time))
    clear = np.all(np.delete(time, best) < 0.8 * time[best])
    return float(levels[best]) if clear and time[best] > 0 else np.nan


def _is_quiet(one: Outline, quiet: np.ndarray) -> bool:
    """Whether commands hardly differ at the beginning and at the end of one."""
    ends = (one.first[0] + 0.5) / one.sampling, (one.last[-1] - 0.5) / one.sampling
    return all(bool(np.any((quiet[:, 0] <= end) & (end < quiet[:, 1]))) for end in ends)


def _of_the_others(one: Outline, known: np.ndarray) -> float:
    """The one level of a command that is the baseline of another."""
    shared = [level for level in _different(one) if np.any(np.abs(known - level) <= one.tolerance)]
    return float(shared[0]) if len(shared) == 1 else np.nan


def _baseline(one: Outline, others: Sequence[Outline]) -> float:
    levels = _different(one)
    shared = np.array([sum(bool(np.any(o.at(level))) for o in others) for level in levels])
    returns = np.array([np.count_nonzero(one.at(level)) for level in levels])
    common = shared == shared.max()
    if 2 * shared.max() <= len(others) or len(others) == 1:
        common = returns == returns.max() if returns.max() > 1 else np.ones(len(levels), bool)
    if np.count_nonzero(common) > 1:
        common &= returns == returns[common].max()
    if np.count_nonzero(common) > 1:
        # A pulse too short for a step is none of the candidates.
        common &= [one.seconds[one.at(level)].sum() >= LEAST_STEP_S for level in levels]
    return float(levels[common][0]) if np.count_nonzero(common) == 1 else np.nan


def _different(one: Outline) -> np.ndarray:
    """Levels of a command, each once."""
    found: list[float] = []
    for level in one.level:
        if all(abs(level - other) > one.tolerance for other in found):
            found.append(float(np.median(one.level[one.at(level)])))
    return np.array(found)
