"""Puffs of a modulator onto cells: time courses of concentration, gain and firing rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, second, umolar

from neuromod.analysis.rates import closed_form_rates
from neuromod.analysis.time_course import measure_response, momentary_rates
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes
from neuromod.inputs.modulators import exchanged, puffs
from neuromod.parameters import parameter, positive
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
from neuromod.protocols.puff import page
from neuromod.recording import Recording
from neuromod.support.text import say


@dataclass(frozen=True, eq=False)
class Puff(DeliveryProtocol):
    """Single puffs and trains of puffs of a modulator: how a cell's gain and rate respond in time.

    How do gain and firing rate follow puffs of a modulator?

    Because of binding and the messenger the gain lags behind the concentration, outlasts it, and
    saturates. Every concentration is puffed once with every width, and in trains with the first
    width at every interval; the cells fire to a constant current. Concentrations are compared
    with the closed form of clearance, and gains with an independent integration.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "summation", "receptor_fit")
    text_columns: ClassVar[tuple[str, ...]] = TEXTS
    small: ClassVar[Mapping[str, Any]] = {
        "conc": [3] * umolar,
        "width": [100] * ms,
        "interval": [0.3] * second,
        "puffs": 2,
        "onset": 0.1 * second,
        "after": 0.3 * second,
    }

    conc: Quantity = positive(
        [1, 3, 10, 30] * umolar,
        "concentrations in the pipette",
        "chosen here: from K_D up, as puffs are short",
    )
    width: Quantity = time(
        [100, 300, 1000] * ms, "widths of puffs; trains have the first", "as is usual with pipettes"
    )
    interval: Quantity = time(
        [0.3, 1, 3] * second,
        "from one puff of a train to the next",
        "around the cascade's time constants",
    )
    puffs: int = parameter(6, "puffs of a train", "chosen here", low=2)
    tau_clear: Quantity = time(
        200 * ms, "time constant of clearance, and of filling", "shorter than the cascade's"
    )
    onset: Quantity = time(0.5 * second, "start of the first puff", "several spikes of control")
    after: Quantity = time(
        6 * second, "time recorded after the last puff", "several time constants of the cascade"
    )
    dt: Quantity = time_step(0.2 * ms, "a hundredth of the intervals between spikes")

    data: str = measured_points(
        "single puffs: columns time_s from the start of the puff, gain or another "
        "response, conc_uM, width_s"
    )

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
        # A file is refused before anything runs.
        _ = self.compared
        cells = Population("neurons", self.neuron, len(self.conc), {self.neuron.current: self.I})
        made = {}
        for name, (onsets, width) in self._patterns.items():
            puffed = puffs(self.ligand, cells, self.conc, onsets, width, self.tau_clear, self.dt)
            made[name] = self.delivery(cells, puffed, onsets[-1] + width + self.after)
        return made

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
        agreement = [self._agreement(name, recordings[name]) for name in self._patterns]
        table, every = (pd.concat(frames, ignore_index=True) for frames in (singles, trains))
        found = {
            "table": table,
            "summation": self._summation(table, every),
            "trains": every,
            "agreement": pd.concat(agreement, ignore_index=True),
        }
        return self.told(found) | self.compared.told()

    @cached_property
    def compared(self) -> Compared:
        """What was measured after single puffs, and the receptor fitted to it."""
        if not self.data:
            return Compared()
        points = read(self.data)
        sets = courses(self.data, points, self.conc, self.width, self.tau_clear)
        return fitted(self.data, points, sets, self.receptor)

    @property
    def every(self) -> Quantity:
        """A hundredth of the shortest puff, or of clearance."""
        longest = min(self.width[0], self.tau_clear) / 100
        return sampling(longest, self.dt, self.onset, *self.width, *self.interval)

    def _onsets(self, interval: Quantity) -> Quantity:
        """Start of every puff of a train."""
        return self.onset + np.arange(self.puffs) * interval

    @property
    def _patterns(self) -> dict[str, tuple[Quantity, Quantity]]:
        """Onsets and width of the puffs of every experiment."""
        once = self._onsets(self.interval[0])[:1]
        patterns = {f"single_{k}": (once, width) for k, width in enumerate(self.width)}
        for k, interval in enumerate(self.interval):
            patterns[f"train_{k}"] = (self._onsets(interval), self.width[0])
        return patterns

    def _agreement(self, name: str, recording: Recording) -> pd.DataFrame:
        """Greatest errors against the closed form of clearance and an integrated gain."""
        onsets, width = self._patterns[name]

        def share(at: Quantity) -> np.ndarray:
            return np.asarray(exchanged(at, 1 * umolar, onsets, width, self.tau_clear) / umolar)

        def level(at: float) -> np.ndarray:
            return np.asarray(np.asarray(self.conc) * share([at] * second))

        kinks = np.concatenate([np.asarray(onsets), np.asarray(onsets + width)])
        reference = self.integrated(level, recording.times, kinks)
        exact = np.outer(self.conc / umolar, share(recording.times))
        conc, gain = self.signals(recording)
        return pd.DataFrame(
            {
                "puffs": name,
                "conc_uM": np.asarray(self.conc / umolar),
                "conc_deviation": np.abs(conc - exact).max(axis=1) / (self.conc / umolar),
                "gain_deviation": np.abs(gain - reference).max(axis=1),
            }
        )

    def _measure_single(self, recording: Recording, width: Quantity) -> pd.DataFrame:
        conc, gain = self.signals(recording)
        since = np.asarray((recording.times - self.onset) / second)
        start = steps_in("onset", self.onset, self.every)
        found = pd.DataFrame([measure_response(since[start:], row[start:]) for row in gain])
        peak, spikes = gain[:, start] + found.peak.to_numpy(), recording.spikes["neurons"]
        peaked = float(self.onset / second) + found.latency
        return pd.DataFrame(
            {
                "conc_uM": np.asarray(self.conc / umolar),
                "width_ms": float(width / ms),
                "peak_conc_uM": conc.max(axis=1),
                "peak_gain": peak,
                "latency_s": found.latency,
                "half_decay_s": found.half_decay,
                "gain_area_s": found.area,
                "rate_at_peak_Hz": [_rate_at(spikes, cell, time) for cell, time in peaked.items()],
            }
            | self._exact_rates(peak)
        )

    def _exact_rates(self, gain: np.ndarray) -> dict[str, np.ndarray]:
        """Rates at gains in closed form, where there is one."""
        if not self.closed:
            return {}
        return {"closed_form_rate_Hz": closed_form_rates(self.neuron, self.I, gain)}

    def _measure_train(self, recording: Recording, interval: Quantity) -> pd.DataFrame:
        conc, gain = self.signals(recording)
        period = steps_in("interval", interval, self.every)
        frames = []
        for number, onset in enumerate(self._onsets(interval), start=1):
            start = steps_in("onset", onset, self.every)
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
        base = float(self.steady_effect(0))
        last = trains.groupby(["conc_uM", "interval_s"], as_index=False).last()
        single = last.conc_uM.map(alone)
        bath = last.conc_uM * float(self.width[0] / second) / last.interval_s
        return last[["conc_uM", "interval_s"]].assign(
            single_peak_gain=single,
            last_peak_gain=last.peak_gain,
            summation=(last.peak_gain - base) / (single - base),
            last_mean_conc_uM=last.mean_conc_uM,
            endless_mean_conc_uM=bath,
            bath_gain=self.steady_effect(bath.to_numpy()),
        )


def _rate_at(spikes: Spikes, cell: int, time: float) -> float:
    """Rate in Hz from the interval between spikes around a time in seconds; 0 outside of any."""
    at, rate = momentary_rates(spikes, cell)
    around = np.abs(at - time) <= 0.5 / rate
    return float(rate[around][0]) if around.any() else 0.0
