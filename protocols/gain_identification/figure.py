"""The figure of `GainIdentification`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from neuromod.analysis.identification import (
    ADDITIVE,
    CONFIDENCE,
    EFFECTS,
    INPUT,
    NONE,
    OUTPUT,
    SHIFT,
    Hypothesis,
)
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_identification.protocol import GainIdentification

COLORS = {
    NONE.name: SKY,
    INPUT.name: BLUE,
    OUTPUT.name: ORANGE,
    ADDITIVE.name: GREEN,
    SHIFT.name: PURPLE,
}
CONTROL = "0.6"
TRUTH: dict[str, Any] = {"ls": "", "marker": "|", "color": RED, "ms": 16, "mew": 2}
SHOWN = 10


def plot(
    protocol: GainIdentification,
    tables: dict[str, pd.DataFrame],
    recordings: Mapping[str, Recording],
) -> Figure:
    """Data with the fits, intervals of the parameters, and weights."""
    del recordings
    # Concentrations that name conditions come back from a file as numbers.
    curves, fits, table, verdicts = (
        tables[name].assign(condition=tables[name].condition.astype(str))
        for name in ("curves", "fits", "table", "verdicts")
    )
    conditions = list(dict.fromkeys(table.condition))[:SHOWN]
    shown = table[table.condition.isin(conditions)]
    found = verdicts.set_index("condition").verdict
    figure, axes = _panels(len(conditions))
    for number, condition in enumerate(conditions):
        axis = axes[f"curve {number}"]
        measured = curves[curves.condition.isin([protocol.control, condition])]
        _plot_curves(axis, measured, fits[fits.condition == condition], protocol.control)
        axis.set_title(f"{chr(97 + number)}  {condition}\n    found: {found[condition]}")
    axes["curve 0"].set_ylabel("firing rate (Hz)")
    for number, effect in enumerate(EFFECTS, len(conditions)):
        rows = shown[shown.hypothesis == effect.name]
        _plot_intervals(axes[effect.name], rows, effect, chr(97 + number))
    _plot_weights(axes["weights"], shown, conditions, chr(97 + len(conditions) + len(EFFECTS)))
    handles, labels = axes["curve 0"].get_legend_handles_labels()
    if "truth" in table:
        handles, labels = [*handles, Line2D([], [], **TRUTH)], [*labels, "truth"]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _panels(conditions: int) -> tuple[Figure, Any]:
    """Panels for the curves, at most five in a row, over those for parameters and weights."""
    across = min(conditions, 5)
    names = [f"curve {n}" for n in range(conditions)] + ["."] * (-conditions % across)
    upper = [names[n : n + across] for n in range(0, len(names), across)]
    lower = [*(effect.name for effect in EFFECTS), "weights"]
    return panels([[upper], [[lower]]], width=13, height=3.3 * (len(upper) + 1))


def _plot_curves(axis: Any, measured: pd.DataFrame, fits: pd.DataFrame, control: str) -> None:
    is_control = measured.condition == control
    for rows, color, label in (
        (measured[is_control], CONTROL, "control"),
        (measured[~is_control], BLACK, "modulated"),
    ):
        dots: dict[str, Any] = {"ms": 3.5, "alpha": 0.7, "mew": 0}
        axis.plot(rows.current_nA, rows.rate_Hz, "o", color=color, label=label, **dots)
    for name, rows in fits.groupby("hypothesis", sort=False):
        axis.plot(rows.current_nA, rows.modulated_Hz, color=COLORS[name], lw=1.2, label=name)
    axis.set(xlabel="current (nA)", ylim=(0, None))


def _plot_intervals(axis: Any, rows: pd.DataFrame, effect: Hypothesis, letter: str) -> None:
    at = np.arange(len(rows))
    reach = [rows.estimate - rows.low, rows.high - rows.estimate]
    if "truth" in rows:
        axis.plot(rows.truth, at, **TRUTH)
    axis.errorbar(rows.estimate, at, xerr=reach, fmt="o", color=COLORS[effect.name], ms=4)
    axis.axvline(effect.neutral, color=BLACK, lw=0.8, ls=":")
    unit = "" if effect.unit == "1" else f" ({effect.unit})"
    axis.set(
        title=f"{letter}  {effect.formula}",
        xlabel=f"{effect.name}{unit}",
        ylim=(len(rows) - 0.5, -0.5),
    )
    axis.set_yticks(at, rows.condition if effect is EFFECTS[0] else [""] * len(rows))


def _plot_weights(axis: Any, table: pd.DataFrame, conditions: list[str], letter: str) -> None:
    left = np.zeros(len(conditions))
    for name, color in COLORS.items():
        weight = table[table.hypothesis == name].set_index("condition").weight[conditions]
        axis.barh(np.arange(len(conditions)), weight, left=left, color=color, height=0.6)
        left += weight.to_numpy()
    axis.axvline(CONFIDENCE, color=BLACK, lw=0.8, ls=":")
    axis.set(
        title=f"{letter}  Weights",
        xlabel="Akaike weight",
        xlim=(0, 1),
        ylim=(len(conditions) - 0.5, -0.5),
    )
    axis.set_yticks(np.arange(len(conditions)), [""] * len(conditions))
