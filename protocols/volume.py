"""Volume transmission: releases of modulatory neurons into the tissue, over distance and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, nA, second, um, umolar

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.modulators import volume
from neuromod.inputs.spikes import poisson
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (BLUE, GREEN, ORANGE, RED, PURPLE, SKY)


@dataclass(frozen=True, eq=False)
class Volume(Protocol):
    """Gain of cells over distance and time when modulatory neurons release into the tissue.

    A release reaches a neighbourhood, not a synapse: it raises the concentration around it by an
    exponential of the distance, and is then cleared. One neuron in the middle of the tissue fires
    a burst; then many at random places fire at random. Concentrations are laid beside the sum of
    all releases in closed form.
    """

    shown: ClassVar[tuple[str, ...]] = ("profile", "tissue")

    neuron: GainLIF = parameter(GainLIF(), "the cells", source="see its own")
    side: Quantity = parameter(
        200 * um,
        "side of the square, or cube, of tissue",
        source="chosen here",
        low=0 * um,
        low_excluded=True,
    )
    dimensions: int = parameter(2, "of the tissue", source="chosen here", low=2, high=3)
    cells: int = parameter(300, "cells at random places", source="chosen here", low=2)
    amount: Quantity = parameter(
        0.5 * umolar,
        "rise of concentration at the place of one release",
        source="chosen here: releases sum to around K_D",
        low=0 * umolar,
        low_excluded=True,
    )
    length: Quantity = parameter(
        30 * um,
        "space constant of a release",
        source="chosen here: between dopamine and noradrenaline in cortex",
        low=0 * um,
        low_excluded=True,
    )
    tau_clear: Quantity = parameter(
        500 * ms,
        "time constant of clearance",
        source="chosen here: of the order of dopamine's in cortex",
        low=0 * second,
        low_excluded=True,
    )
    burst: int = parameter(10, "spikes of the burst", source="chosen here", low=1)
    burst_interval: Quantity = parameter(
        50 * ms, "between spikes of the burst", source="chosen here: 20 Hz", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    releasing: int = parameter(
        12, "modulatory neurons at random places", source="chosen here", low=1
    )
    rate: Quantity = parameter(
        5 * Hz, "rate of each", source="chosen here: as neuromodulatory neurons fire", low=0 * Hz,
        low_excluded=True,
    )  # fmt: skip
    active: Quantity = parameter(
        3 * second,
        "how long they fire",
        source="chosen here: several time constants",
        low=0 * second,
        low_excluded=True,
    )
    after: Quantity = parameter(
        2.5 * second, "time recorded after the last release", source="chosen here", low=0 * second
    )
    I: Quantity = parameter(  # noqa: E741
        0.7 * nA, "current injected into the cells", source="chosen here: above rheobase"
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
        for name in ("burst_interval", "active", "after"):
            steps_in(name, getattr(self, name), self.dt)
        refuse_changed("neuron", self.neuron, ["I_ext"], "set I")
        refuse_changed("neuron", self.neuron, ["conc", "tau_clear"], "tissue starts without")
        refuse_changed("neuron", self.neuron, ["delivery"], "releases are exchanged")
        refuse_changed("neuron", self.neuron, ["modulated"], "receptors are what is measured")
        if self.length * 2 > self.side:
            raise UserError(
                f"length = {self.length} must be at most half of the tissue's side of {self.side}."
            )
        if self.active < 4 * self.tau_clear:
            raise UserError(
                f"active = {self.active} must be at least 4 times tau_clear = {self.tau_clear}, "
                "for a mean in the steady state."
            )

    def experiments(self) -> dict[str, Experiment]:
        """A burst in the middle of the tissue, and random releases all over it."""
        return {"burst": self._experiment("burst"), "tissue": self._experiment("tissue")}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Every cell's response to the burst, the profile of one release, and mean levels."""
        table = self._responses(recordings["burst"])
        tissue = self._means(recordings["tissue"])
        worst = [self._deviation(kind, recordings[kind]) for kind in ("burst", "tissue")]
        rise, length, error = self._profile(recordings["burst"])
        profile = pd.DataFrame(
            {
                "amount_uM": [float(self.amount / umolar)],
                "fitted_amount_uM": [rise],
                "length_um": [float(self.length / um)],
                "fitted_length_um": [length],
                "fitted_length_se_um": [error],
                "conc_deviation": [max(worst)],
            }
        )
        return {"table": table, "profile": profile, "tissue": tissue}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Distance and time after the burst, the profile of a release, and the tissue's map."""
        layout = [["map", "conc", "gain"], ["profile", "tissue", "mean"]]
        figure, axes = panels(layout, width=13, height=7.5)
        self._plot_distance_and_time(axes["map"], recordings["burst"])
        self._plot_courses(axes["conc"], axes["gain"], tables["table"], recordings["burst"])
        self._plot_profile(axes["profile"], recordings["burst"])
        self._plot_tissue(axes["tissue"], tables["tissue"])
        self._plot_means(axes["mean"], tables["tissue"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """The burst over distance, the fitted space constant, and the steady mean."""
        table, tissue = tables["table"], tables["tissue"]
        profile = tables["profile"].iloc[0]
        near, far = table.iloc[0], table.iloc[-1]
        ratio = tissue.mean_conc_uM.sum() / tissue.expected_conc_uM.sum()
        return [
            Section(
                "One release",
                "A line through the logarithm of the concentrations after the burst's first spike "
                f"gives a space constant of {profile.fitted_length_um:.4g} ± "
                f"{profile.fitted_length_se_um:.1g} µm; {profile.length_um:.4g} µm were set. All "
                "concentrations are off the sum of releases in closed form by at most "
                f"{profile.conc_deviation:.1g} of the highest; the kernel is cut off at 7 space "
                "constants, where 0.001 of it is left.",
                "profile",
            ),
            Section(
                "A burst over distance and time",
                f"The cell {near.distance_um:.3g} µm from the burst reaches a gain of "
                f"{near.peak_gain:.3g} after {near.peak_s:.3g} s, the one {far.distance_um:.3g} µm "
                f"away {far.peak_gain:.3g}. Concentrations peak with the last spike everywhere, as "
                "the kernel spreads at once; gains peak later.",
                "table",
            ),
            Section(
                "Releases all over the tissue",
                "Means from four time constants of clearance on until the neurons fall silent. At "
                "a steady rate the mean concentration tends to amount times rate times tau_clear "
                "times the sum of kernels: here the cells' means add up to "
                f"{ratio:.3g} of that, of spikes drawn at random.",
                "tissue",
            ),
        ]

    @property
    def _ligand(self) -> str:
        return self.neuron.ligands[0]

    def _places(self) -> tuple[Quantity, dict[str, Quantity]]:
        """Where the cells are, and where each experiment's neurons release."""
        draw = np.random.default_rng(self.seed)
        cells = draw.uniform(0, 1, (self.cells, self.dimensions)) * self.side
        sites = draw.uniform(0, 1, (self.releasing, self.dimensions)) * self.side
        return cells, {"burst": np.full((1, self.dimensions), 0.5) * self.side, "tissue": sites}

    def _releases(self, kind: str) -> Spikes:
        start = 100 * self.dt
        if kind == "burst":
            times = start + np.arange(self.burst) * self.burst_interval
            return Spikes("releasing", 1, np.zeros(self.burst, dtype=int), times)
        draw = np.random.default_rng([self.seed, 1])
        return poisson("releasing", self.releasing, self.rate, self.dt, self.active, self.dt, draw)

    def _released(self, kind: str) -> Quantity:
        """When the last neuron falls silent."""
        return self._releases(kind).times[-1] + self.dt if kind == "burst" else self.active

    def _experiment(self, kind: str) -> Experiment:
        places, sites = self._places()
        population = Population("cells", replace(self.neuron, delivery="exchange"), self.cells)
        delivery = volume(self._ligand, population, "releasing", sites[kind], places, self.amount,
                          self.length, self.tau_clear)  # fmt: skip
        trace = Trace("cells", (f"conc_{self._ligand}", "gain"), np.arange(self.cells))
        return Experiment(
            populations=(replace(population, values={**delivery.values, "I_ext": self.I}),),
            sources=(self._releases(kind),),
            connections=delivery.connections,
            traces=(trace,),
            duration=self._released(kind) + self.after,
            dt=self.dt,
            seed=self.seed,
        )

    def _distances(self, kind: str) -> np.ndarray:
        """From every cell to every site in micrometre, shape (cells, sites)."""
        places, sites = self._places()
        apart = (places / um)[:, None, :] - (sites[kind] / um)[None, :, :]
        return np.asarray(np.linalg.norm(apart, axis=2))

    def _exact(self, kind: str, times: Quantity) -> np.ndarray:
        """Concentrations in uM as the sum of all releases, shape (cells, steps)."""
        releases = self._releases(kind)
        left = np.zeros((releases.size, len(times)))
        for site, time in zip(releases.neurons, releases.times, strict=True):
            # A spike acts from the next step on, and is seen at the end of that.
            since = np.asarray((times - time - self.dt) / self.tau_clear)
            left[site] += np.where(since > 1e-9, np.exp(-np.maximum(since, 0)), 0)
        kernel = np.exp(-self._distances(kind) / float(self.length / um))
        return np.asarray(float(self.amount / umolar) * kernel @ left)

    def _conc(self, recording: Recording) -> np.ndarray:
        return np.asarray(recording.signals["cells"][f"conc_{self._ligand}"].values / umolar)

    def _gain(self, recording: Recording) -> np.ndarray:
        return np.asarray(recording.signals["cells"]["gain"].values)

    def _deviation(self, kind: str, recording: Recording) -> float:
        exact = self._exact(kind, recording.times)
        return float(np.abs(self._conc(recording) - exact).max() / exact.max())

    def _responses(self, recording: Recording) -> pd.DataFrame:
        conc, gain = self._conc(recording), self._gain(recording)
        first = float(self._releases("burst").times[0] / second)
        change = np.abs(gain - gain[:, :1])
        at = change.argmax(axis=1)
        table = pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                "distance_um": self._distances("burst")[:, 0],
                "peak_conc_uM": conc.max(axis=1),
                "peak_gain": gain[np.arange(self.cells), at],
                "peak_s": at * float(self.dt / second) - first,
                "spikes": recording.spikes["cells"].counts(),
            }
        )
        return table.sort_values("distance_um", ignore_index=True)

    def _after_first(self, recording: Recording) -> np.ndarray:
        """Every cell's concentration in uM when the first release of the burst is seen."""
        step = steps_in("release", self._releases("burst").times[0], self.dt) + 2
        return np.asarray(self._conc(recording)[:, step])

    def _profile(self, recording: Recording) -> tuple[float, float, float]:
        """Amount in uM and space constant in micrometre with its error, from the first release."""
        level = self._after_first(recording)
        reached = level > 0
        if reached.sum() < 3:
            return float("nan"), float("nan"), float("nan")
        distance = self._distances("burst")[reached, 0]
        (slope, start), variance = np.polyfit(distance, np.log(level[reached]), 1, cov=True)
        passed = float(self.dt / self.tau_clear)
        return (
            float(np.exp(start + passed)),
            float(-1 / slope),
            float(np.sqrt(variance[0, 0]) / slope**2),
        )

    def _means(self, recording: Recording) -> pd.DataFrame:
        steady = slice(
            *(round(float(time / self.dt)) for time in (4 * self.tau_clear, self.active))
        )
        kernel = np.exp(-self._distances("tissue") / float(self.length / um)).sum(axis=1)
        places, _ = self._places()
        expected = float(self.amount / umolar * self.rate * self.tau_clear) * kernel
        columns = {
            f"{axis}_um": places[:, k] / um for k, axis in enumerate("xyz"[: self.dimensions])
        }
        gain = self._gain(recording)
        return pd.DataFrame(
            {
                "cell": np.arange(self.cells),
                **columns,
                "nearest_um": self._distances("tissue").min(axis=1),
                "mean_conc_uM": self._conc(recording)[:, steady].mean(axis=1),
                "expected_conc_uM": expected,
                "mean_gain": gain[:, steady].mean(axis=1),
                "peak_gain": gain.max(axis=1) if gain.max() > gain[0, 0] else gain.min(axis=1),
            }
        )

    def _plot_distance_and_time(self, axes: Any, recording: Recording) -> None:
        distance = self._distances("burst")[:, 0]
        edges = np.linspace(0, distance.max(), 26)
        within = np.digitize(distance, edges[1:-1])
        gain = self._gain(recording)
        rows = [gain[within == k].mean(axis=0) if (within == k).any()
                else np.full(gain.shape[1], np.nan) for k in range(len(edges) - 1)]  # fmt: skip
        times = np.asarray(recording.times / second)
        every = max(1, len(times) // 600)
        image = axes.pcolormesh(times[::every], (edges[1:] + edges[:-1]) / 2,
                                np.array(rows)[:, ::every], cmap="viridis",
                                rasterized=True)  # fmt: skip
        axes.figure.colorbar(image, ax=axes, label="gain")
        axes.set(xlabel="time (s)", ylabel="distance (µm)", title="a  Burst: gain")

    def _plot_courses(
        self, conc_axes: Any, gain_axes: Any, table: pd.DataFrame, recording: Recording
    ) -> None:
        times = np.asarray(recording.times / second)
        wanted = np.arange(len(COLORS)) * float(self.length / um) * 0.75
        exact = self._exact("burst", recording.times)
        shown = dict.fromkeys(
            int(table.cell[(table.distance_um - d).abs().idxmin()]) for d in wanted
        )
        distance = self._distances("burst")[:, 0]
        for color, cell in zip(COLORS, shown, strict=False):
            label = f"{distance[cell]:.0f} µm"
            conc_axes.plot(times, self._conc(recording)[cell], color=color, label=label)
            conc_axes.plot(times, exact[cell], ":", color=BLACK, lw=0.8)
            gain_axes.plot(times, self._gain(recording)[cell], color=color, label=label)
        conc_axes.plot([], [], ":", color=BLACK, lw=0.8, label="closed form")
        conc_axes.set(xlabel="time (s)", ylabel=f"{self._ligand} (µM)",
                      title="b  Burst: concentration")  # fmt: skip
        gain_axes.set(xlabel="time (s)", ylabel="gain", title="c  Burst: gain")
        conc_axes.legend()

    def _plot_profile(self, axes: Any, recording: Recording) -> None:
        level, distance = self._after_first(recording), self._distances("burst")[:, 0]
        reached = level > 0
        axes.plot(distance[reached], level[reached], ".", color=BLUE, ms=4, label="cells")
        fine = np.linspace(0, distance.max(), 100)
        kernel = float(self.amount / umolar) * np.exp(-fine / float(self.length / um))
        axes.plot(fine, kernel, color=BLACK, lw=1, label="kernel")
        axes.set(yscale="log", xlabel="distance (µm)", ylabel=f"{self._ligand} (µM)",
                 title="d  One release")  # fmt: skip
        axes.legend()

    def _plot_tissue(self, axes: Any, tissue: pd.DataFrame) -> None:
        _, sites = self._places()
        dots = axes.scatter(tissue.x_um, tissue.y_um, c=tissue.mean_gain, s=14, cmap="viridis")
        axes.plot(*(sites["tissue"][:, k] / um for k in (0, 1)), "x", color=RED, ms=8, mew=2,
                  label="release", clip_on=False)  # fmt: skip
        axes.figure.colorbar(dots, ax=axes, label="mean gain")
        depth = "" if self.dimensions == 2 else ", seen from above"
        axes.set(aspect="equal", xlabel="x (µm)", ylabel="y (µm)", title=f"e  Tissue{depth}")
        axes.legend(loc="lower left", bbox_to_anchor=(0.7, 1))

    def _plot_means(self, axes: Any, tissue: pd.DataFrame) -> None:
        top = max(tissue.expected_conc_uM.max(), tissue.mean_conc_uM.max())
        axes.plot(tissue.expected_conc_uM, tissue.mean_conc_uM, ".", color=BLUE, ms=4)
        axes.plot([0, top], [0, top], color=BLACK, lw=1, label="equal")
        axes.set(xlabel=f"{self._ligand}, closed form of the mean (µM)",
                 ylabel=f"{self._ligand}, simulated mean (µM)",
                 title="f  Tissue: mean concentration")  # fmt: skip
        axes.legend()
