"""An evolution strategy that learns all parameters of a spiking controller from returns alone.

In every generation the parameters ``m`` are perturbed in mirrored pairs ``m + s e`` and
``m - s e``, each network moves a body for an episode, and Adam climbs along the estimated gradient
``sum(u e)/(n s)``, with utilities ``u`` from the ranks of the returns (Salimans, Ho, Chen, Sidor &
Sutskever 2017, arXiv:1703.03864). No gradient passes through spikes, plasticity or physics, so an
episode may be as long as one likes.

Draws depend on seed and generation alone: a training that goes on from a checkpoint ends like an
uninterrupted one, whatever the number of processes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial, reduce
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from neuromod.errors import UserError
from neuromod.locomotion.bodies import Crowd, body
from neuromod.locomotion.coding import Moments
from neuromod.locomotion.controller import Controller, founder, population, steps_between, vector
from neuromod.locomotion.episodes import play
from neuromod.plasticity.network import Shape
from neuromod.support.cache import digest, spared, to_keep, where_kept
from neuromod.support.log import note
from neuromod.support.paths import usable
from neuromod.support.progress import task as progress_of
from neuromod.support.tensor_file import (
    DamagedError,
    Kind,
    TensorFileError,
    read_tensors,
    write_tensors,
)

log = logging.getLogger(__name__)

VERSION = 1
"""Raised with any change of the code that changes the result of a training."""
ROUND = 10
"""Generations between two checkpoints."""
CHECKPOINT = Kind("checkpoint of an evolution", "neuromod-evolution-1")
MOMENTS = ("count", "mean", "squares")
ADAM = ("step", "exp_avg", "exp_avg_sq")
COLUMNS = ["generation", "steps", "return", "population_return"]


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the result of an evolution.

    Attributes
    ----------
    body : str
        One of `neuromod.locomotion.bodies.BODIES`.
    actions : int
        In an episode, at most.
    generations : int
    pairs : int
        Mirrored pairs of networks in a generation.
    spread : float
        Standard deviation of the perturbations.
    lr : float
        Adam's learning rate.
    seed : int
        Of the weights at the start, of perturbations, and of the bodies' first states.
    """

    shape: Shape
    body: str
    actions: int
    generations: int
    pairs: int = 16
    spread: float = 0.05
    lr: float = 0.03
    seed: int = 0

    def __post_init__(self) -> None:
        body(self.body)
        for name in ("actions", "generations", "pairs", "spread", "lr"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}, but must be greater than 0.")
        if self.generations % ROUND:
            raise UserError(
                f"generations is {self.generations}, but must be a multiple of {ROUND}."
            )

    @property
    def key(self) -> str:
        """Hash that names the evolution's checkpoint."""
        return digest({"version": VERSION, **vars(self), "shape": asdict(self.shape)})


@dataclass(frozen=True, eq=False)
class Evolved:
    """A controller that has learned to move a body.

    Attributes
    ----------
    history : DataFrame
        A row for every generation: its number, steps of the environment so far, the return of the
        unperturbed network in one episode, and the mean return of the perturbed ones.
    resumed : int
        Generations taken from a checkpoint.
    """

    recipe: Recipe
    controller: Controller
    history: pd.DataFrame
    resumed: int


@dataclass(eq=False)
class Course:
    """An evolution under way: parameters with Adam, what was observed, and the learning curve."""

    parameters: torch.nn.Parameter
    optimizer: torch.optim.Adam
    moments: Moments
    history: list[tuple[int, int, float, float]]


@dataclass(frozen=True, eq=False)
class Trial:
    """Networks, shape (networks, parameters), each tried out in an episode from one first state."""

    recipe: Recipe
    vectors: np.ndarray
    moments: Moments
    seed: int


class Tried(NamedTuple):
    """Return of each of a trial's networks, and moments of what each observed."""

    returns: np.ndarray
    moments: list[Moments]


@dataclass(frozen=True, eq=False)
class Workers:
    """So many processes, and what tries out networks there: a list of trials in each."""

    processes: int
    attempt: Callable[[Sequence[list[Trial]]], list[list[Tried]]]

    def evaluate(self, trials: Sequence[Trial]) -> list[Tried]:
        """Try out networks, those of every trial spread over the processes."""
        shares: list[list[Trial]] = [[] for _ in range(self.processes)]
        for trial in trials:
            parts = np.array_split(trial.vectors, self.processes)
            for share, part in zip(shares, parts, strict=True):
                share.append(replace(trial, vectors=part))
        return [_joined(parts) for parts in zip(*self.attempt(shares), strict=True)]


def evolve(
    recipes: Sequence[Recipe], workers: Workers, progress: Callable[[int, int], None] | None = None
) -> list[Evolved]:
    """Evolve controllers side by side, each from its checkpoint in the cache folder on.

    The same recipe is never evolved twice.

    Parameters
    ----------
    recipes : sequence of Recipe
        That differ in their seeds alone: networks of one shape are stepped together.
    workers : Workers
        From `started`.
    progress : callable, optional
        Called with the generations done and in total.
    """
    courses = [_resumed(recipe) for recipe in recipes]
    resumed = [len(course.history) for course in courses]
    total = sum(recipe.generations for recipe in recipes)
    for generation in range(min(resumed), recipes[0].generations):
        pairs = zip(recipes, courses, strict=True)
        due = [(recipe, course) for recipe, course in pairs if len(course.history) == generation]
        _advance(due, workers)
        if (generation + 1) % ROUND == 0:
            for recipe, course in due:
                with spared():
                    _save(checkpoint_of(recipe), recipe.key, course)
        if progress:
            progress(sum(len(course.history) for course in courses), total)
    return [
        Evolved(
            recipe,
            controller(recipe, course.parameters.detach().numpy(), course.moments),
            pd.DataFrame(course.history, columns=COLUMNS),
            before,
        )
        for recipe, course, before in zip(recipes, courses, resumed, strict=True)
    ]


def evolve_all(recipes: Sequence[Recipe], processes: int = 1) -> list[Evolved]:
    """Evolve controllers, those of one shape side by side, with one progress bar."""
    bar, total = progress_of("evolving"), sum(recipe.generations for recipe in recipes)
    evolved: list[Evolved] = []

    def progress(before: int, own: int, _: int) -> None:
        bar(before + own, total)

    with started(processes) as workers:
        for _, alike in groupby(recipes, lambda recipe: replace(recipe, seed=0)):
            before = sum(one.recipe.generations for one in evolved)
            evolved += evolve(list(alike), workers, partial(progress, before))
    note("generations of evolution from cache", sum(one.resumed for one in evolved))
    note("steps of the environment", int(sum(one.history.steps.iloc[-1] for one in evolved)))
    return evolved


def checkpoint_of(recipe: Recipe) -> Path:
    """File of an evolution's checkpoint."""
    return to_keep(f"evolution-{recipe.key[:24]}.safetensors")


def controller(recipe: Recipe, vectors: np.ndarray, seen: Moments) -> Controller:
    """Controller of a recipe's body with these parameters; see `population` for their shape."""
    crowd = _crowd(recipe.body, 1)
    steps = steps_between(crowd.control_s, recipe.shape.dt_s)
    return Controller(population(recipe.shape, vectors), seen, crowd.low, crowd.high, steps)


@contextmanager
def started(processes: int) -> Iterator[Workers]:
    """Processes that try out networks; 1 is this one."""
    if processes == 1:
        yield Workers(1, lambda shares: [attempt(share) for share in shares])
        return
    # A fork of a process in which torch has threads may hang.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield Workers(processes, lambda shares: list(pool.map(attempt, shares)))


def attempt(trials: Sequence[Trial]) -> list[Tried]:
    """Episodes of the networks of some trials, whose recipes differ in their seeds alone."""
    recipe, counts = trials[0].recipe, [len(trial.vectors) for trial in trials]
    before = torch.get_num_threads()
    # Products of this size gain nothing from threads.
    torch.set_num_threads(1)
    try:
        scaling = Moments.rows([trial.moments for trial in trials], counts)
        networks = controller(recipe, np.concatenate([t.vectors for t in trials]), scaling)
        seeds = np.repeat([trial.seed for trial in trials], counts)
        played = play(networks, _crowd(recipe.body, sum(counts)), seeds.tolist(), recipe.actions)
    finally:
        torch.set_num_threads(before)
    ends = np.cumsum(counts)
    rows = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    seen = played.seen()
    return [Tried(played.returns[row], seen[row]) for row in rows]


def _joined(parts: Sequence[Tried]) -> Tried:
    """What was found of one trial in several processes."""
    seen = [moments for part in parts for moments in part.moments]
    return Tried(np.concatenate([part.returns for part in parts]), seen)


@lru_cache(maxsize=4)
def _crowd(name: str, copies: int) -> Crowd:
    return Crowd(name, [None] * copies)


def _resumed(recipe: Recipe) -> Course:
    """An evolution as far as its checkpoint has it."""
    parameters = torch.nn.Parameter(torch.from_numpy(vector(founder(recipe.shape, recipe.seed))))
    seen = Moments.none(_crowd(recipe.body, 1).observations)
    course = Course(parameters, torch.optim.Adam([parameters], lr=recipe.lr), seen, [])
    try:
        _restore(where_kept(checkpoint_of(recipe).name), recipe.key, course)
    except TensorFileError as error:
        log.warning("%s Evolution starts anew.", error)
    return course


def _advance(due: Sequence[tuple[Recipe, Course]], workers: Workers) -> None:
    """One generation of evolutions that have come equally far."""
    drawn = [_drawn(recipe, course) for recipe, course in due]
    tried = workers.evaluate([trial for trial, _ in drawn])
    for (recipe, course), (_, apart), found in zip(due, drawn, tried, strict=True):
        _climb(recipe, course, apart, found)


def _drawn(recipe: Recipe, course: Course) -> tuple[Trial, np.ndarray]:
    """A generation's networks, and how far they are apart, shape (pairs, parameters)."""
    draw = np.random.default_rng([recipe.seed, len(course.history)])
    mean = course.parameters.detach().numpy()
    apart = draw.standard_normal((recipe.pairs, len(mean)))
    # The unperturbed network comes along, for the learning curve.
    vectors = [mean + recipe.spread * apart, mean - recipe.spread * apart, mean[None]]
    seed = int(draw.integers(2**31))
    return Trial(recipe, np.concatenate(vectors), course.moments, seed), apart


def _climb(recipe: Recipe, course: Course, apart: np.ndarray, found: Tried) -> None:
    """Step along the gradient that a generation's returns tell of."""
    returns, own = found.returns[:-1], found.returns[-1]
    up, down = utilities(returns).reshape(2, recipe.pairs)
    gradient = (up - down) @ apart / (2 * recipe.pairs * recipe.spread)
    # Adam descends.
    course.parameters.grad = torch.from_numpy(-gradient)
    course.optimizer.step()
    # One after another, so that shares of the work round alike.
    course.moments = reduce(Moments.with_, found.moments, course.moments)
    steps = int(course.moments.count)
    row = (len(course.history) + 1, steps, float(own), float(returns.mean()))
    course.history.append(row)


def utilities(returns: np.ndarray) -> np.ndarray:
    """Centred ranks of returns, from -1/2 to 1/2; equal returns share the mean of their ranks."""
    _, which, counts = np.unique(returns, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts + 1) / 2)[which]
    centred: np.ndarray = ranks / max(1, len(returns) - 1) - 0.5
    return centred


def _save(path: Path, key: str, course: Course) -> None:
    state = course.optimizer.state[course.parameters]
    tensors = {name: state[name] for name in ADAM} | {"parameters": course.parameters}
    seen = {name: np.atleast_1d(getattr(course.moments, name)) for name in MOMENTS}
    tensors |= {name: torch.from_numpy(values) for name, values in seen.items()}
    write_tensors(path, CHECKPOINT, {"key": key, "history": course.history}, tensors)


def _restore(path: Path, key: str, course: Course) -> None:
    """Bring an evolution to the state in a checkpoint, if there is one."""
    if not usable(path).exists():
        return
    try:
        found = read_tensors(path, CHECKPOINT)
    except DamagedError:
        log.warning("%s is damaged or no checkpoint: evolution starts anew.", path)
        return
    if found.header["key"] != key:
        raise TensorFileError(f"{path} belongs to another evolution.")
    course.history[:] = map(tuple, found.header["history"])
    course.parameters.data = found.tensors["parameters"]
    state: dict[str, Any] = course.optimizer.state_dict()
    state["state"][0] = {name: found.tensors[name] for name in ADAM}
    course.optimizer.load_state_dict(state)
    count, mean, squares = (found.tensors[name].numpy() for name in MOMENTS)
    course.moments = Moments(float(count[0]), mean, squares)
