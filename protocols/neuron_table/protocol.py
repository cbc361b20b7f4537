"""The paper's comparison of neuron circuits, beside what the model itself reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, usecond, volt
from brian2.units.allunits import Mhertz, pjoule

from neuromod.analysis.spike_trains import steady_rates
from neuromod.checks import steps_in
from neuromod.chip.area import Layout, area_ledger
from neuromod.chip.conversion import MAX_RATE, Costs, by_references, by_supply, energies
from neuromod.chip.pulses import mirror_pulses
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.spikes import regular
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import ChipProtocol, keep, supply
from neuromod.protocols.families.timing import time
from neuromod.protocols.neuron_table import page
from neuromod.protocols.neuron_table.page import ALL, FEWEST, PAPER_RATE
from neuromod.support.text import say

# Older pandas rounds the last bit of numbers.
EXACT = {"max_rate_MHz": float, "energy_per_spike_pJ": float}
PUBLISHED = pd.read_csv(Path(__file__).with_name("published.csv"), comment="#", converters=EXACT)


@dataclass(frozen=True, eq=False)
class NeuronTable(ChipProtocol):
    """Highest rate of spikes and energy per spike: published circuits and this model.

    How does this model compare with published neuron circuits?

    Table 9 of Barton et al. 2022 compares five neuron circuits. Beside its numbers stand those of
    this model, found by driving neurons with volleys at ever shorter intervals: with the fewest
    units of current that fire them, with all that their synapses have, and with spikes of other
    widths, set by the bias of the spike generator. The model's area is an estimate, added up from
    its bits, transistors, loads and capacitor.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "area")

    small: ClassVar[Mapping[str, Any]] = {
        "intervals": [190, 300] * nsecond,
        "duration": 11 * usecond,
    }

    costs: Costs = parameter(Costs(), "energy of the core's events", "see its own")
    layout: Layout = parameter(Layout(), "what devices take on a chip", "see its own")
    vdd: Quantity = supply([0.5, 0.75, 1] * volt, "synapse supplies")
    inputs: int = parameter(
        3,
        "synapses of a neuron, all of which pulse in a volley of all units",
        "Barton et al. 2022, section 5.2.2: a 4-input NOR, one of them the neuron's spike",
        low=1,
    )
    v_bias: Quantity = parameter(
        [0.45, 0.5, 0.6, 0.7] * volt,
        "biases of the spike generator besides the one that gives t_spike",
        "chosen here: above the transistor's threshold",
    )
    intervals: Quantity = time(
        np.arange(110, 521, 10) * nsecond,
        "intervals between volleys",
        "from just above a pulse to beyond the longest pulse and spike",
    )
    duration: Quantity = time(30 * usecond, "length of the run", "more than 50 volleys")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self.circuit, "rates are those of the clocked comparator", comparator="clocked")
        # Refuses a bias that gives no current.
        self.circuit.spike_width(self.v_bias)
        for interval in self.intervals:
            steps_in("intervals", interval, self.dt)
        if np.any(self.intervals <= self.circuit.t_pulse + self.dt / 2):
            raise UserError(
                f"Volleys at intervals of {say(np.min(self.intervals))} never leave the "
                f"comparator a gap: space them by more than t_pulse = {say(self.circuit.t_pulse)}."
            )
        weak = self.vdd[self._fewest(self.vdd) > self.inputs * self.circuit.code_max]
        if len(weak):
            raise UserError(
                f"At {say(weak[0])} {self.inputs} inputs of code {self.circuit.code_max} do not "
                "fire a neuron: use a higher vdd or more inputs."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One neuron for every case and interval."""
        cases = self._cases
        everyone, units = np.arange(len(cases)), cases.units.to_numpy()
        values = {
            "vdd": cases.vdd_V.to_numpy() * volt,
            "t_spike": cases.simulated_width_ns.to_numpy() * nsecond,
        }
        rates = cases.asked_MHz.to_numpy() * Mhertz
        ends = "volleys", "chip", everyone, everyone
        mirrors = np.ceil(units / self.circuit.code_max)
        return {
            "volleys": Experiment(
                populations=[Population("chip", self.circuit, len(cases), values)],
                sources=[regular("volleys", rates, self.duration, self.dt)],
                connections=mirror_pulses(*ends, units, 0 * units, mirrors, self.circuit.t_pulse),
                duration=self.duration,
                dt=self.dt,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Recordings) -> Tables:
        """The paper's table with this model's rows, highest rates by case, and the sweep."""
        recording = recordings["volleys"]
        spikes, totals = recording.spikes["chip"], recording.totals["chip"]
        counts = spikes.counts()
        entries = energies(self.circuit, self.costs, totals, counts, self.duration)
        spent, kinds = by_supply(self.circuit, entries), by_references(entries)
        fired = np.where(counts > 0, counts, np.nan)
        core, synapse = (np.asarray(spent[s] / pjoule) / fired for s in ("core", "synapse"))
        sweep = self._cases.assign(
            rate_MHz=np.asarray(steady_rates(spikes) / Mhertz),
            decisions_per_spike=np.asarray(totals["clocks"]) / fired,
            energy_core_pJ=core,
            energy_synapse_pJ=synapse,
            energy_per_spike_pJ=core + synapse,
            **{
                f"energy_per_spike_{k}_pJ": np.asarray(e / pjoule) / fired for k, e in kinds.items()
            },
        )
        slow = sweep.drive == PAPER_RATE
        cases = sweep[~slow].groupby(["drive", "vdd_V", "v_bias_V"], sort=False)
        best = sweep.loc[cases.rate_MHz.idxmax()].reset_index(drop=True)
        best["closed_form_MHz"] = 1e3 / (best.simulated_width_ns + best.charging_ns)
        area = area_ledger(self.circuit, self.layout, self.inputs)
        areas = area.set_index("entry").area_um2
        own = self.at_own_width(pd.concat([best, sweep[slow]]))
        own = own.rename(columns={"rate_MHz": "max_rate_MHz"}).assign(
            design=[f"this model, {row.vdd_V:g} V, {row.drive}" for row in own.itertuples()],
            source="simulated here; the core's energies are calibrated, see power-budget",
            area_um2=areas["total"],
            core_area_um2=areas["core"] + areas["membrane capacitor"],
        )
        columns = [*PUBLISHED, "source", "energy_core_pJ", "energy_synapse_pJ"]
        published = PUBLISHED.assign(source="Barton et al. 2022, table 9")
        table = pd.concat([published, own], ignore_index=True)[columns]
        rates = best.drop(columns="asked_MHz")
        return {"table": table, "area": area, "rates": rates, "sweep": sweep}

    def at_own_width(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows at the circuit's own width of a spike and one of the supplies asked for."""
        own = np.isclose(table.width_ns, float(self.circuit.t_spike / nsecond))
        return table[own & np.isin(table.vdd_V, self.vdd / volt)]

    def biases(self, best: pd.DataFrame) -> pd.DataFrame:
        """Rows of the fewest units at the reference supply, by bias."""
        reference = np.isclose(best.vdd_V, float(self.circuit.vdd_reference / volt))
        return best[reference & (best.drive == FEWEST)].sort_values("v_bias_V")

    def _fewest(self, vdd: Quantity) -> np.ndarray:
        """Units of the weakest volley that fires."""
        with np.errstate(divide="ignore"):
            swing = (self.circuit.v_th - self.circuit.v_rest) / self.circuit.step(vdd)
        return np.asarray(np.ceil(np.asarray(swing)))

    def _charging(self, units: np.ndarray, vdd: Quantity) -> np.ndarray:
        """Whole time steps from rest to threshold, for the linear leak."""
        chip = self.circuit
        final = units * chip.unit_current(vdd) * chip.leak_resistance
        time = (
            -chip.leak_resistance
            * chip.C
            * np.log1p(-np.asarray((chip.v_th - chip.v_rest) / final))
        )
        return np.ceil(np.asarray(time / self.dt) - 1e-9)

    @cached_property
    def _cases(self) -> pd.DataFrame:
        """One row per neuron: supply, drive, bias and rate of volleys."""
        own = [float(self.circuit.bias_for(self.circuit.t_spike) / volt)]
        supplies, asked = self.vdd / volt, 1e3 / np.asarray(self.intervals / nsecond)
        grids = [
            (FEWEST, supplies, own, asked),
            (ALL, supplies, own, asked),
            (PAPER_RATE, supplies, own, [MAX_RATE / Mhertz]),
            (FEWEST, [self.circuit.vdd_reference / volt], self.v_bias / volt, asked),
        ]
        cases = pd.DataFrame(
            [
                (drive, *case)
                for drive, *sides in grids
                for case in product(*map(np.asarray, sides))
            ],
            columns=["drive", "vdd_V", "v_bias_V", "asked_MHz"],
        ).drop_duplicates(ignore_index=True)
        vdd, step = cases.vdd_V.to_numpy() * volt, float(self.dt / nsecond)
        width = np.asarray(self.circuit.spike_width(cases.v_bias_V.to_numpy() * volt) / self.dt)
        cases["width_ns"] = width * step
        cases["simulated_width_ns"] = np.maximum(np.round(width), 1) * step
        every = self.inputs * self.circuit.code_max
        cases["units"] = np.where(cases.drive == ALL, every, self._fewest(vdd))
        cases["charging_ns"] = self._charging(cases.units.to_numpy(), vdd) * step
        return cases
