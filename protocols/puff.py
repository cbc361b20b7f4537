"""Puffs of a modulator onto cells: time courses of concentration, gain and firing rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, nA, second, umolar

from neuromod.analysis.dose_response import has_closed_form
from neuromod.analysis.time_course import integrated_gain, measure_response, momentary_rates
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.modulators import exchanged, puffs
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (SKY, BLUE, GREEN, ORANGE, RED, PURPLE, BLACK)


@dataclass(frozen=True, eq=False)
class Puff(Protocol):
    """Single puffs and trains of puffs of a modulator: how a cell's gain and rate answer in time.

    A pipette fills the surroundings of a cell for a moment with a modulator, which is then
    cleared. Binding and messenger make the gain follow late, for long, and less than in
    proportion. Every concentration is puffed once with every width, and in trains with the first
    width at every interval; cells fire to a constant current all the time. Concentrations are
    laid beside the closed form of clearance, and gains beside an independent integration.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "summation")

    neuron: GainLIF = parameter(GainLIF(), "the neuron", source="see its own")
    conc: Quantity = parameter(
        [1, 3, 10, 30] * umolar,
        "concentrations of what the first receptor binds that an endless puff would reach",
        source="chosen here: from K_D on, for puffs are short",
        low=0 * umolar,
        low_excluded=True,
    )
    width: Quantity = parameter(
        [100, 300, 1000] * ms,
        "lengths of single puffs; the first is that of the trains' puffs",
        source="chosen here: as pressure is applied to pipettes",
        low=0 * second,
        low_excluded=True,
    )
    interval: Quantity = parameter(
        [0.3, 1, 3] * second,
        "from one puff of a train to the next",
        source="chosen here: shorter and longer than the cascade's time constants",
        low=0 * second,
        low_excluded=True,
    )
    puffs: int = parameter(6, "puffs of a train", source="chosen here", low=2)
    tau_clear: Quantity = parameter(
        200 * ms,
        "time constant in which the modulator comes and goes",
        source="chosen here: shorter than the cascade's",
        low=0 * second,
        low_excluded=True,
    )
    I: Quantity = parameter(  # noqa: E741
        0.7 * nA, "injected current", source="chosen here: somewhat above rheobase"
    )
    onset: Quantity = parameter(
        0.5 * second,
        "start of the first puff",
        source="chosen here: several intervals between spikes of control",
        low=0 * second,
        low_excluded=True,
    )
    after: Quantity = parameter(
        6 * second,
        "time recorded from the end of the last puff on",
        source="chosen here: several time constants of the cascade",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        0.2 * ms,
        "time step",
        source="chosen here: a hundredth of the intervals between spikes",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("conc", "width", "interval"):
            values = getattr(self, name)
            if np.any(np.diff(values) <= 0 * values[0]):
                raise UserError(f"{name} must be values in ascending order, not {values}.")
        for name in ("width", "interval", "onset", "after"):
            for time in np.atleast_1d(getattr(self, name)):
                steps_in(name, time, self.dt)
        if self.interval[0] <= self.width[0]:
            raise UserError(
                f"Puffs of {self.width[0]} every {self.interval[0]} overlap: an interval longer "
                "than the first width was expected."
            )
        if self.after + self.width[0] < self.interval[-1]:
            raise UserError(
                f"after = {self.after} must last until the next puff of a train would come, "
                f"{self.interval[-1]} after the last."
            )
        refuse_changed("neuron", self.neuron, ["I_ext"], "set I")
        refuse_changed("neuron", self.neuron, ["conc", "tau_clear"], "set conc and tau_clear")
        refuse_changed("neuron", self.neuron, ["delivery"], "puffs are exchanged")
        refuse_changed("neuron", self.neuron, ["modulated"], "receptors are what is measured")
        if np.ptp(self.neuron.steady_gain({self._ligand: [0, *self.conc / umolar] * umolar})) == 0:
            raise UserError(
                f"{self._ligand} does not change the gain of this neuron: set a gain_max other "
                "than 1."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One network for each width and each interval, one neuron per concentration."""
        return {
            name: self._experiment(onsets, width)
            for name, (onsets, width) in self._patterns().items()
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Responses to single puffs, to every puff of a train, and how trains add up."""
        singles = [
            self._measure_single(recordings[f"single_{k}"], width)
            for k, width in enumerate(self.width)
        ]
        trains = [
            self._measure_train(recordings[f"train_{k}"], interval)
            for k, interval in enumerate(self.interval)
        ]
        table = pd.concat(singles, ignore_index=True)
        every = pd.concat(trains, ignore_index=True)
        return {
            "table": table,
            "summation": self._summation(table, every),
            "trains": every,
            "agreement": self._agreement(recordings),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Time courses of single puffs and of trains, and what was measured of them."""
        figure, axes = panels(
            [
                ["single conc", "train conc", "peak"],
                ["single gain", "train gain", "times"],
                ["single rate", "train rate", "summation"],
            ],
            width=12,
            height=8,
        )
        middle = len(self.width) // 2
        for number, conc in enumerate(self.conc):
            self._plot_course(axes, "single", recordings[f"single_{middle}"], number,
                              COLORS[number % len(COLORS)], f"{conc / umolar:.3g} µM")  # fmt: skip
        for number, interval in reversed(list(enumerate(self.interval))):
            color, label = COLORS[number % len(COLORS)], f"{interval / second:.3g} s"
            self._plot_course(
                axes, "train", recordings[f"train_{number}"], len(self.conc) - 1, color, label
            )
        self._label_courses(axes, self.width[middle])
        self._plot_singles(axes["peak"], axes["times"], tables["table"])
        self._plot_summation(axes["summation"], tables["trains"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Responses in words, and how near simulation and independent solutions are."""
        table, agreement = tables["table"], tables["agreement"]
        change = (table.peak_gain - float(self.neuron.steady_gain({})))[: len(self.conc)]
        return [
            Section(
                "Single puffs",
                f"The gain peaks {table.latency_s.min():.2g} to {table.latency_s.max():.2g} s "
                "after the start of a puff, later than the concentration. The shortest puff of "
                f"{self.conc[-1] / umolar:.3g} µM changes it "
                f"{change.iloc[-1] / change.iloc[0]:.3g} times as much as that of "
                f"{self.conc[0] / umolar:.3g} µM: weak doses lie where the Hill function is steep, "
                "strong ones saturate it. Half-decay times are empty where the run ends before.",
                "table",
            ),
            Section(
                "Trains",
                f"Puffs of {self.width[0]} that come before the effect of the last has passed "
                "add up: summation is the change of the gain after the last puff over that by one "
                "puff alone. Clearance is linear, so that the mean concentration tends to "
                "concentration times width over interval, whatever the clearance; the steady gain "
                "in a bath of that concentration stands beside.",
                "summation",
            ),
            Section(
                "Every puff of the trains",
                "The gain that is furthest from control between a puff and the next.",
                "trains",
            ),
            Section(
                "Agreement",
                "Concentrations are off the closed form of clearance by at most "
                f"{agreement.conc_deviation.max():.1g} of the pipette's, and gains are off an "
                "independent integration of the cascade by at most "
                f"{agreement.gain_deviation.max():.1g}.",
                "agreement",
            ),
        ]

    @property
    def _ligand(self) -> str:
        return self.neuron.ligands[0]

    def _onsets(self, interval: Quantity = 0 * second) -> Quantity:
        """Start of every puff of a train."""
        return self.onset + np.arange(self.puffs) * interval

    def _patterns(self) -> dict[str, tuple[Quantity, Quantity]]:
        """Onsets and width of the puffs of every experiment."""
        once = self._onsets()[:1]
        singles = {f"single_{k}": (once, width) for k, width in enumerate(self.width)}
        trains = {
            f"train_{k}": (self._onsets(interval), self.width[0])
            for k, interval in enumerate(self.interval)
        }
        return singles | trains

    def _experiment(self, onsets: Quantity, width: Quantity) -> Experiment:
        neuron = replace(self.neuron, delivery="exchange")
        population = Population("neurons", neuron, len(self.conc))
        delivery = puffs(
            self._ligand, population, self.conc, onsets, width, self.tau_clear, self.dt
        )
        values = {**delivery.values, "I_ext": self.I}
        trace = Trace("neurons", (f"conc_{self._ligand}", "gain"), np.arange(len(self.conc)))
        return Experiment(
            populations=(replace(population, values=values),),
            sources=delivery.sources,
            connections=delivery.connections,
            traces=(trace,),
            duration=onsets[-1] + width + self.after,
            dt=self.dt,
            seed=self.seed,
        )

    def _solved(self, times: Quantity, onsets: Quantity, width: Quantity) -> tuple[Any, Any]:
        """Concentrations in uM in closed form and gains by integration, shape (n, steps)."""
        level = np.asarray(self.conc)
        kinks = np.concatenate([np.asarray(onsets), np.asarray(onsets + width)])

        def share(at: Quantity) -> Any:
            return np.asarray(exchanged(at, 1 * umolar, onsets, width, self.tau_clear) / umolar)

        gain = integrated_gain(
            self.neuron, lambda time: level * share([time] * second), times, kinks
        )
        return np.outer(self.conc / umolar, share(times)), gain

    def _agreement(self, recordings: Mapping[str, Recording]) -> pd.DataFrame:
        """How far concentrations are off the closed form, and gains off the integration."""
        rows = []
        for name, (onsets, width) in self._patterns().items():
            conc, gain = self._signals(recordings[name])
            exact, reference = self._solved(recordings[name].times, onsets, width)
            for cell, level in enumerate(self.conc / umolar):
                rows.append(
                    {
                        "puffs": name,
                        "conc_uM": float(level),
                        "conc_deviation": np.abs(conc[cell] - exact[cell]).max() / level,
                        "gain_deviation": np.abs(gain[cell] - reference[cell]).max(),
                    }
                )
        return pd.DataFrame(rows)

    def _measure_single(self, recording: Recording, width: Quantity) -> pd.DataFrame:
        conc, gain = self._signals(recording)
        since = np.asarray((recording.times - self.onset) / second)
        start = steps_in("onset", self.onset, self.dt)
        rows = []
        for cell in range(len(self.conc)):
            response = measure_response(since[start:], gain[cell, start:])
            rate = _rate_at(recording, cell, float(self.onset / second) + response.latency)
            peak = gain[cell, start] + response.peak
            rows.append(
                {
                    "conc_uM": float(self.conc[cell] / umolar),
                    "width_ms": float(width / ms),
                    "peak_conc_uM": conc[cell].max(),
                    "peak_gain": peak,
                    "latency_s": response.latency,
                    "half_decay_s": response.half_decay,
                    "gain_area_s": response.area,
                    "rate_at_peak_Hz": rate,
                    "closed_form_rate_Hz": self._rate(peak),
                }
            )
        return pd.DataFrame(rows)

    def _measure_train(self, recording: Recording, interval: Quantity) -> pd.DataFrame:
        onsets = self._onsets(interval)
        conc, gain = self._signals(recording)
        period = steps_in("interval", interval, self.dt)
        rows = []
        for cell in range(len(self.conc)):
            for number, onset in enumerate(onsets):
                start = steps_in("onset", onset, self.dt)
                # What follows the last puff is its own until the response has passed.
                end = start + period if number + 1 < len(onsets) else None
                here = gain[cell, start:end]
                change = here - gain[cell, 0]
                rows.append(
                    {
                        "conc_uM": float(self.conc[cell] / umolar),
                        "interval_s": float(interval / second),
                        "puff": number + 1,
                        "mean_conc_uM": conc[cell, start : start + period].mean(),
                        "peak_gain": here[np.argmax(np.abs(change))],
                    }
                )
        return pd.DataFrame(rows)

    def _summation(self, singles: pd.DataFrame, trains: pd.DataFrame) -> pd.DataFrame:
        """Last puff of every train against one puff alone, and the bath that a train becomes."""
        alone = singles.drop_duplicates("conc_uM").set_index("conc_uM").peak_gain
        base = float(self.neuron.steady_gain({}))
        rows = []
        for (conc, interval), train in trains.groupby(["conc_uM", "interval_s"]):
            bath = conc * float(self.width[0] / second) / interval
            last = train.iloc[-1]
            rows.append(
                {
                    "conc_uM": conc,
                    "interval_s": interval,
                    "single_peak_gain": alone[conc],
                    "last_peak_gain": last.peak_gain,
                    "summation": (last.peak_gain - base) / (alone[conc] - base),
                    "last_mean_conc_uM": last.mean_conc_uM,
                    "endless_mean_conc_uM": bath,
                    "bath_gain": float(self.neuron.steady_gain({self._ligand: bath * umolar})),
                }
            )
        return pd.DataFrame(rows)

    def _signals(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Concentrations in uM and gains, shape (n, steps)."""
        signals = recording.signals["neurons"]
        conc = np.asarray(signals[f"conc_{self._ligand}"].values / umolar)
        return conc, np.asarray(signals["gain"].values)

    def _rate(self, gain: float) -> float:
        """Closed form of the rate in Hz; nan where there is none."""
        if not has_closed_form(self.neuron):
            return float("nan")
        return float(self.neuron.rate([self.I / nA] * nA, gain)[0] / Hz)

    def _plot_course(
        self, axes: Any, kind: str, recording: Recording, cell: int, color: str, label: str
    ) -> None:
        conc, gain = self._signals(recording)
        times = np.asarray((recording.times - self.onset) / second)
        # A few hundred points make a line.
        every = slice(None, None, max(1, len(times) // 2000))
        axes[f"{kind} conc"].plot(times[every], conc[cell, every], color=color, label=label)
        axes[f"{kind} gain"].plot(times[every], gain[cell, every], color=color)
        at, rate = momentary_rates(recording.spikes["neurons"], cell)
        axes[f"{kind} rate"].plot(at - float(self.onset / second), rate, ".", color=color, ms=2)

    def _label_courses(self, axes: Any, width: Quantity) -> None:
        titles = {
            "single": ("a", f"One puff of {width / ms:.4g} ms"),
            "train": ("b", f"{self.puffs} puffs of {self.width[0] / ms:.4g} ms and "
                           f"{self.conc[-1] / umolar:.3g} µM"),
        }  # fmt: skip
        for kind, (letter, title) in titles.items():
            axes[f"{kind} conc"].set(title=f"{letter}  {title}",
                                     ylabel=f"{self._ligand} (µM)")  # fmt: skip
            axes[f"{kind} gain"].set(ylabel="gain")
            axes[f"{kind} rate"].set(ylabel="firing rate (Hz)",
                                     xlabel="time since the first puff (s)")  # fmt: skip
            axes[f"{kind} conc"].legend(title="in the pipette" if kind == "single" else "interval")

    def _plot_singles(self, peak: Any, times: Any, table: pd.DataFrame) -> None:
        for number, (width, rows) in enumerate(table.groupby("width_ms")):
            color, label = COLORS[number % len(COLORS)], f"{width:.4g} ms"
            peak.plot(rows.conc_uM, rows.peak_gain, "o-", color=color, ms=4, label=label)
            times.plot(rows.conc_uM, rows.latency_s, "o-", color=color, ms=4)
            times.plot(rows.conc_uM, rows.half_decay_s, "s--", color=color, ms=4)
        name = f"{self._ligand} in the pipette (µM)"
        peak.set(xscale="log", xlabel=name, ylabel="peak gain", title="c  Single puffs")
        peak.legend(title="width")
        times.plot([], [], "o-", color=BLACK, ms=4, label="latency of the peak")
        times.plot([], [], "s--", color=BLACK, ms=4, label="from peak to half")
        times.set(xscale="log", ylim=(0, None), xlabel=name, ylabel="time (s)",
                  title="d  Latency and half-decay")  # fmt: skip
        times.legend()

    def _plot_summation(self, axes: Any, trains: pd.DataFrame) -> None:
        strongest = trains[trains.conc_uM == trains.conc_uM.max()]
        for number, (interval, rows) in enumerate(strongest.groupby("interval_s")):
            axes.plot(rows.puff, rows.peak_gain, "o-", color=COLORS[number % len(COLORS)], ms=4,
                      label=f"{interval:.3g} s")  # fmt: skip
        axes.set(xlabel="number of the puff in the train", ylabel="peak gain after the puff",
                 title="e  Summation")  # fmt: skip
        axes.legend(title="interval")


def _rate_at(recording: Recording, cell: int, time: float) -> float:
    """Inverse of the interval between spikes around a time in seconds; 0 outside all of them."""
    at, rate = momentary_rates(recording.spikes["neurons"], cell)
    around = np.abs(at - time) <= 0.5 / rate
    return float(rate[around][0]) if around.any() else 0.0
