"""A command as pieces of constant level; what is none is told by what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.tree import DecisionTreeRegressor

# Chosen here: shorter steps give no rate; smaller differences of commands (pA) are none; the edges
# of a recorded command last no longer; steps with test pulses have far fewer constant pieces.
LEAST_STEP_S = 0.05
RESOLUTION_PA = 0.1
EDGE_S = 0.01
MOST_PIECES = 200
BLOCK_S = 0.02
CHANGING = "changes all the time (a sinusoid, noise or pulses) and is not a constant step"


@dataclass(frozen=True, eq=False)
class Outline:
    """A command as pieces of constant level, in picoampere and samples."""

    first: np.ndarray
    last: np.ndarray
    level: np.ndarray
    sampling: float
    noise: float
    problem: str = ""

    @property
    def tolerance(self) -> float:
        """Difference up to which levels are the same."""
        return RESOLUTION_PA + 2 * self.noise

    @property
    def seconds(self) -> np.ndarray:
        """Length of every piece."""
        return np.asarray((self.last - self.first) / self.sampling)

    def at(self, level: float) -> np.ndarray:
        """Which pieces are at a level."""
        return np.asarray(np.abs(self.level - level) <= self.tolerance)


@dataclass(frozen=True)
class Stretch:
    """Samples off the baseline and their level, picoampere from the baseline."""

    first: int
    last: int
    level: float
    # Whether the command returns to the baseline between its ends or has further levels.
    constant: bool


def outline(command: np.ndarray, sampling: float) -> Outline:
    """Constant pieces of a command in nanoampere, found under its noise.

    A regression tree over time cuts where levels change: exactly there in a command without
    noise. What changes too often, or within its pieces, is no sequence of constant levels.
    """
    known = np.flatnonzero(np.isfinite(command))
    values = command[known] * 1e3
    if len(values) < 2:
        return _none(sampling, "its command is not known")
    noise = _noise(values, sampling)
    cuts = _cuts(values, sampling, noise)
    changing = _changing(values, cuts, sampling, noise)
    if changing:
        return _none(sampling, changing)
    kept = _joined(values, cuts, RESOLUTION_PA + 2 * noise)
    if _lost(values, cuts, kept, sampling, noise):
        return _none(sampling, "the steps of its command are lost in the command's noise")
    kept = _without_edges(values, kept, sampling, RESOLUTION_PA + 2 * noise)
    pieces = np.split(values, kept)
    if _uneven(pieces, sampling, noise):
        return _none(sampling, f"its command {CHANGING}")
    level = np.array([np.median(piece) for piece in pieces])
    ends = known[np.append(kept, len(values)) - 1] + 1
    return Outline(known[np.append(0, kept)], ends, level, sampling, noise)


def _none(sampling: float, problem: str) -> Outline:
    nothing = np.array([])
    return Outline(nothing, nothing, nothing, sampling, 0.0, problem)


def _cuts(values: np.ndarray, sampling: float, noise: float) -> np.ndarray:
    """Where levels change; what differs less than the noise does for a step's time is none."""
    starts = np.append(0, np.flatnonzero(np.diff(values)) + 1)
    lengths = np.diff(np.append(starts, len(values)))
    worth = max(noise, RESOLUTION_PA) ** 2 * LEAST_STEP_S * sampling / len(values)
    tree = DecisionTreeRegressor(max_leaf_nodes=MOST_PIECES, min_impurity_decrease=worth)
    time = starts[:, None].astype(np.float32)
    leaves = tree.fit(time, values[starts], sample_weight=lengths).apply(time)
    return np.asarray(starts[1:][np.diff(leaves) != 0])


def _changing(values: np.ndarray, cuts: np.ndarray, sampling: float, noise: float) -> str:
    """What a command with too many levels is, empty when it has few."""
    levels = _means(values, cuts)
    rises, falls = (
        _lasting(sign * np.diff(levels) > RESOLUTION_PA + 2 * noise, cuts, sampling)
        for sign in (1, -1)
    )
    if rises != falls:
        return "its command is a ramp, not a constant step"
    return f"its command {CHANGING}" if rises or len(levels) >= MOST_PIECES else ""


def _lasting(way: np.ndarray, cuts: np.ndarray, sampling: float) -> bool:
    """Whether levels change one way eight times in a row, without rest and longer than an edge."""
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], way.astype(int), [0]])))
    runs = [cuts[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True) if b - a >= 8]
    return any(
        (length := run[-1] - run[0]) > 4 * EDGE_S * sampling and 2 * np.diff(run).max() < length
        for run in runs
    )


def _uneven(pieces: Sequence[np.ndarray], sampling: float, noise: float) -> bool:
    """Whether one piece fluctuates more than another, as pulses and noise on a baseline do."""
    edge = round(EDGE_S * sampling)
    inner = [piece[edge:-edge] for piece in pieces if len(piece) >= 4 * max(edge, 4)]
    spread = np.array([piece.std() for piece in inner] or [0.0])
    return bool(spread.max() > 3 * min(noise, spread.min()) + RESOLUTION_PA)


def _noise(values: np.ndarray, sampling: float) -> float:
    """Standard deviation in the quieter blocks, which hold no edges."""
    size = max(4, round(BLOCK_S * sampling))
    if len(values) < 2 * size:
        return 0.0
    blocks = values[: len(values) // size * size].reshape(-1, size)
    quiet = float(np.quantile(blocks.std(axis=1, ddof=1), 0.25))
    return 0.0 if quiet < RESOLUTION_PA / 10 else quiet


def _means(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    starts = np.append(0, cuts)
    return np.asarray(np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values))))


def _joined(values: np.ndarray, cuts: np.ndarray, tolerance: float) -> np.ndarray:
    """Cuts without those between levels that are the same."""
    while len(cuts):
        differences = np.abs(np.diff(_means(values, cuts)))
        least = int(np.argmin(differences))
        if differences[least] > tolerance:
            break
        cuts = np.delete(cuts, least)
    return cuts


def _lost(
    values: np.ndarray, cuts: np.ndarray, kept: np.ndarray, sampling: float, noise: float
) -> bool:
    """Whether pieces as long as a step were joined although they differ."""
    starts, ends = np.append(0, cuts), np.append(cuts, len(values))
    long = (ends - starts) / sampling >= LEAST_STEP_S
    levels, owner = _means(values, cuts)[long], np.searchsorted(kept, starts[long], side="right")
    spans = [np.ptp(levels[owner == piece]) for piece in np.unique(owner)]
    return bool(spans and max(spans) > RESOLUTION_PA + 0.3 * noise)


def _without_edges(
    values: np.ndarray, cuts: np.ndarray, sampling: float, tolerance: float
) -> np.ndarray:
    """Cuts in which the rise or fall between two levels belongs to the nearer of them."""
    starts, ends = np.append(0, cuts), np.append(cuts, len(values))
    levels, long = _means(values, cuts), (ends - starts) / sampling >= EDGE_S
    held = np.flatnonzero(long)
    kept = list(cuts)
    for before, after in pairwise(held):
        between = np.arange(before + 1, after)
        edge = abs(levels[after] - levels[before])
        distance = np.abs(levels[between][:, None] - levels[[before, after]])
        near = distance.min(axis=1) if len(between) else distance
        short = starts[after] - ends[before] < EDGE_S * sampling
        if not len(between) or not short or edge <= tolerance or np.any(near > edge / 2):
            continue
        later = between[distance.argmin(axis=1) == 1]
        middle = starts[later[0]] if len(later) else starts[after]
        kept = [cut for cut in kept if not ends[before] <= cut <= starts[after]] + [middle]
    return np.array(sorted(kept), int)


def stretches(one: Outline, baseline: float) -> list[Stretch]:
    """Where a command is off its baseline."""
    off = ~one.at(baseline)
    starts = np.flatnonzero(np.diff(np.append(False, off).astype(int)) == 1)
    ends = np.flatnonzero(np.diff(np.append(off, False).astype(int)) == -1) + 1
    return [_stretch(one, baseline, slice(a, b)) for a, b in zip(starts, ends, strict=True)]


def _stretch(one: Outline, baseline: float, pieces: slice) -> Stretch:
    seconds, levels = one.seconds[pieces], one.level[pieces]
    level = levels[np.argmax(seconds)]
    other = np.abs(levels - level) > one.tolerance
    # Glitches of a recorded command, as those that spikes leave in it, do not make a level.
    glitch = (seconds < EDGE_S) & (np.abs(levels - level) <= abs(level - baseline) / 2)
    constant = not np.any(other & ~glitch) and seconds[other].sum() <= 0.05 * seconds.sum()
    first, last = int(one.first[pieces][0]), int(one.last[pieces][-1])
    return Stretch(first, last, float(level - baseline), bool(constant))
