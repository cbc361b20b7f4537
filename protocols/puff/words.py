"""The report of `Puff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from brian2 import umolar

from neuromod.protocol import Section

if TYPE_CHECKING:
    from neuromod.protocols.puff.protocol import Puff


def report(puff: Puff, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Responses in words, and how near simulation and independent solutions are."""
    table, agreement = tables["table"], tables["agreement"]
    change = (table.peak_gain - float(puff.neuron.steady_gain({})))[: len(puff.conc)]
    return [
        Section(
            "Single puffs",
            f"The gain peaks {table.latency_s.min():.2g} to {table.latency_s.max():.2g} s "
            "after the start of a puff, later than the concentration. The shortest puff of "
            f"{puff.conc[-1] / umolar:.3g} µM changes it "
            f"{change.iloc[-1] / change.iloc[0]:.3g} times as much as that of "
            f"{puff.conc[0] / umolar:.3g} µM: weak doses lie where the Hill function is steep, "
            "strong ones saturate it. Half-decay times are empty where the run ends before.",
            "table",
        ),
        Section(
            "Trains",
            f"Puffs of {puff.width[0]} that come before the effect of the last has passed "
            "add up: summation is the change of the gain after the last puff over that by one "
            "puff alone. Clearance is linear, so that the mean concentration tends to "
            "concentration times width over interval, whatever the clearance; the steady gain "
            "in a bath of that concentration stands beside.",
            "summation",
        ),
        Section(
            "Every puff of the trains",
            "The gain that is furthest from control between a puff and the next.",
            "trains",
        ),
        Section(
            "Agreement",
            "Concentrations are off the closed form of clearance by at most "
            f"{agreement.conc_deviation.max():.1g} of the pipette's, and gains are off an "
            "independent integration of the cascade by at most "
            f"{agreement.gain_deviation.max():.1g}.",
            "agreement",
        ),
    ]
