"""Patterns seen once: does a learned plasticity rule associate them with their answers?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Hz, Quantity, ms, second

from neuromod.parameters import parameter
from neuromod.plasticity import tasks
from neuromod.plasticity.comparison import FiveNetworks


@dataclass(frozen=True, eq=False)
class PatternRecall(FiveNetworks):
    """Recalling what a pattern was shown with, once, with learned plasticity and without.

    In every episode a few new random patterns are shown, each once and together with one of as
    many answers. After a delay one of them returns without its answer, part of its neurons
    exchanged for others, and a network is asked for the answer. Spiking networks without
    plasticity are compared with others whose synapses change during an episode by Oja's or the
    BCM rule, all of whose parameters are learned together with the fixed weights, and with
    networks that compute a neuromodulator's concentration themselves, which gates these changes.
    """

    noise_column = "exchanged"
    noise_axis = "share exchanged"
    noise_label = "%.2g of the pattern exchanged"
    durations = ("show", "gap", "response", "delays", "learned_delays")

    pairs: int = parameter(
        3, "patterns in an episode, and answers to choose among", source="chosen here", low=2
    )
    neurons: int = parameter(
        24, "input neurons of which patterns are made", source="chosen here", low=2
    )
    active: int = parameter(6, "of them, in each pattern", source="chosen here", low=1)
    group: int = parameter(4, "input neurons for each answer", source="chosen here", low=1)
    show: Quantity = parameter(
        60 * ms, "time for which a pair is shown", source="chosen here",
        low=0 * second, low_excluded=True,
    )  # fmt: skip
    gap: Quantity = parameter(20 * ms, "pause after a pair", source="chosen here", low=0 * second)
    response: Quantity = parameter(
        80 * ms, "time for which a question is asked; its second half is read",
        source="chosen here", low=0 * second, low_excluded=True,
    )  # fmt: skip
    rate: Quantity = parameter(
        80 * Hz, "rate of active neurons", source="chosen here", low=0 * Hz, low_excluded=True
    )
    noise: np.ndarray = parameter(
        np.array([0, 1 / 6, 1 / 3, 1 / 2]),
        "shares of a pattern that are exchanged, in the test",
        source="chosen here",
        low=0,
        high=1,
    )
    learned_noise: np.ndarray = parameter(
        np.array([0, 1 / 6, 1 / 3]),
        "shares of a pattern that are exchanged, in learning",
        source="chosen here",
        low=0,
        high=1,
    )

    @property
    def task(self) -> tasks.PatternRecall:
        return tasks.PatternRecall(
            self.pairs, self.neurons, self.active, self.group, float(self.show / second),
            float(self.gap / second), float(self.response / second), float(self.rate / Hz),
        )  # fmt: skip

    @property
    def noises(self) -> tuple[np.ndarray, np.ndarray]:
        return self.learned_noise, self.noise
