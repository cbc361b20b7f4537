"""The figure of `DoseResponse`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import umolar

from neuromod.analysis.dose_response import for_log_axis
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, ORANGE, RED, Family, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.dose_response.protocol import DoseResponse


def plot(
    protocol: DoseResponse, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Gain and rates over the closed forms, and the EC50 of each."""
    del recordings
    figure, axes = panels([["gain", "rates", "ec50"]], width=14, height=4.2)
    shown = for_log_axis(protocol.conc / umolar)
    fine = np.geomspace(protocol.conc[protocol.conc > 0 * umolar][0] / umolar, shown.max(), 300)
    currents = Family(protocol.I, "current")
    _plot_gain(axes["gain"], protocol, tables, fine)
    curves = [rows for _, rows in tables["table"].groupby("current_nA")]
    exact = [protocol.steady_rate(fine, float(rows.current_nA.iloc[0])) for rows in curves]
    currents.draw(axes["rates"], fine, exact, lw=1)
    currents.draw(axes["rates"], shown, [rows.rate_Hz for rows in curves], "o", ms=3.5)
    currents.explain(axes["rates"])
    title = "b  Rate; closed form (lines)" if protocol.closed else "b  Rate"
    axes["rates"].set(ylabel="firing rate (Hz)", title=title)
    for name in ("gain", "rates"):
        axes[name].set(
            xscale="log", ylim=(0, None), xlabel=f"{protocol.ligand} (µM; none at the left end)"
        )
    _plot_ec50(axes["ec50"], protocol, tables, currents.colors)
    return figure


def _plot_gain(
    axes: Any, protocol: DoseResponse, tables: dict[str, pd.DataFrame], fine: np.ndarray
) -> None:
    doses, fit = tables["doses"], tables["gain_fit"].iloc[0]
    axes.plot(fine, protocol.steady_gain(fine), color=BLACK, lw=1, label="receptor, steady")
    axes.set(ylabel="gain", title="a  Gain")
    if protocol.closed:
        axes.errorbar(
            for_log_axis(doses.conc_uM),
            doses.recovered_gain,
            doses.recovered_gain_se,
            fmt="o",
            color=ORANGE,
            ms=4.5,
            label="recovered from the rates",
        )
        hill = fine**fit.hill_slope / (fine**fit.hill_slope + fit.ec50_uM**fit.hill_slope)
        curve = fit.bottom_gain + (fit.top_gain - fit.bottom_gain) * hill
        axes.plot(fine, curve, "--", color=RED, lw=1, label="Hill fit")
    legend(axes, below=True)


def _plot_ec50(
    axes: Any, protocol: DoseResponse, tables: dict[str, pd.DataFrame], colors: list[str]
) -> None:
    """EC50 of the rate at every current, and of the gain below them."""
    gain, rates = tables["gain_fit"], tables["rate_fits"]
    fits = pd.concat([gain, rates], ignore_index=True)
    for at, (row, color) in enumerate(zip(fits.itertuples(), [ORANGE, *colors], strict=True)):
        # An interval that is open to the right has no bar there.
        right = 0 if np.isinf(row.ec50_high_uM) else row.ec50_high_uM - row.ec50_uM
        reach = [[row.ec50_uM - row.ec50_low_uM], [right]]
        axes.errorbar(row.ec50_uM, at, xerr=reach, fmt="o", color=color, ms=4.5)
    axes.plot(fits.exact_ec50_uM, np.arange(len(fits)), "x", color=BLACK, ms=7, label="closed form")
    names = ["gain", *(f"rate at {current:.3g} nA" for current in rates.current_nA)]
    axes.set_yticks(np.arange(len(fits)), names)
    axes.set(
        xlabel=f"EC50 of {protocol.ligand} (µM)",
        ylim=(-0.5, len(fits) - 0.5),
        title="c  EC50: Hill fit, 95 % interval",
    )
    legend(axes, below=True)
