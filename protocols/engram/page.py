"""The page of `Engram`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, second
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, label, legend, panels
from neuromod.support.text import number, percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.engram.protocol import Engram

RASTER = 0.5 * second
CUED = "cued share of the engram"
GROUPS = {"cued": ORANGE, "uncued": RED, "others": BLUE}
RATES = {"engram": RED, "others": BLUE, "inhibitory": PURPLE}
# Synapses onto and from the engram are as many: every neuron has as many axonal as dendritic ones.
PAIRS = {
    "within_engram": (RED, "within engram"),
    "onto_engram": (GREEN, "engram and others"),
    "among_others": (BLUE, "among others"),
}
MOMENTS = {"naive": "o:", "learned": "o-", "forgotten": "s--"}


def plot(protocol: Engram, tables: Tables, recordings: Recordings) -> Figure:
    """Rates and connectivity while learning, forgetting, recall, and spikes of a recall."""
    layout = [["rates", "synapses", "forgetting"], ["recalled", "quality", "raster"]]
    figure, axes = panels(layout, width=14, height=6.5)
    table, history = tables["table"], tables["history"]
    _plot_learning(protocol, axes, history[history.time_s <= tables["wirings"].time_s[1]])
    _plot_forgetting(axes["forgetting"], protocol.forgotten(tables))
    _plot_recalled(axes["recalled"], table[table.moment == "learned"])
    _plot_quality(axes["quality"], table[table.recall.notna()])
    copy = int(np.argmin(np.abs(protocol.cues - 0.5)))
    neurons, first = protocol.groups(protocol.cues[copy]), copy * protocol.size
    neurons["others"] = neurons["others"][: protocol.members]
    shown = {name: (neurons[name] + first, color) for name, color in GROUPS.items()}
    protocol.draw_raster(axes["raster"], recordings["learned"], RASTER, shown)
    cued = percent(float(protocol.cues[copy]))
    axes["raster"].set_title(f"f  Spikes of the learned network, {cued} cued")
    return figure


def _plot_learning(protocol: Engram, axes: Any, learning: pd.DataFrame) -> None:
    """Rates, and synapses within and between the groups, up to the end of learning."""
    minutes = learning.time_s / 60
    rates, synapses = axes["rates"], axes["synapses"]
    for name, color in RATES.items():
        rates.plot(minutes, learning[f"{name}_Hz"], color=color, label=name)
    for name, (color, which) in PAIRS.items():
        synapses.plot(minutes, learning[name], color=color, label=which)
    target = float(protocol.plasticity.target / Hz)
    rates.axhline(target, color=BLACK, lw=0.8, ls=":", label="target")
    label(rates, "a  Rates while learning (theory)", "time (min)", "rate (Hz)")
    label(synapses, "b  Connectivity", "time (min)", "synapses per pair")
    for panel in (rates, synapses):
        look = {"color": BLACK, "alpha": 0.1, "lw": 0, "step": "post", "label": "stimulus"}
        look["transform"] = panel.get_xaxis_transform()
        panel.fill_between(minutes, 0, 1, where=learning.input == 1, **look)
        panel.set_ylim(0, None)
        legend(panel)


def _plot_forgetting(axes: Any, course: pd.DataFrame) -> None:
    axes.plot(course.time_h, course.within_engram, color=RED, label="within engram")
    axes.plot(course.time_h, course.predicted, "--", color=BLACK, label="by turnover alone")
    axes.plot(course.time_h, course.everyone, "--", color=BLUE, label="all pairs")
    label(axes, "c  Forgetting", "time after learning (h)", "synapses per pair", ylim=(0, None))
    legend(axes)


def _plot_recalled(axes: Any, rows: pd.DataFrame) -> None:
    """Rates under cues: spikes as points, theory as lines."""
    for name, color in GROUPS.items():
        axes.plot(rows.cue, rows[f"mean_field_{name}_Hz"], "-", color=color, lw=1)
        axes.plot(rows.cue, rows[f"{name}_Hz"], "o", color=color, ms=4, label=name)
    label(axes, "d  Rates of the learned network", CUED, "rate (Hz)", ylim=(0, None))
    legend(axes, also={"theory": {"color": BLACK, "lw": 1}})


def _plot_quality(axes: Any, cues: pd.DataFrame) -> None:
    """Recall against the cue at each moment, and the range of chance."""
    for moment, line in MOMENTS.items():
        rows = cues[cues.moment == moment]
        axes.plot(rows.cue, rows.recall, line, color=BLACK, ms=4, label=moment)
    rows = cues[cues.moment == "learned"]
    low, high = 0.5 - 2 * rows.chance_sd, 0.5 + 2 * rows.chance_sd
    axes.fill_between(rows.cue, low, high, color=BLACK, alpha=0.1, lw=0, label="chance, 2 SD")
    title = "e  Recall: uncued against others"
    label(axes, title, CUED, "area under ROC curve", ylim=(0.3, 1.03))
    legend(axes)


def report(protocol: Engram, tables: Tables) -> list[Section]:
    """What is stored, that it is silent, how it is recalled, and how it is lost."""
    return [
        Section("Learning", _on_learning(protocol, tables["wirings"]), "wirings"),
        Section("Silence and recall", _on_recall(protocol, tables["table"]), "table"),
        Section("Forgetting", _on_forgetting(protocol.forgotten(tables))),
        Section("Method", _on_theory(protocol, tables["table"])),
    ]


def _on_learning(protocol: Engram, wirings: pd.DataFrame) -> str:
    naive, learned = wirings.iloc[0], wirings.iloc[1]
    per_neuron = naive.homeostatic_indegree, naive.indegree, learned.indegree
    wanted, before, after = (number(synapses, 3) for synapses in per_neuron)
    within, now_within, across, now_across = (
        number(moment[pairs], 3)
        for pairs in ("within_engram", "onto_engram")
        for moment in (naive, learned)
    )
    return (
        "Excitatory neurons start without synapses among themselves and grow them until they fire "
        f"at {say(protocol.plasticity.target)}. Theory asks for {wanted} synapses per neuron; the "
        f"network has {before} before and {after} after learning. Learning moves synapses rather "
        f"than adding them: those per pair of neurons go from {within} to {now_within} within the "
        f"engram, and from {across} to {now_across} between engram and others. No synapse reads "
        "the activity of both of its neurons."
    )


def _on_recall(protocol: Engram, table: pd.DataFrame) -> str:
    learned = table[table.moment == "learned"]
    found = [
        f"with {percent(row.cue)} of the engram cued, the rest of it fires at "
        f"{say(row.uncued_Hz, 'Hz', 3)} and the others at {say(row.others_Hz, 'Hz', 3)} (recall "
        f"{number(row.recall, 3)})"
        for row in learned[learned.cue < 1].itertuples()
    ]
    return (
        f"After learning, {'; '.join(found)}. Recall is the probability that an uncued neuron of "
        f"the engram fires more spikes in {say(protocol.dwell)} than one outside (the area under "
        "the ROC curve); 0.5 is chance, with the standard deviation chance_sd. Rates are those of "
        "spiking networks; columns that begin with mean_field are the theory's for the same "
        "synapses."
    )


def _on_forgetting(course: pd.DataFrame) -> str:
    first, last = course.iloc[0], course.iloc[-1]
    left, predicted = (
        percent((last[column] - last.everyone) / (first.within_engram - first.everyone))
        for column in ("within_engram", "predicted")
    )
    return (
        "Synapses turn over while nothing happens, because calcium follows single spikes. Deleted "
        "ones come back between neurons drawn at random, so the engram's excess of synapses "
        f"decays with the share deleted. After {say(last.time_h, 'h', 3)} {left} of it is left; "
        f"{predicted} would be by turnover alone."
    )


def _on_theory(protocol: Engram, table: pd.DataFrame) -> str:
    groups = (*GROUPS, "inhibitory")
    ratios = [table[f"{name}_Hz"] / table[f"mean_field_{name}_Hz"] for name in groups]
    off = (pd.concat(ratios) - 1).abs()
    return (
        "Rewiring runs on mean-field rates, one for each neuron from its own synapses, and on "
        "spike counts drawn with these rates and the variance of trains whose intervals have a CV "
        f"of {number(protocol.irregularity, 3)}. Correlations between neurons are left out. "
        "Spiking networks are simulated with the synapses of three moments: their groups fire "
        f"{percent(off.mean(), 2)} off theory on average and {percent(off.max(), 2)} at most, with "
        f"CVs of {span(table.cv, digits=2)} and correlations of "
        f"{span(table.correlation, digits=2)} over {say(protocol.neuron.tau_m)}."
    )
