"""The figure of `ChipNetwork`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.protocols.chip_network.words import LINES, METHODS
from neuromod.recording import Recording
from neuromod.support.figures import (
    BLACK,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    legend,
    ordered_colors,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.chip_network.protocol import ChipNetwork

MEMORIES = {"kept": BLACK, "rewritten": PURPLE}
END = 8.0
BINS = 12


def plot(
    protocol: ChipNetwork, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Accuracy by method and bits, gains, accuracy and energy against supplies."""
    del recordings
    figure, axes = panels([["methods", "gains"], ["supplies", "energy"]], width=10, height=8)
    _plot_methods(axes["methods"], tables["methods"])
    _plot_gains(axes["gains"], tables["gains"], *protocol.reach)
    _plot_supplies(axes["supplies"], tables["supplies"], "test_accuracy", 100)
    axes["supplies"].set(ylabel="test images right (%)", title="c  Accuracy with shared supplies")
    _plot_supplies(axes["energy"], tables["supplies"], "energy_per_image_pJ", 1)
    axes["energy"].set(ylabel="energy per image (pJ)", title="d  Energy from both supplies")
    figure.legend(
        *axes["supplies"].get_legend_handles_labels(), loc="outside lower center", ncols=2
    )
    return figure


def _plot_methods(axes: Any, methods: pd.DataFrame) -> None:
    names = list(METHODS)
    sizes = sorted(methods.bits.unique())
    width = 0.8 / len(sizes)
    for number, (bits, color) in enumerate(zip(sizes, ordered_colors(len(sizes)), strict=True)):
        rows = methods[methods.bits == bits].set_index("method").reindex(names)
        at = np.arange(len(names)) + (number - (len(sizes) - 1) / 2) * width
        axes.bar(
            at,
            100 * rows.test_accuracy_mean,
            width * 0.92,
            yerr=100 * rows.test_accuracy_sd.fillna(0),
            color=color,
            ecolor=BLACK,
            label=f"{bits} bits",
        )
        before = 100 * rows.trained_accuracy_mean
        label = None if number else "off the chip"
        axes.hlines(before, at - width / 2, at + width / 2, color=RED, lw=2, label=label)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="test images right (%)", ylim=(0, None), title="a  Accuracy on the chip")
    legend(axes, below=True)


def _plot_gains(axes: Any, gains: pd.DataFrame, low: float, high: float) -> None:
    # Edges of bins lie at the ends of the reach, where many bounded gains are.
    width = (high - low) / BINS
    edges = low + width * np.arange(-np.ceil((END + low) / width), np.ceil((END - low) / width) + 1)
    inside = (low + width / 2, high - width / 2)
    for method, color, ends in (("free", ORANGE, edges[[0, -1]]), ("bounded", GREEN, inside)):
        own = gains.gain[gains.method == method].clip(*ends)
        axes.hist(own, edges, color=color, histtype="stepfilled", alpha=0.7, label=method)
    axes.axvspan(low, high, color=BLACK, alpha=0.12, lw=0, label="reach of 0.5 to 1 V")
    axes.set(
        xlabel=f"gain of a neuron (beyond ±{END:g} in the last bins)",
        ylabel="neurons",
        title="b  Gains, all seeds",
    )
    legend(axes, below=True)


def _plot_supplies(axes: Any, supplies: pd.DataFrame, measure: str, factor: float) -> None:
    mean, spread = f"{measure}_mean", f"{measure}_sd"
    own = supplies[supplies.grouping == "neuron"]
    for (memory, again), name in LINES.items():
        rows = supplies[(supplies.memory == memory) & (supplies.again == again)]
        line = pd.concat([own, rows[rows.grouping == "k-means"]]).sort_values("supplies")
        look: Any = {"color": MEMORIES[memory], "marker": "os"[again], "ms": 5, "clip_on": False}
        high, error = factor * line[mean], factor * line[spread].fillna(0)
        style = "--" if again else "-"
        axes.errorbar(line.supplies, high, error, ls=style, capsize=2, label=name, **look)
        layer = rows[rows.grouping == "layer"]
        axes.plot(layer.supplies, factor * layer[mean], mfc="white", ls="", **look)
    axes.set(xlabel="supplies (hollow: one per layer)", xscale="log", ylim=(0, None))
    ticks = sorted(supplies.supplies.unique())
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
