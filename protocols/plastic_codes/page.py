"""The page of `PlasticCodes`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import volt
from matplotlib.figure import Figure

from neuromod.plasticity.tasks import PatternRecall
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support import figures
from neuromod.support.figures import BLACK, label, legend, panels
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.plastic_codes.protocol import PlasticCodes

MODULATIONS = {"ideal": figures.BLUE, "supply": figures.ORANGE, "held": figures.GREEN}
CELLS = (figures.PURPLE, figures.RED, figures.SKY)
GUESSING = 1 / PatternRecall().outputs


def plot(protocol: PlasticCodes, tables: Tables, recordings: Recordings) -> Figure:
    """Success against bits, codes used, and the supply over an episode."""
    del recordings
    figure, axes = panels([["success", "codes"], ["wanted", "vdd"]], width=11, height=6.5)
    _plot_success(axes["success"], tables["summary"])
    codes = tables["codes"]
    axes["codes"].bar(codes.code, codes.share, color=MODULATIONS["supply"])
    title = f"b  Codes of {codes.bits.iloc[0]} bits after an episode, by supply"
    label(axes["codes"], title, "code", "share of synapses", log="y")
    _plot_course(axes["wanted"], axes["vdd"], tables["course"])
    for level in protocol.supplies / volt:
        axes["vdd"].axhline(level, color=BLACK, lw=0.8, ls="--")
    return figure


def _plot_success(axes: Any, summary: pd.DataFrame) -> None:
    finite = sorted(set(summary.bits[np.isfinite(summary.bits)]))
    end = max(finite, default=0) + 1
    for place, (kind, color) in enumerate(MODULATIONS.items()):
        rows = summary[summary.modulation == kind]
        at = np.where(np.isfinite(rows.bits), rows.bits, end) + 0.08 * (place - 1)
        look = {"color": color, "marker": "o", "ms": 4, "capsize": 2, "label": kind}
        # No line leads to the weights that are not rounded.
        joined = np.where(np.isfinite(rows.bits), rows.success_mean, np.nan)
        axes.errorbar(at, rows.success_mean, rows.success_sd, ls="", **look)
        axes.plot(at, joined, color=color)
    axes.axhline(GUESSING, color=BLACK, lw=0.8, ls="--")
    axes.set_xticks([*finite, end], [*(f"{bits:g}" for bits in finite), "not\nrounded"])
    title, across = "a  Success (bars: SD; dashed: guessing)", "bits besides the sign"
    label(axes, title, across, "success", ylim=(0, 1.03))
    legend(axes, "modulation")


def _plot_course(wanted: Any, vdd: Any, course: pd.DataFrame) -> None:
    for color, (cell, rows) in zip(CELLS, course.groupby("cell"), strict=False):
        wanted.plot(rows.time_ms, rows.wanted, color=color, lw=1, label=f"cell {cell}")
        wanted.plot(rows.time_ms, rows.given, ":", color=color, lw=2)
        vdd.step(rows.time_ms, rows.vdd_V, where="mid", color=color)
    wanted.axhline(0, color=BLACK, lw=0.5)
    label(wanted, "c  Gate of three cells", "time (ms)", "third factor M")
    legend(wanted, also={"by supply": {"ls": ":", "lw": 2, "color": BLACK}})
    title = "d  Supplies of the same cells (dashed: range)"
    label(vdd, title, "time (ms)", "VDD (V); 0: off", ylim=(-0.03, 1.08))


LIMITS = (
    "The circuit's synapse has signed codes for the plastic weights, and a gate from 0 up to the "
    "current at the highest supply. It has no third factors of both signs in one cell, which take "
    "a second mirror with its own supply; no changes below a step of the code, but for the analog "
    "trace assumed here; no decay and no eligibility trace, which need a leak in each synapse; no "
    "coefficients of single synapses. Fixed weights are not rounded."
)


def report(protocol: PlasticCodes, tables: Tables) -> list[Section]:
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
    least = f"{number(min(enough))} bits and a sign" if len(enough) else "No number of bits tried"
    none = ""
    if 0 in ideal.index:
        none = f" Without the plastic part, {percent(ideal.success_mean[0], 2)} are right."
    return (
        f"With plastic weights that are not rounded, the networks in Brian2 answer {_spread(full)} "
        f"of the questions right (torch: {percent(full.torch_mean, 2)}; guessing: "
        f"{percent(GUESSING, 2)}). {least} {'come' if len(enough) else 'comes'} within 2 points of "
        f"that.{none} Every cell has a scale of its own, set by its largest plastic weight in "
        "other episodes. The trace itself stays analog; a spike sees it rounded."
    )


def _on_supply(protocol: PlasticCodes, tables: Tables) -> str:
    rows = tables["summary"].query("bits == inf").set_index("modulation")
    ideal, supply, held = (_spread(rows.loc[kind]) for kind in MODULATIONS)
    cut = tables["supply"].mean(numeric_only=True)
    low, high = (say(level) for level in protocol.supplies)
    return (
        f"From {high} down to {low} the mirror's current falls to {number(cut.reach, 3)} of "
        "itself; below half of that the supply is off. In between, the exact inverse of the mirror "
        f"gives the supply. {percent(cut.against_sign, 2)} of the third factor (its integral) has "
        "the sign that a cell's supply cannot give, and the ends of the range change "
        f"{percent(cut.changed, 2)}. Success is {ideal} with the modulator itself, {supply} with "
        f"the supply in its place, and {held} with a third factor that stays at its mean (± is "
        "the standard deviation over networks)."
    )


def _spread(row: pd.Series) -> str:
    return f"{100 * row.success_mean:.0f} ± {100 * row.success_sd:.0f} %"
