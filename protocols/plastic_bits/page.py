"""The page of `PlasticBits`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2.units.allunits import pjoule
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.plastic_bits.lessons import CLASSES
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels
from neuromod.support.text import listed, number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.plastic_bits.protocol import PlasticBits

LOOKS = {"nearest": {"color": ORANGE, "marker": "s"}, "stochastic": {"color": BLUE, "marker": "o"}}
MANNERS = {"nearest": "to the nearest code", "stochastic": "stochastically"}
LINES = {"not rounded": "--", "guessing": ":"}
# Bits whose codes are drawn, or the nearest that there are; and what counts as nothing lost.
DRAWN, NEAR = 4, 0.02

ALL = "Networks on the images of their seeds; codes of 20 bits stand for what is not rounded."


def plot(protocol: PlasticBits, tables: Tables, recordings: Recordings) -> Figure:
    """Accuracy and writes against bits, accuracy against energy, and codes."""
    del protocol, recordings
    figure, axes = panels([["accuracy", "writes"], ["energy", "codes"]], width=11, height=7)
    summary = tables["summary"]
    rounded = summary[np.isfinite(summary.bits)]
    reference = summary[np.isinf(summary.bits)].iloc[0]
    for rounding, rows in rounded.groupby("rounding", sort=False):
        look = {**LOOKS[str(rounding)], "ms": 4, "label": MANNERS[str(rounding)]}
        spread = {"yerr": rows.accuracy_sd.fillna(0), "capsize": 2}
        axes["accuracy"].errorbar(rows.bits, rows.accuracy_mean, **spread, **look)
        written = rows[rows.writes_per_image > 0]
        axes["writes"].plot(written.bits, written.writes_per_image, **look)
        paid = rows[rows.energy_per_image_pJ > 0]
        axes["energy"].plot(paid.energy_per_image_pJ, paid.accuracy_mean, **look)
        for row in paid.itertuples():
            at = (row.energy_per_image_pJ, row.accuracy_mean)
            axes["energy"].annotate(
                f"{row.bits:g}", at, (0, 5), textcoords="offset points", ha="center", fontsize=7
            )
    lines = {name: {"color": BLACK, "lw": 0.9, "ls": ls} for name, ls in LINES.items()}
    axes["writes"].axhline(reference.writes_per_image, **lines["not rounded"])
    for name in ("accuracy", "energy"):
        axes[name].axhline(reference.accuracy_mean, **lines["not rounded"])
        axes[name].axhline(1 / CLASSES, **lines["guessing"])
    _draw_codes(axes["codes"], tables["codes"])
    ticks = sorted(rounded.bits.unique())
    for name in ("accuracy", "writes"):
        axes[name].set_xticks(ticks)
    x, share = "bits, sign included", "share of test images right"
    label(axes["accuracy"], "a  Accuracy (bars: SD over seeds)", x, share, ylim=(0, 1.03))
    label(axes["writes"], "b  Writes (none: left out)", x, "writes per image", log="y")
    title = "c  Accuracy over energy (numbers: bits)"
    log = "x" if (rounded.energy_per_image_pJ > 0).any() else ""
    label(axes["energy"], title, "energy of writes per image (pJ)", share, log, ylim=(0, 1.03))
    legend(axes["writes"], "rounded", also=lines)
    return figure


def _draw_codes(axes: Any, codes: pd.DataFrame) -> None:
    bits = min(codes.bits.unique(), key=lambda found: abs(found - DRAWN))
    shown = codes[codes.bits == bits]
    groups = list(shown.groupby("rounding", sort=False))
    width = 0.8 / len(groups)
    for place, (rounding, rows) in enumerate(groups):
        at = rows.code + width * (place - (len(groups) - 1) / 2)
        axes.bar(at, rows.share, width, color=LOOKS[str(rounding)]["color"])
    label(axes, f"d  Codes of {bits} bits after learning", "code", "share of synapses")


def report(protocol: PlasticBits, tables: Tables) -> list[Section]:
    """How few bits will do, why rounding to the nearest code stalls, and what writing costs."""
    return [
        Section("Bits", _on_bits(tables["summary"]), "summary"),
        Section("Changes that vanish", _on_stalling(protocol)),
        Section("Writes and their energy", _on_energy(protocol, tables)),
        Section("All networks", ALL, "table"),
    ]


def _on_bits(summary: pd.DataFrame) -> str:
    full = summary[np.isinf(summary.bits)].iloc[0]
    words = [
        f"With weights that are not rounded, {_spread(full)} of the test images are right "
        f"(guessing: {percent(1 / CLASSES, 2)}; ± is the standard deviation over seeds). An image "
        "is right if the cell of its class fires more than every other: silence and ties are "
        "wrong, and networks that did not learn may lie below guessing."
    ]
    for rounding, rows in summary[np.isfinite(summary.bits)].groupby("rounding", sort=False):
        good = rows[rows.accuracy_mean >= full.accuracy_mean - NEAR].bits
        least = f"{number(good.min())} bits come" if len(good) else "no number of bits here comes"
        fewest = rows.loc[rows.bits.idxmin()]
        words.append(
            f"Rounded {MANNERS[str(rounding)]}, {least} within {number(100 * NEAR)} points of "
            f"that; with {number(fewest.bits)} bits {_spread(fewest)} are right."
        )
    return " ".join(words)


def _on_stalling(protocol: PlasticBits) -> str:
    change = protocol.largest_rise
    lost = [b for b in sorted(protocol.bits) if change < protocol.half_step(b)]
    text = (
        f"The largest rise of a weight that is ever asked for is eta*goal = {number(change, 3)}. "
        "Rounded to the nearest code, what is less than half a step leaves a code as it is, "
        "however often it is asked for: "
    )
    if lost:
        least = protocol.half_step(lost[-1]) / protocol.goal
        text += (
            f"with {listed([number(bits) for bits in lost])} bits no code ever rises. With "
            f"{number(lost[-1])} bits codes would rise from eta = {number(least, 3)} on."
        )
    else:
        text += "with all numbers of bits here, codes rise."
    if "stochastic" in protocol.rounding:
        text += (
            " Stochastic rounding seldom makes the same change, but then a whole step: its mean is "
            "exact, and its price is noise, the more the fewer the bits."
        )
    return text


def _on_energy(protocol: PlasticBits, tables: Tables) -> str:
    summary, reads = tables["summary"], tables["reads"].reads_per_image.mean()
    rounded = summary[np.isfinite(summary.bits)]
    parts = []
    for rounding, rows in rounded.groupby("rounding", sort=False):
        ends = [rows.loc[rows.bits.idxmin()], rows.loc[rows.bits.idxmax()]]
        said = " and ".join(
            f"{number(row.writes_per_image, 3)} writes and {say(row.energy_per_image_pJ, 'pJ', 3)} "
            f"with {number(row.bits)} bits"
            for row in ends
        )
        parts.append(f"{MANNERS[str(rounding)]} {said}")
    most = float(max(protocol.bits) * reads * protocol.energy / pjoule)
    return (
        f"Learning from an image takes, rounded {'; rounded '.join(parts)}. A write counts when a "
        f"code changes, and costs {say(protocol.energy, digits=3)} for each bit of the code, an "
        "estimate from the access to a small memory. Updates are the changes that were computed. "
        f"They need no reading of their own: the {number(reads, 3)} codes that an image's spikes "
        f"read to excite cells are the same. At the same energy a bit, reading "
        f"{number(max(protocol.bits))} bits costs {say(most, 'pJ', 3)} an image."
    )


def _spread(row: Any) -> str:
    if np.isnan(row.accuracy_sd):
        return percent(row.accuracy_mean, 3)
    return f"{100 * row.accuracy_mean:.1f} ± {100 * row.accuracy_sd:.1f} %"
