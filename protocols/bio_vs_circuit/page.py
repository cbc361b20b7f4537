"""The page of `BioVsCircuit`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import ms, volt
from matplotlib.figure import Figure

from neuromod.chip.conversion import gain_of, vdd_of
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, label, legend, panels, thin
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.bio_vs_circuit.protocol import BioVsCircuit

SHOWN = 40 * ms
LABELS = {
    "traces": (
        "a  Membranes between rest (0) and threshold (1)",
        "biological time (ms) = chip time (µs)",
        "membrane (share of swing)",
    ),
    "curves": ("b  Output spikes", "gain", "spikes"),
    "factor": ("c  Likeness of spikes", "gain", "coincidence factor"),
    "rmse": ("d  Membranes below threshold", "gain", "RMSE (share of swing)"),
}


def plot(protocol: BioVsCircuit, tables: Tables, recordings: Recordings) -> Figure:
    """Traces over each other at gain 1, the two gain curves, likeness against gain."""
    table = tables["table"]
    figure, axes = panels([["traces"] * 3, ["curves", "factor", "rmse"]], width=11)
    _plot_traces(protocol, axes["traces"], recordings)
    axes["curves"].plot(table.gain, table.bio_spikes, "o", color=GREEN, ms=6)
    axes["curves"].plot(table.gain, table.circuit_spikes, "s", color=BLUE, ms=3)
    axes["factor"].plot(table.gain, table.coincidence_factor, "o", color=BLACK, ms=4)
    axes["rmse"].plot(table.gain, table.rmse_of_swing, "o", color=BLACK, ms=4)
    for name, texts in LABELS.items():
        label(axes[name], *texts)
    for name in ("curves", "factor", "rmse"):
        axes[name].set_ylim(0)
    # A drawn axis asks for gains beyond the range, also below zero.
    above = axes["curves"].secondary_xaxis(
        "top",
        functions=(
            lambda gain: np.asarray(vdd_of(protocol.circuit, np.maximum(gain, 0)) / volt),
            lambda vdd: gain_of(protocol.circuit, vdd * volt),
        ),
    )
    above.set(xticks=np.arange(5, 11) / 10, xlabel="supply of the circuit (V)")
    above.spines["top"].set_visible(True)
    return figure


def _plot_traces(protocol: BioVsCircuit, axes: Any, recordings: Recordings) -> None:
    neuron = int(np.abs(protocol.gain - 1).argmin())
    shown = recordings["bio"].times < SHOWN
    v = [side[neuron, shown] for side in protocol.membranes(recordings)]
    time, bio, circuit = thin(recordings["bio"].times[shown] / ms, *v)
    gain, vdd = say(protocol.gain[neuron], digits=3), say(protocol.vdd[neuron], volt, 3)
    axes.plot(time, bio, color=GREEN, lw=2.2, label=f"biological, gain {gain}")
    axes.plot(time, circuit, color=BLUE, lw=0.9, label=f"circuit, VDD {vdd}")
    axes.axhline(1, color=BLACK, lw=0.8, ls=":", label="threshold")
    legend(axes, below=True)


def report(protocol: BioVsCircuit, tables: Tables) -> list[Section]:
    """How alike the two neurons are."""
    table = tables["table"]
    apart = (table.bio_spikes - table.circuit_spikes).abs()
    return [
        Section(
            "How alike they are",
            f"Over {len(table)} gains from {span(table.gain, digits=3)} the spike counts differ "
            f"by {say(apart.mean(), digits=2)} on average and by {apart.max()} at most. The "
            f"coincidence factor (1: every spike has a partner within {say(protocol.window)}; 0: "
            f"chance) has a mean of {say(table.coincidence_factor.mean(), digits=3)}. The "
            "membranes, as shares of the way from rest to threshold, differ by a root mean square "
            f"of {say(table.rmse_of_swing.mean(), digits=3)}.\n\n"
            "The coincidence factor matches each spike of one train with at most one of the "
            f"other. The distances have a time constant of {say(protocol.tau_distance)}: Victor "
            "and Purpura's counts spikes (1 for each one added or left out); van Rossum's grows "
            "with the square root of their number.",
            "table",
        )
    ]
