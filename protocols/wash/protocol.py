"""A modulator washed into a bath and out again: how fast the gain follows, and its hysteresis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, second, umolar

from neuromod.analysis.spike_trains import between, steady_rates
from neuromod.analysis.time_course import time_constant
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.modulators import exchanged, wash
from neuromod.parameters import positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import DeliveryProtocol, check_ascending
from neuromod.protocols.families.measured import (
    TEXTS,
    Compared,
    courses,
    fitted,
    measured_points,
    read,
)
from neuromod.protocols.families.timing import sampling, time, time_step
from neuromod.protocols.wash import page
from neuromod.recording import Recording
from neuromod.support.text import say

# In which a change of 1 has come to 0.007.
SETTLED = 5


@dataclass(frozen=True, eq=False)
class Wash(DeliveryProtocol):
    """Washing a modulator in and out: time constants and hysteresis of the gain.

    How do gain and firing rate follow a bath that is washed in and out?

    The content of a chamber is exchanged exponentially, and the gain of the cells in it follows.
    Where exchange is slow compared with binding and messenger, the gain is the steady one of the
    momentary concentration. Where it is fast, the concentration is a step: occupancy rises with
    k_on*c + k_off and falls with k_off. In between the gain lags, and is lower on the way in than
    at the same concentration on the way out.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "time_constants", "receptor_fit")
    text_columns: ClassVar[tuple[str, ...]] = TEXTS
    small: ClassVar[Mapping[str, Any]] = {
        "conc": [3] * umolar,
        "tau_exchange": [0.03] * second,
        "onset": 0.1 * second,
        "offset": 5.2 * second,
        "duration": 11 * second,
    }

    conc: Quantity = positive(
        [0.3, 1, 10] * umolar,
        "concentrations of the modulator washed in",
        "chosen here: below, at and above K_D",
    )
    tau_exchange: Quantity = time(
        [0.03, 0.3, 1, 3, 8] * second,
        "time constants of exchange: volume of the chamber over flow",
        "from fast application to a chamber of 1 ml at 7.5 ml/min",
    )
    onset: Quantity = time(1 * second, "start of the wash-in", "many intervals between spikes")
    offset: Quantity = time(41 * second, "start of the wash-out", "five times the slowest exchange")
    duration: Quantity = time(
        90 * second, "length of the run", "as long again, and the messenger's delay"
    )
    dt: Quantity = time_step(
        1 * ms, "a thirtieth of the fastest exchange; intervals between spikes are multiples of it"
    )

    data: str = measured_points(
        "washes: columns time_s from the start of the wash-in, gain or another "
        "response, conc_uM, tau_exchange_s"
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc=1, tau_exchange=1)
        for name in ("onset", "offset", "duration"):
            steps_in(name, getattr(self, name), self.dt)
        # Time constants are those of changes that come to their end.
        slowest = max(self.tau_exchange[-1], 1 / self.receptor.k_off, self.receptor.tau_messenger)
        needed = SETTLED * slowest
        into, out = self.offset - self.onset, self.duration - self.offset
        for what, lasts in (("The wash-in", into), ("The wash-out", out)):
            if lasts < needed:
                raise UserError(
                    f"{what} lasts {say(lasts)}: it needs at least {say(needed)}, {SETTLED} "
                    "times the slowest of exchange, unbinding and messenger."
                )
        self.check_effect(self.conc)

    def grid(self) -> tuple[Quantity, Quantity]:
        """Concentration and exchange of every neuron."""
        conc, tau = np.meshgrid(self.conc / umolar, self.tau_exchange / second, indexing="ij")
        return conc.ravel() * umolar, tau.ravel() * second

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per concentration and exchange."""
        # A file is refused before anything runs.
        _ = self.compared
        conc, tau = self.grid()
        cells = Population("neurons", self.neuron, len(conc), {self.neuron.current: self.I})
        washed = wash(self.ligand, cells, conc, self.onset, self.offset, tau, self.dt)
        occupancy = f"occupancy_{self.receptor.name}"
        return {"wash": self.delivery(cells, washed, self.duration, occupancy)}

    def measure(self, recordings: Recordings) -> Tables:
        """Gains, rates and hysteresis of every wash, and its time constants beside the limits."""
        recording = recordings["wash"]
        conc, tau = self.grid()
        level, gain = self.signals(recording)
        into, _ = self._phases(self.every)
        late = (into.start + into.stop - 1) // 2 * self.every
        late_spikes = between(recording.spikes["neurons"], late, self.offset, self.dt)
        washes = {"conc_uM": np.asarray(conc / umolar), "tau_exchange_s": np.asarray(tau / second)}
        table = pd.DataFrame(
            washes
            | {
                "gain_washed_in": gain[:, into.stop - 1],
                "steady_gain": self.steady_effect(washes["conc_uM"]),
                "gain_washed_out": gain[:, -1],
                "rate_washed_in_Hz": np.asarray(steady_rates(late_spikes) / Hz),
                "hysteresis": [self._hysteresis(*loop) for loop in zip(level, gain, strict=True)],
                "gain_deviation": np.abs(gain - self._integrated(recording.times)).max(axis=1),
            }
        )
        found = [self._time_constants(recording, cell) for cell in range(len(conc))]
        constants = pd.concat([table[[*washes]], pd.DataFrame(found)], axis=1)
        k_on, k_off = self.receptor.k_on, self.receptor.k_off
        constants["binding_s"] = np.asarray(1 / (k_on * conc + k_off) / second)
        constants["unbinding_s"] = float(1 / k_off / second)
        told = self.told({"table": table, "time_constants": constants})
        return told | self.compared.told()

    @cached_property
    def compared(self) -> Compared:
        """What was measured, and the receptor fitted to it."""
        if not self.data:
            return Compared()
        points = read(self.data)
        width = self.offset - self.onset
        sets = courses(self.data, points, self.conc, width, self.tau_exchange)
        return fitted(self.data, points, sets, self.receptor)

    @property
    def every(self) -> Quantity:
        """A third of the fastest exchange, of which an exponential's 10 to 90 % is 2.2."""
        return sampling(self.tau_exchange[0] / 3, self.dt, self.onset, self.offset)

    def _phases(self, every: Quantity) -> tuple[slice, slice]:
        """Samples of the wash-in, up to the start of the wash-out, and of the wash-out."""
        start, turn = (steps_in(n, getattr(self, n), every) for n in ("onset", "offset"))
        return slice(start, turn + 1), slice(turn, None)

    def _share(self, times: Quantity, tau: Quantity) -> np.ndarray:
        """Share of the supply's concentration in the chamber, in closed form."""
        supplied = exchanged(times, 1 * umolar, [self.onset], self.offset - self.onset, tau)
        return np.asarray(supplied / umolar)

    def _integrated(self, times: Quantity) -> np.ndarray:
        """Gain of every neuron by independent integration."""
        conc, tau = self.grid()
        supply = np.asarray(conc)

        def level(time: float) -> np.ndarray:
            return np.asarray(supply * self._share(np.full(len(tau), time) * second, tau))

        kinks = [self.onset / second, self.offset / second]
        return self.integrated(level, times, kinks)

    def _time_constants(self, recording: Recording, cell: int) -> dict[str, float]:
        """Fitted time constants of a neuron's gain and occupancy, and of the limits."""
        conc, tau = (values[cell] for values in self.grid())
        on, off = float(self.onset / second), float(self.offset / second)
        times = np.asarray(recording.times / second)

        def step(time: float) -> np.ndarray:
            return np.array([float(conc) * (on <= time < off)])

        # Under a fast exchange the quasi-static gain is there within a few samples.
        fine = np.arange(steps_in("duration", self.duration, self.dt)) * self.dt
        momentary = self.steady_effect(conc / umolar * self._share(fine, tau))
        sampled, every_step = (times, self.every), (np.asarray(fine / second), self.dt)
        gain = self.signals(recording)[1][cell]
        occupancy = recording.trace("neurons", f"occupancy_{self.receptor.name}", cell)
        stepped = self.integrated(step, recording.times, [on, off])[0]
        courses = {
            "tau_{}_s": (gain, *sampled),
            "tau_{}_quasi_static_s": (momentary, *every_step),
            "tau_{}_step_s": (stepped, *sampled),
            "occupancy_tau_{}_s": (occupancy, *sampled),
        }
        return {
            name.format(phase): time_constant(at[part], values[part])
            for number, phase in enumerate(("on", "off"))
            for name, (values, at, every) in courses.items()
            for part in [self._phases(every)[number]]
        }

    def _hysteresis(self, level: np.ndarray, gain: np.ndarray) -> float:
        """Largest difference of the gain, out minus in, at equal concentrations."""
        into, out = self._phases(self.every)
        at = np.linspace(level[out].min(), level[into].max(), 2000)
        up = np.interp(at, level[into], gain[into])
        down = np.interp(at, level[out][::-1], gain[out][::-1])
        return float((down - up)[np.argmax(np.abs(down - up))])
