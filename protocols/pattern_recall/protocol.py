"""Patterns seen once: does learned plasticity associate them with their answers?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuromod.parameters import not_negative, parameter
from neuromod.plasticity import tasks
from neuromod.protocols.families.five_networks.study import LEARNED_SHARES, FiveNetworks


@dataclass(frozen=True, eq=False)
class PatternRecall(FiveNetworks):
    """Recalling the answer that a pattern was shown with once, with and without plasticity.

    What does learned, modulated plasticity remember of patterns seen once?

    In every episode a few new random patterns are shown, each once and together with one of as
    many answers. After a delay one of them returns without its answer, with part of its neurons
    exchanged for others, and the network is asked for the answer. Spiking networks without
    plasticity are compared with networks whose synapses change during an episode by Oja's or the
    BCM rule. All parameters of the rule are learned together with the fixed weights. In modulated
    networks the changes are gated by a neuromodulator that the network itself releases.
    """

    noise_column = "exchanged"
    noise_axis = "share exchanged"
    noise_label = "{} of the pattern exchanged"

    task: tasks.PatternRecall = parameter(tasks.PatternRecall(), "the task", "see its own")
    noise: np.ndarray = not_negative(
        np.array([0, 1 / 6, 1 / 3, 1 / 2]),
        "shares of a pattern exchanged, in the test",
        "chosen here",
        high=1,
    )
    learned_noise: np.ndarray = not_negative(
        LEARNED_SHARES, "shares of a pattern exchanged, in learning", "chosen here", high=1
    )
