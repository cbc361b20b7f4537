"""The figure of `Antagonist`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import molar, umolar

from neuromod.analysis.dose_response import for_log_axis
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, ORANGE, Family, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.antagonist.protocol import Antagonist


def plot(
    protocol: Antagonist, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Curves with their common fit, and the Schild plot."""
    del recordings
    figure, axes = panels([["curves", "schild"]], width=11.5, height=4.5)
    antagonist = Family(tables["curves"].antagonist_uM.to_numpy() * umolar, _name(protocol))
    _plot_curves(axes["curves"], protocol, tables, antagonist)
    _plot_schild(axes["schild"], protocol, tables, antagonist.colors[1:])
    return figure


def _name(protocol: Antagonist) -> str:
    return protocol.receptor.antagonist


def _plot_curves(
    axes: Any, protocol: Antagonist, tables: dict[str, pd.DataFrame], antagonist: Family
) -> None:
    shown = for_log_axis(protocol.conc / umolar)
    fine = np.geomspace(protocol.conc[protocol.conc > 0 * umolar][0] / umolar, shown.max(), 300)
    fits = [
        row.bottom_Hz + (row.top_Hz - row.bottom_Hz) / (1 + (row.ec50_uM / fine) ** row.hill_slope)
        for row in tables["curves"].itertuples()
    ]
    rates = [rows.rate_Hz for _, rows in tables["responses"].groupby("antagonist_uM")]
    antagonist.draw(axes, fine, fits, lw=1)
    antagonist.draw(axes, shown, rates, "o", ms=3.5)
    antagonist.explain(axes)
    axes.set(
        xscale="log",
        ylim=(0, None),
        ylabel="mean firing rate (Hz)",
        xlabel=f"{protocol.ligand} (µM; none at the left end)",
        title="a  Simulated (dots), parallel Hill fits (lines)",
    )


def _plot_schild(
    axes: Any, protocol: Antagonist, tables: dict[str, pd.DataFrame], colors: list[str]
) -> None:
    curves, found = tables["curves"].iloc[1:], tables["schild"].iloc[0]
    x = np.log10(np.asarray(protocol.antagonist / molar))
    shifts = curves[["dose_ratio", "dose_ratio_low", "dose_ratio_high"]] - 1
    # A dose ratio that may be 1 has no lower end on this scale.
    y, low, high = np.log10(shifts.clip(lower=1e-3)).to_numpy().T
    ends = np.array([min(x.min(), -found.exact_pA2) - 0.2, x.max() + 0.2])
    axes.axhline(0, color=BLACK, lw=0.8, ls=":")
    axes.plot(ends, ends + found.exact_pA2, color=BLACK, lw=1, label="closed form, slope 1")
    axes.plot(
        ends,
        found.slope * (ends + found.pA2),
        "--",
        color=ORANGE,
        label=f"regression, slope {found.slope:.3f}",
    )
    axes.errorbar(x, y, [y - low, high - y], fmt="none", ecolor=colors)
    axes.scatter(x, y, color=colors, s=22, zorder=3)
    axes.set(
        xlabel=f"log10 of {_name(protocol)} (mol/l)",
        ylabel="log10(dose ratio − 1), 95 % interval",
        title=f"b  Schild plot: pA2 = {found.pA2:.2f}",
    )
    legend(axes, below=True)
