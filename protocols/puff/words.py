"""The report of `Puff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import number, say, span

if TYPE_CHECKING:
    from neuromod.protocols.puff.protocol import Puff


def report(protocol: Puff, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Responses in words, and how well simulation and independent solutions agree."""
    table, agreement = tables["table"], tables["agreement"]
    change = (table.peak_gain - float(protocol.steady_gain(0)))[: len(protocol.conc)]
    return [
        Section(
            "Single puffs",
            f"The gain peaks {span(table.latency_s, 's', 2)} after the start of a puff, later than "
            f"the concentration. The shortest puff of {say(protocol.conc[-1], digits=3)} changes "
            f"it {number(change.iloc[-1] / change.iloc[0], 3)} times as much as that of "
            f"{say(protocol.conc[0], digits=3)}: weak doses lie where the Hill function is steep, "
            "strong ones saturate it. Half-decay times are missing where the run ends too early.",
            "table",
        ),
        Section(
            "Trains",
            f"Puffs of {say(protocol.width[0])} add up when they come before the effect of the "
            "last one has passed. Summation is the change of the gain after the last puff of a "
            "train over the change after a single puff. Clearance is linear, so that the mean "
            "concentration tends to that in the pipette times width over interval, whatever the "
            "clearance. The last column is the steady gain in a bath of that concentration.",
            "summation",
        ),
        Section(
            "Every puff of the trains",
            "Each row gives the gain that is furthest from control between one puff and the next.",
            "trains",
        ),
        Section(
            "Agreement",
            "Concentrations differ from the closed form of clearance by at most "
            f"{number(agreement.conc_deviation.max(), 1)} of that in the pipette, and gains from "
            "an independent integration of the cascade by at most "
            f"{number(agreement.gain_deviation.max(), 1)}.",
            "agreement",
        ),
    ]
