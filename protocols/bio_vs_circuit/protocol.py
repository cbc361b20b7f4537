"""The same input into biological and circuit neurons, at gains and supplies that match."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, second, usecond, volt

from neuromod.analysis.spike_trains import coincidence_factor, rmse, van_rossum, victor_purpura
from neuromod.chip.conversion import TIME_SCALE, vdd_of
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.parameters import positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.bio_vs_circuit import page
from neuromod.protocols.families.chips import TwinProtocol
from neuromod.protocols.families.timing import time


@dataclass(frozen=True, eq=False)
class BioVsCircuit(TwinProtocol):
    """Biological against circuit neuron: the same gain, once as a gain, once as a supply voltage.

    The same input spikes drive biological neurons of different gains and circuit neurons whose
    supply voltages give the same gains. The chip runs a thousand times faster, so its times are
    stretched by 1000 for the comparison; potentials are compared as shares of the way from rest
    to threshold. One difference remains: the cell fires as soon as it crosses its threshold,
    while the circuit's clocked comparator decides when the last input pulse has ended.
    """

    gain: np.ndarray = positive(
        np.linspace(0.25, 1.85, 33),
        "gains, one neuron of either kind for each",
        "calibrated here: what 0.5 to 1 V reach",
    )
    duration: Quantity = time(
        200 * usecond, "length of the run, chip time", "ten membrane time constants"
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
        if self.bio.site != "input" or self.bio.receptors:
            raise UserError(
                "bio.site must be 'input', without receptors: gain sets the gain of each cell."
            )
        self.check_reach(self.gain, "Change gain.")

    def experiments(self) -> dict[str, Experiment]:
        """Two networks, one neuron per gain in each."""
        size = len(self.gain)
        cells = Population("cell", self.bio, size, {"trained_gain": self.gain})
        chips = Population("chip", self.circuit, size, {"vdd": self.vdd})
        traces = [Trace(name, ("v",), np.arange(size)) for name in ("chip", "cell")]
        return self.twins(cells, chips, traces, self.duration)

    def measure(self, recordings: Recordings) -> Tables:
        """One row per gain: spikes on both sides and how alike they and the traces are."""
        duration = float(TIME_SCALE * self.duration / second)
        window, tau = float(self.window / second), float(self.tau_distance / second)
        cells = [train.magnitude for train in recordings["bio"].spike_trains("cell")]
        trains = recordings["circuit"].spike_trains("chip")
        chips = [TIME_SCALE * train.magnitude for train in trains]
        pairs = list(zip(cells, chips, strict=True))
        membranes = zip(*self.membranes(recordings), strict=True)
        table = pd.DataFrame(
            {
                "gain": self.gain,
                "vdd_V": np.asarray(self.vdd / volt),
                "bio_spikes": [len(cell) for cell in cells],
                "circuit_spikes": [len(chip) for chip in chips],
                "coincidence_factor": [coincidence_factor(*p, window, duration) for p in pairs],
                "van_rossum_distance": [van_rossum(*p, tau, duration) for p in pairs],
                "victor_purpura_distance": [victor_purpura(*p, tau, duration) for p in pairs],
                "rmse_of_swing": [rmse(a, b, (a < 1) & (b < 1)) for a, b in membranes],
            }
        )
        return {"table": table}

    @cached_property
    def vdd(self) -> Quantity:
        """Supply of each circuit neuron, shape (n,)."""
        return vdd_of(self.circuit, self.gain)

    def membranes(self, recordings: Recordings) -> list[np.ndarray]:
        """Shares of the way from rest to threshold, cells' and circuits', (neurons, steps)."""
        sides = (("bio", "cell", self.bio), ("circuit", "chip", self.circuit))
        shares = []
        for side, name, model in sides:
            v = recordings[side].signals[name]["v"].values
            shares.append(np.asarray((v - model.v_rest) / (model.v_th - model.v_rest)))
        return shares
