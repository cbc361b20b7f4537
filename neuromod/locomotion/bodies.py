"""Bodies and their tasks: environments of Gymnasium in which MuJoCo computes the physics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import mujoco
import numpy as np

from neuromod.errors import UserError, unknown

Change = Callable[[Any], None]
"""Changes a model of MuJoCo in place."""


@dataclass(frozen=True)
class Body:
    """A body, what it is rewarded for, and which of its parts novel conditions change.

    Attributes
    ----------
    environment : str
        Name of the environment in Gymnasium, whose reward counts.
    reward : str
        What that reward is for.
    joint : str
        Weakened or locked joint, which a motor moves.
    limb : str
        Joint at which the shortened limb hangs, a single capsule.
    view : tuple of int
        Axes of the plane in which it is drawn: 0 is x, 2 is up.
    options : mapping
        Of the environment, where they differ from its own.
    """

    environment: str
    reward: str
    joint: str
    limb: str
    view: tuple[int, int] = (0, 2)
    options: Mapping[str, Any] = field(default_factory=dict)


BODIES = {
    "inverted-pendulum": Body(
        "InvertedPendulum-v5", "every step for which the pole stands", "slider", "hinge"
    ),
    "swimmer": Body("Swimmer-v5", "speed along x", "motor2_rot", "motor2_rot", (0, 1)),
    "half-cheetah": Body("HalfCheetah-v5", "speed along x", "bshin", "fshin"),
    # Forces of contacts would be another 78 observations.
    "ant": Body(
        "Ant-v5",
        "speed along x, and standing",
        "hip_1",
        "ankle_1",
        options={"include_cfrc_ext_in_observation": False},
    ),
}
"""Bodies by name."""


def body(name: str) -> Body:
    """A body of `BODIES` by name."""
    if name not in BODIES:
        raise unknown("body", name, BODIES)
    return BODIES[name]


def make(name: str, change: Change | None = None) -> Any:
    """An environment of Gymnasium with a body, whose model of MuJoCo a change has been made to.

    Its steps never end by a limit of time.
    """
    chosen = body(name)
    with quiet():
        made: Any = gymnasium.make(chosen.environment, disable_env_checker=True, **chosen.options)
    environment = made.unwrapped
    if change is not None:
        change(environment.model)
    return environment


@contextmanager
def quiet() -> Iterator[None]:
    """Let MuJoCo not write its warnings into a file in the user's folder."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda _text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class Crowd:
    """Copies of a body, each with an environment and an episode of its own, stepped together.

    Parameters
    ----------
    name : str
        One of `BODIES`.
    changes : sequence of callable or None
        What is changed in the model of each copy, if anything.
    """

    def __init__(self, name: str, changes: Sequence[Change | None]) -> None:
        self.environments = [make(name, change) for change in changes]
        space = self.environments[0].action_space
        self.low, self.high = (np.asarray(end, dtype=float) for end in (space.low, space.high))
        self.control_s = float(self.environments[0].dt)
        self.observations = int(self.environments[0].observation_space.shape[0])

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begin an episode in each copy; first observations, shape (copies, observations)."""
        pairs = zip(self.environments, seeds, strict=True)
        found = np.stack([one.reset(seed=int(seed))[0] for one, seed in pairs])
        self._standing = np.ones(len(found), dtype=bool)
        self._seen = found
        return found

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move every copy whose episode has not ended.

        Parameters
        ----------
        actions : ndarray, shape (copies, actions)

        Returns
        -------
        tuple of ndarray
            Observations, shape (copies, observations); rewards, shape (copies,), 0 after the end;
            and which episodes go on, shape (copies,).

        Raises
        ------
        UserError
            When a simulation leaves the range of numbers.
        """
        seen, rewards = self._seen.copy(), np.zeros(len(actions))
        for number in np.flatnonzero(self._standing):
            found, reward, ended, *_ = self.environments[number].step(actions[number])
            if not (np.isfinite(found).all() and np.isfinite(reward)):
                raise UserError("MuJoCo's simulation has left the range of numbers.")
            seen[number], rewards[number] = found, reward
            self._standing[number] = not ended
        self._seen = seen
        return seen, rewards, self._standing.copy()
