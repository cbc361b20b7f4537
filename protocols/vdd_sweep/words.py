"""The report of `VddSweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.vdd_sweep.protocol import VddSweep

ENERGIES = (
    "What flows through the synapses follows from the mirror equation. The core's entries are "
    "calibrated here so that they add up to the paper's 1.08 pJ per spike at 3.3 MHz; how they "
    "share it is an estimate."
)


def report(protocol: VddSweep, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """What a higher supply does."""
    del protocol
    table = tables["table"]
    firing = table[table.output_spikes > 0]
    low, high = table.iloc[0], table.iloc[-1]
    spread = "Too few supplies gave spikes to compare their energy."
    if len(firing) > 1:
        first, last = firing.energy_per_spike_pJ.iloc[[0, -1]]
        spread = (
            f"Energy per spike goes from {say(first, 'pJ', 3)} to {say(last, 'pJ', 3)}, because "
            "more spikes share the comparator's decisions and the leakage."
        )
    return [
        Section(
            "What a higher supply does",
            f"From {say(low.vdd_V, 'V', 3)} to {say(high.vdd_V, 'V', 3)} the current of one least "
            f"significant bit goes from {say(low.unit_current_nA, 'nA', 3)} to "
            f"{say(high.unit_current_nA, 'nA', 3)}, and the same {say(int(low.input_spikes))} "
            f"input spikes give {say(int(low.output_spikes))} to {say(int(high.output_spikes))} "
            f"output spikes. {spread}\n\n{ENERGIES}",
            "table",
        )
    ]
