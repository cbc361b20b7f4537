"""The figure of `Demo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms

from neuromod.chip.conversion import TIME_SCALE, VDD_HIGH, VDD_LOW
from neuromod.recording import Recording
from neuromod.support.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    legend,
    panels,
    thin,
)
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.demo.protocol import Demo

REALISATIONS = {"torch": BLACK, "cells": GREEN, "circuit": BLUE}
NETWORKS = {"cross_entropy": ORANGE, "simple": RED, "membrane": PURPLE}
SUPPLIES = {"synapse": SKY, "core": YELLOW}
MARKERS = "osD^v"
SPIKE = 1.15


def plot(
    protocol: Demo, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Accuracies, deployment, supplies, energy, and traces of cells over the circuit's."""
    figure, axes = panels(
        [
            [[["methods", "methods", "methods", "deployed", "deployed"]]],
            [[["supply", "energy"]]],
            [[[f"trace {n}" for n in range(4)]]],
        ],
        width=10,
        height=10,
    )
    _plot_methods(axes["methods"], tables["summary"], tables["task"].iloc[0])
    _plot_deployed(axes["deployed"], tables["deployment"])
    _plot_supplies(axes["supply"], tables["neurons"])
    _plot_energy(axes["energy"], tables["ledger"])
    _plot_traces(protocol, [axes[f"trace {n}"] for n in range(4)], tables["neurons"], recordings)
    return figure


def _plot_methods(axes: Any, summary: pd.DataFrame, task: pd.Series) -> None:
    methods = list(dict.fromkeys(summary.method))
    networks = list(summary.groupby(["network", "loss"], sort=False))
    width = 0.8 / len(networks)
    for number, ((network, loss), rows) in enumerate(networks):
        at = np.arange(len(methods)) + (number - (len(networks) - 1) / 2) * width
        own = 100 * rows.set_index("method").filter(like="test_accuracy").reindex(methods)
        spread = own.test_accuracy_sd.fillna(0)
        look: Any = {"color": NETWORKS[loss], "label": f"{network},\n{loss.replace('_', ' ')} loss"}
        axes.bar(at, own.test_accuracy_mean, width * 0.92, yerr=spread, **look)
    for kind, style in (("rate", ":"), ("spiking", "--")):
        chance = 100 * task[f"chance_{kind}"]
        axes.axhline(chance, color=BLACK, lw=0.9, ls=style, label=f"chance, {kind}")
    counts = summary.groupby("method").trained_parameters.first()
    axes.set_xticks(range(len(methods)), [f"{m}\n{say(counts[m])}" for m in methods])
    labels: Any = {"xlabel": "method, trained parameters", "ylabel": "test images right (%)"}
    axes.set(ylim=(0, 105), title="a  Ways of tuning", **labels)
    legend(axes)


def _plot_deployed(axes: Any, deployment: pd.DataFrame) -> None:
    colors = [REALISATIONS[name] for name in deployment.realisation]
    bars = axes.bar(deployment.realisation, 100 * deployment.test_accuracy, color=colors)
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set(ylabel="test images right (%)", ylim=(0, 105), title="b  Deployed nt1 network")


def _plot_supplies(axes: Any, neurons: pd.DataFrame) -> None:
    look: Any = {"color": BLACK, "mfc": "none", "mew": 0.7, "ms": 4}
    for (layer, rows), marker in zip(neurons.groupby("layer", sort=False), MARKERS, strict=False):
        axes.plot(rows.gain, rows.vdd_V, marker, label=layer, **look)
    for end in (VDD_LOW, VDD_HIGH):
        axes.axhline(float(end), color=BLACK, lw=0.8, ls=":")
    labels: Any = {"xlabel": "trained gain", "ylabel": "supply VDD (V)"}
    axes.set(ylim=(0.45, 1.05), title="c  Supply of every neuron, range dotted", **labels)
    legend(axes)


def _plot_energy(axes: Any, entries: pd.DataFrame) -> None:
    parts = entries[entries.entry != "total"].iloc[::-1]
    energy = parts.energy_per_image_pJ
    for supply, color in SUPPLIES.items():
        own = energy.where(parts.supply == supply, 0)
        axes.barh(parts.entry, own, color=color, label=f"{supply}\nsupply")
    for place, value in enumerate(energy):
        axes.text(value, place, f" {value:.3g}", va="center", fontsize=8)
    total = entries.energy_per_image_pJ.iloc[-1]
    title = f"d  Circuit: {say(total, 'pJ', 3)} per image"
    axes.set(xlabel="energy per image (pJ)", xlim=(0, 1.15 * energy.max()), title=title)
    legend(axes)


def _plot_traces(
    protocol: Demo, axes: Sequence[Any], neurons: pd.DataFrame, recordings: Mapping[str, Recording]
) -> None:
    """Neurons of the first test image, which are the first of both populations."""
    sides: dict[str, tuple[str, Any, float, float]] = {
        "cells": ("cell", protocol.neuron, 1, 2.4),
        "circuit": ("chip", protocol.circuit, TIME_SCALE, 1.0),
    }
    fired = {
        side: np.isin(np.arange(len(neurons)), recordings[side].spikes[name].neurons)
        for side, (name, *_) in sides.items()
    }
    peak = recordings["cells"].signals["cell"]["v"].values.max(axis=1)
    for ax, (what, neuron) in zip(axes, _chosen(neurons, fired, peak).items(), strict=True):
        for side, (name, model, scale, width) in sides.items():
            look: Any = {"color": REALISATIONS[side], "lw": width}
            recording = recordings[side]
            v = (recording.trace(name, "v", neuron) - model.v_rest) / (model.v_th - model.v_rest)
            ax.plot(*thin(recording.times * scale / ms, np.asarray(v)), label=side, **look)
            spikes = recording.spikes[name]
            at = np.asarray(spikes.times[spikes.neurons == neuron] * scale / ms)
            ax.vlines(at, 0, SPIKE, **look)
            ax.plot(at, np.full(len(at), SPIKE), "^", ms=4 + 2 * width, color=look["color"])
        ax.axhline(1, color=BLACK, lw=0.8, ls=":")
        row = neurons.iloc[neuron]
        ax.set(
            xlabel="time (cells: ms, circuit: µs)",
            title=f"{what}: {row.layer}, no. {row.neuron}\ngain {row.gain:.2f}, {row.vdd_V:.3f} V",
        )
    axes[0].set_ylabel("(v − rest)/swing, spikes as arrows")
    axes[0].set_title(f"e  {axes[0].get_title(loc='left')}")
    legend(axes[-1])


def _chosen(
    neurons: pd.DataFrame, fired: Mapping[str, np.ndarray], peak: np.ndarray
) -> dict[str, int]:
    """Neurons to show, by what they do; the first of all if none does that."""
    cell, chip = fired["cells"], fired["circuit"]
    hidden = (neurons.layer != "output").to_numpy()
    nearly = np.where(~cell & ~chip & hidden, peak, -np.inf)
    return {
        "both fire": int(np.argmax(cell & chip & hidden)),
        "none fires": int(np.argmax(nearly)),
        "an output": int(np.argmax((cell | chip) & ~hidden) or np.argmax(~hidden)),
        "they differ" if (cell != chip).any() else "first": int(np.argmax(cell != chip)),
    }
