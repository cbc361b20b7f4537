"""A modulator's puff in a cell, and on a chip whose supply follows the gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, mV, nsecond, second, umolar, volt
from brian2.units.allunits import khertz

from neuromod.analysis.spike_trains import coincidence_factor, rmse
from neuromod.analysis.time_course import integrated_gain
from neuromod.checks import steps_in
from neuromod.chip.conversion import TIME_SCALE, VDD_HIGH, VDD_LOW, gain_of, vdd_of
from neuromod.chip.twins import twins
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.modulators import puffs
from neuromod.inputs.spikes import circuit_inputs
from neuromod.inputs.supplies import Schedule, schedule
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXACT, STEADY = "exact", "constant"


@dataclass(frozen=True, eq=False)
class GainTrace(Protocol):
    """A puff of modulator: gain over time in a cell, and as a supply voltage over time on a chip.

    A pipette fills the surroundings of a cell with a modulator, and its receptor's cascade
    changes the gain. On the chip the same gain is a supply voltage that is set anew at every
    update: exactly, or with a converter of few bits. Both get the same input spikes and weights,
    the chip a thousand times faster. How coarse may the supply be?
    """

    bio: GainLIF = parameter(
        GainLIF(
            t_ref=0.1 * ms,
            synapse="pulse",
            delivery="exchange",
            receptors=(Receptor(gain_max=1.8),),
        ),
        "the biological neuron",
        source="see its own; gain_max within what 0.5 to 1 V reach",
    )
    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the circuit neuron", source="see its own")
    conc: Quantity = parameter(
        10 * umolar,
        "concentration that an endless puff would reach",
        source="chosen here: ten times K_D",
        low=0 * umolar,
        low_excluded=True,
    )
    onset: Quantity = parameter(
        0.3 * second, "start of the puff, biological time", source="chosen here", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    width: Quantity = parameter(
        0.4 * second, "length of the puff, biological time",
        source="chosen here: about the cascade's time constants", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    tau_clear: Quantity = parameter(
        0.2 * second, "time constant in which the modulator comes and goes",
        source="chosen here: shorter than the cascade's", low=0 * second, low_excluded=True,
    )  # fmt: skip
    bits: tuple[int, ...] = parameter(
        (1, 2, 3, 4, 6), "resolutions of the supply between 0.5 and 1 V, one neuron each",
        source="chosen here", low=1, high=16,
    )  # fmt: skip
    update: Quantity = parameter(
        5 * ms, "time between settings of the supply, biological time",
        source="chosen here: a hundredth of the cascade's time constant", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    codes: tuple[int, ...] = parameter((4, 3, 2, -2), "weight of each input", source="chosen here")
    input_rate: Quantity = parameter(
        200 * khertz, "mean rate of each input, chip time",
        source="chosen here: below the neuron's own 3.3 MHz", low=0 * khertz, low_excluded=True,
    )  # fmt: skip
    duration: Quantity = parameter(
        3 * second, "length of the run, biological time",
        source="chosen here: until the gain is nearly back", low=0 * second, low_excluded=True,
    )  # fmt: skip
    bin: Quantity = parameter(
        0.1 * second, "in which spikes are counted for rates, biological time",
        source="chosen here", low=0 * second, low_excluded=True,
    )  # fmt: skip
    window: Quantity = parameter(
        0.2 * ms, "largest distance of coinciding spikes, biological time",
        source="chosen here: two pulses", low=0 * second, low_excluded=True,
    )  # fmt: skip
    dt: Quantity = parameter(
        20 * nsecond, "time step, chip time", source="chosen here: a fifth of a pulse",
        low=0 * second, low_excluded=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["vdd", "domains"], "the gain sets the supply")
        refuse_changed("bio", self.bio, ["conc", "tau_clear"], "set conc and tau_clear")
        self.circuit.check_codes(self.codes)
        self.circuit.check_step(self.dt)
        for name in ("onset", "width", "update", "duration"):
            steps_in(name, getattr(self, name), TIME_SCALE * self.dt)
        if self.onset + self.width >= self.duration:
            raise UserError(f"The puff must end before duration = {self.duration}.")
        if self.bio.site != "input" or not self.bio.modulated or self.bio.delivery != "exchange":
            raise UserError(
                "bio must have site=input, modulated=true and delivery=exchange: a puff changes "
                "the gain on its input."
            )
        if len(self.bio.ligands) != 1:
            raise UserError(
                f"bio must have receptors of one ligand, not {', '.join(self.bio.ligands)}."
            )
        needed = vdd_of(self.circuit, self._gain)
        if np.any(needed < VDD_LOW) or np.any(needed > VDD_HIGH):
            least, most = gain_of(self.circuit, np.array([0.5, 1.0]) * volt)
            raise UserError(
                f"The puff takes the gain from {self._gain.min():.4g} to {self._gain.max():.4g}; "
                f"{least:.4g} to {most:.4g} was expected, what VDD from 0.5 to 1 V gives: change "
                "conc, or the receptor's gain_max."
            )

    def experiments(self) -> dict[str, Experiment]:
        """A cell, and circuit neurons that differ in the resolution of their supply."""
        names, supply = self._supplies, self._schedule
        ligand = self.bio.ligands[0]
        cells = Population("cell", self.bio, 1)
        puffed = puffs(ligand, cells, self.conc, self.onset * np.ones(1), self.width,
                       self.tau_clear, TIME_SCALE * self.dt)  # fmt: skip
        cells = Population("cell", self.bio, 1, puffed.values)
        chips = Population("chip", self.circuit, len(names), supply.values)
        traces = [
            Trace("cell", ("gain", f"conc_{ligand}"), np.zeros(1, dtype=int)),
            Trace("chip", ("vdd", "v"), np.arange(len(names))),
        ]
        both = twins(cells, chips, self._inputs, self.codes, traces, self._chip(self.duration),
                     self.dt, self.seed)  # fmt: skip
        return {
            name: replace(
                both[name],
                sources=(*both[name].sources, *added.sources),
                connections=(*both[name].connections, *added.connections),
            )
            for name, added in (("circuit", supply), ("bio", puffed))
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """One row per supply: its error and how alike chip and cell fire; and rates over time."""
        duration, window = float(self.duration / second), float(self.window / second)
        cell = _times(recordings["bio"].spikes["cell"], 0)
        wanted = np.asarray(recordings["bio"].trace("cell", "gain", 0))
        edges = np.arange(0, duration + 1e-9, float(self.bin / second))
        rates = pd.DataFrame({"time_s": edges[:-1], "cell_Hz": _rate(cell, edges)})
        rows = []
        for neuron, name in enumerate(self._supplies):
            given = gain_of(self.circuit, recordings["circuit"].trace("chip", "vdd", neuron))
            chip = TIME_SCALE * _times(recordings["circuit"].spikes["chip"], neuron)
            rates[f"{_column(name)}_Hz"] = _rate(chip, edges)
            rows.append(
                {
                    "supply": name,
                    "bits": self.bits[neuron - 1] if 0 < neuron <= len(self.bits) else np.nan,
                    "gain_error_rms": rmse(given, wanted, np.ones(len(wanted), dtype=bool)),
                    "gain_error_max": np.abs(given - wanted).max(),
                    "cell_spikes": len(cell),
                    "chip_spikes": len(chip),
                    "coincidence_factor": coincidence_factor(cell, chip, window, duration),
                    "rate_correlation": _correlation(rates["cell_Hz"],
                                                     rates[f"{_column(name)}_Hz"]),
                }
            )  # fmt: skip
        return {"table": pd.DataFrame(rows), "rates": rates}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Concentration and gain, supplies, rates, and agreement against resolution."""
        figure, axes = panels([["gain", "supply"], ["rate", "error"]])
        bio, circuit = recordings["bio"], recordings["circuit"]
        time = bio.times / second
        conc = bio.trace("cell", f"conc_{self.bio.ligands[0]}", 0) / umolar
        axes["gain"].plot(time, bio.trace("cell", "gain", 0), color=GREEN, label="gain of the cell")
        axes["gain"].set(xlabel="biological time (s)", ylabel="gain",
                         title="a  The puff and the gain")  # fmt: skip
        beside = axes["gain"].twinx()
        beside.spines["right"].set_visible(True)
        beside.plot(time, conc, color=BLACK, lw=0.9, ls=":", label="modulator (right)")
        beside.set(ylabel="concentration (µM)", ylim=(0, None))
        lines = [*axes["gain"].get_lines(), *beside.get_lines()]
        axes["gain"].legend(lines, [str(line.get_label()) for line in lines])
        for name, color in self._shown().items():
            neuron = self._supplies.index(name)
            axes["supply"].plot(time, circuit.trace("chip", "vdd", neuron) / mV, color=color,
                                lw=1, label=name)  # fmt: skip
            axes["rate"].stairs(tables["rates"][f"{_column(name)}_Hz"], self._edges(tables),
                                color=color, label=f"chip, {name}")  # fmt: skip
        axes["rate"].stairs(tables["rates"].cell_Hz, self._edges(tables), color=GREEN, lw=2.4,
                            alpha=0.5, label="cell")  # fmt: skip
        axes["supply"].legend()
        axes["supply"].set(xlabel="biological time (s) = chip time (ms)", ylabel="VDD (mV)",
                           title="b  Supplies that follow it")  # fmt: skip
        most = tables["rates"].drop(columns="time_s").to_numpy().max()
        axes["rate"].legend(loc="upper center", ncols=3)
        axes["rate"].set(xlabel="biological time (s)", ylabel="rate (Hz, biological time)",
                         ylim=(0, 1.35 * most), title="c  Output")  # fmt: skip
        self._plot_error(axes["error"], tables["table"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """How coarse the supply may be."""
        by = tables["table"].set_index("supply")
        exact, still = by.loc[EXACT], by.loc[STEADY]
        coarse = by[by.bits.notna()]
        near = coarse[coarse.coincidence_factor >= 0.98 * exact.coincidence_factor]
        enough = (
            f"{near.index[0]} give a coincidence factor within 2 % of it"
            if len(near)
            else "none of the resolutions comes within 2 % of it"
        )
        return [
            Section(
                "A gain over time, twice",
                f"The puff takes the cell's gain from 1 to {self._gain.max():.2f} and the supply "
                f"that follows it from 750 to {self._peak():.0f} mV, set anew every {self.update} "
                f"of biological time. With an exact supply the gain on the chip is off by "
                f"{exact.gain_error_rms:.2g} (root mean square), because it is held between "
                f"updates, and the chip fires {exact.chip_spikes:.0f} spikes where the cell fires "
                f"{exact.cell_spikes:.0f}, with a coincidence factor of "
                f"{exact.coincidence_factor:.2f}; with a constant supply it fires "
                f"{still.chip_spikes:.0f}, with {still.coincidence_factor:.2f}. What is left with "
                "an exact supply is the comparator, which decides when input pulses have ended. "
                f"Of the resolutions between 0.5 and 1 V, {enough}.",
                "table",
            ),
            Section("Rates", "Spikes in every bin, in biological time.", "rates"),
        ]

    @cached_property
    def _inputs(self) -> Spikes:
        return circuit_inputs(self.circuit, len(self.codes), self.input_rate,
                              self._chip(self.duration), self.dt, self.seed)  # fmt: skip

    @property
    def _supplies(self) -> list[str]:
        return [EXACT, *(f"{n} bit{'s' * (n > 1)}" for n in self.bits), STEADY]

    @property
    def _updates(self) -> Quantity:
        """When the supply is set, biological time."""
        count = int(np.ceil(float(self.duration / self.update) - 1e-9))
        return np.arange(count) * self.update

    @cached_property
    def _gain(self) -> np.ndarray:
        """Gain that the supply is to have at every update."""
        start, end = (float(t / second) for t in (self.onset, self.onset + self.width))
        tau = float(self.tau_clear / second)

        def conc(time: float) -> np.ndarray:
            filled = -np.expm1(-(min(time, end) - start) / tau) if time > start else 0.0
            left = np.exp(-max(time - end, 0) / tau)
            return np.full(1, float(self.conc) * filled * left)

        gain: np.ndarray = integrated_gain(self.bio, conc, self._updates, (start, end))[0]
        return gain

    @cached_property
    def _schedule(self) -> Schedule:
        """Every supply over time: exact, of few bits, and constant."""
        exact = np.asarray(vdd_of(self.circuit, self._gain) / volt)
        low, span = float(VDD_LOW / volt), float((VDD_HIGH - VDD_LOW) / volt)
        columns = [exact]
        for bits in self.bits:
            top = 2**bits - 1
            columns.append(low + np.round((exact - low) / span * top) / top * span)
        columns.append(np.full(len(exact), exact[0]))
        chips = Population("chip", self.circuit, len(columns))
        return schedule(chips, self._chip(self._updates), np.column_stack(columns) * volt, self.dt)

    def _chip(self, biological: Quantity) -> Quantity:
        return biological / TIME_SCALE

    def _peak(self) -> float:
        return float(np.max(vdd_of(self.circuit, self._gain)) / mV)

    def _shown(self) -> dict[str, str]:
        """Supplies drawn over time, with their colours."""
        coarse = self._supplies[1:-1]
        few = dict.fromkeys([coarse[0], coarse[len(coarse) // 2]])
        return {EXACT: BLUE, **dict(zip(few, (ORANGE, PURPLE), strict=False)), STEADY: BLACK}

    def _edges(self, tables: dict[str, pd.DataFrame]) -> np.ndarray:
        starts = tables["rates"].time_s.to_numpy()
        return np.append(starts, starts[-1] + float(self.bin / second))

    def _plot_error(self, axes: Any, table: pd.DataFrame) -> None:
        coarse = table[table.bits.notna()]
        bits = coarse.bits
        axes.plot(bits, coarse.coincidence_factor, "o-", color=BLUE, ms=4,
                  label="coincidence factor")  # fmt: skip
        axes.plot(bits, coarse.gain_error_rms, "s--", color=ORANGE, ms=4,
                  label="error of the gain (RMS)")  # fmt: skip
        exact = table[table.supply == EXACT].coincidence_factor.item()
        axes.axhline(exact, color=BLACK, lw=0.8, ls=":")
        axes.annotate("exact supply", (1, exact), xycoords=("axes fraction", "data"),
                      ha="right", va="bottom", fontsize=8)  # fmt: skip
        axes.set_xticks(bits)
        axes.legend(loc="center right")
        axes.set(xlabel="bits of the supply", ylim=(0, None), title="d  How coarse it may be")


def _times(spikes: Spikes, neuron: int) -> np.ndarray:
    return np.asarray(spikes.times[spikes.neurons == neuron] / second)


def _rate(times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(times, edges)[0] / np.diff(edges)


def _correlation(a: pd.Series, b: pd.Series) -> float:
    return float(a.corr(b)) if a.std() > 0 and b.std() > 0 else np.nan


def _column(name: str) -> str:
    return "chip_" + name.replace(" ", "_")
