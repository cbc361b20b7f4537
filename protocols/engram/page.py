"""The page of `Engram`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, second
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    Family,
    label,
    legend,
    panels,
)
from neuromod.support.text import number, percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.engram.protocol import Engram

RASTER = 0.5 * second
# Levels of inhibition for which the transfer function is drawn.
SHOWN = [0, 3, 5, 7]
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
# What the predicted rates are called in figure and report.
NAMES = {"mean_field": "theory", "transfer_function": "transfer function"}


def plot(protocol: Engram, tables: Tables, recordings: Recordings) -> Figure:
    """Rates and connectivity while learning, forgetting, recall, and spikes of a recall."""
    layout = [["rates", "synapses", "forgetting"], ["recalled", "quality", "raster"]]
    measured = tables.get("transfer_function")
    if measured is not None:
        layout = [[*layout[0], "measured"], [*layout[1], "raster"]]
    figure, axes = panels(layout, width=14 if measured is None else 18.5, height=6.5)
    if measured is not None:
        _plot_measured(axes["measured"], measured)
    table, history = tables["table"], tables["history"]
    _plot_learning(protocol, axes, history[history.time_s <= tables["wirings"].time_s[1]])
    _plot_forgetting(axes["forgetting"], protocol.forgotten(tables))
    _plot_recalled(axes["recalled"], table[table.moment == "learned"], protocol.prediction)
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
    title = f"a  Rates while learning ({NAMES[protocol.prediction]})"
    label(rates, title, "time (min)", "rate (Hz)")
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


def _plot_recalled(axes: Any, rows: pd.DataFrame, prediction: str) -> None:
    """Rates under cues: spikes as points, prediction as lines."""
    for name, color in GROUPS.items():
        axes.plot(rows.cue, rows[f"{prediction}_{name}_Hz"], "-", color=color, lw=1)
        axes.plot(rows.cue, rows[f"{name}_Hz"], "o", color=color, ms=4, label=name)
    label(axes, "d  Rates of the learned network", CUED, "rate (Hz)", ylim=(0, None))
    legend(axes, also={NAMES[prediction]: {"color": BLACK, "lw": 1}})


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


def _plot_measured(axes: Any, measured: pd.DataFrame) -> None:
    """Rates of single neurons under Poisson input as points, the surface as lines."""
    nodes = measured[measured.point == "node"]
    levels = np.unique(nodes.inhibition_Hz)[SHOWN]
    inhibition = Family(np.round(levels), "inhibition (spikes/s)", "green")
    for level, color in zip(levels, inhibition.colors, strict=True):
        rows = nodes[nodes.inhibition_Hz == level]
        axes.plot(rows.net_drive_Hz / 1000, rows.interpolated_Hz, "-", color=color, lw=1)
        axes.plot(rows.net_drive_Hz / 1000, rows.rate_Hz, "o", color=color, ms=3)
    label(axes, "g  Transfer function", "net drive (1000 spikes/s)", "rate (Hz)", ylim=(0, None))
    inhibition.explain(axes)


def report(protocol: Engram, tables: Tables) -> list[Section]:
    """What is stored, that it is silent, how it is recalled, and how it is lost."""
    return [
        Section("Learning", _on_learning(protocol, tables["wirings"]), "wirings"),
        Section("Silence and recall", _on_recall(protocol, tables["table"]), "table"),
        Section("Forgetting", _on_forgetting(protocol.forgotten(tables))),
        *_on_method(protocol, tables),
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
        f"at {say(protocol.plasticity.target)}. The {NAMES[protocol.prediction]} asks for {wanted} "
        f"synapses per neuron; the network has {before} before and {after} after learning. "
        "Learning moves synapses rather than adding them: those per pair of neurons go from "
        f"{within} to {now_within} within the engram, and from {across} to {now_across} between "
        "engram and others. No synapse reads the activity of both of its neurons."
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
        f"spiking networks; columns that begin with {protocol.prediction} are those that "
        f"the {NAMES[protocol.prediction]} gives for the same synapses."
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


def _on_method(protocol: Engram, tables: Tables) -> list[Section]:
    """What rewiring ran on, how near it comes to spikes, and how it was measured, if it was."""
    name = NAMES[protocol.prediction]
    table, groups = tables["table"], (*GROUPS, "inhibitory")
    ratios = [table[f"{group}_Hz"] / table[f"{protocol.prediction}_{group}_Hz"] for group in groups]
    off = (pd.concat(ratios) - 1).abs()
    text = (
        f"Rewiring runs on rates by the {name}, one for each neuron from its own synapses, and on "
        "spike counts drawn with these rates and the variance of trains whose intervals have a CV "
        f"of {number(protocol.irregularity, 3)}. Correlations between neurons are left out. "
        "Spiking networks are simulated with the synapses of three moments: their groups fire "
        f"{percent(off.mean(), 2)} off the {name} on average and {percent(off.max(), 2)} at most, "
        f"with CVs of {span(table.cv, digits=2)} and correlations of "
        f"{span(table.correlation, digits=2)} over {say(protocol.bin)}."
    )
    if protocol.neuron.receptors:
        text += " No ligand reaches the receptors of the neurons."
    sections = [Section("Method", text)]
    if "transfer_function" in tables:
        about = _on_measuring(protocol, tables["transfer_function"])
        sections.append(Section("Transfer function", about, "transfer_function"))
    return sections


def _on_measuring(protocol: Engram, measured: pd.DataFrame) -> str:
    tested = measured[measured.point == "between"]
    off = np.sqrt(np.mean((tested.rate_Hz - tested.interpolated_Hz) ** 2))
    chance = np.sqrt(np.mean(tested.rate_se_Hz**2))
    return (
        "Mean-field theory has no rate of this neuron in closed form. It was measured: single "
        f"neurons fired for {say(protocol.probing)} under Poisson spikes of the network's weights. "
        "The table has their rates by the net drive (excitatory spikes a second, less "
        f"{number(protocol.g or 1, 3)} times the inhibitory ones) and by the inhibition. A smooth "
        f"surface through these nodes gives the rates between them. At {say(len(tested))} points "
        f"in the middle between nodes it is off by {number(off, 2)} Hz (root mean square), of "
        f"which {number(chance, 2)} Hz are the chance of what was measured there. Brian2's runtime "
        "measures whatever the device, so that all devices get the same synapses."
    )
