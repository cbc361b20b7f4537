"""The report of `TwoReceptors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.two_receptors.protocol import TwoReceptors


def report(protocol: TwoReceptors, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Interaction of gains and of rates."""
    surface = tables["surface"]
    off = (surface.recovered_gain / surface.single_gains_product - 1).abs().max()
    return [
        Section(
            "Together and alone",
            "Gains recovered from the rates of cells in both modulators differ by at most "
            f"{percent(off, 2)} from the product of the gains in each alone, no more than rounding "
            f"intervals to time steps of {say(protocol.dt)} explains. Their interaction index, the "
            "natural logarithm of that ratio, is 0 in closed form. The index of the mean rates "
            f"ranges from {span(surface.rate_interaction, digits=2)}. It is -0.69 where the rate "
            "is half of what the rates in each modulator alone multiply to, and 0.69 where it is "
            "twice that. It describes the f-I curve, not the receptors.",
            "surface",
        ),
        Section("All cells", "Rates as simulated and in closed form, and gains.", "table"),
    ]
