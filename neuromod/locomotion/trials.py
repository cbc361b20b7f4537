"""What a trained controller returns under novel conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuromod.locomotion.bodies import Crowd
from neuromod.locomotion.conditions import Novel, change_for
from neuromod.locomotion.controller import Controller
from neuromod.locomotion.episodes import play

TRAINED = "trained"
"""Name of the condition in which a body was trained."""


class Trials:
    """Episodes under the condition of training and under novel ones, all side by side.

    The episodes of every condition begin in the same first states, with the same noise where there
    is any, for every controller.

    Parameters
    ----------
    body : str
        One of `neuromod.locomotion.bodies.BODIES`.
    conditions : sequence of str
        Novel ones, of `neuromod.locomotion.conditions.CONDITIONS`.
    novel : Novel
    episodes : int
        Of each condition.
    actions : int
        In an episode, at most.
    seed : int
    """

    def __init__(
        self,
        body: str,
        conditions: Sequence[str],
        novel: Novel,
        episodes: int,
        actions: int,
        seed: int,
    ) -> None:
        self.conditions = (TRAINED, *conditions)
        changes = [None, *(change_for(name, body, novel) for name in conditions)]
        self.crowd = Crowd(body, [change for change in changes for _ in range(episodes)])
        self.actions = actions
        draw = np.random.default_rng([seed, 2**31])
        self.seeds = np.tile(draw.integers(2**31, size=episodes), len(changes))
        sd = np.repeat([novel.noise * (name == "noise") for name in self.conditions], episodes)
        shape = (actions, episodes, self.crowd.observations)
        drawn = np.tile(draw.standard_normal(shape), (1, len(changes), 1))
        self.noise = sd[:, None] * drawn

    def returns(self, controller: Controller) -> np.ndarray:
        """Return of every episode, shape (conditions, episodes), training's condition first."""
        played = play(controller, self.crowd, self.seeds.tolist(), self.actions, self.noise)
        return played.returns.reshape(len(self.conditions), -1)
