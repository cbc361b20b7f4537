"""What two tasks have in common: networks with and without plasticity learn them and are compared.

The base of the protocols ``cue-association`` and ``pattern-recall``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, ms, second

from neuromod.errors import UserError
from neuromod.experiment import Experiment, steps_in
from neuromod.parameters import parameter
from neuromod.plasticity.learning import ROUND, Learned, Recipe, learn, success
from neuromod.plasticity.network import NETWORKS, TAU_C_S, Shape, State
from neuromod.plasticity.rules import RULES, START
from neuromod.plasticity.storage import save_network
from neuromod.plasticity.tasks import Difficulty, Task
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, ORANGE, PURPLE, SKY, panels
from neuromod.support.log import note, stage
from neuromod.support.progress import task as progress_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = dict(zip(NETWORKS, (BLACK, SKY, ORANGE, BLUE, PURPLE), strict=True))
MARKERS = dict(zip(NETWORKS, "xo^sD", strict=True))
STARTS = START | {"tau_c_s": TAU_C_S}
SYMBOLS = {
    "eta_Hz": "η", "tau_pre_s": "τ pre", "tau_post_s": "τ post", "tau_theta_s": "τ θ",
    "target": "y₀", "tau_e_s": "τ e", "tau_c_s": "τ c",
}  # fmt: skip
COURSE_EPISODES = 64
"""Episodes over which the course of plastic traces is averaged (chosen)."""


@dataclass(frozen=True, eq=False)
class FiveNetworks(Protocol):
    """Settings, measures and figure of a comparison; a subclass brings the task."""

    shown = ("summary",)
    simulates = False
    noise_column: ClassVar[str]
    noise_axis: ClassVar[str]
    noise_label: ClassVar[str]
    durations: ClassVar[tuple[str, ...]]

    networks: tuple[str, ...] = parameter(
        tuple(NETWORKS),
        "networks compared",
        source="Schmidgall et al. 2021: Oja's and the BCM rule, their modulated kin, and none",
        choices=tuple(NETWORKS),
    )
    gate: str = parameter(
        "direct",
        "what modulation gates: the change itself, or an eligibility trace, which gives credit "
        "for what was",
        source="Miconi et al. 2019 have both; chosen here",
        choices=("direct", "eligibility"),
    )
    seeds: int = parameter(3, "networks of each kind", source="chosen here", low=1)
    hidden: int = parameter(20, "neurons of the plastic layer", source="chosen here", low=1)
    modulators: int = parameter(
        4, "modulatory neurons of a modulated network", source="chosen here", low=1
    )
    delays: Quantity = parameter(
        np.array([0, 50, 150, 300]) * ms,
        "delays before the answer, in the test",
        source="chosen here",
        low=0 * second,
    )
    learned_delays: Quantity = parameter(
        np.array([0, 50, 100, 150]) * ms,
        "delays before the answer, in learning",
        source="chosen here",
        low=0 * second,
    )
    steps: int = parameter(
        200, f"steps of learning, a multiple of {ROUND}", source="chosen here", low=1
    )
    batch: int = parameter(32, "episodes in a step of learning", source="chosen here", low=1)
    lr: float = parameter(
        0.02,
        "learning rate of Adam at the start; it falls to zero as a cosine",
        source="chosen here",
        low=0,
        low_excluded=True,
    )
    episodes: int = parameter(400, "test episodes at every difficulty", source="chosen here", low=1)
    slope: float = parameter(
        5.0,
        "steepness of the surrogate of a spike's derivative",
        source="chosen here; fast sigmoid of Zenke & Ganguli 2018",
        low=0,
        low_excluded=True,
    )
    tau_m: Quantity = parameter(
        20 * ms, "time constant of membranes and readout", source="chosen here: as gain-lif's",
        low=0 * second, low_excluded=True,
    )  # fmt: skip
    dt: Quantity = parameter(
        5 * ms,
        "time step",
        source="chosen here: a quarter of tau_m, for speed",
        low=0 * second,
        low_excluded=True,
    )

    @property
    def task(self) -> Task:
        """The task that all networks learn."""
        raise NotImplementedError

    @property
    def noises(self) -> tuple[np.ndarray, np.ndarray]:
        """Noise to learn from and to be tested with, in the task's unit."""
        raise NotImplementedError

    def experiments(self) -> dict[str, Experiment]:
        """None: networks live in torch. Settings are checked here, before the work."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        if len(set(self.networks)) < len(self.networks):
            raise UserError(f"networks name one twice: {', '.join(self.networks)}.")
        for name in self.durations:
            for duration in np.atleast_1d(getattr(self, name)):
                steps_in(name, duration, self.dt)
        highest = self.task.highest_rate(float(np.max(self.noises[1])))
        if highest * float(self.dt / second) > 1:
            raise UserError(
                f"Inputs of {highest:g} Hz would spike more than once in a time step of {self.dt}."
            )
        self._recipes  # noqa: B018
        return {}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:  # noqa: ARG002
        """Success of all networks at every difficulty, how they learned, and what rule."""
        with stage("learning"):
            learned = self._learned
        with stage("testing"):
            table = self._tested()
        return {
            "table": table,
            "summary": self._summary(table),
            "curves": pd.concat([_labelled(one, one.history) for one in learned]),
            "rules": pd.DataFrame([_label(one) | one.network.rule_values() for one in learned]),
            "course": self._course(),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:  # noqa: ARG002
        """Learning, success against delay and noise, an episode's course, and learned rules."""
        layout = [["curves", "delay", "noise"], ["plastic", "modulator", "rules"]]
        figure, axes = panels(layout, width=11, height=6.5)
        _plot_curves(axes["curves"], tables["curves"], self._chance)
        self._plot_success(axes["delay"], axes["noise"], tables["table"])
        _plot_course(axes["plastic"], axes["modulator"], tables["course"])
        _plot_rules(axes["rules"], tables["rules"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Who solves the task, what is learned, and how this was measured."""
        return [
            Section("Success", self._on_success(tables["summary"]), "summary"),
            Section("Learned rules", self._on_rules(tables["rules"]), "rules"),
            Section("How this was measured", self._on_method(), ""),
        ]

    def save_extras(self, folder: Path) -> None:
        """Write every network that has learned."""
        for one in self._learned:
            recipe = one.recipe
            about = {"task": type(recipe.task).__name__, "seed": recipe.seed}
            name = f"{recipe.shape.network}-{recipe.seed}.safetensors"
            save_network(folder / name, one.network, about)

    @cached_property
    def _recipes(self) -> list[Recipe]:
        dt_s, tau_s = float(self.dt / second), float(self.tau_m / second)
        shapes = [
            Shape(
                self.task.inputs, self.hidden, self.task.outputs, network, self.gate,
                self.modulators, dt_s, tau_s, tau_s, self.slope,
            )
            for network in self.networks
        ]  # fmt: skip
        noises, delays = self.noises[0], np.asarray(self.learned_delays)
        return [
            Recipe(shape, self.task, tuple(noises.tolist()), tuple(delays.tolist()), self.steps,
                   self.batch, self.lr, self.seed + number)
            for shape in shapes
            for number in range(self.seeds)
        ]  # fmt: skip

    @cached_property
    def _learned(self) -> list[Learned]:
        recipes, bar = self._recipes, progress_of("learning")
        learned: list[Learned] = []
        for done, recipe in enumerate(recipes):

            def progress(own: int, steps: int, done: int = done) -> None:
                bar(done * steps + own, len(recipes) * steps)

            learned.append(learn(recipe, progress))
        note("steps of learning from cache", sum(one.resumed for one in learned))
        return learned

    @property
    def _chance(self) -> float:
        return 1 / self.task.outputs

    def _tested(self) -> pd.DataFrame:
        """Success of every network at every difficulty."""
        bar = progress_of("testing")
        rows = []
        for done, one in enumerate(self._learned):
            for noise in self.noises[1].tolist():
                for delay in np.asarray(self.delays).tolist():
                    share = success(one.network, self.task, Difficulty(noise, delay),
                                    self.episodes, one.recipe.seed)  # fmt: skip
                    rows.append({self.noise_column: noise, "delay_ms": round(1e3 * delay, 6),
                                 "success": share} | _label(one))  # fmt: skip
            bar(done + 1, len(self._learned))
        table = pd.DataFrame(rows)
        return table[["network", "seed", self.noise_column, "delay_ms", "success"]]

    def _summary(self, table: pd.DataFrame) -> pd.DataFrame:
        """Means over difficulties, as far as they were learned from and beyond; spread of seeds."""
        within = table[self.noise_column] <= self.noises[0].max()
        within &= table.delay_ms <= float(np.max(self.learned_delays) / ms) + 1e-6
        parameters = {one.recipe.shape.network: one.network.n_trained for one in self._learned}
        rows = []
        for network in self.networks:
            row: dict[str, Any] = {"network": network, "parameters": parameters[network]}
            for name, chosen in (("learned", within), ("beyond", ~within)):
                own = table[(table.network == network) & chosen].groupby("seed").success.mean()
                row |= {f"success_{name}_mean": own.mean(), f"success_{name}_sd": own.std()}
            rows.append(row)
        return pd.DataFrame(rows)

    def _course(self) -> pd.DataFrame:
        """Plastic traces and modulator over episodes of middling difficulty, means of all."""
        noise = self.noises[0][len(self.noises[0]) // 2]
        delay = float(self.learned_delays[-1] / second)
        dt_ms = float(self.dt / ms)
        parts = []
        for one in self._learned:
            rng = np.random.default_rng([one.recipe.seed, 2])
            drawn = self.task.draw(rng, COURSE_EPISODES, Difficulty(noise, delay), dt_ms / 1e3)
            with torch.no_grad():
                rows = [_moment(state) for state in one.network.steps(drawn.spikes)]
            course = pd.DataFrame(rows)
            course.insert(0, "time_ms", dt_ms * np.arange(1, len(course) + 1))
            parts.append(_labelled(one, course))
        return pd.concat(parts, ignore_index=True)

    def _plot_success(self, delay_axes: Any, noise_axes: Any, table: pd.DataFrame) -> None:
        """Success against each of the two, at the most of the other that was learned from."""
        most_noise, most_delay = self.noises[0].max(), float(np.max(self.learned_delays) / ms)
        noise = _nearest(table[self.noise_column], most_noise)
        delay = _nearest(table.delay_ms, most_delay)
        at_noise, at_delay = table[self.noise_column] == noise, table.delay_ms == delay
        _plot_spread(delay_axes, table[at_noise], "delay_ms", self._chance)
        _plot_spread(noise_axes, table[at_delay], self.noise_column, self._chance)
        delay_axes.axvline(most_delay, color=BLACK, lw=0.8, ls=":")
        noise_axes.axvline(most_noise, color=BLACK, lw=0.8, ls=":")
        delay_axes.set(xlabel="delay (ms); learned up to dotted line", ylabel="success",
                       title=f"b  Success at {self.noise_label % noise}")  # fmt: skip
        noise_axes.set(xlabel=f"{self.noise_axis}; learned up to dotted line", ylabel="success",
                       title=f"c  Success at a delay of {delay:.3g} ms")  # fmt: skip

    def _on_success(self, summary: pd.DataFrame) -> str:
        listed = "; ".join(
            f"{row.network} {_percent(row.success_learned_mean, row.success_learned_sd)}, beyond "
            f"{_percent(row.success_beyond_mean, row.success_beyond_sd)}"
            for row in summary.itertuples()
        )
        return (
            f"Episodes answered right, mean and standard deviation over {self.seeds} networks of "
            "each kind, at noises and delays as far as they were learned from, and beyond: "
            f"{listed}. Guessing is right in {100 * self._chance:.0f} %, and {self.episodes} "
            f"episodes tell a share to {50 / self.episodes**0.5:.2g} points at best. "
            + _on_best(summary)
        )

    def _on_rules(self, rules: pd.DataFrame) -> str:
        names = [name for name in STARTS if name in rules]
        means = rules.groupby("network", sort=False)[names].mean().dropna(how="all")
        listed = "; ".join(
            f"{network}: " + ", ".join(f"{name} {value:.2g}" for name, value in row.items())
            for network, row in ((network, row.dropna()) for network, row in means.iterrows())
        )
        starts = ", ".join(f"{name} {STARTS[name]:g}" for name in names)
        return (
            f"Means over seeds of what was learned for the layer: {listed}. All started at "
            f"{starts}. The coefficient alpha is learned for each synapse; alpha_rms is its root "
            "mean square. M = tonic + sensitivity c is learned for each neuron of a modulated "
            "layer."
        )

    def _on_method(self) -> str:
        return (
            "All networks have the same inputs, plastic layer and readout, and networks of one "
            "seed start with the same fixed weights; modulated ones have "
            f"{self.modulators} modulatory neurons besides. The layer's neurons also reach each "
            "other, so that a network without plasticity has a memory too, in its activity. "
            f"Every network learns for {self.steps} steps of {self.batch} new episodes. Plastic "
            "traces start at 0 in every episode. Test episodes are drawn apart, the same for all "
            "networks of one seed."
        )


def _label(one: Learned) -> dict[str, Any]:
    return {"network": one.recipe.shape.network, "seed": one.recipe.seed}


def _labelled(one: Learned, table: pd.DataFrame) -> pd.DataFrame:
    """The table with network and seed as first columns."""
    return pd.concat([pd.DataFrame([_label(one)] * len(table), index=table.index), table], axis=1)


def _nearest(column: pd.Series, value: float) -> float:
    return float(column.iloc[(column - value).abs().argmin()])


def _moment(state: State) -> dict[str, float]:
    """Means over a batch of episodes, nothing where there is nothing."""
    found = {"rate_per_step": float(state.spikes.mean())}
    if state.traces is not None:
        found["plastic_rms"] = float(state.traces.plastic.square().mean().sqrt())
    if state.modulator is not None:
        found["concentration"] = float(state.modulator.concentration.mean())
    return found


def _percent(mean: float, sd: float) -> str:
    spread = "" if np.isnan(sd) else f" ± {100 * sd:.0f}"
    return "not tested" if np.isnan(mean) else f"{100 * mean:.0f}{spread} %"


def _on_best(summary: pd.DataFrame) -> str:
    """What plasticity brings over none, and modulation over plasticity, where both are there."""
    mean = 100 * summary.set_index("network").success_learned_mean
    plastic = mean.drop("none", errors="ignore")
    told = ""
    if "none" in mean.index and not plastic.empty:
        gains = plastic - mean["none"]
        told = (
            f"Plastic networks do {gains.min():+.0f} to {gains.max():+.0f} points better than the "
            "network without plasticity where they have learned. "
        )
    pairs = [rule for rule in RULES if {rule, f"modulated-{rule}"} <= set(mean.index)]
    if pairs:
        changes = (f"{mean[f'modulated-{r}'] - mean[r]:+.1f} points ({r})" for r in pairs)
        told += f"Modulation changes that by {' and '.join(changes)}."
    return told


def _plot_spread(axes: Any, table: pd.DataFrame, column: str, chance: float) -> None:
    """Success of every kind of network against a column: mean and standard deviation of seeds."""
    axes.axhline(chance, color=BLACK, lw=0.8, ls="--")
    for network, rows in table.groupby("network", sort=False):
        found = rows.groupby(column).success.agg(["mean", "std"])
        axes.errorbar(found.index, found["mean"], found["std"].fillna(0), color=COLORS[network],
                      marker=MARKERS[network], ms=4, capsize=2)  # fmt: skip
    axes.set_ylim(0, 1.03)


def _plot_curves(axes: Any, curves: pd.DataFrame, chance: float) -> None:
    axes.axhline(chance, color=BLACK, lw=0.8, ls="--")
    for network, rows in curves.groupby("network", sort=False):
        found = rows.groupby("step").success.agg(["mean", "std"]).fillna(0)
        low, high = found["mean"] - found["std"], found["mean"] + found["std"]
        axes.fill_between(found.index, low, high, color=COLORS[network], alpha=0.2, lw=0)
        axes.plot(found.index, found["mean"], color=COLORS[network], marker=MARKERS[network],
                  ms=3, label=network)  # fmt: skip
    axes.set(xlabel="step of learning", ylabel="success", ylim=(0, 1.03),
             title="a  Learning (dashed: guessing)")  # fmt: skip
    axes.legend(loc="lower right", ncols=2)


def _plot_course(plastic: Any, modulator: Any, course: pd.DataFrame) -> None:
    for axes, column in ((plastic, "plastic_rms"), (modulator, "concentration")):
        if column not in course:
            axes.set_axis_off()
            continue
        for network, rows in course.dropna(subset=[column]).groupby("network", sort=False):
            means = rows.groupby("time_ms")[column].mean()
            axes.plot(means.index, means, color=COLORS[network], label=network)
        axes.set(xlabel="time in an episode (ms)", ylim=(0, None))
    plastic.set(ylabel="plastic trace E (rms)", title="d  Plastic traces")
    modulator.set(ylabel="concentration c", title="e  Modulator")


def _plot_rules(axes: Any, rules: pd.DataFrame) -> None:
    """Learned values over those at the start."""
    names = [name for name in STARTS if name in rules]
    for row in rules.itertuples():
        number = list(COLORS).index(row.network)
        at = np.arange(len(names)) + 0.15 * (number - 2.5)
        ratios = [getattr(row, name) / STARTS[name] for name in names]
        axes.plot(ratios, at, MARKERS[row.network], color=COLORS[row.network], ms=4)
    axes.axvline(1, color=BLACK, lw=0.8, ls="--")
    axes.set_yticks(range(len(names)), [SYMBOLS[name] for name in names])
    axes.set(xlabel="learned value over its start", title="f  Learned rules")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
