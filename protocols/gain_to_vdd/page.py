"""The page of `GainToVdd`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels
from neuromod.support.text import percent, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_to_vdd.protocol import GainToVdd

LOOKS = {"square": (BLUE, "o", "-"), "ekv": (ORANGE, "^", "--")}
NAMES = {"square": "square law", "ekv": "EKV"}


def plot(protocol: GainToVdd, tables: Tables, recordings: Recordings) -> Figure:
    """Gain and sensitivity against the supply, error against bits, bits against precision."""
    del protocol, recordings
    figure, axes = panels([["gain", "sensitivity"], ["error", "bits"]], width=10)
    for law, (color, marker, line) in LOOKS.items():
        own, steps, bits = (
            tables[name][tables[name].law == law] for name in ("table", "quantised", "bits")
        )
        exact = {"color": color, "ls": line}
        simulated = {"color": color, "marker": marker, "ls": "", "ms": 4, "fillstyle": "none"}
        axes["gain"].plot(own.vdd_V, own.gain, **exact)
        axes["gain"].plot(own.vdd_V[::5], own.gain_measured[::5], **simulated)
        axes["sensitivity"].plot(own.vdd_V, own.relative_percent_per_mV, **exact)
        axes["error"].plot(steps.bits, steps.worst_percent, **exact)
        axes["error"].plot(steps.bits, steps.worst_measured_percent, **simulated)
        look = {"marker": marker, "ms": 5, "fillstyle": "none"}
        axes["bits"].plot(bits.precision_percent, bits.bits, **exact, **look)
    axes["gain"].axhline(1, color=BLACK, lw=0.6)
    label(axes["gain"], "a  Gain", "synapse supply VDD (V)", "gain", ylim=(0, None))
    label(
        axes["sensitivity"],
        "b  Relative sensitivity",
        "synapse supply VDD (V)",
        "change of gain (% per mV)",
        ylim=(0, None),
    )
    label(
        axes["error"],
        "c  Nearest supply to a wanted gain, at worst",
        "bits of the supply",
        "largest error of a gain (%)",
        log="y",
    )
    label(
        axes["bits"],
        "d  Bits that it takes",
        "wanted precision of gains (%)",
        "bits of the supply",
        log="x",
    )
    for axis in (axes["error"].yaxis, axes["bits"].xaxis):
        axis.set_major_formatter("{x:g}")
    named = {
        f"{NAMES[law]}, {what}": {"color": color, "ls": ls, "marker": mark, "fillstyle": "none"}
        for law, (color, marker, line) in LOOKS.items()
        for what, ls, mark in (("closed form", line, ""), ("simulated", "", marker))
    }
    legend(axes["sensitivity"], also=named)
    return figure


def report(protocol: GainToVdd, tables: Tables) -> list[Section]:
    """Which gains can be had, how exactly, and with how many bits."""
    del protocol
    return [
        Section("Which gains can be had", _say_ranges(tables), "ranges"),
        Section("How exactly a supply must be set", _say_bits(tables["table"]), "bits"),
        Section("Errors of wanted gains", _say_errors(tables["quantised"]), "quantised"),
    ]


def _say_ranges(tables: Tables) -> str:
    table = tables["table"]
    ranges = tables["ranges"].set_index("law")
    square, ekv = (
        f"{say(ranges.gain_low[law], digits=3)} to {say(ranges.gain_high[law], digits=3)}"
        for law in ("square", "ekv")
    )
    off = np.max(np.abs(table.gain_measured / table.gain - 1))
    back = np.max(np.abs(table.vdd_back_V - table.vdd_V))
    return (
        f"Supplies from 0.5 to 1 V give gains from {square} with square-law transistors and from "
        f"{ekv} with EKV, whose transistors conduct below threshold too. The steps of simulated "
        f"membranes differ from these gains by {percent(off, 1)} at most. Back from a gain to "
        f"its supply the inverse misses by {say(1e9 * back, 'nV', 1)}. The range follows from "
        "values that are calibrated here, not from the paper."
    )


def _say_bits(table: pd.DataFrame) -> str:
    low, high = (
        f"{say(row.relative_percent_per_mV, '%', 3)} at {say(row.vdd_V, 'V', 3)}"
        for row in table[table.law == "square"].iloc[[0, -1]].itertuples()
    )
    return (
        f"A millivolt changes the gain by {low} and by {high}: the lower end needs the finer "
        "supply. Bits are counted for evenly spaced supplies, of which the nearest is taken, in "
        "the worst case over the range."
    )


def _say_errors(quantised: pd.DataFrame) -> str:
    coarse, fine = quantised[quantised.law == "square"].iloc[[0, -1]].itertuples()
    return (
        f"With {say(coarse.bits)} bits, {say(coarse.step_mV, 'mV', 3)} apart, the nearest supply "
        f"misses a wanted gain by up to {say(coarse.worst_percent, '%', 3)}, with "
        f"{say(fine.bits)} bits by up to {say(fine.worst_percent, '%', 2)}; simulated membranes "
        f"miss it by up to {say(coarse.worst_measured_percent, '%', 3)} and "
        f"{say(fine.worst_measured_percent, '%', 2)}. Each further bit halves the error."
    )
