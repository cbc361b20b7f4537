"""The report of `BioVsCircuit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.bio_vs_circuit.protocol import BioVsCircuit


def report(protocol: BioVsCircuit, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """How alike the two neurons are."""
    table = tables["table"]
    apart = (table.bio_spikes - table.circuit_spikes).abs()
    return [
        Section(
            "How alike they are",
            f"Over {len(table)} gains from {span(table.gain, digits=3)} the spike counts differ "
            f"by {say(apart.mean(), digits=2)} on average and by {apart.max()} at most. The "
            f"coincidence factor (1: every spike has a partner within {say(protocol.window)}; 0: "
            f"chance) has a mean of {say(table.coincidence_factor.mean(), digits=3)}. The "
            "membranes, as shares of the way from rest to threshold, differ by a root mean square "
            f"of {say(table.rmse_of_swing.mean(), digits=3)}.\n\n"
            "The coincidence factor matches each spike of one train with at most one of the "
            f"other. The distances have a time constant of {say(protocol.tau_distance)}: Victor "
            "and Purpura's counts spikes (1 for each one added or left out); van Rossum's grows "
            "with the square root of their number.",
            "table",
        )
    ]
