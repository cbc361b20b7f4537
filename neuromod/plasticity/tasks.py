"""Tasks that need a memory within an episode, drawn as spike trains.

An episode is one sample: what has to be remembered is new in each, and nothing is carried over.
Inputs are Bernoulli processes with at most one spike per time step. Both tasks are versions of
known ones: accumulation of evidence over cues (Morcos & Harvey 2016, Nat. Neurosci. 19:1672; for
spiking networks Bellec et al. 2020, Nat. Commun. 11:3625), and association within an episode
(Miconi, Clune & Stanley 2018, ICML).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from brian2 import Hz, Quantity, ms, second
from torch import Tensor

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.parameters import Parameters, not_negative, parameter, positive
from neuromod.support.machine import check_memory

BELLEC = "Bellec et al. 2020"


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

    def scores(self, readout: Any) -> Any:
        """Mean readout while the answer is read; the largest score is the network's answer.

        The shapes are (batch, steps, outputs) and (batch, outputs).
        """
        return readout[:, -self.response :].mean(1)


class Difficulty(NamedTuple):
    """What makes an episode hard: noise, and the time between what is remembered and the answer.

    Noise is a rate in Hz or a share, as the task has it.
    """

    noise: float
    delay_s: float


@dataclass(frozen=True, eq=False)
class Task(Parameters):
    """What a network is asked; the base of all tasks.

    A subclass has `shown`, the number of things shown in an episode, and `inputs` and `outputs`,
    the numbers of neurons that take the episodes and give the answers.
    """

    durations: ClassVar[tuple[str, ...]]
    """Of what is shown, of the pause after it, and of the answer."""
    shown: ClassVar[Any]
    inputs: ClassVar[Any]
    outputs: ClassVar[Any]

    def draw(
        self, rng: np.random.Generator, batch: int, difficulty: Difficulty, dt_s: float
    ) -> Episodes:
        """Draw a batch of episodes of one difficulty, with a time step in seconds."""
        raise NotImplementedError

    def highest_rate(self, noise: float) -> float:
        """Rate in Hz of the inputs that fire most."""
        raise NotImplementedError

    def check_grid(self, dt: Quantity, noise: float) -> None:
        """Refuse a time step that is too long for the inputs or does not divide the durations."""
        for name in self.durations:
            steps_in(name, getattr(self, name), dt)
        highest = self.highest_rate(noise)
        if highest * float(dt / second) > 1:
            raise UserError(
                f"Inputs of {highest:g} Hz would spike more than once in a time step of {dt}: use "
                "a lower rate, less noise or a shorter step."
            )

    def steps(self, delay_s: float, dt_s: float) -> int:
        """Time steps of an episode."""
        show, gap, response = self._steps(dt_s)
        return int(self.shown * (show + gap)) + round(delay_s / dt_s) + response

    def check_memory(self, batch: int, delay_s: float, dt_s: float) -> None:
        """Refuse to draw more episodes at once than memory holds."""
        # Rates, and the numbers drawn to compare them with.
        needed = 12.0 * batch * self.steps(delay_s, dt_s) * self.inputs
        check_memory(f"Drawing {batch} episodes", needed)

    def _steps(self, dt_s: float) -> list[int]:
        """Time steps of every duration."""
        return [round(float(getattr(self, name) / second) / dt_s) for name in self.durations]


@dataclass(frozen=True, eq=False)
class CueAssociation(Task):
    """Cues to the left or right; the side that had more of them is asked for after a delay.

    Inputs are four groups of neurons: left, right, go (while the answer is read) and context
    (always). Noise is a rate that is added to the first three.
    """

    cues: int = parameter(
        5, "cues in an episode, an odd number", f"chosen here; 7 in {BELLEC}", low=1
    )
    neurons: int = parameter(
        8,
        "input neurons in each of the groups left, right, go and context",
        f"chosen here; 10 in {BELLEC}",
        low=1,
    )
    cue: Quantity = positive(
        30 * ms, "length of a cue", f"chosen here, for speed; 100 ms in {BELLEC}"
    )
    gap: Quantity = not_negative(
        15 * ms, "pause after a cue", f"chosen here, for speed; 50 ms in {BELLEC}"
    )
    response: Quantity = positive(50 * ms, "time in which the answer is read", "chosen here")
    rate: Quantity = positive(80 * Hz, "rate of cued neurons, and of go", "chosen here")
    context: Quantity = not_negative(40 * Hz, "rate of context neurons, throughout", "chosen here")

    durations = ("cue", "gap", "response")
    outputs = 2

    @property
    def shown(self) -> int:
        return self.cues

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse an even number of cues."""
        if own("cues") % 2 == 0:
            raise UserError(f"cues is {own('cues')}, but must be odd, so that one side has more.")

    @property
    def inputs(self) -> int:
        return 4 * self.neurons

    def highest_rate(self, noise: float) -> float:
        """Rate in Hz of the inputs that fire most."""
        return max(float(self.rate / Hz) + noise, float(self.context / Hz))

    def draw(
        self, rng: np.random.Generator, batch: int, difficulty: Difficulty, dt_s: float
    ) -> Episodes:
        """Draw a batch of episodes: see `Task.draw`."""
        self.check_memory(batch, difficulty.delay_s, dt_s)
        total = self.steps(difficulty.delay_s, dt_s)
        labels = rng.integers(0, 2, batch)
        # Every majority is equally likely.
        majority = rng.integers(self.cues // 2 + 1, self.cues + 1, batch)
        order = rng.permuted(np.tile(np.arange(self.cues), (batch, 1)), axis=1)
        sides = np.where(order < majority[:, None], labels[:, None], 1 - labels[:, None])

        cue, gap, response = self._steps(dt_s)
        rates = np.full((batch, total, 4), float(difficulty.noise))
        samples = np.arange(batch)
        for number in range(self.cues):
            during = slice(number * (cue + gap), number * (cue + gap) + cue)
            rates[samples, during, sides[:, number]] += float(self.rate / Hz)
        rates[:, -response:, 2] += float(self.rate / Hz)
        rates[:, :, 3] = float(self.context / Hz)
        spikes = _spikes(rng, np.repeat(rates, self.neurons, axis=2), dt_s)
        return Episodes(spikes, torch.from_numpy(labels), response)


@dataclass(frozen=True, eq=False)
class PatternRecall(Task):
    """Patterns shown once, each with one of several answers; one of them is asked for again.

    Inputs are the neurons that make up the patterns, and one group for each answer. Every episode
    has its own patterns. The one that is asked for comes without its answer. Noise is the share of
    its neurons that stay silent while as many others fire instead.
    """

    pairs: int = parameter(
        3, "patterns in an episode, and answers to choose among", "chosen here", low=1
    )
    neurons: int = parameter(24, "input neurons that make up patterns", "chosen here", low=2)
    active: int = parameter(6, "active neurons of a pattern", "chosen here", low=1)
    group: int = parameter(4, "input neurons for each answer", "chosen here", low=1)
    show: Quantity = positive(60 * ms, "time for which a pair is shown", "chosen here")
    gap: Quantity = not_negative(20 * ms, "pause after a pair", "chosen here")
    response: Quantity = positive(
        80 * ms, "length of the question; the answer is read in its second half", "chosen here"
    )
    rate: Quantity = positive(80 * Hz, "rate of active neurons", "chosen here")

    durations = ("show", "gap", "response")

    @property
    def shown(self) -> int:
        return self.pairs

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse a single pair, and patterns of more than half of the neurons."""
        if own("pairs") < 2:
            raise UserError(f"pairs is {own('pairs')}, but one answer alone is no question.")
        if not 1 <= own("active") <= own("neurons") // 2:
            raise UserError(
                f"active is {own('active')}, but must be from 1 to half of {own('neurons')} "
                "neurons."
            )

    @property
    def inputs(self) -> int:
        return self.neurons + self.pairs * self.group

    @property
    def outputs(self) -> int:
        return self.pairs

    def highest_rate(self, noise: float) -> float:  # noqa: ARG002
        """Rate in Hz of the inputs that fire most."""
        return float(self.rate / Hz)

    def draw(
        self, rng: np.random.Generator, batch: int, difficulty: Difficulty, dt_s: float
    ) -> Episodes:
        """Draw a batch of episodes: see `Task.draw`."""
        self.check_memory(batch, difficulty.delay_s, dt_s)
        total = self.steps(difficulty.delay_s, dt_s)
        ranks = rng.permuted(np.tile(np.arange(self.neurons), (batch, self.pairs, 1)), axis=2)
        patterns = ranks < self.active
        answers = rng.permuted(np.tile(np.arange(self.pairs), (batch, 1)), axis=1)
        asked = rng.integers(0, self.pairs, batch)
        samples = np.arange(batch)

        show, gap, response = self._steps(dt_s)
        active = np.zeros((batch, total, self.neurons + self.pairs), dtype=bool)
        for number in range(self.pairs):
            during = slice(number * (show + gap), number * (show + gap) + show)
            active[:, during, : self.neurons] = patterns[:, number, None]
            active[samples, during, self.neurons + answers[:, number]] = True
        # Neurons ranked first fall silent for as many ranked behind the active ones.
        exchanged, rank = round(difficulty.noise * self.active), ranks[samples, asked]
        question = (rank >= exchanged) & (rank < self.active + exchanged)
        active[:, -response:, : self.neurons] = question[:, None]
        repeats = np.repeat([1, self.group], [self.neurons, self.pairs])
        rates = float(self.rate / Hz) * np.repeat(active, repeats, axis=2)
        labels = torch.from_numpy(answers[samples, asked])
        return Episodes(_spikes(rng, rates, dt_s), labels, -(-response // 2))


def _spikes(rng: np.random.Generator, rates_Hz: np.ndarray, dt_s: float) -> Tensor:
    fired = rng.random(rates_Hz.shape, dtype=np.float32) < rates_Hz * dt_s
    return torch.from_numpy(fired.astype(np.float32))
