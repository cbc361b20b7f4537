"""The page of `CircuitNeurons`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels
from neuromod.support.text import percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.circuit_neurons.protocol import CircuitNeurons

# Title of a column, unit of its rates, and the circuits in it with their looks.
COLUMNS = {
    "circuit": ("circuit neuron", "MHz", 1e6, {"circuit": BLUE}),
    "hillock": ("axon-hillock", "kHz", 1e3, {"hillock": BLUE}),
    "dpi": ("DPI neuron", "Hz", 1, {"unadapted": BLUE, "dpi": ORANGE}),
}
NAMES = {"unadapted": "without adaptation", "dpi": "with adaptation"}


def plot(protocol: CircuitNeurons, tables: Tables, recordings: Recordings) -> Figure:
    """Rate over its closed form, and energy per spike, against the gain."""
    del protocol, recordings
    table = tables["table"]
    layout = [[f"rate_{name}" for name in COLUMNS], [f"energy_{name}" for name in COLUMNS]]
    figure, axes = panels(layout, width=11)
    letters = iter("abcdef")
    for name, (title, unit, scale, looks) in COLUMNS.items():
        shown = axes[f"rate_{name}"]
        for circuit, color in looks.items():
            own = table[table.circuit == circuit]
            about = NAMES.get(circuit, "simulated")
            shown.plot(own.gain, own.rate_Hz / scale, "o", color=color, ms=4, label=about)
            if own.closed_form_Hz.notna().any():
                known = own.closed_form_Hz / scale
                shown.plot(own.gain, known, color=BLACK, lw=0.8, label="closed form")
        label(shown, f"{next(letters)}  {title}", "", f"rate ({unit})", ylim=(0, None))
    for name, (_, _, _, looks) in COLUMNS.items():
        shown = axes[f"energy_{name}"]
        for circuit, color in looks.items():
            own = table[table.circuit == circuit]
            shown.plot(own.gain, own.energy_per_spike_pJ, "o-", color=color, ms=4, lw=0.8)
        label(shown, next(letters), "gain", "energy per spike (pJ)", ylim=(0, None))
    legend(axes["rate_dpi"])
    return figure


def report(protocol: CircuitNeurons, tables: Tables) -> list[Section]:
    """What a gain does to three circuits."""
    table = tables["table"]
    known = table[(table.closed_form_Hz > 0) & (table.rate_Hz > 0)]
    off = np.max(np.abs(known.rate_Hz / known.closed_form_Hz - 1))
    rates = {name: own.rate_Hz for name, own in table.groupby("circuit")}
    volts = {name: own.control_V for name, own in table.groupby("circuit")}
    costs = {name: own.energy_per_spike_pJ for name, own in table.groupby("circuit")}
    gains = span(protocol.gains)
    return [
        Section(
            "Rate and energy against the gain",
            f"Gains of {gains} are supplies of {span(volts['circuit'], 'V', 3)} for the mirrors "
            "of the circuit neuron and the axon-hillock, and bias voltages of "
            f"{span(volts['dpi'], 'V', 3)} for the DPI synapse. They take the circuit neuron from "
            f"{say(rates['circuit'].iloc[0] / 1e6, 'MHz', 3)} to "
            f"{say(rates['circuit'].iloc[-1] / 1e6, 'MHz', 3)}, the axon-hillock from "
            f"{say(rates['hillock'].iloc[0] / 1e3, 'kHz', 3)} to "
            f"{say(rates['hillock'].iloc[-1] / 1e3, 'kHz', 3)}, and the DPI neuron from "
            f"{say(rates['dpi'].iloc[0], 'Hz', 3)} to {say(rates['dpi'].iloc[-1], 'Hz', 3)}. "
            f"Rates differ from their closed forms by {percent(off, 1)} at most.\n\n"
            f"A spike costs the circuit neuron {span(costs['circuit'], 'pJ', 3)}, of which the "
            "core's share is calibrated; the axon-hillock "
            f"{span(costs['hillock'], 'pJ', 3)}, for the most part because both transistors of "
            "its first inverter conduct while the membrane is near their threshold; and the "
            f"DPI neuron {span(costs['dpi'], 'pJ', 3)}, which is what its branches conduct at "
            "1.8 V in so long an interval. Bias generators are not counted.",
            "table",
        )
    ]
