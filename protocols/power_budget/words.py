"""The report of `PowerBudget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from brian2.units.allunits import Mhertz

from neuromod.chip.conversion import ENERGY_AT_MAX_RATE, MAX_RATE
from neuromod.protocol import Section
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.power_budget.protocol import PowerBudget


def report(protocol: PowerBudget, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Where the power goes, at which rates."""
    del protocol
    table, budget = tables["table"], tables["budget"]
    return [
        Section(
            "Where the power goes",
            " ".join(_say_budget(*group) for group in budget.groupby("rate_MHz", sort=False))
            + " The paper's own shares are in a picture (figure 7) whose numbers are not at hand, "
            "so there is nothing here to compare them with. Of the core's numbers only the total "
            f"of {say(ENERGY_AT_MAX_RATE)} at {say(MAX_RATE)} is the paper's; the source of each "
            "entry stands beside it.",
            "budget",
        ),
        Section("Energy per spike", _say_energy(table), "table"),
    ]


def _say_budget(rate: float, entries: pd.DataFrame) -> str:
    core = entries[entries.supply == "core"].sort_values("power_nW", ascending=False)
    shares = (f"{row.entry} {say(row.core_percent, '%', 3)}" for row in core.itertuples())
    total = say(core.power_nW.sum(), "nW")
    return f"At {say(rate, 'MHz', 3)} the core takes {total}: {', '.join(shares)}."


def _say_energy(table: pd.DataFrame) -> str:
    low, high = table.loc[table.rate_MHz.idxmin()], table.loc[table.rate_MHz.idxmax()]
    said = (
        f"A spike takes {say(low.energy_per_spike_pJ, 'pJ', 3)} at "
        f"{say(low.rate_MHz * Mhertz, digits=3)} and {say(high.energy_per_spike_pJ, 'pJ', 3)} at "
        f"{say(high.rate_MHz * Mhertz, digits=3)}, because more spikes share the leakage. Of the "
        f"latter the synapses take {say(1e3 * high.energy_synapse_pJ, 'fJ', 3)}, from their own "
        "supply."
    )
    if high.decisions_per_spike < low.decisions_per_spike - 0.5:
        said += (
            " At the highest rate a pulse begins while the spike before it lasts. The end of that "
            "spike then no longer clocks the comparator, whose decisions per spike fall from "
            f"{say(low.decisions_per_spike, digits=3)} to "
            f"{say(high.decisions_per_spike, digits=3)}."
        )
    return said
