"""What the circuit neuron spends its power on, against its rate of spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, hertz, nsecond, nwatt, second, usecond
from brian2.units.allunits import Mhertz, khertz, pjoule

from neuromod.chip.conversion import (
    ENERGY_AT_MAX_RATE,
    MAX_RATE,
    SOURCES,
    Costs,
    by_supply,
    energies,
)
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, code_pulses
from neuromod.inputs.spikes import regular
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {"spike generator": ORANGE, "comparator": BLUE, "leakage": SKY, "reset": PURPLE,
          "synapses": GREEN}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PowerBudget(Protocol):
    """Power of the neuron's parts at two rates of spikes, and energy per spike at any rate.

    Regular volleys of input pulses, each strong enough for a spike, drive neurons at given rates.
    Figure 7 of Barton et al. 2022 shows the distribution of the core's power at two rates, in a
    picture whose numbers are not at hand; its text gives 1.08 pJ per spike at 3.3 MHz. Only that
    total is the paper's here; the core's split is calibrated.
    """

    shown = ("budget",)

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    costs: Costs = parameter(Costs(), "energy of the core's events", source="see its own")
    shown_rates: Quantity = parameter(
        [0.33, 3.3] * Mhertz,
        "rates whose budget is shown",
        source="Barton et al. 2022, table 9: 3.3 MHz at most; a tenth of it chosen here",
        low=0 * hertz,
        low_excluded=True,
    )
    rates: Quantity = parameter(
        np.append(np.geomspace(20, 4760, 20), 5000) * khertz,
        "rates besides these",
        source="chosen here: up to the highest of the model, and a step below it",
        low=0 * hertz,
        low_excluded=True,
    )
    codes: tuple[int, ...] = parameter(
        (7,), "codes of the synapses that pulse together for each spike", source="chosen here"
    )
    duration: Quantity = parameter(
        300 * usecond,
        "length of the run",
        source="chosen here: six spikes at the lowest rate",
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
        refuse_changed("circuit", self.circuit, ["domains"], "the synapses share one supply")
        self.circuit.check_codes(self.codes)
        self.circuit.check_step(self.dt)
        swing = self.circuit.v_th - self.circuit.v_rest
        moved = sum(self.codes) * self.circuit.step(self.circuit.vdd)
        if moved <= swing:
            raise UserError(
                f"A volley of codes that add up to {sum(self.codes)} moves the membrane by "
                f"{moved} at {self.circuit.vdd}, too little for a spike: more than {swing} was "
                "expected."
            )
        highest = 1 / (self.circuit.t_pulse + self.circuit.t_spike)
        if np.any(self._rates > highest * (1 + 1e-9)):
            raise UserError(
                f"A rate of {np.max(self._rates)} leaves no time for a pulse and a spike: at most "
                f"{highest} was expected."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One neuron per rate."""
        size = len(self._rates)
        neurons = np.repeat(np.arange(size), len(self.codes))
        codes = np.tile(self.codes, size)
        return {
            "rates": Experiment(
                populations=(Population("chip", self.circuit, size),),
                sources=(regular("inputs", self._rates, self.duration, self.dt),),
                connections=code_pulses(
                    "inputs", "chip", neurons, neurons, codes, self.circuit.t_pulse
                ),
                duration=self.duration,
                dt=self.dt,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Power and energy per spike by rate, and the budget of the rates shown."""
        recording = recordings["rates"]
        spikes = recording.spikes["chip"].counts()
        totals = recording.totals["chip"]
        spent = energies(self.circuit, self.costs, totals, spikes, self.duration)
        per_spike = np.where(spikes > 0, spikes, np.nan)
        table = pd.DataFrame(
            {
                "asked_MHz": np.asarray(self._rates / Mhertz),
                "rate_MHz": spikes / float(self.duration * Mhertz),
                "decisions_per_spike": np.asarray(totals["clocks"]) / per_spike,
            }
        )
        for entry, energy in spent.items():
            table[_column(entry)] = np.asarray(energy / self.duration / nwatt)
        for supply, energy in by_supply(spent).items():
            table[f"energy_{supply}_pJ"] = np.asarray(energy / pjoule) / per_spike
        table["energy_per_spike_pJ"] = table.energy_core_pJ + table.energy_synapse_pJ
        budget = [self._budget(row) for row in table.iloc[: len(self.shown_rates)].itertuples()]
        return {"table": table, "budget": pd.concat(budget, ignore_index=True)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Shares at the rates shown, and power and energy per spike against the rate."""
        del recordings
        figure, axes = panels([["shares", "energy"], ["shares", "power"]])
        table = tables["table"].sort_values("rate_MHz")
        _plot_shares(axes["shares"], tables["budget"])
        _plot_energy(axes["energy"], table)
        for entry, color in COLORS.items():
            axes["power"].plot(table.rate_MHz, table[_column(entry)], color=color)
        axes["power"].set(xscale="log", yscale="log", xlabel="output rate (MHz)",
                          ylabel="power (nW)", title="c  Power by entry")  # fmt: skip
        for name in ("energy", "power"):
            axes[name].xaxis.set_major_formatter("{x:g}")
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Where the power goes, at which rates."""
        table, budget = tables["table"], tables["budget"]
        said = []
        for rate, entries in budget.groupby("rate_MHz", sort=False):
            core = entries[entries.supply == "core"].sort_values("power_nW", ascending=False)
            shares = ", ".join(f"{row.entry} {row.core_percent:.3g} %" for row in core.itertuples())
            said.append(f"At {rate:.3g} MHz the core takes {core.power_nW.sum():.4g} nW: {shares}.")
        known = float(ENERGY_AT_MAX_RATE / pjoule)
        return [
            Section(
                "Where the power goes",
                " ".join(said) + " The paper's own shares are in a picture (figure 7) whose "
                "numbers are not at hand, so there is nothing here to compare them with; of the "
                f"core's numbers only the total of {known} pJ at {float(MAX_RATE / Mhertz)} MHz "
                "is the paper's, and the source of each entry stands beside it.",
                "budget",
            ),
            Section("Energy per spike", _say_energy(table), "table"),
        ]

    @property
    def _rates(self) -> Quantity:
        """Those shown, then the others."""
        return np.concatenate([self.shown_rates / hertz, self.rates / hertz]) * hertz

    def _budget(self, row: Any) -> pd.DataFrame:
        """One row per entry at one rate."""
        table = pd.DataFrame(
            {
                "rate_MHz": row.rate_MHz,
                "entry": list(SOURCES),
                "supply": [supply for supply, _ in SOURCES.values()],
                "power_nW": [getattr(row, _column(entry)) for entry in SOURCES],
                "source": [source for _, source in SOURCES.values()],
            }
        )
        core = table.power_nW.where(table.supply == "core")
        # nW per MHz are fJ.
        table.insert(4, "per_spike_pJ", 1e-3 * table.power_nW / row.rate_MHz)
        table.insert(5, "percent", 100 * table.power_nW / table.power_nW.sum())
        table.insert(6, "core_percent", 100 * core / core.sum())
        return table


def _column(entry: str) -> str:
    return f"{entry.replace(' ', '_')}_nW"


def _say_energy(table: pd.DataFrame) -> str:
    low, high = table.loc[table.rate_MHz.idxmin()], table.loc[table.rate_MHz.idxmax()]
    said = (
        f"A spike takes {low.energy_per_spike_pJ:.3g} pJ at {low.rate_MHz:.2g} MHz and "
        f"{high.energy_per_spike_pJ:.3g} pJ at {high.rate_MHz:.3g} MHz, because more spikes share "
        f"the leakage. Of the latter the synapses take {1e3 * high.energy_synapse_pJ:.3g} fJ, from "
        "their own supply."
    )
    if high.decisions_per_spike < low.decisions_per_spike - 0.5:
        said += (
            " At the highest rate a pulse begins while the spike before it lasts, whose end then "
            "no longer clocks the comparator: it decides "
            f"{high.decisions_per_spike:.3g} times per spike instead of "
            f"{low.decisions_per_spike:.3g}."
        )
    return said


def _plot_shares(axes: Any, budget: pd.DataFrame) -> None:
    """A bar for each rate, the core's entries below the synapses."""
    names = []
    for place, (rate, entries) in enumerate(budget.groupby("rate_MHz", sort=False)):
        by, bottom = entries.set_index("entry"), 0.0
        for entry, color in COLORS.items():
            share = by.percent[entry]
            axes.bar(place, share, 0.55, bottom, color=color, edgecolor="white", lw=0.5,
                     label=None if place else entry)  # fmt: skip
            if share > 4:
                axes.annotate(f"{share:.1f} %", (place, bottom + share / 2), ha="center",
                              va="center", fontsize=8,
                              color="white" if color == BLUE else BLACK)  # fmt: skip
            bottom += share
        names.append(f"{rate:.3g} MHz\n{by.power_nW.sum():.4g} nW")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(0, 100), xlabel="output rate and total power",
             ylabel="share of power (%)", title="a  Core and synapses")  # fmt: skip
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)


def _plot_energy(axes: Any, table: pd.DataFrame) -> None:
    """Energy per spike, entry upon entry, with the paper's one number."""
    per_spike = [1e-3 * table[_column(entry)] / table.rate_MHz for entry in COLORS]
    axes.stackplot(table.rate_MHz, per_spike, colors=list(COLORS.values()))
    rate, energy = float(MAX_RATE / Mhertz), float(ENERGY_AT_MAX_RATE / pjoule)
    axes.plot(rate, energy, "D", color=BLACK, ms=5)
    axes.annotate("paper, 1.08 pJ at 3.3 MHz", (rate, energy), (0, 9), ha="right",
                  textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set(xscale="log", xlabel="output rate (MHz)", ylabel="energy per spike (pJ)",
             ylim=(0, None), title="b  Energy per spike")  # fmt: skip
