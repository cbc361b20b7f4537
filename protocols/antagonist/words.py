"""The report of `Antagonist`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from neuromod.protocols.antagonist.protocol import Antagonist


def report(protocol: Antagonist, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Dose ratios and regression against the receptor's K_B."""
    curves, found = tables["curves"], tables["schild"].iloc[0]
    worst = (curves.dose_ratio / curves.exact_dose_ratio - 1).abs().max()
    return [
        Section(
            "Dose ratios",
            "Hill functions with common ends and a common slope are fitted to all curves at once; "
            "the dose ratio is the EC50 of a curve over that without antagonist. Dose ratios "
            f"differ from 1 + [B]/K_B by at most {percent(worst, 2)}. Intervals are 95 % Student's "
            "t intervals from the covariance of the fit on a logarithmic scale. They count what no "
            "Hill function can follow as noise, and so are rather too wide. The EC50 is that of "
            "the rate, not of the receptor.",
            "curves",
        ),
        Section(
            "Schild regression",
            f"The slope is {found.slope:.3f} ({found.slope_low:.3f} to {found.slope_high:.3f}); "
            f"simple competition gives 1. pA2 is {found.pA2:.3f} ({found.pA2_low:.3f} to "
            f"{found.pA2_high:.3f}); the receptor's K_B of {say(protocol.k_b, digits=3)} gives "
            f"{found.exact_pA2:.3f}. pA2 is -log10 of the antagonist's concentration in mol/l that "
            "calls for twice the agonist. The regression weights dose ratios by their errors, and "
            "allows for the error that all of them share: that of the curve without antagonist.",
            "schild",
        ),
        Section("Responses", "Mean rates of the cells in every bath.", "responses"),
    ]
