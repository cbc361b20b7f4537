"""The words of `GainIdentification`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from neuromod.analysis.identification import (
    CONFIDENCE,
    DECISIVE_RATES,
    EFFECTS,
    INPUT,
    NONE,
    OTHER,
    UNDECIDED,
)
from neuromod.protocol import Section, Tables
from neuromod.protocols.gain_identification.figure import POPULATION, named
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.gain_identification.protocol import GainIdentification


def report(protocol: GainIdentification, tables: Tables) -> list[Section]:
    """The verdict on every condition and cell, and what it rests on."""
    told = named(tables)
    sentences = [_sentence(row, told["table"]) for row in told["verdicts"].itertuples()]
    source = "simulated neurons with known modulation"
    rates = [Section("Where the simulated rates come from", _origin(protocol), "curves")]
    if protocol.data:
        source = f"the data in {protocol.data}"
        read = [Section("What was read", _reading(tables), "read")] if "read" in tables else []
        left = [Section("What was left out", "", "left_out")] if "left_out" in tables else []
        rates = [*read, *left, Section("Rates", "The rates, one row per trial.", "curves")]
    verdicts = f"From the f-I curves of {source}.\n\n" + "\n\n".join(sentences)
    several = told["curves"].cell.nunique() > 1
    return [
        Section("Verdicts", verdicts, "verdicts"),
        Section("Every hypothesis", _explained(protocol.margin, several), "table"),
        *rates,
    ]


def _reading(tables: Tables) -> str:
    """What was used, and how currents and rates were measured."""
    read = tables["read"]
    used = read.used.astype(bool)
    said = f"{used.sum()} of {len(read)} rows were used, with {len(tables['curves'])} rates."
    if "step_s" not in read:
        return said
    return (
        f"{said} Currents are those of the step, counted from the current before it; rates are the "
        "spikes during the part of the step that was recorded (step_s), over its length."
    )


def _sentence(row: Any, table: pd.DataFrame) -> str:
    """A verdict in words."""
    rows = table[(table.condition == row.condition) & (table.cell == row.cell)]
    rows = rows.set_index("hypothesis")
    of_cells = row.cell == POPULATION
    why = row.why if isinstance(getattr(row, "why", None), str) else ""
    name = f"{row.condition}, {row.cell}" if row.cell else row.condition
    if table.cell.nunique() < 2:
        name = row.condition
    if not len(rows):
        return f"{name}: undecided. {why}"
    if of_cells:
        name = f"{row.condition}, {row.cell} ({why})"
    if row.verdict == NONE.name:
        gain = rows.loc[INPUT.name]
        what = "The mean gain of the input lies" if of_cells else "A gain of the input would lie"
        return (
            f"{name}: no modulation. {what} between "
            f"{number(gain.low, 3)} and {number(gain.high, 3)} with 95 % confidence."
        )
    likeliest = row.candidates.partition(" or ")[0]
    if row.verdict == OTHER and of_cells:
        return (
            f"{name}: none of the hypotheses. In more than half of the cells separate curves fit "
            f"the two conditions better than {likeliest} does."
        )
    if row.verdict == OTHER:
        return (
            f"{name}: none of the hypotheses. Separate curves fit the two conditions "
            f"better than {likeliest} does (p = {number(rows.misfit_p[likeliest], 1)})."
        )
    if row.verdict == UNDECIDED and of_cells:
        return (
            f"{name}: undecided; possible: {row.candidates}. More cells, or more currents and "
            "trials of each, would decide."
        )
    if row.verdict == UNDECIDED:
        return (
            f"{name}: undecided; possible: {row.candidates}. A wider range of currents, "
            f"above all around rheobase, or more trials would decide. An effect needs at least "
            f"{DECISIVE_RATES} rates above rheobase, both conditions taken together."
        )
    unit = row.unit if row.unit in ("Hz", "nA") else None
    estimate, high = say(row.estimate, unit, 3), say(row.high, unit, 3)
    return (
        f"{name}: {row.verdict}, {estimate} (95 % interval {number(row.low, 3)} to "
        f"{high}{' over cells' if of_cells else ''}), at a weight of {percent(row.weight)}."
    )


def _explained(margin: float, several: bool) -> str:
    formulas = "; ".join(f"{h.name}, {h.formula}" for h in (NONE, *EFFECTS))
    cells = (
        "\n\nOf the population, a parameter is the mean over cells, of a gain the geometric one, "
        "with Student's interval over cells, each of which counts the same. Its weights are those "
        "of Akaike's criteria added up over cells. An effect is named when its mean differs from "
        "none, and its lead over the others holds over cells as well. no modulation is named when "
        "no effect differs, and the interval of the input gain lies between the limits above."
    )
    words = (
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
    return words + cells if several else words


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
