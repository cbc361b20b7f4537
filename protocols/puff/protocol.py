"""Puffs of a modulator onto cells: time courses of concentration, gain and firing rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, nA, second, umolar

from neuromod.analysis.dose_response import closed_form_rates
from neuromod.analysis.time_course import integrated_gain, measure_response, momentary_rates
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.modulators import exchanged, puffs
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import CellProtocol, check_ascending, concentrations, current
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.puff import page
from neuromod.recording import Recording
from neuromod.support.text import say


@dataclass(frozen=True, eq=False)
class Puff(CellProtocol):
    """Single puffs and trains of puffs of a modulator: how a cell's gain and rate respond in time.

    A pipette briefly fills the surroundings of a cell with a modulator, which is then cleared.
    Because of binding and the messenger the gain lags behind the concentration, outlasts it, and
    saturates. Every concentration is puffed once with every width, and in trains with the first
    width at every interval; the cells fire to a constant current throughout. Concentrations are
    compared with the closed form of clearance, and gains with an independent integration.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "summation")

    conc: Quantity = concentrations(
        [1, 3, 10, 30] * umolar,
        "concentrations in the pipette of what the first receptor binds",
        "from K_D up, because puffs are short",
        none=False,
    )
    width: Quantity = time(
        [100, 300, 1000] * ms,
        "lengths of single puffs; trains have the first",
        "as pressure is applied to pipettes",
    )
    interval: Quantity = time(
        [0.3, 1, 3] * second,
        "from one puff of a train to the next",
        "shorter and longer than the cascade's time constants",
    )
    puffs: int = parameter(6, "puffs of a train", "chosen here", low=2)
    tau_clear: Quantity = time(
        200 * ms,
        "time constant with which the modulator comes and goes",
        "shorter than the cascade's",
    )
    I: Quantity = current(0.7 * nA, "somewhat above rheobase")  # noqa: E741
    onset: Quantity = time(
        0.5 * second, "start of the first puff", "several intervals between spikes of control"
    )
    after: Quantity = time(
        6 * second,
        "time recorded after the end of the last puff",
        "several time constants of the cascade",
    )
    dt: Quantity = time_step(0.2 * ms, "a hundredth of the intervals between spikes")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc=1, width=1, interval=1)
        for name in ("width", "interval", "onset", "after"):
            for one in np.atleast_1d(getattr(self, name)):
                steps_in(name, one, self.dt)
        if self.interval[0] <= self.width[0]:
            raise UserError(
                f"Puffs of {say(self.width[0])} every {say(self.interval[0])} overlap: make the "
                "first interval longer than the first width."
            )
        if self.after + self.width[0] < self.interval[-1]:
            raise UserError(
                f"after = {say(self.after)} must last until the next puff of a train would come, "
                f"{say(self.interval[-1])} after the last."
            )
        self.check_effect(self.conc)

    def experiments(self) -> dict[str, Experiment]:
        """One network for each width and each interval, one neuron per concentration."""
        return {
            name: self._experiment(onsets, width)
            for name, (onsets, width) in self._patterns().items()
        }

    def measure(self, recordings: Recordings) -> Tables:
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
        cells = Population("neurons", self.neuron, len(self.conc), {"I_ext": self.I})
        puffed = puffs(self.ligand, cells, self.conc, onsets, width, self.tau_clear, self.dt)
        return Experiment(
            populations=[cells],
            traces=[Trace("neurons", (f"conc_{self.ligand}", "gain"), np.arange(cells.size))],
            duration=onsets[-1] + width + self.after,
            dt=self.dt,
            seed=self.seed,
        ).add(puffed)

    def _solved(self, times: Quantity, onsets: Quantity, width: Quantity) -> tuple[Any, Any]:
        """Concentrations in uM by the closed form, gains by integration, shape (n, steps)."""
        level = np.asarray(self.conc)
        kinks = np.concatenate([np.asarray(onsets), np.asarray(onsets + width)])

        def share(at: Quantity) -> Any:
            return np.asarray(exchanged(at, 1 * umolar, onsets, width, self.tau_clear) / umolar)

        gain = integrated_gain(self.neuron, lambda at: level * share([at] * second), times, kinks)
        return np.outer(self.conc / umolar, share(times)), gain

    def _agreement(self, recordings: Recordings) -> pd.DataFrame:
        """Greatest errors of concentrations and gains against the independent solutions."""
        level = np.asarray(self.conc / umolar)
        frames = []
        for name, (onsets, width) in self._patterns().items():
            conc, gain = self.signals(recordings[name])
            exact, reference = self._solved(recordings[name].times, onsets, width)
            errors = {
                "puffs": name,
                "conc_uM": level,
                "conc_deviation": np.abs(conc - exact).max(axis=1) / level,
                "gain_deviation": np.abs(gain - reference).max(axis=1),
            }
            frames.append(pd.DataFrame(errors))
        return pd.concat(frames, ignore_index=True)

    def _measure_single(self, recording: Recording, width: Quantity) -> pd.DataFrame:
        conc, gain = self.signals(recording)
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
                    "closed_form_rate_Hz": closed_form_rates(self.neuron, self.I, peak).item(),
                }
            )
        return pd.DataFrame(rows)

    def _measure_train(self, recording: Recording, interval: Quantity) -> pd.DataFrame:
        conc, gain = self.signals(recording)
        period = steps_in("interval", interval, self.dt)
        frames = []
        for number, onset in enumerate(self._onsets(interval), start=1):
            start = steps_in("onset", onset, self.dt)
            # All that follows the last puff is its own response.
            here = gain[:, start : None if number == self.puffs else start + period]
            furthest = np.abs(here - gain[:, :1]).argmax(axis=1)
            puff = {
                "conc_uM": np.asarray(self.conc / umolar),
                "interval_s": float(interval / second),
                "puff": number,
                "mean_conc_uM": conc[:, start : start + period].mean(axis=1),
                "peak_gain": here[np.arange(len(here)), furthest],
            }
            frames.append(pd.DataFrame(puff))
        return pd.concat(frames).sort_values("conc_uM", kind="stable")

    def _summation(self, singles: pd.DataFrame, trains: pd.DataFrame) -> pd.DataFrame:
        """Last puff of every train against one puff alone, and the bath that a train becomes."""
        alone = singles.drop_duplicates("conc_uM").set_index("conc_uM").peak_gain
        base = float(self.steady_gain(0))
        last = trains.groupby(["conc_uM", "interval_s"], as_index=False).last()
        single = last.conc_uM.map(alone)
        bath = last.conc_uM * float(self.width[0] / second) / last.interval_s
        return last[["conc_uM", "interval_s"]].assign(
            single_peak_gain=single,
            last_peak_gain=last.peak_gain,
            summation=(last.peak_gain - base) / (single - base),
            last_mean_conc_uM=last.mean_conc_uM,
            endless_mean_conc_uM=bath,
            bath_gain=self.steady_gain(bath.to_numpy()),
        )

    def signals(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Concentrations in uM and gains, shape (n, steps)."""
        signals = recording.signals["neurons"]
        conc = np.asarray(signals[f"conc_{self.ligand}"].values / umolar)
        return conc, np.asarray(signals["gain"].values)


def _rate_at(recording: Recording, cell: int, time: float) -> float:
    """Rate in Hz from the interval between spikes around a time in seconds; 0 outside of any."""
    at, rate = momentary_rates(recording.spikes["neurons"], cell)
    around = np.abs(at - time) <= 0.5 / rate
    return float(rate[around][0]) if around.any() else 0.0
