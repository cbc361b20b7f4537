"""The figure of `Transfer`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neuromod.protocols.transfer import words
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.transfer.protocol import Transfer

STYLES = {
    "nt1": {"color": BLUE, "marker": "o"},
    "nt1_both": {"color": SKY, "marker": "s"},
    "nt1_inputs": {"color": BLACK, "marker": "v"},
    "nt2": {"color": ORANGE, "marker": "^"},
    "additive": {"color": ORANGE, "marker": "x", "ls": ":"},
    "probe": {"color": GREEN, "marker": "D"},
    "lora": {"color": PURPLE, "marker": "P"},
    "tft": {"color": RED, "marker": "*"},
}
MOST_TASKS = 4


def plot(
    protocol: Transfer, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """For each task: accuracy against trained parameters, learning curves, learning rates."""
    del protocol, recordings
    names = list(dict.fromkeys(tables["tasks"].data))[:MOST_TASKS]
    drawn = {name: draw for name, draw in PANELS.items() if len(tables[name])}
    layout = [[f"{table} of {name}" for name in names] for table in drawn]
    figure, axes = panels(layout, max(2.7 * len(names), 6), 3 * len(drawn) + 0.5)
    letters = iter("abcdefghijkl")
    for table, draw in drawn.items():
        for name in names:
            ax, rows = axes[f"{table} of {name}"], tables[table]
            draw(ax, rows[rows.data == name])
            ax.set_title(f"{next(letters)}  {Path(name).name}")
    named = {
        label: handle
        for ax in axes.values()
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5)
    if words.meaningless(tables):
        figure.suptitle(words.MEANINGLESS.strip())
    return figure


def _plot_equal(axes: Any, rows: pd.DataFrame) -> None:
    for method, own in rows.groupby("method", sort=False):
        spread = 100 * own.test_accuracy_sd.fillna(0)
        look: Any = {"ms": 5, "lw": 1, "capsize": 2, **STYLES[method]}
        axes.errorbar(
            own.trained_parameters, 100 * own.test_accuracy_mean, spread, label=method, **look
        )
    axes.set(
        xscale="log", xlabel="trained parameters", ylim=(0, 103), ylabel="test images right (%)"
    )


def _plot_curves(axes: Any, rows: pd.DataFrame) -> None:
    for method, own in rows[rows.layers == 0].groupby("method", sort=False):
        look: Any = {**STYLES[method], "marker": "", "lw": 1.2}
        axes.plot(own.epoch, 100 * own.validation_accuracy, **look)
    axes.set(xlabel="epoch (all layers)", ylim=(0, 103), ylabel="validation images right (%)")


def _plot_rates(axes: Any, cells: pd.DataFrame) -> None:
    rows = cells[cells.table.isin([2, 3])].drop_duplicates(["method", "learning_rate"])
    for method, own in rows.sort_values("learning_rate").groupby("method", sort=False):
        look: Any = {"ms": 4, **STYLES[method]}
        axes.plot(own.learning_rate, 100 * own.validation_accuracy_mean, label=method, **look)
        axes.plot(own.learning_rate, 100 * own.paper_accuracy, "--", color=look["color"], lw=0.8)
    dashed = ", paper dashed" if rows.paper_accuracy.notna().any() else ""
    axes.set(
        xscale="log",
        xlabel=f"learning rate (tables 2 and 3{dashed})",
        ylim=(0, 103),
        ylabel="validation images right (%)",
    )


PANELS = {"equal": _plot_equal, "curves": _plot_curves, "table": _plot_rates}
