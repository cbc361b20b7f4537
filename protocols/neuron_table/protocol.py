"""The paper's comparison of neuron circuits, beside what the model itself reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, second, usecond, volt
from brian2.units.allunits import Mhertz, pjoule

from neuromod.analysis.spike_trains import steady_rates
from neuromod.checks import steps_in
from neuromod.chip.conversion import MAX_RATE, VDD_REFERENCE, Costs, by_supply, energies
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, mirror_pulses
from neuromod.inputs.spikes import regular
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Barton et al. 2022, table 9; the text has "132 nm2" for the core's area, the table um2.
PUBLISHED = pd.DataFrame(
    [
        ("Barton et al. 2022", 28, 598, 132, 3.3, 1.08),
        ("Joubert et al. 2012", 65, 538, np.nan, 1.9, 41),
        ("Cruz-Albrecht et al. 2012", 90, 442, np.nan, 1e-4, 0.4),
        ("Rangan et al. 2010", 90, 897, np.nan, 7e-3, 1),
        ("Jayawan 2008", 350, 2800, np.nan, 1, 9),
    ],
    columns=["design", "process_nm", "area_um2", "core_area_um2", "max_rate_MHz",
             "energy_per_spike_pJ"],
)  # fmt: skip
DRIVES = ("fewest units", "all units")
MARKERS = ("o", "s", "^", "v", "P", "X")
PAPER_RATE = "at 3.3 MHz"


@dataclass(frozen=True, eq=False)
class NeuronTable(Protocol):
    """Highest rate of spikes and energy per spike: published circuits and this model.

    Table 9 of Barton et al. 2022 compares five neuron circuits. Beside its numbers stand those of
    this model, found by driving neurons with volleys at ever shorter intervals: with the fewest
    units of current that fire, with all that its synapses have, and with spikes of other widths,
    set by the bias of the spike generator. Areas are the published ones; the model has none.
    """

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    costs: Costs = parameter(Costs(), "energy of the core's events", source="see its own")
    vdd: Quantity = parameter(
        [0.5, 0.75, 1] * volt,
        "synapse supplies",
        source="Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
        low=0.5 * volt,
        high=1.0 * volt,
    )
    inputs: int = parameter(
        3,
        "synapses of a neuron, all of which pulse in a volley of all units",
        source="Barton et al. 2022, section 5.2.2: a 4-input NOR, one of them the neuron's spike",
        low=1,
    )
    v_bias: Quantity = parameter(
        [0.45, 0.5, 0.6, 0.7] * volt,
        "biases of the spike generator besides the one that gives t_spike",
        source="chosen here: above the transistor's threshold",
    )
    intervals: Quantity = parameter(
        np.arange(110, 521, 10) * nsecond,
        "intervals between volleys",
        source="chosen here: from just above a pulse to beyond the longest pulse and spike",
        low=0 * second,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        30 * usecond,
        "length of the run",
        source="chosen here: more than 50 volleys",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        10 * nsecond,
        "time step",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["vdd"], "set vdd, of which each is measured")
        refuse_changed("circuit", self.circuit, ["domains"], "the synapses share one supply")
        refuse_changed(
            "circuit", self.circuit, ["comparator"], "rates are those of the clocked comparator"
        )
        self.circuit.check_step(self.dt)
        # Refuses a bias that gives no current.
        self.circuit.spike_width(self.v_bias)
        for interval in self.intervals:
            steps_in("intervals", interval, self.dt)
        if np.any(self.intervals <= self.circuit.t_pulse + self.dt / 2):
            raise UserError(
                f"Volleys at intervals of {np.min(self.intervals)} never leave the comparator a "
                f"gap: more than t_pulse = {self.circuit.t_pulse} was expected."
            )
        weak = self.vdd[self._fewest(self.vdd) > self._all]
        if len(weak):
            raise UserError(
                f"At {weak[0]} {self.inputs} inputs of code {self.circuit.code_max} do not fire "
                "a neuron: a higher vdd or more inputs were expected."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One neuron for every case and interval."""
        cases = self._cases
        everyone = np.arange(len(cases))
        units = cases.units.to_numpy()
        references = np.ceil(units / self.circuit.code_max)
        values = {
            "vdd": cases.vdd_V.to_numpy() * volt,
            "t_spike": cases.simulated_width_ns.to_numpy() * nsecond,
        }
        rates = cases.asked_MHz.to_numpy() * Mhertz
        return {
            "volleys": Experiment(
                populations=(Population("chip", self.circuit, len(cases), values),),
                sources=(regular("volleys", rates, self.duration, self.dt),),
                connections=mirror_pulses("volleys", "chip", everyone, everyone, units, 0 * units, references,
                              self.circuit.t_pulse),
                duration=self.duration,
                dt=self.dt,
                seed=self.seed,
            )
        }  # fmt: skip

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """The paper's table with this model's rows, highest rates by case, and the sweep."""
        sweep = self._sweep(recordings["volleys"])
        own = ["drive", "vdd_V", "v_bias_V"]
        swept = sweep[sweep.drive != PAPER_RATE]
        best = swept.loc[swept.groupby(own, sort=False).rate_MHz.idxmax()].reset_index(drop=True)
        best["closed_form_MHz"] = 1e3 / (best.simulated_width_ns + best.charging_ns)
        table = pd.concat(
            [PUBLISHED.assign(source="Barton et al. 2022, table 9"), self._own_rows(best, sweep)],
            ignore_index=True,
        )
        return {"table": table, "rates": best.drop(columns="asked_MHz"), "sweep": sweep}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Energy against highest rate, output against input, and highest rate against bias."""
        del recordings
        figure, axes = panels([["designs", "sweep"], ["designs", "bias"]])
        self._plot_designs(axes["designs"], tables["table"])
        self._plot_sweep(axes["sweep"], tables["sweep"])
        self._plot_bias(axes["bias"], self._biases(tables["rates"]))
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What the model reaches, and why the paper's rate is lower."""
        table, best = tables["table"], self._at_own_width(tables["rates"])
        fewest, everything = (best[best.drive == drive] for drive in DRIVES)
        alike = table[table.design.str.endswith(PAPER_RATE)]
        slow = tables["sweep"][tables["sweep"].drive == PAPER_RATE]
        third = 1e3 / float(MAX_RATE / Mhertz)
        third -= float((self.circuit.t_pulse + self.circuit.t_spike) / nsecond)
        return [
            Section(
                "Beside other circuits",
                f"At the paper's {float(MAX_RATE / Mhertz)} MHz a spike of this model takes "
                f"{_span(alike.energy_per_spike_pJ)} pJ, of which the core's 1.08 pJ are what its "
                "entries were calibrated to, and the synapses "
                f"{_span(1e3 * alike.energy_synapse_pJ)} fJ by the mirror's equation. Highest "
                "rates are measured here; areas and all other circuits are the paper's numbers. "
                "The model's energies are estimates.",
                "table",
            ),
            Section(
                "The highest rate",
                "A neuron that is driven by the fewest units that fire it reaches "
                f"{_span(fewest.rate_MHz)} MHz, with all units {_span(everything.rate_MHz)} MHz: "
                "an interval is the width of a spike and the time that a volley takes from rest "
                "to threshold, since what arrives during the spike is lost. A volley that needs "
                "its whole pulse makes that "
                f"{self._whole_pulse():.3g} MHz. The paper's {float(MAX_RATE / Mhertz)} MHz leave "
                f"{third:.3g} ns beside a pulse and a spike, about the width of another. The paper "
                "does not say what fills it; the delay line of the self-resetting flip-flop, which "
                "must run back before the next spike, may be it. The random inputs of other "
                "protocols keep three widths apart as well: a neuron that needs an input for each "
                "spike stays below 3.3 MHz there.\n\nWhere the next pulse begins before the spike "
                "ends, that end does not clock the comparator: at the highest rates of the fewest "
                f"units its decisions per spike are {_span(fewest.decisions_per_spike)}, at "
                "3.3 MHz "
                f"{_span(self._at_own_width(slow).decisions_per_spike)}. Hence the "
                "lower energy.",
                "rates",
            ),
            Section("Width of a spike", _say_bias(self._biases(tables["rates"]))),
        ]

    @property
    def _all(self) -> int:
        return self.inputs * self.circuit.code_max

    def _fewest(self, vdd: Quantity) -> np.ndarray:
        """Units of the weakest volley that fires, and stays above threshold for a step."""
        with np.errstate(divide="ignore"):
            swing = (self.circuit.v_th - self.circuit.v_rest) / self.circuit.step(vdd)
        decay = np.exp(float(self.dt / (self.circuit.R_leak * self.circuit.C)))
        return np.asarray(np.ceil(np.asarray(swing) * decay))

    def _charging(self, units: np.ndarray, vdd: np.ndarray) -> np.ndarray:
        """Whole time steps from rest to threshold, ns, for the linear leak."""
        chip = self.circuit
        final = units * chip.unit_current(vdd * volt) * chip.R_leak
        time = -chip.R_leak * chip.C * np.log1p(-np.asarray((chip.v_th - chip.v_rest) / final))
        return np.ceil(np.asarray(time / self.dt) - 1e-9) * float(self.dt / nsecond)

    @cached_property
    def _cases(self) -> pd.DataFrame:
        """One row per neuron: supply, drive, bias and rate of volleys."""
        own = float(self.circuit.bias_for(self.circuit.t_spike) / volt)
        asked = 1e3 / np.asarray(self.intervals / nsecond)
        supplies = np.asarray(self.vdd / volt)
        parts = [
            _grid(drive, supplies, [own], asked if drive in DRIVES else [MAX_RATE / Mhertz])
            for drive in (*DRIVES, PAPER_RATE)
        ]
        reference = [float(VDD_REFERENCE / volt)]
        parts.append(_grid(DRIVES[0], reference, self.v_bias / volt, asked))
        cases = pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)
        vdd = cases.vdd_V.to_numpy()
        width = np.asarray(self.circuit.spike_width(cases.v_bias_V.to_numpy() * volt) / self.dt)
        step = float(self.dt / nsecond)
        cases["width_ns"] = width * step
        cases["simulated_width_ns"] = np.maximum(np.round(width), 1) * step
        everything = cases.drive == DRIVES[1]
        cases["units"] = np.where(everything, self._all, self._fewest(vdd * volt))
        cases["charging_ns"] = self._charging(cases.units.to_numpy(), vdd)
        return cases

    def _sweep(self, recording: Recording) -> pd.DataFrame:
        """Rate and energies of every neuron."""
        spikes, totals = recording.spikes["chip"], recording.totals["chip"]
        counts = spikes.counts()
        spent = by_supply(energies(self.circuit, self.costs, totals, counts, self.duration))
        fired = np.where(counts > 0, counts, np.nan)
        core, synapse = (np.asarray(spent[s] / pjoule) / fired for s in ("core", "synapse"))
        return self._cases.assign(
            rate_MHz=np.asarray(steady_rates(spikes) / Mhertz),
            decisions_per_spike=np.asarray(totals["clocks"]) / fired,
            energy_core_pJ=core,
            energy_synapse_pJ=synapse,
            energy_per_spike_pJ=core + synapse,
        )

    def _own_rows(self, best: pd.DataFrame, sweep: pd.DataFrame) -> pd.DataFrame:
        """This model's rows of the table."""
        own = self._at_own_width(pd.concat([best, sweep[sweep.drive == PAPER_RATE]]))
        return pd.DataFrame(
            {
                "design": [f"this model, {r.vdd_V:g} V, {r.drive}" for r in own.itertuples()],
                "max_rate_MHz": own.rate_MHz,
                "energy_per_spike_pJ": own.energy_per_spike_pJ,
                "energy_core_pJ": own.energy_core_pJ,
                "energy_synapse_pJ": own.energy_synapse_pJ,
                "source": "simulated here; the core's energies are calibrated, see power-budget",
            }
        )

    def _at_own_width(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows at the circuit's own width of a spike and one of the supplies asked for."""
        own = np.isclose(table.width_ns, float(self.circuit.t_spike / nsecond))
        return table[own & np.isin(table.vdd_V, self.vdd / volt)]

    def _biases(self, best: pd.DataFrame) -> pd.DataFrame:
        """Rows of the fewest units at 0.75 V, by bias."""
        reference = np.isclose(best.vdd_V, float(VDD_REFERENCE / volt))
        return best[reference & (best.drive == DRIVES[0])].sort_values("v_bias_V")

    def _whole_pulse(self) -> float:
        return float(1 / (self.circuit.t_pulse + self.circuit.t_spike) / Mhertz)

    def _plot_designs(self, axes: Any, table: pd.DataFrame) -> None:
        published = table[: len(PUBLISHED)]
        axes.plot(published.max_rate_MHz, published.energy_per_spike_pJ, "D", color=BLACK, ms=5)
        for row in published.itertuples():
            right = row.max_rate_MHz > 0.1
            axes.annotate(row.design, (row.max_rate_MHz, row.energy_per_spike_pJ),
                          (0, 8) if right else (7, 0), textcoords="offset points", va="center",
                          ha="right" if right else "left", fontsize=8)  # fmt: skip
        for drive, color in zip((*DRIVES, PAPER_RATE), (BLUE, ORANGE, GREEN), strict=True):
            own = table[table.design.str.endswith(drive)]
            axes.plot(own.max_rate_MHz, own.energy_per_spike_pJ, "o", color=color, ms=5,
                      fillstyle="none", label=f"this model, {drive}")  # fmt: skip
        axes.legend(loc="upper left")
        axes.set(xscale="log", yscale="log", xlabel="highest spike rate (MHz)",
                 ylabel="energy per spike (pJ)", ylim=(0.2, 200),
                 title="a  Table 9 and this model")  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")

    def _plot_sweep(self, axes: Any, sweep: pd.DataFrame) -> None:
        own = self._at_own_width(sweep)
        for drive, line in zip(DRIVES, ("-", "--"), strict=True):
            for vdd, color in zip(np.asarray(self.vdd / volt), _cycle(), strict=False):
                rows = own[(own.drive == drive) & (own.vdd_V == vdd)]
                axes.plot(rows.asked_MHz, rows.rate_MHz, line, color=color, lw=1,
                          label=f"{vdd:g} V, {drive}")  # fmt: skip
        axes.axhline(float(MAX_RATE / Mhertz), color=BLACK, lw=0.8, ls=":")
        axes.annotate("paper, 3.3 MHz", (1, float(MAX_RATE / Mhertz)), (0, -3), va="top",
                      ha="right", xycoords=("axes fraction", "data"), fontsize=8,
                      textcoords="offset points")  # fmt: skip
        axes.legend(fontsize=7)
        axes.set(xlabel="rate of volleys (MHz)", ylabel="output rate (MHz)", ylim=(0, None),
                 title="b  Output against input")  # fmt: skip

    def _plot_bias(self, axes: Any, biases: pd.DataFrame) -> None:
        low, high = biases.v_bias_V.min(), biases.v_bias_V.max()
        fine = np.linspace(low, high, 200) * volt
        axes.plot(fine / volt, self.circuit.spike_width(fine) / nsecond, color=PURPLE)
        axes.set(xlabel="bias of the spike generator (V)", ylabel="width of a spike (ns)",
                 ylim=(0, None), title="c  Width (line), highest rate (circles)")  # fmt: skip
        rates = axes.twinx()
        rates.plot(biases.v_bias_V, biases.rate_MHz, "o", color=BLUE, ms=5, fillstyle="none")
        rates.set(ylabel="highest rate (MHz)", ylim=(0, None))
        rates.spines["right"].set_visible(True)


def _grid(drive: str, vdd: Any, v_bias: Any, asked: Any) -> pd.DataFrame:
    axes = pd.MultiIndex.from_product(
        [[drive], *map(np.asarray, (vdd, v_bias, asked))],
        names=["drive", "vdd_V", "v_bias_V", "asked_MHz"],
    )
    return axes.to_frame(index=False)


def _cycle() -> list[str]:
    return [BLUE, GREEN, ORANGE, PURPLE, BLACK]


def _span(values: pd.Series) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"


def _say_bias(biases: pd.DataFrame) -> str:
    slow, fast = biases.iloc[0], biases.iloc[-1]
    return (
        f"A bias of {slow.v_bias_V:.3g} V gives spikes of {slow.width_ns:.3g} ns and at most "
        f"{slow.rate_MHz:.3g} MHz, one of {fast.v_bias_V:.3g} V {fast.width_ns:.3g} ns and "
        f"{fast.rate_MHz:.3g} MHz, at 0.75 V with the fewest units. Input pulses keep their width "
        "here; those of neurons alike would change with their spikes. The load of the delay "
        "cells is calibrated here to the paper's 100 ns."
    )
