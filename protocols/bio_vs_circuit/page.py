"""The page of `BioVsCircuit`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import ms, volt
from matplotlib.figure import Figure

from neuromod.chip.conversion import TIME_SCALE, gain_of, vdd_of
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
SPIKES = (
    "a  Spikes of cell and circuit at every gain",
    "biological time (ms) = chip time (µs)",
    "gain",
)


def plot(protocol: BioVsCircuit, tables: Tables, recordings: Recordings) -> Figure:
    """Traces over each other at gain 1, or else spikes; the two gain curves; likeness by gain."""
    table = tables["table"]
    shares = protocol.shares_swing
    lower = ["curves", "factor", "rmse"] if shares else ["curves", "factor"]
    figure, axes = panels([["traces"] * len(lower), lower], width=11)
    if shares:
        _plot_traces(protocol, axes["traces"], recordings)
        axes["rmse"].plot(table.gain, table.rmse_of_swing, "o", color=BLACK, ms=4)
    else:
        _plot_spikes(protocol, axes["traces"], recordings)
    axes["curves"].plot(table.gain, table.bio_spikes, "o", color=GREEN, ms=6)
    axes["curves"].plot(table.gain, table.circuit_spikes, "s", color=BLUE, ms=3)
    axes["factor"].plot(table.gain, table.coincidence_factor, "o", color=BLACK, ms=4)
    for name in axes:
        label(axes[name], *(LABELS[name] if shares or name != "traces" else SPIKES))
    for name in lower:
        axes[name].set_ylim(0)
    if (lowest := table.coincidence_factor.min()) < 0:
        # Below chance.
        axes["factor"].set_ylim(lowest - 0.05)
        axes["factor"].axhline(0, color=BLACK, lw=0.8, ls=":")
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
    if scale := protocol.about_scale(tables):
        figure.supxlabel(f"{scale}.", fontsize=8)
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


def _plot_spikes(protocol: BioVsCircuit, axes: Any, recordings: Recordings) -> None:
    """Spikes of every gain, the cell's in the upper half of its row, the circuit's in the lower."""
    sides = (
        ("bio", "cell", "cell", 1, GREEN, 0),
        ("circuit", "chip", "circuit", TIME_SCALE, BLUE, -0.45),
    )
    for side, name, told, slower, color, below in sides:
        spikes = recordings[side].spikes[name]
        time = slower * np.asarray(spikes.times / ms)
        shown = time < float(SHOWN / ms)
        row = spikes.neurons[shown] + below
        axes.vlines(time[shown], row, row + 0.45, color=color, lw=1.2, label=told)
    rows = np.unique(np.linspace(0, len(protocol.gain) - 1, 5).astype(int))
    axes.set_yticks(rows, [say(gain, digits=3) for gain in protocol.gain[rows]])
    axes.set(xlim=(0, SHOWN / ms), ylim=(-1, len(protocol.gain)))
    legend(axes, below=True)


def report(protocol: BioVsCircuit, tables: Tables) -> list[Section]:
    """How alike the two neurons are."""
    table = tables["table"]
    scale, swing = protocol.about_scale(tables), ""
    if protocol.shares_swing:
        swing = (
            " The membranes, as shares of the way from rest to threshold, differ by a root mean "
            f"square of {say(table.rmse_of_swing.mean(), digits=3)}."
        )
    if scale:
        scale = (
            f"\n\n{scale}, which a short simulation of the cell has measured. From there on each "
            "neuron has its own leak, threshold, refractoriness and adaptation."
        )
    apart = (table.bio_spikes - table.circuit_spikes).abs()
    return [
        Section(
            "How alike they are",
            f"Over {len(table)} gains from {span(table.gain, digits=3)} the spike counts differ "
            f"by {say(apart.mean(), digits=2)} on average and by {apart.max()} at most. The "
            f"coincidence factor (1: every spike has a partner within {say(protocol.window)}; 0: "
            f"chance) has a mean of {say(table.coincidence_factor.mean(), digits=3)}."
            f"{swing}{scale}\n\n"
            "The coincidence factor matches each spike of one train with at most one of the "
            f"other. The distances have a time constant of {say(protocol.tau_distance)}: Victor "
            "and Purpura's counts spikes (1 for each one added or left out); van Rossum's grows "
            "with the square root of their number.",
            "table",
        )
    ]
