"""What a circuit neuron takes on a chip: an estimate, entry by entry.

No layout was drawn. The core and the capacitor are those of the paper's layout; the rest follows
from the circuit's bits, transistors and loads. Of wires, wells and contacts only the space around
devices counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from brian2 import Quantity, um
from brian2.units.allunits import ffarad, kohm

from neuromod.models.circuit import ESTIMATE, PAPER, CircuitNeuron
from neuromod.parameters import Parameters, abouts, not_negative, positive

TABLE_9 = f"{PAPER}, table 9"
CAPACITOR = 27 * um**2
"""The paper's finger capacitor of 50 fF (section 5.2.2)."""
NEURON = 598 * um**2
"""The paper's neuron with its synapses and the memory of its weights (table 9)."""
SKY130 = "SkyWater SKY130 process design kit, 130 nm"


@dataclass(frozen=True, eq=False)
class Layout(Parameters):
    """What devices take on a chip."""

    core: Quantity = positive(
        132 * um**2 - CAPACITOR,
        "comparator, NOR, spike generator, reset and pseudo-resistor",
        f"{TABLE_9}: 132 um^2 with the capacitor, and section 5.2.2: 27 um^2 for that",
    )
    capacitance: Quantity = positive(
        50 * ffarad / CAPACITOR,
        "of a finger capacitor, by area",
        f"{PAPER}, section 5.2.2: 50 fF on 27 um^2",
    )
    sheet: Quantity = positive(
        2 * kohm,
        "resistance of a square of polysilicon",
        f"{SKY130}, res_xhigh_po: among the highest of any process; that of 28 nm is not at hand",
    )
    strip: Quantity = positive(
        0.35 * um, "width of a resistor's strip", f"{SKY130}: its narrowest precision resistor"
    )
    strip_space: Quantity = not_negative(
        0.48 * um, "space between a resistor's strips", f"{SKY130}, rule poly.9"
    )
    space: Quantity = not_negative(
        0.1 * um, "space around a transistor's channel, half of it on each side", ESTIMATE
    )
    bit: Quantity = positive(2 * um**2, "memory of one bit, a latch", ESTIMATE)

    def resistor(self, resistance: Quantity) -> Quantity:
        """Area of a resistor folded from one strip, square metre.

        Parameters
        ----------
        resistance : Quantity
            In ohm.
        """
        return resistance / self.sheet * self.strip * (self.strip + self.strip_space)

    def largest_resistor(self, area: Quantity) -> Quantity:
        """Resistance that an area holds, ohm: the inverse of `resistor`."""
        return area / (self.strip * (self.strip + self.strip_space)) * self.sheet


def area_ledger(circuit: CircuitNeuron, layout: Layout, synapses: int) -> pd.DataFrame:
    """Table of what a neuron takes, with the source of each entry.

    A synapse can push and pull: it has a p-type and an n-type mirror, each with a reference, a
    load and sources of all bits, and a memory for the bits and the sign. Conductances instead of
    mirrors are left out.

    Parameters
    ----------
    circuit : CircuitNeuron
    layout : Layout
    synapses : int
        Of the neuron.

    Returns
    -------
    DataFrame
        ``entry``, ``count``, ``each_um2``, ``area_um2``, ``percent`` and ``source``; the last row
        the total.
    """
    mirrors = 2 * synapses if circuit.synapse == "mirror" else 0
    unit = (circuit.W + layout.space) * (circuit.L + layout.space)
    about = abouts(layout)
    rows = [
        ("core", 1, layout.core, about["core"].source),
        ("membrane capacitor", 1, circuit.C / layout.capacitance, about["capacitance"].source),
        (
            "memory",
            synapses * (circuit.bits + 1),
            layout.bit,
            f"bits and sign of a code; a bit: {about['bit'].source}",
        ),
        (
            "mirrors' transistors",
            mirrors * (1 + circuit.code_max),
            unit,
            "W, L and bits of the circuit, a reference and its sources; space around them: "
            f"{about['space'].source}",
        ),
        ("mirrors' loads", mirrors, layout.resistor(circuit.R_S), about["sheet"].source),
    ]
    table = pd.DataFrame(
        [(name, count, float(each / um**2), source) for name, count, each, source in rows if count],
        columns=["entry", "count", "each_um2", "source"],
    )
    table.insert(3, "area_um2", table["count"] * table.each_um2)
    total = {"entry": "total", "area_um2": table.area_um2.sum(), "source": "sum: an estimate"}
    table = pd.concat([table, pd.DataFrame([total])], ignore_index=True)
    table.insert(4, "percent", 100 * table.area_um2 / total["area_um2"])
    return table


def largest_load(circuit: CircuitNeuron, layout: Layout, synapses: int) -> Quantity:
    """Load resistor of every mirror that the paper's neuron has room for, ohm; 0 for none.

    Parameters
    ----------
    circuit, layout, synapses
        See `area_ledger`; the circuit's synapses are mirrors.
    """
    table = area_ledger(circuit, layout, synapses).set_index("entry")
    others = table.area_um2["total"] - table.area_um2["mirrors' loads"]
    room = max(float(NEURON / um**2) - others, 0) / table["count"]["mirrors' loads"]
    return layout.largest_resistor(room * um**2)
