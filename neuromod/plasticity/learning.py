"""Learning of fixed weights and plasticity rules together, over episodes, by gradient descent.

Every step draws new episodes, so that there is no training set to remember. Draws depend on seed
and step alone: a training that goes on from a checkpoint gives what an uninterrupted one gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from neuromod.errors import UserError
from neuromod.plasticity.network import PlasticNetwork, Shape
from neuromod.plasticity.tasks import Difficulty, Task
from neuromod.support.cache import cache_dir, digest
from neuromod.tuning.hardware import threads_for
from neuromod.tuning.checkpoint import Training, restore_checkpoint, save_checkpoint

VERSION = 1
"""Goes up with any change of the code that changes what is learned."""

ROUND = 20
"""Steps between two checkpoints, and between two points of a learning curve."""

LARGEST_GRADIENT = 1.0
"""Norm to which gradients are cut, against the rare explosion over many time steps (chosen)."""

EPISODES_AT_ONCE = 256


@dataclass(frozen=True)
class Recipe:
    """All that determines what a network learns.

    Attributes
    ----------
    shape : Shape
    task : CueAssociation or PatternRecall
    noises, delays_s : tuple of float
        Difficulties to learn from; every step draws one of each.
    steps : int
        Of gradient descent.
    batch : int
        Episodes in a step.
    lr : float
        Of Adam at the start; it falls to zero as a cosine.
    seed : int
        Of weights at the start, and of episodes.
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
        """Hash by which a checkpoint knows its training."""
        kind = type(self.task).__name__
        return digest({"version": VERSION, "kind": kind, **asdict(self)})


@dataclass(frozen=True, eq=False)
class Learned:
    """A network that has learned.

    Attributes
    ----------
    recipe : Recipe
    network : PlasticNetwork
    history : DataFrame
        A row for every `ROUND` steps: step, and means of loss and success over them.
    resumed : int
        Steps that were on disk before.
    """

    recipe: Recipe
    network: PlasticNetwork
    history: pd.DataFrame
    resumed: int


def learn(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> Learned:
    """Let a network learn, from where it was interrupted if it was.

    Its state is kept in the cache folder, and used again by whoever asks for the same.

    Parameters
    ----------
    recipe : Recipe
    progress : callable, optional
        Called with steps done and in all.

    Returns
    -------
    Learned
    """
    network = PlasticNetwork(recipe.shape, recipe.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    training = Training(network, optimizer, schedule)
    path = checkpoint_of(recipe)
    restore_checkpoint(path, recipe.key, training)
    resumed = len(training.history) * ROUND
    with threads_for(network):
        for first in range(resumed, recipe.steps, ROUND):
            _learn_round(recipe, training, first)
            save_checkpoint(path, recipe.key, training)
            if progress:
                progress(first + ROUND, recipe.steps)
    history = pd.DataFrame(training.history, columns=["step", "loss", "success"])
    return Learned(recipe, network, history, resumed)


def checkpoint_of(recipe: Recipe) -> Path:
    """Where a training's state is kept."""
    return cache_dir() / f"plastic-{recipe.key[:24]}.safetensors"


def success(
    network: PlasticNetwork, task: Task, difficulty: Difficulty, episodes: int, seed: int
) -> float:
    """Share of new episodes of one difficulty that a network answers right.

    Parameters
    ----------
    network : PlasticNetwork
    task : CueAssociation or PatternRecall
    difficulty : Difficulty
    episodes : int
    seed : int
        Of the episodes.

    Returns
    -------
    float
    """
    rng = np.random.default_rng([seed, 1])
    right = 0
    with torch.no_grad(), threads_for(network):
        for start in range(0, episodes, EPISODES_AT_ONCE):
            batch = min(EPISODES_AT_ONCE, episodes - start)
            drawn = task.draw(rng, batch, difficulty, network.shape.dt_s)
            answers = network(drawn.spikes)[:, -drawn.response :].mean(1).argmax(1)
            right += int((answers == drawn.labels).sum())
    return right / episodes


def _learn_round(recipe: Recipe, training: Training[PlasticNetwork], first: int) -> None:
    """Steps from ``first`` on until the next checkpoint."""
    network, losses, right = training.classifier, [], 0
    for step in range(first, first + ROUND):
        rng = np.random.default_rng([recipe.seed, 0, step])
        difficulty = Difficulty(rng.choice(recipe.noises), rng.choice(recipe.delays_s))
        drawn = recipe.task.draw(rng, recipe.batch, difficulty, recipe.shape.dt_s)
        answer = network(drawn.spikes)[:, -drawn.response :].mean(1)
        loss = nn.functional.cross_entropy(answer, drawn.labels)
        if not loss.isfinite():
            raise UserError(
                f"Learning of {recipe.shape.network} diverged after {step} steps with a learning "
                f"rate of {recipe.lr}: choose a smaller one."
            )
        training.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        training.optimizer.step()
        training.schedule.step()
        losses.append(loss.item())
        right += int((answer.argmax(1) == drawn.labels).sum())
    training.history.append((first + ROUND, float(np.mean(losses)), right / (ROUND * recipe.batch)))
