"""The page of `ChipMismatch`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV
from brian2.units.constants import boltzmann_constant
from matplotlib.figure import Figure

from neuromod.chip.xor import ROW_NAMES
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels
from neuromod.support.text import listed, say

if TYPE_CHECKING:
    from neuromod.protocols.mismatch.protocol import ChipMismatch

NAMES = {"widest": "with the widest margin", "paper": "with the paper's spikes"}
COLORS = {"widest": BLUE, "paper": ORANGE}
# As made, a ring; re-tuned, a smaller square that may lie inside it.
LOOKS: dict[str, dict[str, Any]] = {
    "yield": {"marker": "o", "mfc": "white", "ms": 7, "ls": "--"},
    "retuned": {"marker": "s", "ms": 4, "ls": "-"},
}


def plot(protocol: ChipMismatch, tables: Tables, recordings: Recordings) -> Figure:
    """Yields before and after re-tuning: by size, by kind of device, and by condition."""
    del recordings
    figure, axes = panels([["sizes", "sources", "conditions"]], width=13, height=5)
    for design, rows in tables["table"].groupby("design", sort=False):
        for name, look in LOOKS.items():
            middle = rows[f"{name}_percent"]
            ends = [middle - rows[f"{name}_low_percent"], rows[f"{name}_high_percent"] - middle]
            # Rounding may leave an end a hair inside the point.
            look = {"yerr": np.maximum(ends, 0), "capsize": 2, "color": COLORS[design], **look}
            axes["sizes"].errorbar(rows.size_sigma, middle, **look)
    _plot_changes(axes["sources"], tables["sources"], "source", "yield_percent", "retuned_percent")
    _plot_changes(axes["conditions"], tables["conditions"], "condition", "right", "right_retuned")
    works, sizes = "gates that work (%)", "size of the mismatch (standard deviations)"
    label(
        axes["sizes"], "a  Yield, with 95 % intervals", sizes, works, ylim=(0, 103), xlim=(0, None)
    )
    size = say(protocol.source_size)
    label(axes["sources"], f"b  One kind of device alone, at {size} SD", works, xlim=(0, 103))
    conditions = "c  Corner (n, p) or temperature"
    label(axes["conditions"], conditions, "rows right of 4, no mismatch", xlim=(0, 4.15))
    looks = {f"gate {NAMES[name]}": {"color": color} for name, color in COLORS.items()}
    for name, look in zip(("as made", "re-tuned"), LOOKS.values(), strict=True):
        looks[name] = {"color": BLACK, **look}
    legend(axes["sources"], below=True, also=looks)
    return figure


def _plot_changes(axes: Any, table: pd.DataFrame, name: str, made: str, tuned: str) -> None:
    """Both gates as made and re-tuned, one below the other for every value of a column."""
    names = table[name].unique()
    for k, (design, rows) in enumerate(table.groupby("design", sort=False)):
        height = 0.14 - 0.28 * k - np.arange(len(rows))
        axes.hlines(height, rows[made], rows[tuned], color=COLORS[design], lw=1)
        for column, look in zip((made, tuned), LOOKS.values(), strict=True):
            axes.plot(rows[column], height, **look | {"color": COLORS[design], "ls": ""})
    axes.set_yticks(-np.arange(len(names)), names)


METHOD = (
    "The same draws are used at every size. For a gate that fails, all combinations of supplies "
    "are tried in closed form, judged by the number of output spikes, which could be seen on a "
    "chip. The yields are those of a simulation. Tuning and testing use the same four input rows, "
    "without noise. The rescued share is that of failing gates. Intervals are Wilson's at 95 %, "
    "for chips like these: they do not cover that the standard deviations themselves are "
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
        one, last = rows.iloc[np.argmin(np.abs(rows.size_sigma - 1))], rows.iloc[-1]
        said.append(
            f"Of the copies of the gate {NAMES[design]}, {_share(one.yield_percent)} "
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
        said.append(f"For the gate {NAMES[design]} these are {most}.")
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
    said = "; ".join(
        f"{row.condition} ({NAMES[row.design]}): {row.right} of 4 rows as made, "
        f"{row.right_retuned} re-tuned"
        for row in wrong.itertuples()
    )
    return (
        f"Of {len(conditions)} cases {len(wrong)} fail: {said}. Heat makes the pseudo-resistor "
        "leak exponentially more, since it conducts below threshold; a slow n-type beside a fast "
        "p-type transistor upsets charges that ought to cancel. How far corners lie from typical "
        "is an estimate."
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
