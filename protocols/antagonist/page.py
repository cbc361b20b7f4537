"""The page of `Antagonist`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import molar, umolar
from matplotlib.figure import Figure

from neuromod.analysis.dose_response import for_log_axis
from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.families.cells import about_outliers
from neuromod.protocols.families.measured import ROW, about_measured, draw_measured
from neuromod.support.figures import BLACK, ORANGE, Family, label, legend, none_at_left, panels
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.antagonist.protocol import Antagonist


def plot(protocol: Antagonist, tables: Tables, recordings: Recordings) -> Figure:
    """Curves with their common fit, and the Schild plot."""
    del recordings
    layout = [["curves", "schild"], *([ROW] if "read" in tables else [])]
    figure, axes = panels(layout, width=11.5, height=4.5 * len(layout))
    baths = tables["curves"].antagonist_uM.to_numpy() * umolar
    antagonist = Family(baths, protocol.receptor.antagonist)
    _plot_curves(axes["curves"], protocol, tables, antagonist)
    _plot_schild(axes["schild"], protocol, tables, antagonist)
    if "read" in tables:
        draw_measured(axes, tables, "c")
    return figure


def _plot_curves(axes: Any, protocol: Antagonist, tables: Tables, antagonist: Family) -> None:
    shown = for_log_axis(protocol.conc / umolar)
    fine = np.geomspace(min(shown[protocol.conc > 0 * umolar]), shown[-1], 300)
    fits = [
        row.bottom_Hz + (row.top_Hz - row.bottom_Hz) / (1 + (row.ec50_uM / fine) ** row.hill_slope)
        for row in tables["curves"].itertuples()
    ]
    rates = [rows.rate_Hz for _, rows in tables["responses"].groupby("antagonist_uM")]
    antagonist.draw(axes, fine, fits, lw=1)
    antagonist.draw(axes, shown, rates, "o", ms=3.5)
    antagonist.explain(axes)
    title = "a  Simulated (dots), parallel Hill fits (lines)"
    x = f"{protocol.ligand} (µM; none at the left end)"
    label(axes, title, x, "mean firing rate (Hz)", log="x", ylim=(0, None))
    if (protocol.conc == 0 * umolar).any():
        none_at_left(axes, min(shown))


def _plot_schild(axes: Any, protocol: Antagonist, tables: Tables, antagonist: Family) -> None:
    curves, found = tables["curves"].iloc[1:], tables["schild"].iloc[0]
    x = np.log10(np.asarray(protocol.antagonist / molar))
    shifts = curves[["dose_ratio", "dose_ratio_low", "dose_ratio_high"]] - 1
    # A dose ratio that may be 1 has no lower end on this scale.
    y, low, high = np.log10(shifts.clip(lower=1e-3)).to_numpy().T
    ends = np.array([min(x.min(), -found.exact_pA2) - 0.2, x.max() + 0.2])
    axes.axhline(0, color=BLACK, lw=0.8, ls=":")
    axes.plot(ends, ends + found.exact_pA2, color=BLACK, lw=1, label="closed form, slope 1")
    regression, name = found.slope * (ends + found.pA2), f"regression, slope {found.slope:.3f}"
    axes.plot(ends, regression, "--", color=ORANGE, label=name)
    colors = antagonist.colors[1:]
    axes.errorbar(x, y, [y - low, high - y], fmt="none", ecolor=colors)
    axes.scatter(x, y, color=colors, s=22, zorder=3)
    title, dose = f"b  Schild plot: pA2 = {found.pA2:.2f}", f"log10 of {antagonist.title} (mol/l)"
    label(axes, title, dose, "log10(dose ratio − 1), 95 % interval")
    legend(axes, below=True)


def report(protocol: Antagonist, tables: Tables) -> list[Section]:
    """Dose ratios and regression against the receptor's K_B."""
    curves, found = tables["curves"], tables["schild"].iloc[0]
    worst = (curves.dose_ratio / curves.exact_dose_ratio - 1).abs().max()
    ratios = (
        "Hill functions with common ends and a common slope are fitted to all curves at once; the "
        "dose ratio is the EC50 of a curve over that without antagonist. Dose ratios differ from "
        f"1 + [B]/K_B by at most {percent(worst, 2)}. Intervals are 95 % profile-likelihood "
        "intervals; they count what no Hill function can follow as noise, and so are rather too "
        "wide. The EC50 is the rate's, not the receptor's."
        f"{about_outliers(curves, len(tables['responses']))}"
    )
    regression = (
        f"The slope is {found.slope:.3f} ({found.slope_low:.3f} to {found.slope_high:.3f}); "
        f"simple competition gives 1. pA2 is {found.pA2:.3f} ({found.pA2_low:.3f} to "
        f"{found.pA2_high:.3f}); the receptor's K_B of {say(protocol.k_b, digits=3)} gives "
        f"{found.exact_pA2:.3f}. pA2 is -log10 of the antagonist's concentration in mol/l that "
        "calls for twice the agonist. The regression weights dose ratios by their errors, and "
        "allows for the error that all share: that of the curve without antagonist."
    )
    sections = [
        Section("Dose ratios", ratios, "curves"),
        Section("Schild regression", regression, "schild"),
        Section("Responses", "Mean rates of the cells in every bath.", "responses"),
    ]
    # Runs of version 0.1 have no global fit.
    if "global_fit" in tables:
        joint = _about_global(protocol, tables)
        sections.insert(2, Section("Gaddum and Schild's global fit", joint, "global_fit"))
    return [*sections, *about_measured(tables)]


def _about_global(protocol: Antagonist, tables: Tables) -> str:
    """Schild slope and K_B of the one fit to all curves."""
    free, simple = tables["global_fit"].iloc[0], tables["global_fit"].iloc[1]
    k_b, high, low = (
        number(10**-pA2 * molar / umolar, 3)
        for pA2 in (simple.pA2, simple.pA2_low, simple.pA2_high)
    )
    points = len(tables["responses"])
    return (
        "Hill functions with common ends and slope, the EC50 of each that without antagonist times "
        "1 + ([B]/K_B)^S, are fitted to all responses at once. Unlike the regression this takes no "
        "logarithm of fitted numbers. The first row has any Schild slope S: it is "
        f"{free.slope:.3f} ({free.slope_low:.3f} to {free.slope_high:.3f}). The second has S = 1, "
        f"simple competition: pA2 is {simple.pA2:.3f} ({simple.pA2_low:.3f} to "
        f"{simple.pA2_high:.3f}), a K_B of {k_b} µM ({low} to {high}); the receptor's is "
        f"{say(protocol.k_b, umolar, 3)}. Intervals are 95 % profile-likelihood intervals."
        f"{about_outliers(tables['global_fit'][1:], points)}"
    )
