"""The work of a sweep, in chunks that each fit into memory and are written when they end.

Within a chunk, points whose experiments are of one kind run side by side in one network. A setting
of which the protocol gives every value a row of its own (`Study.by_row`) is handed to it as a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from brian2 import BrianLogger

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.protocol import Protocol, Study, Tables
from neuromod.recording import Recording
from neuromod.runs.registry import find
from neuromod.settings import change, read
from neuromod.support.log import journal
from neuromod.support.machine import forced
from neuromod.sweeps.side_by_side import kind, side_by_side

NEURONS = 50_000
"""Of one network, unless one point has more (chosen here: beyond it the time of a step grows in
proportion, so that more neurons would take memory and save nothing)."""
SYNAPSES, SAMPLES = 25, 400
"""That take about the memory of a neuron: synapses, and values of a trace."""
ROUNDS = 4
"""Chunks for each worker, where they are worth it (chosen here: the last to end keeps others
waiting for an eighth of the time on average)."""
# What a network takes whatever its size: to build it, and each step of NumPy. What a point takes:
# its measures in Python, and a step of a neuron. All in seconds of one core; see
# `neuromod.devices.target` and tests/benchmarks/test_sweeps.py.
BUILD_S, STEP_S, MEASURE_S, NEURON_S = 1.0, 1e-4, 0.1, 15e-9
SHARE = 0.1
"""Of a chunk's time that may go into what it takes whatever its size (chosen here)."""


@dataclass(frozen=True)
class Request:
    """What all points of a sweep share.

    Attributes
    ----------
    protocol : str
    settings : mapping of str to str
        Those that were changed, as after ``--set``.
    device, precision : str
    force : bool
    """

    protocol: str
    settings: Mapping[str, str]
    device: str = "cython"
    precision: str = "double"
    force: bool = False

    def base(self) -> Study:
        """The protocol with what all points share."""
        default: Study = find("protocol", self.protocol)()
        return change(default, read(default, self.settings))


@dataclass(frozen=True, eq=False)
class Chunk:
    """Points that are computed together.

    Attributes
    ----------
    request : Request
    numbers : ndarray of int, shape (points,)
        Of the points.
    values : mapping of str to array or list, each of shape (points,)
        By setting.
    """

    request: Request
    numbers: np.ndarray
    values: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, place: int) -> dict[str, Any]:
        """Values of one of its points."""
        return {name: values[place] for name, values in self.values.items()}

    def part(self, start: int, stop: int) -> Chunk:
        """Some of the points."""
        values = {name: each[start:stop] for name, each in self.values.items()}
        return Chunk(self.request, self.numbers[start:stop], values)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a chunk.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Those of all points, one under the other, with their number in the column ``point``.
    failures : dict of int to str
        Why points failed, by number.
    """

    tables: Tables = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Sequence[Outcome]) -> Outcome:
        """Outcomes of parts of a chunk as one, in order of the points."""
        names = dict.fromkeys(name for part in parts for name in part.tables)
        tables = {
            name: pd.concat([p.tables[name] for p in parts if name in p.tables])
            .sort_values("point", kind="stable")
            .reset_index(drop=True)
            for name in names
        }
        return cls(tables, {k: v for part in parts for k, v in part.failures.items()})


def compute(chunk: Chunk) -> Outcome:
    """Results of all points of a chunk; a point that fails does not stop the others."""
    BrianLogger.suppress_name("unused_brian_object")
    request, base = chunk.request, chunk.request.base()
    with journal(), forced(request.force):
        name = by_row(base, list(chunk.values))
        if name:
            return Outcome.of(list(_by_rows(base, chunk, name)))
        return Outcome.of(list(_by_points(base, chunk)))


def by_row(base: Study, names: Sequence[str]) -> str:
    """Setting of a sweep of which the protocol itself takes all values at once; else empty."""
    return next((name for name in names if name in type(base).by_row), "")


def chunk_size(first: Chunk, points: int, workers: int) -> int:
    """How many points make a chunk.

    All workers get as many chunks, up to `ROUNDS` if these are worth it, and more where a chunk
    would not fit into a network of `NEURONS`.

    Parameters
    ----------
    first : Chunk
        The first point.
    points : int
        Of the sweep.
    workers : int

    Raises
    ------
    UserError
        When the first point cannot be.
    """
    experiments, listed = _alone(first)
    neurons = max(map(_weight, experiments), default=NEURONS) / listed
    most = max(1, int(NEURONS / neurons))
    steps = sum(float(experiment.duration / experiment.dt) for experiment in experiments)
    each = steps * NEURON_S * neurons + (MEASURE_S if listed == 1 else 0)
    least = (BUILD_S + steps * STEP_S) / SHARE / each
    rounds = max(1, min(ROUNDS, int(points / workers / least)), -(-points // (workers * most)))
    return -(-points // (workers * rounds))


def _alone(first: Chunk) -> tuple[list[Experiment], int]:
    """Experiments of a point; where it is a row of many, those of as many as the number tells."""
    base = first.request.base()
    name, many = by_row(base, list(first.values)), 1
    with forced(first.request.force):
        study = change(base, first.at(0))
        if name:
            # What rows share, such as a trace of one of them, is no weight of each.
            many = 1000
            study = change(study, {name: first.values[name][0] * np.ones(many)})
        return list(study.experiments().values()) if isinstance(study, Protocol) else [], many


def _weight(experiment: Experiment) -> float:
    """Neurons, or what takes as much memory: synapses and traced samples."""
    neurons = sum(population.size for population in experiment.populations)
    synapses = sum(len(wire.i) for wire in experiment.connections)
    synapses += sum(len(wire.i) for wire in experiment.plastic)
    steps = float(experiment.duration / experiment.dt)
    samples = sum(
        steps / trace.stride(experiment.dt) * len(trace.neurons) * len(trace.variables)
        for trace in experiment.traces
    )
    return max(1, neurons + synapses / SYNAPSES + samples / SAMPLES)


def _by_rows(base: Study, chunk: Chunk, name: str) -> Iterator[Outcome]:
    """Points that differ in one setting alone, as one run of the protocol for each group."""
    rest = [n for n in chunk.values if n != name]
    others = [{n: chunk.values[n][k] for n in rest} for k in range(len(chunk))]
    groups: dict[str, list[int]] = {}
    for place, other in enumerate(others):
        groups.setdefault(repr(other), []).append(place)
    failures: dict[int, str] = {}
    for places in groups.values():
        numbers = chunk.numbers[places]
        with _noted(failures, numbers):
            study = change(base, {**others[places[0]], name: chunk.values[name][places]})
            table = study.perform(_simulating(chunk.request)).tables["table"]
            # The setting itself is an axis of the results.
            own = [column for column in table if name in (column, column.rpartition("_")[0])]
            yield Outcome({"table": table.drop(columns=own).assign(point=numbers)})
    yield Outcome(failures=failures)


def _by_points(base: Study, chunk: Chunk) -> Iterator[Outcome]:
    """Points one by one, their experiments side by side as far as they are of one kind."""
    failures: dict[int, str] = {}
    groups: dict[Any, list[tuple[int, Protocol, dict[str, Experiment]]]] = {}
    for place, number in enumerate(chunk.numbers.tolist()):
        with _noted(failures, [number]):
            study = change(base, chunk.at(place))
            if isinstance(study, Protocol):
                experiments = study.experiments()
                key = tuple((name, kind(e)) for name, e in experiments.items())
                groups.setdefault(key, []).append((number, study, experiments))
            else:
                yield _outcome(number, study.perform(_simulating(chunk.request)).tables)
    for members in groups.values():
        for some in _within_bounds(members):
            yield from _together(some, chunk.request, failures)
    yield Outcome(failures=failures)


def _within_bounds(members: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Some at a time, so that their networks do not outgrow memory."""
    _, _, experiments = members[0]
    most = max(1, int(NEURONS / max(map(_weight, experiments.values()), default=1)))
    for start in range(0, len(members), most):
        yield members[start : start + most]


def _together(
    members: Sequence[tuple[int, Protocol, dict[str, Experiment]]],
    request: Request,
    failures: dict[int, str],
) -> Iterator[Outcome]:
    """Results of points whose experiments are of one kind; alone where they cannot be joined."""
    recordings: list[dict[str, Recording]] = [{} for _ in members]
    for name in members[0][2]:
        joined = side_by_side([experiments[name] for _, _, experiments in members])
        try:
            if joined is None:
                raise UserError("These models do not take the values of others.")
            recording = simulate(joined.experiment, request.device, request.precision)
        except UserError as error:
            if len(members) > 1:
                # One of them may fail, which is no reason for the others to.
                for member in members:
                    yield from _together([member], request, failures)
            else:
                failures[members[0][0]] = str(error)
            return
        for own, part in zip(recordings, joined.split(recording), strict=True):
            own[name] = part
    for (number, study, _), own in zip(members, recordings, strict=True):
        with _noted(failures, [number]):
            yield _outcome(number, study.measure(own))


def _outcome(number: int, tables: Tables) -> Outcome:
    return Outcome({name: table.assign(point=number) for name, table in tables.items()})


def _simulating(request: Request) -> Any:
    return lambda experiment: simulate(experiment, request.device, request.precision)


@contextmanager
def _noted(failures: dict[int, str], numbers: Iterable[int]) -> Iterator[None]:
    """Note why points failed."""
    try:
        yield
    except (UserError, ArithmeticError, ValueError, LookupError, RuntimeError) as error:
        told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        failures |= {int(number): told for number in numbers}
