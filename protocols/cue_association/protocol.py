"""Cues, a delay, a choice: does learned plasticity remember what fixed synapses cannot?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Hz, Quantity

from neuromod.parameters import not_negative, parameter
from neuromod.plasticity import tasks
from neuromod.protocol import Section, Tables
from neuromod.protocols.families.five_networks import FiveNetworks
from neuromod.support.text import percent


@dataclass(frozen=True, eq=False)
class CueAssociation(FiveNetworks):
    """Choosing after a delay the side that had more cues, with and without learned plasticity.

    What does learned, modulated plasticity remember of noisy cues over a delay?

    Cues arrive on the left and on the right, one after the other, in noise. After a delay the
    network is asked which side had more of them, and only then gets credit. Spiking networks
    without plasticity are compared with networks whose synapses change during an episode by Oja's
    or the BCM rule. All parameters of the rule are learned together with the fixed weights. In
    modulated networks the changes are gated by a neuromodulator that the network itself releases.
    """

    noise_unit = Hz
    noise_column = "noise_Hz"
    noise_axis = "noise (Hz)"
    noise_label = "a noise of {} Hz"

    task: tasks.CueAssociation = parameter(tasks.CueAssociation(), "the task", "see its own")
    noise: Quantity = not_negative(
        np.array([0, 20, 40, 60]) * Hz, "rates added to cues and go, in the test", "chosen here"
    )
    learned_noise: Quantity = not_negative(
        np.array([0, 10, 20]) * Hz, "rates added to cues and go, in learning", "chosen here"
    )

    def report(self, tables: Tables) -> list[Section]:
        """The report of all comparisons, and what a memory of a single cue would be worth."""
        cues = self.task.cues
        least = cues // 2 + 1
        text = (
            f"The winning side has {least} to {cues} of the {cues} cues, each number equally "
            "often. A network that remembered the side of a single cue, without counting, would be "
            f"right in {percent((least + cues) / (2 * cues), 2)}."
        )
        return [*super().report(tables), Section("Remembering and counting", text)]
