"""The report of `NeuronTable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from brian2 import nsecond
from brian2.units.allunits import Mhertz

from neuromod.chip.conversion import MAX_RATE
from neuromod.protocol import Section
from neuromod.protocols.neuron_table.published import ALL, FEWEST, PAPER_RATE
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.neuron_table.protocol import NeuronTable


def report(protocol: NeuronTable, tables: dict[str, pd.DataFrame]) -> list[Section]:
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
