"""The figure of `GainCurve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, nA, umolar

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, ORANGE, RED, Family, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_curve.protocol import GainCurve


def plot(
    protocol: GainCurve, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
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
    axes.set(
        xlabel="injected current (nA)",
        ylabel="firing rate (Hz)",
        title="a  Simulated (dots), closed form (lines)",
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
    axes.set(
        xscale="log",
        ylim=(0, None),
        xlabel=f"{protocol.ligand} (µM; none at the left end)",
        ylabel="gain",
        title="b  Gain",
    )
    legend(axes, below=True)
