"""The page of `Demo`: its figure and its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms

from neuromod.chip.conversion import TIME_SCALE, VDD_HIGH, VDD_LOW
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    label,
    legend,
    panels,
    thin,
)
from neuromod.support.text import percent, say
from neuromod.tuning.backbone import RANDOM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.demo.protocol import Demo

REALISATIONS = {"torch": BLACK, "cells": GREEN, "circuit": BLUE}
NETWORKS = {"cross_entropy": ORANGE, "simple": RED, "membrane": PURPLE}
SUPPLIES = {"synapse": SKY, "core": YELLOW}
MARKERS = "osD^v"
SPIKE = 1.15


def plot(protocol: Demo, tables: Tables, recordings: Recordings) -> Figure:
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
    label(axes, "b  Deployed nt1 network", y="test images right (%)", ylim=(0, 105))


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
    label(axes, title, "energy per image (pJ)", xlim=(0, 1.15 * energy.max()))
    legend(axes)


def _plot_traces(
    protocol: Demo, axes: Sequence[Any], neurons: pd.DataFrame, recordings: Recordings
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
        label(
            ax,
            f"{what}: {row.layer}, no. {row.neuron}\ngain {row.gain:.2f}, {row.vdd_V:.3f} V",
            "time (cells: ms, circuit: µs)",
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


def report(protocol: Demo, tables: Tables) -> list[Section]:
    """The story in the order in which it happens."""
    del protocol
    return [
        _task(tables["task"].iloc[0]),
        _tuning(tables["summary"]),
        _deployment(tables["deployment"], tables["table"]),
        Section(
            "Agreement, neuron by neuron",
            "Every neuron is compared for every test image. The biological neurons must do exactly "
            "what torch's do, or the run fails. The circuit differs where coarse codes, or a "
            "supply at the end of its range, push a neuron across its threshold.",
            "agreement",
        ),
        _changes(tables["changes"]),
        Section(
            "Energy of one image on the chip",
            "The energy of the synapses follows from codes, spikes and the mirror equation. For "
            "the core the paper gives one total, 1.08 pJ per spike at 3.3 MHz. Its split is "
            "calibrated here, so these entries are estimates. The analog features count as pulses "
            "with a charge of their own. The convolutional stack, which computes them, is not on "
            "the chip and does not count.",
            "ledger",
        ),
        Section(
            "All tuned networks",
            "Shares of images classified right. Each network is that of the last epoch. Test "
            "images chose nothing.",
            "table",
        ),
    ]


def _task(task: pd.Series) -> Section:
    known = (
        f" On its source task it classifies {percent(task.source_test_accuracy)} of unseen images "
        "right."
        if pd.notna(task.source_test_accuracy)
        else ""
    )
    meaningless = "" if "weights" not in task else f"Weights are {RANDOM}. "
    return Section(
        "The task",
        f"{meaningless}{task.classes} classes of {task.data}: {task.train_images} images to train "
        f"on, {task.validation_images} to choose by, {task.test_images} to test with. The "
        f"convolutional stack of {task.backbone} turns each image into {task.features} numbers, "
        f"once. Only the classifier behind it is tuned.{known} A guess is right in "
        f"{percent(task.chance_rate)} of images for the rate network, and in "
        f"{percent(task.chance_spiking)} for the spiking ones, where the right output neuron must "
        "fire and all others must stay silent.",
    )


def _tuning(summary: pd.DataFrame) -> Section:
    lines = []
    for (network, loss), rows in summary.groupby(["network", "loss"], sort=False):
        shares = ", ".join(
            f"{row.method} {100 * row.test_accuracy_mean:.0f} %" for row in rows.itertuples()
        )
        lines.append(f"{network} network, {loss.replace('_', ' ')} loss: {shares}.")
    counts = summary.groupby("method").trained_parameters.first()
    ratio = (
        f" Gains are {say(counts['nt1'])} trained numbers; everything is {say(counts['tft'])}."
        if "tft" in counts
        else ""
    )
    return Section(
        "Accuracy of each way of tuning",
        f"Test images classified right, means over the seeds. {' '.join(lines)}{ratio}\n\n"
        "The simple loss is the paper's: target minus output at each output neuron. The membrane "
        "loss, added here, is the cross entropy of the output neurons' membranes, with a smoother "
        "gradient through the spikes.",
        "summary",
    )


def _deployment(deployment: pd.DataFrame, table: pd.DataFrame) -> Section:
    candidates = table[(table.network == "spiking") & (table.method == "nt1")]
    best = candidates.loc[candidates.validation_accuracy.idxmax()]
    chosen = "was the best on validation images" if len(candidates) > 1 else "is deployed"
    share = {row.realisation: percent(row.test_accuracy) for row in deployment.itertuples()}
    return Section(
        "From torch to cells to a chip",
        f"The spiking network tuned by gains with the {best.loss} loss and seed {best.seed} "
        f"{chosen}. It classifies {share['torch']} of the test images right in torch, "
        f"{share['cells']} as biological neurons in Brian2, and {share['circuit']} as circuit "
        "neurons.",
        "deployment",
    )


def _changes(changes: pd.DataFrame) -> Section:
    total = changes.select_dtypes("number").sum()
    count = {name: say(int(value)) for name, value in total.items()}
    weights = count.get("weights_in_all") or count["weights"]
    return Section(
        "What the chip changed",
        f"Of {count['neurons']} gains {count['negative_gain']} are negative. Training may turn "
        "signs, but no receptor turns an input's sign, and no supply a current's: the codes of "
        "these neurons are stored inverted, which rewrites the chip's memory where a supply alone "
        f"should do. {count['supply_at_lower_end']} neurons needed less than 0.5 V and "
        f"{count['supply_at_upper_end']} more than 1 V. Of {weights} weights and biases "
        f"{count['weights_to_zero']} became 0, and {count['weights_saturated']} were cut to the "
        "largest code.\n\n"
        "Each neuron's weights share one scale, which is folded into its gain; the two together "
        "need a supply voltage. weights_rounded counts weights that no code meets exactly. A "
        "neuron whose supply lies outside the range gets the end of the range "
        "(supply_at_lower_end, supply_at_upper_end), and its codes are scaled to make up for it. "
        "rms_error_lsb is the error of the codes in units of the smallest step.",
        "changes",
    )
