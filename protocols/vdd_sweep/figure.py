"""The figure of `VddSweep`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV, usecond, volt

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, ordered_colors, panels, thin
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.vdd_sweep.protocol import VddSweep

BARS = 45
"""Distance of two rows of spikes above the membrane, mV."""


def plot(
    protocol: VddSweep, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Traces at 550 and 750 mV; spikes, unit current and energy per spike against VDD."""
    table = tables["table"]
    figure, axes = panels([["traces", "traces"], ["spikes", "current"], ["spikes", "energy"]])
    _plot_traces(protocol, axes["traces"], recordings["sweep"])
    axes["spikes"].plot(table.vdd_V, table.output_spikes, "o-", color=BLUE, ms=3)
    axes["spikes"].set(
        xlabel="synapse supply VDD (V)",
        ylabel="output spikes",
        ylim=(0, None),
        title=f"b  Output of {say(int(table.input_spikes[0]))} input spikes",
    )
    axes["current"].plot(table.vdd_V, table.unit_current_nA, color=BLUE)
    axes["current"].set(
        ylabel="unit current (nA)", ylim=(0, None), title="c  Current of one least significant bit"
    )
    axes["energy"].plot(table.vdd_V, table.energy_per_spike_pJ, "o-", color=BLUE, ms=3)
    axes["energy"].axhline(1.08, color=BLACK, lw=0.8, ls=":")
    axes["energy"].annotate(
        "paper, at 3.3 MHz: 1.08 pJ",
        (0.98, 1.02),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="top",
        fontsize=8,
    )
    axes["energy"].set(
        xlabel="synapse supply VDD (V)",
        ylabel="energy per spike (pJ)",
        ylim=(0, None),
        title="d  Energy, of which the core's is calibrated",
    )
    return figure


def _plot_traces(protocol: VddSweep, axes: Any, recording: Recording) -> None:
    spikes, inputs = recording.spikes["chip"], protocol.inputs
    rows = [("inputs", inputs.times, BLACK)]
    shown = protocol.traced
    for neuron, color in zip(shown, ordered_colors(len(shown)), strict=True):
        times, v = thin(recording.times / usecond, recording.trace("chip", "v", neuron) / mV)
        axes.plot(times, v, color=color, lw=1)
        name = f"output at {say(protocol.vdd[neuron], volt)}"
        rows.append((name, spikes.times[spikes.neurons == neuron], color))
    threshold = float(protocol.circuit.v_th / mV)
    axes.axhline(threshold, color=BLACK, lw=0.8, ls=":")
    places = threshold + 100 + BARS * np.arange(len(rows))
    for place, (_, times, color) in zip(places, rows, strict=True):
        axes.plot(times / usecond, np.full(len(times), place), "|", color=color, ms=7)
    levels = [200, 300, 400]
    names = [*map(str, levels), *(name for name, _, _ in rows)]
    axes.set_yticks([*levels, *places], names)
    axes.set(
        xlabel="time (µs)",
        ylabel="membrane (mV)",
        xlim=(0, protocol.duration / usecond),
        title="a  Membrane (threshold dotted) and spikes (bars)",
    )
