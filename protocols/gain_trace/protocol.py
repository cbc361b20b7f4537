"""A modulator's puff in a cell, and on a chip whose supply follows the gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, khertz, ms, nsecond, second, umolar, volt

from neuromod.analysis.activation_gain import Drive, gain_by_activation
from neuromod.analysis.spike_trains import coincidence_factor
from neuromod.analysis.thresholds import SETTLING, whole_steps
from neuromod.analysis.time_course import integrated_activations, integrated_gain
from neuromod.checks import steps_in
from neuromod.chip.conversion import TIME_SCALE, gain_of, nearest, reachable_gains, vdd_of
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.modulators import exchanged, puffs
from neuromod.inputs.spikes import circuit_inputs
from neuromod.inputs.supplies import schedule
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptive import Receptive
from neuromod.models.receptors import Receptor
from neuromod.parameters import parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import TwinProtocol, input_rate
from neuromod.protocols.families.neurons import NEURONS
from neuromod.protocols.families.timing import time
from neuromod.protocols.gain_trace import page
from neuromod.recording import Recording
from neuromod.support.text import listed, say

REMEDY = "Change conc, or what the receptor does."
# Activations between which a measured gain follows lines; gains on the input of cells without
# modulator, how far they go beyond what a supply reaches, and cells for each; chosen here.
ACTIVATIONS, CONTROLS, BEYOND, TRAINS = 9, 41, 1.2, 8


@dataclass(frozen=True, eq=False)
class GainTrace(TwinProtocol):
    """A puff of modulator: gain over time in a cell, and as a supply voltage over time on a chip.

    Can a supply of few bits follow the gain of a cell under a puff?

    A pipette fills the surroundings of a cell with a modulator, and its receptor's cascade
    changes the gain. On the chip the same gain is a supply voltage that is set anew at every
    update: exactly, or by a converter of few bits. Both get the same input spikes and weights,
    the chip a thousand times faster. How coarse may the supply be? Where the receptor does
    something else than scale the cell's input, as by an M current, the gain is measured: that on
    the input of the cell without modulator under which it fires as fast.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "onset": 10 * ms,
        "width": 31 * ms,
        "duration": 90 * ms,
        "bin": 30 * ms,
        "bits": (2,),
        "update": 2 * ms,
    }

    bio: Receptive = parameter(
        GainLIF(t_ref=0.1 * ms, synapse="pulse", receptors=(Receptor(gain_max=1.8),)),
        "the biological neuron, any that a current drives",
        "see its own; gain_max within what supplies reach",
        named=NEURONS,
        kinds=(Receptive,),
    )
    conc: Quantity = positive(
        10 * umolar, "concentration that an endless puff would reach", "chosen here: ten times K_D"
    )
    onset: Quantity = time(
        0.3 * second, "start of the puff, biological time", "a tenth of the run as a baseline"
    )
    width: Quantity = time(
        0.4 * second, "length of the puff, biological time", "about the cascade's time constants"
    )
    tau_clear: Quantity = time(
        0.2 * second,
        "time constant in which the modulator comes and goes",
        "shorter than the cascade's",
    )
    bits: tuple[int, ...] = parameter(
        (1, 2, 3, 4, 6),
        "resolutions of the supply over its range, one neuron each",
        "chosen here",
        low=1,
        high=16,
    )
    update: Quantity = time(
        5 * ms,
        "time between settings of the supply, biological time",
        "a hundredth of the cascade's time constant",
    )
    input_rate: Quantity = input_rate(200 * khertz)
    duration: Quantity = time(
        3 * second, "length of the run, biological time", "until the gain is nearly back"
    )
    bin: Quantity = time(
        0.1 * second,
        "width of the bins in which spikes are counted, biological time",
        "some ten spikes and more",
    )
    dt: Quantity = time(20 * nsecond, "time step, chip time", "a fifth of a pulse")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("onset", "width", "update", "duration"):
            steps_in(name, getattr(self, name), TIME_SCALE * self.dt)
        if self.onset + self.width >= self.duration:
            raise UserError(f"The puff must end before duration = {say(self.duration)}.")
        if self.update >= self.duration:
            raise UserError(
                f"update = {say(self.update)} must be shorter than duration = {say(self.duration)}."
            )
        if 2 * self.bin > self.duration:
            raise UserError(
                f"bin = {say(self.bin)} must be at most half of duration = {say(self.duration)}."
            )
        if len(self.bio.ligands) != 1:
            raise UserError(
                "bio needs receptors of one ligand, whose puff changes the gain on its input: not "
                f"{listed(self.bio.ligands) or 'none'}."
            )
        if self.bio.gain_alone:
            self.check_reach(self.gain, REMEDY)
        elif len(self.bio.acting) > 1:
            names = listed([part.name for part in self.bio.acting])
            raise UserError(
                f"The gain of this neuron is measured, by the activation of one receptor, not of "
                f"{names}: leave one, or let them converge on one messenger."
            )

    def experiments(self) -> dict[str, Experiment]:
        """A cell, and circuit neurons that differ in the resolution of their supply."""
        self.check_reach(self.gain, REMEDY)
        cells = Population("cell", self.bio, 1)
        chips = Population("chip", self.circuit, len(self.supplies))
        traces = [
            Trace("cell", (self.traced, f"conc_{self.ligand}"), np.array([0])),
            Trace("chip", ("vdd", "v"), np.arange(chips.size)),
        ]
        both = self.twins(cells, chips, traces, self.duration / TIME_SCALE)
        puff = [self.onset / second] * second, self.width, self.tau_clear
        puffed = puffs(self.ligand, cells, self.conc, *puff, TIME_SCALE * self.dt)
        supply = schedule(chips, self._updates / TIME_SCALE, self.vdd, self.dt)
        return {"circuit": both["circuit"].add(supply), "bio": both["bio"].add(puffed)}

    def measure(self, recordings: Recordings) -> Tables:
        """One row per supply: its error and how alike chip and cell fire; and rates over time."""
        duration, window = float(self.duration / second), float(self.window / second)
        bio, circuit = recordings["bio"], recordings["circuit"]
        cell = bio.spike_trains("cell")[0].magnitude
        wanted = self.gain_in(bio, self.curve)
        off = gain_of(self.circuit, circuit.signals["chip"]["vdd"].values) - wanted
        chips = [TIME_SCALE * train.magnitude for train in circuit.spike_trains("chip")]
        edges = np.arange(0, duration + 1e-9, float(self.bin / second))
        rates = pd.DataFrame({"time_s": edges[:-1]})
        columns = [f"chip_{name.replace(' ', '_')}_Hz" for name in self.supplies]
        for column, times in zip(["cell_Hz", *columns], [cell, *chips], strict=True):
            rates[column] = np.histogram(times, edges)[0] / np.diff(edges)
        # A rate that never changes has no correlation.
        with np.errstate(invalid="ignore"):
            correlation = rates[columns].corrwith(rates.cell_Hz)
        table = pd.DataFrame(
            {
                "supply": list(self.supplies),
                "bits": list(self.supplies.values()),
                "gain_error_rms": np.sqrt(np.mean(off**2, axis=1)),
                "gain_error_max": np.abs(off).max(axis=1),
                "cell_spikes": len(cell),
                "chip_spikes": [len(chip) for chip in chips],
                "coincidence_factor": [
                    coincidence_factor(cell, c, window, duration) for c in chips
                ],
                "rate_correlation": correlation.to_numpy(),
            }
        )
        found = {"table": table, "rates": rates} | self.scale_table()
        return found if self.curve is None else found | {"gain_by_activation": self.curve}

    @property
    def ligand(self) -> str:
        """What the receptors bind."""
        return self.bio.ligands[0]

    @property
    def supplies(self) -> dict[str, float]:
        """Every supply by name, with its bits; NaN where it has none."""
        few = {f"{bits} bit{'s' if bits > 1 else ''}": float(bits) for bits in self.bits}
        return {"exact": np.nan, **few, "constant": np.nan}

    @property
    def traced(self) -> str:
        """Variable of the cell that its gain is, or follows."""
        return "gain" if self.bio.gain_alone else f"activation_{self.bio.acting[0].name}"

    @cached_property
    def gain(self) -> np.ndarray:
        """Gain that the supply is to have at every update."""
        return self.course(self.curve)

    def course(self, curve: pd.DataFrame | None) -> np.ndarray:
        """Gain at every update, along a measured curve where the neuron has no gain."""
        if curve is None:
            return np.asarray(integrated_gain(*self._puffed)[0])
        return _along(curve, self._activation)

    def gain_in(self, recording: Recording, curve: pd.DataFrame | None) -> np.ndarray:
        """Gain of the cell at every time step of its recording."""
        traced = np.asarray(recording.trace("cell", self.traced, 0))
        return traced if curve is None else _along(curve, traced)

    @cached_property
    def curve(self) -> pd.DataFrame | None:
        """Gains measured at activations that the puff passes through; none of a neuron with one."""
        if self.bio.gain_alone:
            return None
        reached = self._activation
        wanted = np.linspace(reached.min(), reached.max(), ACTIVATIONS)
        low, high = reachable_gains(self.circuit)
        # Gains beyond reach are told from those that are not there at all.
        gains = np.union1d(np.linspace(low / BEYOND, high * BEYOND, CONTROLS), 1.0)
        return gain_by_activation(self.bio, wanted, self.conc, self._drive, gains)

    @property
    def _drive(self) -> Drive:
        """Input as that of the run, in several trains."""
        whole = whole_steps(SETTLING + self.duration, TIME_SCALE * self.dt)
        size = TRAINS * len(self.codes)
        chip = self.input_rate, whole / TIME_SCALE, self.dt, self.seed
        drawn = circuit_inputs(self.circuit, size, *chip)
        inputs = replace(drawn, times=TIME_SCALE * drawn.times)
        weights = np.asarray(self.codes) * self.unit
        return Drive(inputs, weights, self.entrance, whole, TIME_SCALE * self.dt)

    @cached_property
    def _activation(self) -> np.ndarray:
        """Activation of what acts on the cell, at every update."""
        return np.asarray(integrated_activations(*self._puffed)[self.bio.acting[0].name][0])

    @property
    def _puffed(self) -> tuple[Any, ...]:
        """The cell, the concentration around it, when to know its effect, and kinks."""

        def conc(time: float) -> Any:
            at = [time] * second
            return np.asarray(exchanged(at, self.conc, [self.onset], self.width, self.tau_clear))

        kinks = float(self.onset / second), float((self.onset + self.width) / second)
        return self.bio, conc, self._updates, kinks

    @property
    def _updates(self) -> Quantity:
        """When the supply is set, biological time."""
        count = int(np.ceil(float(self.duration / self.update) - 1e-9))
        return np.arange(count) * self.update

    @cached_property
    def vdd(self) -> Quantity:
        """Every supply at every update, shape (updates, supplies)."""
        exact = np.asarray(vdd_of(self.circuit, self.gain) / volt)
        low, high = float(self.circuit.vdd_low), float(self.circuit.vdd_high)
        span = high - low
        columns = [exact]
        for bits in dict.fromkeys(self.bits):
            top = 2**bits - 1
            columns.append(low + nearest((exact - low) / span * top) / top * span)
        columns.append(np.full(len(exact), exact[0]))
        return np.column_stack(columns) * volt


def _along(curve: pd.DataFrame, activation: np.ndarray) -> np.ndarray:
    """Gains at activations, along the lines between those that were measured."""
    known = curve.sort_values("activation")
    return np.asarray(np.interp(activation, known.activation, known.gain))
