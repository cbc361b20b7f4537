"""The page of `Locomotion`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.locomotion.bodies import BODIES
from neuromod.locomotion.conditions import CONDITIONS
from neuromod.locomotion.trials import TRAINED
from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.families.five_networks.page import COLORS, MARKERS
from neuromod.protocols.locomotion.strip import picture
from neuromod.support.figures import BLACK, BLUE, label
from neuromod.support.text import listed, number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.locomotion.protocol import Locomotion

SMOOTHED = 10
"""Generations whose mean is a point of a learning curve: every return is of a single episode."""


def plot(study: Locomotion, tables: Tables, recordings: Recordings) -> Figure:
    """Learning curves, relative returns under novel conditions, and frames of two episodes."""
    del study, recordings
    frames = tables["frames"]
    strips = list(frames.condition.unique())
    layout = [["curves", "relative", "relative"], *([name] * 3 for name in strips)]
    heights = [3.6, *[1.5] * len(strips)]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    axes = figure.subplot_mosaic(layout, height_ratios=heights)
    _plot_curves(axes["curves"], tables["curves"])
    _plot_relative(axes["relative"], tables)
    for letter, name in zip("cd", strips, strict=False):
        _plot_strip(axes[name], letter, name, tables)
    named = axes["curves"].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=len(COLORS))
    return figure


def _plot_curves(axes: Any, curves: pd.DataFrame) -> None:
    """Mean return of unperturbed networks, and its standard deviation over seeds."""
    for network, rows in curves.groupby("network", sort=False):
        rounds = (rows.generation - 1) // SMOOTHED
        each = rows.groupby([rounds, "seed"])[["steps", "return"]].mean()
        found = each.groupby("generation").agg({"steps": "mean", "return": ["mean", "std"]})
        steps, mean = found["steps"]["mean"] / 1000, found["return"]["mean"]
        spread = found["return"]["std"].fillna(0)
        color = COLORS[network]
        axes.fill_between(steps, mean - spread, mean + spread, color=color, alpha=0.2, lw=0)
        axes.plot(steps, mean, color=color, marker=MARKERS[network], ms=3, label=network)
    label(axes, "a  Learning", "thousand steps of the environment", "return of an episode")


def _plot_relative(axes: Any, tables: Tables) -> None:
    """Every seed, and the mean with its interval."""
    summary, table = (
        tables[name][tables[name].condition != TRAINED] for name in ("summary", "table")
    )
    conditions = list(summary.condition.unique())
    networks = list(summary.network.unique())
    axes.axhline(1, color=BLACK, lw=0.8, ls="--")
    for place, network in enumerate(networks):
        shift = 0.14 * (place - (len(networks) - 1) / 2)
        own = summary[summary.network == network].set_index("condition").loc[conditions]
        at = np.arange(len(conditions)) + shift
        mean = own.relative_return_mean
        half = own.relative_return_high - mean
        look: Any = {"color": COLORS[network], "fmt": MARKERS[network], "ms": 4, "capsize": 2}
        axes.errorbar(at, mean, half, lw=1, **look)
        single = table[table.network == network]
        where = single.condition.map(dict(zip(conditions, at, strict=True)))
        axes.plot(where, single.relative_return, ".", color=COLORS[network], ms=4, alpha=0.6)
    axes.set_xticks(range(len(conditions)), conditions)
    values = table.relative_return[np.isfinite(table.relative_return)]
    if len(values):
        # Intervals of few networks may be far wider than what any of them did.
        room = 0.15 * max(1.0, np.ptp([0, 1, *values]))
        axes.set_ylim(min(0, values.min()) - room, max(1, values.max()) + room)
    title = "b  Novel conditions (dashed: as trained)"
    low, high = axes.get_ylim()
    if (summary.relative_return_high > high).any() or (summary.relative_return_low < low).any():
        title = f"{title}; long intervals are cut"
    label(axes, title, "", "return over that as trained")


def _plot_strip(axes: Any, letter: str, condition: str, tables: Tables) -> None:
    """Frames side by side: pictures where there are any, outlines elsewhere."""
    frames, outlines = (
        tables[name][tables[name].condition == condition] for name in ("frames", "outlines")
    )
    pictures = [str(png) for png in frames.png.fillna("")]
    axes.set_axis_off()
    first = frames.iloc[0]
    times = listed([number(time, 2) for time in frames.time_s])
    label(axes, f"{letter}  {first.network}, {condition}: after {times} s")
    if all(pictures):
        axes.imshow(np.concatenate([picture(png) for png in pictures], axis=1))
        return
    _draw_outlines(axes, outlines)
    axes.set_aspect("equal")


def _draw_outlines(axes: Any, outlines: pd.DataFrame) -> None:
    """Every part as a line, each frame moved aside by the width of the widest."""
    ends = outlines.groupby("time_s")[["x0_m", "x1_m"]]
    left, right = ends.min().min(axis=1), ends.max().max(axis=1)
    apart = 1.3 * max((right - left).max(), 0.5)
    for place, (time, parts) in enumerate(outlines.groupby("time_s")):
        shift = place * apart - (left[time] + right[time]) / 2
        for part in parts.itertuples():
            x = np.array([part.x0_m, part.x1_m]) + shift
            look: Any = {"color": BLUE, "lw": 3, "solid_capstyle": "round"}
            axes.plot(x, [part.y0_m, part.y1_m], **look)


def report(study: Locomotion, tables: Tables) -> list[Section]:
    """What was learned, what is left of it under novel conditions, learned rules, and method."""
    summary, rules = tables["summary"], tables["rules"]
    learned = [Section("Learned rules", _on_rules(), "rules")] if "eta_Hz" in rules else []
    return [
        Section("Learning", _on_learning(study, tables)),
        Section("Novel conditions", _on_conditions(study, summary), "summary"),
        *learned,
        Section("Method", _on_method(study)),
    ]


def _on_learning(study: Locomotion, tables: Tables) -> str:
    trained = tables["summary"][tables["summary"].condition == TRAINED]
    first = tables["curves"][tables["curves"].generation == 1]
    before = first.groupby("network")["return"].mean()
    found = "; ".join(
        f"{row.network} {_span(row, 'return', 3)}, before learning "
        f"{say(before[row.network], digits=3)}"
        for row in trained.itertuples()
    )
    steps = tables["curves"].groupby(["network", "seed"]).steps.max()
    return (
        f"Return of an episode of {study.tested_actions} actions at most, mean over {study.seeds} "
        f"networks of each kind with its interval of 95 %: {found}. The reward is for "
        f"{BODIES[study.body].reward}. Each network was trained for {study.generations} "
        f"generations, {say(int(steps.min()))} to {say(int(steps.max()))} steps of the environment."
    )


def _on_conditions(study: Locomotion, summary: pd.DataFrame) -> str:
    novel = summary[summary.condition != TRAINED]
    means = novel.groupby("network", sort=False).relative_return_mean.mean()
    kept = [f"{network} {percent(mean, 2)}" for network, mean in means.items() if mean == mean]
    worst = novel.loc[novel.groupby("network", sort=False).relative_return_mean.idxmin().dropna()]
    most = [
        f"{row.network} {percent(row.relative_return_mean, 2)} ({row.condition})"
        for row in worst.itertuples()
    ]
    said = f"Conditions: {_meanings(study)}. {_left_out(study)}"
    if not kept:
        return f"{said}No network has a positive return as trained, so none is relative to it."
    return (
        f"{said}Return relative to each network's own as trained, mean over conditions: "
        f"{listed(kept)}. Where each kind keeps least: {listed(most)}. Bars and the table's low "
        f"and high are intervals of 95 % for the mean of {study.seeds} networks, by Student's t."
    )


def _meanings(study: Locomotion) -> str:
    own = BODIES[study.body]
    return listed(
        [
            f"{name} ({CONDITIONS[name].meaning.format(joint=own.joint, limb=own.limb)})"
            for name in study.tested
        ]
    )


def _left_out(study: Locomotion) -> str:
    reasons = [f"{name}, because {reason}" for name, reason in study.left_out.items()]
    return f"Left out: {'; '.join(reasons)}. " if reasons else ""


def _on_rules() -> str:
    return (
        "Learned parameters of each layer. Each synapse learns a coefficient alpha; alpha_rms is "
        "their root mean square. Each neuron of a modulated layer learns its own tonic and "
        "sensitivity in M = tonic + sensitivity c."
    )


def _on_method(study: Locomotion) -> str:
    return (
        f"The body is {BODIES[study.body].environment} of Gymnasium, in MuJoCo. Every observation "
        "is scaled by its mean and standard deviation in training and drives two input neurons, "
        "one that rises with it and one that falls, whose spikes follow their rates without "
        "chance. Actions are the leaky readout, between the ends of their range by a hyperbolic "
        f"tangent. Fixed weights, coefficients and rules are learned together by an evolution "
        f"strategy of {study.pairs} mirrored pairs in a generation (Salimans et al. 2017); the "
        "networks of one seed start with the same fixed weights. Plastic traces start at 0 in "
        "every episode. The test has the same first states for all networks and conditions. "
        "Novel conditions change the model of the body in MuJoCo, never the network; no "
        "network was trained under any of them."
    )


def _span(row: Any, name: str, digits: int) -> str:
    mean, low, high = (getattr(row, f"{name}_{end}") for end in ("mean", "low", "high"))
    return f"{say(mean, digits=digits)} ({say(low, digits=digits)} to {say(high, digits=digits)})"
