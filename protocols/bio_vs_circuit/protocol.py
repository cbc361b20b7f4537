"""One input into the biological and the circuit neuron, gain against supply voltage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, nsecond, second, usecond, volt
from brian2.units.allunits import khertz

from neuromod.analysis.spike_trains import coincidence_factor, rmse, van_rossum, victor_purpura
from neuromod.chip.conversion import TIME_SCALE, VDD_HIGH, VDD_LOW, gain_of, vdd_of
from neuromod.chip.twins import twins
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class BioVsCircuit(Protocol):
    """Biological against circuit neuron: the same gain, once as a gain, once as a supply voltage.

    One pattern of input spikes drives both neurons, the circuit a thousand times faster. The
    gain of the biological neuron is swept, and on the other side each circuit neuron gets the
    supply voltage at which the current mirror gives the same gain. Times are compared after
    stretching the chip's by 1000, potentials as shares of the way from rest to threshold. What
    remains different is the decision: the cell fires as soon as it crosses its threshold, the
    circuit's clocked comparator decides when the last input pulse has ended.
    """

    bio: GainLIF = parameter(
        GainLIF(t_ref=0.1 * ms, synapse="pulse", receptors=()),
        "the biological neuron",
        source="see its own; refractory for 1000 times the chip's 100 ns",
    )
    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the circuit neuron", source="see its own")
    gain: np.ndarray = parameter(
        np.linspace(0.25, 1.85, 33),
        "gains, one neuron each on either side",
        source="calibrated here: what 0.5 to 1 V reach",
        low=0,
        low_excluded=True,
    )
    codes: tuple[int, ...] = parameter((4, 3, 2, -2), "weight of each input", source="chosen here")
    input_rate: Quantity = parameter(
        300 * khertz,
        "mean rate of each input, chip time",
        source="chosen here: below the neuron's own 3.3 MHz",
        low=0 * khertz,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        200 * usecond,
        "length of the run, chip time",
        source="chosen here: ten membrane time constants",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        10 * nsecond,
        "time step, chip time",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )
    window: Quantity = parameter(
        0.2 * ms,
        "largest distance of coinciding spikes, biological time",
        source="chosen here: two pulses",
        low=0 * second,
        low_excluded=True,
    )
    tau_distance: Quantity = parameter(
        2 * ms,
        "time constant of the spike train distances, biological time",
        source="chosen here: about the interval between spikes",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["vdd"], "set gain, which is swept")
        refuse_changed("bio", self.bio, ["trained_gain"], "set gain, which is swept")
        self.circuit.check_codes(self.codes)
        self.circuit.check_step(self.dt)
        if self.bio.synapse != "pulse":
            raise UserError("bio.synapse must be 'pulse', the shape that both neurons can share.")
        if self.bio.site != "input" or self.bio.modulated:
            raise UserError("bio.site must be 'input' and bio.modulated false: gain is swept here.")
        if np.any(self._vdd < VDD_LOW) or np.any(self._vdd > VDD_HIGH):
            least, most = gain_of(self.circuit, np.array([0.5, 1.0]) * volt)
            raise UserError(
                f"gain = {self.gain.min():.4g} to {self.gain.max():.4g} is out of the circuit's "
                f"range: {least:.4g} to {most:.4g} was expected, what VDD from 0.5 to 1 V gives."
            )

    def experiments(self) -> dict[str, Experiment]:
        """Two networks, one neuron per gain in each."""
        size = len(self.gain)
        chips = Population("chip", self.circuit, size, {"vdd": self._vdd})
        cells = Population("cell", self.bio, size, {"trained_gain": self.gain})
        traces = [Trace(name, ("v",), np.arange(size)) for name in ("chip", "cell")]
        return twins(
            cells, chips, self._inputs, self.codes, traces, self.duration, self.dt, self.seed
        )

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """One row per gain: spikes on both sides and how alike they and the traces are."""
        duration = float(TIME_SCALE * self.duration / second)
        window, tau = float(self.window / second), float(self.tau_distance / second)
        traces = self._normalised(recordings)
        rows = []
        for neuron in range(len(self.gain)):
            cell = _times(recordings["bio"].spikes["cell"], neuron)
            chip = TIME_SCALE * _times(recordings["circuit"].spikes["chip"], neuron)
            v_cell, v_chip = (traces[side][neuron] for side in ("bio", "circuit"))
            rows.append(
                {
                    "gain": self.gain[neuron],
                    "vdd_V": float(self._vdd[neuron] / volt),
                    "bio_spikes": len(cell),
                    "circuit_spikes": len(chip),
                    "coincidence_factor": coincidence_factor(cell, chip, window, duration),
                    "van_rossum_distance": van_rossum(cell, chip, tau, duration),
                    "victor_purpura_distance": victor_purpura(cell, chip, tau, duration),
                    "rmse_of_swing": rmse(v_cell, v_chip, (v_cell < 1) & (v_chip < 1)),
                }
            )
        return {"table": pd.DataFrame(rows)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Traces over each other at gain 1, the two gain curves, likeness against gain."""
        table = tables["table"]
        figure, axes = panels([["traces", "traces"], ["curves", "likeness"]])
        self._plot_traces(axes["traces"], recordings)
        axes["curves"].plot(table.gain, table.bio_spikes, "o-", color=GREEN, ms=4,
                            label="biological, gain swept")  # fmt: skip
        axes["curves"].plot(table.gain, table.circuit_spikes, "s--", color=BLUE, ms=3,
                            label="circuit, VDD swept")  # fmt: skip
        axes["curves"].set(xlabel="gain", ylabel="output spikes", ylim=(0, None),
                           title="b  Gain curves")  # fmt: skip
        upper = axes["curves"].secondary_xaxis(
            0.97, functions=(self._to_vdd, lambda vdd: gain_of(self.circuit, vdd * volt))
        )
        upper.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
        upper.tick_params(direction="in", pad=-14, labelsize=8)
        upper.spines["top"].set_visible(True)
        upper.set_xlabel("VDD (V)", labelpad=-26, fontsize=8)
        axes["curves"].legend(loc="lower right")
        axes["likeness"].plot(table.gain, table.coincidence_factor, "o-", color=ORANGE, ms=4,
                              label="coincidence factor")  # fmt: skip
        axes["likeness"].plot(table.gain, table.rmse_of_swing, "s--", color=PURPLE, ms=3,
                              label="sub-threshold RMSE")  # fmt: skip
        axes["likeness"].set(xlabel="gain", ylim=(0, 1.05),
                             ylabel="coincidence factor; RMSE (share of swing)",
                             title="c  Likeness of spikes and traces")  # fmt: skip
        axes["likeness"].legend(loc="center right")
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """How alike the two neurons are."""
        table = tables["table"]
        apart = (table.bio_spikes - table.circuit_spikes).abs()
        return [
            Section(
                "How alike they are",
                f"Over {len(table)} gains from {table.gain.min():.3g} to {table.gain.max():.3g} "
                f"the spike counts differ by {apart.mean():.2g} on average and {apart.max()} at "
                "most; the coincidence factor (1: every spike has a partner within "
                f"{self.window}, 0: chance) has a mean of "
                f"{table.coincidence_factor.mean():.3f}, and the membranes, as shares of the way "
                "from rest to threshold, differ by a root mean square of "
                f"{table.rmse_of_swing.mean():.3f}.\n\nFor the coincidence factor each spike "
                "of one train is matched with at most one of the other. The spike train distances "
                f"have a time constant of {self.tau_distance}: Victor and Purpura's counts spikes "
                "(1 for each one added or left out), van Rossum's grows as the square root of "
                "their number.",
                "table",
            )
        ]

    @cached_property
    def _inputs(self) -> Spikes:
        return circuit_inputs(
            self.circuit, len(self.codes), self.input_rate, self.duration, self.dt, self.seed
        )

    @cached_property
    def _vdd(self) -> Quantity:
        return vdd_of(self.circuit, self.gain)

    def _to_vdd(self, gain: Any) -> np.ndarray:
        # A drawn axis asks for gains beyond the range, also below zero.
        return np.asarray(vdd_of(self.circuit, np.maximum(gain, 0)) / volt)

    def _normalised(self, recordings: Mapping[str, Recording]) -> dict[str, np.ndarray]:
        """Membranes as shares of the way from rest to threshold, each (neurons, steps)."""
        sides = (("bio", "cell", self.bio), ("circuit", "chip", self.circuit))
        return {
            side: np.asarray(
                (recordings[side].signals[name]["v"].values - model.v_rest)
                / (model.v_th - model.v_rest)
            )
            for side, name, model in sides
        }

    def _plot_traces(self, axes: Any, recordings: Mapping[str, Recording]) -> None:
        neuron = int(np.abs(self.gain - 1).argmin())
        shown = recordings["bio"].times < 40 * ms
        time = recordings["bio"].times[shown] / ms
        traces = self._normalised(recordings)
        vdd = float(self._vdd[neuron] / volt)
        axes.plot(time, traces["bio"][neuron, shown], color=GREEN, lw=2.2,
                  label=f"biological, gain {self.gain[neuron]:.2f}")  # fmt: skip
        axes.plot(time, traces["circuit"][neuron, shown], color=BLUE, lw=0.9,
                  label=f"circuit, VDD {vdd:.3f} V")  # fmt: skip
        axes.axhline(1, color=BLACK, lw=0.8, ls=":")
        axes.set(xlabel="biological time (ms) = chip time (µs)", ylabel="(v − rest)/swing",
                 ylim=(None, 2.1),
                 title="a  Membranes on common axes, threshold dotted")  # fmt: skip
        axes.legend(loc="upper right", ncols=2)


def _times(spikes: Spikes, neuron: int) -> np.ndarray:
    return np.asarray(spikes.times[spikes.neurons == neuron] / second)
