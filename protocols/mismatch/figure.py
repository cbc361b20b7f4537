"""The figure of `ChipMismatch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, ORANGE, legend, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.mismatch.protocol import ChipMismatch

COLORS = {"widest": BLUE, "paper": ORANGE}
NAMES = {"widest": "gate with the widest margin", "paper": "gate with the paper's spikes"}
# As made, a ring; re-tuned, a smaller square that may lie inside it.
MADE = {"marker": "o", "mfc": "white", "ms": 7, "ls": "--"}
TUNED = {"marker": "s", "ms": 4, "ls": "-"}


def plot(
    protocol: ChipMismatch, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Yields before and after re-tuning: by size, by kind of device, and by condition."""
    del recordings
    layout = [["sizes", "sources"], ["sizes", "sources"], ["conditions", "conditions"]]
    figure, axes = panels(layout, width=12, height=7.5)
    for design, rows in tables["table"].groupby("design", sort=False):
        for name, look in (("yield", MADE), ("retuned", TUNED)):
            _with_intervals(axes["sizes"], rows, name, color=COLORS[str(design)], **look)
    axes["sizes"].set(
        xlabel="size of the mismatch (standard deviations)",
        ylabel="gates that work (%)",
        ylim=(0, 103),
        xlim=(0, None),
        title="a  Yield, with 95 % intervals",
    )
    _plot_sources(protocol, axes["sources"], tables["sources"])
    _plot_conditions(axes["conditions"], tables["conditions"])
    looks: dict[str, Any] = {NAMES[name]: {"color": color} for name, color in COLORS.items()}
    looks |= {"as made": {"color": BLACK, **MADE}, "re-tuned": {"color": BLACK, **TUNED}}
    legend(axes["sources"], also=looks)
    return figure


def _with_intervals(axes: Any, rows: pd.DataFrame, name: str, **look: Any) -> None:
    middle = rows[f"{name}_percent"]
    below, above = middle - rows[f"{name}_low_percent"], rows[f"{name}_high_percent"] - middle
    # Rounding may leave an end a hair inside the point.
    ends = np.maximum([below, above], 0)
    axes.errorbar(rows.size_sigma, middle, yerr=ends, capsize=2, **look)


def _plot_sources(protocol: ChipMismatch, axes: Any, sources: pd.DataFrame) -> None:
    names = list(dict.fromkeys(sources.source))
    for k, (design, rows) in enumerate(sources.groupby("design", sort=False)):
        height = -np.arange(len(rows)) + 0.14 - 0.28 * k
        color = COLORS[str(design)]
        axes.hlines(height, rows.yield_percent, rows.retuned_percent, color=color, lw=1)
        axes.plot(rows.yield_percent, height, color=color, **MADE | {"ls": ""})
        axes.plot(rows.retuned_percent, height, color=color, **TUNED | {"ls": ""})
    axes.set_yticks(-np.arange(len(names)), names)
    axes.set(
        xlabel="gates that work (%)",
        title=f"b  One kind of device alone, at {say(protocol.source_size)} standard deviations",
    )


def _plot_conditions(axes: Any, conditions: pd.DataFrame) -> None:
    names = list(dict.fromkeys(conditions.condition))
    for k, (design, rows) in enumerate(conditions.groupby("design", sort=False)):
        place, color = np.arange(len(rows)) - 0.12 + 0.24 * k, COLORS[str(design)]
        axes.vlines(place, rows.right, rows.right_retuned, color=color, lw=1)
        axes.plot(place, rows.right, color=color, **MADE | {"ls": ""})
        axes.plot(place, rows.right_retuned, color=color, **TUNED | {"ls": ""})
    axes.set_xticks(np.arange(len(names)), names)
    axes.set(
        ylabel="rows right of 4",
        ylim=(0, 4.4),
        title="c  Process corners (n-type, p-type) and temperature, without mismatch",
    )
