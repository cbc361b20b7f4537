"""The report of `Xor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.xor.protocol import Xor

NAMES = {
    "widest": "with the widest margin",
    "paper": "with the widest margin of those that answer as the paper's",
}
CODES = (
    "Codes a and b are those of the synapses from the two inputs to a hidden neuron, codes 1 and 2 "
    "those from the two hidden neurons to the output. The margin is the least distance of any of "
    "the three membranes from threshold at the moment of a decision, in any row."
)
SILENCE = (
    "Without input there is no spike, no decision of a comparator and no energy but leakage: the "
    "paper's 2 spikes for a 0 can only be those of the row with both inputs on. What flows through "
    "the synapses follows from the mirror equation; the core's entries are calibrated here, and "
    "how they share the paper's total is an estimate."
)


def report(protocol: Xor, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """What was found, what the simulation gave, and where the two differ."""
    del protocol
    return [
        Section("The gates simulated", _say_rows(tables["table"]), "table"),
        Section("Their codes", CODES, "designs"),
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
    said.append(
        f"In {differing} of {len(table)} rows the simulation gives another number of output "
        "spikes than the search, which takes the leak as linear and the sources as ideal."
        if differing
        else "In every row the simulation gives as many output spikes as the search had found in "
        "closed form."
    )
    return " ".join([*said, SILENCE])


def _say_supplies(supplies: pd.DataFrame) -> str:
    solved = supplies[supplies.networks > 0]
    most = solved.loc[solved.networks.idxmax()]
    said = [
        f"At each supply all {say(int(supplies.tried[0]))} sets of six codes were tried. Networks "
        f"that compute XOR exist from {span(solved.vdd_V, 'V', 3)}, most of them, "
        f"{say(int(most.networks))}, at {say(most.vdd_V, 'V', 3)}."
    ]
    silent = supplies[supplies.vdd_V < solved.vdd_V.min()]
    if len(silent):
        worst = silent.iloc[-1]
        said.append(
            f"At {say(worst.vdd_V, 'V', 3)} and below one unit moves the membrane by at most "
            f"{say(worst.step_mV, 'mV', 3)}, too little for three output spikes."
        )
    said.append(
        "Many of them pull a membrane below ground or push it above its supply, which ideal "
        "sources do and transistors do not: only networks that stay within the rails are built."
    )
    paper = supplies[supplies.like_paper > 0]
    said.append(
        f"Of these, {say(int(paper.like_paper.sum()))} give 4 output spikes for a 1 and 2 for a "
        f"0, at {len(paper)} of {len(supplies)} supplies, with margins of "
        f"{span(paper.like_paper_margin_mV, 'mV', 2)}."
        if len(paper)
        else "None of these gives 4 output spikes for a 1 and 2 for a 0."
    )
    return " ".join(said)
