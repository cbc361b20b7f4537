"""The report of `DoseResponse`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from neuromod.protocols.dose_response.protocol import DoseResponse


def report(protocol: DoseResponse, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Gains recovered, and what the fits are worth."""
    return [
        _report_gain(protocol, tables["doses"]),
        Section("Hill fit of the gain", _about(protocol, tables["gain_fit"].iloc[0]), "gain_fit"),
        Section(
            "Rates",
            "The rate is not a linear function of the gain: its EC50 equals the receptor's only "
            "by chance, and depends on the current at which it is measured. Below rheobase a dose "
            "has no effect on the rate, and no Hill function follows such a curve. Intervals are "
            "95 % Student's t intervals from the covariance of the fit.",
            "rate_fits",
        ),
        Section("All cells", "Rates as simulated and in closed form, and gains.", "table"),
    ]


def _report_gain(protocol: DoseResponse, doses: pd.DataFrame) -> Section:
    off = (doses.recovered_gain / doses.gain - 1).abs().max()
    text = (
        "The receptor's steady state predicts the gain. Inverting the closed form of the f-I curve "
        "recovers a gain from every cell's rate. Recovered gains are means over the currents at "
        "which cells fired; the standard error comes from rounding intervals to time steps of "
        f"{say(protocol.dt)}. They are off by at most {percent(off, 2)}."
        if protocol.closed
        else "With an after-spike current or a K+ conductance the rate has no closed form here: "
        "its columns are empty, and no gain can be recovered. The rates themselves are fitted "
        "below."
    )
    return Section("Gain recovered from the rates", text, "doses")


def _about(protocol: DoseResponse, fit: pd.Series) -> str:
    if np.isnan(fit.ec50_uM):
        return "No Hill function could be fitted to the gain."
    misfit = say(fit.misfit_percent, "%", 2)
    if np.isnan(fit.exact_ec50_uM):
        return (
            f"In closed form the gain turns back as {protocol.ligand} rises, because receptors act "
            "against each other. It has no EC50, and the Hill function fitted to it, off by "
            f"{misfit} of its span, means nothing."
        )
    low, high = say(fit.ec50_low_uM, digits=3), say(fit.ec50_high_uM, "µM", 3)
    return (
        f"A Hill function puts the EC50 at {say(fit.ec50_uM, 'µM', 3)} ({low} to {high}) and its "
        f"slope at {say(fit.hill_slope, digits=3)} ({say(fit.hill_slope_low, digits=3)} to "
        f"{say(fit.hill_slope_high, digits=3)}). By the receptor's equations half the greatest "
        f"effect lies at {say(fit.exact_ec50_uM, 'µM', 3)}, where the slope is "
        f"{say(fit.exact_hill_slope, digits=3)}. The fit is off by up to {misfit} of the "
        "effect.\n\n"
        "Binding followed by a Hill function of exponent n is itself a Hill function of "
        "concentration only for n = 1. Otherwise the curve is steeper below the EC50 than above, "
        "and no fit can follow it closely."
    )
