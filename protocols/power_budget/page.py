"""The page of `PowerBudget`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2.units.allunits import Mhertz, pjoule
from matplotlib.figure import Figure

from neuromod.chip.conversion import IDLE, LEAST_ENERGY, MAX_RATE
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    YELLOW,
    label,
    legend,
    panels,
)
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.power_budget.protocol import PowerBudget

# From the bottom of a bar to its top.
COLORS = {
    "spike generator": ORANGE,
    "comparator": BLUE,
    "leakage": SKY,
    "reset": PURPLE,
    "synapses": GREEN,
    IDLE: YELLOW,
}
NAMED_FROM = 4
"""Percent of a bar from which a share is written on it."""
KNOWN = float(MAX_RATE / Mhertz), float(LEAST_ENERGY / pjoule)
CALIBRATED_TO = f"calibrated here to {say(LEAST_ENERGY)}\nat {say(MAX_RATE)}"


def plot(protocol: PowerBudget, tables: Tables, recordings: Recordings) -> Figure:
    """Shares at the rates shown, and power and energy per spike against the rate."""
    del protocol, recordings
    figure, axes = panels([["shares", "energy"], ["shares", "power"]], width=10)
    _plot_shares(axes["shares"], tables["budget"])
    table = tables["table"].sort_values("rate_MHz")
    drawn = [entry for entry in COLORS if entry in set(tables["budget"].entry)]
    powers = [table[f"{entry.replace(' ', '_')}_nW"] for entry in drawn]
    per_spike = [1e-3 * power / table.rate_MHz for power in powers]
    axes["energy"].stackplot(table.rate_MHz, per_spike, colors=[COLORS[entry] for entry in drawn])
    axes["energy"].plot(*KNOWN, "D", color=BLACK, ms=5)
    look = {"textcoords": "offset points", "ha": "right", "fontsize": 8}
    axes["energy"].annotate(CALIBRATED_TO, KNOWN, (0, 9), **look)
    for power, entry in zip(powers, drawn, strict=True):
        axes["power"].plot(table.rate_MHz, power, color=COLORS[entry])
    rate, energy = "output rate (MHz)", "energy per spike (pJ)"
    label(axes["energy"], "b  Energy per spike", rate, energy, log="x", ylim=(0, None))
    label(axes["power"], "c  Power by entry", rate, "power (nW)", log="xy")
    for axis in (axes["energy"].xaxis, axes["power"].xaxis, axes["power"].yaxis):
        axis.set_major_formatter("{x:g}")
    return figure


def _plot_shares(axes: Any, budget: pd.DataFrame) -> None:
    """A bar for each rate, the core's entries below the synapses."""
    totals = budget.groupby("rate_MHz", sort=False).power_nW.sum()
    names = [f"{say(rate, 'MHz', 3)}\n{say(total, 'nW')}" for rate, total in totals.items()]
    places, bottom = np.arange(len(names)), np.zeros(len(names))
    for entry, color in COLORS.items():
        share = budget.percent[budget.entry == entry].to_numpy()
        if not len(share):
            continue
        look = {"color": color, "edgecolor": "white", "lw": 0.5}
        bars = axes.bar(places, share, 0.55, bottom, label=entry, **look)
        texts = [f"{percent:.1f} %" if percent > NAMED_FROM else "" for percent in share]
        on = "white" if color == BLUE else BLACK
        axes.bar_label(bars, texts, label_type="center", color=on, fontsize=8)
        bottom += share
    axes.set_xticks(places, names)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(0, 100))
    label(axes, "a  Core and synapses", "output rate and total power", "share of power (%)")
    legend(axes)


def report(protocol: PowerBudget, tables: Tables) -> list[Section]:
    """Where the power goes, at which rates."""
    del protocol
    said = [_say_budget(*group) for group in tables["budget"].groupby("rate_MHz", sort=False)]
    return [
        Section(
            "Where the power goes",
            f"{' '.join(said)} The paper's own shares are in a picture (figure 7) whose numbers "
            "are not at hand, so there is nothing here to compare them with. The "
            f"core's entries are calibrated here to add up to {say(LEAST_ENERGY)}, the paper's "
            f"least energy, at {say(MAX_RATE)}, its highest rate; that one belongs to the other is "
            "chosen here. The source of each entry stands beside it.",
            "budget",
        ),
        Section("Energy per spike", _say_energy(tables["table"]), "table"),
    ]


def _say_budget(rate: float, entries: pd.DataFrame) -> str:
    core = entries[entries.supply == "core"].sort_values("power_nW", ascending=False)
    shares = (f"{row.entry} {say(row.core_percent, '%', 3)}" for row in core.itertuples())
    total = say(core.power_nW.sum(), "nW")
    return f"At {say(rate, 'MHz', 3)} the core takes {total}: {', '.join(shares)}."


def _say_energy(table: pd.DataFrame) -> str:
    low, high = table.loc[table.rate_MHz.idxmin()], table.loc[table.rate_MHz.idxmax()]
    at_low, at_high = (
        f"{say(row.energy_per_spike_pJ, 'pJ', 3)} at {say(row.rate_MHz * Mhertz, digits=3)}"
        for row in (low, high)
    )
    said = (
        f"A spike takes {at_low} and {at_high}, because more spikes share the leakage. Of the "
        f"latter the synapses take {say(1e3 * high.energy_synapse_pJ, 'fJ', 3)}, from their own "
        "supply."
    )
    before, after = (say(row.decisions_per_spike, digits=3) for row in (low, high))
    if high.decisions_per_spike < low.decisions_per_spike - 0.5:
        said += (
            " At the highest rate a pulse begins while the spike before it lasts. The end of that "
            "spike then no longer clocks the comparator, whose decisions per spike fall from "
            f"{before} to {after}."
        )
    return said
