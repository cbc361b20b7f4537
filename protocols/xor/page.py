"""The page of `Xor`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV, usecond
from matplotlib.figure import Figure

from neuromod.chip.xor import CODES, ROW_NAMES, ROWS
from neuromod.protocol import Recordings, Section, Tables
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, label, legend, panels
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.xor.protocol import Xor

TRAINS = ["input a", "input b", "hidden 1", "hidden 2", "output"]
FOUND = {
    "networks": {"color": BLACK, "marker": "s", "label": "all"},
    "within_rails": {"color": SKY, "marker": "o", "label": "membranes within the rails"},
    "like_paper": {"color": PURPLE, "marker": "^", "label": "of these, 4 spikes for 1, 2 for 0"},
}
MARGINS = {"margin_mV": "within_rails", "like_paper_margin_mV": "like_paper"}
SUPPLY = "synapse supply VDD (V)"
LABELS = {
    "networks": ("e  Sets of codes that compute XOR (no mark: none)", SUPPLY, "networks", "y"),
    "margin": ("f  Least distance of a decision from threshold", SUPPLY, "widest margin (mV)"),
}


def plot(protocol: Xor, tables: Tables, recordings: Recordings) -> Figure:
    """Rasters and membranes of the four rows; networks and margins against the supply."""
    below = ["networks"] * 2 + ["margin"] * 2
    membranes = [f"v{name}" for name in ROW_NAMES]
    figure, axes = panels([[*ROW_NAMES], membranes, membranes, below, below, below], 11, 9)
    figure.suptitle(_say_network(tables["designs"].iloc[-1]), fontsize=9)
    for row, name in enumerate(ROW_NAMES):
        _plot_row(protocol, (axes[name], axes[f"v{name}"]), recordings["rows"], row)
    axes["00"].set_yticklabels(TRAINS)
    axes["v00"].set_ylabel("membrane (mV;\nthreshold dotted)")
    supplies = tables["supplies"]
    for column, look in FOUND.items():
        found = supplies[column].where(supplies[column] > 0)
        axes["networks"].plot(supplies.vdd_V, found, ms=4, **look)
    for column, kind in MARGINS.items():
        axes["margin"].plot(supplies.vdd_V, supplies[column], ms=4, **FOUND[kind])
    for panel, texts in LABELS.items():
        label(axes[panel], *texts, xlim=(supplies.vdd_V.min() - 0.02, supplies.vdd_V.max() + 0.02))
    axes["networks"].set_ylim(1, 3 * max(supplies.networks.max(), 1))
    axes["margin"].set_ylim(0)
    legend(axes["networks"], below=True)
    return figure


def _say_network(design: pd.Series) -> str:
    """Which network the rows show, and what its synapses store."""
    pairs = zip(TRAINS[2:], CODES[::2], CODES[1::2], strict=True)
    codes = "; ".join(f"{name}: {int(design[a])} and {int(design[b])}" for name, a, b in pairs)
    where = f"the network {NAMES[design.design]}, at {say(design.vdd_V, 'V')}"
    return f"a to d: {where}; codes of {codes}"


def _plot_row(protocol: Xor, axes: Any, recording: Recording, row: int) -> None:
    """Spikes, and below them the membranes, of the last gate in a row of the truth table."""
    above, below = axes
    (a, b), source = ROWS[row], protocol.train.spikes("inputs", 2)
    trains = [source.times[(source.neurons == k) & (ROWS[row, k] == 1)] for k in (0, 1)]
    copy = (len(protocol.designs) - 1) * len(ROWS) + row
    # Membranes are drawn one over the other: the output's thinnest, and last.
    for population, neuron, color, width in (
        ("hidden", copy * 2, GREEN, 2.2),
        ("hidden", copy * 2 + 1, ORANGE, 1.5),
        ("output", copy, BLUE, 0.9),
    ):
        spikes, v = recording.spikes[population], recording.trace(population, "v", neuron)
        trains.append(spikes.times[spikes.neurons == neuron])
        below.plot(recording.times / usecond, v / mV, color=color, lw=width)
    colors = (BLACK, BLACK, GREEN, ORANGE, BLUE)
    for line, (times, color) in enumerate(zip(trains, colors, strict=True)):
        above.plot(times / usecond, np.full(len(times), -line), "|", color=color, ms=7)
    above.set_yticks(-np.arange(len(trains)), [""] * len(trains))
    above.set(title=f"{'abcd'[row]}  Inputs {a} and {b}", xticklabels=[], ylim=(-4.6, 0.6))
    below.axhline(float(protocol.circuit.v_th / mV), color=BLACK, lw=0.8, ls=":")
    v = [signals["v"].values / mV for signals in recording.signals.values()]
    below.set(xlabel="time (µs)", ylim=(min(map(np.min, v)) - 20, max(map(np.max, v)) + 20))
    if row:
        below.set_yticklabels([])
    for axis in axes:
        axis.set_xlim(0, recording.duration / usecond)


NAMES = {
    "widest": "with the widest margin",
    "paper": "with the widest margin of those that answer as the paper's",
}
SILENCE = (
    "Without input there is no spike and no decision of a comparator, and what is drawn is leakage "
    "and the current of references that stay on: the paper's 2 spikes for a 0 can only be those of "
    "the row with both inputs on. What flows through the synapses follows from the mirror "
    "equation; the core's entries are calibrated here, and how they share the paper's total is an "
    "estimate."
)


def report(protocol: Xor, tables: Tables) -> list[Section]:
    """What was found, what the simulation gave, and where the two differ."""
    del protocol
    return [
        Section("The gates simulated", _say_rows(tables["table"]), "table"),
        Section(
            "Their codes",
            "Codes a and b are those of the synapses from the two inputs to a hidden neuron, codes "
            "1 and 2 those from the two hidden neurons to the output. The margin is the least "
            "distance of any of the three membranes from threshold at the moment of a decision, "
            "in any row.",
            "designs",
        ),
        Section("What the search found", _say_supplies(tables["supplies"]), "supplies"),
    ]


def _say_rows(table: pd.DataFrame) -> str:
    said = []
    for design, rows in table.groupby("design", sort=False):
        counts = ", ".join(f"{r.output_spikes} for {r.row}" for r in rows.itertuples())
        energy = span(rows[rows.row != "00"].energy_pJ, "pJ", 3)
        said.append(
            f"The network {NAMES[str(design)]} gives {counts} output spikes: "
            f"{rows.right.sum()} of 4 rows right, at {energy} for a row with input, both supplies "
            "together."
        )
    if "paper" not in set(table.design):
        said.append("No network within the rails gives 4 output spikes for a 1 and 2 for a 0.")
    differing = int((table.output_spikes != table.searched_spikes).sum())
    if differing:
        said.append(
            f"In {differing} of {len(table)} rows the simulation gives another number of output "
            "spikes than the search, which takes the leak as linear and the sources as ideal."
        )
    else:
        said.append("In every row the simulation gives the output spikes that the search found.")
    return " ".join([*said, SILENCE])


def _say_supplies(supplies: pd.DataFrame) -> str:
    solved, paper = (supplies[supplies[kind] > 0] for kind in ("networks", "like_paper"))
    most = solved.loc[solved.networks.idxmax()]
    said = [
        f"At each supply all {say(int(supplies.tried[0]))} sets of six codes were tried. Networks "
        f"that compute XOR exist from {span(solved.vdd_V, 'V', 3)}, most of them, "
        f"{say(int(most.networks))}, at {say(most.vdd_V, 'V', 3)}. Many of them pull a membrane "
        "below ground or push it above its supply, which ideal sources do and transistors do not: "
        "only networks that stay within the rails are built."
    ]
    if len(paper):
        said.append(
            f"Of these, {say(int(paper.like_paper.sum()))} give 4 output spikes for a 1 and 2 for "
            f"a 0, at {len(paper)} of {len(supplies)} supplies, with margins of "
            f"{span(paper.like_paper_margin_mV, 'mV', 2)}."
        )
    silent = supplies[supplies.vdd_V < solved.vdd_V.min()]
    if len(silent):
        worst = silent.iloc[-1]
        said.append(
            f"At {say(worst.vdd_V, 'V', 3)} and below one unit moves the membrane by at most "
            f"{say(worst.step_mV, 'mV', 3)}, too little for three output spikes."
        )
    return " ".join(said)
