"""The page of `Engram`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, second

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, label, legend, panels
from neuromod.support.text import number, percent, say, span

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


def plot(protocol: Engram, tables: Tables, recordings: Recordings) -> Figure:
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
    for name, (color, which) in PAIRS.items():
        synapses.plot(minutes, learning[name], color=color, label=which)
    for panel in (rates, synapses):
        look = {"color": BLACK, "alpha": 0.1, "lw": 0, "label": "stimulus"}
        within = panel.get_xaxis_transform()
        panel.fill_between(
            minutes, 0, 1, where=learning.input == 1, step="post", transform=within, **look
        )
        panel.set(xlabel="time (min)", ylim=(0, None))
    target = float(protocol.plasticity.target / Hz)
    rates.axhline(target, color=BLACK, lw=0.8, ls=":", label="target")
    label(rates, "a  Rates while learning (theory)", y="rate (Hz)")
    label(synapses, "b  Connectivity", y="synapses per pair")
    legend(rates)
    legend(synapses)


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
    label(
        axes,
        "d  Rates of the learned network",
        "cued share of the engram",
        "rate (Hz)",
        ylim=(0, None),
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
    label(
        axes,
        "e  Recall: uncued against others",
        "cued share of the engram",
        "area under ROC curve",
        ylim=(0.3, 1.03),
    )
    legend(axes)


def report(protocol: Engram, tables: Tables) -> list[Section]:
    """What is stored, that it is silent, how it is recalled, and how it is lost."""
    table, wirings = tables["table"], tables["wirings"].set_index("moment")
    return [
        Section("Learning", _on_learning(protocol, wirings), "wirings"),
        Section("Silence and recall", _on_recall(protocol, table), "table"),
        Section("Forgetting", _on_forgetting(protocol, tables)),
        Section("Method", _on_theory(protocol, table)),
    ]


def _on_learning(protocol: Engram, wirings: pd.DataFrame) -> str:
    naive, learned = wirings.loc["naive"], wirings.loc["learned"]
    return (
        "Excitatory neurons start without synapses among themselves and grow them until they fire "
        f"at {say(protocol.plasticity.target)}. Theory asks for "
        f"{number(naive.homeostatic_indegree, 3)} synapses per neuron; the network has "
        f"{number(naive.indegree, 3)} before and {number(learned.indegree, 3)} after learning. "
        "Learning moves synapses rather than adding them. Within the engram there were "
        f"{number(naive.within_engram, 3)} synapses per pair of neurons, and now there are "
        f"{number(learned.within_engram, 3)}; "
        f"between engram and others, {number(naive.onto_engram, 3)} and "
        f"{number(learned.onto_engram, 3)}. No synapse reads the activity of both of its neurons."
    )


def _on_recall(protocol: Engram, table: pd.DataFrame) -> str:
    learned = table[table.moment == "learned"]
    silent = learned[learned.cue == 0].iloc[0]
    found = "; ".join(
        f"with {percent(row.cue)} of it cued, the rest fires at {say(row.uncued_Hz, 'Hz', 3)} and "
        f"the others at {say(row.others_Hz, 'Hz', 3)} (recall {number(row.recall, 3)})"
        for row in learned.itertuples()
        if 0 < row.cue < 1
    )
    cued = f"In the same network, {found}. " if found else ""
    return (
        f"Without a cue, the engram fires at {say(silent.uncued_Hz, 'Hz', 3)} after learning and "
        f"the others at {say(silent.others_Hz, 'Hz', 3)}: recall {number(silent.recall, 3)}. "
        f"{cued}Recall is the probability that an uncued neuron of the engram fires more spikes in "
        f"{say(protocol.dwell)} than one outside (the area under the ROC curve); 0.5 is chance, "
        "with the standard deviation chance_sd. Rates are those of spiking networks; columns that "
        "begin with mean_field are the theory's for the same synapses."
    )


def _on_forgetting(protocol: Engram, tables: Tables) -> str:
    course = protocol.forgotten(tables)
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
    groups = ("cued", "uncued", "others", "inhibitory")
    ratios = [table[f"{name}_Hz"] / table[f"mean_field_{name}_Hz"] for name in groups]
    off = (pd.concat(ratios) - 1).abs()
    return (
        "Rewiring runs on mean-field rates, one for each neuron from its own synapses, and on "
        "spike counts drawn with these rates and the variance of trains whose intervals have a CV "
        f"of {number(protocol.irregularity, 3)}. Correlations between neurons are left out. "
        "Spiking networks are simulated with the synapses of three moments: their groups fire "
        f"{percent(off.mean(), 2)} off theory on average and {percent(off.max(), 2)} at most, with "
        f"CVs of {span(table.cv, digits=2)} and correlations of "
        f"{span(table.correlation, digits=2)} over {say(protocol.neuron.tau_m)}. Homeostasis "
        "driven by the spikes themselves would remove the difference at rest."
    )
