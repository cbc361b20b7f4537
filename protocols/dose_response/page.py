"""The page of `DoseResponse`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import umolar
from matplotlib.figure import Figure

from neuromod.analysis.dose_response import for_log_axis
from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.families.cells import about_outliers
from neuromod.protocols.families.measured import ROW, about_measured, draw_measured
from neuromod.support.figures import BLACK, ORANGE, RED, Family, label, legend, none_at_left, panels
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.dose_response.protocol import DoseResponse


def plot(protocol: DoseResponse, tables: Tables, recordings: Recordings) -> Figure:
    """Gain and rates over the closed forms, and the EC50 of each."""
    del recordings
    rows = [["gain", "rates", "ec50"], *([[*ROW, "."]] if "read" in tables else [])]
    figure, axes = panels(rows, width=14, height=4.2 * len(rows))
    shown = for_log_axis(protocol.conc / umolar)
    fine = np.geomspace(min(shown[protocol.conc > 0 * umolar]), shown[-1], 300)
    currents = Family(protocol.I, "current")
    _plot_gain(axes["gain"], protocol, tables, fine)
    curves = [rows for _, rows in tables["table"].groupby("current_nA")]
    if protocol.closed:
        exact = [protocol.steady_rate(fine, float(rows.current_nA.iloc[0])) for rows in curves]
        currents.draw(axes["rates"], fine, exact, lw=1)
    currents.draw(axes["rates"], shown, [rows.rate_Hz for rows in curves], "o", ms=3.5)
    currents.explain(axes["rates"])
    lines = "; closed form (lines)" if protocol.closed else ""
    x: Any = {"x": f"{protocol.ligand} (µM; none at the left end)", "log": "x"}
    label(axes["gain"], "a  Gain", y="gain", ylim=(0, None), **x)
    label(axes["rates"], f"b  Rate{lines}", y="firing rate (Hz)", ylim=(0, None), **x)
    for panel in ("gain", "rates") if (protocol.conc == 0 * umolar).any() else ():
        none_at_left(axes[panel], min(shown))
    _plot_ec50(axes["ec50"], protocol, tables, currents.colors)
    if "read" in tables:
        draw_measured(axes, tables, "d")
    return figure


def _plot_gain(axes: Any, protocol: DoseResponse, tables: Tables, fine: np.ndarray) -> None:
    doses, fit = tables["doses"], tables["gain_fit"].iloc[0]
    if protocol.gain_alone:
        axes.plot(fine, protocol.steady_gain(fine), color=BLACK, lw=1, label="receptor, steady")
    shown, recovered = for_log_axis(doses.conc_uM), "recovered from the rates"
    gain, error = doses.recovered_gain, doses.recovered_gain_se
    axes.errorbar(shown, gain, error, fmt="o", color=ORANGE, ms=4.5, label=recovered)
    hill = fine**fit.hill_slope / (fine**fit.hill_slope + fit.ec50_uM**fit.hill_slope)
    curve = fit.bottom_gain + (fit.top_gain - fit.bottom_gain) * hill
    if np.isfinite(fit.ec50_uM):
        axes.plot(fine, curve, "--", color=RED, lw=1, label="Hill fit")
    legend(axes, below=True)


def _plot_ec50(axes: Any, protocol: DoseResponse, tables: Tables, colors: list[str]) -> None:
    """EC50 of the rate at every current, and of the gain below them."""
    fits = pd.concat([tables["gain_fit"], tables["rate_fits"]], ignore_index=True)
    for at, (row, color) in enumerate(zip(fits.itertuples(), [ORANGE, *colors], strict=True)):
        # An interval that is open to the right has no bar there.
        right = 0 if np.isinf(row.ec50_high_uM) else row.ec50_high_uM - row.ec50_uM
        reach = [[row.ec50_uM - row.ec50_low_uM], [right]]
        axes.errorbar(row.ec50_uM, at, xerr=reach, fmt="o", color=color, ms=4.5)
    places = np.arange(len(fits))
    if "exact_ec50_uM" in fits:
        axes.plot(fits.exact_ec50_uM, places, "x", color=BLACK, ms=7, label="closed form")
    names = [f"rate at {current:.3g} nA" for current in tables["rate_fits"].current_nA]
    axes.set_yticks(places, ["gain", *names])
    axes.set_ylim(-0.5, len(fits) - 0.5)
    label(axes, "c  EC50: Hill fit, 95 % interval", f"EC50 of {protocol.ligand} (µM)")
    if "exact_ec50_uM" in fits:
        legend(axes, below=True)


def report(protocol: DoseResponse, tables: Tables) -> list[Section]:
    """Gains recovered, and what the fits are worth."""
    doses = tables["doses"]
    recovered = protocol.about_recovered(doses)
    if protocol.closed:
        off = (doses.recovered_gain / doses.gain - 1).abs().max()
        recovered = (
            "Inverting the closed form of the f-I curve recovers a gain from every cell's rate; "
            "the table has means over the currents at which cells fired. Their standard error "
            f"comes from rounding intervals to time steps of {say(protocol.dt)}. They differ from "
            f"the gain in the receptor's steady state by at most {percent(off, 2)}."
        )
    rates = (
        "The rate is not a linear function of the gain: its EC50 equals the receptor's only by "
        "chance, and depends on the current at which it is measured. Below rheobase a dose has no "
        "effect on the rate, and no Hill function follows such a curve. Intervals are 95 % "
        "profile-likelihood intervals, open where the doses leave an end open."
        f"{about_outliers(tables['rate_fits'], len(tables['table']))}"
    )
    return [
        Section("Gain recovered from the rates", recovered, "doses"),
        Section("Hill fit of the gain", _about(protocol, tables["gain_fit"].iloc[0]), "gain_fit"),
        Section("Rates", rates, "rate_fits"),
        *protocol.about_excitability(tables),
        Section("All cells", "Rates, gains and what else was measured.", "table"),
        *about_measured(tables),
    ]


def _about(protocol: DoseResponse, fit: pd.Series) -> str:
    if np.isnan(fit.ec50_uM):
        return "No Hill function could be fitted to the gain."
    misfit = say(fit.misfit_percent, "%", 2)
    ec50, slope = fit.get("exact_ec50_uM"), fit.get("exact_hill_slope")
    if ec50 is not None and np.isnan(ec50):
        return (
            f"In closed form the gain turns back as {protocol.ligand} rises, because receptors act "
            "against each other. It has no EC50, and the Hill function fitted to it, off by "
            f"{misfit} of its span, means nothing."
        )
    low, high = number(fit.ec50_low_uM, 3), say(fit.ec50_high_uM, "µM", 3)
    ends = f"{number(fit.hill_slope_low, 3)} to {number(fit.hill_slope_high, 3)}"
    exact = ""
    if ec50 is not None:
        exact = (
            f"By the receptor's equations half the greatest effect lies at {say(ec50, 'µM', 3)}, "
            f"where the slope is {number(slope, 3)}. "
        )
    return (
        f"A Hill function puts the EC50 at {say(fit.ec50_uM, 'µM', 3)} ({low} to {high}) and its "
        f"slope at {number(fit.hill_slope, 3)} ({ends}). {exact}"
        f"The fit is off by up to {misfit} of the effect."
        f"{about_outliers(pd.DataFrame([fit]), len(protocol.conc))}\n\n"
        "Binding followed by a Hill function of exponent n is itself a Hill function only for "
        "n = 1; else the curve is steeper below the EC50 than above, and no fit follows it closely."
    )
