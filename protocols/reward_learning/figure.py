"""The figure of `RewardLearning`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms, second, umolar

from neuromod.models.three_factor import LIGAND
from neuromod.recording import Recording
from neuromod.support.figures import (
    BLACK,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Family,
    legend,
    panels,
    thin,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.reward_learning.protocol import RewardLearning

BINS = 8
STIMULI = {"rewarded": RED, "others": SKY}


def plot(
    protocol: RewardLearning, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
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
    axes["lags"].set(xlabel="post after pre (ms)", title="b  Credit of a pair")
    axes["delays"].set(xlabel="reward after the pair (s)", title="c  Credit falls with the delay")
    axes["delays"].set_yscale("log")
    _plot_plastic(axes["plastic"], tables["table"])
    _plot_responses(axes["responses"], tables["responses"])
    _plot_cells(axes["cells"], tables["cells"])
    return figure


def _plot_course(axes: Any, recording: Recording) -> None:
    synapse = recording.signals["synapses"]
    conc = recording.signals["cells"][f"conc_{LIGAND}"].values[0] / umolar
    traces = synapse["eligibility"].values[0], conc, synapse["E"].values[0]
    times, *shown = thin(recording.times / second, *traces)
    names = {"eligibility": PURPLE, "modulator (µM)": ORANGE, "plastic trace E": GREEN}
    for (name, color), values in zip(names.items(), shown, strict=True):
        axes.plot(times, values, color=color, label=name)
    axes.set(xlabel="time (s)", title="a  One pair, rewarded late", xlim=(0, None))
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
    axes.set(
        xlabel="stimulus (0 is rewarded)",
        ylabel="plastic trace E at the end",
        title="d  Gain of every stimulus (bars: SD of synapses)",
    )


def _plot_responses(axes: Any, responses: pd.DataFrame) -> None:
    edges = np.linspace(0, responses.time_s.max(), BINS + 1)
    bins = pd.cut(responses.time_s, edges, include_lowest=True)
    for name, color in STIMULI.items():
        own = responses[(responses.stimulus == 0) == (name == "rewarded")]
        found = own.groupby(bins, observed=False).response
        look = {"color": color, "marker": "o", "ms": 4, "capsize": 2, "label": name}
        axes.errorbar((edges[1:] + edges[:-1]) / 2, found.mean(), found.std(), **look)
    axes.set(
        xlabel="time (s)",
        ylabel="spikes per cell",
        ylim=(0, None),
        title="e  Response to a presentation (bars: SD)",
    )
    legend(axes)


def _plot_cells(axes: Any, cells: pd.DataFrame) -> None:
    for name, color in STIMULI.items():
        axes.plot(cells.release_uM, cells[f"plastic_{name}"], "o", color=color, ms=4, label=name)
    axes.axhline(0, color=BLACK, lw=0.8)
    axes.set(
        xlabel="modulator per reward at the cell (µM)",
        ylabel="plastic trace E, mean",
        title="f  Volume transmission: one point a cell",
    )
    legend(axes)
