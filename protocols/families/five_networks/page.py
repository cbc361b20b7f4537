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
from neuromod.support.text import listed, number, percent, say, signed

if TYPE_CHECKING:
    from neuromod.protocols.families.five_networks.study import FiveNetworks

COLORS = dict(zip(NETWORKS, (BLACK, SKY, ORANGE, BLUE, PURPLE), strict=True))
MARKERS = dict(zip(NETWORKS, "xo^sD", strict=True))
COURSES = {
    "plastic": ("plastic_rms", "Plastic traces", "plastic trace E (rms)"),
    "modulator": ("concentration", "Modulator", "concentration c"),
}
SYMBOLS = dict(zip(START, ("η", "τ pre", "τ post", "τ θ", "y₀", "τ e", "τ c"), strict=True))


def plot(study: FiveNetworks, tables: Tables, recordings: Recordings) -> Figure:
    """Learning, success against delay and noise, course of an episode, and learned rules."""
    del recordings
    below = _filled(tables["course"], tables["rules"])
    # Rows of equal width, whatever the number of panels below.
    rows = [row for row in (["curves", "delay", "noise"], list(below)) if row]
    layout = [[name for name in row for _ in range(6 // len(row))] for row in rows]
    figure, axes = panels(layout, width=11, height=3.4 * len(rows))
    _plot_curves(axes["curves"], tables["curves"], study.chance)
    _plot_success(study, axes["delay"], axes["noise"], tables["table"])
    for letter, name in zip("def", below, strict=False):
        if name == "rules":
            _plot_rules(axes[name], letter, tables["rules"])
        else:
            _plot_course(axes[name], letter, name, tables["course"])
    named = axes["curves"].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=len(COLORS))
    return figure


def _filled(course: pd.DataFrame, rules: pd.DataFrame) -> list[str]:
    """Panels of the lower row that the networks have something for."""
    courses = [name for name, (column, *_) in COURSES.items() if column in course]
    return [*courses, *(["rules"] if _learned(rules) else [])]


def _learned(rules: pd.DataFrame) -> list[str]:
    """Parameters that any of the networks learned."""
    return [name for name in START if name in rules]


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


def _plot_course(axes: Any, letter: str, name: str, course: pd.DataFrame) -> None:
    column, title, up = COURSES[name]
    for network, rows in course.dropna(subset=[column]).groupby("network", sort=False):
        means = rows.groupby("time_ms")[column].mean()
        axes.plot(means.index, means, color=COLORS[network])
    label(axes, f"{letter}  {title}", "time in an episode (ms)", up, ylim=(0, None))


def _plot_rules(axes: Any, letter: str, rules: pd.DataFrame) -> None:
    """Learned values over those at the start."""
    names = _learned(rules)
    for row in rules.itertuples():
        number = list(COLORS).index(row.network)
        at = np.arange(len(names)) + 0.15 * (number - 2)
        ratios = [getattr(row, name) / START[name] for name in names]
        axes.plot(ratios, at, MARKERS[row.network], color=COLORS[row.network], ms=4)
    axes.axvline(1, color=BLACK, lw=0.8, ls="--")
    axes.set_yticks(range(len(names)), [SYMBOLS[name] for name in names])
    axes.set_ylim(-0.5, len(names) - 0.5)
    label(axes, f"{letter}  Learned rules", "learned value over its start")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def _nearest(column: pd.Series, value: float) -> float:
    return float(column.iloc[(column - value).abs().argmin()])


def report(study: FiveNetworks, tables: Tables) -> list[Section]:
    """Success, learned rules, and method."""
    rules = tables["rules"]
    learned = [Section("Learned rules", _on_rules(rules), "rules")] if _learned(rules) else []
    return [
        Section("Success", _on_success(study, tables["summary"]), "summary"),
        *learned,
        Section("Method", _on_method(study)),
    ]


def _on_success(study: FiveNetworks, summary: pd.DataFrame) -> str:
    found = "; ".join(
        f"{row.network} {_spread(row.success_learned_mean, row.success_learned_sd)}, beyond "
        f"{_spread(row.success_beyond_mean, row.success_beyond_sd)}"
        for row in summary.itertuples()
    )
    return (
        f"Share of right answers{_on_seeds(study.seeds)}, within the noises and delays of "
        f"learning and beyond them: {found}. Guessing is right in "
        f"{percent(study.chance, 2)}. {study.episodes} episodes resolve a share to "
        f"{number(50 / study.episodes**0.5, 2)} points at best. {_on_best(summary)}"
    )


def _on_seeds(seeds: int) -> str:
    if seeds == 1:
        return " of one network of each kind"
    return f", mean and standard deviation over {seeds} networks of each kind"


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
        changes = [f"{signed(mean[f'modulated-{r}'] - mean[r], 1)} points ({r})" for r in pairs]
        said += f"Modulation changes success by {listed(changes)}."
    return said


def _on_rules(rules: pd.DataFrame) -> str:
    names = _learned(rules)
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
