"""The report of `RewardLearning`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuromod.protocol import Section

if TYPE_CHECKING:
    from neuromod.protocols.reward_learning.protocol import RewardLearning


def report(protocol: RewardLearning, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Credit and its closed form, and the effect of reward."""
    del protocol
    table, credit = tables["table"], tables["credit"]
    off = np.abs(credit.credit - credit.closed_form).max() / np.abs(credit.credit).max()
    mine, others = table[table.rewarded].iloc[0], table[~table.rewarded]
    spread = others.plastic.std()
    return [
        Section(
            "Credit of one pair",
            "A pair of spikes leaves an eligibility that decays with tau_e; a later release turns "
            "what is left of it into a change. The closed form is the integral of eligibility "
            f"times concentration. Simulated changes differ from it by at most {off:.2g} of the "
            "largest, because time steps sum where the closed form integrates.",
            "credit",
        ),
        Section(
            "Conditioning",
            f"The rewarded stimulus came {mine.presentations} times. The plastic traces of its "
            f"synapses ended at {mine.plastic:.2f} on average, those of the others at "
            f"{others.plastic.mean():.2f} ± {spread:.2f} (standard deviation over stimuli): "
            f"{(mine.plastic - others.plastic.mean()) / spread:.1f} standard deviations apart. A "
            f"presentation drew {mine.response_first:.2f} spikes from a cell in the first quarter "
            f"of the time and {mine.response_last:.2f} in the last; one of another stimulus drew "
            f"{others.response_first.mean():.2f} and {others.response_last.mean():.2f}.",
            "table",
        ),
        Section(
            "Volume transmission",
            "A release reaches all synapses of a cell alike, and near cells more than far ones. "
            "Cells with more modulator learn faster, until their traces reach the bound.",
            "cells",
        ),
    ]
