"""Cues, a delay, a choice: does a learned plasticity rule remember what fixed synapses cannot?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, second

from neuromod.errors import UserError
from neuromod.parameters import parameter
from neuromod.plasticity import tasks
from neuromod.plasticity.comparison import FiveNetworks
from neuromod.protocol import Section


@dataclass(frozen=True, eq=False)
class CueAssociation(FiveNetworks):
    """Choosing after a delay the side that had more cues, with learned plasticity and without.

    Cues arrive on the left and on the right, one after the other, among noise. After a delay a
    network is asked which side had more of them, and only then does it get credit. Spiking
    networks without plasticity are compared with others whose synapses change during an episode
    by Oja's or the BCM rule, all of whose parameters are learned together with the fixed weights,
    and with networks that compute a neuromodulator's concentration themselves, which gates these
    changes.
    """

    noise_column = "noise_Hz"
    noise_axis = "noise (Hz)"
    noise_label = "a noise of %.3g Hz"
    durations = ("cue", "gap", "response", "delays", "learned_delays")

    cues: int = parameter(
        5, "cues in an episode, an odd number", source="chosen here; 7 in Bellec et al. 2020",
        low=1,
    )  # fmt: skip
    neurons: int = parameter(
        8, "input neurons of each of the groups left, right, go and context",
        source="chosen here; 10 in Bellec et al. 2020", low=1,
    )  # fmt: skip
    cue: Quantity = parameter(
        30 * ms, "length of a cue", source="chosen here, for speed; 100 ms in Bellec et al. 2020",
        low=0 * second, low_excluded=True,
    )  # fmt: skip
    gap: Quantity = parameter(
        15 * ms, "pause after a cue",
        source="chosen here, for speed; 50 ms in Bellec et al. 2020", low=0 * second,
    )  # fmt: skip
    response: Quantity = parameter(
        50 * ms, "time in which the choice is read", source="chosen here",
        low=0 * second, low_excluded=True,
    )  # fmt: skip
    rate: Quantity = parameter(
        80 * Hz, "rate of neurons that are cued, and of go", source="chosen here",
        low=0 * Hz, low_excluded=True,
    )  # fmt: skip
    context: Quantity = parameter(
        40 * Hz, "rate of context neurons, throughout", source="chosen here", low=0 * Hz
    )
    noise: Quantity = parameter(
        np.array([0, 20, 40, 60]) * Hz,
        "rates at which neurons of cues and go fire besides, in the test",
        source="chosen here",
        low=0 * Hz,
    )
    learned_noise: Quantity = parameter(
        np.array([0, 10, 20]) * Hz,
        "rates at which neurons of cues and go fire besides, in learning",
        source="chosen here",
        low=0 * Hz,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cues % 2 == 0:
            raise UserError(f"cues is {self.cues}, but must be odd: one side needs more than half.")

    @property
    def task(self) -> tasks.CueAssociation:
        return tasks.CueAssociation(
            self.cues, self.neurons, float(self.cue / second), float(self.gap / second),
            float(self.response / second), float(self.rate / Hz), float(self.context / Hz),
        )  # fmt: skip

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What all comparisons tell, and what a memory of one cue would be worth."""
        single = (self.cues // 2 + 1 + self.cues) / (2 * self.cues)
        text = (
            f"The side that wins has from {self.cues // 2 + 1} to {self.cues} of the {self.cues} "
            "cues, each number as often. A network that kept the side of a single cue over the "
            f"delay, and did not count, would be right in {100 * single:.0f} %."
        )
        return [*super().report(tables), Section("Remembering and counting", text)]

    @property
    def noises(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.learned_noise / Hz), np.asarray(self.noise / Hz)
