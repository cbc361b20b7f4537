"""The page of `ChipNetwork`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support import figures
from neuromod.support.figures import BLACK, PURPLE, label, legend, panels
from neuromod.support.text import listed, say, signed

if TYPE_CHECKING:
    from neuromod.protocols.chip_network.protocol import ChipNetwork

METHODS = {
    "free": "tuned freely, memory rewritten for them",
    "clipped": "tuned freely, by supplies alone",
    "bounded": "kept within reach",
    "on codes": "kept within reach, tuned on the codes",
    "groups": "the same, with supplies for groups of a neuron's synapses, by sign and source",
}
# By the memory, and whether the supplies are tuned again.
LINES = {
    ("kept", False): "by supplies alone",
    ("kept", True): "supplies tuned again",
    ("rewritten", False): "codes rewritten",
    ("rewritten", True): "codes rewritten, supplies tuned again",
}
DECISIONS = {
    "volley": "the right output neuron fires and no other does",
    "most": "the right output neuron spikes more than every other",
    "three": "the right output neuron spikes three times or more and no other does",
}
END, BINS = 8.0, 12
"""Largest gain of the histogram, and its bins within reach of a supply."""


def plot(protocol: ChipNetwork, tables: Tables, recordings: Recordings) -> Figure:
    """Accuracy by method and bits, gains, accuracy and energy against supplies.

    Lines and bars of accuracy are in closed form, diamonds what circuit neurons did.
    """
    del recordings
    figure, axes = panels([["methods", "gains"], ["supplies", "energy"]], width=12, height=8)
    images, every = _images(tables["table"]), int(tables["table"].test_images.iloc[0])
    _plot_methods(axes["methods"], tables["methods"])
    title = (
        f"a  On the chip, closed form of all {every} test images;\ndiamonds: simulated, {images}"
    )
    label(axes["methods"], title, y="test images right (%)", ylim=(0, None))
    _plot_gains(axes["gains"], tables["gains"], protocol)
    _plot_supplies(axes["supplies"], tables["supplies"], "test_accuracy", 100)
    title = f"c  Shared supplies, closed form of all {every} test images"
    label(axes["supplies"], title, y="test images right (%)")
    _plot_supplies(axes["energy"], tables["supplies"], "energy_per_image_pJ", 1)
    title = f"d  Energy as simulated, {images}"
    label(axes["energy"], title, y="energy per image (pJ)")
    named = axes["supplies"].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2)
    return figure


def _plot_methods(axes: Any, methods: pd.DataFrame) -> None:
    sizes = sorted(methods.bits.unique())
    width = 0.8 / len(sizes)
    colors = figures.ordered_colors(len(sizes))
    for number, (bits, color) in enumerate(zip(sizes, colors, strict=True)):
        rows = 100 * methods[methods.bits == bits].set_index("method").filter(like="accuracy")
        rows = rows.reindex(METHODS)
        at = np.arange(len(METHODS)) + (number - (len(sizes) - 1) / 2) * width
        look = {"yerr": rows.test_accuracy_sd.fillna(0), "color": color, "label": f"{bits} bits"}
        axes.bar(at, rows.test_accuracy_mean, 0.92 * width, **look)
        named = None if number else "simulated"
        run = {"color": BLACK, "ms": 4, "clip_on": False, "label": named}
        axes.plot(at, rows.simulated_accuracy_mean, "D", **run)
        before, named = rows.trained_accuracy_mean, None if number else "off the chip"
        axes.hlines(before, at - width / 2, at + width / 2, color=figures.RED, lw=2, label=named)
    axes.set_xticks(range(len(METHODS)), METHODS)
    legend(axes, below=True)


def _plot_gains(axes: Any, gains: pd.DataFrame, protocol: ChipNetwork) -> None:
    low, high = protocol.reach
    # Edges of bins lie at the ends of the reach, where many bounded gains are.
    width = (high - low) / BINS
    edges = low + width * np.arange(-np.ceil((END + low) / width), np.ceil((END - low) / width) + 1)
    inside = (low + width / 2, high - width / 2)
    kinds = ("free", figures.ORANGE, edges[[0, -1]]), ("bounded", figures.GREEN, inside)
    for method, color, ends in kinds:
        own = gains.gain[gains.method == method].clip(*ends)
        axes.hist(own, edges, color=color, histtype="stepfilled", alpha=0.7, label=method)
    reach = f"reach of {protocol.circuit.supply_range}"
    axes.axvspan(low, high, color=BLACK, alpha=0.12, lw=0, label=reach)
    across = f"gain of a neuron (beyond ±{END:g} in the last bins)"
    label(axes, "b  Gains, all seeds", across, "neurons")
    legend(axes, below=True)


def _plot_supplies(axes: Any, supplies: pd.DataFrame, measure: str, factor: float) -> None:
    mean, spread = f"{measure}_mean", f"{measure}_sd"
    own = supplies[supplies.grouping == "neuron"]
    for (memory, again), name in LINES.items():
        rows = supplies[(supplies.memory == memory) & (supplies.again == again)]
        line = pd.concat([own, rows[rows.grouping == "k-means"]]).sort_values("supplies")
        color, marker = BLACK if memory == "kept" else PURPLE, "s" if again else "o"
        look: Any = {"color": color, "marker": marker, "ms": 5, "clip_on": False}
        high, error = factor * line[mean], factor * line[spread].fillna(0)
        style = "--" if again else "-"
        axes.errorbar(line.supplies, high, error, ls=style, capsize=2, label=name, **look)
        layer = rows[rows.grouping == "layer"]
        axes.plot(layer.supplies, factor * layer[mean], mfc="white", ls="", **look)
    axes.set(xlabel="supplies (hollow: one per layer)", xscale="log", ylim=(0, None))
    ticks = sorted(supplies.supplies.unique())
    axes.set_xticks(ticks, ticks)
    axes.minorticks_off()


def report(protocol: ChipNetwork, tables: Tables) -> list[Section]:
    """What helps and what does not."""
    bits, groups, table = protocol.circuit.bits, protocol.groups, tables["table"]
    compared, differ = int(table.neurons_compared.sum()), int(table.neurons_differ.sum())
    decision = "volley" if protocol.coding == "volley" else protocol.decision
    low, high = (say(end, digits=2) for end in protocol.reach)
    free = tables["gains"].query("method == 'free'").gain
    return [
        Section(
            "Ways of tuning",
            f"Supplies from {protocol.circuit.supply_range} reach gains of {low} to {high}; a gain "
            f"of 1 lies at {say(protocol.untuned)}. "
            f"{_compare_methods(tables['methods'], bits, groups)}\n\n"
            f"Of the gains tuned freely {100 * (free < 0).mean():.0f} % are negative and "
            f"{100 * free.between(*protocol.reach).mean():.0f} % within reach of a supply.",
            "methods",
        ),
        Section(
            "Fewer supplies",
            f"With codes of {bits} bits. {_compare_supplies(tables['supplies'])}\n\n"
            "K-means on the logarithm of the gains of the whole chip groups the neurons; 'layer' "
            "means one supply for each layer. Supply wires, regulators and the energy of rewriting "
            "codes are left out.",
            "supplies",
        ),
        Section("The chip", _on_mirrors(protocol, tables["changes"]), "changes"),
        Section(
            "How this was measured",
            f"Every network ran on circuit neurons with {_images(table)}, which gave "
            "simulated_accuracy and all energies. test_accuracy counts all test images in closed "
            "form: codes times the step of their supply, for a linear leak and ideal mirrors. "
            f"Compared neuron by neuron and image by image, {say(differ)} of {say(compared)} "
            "differ. trained_accuracy is that at the end of tuning, off the chip. An image is "
            f"right if {DECISIONS[decision]}.\n\n"
            "The energy of the synapses follows from the mirror equation; that of the core is "
            "calibrated here to 1.08 pJ per spike, the paper's least, at 3.3 MHz, its highest "
            "rate, so totals are estimates. The convolutional stack is not on the chip.",
            "table",
        ),
    ]


def _images(table: pd.DataFrame) -> str:
    """How many of the test images ran through neurons."""
    shown, every = (int(table[name].iloc[0]) for name in ("images_simulated", "test_images"))
    return f"{shown} of {every} test images" if shown < every else f"all {every} test images"


def _on_mirrors(protocol: ChipNetwork, changes: pd.DataFrame) -> str:
    bits = protocol.bits[0]
    sizes = changes[(changes.bits == bits) & (changes.method == "bounded")].mirror_scale
    return (
        "Mirrors are sized to the weights: a layer of many inputs has small weights and needs "
        "weaker mirrors, with narrower transistors and larger loads, one of few inputs stronger "
        f"ones; gains and supplies stay as they are. Sized by {protocol.mirrors}, the layers' "
        f"give, one after the other, {_sized(sizes)} at {bits} bits (medians).\n\nThe counts are "
        "those of the first seed. supply_at_lower_end and supply_at_upper_end are neurons that "
        "needed a supply below or above the range, for which the codes make up; negative_gain are "
        "those whose codes are stored inverted."
    )


def _sized(scales: pd.Series) -> str:
    """How the current of a layer's mirrors compares with the circuit's, layer by layer."""
    return f"{listed([say(1 / scale, digits=3) for scale in scales])} times the circuit's current"


def _percent(row: Any) -> str:
    spread = row.test_accuracy_sd
    behind = "" if pd.isna(spread) else f" ± {100 * spread:.0f}"
    return f"{100 * row.test_accuracy_mean:.0f}{behind} %"


def _compare_methods(methods: pd.DataFrame, bits: int, groups: int) -> str:
    shown = bits if (methods.bits == bits).any() else methods.bits.iloc[0]
    rows = methods[methods.bits == shown]
    found = [f"{row.method} ({METHODS[row.method]}) {_percent(row)}" for row in rows.itertuples()]
    mean = 100 * rows.set_index("method").test_accuracy_mean
    best = mean.drop("free").idxmax()
    lost = mean["free"] - mean[best]
    fewest = methods.bits.min()
    coarse = methods[methods.bits == fewest].set_index("method").test_accuracy_mean
    helped = 100 * (coarse["on codes"] - coarse["bounded"])
    several = rows.set_index("method")
    return (
        f"Test images right on the chip with codes of {shown} bits, for gains: {'; '.join(found)}. "
        f"Of the ways that leave the memory alone, '{best}' does best, {abs(lost):.0f} points "
        f"{'below' if lost >= 0 else 'above'} free gains. Tuning on the codes instead of the exact "
        f"weights changes accuracy by {signed(helped)} points with the coarsest codes ({fewest} "
        f"bits). With groups, {2 * groups} a neuron, the chip has {several.supplies['groups']} "
        f"supplies instead of {several.supplies['on codes']}."
    )


def _compare_supplies(supplies: pd.DataFrame) -> str:
    own = next(supplies[supplies.grouping == "neuron"].itertuples())
    lines = [f"One supply for each of the {own.supplies} neurons: {_percent(own)}."]
    shared = supplies[supplies.grouping != "neuron"]
    for (grouping, k), rows in shared.groupby(["grouping", "supplies"], sort=False):
        shares = [f"{LINES[row.memory, row.again]} {_percent(row)}" for row in rows.itertuples()]
        lines.append(f"{k} {'supplies' if k > 1 else 'supply'} ({grouping}): {', '.join(shares)}.")
    by_line = shared.pivot(
        index=["grouping", "supplies"], columns=["memory", "again"], values="test_accuracy_mean"
    )
    changes = 100 * by_line.sub(by_line["kept", False], axis="index")
    rewriting, again = changes["rewritten", False], changes["kept", True]
    energy = supplies.energy_per_image_pJ_mean
    return (
        f"{' '.join(lines)} An image takes {energy.min():.0f} to {energy.max():.0f} pJ. Rewriting "
        "the codes to make up for shared supplies changes accuracy by "
        f"{signed(rewriting.min())} to {signed(rewriting.max())} points; tuning the shared "
        f"supplies again changes it by {signed(again.min())} to {signed(again.max())}."
    )
