"""Receptors from data: least squares over the whole cascade, and what the data leave open."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second, umolar

from neuromod.analysis.cascade import Path, activation, settled
from neuromod.analysis.hill_family import Estimate
from neuromod.analysis.receptor_data import GAIN, Course, Responses, Steady, same_units
from neuromod.analysis.receptor_search import (
    NAMES,
    Held,
    Problem,
    Profile,
    Search,
    Values,
    searched,
)
from neuromod.errors import UserError, listed, unknown
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.support.text import number, say, with_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS: dict[str, Any] = {
    "k_on": PER_UMOLAR_SECOND,
    "k_off": 1 / second,
    "K_D": umolar,
    "ec50": umolar,
    "tau_messenger": second,
    "k_desensitise": 1 / second,
    "tau_recover": second,
    "K_B": umolar,
}
"""Units that the fit works in; the other parameters have none."""
SHOWN = ["data", "readout", "time_s", "conc_uM", "antagonist_uM"]
# Points of a fitted curve, and the fewest of a read-out.
FINE, FEWEST = 300, 4


@dataclass(frozen=True, eq=False)
class ReceptorFit:
    """A receptor fitted to data.

    Attributes
    ----------
    receptor : Receptor
        What the data determine is fitted, the rest is that of the start.
    intervals : dict of str to Estimate
        Parameters with their 95 % intervals, in their units; open ends are 0 or infinite. ``K_D``,
        ``ec50`` and ``K_B`` are among them.
    undetermined : dict of str to str
        Parameters that the data leave open, and why: those held at the start, and those that are
        bounded on one side only.
    given : dict of str to tuple of str
        Parameters whose interval holds for the values alone at which these others are held.
    readouts : dict of str to tuple
        Offset and scale of every read-out in the base unit of its responses: a response is
        ``offset + scale*activation``.
    points : DataFrame
        One row for every known response: ``data``, ``readout``, ``time_s`` (nan where steady),
        ``conc_uM``, ``antagonist_uM``, ``response`` and its base ``unit``, ``fit``, ``residual``,
        and ``standardised``, the residual over its standard deviation.
    curves : DataFrame
        The fit in between: ``data``, ``readout``, ``time_s``, ``conc_uM``, ``antagonist_uM``,
        ``fit``, and ``start``, what the receptor of the start does, with the offset and scale of
        the fit unless it is a gain.
    left_out : int
        Missing responses.
    """

    receptor: Receptor
    intervals: dict[str, Estimate]
    undetermined: dict[str, str]
    given: dict[str, tuple[str, ...]]
    readouts: dict[str, tuple[float, float]]
    points: pd.DataFrame
    curves: pd.DataFrame
    left_out: int

    @property
    def table(self) -> pd.DataFrame:
        """Every parameter with its interval and unit, and what the data say of it."""
        rows = []
        for name, found in self.intervals.items():
            unit = UNITS.get(name, 1)
            ends = (float(end / unit) for end in (found.value, found.low, found.high))
            rows.append([name, *ends, say(unit) if name in UNITS else "", self._said(name)])
        columns = ["parameter", "value", "low", "high", "unit", "the_data"]
        return pd.DataFrame(rows, columns=columns)

    def plot(self) -> Figure:
        """Figure of the data, the fit and its residuals."""
        # Imported here because Matplotlib takes its time.
        from neuromod.analysis.receptor_figure import draw_fit

        return draw_fit(self.points, self.curves)

    def __repr__(self) -> str:
        told = [f"{self.receptor.name}, fitted to {say(len(self.points))} responses"]
        for row in self.table.itertuples():
            if row.parameter not in self.undetermined:
                ends = f"{number(row.low, 3)} to {number(row.high, 3)}"
                value = f"{row.parameter} = {number(row.value, 3)} ({ends}) {row.unit}".rstrip()
                told.append(value + row.the_data.removeprefix("determine it"))
        told += [f"{name}: {why}" for name, why in self.undetermined.items()]
        return "\n    ".join(told)

    def _said(self, name: str) -> str:
        if name in self.undetermined:
            return f"do not determine it: {self.undetermined[name]}"
        given = self.given.get(name, ())
        return f"determine it given {listed(given)}" if given else "determine it"


def fit_receptor(
    *data: Steady | Course, start: Receptor | None = None, fixed: Collection[str] = ()
) -> ReceptorFit:
    """Fit a receptor to dose-response points and time courses, jointly or alone.

    A response is a linear function of the activation: a gain, or what has an offset and a scale of
    its own. All parameters of the cascade are fitted at once by least squares; offsets and scales
    are solved for. Read-outs are weighted by what each scatters around the fit.

    Parameters
    ----------
    *data : Steady or Course
    start : Receptor, optional
        Where the search starts, and where what the data do not determine is held; a generic
        receptor by default. Desensitisation is fitted if it has any, and K_B if the data have an
        antagonist.
    fixed : collection of str
        What is known and stays as in `start`: names of a receptor's parameters, ``"K_D"`` or
        ``"K_B"``.

    Returns
    -------
    ReceptorFit
        Intervals are those of the profile likelihood, where the least sum of squares exceeds the
        best by the residual variance times a quantile of the F distribution (Bates & Watts 1988,
        Nonlinear Regression Analysis); they take the points to scatter independently. Where the
        profile stays below that as far as is sought (a factor of 100 000, of n 20, of K 1000, and
        the EC50 to 1000 times beyond the doses) it is open: the parameter is practically
        non-identifiable (Raue et al. 2009, Bioinformatics 25:1923-1929). If its value in `start`
        lies within the interval, it is held there. Intervals of others that would be open without
        that hold for that value alone, and are marked so in `given`.

    Raises
    ------
    UserError
        When the data do not go together, are too few, or determine nothing.
    """
    start = Receptor() if start is None else start
    names = {fixed} if isinstance(fixed, str) else set(fixed)
    _check(data, start, names)
    points = _points(data)
    problem, known = _problem(data, points), _known(data, start, names)
    return _result(data, points, start, *searched(problem, _of(start), known))


def _check(data: Sequence[Any], start: Receptor, fixed: set[str]) -> None:
    if not data:
        raise UserError("There is nothing to fit: give Steady or Course data.")
    for one in data:
        if not isinstance(one, Steady | Course):
            raise UserError(f"Data must be Steady or Course, not {type(one).__name__}.")
    same_units(data)
    for name in fixed - (set(NAMES) - {"ec50"}):
        raise unknown("parameter of a fit", name, set(NAMES) - {"ec50"})
    if {"k_on", "k_off", "K_D"} <= fixed:
        raise UserError("K_D is k_off/k_on: two of the three in fixed say all.")
    if _rivalled(data) and not start.antagonist:
        raise UserError("The data have an antagonist: give start one, Receptor(antagonist=...).")
    if start.gain_max == 1 and any(one.readout == GAIN for one in data):
        raise UserError("A gain_max of 1 is no start for gains: give one above or below 1.")


def _rivalled(data: Sequence[Responses]) -> bool:
    return any(np.any(one.levels[1] > 0) for one in data if isinstance(one, Steady))


def _known(data: Sequence[Any], start: Receptor, fixed: set[str]) -> set[str]:
    """Parameters that are not fitted."""
    off = set() if start.k_desensitise > 0 / second else {"k_desensitise", "tau_recover"}
    return fixed | off | (set() if _rivalled(data) else {"K_B"})


def _of(receptor: Receptor) -> Values:
    """Parameters of a receptor in the units of the fit."""
    values = {name: getattr(receptor, name) for name in NAMES if hasattr(receptor, name)}
    values["K_D"] = receptor.k_off / receptor.k_on
    values["K_B"] = receptor.k_off_antagonist / receptor.k_on_antagonist
    return {name: float(value / UNITS.get(name, 1)) for name, value in values.items()}


def _problem(data: Sequence[Steady | Course], points: pd.DataFrame) -> Problem:
    """Points with weights that make the span of each read-out 1.

    Raises
    ------
    UserError
        When a read-out does not change or has too few points, or all are without ligand.
    """
    paths = []
    for place, one in enumerate(data):
        if isinstance(one, Course):
            rows = np.flatnonzero(points.place == place)
            way = one.conc
            times = points.time_s.to_numpy()[rows]
            paths.append((rows, Path.of(times, way.level, way.kinks, way.jumps, way.first)))
    steady = points.time_s.isna().to_numpy()
    doses = [*points.conc_uM[steady], *(path.end.max() for _, path in paths)]
    if not np.any(np.array(doses) > 0):
        raise UserError("No response was measured in the presence of the ligand.")
    weights, readouts = np.zeros(len(points)), {}
    for name, own in points.groupby("readout", sort=False):
        readouts[str(name)] = rows = own.index.to_numpy()
        span = np.ptp(own.response)
        if len(own) < FEWEST or not span > 1e-12 * np.abs(own.response).max():
            raise UserError(
                f"Responses of read-out {name} must change, and be known at {FEWEST} points at "
                "least."
            )
        share = (1 / own.error**2).fillna(1).to_numpy()
        weights[rows] = share / share.mean() / span**2
    return Problem(
        steady=steady,
        conc=points.conc_uM.to_numpy()[:, None],
        rival=points.antagonist_uM.to_numpy()[:, None],
        paths=tuple(paths),
        doses=np.array([dose for dose in doses if dose > 0]),
        response=points.response.to_numpy(),
        weights=weights,
        readouts=readouts,
    )


def _points(data: Sequence[Steady | Course]) -> pd.DataFrame:
    """Points of all data whose response is known."""
    frames = []
    for place, one in enumerate(data):
        table = pd.DataFrame({"place": place, "response": np.asarray(one.response, dtype=float)})
        table["readout"], table["data"] = one.readout, one.name or f"data {place + 1}"
        table["unit"] = one.unit
        table["error"] = np.nan if one.error is None else np.asarray(one.error, dtype=float)
        table["antagonist_uM"] = 0.0
        if isinstance(one, Steady):
            table["time_s"] = np.nan
            table["conc_uM"], table["antagonist_uM"] = one.levels
        else:
            table["time_s"] = np.asarray(one.times / second)
            table["conc_uM"] = one.conc.level(table.time_s.to_numpy())
        frames.append(table[one.known])
    return pd.concat(frames, ignore_index=True)


def _result(
    data: Sequence[Steady | Course],
    points: pd.DataFrame,
    start: Receptor,
    whole: Search,
    search: Search,
    held: dict[str, Held],
) -> ReceptorFit:
    """The fit in units."""
    profiles = {name: one.profile for name, one in held.items()}
    given = {}
    for name in search.reported:
        profiles[name], given[name] = _profiled(name, whole, search, held)
    intervals = {
        name: Estimate(*(end * UNITS.get(name, 1) for end in (search.best.values[name], *ends)))
        for name in NAMES
        if name in profiles
        for ends in [(profiles[name].low, profiles[name].high)]
    }
    undetermined = {
        name: f"held at {_written(name, search.best.values[name])}, because {one.why}"
        for name, one in held.items()
    }
    for name in search.reported:
        if profiles[name].open_at:
            undetermined[name] = _bounded(profiles[name])
    off = search.best.residuals / np.sqrt(search.problem.weights)
    shown = points[[*SHOWN, "response", "unit"]].assign(
        fit=points.response - off,
        residual=off,
        standardised=search.best.residuals / np.sqrt(search.variance),
    )
    return ReceptorFit(
        receptor=_fitted(start, search.best.values),
        intervals=intervals,
        undetermined=undetermined,
        given={name: others for name, others in given.items() if others},
        readouts=search.best.ends,
        points=shown,
        curves=pd.concat([_curve(one, search, k) for k, one in enumerate(data)], ignore_index=True),
        left_out=sum(int(np.sum(~one.known)) for one in data),
    )


def _profiled(
    name: str, whole: Search, search: Search, held: dict[str, Held]
) -> tuple[Profile, tuple[str, ...]]:
    """Interval of a parameter, and what it is given: nothing where it closes by itself."""
    later = [one for one in held if one not in whole.held]
    tied = [one for one in held if name in held[one].stand_ins]
    # Tied to what is open, it would end where the search for that does.
    if not set(tied) & set(later):
        profile = whole.profile(name)
        if not profile.open_at or not later:
            return profile, tuple(tied)
    return search.profile(name), tuple(tied or later)


def _written(name: str, value: float) -> str:
    """A parameter's value with the unit of the fit."""
    return with_unit(number(value, 3), say(UNITS[name]) if name in UNITS else "")


def _bounded(profile: Profile) -> str:
    """On which side an interval is open."""
    if profile.low == 0 and np.isinf(profile.high):
        return "open on both sides"
    return "open towards 0" if profile.low == 0 else "open towards higher values"


def _fitted(start: Receptor, values: Values) -> Receptor:
    """A receptor like the start with other parameters."""
    own = {name: values[name] * UNITS.get(name, 1) for name in NAMES if hasattr(start, name)}
    del own["ec50"]
    blocked = values["K_B"] * umolar * start.k_on_antagonist
    return replace(start, **own, k_off_antagonist=blocked)


def _curve(one: Steady | Course, search: Search, place: int) -> pd.DataFrame:
    """The fit to one data set on a fine grid, for every concentration of the antagonist."""
    if isinstance(one, Steady):
        conc, rival = one.levels
        doses = np.geomspace(conc[conc > 0].min(initial=conc.max()) / 3, conc.max(), FINE)
        baths = np.repeat(np.unique(rival), FINE)
        conc = np.tile(doses, len(baths) // FINE)
        table = pd.DataFrame({"time_s": np.nan, "conc_uM": conc, "antagonist_uM": baths})
    else:
        first, last = (float(one.times[end] / second) for end in (0, -1))
        times = np.linspace(first, last, FINE)
        table = pd.DataFrame({"time_s": times, "conc_uM": one.conc.level(times)})
        table["antagonist_uM"] = 0.0
    offset, scale = search.best.ends[one.readout]
    fit = offset + scale * _active(one, table, search.best.values)
    if one.readout == GAIN:
        scale = search.start["gain_max"] - 1
    start = offset + scale * _active(one, table, search.start)
    named = {"data": one.name or f"data {place + 1}", "readout": one.readout}
    return table.assign(**named, fit=fit, start=start)[[*SHOWN, "fit", "start"]]


def _active(one: Steady | Course, table: pd.DataFrame, values: Values) -> np.ndarray:
    """Activation in the rows of a table, which go with one data set."""
    sets = {name: np.array([value]) for name, value in values.items()}
    if isinstance(one, Steady):
        conc, rival = (table[name].to_numpy()[:, None] for name in ("conc_uM", "antagonist_uM"))
        return activation(settled(conc, rival, sets), sets)[:, 0]
    way = one.conc
    path = Path.of(table.time_s.to_numpy(), way.level, way.kinks, way.jumps, way.first)
    return activation(path.messenger(sets), sets)[:, 0]
