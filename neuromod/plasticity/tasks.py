"""Tasks that need a memory within an episode, drawn as spike trains.

An episode is a sample: nothing is carried from one to the next, and what has to be remembered is
new in each. Inputs are Bernoulli processes, a spike at most in every time step. Both tasks are
known from the field, in versions of their own here: evidence accumulation over cues (Morcos &
Harvey, Nat. Neurosci. 19:1672, 2016; as a task for spiking networks Bellec et al., Nat. Commun.
11:3625, 2020), and association within an episode (Miconi, Clune & Stanley, ICML 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neuromod.errors import UserError

FloatArray = npt.NDArray[np.float64]


class Episodes(NamedTuple):
    """A batch of episodes.

    Attributes
    ----------
    spikes : Tensor, shape (batch, steps, inputs)
        1 where an input spikes, else 0; single precision.
    labels : Tensor of int, shape (batch,)
        The right answers.
    response : int
        Steps at the end in which the answer is read.
    """

    spikes: Tensor
    labels: Tensor
    response: int


class Difficulty(NamedTuple):
    """What makes an episode hard.

    Attributes
    ----------
    noise : float
        A rate in Hz or a share: see the task.
    delay_s : float
        Between what is to be remembered and the answer.
    """

    noise: float
    delay_s: float


@dataclass(frozen=True)
class CueAssociation:
    """Cues to the left or right; the side that had more of them is asked for after a delay.

    Inputs are four groups of neurons: left, right, go (while the answer is read) and context
    (always). Noise is the rate at which neurons of the first three fire besides.

    Attributes
    ----------
    cues : int
        In an episode; an odd number, so that one side has more.
    neurons : int
        In each group.
    cue_s, gap_s, response_s : float
        Durations of a cue, of the pause after it, and of the answer.
    rate_Hz : float
        Of cued neurons, and of go.
    context_Hz : float
    """

    cues: int = 5
    neurons: int = 8
    cue_s: float = 0.03
    gap_s: float = 0.015
    response_s: float = 0.05
    rate_Hz: float = 80.0
    context_Hz: float = 40.0

    outputs = 2

    def __post_init__(self) -> None:
        if self.cues < 1 or self.cues % 2 == 0:
            raise UserError(f"cues is {self.cues}, but must be odd: one side needs more than half.")

    @property
    def inputs(self) -> int:
        return 4 * self.neurons

    def highest_rate(self, noise: float) -> float:
        """Rate in Hz of the inputs that fire most."""
        return max(self.rate_Hz + noise, self.context_Hz)

    def draw(
        self, rng: np.random.Generator, batch: int, difficulty: Difficulty, dt_s: float
    ) -> Episodes:
        """Draw a batch of episodes of one difficulty."""
        labels = rng.integers(0, 2, batch)
        # As many cues on the side that wins as any majority has, each as often.
        majority = rng.integers(self.cues // 2 + 1, self.cues + 1, batch)
        order = rng.permuted(np.tile(np.arange(self.cues), (batch, 1)), axis=1)
        sides = np.where(order < majority[:, None], labels[:, None], 1 - labels[:, None])

        cue, gap, response, delay = (
            _steps(duration, dt_s)
            for duration in (self.cue_s, self.gap_s, self.response_s, difficulty.delay_s)
        )
        total = self.cues * (cue + gap) + delay + response
        rates = np.full((batch, total, 4), float(difficulty.noise))
        samples = np.arange(batch)
        for number in range(self.cues):
            during = slice(number * (cue + gap), number * (cue + gap) + cue)
            rates[samples, during, sides[:, number]] += self.rate_Hz
        rates[:, -response:, 2] += self.rate_Hz
        rates[:, :, 3] = self.context_Hz
        spikes = _spikes(rng, np.repeat(rates, self.neurons, axis=2), dt_s)
        return Episodes(spikes, torch.from_numpy(labels), response)


@dataclass(frozen=True)
class PatternRecall:
    """Patterns shown once, each together with one of several answers; one is asked for again.

    Inputs are the neurons that patterns are made of, and one group for each answer. Every episode
    has patterns of its own. The one that is asked for comes without its answer, and a share of its
    neurons, the noise, stays silent while as many others fire instead.

    Attributes
    ----------
    pairs : int
        Patterns, and answers to choose among.
    neurons : int
        Of which patterns are made.
    active : int
        Of them, in each pattern.
    group : int
        Neurons for each answer.
    show_s, gap_s, response_s : float
        Durations of a pair, of the pause after it, and of the question, at whose end the answer is
        read for half the time.
    rate_Hz : float
        Of active neurons.
    """

    pairs: int = 3
    neurons: int = 24
    active: int = 6
    group: int = 4
    show_s: float = 0.06
    gap_s: float = 0.02
    response_s: float = 0.08
    rate_Hz: float = 80.0

    def __post_init__(self) -> None:
        if self.pairs < 2:
            raise UserError(f"pairs is {self.pairs}, but one answer alone is no question.")
        if not 1 <= self.active <= self.neurons // 2:
            raise UserError(
                f"active is {self.active}, but must be from 1 to half of {self.neurons} neurons."
            )

    @property
    def inputs(self) -> int:
        return self.neurons + self.pairs * self.group

    @property
    def outputs(self) -> int:
        return self.pairs

    def highest_rate(self, noise: float) -> float:  # noqa: ARG002
        """Rate in Hz of the inputs that fire most."""
        return self.rate_Hz

    def draw(
        self, rng: np.random.Generator, batch: int, difficulty: Difficulty, dt_s: float
    ) -> Episodes:
        """Draw a batch of episodes of one difficulty."""
        ranks = rng.permuted(np.tile(np.arange(self.neurons), (batch, self.pairs, 1)), axis=2)
        patterns = ranks < self.active
        answers = rng.permuted(np.tile(np.arange(self.pairs), (batch, 1)), axis=1)
        asked = rng.integers(0, self.pairs, batch)
        samples = np.arange(batch)

        show, gap, response, delay = (
            _steps(duration, dt_s)
            for duration in (self.show_s, self.gap_s, self.response_s, difficulty.delay_s)
        )
        total = self.pairs * (show + gap) + delay + response
        active = np.zeros((batch, total, self.neurons + self.pairs), dtype=bool)
        for number in range(self.pairs):
            during = slice(number * (show + gap), number * (show + gap) + show)
            active[:, during, : self.neurons] = patterns[:, number, None]
            active[samples, during, self.neurons + answers[:, number]] = True
        question = self._degraded(ranks[samples, asked], difficulty.noise)
        active[:, -response:, : self.neurons] = question[:, None]
        repeats = np.repeat([1, self.group], [self.neurons, self.pairs])
        spikes = _spikes(rng, self.rate_Hz * np.repeat(active, repeats, axis=2), dt_s)
        labels = torch.from_numpy(answers[samples, asked])
        return Episodes(spikes, labels, -(-response // 2))

    def _degraded(self, ranks: npt.NDArray[np.int64], noise: float) -> npt.NDArray[np.bool_]:
        """Pattern of neurons ranked below ``active``, some of them exchanged for others."""
        exchanged = round(noise * self.active)
        return (ranks >= exchanged) & (ranks < self.active + exchanged)


Task = CueAssociation | PatternRecall


def _steps(duration_s: float, dt_s: float) -> int:
    return round(duration_s / dt_s)


def _spikes(rng: np.random.Generator, rates_Hz: FloatArray, dt_s: float) -> Tensor:
    fired = rng.random(rates_Hz.shape, dtype=np.float32) < rates_Hz * dt_s
    return torch.from_numpy(fired.astype(np.float32))
