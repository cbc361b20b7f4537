"""The report of `GainIdentification`."""

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
from neuromod.protocol import Section
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.gain_identification.protocol import GainIdentification


def report(protocol: GainIdentification, tables: dict[str, pd.DataFrame]) -> list[Section]:
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
        "Intervals cover 95 %, from a variance that allows for more scatter at some currents than "
        "at others; a dash means that the data do not bound the parameter. Weights are Akaike "
        f"weights with the small-sample correction; an effect is named from {percent(CONFIDENCE)} "
        "on. No modulation is named when it is among the candidates and the interval of the input "
        f"gain lies between {number(1 / (1 + margin), 3)} and {number(1 + margin, 3)}.\n\n"
        "As a check that does not share the spline, lif_estimate is the parameter under the closed "
        "form of a leaky integrate-and-fire neuron with free rheobase and time constants. Where "
        "its residuals (lif_rmse_Hz) are much larger than the spline's, the neuron is not a LIF "
        "neuron and the check says little. misfit_p is the probability of residuals as large by "
        "chance, compared with a separate curve for each condition."
    )


def _origin(protocol: GainIdentification) -> str:
    return (
        "Each trial is a neuron of its own. Its resting potential differs from the others' by "
        f"{say(protocol.noise)} (standard deviation), drawn beforehand, and its spikes are counted "
        f"over the step. Input gain is the trained gain, {number(protocol.input_gain)}; threshold "
        f"shift is an injected current lower by {say(protocol.shift)}. A single LIF neuron neither "
        "adds to its output nor scales it. For the additive condition, Poisson spikes at "
        f"{say(protocol.added_rate)} are added to those counted, as from an ectopic site that does "
        "not reset the soma. For output gain, each spike gets through with a probability of "
        f"{number(protocol.output_gain)}, as past a branch point where spikes fail."
    )
