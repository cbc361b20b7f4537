"""The same input spikes and codes at every supply voltage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, nA, usecond, volt
from brian2.units.allunits import Mhertz, pjoule

from neuromod.chip.conversion import Costs, by_supply, energies, gain_of
from neuromod.chip.pulses import code_pulses
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import DrivenProtocol, supply
from neuromod.protocols.families.timing import time
from neuromod.protocols.vdd_sweep import page

FIGURE_4 = (0.55, 0.75)


@dataclass(frozen=True, eq=False)
class VddSweep(DrivenProtocol):
    """Output spikes, unit current and energy per spike against the supply voltage.

    A circuit neuron's synapses run at a supply voltage VDD that can be tuned; a higher one gives
    more current for the same stored weights. The same input spikes reach many copies of one
    neuron that differ in VDD alone, as in figures 4 and 8 of Barton et al. 2022.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "vdd": np.linspace(0.5, 1, 7) * volt,
        "duration": 31 * usecond,
    }

    costs: Costs = parameter(Costs(), "energy of the core's events", "see its own")
    vdd: Quantity = supply(linspace(0.5, 1.0, 51) * volt, "synapse supplies, one neuron each")
    duration: Quantity = time(40 * usecond, "length of the run", "two membrane time constants")

    by_row: ClassVar[tuple[str, ...]] = ("vdd",)
    plot = page.plot
    report = page.report

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per supply voltage."""
        size = len(self.vdd)
        i, j = (side.ravel() for side in np.indices((len(self.codes), size)))
        ends = "inputs", "chip", i, j
        sweep = Experiment(
            populations=[Population("chip", self.circuit, size, {"vdd": self.vdd})],
            sources=[self.inputs],
            connections=code_pulses(*ends, np.array(self.codes)[i], self.circuit.t_pulse),
            traces=[Trace("chip", ("v",), self.traced)],
            duration=self.duration,
            dt=self.dt,
            seed=self.seed,
        )
        return {"sweep": sweep}

    def measure(self, recordings: Recordings) -> Tables:
        """One row per supply voltage."""
        spikes = recordings["sweep"].spikes["chip"].counts()
        totals = recordings["sweep"].totals["chip"]
        spent = by_supply(energies(self.circuit, self.costs, totals, spikes, self.duration))
        total = np.asarray((spent["core"] + spent["synapse"]) / pjoule)
        table = pd.DataFrame(
            {
                "vdd_V": np.asarray(self.vdd / volt),
                "unit_current_nA": np.asarray(self.circuit.unit_current(self.vdd) / nA),
                "gain": gain_of(self.circuit, self.vdd),
                "input_spikes": len(self.inputs.neurons),
                "output_spikes": spikes,
                "rate_MHz": spikes / float(self.duration * Mhertz),
                "energy_core_pJ": np.asarray(spent["core"] / pjoule),
                "energy_synapse_pJ": np.asarray(spent["synapse"] / pjoule),
                "energy_per_spike_pJ": total / np.where(spikes > 0, spikes, np.nan),
            }
        )
        return {"table": table}

    @cached_property
    def inputs(self) -> Spikes:
        """The input spikes, the same for all neurons."""
        return self.random_inputs(self.duration)

    @property
    def traced(self) -> np.ndarray:
        """Neurons nearest to the supplies of the paper's figure 4."""
        distance = np.abs(np.asarray(self.vdd / volt)[:, None] - np.array(FIGURE_4))
        return np.unique(distance.argmin(axis=0))
