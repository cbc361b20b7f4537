"""Same input spikes and codes at every supply voltage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, mV, nA, nsecond, second, usecond, volt
from brian2.units.allunits import Mhertz, khertz, pjoule

from neuromod.chip.conversion import Costs, by_supply, energies, gain_of
from neuromod.experiment import Experiment, Population, Spikes, Trace, code_pulses
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_4 = (0.55, 0.75)


@dataclass(frozen=True, eq=False)
class VddSweep(Protocol):
    """Output spikes, unit current and energy per spike against the supply voltage.

    A circuit neuron's synapses run at a supply voltage VDD that can be tuned; a higher one gives
    more current for the same stored weights. Here the same input spikes reach many copies of one
    neuron that differ in VDD alone, as in figures 4 and 8 of Barton et al. 2022.
    """

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    costs: Costs = parameter(Costs(), "energy of the core's events", source="see its own")
    vdd: Quantity = parameter(
        linspace(0.5, 1.0, 51) * volt,
        "synapse supplies, one neuron each",
        source="Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
        low=0.5 * volt,
        high=1.0 * volt,
    )
    codes: tuple[int, ...] = parameter(
        (4, 3, 2, -2), "code of each input's synapse", source="chosen here"
    )
    input_rate: Quantity = parameter(
        300 * khertz,
        "mean rate of each input",
        source="chosen here: below the neuron's own 3.3 MHz",
        low=0 * khertz,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        40 * usecond,
        "length of the run",
        source="chosen here: two membrane time constants",
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
        refuse_changed("circuit", self.circuit, ["vdd"], "set vdd, which is swept")
        self.circuit.check_codes(self.codes)
        self.circuit.check_step(self.dt)

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per supply voltage."""
        size = len(self.vdd)
        source = self._inputs
        i, j = (side.ravel() for side in np.indices((len(self.codes), size)))
        codes = np.array(self.codes)[i]
        return {
            "sweep": Experiment(
                populations=(Population("chip", self.circuit, size, {"vdd": self.vdd}),),
                sources=(source,),
                connections=code_pulses("inputs", "chip", i, j, codes, self.circuit.t_pulse),
                traces=(Trace("chip", ("v",), self._shown()),),
                duration=self.duration,
                dt=self.dt,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """One row per supply voltage."""
        source = self._inputs
        spikes = recordings["sweep"].spikes["chip"].counts()
        totals = recordings["sweep"].totals["chip"]
        spent = energies(self.circuit, self.costs, totals, spikes, self.duration)
        supplies = by_supply(spent)
        total = np.asarray((supplies["core"] + supplies["synapse"]) / pjoule)
        table = pd.DataFrame(
            {
                "vdd_V": np.asarray(self.vdd / volt),
                "unit_current_nA": np.asarray(self.circuit.unit_current(self.vdd) / nA),
                "gain": gain_of(self.circuit, self.vdd),
                "input_spikes": len(source.neurons),
                "output_spikes": spikes,
                "rate_MHz": spikes / float(self.duration * Mhertz),
                "energy_core_pJ": np.asarray(supplies["core"] / pjoule),
                "energy_synapse_pJ": np.asarray(supplies["synapse"] / pjoule),
                "energy_per_spike_pJ": total / np.where(spikes > 0, spikes, np.nan),
            }
        )
        return {"table": table}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Traces at 550 and 750 mV, spikes, unit current and energy per spike against VDD."""
        table = tables["table"]
        figure, axes = panels([["traces", "traces"], ["spikes", "current"], ["spikes", "energy"]])
        self._plot_traces(axes["traces"], recordings["sweep"])
        axes["spikes"].plot(table.vdd_V, table.output_spikes, "o-", color=BLUE, ms=3)
        axes["spikes"].set(
            xlabel="synapse supply VDD (V)",
            ylabel="output spikes",
            ylim=(0, None),
            title=f"b  Output of {table.input_spikes[0]} input spikes",
        )
        axes["current"].plot(table.vdd_V, table.unit_current_nA, color=GREEN)
        axes["current"].set(
            xlabel="VDD (V)",
            ylabel="unit current (nA)",
            ylim=(0, None),
            title="c  Current of one least significant bit",
        )
        axes["energy"].plot(table.vdd_V, table.energy_per_spike_pJ, "o-", color=ORANGE, ms=3)
        axes["energy"].axhline(1.08, color=BLACK, lw=0.8, ls=":")
        axes["energy"].annotate(
            "paper, at 3.3 MHz: 1.08 pJ",
            (0.98, 1.02),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="top",
            fontsize=8,
        )
        axes["energy"].set(
            xlabel="VDD (V)",
            ylabel="energy per spike (pJ)",
            ylim=(0, None),
            title="d  Energy from both supplies",
        )
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What a higher supply does."""
        table = tables["table"]
        firing = table[table.output_spikes > 0]
        low, high = table.iloc[0], table.iloc[-1]
        spread = (
            f"Energy per spike goes from {firing.energy_per_spike_pJ.iloc[0]:.2f} to "
            f"{firing.energy_per_spike_pJ.iloc[-1]:.2f} pJ, because the comparator's decisions "
            "and the leakage are shared by more spikes."
            if len(firing) > 1
            else "Too few supplies gave spikes to compare their energy."
        )
        return [
            Section(
                "What a higher supply does",
                f"From {low.vdd_V:.3g} to {high.vdd_V:.3g} V the current of one least significant "
                f"bit goes from {low.unit_current_nA:.3g} to {high.unit_current_nA:.3g} nA, and "
                f"the same {low.input_spikes:.0f} input spikes give {low.output_spikes:.0f} to "
                f"{high.output_spikes:.0f} output spikes. {spread}\n\nOf the energies, what "
                "flows through the synapses follows from the mirror equation; the core's entries "
                "are calibrated here so that they add up to the paper's 1.08 pJ per spike at "
                "3.3 MHz, and their split is an estimate.",
                "table",
            )
        ]

    @cached_property
    def _inputs(self) -> Spikes:
        return circuit_inputs(
            self.circuit, len(self.codes), self.input_rate, self.duration, self.dt, self.seed
        )

    def _shown(self) -> np.ndarray:
        """Neurons nearest to the supplies of the paper's figure 4."""
        distance = np.abs(np.asarray(self.vdd / volt)[:, None] - np.array(FIGURE_4))
        return np.unique(distance.argmin(axis=0))

    def _plot_traces(self, axes: Any, recording: Recording) -> None:
        source, spikes = self._inputs, recording.spikes["chip"]
        rows = [("inputs", source.times, BLACK)]
        for neuron, color in zip(self._shown(), (ORANGE, BLUE), strict=False):
            name = f"{float(self.vdd[neuron] / mV):.0f} mV"
            v = recording.trace("chip", "v", neuron)
            axes.plot(recording.times / usecond, v / mV, color=color, lw=1, label=f"VDD = {name}")
            rows.append((f"output at {name}", spikes.times[spikes.neurons == neuron], color))
        top = float(self.circuit.v_th / mV) + 100
        for row, (_, times, color) in enumerate(rows):
            axes.plot(times / usecond, np.full(len(times), top + 45 * row), "|", color=color, ms=7)
        axes.axhline(float(self.circuit.v_th / mV), color=BLACK, lw=0.8, ls=":")
        ticks = [200, 300, 400, *(top + 45 * row for row in range(len(rows)))]
        axes.set_yticks(ticks, ["200", "300", "400", *(name for name, _, _ in rows)])
        axes.set(xlabel="time (µs)", ylabel="membrane (mV)", xlim=(0, self.duration / usecond),
                 title="a  Membrane (threshold dotted) and spikes (bars)")  # fmt: skip
