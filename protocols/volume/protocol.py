"""Volume transmission: releases of modulatory neurons into the tissue, over distance and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, nA, second, um, umolar

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.modulators import volume
from neuromod.inputs.spikes import poisson
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import CellProtocol, concentrations, current
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.volume import page
from neuromod.recording import Recording
from neuromod.support.text import say

# In time constants of clearance: when means are in the steady state.
SETTLED = 4


@dataclass(frozen=True, eq=False)
class Volume(CellProtocol):
    """Gain of cells over distance and time when modulatory neurons release into the tissue.

    A release reaches a neighbourhood, not a synapse: it raises the concentration around it by an
    exponential of the distance, and is then cleared. One neuron in the middle of the tissue fires
    a burst; then many neurons at random places fire at random times. Concentrations are compared
    with the sum of all releases in closed form.
    """

    shown: ClassVar[tuple[str, ...]] = ("profile", "tissue")

    neuron: GainLIF = parameter(GainLIF(), "the cells", "see its own")
    side: Quantity = positive(200 * um, "side of the square, or cube, of tissue", "chosen here")
    dimensions: int = parameter(2, "of the tissue", "chosen here", low=2, high=3)
    cells: int = parameter(300, "cells at random places", "chosen here", low=2)
    amount: Quantity = concentrations(
        0.5 * umolar,
        "rise of concentration at the place of one release",
        "releases sum to around K_D",
        none=False,
    )
    length: Quantity = positive(
        30 * um,
        "space constant of a release",
        "chosen here: between dopamine and noradrenaline in cortex",
    )
    tau_clear: Quantity = time(
        500 * ms, "time constant of clearance", "of the order of dopamine's in cortex"
    )
    burst: int = parameter(10, "spikes of the burst", "chosen here", low=1)
    burst_interval: Quantity = time(50 * ms, "between spikes of the burst", "20 Hz")
    releasing: int = parameter(12, "modulatory neurons at random places", "chosen here", low=1)
    rate: Quantity = positive(
        5 * Hz, "rate of each", "chosen here: as neuromodulatory neurons fire"
    )
    active: Quantity = time(3 * second, "how long they fire", "several time constants")
    after: Quantity = not_negative(
        2.5 * second, "time recorded after the last release", "chosen here"
    )
    I: Quantity = current(  # noqa: E741
        0.7 * nA, "above rheobase", "current injected into the cells"
    )
    dt: Quantity = time_step(1 * ms, "a twentieth of tau_m")

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
        if self.active < SETTLED * self.tau_clear:
            raise UserError(
                f"active = {say(self.active)} must be at least {SETTLED} times tau_clear = "
                f"{say(self.tau_clear)}, for a mean in the steady state."
            )

    def experiments(self) -> dict[str, Experiment]:
        """A burst in the middle of the tissue, and random releases all over it."""
        return {"burst": self._experiment("burst"), "tissue": self._experiment("tissue")}

    def measure(self, recordings: Recordings) -> Tables:
        """Every cell's response to the burst, the profile of one release, and mean levels."""
        worst = [self._deviation(kind, recordings[kind]) for kind in ("burst", "tissue")]
        rise, length, error = self._profile(recordings["burst"])
        profile = {
            "amount_uM": float(self.amount / umolar),
            "fitted_amount_uM": rise,
            "length_um": float(self.length / um),
            "fitted_length_um": length,
            "fitted_length_se_um": error,
            "conc_deviation": max(worst),
        }
        return {
            "table": self._responses(recordings["burst"]),
            "profile": pd.DataFrame([profile]),
            "tissue": self._means(recordings["tissue"]),
        }

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

    def conc(self, recording: Recording) -> np.ndarray:
        """Concentrations in uM, shape (cells, steps)."""
        return np.asarray(recording.signals["cells"][f"conc_{self.ligand}"].values / umolar)

    def exact_conc(self, kind: str, times: Quantity) -> np.ndarray:
        """Concentrations in uM as the sum of all releases, shape (cells, steps)."""
        releases = self._releases(kind)
        left = np.zeros((releases.size, len(times)))
        for site, at in zip(releases.neurons, releases.times, strict=True):
            # A spike acts from the next step on, and is seen at the end of that.
            since = np.asarray((times - at - self.dt) / self.tau_clear)
            left[site] += np.where(since > 1e-9, np.exp(-np.maximum(since, 0)), 0)
        kernel = np.exp(-self.distances(kind) / float(self.length / um))
        return np.asarray(float(self.amount / umolar) * kernel @ left)

    def after_first(self, recording: Recording) -> np.ndarray:
        """Every cell's concentration in uM when the first release of the burst is seen."""
        step = steps_in("release", self._releases("burst").times[0], self.dt) + 2
        return np.asarray(self.conc(recording)[:, step])

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
        cells = Population("cells", self.neuron, self.cells, {"I_ext": self.I})
        released = volume(
            self.ligand,
            cells,
            releases.name,
            sites[kind],
            places,
            self.amount,
            self.length,
            self.tau_clear,
        )
        return Experiment(
            populations=[cells],
            sources=[releases],
            traces=[Trace("cells", (f"conc_{self.ligand}", "gain"), np.arange(self.cells))],
            duration=silent_from + self.after,
            dt=self.dt,
            seed=self.seed,
        ).add(released)

    def _deviation(self, kind: str, recording: Recording) -> float:
        exact = self.exact_conc(kind, recording.times)
        return float(np.abs(self.conc(recording) - exact).max() / exact.max())

    def _responses(self, recording: Recording) -> pd.DataFrame:
        gain = np.asarray(recording.signals["cells"]["gain"].values)
        first = float(self._releases("burst").times[0] / second)
        at = np.abs(gain - gain[:, :1]).argmax(axis=1)
        table = pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                "distance_um": self.distances("burst")[:, 0],
                "peak_conc_uM": self.conc(recording).max(axis=1),
                "peak_gain": gain[np.arange(self.cells), at],
                "peak_s": at * float(self.dt / second) - first,
                "spikes": recording.spikes["cells"].counts(),
            }
        )
        return table.sort_values("distance_um", ignore_index=True)

    def _profile(self, recording: Recording) -> tuple[float, float, float]:
        """Amount in uM and space constant in micrometre with its error, from the first release."""
        level = self.after_first(recording)
        reached = level > 0
        if reached.sum() < 3:
            return float("nan"), float("nan"), float("nan")
        distance = self.distances("burst")[reached, 0]
        (slope, start), variance = np.polyfit(distance, np.log(level[reached]), 1, cov=True)
        passed = float(self.dt / self.tau_clear)
        error = float(np.sqrt(variance[0, 0]) / slope**2)
        return float(np.exp(start + passed)), float(-1 / slope), error

    def _means(self, recording: Recording) -> pd.DataFrame:
        ends = (SETTLED * self.tau_clear, self.active)
        steady = slice(*(round(float(end / self.dt)) for end in ends))
        distance, (places, _) = self.distances("tissue"), self.places()
        kernel = np.exp(-distance / float(self.length / um)).sum(axis=1)
        gain = np.asarray(recording.signals["cells"]["gain"].values)
        at = {f"{axis}_um": places[:, k] / um for k, axis in enumerate("xyz"[: self.dimensions])}
        return pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                **at,
                "nearest_um": distance.min(axis=1),
                "mean_conc_uM": self.conc(recording)[:, steady].mean(axis=1),
                "expected_conc_uM": float(self.amount / umolar * self.rate * self.tau_clear)
                * kernel,
                "mean_gain": gain[:, steady].mean(axis=1),
                "peak_gain": gain.max(axis=1) if gain.max() > gain[0, 0] else gain.min(axis=1),
            }
        )
