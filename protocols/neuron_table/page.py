"""The page of `NeuronTable`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import nsecond, volt
from brian2.units.allunits import Mhertz

from neuromod.chip.conversion import MAX_RATE, VDD_REFERENCE
from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.neuron_table.published import ALL, FEWEST, PAPER_RATE, PUBLISHED
from neuromod.support.figures import BLACK, ORANGE, Family, label, panels
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.neuron_table.protocol import NeuronTable

OPEN = {"fillstyle": "none", "ms": 4, "lw": 0.8}
LOOKS: dict[str, dict[str, Any]] = {
    FEWEST: {"marker": "o", "ls": "-"},
    ALL: {"marker": "s", "ls": ":"},
    PAPER_RATE: {"marker": "^", "ls": ""},
}
BESIDE: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}


def plot(protocol: NeuronTable, tables: Tables, recordings: Recordings) -> Figure:
    """Energy against highest rate, output against input, width and highest rate against bias."""
    del recordings
    figure, axes = panels(
        [["designs", "sweep", "sweep"], ["designs", "width", "rate"]], width=12, height=6.5
    )
    supplies = Family(protocol.vdd, "supply")
    _plot_designs(axes["designs"], tables["table"])
    _plot_sweep(axes["sweep"], protocol.at_own_width(tables["sweep"]), supplies)
    _plot_bias(protocol, axes["width"], axes["rate"], protocol.biases(tables["rates"]))
    return figure


def _plot_designs(axes: Any, table: pd.DataFrame) -> None:
    published = table[: len(PUBLISHED)]
    axes.plot(published.max_rate_MHz, published.energy_per_spike_pJ, "D", color=BLACK, ms=5)
    for row in published.itertuples():
        at = row.max_rate_MHz, row.energy_per_spike_pJ
        if row.max_rate_MHz > 0.1:
            axes.annotate(row.design, at, (0, 8), ha="right", **BESIDE)
        else:
            axes.annotate(row.design, at, (7, 0), **BESIDE)
    for drive, look in LOOKS.items():
        own = table[table.design.str.endswith(drive)]
        look = {**look, **OPEN, "ls": "", "color": ORANGE}
        axes.plot(own.max_rate_MHz, own.energy_per_spike_pJ, **look)
    label(
        axes,
        "a  Table 9 and (orange) this model",
        "highest spike rate (MHz)",
        "energy per spike (pJ)",
        log="xy",
        ylim=(0.2, 200),
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")


def _plot_sweep(axes: Any, sweep: pd.DataFrame, supplies: Family) -> None:
    for drive in (FEWEST, ALL):
        for vdd, color in zip(supplies.values / volt, supplies.colors, strict=True):
            rows = sweep[(sweep.drive == drive) & (sweep.vdd_V == vdd)]
            axes.plot(rows.asked_MHz, rows.rate_MHz, color=color, **LOOKS[drive], **OPEN)
    axes.axhline(float(MAX_RATE / Mhertz), color=BLACK, lw=0.8, ls="--")
    label(
        axes,
        "b  Output against input",
        "rate of volleys (MHz)",
        "output rate (MHz)",
        ylim=(0, None),
    )
    looks = {drive: {"color": BLACK, **look, **OPEN} for drive, look in LOOKS.items()}
    paper = {f"paper, {say(MAX_RATE)}": {"color": BLACK, "ls": "--", "lw": 0.8}}
    supplies.explain(axes, also=looks | paper)


def _plot_bias(protocol: NeuronTable, width: Any, rate: Any, biases: pd.DataFrame) -> None:
    fine = np.linspace(biases.v_bias_V.min(), biases.v_bias_V.max(), 200) * volt
    width.plot(fine / volt, protocol.circuit.spike_width(fine) / nsecond, color=BLACK)
    label(width, "c  Width of a spike, closed form", y="width of a spike (ns)")
    rate.plot(biases.v_bias_V, biases.rate_MHz, "o", color=BLACK, ms=5, fillstyle="none")
    label(rate, f"d  Highest rate, {FEWEST}, {say(VDD_REFERENCE)}", y="highest rate (MHz)")
    for axes in (width, rate):
        axes.set(xlabel="bias of the spike generator (V)", ylim=(0, None))


def report(protocol: NeuronTable, tables: Tables) -> list[Section]:
    """What the model reaches, and why the paper's rate is lower."""
    table, best = tables["table"], protocol.at_own_width(tables["rates"])
    fewest, everything = (best[best.drive == drive] for drive in (FEWEST, ALL))
    alike = table[table.design.str.endswith(PAPER_RATE)]
    slow = protocol.at_own_width(tables["sweep"])
    slow = slow[slow.drive == PAPER_RATE]
    taken = protocol.circuit.t_pulse + protocol.circuit.t_spike
    return [
        Section(
            "Beside other circuits",
            f"At the paper's {say(MAX_RATE)} a spike of this model takes "
            f"{span(alike.energy_per_spike_pJ, 'pJ', 3)}. The core's share of 1.08 pJ is what its "
            "entries were calibrated to; the synapses take "
            f"{span(1e3 * alike.energy_synapse_pJ, 'fJ', 3)} by the mirror's equation. Highest "
            "rates are measured here; areas and all other circuits are the paper's numbers. The "
            "model's energies are estimates.",
            "table",
        ),
        Section(
            "The highest rate",
            "A neuron that is driven by the fewest units that fire it reaches "
            f"{span(fewest.rate_MHz, 'MHz', 3)}, with all units "
            f"{span(everything.rate_MHz, 'MHz', 3)}: an interval is the width of a spike and the "
            "time that a volley takes from rest to threshold, since what arrives during the spike "
            f"is lost. A volley that needs its whole pulse allows {say(1 / taken, Mhertz, 3)}. The "
            f"paper's {say(MAX_RATE)} leave {say(1 / MAX_RATE - taken, nsecond, 3)} beside a pulse "
            "and a spike, about the width of another. The paper does not say what fills it; "
            "perhaps it is the delay line of the self-resetting flip-flop, which must run back "
            "before the next spike. The random inputs of other protocols keep three widths apart "
            "as well: a neuron that needs an input for each spike stays below "
            f"{say(MAX_RATE)} there.\n\n"
            "Where the next pulse begins before the spike ends, that end does not clock the "
            "comparator: decisions per spike fall from "
            f"{span(slow.decisions_per_spike, digits=3)} at {say(MAX_RATE)} to "
            f"{span(fewest.decisions_per_spike, digits=3)} at the highest rates of the fewest "
            "units. Hence the lower energy.",
            "rates",
        ),
        Section("Width of a spike", _say_bias(protocol.biases(tables["rates"]))),
    ]


def _say_bias(biases: pd.DataFrame) -> str:
    slow, fast = (
        f"a bias of {say(row.v_bias_V, 'V', 3)} gives spikes of {say(row.width_ns, 'ns', 3)} and "
        f"at most {say(row.rate_MHz, 'MHz', 3)}"
        for row in (biases.iloc[0], biases.iloc[-1])
    )
    return (
        f"At 0.75 V and with the fewest units, {slow}, and {fast}. Input pulses keep their width "
        "here; from neurons of the same bias they would be as wide as their spikes. The load of "
        "the delay cells is calibrated here to the paper's 100 ns."
    )
