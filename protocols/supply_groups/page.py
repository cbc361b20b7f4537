"""The page of `SupplyGroups`: its figure and its words."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, label, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.supply_groups.protocol import SupplyGroups

STUDIES = ("supplies", "rails", "bits", "grouping", "mismatch")
TITLES = {
    "supplies": "Supplies for each neuron",
    "rails": "Rails: voltages of the whole chip",
    "bits": "Bits of a code",
    "grouping": "Ways of grouping",
    "mismatch": "Mismatch",
}
ACROSS = {
    "supplies": "supplies for each neuron",
    "rails": "rails",
    "bits": "bits of a code besides its sign",
    "mismatch": "size of the mismatch (standard deviations)",
}
GROUPINGS = {
    "index": "index of the source",
    "index, twice": "index, tuned twice",
    "size": "size of the code",
    "significance": "size times source's activity",
    "source": "source, by learned gains",
    "learned": "learned gain",
    "each synapse": "none: a supply for each synapse",
}
SWITCHED = {"index": "a switch for each group", "each synapse": "a switch for each synapse"}
REFERENCES = {
    "free gains": "free gains, memory rewritten",
    "everything trained": "everything trained, off the chip",
}
TUNED_ON = {"design": "tuned as designed", "chip": "tuned on the chip as made"}
RIGHT = "test images right (%)"
WIDTH = 20
"""Of the names of groupings, in characters."""


def plot(protocol: SupplyGroups, tables: Tables, recordings: Recordings) -> Figure:
    """Accuracy on the chip against supplies, rails, bits and mismatch, and by way of grouping."""
    del recordings
    chosen = [name for name in STUDIES if name in protocol.studies]
    # Where they are odd in number, the first is wide.
    whole, rest = chosen[: len(chosen) % 2], chosen[len(chosen) % 2 :]
    rows = [whole * 2] * len(whole) + [rest[n : n + 2] for n in range(0, len(rest), 2)]
    figure, axes = panels(rows, width=11, height=3.9 * len(rows))
    summary = tables["supplies"]
    own = summary[summary.study == "groups"]
    chance = 100 / 2 ** len(protocol.task[1].classes)
    for letter, name in zip("abcde", chosen, strict=False):
        title = f"{letter}  {TITLES[name]}"
        _PANELS[name](axes[name], summary[summary.study == name], own)
        if name == "grouping":
            axes[name].axvline(chance, color=BLACK, ls=":", lw=1, label="chance")
            label(axes[name], title, x=RIGHT, xlim=(0, 102))
        else:
            axes[name].axhline(chance, color=BLACK, ls=":", lw=1, label="chance")
            label(axes[name], title, ACROSS[name], RIGHT, ylim=(0, 102))
        if name == "supplies":
            _draw_references(axes[name], summary[summary.study == name])
        handles, labels = axes[name].get_legend_handles_labels()
        columns = 3 if name in whole else 2
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": columns}
        axes[name].legend(handles, labels, **below)
    return figure


def _draw_supplies(axes: Any, rows: pd.DataFrame, own: pd.DataFrame) -> None:
    index = rows[rows.grouping == "index"]
    _line(axes, index[index.sharing == 1], "supplies", BLUE, "a neuron's own")
    shared = pd.concat([own, index[index.sharing > 1]])
    if len(shared) > 1:
        _line(axes, shared, "supplies", GREEN, "shared by neurons that learned alike", marker="s")
    _at(axes, pd.concat([own, index]).supplies)


def _draw_references(axes: Any, rows: pd.DataFrame) -> None:
    looks = {"free gains": ("test", ORANGE), "everything trained": ("trained", PURPLE)}
    for name, (where, color) in looks.items():
        accuracy = 100 * rows[rows.grouping == name][f"{where}_accuracy_mean"].iloc[0]
        axes.axhline(accuracy, color=color, ls="--", label=REFERENCES[name])


def _draw_rails(axes: Any, rows: pd.DataFrame, own: pd.DataFrame) -> None:
    for (grouping, words), color, marker in zip(SWITCHED.items(), (BLUE, GREEN), "os", strict=True):
        _line(axes, rows[rows.grouping == grouping], "rails", color, words, marker=marker)
    accuracy = 100 * own.test_accuracy_mean.iloc[0]
    axes.axhline(accuracy, color=BLUE, ls="--", label="a supply for each group")
    _at(axes, rows.rails)


def _draw_bits(axes: Any, rows: pd.DataFrame, own: pd.DataFrame) -> None:
    supplies = f"{own.supplies.iloc[0]:.0f} supplies a neuron"
    _line(axes, rows, "bits", BLUE, supplies)
    axes.set_xticks(sorted(rows.bits))


def _draw_grouping(axes: Any, rows: pd.DataFrame, own: pd.DataFrame) -> None:
    mean, spread = 100 * rows.test_accuracy_mean, 100 * rows.test_accuracy_sd.fillna(0)
    each = rows.grouping == "each synapse"
    named = f"{own.supplies.iloc[0]:.0f} supplies a neuron"
    at = pd.Series(range(len(rows)), index=rows.index)
    for chosen, color, words in ((~each, BLUE, named), (each, GREEN, "as many as synapses")):
        look = {"color": color, "capsize": 2, "label": words}
        axes.barh(at[chosen], mean[chosen], 0.65, xerr=spread[chosen], **look)
    axes.set_yticks(at, [fill(GROUPINGS[grouping], WIDTH) for grouping in rows.grouping])
    axes.invert_yaxis()


def _draw_mismatch(axes: Any, rows: pd.DataFrame, own: pd.DataFrame) -> None:
    for (on, words), color, marker in zip(TUNED_ON.items(), (BLUE, GREEN), "os", strict=True):
        line = pd.concat([own, rows[rows.tuned_on == on]])
        _line(axes, line, "mismatch", color, words, marker=marker)
    axes.set_xticks(sorted({0.0, *rows.mismatch}))


_PANELS = {
    "supplies": _draw_supplies,
    "rails": _draw_rails,
    "bits": _draw_bits,
    "grouping": _draw_grouping,
    "mismatch": _draw_mismatch,
}


def _line(
    axes: Any, rows: pd.DataFrame, across: str, color: str, words: str, marker: str = "o"
) -> None:
    rows = rows.sort_values(across)
    mean, spread = 100 * rows.test_accuracy_mean, 100 * rows.test_accuracy_sd.fillna(0)
    look = {"color": color, "marker": marker, "ms": 5, "capsize": 2, "clip_on": False}
    # No share is below 0, whatever its deviation.
    ends = np.minimum(spread, mean), spread
    axes.errorbar(rows[across], mean, ends, label=words, **look)


def _at(axes: Any, values: pd.Series) -> None:
    """Ticks at the values of an axis of powers of two."""
    axes.set_xscale("log", base=2)
    ticks = sorted(values.unique())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def report(protocol: SupplyGroups, tables: Tables) -> list[Section]:
    """What helps, what it costs, and what it is in a cell."""
    summary, table = tables["supplies"], tables["table"]
    low, high = (say(end, digits=2) for end in protocol.reach)
    said = [_say(name, summary[summary.study == name]) for name in protocol.studies]
    paragraphs = "\n\n".join(said)
    (own,) = summary[summary.study == "groups"].itertuples()
    return [
        Section(
            "Supplies for groups of synapses",
            f"Codes of {protocol.circuit.bits} bits stay in memory as they are. Gains from {low} "
            f"to {high} are within reach of supplies from {protocol.circuit.supply_range}; a gain "
            f"of 1 lies at {say(protocol.untuned)}. With {own.supplies:.0f} supplies a neuron, "
            f"{_percent(own)} of the test images are right.\n\n{paragraphs}",
            "supplies",
        ),
        Section(
            "What is fair to compare",
            "All gains were tuned for as long, from 1. Groups or rails that follow what gains have "
            "learned took a tuning of these before, of which they keep only who shares with whom. "
            "'Tuned twice' says what as much tuning does for groups by index. gains counts what "
            "was trained.",
        ),
        Section(
            "What it is in a cell, and on a chip",
            "Two supplies a neuron, for its positive and its negative codes, are what receptors on "
            "excitatory and on inhibitory inputs are to a cell: a modulator that reaches only one "
            "of them shifts their balance. More supplies split each by source, as receptors on "
            "proximal and on distal dendrites modulate inputs from different places apart.\n\n"
            "Groups by source are wired once, by column. A group chosen for each synapse, by its "
            "code or its learned gain, needs a switch at the synapse, set by as many bits as the "
            "groups of its sign need, unless the wiring is made for the one task. With rails, each "
            "group or synapse has a switch to one of the chip's few voltages. Energy leaves out "
            "regulators, switches and wires.",
        ),
        Section("How this was measured", _measured(protocol, table), "table"),
    ]


def _percent(row: Any, measure: str = "test_accuracy") -> str:
    mean, spread = getattr(row, f"{measure}_mean"), getattr(row, f"{measure}_sd")
    behind = "" if pd.isna(spread) else f" ± {100 * spread:.1f}"
    return f"{100 * mean:.1f}{behind} %"


def _say(study: str, rows: pd.DataFrame) -> str:
    found = [f"{_name(study, row)}: {_accuracy(row)}" for row in rows.itertuples()]
    return f"{TITLES[study]}. {'; '.join(found)}."


def _accuracy(row: Any) -> str:
    off = row.grouping == "everything trained"
    return _percent(row, "trained_accuracy" if off else "test_accuracy")


def _name(study: str, row: Any) -> str:
    """What distinguishes a network from others of its study."""
    if row.grouping in REFERENCES:
        return REFERENCES[row.grouping]
    if study == "supplies":
        shared = f", those of {row.sharing} neurons shared" if row.sharing > 1 else ""
        return f"{row.supplies:g}{shared}"
    if study == "rails":
        return f"{row.rails} with {SWITCHED[row.grouping]}"
    if study == "mismatch":
        return f"size {row.mismatch:g}, {TUNED_ON[row.tuned_on]}"
    return GROUPINGS[row.grouping] if study == "grouping" else f"{row.bits}"


def _measured(protocol: SupplyGroups, table: pd.DataFrame) -> str:
    ran = table[table.simulated]
    differ, compared = int(ran.neurons_differ.sum()), int(ran.neurons_compared.sum())
    shown, every = int(ran.images_simulated.iloc[0]), int(ran.test_images.iloc[0])
    images = f"{shown} of {every} test images" if shown < every else f"all {every} test images"
    of_study = {"groups": f"{2 * protocol.groups} supplies a neuron"}
    if "rails" in protocol.studies:
        of_study["rails"] = f"{max(protocol.rails)} rails"
    rows = []
    for study, what in of_study.items():
        own = ran[ran.study == study]
        accuracy = own.simulated_accuracy.agg(["mean", "std"])
        behind = "" if pd.isna(accuracy["std"]) else f" ± {100 * accuracy['std']:.1f}"
        energy = own.energy_per_image_pJ.mean()
        rows.append(
            f"{what} {100 * accuracy['mean']:.1f}{behind} % right, {energy:.0f} pJ an image"
        )
    return (
        f"These ran on circuit neurons with {images}: {'; '.join(rows)}. Of {say(compared)} "
        f"neurons compared with the closed form {say(differ)} differ. All other networks, and "
        "test_accuracy, are in closed form with all test images: codes times the step of their "
        "supply, for a linear leak and ideal mirrors. supplies is 0 where synapses are not in "
        "groups. Mismatch is one chip for each seed, in "
        "closed form. An image is right if the right output neuron fires and no other does. "
        "Spreads are standard deviations over seeds. The energy of the core is calibrated, so "
        "totals are estimates."
    )
