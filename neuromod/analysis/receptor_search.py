"""The search behind `fit_receptor`: least squares, profiles, and what the data leave open.

The search is in logarithms, and offsets and scales of responses are solved for at every step
(variable projection; Golub & Pereyra 1973, SIAM J. Numer. Anal. 10:413-432). Concentrations are in
micromolar and times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.stats import t as student

from neuromod.analysis.cascade import Path, activation, half_effect, settled
from neuromod.analysis.hill_family import CONFIDENCE
from neuromod.analysis.receptor_data import GAIN
from neuromod.errors import UserError, listed

NAMES = (
    *("k_on", "k_off", "K_D", "ec50", "tau_messenger", "n", "K", "gain_max"),
    *("k_desensitise", "tau_recover", "K_B"),
)
"""All parameters; K_D, ec50 and K_B stand for rates."""
# Pairs of parameters from which the others of binding follow, the one to prefer first.
PAIRS = (
    *(("ec50", "k_off"), ("K_D", "k_off"), ("ec50", "k_on"), ("K_D", "k_on"), ("k_on", "k_off")),
)
OTHERS = ("tau_messenger", "n", "K", "k_desensitise", "tau_recover", "K_B")
# What is held first where several parameters are open because each can stand in for another: K,
# which stands for receptor reserve, and what dose-response curves and time courses show least.
HELD_FIRST = (
    *("tau_recover", "K", "k_desensitise", "n", "tau_messenger", "k_off", "gain_max", "K_B"),
    *("ec50", "K_D", "k_on"),
)
# Factors beyond which a parameter is not sought and its interval is open: from the start, and for
# concentrations from the doses.
FAR = {"n": 20.0, "K": 1e3}
FARTHEST, BEYOND_DOSES = 1e5, 1e3
HIGHEST_GAIN = 1e3
# Factors on the start at which minima are sought.
TRIED = dict.fromkeys(("k_off", "k_on", "tau_messenger", "k_desensitise"), (0.1, 1.0, 10.0))
TRIED |= {"n": (0.6, 1.2, 2.4), "K_B": (0.1, 1.0, 10.0)}
DOSES_TRIED, MINIMA = 5, 5
# Step of derivatives by logarithms, and what counts as none, of responses with a span of 1.
NUDGE, FLAT = 1e-6, 1e-6
# First and longest step of a profile, in natural logarithms, and how exact its ends are.
STEP, STRIDE, CLOSE = 0.1, 2.0, 1e-4
# Relative step at which a search along a profile ends.
ROUGH = 1e-6
# A parameter stands in for another if it changes by this factor along the other's profile.
STANDS_IN = 3.0
# Rounds in which read-outs are weighted by what they scatter.
ROUNDS = 4
# What integration leaves of the residuals of a perfect fit, of responses with a span of 1.
ROUNDING = 1e-7

Values = dict[str, float]
Sets = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Problem:
    """Points of all data, and how their responses follow from parameters.

    Attributes
    ----------
    steady : ndarray of bool, shape (points,)
        Whether a point is no part of a time course.
    conc, rival : ndarray, shape (points, 1)
        Concentrations of ligand and antagonist.
    paths : tuple of (ndarray of int, Path)
        Points of every time course.
    doses : ndarray, shape (m,)
        Concentrations above 0, of time courses the highest.
    response, weights : ndarray, shape (points,)
    readouts : dict of str to ndarray of int
        Points of every read-out.
    """

    steady: np.ndarray
    conc: np.ndarray
    rival: np.ndarray
    paths: tuple[tuple[np.ndarray, Path], ...]
    doses: np.ndarray
    response: np.ndarray
    weights: np.ndarray
    readouts: dict[str, np.ndarray]

    @property
    def coefficients(self) -> int:
        """Offsets and scales that are solved for, those of gains left out."""
        return 2 * sum(name != GAIN for name in self.readouts)

    def activation(self, sets: Sets) -> np.ndarray:
        """Of every point, shape (points, sets)."""
        messenger = np.empty((len(self.response), len(sets["n"])))
        here = self.steady
        messenger[here] = settled(self.conc[here], self.rival[here], sets)
        for rows, path in self.paths:
            messenger[rows] = path.messenger(sets)
        return activation(messenger, sets)

    def solved(self, sets: Sets, held_gain: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Weighted residuals, shape (points, sets), and best offset and scale of every read-out.

        Parameters
        ----------
        sets : dict
        held_gain : bool
            Whether ``gain_max`` is that of the sets.
        """
        active = self.activation(sets)
        residuals, ends = np.empty_like(active), {}
        for name, rows in self.readouts.items():
            a, y, w = active[rows], self.response[rows, None], self.weights[rows, None]
            # A gain without modulator is 1.
            around_a, around_y = (
                (0.0, 1.0) if name == GAIN else (np.sum(w * x, axis=0) / np.sum(w) for x in (a, y))
            )
            spread = np.sum(w * (a - around_a) ** 2, axis=0)
            along = np.sum(w * (a - around_a) * (y - around_y), axis=0)
            scale = np.divide(along, spread, where=spread > 0, out=np.zeros_like(spread))
            if name == GAIN:
                # No gain is negative.
                scale = np.clip(scale, -1, HIGHEST_GAIN)
                scale = sets["gain_max"] - 1 if held_gain else scale
            offset = around_y - scale * around_a
            residuals[rows] = np.sqrt(w) * (y - offset - scale * a)
            ends[name] = np.array([np.broadcast_to(offset, scale.shape), scale])
        return residuals, ends


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the sum of squares is least: parameters, the sum, residuals, offsets and scales."""

    values: Values
    squares: float
    residuals: np.ndarray
    ends: dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Profile:
    """Interval of a parameter, and the minima at its limits where it is open."""

    low: float
    high: float
    open_at: tuple[Minimum, ...] = ()


@dataclass(frozen=True, eq=False)
class Held:
    """Why a parameter is held, its interval, and the parameters that can stand in for it."""

    why: str
    profile: Profile
    stand_ins: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Search:
    """Least squares with some parameters held.

    Attributes
    ----------
    problem : Problem
    start : dict of str to float
        All parameters.
    held : frozenset of str
    minima : tuple of Minimum
        That were found, the best first.
    profiles : dict of str to Profile
        That are known already.
    """

    problem: Problem
    start: Values
    held: frozenset[str]
    minima: tuple[Minimum, ...] = ()
    profiles: dict[str, Profile] = field(default_factory=dict)

    @property
    def best(self) -> Minimum:
        """The lowest minimum."""
        return self.minima[0]

    @property
    def free(self) -> list[str]:
        """Logarithms that are searched."""
        return [name for name in (*_pair(self.held), *OTHERS) if name not in self.held]

    @property
    def loose(self) -> list[str]:
        """What is fitted, that to be held first at the front."""
        return [
            name
            for name in HELD_FIRST
            if name in (*self.free, "gain_max") and name not in self.held
        ]

    @property
    def reported(self) -> list[str]:
        """What is fitted, and what follows from it and has an interval of its own."""
        return [name for name in NAMES if name not in self.held and _pair(self.held | {name})]

    @property
    def freedom(self) -> int:
        """Points minus parameters."""
        gain = "gain_max" not in self.held
        return len(self.problem.response) - len(self.free) - self.problem.coefficients - gain

    @property
    def variance(self) -> float:
        """Of a response of weight 1."""
        return max(self.best.squares / max(self.freedom, 1), ROUNDING**2)

    @property
    def reach(self) -> float:
        """Excess of squares over the variance, within which a parameter's interval lies."""
        return float(student.ppf((1 + CONFIDENCE) / 2, max(self.freedom, 1)) ** 2)

    def least(self, start: Values, exact: float = 1e-11) -> Minimum:
        """The nearest minimum; what is held keeps its value in `start`.

        Parameters
        ----------
        start : dict of str to float
        exact : float
            Relative step, and gain in squares, at which the search ends.
        """
        free = self.free
        low, high = np.log(np.transpose([self._limits(name) for name in free] or [(1, 1)])[:2])

        def residuals(at: np.ndarray) -> np.ndarray:
            return self.problem.solved(self._sets(start, at[:, None]), self._gain_is_held)[0][:, 0]

        def jacobian(at: np.ndarray) -> np.ndarray:
            return self._jacobian(start, at)

        at = np.log([start[name] for name in free])
        if free:
            inside = np.clip(at, low + 1e-9, high - 1e-9)
            ends: dict[str, Any] = {"ftol": exact, "xtol": exact, "gtol": 1e-11, "max_nfev": 100}
            at = least_squares(residuals, inside, jacobian, bounds=(low, high), **ends).x
        return self._minimum(self._sets(start, at[:, None]))

    def from_starts(self, starts: Iterable[Values]) -> Search:
        """The same search with the minima nearest to some starts."""
        held = {name: self.start[name] for name in self.held}
        found = sorted((self.least(one | held) for one in starts), key=lambda one: one.squares)
        return replace(self, minima=tuple(found), profiles={})

    def with_held(self, name: str) -> Search:
        """The same search with a parameter held at its start."""
        held = replace(self, held=self.held | {name})
        return held.from_starts(one.values for one in self.minima)

    def guesses(self) -> list[Values]:
        """The best starts of a grid around the start, and over the doses."""
        free = self.free
        if not free:
            return [self.completed(self.start)]
        doses = self.problem.doses
        grid = {name: np.multiply(TRIED.get(name, (1.0,)), self.start[name]) for name in free}
        for name in {"ec50", "K_D"} & set(free):
            tried = np.geomspace(doses.min() / 10, doses.max(), DOSES_TRIED)
            grid[name] = np.append(tried, grid[name])
        logs = np.log(np.array([*product(*grid.values())]).T.reshape(len(free), -1))
        sets = self._sets(self.start, logs)
        residuals = self.problem.solved(sets, self._gain_is_held)[0]
        order = np.argsort(np.sum(residuals**2, axis=0), kind="stable")[:MINIMA]
        return [{name: float(values[at]) for name, values in sets.items()} for at in order]

    def insensitive(self, around: Iterable[Values]) -> list[str]:
        """Parameters on which no response depends, whichever of some values the others have."""
        slopes = []
        for values in around:
            logs = np.log([values[name] for name in self.free])
            slopes.append(np.abs(self._jacobian(values, logs)).max(axis=0, initial=0.0))
        flat = np.max(slopes, axis=0) < FLAT
        return [name for name, none in zip(self.free, flat, strict=True) if none]

    def reweighted(self) -> Search:
        """The same search with read-outs weighted by what they scatter around the best fit."""
        weights = self.problem.weights.copy()
        points = len(weights)
        for rows in self.problem.readouts.values():
            left = len(rows) * max(self.freedom, 1) / points
            scatter = np.sum(self.best.residuals[rows] ** 2) / left
            weights[rows] /= max(scatter, ROUNDING**2)
        # On the whole as before, so that what counts as rounding still does.
        spans = [self.problem.weights[rows].mean() for rows in self.problem.readouts.values()]
        new = [weights[rows].mean() for rows in self.problem.readouts.values()]
        weights *= np.min(np.divide(spans, new))
        search = replace(self, problem=replace(self.problem, weights=weights))
        return search.from_starts(one.values for one in self.minima)

    def profile(self, name: str) -> Profile:
        """Interval of a parameter, over all minima that the data do not exclude."""
        if name not in self.profiles:
            self.profiles[name] = self._profiled(name)
        return self.profiles[name]

    def _profiled(self, name: str) -> Profile:
        most = self.best.squares + self.reach * self.variance
        known = [one for one in self.minima if one.squares <= most]
        low, at_low = self._end(name, -1, min(known, key=lambda one: one.values[name]))
        high, at_high = self._end(name, 1, max(known, key=lambda one: one.values[name]))
        return Profile(low, high, tuple(at for at in (at_low, at_high) if at is not None))

    def completed(self, values: Values) -> Values:
        """Values with those that follow from what is searched."""
        return {name: float(one[0]) for name, one in self._at(values).items()}

    def minimum(self, values: Values) -> Minimum:
        """Some values, with offsets and scales at their best."""
        return self._minimum(self._at(values))

    def _at(self, values: Values) -> Sets:
        logs = np.log([values[name] for name in self.free])
        return self._sets(values, logs[:, None])

    @property
    def _gain_is_held(self) -> bool:
        return "gain_max" in self.held

    def _sets(self, start: Values, logs: np.ndarray) -> Sets:
        """All parameters, for logarithms of the free ones, shape (free, sets)."""
        sets = {name: np.full(logs.shape[1], value) for name, value in start.items()}
        sets |= dict(zip(self.free, np.exp(logs), strict=True))
        pair = _pair(self.held)
        over = half_effect(sets)
        if "K_D" not in pair:
            by_half = "ec50" in pair
            sets["K_D"] = sets["ec50"] / over if by_half else sets["k_off"] / sets["k_on"]
        if "k_off" not in pair:
            sets["k_off"] = sets["k_on"] * sets["K_D"]
        sets["k_on"], sets["ec50"] = sets["k_off"] / sets["K_D"], sets["K_D"] * over
        return sets

    def _jacobian(self, start: Values, at: np.ndarray) -> np.ndarray:
        """Of the weighted residuals by the free logarithms, shape (points, free)."""
        logs = at[:, None] + np.column_stack([np.zeros(len(at)), NUDGE * np.eye(len(at))])
        residuals = self.problem.solved(self._sets(start, logs), self._gain_is_held)[0]
        return np.asarray((residuals[:, 1:] - residuals[:, :1]) / NUDGE)

    def _minimum(self, sets: Sets) -> Minimum:
        residuals, ends = self.problem.solved(sets, self._gain_is_held)
        values = {name: float(one[0]) for name, one in sets.items()}
        told = {name: (float(pair[0, 0]), float(pair[1, 0])) for name, pair in ends.items()}
        if GAIN in told:
            values["gain_max"] = 1 + told[GAIN][1]
        return Minimum(values, float(np.sum(residuals**2)), residuals[:, 0], told)

    def _limits(self, name: str) -> tuple[float, float]:
        """Least and greatest value at which a parameter is sought."""
        doses = self.problem.doses
        if name == "ec50":
            return doses.min() / BEYOND_DOSES, doses.max() * BEYOND_DOSES
        # Beyond what EC50, K and unbinding can reach, nothing is left to seek.
        more = FARTHEST if name in ("K_D", "k_on") else 1.0
        far = FAR.get(name, FARTHEST) * more
        return self.start[name] / far, self.start[name] * far

    def _end(self, name: str, side: int, first: Minimum) -> tuple[float, Minimum | None]:
        """End of a parameter's interval; where it is open, infinite or 0 and the last minimum."""
        plain = name == "gain_max"
        # Gains are sought as they are, because 0 and 1 are values like others.
        of, back = (float, float) if plain else (np.log, np.exp)
        size = max(abs(self.best.values[name] - 1), 0.1) if plain else 1.0
        limits = (0.0, HIGHEST_GAIN) if plain else self._limits(name)
        limit = side * float(of(limits[side > 0]))
        search, visited = replace(self, held=self.held | {name}), [first]
        most = np.sqrt(self.reach * self.variance)
        near, step = float(of(first.values[name])), STEP * size
        # Once for each place, because a second look from elsewhere may differ.
        known = {near: -float(most)}

        def beyond(at: float) -> float:
            if at not in known:
                value = float(back(at))
                nearest = min(visited, key=lambda one: abs(one.values[name] - value))
                visited.append(search.least(nearest.values | {name: value}, ROUGH))
                more = max(visited[-1].squares - self.best.squares, 0.0)
                known[at] = float(np.sqrt(more) - most)
            return known[at]

        while side * near < limit - 1e-9:
            far = side * min(side * near + step, limit)
            if beyond(far) > 0:
                end = brentq(beyond, near, far, xtol=CLOSE * size, rtol=1e-12)
                return float(back(end)), None
            near, step = far, min(2 * step, STRIDE * max(size, abs(far)) if plain else STRIDE)
        return (0.0 if side < 0 else float("inf")), visited[-1]


def searched(
    problem: Problem, start: Values, known: Iterable[str]
) -> tuple[Search, Search, dict[str, Held]]:
    """The best fit without and with what the data leave open held, and why that is.

    Parameters
    ----------
    problem : Problem
    start : dict of str to float
        All parameters.
    known : iterable of str
        Parameters that stay as in the start.

    Raises
    ------
    UserError
        When the data determine no parameter.
    """
    search, held = _without_insensitive(Search(problem, start, frozenset(known)))
    while search.freedom < 1 and search.loose:
        name = search.loose[0]
        why = f"{len(problem.response)} responses are too few"
        others = tuple(other for other in search.reported if other != name)
        held[name] = Held(why, Profile(0.0, np.inf), others)
        search = replace(search, held=search.held | {name})
    _refuse_nothing(search, held)
    search = search.from_starts(search.guesses())
    for _ in range(ROUNDS if len(problem.readouts) > 1 else 0):
        search = search.reweighted()
    whole = search
    for name in HELD_FIRST:
        profile = search.profile(name) if name in search.loose else Profile(0.0, np.inf)
        if profile.open_at and profile.low <= start[name] <= profile.high:
            moved = [_apart(search, name, at.values) for at in profile.open_at]
            others = tuple(dict.fromkeys(other for one in moved for other in one))
            why = f"{listed(others)} can make up for it" if others else "the data leave it open"
            held[name] = Held(why, profile, others)
            search = search.with_held(name)
    _refuse_nothing(search, held)
    return whole, search, held


def _refuse_nothing(search: Search, held: dict[str, Held]) -> None:
    """Refuse data that leave nothing to be fitted."""
    if not search.loose:
        reasons = "; ".join(f"{name}: {one.why}" for name, one in held.items()) or "all is known"
        raise UserError(f"The data determine no parameter ({reasons}).")


def _without_insensitive(search: Search) -> tuple[Search, dict[str, Held]]:
    """A search that holds what no response depends on."""
    anything, held = Profile(0.0, np.inf), {}
    if GAIN not in search.problem.readouts and "gain_max" not in search.held:
        held["gain_max"] = Held("no response is a gain", anything, ())
        search = replace(search, held=search.held | {"gain_max"})
    guesses = search.guesses()
    at = replace(search, minima=(search.minimum(guesses[0]),))
    for name in at.insensitive(guesses):
        others = _apart(at, name, at.completed(guesses[0] | {name: 10 * guesses[0][name]}))
        held[name] = Held("no response depends on it", anything, others)
    return replace(search, held=search.held | held.keys()), held


def _apart(search: Search, name: str, values: Values) -> tuple[str, ...]:
    """Other parameters that differ between some values and the best."""
    best = search.best.values
    apart = []
    for other in NAMES:
        if other in search.held or other == name:
            continue
        of = 1 if other == "gain_max" else 0
        ratio = (values[other] - of) / (best[other] - of) if best[other] != of else 1.0
        if not 1 / STANDS_IN < ratio < STANDS_IN:
            apart.append(other)
    return tuple(apart)


def _pair(held: Iterable[str]) -> tuple[str, ...]:
    """Parameters of binding that are searched or held; empty where what is held says too much."""
    bound = {name for pair in PAIRS for name in pair} & set(held)
    return next((pair for pair in PAIRS if bound <= set(pair)), ())
