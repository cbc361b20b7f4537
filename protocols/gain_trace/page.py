"""The page of `GainTrace`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms, mV, second, umolar

from neuromod.chip.conversion import vdd_of
from neuromod.protocol import Recordings, Section, Tables
from neuromod.recording import Recording
from neuromod.support.figures import (
    BLACK,
    GREEN,
    ORANGE,
    PURPLE,
    Family,
    label,
    legend,
    panels,
    thin,
)
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_trace.protocol import GainTrace

CELL = {"color": GREEN, "lw": 2.6, "alpha": 0.6}
TIME = "biological time (s) = chip time (ms)"


def plot(protocol: GainTrace, tables: Tables, recordings: Recordings) -> Figure:
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
    label(axes["supply"], "c  Supplies of the chip", TIME, "VDD (mV)")
    legend(axes["supply"], "supply")
    label(
        axes["rate"],
        "d  Output, colours as in c",
        TIME,
        "rate (Hz, biological time)",
        ylim=(0, None),
    )
    legend(axes["rate"])
    for name, column in (("error", "gain_error_rms"), ("factor", "coincidence_factor")):
        _plot_resolutions(axes[name], table, column, colors)
    label(axes["error"], "e  How far the gain is off", y="error of the gain (RMS)")
    label(axes["factor"], "f  How alike chip and cell fire", y="coincidence factor")
    return figure


def _plot_cell(protocol: GainTrace, conc: Any, gain: Any, bio: Recording) -> None:
    time, level, gains = thin(
        bio.times / second,
        bio.trace("cell", f"conc_{protocol.ligand}", 0) / umolar,
        bio.trace("cell", "gain", 0),
    )
    conc.plot(time, level, color=PURPLE)
    label(conc, "a  The puff", "biological time (s)", f"{protocol.ligand} (µM)", ylim=(0, None))
    gain.plot(time, gains, **CELL)
    label(gain, "b  Gain of the cell", "biological time (s)", "gain")


def _plot_resolutions(axes: Any, table: pd.DataFrame, column: str, colors: list[str]) -> None:
    """A measure against bits, with those of the exact and the constant supply as lines."""
    few = table[1:-1]
    axes.plot(few.bits, few[column], color=BLACK, lw=0.8, zorder=1)
    axes.scatter(few.bits, few[column], s=24, c=colors[1:-1], zorder=2)
    for neuron in (0, len(table) - 1):
        axes.axhline(table[column][neuron], color=colors[neuron], ls="--", lw=1)
    axes.set_xticks(few.bits)
    axes.set(xlabel="bits of the supply", ylim=(0, None))


NEAR = 0.98


def report(protocol: GainTrace, tables: Tables) -> list[Section]:
    """How coarse the supply may be."""
    table = tables["table"]
    exact, still = table.iloc[0], table.iloc[-1]
    coarse = table[table.bits.notna()]
    near = coarse[coarse.coincidence_factor >= NEAR * exact.coincidence_factor]
    enough = (
        f"the coarsest with a coincidence factor within 2 % of it is {near.supply.iloc[0]}"
        if len(near)
        else "none comes within 2 % of it"
    )
    peak = vdd_of(protocol.circuit, protocol.gain).max()
    return [
        Section(
            "A gain over time, twice",
            f"The puff takes the cell's gain from 1 to {say(protocol.gain.max(), digits=3)}, and "
            f"the supply that follows it from 750 to {say(peak, mV, 3)}, set anew every "
            f"{say(protocol.update)} of biological time. With an exact supply the gain on the chip "
            f"is off by {say(exact.gain_error_rms, digits=2)} (root mean square), because it is "
            f"held between updates. The chip then fires {exact.chip_spikes} spikes where the cell "
            f"fires {exact.cell_spikes}, with a coincidence factor of "
            f"{say(exact.coincidence_factor, digits=2)}; with a constant supply it fires "
            f"{still.chip_spikes}, with {say(still.coincidence_factor, digits=2)}. With an "
            "exact supply the only difference left is the comparator, which decides when input "
            "pulses have ended. "
            f"Of the resolutions between 0.5 and 1 V, {enough}.",
            "table",
        ),
        Section("Rates", "Spikes in every bin, in biological time.", "rates"),
    ]
