"""The page of `GainCurve`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import nA, umolar
from matplotlib.figure import Figure

from neuromod.analysis.rates import closed_form_rates
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, ORANGE, RED, Family, label, legend, none_at_left, panels
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from neuromod.protocols.gain_curve.protocol import GainCurve


def plot(protocol: GainCurve, tables: Tables, recordings: Recordings) -> Figure:
    """Curves over the closed form, and gain against concentration."""
    del recordings
    figure, axes = panels([["curves", "gain"]], width=10.5, height=4)
    table, gains = tables["table"], tables["gains"]
    current = np.unique(table.current_nA)
    fine = np.linspace(current.min(), current.max(), 400)
    curves = [rows for _, rows in table.groupby("conc_uM")]
    doses = Family(np.unique(table.conc_uM) * umolar, protocol.ligand)
    title = "a  f-I curves, simulated"
    if protocol.closed:
        exact = [closed_form_rates(protocol.neuron, fine * nA, r.gain.iloc[0]) for r in curves]
        doses.draw(axes["curves"], fine, exact, lw=1)
        title = "a  Simulated (dots), closed form (lines)"
    doses.draw(axes["curves"], current, [rows.rate_Hz for rows in curves], "o", ms=3.5)
    doses.explain(axes["curves"])
    label(axes["curves"], title, "injected current (nA)", "firing rate (Hz)")
    _plot_gains(axes["gain"], protocol, gains)
    return figure


def _plot_gains(axes: Any, protocol: GainCurve, gains: pd.DataFrame) -> None:
    # A logarithmic axis has no zero: control stands at its left end.
    least = min(gains.conc_uM[gains.conc_uM > 0], default=0.1) / 10
    shown = gains.conc_uM.clip(lower=least)
    fine = np.geomspace(least, shown.max() * 3, 300)
    if protocol.gain_alone:
        axes.plot(fine, protocol.steady_gain(fine), color=BLACK, lw=1, label="receptor, steady")
    how = ("fitted", "fitted to the rates") if protocol.closed else ("recovered", "from the rates")
    found, error = gains[f"{how[0]}_gain"], gains[f"{how[0]}_gain_se"]
    axes.errorbar(shown, found, error, fmt="o", color=ORANGE, ms=5, label=how[1])
    slopes = gains.slope_ratio * (gains.gain.iloc[0] if protocol.neuron.has_gain else 1)
    axes.plot(shown, slopes, "x", color=RED, ms=8, label="ratio of slopes")
    x = f"{protocol.ligand} (µM; none at the left end)"
    label(axes, "b  Gain", x, "gain", log="x", ylim=(0, None))
    if (gains.conc_uM == 0).any():
        none_at_left(axes, least)
    legend(axes, below=True)


def report(protocol: GainCurve, tables: Tables) -> list[Section]:
    """How well simulation and closed form agree, and the gains recovered."""
    table, gains = tables["table"], tables["gains"]
    if not protocol.closed:
        about = (
            f"{protocol.about_recovered(gains)} The ratio of slopes compares curves at equal rates."
        )
        return [
            Section("Gain recovered from the curves", about, "gains"),
            *protocol.about_excitability(tables),
            Section("Rates", "Every cell.", "table"),
        ]
    off = (table.rate_Hz - table.closed_form_Hz).abs().max()
    recovered = gains.dropna(subset="fitted_gain")
    worst = (recovered.fitted_gain / recovered.gain - 1).abs().max()
    gain = (
        "The receptor's steady state predicts a gain. A second is fitted to the simulated rates "
        "with the closed form; its error comes from rounding intervals to time steps. The third, "
        "the ratio of slopes at equal rates, assumes no model. The fitted gain is off by at most "
        f"{percent(worst, 2)}."
    )
    rates = (
        f"Simulated rates differ from the closed form by at most {say(off, 'Hz', 3)}, because "
        f"every interval is a whole number of time steps of {say(protocol.dt)}."
    )
    return [
        Section("Gain recovered from the curves", gain, "gains"),
        Section("Rates", rates, "table"),
    ]
