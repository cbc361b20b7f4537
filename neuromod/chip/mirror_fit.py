"""A mirror's transistors from a sweep of its supply, and what the sweep leaves open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Mohm, Quantity, kelvin, nA, uA, volt
from brian2.units.constants import boltzmann_constant, elementary_charge
from scipy.optimize import brentq, least_squares, nnls
from scipy.stats import f as fisher, norm, t as student

from neuromod.analysis.hill_family import CONFIDENCE, Estimate
from neuromod.chip.mirror_data import MirrorData, checked
from neuromod.errors import UserError, listed, unknown
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.device_table import DeviceTable
from neuromod.models.mirror import LAWS, Mirror
from neuromod.parameters import About, check
from neuromod.support.cache import written_whole
from neuromod.support.paths import shown, usable
from neuromod.support.text import number, say, with_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "fit.json"
NAMES = ("beta", "vto", "R_S", "slope_factor", "channel_modulation")
UNITS: dict[str, Any] = {
    "beta": uA / volt**2,
    "vto": volt,
    "R_S": Mohm,
    "slope_factor": 1,
    "channel_modulation": 1 / volt,
}
"""Units that estimates are told in."""
LOGARITHMIC = ("beta", "R_S", "slope_factor")
"""Parameters that are searched as logarithms; the others as they are."""
SI = {"beta": 1e-6, "vto": 1.0, "R_S": 1e6, "slope_factor": 1.0, "channel_modulation": 1.0}
# Share of the largest current from which on a square law is fitted: below, transistors are in weak
# inversion, of which it knows nothing.
STRONG = 0.01
# Ends of the search, where intervals that reach them are open: overdrives at the largest current
# and drops over the load, as shares of the swept range, and how far from it vto may lie, V.
OVERDRIVES, DROPS, BEYOND = (1e-4, 1e3), (1e-5, 1e3), 1.0
MOST_MODULATION, MOST_SLOPE = 10.0, 10.0
# A parameter is known if its interval spans less: a factor, volts, and 1/V.
LOOSE, LOOSE_VTO, LOOSE_MODULATION = 2.0, 0.05, 0.1
# Two parameters move together from this correlation on.
TIED = 0.98
# No sweep is more precise than this share of its currents.
LEAST_ERROR = 1e-6
# Has a logarithm, and is none that anything conducts, A.
LEAST_CURRENT = 1e-40
# Smallest share of runs of one sign, one-sided, and least misfit, at which a law is in doubt.
DOUBT, VISIBLE = 0.005, 1e-4
FINE = 200
WARM = About("temperature of a sweep", "", low=0 * kelvin, low_excluded=True)
# Relative changes at which a search ends: one on the way, and that for the result.
ROUGH, PRECISE, MOST_STEPS = 1e-8, 1e-14, 100
METHOD = (
    "95 % intervals are those of the profile likelihood of the logarithm of the current, whose "
    "scatter is taken to be normal, independent and the same share of every current (Bates & Watts "
    "1988, Nonlinear Regression Analysis); the band of the curve is linear in the parameters"
)
Values = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class MirrorFit:
    """A mirror fitted to a sweep.

    Attributes
    ----------
    law : str
        ``"square"`` or ``"ekv"``.
    intervals : dict of str to Estimate
        Those of `NAMES` that were fitted, with 95 % intervals, in their units; open ends are 0 or
        infinite.
    held : dict of str to str
        Parameters that were not fitted, and why.
    undetermined : dict of str to str
        Fitted ones that the sweep leaves open or knows but loosely, and what they move with.
    points : DataFrame
        All of the sweep: ``vdd_V``, ``v_V`` if it has several, ``current_nA``, whether it was
        ``used``, ``fit_nA`` and ``residual_percent``, the latter nan where not used.
    curve : DataFrame
        The fit on a fine grid with its 95 % band: ``vdd_V``, ``v_V``, ``fit_nA``, ``low_nA``,
        ``high_nA``.
    left_out : dict of str to int
        Points that were not used, by reason.
    rms_percent, worst_percent : float
        Residuals, of the current.
    systematic : bool
        Whether residuals go in runs that scatter alone would not make: the law does not describe
        these transistors, and the intervals are too narrow.
    temperature : Quantity
    data : MirrorData
    """

    law: str
    intervals: dict[str, Estimate]
    held: dict[str, str]
    undetermined: dict[str, str]
    points: pd.DataFrame
    curve: pd.DataFrame
    left_out: dict[str, int]
    rms_percent: float
    worst_percent: float
    systematic: bool
    temperature: Quantity
    data: MirrorData

    @property
    def table(self) -> pd.DataFrame:
        """Every fitted parameter with its interval and unit, and what the sweep says of it."""
        rows = []
        for name, found in self.intervals.items():
            unit = UNITS[name]
            ends = [float(end / unit) for end in (found.value, found.low, found.high)]
            said = self.undetermined.get(name, "determined")
            rows.append([name, *ends, say(unit) if isinstance(unit, Quantity) else "", said])
        return pd.DataFrame(
            rows, columns=["parameter", "value", "low", "high", "unit", "the_sweep"]
        )

    def circuit(self, **others: Any) -> CircuitNeuron:
        """A circuit neuron with these transistors, at the temperature of the fit.

        Parameters
        ----------
        **others
            Other parameters of `CircuitNeuron`, such as ``vdd_high``.
        """
        values = {name: found.value for name, found in self.intervals.items()}
        if "channel_modulation" in values:
            values["output"] = "mosfet"
        heat = {"temperature": self.temperature, "T_nominal": self.temperature}
        return CircuitNeuron(**{"law": self.law, **values, **heat, **others})

    def plot(self) -> Figure:
        """Figure of the sweep, the fit with its band, and the residuals."""
        # Imported here because Matplotlib takes its time.
        from neuromod.chip.mirror_figure import draw_mirror_fit

        return draw_mirror_fit(self)

    def told(self) -> list[str]:
        """What was left out, how good the fit is, and what stays open, a sentence each."""
        used = int(self.points.used.sum())
        told = [
            f"{say(used)} of {say(len(self.points))} points used; residuals "
            f"{number(self.rms_percent, 3)} % (root mean square), "
            f"{number(self.worst_percent, 3)} % at most."
        ]
        told += [f"Left out: {say(n)} {why}." for why, n in self.left_out.items()]
        told += [f"{name}: {why}." for name, why in (self.held | self.undetermined).items()]
        if self.systematic:
            told.append(
                f"The residuals are no scatter: law={self.law} does not describe these "
                "transistors, and the intervals are too narrow. Try the other law, or law=table."
            )
        return told

    def save(self, folder: Path) -> None:
        """Write ``fit.json``, ``parameters.csv``, ``points.csv``, ``curve.csv`` and ``figure.png``.

        ``points.csv`` may itself be given as a circuit's table.

        Raises
        ------
        UserError
            When the folder holds a fit, or cannot be made.
        """
        if usable(folder / RESULT).exists():
            raise UserError(f"{shown(folder)} already holds a fit: name another folder with --out.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{shown(folder)} cannot be made: {error.strerror}.") from error
        tables = {"parameters": self.table, "points": self.points, "curve": self.curve}
        for name, table in tables.items():
            with written_whole(folder / f"{name}.csv") as path:
                table.to_csv(path, index=False)
        with written_whole(folder / RESULT) as path:
            path.write_text(json.dumps(self.as_json, indent=2) + "\n")
        with written_whole(folder / "figure.png") as path:
            self.plot().savefig(path, format="png", dpi=150)

    @property
    def as_json(self) -> dict[str, Any]:
        """The fit as JSON holds it, in SI units but for names that say otherwise."""
        found = {
            name: {end: _plain(getattr(one, end)) for end in ("value", "low", "high")}
            for name, one in self.intervals.items()
        }
        return {
            "law": self.law,
            "parameters": found,
            "held": self.held,
            "undetermined": self.undetermined,
            "method": METHOD,
            "left_out": self.left_out,
            "rms_percent": self.rms_percent,
            "worst_percent": self.worst_percent,
            "systematic": self.systematic,
            "temperature_K": float(self.temperature / kelvin),
            "source": self.data.source,
            "how": self.data.how,
        }

    def __repr__(self) -> str:
        rows = [
            f"{row.parameter} = {with_unit(number(row.value, 4), row.unit)} "
            f"({number(row.low, 3)} to {number(row.high, 3)})"
            for row in self.table.itertuples()
        ]
        return "\n    ".join([f"Mirror of law {self.law}, fitted", *rows, *self.told()])


def fit_mirror(
    data: MirrorData | DeviceTable | pd.DataFrame,
    law: str = "ekv",
    temperature: Quantity = 300 * kelvin,
) -> MirrorFit:
    """Fit a mirror's transistors and load to the current of a unit by its supply.

    Parameters
    ----------
    data : MirrorData, DeviceTable or DataFrame
        A frame has the columns ``vdd_V``, ``current_nA`` and, with several voltages across the
        output transistor, ``v_V``.
    law : str
        ``"ekv"``, which has weak inversion, or ``"square"``, which is fitted to currents of at
        least 1 % of the largest.
    temperature : Quantity
        At which the sweep was taken, kelvin; a slope factor is one for a temperature.

    Returns
    -------
    MirrorFit
        With `METHOD`'s intervals; one is open where the profile stays below its limit as far as is
        sought. With the supply alone, channel-length modulation moves the current as beta does: it
        is held at 0.

    Raises
    ------
    UserError
        When the data are no sweep, or too few.
    """
    if law not in LAWS:
        raise unknown("law to fit", law, LAWS)
    temperature = check("temperature", temperature, 300 * kelvin, WARM)
    sweep = Sweep.of(_data(data), law, float(temperature / kelvin))
    best = sweep.best()
    profiles = {name: sweep.interval(name, best) for name in sweep.names}
    return sweep.result(best, profiles, temperature)


@dataclass(frozen=True, eq=False)
class Best:
    """A minimum: the parameters as they are searched, and the logarithms that are left."""

    theta: np.ndarray
    residuals: np.ndarray
    jacobian: np.ndarray

    @property
    def cost(self) -> float:
        """Sum of squares."""
        return float(self.residuals @ self.residuals)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Points of a sweep, and the law that is to describe them.

    Attributes
    ----------
    data : MirrorData
    law : str
    used : ndarray of bool, shape (n,)
    left_out : dict of str to int
    thermal : float
        Thermal voltage, V.
    """

    data: MirrorData
    law: str
    used: np.ndarray
    left_out: dict[str, int]
    thermal: float

    @classmethod
    def of(cls, data: MirrorData, law: str, temperature: float) -> Sweep:
        """The points that a law can be fitted to."""
        current = data.points.current_nA.to_numpy()
        drop = data.points.v_V.to_numpy() if "v_V" in data.points else np.ones(len(current))
        reasons = {
            "with no voltage across the transistor": drop <= 0,
            "without a current above 0": current <= 0,
        }
        if law == "square":
            weak = f"below {100 * STRONG:g} % of the largest current, in weak inversion or near it"
            reasons[weak] = current < STRONG * current.max()
        used, left_out = np.ones(len(current), dtype=bool), {}
        for why, wrong in reasons.items():
            left_out[why] = int(np.sum(used & wrong))
            used &= ~wrong
        thermal = float(boltzmann_constant * temperature * kelvin / elementary_charge / volt)
        left_out = {why: n for why, n in left_out.items() if n}
        sweep = cls(data, law, used, left_out, thermal)
        supplies = len(np.unique(sweep.vdd))
        least = len(sweep.names) + 2
        if supplies < least:
            raise UserError(
                f"law={law} has {len(sweep.names)} parameters to fit and needs {least} supplies at "
                f"least; {data.name} has {supplies} that can be used."
            )
        return sweep

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameters that are fitted."""
        lacking = {"channel_modulation": not self.has_drops, "slope_factor": self.law == "square"}
        return tuple(name for name in NAMES if not lacking.get(name))

    @property
    def has_drops(self) -> bool:
        """Whether the current was taken at several voltages across the transistor."""
        return "v_V" in self.data.points and self.data.points.v_V.nunique() > 1

    @cached_property
    def vdd(self) -> np.ndarray:
        """Supplies of the points used, V."""
        return np.asarray(self.data.points.vdd_V[self.used])

    @cached_property
    def drop(self) -> np.ndarray:
        """Voltages across the transistor at the points used, V."""
        return np.asarray(self.data.points.v_V[self.used]) if self.has_drops else self.vdd

    @cached_property
    def log_current(self) -> np.ndarray:
        """Logarithms of currents in A."""
        return np.log(1e-9 * np.asarray(self.data.points.current_nA[self.used]))

    def values(self, theta: np.ndarray) -> dict[str, float]:
        """Parameters in SI units."""
        pairs = zip(self.names, theta, strict=True)
        found = {name: float(np.exp(x) if name in LOGARITHMIC else x) for name, x in pairs}
        return {"slope_factor": 1.0, "channel_modulation": 0.0} | found

    def current(self, theta: np.ndarray, vdd: np.ndarray, drop: np.ndarray) -> np.ndarray:
        """What the law gives, A."""
        own = self.values(theta)
        n = own["slope_factor"]
        mirror = Mirror(
            self.law,
            own["beta"],
            own["vto"],
            own["R_S"],
            2 * n * self.thermal,
            own["channel_modulation"],
        )
        overdrive = mirror.overdrive(vdd)
        if self.has_drops:
            return np.asarray(mirror.output(overdrive, drop, n if self.law == "ekv" else 1.0))
        return np.asarray(mirror.current(overdrive))

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """Logarithms of measured over fitted currents."""
        fitted = self.current(theta, self.vdd, self.drop)
        left: np.ndarray = self.log_current - np.log(np.maximum(fitted, LEAST_CURRENT))
        return left

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the search."""
        # A square law gives nothing at its threshold, whose logarithm no search can take.
        top = self.vdd.min() - 1e-6 if self.law == "square" else self.vdd.max() + BEYOND
        most, span = float(np.exp(self.log_current.max())), float(np.ptp(self.vdd))
        ends = {
            "beta": tuple(np.log(2 * most / (span * share) ** 2) for share in OVERDRIVES[::-1]),
            "vto": (self.vdd.min() - BEYOND, top),
            "R_S": tuple(np.log(span * share / most) for share in DROPS),
            "slope_factor": (0.0, np.log(MOST_SLOPE)),
            "channel_modulation": (0.0, MOST_MODULATION),
        }
        low, high = zip(*(ends[name] for name in self.names), strict=True)
        return np.array(low), np.array(high)

    def minimum(self, start: np.ndarray, fixed: Mapping[int, float], close: float = ROUGH) -> Best:
        """The nearest minimum, with some parameters fixed, as close as a share of its sum."""
        low, high = self.bounds
        free = np.array([k for k in range(len(start)) if k not in fixed], dtype=int)
        theta = np.clip(start, low, high)
        for place, value in fixed.items():
            theta[place] = value

        def placed(part: np.ndarray) -> np.ndarray:
            whole = theta.copy()
            whole[free] = part
            return whole

        inside = np.clip(theta[free], low[free] + 1e-9, high[free] - 1e-9)
        found = least_squares(
            lambda part: self.residuals(placed(part)),
            inside,
            jac="3-point" if close < ROUGH else "2-point",
            bounds=(low[free], high[free]),
            x_scale="jac",
            xtol=close,
            ftol=close,
            gtol=None,
            max_nfev=MOST_STEPS,
        )
        return Best(placed(found.x), found.fun, found.jac)

    def best(self) -> Best:
        """The best minimum of several starts."""
        found = [self.minimum(start, {}) for start in self._starts()]
        best = self.minimum(min(found, key=lambda one: one.cost).theta, {}, PRECISE)
        if not np.sqrt(best.cost / len(self.vdd)) < 1:
            raise UserError(
                f"law={self.law} does not describe {self.data.name}: the best fit is off by a "
                "factor of e on the average; look at units, sign and range of the sweep."
            )
        return best

    def _starts(self) -> Iterator[np.ndarray]:
        """Parameters from straight lines: vdd is linear in vto, R_S and 1/sqrt(beta)."""
        strong = self.log_current > self.log_current.max() + np.log(0.03)
        if self.has_drops:
            # In saturation, as far as it goes.
            strong &= self.drop >= 0.5 * self.drop.max()
        I, vdd = np.exp(self.log_current[strong]), self.vdd[strong]  # noqa: E741
        slopes = (1.2, 1.7) if "slope_factor" in self.names else (1.0,)
        lines = np.column_stack([np.ones(len(I)), I, np.sqrt(I)])
        size = lines.max(axis=0)
        fitted = nnls(lines / size, vdd)[0] / size
        room = np.ptp(vdd) / I.max()
        for vto, R_S, root in (
            fitted,
            (vdd.min() - 0.1, 0.3 * room, np.sqrt(0.1 * room * I.max() / I.max())),
            (vdd.min(), 0.8 * room, 0.1 * np.ptp(vdd) / np.sqrt(I.max())),
        ):
            beta = 2 / max(root, 1e-3 / np.sqrt(I.max())) ** 2
            own = {"vto": vto, "beta": np.log(beta), "R_S": np.log(max(R_S, 1e-3 * room))}
            for n in slopes:
                more = own | {"slope_factor": np.log(n), "channel_modulation": 0.05}
                yield np.array([more[name] for name in self.names], dtype=float)

    @property
    def freedom(self) -> int:
        """Points beyond parameters."""
        return len(self.vdd) - len(self.names)

    def variance(self, best: Best) -> float:
        """Of one logarithm."""
        return max(best.cost / self.freedom, LEAST_ERROR**2)

    def covariance(self, best: Best) -> np.ndarray:
        """Of the parameters as they are searched, linear around the best."""
        return np.asarray(self.variance(best) * np.linalg.pinv(best.jacobian.T @ best.jacobian))

    def interval(self, name: str, best: Best) -> tuple[float, float]:
        """Ends of a parameter's profile, as it is searched; infinite where it stays open."""
        place = self.names.index(name)
        excess = self.variance(best) * fisher.ppf(CONFIDENCE, 1, self.freedom)
        stride = np.sqrt(max(self.covariance(best)[place, place], 1e-20))
        return tuple(self._end(place, best, excess, side, stride) for side in (-1, 1))  # type: ignore[return-value]

    def _end(self, place: int, best: Best, excess: float, side: int, stride: float) -> float:
        low, high = (float(end[place]) for end in self.bounds)
        at, known, start = best.theta[place], 0.0, best.theta

        def above(distance: float) -> float:
            nonlocal start
            found = self.minimum(start, {place: at + side * distance})
            if found.cost - best.cost <= excess:
                start = found.theta
            return found.cost - best.cost - excess

        room = at - low if side < 0 else high - at
        step = min(1.5 * stride, 1.0, room)
        while step > 0:
            if above(step) > 0:
                ends = brentq(above, known, step, rtol=1e-4, xtol=1e-4 * (step - known))
                return float(at + side * ends)
            if step >= room:
                break
            known, step = step, min(2 * step, room)
        # A modulation is not below 0, nor a slope factor below 1: their intervals end there.
        bounded = side < 0 and self.names[place] in ("channel_modulation", "slope_factor")
        return low if bounded else side * np.inf

    def result(
        self, best: Best, profiles: Mapping[str, tuple[float, float]], temperature: Quantity
    ) -> MirrorFit:
        """The fit in units."""
        values = self.values(best.theta)
        ends = {
            name: tuple(float(np.exp(x)) if name in LOGARITHMIC else x for x in pair)
            for name, pair in profiles.items()
        }
        intervals = {
            name: Estimate(*(x / SI[name] * UNITS[name] for x in (values[name], *ends[name])))
            for name in self.names
        }
        points = self.data.points.reset_index(drop=True)
        points = points.assign(used=self.used, fit_nA=np.nan, residual_percent=np.nan)
        off = 100 * np.expm1(best.residuals)
        points.loc[self.used, "fit_nA"] = 1e9 * np.exp(self.log_current - best.residuals)
        points.loc[self.used, "residual_percent"] = off
        rms = float(np.sqrt(np.mean(best.residuals**2)))
        return MirrorFit(
            law=self.law,
            intervals=intervals,
            held=self._held(),
            undetermined=self._undetermined(best, values, ends),
            points=points,
            curve=self._curve(best),
            left_out=self.left_out,
            rms_percent=100 * rms,
            worst_percent=float(np.abs(off).max()),
            systematic=rms > VISIBLE and _in_runs(best.residuals),
            temperature=temperature,
            data=self.data,
        )

    def _held(self) -> dict[str, str]:
        held = {}
        if not self.has_drops:
            held["channel_modulation"] = "held at 0: it takes a sweep of v to tell it from beta"
        if self.law == "square":
            held["slope_factor"] = "the square law has none"
        return held

    def _undetermined(
        self, best: Best, values: Values, ends: Mapping[str, tuple[float, ...]]
    ) -> dict[str, str]:
        """Parameters that are open or known loosely, and those that move with them."""
        deviation = np.sqrt(np.diag(covariance := self.covariance(best)))
        tied = covariance / np.maximum(np.outer(deviation, deviation), 1e-300)
        found = {}
        for place, name in enumerate(self.names):
            low, high = ends[name]
            if name == "vto":
                loose = high - low > LOOSE_VTO
            elif name == "channel_modulation":
                loose = high - low > max(LOOSE_MODULATION, values[name])
            else:
                loose = low <= 0 or high / low > LOOSE
            if not loose:
                continue
            others = [
                other
                for k, other in enumerate(self.names)
                if k != place and abs(tied[place, k]) > TIED
            ]
            why = _openness(name, low, high)
            found[name] = f"{why}, and moves together with {listed(others)}" if others else why
        return found

    def _curve(self, best: Best) -> pd.DataFrame:
        """The fit on a fine grid, with a band that is linear in the parameters."""
        ends = np.linspace(self.vdd.min(), self.vdd.max(), FINE)
        drops = np.unique(self.drop) if self.has_drops else np.array([np.nan])
        vdd, drop = (side.ravel() for side in np.meshgrid(ends, drops))
        fit = self.current(best.theta, vdd, drop)
        slopes = []
        for place in range(len(best.theta)):
            width = np.zeros(len(best.theta))
            width[place] = 1e-5
            up, down = (self.current(best.theta + s * width, vdd, drop) for s in (1, -1))
            with np.errstate(divide="ignore", invalid="ignore"):
                slopes.append(np.log(up / down) / 2e-5)
        J = np.nan_to_num(np.array(slopes).T)
        deviation = np.sqrt(np.einsum("ij,jk,ik->i", J, self.covariance(best), J))
        width = student.ppf((1 + CONFIDENCE) / 2, self.freedom) * deviation
        return pd.DataFrame(
            {
                "vdd_V": vdd,
                **({"v_V": drop} if self.has_drops else {}),
                "fit_nA": 1e9 * fit,
                "low_nA": 1e9 * fit * np.exp(-width),
                "high_nA": 1e9 * fit * np.exp(width),
            }
        )


def _data(data: Any) -> MirrorData:
    """Points of what is given."""
    if isinstance(data, MirrorData):
        return checked(data)
    if isinstance(data, DeviceTable):
        vdd, drop = np.asarray(data.at_vdd / volt), np.asarray(data.at_drop / volt)
        points = pd.DataFrame(
            {
                "vdd_V": np.repeat(vdd, len(drop)),
                "v_V": np.tile(drop, len(vdd)),
                "current_nA": np.asarray(data.unit_current / nA),
            }
        )
        return MirrorData(data.name, points if data.drops else points.drop(columns="v_V"))
    if not isinstance(data, pd.DataFrame):
        raise UserError(
            f"A fit takes MirrorData, a DeviceTable or a DataFrame, not {type(data).__name__}."
        )
    names = [name for name in ("vdd_V", "v_V", "current_nA") if name in data]
    for name in ("vdd_V", "current_nA"):
        if name not in names:
            raise UserError(f"The frame needs a column {name}; it has {listed([*map(str, data)])}.")
    return checked(MirrorData("data", data[names].astype(float)))


def _openness(name: str, low: float, high: float) -> str:
    if np.isinf(high) and (low <= 0 or np.isinf(low)):
        return "open on both sides"
    if np.isinf(high):
        return "open towards higher values"
    if np.isinf(low) or (low <= 0 and name in LOGARITHMIC):
        return "open towards lower values" if name == "vto" else "open towards 0"
    return f"known loosely, {number(low / SI[name], 3)} to {number(high / SI[name], 3)}"


def _in_runs(residuals: np.ndarray) -> bool:
    """Whether signs stay alike longer than independent ones would (Wald & Wolfowitz 1940)."""
    above = residuals > 0
    many, few = int(above.sum()), int((~above).sum())
    total = many + few
    if min(many, few) < 2:
        return total > 8
    runs = 1 + int(np.sum(above[1:] != above[:-1]))
    mean = 1 + 2 * many * few / total
    spread = np.sqrt((mean - 1) * (mean - 2) / (total - 1))
    return bool(norm.cdf((runs - mean) / spread) < DOUBT)


def _plain(value: Any) -> float | None:
    """A number in SI units; None where it is infinite, for which JSON has no word."""
    plain = float(np.asarray(value))
    return plain if np.isfinite(plain) else None
