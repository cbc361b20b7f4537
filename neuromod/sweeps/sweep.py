"""Sweeps of any settings of any protocol: planned, computed in chunks, resumed, gathered."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.devices.simulation import check_request
from neuromod.errors import UserError
from neuromod.protocol import Study, Training
from neuromod.runs.picture import png
from neuromod.runs.registry import GROUPS, find, name_of, version_of
from neuromod.settings import change, flatten, format_value, resolve
from neuromod.support.claim import scratch
from neuromod.support.machine import forced
from neuromod.support.progress import seen, task
from neuromod.support.text import say
from neuromod.sweeps.chunks import Chunk, Request, by_row, chunk_size
from neuromod.sweeps.extremes import extremes
from neuromod.sweeps.figure import draw
from neuromod.sweeps.folder import EXTREMES, FAILURES, MOST_ROWS, RESULTS, TABLE, Folder, taken
from neuromod.sweeps.points import Axis, Points, from_table, points
from neuromod.sweeps.results import Gathered, tidy
from neuromod.sweeps.workers import connected, crowd, outcomes

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

TRIED = 1000
"""Values of a setting that are checked one by one before the work; of more, the ends are."""
SEED = "seed"


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep.

    Attributes
    ----------
    dataset : xarray.Dataset
        All results over the settings, with units; ``attrs`` say where they come from.
    failures : DataFrame
        A row for every point that failed: its settings and why.
    computed : int
        Points computed now; the others were there already.
    usual : mapping of str to value
        What the protocol has for each setting that varies.
    """

    dataset: xarray.Dataset
    failures: pd.DataFrame
    points: Points
    computed: int
    usual: Mapping[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """Main table of all points, their settings before it."""
        return tidy(self.dataset)

    @property
    def extremes(self) -> pd.DataFrame:
        """Lowest and highest of every number that varies, and where: see `extremes`."""
        return extremes(self.dataset, self.points, self.usual)

    def plot(self, *names: str) -> Figure:
        """Lines, families of lines or heat maps of results over the settings.

        Parameters
        ----------
        *names : str
            Results; those that vary by default.
        """
        return draw(self.dataset, list(names))

    def __repr__(self) -> str:
        """Protocol, points and failures on one line."""
        name = self.dataset.attrs["protocol"]
        return f"<Sweep of {name}, {say(len(self.points))} points, {len(self.failures)} failed>"


@seen()
def sweep(
    protocol: str | Study,
    grid: Mapping[str, Any] | str | Path,
    *,
    design: str = "full",
    samples: int = 0,
    seeds: int = 1,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    scheduler: str = "",
    cluster: str | Path | None = None,
    device: str = "cython",
    precision: str = "double",
    force: bool = False,
    **settings: Any,
) -> Sweep:
    """Run a protocol with many values of its settings.

    Points that differ only in values of single neurons run side by side in one network.

    Parameters
    ----------
    protocol : str or Study
        A name, or a protocol with its settings.
    grid : mapping of str to values, or path
        Values by setting, such as ``{"D1.gain_max": np.linspace(1, 3, 9), "tau_m": [10, 20]*ms}``;
        or a CSV file with a column for each setting and a row for each point.
    design : str
        ``"full"``, every combination; ``"zip"``, the first values together, then the second; or
        ``"latin"`` or ``"sobol"``, at random between two ends of each setting.
    samples : int
        Points of a random design.
    seeds : int
        How many seeds each point is run with, the protocol's own and those after it.
    out : path, optional
        Folder to keep the sweep in, which every chunk reaches when it ends.
    resume : bool
        Whether to go on with the sweep that is there.
    workers : int, optional
        Processes on this machine, one for each core by default; 1 is this process.
    scheduler : str
        Address of a Dask scheduler to use instead.
    cluster : path, optional
        TOML file with a class of dask-jobqueue to use instead.
    device, precision, force
        As for `run`.
    **settings
        Settings that all points share, as for `run`.

    Returns
    -------
    Sweep

    Raises
    ------
    UserError
        For anything in the request that cannot be done; a point that fails is in `failures`.

    Examples
    --------
    >>> import neuromod
    >>> from brian2 import Mohm, nA, second, umolar
    >>> small = {"conc": [1] * umolar, "I": [0.8] * nA, "duration": 0.1 * second, "workers": 1}
    >>> swept = neuromod.sweep("gain-curve", {"R": [30, 40] * Mohm}, **small)
    >>> dict(swept.dataset.sizes)["R"]
    2
    """
    base = find("protocol", protocol)() if isinstance(protocol, str) else protocol
    study = change(base, settings)
    check_request(device, precision)
    if isinstance(study, Training) and (device, precision) != ("cython", "double"):
        raise UserError(
            f"{name_of(study)} works with torch alone: it needs no device or precision."
        )
    request = Request(name_of(study), _changed(study), device, precision, force)
    try:
        find("protocol", request.protocol)
    except UserError as error:
        raise UserError(
            f"Workers find protocols by name, and the class {request.protocol} is not registered: "
            f"give it an entry point in the group {GROUPS['protocol']} and install its package."
        ) from error
    if not same(request.base(), study):
        raise UserError(
            f"Workers make {request.protocol} from its settings as text, and what it was given "
            "cannot be written so: register it as a model, or choose it by name."
        )
    chosen = _points(study, grid, design, samples, seeds, settings)
    _check(study, chosen, force)
    with _folder(out, resume) as folder, connected(workers, scheduler, cluster) as client:
        plan = _plan(folder, request, chosen, client)
        computed = _compute(folder, plan, client)
        finished = _gathered(folder, plan, computed)
        if out is not None:
            _write(folder, finished)
    return finished


def load_sweep(folder: str | Path) -> xarray.Dataset:
    """Results of a sweep from its folder, as xarray reads them itself.

    Raises
    ------
    UserError
        When there is no finished sweep.
    """
    import xarray

    path = Path(folder) / RESULTS
    if not path.is_dir():
        raise UserError(f"There is no finished sweep in {folder}: --resume finishes one.")
    dataset: xarray.Dataset = xarray.open_zarr(path)
    return dataset


@dataclass(frozen=True, eq=False)
class Plan:
    """Points of a sweep and how many of them make a chunk."""

    request: Request
    points: Points
    size: int
    info: dict[str, Any]

    def chunks(self) -> Iterator[Chunk]:
        """All chunks; points that differ in what the protocol takes as a list follow each other."""
        found = self.points
        columns = {axis.name: found.of(axis) for axis in found.axes}
        listed = by_row(self.request.base(), found.names)
        slow = [k for k, name in enumerate(found.names) if name != listed]
        # Of the keys of a lexical order the last comes first.
        keys = [np.arange(len(found)), *(found.index[:, k] for k in reversed(slow))]
        order = np.lexsort(keys)
        for start in range(0, len(order), self.size):
            numbers = order[start : start + self.size]
            values = {name: _chosen(each, numbers) for name, each in columns.items()}
            yield Chunk(self.request, numbers, values)

    @property
    def count(self) -> int:
        """Of chunks."""
        return -(-len(self.points) // self.size)


def _chosen(values: Any, numbers: np.ndarray) -> Any:
    if isinstance(values, np.ndarray):
        return values[numbers]
    return [values[number] for number in numbers]


def same(a: Study, b: Study) -> bool:
    """Whether two studies have the same settings."""
    return type(a) is type(b) and _texts(a) == _texts(b)


def _texts(study: Study) -> dict[str, str]:
    return {name: format_value(value) for name, value in flatten(study).items()}


def _changed(study: Study) -> dict[str, str]:
    """Settings that are not the protocol's defaults, or that only their models have."""
    default = _texts(type(study)())
    return {name: text for name, text in _texts(study).items() if default.get(name) != text}


def _points(
    study: Study, grid: Any, design: str, samples: int, seeds: int, shared: Iterable[str] = ()
) -> Points:
    """All points, those of every seed if there are several; they set nothing that is shared."""
    if seeds < 1:
        raise UserError(f"seeds = {seeds} must be 1 at least.")
    if isinstance(grid, str | Path):
        found = from_table(grid)
    else:
        found = points(grid, design, samples, study.seed)
    _refuse_twice(study, [*shared, *found.names])
    if seeds == 1:
        return found
    if SEED in found.names:
        raise UserError("Give seeds or a grid of seed, not both.")
    axis = Axis(SEED, study.seed + np.arange(seeds))
    if found.full:
        return points({each.name: each.values for each in (*found.axes, axis)})
    own = np.tile(np.arange(seeds), len(found))[:, None]
    index = np.hstack([np.repeat(found.index, seeds, axis=0), own]).astype(np.int32)
    return Points((*found.axes, axis), index, full=False)


def _refuse_twice(study: Study, names: Iterable[str]) -> None:
    """Refuse a setting that is given by two names, or for all points and for each."""
    known, given = flatten(study), set()
    for name in names:
        full = name
        # What is unknown may be of a model that only some points have.
        with suppress(UserError):
            full = resolve(name, known)
        if full in given:
            raise UserError(f"{name} is given twice, for each point or for all: give it once.")
        given.add(full)


def _check(study: Study, chosen: Points, force: bool) -> None:
    """Refuse values that the protocol does not take, each with the other settings' first ones."""
    first = chosen.at(0)
    with forced(force):
        change(study, first)
        for axis in chosen.axes:
            if by_row(study, [axis.name]):
                change(study, {**first, axis.name: axis.values})
                continue
            for value in _tried(axis):
                change(study, {**first, axis.name: value})


def _tried(axis: Axis) -> Any:
    if not axis.is_numeric or len(axis.values) <= TRIED:
        return axis.values
    return axis.values[[np.argmin(axis.values), np.argmax(axis.values)]]


@contextmanager
def _folder(out: str | Path | None, resume: bool) -> Iterator[Folder]:
    """Where chunks are kept, for the time of the sweep alone unless a folder was named."""
    if out is None:
        if resume:
            raise UserError("Give the folder of the sweep to resume.")
        with scratch() as path, taken(path / "sweep", resume) as folder:
            yield folder
    else:
        with taken(Path(out).absolute(), resume) as folder:
            yield folder


def _plan(folder: Folder, request: Request, chosen: Points, client: Any) -> Plan:
    """What to compute; of a sweep that is resumed, in the chunks that it began with."""
    asked = {
        "protocol": request.protocol,
        "settings": dict(request.settings),
        "device": request.device,
        "precision": request.precision,
        "points": len(chosen),
        "grid": {axis.name: say(axis.values) for axis in chosen.axes},
        "sha256": chosen.fingerprint,
        "neuromod": version_of("brian2-neuromod"),
    }
    if folder.is_begun:
        before = folder.read_info()
        different = [name for name, value in asked.items() if before.get(name) != value]
        if different:
            raise UserError(
                f"The sweep in {folder.path} is another: its {different[0]} is "
                f"{before.get(different[0])}, not {asked[different[0]]}."
            )
        return Plan(request, chosen, before["chunk"], before)
    columns = {name: [value] for name, value in chosen.at(0).items()}
    size = chunk_size(Chunk(request, np.array([0]), columns), len(chosen), crowd(client))
    info = asked | {"chunk": size, "python": platform.python_version()}
    folder.write_info(info | {"brian2": version_of("brian2"), "platform": platform.platform()})
    return Plan(request, chosen, size, folder.read_info())


def _compute(folder: Folder, plan: Plan, client: Any) -> int:
    """Compute and keep the chunks that are not there yet; give their number of points."""
    progress, total = task("sweep"), len(plan.points)
    missing = [number for number in range(plan.count) if not folder.has(number)]
    wanted = set(missing)
    chunks = ((k, chunk) for k, chunk in enumerate(plan.chunks()) if k in wanted)
    there = total - sum(min(plan.size, total - k * plan.size) for k in missing)
    done = there
    progress(done, total)
    for number, size, outcome in outcomes(chunks, client):
        folder.write_chunk(number, outcome)
        done += size
        progress(done, total)
    return total - there


def _gathered(folder: Folder, plan: Plan, computed: int) -> Sweep:
    gathered = Gathered(plan.points)
    failures: dict[int, str] = {}
    for number in range(plan.count):
        tables, failed = folder.read_chunk(number)
        gathered.add(tables)
        failures |= failed
    rows = [
        {name: format_value(v) for name, v in plan.points.at(number).items()} | {"error": why}
        for number, why in sorted(failures.items())
    ]
    told = pd.DataFrame(rows, columns=[*plan.points.names, "error"])
    about = {name: str(value) for name, value in plan.info.items()}
    usual = _usual(plan.request.base(), plan.points.names)
    return Sweep(gathered.dataset(about), told, plan.points, computed, usual)


def _usual(study: Study, names: Iterable[str]) -> dict[str, Any]:
    """What a study has for settings, as far as it has them."""
    held, found = flatten(study), {}
    for name in names:
        # What is unknown may be of a model that only some points have.
        with suppress(UserError):
            found[name] = held[resolve(name, held)]
    return found


def _write(folder: Folder, finished: Sweep) -> None:
    folder.write_results(finished.dataset)
    folder.write_table(FAILURES, finished.failures)
    folder.write_table(EXTREMES, finished.extremes)
    rows = int(
        np.prod([size for dim, size in finished.dataset.sizes.items() if "." not in str(dim)])
    )
    if rows <= MOST_ROWS:
        folder.write_table(TABLE, finished.table)
    folder.write_figure(png(finished.plot()))
