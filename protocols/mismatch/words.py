"""The report of `ChipMismatch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from brian2 import mV
from brian2.units.constants import boltzmann_constant

from neuromod.chip.xor import ROW_NAMES
from neuromod.protocol import Section
from neuromod.support.text import listed, say

if TYPE_CHECKING:
    from neuromod.protocols.mismatch.protocol import ChipMismatch

NAMES = {"widest": "with the widest margin", "paper": "with the paper's spikes"}
METHOD = (
    "The same draws are used at every size. A gate that works is left alone. For one that fails, "
    "all combinations of supplies are tried in closed form, judged by what could be seen on a "
    "chip: the number of output spikes. The gates are then simulated as made and as re-tuned, and "
    "the yields are those of the simulation. There are only four input rows, so tuning and "
    "testing use the same ones; noise was left out of both. The rescued share is that of failing "
    "gates. Intervals are Wilson's at "
    "95 %, for chips like these: they do not cover that the standard deviations themselves are "
    "estimates. One supply feeds both synapses of a neuron, so re-tuning cannot restore the "
    "balance of two currents that ought to cancel."
)


def report(protocol: ChipMismatch, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Yield, what matters most, what re-tuning takes back and what it cannot."""
    return [
        Section("Yield under mismatch", _say_sizes(tables["table"]), "table"),
        Section("Which devices matter", _say_sources(protocol, tables["sources"]), "sources"),
        Section("Corners and temperature", _say_conditions(tables["conditions"]), "conditions"),
        Section("Noise", _say_noise(protocol, tables["noise"]), "noise"),
    ]


def _share(percent: float) -> str:
    return say(percent, "%", 3)


def _say_sizes(table: pd.DataFrame) -> str:
    said = []
    for design, rows in table.groupby("design", sort=False):
        one = rows.iloc[np.argmin(np.abs(rows.size_sigma.astype(float) - 1))]
        last = rows.iloc[-1]
        said.append(
            f"Of the copies of the gate {NAMES[str(design)]}, {_share(one.yield_percent)} "
            f"({say(one.yield_low_percent, digits=3)} to {_share(one.yield_high_percent)}) work at "
            f"{say(one.size_sigma)} times the mismatch given, and {_share(last.yield_percent)} at "
            f"{say(last.size_sigma)} times. With a supply for each neuron these become "
            f"{_share(one.retuned_percent)} and {_share(last.retuned_percent)}."
        )
    return f"{' '.join(said)}\n\n{METHOD}"


def _say_sources(protocol: ChipMismatch, sources: pd.DataFrame) -> str:
    said = []
    for design, rows in sources.groupby("design", sort=False):
        worst = rows.sort_values("yield_percent").head(2)
        most = listed(f"{r.source} ({_share(r.yield_percent)})" for r in worst.itertuples())
        said.append(f"For the gate {NAMES[str(design)]} these are {most}.")
    return (
        f"At {say(protocol.source_size)} standard deviations each kind of device varied alone; "
        f"the lowest yields say what to draw larger first. {' '.join(said)} The order follows "
        "from the standard deviations given, which are estimates. A wider spike of a hidden neuron "
        "is a larger charge into the output; where two charges of opposite sign are to cancel, the "
        "difference adds up over a train."
    )


def _say_conditions(conditions: pd.DataFrame) -> str:
    wrong = conditions[conditions.right < len(ROW_NAMES)]
    if wrong.empty:
        return "Both gates work at all of these corners and temperatures."
    said = [
        f"{row.condition} ({NAMES[row.design]}): {row.right} of 4 rows as made, "
        f"{row.right_retuned} re-tuned"
        for row in wrong.itertuples()
    ]
    return (
        f"Of {len(conditions)} cases {len(wrong)} fail: {'; '.join(said)}. Heat makes the "
        "pseudo-resistor leak exponentially more, since it conducts below threshold; a slow n-type "
        "beside a fast p-type transistor upsets charges that ought to cancel. How far corners lie "
        "from typical is an estimate."
    )


def _say_noise(protocol: ChipMismatch, noise: pd.DataFrame) -> str:
    worst = noise.loc[noise.right_percent.idxmin()]
    circuit = protocol.circuit
    thermal = (boltzmann_constant * circuit.temperature / circuit.C) ** 0.5
    return (
        f"The gates as designed were run {say(int(worst.trials))} times at each noise. Thermal "
        f"noise alone has a standard deviation of {say(thermal, mV, 2)} on the membrane, far below "
        "the margins; the supplies' noise comes on top, a new value for every volley of spikes. "
        f"At worst all four rows are right in {_share(worst.right_percent)} of the gates "
        f"({say(worst.right_low_percent, digits=3)} to {_share(worst.right_high_percent)}), for "
        f"the gate {NAMES[worst.design]} at {say(worst.supply_noise_mV, 'mV')}."
    )
