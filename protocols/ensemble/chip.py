"""One set of codes with N sets of supplies, one after another, or one for groups of synapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from brian2 import Quantity, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import Layer, grouped, reachable_gains
from neuromod.protocols.ensemble.classification import Task
from neuromod.protocols.ensemble.members import Draw, draws, groups_for
from neuromod.protocols.families.memory import Memory
from neuromod.tuning.recipe import SharedGains, TuningRecipe, calibrated
from neuromod.tuning.training import TuningResult, tune


def chip_recipe(method: str = "nt1", seed: int = 0) -> TuningRecipe:
    """Recipe of gains that are tuned on codes."""
    return calibrated(method, "spiking", "membrane", seed=seed)


@dataclass(frozen=True, eq=False)
class Pass:
    """What runs at one setting of the supplies.

    Attributes
    ----------
    layers : sequence of Layer
        The same codes for all passes, with the supplies of this one.
    tuned : TuningResult
    """

    layers: Sequence[Layer]
    tuned: TuningResult

    @property
    def supplies(self) -> int:
        """How many there are."""
        return sum(layer.vdd.size for layer in self.layers)

    def charge(self, capacitance: Quantity) -> float:
        """Energy of charging all supplies' rails from ground, pJ: ``C VDD**2`` for each."""
        squares = sum(float(np.sum((layer.vdd / volt) ** 2)) for layer in self.layers)
        return float(capacitance * squares * volt**2 / pjoule)


@dataclass(frozen=True, eq=False)
class OnChip:
    """All passes of one seed.

    Attributes
    ----------
    task : Task
    memory : Memory
        With the codes, which are never rewritten.
    seed, members : int
    """

    task: Task
    memory: Memory
    seed: int
    members: int

    @cached_property
    def draws(self) -> list[Draw]:
        """What is random in each member."""
        train = len(self.task.data.split.train)
        return draws(self.seed, self.members, self.task.gains, train)

    @cached_property
    def sets(self) -> list[Pass]:
        """Members: a supply for each neuron, tuned on the codes from a start within reach."""
        found, reach = [], reachable_gains(self.memory.circuit, self.memory.untuned)
        for draw in self.draws:
            recipe = self._recipe("nt1", draw)
            shared = SharedGains(np.arange(self.task.gains), draw.within(*reach))
            tuned = tune(self.task.features, self.memory.backbone, recipe, shared=shared)
            found.append(Pass(self._supplied(tuned.gains), tuned))
        return found

    def grouped(self, members: int) -> Pass:
        """One pass with as many supplies as that many sets."""
        recipe = replace(self._recipe("nt1_groups", self.draws[0]), groups=groups_for(members))
        tuned = tune(self.task.features, self.memory.backbone, recipe)
        return Pass(self.memory.supplied(tuned.classifier), tuned)

    def _recipe(self, method: str, draw: Draw) -> TuningRecipe:
        return self.memory.within_reach(chip_recipe(method, draw.seed))

    def _supplied(self, gains: np.ndarray) -> list[Layer]:
        """The codes with a supply for each neuron."""
        layers, (circuit, untuned) = self.memory.layers, (self.memory.circuit, self.memory.untuned)
        ends = np.cumsum([len(layer.codes) for layer in layers])[:-1]
        return [
            grouped(circuit, layer, np.zeros(np.add(layer.codes.shape, (0, 1)), int), own, untuned)
            for layer, own in zip(layers, np.split(gains[:, None], ends), strict=True)
        ]


def votes_to_shares(votes: np.ndarray) -> np.ndarray:
    """Turn votes for classes into probabilities: their shares, or equal ones where nobody votes.

    Parameters
    ----------
    votes : ndarray, shape (images, classes)
        How often each output neuron has fired.
    """
    every = votes.sum(axis=1, keepdims=True)
    classes = votes.shape[1]
    return np.where(every > 0, votes / np.maximum(every, 1), 1 / classes)
