"""Spiking networks with and without plasticity move a body, under novel conditions too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, second
from scipy import stats

from neuromod.checks import check_distinct
from neuromod.errors import UserError
from neuromod.locomotion.bodies import BODIES, Crowd
from neuromod.locomotion.conditions import CONDITIONS, Novel, change_for, lacking
from neuromod.locomotion.controller import steps_between
from neuromod.locomotion.evolution import ROUND, Evolved, Recipe, evolve_all
from neuromod.locomotion.storage import save_controller
from neuromod.locomotion.trials import TRAINED, Trials
from neuromod.parameters import parameter, positive
from neuromod.plasticity.network import Shape
from neuromod.protocol import Tables, Training
from neuromod.protocols.families.five_networks.settings import compared_networks, gate_of_modulation
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.locomotion import page
from neuromod.protocols.locomotion.strip import strip
from neuromod.support.log import stage
from neuromod.support.progress import watched

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Locomotion(Training):
    """Moving a body under conditions never trained under, with and without plasticity.

    What is left of a learned gait when the body changes, with fixed synapses and with plastic ones?

    Spiking networks move a body whose physics MuJoCo computes. Observations reach them as spikes,
    and a leaky readout sets the forces of the motors. All their parameters are learned by an
    evolution strategy: fixed weights alone, or together with those of a plasticity rule, by which
    synapses change while the body moves, in modulated networks under a neuromodulator that the
    network itself releases. Then the body changes: a joint is weak or locked, a limb shorter,
    masses, friction, gravity or noise greater.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)
    text_columns: ClassVar[tuple[str, ...]] = ("network", "condition", "png")

    body: str = parameter(
        "inverted-pendulum",
        "body to move",
        "chosen here: the first is learned in minutes; the second and third have legs",
        choices=tuple(BODIES),
    )
    networks: tuple[str, ...] = compared_networks()
    gate: str = gate_of_modulation()
    conditions: tuple[str, ...] = parameter(
        tuple(CONDITIONS),
        "novel conditions, of which those count that mean something for the body",
        "chosen here; the abstract of Schmidgall et al. 2021 names none",
        choices=tuple(CONDITIONS),
    )
    novel: Novel = parameter(Novel(), "how far they lie from those of training", "see its own")
    seeds: int = parameter(3, "networks of each kind", "chosen here", low=2)
    hidden: int = parameter(24, "neurons of the plastic layer", "chosen here", low=1)
    modulators: int = parameter(
        4, "modulatory neurons of a modulated network", "chosen here", low=1
    )
    generations: int = parameter(
        40, f"generations of the evolution, a multiple of {ROUND}", "chosen here", low=1
    )
    pairs: int = parameter(16, "mirrored pairs of networks in a generation", "chosen here", low=1)
    spread: float = positive(
        0.1, "standard deviation by which networks of a generation differ", "chosen here"
    )
    lr: float = positive(0.05, "Adam's learning rate", "chosen here")
    actions: int = parameter(
        200, "actions in an episode of training, at most", "chosen here: 8 s", low=1
    )
    tested_actions: int = parameter(
        500, "actions in an episode of the test, at most", "chosen here: more than learned", low=1
    )
    episodes: int = parameter(8, "episodes of the test, in every condition", "chosen here", low=1)
    tau_m: Quantity = time(20 * ms, "time constant of membranes", "that of gain-lif")
    tau_out: Quantity = time(40 * ms, "time constant of the readout", "about one action")
    dt: Quantity = time_step(10 * ms, "half of tau_m; four to five steps for every action")
    processes: int = parameter(
        1, "processes that try out networks; results do not depend on it", "chosen here", low=1
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_distinct("networks", self.networks)
        check_distinct("conditions", self.conditions)
        if not self.tested:
            raise UserError(
                f"None of the conditions means anything for the body {self.body}: "
                f"{'; '.join(f'{n}: {why}' for n, why in self.left_out.items())}."
            )
        self._firsts()

    def train(self) -> Tables:
        """Learning curves, returns in every condition, learned rules, and frames of episodes."""
        with stage("evolving"):
            evolved = self._evolved
        with stage("testing"):
            table = self._tested(evolved)
        with stage("drawing frames"):
            frames, outlines = self._frames(evolved, table)
        return {
            "table": table,
            "summary": _summary(table),
            "curves": pd.concat([_labelled(one, one.history) for one in evolved]),
            "rules": pd.DataFrame(
                [_label(one) | one.controller.network.rule_values() for one in evolved]
            ),
            "frames": frames,
            "outlines": outlines,
        }

    def save_extras(self, folder: Path) -> None:
        """Write every evolved controller."""
        for one in self._evolved:
            name = f"{one.recipe.shape.network}-{one.recipe.seed}.safetensors"
            save_controller(folder / name, one)

    def recipes(self) -> list[Recipe]:
        """Evolutions of all networks, the seeds of each in a row."""
        numbers = range(self.seeds)
        return [replace(one, seed=self.seed + n) for one in self._firsts() for n in numbers]

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Conditions that mean nothing for the body, by name, with the reason."""
        reasons = lacking(self.body)
        return {name: reasons[name] for name in self.conditions if name in reasons}

    @property
    def tested(self) -> tuple[str, ...]:
        """Novel conditions that mean something for the body."""
        return tuple(name for name in self.conditions if name not in self.left_out)

    def _firsts(self) -> list[Recipe]:
        """Evolution of the first network of each kind."""
        crowd, dt_s = self._body, float(self.dt / second)
        steps_between(crowd.control_s, dt_s)
        sizes = 2 * crowd.observations, self.hidden, len(crowd.low)
        times = dt_s, float(self.tau_m / second), float(self.tau_out / second)
        shapes = [Shape(*sizes, name, self.gate, self.modulators, *times) for name in self.networks]
        learning = self.actions, self.generations, self.pairs, self.spread, self.lr, self.seed
        return [Recipe(shape, self.body, *learning) for shape in shapes]

    @cached_property
    def _body(self) -> Crowd:
        return Crowd(self.body, [None])

    @cached_property
    def _evolved(self) -> list[Evolved]:
        return evolve_all(self.recipes(), self.processes)

    @cached_property
    def _trials(self) -> Trials:
        sizes = self.episodes, self.tested_actions, self.seed
        return Trials(self.body, self.tested, self.novel, *sizes)

    def _tested(self, evolved: list[Evolved]) -> pd.DataFrame:
        """Return of every network in every condition, also relative to that of training's."""
        rows = []
        for one in watched("testing", evolved):
            means = self._trials.returns(one.controller).mean(1)
            own = means[0] if means[0] > 0 else np.nan
            for name, mean in zip(self._trials.conditions, means, strict=True):
                row = {"condition": name, "return": mean, "relative_return": mean / own}
                rows.append(_label(one) | row)
        return pd.DataFrame(rows)

    def _frames(
        self, evolved: list[Evolved], table: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Strips of the last kind's first network, as trained and where it loses most."""
        shown = next(one for one in reversed(evolved) if one.recipe.seed == self.seed)
        label = _label(shown)
        own = table[(table[list(label)] == pd.Series(label)).all(axis=1)]
        worst = own.condition[own["return"].idxmin()]
        names = dict.fromkeys([TRAINED, worst])
        parts = [self._strip(shown, name) for name in names]
        frames, outlines = (
            pd.concat([table.assign(**label, condition=name) for name, table in rows])
            for rows in (
                [(name, part[kind]) for name, part in zip(names, parts, strict=True)]
                for kind in (0, 1)
            )
        )
        return frames, outlines

    def _strip(self, shown: Evolved, condition: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        change = None
        if condition != TRAINED:
            change = change_for(condition, self.body, self.novel)
        trials = self._trials
        first = trials.conditions.index(condition) * self.episodes
        return strip(
            self.body,
            shown.controller,
            Crowd(self.body, [change]),
            int(trials.seeds[first]),
            self.tested_actions,
            trials.noise[:, first : first + 1],
        )


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds in every condition, with intervals of Student's t."""

    def rows() -> Iterator[dict[str, Any]]:
        for (network, condition), group in table.groupby(["network", "condition"], sort=False):
            row: dict[str, Any] = {"network": network, "condition": condition}
            for name in ("return", "relative_return"):
                mean, half = interval(group[name].to_numpy())
                row |= {f"{name}_mean": mean, f"{name}_low": mean - half}
                row |= {f"{name}_high": mean + half}
            yield row

    return pd.DataFrame(rows())


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half the width of its interval of 95 %, by Student's t.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Of at least two networks; NaN in any makes both NaN.
    """
    error = values.std(ddof=1) / len(values) ** 0.5
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error
    return float(values.mean()), float(half)


def _label(one: Evolved) -> dict[str, Any]:
    return {"network": one.recipe.shape.network, "seed": one.recipe.seed}


def _labelled(one: Evolved, table: pd.DataFrame) -> pd.DataFrame:
    """The table with network and seed as first columns."""
    return table.assign(**_label(one))[[*_label(one), *table.columns]]
