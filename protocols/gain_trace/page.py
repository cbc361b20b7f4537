"""The page of `GainTrace`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2 import ms, mV, second, umolar
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, GREEN, PURPLE, RED, Family, label, legend, panels, thin
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.gain_trace.protocol import GainTrace

CELL = {"color": GREEN, "lw": 2.6, "alpha": 0.6}
BIO, BOTH = "biological time (s)", "biological time (s) = chip time (ms)"
BITS = "bits of the supply"
LABELS = {
    "gain": ("b  Gain of the cell", BIO, "gain"),
    "supply": ("c  Supplies of the chip", BOTH, "VDD (mV)"),
    "rate": ("d  Output, colours as in c", BOTH, "rate (Hz, biological time)"),
    "error": ("e  How far the gain is off", BITS, "error of the gain (RMS)"),
    "factor": ("f  How alike chip and cell fire", BITS, "coincidence factor"),
}
NEAR = 0.98
"""Share of an exact supply's coincidence factor that is enough."""


def plot(protocol: GainTrace, tables: Tables, recordings: Recordings) -> Figure:
    """Concentration, gain, supplies and rates over time; agreement against resolution."""
    layout = [["conc", "supply"], ["gain", "rate"], ["error", "factor"]]
    figure, axes = panels(layout, width=10, height=8.5)
    table, rates, ligand = tables["table"], tables["rates"], protocol.ligand
    few, last = table[1:-1], len(table) - 1
    colors = [BLACK, *Family(few.bits.to_numpy(), BITS).colors, RED]
    bio, circuit = recordings["bio"], recordings["circuit"]
    conc = bio.trace("cell", f"conc_{ligand}", 0) / umolar
    time, conc, gain = thin(bio.times / second, conc, bio.trace("cell", "gain", 0))
    axes["conc"].plot(time, conc, color=PURPLE)
    axes["gain"].plot(time, gain, **CELL)
    edges = np.append(rates.time_s, rates.time_s.iloc[-1] + protocol.bin / second)
    axes["rate"].stairs(rates.cell_Hz, edges, label="cell", **CELL)
    # Exact, the first of few bits, a middle one, constant.
    for neuron in sorted({0, 1, len(table) // 2, last}):
        look = {"color": colors[neuron], "lw": 1.2}
        times, vdd = thin(circuit.times / ms, circuit.trace("chip", "vdd", neuron) / mV)
        axes["supply"].plot(times, vdd, label=table.supply[neuron], **look)
        axes["rate"].stairs(rates.iloc[:, 2 + neuron], edges, **look)
    for name, column in (("error", "gain_error_rms"), ("factor", "coincidence_factor")):
        axes[name].plot(few.bits, few[column], color=BLACK, lw=0.8, zorder=1)
        axes[name].scatter(few.bits, few[column], s=24, c=colors[1:-1], zorder=2)
        # The exact and the constant supply.
        for neuron in (0, last):
            axes[name].axhline(table[column][neuron], color=colors[neuron], ls="--", lw=1)
        axes[name].set_xticks(few.bits)
    label(axes["conc"], "a  The puff", BIO, f"{ligand} (µM)")
    for name, texts in LABELS.items():
        label(axes[name], *texts)
    for name in ("conc", "rate", "error", "factor"):
        axes[name].set_ylim(0)
    legend(axes["supply"], "supply")
    legend(axes["rate"])
    return figure


def report(protocol: GainTrace, tables: Tables) -> list[Section]:
    """How coarse the supply may be."""
    table = tables["table"]
    exact, constant, coarse = table.iloc[0], table.iloc[-1], table[1:-1]
    near = coarse.supply[coarse.coincidence_factor >= NEAR * exact.coincidence_factor]
    enough = "none comes within 2 % of it"
    if len(near):
        enough = f"the coarsest with a coincidence factor within 2 % of it is {near.iloc[0]}"
    return [
        Section(
            "A gain over time, twice",
            f"The puff takes the cell's gain from 1 to {say(protocol.gain.max(), digits=3)}, and "
            f"the supply that follows it from 750 to {say(protocol.vdd[:, 0].max(), mV, 3)}, set "
            f"anew every {say(protocol.update)} of biological time. With an exact supply the gain "
            f"on the chip is off by {say(exact.gain_error_rms, digits=2)} (root mean square), "
            f"because it is held between updates. The chip then fires {exact.chip_spikes} spikes "
            f"where the cell fires {exact.cell_spikes}, with a coincidence factor of "
            f"{say(exact.coincidence_factor, digits=2)}; with a constant supply it fires "
            f"{constant.chip_spikes}, with {say(constant.coincidence_factor, digits=2)}. With an "
            "exact supply the only difference left is the comparator, which decides when input "
            f"pulses have ended. Of the resolutions between 0.5 and 1 V, {enough}.",
            "table",
        ),
        Section("Rates", "Spikes in every bin, in biological time.", "rates"),
    ]
