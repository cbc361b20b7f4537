"""The figure of `GainIdentification`, of one cell or of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neuromod.analysis.identification import CONFIDENCE, EFFECTS, NONE, Hypothesis
from neuromod.protocol import Recordings, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, label, panels

if TYPE_CHECKING:
    from neuromod.protocols.gain_identification.protocol import GainIdentification

NAMES = [hypothesis.name for hypothesis in (NONE, *EFFECTS)]
COLORS = dict(zip(NAMES, (SKY, BLUE, ORANGE, GREEN, PURPLE), strict=True))
CONTROL = "0.6"
TRUTH: dict[str, Any] = {"ls": "", "marker": "|", "color": RED, "ms": 16, "mew": 2}
DOTS: dict[str, Any] = {"ms": 3.5, "alpha": 0.7, "mew": 0}
POPULATION = "population"
# Conditions of one cell that are shown; conditions and cells where there are several.
SHOWN, SHOWN_OF_CELLS, CELLS = 10, 4, 8


def plot(protocol: GainIdentification, tables: Tables, recordings: Recordings) -> Figure:
    """Data with the fits, intervals of the parameters, and weights."""
    del recordings
    told = named(tables)
    if told["curves"].cell.nunique() > 1:
        return _plot_cells(protocol.control, told)
    return _plot_conditions(protocol.control, told)


def named(tables: Tables) -> Tables:
    """Tables with a cell in each; runs of version 0.1, and simulated ones, name none."""
    return {
        name: tables[name] if "cell" in tables[name] else tables[name].assign(cell="")
        for name in ("curves", "fits", "table", "verdicts")
    }


def _plot_conditions(control: str, told: Tables) -> Figure:
    """Figure of one cell: a panel for every condition."""
    curves, fits, table = told["curves"], told["fits"], told["table"]
    conditions = list(dict.fromkeys(table.condition))[:SHOWN]
    shown = table[table.condition.isin(conditions)]
    found = told["verdicts"].set_index("condition").verdict
    across = min(len(conditions), 5)
    names = [f"curve {n}" for n in range(len(conditions))] + ["."] * (-len(conditions) % across)
    upper = [names[n : n + across] for n in range(0, len(names), across)]
    lower = [*(effect.name for effect in EFFECTS), "weights"]
    figure, axes = panels([[upper], [[lower]]], width=13, height=3.3 * (len(upper) + 1))
    for place, condition in enumerate(conditions):
        axis = axes[f"curve {place}"]
        measured = curves[curves.condition.isin([control, condition])]
        _plot_curves(axis, measured, fits[fits.condition == condition], control)
        axis.set_title(f"{chr(97 + place)}  {condition}\n    found: {found[condition]}")
    axes["curve 0"].set_ylabel("firing rate (Hz)")
    _plot_parameters(axes, shown, conditions, len(conditions))
    handles, labels = axes["curve 0"].get_legend_handles_labels()
    if "truth" in table:
        handles, labels = [*handles, Line2D([], [], **TRUTH)], [*labels, "truth"]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _plot_cells(control: str, told: Tables) -> Figure:
    """Figure of several cells: a row of panels for every condition, a column for every cell."""
    curves, verdicts = told["curves"], told["verdicts"]
    all_cells = list(dict.fromkeys(curves.cell))
    cells = all_cells[:CELLS]
    known = told["table"].condition.unique()
    conditions = [c for c in dict.fromkeys(verdicts.condition) if c in known][:SHOWN_OF_CELLS]
    upper = [[f"{row} {column}" for column in range(len(cells))] for row in range(len(conditions))]
    lower = [*(effect.name for effect in EFFECTS), "weights"]
    lines = [(condition, cell) for condition in conditions for cell in (POPULATION, *cells)]
    high, low = 1.5 * len(conditions) + 0.4, 0.2 * len(lines) + 0.9
    figure = Figure(figsize=(13, high + low + 0.5), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[high, low + 0.5])
    above, below = parts
    panels_above, panels_below = above.subplot_mosaic(upper), below.subplot_mosaic([lower])
    for row, condition in enumerate(conditions):
        for column, cell in enumerate(cells):
            axis = panels_above[f"{row} {column}"]
            own = {name: told[name][told[name].cell == cell] for name in told}
            _plot_cell(axis, own, condition, control)
            if not row:
                axis.set_title(cell, fontsize=8)
            if not column:
                axis.set_ylabel(f"{condition}\nrate (Hz)")
            if row == len(conditions) - 1:
                axis.set_xlabel("current (nA)")
    of_cells = verdicts[verdicts.cell == POPULATION].set_index("condition").verdict
    _plot_lines(panels_below, told["table"], lines, of_cells.to_dict())
    looks = [Line2D([], [], color=c, marker="o", ls="") for c in (CONTROL, BLACK)]
    looks += [Line2D([], [], color=color) for color in COLORS.values()]
    names = ["control", "modulated", *COLORS]
    more = len(all_cells) - len(cells)
    below.legend(looks, names, loc="outside lower center", ncols=len(names))
    if more:
        above.suptitle(f"{len(cells)} of {len(all_cells)} cells", fontsize=8)
    return figure


def _plot_cell(axis: Any, own: Tables, condition: str, control: str) -> None:
    """Curves of one cell, with the likeliest hypothesis only."""
    verdict = own["verdicts"][own["verdicts"].condition == condition]
    measured = own["curves"][own["curves"].condition.isin([control, condition])]
    fits = own["fits"][own["fits"].condition == condition]
    axis.tick_params(labelsize=7)
    axis.locator_params(nbins=3)
    if verdict.empty:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        middle = {"ha": "center", "va": "center", "transform": axis.transAxes}
        axis.text(0.5, 0.5, "not recorded", fontsize=7, **middle)
        return
    likeliest = str(verdict.candidates.iloc[0]).partition(" or ")[0] if len(fits) else ""
    _plot_curves(axis, measured, fits[fits.hypothesis == likeliest], control, ms=2.5)
    axis.set_xlabel("")
    said = verdict.verdict.iloc[0]
    axis.text(0.03, 0.97, said, transform=axis.transAxes, va="top", fontsize=7)


def _plot_lines(
    axes: Any, table: pd.DataFrame, lines: list[tuple[str, str]], said: dict[str, str]
) -> None:
    """A line for every cell and condition, and one for the population with its verdict."""
    rows = table.set_index(["condition", "cell", "hypothesis"])
    for effect, letter in zip(EFFECTS, "abcd", strict=True):
        _lines_of_effect(axes[effect.name], rows, lines, effect)
        unit = "" if effect.unit == "1" else f" ({effect.unit})"
        label(axes[effect.name], f"{letter}  {effect.formula}", f"{effect.name}{unit}")
    _lines_of_weights(axes["weights"], rows, lines)
    for axis in axes.values():
        axis.set_ylim(len(lines) - 0.5, -0.5)
        axis.set_yticks(range(len(lines)), [""] * len(lines))
        for at, (_, cell) in enumerate(lines):
            if cell == POPULATION:
                axis.axhspan(at - 0.5, at + 0.5, color="0.93", zorder=0)
    first = axes[EFFECTS[0].name]
    texts = [
        f"{c}, {POPULATION}\n{said.get(c, '')}" if cell == POPULATION else cell for c, cell in lines
    ]
    for text, (_, cell) in zip(first.set_yticklabels(texts, fontsize=7), lines, strict=True):
        text.set_fontweight("bold" if cell == POPULATION else "normal")


def _lines_of_effect(
    axis: Any, rows: pd.DataFrame, lines: list[tuple[str, str]], effect: Hypothesis
) -> None:
    told = []
    for at, (condition, cell) in enumerate(lines):
        if (condition, cell, effect.name) not in rows.index:
            continue
        row = rows.loc[(condition, cell, effect.name)]
        told.append(row)
        ends = [[row.estimate - row.low], [row.high - row.estimate]]
        look: dict[str, Any] = {"fmt": "o", "ms": 3, "lw": 1, "color": COLORS[effect.name]}
        look |= {"fmt": "D", "ms": 6, "lw": 2.5} if cell == POPULATION else {}
        axis.errorbar([row.estimate], [at], xerr=ends, **look)
    axis.axvline(effect.neutral, color=BLACK, lw=0.8, ls=":")
    if told:
        _limit(axis, pd.DataFrame(told), effect.neutral)


def _lines_of_weights(axis: Any, rows: pd.DataFrame, lines: list[tuple[str, str]]) -> None:
    for at, (condition, cell) in enumerate(lines):
        left = 0.0
        for name, color in COLORS.items():
            if (condition, cell, name) in rows.index:
                weight = float(rows.weight[(condition, cell, name)])
                axis.barh(at, weight, left=left, color=color, height=0.7)
                left += weight
    axis.axvline(CONFIDENCE, color=BLACK, lw=0.8, ls=":")
    label(axis, "e  Weights", "Akaike weight", xlim=(0, 1))


def _limit(axis: Any, rows: pd.DataFrame, neutral: float) -> None:
    """Limits around the estimates: intervals that say next to nothing would hide all others."""
    told = np.append(rows.estimate.dropna().to_numpy(float), neutral)
    low, high = told.min(), told.max()
    reach = max(high - low, 0.02 * max(abs(neutral), 1e-3))
    ends = [rows.low.min(), rows.high.max()]
    low = max(np.nanmin([ends[0], low]), low - reach)
    high = min(np.nanmax([ends[1], high]), high + reach)
    axis.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _plot_curves(
    axis: Any, measured: pd.DataFrame, fits: pd.DataFrame, control: str, **look: Any
) -> None:
    is_control = measured.condition == control
    parts = ((is_control, CONTROL, "control"), (~is_control, BLACK, "modulated"))
    for part, color, name in parts:
        rows = measured[part]
        axis.plot(rows.current_nA, rows.rate_Hz, "o", color=color, label=name, **(DOTS | look))
    for name, rows in fits.groupby("hypothesis", sort=False):
        axis.plot(rows.current_nA, rows.modulated_Hz, color=COLORS[name], lw=1.2, label=name)
    axis.set(xlabel="current (nA)", ylim=(0, None))


def _plot_parameters(axes: Any, shown: pd.DataFrame, conditions: list[str], place: int) -> None:
    for letter, effect in enumerate(EFFECTS, place + 97):
        rows = shown[shown.hypothesis == effect.name]
        _plot_intervals(axes[effect.name], rows, effect, chr(letter))
    _plot_weights(axes["weights"], shown, conditions, chr(97 + place + len(EFFECTS)))


def _plot_intervals(axis: Any, rows: pd.DataFrame, effect: Hypothesis, letter: str) -> None:
    at = np.arange(len(rows))
    reach = [rows.estimate - rows.low, rows.high - rows.estimate]
    if "truth" in rows:
        axis.plot(rows.truth, at, **TRUTH)
    axis.errorbar(rows.estimate, at, xerr=reach, fmt="o", color=COLORS[effect.name], ms=4)
    axis.axvline(effect.neutral, color=BLACK, lw=0.8, ls=":")
    unit = "" if effect.unit == "1" else f" ({effect.unit})"
    label(axis, f"{letter}  {effect.formula}", f"{effect.name}{unit}", ylim=(len(rows) - 0.5, -0.5))
    axis.set_yticks(at, rows.condition if effect is EFFECTS[0] else [""] * len(rows))


def _plot_weights(axis: Any, table: pd.DataFrame, conditions: list[str], letter: str) -> None:
    places, left = np.arange(len(conditions)), np.zeros(len(conditions))
    for name, color in COLORS.items():
        weight = table[table.hypothesis == name].set_index("condition").weight[conditions]
        axis.barh(places, weight, left=left, color=color, height=0.6)
        left += weight.to_numpy()
    axis.axvline(CONFIDENCE, color=BLACK, lw=0.8, ls=":")
    limits: dict[str, Any] = {"xlim": (0, 1), "ylim": (len(conditions) - 0.5, -0.5)}
    label(axis, f"{letter}  Weights", "Akaike weight", **limits)
    axis.set_yticks(places, [""] * len(conditions))
