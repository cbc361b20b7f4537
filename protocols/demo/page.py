"""The page of `Demo`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms
from matplotlib.figure import Figure

from neuromod.chip.conversion import TIME_SCALE
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support import figures
from neuromod.support.figures import BLACK, BLUE, GREEN, label, legend, panels, thin
from neuromod.support.text import percent, say
from neuromod.tuning.backbone import RANDOM

if TYPE_CHECKING:
    from neuromod.models.circuit import CircuitNeuron
    from neuromod.protocols.demo.protocol import Demo

REALISATIONS = {"torch": BLACK, "cells": GREEN, "circuit": BLUE}
LOSSES = {"cross_entropy": figures.ORANGE, "simple": figures.RED, "membrane": figures.PURPLE}
SUPPLIES = {"synapse": figures.SKY, "core": figures.YELLOW}
SIGNS = {"positive": BLUE, "negative": figures.RED}
BINS = 10
SPIKE, TOP = 1.15, 1.4
"""Height of spikes and of the panels with traces; the threshold is 1."""


def plot(protocol: Demo, tables: Tables, recordings: Recordings) -> Figure:
    """Accuracies, deployment, supplies, energy, and traces of cells over the circuit's."""
    above = [["methods", "methods", "methods", "deployed", "deployed"]]
    layout = [[above], [[["supply", "energy"]]], [[list("efgh")]]]
    figure, axes = panels(layout, width=10, height=10)
    _plot_methods(axes["methods"], tables["summary"], tables["task"].iloc[0])
    deployment, run_on = tables["deployment"], deployed_on(protocol, tables)
    colors = [REALISATIONS[name] for name in deployment.realisation]
    shares = 100 * deployment.test_accuracy
    bars = axes["deployed"].bar(deployment.realisation, shares, color=colors)
    axes["deployed"].bar_label(bars, fmt="%.1f", fontsize=8)
    title, across = "b  Deployed network, codes kept", f"on {run_on}"
    label(axes["deployed"], title, across, "images right (%)", ylim=(0, 105))
    _plot_supplies(axes["supply"], tables["supplies"], protocol.circuit)
    _plot_energy(axes["energy"], tables["ledger"], run_on)
    traces = {letter: axes[letter] for letter in "efgh"}
    _plot_traces(protocol, traces, tables["supplies"], recordings)
    return figure


def _plot_methods(axes: Any, summary: pd.DataFrame, task: pd.Series) -> None:
    methods = list(dict.fromkeys(summary.method))
    networks = list(summary.groupby(["network", "loss"], sort=False))
    width = 0.8 / len(networks)
    for number, ((network, loss), rows) in enumerate(networks):
        at = np.arange(len(methods)) + (number - (len(networks) - 1) / 2) * width
        own = 100 * rows.set_index("method").filter(like="test_accuracy").reindex(methods)
        spread = own.test_accuracy_sd.fillna(0)
        look: Any = {"color": LOSSES[loss], "label": f"{network},\n{loss.replace('_', ' ')} loss"}
        axes.bar(at, own.test_accuracy_mean, width * 0.92, yerr=spread, **look)
    for kind, style in (("rate", ":"), ("spiking", "--")):
        chance = 100 * task[f"chance_{kind}"]
        axes.axhline(chance, color=BLACK, lw=0.9, ls=style, label=f"chance, {kind}")
    counts = summary.groupby("method").trained_parameters.first()
    axes.set_xticks(range(len(methods)), [f"{m}\n{say(counts[m])}" for m in methods])
    across, up = "method, trained parameters", "test images right (%)"
    label(axes, "a  Ways of tuning", across, up, ylim=(0, 105))
    legend(axes)


def _plot_supplies(axes: Any, supplies: pd.DataFrame, circuit: CircuitNeuron) -> None:
    by_sign = [supplies.vdd_V[supplies.negative == (sign == "negative")] for sign in SIGNS]
    names = [f"{len(vdd)} of {sign} codes" for sign, vdd in zip(SIGNS, by_sign, strict=True)]
    edges = np.linspace(float(circuit.vdd_low), float(circuit.vdd_high), BINS + 1)
    axes.hist(by_sign, edges, color=SIGNS.values(), label=names)
    title = "c  Supplies, one for each group of synapses"
    label(axes, title, "supply VDD (V), within its range", "supplies")
    legend(axes)


def _plot_energy(axes: Any, entries: pd.DataFrame, run_on: str) -> None:
    parts = entries[~entries.entry.str.startswith("total")].iloc[::-1]
    energy = parts.energy_per_image_pJ
    for supply, color in SUPPLIES.items():
        own = energy.where(parts.supply == supply, 0)
        axes.barh(parts.entry, own, color=color, label=f"{supply}\nsupply")
    for place, value in enumerate(energy):
        axes.text(value, place, f" {value:.3g}", va="center", fontsize=8)
    total = entries.energy_per_image_pJ[entries.entry == "total"].item()
    title = f"d  Circuit: {say(total, 'pJ', 3)} per image"
    across = f"energy per image (pJ), mean over {run_on}"
    label(axes, title, across, xlim=(0, 1.15 * energy.max()))
    legend(axes)


def _plot_traces(protocol: Demo, axes: Any, supplies: pd.DataFrame, recordings: Recordings) -> None:
    """Neurons of the first test image, which are the first of both populations."""
    of_neuron = supplies.groupby(["layer", "neuron"], sort=False).vdd_V
    neurons = of_neuron.agg(["min", "max"]).reset_index()
    sides: dict[str, tuple[str, Any, float, float]] = {
        "cells": ("cell", protocol.neuron, 1, 2.4),
        "circuit": ("chip", protocol.circuit, TIME_SCALE, 1.0),
    }
    cell, chip = (
        np.isin(np.arange(len(neurons)), recordings[side].spikes[name].neurons)
        for side, (name, *_) in sides.items()
    )
    peak = recordings["cells"].signals["cell"]["v"].values.max(axis=1)
    chosen = _chosen(neurons, cell, chip, peak)
    for (letter, ax), (what, neuron) in zip(axes.items(), chosen.items(), strict=True):
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
        reach = " to ".join(dict.fromkeys(f"{row[end]:.2f}" for end in ("min", "max"))) + " V"
        title = f"{what}\n{row.layer}, no. {row.neuron}\n{reach}"
        across = "time (cells: ms, circuit: µs)"
        label(ax, f"{letter}  {title}", across, ylim=(-0.05, TOP))
        ax.tick_params(labelleft=letter == "e")
    axes["e"].set_ylabel("(v − rest)/swing, spikes as arrows")
    legend(axes["h"])


def _chosen(
    neurons: pd.DataFrame, cell: np.ndarray, chip: np.ndarray, peak: np.ndarray
) -> dict[str, int]:
    """Neurons to show, by whether cell and circuit fire; the first of all if none does that."""
    hidden = (neurons.layer != "output").to_numpy()
    both, nearly = cell & chip & hidden, np.where(~cell & ~chip & hidden, peak, -np.inf)
    chosen: dict[str, Any] = {
        "Both fire": np.argmax(both),
        "Neither fires": np.argmax(nearly),
        "An output neuron": np.argmax((cell | chip) & ~hidden) or np.argmax(~hidden),
    }
    if (cell != chip).any():
        chosen["They differ"] = np.argmax(cell != chip)
    else:
        chosen["Both fire, later"] = np.flatnonzero(both)[-1] if both.any() else 0
    return {what: int(neuron) for what, neuron in chosen.items()}


def report(protocol: Demo, tables: Tables) -> list[Section]:
    """The story in the order in which it happens."""
    run_on = deployed_on(protocol, tables)
    deployed = _on_deployment(tables["deployment"], tables["table"], run_on)
    deployed = f"{_on_groups(protocol, tables)}\n\n{deployed}"
    return [
        Section("The task", _on_task(tables["task"].iloc[0])),
        Section("Accuracy of each way of tuning", _on_tuning(tables["summary"]), "summary"),
        Section("From torch to cells to a chip", deployed, "deployment"),
        Section("Agreement, neuron by neuron", AGREEMENT.format(run_on), "agreement"),
        Section("What the chip stores", _on_changes(tables["changes"]), "changes"),
        Section("Energy of one image on the chip", ENERGY.format(run_on), "ledger"),
        Section("All tuned networks", NETWORKS, "table"),
    ]


AGREEMENT = (
    "Every neuron is compared on {}, image by image. The biological neurons do exactly what "
    "torch's do, or the run fails. The circuit has the very codes and, by the exact inverse of its "
    "mirrors, the very gains that were tuned, so that it differs only where rounding, or the leak "
    "within a pulse, pushes a neuron across its threshold."
)
ENERGY = (
    "Means over {}. The energy of the synapses follows from codes, spikes and the mirror "
    "equation. The core's entries are estimates, calibrated here to add up to 1.08 pJ per spike, "
    "the paper's least energy, at 3.3 MHz, its highest rate. Features count as pulses with a "
    "charge of their own; the convolutional stack is not on the chip."
)
NETWORKS = (
    "Shares of images classified right. Each network is that of the last epoch. Test images chose "
    "nothing."
)


def deployed_on(protocol: Demo, tables: Tables) -> str:
    """The images that ran through neurons, such as ``20 of 360 images``."""
    every = int(tables["task"].test_images.iloc[0])
    shown = min(protocol.deployed_images or every, every)
    return f"{shown} of {every} images" if shown < every else f"all {every} test images"


def _on_task(task: pd.Series) -> str:
    known = ""
    if pd.notna(task.source_test_accuracy):
        share = percent(task.source_test_accuracy)
        known = f" On its source task it classifies {share} of unseen images right."
    meaningless = "" if "weights" not in task else f"Weights are {RANDOM}. "
    return (
        f"{meaningless}{task.classes} classes of {task.data}: {task.train_images} images to train "
        f"on, {task.validation_images} to choose by, {task.test_images} to test with. The "
        f"convolutional stack of {task.backbone} turns each image into {task.features} numbers; "
        f"the classifier behind it is tuned.{known} A guess is right in "
        f"{percent(task.chance_rate)} of images for the rate network, and in "
        f"{percent(task.chance_spiking)} for spiking ones, where only the right output may fire."
    )


def _on_tuning(summary: pd.DataFrame) -> str:
    lines = []
    for (network, loss), rows in summary.groupby(["network", "loss"], sort=False):
        shares = [f"{row.method} {100 * row.test_accuracy_mean:.0f} %" for row in rows.itertuples()]
        lines.append(f"{network} network, {loss.replace('_', ' ')} loss: {', '.join(shares)}.")
    counts = summary.groupby("method").trained_parameters.first()
    if {"nt1", "tft"} <= set(counts.index):
        nt1, tft = say(counts["nt1"]), say(counts["tft"])
        lines.append(f"Gains are {nt1} trained numbers; everything is {tft}.")
    return (
        f"Test images classified right, means over the seeds. {' '.join(lines)}\n\n"
        "The simple loss is the paper's: target minus output at each output neuron. The membrane "
        "loss, added here, is the cross entropy of the output neurons' membranes, with a smoother "
        "gradient through the spikes."
    )


def _on_deployment(deployment: pd.DataFrame, table: pd.DataFrame, run_on: str) -> str:
    candidates = table[table.method == "nt1_groups"]
    best = candidates.loc[candidates.validation_accuracy.idxmax()]
    chosen = "was the best on validation images" if len(candidates) > 1 else "is deployed"
    torch, cells, circuit = (percent(share) for share in deployment.test_accuracy)
    return (
        f"The network of seed {best.seed} {chosen}. On {run_on}, it is right in {torch} in torch, "
        f"in {cells} as biological neurons in Brian2, and in {circuit} as circuit neurons."
        f"{_on_choice(run_on)}"
    )


def _on_groups(protocol: Demo, tables: Tables) -> str:
    """Why synapses have gains by group, and how well that does."""
    supplies, table = tables["supplies"], tables["table"]
    groups = table[table.method == "nt1_groups"].test_accuracy
    free = table[(table.method == "nt1") & (table.loss == "membrane")]
    compared = ""
    if len(free):
        compared = (
            f" Free gains, one for each neuron, reach {percent(free.test_accuracy.mean())}, but "
            f"{percent(free.negative_gains.sum() / free.gains.sum())} of them are "
            "negative, which no receptor and no supply can be."
        )
    mean = f", mean of {len(groups)} seeds" if len(groups) > 1 else ""
    return (
        f"On the chip, weights are codes of {protocol.circuit.bits} bits and a sign that are never "
        "rewritten. A neuron's synapses are dealt to groups by sign and by source, and every group "
        f"has a gain within reach of a supply from {protocol.circuit.supply_range}: "
        f"{say(len(supplies))} supplies in all. Tuned on the codes themselves (nt1_groups), such "
        f"networks get {percent(groups.mean())} of the test images right{mean}.{compared} In a "
        "cell, receptors on excitatory and on inhibitory synapses, and on those of one dendrite, "
        "are such gains."
    )


def _on_choice(run_on: str) -> str:
    """Which images these are, if they are not all."""
    if run_on.startswith("all"):
        return ""
    return " These are spread evenly over the test images; accuracies above are those on all."


def _on_changes(changes: pd.DataFrame) -> str:
    count = {name: say(int(n)) for name, n in changes.select_dtypes("number").sum().items()}
    weights = count.get("weights_in_all") or count["weights"]
    return (
        f"Of {weights} weights and biases {count['weights_to_zero']} became 0. weights_rounded "
        "counts weights that no code meets exactly; rms_error_lsb is the error of the codes in "
        "units of the smallest step. Gains are tuned on what the codes stand for, which stay as "
        "they are. The circuit's current is mirror_scale times that of a layer's mirrors, so "
        "that a gain of 1 runs at the untuned supply."
    )
