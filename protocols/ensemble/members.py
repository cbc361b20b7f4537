"""What makes members of an ensemble differ, and how large networks of equal numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import norm
from torch import nn

from neuromod.tuning.hardware import seeded

GAINED = ("order", "start", "bagging")
"""Ensembles of sets of gains, by what makes members differ."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What is random in one member.

    Attributes
    ----------
    seed : int
        Of the order of the samples and of the weights of a network that starts anew.
    normal : ndarray, shape (gains,)
        Standard normal numbers.
    rows : ndarray of int, shape (samples,)
        A bootstrap sample: places in the training samples, with replacement.
    """

    seed: int
    normal: np.ndarray
    rows: np.ndarray

    @classmethod
    def drawn(cls, generator: np.random.Generator, gains: int, samples: int) -> Draw:
        """Draw all from one generator."""
        return cls(
            int(generator.integers(2**31)),
            generator.standard_normal(gains),
            np.sort(generator.integers(samples, size=samples)),
        )

    def start(self, way: str, spread: float) -> np.ndarray:
        """Gains at the start of a training: all 1 unless members differ in them."""
        return 1 + spread * self.normal if way == "start" else np.ones(len(self.normal))

    def within(self, low: float, high: float) -> np.ndarray:
        """Gains at the start of a training, uniform between those that a supply can give."""
        return np.asarray(low + (high - low) * norm.cdf(self.normal))

    def samples(self, way: str, train: np.ndarray) -> np.ndarray:
        """Training samples: all, unless members differ in them."""
        return train[self.rows] if way == "bagging" else train


def draws(seed: int, members: int, gains: int, samples: int) -> list[Draw]:
    """Draw members of a seed; the first ones are the same however many there are."""
    generator = np.random.default_rng(seed)
    return [Draw.drawn(generator, gains, samples) for _ in range(members)]


def widest(inputs: int, outputs: int, numbers: int) -> int:
    """Return the neurons of a hidden layer between inputs and outputs that so many numbers allow.

    They are its weights and biases and those of the output layer.
    """
    return (numbers - outputs) // (inputs + outputs + 1)


def numbers_in(widths: Sequence[int]) -> int:
    """Return how many weights and biases linear layers of these widths have."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


def groups_for(members: int) -> int:
    """Return the groups of each sign that have as many gains as that many sets, or 0.

    A neuron has two gains for each; a single set is no group, and an odd number has no equal.
    """
    return 0 if members % 2 else members // 2


def network(widths: Sequence[int], seed: int) -> nn.Sequential:
    """Return linear layers with ReLU between them, as torch starts them with a seed."""
    with seeded(seed):
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])
