"""What a circuit neuron spends its power on, at every rate of spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, hertz, khertz, nwatt, usecond
from brian2.units.allunits import Mhertz, pjoule

from neuromod.chip.conversion import SOURCES, Costs, by_references, by_supply, drawn, energies
from neuromod.chip.pulses import code_pulses
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.spikes import regular
from neuromod.parameters import parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import ChipProtocol, supply
from neuromod.protocols.families.timing import time
from neuromod.protocols.power_budget import page
from neuromod.support.text import say


@dataclass(frozen=True, eq=False)
class PowerBudget(ChipProtocol):
    """Power of the neuron's parts at two rates of spikes, and energy per spike at any rate.

    Where does the circuit's power go at two rates of spikes?

    Regular volleys of input pulses, each strong enough for a spike, drive neurons at given rates.
    Figure 7 of Barton et al. 2022 shows the distribution of the core's power at two rates, in a
    picture whose numbers are not at hand. The paper gives its least energy, 1.08 pJ per spike, and
    its highest rate, 3.3 MHz (table 9). That one belongs to the other is chosen here, and the
    core's split is calibrated to it.
    """

    shown: ClassVar[tuple[str, ...]] = ("budget",)
    small: ClassVar[Mapping[str, Any]] = {
        "shown_rates": [0.3, 3.3] * Mhertz,
        "duration": 31 * usecond,
    }

    vdd: Quantity = supply()
    costs: Costs = parameter(Costs(), "energy of the core's events", "see its own")
    shown_rates: Quantity = positive(
        [0.33, 3.3] * Mhertz,
        "rates whose budget is shown",
        "Barton et al. 2022, table 9: 3.3 MHz at most; a tenth of it chosen here",
    )
    rates: Quantity = positive(
        np.append(np.geomspace(20, 4760, 20), 5000) * khertz,
        "rates besides these",
        "chosen here: up to the highest of the model, and a step below it",
    )
    codes: tuple[int, ...] = parameter(
        (7,), "codes of the synapses that pulse together for each spike", "chosen here"
    )
    duration: Quantity = time(300 * usecond, "length of the run", "six spikes at the lowest rate")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        self.circuit.check_codes(self.codes)
        swing = self.circuit.v_th - self.circuit.v_rest
        moved = sum(self.codes) * self.circuit.step(self.vdd)
        if moved <= swing:
            raise UserError(
                f"A volley of codes that add up to {sum(self.codes)} moves the membrane by "
                f"{say(moved)} at {say(self.vdd)}, too little for a spike, which takes more than "
                f"{say(swing)}."
            )
        highest = 1 / (self.circuit.t_pulse + self.circuit.t_spike)
        if np.any(self._rates > highest * (1 + 1e-9)):
            raise UserError(
                f"A rate of {say(np.max(self._rates))} leaves no time for a pulse and a spike: use "
                f"at most {say(highest)}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One neuron per rate."""
        size = len(self._rates)
        neurons = np.repeat(np.arange(size), len(self.codes))
        ends = "inputs", "chip", neurons, neurons
        return {
            "rates": Experiment(
                populations=[Population("chip", self.circuit, size, {"vdd": self.vdd})],
                sources=[regular("inputs", self._rates, self.duration, self.dt)],
                connections=code_pulses(*ends, np.tile(self.codes, size), self.circuit.t_pulse),
                duration=self.duration,
                dt=self.dt,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Power and energy per spike by rate, and the budget of the rates shown."""
        recording = recordings["rates"]
        spikes, totals = recording.spikes["chip"].counts(), recording.totals["chip"]
        spent = energies(self.circuit, self.costs, totals, spikes, self.duration)
        per_spike = np.where(spikes > 0, spikes, np.nan)
        table = pd.DataFrame(
            {
                "asked_MHz": np.asarray(self._rates / Mhertz),
                "rate_MHz": spikes / float(self.duration * Mhertz),
                "decisions_per_spike": np.asarray(totals["clocks"]) / per_spike,
            }
        )
        paid = drawn(self.circuit, spent)
        powers = {entry: np.asarray(e / self.duration / nwatt) for entry, e in paid.items()}
        for entry, power in powers.items():
            table[f"{entry.replace(' ', '_')}_nW"] = power
        for side, energy in by_supply(self.circuit, spent).items():
            table[f"energy_{side}_pJ"] = np.asarray(energy / pjoule) / per_spike
        table["energy_per_spike_pJ"] = table.energy_core_pJ + table.energy_synapse_pJ
        for kind, energy in by_references(spent).items():
            table[f"energy_per_spike_{kind}_pJ"] = np.asarray(energy / pjoule) / per_spike
        # Shape (rates shown, entries).
        rate = table.rate_MHz.to_numpy()[: len(self.shown_rates), None]
        shown = np.column_stack(list(powers.values()))[: len(rate)]
        supply, source = zip(*(SOURCES[entry] for entry in powers), strict=True)
        core = np.where(np.equal(supply, "core"), shown, np.nan)
        budget = {
            "rate_MHz": rate,
            "entry": list(powers),
            "supply": supply,
            "power_nW": shown,
            # nW per MHz are fJ.
            "per_spike_pJ": 1e-3 * shown / rate,
            "percent": 100 * shown / shown.sum(axis=1, keepdims=True),
            "core_percent": 100 * core / np.nansum(core, axis=1, keepdims=True),
            "source": source,
        }
        rows = {name: np.broadcast_to(of, shown.shape).ravel() for name, of in budget.items()}
        return {"table": table, "budget": pd.DataFrame(rows)}

    @property
    def _rates(self) -> Quantity:
        """Those shown, then the others."""
        return np.concatenate([self.shown_rates / hertz, self.rates / hertz]) * hertz
