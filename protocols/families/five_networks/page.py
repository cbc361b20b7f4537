"""The page of `FiveNetworks`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.plasticity.network import NETWORKS
from neuromod.plasticity.rules import RULES, START
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, PURPLE, SKY, label, panels
from neuromod.support.text import listed, number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.families.five_networks.study import FiveNetworks

COLORS = dict(zip(NETWORKS, (BLACK, SKY, ORANGE, BLUE, PURPLE), strict=True))
MARKERS = dict(zip(NETWORKS, "xo^sD", strict=True))
SYMBOLS = dict(zip(START, ("η", "τ pre", "τ post", "τ θ", "y₀", "τ e", "τ c"), strict=True))


def plot(study: FiveNetworks, tables: Tables, recordings: Recordings) -> Figure:
    """Learning, success against delay and noise, course of an episode, and learned rules."""
    del recordings
    layout = [["curves", "delay", "noise"], ["plastic", "modulator", "rules"]]
    figure, axes = panels(layout, width=11, height=6.8)
    _plot_curves(axes["curves"], tables["curves"], study.chance)
    _plot_success(study, axes["delay"], axes["noise"], tables["table"])
    _plot_course(axes["plastic"], axes["modulator"], tables["course"])
    _plot_rules(axes["rules"], tables["rules"])
    named = axes["curves"].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=len(COLORS))
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
    label(axes, "a  Learning (dashed: guessing)", "step of learning")


def _plot_success(study: FiveNetworks, delays: Any, noises: Any, table: pd.DataFrame) -> None:
    """Success against each of the two, at the most of the other in learning."""
    noise_column, delay_column = study.noise_column, "delay_ms"
    noise_learned, delay_learned = study.hardest
    noise = _nearest(table[noise_column], noise_learned)
    delay = _nearest(table.delay_ms, delay_learned)
    for axes, rows, column, most in (
        (delays, table[table[noise_column] == noise], delay_column, delay_learned),
        (noises, table[table[delay_column] == delay], noise_column, noise_learned),
    ):
        _draw_chance(axes, study.chance)
        for network, own in rows.groupby("network", sort=False):
            found = own.groupby(column).success.agg(["mean", "std"]).fillna(0)
            look = {"color": COLORS[network], "marker": MARKERS[network], "ms": 4, "capsize": 2}
            axes.errorbar(found.index, found["mean"], found["std"], **look)
        axes.axvline(most, color=BLACK, lw=0.8, ls=":")
    learned, at = "; learned up to dotted line", study.noise_label.format(say(noise, digits=2))
    label(delays, f"b  Success at {at}", f"delay (ms){learned}")
    label(noises, f"c  Success at a delay of {say(delay, 'ms')}", f"{study.noise_axis}{learned}")


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
    label(plastic, "d  Plastic traces", y="plastic trace E (rms)")
    label(modulator, "e  Modulator", y="concentration c")


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
    label(axes, "f  Learned rules", "learned value over its start")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def _nearest(column: pd.Series, value: float) -> float:
    return float(column.iloc[(column - value).abs().argmin()])


def report(study: FiveNetworks, tables: Tables) -> list[Section]:
    """Success, learned rules, and method."""
    return [
        Section("Success", _on_success(study, tables["summary"]), "summary"),
        Section("Learned rules", _on_rules(tables["rules"]), "rules"),
        Section("Method", _on_method(study)),
    ]


def _on_success(study: FiveNetworks, summary: pd.DataFrame) -> str:
    found = "; ".join(
        f"{row.network} {_spread(row.success_learned_mean, row.success_learned_sd)}, beyond "
        f"{_spread(row.success_beyond_mean, row.success_beyond_sd)}"
        for row in summary.itertuples()
    )
    return (
        f"Share of right answers, mean and standard deviation over {study.seeds} networks of each "
        f"kind, within the noises and delays of learning and beyond them: {found}. Guessing is "
        f"right in {percent(study.chance, 2)}. {study.episodes} episodes resolve a share to "
        f"{number(50 / study.episodes**0.5, 2)} points at best. {_on_best(summary)}"
    )


def _on_best(summary: pd.DataFrame) -> str:
    """Gain by plasticity over none, and by modulation over plasticity, where both are there."""
    mean = 100 * summary.set_index("network").success_learned_mean
    gains = mean.drop("none", errors="ignore") - mean.get("none", np.nan)
    said = ""
    if gains.notna().any():
        said = (
            "Within the difficulties of learning, plastic networks exceed the network without "
            f"plasticity by {gains.min():.0f} to {gains.max():.0f} points. "
        )
    pairs = [rule for rule in RULES if {rule, f"modulated-{rule}"} <= set(mean.index)]
    if pairs:
        changes = [f"{mean[f'modulated-{r}'] - mean[r]:+.1f} points ({r})" for r in pairs]
        said += f"Modulation changes success by {listed(changes)}."
    return said


def _on_rules(rules: pd.DataFrame) -> str:
    names = [name for name in START if name in rules]
    means = rules.groupby("network", sort=False)[names].mean().dropna(how="all")
    learned = [
        f"{network}: {', '.join(f'{name} {value:.2g}' for name, value in row.dropna().items())}"
        for network, row in means.iterrows()
    ]
    starts = ", ".join(f"{name} {START[name]:g}" for name in names)
    return (
        f"Learned parameters of the layer, means over seeds: {'; '.join(learned)}. All started at "
        f"{starts}. Each synapse learns a coefficient alpha; alpha_rms is their root mean square. "
        "Each neuron of a modulated layer learns its own tonic and sensitivity in M = tonic + "
        "sensitivity c."
    )


def _on_method(study: FiveNetworks) -> str:
    return (
        "All networks have the same inputs, plastic layer and readout, and those of one seed start "
        f"with the same fixed weights. Modulated ones also have {study.modulators} modulatory "
        "neurons. The layer's neurons reach each other, so a network without plasticity can hold a "
        f"memory too, in its activity. Every network learns for {study.steps} steps of "
        f"{study.batch} new episodes. Plastic traces start at 0 in every episode. Test episodes "
        "are new, the same for all networks of one seed."
    )


def _spread(mean: float, sd: float) -> str:
    spread = "" if np.isnan(sd) else f" ± {100 * sd:.0f}"
    return "not tested" if np.isnan(mean) else f"{100 * mean:.0f}{spread} %"
