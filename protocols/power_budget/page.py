"""The page of `PowerBudget`: its figure and its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from brian2.units.allunits import Mhertz, pjoule

from neuromod.chip.conversion import ENERGY_AT_MAX_RATE, MAX_RATE
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, label, legend, panels
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


def plot(protocol: PowerBudget, tables: Tables, recordings: Recordings) -> Figure:
    """Shares at the rates shown, and power and energy per spike against the rate."""
    del protocol, recordings
    figure, axes = panels([["shares", "energy"], ["shares", "power"]], width=10)
    table = tables["table"].sort_values("rate_MHz")
    powers = {entry: table[f"{entry.replace(' ', '_')}_nW"] for entry in COLORS}
    _plot_shares(axes["shares"], tables["budget"])
    _plot_energy(axes["energy"], table.rate_MHz, powers)
    for entry, power in powers.items():
        axes["power"].plot(table.rate_MHz, power, color=COLORS[entry])
    label(axes["power"], "c  Power by entry", "output rate (MHz)", "power (nW)", log="xy")
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
    label(
        axes,
        "a  Core and synapses",
        "output rate and total power",
        "share of power (%)",
        xlim=(-0.5, len(names) - 0.5),
        ylim=(0, 100),
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
    label(
        axes,
        "b  Energy per spike",
        "output rate (MHz)",
        "energy per spike (pJ)",
        log="x",
        ylim=(0, None),
    )


def report(protocol: PowerBudget, tables: Tables) -> list[Section]:
    """Where the power goes, at which rates."""
    del protocol
    table, budget = tables["table"], tables["budget"]
    return [
        Section(
            "Where the power goes",
            " ".join(_say_budget(*group) for group in budget.groupby("rate_MHz", sort=False))
            + " The paper's own shares are in a picture (figure 7) whose numbers are not at hand, "
            "so there is nothing here to compare them with. Of the core's numbers only the total "
            f"of {say(ENERGY_AT_MAX_RATE)} at {say(MAX_RATE)} is the paper's; the source of each "
            "entry stands beside it.",
            "budget",
        ),
        Section("Energy per spike", _say_energy(table), "table"),
    ]


def _say_budget(rate: float, entries: pd.DataFrame) -> str:
    core = entries[entries.supply == "core"].sort_values("power_nW", ascending=False)
    shares = (f"{row.entry} {say(row.core_percent, '%', 3)}" for row in core.itertuples())
    total = say(core.power_nW.sum(), "nW")
    return f"At {say(rate, 'MHz', 3)} the core takes {total}: {', '.join(shares)}."


def _say_energy(table: pd.DataFrame) -> str:
    low, high = table.loc[table.rate_MHz.idxmin()], table.loc[table.rate_MHz.idxmax()]
    said = (
        f"A spike takes {say(low.energy_per_spike_pJ, 'pJ', 3)} at "
        f"{say(low.rate_MHz * Mhertz, digits=3)} and {say(high.energy_per_spike_pJ, 'pJ', 3)} at "
        f"{say(high.rate_MHz * Mhertz, digits=3)}, because more spikes share the leakage. Of the "
        f"latter the synapses take {say(1e3 * high.energy_synapse_pJ, 'fJ', 3)}, from their own "
        "supply."
    )
    if high.decisions_per_spike < low.decisions_per_spike - 0.5:
        said += (
            " At the highest rate a pulse begins while the spike before it lasts. The end of that "
            "spike then no longer clocks the comparator, whose decisions per spike fall from "
            f"{say(low.decisions_per_spike, digits=3)} to "
            f"{say(high.decisions_per_spike, digits=3)}."
        )
    return said
