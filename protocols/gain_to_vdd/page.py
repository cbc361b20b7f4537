"""The page of `GainToVdd`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from neuromod.protocols.gain_to_vdd.protocol import GainToVdd

LOOKS = {
    "square": ("square law", BLUE, "o", "-"),
    "ekv": ("EKV", ORANGE, "^", "--"),
    "table": ("table", BLUE, "o", "-"),
}
TRANSISTORS = {
    "square": "square-law transistors",
    "ekv": "EKV's, which conduct below threshold too",
    "table": "those of the table",
}
SUPPLY, BITS = "synapse supply VDD (V)", "bits of the supply"
LABELS = {
    "gain": ("a  Gain", SUPPLY, "gain", ""),
    "slope": ("b  Relative sensitivity", SUPPLY, "change of gain (% per mV)", ""),
    "error": ("c  Nearest supply to a wanted gain, at worst", BITS, "error of a gain (%)", "y"),
    "bits": ("d  Bits that it takes", "wanted precision of gains (%)", BITS, "x"),
}


def plot(protocol: GainToVdd, tables: Tables, recordings: Recordings) -> Figure:
    """Gain and sensitivity against the supply, error against bits, bits against precision."""
    del recordings
    figure, axes = panels([["gain", "slope"], ["error", "bits"]], width=10)
    named: dict[str, dict[str, Any]] = {}
    for law in protocol.laws:
        name, color, marker, line = LOOKS[law]
        own, steps, bits = (
            tables[table][tables[table].law == law] for table in ("table", "quantised", "bits")
        )
        exact = {"color": color, "ls": line}
        simulated = {"color": color, "marker": marker, "fillstyle": "none", "ms": 5, "ls": ""}
        named |= {f"{name}, closed form": exact, f"{name}, simulated": simulated}
        axes["gain"].plot(own.vdd_V, own.gain, **exact)
        axes["gain"].plot(own.vdd_V[::5], own.gain_measured[::5], **simulated)
        axes["slope"].plot(own.vdd_V, own.relative_percent_per_mV, **exact)
        axes["error"].plot(steps.bits, steps.worst_percent, **exact)
        axes["error"].plot(steps.bits, steps.worst_measured_percent, **simulated)
        axes["bits"].plot(bits.precision_percent, bits.bits, **simulated | {"ls": line})
    axes["gain"].axhline(1, color=BLACK, lw=0.6)
    for panel, texts in LABELS.items():
        label(axes[panel], *texts)
    for panel in ("gain", "slope"):
        axes[panel].set_ylim(0)
    for axis in (axes["error"].yaxis, axes["bits"].xaxis):
        axis.set_major_formatter("{x:g}")
    legend(axes["slope"], also=named)
    return figure


def report(protocol: GainToVdd, tables: Tables) -> list[Section]:
    """Which gains can be had, how exactly, and with how many bits."""
    law = protocol.circuit.law
    table, quantised = tables["table"], tables["quantised"]
    reach = " and ".join(
        f"from {say(row.gain_low, digits=3)} to {say(row.gain_high, digits=3)} with "
        f"{TRANSISTORS[row.law]}"
        for row in tables["ranges"].itertuples()
    )
    off = np.max(np.abs(table.gain_measured / table.gain - 1))
    back = np.max(np.abs(table.vdd_back_V - table.vdd_V))
    low, high = (
        f"{say(row.relative_percent_per_mV, '%', 3)} at {say(row.vdd_V, 'V', 3)}"
        for row in table[table.law == law].iloc[[0, -1]].itertuples()
    )
    coarse, fine = quantised[quantised.law == law].iloc[[0, -1]].itertuples()
    return [
        Section(
            "Which gains can be had",
            f"Supplies from {protocol.circuit.supply_range} give gains {reach}; the first are of "
            "the circuit's own law, which the sentences below are about. The steps of simulated "
            f"membranes differ from these gains by {percent(off, 1)} at most. Back from a gain to "
            f"its supply the inverse misses by {say(1e9 * back, 'nV', 1)}. The range follows from "
            "the circuit's transistors, which are not the paper's: it gives no values.",
            "ranges",
        ),
        Section(
            "How exactly a supply must be set",
            f"A millivolt changes the gain by {low} and by {high}: the lower end needs the finer "
            "supply. Bits are counted for evenly spaced supplies, of which the nearest is taken, "
            "in the worst case over the range.",
            "bits",
        ),
        Section(
            "Errors of wanted gains",
            f"With {say(coarse.bits)} bits, {say(coarse.step_mV, 'mV', 3)} apart, the nearest "
            f"supply misses a wanted gain by up to {say(coarse.worst_percent, '%', 3)}, with "
            f"{say(fine.bits)} bits by up to {say(fine.worst_percent, '%', 2)}; simulated "
            f"membranes miss it by up to {say(coarse.worst_measured_percent, '%', 3)} and "
            f"{say(fine.worst_measured_percent, '%', 2)}. Each further bit halves the error.",
            "quantised",
        ),
    ]
