"""Networks with and without plasticity learn one task and are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, ms, second
from brian2.units.fundamentalunits import Unit

from neuromod.checks import check_distinct, steps_in
from neuromod.parameters import not_negative, parameter, positive
from neuromod.plasticity.learning import (
    EPISODES_AT_ONCE,
    ROUND,
    Learned,
    Recipe,
    learn_all,
    success,
)
from neuromod.plasticity.network import Shape, State
from neuromod.plasticity.storage import save_network
from neuromod.plasticity.tasks import Difficulty, Task
from neuromod.protocol import Tables, Training
from neuromod.protocols.families.five_networks import page
from neuromod.protocols.families.five_networks.settings import compared_networks, gate_of_modulation
from neuromod.protocols.families.timing import time, time_step
from neuromod.support.log import stage
from neuromod.support.progress import watched

# Shares of a pattern exchanged from which `PatternRecall` learns.
LEARNED_SHARES = np.array([0, 1 / 6, 1 / 3])
# Episodes over which the course of plastic traces is averaged (chosen here).
COURSE_EPISODES = 64


@dataclass(frozen=True, eq=False)
class FiveNetworks(Training):
    """Base of studies in which five networks learn one task; a subclass brings task and noise."""

    shown = ("summary",)
    noise_unit: ClassVar[Unit | float] = 1.0
    noise_column: ClassVar[str]
    noise_axis: ClassVar[str]
    noise_label: ClassVar[str]

    task: Task = parameter(Task(), "the task", "see its own")
    noise: Any = not_negative(np.zeros(1), "noise in the test", "chosen here")
    learned_noise: Any = not_negative(np.zeros(1), "noise in learning", "chosen here")
    networks: tuple[str, ...] = compared_networks()
    gate: str = gate_of_modulation()
    seeds: int = parameter(3, "networks of each kind", "chosen here", low=1)
    hidden: int = parameter(20, "neurons of the plastic layer", "chosen here", low=1)
    modulators: int = parameter(
        4, "modulatory neurons of a modulated network", "chosen here", low=1
    )
    delays: Quantity = not_negative(
        np.array([0, 50, 150, 300]) * ms, "delays before the answer, in the test", "chosen here"
    )
    learned_delays: Quantity = not_negative(
        np.array([0, 50, 100, 150]) * ms, "delays before the answer, in learning", "chosen here"
    )
    steps: int = parameter(200, f"steps of learning, a multiple of {ROUND}", "chosen here", low=1)
    batch: int = parameter(32, "episodes in a step of learning", "chosen here", low=1)
    lr: float = positive(
        0.02, "Adam's learning rate at the start; it falls to zero as a cosine", "chosen here"
    )
    episodes: int = parameter(400, "test episodes at every difficulty", "chosen here", low=1)
    slope: float = positive(
        5.0,
        "steepness of the surrogate of a spike's derivative",
        "chosen here; fast sigmoid of Zenke & Ganguli 2018",
    )
    tau_m: Quantity = time(20 * ms, "time constant of membranes and readout", "that of gain-lif")
    dt: Quantity = time_step(5 * ms, "a quarter of tau_m, for speed")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_distinct("networks", self.networks)
        for name in ("delays", "learned_delays"):
            for delay in getattr(self, name):
                steps_in(name, delay, self.dt)
        self.task.check_grid(self.dt, float(self.noises[1].max()))
        self._firsts()

    def train(self) -> Tables:
        """Success of all networks at every difficulty, how they learned, and the learned rules."""
        longest = float(np.max(self.delays) / second)
        self.task.check_memory(
            min(self.episodes, EPISODES_AT_ONCE), longest, float(self.dt / second)
        )
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

    def save_extras(self, folder: Path) -> None:
        """Write every trained network."""
        for one in self._learned:
            recipe = one.recipe
            about = {"task": type(recipe.task).__name__, "seed": recipe.seed}
            name = f"{recipe.shape.network}-{recipe.seed}.safetensors"
            save_network(folder / name, one.network, about)

    def recipes(self) -> list[Recipe]:
        """Trainings of all networks, the seeds of each in a row."""
        numbers = range(self.seeds)
        return [replace(one, seed=self.seed + n) for one in self._firsts() for n in numbers]

    def _firsts(self) -> list[Recipe]:
        """Training of the first network of each kind."""
        sizes = self.task.inputs, self.hidden, self.task.outputs
        tau_s, dt_s = float(self.tau_m / second), float(self.dt / second)
        times = dt_s, tau_s, tau_s, self.slope
        shapes = [Shape(*sizes, name, self.gate, self.modulators, *times) for name in self.networks]
        noises, delays = (
            tuple(np.asarray(x).tolist()) for x in (self.noises[0], self.learned_delays)
        )
        learning = noises, delays, self.steps, self.batch, self.lr
        return [Recipe(shape, self.task, *learning, self.seed) for shape in shapes]

    @property
    def chance(self) -> float:
        """Success by guessing."""
        return float(1 / self.task.outputs)

    @property
    def noises(self) -> tuple[np.ndarray, np.ndarray]:
        """Noise in learning and in the test, in the task's unit."""
        learned, tested = self.learned_noise / self.noise_unit, self.noise / self.noise_unit
        return np.asarray(learned), np.asarray(tested)

    @property
    def hardest(self) -> tuple[float, float]:
        """Highest noise, in the task's unit, and longest delay, in ms, in learning."""
        return float(self.noises[0].max()), float(np.max(self.learned_delays) / ms)

    @cached_property
    def _learned(self) -> list[Learned]:
        return learn_all(self.recipes())

    def _tested(self) -> pd.DataFrame:
        """Success of every network at every difficulty."""
        tried = [
            Difficulty(noise, delay)
            for noise in self.noises[1].tolist()
            for delay in np.asarray(self.delays).tolist()
        ]
        rows = []
        for one in watched("testing", self._learned):
            for at in tried:
                share = success(one.network, self.task, at, self.episodes, one.recipe.seed)
                row = {self.noise_column: at.noise, "delay_ms": round(1e3 * at.delay_s, 6)}
                rows.append(_label(one) | row | {"success": share})
        return pd.DataFrame(rows)

    def _summary(self, table: pd.DataFrame) -> pd.DataFrame:
        """Means over difficulties within and beyond those of learning; spread over seeds."""
        noise, delay = self.hardest
        within = (table[self.noise_column] <= noise) & (table.delay_ms <= delay + 1e-6)
        parameters = {one.recipe.shape.network: one.network.n_trained for one in self._learned}
        summary = pd.DataFrame({"parameters": parameters}).rename_axis("network")
        for name, rows in (("learned", table[within]), ("beyond", table[~within])):
            by_seed = rows.groupby(["network", "seed"]).success.mean().groupby("network")
            summary[f"success_{name}_mean"] = by_seed.mean()
            summary[f"success_{name}_sd"] = by_seed.std()
        return summary.reset_index()

    def _course(self) -> pd.DataFrame:
        """Plastic traces and modulator over episodes of middling difficulty, means of all."""
        noise = self.noises[0][len(self.noises[0]) // 2]
        difficulty = Difficulty(noise, float(self.learned_delays[-1] / second))
        parts = []
        for one in self._learned:
            rng = np.random.default_rng([one.recipe.seed, 2])
            drawn = self.task.draw(rng, COURSE_EPISODES, difficulty, float(self.dt / second))
            with torch.no_grad():
                course = pd.DataFrame(map(_moment, one.network.steps(drawn.spikes)))
            course.insert(0, "time_ms", float(self.dt / ms) * np.arange(1, len(course) + 1))
            parts.append(_labelled(one, course))
        return pd.concat(parts, ignore_index=True)


def _label(one: Learned) -> dict[str, Any]:
    return {"network": one.recipe.shape.network, "seed": one.recipe.seed}


def _labelled(one: Learned, table: pd.DataFrame) -> pd.DataFrame:
    """The table with network and seed as first columns."""
    return table.assign(**_label(one))[[*_label(one), *table.columns]]


def _moment(state: State) -> dict[str, float]:
    """Means over a batch of episodes of what the network has."""
    found = {"rate_per_step": float(state.spikes.mean())}
    if state.traces is not None:
        found["plastic_rms"] = float(state.traces.plastic.square().mean().sqrt())
    if state.modulator is not None:
        found["concentration"] = float(state.modulator.concentration.mean())
    return found
