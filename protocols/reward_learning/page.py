"""The page of `RewardLearning`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, second, umolar
from matplotlib.figure import Figure

from neuromod.models.postsynaptic import LIGAND
from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.reward_learning.cells import WATCHED, dimensions
from neuromod.recording import Recording
from neuromod.support import figures
from neuromod.support.figures import BLACK, GREEN, ORANGE, PURPLE, Family, label, legend, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.reward_learning.protocol import RewardLearning

BINS = 8
STIMULI = {"rewarded": figures.RED, "others": figures.SKY}


def plot(protocol: RewardLearning, tables: Tables, recordings: Recordings) -> Figure:
    """One pair over time, credit with its closed form, and the effect of conditioning."""
    del protocol
    layout = [["course", "lags", "delays"], ["plastic", "responses", "cells"]]
    figure, axes = panels(layout, width=14, height=6.5)
    _plot_course(axes["course"], recordings["pairs"])
    credit = tables["credit"]
    _plot_credit(axes["lags"], credit, "lag_ms", "delay_s", second, "reward after")
    positive = credit[credit.lag_ms > 0]
    _plot_credit(axes["delays"], positive, "delay_s", "lag_ms", ms, "post after pre")
    axes["lags"].axhline(0, color=BLACK, lw=0.8)
    label(axes["lags"], "b  Credit of a pair", "post after pre (ms)")
    label(axes["delays"], "c  Credit falls with the delay", "reward after the pair (s)")
    axes["delays"].set_yscale("log")
    _plot_plastic(axes["plastic"], tables["table"])
    _plot_responses(axes["responses"], tables["responses"])
    _plot_cells(axes["cells"], tables["cells"])
    return figure


def _plot_course(axes: Any, recording: Recording) -> None:
    synapse = recording.signals["synapses"]
    conc = recording.signals["cells"][f"conc_{LIGAND}"].values[0] / umolar
    traces = synapse["eligibility"].values[0], conc, synapse["E"].values[0]
    times, *shown = figures.thin(recording.times / second, *traces)
    names = {"eligibility": PURPLE, "modulator (µM)": ORANGE, "plastic trace E": GREEN}
    for (name, color), values in zip(names.items(), shown, strict=True):
        axes.plot(times, values, color=color, label=name)
    label(axes, "a  One pair, rewarded late", "time (s)", xlim=(0, None))
    legend(axes)


def _plot_credit(
    axes: Any, credit: pd.DataFrame, across: str, each: str, unit: Any, title: str
) -> None:
    """Credit of pairs as points, and its closed form as lines."""
    family = Family(np.unique(credit[each]) * unit, title)
    for color, (_, rows) in zip(family.colors, credit.groupby(each), strict=True):
        axes.plot(rows[across], rows.credit, "o", color=color, ms=4)
        for _, side in rows.groupby(rows.lag_ms > 0):
            axes.plot(side[across], side.closed_form, color=color, lw=1)
    axes.set_ylabel("change of E")
    family.explain(axes, also={"closed form": {"color": BLACK, "lw": 1}})


def _plot_plastic(axes: Any, table: pd.DataFrame) -> None:
    colors = [STIMULI["rewarded" if rewarded else "others"] for rewarded in table.rewarded]
    axes.bar(table.stimulus, table.plastic, yerr=table.plastic_sd, color=colors, capsize=2)
    axes.axhline(0, color=BLACK, lw=0.8)
    axes.set_xticks(table.stimulus)
    title = "d  Gain of every stimulus (bars: SD of synapses)"
    label(axes, title, "stimulus (0 is rewarded)", "plastic trace E at the end")


def _plot_responses(axes: Any, responses: pd.DataFrame) -> None:
    edges = np.linspace(0, responses.time_s.max(), BINS + 1)
    bins = pd.cut(responses.time_s, edges, include_lowest=True)
    for name, color in STIMULI.items():
        own = responses[(responses.stimulus == 0) == (name == "rewarded")]
        found = own.groupby(bins, observed=False).response
        look = {"color": color, "marker": "o", "ms": 4, "capsize": 2, "label": name}
        axes.errorbar((edges[1:] + edges[:-1]) / 2, found.mean(), found.std(), **look)
    title = "e  Response to a presentation (bars: SD)"
    label(axes, title, "time (s)", "spikes per cell", ylim=(0, None))
    legend(axes)


def _plot_cells(axes: Any, cells: pd.DataFrame) -> None:
    for name, color in STIMULI.items():
        axes.plot(cells.release_uM, cells[f"plastic_{name}"], "o", color=color, ms=4, label=name)
    axes.axhline(0, color=BLACK, lw=0.8)
    title, across = "f  Volume transmission: one point a cell", "modulator per reward (µM)"
    label(axes, title, across, "plastic trace E, mean")
    legend(axes)


def report(protocol: RewardLearning, tables: Tables) -> list[Section]:
    """Credit and its closed form, the effect of reward, and what makes a cell fire."""
    table, credit = tables["table"], tables["credit"]
    off = np.abs(credit.credit - credit.closed_form).max() / np.abs(credit.credit).max()
    mine, others = table[table.rewarded].iloc[0], table[~table.rewarded]
    mean, spread = others.plastic.mean(), others.plastic.std()
    return [
        Section(
            "Credit of one pair",
            "A pair of spikes leaves an eligibility that decays with tau_e; a later release turns "
            "what is left of it into a change. The closed form is the integral of eligibility "
            f"times concentration. Simulated changes differ from it by at most {off:.2g} of the "
            "largest, because time steps sum where the closed form integrates.",
            "credit",
        ),
        Section(
            "Conditioning",
            f"The rewarded stimulus came {mine.presentations} times. The plastic traces of its "
            f"synapses ended at {mine.plastic:.2f} on average, those of the others at {mean:.2f} ± "
            f"{spread:.2f} (standard deviation over stimuli): {(mine.plastic - mean) / spread:.1f} "
            f"standard deviations apart. A presentation drew {mine.response_first:.2f} spikes from "
            f"a cell in the first quarter of the time and {mine.response_last:.2f} in the last; "
            f"one of another stimulus {others.response_first.mean():.2f} and "
            f"{others.response_last.mean():.2f}.",
            "table",
        ),
        Section(
            "Volume transmission",
            "A release reaches all synapses of a cell alike, and near cells more than far ones. "
            "Cells with more modulator learn faster, until their traces reach the bound.",
            "cells",
        ),
        *_about_firing(protocol, tables),
    ]


def _about_firing(protocol: RewardLearning, tables: Tables) -> list[Section]:
    """Section on what a weight is measured by; none in runs from before it was measured."""
    if "firing" not in tables:
        return []
    found = tables["firing"].iloc[0]
    dim = dimensions(protocol.neuron, found.variable)
    weight, kick = (Quantity(float(found[name]), dim=dim) for name in ("weight_of_1", "kick"))
    after = f"{say(float(found.latency_ms) * ms)} later"
    words = (
        f"Isolated pairs are driven by a step of {found.variable} by {say(kick)}, which makes a "
        f"resting cell fire once, {after}."
    )
    if found.spikes > 1:
        words = (
            f"{words.partition(' once')[0]} {say(int(found.spikes))} times within {say(WATCHED)}, "
            f"first {after}; no step makes it fire fewer times. The closed form is the sum over "
            "all spikes."
        )
    if protocol.relative:
        words = (
            f"A weight of 1 is {say(weight)}: the summed weight, to 2 %, of a volley that just "
            f"makes a resting cell fire, its spikes spread evenly over {say(protocol.jitter)}. "
            f"{words}"
        )
    if protocol.holding:
        words += f" All cells are held by a current of {say(protocol.holding)}."
    return [Section("What makes a cell fire", words, "firing")]
