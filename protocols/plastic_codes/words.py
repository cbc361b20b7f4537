"""The report of `PlasticCodes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuromod.plasticity.tasks import PatternRecall
from neuromod.protocol import Section
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.plastic_codes.protocol import PlasticCodes

LIMITS = (
    "The circuit's synapse supports signed codes for the plastic weights, and a gate from 0 up to "
    "the current at the highest supply. It does not support: third factors of both signs in one "
    "cell, which take a second mirror of the other type with its own supply; changes smaller than "
    "a step of the code, except with an analog trace behind it, as assumed here; decay of the "
    "trace and an eligibility trace, which need a leak in each synapse; and coefficients of "
    "single synapses, since each cell has a single scale. Fixed weights are not rounded, to show "
    "the effect on the plastic part alone."
)


def report(protocol: PlasticCodes, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """How many bits suffice, the effect of the supply, and what a circuit's synapse lacks."""
    return [
        Section("Bits", _on_bits(tables["summary"]), "summary"),
        Section("A supply as the gate", _on_supply(protocol, tables), "supply"),
        Section("What the circuit's synapse would support", LIMITS),
        Section("All networks", "Success of every network on the same episodes.", "table"),
    ]


def _on_bits(summary: pd.DataFrame) -> str:
    ideal = summary[summary.modulation == "ideal"].set_index("bits")
    full = ideal.loc[np.inf]
    enough = ideal.index[(ideal.success_mean >= full.success_mean - 0.02) & (ideal.index < np.inf)]
    least = "No number of bits tried comes within 2 points of that."
    if len(enough):
        least = f"{number(min(enough))} bits and a sign come within 2 points of that."
    none = ""
    if 0 in ideal.index:
        none = f" Without the plastic part, {percent(ideal.success_mean[0], 2)} are right."
    return (
        f"With plastic weights that are not rounded, the networks in Brian2 answer {_spread(full)} "
        f"of the questions right (torch: {percent(full.torch_mean, 2)}; guessing: "
        f"{percent(1 / PatternRecall().outputs, 2)}). {least}{none} Every cell has a scale of its "
        "own, set by its largest plastic weight in other episodes. The trace itself stays analog; "
        "a spike sees it rounded."
    )


def _on_supply(protocol: PlasticCodes, tables: dict[str, pd.DataFrame]) -> str:
    rows = tables["summary"].query("bits == inf").set_index("modulation")
    cut = tables["supply"].mean(numeric_only=True)
    low, high = (say(level) for level in protocol.supplies)
    return (
        f"From {high} down to {low} the mirror's current falls to {number(cut.reach, 3)} of "
        "itself; below half of that the supply is off. In between, the exact inverse of the "
        f"mirror gives the supply for every third factor. {percent(cut.against_sign, 2)} of the "
        "third factor (its integral) has the sign that a cell's supply cannot give, and the ends "
        f"of the range change {percent(cut.changed, 2)}. Success is {_spread(rows.loc['ideal'])} "
        f"with the modulator itself, {_spread(rows.loc['supply'])} with the supply in its place, "
        f"and {_spread(rows.loc['held'])} with a third factor that stays at its mean (± is the "
        "standard deviation over networks)."
    )


def _spread(row: pd.Series) -> str:
    return f"{100 * row.success_mean:.0f} ± {100 * row.success_sd:.0f} %"
