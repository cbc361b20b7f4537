"""The figure of `NeuronTable`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import nsecond, volt
from brian2.units.allunits import Mhertz

from neuromod.chip.conversion import MAX_RATE, VDD_REFERENCE
from neuromod.protocols.neuron_table.published import ALL, FEWEST, PAPER_RATE, PUBLISHED
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, ORANGE, Family, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.neuron_table.protocol import NeuronTable

OPEN = {"fillstyle": "none", "ms": 4, "lw": 0.8}
LOOKS: dict[str, dict[str, Any]] = {
    FEWEST: {"marker": "o", "ls": "-"},
    ALL: {"marker": "s", "ls": ":"},
    PAPER_RATE: {"marker": "^", "ls": ""},
}
BESIDE: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}


def plot(
    protocol: NeuronTable, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Energy against highest rate, output against input, width and highest rate against bias."""
    del recordings
    figure, axes = panels(
        [["designs", "sweep", "sweep"], ["designs", "width", "rate"]], width=12, height=6.5
    )
    supplies = Family(protocol.vdd, "supply")
    _plot_designs(axes["designs"], tables["table"])
    _plot_sweep(axes["sweep"], protocol.at_own_width(tables["sweep"]), supplies)
    _plot_bias(protocol, axes["width"], axes["rate"], protocol.biases(tables["rates"]))
    return figure


def _plot_designs(axes: Any, table: pd.DataFrame) -> None:
    published = table[: len(PUBLISHED)]
    axes.plot(published.max_rate_MHz, published.energy_per_spike_pJ, "D", color=BLACK, ms=5)
    for row in published.itertuples():
        at = row.max_rate_MHz, row.energy_per_spike_pJ
        if row.max_rate_MHz > 0.1:
            axes.annotate(row.design, at, (0, 8), ha="right", **BESIDE)
        else:
            axes.annotate(row.design, at, (7, 0), **BESIDE)
    for drive, look in LOOKS.items():
        own = table[table.design.str.endswith(drive)]
        look = {**look, **OPEN, "ls": "", "color": ORANGE}
        axes.plot(own.max_rate_MHz, own.energy_per_spike_pJ, **look)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="highest spike rate (MHz)",
        ylabel="energy per spike (pJ)",
        ylim=(0.2, 200),
        title="a  Table 9 and (orange) this model",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")


def _plot_sweep(axes: Any, sweep: pd.DataFrame, supplies: Family) -> None:
    for drive in (FEWEST, ALL):
        for vdd, color in zip(supplies.values / volt, supplies.colors, strict=True):
            rows = sweep[(sweep.drive == drive) & (sweep.vdd_V == vdd)]
            axes.plot(rows.asked_MHz, rows.rate_MHz, color=color, **LOOKS[drive], **OPEN)
    axes.axhline(float(MAX_RATE / Mhertz), color=BLACK, lw=0.8, ls="--")
    axes.set(
        xlabel="rate of volleys (MHz)",
        ylabel="output rate (MHz)",
        ylim=(0, None),
        title="b  Output against input",
    )
    looks = {drive: {"color": BLACK, **look, **OPEN} for drive, look in LOOKS.items()}
    paper = {f"paper, {say(MAX_RATE)}": {"color": BLACK, "ls": "--", "lw": 0.8}}
    supplies.explain(axes, also=looks | paper)


def _plot_bias(protocol: NeuronTable, width: Any, rate: Any, biases: pd.DataFrame) -> None:
    fine = np.linspace(biases.v_bias_V.min(), biases.v_bias_V.max(), 200) * volt
    width.plot(fine / volt, protocol.circuit.spike_width(fine) / nsecond, color=BLACK)
    width.set(ylabel="width of a spike (ns)", title="c  Width of a spike, closed form")
    rate.plot(biases.v_bias_V, biases.rate_MHz, "o", color=BLACK, ms=5, fillstyle="none")
    rate.set(ylabel="highest rate (MHz)", title=f"d  Highest rate, {FEWEST}, {say(VDD_REFERENCE)}")
    for axes in (width, rate):
        axes.set(xlabel="bias of the spike generator (V)", ylim=(0, None))
