"""The figure of `GainTrace`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms, mV, second, umolar

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, GREEN, ORANGE, PURPLE, Family, legend, panels, thin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_trace.protocol import GainTrace

CELL = {"color": GREEN, "lw": 2.6, "alpha": 0.6}
TIME = "biological time (s) = chip time (ms)"


def plot(
    protocol: GainTrace, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Concentration, gain, supplies and rates over time; agreement against resolution."""
    figure, axes = panels(
        [["conc", "supply"], ["gain", "rate"], ["error", "factor"]], width=10, height=8.5
    )
    table, rates = tables["table"], tables["rates"]
    colors = [BLACK, *Family(table.bits[1:-1].to_numpy(), "bits").colors, ORANGE]
    edges = np.append(rates.time_s, rates.time_s.iloc[-1] + protocol.bin / second)
    _plot_cell(protocol, axes["conc"], axes["gain"], recordings["bio"])
    axes["rate"].stairs(rates.cell_Hz, edges, label="cell", **CELL)
    # Exact, the first of few bits, a middle one, constant.
    for neuron in sorted({0, 1, len(table) // 2, len(table) - 1}):
        look = {"color": colors[neuron], "lw": 1.2}
        vdd = recordings["circuit"].trace("chip", "vdd", neuron) / mV
        times, vdd = thin(recordings["circuit"].times / ms, vdd)
        axes["supply"].plot(times, vdd, label=table.supply[neuron], **look)
        axes["rate"].stairs(rates.iloc[:, 2 + neuron], edges, **look)
    axes["supply"].set(xlabel=TIME, ylabel="VDD (mV)", title="c  Supplies of the chip")
    legend(axes["supply"], "supply")
    axes["rate"].set(
        xlabel=TIME,
        ylabel="rate (Hz, biological time)",
        ylim=(0, None),
        title="d  Output, colours as in c",
    )
    legend(axes["rate"])
    for name, column in (("error", "gain_error_rms"), ("factor", "coincidence_factor")):
        _plot_resolutions(axes[name], table, column, colors)
    axes["error"].set(ylabel="error of the gain (RMS)", title="e  How far the gain is off")
    axes["factor"].set(ylabel="coincidence factor", title="f  How alike chip and cell fire")
    return figure


def _plot_cell(protocol: GainTrace, conc: Any, gain: Any, bio: Recording) -> None:
    time, level, gains = thin(
        bio.times / second,
        bio.trace("cell", f"conc_{protocol.ligand}", 0) / umolar,
        bio.trace("cell", "gain", 0),
    )
    conc.plot(time, level, color=PURPLE)
    conc.set(
        xlabel="biological time (s)",
        ylabel=f"{protocol.ligand} (µM)",
        ylim=(0, None),
        title="a  The puff",
    )
    gain.plot(time, gains, **CELL)
    gain.set(xlabel="biological time (s)", ylabel="gain", title="b  Gain of the cell")


def _plot_resolutions(axes: Any, table: pd.DataFrame, column: str, colors: list[str]) -> None:
    """A measure against bits, with those of the exact and the constant supply as lines."""
    few = table[1:-1]
    axes.plot(few.bits, few[column], color=BLACK, lw=0.8, zorder=1)
    axes.scatter(few.bits, few[column], s=24, c=colors[1:-1], zorder=2)
    for neuron in (0, len(table) - 1):
        axes.axhline(table[column][neuron], color=colors[neuron], ls="--", lw=1)
    axes.set_xticks(few.bits)
    axes.set(xlabel="bits of the supply", ylim=(0, None))
