"""The distal reward problem: which of many stimuli did a late dopamine release reward?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, second, um, umolar

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.inputs.modulators import Delivery, volume
from neuromod.models.three_factor import IZHIKEVICH, LIGAND, PlasticLIF, ThreeFactor
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (BLUE, ORANGE, GREEN, RED, SKY)
SYNAPSES = "synapses"
# What makes any neuron fire in the next step.
KICK = 2.0
QUARTERS = 4
BINS = 8


@dataclass(frozen=True, eq=False)
class RewardLearning(Protocol):
    """Synapses that lead to reward grow, though it comes seconds late and others fire meanwhile.

    Isolated pairs of spikes are rewarded once, after various delays; what the synapses gain is laid
    beside its closed form. Then stimuli come at random, each a volley of its own inputs, and only
    one of them is followed by a release of dopamine, after a random delay in which other stimuli
    come. Modulatory neurons at random places release into the tissue (volume transmission); every
    cell subtracts the release that it sees on average.
    """

    shown: ClassVar[tuple[str, ...]] = ("table",)

    neuron: PlasticLIF = parameter(PlasticLIF(), "the cells", source="see its own")
    synapse: ThreeFactor = parameter(
        ThreeFactor(rule="stdp", gate="eligibility", w=0.11, alpha=0.11),
        "from inputs to cells",
        source="rule of Izhikevich 2007; weights and eta chosen here: a volley makes cells fire "
        "once before learning",
    )
    stimuli: int = parameter(10, "stimuli, the first of which is rewarded", source="chosen here",
                             low=2)  # fmt: skip
    volley: int = parameter(10, "inputs of each stimulus", source="chosen here", low=1)
    jitter: Quantity = parameter(
        10 * ms, "time in which a volley's inputs fire", source="chosen here", low=0 * second
    )
    noise: Quantity = parameter(
        1 * Hz, "rate at which inputs fire besides", source="chosen here", low=0 * Hz
    )
    cells: int = parameter(20, "cells, at random places", source="chosen here", low=1)
    interval: Quantity = parameter(
        400 * ms, "mean time between two stimuli", source="chosen here", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    least_interval: Quantity = parameter(
        100 * ms, "least time between two stimuli", source=IZHIKEVICH, low=0 * second
    )
    reward_delays: Quantity = parameter(
        [0.2, 1] * second,
        "shortest and longest delay of a reward",
        source=f"{IZHIKEVICH}: up to 1 s",
        low=0 * second,
    )
    expected: float = parameter(
        1.0,
        "share of the mean concentration that a cell subtracts as expected",
        source="chosen here: after reward prediction errors (Schultz, Dayan & Montague 1997, "
        "Science 275:1593-1599)",
        low=0,
    )
    duration: Quantity = parameter(
        120 * second, "of conditioning", source="chosen here", low=0 * second, low_excluded=True
    )
    releasing: int = parameter(
        5, "modulatory neurons, at random places", source="chosen here", low=1
    )
    side: Quantity = parameter(
        200 * um, "side of the square of tissue", source="chosen here", low=0 * um,
        low_excluded=True,
    )  # fmt: skip
    amount: Quantity = parameter(
        0.5 * umolar,
        "rise of concentration at the place of one release",
        source="chosen here: releases sum to around 1 uM",
        low=0 * umolar,
        low_excluded=True,
    )
    length: Quantity = parameter(
        100 * um, "space constant of a release", source="chosen here", low=0 * um,
        low_excluded=True,
    )  # fmt: skip
    lags: Quantity = parameter(
        [-60, -30, -15, -5, -1, 1, 5, 15, 30, 60] * ms,
        "isolated pairs: postsynaptic after presynaptic spike",
        source="chosen here",
    )
    delays: Quantity = parameter(
        [0.1, 0.5, 1, 2, 3] * second,
        "isolated pairs: release after the pair",
        source="chosen here",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        1 * ms,
        "time step",
        source="chosen here: a twentieth of tau_m",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("neuron", self.neuron, ["tonic"], "set expected")
        if self.synapse.rule != "stdp":
            raise UserError(
                f"synapse.rule must be 'stdp', of whose pairs the credit is known in closed form, "
                f"not {self.synapse.rule!r}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """Isolated pairs, one for each lag and delay, and conditioning."""
        self._check()
        return {"pairs": self._pairs(), "conditioning": self._conditioning()}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """What every stimulus gained, the cells' share, responses over time, and credit."""
        return {
            "table": self._gains(recordings["conditioning"]),
            "cells": self._by_cell(recordings["conditioning"]),
            "responses": self._responses(recordings["conditioning"]),
            "credit": self._credit(recordings["pairs"]),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """One pair over time, credit over closed forms, and what conditioning changed."""
        layout = [["course", "lags", "delays"], ["plastic", "responses", "cells"]]
        figure, axes = panels(layout, width=11, height=6.5)
        self._plot_course(axes["course"], recordings["pairs"])
        _plot_lags(axes["lags"], tables["credit"])
        _plot_delays(axes["delays"], tables["credit"])
        _plot_plastic(axes["plastic"], tables["table"])
        _plot_responses(axes["responses"], tables["responses"])
        _plot_cells(axes["cells"], tables["cells"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Credit against its closed form, and who was rewarded."""
        table, credit = tables["table"], tables["credit"]
        off = np.abs(credit.credit - credit.closed_form).max() / np.abs(credit.credit).max()
        mine, others = table[table.rewarded], table[~table.rewarded]
        apart = (mine.plastic.iloc[0] - others.plastic.mean()) / others.plastic.std()
        return [
            Section(
                "Credit of one pair",
                "A pair of spikes leaves an eligibility that decays with tau_e; a release that "
                "comes later turns what is left of it into a change. Simulated changes are off "
                "the integral of eligibility times concentration in closed form by at most "
                f"{off:.2g} of the largest: a sum over time steps stands for an integral.",
                "credit",
            ),
            Section(
                "Conditioning",
                f"The rewarded stimulus came {mine.presentations.iloc[0]} times. Its synapses' "
                f"plastic traces ended at {mine.plastic.iloc[0]:.2f} on average, those of the "
                f"others at {others.plastic.mean():.2f} ± {others.plastic.std():.2f} (standard "
                f"deviation over stimuli): {apart:.1f} standard deviations apart. A presentation "
                f"of it drew {mine.response_first.iloc[0]:.2f} spikes from a cell in the first "
                f"quarter of the time and {mine.response_last.iloc[0]:.2f} in the last; one of the "
                f"others {others.response_first.mean():.2f} and "
                f"{others.response_last.mean():.2f}.",
                "table",
            ),
            Section(
                "Volume transmission",
                "A release reaches all synapses of a cell alike, and near cells more than far "
                "ones: those with more modulator learn faster, until traces reach their bound.",
                "cells",
            ),
        ]

    def _check(self) -> None:
        for name in ("duration", "lags", "delays"):
            for time in np.atleast_1d(np.abs(getattr(self, name) / second)) * second:
                steps_in(name, time, self.dt)
        if np.any(np.abs(self.lags) < self.dt):
            raise UserError(f"lags must be at least one time step of {self.dt}, before or after.")
        if len(self.reward_delays) != 2 or self.reward_delays[1] < self.reward_delays[0]:
            raise UserError(
                f"reward_delays must be the shortest and the longest, not {self.reward_delays}."
            )
        if self.least_interval < self.jitter or self.interval <= self.least_interval:
            raise UserError(
                f"interval = {self.interval} must be above least_interval = "
                f"{self.least_interval}, and that at least jitter = {self.jitter}."
            )
        if self.duration < 20 * self.stimuli * self.interval:
            raise UserError(
                f"duration = {self.duration} must be at least 20 presentations of each stimulus, "
                f"{20 * self.stimuli * self.interval}."
            )

    def _steps(self, name: str, time: Quantity) -> int:
        return steps_in(name, time, self.dt)

    @property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Lag and delay of every isolated pair in steps."""
        grid = np.meshgrid(self.lags / self.dt, self.delays / self.dt, indexing="ij")
        return np.round(grid[0].ravel()).astype(int), np.round(grid[1].ravel()).astype(int)

    def _pairs(self) -> Experiment:
        lag, delay = self._grid
        everyone, first = np.arange(len(lag)), np.maximum(-lag, 0) + 10
        releases = first + np.maximum(lag, 0) + delay
        cells = Population("cells", self.neuron, len(lag))
        one = {"w": 0.0, "alpha": 0.0}
        synapses = PlasticConnection(
            SYNAPSES, "inputs", "cells", self.synapse, i=everyone, j=everyone, values=one
        )
        end = self._last(int(releases.max()))
        shown = np.array([self._shown])
        return Experiment(
            populations=(cells,),
            sources=(
                self._at("inputs", first),
                # One step before the cell fires.
                self._at("driving", first + lag - 1),
                self._at("modulatory", releases),
            ),
            connections=(
                Connection("driving", "cells", "v", i=everyone, j=everyone, weight=KICK),
                Connection(
                    "modulatory",
                    "cells",
                    f"conc_{LIGAND}",
                    i=everyone,
                    j=everyone,
                    weight=1 * umolar,
                ),
            ),
            traces=(
                Trace(SYNAPSES, ("eligibility", "E"), shown),
                Trace("cells", (f"conc_{LIGAND}",), shown),
            ),
            duration=end * self.dt,
            dt=self.dt,
            seed=self.seed,
            plastic=(synapses,),
        )

    @property
    def _shown(self) -> int:
        """Of the isolated pairs, the one whose course is drawn: shortest lag, middle delay."""
        lag, delay = self._grid
        middle = np.sort(np.unique(delay))[len(self.delays) // 2]
        candidates = np.flatnonzero((delay == middle) & (lag > 0))
        return int(candidates[lag[candidates].argmin()]) if len(candidates) else 0

    def _last(self, release: int) -> int:
        """Steps until a release at the last has acted, to a thousandth."""
        slowest = 1 / (1 / self.synapse.tau_e + 1 / self.neuron.tau_clear)
        return release + int(np.ceil(7 * float(slowest / self.dt))) + 2

    def _at(self, name: str, steps: np.ndarray) -> Spikes:
        """One spike of every neuron."""
        order = np.argsort(steps, kind="stable")
        return Spikes(name, len(steps), order, steps[order] * self.dt)

    def _credit(self, recording: Recording) -> pd.DataFrame:
        """What isolated pairs gained, and eligibility times concentration integrated."""
        lag, delay = (steps * self.dt for steps in self._grid)
        return pd.DataFrame(
            {
                "lag_ms": lag / ms,
                "delay_s": delay / second,
                "credit": np.asarray(recording.totals[SYNAPSES]["E"]),
                "closed_form": self.synapse.credit(self.neuron, lag, delay, 1 * umolar),
            }
        )

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Onset and stimulus of presentations, steps of releases, and spikes of the inputs."""
        draw = np.random.default_rng(self.seed)
        end = self._steps("duration", self.duration)
        least, mean = (float(t / self.dt) for t in (self.least_interval, self.interval))
        gaps = least + draw.exponential(mean - least, int(2 * end / mean) + 20)
        onsets = np.cumsum(gaps).astype(int)
        onsets = onsets[onsets < end - mean]
        # In random order, as often each as the number allows.
        shown = draw.permutation(np.arange(len(onsets)) % self.stimuli)
        low, high = np.asarray(self.reward_delays / self.dt)
        late = draw.uniform(low, high, len(onsets)).astype(int)
        releases = np.unique((onsets + late)[shown == 0])
        size = self.stimuli * self.volley
        spikes = draw.random((end, size)) < float(self.noise * self.dt)
        inputs = shown[:, None] * self.volley + np.arange(self.volley)
        spread = max(1, int(self.jitter / self.dt))
        spikes[onsets[:, None] + draw.integers(0, spread, inputs.shape), inputs] = True
        return onsets, shown, releases[releases < end], spikes

    @cached_property
    def _tissue(self) -> tuple[Quantity, Quantity]:
        """Where cells and modulatory neurons are."""
        draw = np.random.default_rng([self.seed, 1])
        places = draw.uniform(0, 1, (self.cells, 2)) * self.side
        return places, draw.uniform(0, 1, (self.releasing, 2)) * self.side

    @cached_property
    def _delivery(self) -> Delivery:
        places, sites = self._tissue
        cells = Population("cells", self.neuron, self.cells)
        return volume(LIGAND, cells, "modulatory", sites, places, self.amount, self.length,
                      self.neuron.tau_clear)  # fmt: skip

    @property
    def _reached(self) -> Quantity:
        """Concentration that all modulatory neurons together release at every cell."""
        (reached,) = self._delivery.connections
        sums = np.bincount(reached.j, np.asarray(reached.weight / umolar), self.cells)
        return sums * umolar

    def _conditioning(self) -> Experiment:
        _, _, releases, spikes = self._drawn
        step, neuron = np.nonzero(spikes)
        inputs = Spikes("inputs", spikes.shape[1], neuron, step * self.dt)
        reward = Spikes("reward", 1, np.zeros(len(releases), int), releases * self.dt)
        mean = self._reached * len(releases) * self.neuron.tau_clear / self.duration
        tonic = -self.expected * self.neuron.sensitivity * mean
        values = {**self._delivery.values, "tonic": np.asarray(tonic)}
        cells = Population("cells", self.neuron, self.cells, values)
        modulatory = Population("modulatory", PlasticLIF(), self.releasing)
        i, j = (side.ravel() for side in np.indices((inputs.size, self.cells)))
        weights = np.random.default_rng([self.seed, 2]).uniform(0.5, 1.5, len(i)) * self.synapse.w
        return Experiment(
            populations=(cells, modulatory),
            sources=(inputs, reward),
            connections=(
                Connection("reward", "modulatory", "v", i=np.zeros(self.releasing, int),
                           j=np.arange(self.releasing), weight=KICK),
                *self._delivery.connections,
            ),
            duration=self.duration,
            dt=self.dt,
            seed=self.seed,
            plastic=(PlasticConnection(SYNAPSES, "inputs", "cells", self.synapse, i=i, j=j, values={"w": weights}),),
        )  # fmt: skip

    def _plastic(self, recording: Recording) -> np.ndarray:
        """Plastic traces at the end, shape (stimuli, volley, cells)."""
        traces = np.asarray(recording.totals[SYNAPSES]["E"])
        return traces.reshape(self.stimuli, self.volley, self.cells)

    def _answers(self, recording: Recording) -> np.ndarray:
        """Spikes per cell in answer to every presentation, until the next may come."""
        onsets, _, _, _ = self._drawn
        spikes = recording.spikes["cells"]
        at = np.sort(np.round(np.asarray(spikes.times / self.dt)))
        window = int(self.least_interval / self.dt)
        found = np.searchsorted(at, onsets + window) - np.searchsorted(at, onsets)
        return np.asarray(found / self.cells)

    def _gains(self, recording: Recording) -> pd.DataFrame:
        """Plastic traces and answers of every stimulus."""
        onsets, shown, _, _ = self._drawn
        answers, plastic = self._answers(recording), self._plastic(recording)
        quarter = onsets * QUARTERS // self._steps("duration", self.duration)
        rows = [
            {
                "stimulus": number,
                "rewarded": number == 0,
                "presentations": int((shown == number).sum()),
                "plastic": plastic[number].mean(),
                "plastic_sd": plastic[number].std(),
                "response_first": answers[(shown == number) & (quarter == 0)].mean(),
                "response_last": answers[(shown == number) & (quarter == QUARTERS - 1)].mean(),
            }
            for number in range(self.stimuli)
        ]
        return pd.DataFrame(rows)

    def _by_cell(self, recording: Recording) -> pd.DataFrame:
        """Mean trace of the rewarded stimulus's synapses onto every cell."""
        plastic = self._plastic(recording)
        return pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                "release_uM": np.asarray(self._reached / umolar),
                "plastic_rewarded": plastic[0].mean(axis=0),
                "plastic_others": plastic[1:].mean(axis=(0, 1)),
            }
        )

    def _responses(self, recording: Recording) -> pd.DataFrame:
        """Spikes per cell in answer to each presentation."""
        onsets, shown, _, _ = self._drawn
        return pd.DataFrame(
            {
                "time_s": onsets * float(self.dt / second),
                "stimulus": shown,
                "response": self._answers(recording),
            }
        )

    def _plot_course(self, axes: Any, recording: Recording) -> None:
        times = np.asarray(recording.times / second)
        synapse = recording.signals[SYNAPSES]
        conc = recording.signals["cells"][f"conc_{LIGAND}"].values[0] / umolar
        axes.plot(times, synapse["eligibility"].values[0], color=BLUE, label="eligibility")
        axes.plot(times, conc, color=ORANGE, label="modulator (µM)")
        axes.plot(times, synapse["E"].values[0], color=RED, label="plastic trace E")
        axes.set(xlabel="time (s)", title="a  One pair, rewarded late", xlim=(0, None))
        axes.legend()


def _plot_lags(axes: Any, credit: pd.DataFrame) -> None:
    for color, (delay, rows) in zip(COLORS, credit.groupby("delay_s"), strict=False):
        axes.plot(rows.lag_ms, rows.credit, "o", color=color, ms=4, label=f"{delay:g} s")
        for side in (rows[rows.lag_ms < 0], rows[rows.lag_ms > 0]):
            axes.plot(side.lag_ms, side.closed_form, color=color, lw=1)
    axes.axhline(0, color=BLACK, lw=0.8)
    axes.set(xlabel="post after pre (ms)", ylabel="change of E",
             title="b  Credit of a pair (lines: closed form)")  # fmt: skip
    axes.legend(title="reward after")


def _plot_delays(axes: Any, credit: pd.DataFrame) -> None:
    shown = credit[credit.lag_ms > 0]
    for color, (lag, rows) in zip(COLORS, shown.groupby("lag_ms"), strict=False):
        axes.plot(rows.delay_s, rows.credit, "o", color=color, ms=4, label=f"{lag:g} ms")
        axes.plot(rows.delay_s, rows.closed_form, color=color, lw=1)
    axes.set(yscale="log", xlabel="reward after the pair (s)", ylabel="change of E",
             title="c  The later the less")  # fmt: skip
    axes.legend(title="post after pre")


def _plot_plastic(axes: Any, table: pd.DataFrame) -> None:
    colors = np.where(table.rewarded, RED, SKY)
    axes.bar(table.stimulus, table.plastic, yerr=table.plastic_sd, color=colors, capsize=2)
    axes.axhline(0, color=BLACK, lw=0.8)
    axes.set(xlabel="stimulus (0 is rewarded)", ylabel="plastic trace E at the end",
             title="d  What stimuli gained (bars: SD of synapses)")  # fmt: skip


def _plot_responses(axes: Any, responses: pd.DataFrame) -> None:
    edges = np.linspace(0, responses.time_s.max(), BINS + 1)
    bins = pd.cut(responses.time_s, edges, include_lowest=True)
    for rewarded, color, label in ((False, SKY, "others"), (True, RED, "rewarded")):
        found = responses[(responses.stimulus == 0) == rewarded].groupby(bins, observed=False)
        mean, spread = found.response.mean(), found.response.std()
        middle = (edges[1:] + edges[:-1]) / 2
        axes.errorbar(middle, mean, spread, color=color, marker="o", ms=4, capsize=2, label=label)
    axes.set(xlabel="time (s)", ylabel="spikes per cell", ylim=(0, None),
             title="e  Response to a presentation (bars: SD)")  # fmt: skip
    axes.legend()


def _plot_cells(axes: Any, cells: pd.DataFrame) -> None:
    axes.plot(cells.release_uM, cells.plastic_rewarded, "o", color=RED, ms=4, label="rewarded")
    axes.plot(cells.release_uM, cells.plastic_others, "o", color=SKY, ms=4, label="others")
    axes.set(xlabel="modulator per reward at the cell (µM)", ylabel="plastic trace E, mean",
             title="f  Volume transmission")  # fmt: skip
    axes.legend()
