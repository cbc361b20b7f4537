"""What a modulator did to a neuron, from f-I curves alone.

The control curve f is a monotone quadratic spline fitted to both conditions, so that noise in the
control counts as much as noise under the modulator. Each hypothesis derives the modulated curve
from f with one parameter. Given that parameter, fitting f is a non-negative least-squares problem;
the parameter itself is found by a one-dimensional search (variable projection: Golub & Pereyra
1973, SIAM J. Numer. Anal. 10:413-432).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from brian2 import Hz, second
from scipy.interpolate import BSpline
from scipy.optimize import brentq, least_squares, minimize_scalar, nnls
from scipy.special import softmax
from scipy.stats import f as f_distribution, t as student

from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF

DEGREE = 2
# Chosen here: numbers of knots, of which the data choose one.
KNOTS = (3, 5, 8)
# Chosen here: the least that two curves need to be compared.
LEAST_CURRENTS = 5
LEAST_FIRING = 3
LEAST_RATES = 12
# Calibrated here on synthetic curves: with fewer rates, effects are confused too often.
DECISIVE_RATES = 20
# Chosen here: the usual level.
CONFIDENCE = 0.95
# Chosen here: rates near rheobase scatter more than an F test allows for.
MISFIT = 0.001
WIDEST_GAIN = 5.0
GRID = 41

Transform = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True, eq=False)
class Curve:
    """Rates of one condition, one entry for each trial.

    Attributes
    ----------
    current : ndarray, shape (n,)
        In nanoampere.
    rate : ndarray, shape (n,)
        In hertz.

    Raises
    ------
    UserError
        When there is not one rate for each current, a value is not finite, or a rate is negative.
    """

    current: np.ndarray
    rate: np.ndarray

    def __post_init__(self) -> None:
        if np.shape(self.current) != np.shape(self.rate) or np.ndim(self.rate) != 1:
            raise UserError("A curve needs one rate for each current.")
        if not (np.all(np.isfinite(self.current)) and np.all(np.isfinite(self.rate))):
            raise UserError("Currents and rates of a curve must be finite numbers.")
        if np.any(self.rate < 0):
            raise UserError(f"A rate of {np.min(self.rate):g} Hz must not be negative.")

    @cached_property
    def fires(self) -> np.ndarray:
        """Whether any trial at the same current has a spike, shape (n,)."""
        return np.isin(self.current, self.current[self.rate > 0])

    @property
    def rising(self) -> np.ndarray:
        """Distinct currents from the last silent one before the first spike on, ascending."""
        levels = np.unique(self.current)
        first = np.searchsorted(levels, self.current[self.rate > 0].min())
        return levels[max(first - 1, 0) :]


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """How a modulated curve may follow from the control curve f.

    Attributes
    ----------
    unit : str
        Of the parameter: "1" for a positive factor; empty where there is none.
    neutral : float
        Value of the parameter that leaves f as it is.
    argument, scale, offset : callable
        Of currents and the parameter; the modulated rate is ``max(0, scale*f(argument) + offset)``.
    """

    name: str
    formula: str
    unit: str = ""
    neutral: float = 0.0
    argument: Transform = lambda current, _: current
    scale: Transform = lambda current, _: np.ones_like(current)
    offset: Transform = lambda current, _: np.zeros_like(current)


NONE = Hypothesis("no modulation", "f(I)")
INPUT = Hypothesis("input gain", "f(g I)", "1", 1.0, argument=lambda i, g: g * i)
OUTPUT = Hypothesis("output gain", "g f(I)", "1", 1.0, scale=np.full_like)
ADDITIVE = Hypothesis("additive", "max(0, f(I) + b)", "Hz", offset=np.full_like)
SHIFT = Hypothesis("threshold shift", "f(I - dI)", "nA", argument=lambda i, shift: i - shift)
EFFECTS = (INPUT, OUTPUT, ADDITIVE, SHIFT)
OTHER = "other"
UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class Fit:
    """A hypothesis with a value of its parameter, and the control curve fitted to both conditions.

    Attributes
    ----------
    knots : ndarray
        Of the spline, within the control's own currents, in nanoampere.
    value : float
        The parameter, in the hypothesis's unit.
    """

    hypothesis: Hypothesis
    control: Curve
    modulated: Curve
    knots: np.ndarray
    value: float

    @property
    def rate(self) -> np.ndarray:
        """Measured rates of the control, then the modulated."""
        return np.concatenate([self.control.rate, self.modulated.rate])

    @cached_property
    def coefficients(self) -> np.ndarray:
        """Of the spline, none negative, so that the curve never falls."""
        design, offset = self._at_data
        target = self.rate - offset
        above = np.ones(len(target), dtype=bool)
        # Which rates are rectified depends on the curve; a few rounds settle it.
        for _ in range(8):
            coefficients, _ = nnls(design[above], target[above])
            settled = (design @ coefficients + offset > 0) | (offset >= 0)
            if np.array_equal(settled, above):
                break
            above = settled
        return np.asarray(coefficients)

    @cached_property
    def residuals(self) -> np.ndarray:
        """Measured less fitted rates, of the control and then the modulated, in hertz."""
        return np.asarray(self.rate - self._rectified(*self._at_data))

    @property
    def rss(self) -> float:
        """Sum of the squared residuals."""
        return float(self.residuals @ self.residuals)

    @property
    def rmse(self) -> float:
        """Root of the mean squared residual, in hertz."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    @property
    def size(self) -> int:
        """Number of parameters, those of the curve included."""
        return int(np.linalg.matrix_rank(self._at_data[0])) + bool(self.hypothesis.unit)

    @cached_property
    def aicc(self) -> float:
        """Akaike's criterion with the small-sample correction."""
        return _aicc(self.rss, self.size, _informative(self.control, self.modulated), self.rate)

    def rates(self, control: np.ndarray, modulated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fitted rates of both conditions.

        Parameters
        ----------
        control, modulated : ndarray, shapes (n,) and (m,)
            Currents in nanoampere.

        Returns
        -------
        tuple of ndarray, shapes (n,) and (m,)
            In hertz.
        """
        both = self._rectified(*self._design(self.value, control, modulated))
        return both[: len(control)], both[len(control) :]

    @property
    def grid(self) -> np.ndarray:
        """Values of the parameter to try first."""
        if not self.hypothesis.unit:
            return np.array([self.hypothesis.neutral])
        if self.hypothesis.unit == "1":
            return np.geomspace(1 / WIDEST_GAIN, WIDEST_GAIN, GRID)
        currents = np.concatenate([self.control.current, self.modulated.current])
        widest = self.rate.max() if self.hypothesis.unit == "Hz" else np.ptp(currents)
        return np.linspace(-widest, widest, GRID)

    def interval(self) -> tuple[float, float]:
        """Confidence interval of the parameter at 95 %.

        Returns
        -------
        tuple of float
            In the hypothesis's unit; nan where the data do not bound the parameter. From the
            heteroscedasticity-consistent variance HC3 (MacKinnon & White 1985, J. Econometrics
            29:305-325), because rates scatter more at some currents than at others; of a gain on
            a logarithmic scale. Where a curve can follow all rates with many values of the
            parameter, from the profile of the residuals (an F test) instead.
        """
        grid = self.grid
        if not grid[0] < self.value < grid[-1]:
            return float("nan"), float("nan")
        if self.is_flat:
            free = max(_informative(self.control, self.modulated) - self.size, 1)
            critical = float(f_distribution.ppf(CONFIDENCE, 1, free))
            limit = max(self._as_good, self.rss * (1 + critical / free))
            return self._reach(-1, limit), self._reach(1, limit)
        gradient = self._gradient(1e-5 * float(np.ptp(grid)))
        orthogonal, triangle = np.linalg.qr(gradient)
        # An entry that alone fixes a coefficient says nothing of its own scatter.
        leverage = np.minimum(np.sum(orthogonal**2, axis=1), 0.95)
        influence = np.linalg.lstsq(triangle, orthogonal.T, rcond=None)[0][-1]
        error = float(np.linalg.norm(influence * self.residuals / (1 - leverage)))
        free = _informative(self.control, self.modulated) - gradient.shape[1]
        reach = float(student.ppf((1 + CONFIDENCE) / 2, max(free, 1))) * error
        if self.hypothesis.unit == "1":
            factor = float(np.exp(reach / self.value))
            return self.value / factor, self.value * factor
        return self.value - reach, self.value + reach

    @cached_property
    def is_flat(self) -> bool:
        """Whether values of the parameter beside this one fit as well, as between few currents."""
        beside = 0.02 * np.diff(self.grid)[np.searchsorted(self.grid, self.value) - 1]
        fits = (replace(self, value=self.value + step) for step in (-beside, beside))
        return any(fit.rss <= self._as_good for fit in fits)

    def centred(self) -> Fit:
        """The fit in the middle of all values that fit as well."""
        if not self.grid[0] < self.value < self.grid[-1] or not self.is_flat:
            return self
        ends = np.nan_to_num([self._reach(side, self._as_good) for side in (-1, 1)], nan=self.value)
        middle = np.sqrt(ends[0] * ends[1]) if self.hypothesis.unit == "1" else np.mean(ends)
        return replace(self, value=float(middle))

    @property
    def _as_good(self) -> float:
        """Squared residuals that are as few as these: no rate is known to a hundred-thousandth."""
        return self.rss + 1e-10 * float(self.rate @ self.rate)

    def _reach(self, side: int, limit: float) -> float:
        """Farthest value on one side whose residuals stay within a limit; nan at the grid's end."""
        inside = self.value
        for value in self.grid[::side]:
            if side * (value - inside) <= 0:
                continue
            if replace(self, value=value).rss > limit:
                return float(
                    brentq(
                        lambda v: replace(self, value=v).rss - limit,
                        inside,
                        value,
                        xtol=1e-4 * abs(value - inside),
                    )
                )
            inside = value
        return float("nan")

    def misfit(self) -> float:
        """Probability of missing the data as far by chance.

        Returns
        -------
        float
            Of an F test against a curve of its own for each condition; 1 where such curves have
            no more parameters.
        """
        (rss, size), (more_rss, more_size) = _own(self.control), _own(self.modulated)
        rss, size = rss + more_rss, size + more_size
        free = _informative(self.control, self.modulated) - size
        if size <= self.size or free < 1 or rss == 0:
            return 1.0
        ratio = (self.rss - rss) / (size - self.size) / (rss / free)
        return float(f_distribution.sf(ratio, size - self.size, free))

    def _design(
        self, value: float, control: np.ndarray, modulated: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and offset that turn the spline's coefficients into rates at these currents."""
        effect = self.hypothesis
        knots = self._reaching(effect.argument(self.modulated.current, value))
        basis = _basis(np.concatenate([control, effect.argument(modulated, value)]), knots)
        scale = np.concatenate([np.ones_like(control), effect.scale(modulated, value)])
        offset = np.concatenate([np.zeros_like(control), effect.offset(modulated, value)])
        return basis * scale[:, None], offset

    @cached_property
    def _at_data(self) -> tuple[np.ndarray, np.ndarray]:
        return self._design(self.value, self.control.current, self.modulated.current)

    def _reaching(self, arguments: np.ndarray) -> np.ndarray:
        """The knots, and one at each end where modulation needs the control curve beyond them.

        Below a silent current of the control its curve is known to be silent and needs none.
        """
        least = 1e-6 * np.ptp(self.knots)
        knots = np.append(self.knots, max(arguments.max(), self.knots[-1] + least))
        if not self.control.fires[self.control.current.argmin()]:
            return knots
        return np.insert(knots, 0, min(arguments.min(), knots[0] - least))

    def _rectified(self, design: np.ndarray, offset: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(design @ self.coefficients + offset, 0))

    def _gradient(self, step: float) -> np.ndarray:
        """Derivatives of the rates by the coefficients above 0 and, last, the parameter."""
        at = self.control.current, self.modulated.current
        up, down = (self._rectified(*self._design(self.value + s, *at)) for s in (step, -step))
        firing = self._rectified(*self._at_data) > 0
        by_curve = self._at_data[0][:, self.coefficients > 0] * firing[:, None]
        return np.column_stack([by_curve, (up - down) / (2 * step)])


@dataclass(frozen=True, eq=False)
class Identification:
    """What is known about one modulated condition.

    Attributes
    ----------
    fits : tuple of Fit
        Without modulation, then of every effect.
    weights : dict of str to float
        Akaike weight of every hypothesis.
    verdict : str
        A hypothesis's name, ``"other"`` or ``"undecided"``.
    candidates : tuple of str
        The fewest hypotheses whose weights reach 95 %, the likeliest first.
    """

    fits: tuple[Fit, ...]
    weights: dict[str, float]
    verdict: str
    candidates: tuple[str, ...]


def identify(control: Curve, modulated: Curve, margin: float) -> Identification:
    """Name the effect that turned one f-I curve into another, where the data allow it.

    Parameters
    ----------
    control, modulated : Curve
    margin : float
        Relative change of the input gain that counts as none. The verdict "no modulation" needs
        an interval within it (an equivalence test, Schuirmann 1987, J. Pharmacokinet. Biopharm.
        15:657-680).

    Returns
    -------
    Identification
        By Akaike weights with the small-sample correction (Burnham & Anderson 2002, Model
        Selection and Multimodel Inference); an effect is named when its weight reaches 95 %.

    Raises
    ------
    UserError
        When there are too few currents or rates to tell hypotheses apart.
    """
    fits = tuple(estimate(hypothesis, control, modulated) for hypothesis in (NONE, *EFFECTS))
    shares = softmax([-fit.aicc / 2 for fit in fits]).tolist()
    weights = {fit.hypothesis.name: share for fit, share in zip(fits, shares, strict=True)}
    ranked = sorted(weights, key=weights.__getitem__, reverse=True)
    reached = np.cumsum([weights[name] for name in ranked])
    candidates = tuple(ranked[: int(np.searchsorted(reached, CONFIDENCE)) + 1])
    return Identification(fits, weights, _verdict(candidates, fits, margin), candidates)


def estimate(hypothesis: Hypothesis, control: Curve, modulated: Curve) -> Fit:
    """Fit one hypothesis by least squares, with the number of knots of the lowest AICc.

    Raises
    ------
    UserError
        When there are too few currents or rates.
    """
    _check_enough(control, modulated)
    found = (
        _searched(Fit(hypothesis, control, modulated, _knots(control, number), hypothesis.neutral))
        for number in KNOTS
    )
    return min(found, key=lambda fit: fit.aicc)


def lif_check(flexible: Fit) -> tuple[float, float]:
    """Fit a hypothesis again with the closed form of the LIF neuron as control curve.

    Parameters
    ----------
    flexible : Fit
        Where the search starts.

    Returns
    -------
    tuple of (float, float)
        The parameter in the hypothesis's unit, and the root of the mean squared residual in
        hertz. Rheobase, membrane time constant and refractory period are free.
    """
    hypothesis, current = flexible.hypothesis, flexible.modulated.current

    def residuals(free: np.ndarray) -> np.ndarray:
        shape, value = np.exp(free[:3]), float(free[3])
        modulated = _lif(hypothesis.argument(current, value), *shape)
        modulated = hypothesis.scale(current, value) * modulated
        modulated = np.maximum(modulated + hypothesis.offset(current, value), 0)
        found = np.concatenate([_lif(flexible.control.current, *shape), modulated])
        return np.asarray(found - flexible.rate)

    # Start from the control's onset and a cortical cell's time constants.
    onset = max(float(np.mean(flexible.control.rising[:2])), 1e-3)
    start = [*np.log([onset, 0.02, 0.002]), flexible.value]
    # The rate has a kink at rheobase: finite differences must reach across it.
    best = least_squares(residuals, start, diff_step=1e-4)
    return float(best.x[3]), float(np.sqrt(np.mean(best.fun**2)))


def _lif(current: np.ndarray, rheobase: float, tau: float, dead: float) -> np.ndarray:
    """Rates in hertz of LIF neurons with a rheobase in nanoampere and times in seconds."""
    bare = GainLIF(receptors=(), tau_m=1 * second, t_ref=0 * second)
    at_rheobase = (bare.v_th - bare.v_rest) / bare.R
    with np.errstate(divide="ignore", invalid="ignore"):
        # A search may try a rheobase next to nothing.
        rate = np.asarray(bare.rate(current / rheobase * at_rheobase) / Hz)
    return np.where(rate > 0, 1 / (dead + tau / np.where(rate > 0, rate, 1)), 0)


def _check_enough(control: Curve, modulated: Curve) -> None:
    for name, curve in (("The control", control), ("The modulated condition", modulated)):
        currents, firing = (len(np.unique(c)) for c in (curve.current, curve.current[curve.fires]))
        if currents < LEAST_CURRENTS or firing < LEAST_FIRING:
            raise UserError(
                f"{name} has {currents} different currents, {firing} of which make the neuron "
                f"fire: at least {LEAST_CURRENTS} and {LEAST_FIRING} are needed."
            )
    rates = _informative(control, modulated)
    if rates < LEAST_RATES:
        raise UserError(
            f"{rates} rates at currents that make the neuron fire are too few: at least "
            f"{LEAST_RATES} are needed, of control and modulated together."
        )


def _informative(control: Curve, modulated: Curve) -> int:
    """Number of rates at currents that make the neuron fire; silence has no scatter."""
    return int(control.fires.sum() + modulated.fires.sum())


def _searched(start: Fit) -> Fit:
    """Fit with the best parameter on given knots, first on a grid, then between its points."""
    grid = start.grid
    fits = [replace(start, value=value) for value in grid]
    best = int(np.argmin([fit.rss for fit in fits]))
    if best in (0, len(grid) - 1):
        return fits[best]
    low, high = grid[best - 1], grid[best + 1]
    found = minimize_scalar(
        lambda value: replace(start, value=value).rss,
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-4 * (high - low)},
    )
    return replace(start, value=float(found.x)).centred()


def _knots(curve: Curve, number: int) -> np.ndarray:
    """Knots in equal steps of current and rate together, denser where the curve is steep."""
    levels = curve.rising
    mean = np.array([curve.rate[curve.current == level].mean() for level in levels])
    height = np.maximum.accumulate(mean)
    along = (levels - levels[0]) / np.ptp(levels) + (height - height[0]) / (np.ptp(height) or 1)
    return np.asarray(np.interp(np.linspace(0, along[-1], number), along, levels))


def _own(curve: Curve) -> tuple[float, int]:
    """Squared residuals and number of parameters of a curve fitted on its own."""
    count = int(curve.fires.sum())
    fits = []
    for number in KNOTS:
        basis = _basis(curve.current, _knots(curve, number))
        _, norm = nnls(basis, curve.rate)
        fits.append((float(norm) ** 2, int(np.linalg.matrix_rank(basis))))
    return min(fits, key=lambda fit: _aicc(fit[0], fit[1], count, curve.rate))


def _basis(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """A constant, and splines that rise from 0 to 1: I-splines, Ramsay 1988, Stat. Sci. 3:425."""
    padded = np.concatenate([knots[:1].repeat(DEGREE), knots, knots[-1:].repeat(DEGREE)])
    inside = np.clip(x, knots[0], knots[-1])
    splines = BSpline.design_matrix(inside, padded, DEGREE).toarray()
    return np.cumsum(splines[:, ::-1], axis=1)[:, ::-1]


def _aicc(rss: float, size: int, count: int, rate: np.ndarray) -> float:
    """Akaike's criterion for small samples, with the scatter as one more parameter."""
    size += 1
    if count <= size + 1:
        return float("inf")
    # No rate is known to better than a millionth, even where a curve meets it exactly.
    floor = 1e-12 * float(rate @ rate)
    return float(count * np.log((rss + floor) / count) + 2 * size * count / (count - size - 1))


def none_or_undecided(low: float, high: float, margin: float) -> str:
    """No modulation where the input gain's interval lies within the margin, else undecided."""
    return NONE.name if 1 / (1 + margin) <= low and high <= 1 + margin else UNDECIDED


def _verdict(candidates: tuple[str, ...], fits: tuple[Fit, ...], margin: float) -> str:
    by_name = {fit.hypothesis.name: fit for fit in fits}
    likeliest = by_name[candidates[0]]
    if NONE.name in candidates:
        return none_or_undecided(*by_name[INPUT.name].interval(), margin)
    if _informative(likeliest.control, likeliest.modulated) < DECISIVE_RATES:
        return UNDECIDED
    if likeliest.misfit() < MISFIT:
        return OTHER
    return likeliest.hypothesis.name if len(candidates) == 1 else UNDECIDED
