"""The figure of `Engram`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, second

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, legend, panels
from neuromod.support.text import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.engram.protocol import Engram

RASTER = 0.5 * second
GROUPS = {"cued": ORANGE, "uncued": RED, "others": BLUE}
RATES = {"engram": RED, "others": BLUE, "inhibitory": PURPLE}
# Synapses onto and from the engram are as many: every neuron has as many axonal as dendritic ones.
PAIRS = {
    "within_engram": (RED, "within engram"),
    "onto_engram": (GREEN, "engram and others"),
    "among_others": (BLUE, "among others"),
}
MOMENTS = {"naive": "o:", "learned": "o-", "forgotten": "s--"}


def plot(
    protocol: Engram, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Rates and connectivity while learning, forgetting, recall, and spikes of a recall."""
    layout = [["rates", "synapses", "forgetting"], ["recalled", "quality", "raster"]]
    figure, axes = panels(layout, width=14, height=6.5)
    table, history = tables["table"], tables["history"]
    _plot_learning(protocol, axes, history[history.time_s <= tables["wirings"].time_s[1]])
    _plot_forgetting(axes["forgetting"], protocol.forgotten(tables))
    _plot_recalled(axes["recalled"], table[table.moment == "learned"])
    _plot_quality(axes["quality"], table[table.recall.notna()])
    number = int(np.argmin(np.abs(protocol.cues - 0.5)))
    groups = protocol.groups(protocol.cues[number])
    shown = {name: groups[name] + number * protocol.size for name in GROUPS}
    shown["others"] = shown["others"][: protocol.members]
    colored = {name: (shown[name], color) for name, color in GROUPS.items()}
    protocol.draw_raster(axes["raster"], recordings["learned"], RASTER, colored)
    cued = percent(float(protocol.cues[number]))
    axes["raster"].set_title(f"f  Spikes of the learned network, {cued} cued")
    return figure


def _plot_learning(protocol: Engram, axes: Any, learning: pd.DataFrame) -> None:
    """Rates, and synapses within and between the groups, up to the end of learning."""
    minutes = learning.time_s / 60
    rates, synapses = axes["rates"], axes["synapses"]
    for name, color in RATES.items():
        rates.plot(minutes, learning[f"{name}_Hz"], color=color, label=name)
    for name, (color, label) in PAIRS.items():
        synapses.plot(minutes, learning[name], color=color, label=label)
    for panel in (rates, synapses):
        look = {"color": BLACK, "alpha": 0.1, "lw": 0, "label": "stimulus"}
        within = panel.get_xaxis_transform()
        panel.fill_between(
            minutes, 0, 1, where=learning.input == 1, step="post", transform=within, **look
        )
        panel.set(xlabel="time (min)", ylim=(0, None))
    target = float(protocol.plasticity.target / Hz)
    rates.axhline(target, color=BLACK, lw=0.8, ls=":", label="target")
    rates.set(ylabel="rate (Hz)", title="a  Rates while learning (theory)")
    synapses.set(ylabel="synapses per pair", title="b  Connectivity")
    legend(rates)
    legend(synapses)


def _plot_forgetting(axes: Any, course: pd.DataFrame) -> None:
    axes.plot(course.time_h, course.within_engram, color=RED, label="within engram")
    axes.plot(course.time_h, course.predicted, "--", color=BLACK, label="by turnover alone")
    axes.plot(course.time_h, course.everyone, "--", color=BLUE, label="all pairs")
    axes.set(
        xlabel="time after learning (h)",
        ylabel="synapses per pair",
        ylim=(0, None),
        title="c  Forgetting",
    )
    legend(axes)


def _plot_recalled(axes: Any, rows: pd.DataFrame) -> None:
    """Rates under cues: spikes as points, theory as lines."""
    for name, color in GROUPS.items():
        axes.plot(rows.cue, rows[f"mean_field_{name}_Hz"], "-", color=color, lw=1)
        axes.plot(rows.cue, rows[f"{name}_Hz"], "o", color=color, ms=4, label=name)
    axes.set(
        xlabel="cued share of the engram",
        ylabel="rate (Hz)",
        ylim=(0, None),
        title="d  Rates of the learned network",
    )
    legend(axes, also={"theory": {"color": BLACK, "lw": 1}})


def _plot_quality(axes: Any, cues: pd.DataFrame) -> None:
    """Recall against the cue at each moment, and the range of chance."""
    for moment, line in MOMENTS.items():
        rows = cues[cues.moment == moment]
        axes.plot(rows.cue, rows.recall, line, color=BLACK, ms=4, label=moment)
    rows = cues[cues.moment == "learned"]
    low, high = 0.5 - 2 * rows.chance_sd, 0.5 + 2 * rows.chance_sd
    axes.fill_between(rows.cue, low, high, color=BLACK, alpha=0.1, lw=0, label="chance, 2 SD")
    axes.set(
        xlabel="cued share of the engram",
        ylabel="area under ROC curve",
        ylim=(0.3, 1.03),
        title="e  Recall: uncued against others",
    )
    legend(axes)
