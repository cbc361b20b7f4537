"""The same input into biological and circuit neurons, at gains and supplies that match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, second, usecond, volt

from neuromod.analysis.spike_trains import coincidence_factor, rmse, van_rossum, victor_purpura
from neuromod.chip.conversion import TIME_SCALE, vdd_of
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.coba_lif import CobaLIF
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.bio_vs_circuit import page
from neuromod.protocols.families.chips import TwinProtocol
from neuromod.protocols.families.timing import time

TRAINED = "trained_gain"


@dataclass(frozen=True, eq=False)
class BioVsCircuit(TwinProtocol):
    """Biological against circuit neuron: the same gain, once as a gain, once as a supply voltage.

    How alike are cell and chip at the same gain?

    The same input spikes drive biological neurons of different gains and circuit neurons whose
    supply voltages give the same gains. The chip runs a thousand times faster, so its times are
    stretched by 1000 for the comparison. Where the cell has a fixed rest and threshold, potentials
    are compared as shares of the way between them. The circuit is a leaky integrate-and-fire
    neuron. Of such a cell one difference remains: it fires as soon as it crosses its threshold,
    while the circuit's clocked comparator decides when the last input pulse has ended. Of any other
    cell the comparison tells how well the circuit stands in for it. A cell that has no gain gets
    its input multiplied by it.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "gain": np.linspace(0.3, 1.7, 5),
        "duration": 31 * usecond,
    }

    gain: np.ndarray = positive(
        np.linspace(0.25, 1.85, 33),
        "gains, one neuron of either kind for each",
        "calibrated here: what supplies of 0.5 to 1 V reach",
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
        if self.bio.receptors:
            raise UserError(
                "Receptors of bio would have no effect here: gain sets the gain of each cell, for "
                "a neuron with bio.receptors=none."
            )
        self.check_reach(self.gain, "Change gain.")

    def experiments(self) -> dict[str, Experiment]:
        """Two networks, one neuron per gain in each."""
        size = len(self.gain)
        has_gain = TRAINED in self.bio.inputs
        cells = Population("cell", self.bio, size, {TRAINED: self.gain} if has_gain else {})
        chips = Population("chip", self.circuit, size, {"vdd": self.vdd})
        every = np.arange(size)
        traces = [Trace("chip", "v", every)]
        if self.shares_swing:
            traces.append(Trace("cell", "v", every))
        return self.twins(cells, chips, traces, self.duration, 1.0 if has_gain else self.gain)

    def measure(self, recordings: Recordings) -> Tables:
        """One row per gain: spikes on both sides and how alike they and the traces are."""
        duration = float(TIME_SCALE * self.duration / second)
        window, tau = float(self.window / second), float(self.tau_distance / second)
        cells = [train.magnitude for train in recordings["bio"].spike_trains("cell")]
        trains = recordings["circuit"].spike_trains("chip")
        chips = [TIME_SCALE * train.magnitude for train in trains]
        pairs = list(zip(cells, chips, strict=True))
        table = pd.DataFrame(
            {
                "gain": self.gain,
                "vdd_V": np.asarray(self.vdd / volt),
                "bio_spikes": [len(cell) for cell in cells],
                "circuit_spikes": [len(chip) for chip in chips],
                "coincidence_factor": [coincidence_factor(*p, window, duration) for p in pairs],
                "van_rossum_distance": [van_rossum(*p, tau, duration) for p in pairs],
                "victor_purpura_distance": [victor_purpura(*p, tau, duration) for p in pairs],
            }
        )
        if self.shares_swing:
            membranes = zip(*self.membranes(recordings), strict=True)
            table["rmse_of_swing"] = [rmse(a, b, (a < 1) & (b < 1)) for a, b in membranes]
        return {"table": table} | self.scale_table()

    @cached_property
    def vdd(self) -> Quantity:
        """Supply of each circuit neuron, shape (n,)."""
        return vdd_of(self.circuit, self.gain)

    @property
    def shares_swing(self) -> bool:
        """Whether cells have a fixed rest and threshold, as circuits do."""
        return isinstance(self.bio, GainLIF | CobaLIF)

    def membranes(self, recordings: Recordings) -> list[np.ndarray]:
        """Shares of the way from rest to threshold, cells' and circuits', (neurons, steps)."""
        cell: Any = self.bio
        rest = cell.E_L if isinstance(cell, CobaLIF) else cell.v_rest
        sides = ("bio", "cell", rest, cell.v_th), ("circuit", "chip", *self._rails)
        shares = []
        for side, name, low, high in sides:
            v = recordings[side].signals[name]["v"].values
            shares.append(np.asarray((v - low) / (high - low)))
        if getattr(cell, "site", "input") == "threshold":
            # It is the threshold that the gain divides.
            shares[0] *= self.gain[:, np.newaxis]
        return shares

    @property
    def _rails(self) -> tuple[Quantity, Quantity]:
        """Rest and threshold of the circuit."""
        return self.circuit.v_rest, self.circuit.v_th
