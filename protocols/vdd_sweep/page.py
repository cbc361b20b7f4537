"""The page of `VddSweep`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV, usecond, volt
from brian2.units.allunits import pjoule
from matplotlib.figure import Figure

from neuromod.chip.conversion import LEAST_ENERGY, MAX_RATE
from neuromod.experiment import Spikes
from neuromod.protocol import Recordings, Section, Tables
from neuromod.recording import Recording
from neuromod.support.figures import (
    BLACK,
    BLUE,
    ORANGE,
    label,
    legend,
    ordered_colors,
    panels,
    thin,
)
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.vdd_sweep.protocol import VddSweep

BARS = 45
"""Distance of two rows of spikes above the membrane, mV."""
LEVELS = [200, 300, 400]
SUPPLY = "synapse supply VDD (V)"
LABELS = {
    "spikes": ("b  Output of {} input spikes", SUPPLY, "output spikes"),
    "current": ("c  Current of one least significant bit", SUPPLY, "unit current (nA)"),
    "energy": ("d  Energy, the core's calibrated", SUPPLY, "energy per spike (pJ)"),
}


def plot(protocol: VddSweep, tables: Tables, recordings: Recordings) -> Figure:
    """Traces at 550 and 750 mV; spikes, unit current and energy per spike against VDD."""
    table = tables["table"]
    figure, axes = panels([["traces", "traces"], ["spikes", "current"], ["spikes", "energy"]])
    # A stored run is drawn again without the network's file.
    inputs = int(table.inputs[0]) if "inputs" in table else len(protocol.codes)
    _plot_traces(protocol, axes["traces"], recordings["sweep"], protocol.drawn(inputs))
    axes["spikes"].plot(table.vdd_V, table.output_spikes, "o-", color=BLUE, ms=3)
    axes["current"].plot(table.vdd_V, table.unit_current_nA, "o-", color=BLUE, ms=3)
    _plot_energy(protocol, axes["energy"], table)
    paper = float(LEAST_ENERGY / pjoule)
    axes["energy"].axhline(paper, color=BLACK, lw=0.8, ls=":")
    name = f"calibrated here: {say(LEAST_ENERGY)} at {say(MAX_RATE)}"
    # Below the line if there is room, else above it where few spikes share the energy.
    below = paper > 0.15 * table.energy_per_spike_pJ.max()
    drawn = table[table.energy_per_spike_pJ.notna()]
    least = (drawn if len(drawn) else table).vdd_V.min()
    look = {"textcoords": "offset points", "ha": "left", "fontsize": 8}
    look |= {"va": "top" if below else "bottom"}
    axes["energy"].annotate(name, (least, paper), (0, -3 if below else 2), **look)
    for panel, (title, x, y) in LABELS.items():
        label(axes[panel], title.format(table.input_spikes[0]), x, y, ylim=(0, None))
    return figure


def _plot_energy(protocol: VddSweep, axes: Any, table: Any) -> None:
    """With references as the circuit has them, and dashed as it has not."""
    names = {"always": "references stay on", "pulsed": "references pulsed"}
    for kind, name in names.items():
        own = kind == protocol.circuit.references
        look = {"marker": "o", "ms": 3} if own else {"ls": "--"}
        energy = table[f"energy_per_spike_{kind}_pJ"]
        axes.plot(table.vdd_V, energy, color=BLUE if own else ORANGE, label=name, **look)
    legend(axes)


def _plot_traces(protocol: VddSweep, axes: Any, recording: Recording, inputs: Spikes) -> None:
    spikes, shown = recording.spikes["chip"], protocol.traced
    rows = [("inputs", inputs.times, BLACK)]
    traced = recording.signals["chip"]["v"].neurons
    for copy, neuron, color in zip(shown, traced, ordered_colors(len(shown)), strict=True):
        times, v = thin(recording.times / usecond, recording.trace("chip", "v", neuron) / mV)
        axes.plot(times, v, color=color, lw=1)
        output = "output" if spikes.size == len(protocol.vdd) else "first output"
        name = f"{output} at {say(protocol.vdd[copy], volt)}"
        rows.append((name, spikes.times[spikes.neurons == neuron], color))
    threshold = float(protocol.circuit.v_th / mV)
    axes.axhline(threshold, color=BLACK, lw=0.8, ls=":")
    places = threshold + 100 + BARS * np.arange(len(rows))
    for place, (_, times, color) in zip(places, rows, strict=True):
        axes.plot(times / usecond, np.full(len(times), place), "|", color=color, ms=7)
    axes.set_yticks([*LEVELS, *places], [*LEVELS, *(name for name, _, _ in rows)])
    axes.set_xlim(0, protocol.duration / usecond)
    label(axes, "a  Membrane (threshold dotted) and spikes (bars)", "time (µs)", "membrane (mV)")


def _say_energy(firing: Any) -> str:
    """How energy per spike goes with the supply, for either kind of references."""
    said = []
    for kind, name in (("always", "stay on"), ("pulsed", "conduct only during pulses")):
        energy = firing[f"energy_per_spike_{kind}_pJ"]
        first, least, last = (
            say(pj, "pJ", 3) for pj in (energy.iloc[0], energy.min(), energy.iloc[-1])
        )
        lowest = say(firing.vdd_V[energy.idxmin()], "V", 3)
        inner = energy.idxmin() not in (firing.index[0], firing.index[-1])
        by_way = f" by way of {least} at {lowest}" if inner else ""
        said.append(f"from {first}{by_way} to {last} where references {name}")
    return (
        f"Energy per spike goes {said[0]}, and {said[1]}. More spikes share the comparator's "
        "decisions and the leakage, but a reference that stays on draws current by the square of "
        "its overdrive all the time; one that a pulse switches would not charge its gate in time."
    )


def report(protocol: VddSweep, tables: Tables) -> list[Section]:
    """What a higher supply does."""
    table = tables["table"]
    firing = table[table.output_spikes > 0]
    low, high = table.iloc[0], table.iloc[-1]
    spread = "Too few supplies gave spikes to compare their energy."
    if len(firing) > 1:
        spread = _say_energy(firing)
    return [
        *(_say_network(protocol.network, table) if protocol.network else ()),
        Section(
            "What a higher supply does",
            f"From {say(low.vdd_V, 'V', 3)} to {say(high.vdd_V, 'V', 3)} the current of one least "
            f"significant bit goes from {say(low.unit_current_nA, 'nA', 3)} to "
            f"{say(high.unit_current_nA, 'nA', 3)}, and the same {say(int(low.input_spikes))} "
            f"input spikes give {say(int(low.output_spikes))} to {say(int(high.output_spikes))} "
            f"output spikes. {spread}\n\nWhat flows through the synapses follows from the mirror "
            "equation. The core's entries are calibrated here so that they add up to 1.08 pJ per "
            "spike, the paper's least energy, at 3.3 MHz, its highest rate; how they share it is "
            "an estimate.",
            "table",
        ),
    ]


def _say_network(file: str, table: pd.DataFrame) -> tuple[Section]:
    first = table.iloc[0]
    text = (
        f"{file} has a network of {say(int(first.neurons))} neurons with {say(int(first.inputs))} "
        f"inputs and {say(int(first.synapses))} synapses. Output spikes are those of its last "
        "layer, energy is that of all its neurons."
    )
    if first.rms_error_lsb:
        text += (
            " Its weights are stored as codes, each layer with mirrors sized so that a weight of 1 "
            "takes a neuron from rest to threshold at the reference supply. Rounding is off by "
            f"{say(first.rms_error_lsb, digits=2)} of a code, root mean square, in the worst "
            "layer."
        )
    return (Section("The network", text),)
