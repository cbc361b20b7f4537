"""The page of `LearningToForget`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.models.adaptive_plasticity import WEIGHTS
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support import figures
from neuromod.support.figures import BLACK, label, panels
from neuromod.support.text import percent

if TYPE_CHECKING:
    from neuromod.protocols.learning_to_forget.protocol import LearningToForget

COLORS = {
    "untrained": BLACK,
    "mixed": figures.SKY,
    "stdp": figures.BLUE,
    "leak": figures.ORANGE,
    "asp": figures.GREEN,
    "modulated": figures.PURPLE,
}
NAMES = {"stdp": "STDP", "leak": "constant leak", "asp": "ASP", "modulated": "ASP, modulated"}
WORDS = {
    "untrained": "no learning",
    "mixed": "plain STDP on classes in random order",
    "stdp": "plain STDP",
    "leak": "constant leak",
    "asp": "ASP",
    "modulated": "modulated ASP",
}
SIDE = 8
ACROSS = 5
"""Receptive fields in a row."""


def plot(protocol: LearningToForget, tables: Tables, recordings: Recordings) -> Figure:
    """Recall over the stages, at their end, of every class; weights, and receptive fields."""
    rules = [rule for rule in WEIGHTS if rule in protocol.conditions]
    shown = rules or list(protocol.conditions)
    names = ["end", "weights"] + (["course"] if rules else [])
    layout = [
        [name for name in names for _ in range(len(shown))],
        *([[f"recall {rule}" for rule in rules for _ in names]] if rules else []),
        [f"fields {name}" for name in shown for _ in names],
    ]
    figure, axes = panels(layout, width=max(12, 3.6 * len(shown)), height=3.8 * len(layout))
    _plot_end(axes["end"], tables["recall"], protocol)
    _plot_weights(axes["weights"], recordings)
    if rules:
        _plot_course(axes["course"], tables["recall"], rules)
    for rule in rules:
        shades = _plot_recall(axes[f"recall {rule}"], tables["recall"], rule, protocol)
    if rules:
        figure.colorbar(shades, ax=[axes[f"recall {rule}"] for rule in rules], label="recall")
    for name in shown:
        _plot_fields(axes[f"fields {name}"], name, tables["cells"], recordings, protocol)
    return figure


def _plot_end(axes: Any, recall: pd.DataFrame, protocol: LearningToForget) -> None:
    """Recall after the last stage, one point a network."""
    last = recall[recall.stage == recall.stage.max()]
    each = last.groupby(["condition", "network"], sort=False).recall.mean()
    for at, condition in enumerate(protocol.conditions):
        values, color = each.loc[condition], COLORS[condition]
        axes.plot(at + np.linspace(-0.15, 0.15, len(values)), values, "o", color=color, ms=4)
        axes.plot([at - 0.3, at + 0.3], [values.mean()] * 2, color=color, lw=2)
    axes.axhline(1 / len(protocol.classes), color=BLACK, lw=0.8, ls="--")
    words = [NAMES.get(name, name).replace(", ", ",\n") for name in protocol.conditions]
    axes.set_xticks(range(len(words)), words, rotation=35, ha="right")
    title = "a  All at the end (dashed: guessing)"
    label(axes, title, y="recall, one point a network", ylim=(0, 1.03))


def _plot_weights(axes: Any, recordings: Recordings) -> None:
    """Distribution of the weights at the end."""
    for condition, recording in recordings.items():
        weights = np.asarray(recording.totals["synapses"]["w"])
        count, edges = np.histogram(weights, 25, (0, max(1.0, weights.max())))
        axes.stairs(count / count.sum(), edges, color=COLORS[condition])
    label(axes, "b  Weights at the end (colours as in a)", "weight", "share of synapses", log="y")


def _plot_course(axes: Any, recall: pd.DataFrame, rules: list[str]) -> None:
    """Recall of all classes so far after every stage."""
    each = recall.groupby(["condition", "stage", "network"], sort=False).recall.mean()
    for rule in rules:
        found = each.loc[rule].groupby("stage")
        look = {"color": COLORS[rule], "marker": "o", "ms": 4, "capsize": 2}
        axes.errorbar(found.mean().index, found.mean(), found.std().fillna(0), **look)
    title = "c  All so far (bars: SD of networks)"
    label(axes, title, "stage", "recall", ylim=(0, 1.03))


def _plot_recall(axes: Any, recall: pd.DataFrame, rule: str, protocol: LearningToForget) -> Any:
    """Recall of every class after every stage, as an image."""
    own = recall[recall.condition == rule]
    grid = own.pivot_table(index="learned_in_stage", columns="stage", values="recall")
    shades = axes.imshow(grid, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    places = range(len(protocol.classes))
    axes.set_yticks(places, protocol.classes)
    axes.set_xticks(places, [str(place + 1) for place in places])
    label(axes, f"Recall: {NAMES[rule]}", "after stage", "digit")
    return shades


def _plot_fields(
    axes: Any,
    condition: str,
    cells: pd.DataFrame,
    recordings: Recordings,
    protocol: LearningToForget,
) -> None:
    """Weights onto the cells of the first network, in the order of their classes."""
    own = cells[(cells.condition == condition) & (cells.network == 0)]
    order = own.digit.to_numpy().argsort(kind="stable")
    weights = np.asarray(recordings[condition].totals["synapses"]["w"])
    fields = weights.reshape(protocol.networks, SIDE, SIDE, protocol.n)[0].transpose(2, 0, 1)[order]
    rows = -(-len(fields) // ACROSS)
    sheet = np.full((rows * (SIDE + 1), ACROSS * (SIDE + 1)), np.nan)
    for place, (field, digit) in enumerate(zip(fields, own.digit.to_numpy()[order], strict=True)):
        top, left = (SIDE + 1) * (place // ACROSS), (SIDE + 1) * (place % ACROSS)
        sheet[top : top + SIDE, left : left + SIDE] = field
        name = "" if np.isnan(digit) else f"{digit:.0f}"
        axes.text(left - 0.3, top + 0.2, name, color=figures.RED, fontsize=7, va="top")
    axes.imshow(sheet, vmin=0, vmax=1, cmap="gray_r")
    axes.set_axis_off()
    label(axes, f"Fields: {NAMES.get(condition, condition)}")


def report(protocol: LearningToForget, tables: Tables) -> list[Section]:
    """What was kept under every rule, what the modulator decided, and what was left out."""
    table = tables["table"].set_index("condition")
    sections = [Section("Recall at the end", _on_recall(protocol, table), "table")]
    if "modulated" in table.index:
        sections.append(Section("The modulator", _on_modulator(tables["modulator"]), "modulator"))
    sections.append(Section("What is whose", SOURCES))
    sections.append(Section("Every class", "Recall of every class after every stage.", "recall"))
    return sections


SOURCES = (
    "From Panda et al. 2018 come the idea, as far as their abstract tells it, and the sequence of "
    "classes: weights leak, and the more slowly the more the spikes of both sides are correlated. "
    "Cell, adaptive threshold, rule at spikes, labels and votes are those of Diehl & Cook 2015, "
    "without their normalisation of weights. The equations of the leak, of significance and of the "
    "modulator were chosen here, as were all sizes; images are scikit-learn's of 8 x 8 pixels, not "
    "MNIST's."
)


def _on_recall(protocol: LearningToForget, table: pd.DataFrame) -> str:
    """Means and spread of every condition, and paired differences from plain STDP."""
    said = [f"{WORDS[name]} {_spread(row.recall, row.recall_sd)}" for name, row in table.iterrows()]
    classes = len(protocol.classes)
    text = (
        f"Of new images of all {classes} classes, {protocol.networks} networks of {protocol.n} "
        f"cells recall after the last stage, in percent (mean ± SD of networks; guessing: "
        f"{100 / classes:.1f}): {'; '.join(said)}."
    )
    others = [name for name in WEIGHTS if name in table.index and name != "stdp"]
    if "stdp" in table.index and others:
        apart = [
            f"{WORDS[name]} {_spread(row.over_stdp, row.over_stdp_sd, '+')}"
            for name, row in table.loc[others].iterrows()
        ]
        text += (
            " On the same images, weights at the start and spikes, the difference from plain STDP "
            f"in points is: {'; '.join(apart)}."
        )
    sequence = table[table.at_once.notna()]
    if len(sequence):
        kept = [
            f"{WORDS[name]} {percent(row.at_once, 2)}, {percent(row.older, 2)} and "
            f"{percent(row.newer, 2)}"
            for name, row in sequence.iterrows()
        ]
        text += (
            "\n\nRight after its own stage a class is recalled by a share of the first number, and "
            "at the end the older half of the classes by that of the second and the newer half by "
            f"that of the third: {'; '.join(kept)}."
        )
    return text


def _on_modulator(table: pd.DataFrame) -> str:
    """Recall of classes with and without the modulator, each class both ways."""
    rows = table.set_index("condition")
    said = [
        f"{WORDS[name]} {_spread(row.difference, row.difference_sd, '+')}"
        for name, row in rows.iterrows()
    ]
    return (
        "Under modulated, the modulator is released with every second class: in the first network "
        "from the first class on, in the next from the second on, and so by turns. Recovery needs "
        "it, so only what is learned with it is kept from the leak. At the end, recall of classes "
        "with it less that of classes without it, in points: "
        f"{'; '.join(said)} (the other rules, on the same classes, show what chance does)."
    )


def _spread(mean: float, sd: float, sign: str = "") -> str:
    """Mean and standard deviation in percent; one network has none."""
    known = "" if np.isnan(sd) else f" ± {100 * sd:.1f}"
    return f"{100 * mean:{sign}.1f}{known}"
