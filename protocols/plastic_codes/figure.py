"""The figure of `PlasticCodes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import volt

from neuromod.plasticity.tasks import PatternRecall
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.plastic_codes.protocol import PlasticCodes

MODULATIONS = {"ideal": BLUE, "supply": ORANGE, "held": GREEN}
CELLS = (PURPLE, RED, SKY)


def plot(
    protocol: PlasticCodes, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Success against bits, codes used, and the supply over an episode."""
    del recordings
    figure, axes = panels([["success", "codes"], ["wanted", "vdd"]], width=11, height=6.5)
    _plot_success(axes["success"], tables["summary"])
    codes = tables["codes"]
    axes["codes"].bar(codes.code, codes.share, color=ORANGE)
    axes["codes"].set(
        yscale="log",
        xlabel="code",
        ylabel="share of synapses",
        title=f"b  Codes of {codes.bits.iloc[0]} bits after an episode, by supply",
    )
    _plot_course(axes["wanted"], axes["vdd"], tables["course"])
    for level in protocol.supplies / volt:
        axes["vdd"].axhline(level, color=BLACK, lw=0.8, ls="--")
    return figure


def _plot_success(axes: Any, summary: pd.DataFrame) -> None:
    finite = sorted(set(summary.bits[np.isfinite(summary.bits)]))
    end = max(finite, default=0) + 1
    for number, (kind, color) in enumerate(MODULATIONS.items()):
        rows = summary[summary.modulation == kind]
        at = np.where(np.isfinite(rows.bits), rows.bits, end) + 0.08 * (number - 1)
        look = {"color": color, "marker": "o", "ms": 4, "capsize": 2, "label": kind}
        # No line leads to the weights that are not rounded.
        joined = np.where(np.isfinite(rows.bits), rows.success_mean, np.nan)
        axes.errorbar(at, rows.success_mean, rows.success_sd, ls="", **look)
        axes.plot(at, joined, color=color)
    axes.axhline(1 / PatternRecall().outputs, color=BLACK, lw=0.8, ls="--")
    axes.set_xticks([*finite, end], [*(f"{bits:g}" for bits in finite), "not\nrounded"])
    axes.set(
        xlabel="bits of a plastic weight besides its sign",
        ylabel="success",
        ylim=(0, 1.03),
        title="a  Success (bars: SD; dashed: guessing)",
    )
    legend(axes, "modulation")


def _plot_course(wanted: Any, vdd: Any, course: pd.DataFrame) -> None:
    for color, (cell, rows) in zip(CELLS, course.groupby("cell"), strict=False):
        wanted.plot(rows.time_ms, rows.wanted, color=color, lw=1, label=f"cell {cell}")
        wanted.plot(rows.time_ms, rows.given, ":", color=color, lw=2)
        vdd.step(rows.time_ms, rows.vdd_V, where="mid", color=color)
    wanted.axhline(0, color=BLACK, lw=0.5)
    wanted.set(xlabel="time (ms)", ylabel="third factor M", title="c  Gate of three cells")
    legend(wanted, also={"by supply": {"ls": ":", "lw": 2, "color": BLACK}})
    vdd.set(
        xlabel="time (ms)",
        ylabel="VDD (V); 0: off",
        ylim=(-0.03, 1.08),
        title="d  Supplies of the same cells (dashed: range)",
    )
