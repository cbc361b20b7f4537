"""Gains of groups of synapses, tuned on one memory's codes with one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neuromod.chip.power_domains import (
    power_domains,
    shared_groups,
    source_groups,
    synapse_groups,
    synapse_rails,
)
from neuromod.protocols.families.memory import Memory
from neuromod.tuning.features import Features
from neuromod.tuning.methods.gained import gained_layers
from neuromod.tuning.recipe import SharedGains, TuningRecipe, calibrated
from neuromod.tuning.training import TuningResult, tune

LEAST = 1e-3
"""Activity that a source counts with that is never active (chosen)."""


def recipe(method: str, seed: int) -> TuningRecipe:
    """The recipe that was calibrated for single volleys."""
    return calibrated(method, "spiking", "membrane", seed=seed)


@dataclass(frozen=True, eq=False)
class Tuner:
    """Tunes gains of groups within reach of a supply, all for as long.

    Attributes
    ----------
    features : Features
    memory : Memory
    groups : int
        Of each sign.
    seed : int
    """

    features: Features
    memory: Memory
    groups: int
    seed: int

    def tune(
        self, groups: int, domain: np.ndarray | None = None, start: np.ndarray | None = None
    ) -> TuningResult:
        """Tune groups of each sign, or all synapses where 0, places of a domain with one gain.

        Gains start from 1, or from a start for each domain.
        """
        chosen = replace(recipe("nt1_groups", self.seed), groups=groups)
        shared = None
        if domain is not None:
            ones = np.ones(domain.max() + 1)
            shared = SharedGains(domain, ones if start is None else start)
        within = self.memory.within_reach(chosen)
        return tune(self.features, self.memory.backbone, within, shared=shared)

    @cached_property
    def own(self) -> TuningResult:
        """A gain for each group, by the index of the source."""
        return self.tune(self.groups)

    @cached_property
    def each(self) -> TuningResult:
        """A gain for each synapse."""
        return self.tune(0)

    def twice(self) -> TuningResult:
        """The gains of `own`, tuned once more."""
        gains = np.concatenate([of_layer.ravel() for of_layer in _gains(self.own)])
        return self.tune(self.groups, np.arange(len(gains)), gains)

    def single(self) -> TuningResult:
        """A gain for each neuron."""
        neurons = sum(len(layer.codes) for layer in self.memory.layers)
        return self.tune(1, np.repeat(np.arange(neurons), 2))

    def sharing(self, neurons: int) -> TuningResult:
        """Groups whose gains several neurons share, those that learned alike."""
        return self.tune(self.groups, shared_groups(_gains(self.own), neurons, self.seed))

    def rails(self, rails: int) -> TuningResult:
        """Each group at one of few gains of the whole chip."""
        gains = np.concatenate([of_layer.ravel() for of_layer in _gains(self.own)])
        return self.tune(self.groups, power_domains(gains, rails, self.seed))

    def rails_of_synapses(self, rails: int) -> TuningResult:
        """Each synapse at one of few gains of the whole chip."""
        return self.tune(0, synapse_rails(self._learned, self._codes, rails, self.seed))

    def grouped_by(self, grouping: str, activity: list[np.ndarray]) -> TuningResult:
        """Groups of synapses with like sizes of codes, significance, or learned gains.

        Significance is the size of a code times the mean activity of its source. Grouped by
        source, all synapses of one are in the same group, by what they have learned.
        """
        if grouping == "source":
            return self.tune(0, source_groups(self._learned, self.groups, self.seed))
        if grouping == "learned":
            values = self._learned
        else:
            values = [np.abs(codes) for codes in self._codes]
        if grouping == "significance":
            weights = [np.maximum(of_layer, LEAST) for of_layer in activity]
            values = [own * weight for own, weight in zip(values, weights, strict=True)]
        return self.tune(0, synapse_groups(values, self._codes, self.groups, self.seed))

    @cached_property
    def _codes(self) -> list[np.ndarray]:
        """Of every layer's synapses, the bias's last."""
        return [np.column_stack([layer.codes, layer.bias_codes]) for layer in self.memory.layers]

    @property
    def _learned(self) -> list[np.ndarray]:
        """Gain of every synapse that has learned alone."""
        return [
            np.where(codes < 0, gains[:, codes.shape[1] :], gains[:, : codes.shape[1]])
            for codes, gains in zip(self._codes, _gains(self.each), strict=True)
        ]


def _gains(tuned: TuningResult) -> list[np.ndarray]:
    """Gains of every layer's neurons that share none, shape (neurons, gains)."""
    return [
        layer.gain.detach().double().numpy().reshape(layer.n_neurons, -1)
        for layer in gained_layers(tuned.classifier)
    ]
