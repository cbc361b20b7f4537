"""The page of `GainCurve`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, nA, umolar

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, ORANGE, RED, Family, label, legend, panels
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_curve.protocol import GainCurve


def plot(protocol: GainCurve, tables: Tables, recordings: Recordings) -> Figure:
    """Curves over the closed form, and gain against concentration."""
    del recordings
    figure, axes = panels([["curves", "gain"]], width=10.5, height=4)
    _plot_curves(axes["curves"], protocol, tables["table"])
    _plot_gains(axes["gain"], protocol, tables["gains"])
    return figure


def _plot_curves(axes: Any, protocol: GainCurve, table: pd.DataFrame) -> None:
    current = np.unique(table.current_nA)
    fine = np.linspace(current.min(), current.max(), 400)
    curves = [rows for _, rows in table.groupby("conc_uM")]
    exact = [protocol.neuron.rate(fine * nA, rows.gain.iloc[0]) / Hz for rows in curves]
    doses = Family(np.unique(table.conc_uM) * umolar, protocol.ligand)
    doses.draw(axes, fine, exact, lw=1)
    doses.draw(axes, current, [rows.rate_Hz for rows in curves], "o", ms=3.5)
    doses.explain(axes)
    label(
        axes,
        "a  Simulated (dots), closed form (lines)",
        "injected current (nA)",
        "firing rate (Hz)",
    )


def _plot_gains(axes: Any, protocol: GainCurve, gains: pd.DataFrame) -> None:
    positive = gains.conc_uM[gains.conc_uM > 0]
    least = positive.min() / 10 if len(positive) else 0.01
    fine = np.geomspace(least, max(gains.conc_uM.max(), least) * 3, 300)
    axes.plot(fine, protocol.steady_gain(fine), color=BLACK, lw=1, label="receptor, steady")
    # A logarithmic axis has no zero: control stands at its left end.
    shown = gains.conc_uM.clip(lower=least)
    axes.errorbar(
        shown,
        gains.fitted_gain,
        gains.fitted_gain_se,
        fmt="o",
        color=ORANGE,
        ms=5,
        label="fitted to the rates",
    )
    axes.plot(
        shown, gains.slope_ratio * gains.gain.iloc[0], "x", color=RED, ms=8, label="ratio of slopes"
    )
    label(
        axes,
        "b  Gain",
        f"{protocol.ligand} (µM; none at the left end)",
        "gain",
        log="x",
        ylim=(0, None),
    )
    legend(axes, below=True)


def report(protocol: GainCurve, tables: Tables) -> list[Section]:
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
