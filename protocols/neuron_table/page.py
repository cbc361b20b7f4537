"""The page of `NeuronTable`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import nsecond, um, volt
from brian2.units.allunits import Mhertz
from matplotlib.figure import Figure

from neuromod.chip.area import NEURON, largest_load
from neuromod.chip.conversion import MAX_RATE
from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, ORANGE, Family, label, panels
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.neuron_table.protocol import NeuronTable

FEWEST, ALL, PAPER_RATE = "fewest units", "all units", "at 3.3 MHz"
"""How neurons are driven."""
LOOKS: dict[str, dict[str, Any]] = {
    drive: {"marker": marker, "color": ORANGE, "ls": "", "fillstyle": "none", "ms": 5}
    for drive, marker in ((FEWEST, "o"), (ALL, "s"), (PAPER_RATE, "^"))
}
VOLLEYS, OUTPUT, BIAS = (
    "rate of volleys (MHz)",
    "output rate (MHz)",
    "bias of the spike generator (V)",
)
LABELS = {
    FEWEST: ("b  Output, fewest units", VOLLEYS, OUTPUT),
    ALL: ("c  Output, all units", VOLLEYS, OUTPUT),
    "width": ("d  Width of a spike, closed form", BIAS, "width of a spike (ns)"),
    "rate": ("e  Fewest units, reference supply", BIAS, "highest rate (MHz)"),
}


def plot(protocol: NeuronTable, tables: Tables, recordings: Recordings) -> Figure:
    """Energy against highest rate, output against input, width and highest rate against bias."""
    del recordings
    layout = [["designs", FEWEST, ALL], ["designs", "width", "rate"]]
    figure, axes = panels(layout, width=12, height=6.5)
    _plot_designs(axes["designs"], tables["table"])
    sweep, supplies = protocol.at_own_width(tables["sweep"]), Family(protocol.vdd, "supply")
    # Most of a curve is common to all supplies: the first is drawn widest.
    widths = np.linspace(5, 1, len(supplies.values))
    paper = {"color": BLACK, "lw": 0.8, "ls": "--"}
    for drive in (FEWEST, ALL):
        for vdd, color, width in zip(protocol.vdd / volt, supplies.colors, widths, strict=True):
            rows = sweep[(sweep.drive == drive) & (sweep.vdd_V == vdd)]
            axes[drive].plot(rows.asked_MHz, rows.rate_MHz, color=color, lw=width)
        axes[drive].axhline(float(MAX_RATE / Mhertz), **paper)
    supplies.explain(axes[ALL], also={f"paper, {say(MAX_RATE)}": paper, **LOOKS})
    biases = protocol.biases(tables["rates"])
    fine = np.linspace(biases.v_bias_V.min(), biases.v_bias_V.max(), 200) * volt
    axes["width"].plot(fine / volt, protocol.circuit.spike_width(fine) / nsecond, color=BLACK)
    axes["rate"].plot(biases.v_bias_V, biases.rate_MHz, "o", color=BLACK, ms=5)
    for name, texts in LABELS.items():
        label(axes[name], *texts, ylim=(0, None))
    return figure


def _plot_designs(axes: Any, table: pd.DataFrame) -> None:
    published = table[table.process_nm.notna()]
    axes.plot(published.max_rate_MHz, published.energy_per_spike_pJ, "D", color=BLACK, ms=5)
    for row in published.itertuples():
        at = row.max_rate_MHz, row.energy_per_spike_pJ
        beside, side = ((0, 8), "right") if row.max_rate_MHz > 0.1 else ((7, 0), "left")
        look = {"textcoords": "offset points", "va": "center", "fontsize": 8, "ha": side}
        axes.annotate(row.design, at, beside, **look)
    for drive, look in LOOKS.items():
        own = table[table.design.str.endswith(drive)]
        axes.plot(own.max_rate_MHz, own.energy_per_spike_pJ, **look)
    rate, energy = "highest spike rate (MHz)", "energy per spike (pJ)"
    label(axes, "a  Table 9 and (orange) this model", rate, energy, log="xy", ylim=(0.2, 200))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")


def report(protocol: NeuronTable, tables: Tables) -> list[Section]:
    """What the model reaches, and why the paper's rate is lower."""
    table, best = tables["table"], protocol.at_own_width(tables["rates"])
    fewest, everything = (best[best.drive == drive] for drive in (FEWEST, ALL))
    alike = table[table.design.str.endswith(PAPER_RATE)]
    sweep = protocol.at_own_width(tables["sweep"])
    slow = sweep[sweep.drive == PAPER_RATE]
    taken = protocol.circuit.t_pulse + protocol.circuit.t_spike
    slowest, fastest = (
        f"a bias of {say(row.v_bias_V, 'V', 3)} gives spikes of {say(row.width_ns, 'ns', 3)} and "
        f"at most {say(row.rate_MHz, 'MHz', 3)}"
        for row in protocol.biases(tables["rates"]).iloc[[0, -1]].itertuples()
    )
    return [
        Section(
            "Beside other circuits",
            f"At the paper's {say(MAX_RATE)} a spike of this model takes "
            f"{span(alike.energy_per_spike_pJ, 'pJ', 3)}. The core's share, 1.08 pJ, is the "
            "paper's least energy, to which its entries were calibrated at this rate; the synapses "
            "take "
            f"{span(1e3 * alike.energy_synapse_pJ, 'fJ', 3)} by the mirror's equation. Highest "
            "rates are measured here; all other circuits are the paper's numbers. The model's "
            "energies and areas are estimates.",
            "table",
        ),
        Section(
            "The highest rate",
            "Driven by the fewest units that fire it a neuron reaches "
            f"{span(fewest.rate_MHz, 'MHz', 3)}, by all units "
            f"{span(everything.rate_MHz, 'MHz', 3)}: an interval is the width of a spike and the "
            "time that a volley takes from rest to threshold, since what arrives during the spike "
            f"is lost. A volley that needs its whole pulse allows {say(1 / taken, Mhertz, 3)}. The "
            f"paper's {say(MAX_RATE)} leave {say(1 / MAX_RATE - taken, nsecond, 3)} beside a pulse "
            "and a spike, about the width of another. The paper does not say what fills it; "
            "perhaps it is the delay line of the self-resetting flip-flop, which must run back "
            "before the next spike. The random inputs of other protocols keep three widths apart "
            "as well.\n\n"
            "Where the next pulse begins before the spike ends, that end does not clock the "
            "comparator: decisions per spike fall from "
            f"{span(slow.decisions_per_spike, digits=3)} at {say(MAX_RATE)} to "
            f"{span(fewest.decisions_per_spike, digits=3)}, and the energy with them.",
            "rates",
        ),
        Section("Area", _say_area(protocol, tables["area"]), "area"),
        Section(
            "Width of a spike",
            f"At {say(protocol.circuit.vdd_reference)} and with the fewest units, {slowest}, and "
            f"{fastest}. Input pulses keep their width here; from neurons of the same bias they "
            "would be as wide as their spikes. The load of the delay cells is calibrated here to "
            "the paper's 100 ns.",
        ),
    ]


def _say_area(protocol: NeuronTable, area: pd.DataFrame) -> str:
    circuit, layout = protocol.circuit, protocol.layout
    entries = area.set_index("entry")
    total, paper = entries.area_um2["total"], float(NEURON / um**2)
    known = (
        f"A neuron with {protocol.inputs} synapses takes {say(total * um**2, digits=3)}; the "
        f"paper's, with its synapses and memory, takes {say(NEURON)}. Core and capacitor are those "
        "of the paper's layout. No other layout was drawn."
    )
    if circuit.synapse != "mirror":
        return f"{known} Conductances are left out: the paper has none."
    one, count = entries.each_um2["mirrors' loads"], int(entries["count"]["mirrors' loads"])
    strip = (
        f"A load of {say(circuit.R_S)}, folded from a strip of polysilicon of {say(layout.sheet)} "
        f"a square, takes {say(one * um**2, digits=3)}, and there is one in each of {count} mirrors"
    )
    if one > paper:
        fits = f"a single one does not fit into {say(NEURON)}"
    else:
        fits = f"{int(paper // one)} of them would fill {say(NEURON)}"
    others = total - entries.area_um2["mirrors' loads"]
    room = largest_load(circuit, layout, protocol.inputs)
    rest = say(others * um**2, digits=3)
    left = f"beside all else, {rest}, each could have {say(room, digits=2)}"
    if room == 0:
        left = f"all else takes {rest}, which leaves no room for any"
    return (
        f"{known} {strip}: {fits}; {left}. The paper does not say what its loads are; a transistor "
        "as the load would be small, but makes the current another function of the supply."
    )
