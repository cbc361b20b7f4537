"""A modulator washed into a bath and out again: how fast the gain follows, and its hysteresis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, nA, second, umolar

from neuromod.analysis.spike_trains import steady_rates
from neuromod.analysis.time_course import integrated_gain, time_constant
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.modulators import exchanged, wash
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (SKY, BLUE, GREEN, ORANGE, RED, PURPLE, BLACK)
# In which a change of 1 has come to 0.007.
SETTLED = 5


@dataclass(frozen=True, eq=False)
class Wash(Protocol):
    """Washing a modulator in and out: time constants and hysteresis of the gain.

    The content of a chamber is exchanged exponentially, and the gain of the cells in it follows.
    Two limits are known. Where exchange is slow against binding and messenger, the gain at every
    moment is the steady one of the momentary concentration. Where it is fast, the concentration
    is a step: occupancy rises with k_on*c + k_off and falls with k_off, and the messenger follows
    it. In between the gain lags, and lies lower on the way in than at the same concentration on
    the way out.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "time_constants")

    neuron: GainLIF = parameter(GainLIF(), "the neuron", source="see its own")
    conc: Quantity = parameter(
        [0.3, 1, 10] * umolar,
        "concentrations of what the first receptor binds that are washed in",
        source="chosen here: below, at and above K_D",
        low=0 * umolar,
        low_excluded=True,
    )
    tau_exchange: Quantity = parameter(
        [0.03, 0.3, 1, 3, 8] * second,
        "time constants of exchange: volume of the chamber over flow",
        source="chosen here: from fast application to a chamber of 1 ml at 7.5 ml/min",
        low=0 * second,
        low_excluded=True,
    )
    I: Quantity = parameter(  # noqa: E741
        0.7 * nA, "injected current", source="chosen here: somewhat above rheobase"
    )
    onset: Quantity = parameter(
        1 * second,
        "start of the wash-in",
        source="chosen here: many intervals between spikes",
        low=0 * second,
        low_excluded=True,
    )
    offset: Quantity = parameter(
        41 * second,
        "start of the wash-out",
        source="chosen here: after five time constants of the slowest exchange",
        low=0 * second,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        90 * second,
        "length of the run",
        source="chosen here: as long again, and the messenger's delay",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        1 * ms,
        "time step",
        source="chosen here: a thirtieth of the fastest exchange; intervals between spikes are "
        "multiples of it",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("conc", "tau_exchange"):
            values = getattr(self, name)
            if np.any(np.diff(values) <= 0 * values[0]):
                raise UserError(f"{name} must be values in ascending order, not {values}.")
        for name in ("onset", "offset", "duration"):
            steps_in(name, getattr(self, name), self.dt)
        refuse_changed("neuron", self.neuron, ["I_ext"], "set I")
        refuse_changed("neuron", self.neuron, ["conc"], "set conc")
        refuse_changed("neuron", self.neuron, ["tau_clear"], "set tau_exchange")
        refuse_changed("neuron", self.neuron, ["delivery"], "the bath is exchanged")
        refuse_changed("neuron", self.neuron, ["modulated"], "receptors are what is measured")
        self._check_phases()
        if np.ptp(self._steady_gain(np.array([0, *self.conc / umolar]))) == 0:
            raise UserError(
                f"{self._receptor.ligand} does not change the gain of this neuron: set a gain_max "
                "other than 1."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per concentration and exchange."""
        conc, tau = self._grid()
        neuron = replace(self.neuron, delivery="exchange")
        population = Population("neurons", neuron, len(conc))
        ligand = self._receptor.ligand
        delivery = wash(ligand, population, conc, self.onset, self.offset, tau, self.dt)
        values = {**delivery.values, "I_ext": self.I}
        names = (f"conc_{ligand}", f"occupancy_{self._receptor.name}", "gain")
        return {
            "wash": Experiment(
                populations=(replace(population, values=values),),
                sources=delivery.sources,
                connections=delivery.connections,
                traces=(Trace("neurons", names, np.arange(len(conc))),),
                duration=self.duration,
                dt=self.dt,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Gains, rates and hysteresis of every wash, and its time constants beside the limits."""
        recording = recordings["wash"]
        conc, tau = self._grid()
        reference = self._integrated(recording.times, tau)
        bathed = self._rates(recording.spikes["neurons"], (self.onset + self.offset) / 2,
                             self.offset)  # fmt: skip
        rows, constants = [], []
        for cell in range(len(conc)):
            level, _, gain = self._signals(recording, cell)
            condition = {
                "conc_uM": float(conc[cell] / umolar),
                "tau_exchange_s": float(tau[cell] / second),
            }
            rows.append(
                condition
                | {
                    "gain_washed_in": gain[self._phases[0]][-1],
                    "steady_gain": float(self._steady_gain(condition["conc_uM"])),
                    "gain_washed_out": gain[-1],
                    "rate_washed_in_Hz": bathed[cell],
                    "hysteresis": self._hysteresis(level, gain),
                    "gain_deviation": np.abs(gain - reference[cell]).max(),
                }
            )
            constants.append(condition | self._time_constants(recording, cell))
        return {"table": pd.DataFrame(rows), "time_constants": pd.DataFrame(constants)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Time courses and loops at the highest concentration, and time constants of all."""
        figure, axes = panels([["course", "course", "loop"], ["on", "off", "occupancy"]],
                              width=11, height=7)  # fmt: skip
        recording = recordings["wash"]
        conc, tau = self._grid()
        times = np.asarray((recording.times - self.onset) / second)
        every = slice(None, None, max(1, len(times) // 3000))
        highest = np.flatnonzero(conc == self.conc[-1])
        for number, cell in enumerate(highest):
            level, _, gain = self._signals(recording, cell)
            color, label = COLORS[number % len(COLORS)], f"{tau[cell] / second:.3g} s"
            axes["course"].plot(times[every], gain[every], color=color, label=label)
            axes["loop"].plot(level[every], gain[every], color=color, lw=1)
        fine = np.linspace(0, float(self.conc[-1] / umolar), 400)
        axes["loop"].plot(fine, self._steady_gain(fine), "--", color=BLACK)
        ligand = f"{self._receptor.ligand} (µM)"
        axes["course"].set(xlabel="time since the wash-in (s)", ylabel="gain",
                           title=f"a  {self.conc[-1] / umolar:.3g} µM in and out")  # fmt: skip
        axes["course"].legend(title="exchange")
        axes["loop"].set(xlabel=f"momentary {ligand}", ylabel="gain",
                         title="b  Hysteresis; dashed: steady")  # fmt: skip
        table = tables["time_constants"]
        self._plot_constants(axes["on"], table, "tau_on", "c  Gain, washing in")
        self._plot_constants(axes["off"], table, "tau_off", "d  Gain, washing out")
        self._plot_occupancy(axes["occupancy"], table)
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Hysteresis and time constants in words."""
        table, constants = tables["table"], tables["time_constants"]
        fastest = constants[constants.tau_exchange_s == constants.tau_exchange_s.min()]
        slowest = constants[constants.tau_exchange_s == constants.tau_exchange_s.max()]
        step = (fastest.tau_on_s / fastest.tau_on_step_s - 1).abs().max()
        quasi = (slowest.tau_on_s / slowest.tau_on_quasi_static_s - 1).abs().max()
        return [
            Section(
                "Gain and hysteresis",
                "Hysteresis is the largest difference between the gain on the way out and on the "
                "way in at one momentary concentration. It vanishes when exchange is slow against "
                "binding and messenger, and then the steady dose-response curve is run through in "
                "both directions. Gains are off an independent integration of the cascade by at "
                f"most {table.gain_deviation.max():.1g}.",
                "table",
            ),
            Section(
                "Time constants",
                "Exponentials fitted to the part from 10 to 90 % of each change. The same fit to "
                "the two limits stands beside: the steady gain of the momentary concentration, "
                "and the gain after a step. Washing in, the slowest exchange is within "
                f"{100 * quasi:.2g} % of the first, the fastest within {100 * step:.2g} % of the "
                "second. Occupancy follows a step with 1/(k_on*c + k_off) and comes off with "
                "1/k_off at any concentration; the gain comes off later from higher ones, because "
                "it is saturated until much has unbound.",
                "time_constants",
            ),
        ]

    @property
    def _receptor(self) -> Receptor:
        return self.neuron.receptors[0]

    @property
    def _phases(self) -> tuple[slice, slice]:
        """Samples of the wash-in, to the start of the wash-out, and of that."""
        start, turn = (steps_in(name, getattr(self, name), self.dt) for name in ("onset", "offset"))
        return slice(start, turn + 1), slice(turn, None)

    def _check_phases(self) -> None:
        """Time constants are those of changes that come to their end."""
        slowest = max(self.tau_exchange[-1], 1 / self._receptor.k_off, self._receptor.tau_messenger)
        needed = SETTLED * slowest
        for what, span in (
            ("The wash-in", self.offset - self.onset),
            ("The wash-out", self.duration - self.offset),
        ):
            if span < needed:
                raise UserError(
                    f"{what} lasts {span}: at least {needed} were expected, {SETTLED} times the "
                    "slowest of exchange, unbinding and messenger."
                )

    def _grid(self) -> tuple[Quantity, Quantity]:
        """Concentration and exchange of every neuron."""
        conc, tau = np.meshgrid(
            np.asarray(self.conc / umolar), np.asarray(self.tau_exchange / second), indexing="ij"
        )
        return conc.ravel() * umolar, tau.ravel() * second

    def _steady_gain(self, conc: Any) -> np.ndarray:
        """Steady gain at concentrations in uM."""
        return self.neuron.steady_gain({self._receptor.ligand: conc * umolar})

    def _level(self, times: Quantity, tau: Quantity) -> np.ndarray:
        """Share of the supply's concentration in the chamber, in closed form."""
        supplied = exchanged(times, 1 * umolar, [self.onset], self.offset - self.onset, tau)
        return np.asarray(supplied / umolar)

    def _integrated(self, times: Quantity, tau: Quantity) -> np.ndarray:
        """Gain of every neuron by independent integration."""
        supply = np.asarray(self._grid()[0])

        def level(time: float) -> np.ndarray:
            return np.asarray(supply * self._level(np.full(len(tau), time) * second, tau))

        kinks = [float(self.onset / second), float(self.offset / second)]
        return integrated_gain(self.neuron, level, times, kinks)

    def _signals(self, recording: Recording, cell: int) -> tuple[np.ndarray, ...]:
        """Concentration in uM, occupancy and gain of a neuron."""
        conc = recording.trace("neurons", f"conc_{self._receptor.ligand}", cell)
        occupancy = recording.trace("neurons", f"occupancy_{self._receptor.name}", cell)
        return (np.asarray(conc / umolar), np.asarray(occupancy),
                np.asarray(recording.trace("neurons", "gain", cell)))  # fmt: skip

    def _time_constants(self, recording: Recording, cell: int) -> dict[str, float]:
        """Fitted time constants of a neuron's gain and occupancy, and of the limits."""
        conc, tau = (values[cell] for values in self._grid())
        _, occupancy, gain = self._signals(recording, cell)
        level = float(conc / umolar) * self._level(recording.times, tau)
        courses = {
            "": gain,
            "_quasi_static": self._steady_gain(level),
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
        k_on, k_off = self._receptor.k_on, self._receptor.k_off
        return found | {
            "binding_s": float(1 / (k_on * conc + k_off) / second),
            "unbinding_s": float(1 / k_off / second),
        }

    def _stepped(self, times: Quantity, conc: Quantity) -> np.ndarray:
        """Gain under a step of concentration in and out."""
        on, off = float(self.onset / second), float(self.offset / second)
        gain = integrated_gain(
            self.neuron,
            lambda time: np.array([float(conc) * (on <= time < off)]),
            times,
            [on, off],
        )
        return np.asarray(gain[0])

    def _rates(self, spikes: Spikes, start: Quantity, end: Quantity) -> np.ndarray:
        """Rates in Hz over a part of the run."""
        here = np.asarray((spikes.times >= start) & (spikes.times < end))
        part = Spikes(spikes.name, spikes.size, spikes.neurons[here], spikes.times[here])
        return np.asarray(steady_rates(part) / Hz)

    def _hysteresis(self, level: np.ndarray, gain: np.ndarray) -> float:
        """Largest difference of the gain, out less in, at equal concentrations."""
        into, out = self._phases
        at = np.linspace(level[out].min(), level[into].max(), 2000)
        up = np.interp(at, level[into], gain[into])
        down = np.interp(at, level[out][::-1], gain[out][::-1])
        return float((down - up)[np.argmax(np.abs(down - up))])

    def _plot_constants(self, axes: Any, table: pd.DataFrame, name: str, title: str) -> None:
        for number, (conc, rows) in enumerate(table.groupby("conc_uM")):
            color = COLORS[(number + 1) % len(COLORS)]
            axes.plot(rows.tau_exchange_s, rows[f"{name}_quasi_static_s"], "--", color=color, lw=1)
            axes.plot(rows.tau_exchange_s, rows[f"{name}_step_s"], ":", color=color, lw=1)
            axes.plot(rows.tau_exchange_s, rows[f"{name}_s"], "o", color=color, ms=4.5,
                      label=f"{conc:.3g} µM")  # fmt: skip
        axes.plot([], [], "--", color=BLACK, lw=1, label="slow exchange")
        axes.plot([], [], ":", color=BLACK, lw=1, label="a step")
        axes.set(xscale="log", yscale="log", xlabel="time constant of exchange (s)",
                 ylabel="fitted time constant (s)", title=title)  # fmt: skip
        axes.legend()

    def _plot_occupancy(self, axes: Any, table: pd.DataFrame) -> None:
        """Time constants of occupancy at the fastest exchange, and those of a step."""
        rows = table[table.tau_exchange_s == table.tau_exchange_s.min()]
        fine = np.geomspace(rows.conc_uM.min() / 2, rows.conc_uM.max() * 2, 200)
        k_on, k_off = self._receptor.k_on, self._receptor.k_off
        axes.plot(fine, 1 / (k_on * fine * umolar + k_off) / second, color=BLUE, lw=1,
                  label="1/(k_on c + k_off)")  # fmt: skip
        axes.axhline(float(1 / k_off / second), color=RED, lw=1, label="1/k_off")
        axes.plot(rows.conc_uM, rows.occupancy_tau_on_s, "o", color=BLUE, ms=4.5, label="binding")
        axes.plot(rows.conc_uM, rows.occupancy_tau_off_s, "s", color=RED, ms=4.5,
                  label="unbinding")  # fmt: skip
        axes.set(xscale="log", ylim=(0, None), xlabel=f"{self._receptor.ligand} (µM)",
                 ylabel="time constant of occupancy (s)",
                 title=f"e  Occupancy, exchange {self.tau_exchange[0] / second:.3g} s")  # fmt: skip
        axes.legend()
