"""The page of `GainTrace`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from brian2 import ms, mV, second, umolar
from matplotlib.figure import Figure

from neuromod.chip.conversion import vdd_of
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
CURVE = "gain_by_activation"
NEAR = 0.98
"""Share of an exact supply's coincidence factor that is enough."""
BY_CHANCE = 0.1
"""Coincidence factor from which on spikes tell one supply from another; chosen here."""


def plot(protocol: GainTrace, tables: Tables, recordings: Recordings) -> Figure:
    """Concentration, gain, supplies and rates over time; agreement against resolution."""
    layout = [["conc", "supply"], ["gain", "rate"], ["error", "factor"]]
    curve = tables.get(CURVE)
    if curve is not None:
        layout.append(["curve", "curve"])
    figure, axes = panels(layout, width=10, height=8.5 if curve is None else 11)
    table, rates, ligand = tables["table"], tables["rates"], protocol.ligand
    few, last = table[1:-1], len(table) - 1
    colors = [BLACK, *Family(few.bits.to_numpy(), BITS).colors, RED]
    bio, circuit = recordings["bio"], recordings["circuit"]
    conc = bio.trace("cell", f"conc_{ligand}", 0) / umolar
    time, conc, gain = thin(bio.times / second, conc, protocol.gain_in(bio, curve))
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
    if (lowest := table.coincidence_factor.min()) < 0:
        # Below chance.
        axes["factor"].set_ylim(lowest - 0.05)
    if curve is not None:
        axes["curve"].plot(curve.activation, curve.gain, "o-", **CELL)
        named = f"activation of {protocol.bio.acting[0].name}"
        label(axes["curve"], "g  Gain of the cell, measured in steady baths", named, "gain")
    if scale := protocol.about_scale(tables):
        figure.supxlabel(f"{scale}.", fontsize=8)
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
    enough = f"Of the resolutions of a supply from {protocol.circuit.supply_range}, {enough}."
    if exact.coincidence_factor < BY_CHANCE:
        enough = (
            "Spikes of cell and chip coincide hardly more than by chance, which tells nothing of "
            "resolutions; their rates in bins of "
            f"{say(protocol.bin)} have a correlation of {say(exact.rate_correlation, digits=2)} "
            f"with an exact supply and of {say(constant.rate_correlation, digits=2)} with a "
            "constant one."
        )
    curve, scale = tables.get(CURVE), protocol.about_scale(tables)
    gain = protocol.course(curve)
    peak = gain[np.abs(gain - gain[0]).argmax()]
    before, supplied = vdd_of(protocol.circuit, np.array([gain[0], peak])) / mV
    only = (
        "With an exact supply the only difference left is the comparator, which decides when input "
        "pulses have ended."
    )
    if not protocol.alike:
        only = (
            "Each neuron has its own leak, threshold, refractoriness and adaptation, which no "
            "supply takes away."
        )
    if scale:
        only = f"{scale}, which a short simulation of the cell has measured. {only}"
    return [
        *_about_measured(protocol, curve),
        Section(
            "A gain over time, twice",
            f"The puff takes the cell's gain from {say(gain[0], digits=3)} to "
            f"{say(peak, digits=3)}, and the supply that follows it from {say(before, digits=3)} "
            f"to {say(supplied, digits=3)} mV, set anew every {say(protocol.update)} of "
            "biological time. With an exact supply the gain "
            f"on the chip is off by {say(exact.gain_error_rms, digits=2)} (root mean square), "
            f"because it is held between updates. The chip then fires {exact.chip_spikes} spikes "
            f"where the cell fires {exact.cell_spikes}, with a coincidence factor of "
            f"{say(exact.coincidence_factor, digits=2)}; with a constant supply it fires "
            f"{constant.chip_spikes}, with {say(constant.coincidence_factor, digits=2)}. "
            f"{only} {enough}",
            "table",
        ),
        Section("Rates", "Spikes in every bin, in biological time.", "rates"),
    ]


def _about_measured(protocol: GainTrace, curve: pd.DataFrame | None) -> list[Section]:
    """How the gain of a neuron without one was measured; nothing where it has one."""
    if curve is None:
        return []
    cause = protocol.bio.acting[0].name
    words = (
        f"What {cause} does to this neuron is not, or not only, a gain on its input. That gain is "
        f"measured instead: at {len(curve)} activations, each held by a steady bath, and without "
        "modulator at gains on the input, cells get the same random input as in the run, in "
        "several trains. The gain of an activation is the one under which the cell without "
        "modulator fires as fast. It holds for this input; between the activations it follows "
        "lines, and it is taken to follow the activation at once."
    )
    return [Section("The gain of this neuron", words, CURVE)]
