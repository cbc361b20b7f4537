"""A modulator washed into a bath and out again: how fast the gain follows, and its hysteresis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, nA, second, umolar

from neuromod.analysis.spike_trains import between, steady_rates
from neuromod.analysis.time_course import integrated_gain, time_constant
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.modulators import exchanged, wash
from neuromod.models.receptors import Receptor
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import CellProtocol, check_ascending, concentrations, current
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.wash import page
from neuromod.recording import Recording
from neuromod.support.text import say

# In which a change of 1 has come to 0.007.
SETTLED = 5


@dataclass(frozen=True, eq=False)
class Wash(CellProtocol):
    """Washing a modulator in and out: time constants and hysteresis of the gain.

    The content of a chamber is exchanged exponentially, and the gain of the cells in it follows.
    Two limits are known. Where exchange is slow compared with binding and messenger, the gain is
    at every moment the steady one of the momentary concentration. Where it is fast, the
    concentration is a step: occupancy rises with k_on*c + k_off and falls with k_off, and the
    messenger follows. In between the gain lags, and is lower on the way in than at the same
    concentration on the way out.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "time_constants")

    conc: Quantity = concentrations(
        [0.3, 1, 10] * umolar,
        "concentrations of what the first receptor binds that are washed in",
        "below, at and above K_D",
        none=False,
    )
    tau_exchange: Quantity = time(
        [0.03, 0.3, 1, 3, 8] * second,
        "time constants of exchange: volume of the chamber over flow",
        "from fast application to a chamber of 1 ml at 7.5 ml/min",
    )
    I: Quantity = current(0.7 * nA, "somewhat above rheobase")  # noqa: E741
    onset: Quantity = time(1 * second, "start of the wash-in", "many intervals between spikes")
    offset: Quantity = time(
        41 * second, "start of the wash-out", "after five time constants of the slowest exchange"
    )
    duration: Quantity = time(
        90 * second, "length of the run", "as long again, and the messenger's delay"
    )
    dt: Quantity = time_step(
        1 * ms, "a thirtieth of the fastest exchange; intervals between spikes are multiples of it"
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc=1, tau_exchange=1)
        for name in ("onset", "offset", "duration"):
            steps_in(name, getattr(self, name), self.dt)
        self._check_phases()
        self.check_effect(self.conc)

    @property
    def receptor(self) -> Receptor:
        """The receptor whose occupancy is measured."""
        return self.neuron.receptors[0]

    def grid(self) -> tuple[Quantity, Quantity]:
        """Concentration and exchange of every neuron."""
        conc, tau = np.meshgrid(self.conc / umolar, self.tau_exchange / second, indexing="ij")
        return conc.ravel() * umolar, tau.ravel() * second

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per concentration and exchange."""
        conc, tau = self.grid()
        cells = Population("neurons", self.neuron, len(conc), {"I_ext": self.I})
        washed = wash(self.ligand, cells, conc, self.onset, self.offset, tau, self.dt)
        names = (f"conc_{self.ligand}", f"occupancy_{self.receptor.name}", "gain")
        experiment = Experiment(
            populations=[cells],
            traces=[Trace("neurons", names, np.arange(len(conc)))],
            duration=self.duration,
            dt=self.dt,
            seed=self.seed,
        )
        return {"wash": experiment.add(washed)}

    def measure(self, recordings: Recordings) -> Tables:
        """Gains, rates and hysteresis of every wash, and its time constants beside the limits."""
        recording = recordings["wash"]
        conc, tau = self.grid()
        reference = self._integrated(recording.times, tau)
        late = (steps_in("onset", self.onset, self.dt) + steps_in("off", self.offset, self.dt)) // 2
        late_spikes = between(recording.spikes["neurons"], late * self.dt, self.offset, self.dt)
        bathed = np.asarray(steady_rates(late_spikes) / Hz)
        rows, constants = [], []
        for cell in range(len(conc)):
            level, _, gain = self.signals(recording, cell)
            condition = {
                "conc_uM": float(conc[cell] / umolar),
                "tau_exchange_s": float(tau[cell] / second),
            }
            rows.append(
                condition
                | {
                    "gain_washed_in": gain[self._phases[0]][-1],
                    "steady_gain": float(self.steady_gain(condition["conc_uM"])),
                    "gain_washed_out": gain[-1],
                    "rate_washed_in_Hz": bathed[cell],
                    "hysteresis": self._hysteresis(level, gain),
                    "gain_deviation": np.abs(gain - reference[cell]).max(),
                }
            )
            constants.append(condition | self._time_constants(recording, cell))
        return {"table": pd.DataFrame(rows), "time_constants": pd.DataFrame(constants)}

    def signals(self, recording: Recording, cell: int) -> tuple[np.ndarray, ...]:
        """Concentration in uM, occupancy and gain of a neuron."""
        conc = recording.trace("neurons", f"conc_{self.ligand}", cell)
        occupancy = recording.trace("neurons", f"occupancy_{self.receptor.name}", cell)
        gain = recording.trace("neurons", "gain", cell)
        return np.asarray(conc / umolar), np.asarray(occupancy), np.asarray(gain)

    @property
    def _phases(self) -> tuple[slice, slice]:
        """Samples of the wash-in, up to the start of the wash-out, and of the wash-out."""
        start, turn = (steps_in(name, getattr(self, name), self.dt) for name in ("onset", "offset"))
        return slice(start, turn + 1), slice(turn, None)

    def _check_phases(self) -> None:
        """Time constants are those of changes that come to their end."""
        slowest = max(self.tau_exchange[-1], 1 / self.receptor.k_off, self.receptor.tau_messenger)
        needed = SETTLED * slowest
        for what, lasts in (
            ("The wash-in", self.offset - self.onset),
            ("The wash-out", self.duration - self.offset),
        ):
            if lasts < needed:
                raise UserError(
                    f"{what} lasts {say(lasts)}: it needs at least {say(needed)}, {SETTLED} "
                    "times the slowest of exchange, unbinding and messenger."
                )

    def _level(self, times: Quantity, tau: Quantity) -> np.ndarray:
        """Share of the supply's concentration in the chamber, in closed form."""
        supplied = exchanged(times, 1 * umolar, [self.onset], self.offset - self.onset, tau)
        return np.asarray(supplied / umolar)

    def _integrated(self, times: Quantity, tau: Quantity) -> np.ndarray:
        """Gain of every neuron by independent integration."""
        supply = np.asarray(self.grid()[0])

        def level(time: float) -> np.ndarray:
            return np.asarray(supply * self._level(np.full(len(tau), time) * second, tau))

        kinks = [float(self.onset / second), float(self.offset / second)]
        return integrated_gain(self.neuron, level, times, kinks)

    def _time_constants(self, recording: Recording, cell: int) -> dict[str, float]:
        """Fitted time constants of a neuron's gain and occupancy, and of the limits."""
        conc, tau = (values[cell] for values in self.grid())
        _, occupancy, gain = self.signals(recording, cell)
        level = float(conc / umolar) * self._level(recording.times, tau)
        courses = {
            "": gain,
            "_quasi_static": self.steady_gain(level),
            "_step": self._stepped(recording.times, conc),
        }
        seconds = np.asarray(recording.times / second)
        found = {
            f"tau_{phase}{limit}_s": time_constant(seconds[part], course[part])
            for phase, part in zip(("on", "off"), self._phases, strict=True)
            for limit, course in courses.items()
        }
        for phase, part in zip(("on", "off"), self._phases, strict=True):
            found[f"occupancy_tau_{phase}_s"] = time_constant(seconds[part], occupancy[part])
        k_on, k_off = self.receptor.k_on, self.receptor.k_off
        return found | {
            "binding_s": float(1 / (k_on * conc + k_off) / second),
            "unbinding_s": float(1 / k_off / second),
        }

    def _stepped(self, times: Quantity, conc: Quantity) -> np.ndarray:
        """Gain under a step of concentration in and out."""
        on, off = float(self.onset / second), float(self.offset / second)
        gain = integrated_gain(
            self.neuron, lambda time: np.array([float(conc) * (on <= time < off)]), times, [on, off]
        )
        return np.asarray(gain[0])

    def _hysteresis(self, level: np.ndarray, gain: np.ndarray) -> float:
        """Largest difference of the gain, out minus in, at equal concentrations."""
        into, out = self._phases
        at = np.linspace(level[out].min(), level[into].max(), 2000)
        up = np.interp(at, level[into], gain[into])
        down = np.interp(at, level[out][::-1], gain[out][::-1])
        return float((down - up)[np.argmax(np.abs(down - up))])
