"""Episodes: controller and bodies in a closed loop, all in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from neuromod.locomotion.bodies import Crowd
from neuromod.locomotion.coding import Moments
from neuromod.locomotion.controller import Controller


class Moment(NamedTuple):
    """One action of every copy.

    Observations before it (batch, observations), actions (batch, actions), rewards (batch,), and
    which episodes went on up to it (batch,).
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    standing: np.ndarray


class Played(NamedTuple):
    """Episodes of a batch: their returns, shape (batch,), what was observed before every action,
    (actions, batch, observations), and which episodes went on then, (actions, batch)."""

    returns: np.ndarray
    observations: np.ndarray
    standing: np.ndarray

    def seen(self) -> list[Moments]:
        """Moments of what each episode observed."""
        episodes = range(len(self.returns))
        return [Moments.of(self.observations[self.standing[:, k], k]) for k in episodes]


def moments(
    controller: Controller, crowd: Crowd, seeds: Sequence[int], noise: np.ndarray | None = None
) -> Iterator[Moment]:
    """Let every copy of a body move, one action after another, until no episode goes on.

    Parameters
    ----------
    controller : Controller
    crowd : Crowd
    seeds : sequence of int
        Of the body's first state, one for each copy.
    noise : ndarray, shape (actions, batch, observations), optional
        Added to scaled observations.
    """
    observations = crowd.reset(seeds)
    status, step = controller.start(len(seeds)), 0
    standing = np.ones(len(seeds), dtype=bool)
    while standing.any():
        scaled = controller.scaled(observations)
        if noise is not None:
            scaled = scaled + noise[step]
        taken, status = controller.act(status, scaled)
        seen, rewards, left = crowd.step(taken)
        yield Moment(observations, taken, rewards, standing)
        observations, standing, step = seen, left, step + 1


def play(
    controller: Controller,
    crowd: Crowd,
    seeds: Sequence[int],
    actions: int,
    noise: np.ndarray | None = None,
) -> Played:
    """Return of an episode of so many actions at most, in every copy; see `moments`."""
    found = list(islice(moments(controller, crowd, seeds, noise), actions))
    observed, _, rewards, standing = (np.stack(part) for part in zip(*found, strict=True))
    return Played(rewards.sum(0), observed, standing)
