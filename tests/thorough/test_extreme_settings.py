"""Extreme values of every setting of every protocol end in a run, or in one sentence.

``python tests/thorough/test_extreme_settings.py [PROTOCOL ...]`` prints what became of each value
that is worth a look, and counts them.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from brian2 import Quantity, second, volt
from platformdirs import user_cache_dir

from neuromod.checks import steps_in
from neuromod.devices import simulation
from neuromod.devices.states import check_step
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.parameters import Parameters, parameters
from neuromod.protocol import Study
from neuromod.runs.registry import find, name_of, names
from neuromod.settings import change, flatten

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[1] / "protocols"
# Beside what the process has at the start; seconds are those of one core.
MEMORY = 4 << 30
MOST_S = 10
# On top, for what is trained before it is simulated.
TRAINING_S = {"chip-network": 30, "supply-groups": 90}
# A deadlock takes no time of a core.
MOST_WALL_S = 600
# Of a message, whose values are shortened.
MOST_CHARACTERS = 500
# Values of a protocol's settings that are simulated, of those that no check refuses.
SIMULATED = 4


class ReachedError(Exception):
    """Nothing has refused a simulation."""


@dataclass(frozen=True)
class Outcome:
    """What became of a value.

    Attributes
    ----------
    kind : str
        ``"refused"``, ``"reached"`` (a simulation that nothing refuses), ``"ran"``, ``"cut"`` (a
        run that is only long), ``"empty"`` (a run with columns without a number that others have,
        such as an energy per spike where nothing fires) or ``"failed"``.
    words : str
        Of the error, or names of columns.
    """

    kind: str
    words: str = ""


def module(name: str) -> ModuleType:
    """Tests of protocols, which hold each at a small size."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    # Their dataclasses look for it.
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


@cache
def protocols() -> dict[str, Study]:
    """All protocols at a small size."""
    devices = module("test_devices")
    classes = {name: find("protocol", name) for name in devices.PROTOCOLS}
    found = {name: made(**made.small) for name, made in classes.items()}
    for name in devices.TRAININGS:
        found[name] = module(f"test_{name.replace('-', '_')}").SMALL
    return found


def owned(settings: Parameters, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its long name, and by the class and name that it has where it is defined."""
    for name, _, _ in parameters(type(settings)):
        value = getattr(settings, name)
        inside = [(name, value)] if isinstance(value, Parameters) else []
        if isinstance(value, tuple):
            inside = [(f"{name}.{v.name}", v) for v in value if isinstance(v, Parameters)]
        if not isinstance(value, Parameters):
            yield f"{prefix}{name}", f"{type(settings).__name__}.{name}"
        for inner, model in inside:
            yield from owned(model, f"{prefix}{inner}.")


@cache
def settings_of() -> dict[str, list[str]]:
    """Settings to try of each protocol: its own, and those of a model where it first comes."""
    met: set[str] = set()
    found: dict[str, list[str]] = {}
    for protocol, small in protocols().items():
        pairs = list(owned(small))
        # A name in a list of models is no setting of its own.
        held = flatten(small)
        new = [name for name, own in pairs if "." not in name or own not in met]
        found[protocol] = [name for name in new if name in held]
        met |= {own for _, own in pairs}
    return found


def extremes(held: Any) -> list[Any]:
    """A handful of extreme values for a setting that holds a value."""
    if isinstance(held, bool):
        return [not held, 0, 2**63, "é", [], [True], float("nan"), None]
    if isinstance(held, tuple) and not held:
        return [[], ["D1", "D1"], "é", True, None, 0]
    one = held[0] if isinstance(held, tuple) or np.ndim(held) else held
    if isinstance(one, str):
        words = ["", "é∞", "\0", " ", "x" * 10_000, "none", "/dev/null", 0, True, None]
        return words if held is one else [*words, [], [one], [one, one], [one] * 1000]
    unit = Quantity(1.0, dim=one.dim) if isinstance(one, Quantity) else 1
    whole = isinstance(one, int) and not isinstance(one, Quantity)
    if whole:
        numbers: list[Any] = [0, -1, 1, 1000, 10**6, 2**31, 2**63, 10**400, float("nan")]
        long: Any = list(range(1, 100_001))
    else:
        size = float(np.max(np.abs(np.asarray(held, dtype=float)))) or 1.0
        plain = [0, -1, 1e-320, 1e300, np.inf, np.nan, 1e-18, 1e18]
        numbers = [n * unit for n in (*plain, size * 1e-6, size * 1e-3, size * 1e3, size * 1e6)]
        long = np.linspace(size, 2 * size, 100_000) * unit
    if isinstance(held, tuple):
        numbers = [(*held, numbers[3]), *((n,) for n in numbers)]
    elif np.ndim(held):
        last = np.asarray(held, dtype=float)
        longer = [np.append(last[:-1], far) * unit for far in (1e18, 1e3 * last.max())]
        numbers = [*longer, *(np.array([n / unit], dtype=float) * unit for n in numbers)]
    other = second if isinstance(one, Quantity) and one.dim is volt.dim else volt
    return [*numbers, [], long, True, None, "é∞", 2**63, 3 * other]


def no_simulation(experiment: Experiment) -> None:
    """All that a simulation checks before it starts."""
    steps = steps_in("duration", experiment.duration, experiment.dt)
    check_step(experiment)
    simulation._check_needs(experiment, steps)
    raise ReachedError


def empty_columns(tables: dict[str, Any]) -> set[str]:
    """Columns that hold no number."""
    return {
        f"{name}.{column}"
        for name, table in tables.items()
        for column in table.columns
        if len(table) and table[column].isna().all()
    }


def attempt(small: Study, name: str, value: Any, simulate: Any) -> Outcome:
    try:
        tables = change(small, {name: value}).perform(simulate).tables
    except ReachedError:
        return Outcome("reached")
    except UserError as error:
        words = str(error)
        told = words == " ".join(words.split()) and len(words) <= MOST_CHARACTERS
        return Outcome("refused" if told and words.endswith(".") else "failed", words)
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{type(error).__name__}: {error} in {at.filename}:{at.lineno}"
        return Outcome("failed", words)
    return Outcome("ran", ", ".join(sorted(empty_columns(tables))))


def _work(
    pipe: Any, small: Study, trials: list[tuple[str, Any]], simulate: Any, most_s: int
) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    for name, value in trials:
        limit = int(time.process_time()) + 1 + most_s
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        pipe.send(attempt(small, name, value, simulate))


def outcomes(small: Study, trials: list[tuple[str, Any]], simulate: Any) -> list[Outcome]:
    """What becomes of each value, tried in a process that has so much memory and time for each."""
    found: list[Outcome] = []
    fork = multiprocessing.get_context("fork")
    most_s = MOST_S + TRAINING_S.get(name_of(small), 0)
    while len(found) < len(trials):
        ours, theirs = fork.Pipe(duplex=False)
        rest = trials[len(found) :]
        child = fork.Process(target=_work, args=(theirs, small, rest, simulate, most_s))
        child.start()
        theirs.close()
        try:
            while ours.poll(MOST_WALL_S):
                found.append(ours.recv())
        except EOFError:
            child.join()
        if child.is_alive():
            child.kill()
            child.join()
        if len(found) < len(trials):
            honest = child.exitcode == -signal.SIGXCPU
            found.append(Outcome("cut" if honest else "failed", f"ended by {child.exitcode}"))
    return found


def tried(protocol: str) -> Iterator[tuple[str, Any, Outcome]]:
    """Every extreme value of a protocol's settings, and what became of it."""
    small = protocols()[protocol]
    held = flatten(small)
    trials = [(name, v) for name in settings_of()[protocol] for v in extremes(held[name])]
    checked = outcomes(small, trials, no_simulation)
    yield from ((*trial, outcome) for trial, outcome in zip(trials, checked, strict=True))
    reached = [n for n, outcome in enumerate(checked) if outcome.kind == "reached"]
    draw = np.random.default_rng(list(protocol.encode()))
    some = draw.choice(reached, min(SIMULATED, len(reached)), replace=False)
    drawn = [trials[n] for n in sorted(some)]
    ends = outcomes(small, drawn, simulation.simulate)
    (usual,) = outcomes(small, [("seed", small.seed)], simulation.simulate)
    empty = set(usual.words.split(", "))
    for trial, outcome in zip(drawn, ends, strict=True):
        lost = outcome.kind == "ran" and set(outcome.words.split(", ")) - empty
        yield (*trial, Outcome("empty", ", ".join(sorted(lost))) if lost else outcome)


def shown(value: Any) -> str:
    return " ".join(f"{value!r:.60}".split())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """Trainings with odd settings are not worth keeping, and what is kept already is."""
    monkeypatch.setenv("NEUROMOD_SHARED_CACHE", user_cache_dir("neuromod"))
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))


@pytest.mark.parametrize("protocol", names("protocol"))
def test_an_extreme_value_runs_or_is_refused_in_a_sentence(protocol):
    pytest.importorskip("torch")
    failed = [
        f"{name} = {shown(value)}: {outcome.words:.600}"
        for name, value, outcome in tried(protocol)
        if outcome.kind == "failed"
    ]
    assert not failed, "\n".join(failed)


def main(wanted: list[str]) -> None:
    total: Counter[str] = Counter()
    for protocol in wanted or protocols():
        count: Counter[str] = Counter()
        for name, value, outcome in tried(protocol):
            count[outcome.kind] += 1
            if outcome.kind in ("cut", "failed", "empty"):
                line = f"{outcome.kind} {protocol} {name} = {shown(value)}: {outcome.words:.300}"
                print(line, flush=True)
        print(f"{protocol}: {dict(count)}", flush=True)
        total += count
    print(f"total: {dict(total)}")


if __name__ == "__main__":
    main(sys.argv[1:])
