"""The page of `SupplyGroups`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, PURPLE, label, legend, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.supply_groups.protocol import SupplyGroups

STUDIES = ("supplies", "rails", "bits", "grouping")
GROUPINGS = {
    "index": "index of the source",
    "weight": "size of the code",
    "learned": "learned gain",
    "each synapse": "none: one per synapse",
}
PANELS = {
    "supplies": ("Supplies per neuron", "supplies per neuron"),
    "rails": ("Rails", "voltages of the whole chip"),
    "bits": ("Bits", "bits of a code besides its sign"),
    "grouping": ("Ways of grouping", ""),
}


def plot(protocol: SupplyGroups, tables: Tables, recordings: Recordings) -> Figure:
    """Accuracy against supplies, rails and bits, and by way of grouping."""
    del recordings
    chosen = [name for name in STUDIES if name in protocol.studies]
    rows = [chosen[n : n + 2] for n in range(0, len(chosen), 2)]
    if len(rows) > 1 and len(rows[-1]) == 1:
        rows[-1] *= 2
    figure, axes = panels(rows, width=10, height=3.9 * len(rows))
    summary = tables["supplies"]
    chance = 100 / 2 ** len(protocol.task[1].classes)
    for letter, name in zip("abcd", chosen, strict=False):
        title, x = PANELS.get(name, ("Groups of synapses", ""))
        _draw(axes[name], name, summary[summary.study == name])
        axes[name].axhline(chance, color=BLACK, ls=":", lw=1, label="chance")
        if name == "supplies":
            _draw_references(axes[name], summary[summary.study == "reference"])
        y = "test images right (%)"
        label(axes[name], f"{letter}  {title}", x, y, ylim=(0, 103))
        legend(axes[name], below=True)
    return figure


def _draw(axes: Any, name: str, rows: pd.DataFrame) -> None:
    mean, spread = 100 * rows.test_accuracy_mean, 100 * rows.test_accuracy_sd.fillna(0)
    if name in ("grouping", "own"):
        at = range(len(rows))
        axes.bar(at, mean, 0.6, yerr=spread, color=BLUE, capsize=3, label="on the chip")
        axes.set_xticks(
            at, [GROUPINGS[grouping].replace(": ", ":\n") for grouping in rows.grouping]
        )
        return
    order = rows[name].argsort()
    x, look = rows[name].iloc[order], {"color": BLUE, "marker": "o", "capsize": 3}
    y, error = mean.iloc[order], spread.iloc[order]
    axes.errorbar(x, y, error, label="on the chip, codes kept", clip_on=False, **look)
    if name != "bits":
        axes.set_xscale("log", base=2)
    axes.set_xticks(list(x), list(x))
    axes.minorticks_off()


def _draw_references(axes: Any, rows: pd.DataFrame) -> None:
    looks = {
        "free gains": (100 * rows.test_accuracy_mean, ORANGE, "free gains, memory rewritten"),
        "everything trained": (
            100 * rows.trained_accuracy_mean,
            PURPLE,
            "everything trained, off the chip",
        ),
    }
    for name, (values, color, words) in looks.items():
        axes.axhline(values[rows.grouping == name].iloc[0], color=color, ls="--", label=words)


def report(protocol: SupplyGroups, tables: Tables) -> list[Section]:
    """What helps, what it costs, and what it is in a cell."""
    summary, table = tables["supplies"], tables["table"]
    low, high = (say(end, digits=2) for end in protocol.reach)
    said = [_say(name, summary[summary.study == name]) for name in protocol.studies]
    return [
        Section(
            "Supplies for groups of synapses",
            f"Codes of {protocol.circuit.bits} bits stay in memory as they are. Gains from {low} "
            f"to {high} are within reach of supplies from 0.5 to 1 V; a gain of 1 lies at "
            f"{say(protocol.untuned)}. Test images right on the chip. {_references(summary)}"
            f"\n\n{' '.join(said)}",
            "supplies",
        ),
        Section(
            "What it is in a cell, and on a chip",
            "Two supplies a neuron, for its positive and its negative codes, are what receptors on "
            "excitatory and on inhibitory inputs are to a cell: a modulator that reaches only one "
            "of them shifts their balance. More supplies split each by source, as receptors on "
            "proximal and on distal dendrites modulate inputs from different places apart.\n\n"
            "Groups by the index of the source are wired once. A group chosen for each synapse, by "
            "its code or its learned gain, needs a switch at the synapse, set by as many bits as "
            "the groups of its sign need, unless the wiring is made for the one task. With rails, "
            "each group has a switch to one of the chip's few voltages. Energy leaves out "
            "regulators, switches and wires.",
        ),
        Section("How this was measured", _measured(protocol, table), "table"),
    ]


def _percent(mean: float, spread: float) -> str:
    behind = "" if pd.isna(spread) else f" ± {100 * spread:.1f}"
    return f"{100 * mean:.1f}{behind} %"


def _say(study: str, rows: pd.DataFrame) -> str:
    found = []
    for row in rows.itertuples():
        value = getattr(row, study)
        what = GROUPINGS[value] if study == "grouping" else str(value)
        found.append(f"{what}: {_percent(row.test_accuracy_mean, row.test_accuracy_sd)}")
    return f"By {PANELS[study][0].lower()}: {'; '.join(found)}."


def _references(summary: pd.DataFrame) -> str:
    rows = summary[summary.study == "reference"].set_index("grouping")
    if rows.empty:
        return ""
    free, every = rows.loc["free gains"], rows.loc["everything trained"]
    return (
        "For comparison: one free gain a neuron, for which the memory is rewritten, "
        f"{_percent(free.test_accuracy_mean, free.test_accuracy_sd)}; everything trained, off the "
        f"chip, {_percent(every.trained_accuracy_mean, every.trained_accuracy_sd)}."
    )


def _measured(protocol: SupplyGroups, table: pd.DataFrame) -> str:
    ran = table[table.simulated]
    differ, compared = int(ran.neurons_differ.sum()), int(ran.neurons_compared.sum())
    most = f" and those with {max(protocol.rails)} rails" if "rails" in protocol.studies else ""
    shown, every = int(ran.images_simulated.iloc[0]), int(ran.test_images.iloc[0])
    images = f"{shown} of {every} test images" if shown < every else f"all {every} test images"
    rows = []
    for study, own in ran.groupby("study", sort=False):
        what = f"{2 * protocol.groups} supplies a neuron" if study == "own" else "rails"
        accuracy, energy = own.simulated_accuracy, own.energy_per_image_pJ
        right = _percent(accuracy.mean(), accuracy.std())
        rows.append(f"{what} {right} right, {energy.mean():.0f} pJ an image")
    return (
        f"Networks with {2 * protocol.groups} supplies a neuron{most} ran on circuit neurons with "
        f"{images}: {'; '.join(rows)}. Of {say(compared)} neurons compared with the closed form "
        f"{say(differ)} differ. All other networks, and test_accuracy, are in closed form with all "
        "test images: codes times the step of their supply, for a linear leak and ideal mirrors. "
        "An image is right if the right output neuron fires and no other does. Spreads are "
        "standard deviations over seeds. The energy of the core is calibrated, so totals are "
        "estimates."
    )
