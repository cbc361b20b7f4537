"""The figure of `FiveNetworks`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.plasticity.network import NETWORKS
from neuromod.plasticity.rules import START
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, ORANGE, PURPLE, SKY, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.families.five_networks.study import FiveNetworks

COLORS = dict(zip(NETWORKS, (BLACK, SKY, ORANGE, BLUE, PURPLE), strict=True))
MARKERS = dict(zip(NETWORKS, "xo^sD", strict=True))
SYMBOLS = {
    "eta_Hz": "η",
    "tau_pre_s": "τ pre",
    "tau_post_s": "τ post",
    "tau_theta_s": "τ θ",
    "target": "y₀",
    "tau_e_s": "τ e",
    "tau_c_s": "τ c",
}


def plot(
    study: FiveNetworks, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Learning, success against delay and noise, course of an episode, and learned rules."""
    del recordings
    layout = [["curves", "delay", "noise"], ["plastic", "modulator", "rules"]]
    figure, axes = panels(layout, width=11, height=6.8)
    _plot_curves(axes["curves"], tables["curves"], study.chance)
    _plot_success(study, axes["delay"], axes["noise"], tables["table"])
    _plot_course(axes["plastic"], axes["modulator"], tables["course"])
    _plot_rules(axes["rules"], tables["rules"])
    handles, labels = axes["curves"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _plot_curves(axes: Any, curves: pd.DataFrame, chance: float) -> None:
    """Mean success in learning, and its standard deviation over seeds."""
    _draw_chance(axes, chance)
    for network, rows in curves.groupby("network", sort=False):
        found = rows.groupby("step").success.agg(["mean", "std"]).fillna(0)
        look = {"color": COLORS[network], "marker": MARKERS[network], "ms": 3, "label": network}
        low, high = found["mean"] - found["std"], found["mean"] + found["std"]
        axes.fill_between(found.index, low, high, color=COLORS[network], alpha=0.2, lw=0)
        axes.plot(found.index, found["mean"], **look)
    axes.set(xlabel="step of learning", title="a  Learning (dashed: guessing)")


def _plot_success(study: FiveNetworks, delays: Any, noises: Any, table: pd.DataFrame) -> None:
    """Success against each of the two, at the most of the other in learning."""
    noise_learned, delay_learned = study.hardest
    noise = _nearest(table[study.noise_column], noise_learned)
    delay = _nearest(table.delay_ms, delay_learned)
    _plot_spread(delays, table[table[study.noise_column] == noise], "delay_ms", study.chance)
    _plot_spread(noises, table[table.delay_ms == delay], study.noise_column, study.chance)
    delays.axvline(delay_learned, color=BLACK, lw=0.8, ls=":")
    noises.axvline(noise_learned, color=BLACK, lw=0.8, ls=":")
    delays.set(
        xlabel="delay (ms); learned up to dotted line",
        title=f"b  Success at {study.noise_label.format(say(noise, digits=2))}",
    )
    noises.set(
        xlabel=f"{study.noise_axis}; learned up to dotted line",
        title=f"c  Success at a delay of {say(delay, 'ms')}",
    )


def _plot_spread(axes: Any, table: pd.DataFrame, column: str, chance: float) -> None:
    """Success of every kind of network against a column: mean and standard deviation of seeds."""
    _draw_chance(axes, chance)
    for network, rows in table.groupby("network", sort=False):
        found = rows.groupby(column).success.agg(["mean", "std"]).fillna(0)
        look = {"color": COLORS[network], "marker": MARKERS[network], "ms": 4, "capsize": 2}
        axes.errorbar(found.index, found["mean"], found["std"], **look)


def _draw_chance(axes: Any, chance: float) -> None:
    axes.axhline(chance, color=BLACK, lw=0.8, ls="--")
    axes.set(ylabel="success", ylim=(0, 1.03))


def _plot_course(plastic: Any, modulator: Any, course: pd.DataFrame) -> None:
    for axes, column in ((plastic, "plastic_rms"), (modulator, "concentration")):
        if column not in course:
            axes.set_axis_off()
            continue
        for network, rows in course.dropna(subset=[column]).groupby("network", sort=False):
            means = rows.groupby("time_ms")[column].mean()
            axes.plot(means.index, means, color=COLORS[network])
        axes.set(xlabel="time in an episode (ms)", ylim=(0, None))
    plastic.set(ylabel="plastic trace E (rms)", title="d  Plastic traces")
    modulator.set(ylabel="concentration c", title="e  Modulator")


def _plot_rules(axes: Any, rules: pd.DataFrame) -> None:
    """Learned values over those at the start."""
    names = [name for name in START if name in rules]
    for row in rules.itertuples():
        number = list(COLORS).index(row.network)
        at = np.arange(len(names)) + 0.15 * (number - 2.5)
        ratios = [getattr(row, name) / START[name] for name in names]
        axes.plot(ratios, at, MARKERS[row.network], color=COLORS[row.network], ms=4)
    axes.axvline(1, color=BLACK, lw=0.8, ls="--")
    axes.set_yticks(range(len(names)), [SYMBOLS[name] for name in names])
    axes.set(xlabel="learned value over its start", title="f  Learned rules")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def _nearest(column: pd.Series, value: float) -> float:
    return float(column.iloc[(column - value).abs().argmin()])
