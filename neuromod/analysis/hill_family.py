"""Hill functions with common ends and slope: least squares, robust weights, profiles.

The ends enter the model linearly and are solved for; only slope and midpoints are searched, by
Levenberg and Marquardt's method with the analytic Jacobian of the projected problem (variable
projection; Kaufman 1975, BIT 15:49-57). Intervals come from profiles of the sum of squares rather
than from lmfit's `conf_interval`: that keeps the ends among the parameters it searches, and fails
where they run away with an open interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.special import expit
from scipy.stats import t as student

from neuromod.errors import UserError, listed

CONFIDENCE = 0.95
EPSILON, TINY = np.finfo(float).eps, np.finfo(float).tiny
# Of responses scaled to a span of 1, for a parameter changed by a factor of e: below it, rounding
# in the fit moves a parameter by more than a millionth, and so does rounding of the responses.
SINGULAR = 1e-7
MOVED = 1e-6
# A minimum, and no valley that sinks towards infinity, leaves steps below this to be taken.
SETTLED = 1e-2
# Tukey's constant: 95 % of the efficiency of least squares where there are no outliers.
TUKEY = 4.685
# Of the normal distribution, by which a median of absolute residuals is a standard deviation.
MEDIAN = 0.6744897501960817
# Residuals below this share of the span count alike in the least sum of absolute ones.
CLOSE = 1e-4
# Logarithms beyond which a float would overflow.
FLAT = 300.0
# First guesses: slopes from flat to steep, and midpoints up to two decades beyond the doses.
SLOPES = (0.5, 1.5, 4.0)
MIDPOINTS = 31
# Logarithms of slopes at which a profile may have another minimum.
MORE_SLOPES = np.linspace(-2, 4, 9)
AROUND = np.log(1e2)
# Intervals that reach beyond these are open: a slope, and how far beyond doses.
STEEPEST = np.log(1e3)
FARTHEST = np.log(1e12)
# Longest step of a profile, in natural logarithms.
STRIDE = 2.0
# Far more than rounding leaves of a sum of squares, of responses scaled to a span of 1.
NEAR = 1e-10

Middles = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Estimate:
    """A fitted number and its 95 % confidence interval.

    Attributes
    ----------
    value, low, high : float or Quantity
        0 or infinite where the interval is open on that side; nan for the interval of what was
        given rather than fitted.
    """

    value: Any
    low: Any
    high: Any


@dataclass(frozen=True, eq=False)
class HillFamily:
    """Responses, and Hill functions whose midpoints depend on parameters.

    Parameters are natural logarithms, those of slope and EC50 first.

    Attributes
    ----------
    log_conc : ndarray, shape (n,)
        Natural logarithms; -inf for none.
    response : ndarray, shape (n,)
        From 0 to 1: less than `offset` and over `scale` of what was measured.
    middles : callable
        Of the parameters behind the slope: logarithms of the EC50, shape (n,), and their
        derivatives, shape (n, parameters - 1).
    names : tuple of str
        Of the parameters, for messages.
    limits : ndarray, shape (parameters, 2)
        An interval that reaches beyond them is open.
    free : ndarray of bool, shape (parameters,)
        Those to be fitted.
    held : ndarray, shape (parameters,)
        Values of the others.
    ends : ndarray, shape (2,)
        Bottom and top, scaled as the responses; nan for those to be fitted.
    weights : ndarray, shape (n,)
    offset, scale : float
    """

    log_conc: np.ndarray
    response: np.ndarray
    middles: Middles
    names: tuple[str, ...]
    limits: np.ndarray
    free: np.ndarray
    held: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    offset: float
    scale: float

    @classmethod
    def of(
        cls,
        conc: np.ndarray,
        response: np.ndarray,
        middles: Middles,
        more: dict[str, tuple[float, float]],
        given: dict[str, float],
    ) -> HillFamily:
        """A family for concentrations and responses, shape (n,), each of weight 1.

        Parameters
        ----------
        more : dict
            Names and limits of the parameters behind slope and EC50.
        given : dict
            Bottom, top, and logarithms of parameters by name; nan for those to be fitted.

        Raises
        ------
        UserError
            When there are too few points, or none above 0, or the response does not change.
        """
        scale, offset = float(np.ptp(response)) if len(response) else 0.0, 0.0
        fixed = {name for name, value in given.items() if not np.isnan(value)}
        least = len(more) + 5 - len(fixed)
        changes = scale > 16 * np.finfo(float).eps * np.abs(response).max(initial=0)
        if len(response) < least or not changes or not np.any(conc > 0):
            raise UserError(
                f"A Hill fit needs at least {least} concentrations at which the response is known, "
                "and a response that changes."
            )
        offset = float(response.min())
        log_conc = np.log(conc, where=conc > 0, out=np.full(len(conc), -np.inf))
        above = log_conc[conc > 0]
        slope, ec50 = (-STEEPEST, STEEPEST), (above.min() - FARTHEST, above.max() + FARTHEST)
        names = ("slope", "EC50", *more)
        held = np.array([given.get(name, np.nan) for name in names])
        return cls(
            log_conc=log_conc,
            response=(response - offset) / scale,
            middles=middles,
            names=names,
            limits=np.array([slope, ec50, *more.values()]),
            free=np.isnan(held),
            held=held,
            ends=(np.array([given["bottom"], given["top"]]) - offset) / scale,
            weights=np.ones(len(conc)),
            offset=offset,
            scale=scale,
        )

    @cached_property
    def _root(self) -> Any:
        """Of the weights, shape (n,)."""
        return np.sqrt(self.weights)

    @cached_property
    def _unknown(self) -> Any:
        """Which ends are to be fitted, shape (2,)."""
        return np.isnan(self.ends)

    @property
    def slopes(self) -> list[float]:
        """Logarithms of slopes to try."""
        return np.log(SLOPES).tolist() if self.free[0] else [float(self.held[0])]

    @property
    def grid(self) -> np.ndarray:
        """Logarithms of midpoints to try."""
        above = self.log_conc[np.isfinite(self.log_conc)]
        return np.linspace(above.min() - AROUND, above.max() + AROUND, MIDPOINTS)

    def midpoints(self, log_slope: float, groups: np.ndarray) -> np.ndarray:
        """Where the midpoint of every group is, were the extremes of all responses the ends.

        Parameters
        ----------
        groups : ndarray of int, shape (n,)
            From 0.
        """
        order = np.argsort(self.log_conc, kind="stable")
        rises = np.cov(np.arange(len(order)), self.response[order])[0, 1] > 0
        bottom, top = np.where(np.isnan(self.ends), [1 - rises, rises], self.ends)
        over = np.exp(log_slope) * (self.log_conc[:, None] - self.grid)
        off = (self.response[:, None] - bottom - (top - bottom) * expit(over)) ** 2
        best = [np.argmin(off[groups == group].sum(axis=0)) for group in range(groups.max() + 1)]
        return self.grid[best]

    @property
    def freedom(self) -> int:
        """Points minus parameters."""
        return len(self.response) - int(np.sum(self.free)) - int(np.sum(np.isnan(self.ends)))

    @property
    def resolution(self) -> float:
        """What floats leave open of the responses."""
        largest = max(abs(self.offset), abs(self.offset + self.scale))
        return float(4 * np.finfo(float).eps * largest / self.scale)

    @property
    def rounding(self) -> float:
        """What rounding may leave of a perfect fit's residuals."""
        return max(1e-13, self.resolution)

    def shape(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of bottom and top in every response, shape (n, 2), and the latter's derivatives.

        The derivatives are by all parameters, shape (n, parameters).
        """
        slope = np.exp(min(max(theta[0], -FLAT), FLAT))
        middle, by_parameter = self.middles(theta[1:])
        shares = np.empty((len(self.log_conc), 2))
        by_all = np.empty((len(shares), len(theta)))
        with np.errstate(invalid="ignore", over="ignore"):
            over = slope * (self.log_conc - middle)
            expit(-over, out=shares[:, 0])
            expit(over, out=shares[:, 1])
            rise = shares[:, :1] * shares[:, 1:]
            by_all[:, 0], by_all[:, 1:] = over, -slope * by_parameter
            by_all *= rise
        # Without ligand, and far from the EC50, nothing depends on either.
        return shares, np.where(rise > 0, by_all, 0.0)

    def projected(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ends, weighted residuals and their Jacobian by all parameters, at the best ends."""
        shares, by_all = self.shape(theta)
        root, unknown = self._root[:, None], self._unknown
        ends = np.where(unknown, 0.0, self.ends)
        off = self._root * (self.response - shares @ ends)
        columns = root * shares[:, unknown]
        size = np.maximum(np.sqrt(np.add.reduce(columns * columns)), TINY)
        basis, singular, turn = np.linalg.svd(columns / size, full_matrices=False)
        told = singular > EPSILON * len(off)
        basis, singular, turn = basis[:, told], singular[told], turn[told]
        along = basis.T @ off
        ends[unknown] = (turn.T @ (along / singular)) / size
        by_all = root * by_all * (ends[1] - ends[0])
        return ends, off - basis @ along, basis @ (basis.T @ by_all) - by_all

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """Responses minus fit, without weights, shape (n,)."""
        return np.asarray(self.response - self.shape(theta)[0] @ self.projected(theta)[0])

    def squares(self, theta: np.ndarray) -> float:
        """Weighted sum of squares at the best ends."""
        return float(np.sum(self.projected(theta)[1] ** 2))

    def best(self, thetas: np.ndarray) -> np.ndarray:
        """The first of those with the least `squares`, of shape (k, parameters).

        All are compared at once; only those that rounding could mistake for the best are looked
        at one by one.
        """
        rough = self._rough_squares(thetas)
        near = rough <= (1 + NEAR) * rough.min() + NEAR
        return min(thetas[near], key=self.squares) if near.sum() > 1 else thetas[near][0]

    def _rough_squares(self, thetas: np.ndarray) -> np.ndarray:
        """`squares` at each, up to rounding, shape (k,)."""
        slopes = np.exp(np.clip(thetas[:, :1], -FLAT, FLAT))
        middles = np.stack([self.middles(theta[1:])[0] for theta in thetas])
        with np.errstate(invalid="ignore", over="ignore"):
            over = slopes * (self.log_conc - middles)
        shares = np.stack([expit(-over), expit(over)], axis=-1)
        root, unknown = self._root, self._unknown
        off = root * (self.response - shares @ np.where(unknown, 0.0, self.ends))
        columns = root[:, None] * shares[:, :, unknown]
        size = np.linalg.norm(columns, axis=1, keepdims=True)
        basis, singular, _ = np.linalg.svd(columns / np.maximum(size, TINY), full_matrices=False)
        told = singular > EPSILON * off.shape[1]
        along = np.where(told, np.einsum("kne,kn->ke", basis, off), 0.0)
        return np.asarray(np.sum((off - np.einsum("kne,ke->kn", basis, along)) ** 2, axis=1))

    def least(self, start: np.ndarray) -> np.ndarray:
        """The nearest minimum in the free parameters."""
        free = self.free
        if not np.any(free):
            return start

        def whole(part: Any) -> np.ndarray:
            theta = start.copy()
            theta[free] = part
            return theta

        # Residuals and their Jacobian are asked for one after the other.
        @lru_cache(maxsize=1)
        def projected(*part: float) -> tuple[np.ndarray, np.ndarray]:
            _, residuals, jacobian = self.projected(whole(part))
            return residuals, jacobian[:, free]

        found = least_squares(
            lambda part: projected(*part)[0],
            start[free],
            lambda part: projected(*part)[1],
            method="lm",
            **dict.fromkeys(("ftol", "xtol", "gtol"), 1e-13),
            max_nfev=400,
        )
        return whole(found.x)


@dataclass(frozen=True, eq=False)
class Found:
    """The best fit of a family.

    Attributes
    ----------
    family : HillFamily
        With the weights of the fit.
    theta : ndarray, shape (parameters,)
    variance : float
        Of a response of weight 1.
    """

    family: HillFamily
    theta: np.ndarray
    variance: float

    @cached_property
    def ends(self) -> np.ndarray:
        """Bottom and top, as measured."""
        return self.family.offset + self.family.scale * self.family.projected(self.theta)[0]

    def estimate(self, index: int) -> Estimate:
        """A parameter, no longer as a logarithm, and its interval."""
        with np.errstate(over="ignore"):
            return Estimate(*np.exp([self.theta[index], *self.interval(index)]).tolist())

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of all parameters, shape (parameters, parameters); 0 for those that were given."""
        free = self.family.free
        jacobian = self.family.projected(self.theta)[2][:, free]
        covariance = np.zeros((len(free), len(free)))
        covariance[np.ix_(free, free)] = self.variance * np.linalg.pinv(jacobian.T @ jacobian)
        return covariance

    def interval(self, index: int) -> tuple[float, float]:
        """Ends of a parameter's profile-likelihood interval, infinite where it is open.

        Where the sum of squares, least in all other parameters, exceeds the best by the variance
        times the quantile of F(1, freedom).
        """
        if not self.family.free[index]:
            return float("nan"), float("nan")
        low, high = self.family.limits[index]
        return self._end(index, -1, low), self._end(index, 1, high)

    def _end(self, index: int, side: int, limit: float) -> float:
        free = self.family.free & (np.arange(len(self.theta)) != index)
        family, visited = replace(self.family, free=free), [self.theta]
        best = self.family.squares(self.theta)
        reach = student.ppf((1 + CONFIDENCE) / 2, family.freedom - 1)
        error = np.sqrt(self.covariance[index, index])

        # Once for each place, because a second look from there may differ by rounding.
        @cache
        def beyond(at: float) -> float:
            start = min(visited, key=lambda theta: abs(theta[index] - at)).copy()
            start[index] = at
            visited.append(self._least_of_others(family, index, start))
            more = max(family.squares(visited[-1]) - best, 0.0) / self.variance
            return float(np.sqrt(more) - reach)

        near, step = self.theta[index], min(reach * error, STRIDE)
        while side * near < side * limit:
            far = side * min(side * near + step, side * limit)
            if beyond(far) > 0:
                tolerance = max(1e-6 * error, 4 * np.finfo(float).eps * max(1, abs(far)))
                return float(brentq(beyond, near, far, xtol=tolerance))
            near, step = far, min(2 * step, STRIDE)
        return side * np.inf

    def _least_of_others(self, family: HillFamily, index: int, start: np.ndarray) -> np.ndarray:
        """The nearest minimum, or a lower one of another slope, or midpoint where that is held."""
        found = family.least(start)
        other = 0 if index else 1
        if not family.free[other]:
            return found
        shifts = MORE_SLOPES if other == 0 else family.grid
        elsewhere = np.tile(found, (len(shifts), 1))
        elsewhere[:, other] = shifts
        best = family.best(elsewhere)
        if family.squares(best) < family.squares(found):
            return family.least(best)
        return found


def fit(family: HillFamily, candidates: Iterable[np.ndarray], robust: bool = False) -> Found:
    """The best of the minima that are nearest to the best candidates of every slope.

    Parameters
    ----------
    candidates : iterable of ndarray, each of shape (parameters,)
        Guesses over the range of the data.
    robust : bool
        Give outliers less weight, by Tukey's biweight. Its scale is the median of the absolute
        residuals of the fit with the least sum of them, the smallest left out, of which there are
        as many as parameters (DuMouchel & O'Brien 1989, Computing Science and Statistics 21).

    Raises
    ------
    UserError
        When the responses do not determine a parameter.
    """
    if robust:
        return _robust(family, candidates)
    starts = [family.best(guesses) for guesses in _by_slope(family, candidates)]
    theta = min((family.least(start) for start in starts), key=family.squares)
    _refuse_singular(family, theta)
    variance = max(family.squares(theta) / family.freedom, family.rounding**2)
    return Found(family, theta, variance)


def _by_slope(family: HillFamily, candidates: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Guesses of every slope, each of shape (guesses, parameters)."""
    found: dict[float, list[np.ndarray]] = {}
    for candidate in candidates:
        guess = np.where(family.free, candidate, family.held)
        found.setdefault(float(guess[0]), []).append(guess)
    return [np.array(guesses) for guesses in found.values()]


def _robust(family: HillFamily, candidates: Iterable[np.ndarray]) -> Found:
    """Least absolute residuals for the scale, then Tukey's biweight with that scale."""
    held = replace(family, free=np.zeros_like(family.free))
    starts = [
        min(guesses, key=lambda theta: _least_sum(held, theta, 5)[0])
        for guesses in _by_slope(family, candidates)
    ]
    sums = [_least_sum(family, start, 20) for start in starts]
    _, family, theta = min(sums, key=lambda found: found[0])
    size = np.sort(np.abs(family.residuals(theta)))
    scale = max(float(np.median(size[-family.freedom :])) / MEDIAN, family.rounding)
    family, theta = _reweighted(family, theta, lambda r: _biweight(r / scale), 50)
    _refuse_singular(family, theta)
    # Variance of an estimate by weights that depend on the residuals (Huber 1981, Robust
    # Statistics, section 7.6), for weights that are then held.
    off = family.residuals(theta) / scale
    push = np.sum((off * family.weights) ** 2) / family.freedom
    within = 1 - np.minimum((off / TUKEY) ** 2, 1)
    give = np.mean(within * (5 * within - 4))
    variance = scale**2 * push / give**2 * np.mean(family.weights)
    return Found(family, theta, max(float(variance), family.rounding**2))


def _least_sum(
    family: HillFamily, theta: np.ndarray, rounds: int
) -> tuple[float, HillFamily, np.ndarray]:
    """The least sum of absolute residuals, and where it is."""
    family, theta = _reweighted(family, theta, lambda r: 1 / np.maximum(r, CLOSE), rounds)
    return float(np.sum(np.abs(family.residuals(theta)))), family, theta


def _biweight(off: np.ndarray) -> np.ndarray:
    return np.maximum(1 - (off / TUKEY) ** 2, 0) ** 2


def _reweighted(
    family: HillFamily, theta: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray], rounds: int
) -> tuple[HillFamily, np.ndarray]:
    """A fit whose weights follow from the sizes of its own residuals."""
    for _ in range(rounds):
        weights = weigh(np.abs(family.residuals(theta)))
        if np.allclose(weights, family.weights, rtol=0, atol=1e-7):
            break
        family = replace(family, weights=weights)
        theta = family.least(theta)
    return family, theta


def _refuse_singular(family: HillFamily, theta: np.ndarray) -> None:
    """Refuse a best fit that some parameter may leave without a change of the responses."""
    ends, residuals, projected = family.projected(theta)
    shares, by_all = family.shape(theta)
    unknown = np.isnan(family.ends)
    sides = shares[:, unknown]
    sides = sides / np.maximum(np.linalg.norm(sides, axis=0), np.finfo(float).tiny)
    logs = by_all[:, family.free] * (ends[1] - ends[0])
    logs = logs / np.maximum(np.linalg.norm(logs, axis=0), 1)
    jacobian = np.sqrt(family.weights)[:, None] * np.column_stack([sides, logs])
    _, singular, turn = np.linalg.svd(jacobian)
    step = np.linalg.lstsq(projected[:, family.free], residuals, rcond=None)[0]
    least = max(SINGULAR, family.resolution / MOVED)
    settled = np.all(np.abs(step) <= SETTLED)
    if len(singular) == jacobian.shape[1] and singular[-1] > least and settled:
        return
    names = np.array([*np.array(["bottom", "top"])[unknown], *np.array(family.names)[family.free]])
    loose = names[np.abs(turn[-1]) > 0.3 * np.abs(turn[-1]).max()]
    raise UserError(
        f"The responses do not determine {listed(loose)}: choose several concentrations around the "
        "EC50, or give bottom, top or slope where they are known."
    )
