"""The report of `GainTrace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from brian2 import mV

from neuromod.chip.conversion import vdd_of
from neuromod.protocol import Section
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.gain_trace.protocol import GainTrace

NEAR = 0.98


def report(protocol: GainTrace, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """How coarse the supply may be."""
    table = tables["table"]
    exact, still = table.iloc[0], table.iloc[-1]
    coarse = table[table.bits.notna()]
    near = coarse[coarse.coincidence_factor >= NEAR * exact.coincidence_factor]
    enough = (
        f"the coarsest with a coincidence factor within 2 % of it is {near.supply.iloc[0]}"
        if len(near)
        else "none comes within 2 % of it"
    )
    peak = vdd_of(protocol.circuit, protocol.gain).max()
    return [
        Section(
            "A gain over time, twice",
            f"The puff takes the cell's gain from 1 to {say(protocol.gain.max(), digits=3)}, and "
            f"the supply that follows it from 750 to {say(peak, mV, 3)}, set anew every "
            f"{say(protocol.update)} of biological time. With an exact supply the gain on the chip "
            f"is off by {say(exact.gain_error_rms, digits=2)} (root mean square), because it is "
            f"held between updates. The chip then fires {exact.chip_spikes} spikes where the cell "
            f"fires {exact.cell_spikes}, with a coincidence factor of "
            f"{say(exact.coincidence_factor, digits=2)}; with a constant supply it fires "
            f"{still.chip_spikes}, with {say(still.coincidence_factor, digits=2)}. With an "
            "exact supply the only difference left is the comparator, which decides when input "
            "pulses have ended. "
            f"Of the resolutions between 0.5 and 1 V, {enough}.",
            "table",
        ),
        Section("Rates", "Spikes in every bin, in biological time.", "rates"),
    ]
