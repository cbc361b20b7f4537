"""The figure of `BioVsCircuit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms, volt

from neuromod.chip.conversion import gain_of, vdd_of
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, legend, panels, thin
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.bio_vs_circuit.protocol import BioVsCircuit

SHOWN = 40 * ms
BIO = {"color": GREEN, "lw": 2.2}
CIRCUIT = {"color": BLUE, "lw": 0.9}


def plot(
    protocol: BioVsCircuit, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Traces over each other at gain 1, the two gain curves, likeness against gain."""
    table = tables["table"]
    figure, axes = panels([["traces"] * 3, ["curves", "factor", "rmse"]], width=11)
    _plot_traces(protocol, axes["traces"], recordings)
    _plot_curves(protocol, axes["curves"], table)
    axes["factor"].plot(table.gain, table.coincidence_factor, "o-", color=BLACK, ms=4)
    axes["factor"].set(
        xlabel="gain", ylabel="coincidence factor", ylim=(0, 1.05), title="c  Likeness of spikes"
    )
    axes["rmse"].plot(table.gain, table.rmse_of_swing, "o-", color=BLACK, ms=4)
    axes["rmse"].set(
        xlabel="gain",
        ylabel="RMSE (share of swing)",
        ylim=(0, None),
        title="d  Membranes below threshold",
    )
    return figure


def _plot_traces(protocol: BioVsCircuit, axes: Any, recordings: Mapping[str, Recording]) -> None:
    neuron = int(np.abs(protocol.gain - 1).argmin())
    shown = recordings["bio"].times < SHOWN
    v = protocol.membranes(recordings)
    time, bio, circuit = thin(
        recordings["bio"].times[shown] / ms, v["bio"][neuron, shown], v["circuit"][neuron, shown]
    )
    axes.plot(time, bio, label=f"biological, gain {say(protocol.gain[neuron], digits=3)}", **BIO)
    axes.plot(time, circuit, label=f"circuit, VDD {say(protocol.vdd[neuron], volt, 3)}", **CIRCUIT)
    axes.axhline(1, color=BLACK, lw=0.8, ls=":", label="threshold")
    axes.set(
        xlabel="biological time (ms) = chip time (µs)",
        ylabel="membrane (share of swing)",
        title="a  Membranes between rest (0) and threshold (1)",
    )
    legend(axes, below=True)


def _plot_curves(protocol: BioVsCircuit, axes: Any, table: pd.DataFrame) -> None:
    axes.plot(table.gain, table.bio_spikes, "o", color=GREEN, ms=6)
    axes.plot(table.gain, table.circuit_spikes, "s", color=BLUE, ms=3)
    axes.set(xlabel="gain", ylabel="spikes", ylim=(0, None), title="b  Output spikes")
    # A drawn axis asks for gains beyond the range, also below zero.
    above = axes.secondary_xaxis(
        "top",
        functions=(
            lambda gain: np.asarray(vdd_of(protocol.circuit, np.maximum(gain, 0)) / volt),
            lambda vdd: gain_of(protocol.circuit, vdd * volt),
        ),
    )
    above.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    above.spines["top"].set_visible(True)
    above.set_xlabel("supply of the circuit (V)")
