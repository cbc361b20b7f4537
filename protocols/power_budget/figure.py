"""The figure of `PowerBudget`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from brian2.units.allunits import Mhertz, pjoule

from neuromod.chip.conversion import ENERGY_AT_MAX_RATE, MAX_RATE
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, legend, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.power_budget.protocol import PowerBudget

# From the bottom of a bar to its top.
COLORS = {
    "spike generator": ORANGE,
    "comparator": BLUE,
    "leakage": SKY,
    "reset": PURPLE,
    "synapses": GREEN,
}
NAMED_FROM = 4
"""Percent of a bar from which a share is written on it."""
CENTRED = {"ha": "center", "va": "center", "fontsize": 8}


def plot(
    protocol: PowerBudget, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Shares at the rates shown, and power and energy per spike against the rate."""
    del protocol, recordings
    figure, axes = panels([["shares", "energy"], ["shares", "power"]], width=10)
    table = tables["table"].sort_values("rate_MHz")
    powers = {entry: table[f"{entry.replace(' ', '_')}_nW"] for entry in COLORS}
    _plot_shares(axes["shares"], tables["budget"])
    _plot_energy(axes["energy"], table.rate_MHz, powers)
    for entry, power in powers.items():
        axes["power"].plot(table.rate_MHz, power, color=COLORS[entry])
    axes["power"].set(
        xscale="log",
        yscale="log",
        xlabel="output rate (MHz)",
        ylabel="power (nW)",
        title="c  Power by entry",
    )
    axes["power"].yaxis.set_major_formatter("{x:g}")
    for name in ("energy", "power"):
        axes[name].xaxis.set_major_formatter("{x:g}")
    return figure


def _plot_shares(axes: Any, budget: pd.DataFrame) -> None:
    """A bar for each rate, the core's entries below the synapses."""
    names = []
    for place, (rate, entries) in enumerate(budget.groupby("rate_MHz", sort=False)):
        by, bottom = entries.set_index("entry"), 0.0
        for entry, color in COLORS.items():
            share = by.percent[entry]
            look = {"color": color, "edgecolor": "white", "lw": 0.5}
            axes.bar(place, share, 0.55, bottom, label=None if place else entry, **look)
            if share > NAMED_FROM:
                on = "white" if color == BLUE else BLACK
                axes.text(place, bottom + share / 2, f"{share:.1f} %", color=on, **CENTRED)
            bottom += share
        names.append(f"{say(rate, 'MHz', 3)}\n{say(by.power_nW.sum(), 'nW')}")
    axes.set_xticks(range(len(names)), names)
    axes.set(
        xlim=(-0.5, len(names) - 0.5),
        ylim=(0, 100),
        xlabel="output rate and total power",
        ylabel="share of power (%)",
        title="a  Core and synapses",
    )
    legend(axes)


def _plot_energy(axes: Any, rates: pd.Series, powers: Mapping[str, pd.Series]) -> None:
    """Energy per spike, entry upon entry, with the paper's one number."""
    per_spike = [1e-3 * power / rates for power in powers.values()]
    axes.stackplot(rates, per_spike, colors=[COLORS[entry] for entry in powers])
    known = float(MAX_RATE / Mhertz), float(ENERGY_AT_MAX_RATE / pjoule)
    axes.plot(*known, "D", color=BLACK, ms=5)
    name = f"paper, {say(ENERGY_AT_MAX_RATE)} at {say(MAX_RATE)}"
    axes.annotate(name, known, (0, 9), textcoords="offset points", ha="right", fontsize=8)
    axes.set(
        xscale="log",
        xlabel="output rate (MHz)",
        ylabel="energy per spike (pJ)",
        ylim=(0, None),
        title="b  Energy per spike",
    )
