"""The page of `ChipMismatch`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV
from brian2.units.constants import boltzmann_constant

from neuromod.chip.xor import ROW_NAMES
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels
from neuromod.support.text import listed, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.mismatch.protocol import ChipMismatch

COLORS = {"widest": BLUE, "paper": ORANGE}
NAMES = {"widest": "gate with the widest margin", "paper": "gate with the paper's spikes"}
# As made, a ring; re-tuned, a smaller square that may lie inside it.
MADE = {"marker": "o", "mfc": "white", "ms": 7, "ls": "--"}
TUNED = {"marker": "s", "ms": 4, "ls": "-"}


def plot(protocol: ChipMismatch, tables: Tables, recordings: Recordings) -> Figure:
    """Yields before and after re-tuning: by size, by kind of device, and by condition."""
    del recordings
    layout = [["sizes", "sources"], ["sizes", "sources"], ["conditions", "conditions"]]
    figure, axes = panels(layout, width=12, height=7.5)
    for design, rows in tables["table"].groupby("design", sort=False):
        for name, look in (("yield", MADE), ("retuned", TUNED)):
            _with_intervals(axes["sizes"], rows, name, color=COLORS[str(design)], **look)
    label(
        axes["sizes"],
        "a  Yield, with 95 % intervals",
        "size of the mismatch (standard deviations)",
        "gates that work (%)",
        ylim=(0, 103),
        xlim=(0, None),
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
    label(
        axes,
        f"b  One kind of device alone, at {say(protocol.source_size)} standard deviations",
        "gates that work (%)",
    )


def _plot_conditions(axes: Any, conditions: pd.DataFrame) -> None:
    names = list(dict.fromkeys(conditions.condition))
    for k, (design, rows) in enumerate(conditions.groupby("design", sort=False)):
        place, color = np.arange(len(rows)) - 0.12 + 0.24 * k, COLORS[str(design)]
        axes.vlines(place, rows.right, rows.right_retuned, color=color, lw=1)
        axes.plot(place, rows.right, color=color, **MADE | {"ls": ""})
        axes.plot(place, rows.right_retuned, color=color, **TUNED | {"ls": ""})
    axes.set_xticks(np.arange(len(names)), names)
    label(
        axes,
        "c  Process corners (n-type, p-type) and temperature, without mismatch",
        y="rows right of 4",
        ylim=(0, 4.4),
    )


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


def report(protocol: ChipMismatch, tables: Tables) -> list[Section]:
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
