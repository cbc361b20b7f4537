"""The report of `Volume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.volume.protocol import Volume


def report(protocol: Volume, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """The burst over distance, the fitted space constant, and the steady mean."""
    del protocol
    table, tissue = tables["table"], tables["tissue"]
    profile = tables["profile"].iloc[0]
    near, far = table.iloc[0], table.iloc[-1]
    share = tissue.mean_conc_uM.sum() / tissue.expected_conc_uM.sum()
    return [
        Section(
            "One release",
            "A line through the logarithm of the concentrations after the burst's first spike "
            f"gives a space constant of {say(profile.fitted_length_um, 'µm')}; "
            f"{say(profile.length_um, 'µm')} was set. All concentrations differ from the sum of "
            f"releases in closed form by at most {percent(profile.conc_deviation, 1)} of the "
            "highest. The kernel is cut off at 7 space constants, where 0.1 % of it is left.",
            "profile",
        ),
        Section(
            "A burst over distance and time",
            f"The cell {say(near.distance_um, 'µm', 3)} from the burst reaches a gain of "
            f"{number(near.peak_gain, 3)} after {say(near.peak_s, 's', 3)}, the one "
            f"{say(far.distance_um, 'µm', 3)} away {number(far.peak_gain, 3)}. Concentrations peak "
            "with the last spike everywhere, because the kernel spreads at once; gains peak "
            "later.",
            "table",
        ),
        Section(
            "Releases all over the tissue",
            "Means are taken from four time constants of clearance on until the neurons fall "
            "silent. At a steady rate the mean concentration tends to the product of amount, rate, "
            "tau_clear and the sum of the kernels. With these spikes, drawn at random, the cells' "
            f"means add up to {percent(share)} of that.",
            "tissue",
        ),
    ]
