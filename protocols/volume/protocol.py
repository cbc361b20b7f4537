"""Volume transmission: releases of modulatory neurons into the tissue, over distance and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, second, um, umolar

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes
from neuromod.inputs.modulators import volume
from neuromod.inputs.spikes import poisson
from neuromod.models.receptive import Receptive
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import DeliveryProtocol
from neuromod.protocols.families.neurons import neuron_setting
from neuromod.protocols.families.timing import sampling, time
from neuromod.protocols.volume import page
from neuromod.recording import Recording
from neuromod.support.text import say

# In time constants of clearance: when means are in the steady state.
SETTLED = 4


@dataclass(frozen=True, eq=False)
class Volume(DeliveryProtocol):
    """Gain of cells over distance and time when modulatory neurons release into the tissue.

    How does gain depend on distance and time when modulatory neurons release into the tissue?

    A release raises the concentration around it by an exponential of the distance, and is then
    cleared. One neuron in the middle of the tissue fires a burst; then many neurons at random
    places fire at random times. Concentrations are compared with the sum of all releases.
    """

    shown: ClassVar[tuple[str, ...]] = ("profile", "tissue")
    small: ClassVar[Mapping[str, Any]] = {
        "cells": 23,
        "tau_clear": 60 * ms,
        "active": 0.3 * second,
        "after": 0.1 * second,
        "burst": 3,
    }

    neuron: Receptive = neuron_setting(meaning="the cells")
    side: Quantity = positive(200 * um, "side of the square, or cube, of tissue", "chosen here")
    dimensions: int = parameter(2, "of the tissue", "chosen here", low=2, high=3)
    cells: int = parameter(300, "cells at random places", "chosen here", low=2)
    amount: Quantity = positive(
        0.5 * umolar,
        "rise of concentration at the place of one release",
        "chosen here: releases sum to around K_D",
    )
    length: Quantity = positive(
        30 * um,
        "space constant of a release",
        "chosen here: between dopamine and noradrenaline in cortex",
    )
    tau_clear: Quantity = time(500 * ms, "time constant of clearance", "about dopamine's in cortex")
    burst: int = parameter(10, "spikes of the burst", "chosen here", low=1)
    burst_interval: Quantity = time(50 * ms, "between spikes of the burst", "20 Hz")
    releasing: int = parameter(12, "modulatory neurons at random places", "chosen here", low=1)
    rate: Quantity = positive(
        5 * Hz, "rate of each", "chosen here: as neuromodulatory neurons fire"
    )
    active: Quantity = time(3 * second, "how long they fire", "several time constants")
    after: Quantity = not_negative(2.5 * second, "time after the last release", "chosen here")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("burst_interval", "active", "after"):
            steps_in(name, getattr(self, name), self.dt)
        if self.length * 2 > self.side:
            raise UserError(
                f"length = {say(self.length)} must be at most half of the tissue's side of "
                f"{say(self.side)}."
            )
        if self.active < SETTLED * self.tau_clear + self.every:
            raise UserError(
                f"active = {say(self.active)} must be at least {SETTLED} times tau_clear = "
                f"{say(self.tau_clear)}, and {say(self.every)} more, for a mean in the steady "
                "state."
            )

    def experiments(self) -> dict[str, Experiment]:
        """A burst in the middle of the tissue, and random releases all over it."""
        return {"burst": self._experiment("burst"), "tissue": self._experiment("tissue")}

    def measure(self, recordings: Recordings) -> Tables:
        """Every cell's response to the burst, the profile of one release, and mean levels."""
        off = []
        for kind, recording in recordings.items():
            exact = self.exact_conc(kind, recording.times)
            off.append(np.abs(self.signals(recording)[0] - exact).max() / exact.max())
        profile = self._profile(recordings["burst"]) | {"conc_deviation": max(off)}
        found = {
            "table": self._responses(recordings["burst"]),
            "profile": pd.DataFrame([profile]),
            "tissue": self._means(recordings["tissue"]),
        }
        return self.told(found)

    def places(self) -> tuple[Quantity, dict[str, Quantity]]:
        """Where the cells are, and where each experiment's neurons release."""
        draw = np.random.default_rng(self.seed)
        cells = draw.uniform(0, 1, (self.cells, self.dimensions)) * self.side
        sites = draw.uniform(0, 1, (self.releasing, self.dimensions)) * self.side
        return cells, {"burst": np.full((1, self.dimensions), 0.5) * self.side, "tissue": sites}

    def distances(self, kind: str) -> np.ndarray:
        """From every cell to every site in micrometre, shape (cells, sites)."""
        places, sites = self.places()
        apart = (places / um)[:, None, :] - (sites[kind] / um)[None, :, :]
        return np.asarray(np.linalg.norm(apart, axis=2))

    def kernel(self, distance: np.ndarray) -> np.ndarray:
        """Share of a release that is seen at a distance in micrometre."""
        return np.asarray(np.exp(-distance / float(self.length / um)))

    def exact_conc(self, kind: str, times: Quantity) -> np.ndarray:
        """Concentrations in uM as the sum of all releases, shape (cells, steps)."""
        releases = self._releases(kind)
        left = np.zeros((releases.size, len(times)))
        for site, at in zip(releases.neurons, releases.times, strict=True):
            # A spike acts from the next step on, and is seen at the end of that.
            since = np.asarray((times - at - self.dt) / self.tau_clear)
            left[site] += np.where(since > 1e-9, np.exp(-np.maximum(since, 0)), 0)
        return np.asarray(float(self.amount / umolar) * self.kernel(self.distances(kind)) @ left)

    def first_release(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Distance of the cells that the burst's first release reaches, and by how many uM."""
        seen = self._releases("burst").times[0] + 1.5 * self.dt
        sample = int(np.searchsorted(recording.times, seen))
        level, distance = self.signals(recording)[0][:, sample], self.distances("burst")[:, 0]
        # It acted from the start of the step after its own.
        cleared = (recording.times[sample] - seen + 0.5 * self.dt) / self.tau_clear
        level = level * np.exp(float(cleared))
        return distance[level > 0], level[level > 0]

    @property
    def every(self) -> Quantity:
        """A hundredth of clearance, and at most half of the time between spikes of the burst."""
        longest = min(self.tau_clear / 100, self.burst_interval / 2)
        return sampling(longest, self.dt, self.active)

    def _releases(self, kind: str) -> Spikes:
        if kind == "burst":
            times = 100 * self.dt + np.arange(self.burst) * self.burst_interval
            return Spikes("releasing", 1, np.zeros(self.burst, dtype=int), times)
        draw = np.random.default_rng([self.seed, 1])
        return poisson("releasing", self.releasing, self.rate, self.dt, self.active, self.dt, draw)

    def _experiment(self, kind: str) -> Experiment:
        places, sites = self.places()
        releases = self._releases(kind)
        silent_from = releases.times[-1] + self.dt if kind == "burst" else self.active
        cells = Population("cells", self.neuron, self.cells, {self.neuron.current: self.I})
        kinetics = (self.amount, self.length, self.tau_clear)
        released = volume(self.ligand, cells, releases.name, sites[kind], places, *kinetics)
        released = replace(released, sources=(releases,))
        return self.delivery(cells, released, silent_from + self.after)

    def _responses(self, recording: Recording) -> pd.DataFrame:
        conc, gain = self.signals(recording)
        first = float(self._releases("burst").times[0] / second)
        at = np.abs(gain - gain[:, :1]).argmax(axis=1)
        table = pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                "distance_um": self.distances("burst")[:, 0],
                "peak_conc_uM": conc.max(axis=1),
                "peak_gain": gain[np.arange(self.cells), at],
                "peak_s": np.asarray(recording.times / second)[at] - first,
                "spikes": recording.spikes["cells"].counts(),
            }
        )
        return table.sort_values("distance_um", ignore_index=True)

    def _profile(self, recording: Recording) -> dict[str, float]:
        """Amount and space constant, as set and as the burst's first release shows them."""
        distance, level = self.first_release(recording)
        amount = length = error = np.nan
        if len(level) >= 3:
            (slope, start), variance = np.polyfit(distance, np.log(level), 1, cov=True)
            amount, length = float(np.exp(start)), -1 / slope
            error = np.sqrt(variance[0, 0]) / slope**2
        return {
            "amount_uM": float(self.amount / umolar),
            "fitted_amount_uM": amount,
            "length_um": float(self.length / um),
            "fitted_length_um": length,
            "fitted_length_se_um": error,
        }

    def _means(self, recording: Recording) -> pd.DataFrame:
        """Means from the steady state on until the neurons fall silent."""
        ends = (SETTLED * self.tau_clear, self.active)
        steady = slice(*(round(float(end / self.every)) for end in ends))
        distance, (places, _) = self.distances("tissue"), self.places()
        released = float(self.amount / umolar * self.rate * self.tau_clear)
        conc, gain = self.signals(recording)
        at = {f"{axis}_um": places[:, k] / um for k, axis in enumerate("xyz"[: self.dimensions])}
        return pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                **at,
                "nearest_um": distance.min(axis=1),
                "mean_conc_uM": conc[:, steady].mean(axis=1),
                "expected_conc_uM": released * self.kernel(distance).sum(axis=1),
                "mean_gain": gain[:, steady].mean(axis=1),
                "peak_gain": gain.max(axis=1) if gain.max() > gain[0, 0] else gain.min(axis=1),
            }
        )
