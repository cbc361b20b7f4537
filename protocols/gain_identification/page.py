"""The page of `GainIdentification`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neuromod.analysis.identification import (
    CONFIDENCE,
    DECISIVE_RATES,
    EFFECTS,
    INPUT,
    NONE,
    OTHER,
    UNDECIDED,
    Hypothesis,
)
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, label, panels
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.gain_identification.protocol import GainIdentification

NAMES = [hypothesis.name for hypothesis in (NONE, *EFFECTS)]
COLORS = dict(zip(NAMES, (SKY, BLUE, ORANGE, GREEN, PURPLE), strict=True))
CONTROL = "0.6"
TRUTH: dict[str, Any] = {"ls": "", "marker": "|", "color": RED, "ms": 16, "mew": 2}
SHOWN = 10


def plot(protocol: GainIdentification, tables: Tables, recordings: Recordings) -> Figure:
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
    across = min(len(conditions), 5)
    names = [f"curve {n}" for n in range(len(conditions))] + ["."] * (-len(conditions) % across)
    upper = [names[n : n + across] for n in range(0, len(names), across)]
    lower = [*(effect.name for effect in EFFECTS), "weights"]
    figure, axes = panels([[upper], [[lower]]], width=13, height=3.3 * (len(upper) + 1))
    for place, condition in enumerate(conditions):
        axis = axes[f"curve {place}"]
        measured = curves[curves.condition.isin([protocol.control, condition])]
        _plot_curves(axis, measured, fits[fits.condition == condition], protocol.control)
        axis.set_title(f"{chr(97 + place)}  {condition}\n    found: {found[condition]}")
    axes["curve 0"].set_ylabel("firing rate (Hz)")
    for place, effect in enumerate(EFFECTS, len(conditions)):
        rows = shown[shown.hypothesis == effect.name]
        _plot_intervals(axes[effect.name], rows, effect, chr(97 + place))
    _plot_weights(axes["weights"], shown, conditions, chr(97 + len(conditions) + len(EFFECTS)))
    handles, labels = axes["curve 0"].get_legend_handles_labels()
    if "truth" in table:
        handles, labels = [*handles, Line2D([], [], **TRUTH)], [*labels, "truth"]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _plot_curves(axis: Any, measured: pd.DataFrame, fits: pd.DataFrame, control: str) -> None:
    is_control = measured.condition == control
    dots: dict[str, Any] = {"ms": 3.5, "alpha": 0.7, "mew": 0}
    parts = ((is_control, CONTROL, "control"), (~is_control, BLACK, "modulated"))
    for part, color, name in parts:
        rows = measured[part]
        axis.plot(rows.current_nA, rows.rate_Hz, "o", color=color, label=name, **dots)
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


def report(protocol: GainIdentification, tables: Tables) -> list[Section]:
    """The verdict on every condition, and what it rests on."""
    table = tables["table"]
    sentences = [_sentence(row, table) for row in tables["verdicts"].itertuples()]
    source = "simulated neurons with known modulation"
    rates = Section("Where the simulated rates come from", _origin(protocol), "curves")
    if protocol.data:
        source = f"the file {protocol.data}"
        rates = Section("Rates", "The rates in the file, one row per trial.", "curves")
    verdicts = f"From the f-I curves of {source}.\n\n" + "\n\n".join(sentences)
    return [
        Section("Verdicts", verdicts, "verdicts"),
        Section("Every hypothesis", _explained(protocol.margin), "table"),
        rates,
    ]


def _sentence(row: Any, table: pd.DataFrame) -> str:
    """A verdict in words."""
    rows = table[table.condition == row.condition].set_index("hypothesis")
    if not len(rows):
        return f"{row.condition}: undecided. {row.why}"
    if row.verdict == NONE.name:
        gain = rows.loc[INPUT.name]
        return (
            f"{row.condition}: no modulation. A gain of the input would lie between "
            f"{number(gain.low, 3)} and {number(gain.high, 3)} with 95 % confidence."
        )
    likeliest = row.candidates.partition(" or ")[0]
    if row.verdict == OTHER:
        return (
            f"{row.condition}: none of the hypotheses. Separate curves fit the two conditions "
            f"better than {likeliest} does (p = {number(rows.misfit_p[likeliest], 1)})."
        )
    if row.verdict == UNDECIDED:
        return (
            f"{row.condition}: undecided; possible: {row.candidates}. A wider range of currents, "
            f"above all around rheobase, or more trials would decide. An effect needs at least "
            f"{DECISIVE_RATES} rates above rheobase, both conditions taken together."
        )
    unit = row.unit if row.unit in ("Hz", "nA") else None
    estimate, high = say(row.estimate, unit, 3), say(row.high, unit, 3)
    return (
        f"{row.condition}: {row.verdict}, {estimate} (95 % interval {number(row.low, 3)} to "
        f"{high}), at a weight of {percent(row.weight)}."
    )


def _explained(margin: float) -> str:
    formulas = "; ".join(f"{h.name}, {h.formula}" for h in (NONE, *EFFECTS))
    return (
        f"The hypotheses are {formulas}. f is the control curve, a monotone spline fitted to both "
        "conditions at once. A gain on the input rescales the curve along the current axis and "
        "moves rheobase; a gain on the output rescales it along the rate axis and leaves rheobase "
        "where it is. Input currents count from 0 in the data.\n\n"
        "Intervals cover 95 %, from a variance that may differ between currents; a dash means that "
        "the data do not bound the parameter. Weights are Akaike weights with the small-sample "
        f"correction; an effect is named from {percent(CONFIDENCE)} on, and no modulation where "
        "it is a candidate and the interval of the input gain lies between "
        f"{number(1 / (1 + margin), 3)} and {number(1 + margin, 3)}.\n\n"
        "As a check, lif_estimate is the parameter under the closed form of a leaky integrate-and-"
        "fire neuron with free rheobase and time constants. It says little where its residuals "
        "(lif_rmse_Hz) are much larger than the spline's. misfit_p is the probability of residuals "
        "as large by chance, compared with a separate curve for each condition."
    )


def _origin(protocol: GainIdentification) -> str:
    return (
        "Each trial is a neuron of its own, whose resting potential differs from the others' by "
        f"{say(protocol.noise)} (standard deviation); its spikes are counted over the step. Input "
        f"gain is the trained gain, {number(protocol.input_gain)}; threshold shift is an injected "
        f"current lower by {say(protocol.shift)}. A single LIF neuron neither adds to its output "
        f"nor scales it. For the additive condition, Poisson spikes at {say(protocol.added_rate)} "
        "are added to those counted, as from an ectopic site that does not reset the soma. For "
        "output gain, each spike gets through with a probability of "
        f"{number(protocol.output_gain)}, as past a branch point where spikes fail."
    )
