"""Gradient descent on fixed weights and plasticity rules together, over episodes.

Every step draws new episodes, so there is no training set to memorise. Draws depend on seed and
step alone: a training that goes on from a checkpoint ends like an uninterrupted one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from neuromod.errors import UserError, short
from neuromod.plasticity.network import PlasticNetwork, Shape
from neuromod.plasticity.tasks import Difficulty, Task
from neuromod.settings import flatten, format_value
from neuromod.support.cache import digest, spared, to_keep, where_kept
from neuromod.support.log import note
from neuromod.support.machine import check_memory
from neuromod.support.progress import task as progress_of
from neuromod.tuning.checkpoint import Training, restore_checkpoint, save_checkpoint
from neuromod.tuning.hardware import threads_for

log = logging.getLogger(__name__)

VERSION = 1
"""Raised with any change of the code that changes the result of a training."""
ROUND = 20
"""Steps between two checkpoints, and between two points of a learning curve."""
LARGEST_GRADIENT = 1.0
"""Norm to which gradients are clipped: they may explode over many time steps (chosen here)."""
EPISODES_AT_ONCE = 256


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the result of a training.

    Attributes
    ----------
    noises, delays_s : tuple of float
        Difficulties to learn from; every step draws one of each.
    steps : int
        Of gradient descent.
    batch : int
        Episodes in a step.
    lr : float
        Adam's learning rate at the start; it falls to zero as a cosine.
    seed : int
        Of the weights before learning, and of the episodes.
    """

    shape: Shape
    task: Task
    noises: tuple[float, ...]
    delays_s: tuple[float, ...]
    steps: int
    batch: int = 32
    lr: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "lr"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}, but must be greater than 0.")
        if self.steps % ROUND:
            raise UserError(f"steps is {self.steps}, but must be a multiple of {ROUND}.")
        if (self.shape.inputs, self.shape.outputs) != (self.task.inputs, self.task.outputs):
            raise UserError(
                f"The network has {self.shape.inputs} inputs and {self.shape.outputs} outputs, "
                f"and the task needs {self.task.inputs} and {self.task.outputs}."
            )

    @property
    def key(self) -> str:
        """Hash that names the training's checkpoint."""
        task = {name: format_value(value) for name, value in flatten(self.task).items()}
        parts = {"shape": asdict(self.shape), "kind": type(self.task).__name__, "task": task}
        return digest({"version": VERSION, **vars(self), **parts})


@dataclass(frozen=True, eq=False)
class Learned:
    """A network that has learned.

    Attributes
    ----------
    history : DataFrame
        A row for every `ROUND` steps: step, and means of loss and success over them.
    resumed : int
        Steps taken from a checkpoint.
    """

    recipe: Recipe
    network: PlasticNetwork
    history: pd.DataFrame
    resumed: int


def learn(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> Learned:
    """Train a network, from its checkpoint in the cache folder on if there is one.

    The same recipe is never trained twice. `progress` is called with the steps done and in total.
    """
    network = PlasticNetwork(recipe.shape, recipe.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    training = Training(network, optimizer, schedule)
    path = checkpoint_of(recipe)
    try:
        restore_checkpoint(where_kept(path.name), recipe.key, training)
    except UserError as error:
        log.warning("%s Learning starts anew.", error)
    resumed = len(training.history) * ROUND
    with threads_for(network):
        for first in range(resumed, recipe.steps, ROUND):
            _learn_round(recipe, training, first)
            with spared():
                save_checkpoint(path, recipe.key, training)
            if progress:
                progress(first + ROUND, recipe.steps)
    history = pd.DataFrame(training.history, columns=["step", "loss", "success"])
    return Learned(recipe, network, history, resumed)


def learn_all(recipes: Sequence[Recipe]) -> list[Learned]:
    """Train networks one after another, with one progress bar, if memory holds each."""
    bar, total = progress_of("learning"), sum(recipe.steps for recipe in recipes)
    learned: list[Learned] = []
    for recipe in recipes:
        _check_memory(recipe)

    def progress(before: int, own: int, _: int) -> None:
        bar(before + own, total)

    for recipe in recipes:
        before = sum(one.recipe.steps for one in learned)
        learned.append(learn(recipe, partial(progress, before)))
    note("steps of learning from cache", sum(one.resumed for one in learned))
    return learned


def checkpoint_of(recipe: Recipe) -> Path:
    """File of a training's checkpoint."""
    return to_keep(f"plastic-{recipe.key[:24]}.safetensors")


def success(
    network: PlasticNetwork, task: Task, difficulty: Difficulty, episodes: int, seed: int
) -> float:
    """Share of right answers to so many new episodes of one difficulty, drawn with a seed."""
    rng = np.random.default_rng([seed, 1])
    right = 0
    with torch.no_grad(), threads_for(network):
        for start in range(0, episodes, EPISODES_AT_ONCE):
            batch = min(EPISODES_AT_ONCE, episodes - start)
            drawn = task.draw(rng, batch, difficulty, network.shape.dt_s)
            answers = drawn.scores(network(drawn.spikes)).argmax(1)
            right += int((answers == drawn.labels).sum())
    return right / episodes


def _check_memory(recipe: Recipe) -> None:
    """Refuse to learn what memory does not hold.

    A weight has its gradient and Adam's two moments. Every step of the longest episode keeps
    spikes for the gradient, with plasticity also the plastic traces; it keeps more than these.
    """
    shape, longest = recipe.shape, recipe.task.steps(max(recipe.delays_s), recipe.shape.dt_s)
    weights = float(shape.hidden) * (shape.inputs + shape.hidden + shape.outputs)
    kept = shape.inputs + shape.hidden * (float(shape.inputs) if shape.rule else 1.0)
    needed = 4 * (4 * weights + recipe.batch * longest * kept)
    check_memory(f"Learning of {shape.network} with {short(shape.hidden)} neurons", needed)


def _learn_round(recipe: Recipe, training: Training[PlasticNetwork], first: int) -> None:
    """Steps from ``first`` to the next checkpoint."""
    network, losses, right = training.classifier, [], 0
    for step in range(first, first + ROUND):
        rng = np.random.default_rng([recipe.seed, 0, step])
        difficulty = Difficulty(rng.choice(recipe.noises), rng.choice(recipe.delays_s))
        drawn = recipe.task.draw(rng, recipe.batch, difficulty, recipe.shape.dt_s)
        scores = drawn.scores(network(drawn.spikes))
        loss = nn.functional.cross_entropy(scores, drawn.labels)
        if not loss.isfinite():
            raise UserError(
                f"Learning of {recipe.shape.network} diverged after {step} steps at a learning "
                f"rate of {recipe.lr}: choose a smaller one."
            )
        training.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        training.optimizer.step()
        training.schedule.step()
        losses.append(loss.item())
        right += int((scores.argmax(1) == drawn.labels).sum())
    training.history.append((first + ROUND, float(np.mean(losses)), right / (ROUND * recipe.batch)))
