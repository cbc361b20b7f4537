"""The same input into biological and circuit neurons, at gains and supplies that match."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from brian2 import Quantity, khertz, ms, nsecond, second, usecond, volt

from neuromod.analysis.spike_trains import coincidence_factor, rmse, van_rossum, victor_purpura
from neuromod.chip.conversion import TIME_SCALE, vdd_of
from neuromod.chip.twins import twins
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.bio_vs_circuit import page
from neuromod.protocols.families.chips import ChipProtocol, check_reach, input_codes, input_rate
from neuromod.protocols.families.timing import time


@dataclass(frozen=True, eq=False)
class BioVsCircuit(ChipProtocol):
    """Biological against circuit neuron: the same gain, once as a gain, once as a supply voltage.

    The same input spikes drive biological neurons of different gains and circuit neurons whose
    supply voltages give the same gains. The chip runs a thousand times faster, so its times are
    stretched by 1000 for the comparison; potentials are compared as shares of the way from rest
    to threshold. One difference remains: the cell fires as soon as it crosses its threshold,
    while the circuit's clocked comparator decides when the last input pulse has ended.
    """

    bio: GainLIF = parameter(
        GainLIF(t_ref=0.1 * ms, synapse="pulse", receptors=()),
        "the biological neuron",
        "see its own; refractory for 1000 times the chip's 100 ns",
    )
    gain: np.ndarray = positive(
        np.linspace(0.25, 1.85, 33),
        "gains, one neuron of either kind for each",
        "calibrated here: what 0.5 to 1 V reach",
    )
    codes: tuple[int, ...] = input_codes()
    input_rate: Quantity = input_rate(300 * khertz, "mean rate of each input, chip time")
    duration: Quantity = time(
        200 * usecond, "length of the run, chip time", "ten membrane time constants"
    )
    dt: Quantity = time(10 * nsecond, "time step, chip time", "a tenth of a pulse")
    window: Quantity = time(
        0.2 * ms, "largest distance of coinciding spikes, biological time", "two pulses"
    )
    tau_distance: Quantity = time(
        2 * ms,
        "time constant of the spike train distances, biological time",
        "about the interval between spikes",
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        self.circuit.check_codes(self.codes)
        if self.bio.synapse != "pulse":
            raise UserError("bio.synapse must be 'pulse', the shape that both neurons can share.")
        if self.bio.site != "input" or self.bio.receptors:
            raise UserError(
                "bio.site must be 'input', without receptors: gain sets the gain of each cell."
            )
        check_reach(self.circuit, self.gain, "Change gain.")

    def experiments(self) -> dict[str, Experiment]:
        """Two networks, one neuron per gain in each."""
        size = len(self.gain)
        inputs = circuit_inputs(
            self.circuit, len(self.codes), self.input_rate, self.duration, self.dt, self.seed
        )
        chips = Population("chip", self.circuit, size, {"vdd": self.vdd})
        cells = Population("cell", self.bio, size, {"trained_gain": self.gain})
        traces = [Trace(name, ("v",), np.arange(size)) for name in ("chip", "cell")]
        return twins(cells, chips, inputs, self.codes, traces, self.duration, self.dt, self.seed)

    def measure(self, recordings: Recordings) -> Tables:
        """One row per gain: spikes on both sides and how alike they and the traces are."""
        duration = float(TIME_SCALE * self.duration / second)
        window, tau = float(self.window / second), float(self.tau_distance / second)
        v = self.membranes(recordings)
        trains = zip(
            recordings["bio"].spike_trains("cell"),
            recordings["circuit"].spike_trains("chip"),
            strict=True,
        )
        rows = []
        for neuron, (of_cell, of_chip) in enumerate(trains):
            cell, chip = of_cell.magnitude, TIME_SCALE * of_chip.magnitude
            v_cell, v_chip = v["bio"][neuron], v["circuit"][neuron]
            rows.append(
                {
                    "gain": self.gain[neuron],
                    "vdd_V": float(self.vdd[neuron] / volt),
                    "bio_spikes": len(cell),
                    "circuit_spikes": len(chip),
                    "coincidence_factor": coincidence_factor(cell, chip, window, duration),
                    "van_rossum_distance": van_rossum(cell, chip, tau, duration),
                    "victor_purpura_distance": victor_purpura(cell, chip, tau, duration),
                    "rmse_of_swing": rmse(v_cell, v_chip, (v_cell < 1) & (v_chip < 1)),
                }
            )
        return {"table": pd.DataFrame(rows)}

    @cached_property
    def vdd(self) -> Quantity:
        """Supply of each circuit neuron, shape (n,)."""
        return vdd_of(self.circuit, self.gain)

    def membranes(self, recordings: Recordings) -> dict[str, np.ndarray]:
        """Membranes as shares of the way from rest to threshold, each (neurons, steps)."""
        sides = (("bio", "cell", self.bio), ("circuit", "chip", self.circuit))
        return {
            side: np.asarray(
                (recordings[side].signals[name]["v"].values - model.v_rest)
                / (model.v_th - model.v_rest)
            )
            for side, name, model in sides
        }
