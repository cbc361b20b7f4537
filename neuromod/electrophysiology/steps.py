"""Steps of the sweeps of one electrode, told by what their commands have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neuromod.electrophysiology.baselines import baselines
from neuromod.electrophysiology.outlines import (
    EDGE_S,
    LEAST_STEP_S,
    RESOLUTION_PA,
    Outline,
    Stretch,
    outline,
    stretches,
)

# Chosen here: no experiment on a neuron uses only smaller steps, or larger ones (pA), which tells
# factors of 1000 too few or too many; pulses of one kind start and end within this time of each
# other (s); currents differ by more than this share of the usual gap.
LEAST_STEP_PA, MOST_STEP_PA = 1.0, 1e5
SAME_SHARE = 0.1
SAME_TIME_S = 0.002


@dataclass(frozen=True)
class Found:
    """The step of a sweep: samples, and currents in nanoampere; or why there is none."""

    first: int = 0
    last: int = 0
    baseline: float = np.nan
    current: float = np.nan
    problem: str = ""


@dataclass(frozen=True, eq=False)
class _Shape:
    """A command with its baseline, where it is off it, and the longest stretch there."""

    outline: Outline
    baseline: float
    off: list[Stretch]
    problem: str = ""

    @property
    def main(self) -> Stretch:
        return max(self.off, key=lambda stretch: stretch.last - stretch.first)

    @property
    def seconds(self) -> float:
        return self.time(self.main)[1]

    def time(self, stretch: Stretch) -> tuple[float, float]:
        """Start and length, second."""
        sampling = self.outline.sampling
        return stretch.first / sampling, (stretch.last - stretch.first) / sampling

    @property
    def pulses(self) -> list[Stretch]:
        return [stretch for stretch in self.off if stretch is not self.main]


def find_steps(
    commands: Sequence[np.ndarray], samplings: Sequence[float], conditions: Sequence[str]
) -> list[Found]:
    """Steps of the sweeps of one electrode.

    Parameters
    ----------
    commands : sequence of array
        Currents in nanoampere, nan where not known.
    samplings : sequence of float
        Samples in a second.
    conditions : sequence of str
        Conditions, each with a holding current of its own.

    Returns
    -------
    list of Found
        One for each command. A command that stays at the baseline is a step of 0 in the usual
        window. Currents count from the baseline; equal ones are equal in spite of their noise.
    """
    outlines = [outline(*pair) for pair in zip(commands, samplings, strict=True)]
    base = np.full(len(outlines), np.nan)
    for condition in dict.fromkeys(conditions):
        same = [i for i, other in enumerate(conditions) if other == condition]
        base[same] = baselines([outlines[i] for i in same])
    shapes = _without_test_pulses([_shape(*pair) for pair in zip(outlines, base, strict=True)])
    shapes = [replace(shape, problem=shape.problem or _several(shape)) for shape in shapes]
    stepped = [i for i, shape in enumerate(shapes) if not shape.problem and shape.off]
    if not stepped:
        reason = f"no sweep of its electrode has a step of at least {1e3 * LEAST_STEP_S:g} ms"
        return [Found(problem=shape.problem or reason) for shape in shapes]
    start, usual = _usual([shapes[i] for i in stepped])
    stepped = [i for i in stepped if 2 * shapes[i].seconds >= usual]
    found = []
    for i, shape in enumerate(shapes):
        if i in stepped:
            window, problem = (shape.main.first, shape.main.last), ""
        else:
            sampling = samplings[i]
            window = round(start * sampling), round((start + usual) * sampling)
            alike = [k for k in stepped if conditions[k] == conditions[i]] or stepped
            problem = _no_step(shape, [shapes[k] for k in stepped], [shapes[k] for k in alike])
        problem = problem or _out_of_scale(shape, [shapes[k] for k in stepped])
        window = window[0], min(window[1], len(commands[i]))
        found.append(_measured(commands[i], shape, window, problem))
    return _equal(found, [shape.outline.noise for shape in shapes])


def _shape(one: Outline, baseline: float) -> _Shape:
    if one.problem or not np.isfinite(baseline):
        reason = "nothing tells the step of its command from its baseline"
        return _Shape(one, baseline, [], one.problem or reason)
    return _Shape(one, baseline, stretches(one, baseline))


def _without_test_pulses(shapes: Sequence[_Shape]) -> list[_Shape]:
    """Shapes without the pulses that every sweep has, if most sweeps have a step besides."""
    known = [shape for shape in shapes if not shape.problem]
    if not known:
        return list(shapes)
    first = known[0]
    tests = [
        (first.time(pulse), pulse.level)
        for pulse in first.off
        if all(_has(shape, first.time(pulse), pulse.level) for shape in known)
    ]
    least = [
        replace(
            shape,
            off=[
                pulse for pulse in shape.off if not any(_is(shape, pulse, *test) for test in tests)
            ],
        )
        for shape in shapes
    ]
    stepped = sum(bool(shape.off) for shape in least if not shape.problem)
    return least if 2 * stepped > len(known) else list(shapes)


def _has(shape: _Shape, time: tuple[float, float], level: float) -> bool:
    return any(_is(shape, pulse, time, level) for pulse in shape.off)


def _is(shape: _Shape, pulse: Stretch, time: tuple[float, float], level: float) -> bool:
    """Whether a pulse has a start, a length and a level."""
    near = (SAME_TIME_S, SAME_TIME_S, shape.outline.tolerance)
    off = np.subtract((*shape.time(pulse), pulse.level), (*time, level))
    return bool(np.all(np.abs(off) <= near))


def _several(shape: _Shape) -> str:
    """Why a command that leaves its baseline is not one constant step, empty if it is."""
    if not shape.off:
        return ""
    long = [s for s in shape.off if 2 * shape.time(s)[1] > shape.seconds]
    if len(long) > 1:
        return f"its command is {len(long)} pulses, not one step"
    if not shape.main.constant:
        return "its command has several levels (a staircase), not one constant step"
    if shape.seconds < LEAST_STEP_S:
        return f"its command is a pulse of {1e3 * shape.seconds:.3g} ms, too short for a rate"
    return ""


def _usual(shapes: Sequence[_Shape]) -> tuple[float, float]:
    """Start and length of the step that most of the time is spent in."""
    lengths = np.array([shape.seconds for shape in shapes])
    order = np.argsort(lengths)
    spent = np.cumsum(lengths[order])
    usual = float(lengths[order][np.searchsorted(spent, spent[-1] / 2)])
    starts = [s.time(s.main)[0] for s in shapes if 2 * s.seconds >= usual]
    return float(np.median(starts)), usual


def _no_step(shape: _Shape, stepped: Sequence[_Shape], alike: Sequence[_Shape]) -> str:
    """Why a command without a step is no step of 0 either, empty if it is one.

    Its pulses are test pulses, which do not count, when sweeps with a step have them too.
    """
    if shape.outline.problem or not np.isfinite(shape.baseline):
        return shape.problem
    known = [(s.time(pulse), pulse.level) for s in stepped for pulse in s.pulses]
    for pulse in shape.off:
        if not any(_is(shape, pulse, *other) for other in known):
            step = f"its step of {shape.seconds:.3g} s is much shorter than the others'"
            return shape.problem or step
    distance = min(abs(shape.baseline - other.baseline) for other in alike)
    if distance > max(shape.outline.tolerance, *(other.outline.tolerance for other in alike)):
        level = shape.baseline / 1e3
        return f"its command stays at {level:.4g} nA, which is not the others' baseline"
    noise = float(np.median([other.outline.noise for other in stepped]))
    if shape.outline.noise > 3 * noise + RESOLUTION_PA:
        return "its command fluctuates more than the others'"
    return ""


def _out_of_scale(shape: _Shape, stepped: Sequence[_Shape]) -> str:
    """What the largest step tells about the unit and the noise."""
    largest = max(abs(other.main.level) for other in stepped)
    if largest > MOST_STEP_PA:
        return f"the largest step is {largest / 1e3:.3g} nA: is it in pA, with a factor for A?"
    if largest < LEAST_STEP_PA:
        return f"the largest step is {largest:.2g} pA: is it in nA, with a factor for pA?"
    if 2 * shape.outline.noise > largest:
        return "the noise of its command is as large as the steps"
    return ""


def _measured(command: np.ndarray, shape: _Shape, window: tuple[int, int], problem: str) -> Found:
    """Currents in the window and outside of it, without the edges."""
    first, last = window
    one, edge = shape.outline, round(EDGE_S * shape.outline.sampling)
    inside = command[first + edge : last - edge]
    if problem or not np.any(np.isfinite(inside)):
        return Found(problem=problem or "it is shorter than the others' step")
    outside = np.zeros(len(command), bool)
    for a, b in zip(one.first, one.last, strict=True):
        trimmed = edge if b - a > 4 * edge else 0
        level = np.nanmedian(command[a:b]) * 1e3
        outside[a + trimmed : b - trimmed] = abs(level - shape.baseline) <= one.tolerance
    if one.noise and np.count_nonzero(outside) < 2 * edge:
        return Found(problem="its baseline is too short for the noise of its command")
    apart = outside.copy()
    apart[max(first - edge, 0) : last + edge] = False
    baseline = float(np.nanmean(command[apart if np.any(apart) else outside]))
    return Found(first, last, baseline, float(np.nanmean(inside)) - baseline)


def _equal(found: Sequence[Found], noises: Sequence[float]) -> list[Found]:
    """Steps whose currents are the same but for the noise of their commands get their mean."""
    used = [i for i, one in enumerate(found) if not one.problem]
    current = np.array([found[i].current for i in used])
    order = np.argsort(current)
    gaps = np.diff(current[order])
    noise = max((noises[i] for i in used), default=0.0)
    samples = min((found[i].last - found[i].first for i in used), default=1)
    near = RESOLUTION_PA + 6 * noise / np.sqrt(samples)
    wide = 1e3 * gaps[gaps > near / 1e3]
    near += min(2 * noise, SAME_SHARE * float(np.quantile(wide, 0.75))) if len(wide) else 0
    group = np.append(0, np.cumsum(gaps > near / 1e3))
    equal = list(found)
    for number in np.unique(group) if used else []:
        members = order[group == number]
        mean = round(float(current[members].mean()), 6)
        for member in members:
            one = found[used[member]]
            equal[used[member]] = replace(one, baseline=round(one.baseline, 6), current=mean)
    return equal
