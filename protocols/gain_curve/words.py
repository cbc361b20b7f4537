"""The report of `GainCurve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from neuromod.protocols.gain_curve.protocol import GainCurve


def report(protocol: GainCurve, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """How well simulation and closed form agree, and the gains recovered."""
    table, gains = tables["table"], tables["gains"]
    off = (table.rate_Hz - table.closed_form_Hz).abs().max()
    recovered = gains.dropna(subset="fitted_gain")
    worst = (recovered.fitted_gain / recovered.gain - 1).abs().max()
    return [
        Section(
            "Gain recovered from the curves",
            "The receptor's steady state predicts a gain. A second one is fitted to the simulated "
            "rates with the closed form, with a standard error that comes from rounding intervals "
            "to time steps. The third, the ratio of slopes at equal rates, assumes no model. The "
            f"fitted gain is off by at most {percent(worst, 2)}.",
            "gains",
        ),
        Section(
            "Rates",
            f"Simulated rates differ from the closed form by at most {say(off, 'Hz', 3)}, because "
            f"every interval is a whole number of time steps of {say(protocol.dt)}.",
            "table",
        ),
    ]
