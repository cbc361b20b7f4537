"""Digits that a network is shown one class after another, with and without forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, kHz, ms, second, umolar
from sklearn.datasets import load_digits

from neuromod.checks import check_distinct, steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes
from neuromod.models.adaptive_plasticity import (
    CODE,
    LIGAND,
    PANDA,
    WEIGHTS,
    AdaptiveSynapse,
    DiehlCookCell,
)
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.learning_to_forget import page
from neuromod.protocols.learning_to_forget.showings import (
    LABELLED,
    LEARNING,
    PIXELS,
    TESTED,
    Digits,
    Showings,
    counted,
    fewest,
    in_sequence,
    labels,
    mixed,
    pixel_spikes,
    votes,
)
from neuromod.recording import Recording
from neuromod.support.text import say

CELLS, SYNAPSES = "cells", "synapses"
CALIBRATED = "calibrated here: of what was tried, plain STDP recalls most with it"
CONDITIONS = ("untrained", "mixed", *WEIGHTS)
# Of all rules alike; the leak leads to the mean weight at the start.
SHARED: dict[str, Any] = {"eta": 0.01, "x_tar": 0.64, "mu": 0.42, "w_base": 0.375}


@dataclass(frozen=True, eq=False)
class LearningToForget(Protocol):
    """What a network remembers of digits that it was shown one class after another.

    What does a network keep of digits shown one class after another: with STDP, with a leak of the
    weights, or with a leak that spares what is significant?

    Cells that inhibit each other learn scikit-learn's digits without labels, in the manner of Diehl
    & Cook 2015. Classes come one after another, each in a stage of its own, and after each stage
    all classes so far are recalled: synapses rest, every cell is given the class to which it
    answers most, and new images are told by the cells' vote. The rules are plain STDP, STDP with a
    constant leak of the weights, adaptive synaptic plasticity (ASP, Panda et al. 2018), where what
    is significant leaks more slowly, and ASP under a modulator that is released with some of the
    classes only. Beside them stand plain STDP on classes in random order and a network that never
    learned.
    """

    shown: ClassVar[tuple[str, ...]] = ("table",)
    text_columns: ClassVar[tuple[str, ...]] = ("condition",)
    small: ClassVar[Mapping[str, Any]] = {
        "networks": 2,
        "classes": (0, 1),
        "n": 4,
        "learning": 3,
        "labelled": 2,
        "tested": 2,
        "presentation": 40 * ms,
        "rest": 10 * ms,
        "drive": 5 * kHz,
    }

    conditions: tuple[str, ...] = parameter(
        CONDITIONS,
        "rules, and controls: no learning, and plain STDP on classes in random order",
        "chosen here",
        choices=CONDITIONS,
    )
    networks: int = parameter(
        3,
        "networks of each kind, with images, weights and spikes of their own",
        "chosen here",
        low=1,
    )
    cell: DiehlCookCell = parameter(
        DiehlCookCell(tau_theta=500 * second), "every cell", f"tau_theta {CALIBRATED}"
    )
    stdp: AdaptiveSynapse = parameter(
        AdaptiveSynapse(rule="stdp", **SHARED),
        "synapse of plain STDP",
        f"eta, x_tar and mu {CALIBRATED}; w_base: the mean weight at the start",
    )
    leak: AdaptiveSynapse = parameter(
        AdaptiveSynapse(rule="leak", tau_leak=800 * second, **SHARED),
        "synapse with a constant leak",
        "as stdp; tau_leak calibrated here: of what was tried, it recalls most with it",
    )
    asp: AdaptiveSynapse = parameter(
        AdaptiveSynapse(
            tau_leak=45 * second, recovery=5.0, tau_significance=900 * second, **SHARED
        ),
        "synapse of ASP and, with its modulator, of modulated",
        "as stdp; leak, recovery and tau_significance calibrated here: see leak",
    )
    classes: tuple[int, ...] = parameter(
        tuple(range(10)),
        "digits in the order in which they come",
        f"{PANDA}: in sequence; order chosen here",
    )
    amount: Quantity = not_negative(
        1.25 * umolar,
        "rise of the modulator at the onset of each image with which it is released",
        "chosen here: 1 µM on average, with which recovery is that of asp",
    )
    n: int = parameter(20, "cells of a network", "chosen here: two for each class", low=2)
    learning: int = parameter(100, "images of each class for learning", "chosen here", low=1)
    labelled: int = parameter(
        8, "of these, shown again to label the cells at every recall", "chosen here", low=1
    )
    tested: int = parameter(12, "other images of each class to recall", "chosen here", low=1)
    presentation: Quantity = time(
        200 * ms, "time for which an image is shown", f"350 ms in the {CODE}"
    )
    rest: Quantity = time(50 * ms, "time between two images", f"150 ms in the {CODE}")
    drive: Quantity = positive(
        1.6 * kHz,
        "spikes of all pixels of an image together",
        "chosen here: the same for all images, so that ink does not decide",
    )
    weights: np.ndarray = not_negative(
        np.array([0.2, 0.55]), "lowest and highest weight at the start", CALIBRATED
    )
    inhibition: float = not_negative(
        33.0,
        "conductance that a spike opens in all other cells",
        f"{CALIBRATED}; 17 in the {CODE}, where an interneuron for each cell passes it on",
    )
    dt: Quantity = time_step(0.5 * ms, f"that of the {CODE}")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_distinct("conditions", self.conditions)
        if not self.conditions:
            raise UserError("conditions must name at least one.")
        self._check_classes()
        for name in ("stdp", "leak", "asp"):
            if getattr(self, name).rule != name:
                raise UserError(f"{name}.rule must be {name!r}, not {getattr(self, name).rule!r}.")
        for name in ("presentation", "rest"):
            steps_in(name, getattr(self, name), self.dt)
        self._check_weights()
        largest = float(self.drive * self.dt) * _largest_share(self.classes)
        if largest > 1:
            raise UserError(
                f"drive = {say(self.drive)} means more than one spike of a pixel in a time step of "
                f"{say(self.dt)}: {say(self.drive / largest)} at most."
            )

    def experiments(self) -> dict[str, Experiment]:
        """All networks side by side under each condition."""
        return {condition: self._experiment(condition) for condition in self.conditions}

    def measure(self, recordings: Recordings) -> Tables:
        """Recall of every class after every stage, and the class of every cell."""
        recalled: list[pd.DataFrame] = []
        cells: list[pd.DataFrame] = []
        for condition in self.conditions:
            found, labelled = self._recalled(condition, recordings[condition])
            recalled.append(found)
            cells.append(labelled)
        recall, cell = pd.concat(recalled, ignore_index=True), pd.concat(cells, ignore_index=True)
        tables = {"table": self._summary(recall, cell), "recall": recall, "cells": cell}
        if "modulated" in self.conditions:
            tables["modulator"] = self._under_modulator(recall)
        return tables

    def receives(self, network: Any, stage: Any) -> Any:
        """Whether the modulator of `modulated` is released in a stage, from 0, of a network.

        It is in every second stage, so that over two networks each class comes both ways.
        """
        return (network + stage) % 2 == 0

    def _check_classes(self) -> None:
        check_distinct("classes", self.classes)
        if len(self.classes) < 2 or not set(self.classes) <= set(range(10)):
            raise UserError(f"classes must be two or more digits from 0 to 9, not {self.classes}.")
        there = fewest(self.classes)
        if self.learning + self.tested > there:
            raise UserError(
                f"learning = {self.learning} and tested = {self.tested} images of each class are "
                f"more than there are: {there} of the class with the fewest."
            )
        if self.labelled > self.learning:
            raise UserError(
                f"labelled = {self.labelled} must be learning = {self.learning} at most."
            )

    def _check_weights(self) -> None:
        highest = min(float(getattr(self, name).w_max) for name in ("stdp", "leak", "asp"))
        if len(self.weights) != 2 or not self.weights[0] <= self.weights[1] <= highest:
            raise UserError(
                "weights must be the lowest and the highest at the start, at most the w_max of "
                f"every rule, {highest:g}, not {self.weights}."
            )

    @cached_property
    def _drawn(self) -> tuple[list[Digits], np.ndarray, list[np.random.Generator]]:
        """Images of every network, weights at the start, and generators of showings."""
        images, weights, *others = np.random.default_rng(self.seed).spawn(5)
        counts = self.learning, self.labelled, self.tested
        networks = [Digits.drawn(self.classes, counts, images) for _ in range(self.networks)]
        low, high = map(float, self.weights)
        return networks, weights.uniform(low, high, self.networks * PIXELS * self.n), others

    @cached_property
    def _shown(self) -> dict[str, tuple[Showings, Spikes]]:
        """Showings and spikes of the pixels: in sequence, mixed, and without learning."""
        networks, _, (first, other, third) = self._drawn
        made: dict[str, tuple[Showings, np.random.Generator]] = {}
        if set(self.conditions) & set(WEIGHTS):
            made["sequence"] = in_sequence(networks, first), first
        if "mixed" in self.conditions:
            made["mixed"] = mixed(networks, other), other
        if "untrained" in self.conditions:
            made["untrained"] = mixed(networks, third, learning=False), third
        chance, steps = float(self.drive * self.dt), (self._steps("presentation"), self._each)
        return {
            name: (shown, pixel_spikes("pixels", networks, shown, chance, steps, self.dt, draw))
            for name, (shown, draw) in made.items()
        }

    def _steps(self, name: str) -> int:
        return steps_in(name, getattr(self, name), self.dt)

    @property
    def _each(self) -> int:
        """Steps from one image to the next."""
        return self._steps("presentation") + self._steps("rest")

    def _of(self, condition: str) -> tuple[Showings, Spikes]:
        return self._shown["sequence" if condition in WEIGHTS else condition]

    def _synapse(self, condition: str) -> AdaptiveSynapse:
        if condition == "modulated":
            return replace(self.asp, rule="modulated")
        return {"leak": self.leak, "asp": self.asp}.get(condition, self.stdp)

    def _experiment(self, condition: str) -> Experiment:
        shown, pixels = self._of(condition)
        size = self.networks * self.n
        cells = np.arange(size)
        network = cells // self.n
        i, j = np.nonzero((network[:, None] == network) & (cells[:, None] != cells))
        inhibiting = Connection(CELLS, CELLS, "g_inh", i=i, j=j, weight=self.inhibition)
        sources, connections = [pixels], [inhibiting]
        asking, asked = self._asking(shown)
        sources.append(asking)
        connections.append(asked)
        if condition == "modulated":
            sources.append(self._releases(shown))
            conc = f"conc_{LIGAND}"
            connections.append(
                Connection("release", CELLS, conc, i=network, j=cells, weight=self.amount)
            )
        return Experiment(
            populations=[Population(CELLS, self.cell, size)],
            sources=sources,
            connections=connections,
            plastic=[self._synapses(condition)],
            duration=len(shown.kind) * self._each * self.dt,
            dt=self.dt,
            seed=self.seed,
        )

    def _synapses(self, condition: str) -> PlasticConnection:
        """From all pixels of a network to all of its cells."""
        network, pixel, cell = np.indices((self.networks, PIXELS, self.n)).reshape(3, -1)
        return PlasticConnection(
            SYNAPSES,
            "pixels",
            CELLS,
            self._synapse(condition),
            i=network * PIXELS + pixel,
            j=network * self.n + cell,
            values={"w": self._drawn[1]},
        )

    def _asking(self, shown: Showings) -> tuple[Spikes, Connection]:
        """What makes cells plastic or not: a spike before every recall, and another after it."""
        size = self.networks * self.n
        edges = shown.recalls[shown.recalls < len(shown.kind)]
        which = np.arange(len(edges)) % 2
        spikes = Spikes("recall", 2, which, edges * self._each * self.dt)
        i, j = np.repeat([0, 1], size), np.tile(np.arange(size), 2)
        weight = np.repeat([-1.0, 1.0], size)
        return spikes, Connection("recall", CELLS, "plastic", i=i, j=j, weight=weight)

    def _releases(self, shown: Showings) -> Spikes:
        """Release of the modulator at the onset of images, in every network on its own."""
        numbers = np.arange(self.networks)
        given = self.receives(numbers, shown.stage[:, None]) & (shown.kind == LEARNING)[:, None]
        showing, network = np.nonzero(given)
        return Spikes("release", self.networks, network, showing * self._each * self.dt)

    def _recalled(self, condition: str, recording: Recording) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Recall of every class after every stage, and cells at the end."""
        shown, _ = self._of(condition)
        counts = counted(recording.spikes[CELLS], len(shown.kind), self._each, self.dt)
        w = np.asarray(recording.totals[SYNAPSES]["w"]).reshape(self.networks, PIXELS, self.n)
        rows: list[dict[str, Any]] = []
        cells: list[pd.DataFrame] = []
        for network, own in enumerate(counts.reshape(self.networks, self.n, -1)):
            place = shown.place[network]
            for stage in np.unique(shown.stage):
                known, new = (
                    (shown.kind == kind) & (shown.stage == stage) for kind in (LABELLED, TESTED)
                )
                label = labels(own[:, known], place[known])
                right = votes(own[:, new], label) == place[new]
                for one in np.unique(place[new]):
                    rows.append(
                        {
                            "condition": condition,
                            "network": network,
                            "stage": stage + 1,
                            "digit": self.classes[one],
                            "learned_in_stage": one + 1,
                            "recall": right[place[new] == one].mean(),
                        }
                    )
            digit = np.where(label < 0, np.nan, np.take(self.classes, label))
            cells.append(
                pd.DataFrame(
                    {
                        "condition": condition,
                        "network": network,
                        "cell": np.arange(self.n),
                        "digit": digit,
                        "spikes_per_image": own[:, shown.kind == TESTED].mean(axis=1),
                        "w_mean": w[network].mean(axis=0),
                    }
                )
            )
        return pd.DataFrame(rows), pd.concat(cells)

    def _summary(self, recall: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
        """Recall after the last stage and of what was just learned: over networks."""
        by_network = pd.DataFrame(
            [
                {"condition": condition, "network": network, **_measures(own, len(self.classes))}
                for (condition, network), own in recall.groupby(
                    ["condition", "network"], sort=False
                )
            ]
        ).set_index(["condition", "network"])
        if "stdp" in self.conditions:
            by_network["over_stdp"] = (
                by_network.recall
                - by_network.recall.loc["stdp"]
                .reindex(by_network.index.get_level_values("network"))
                .to_numpy()
            )
        found = by_network.groupby("condition", sort=False).agg(["mean", "std"])
        found.columns = _flat(found.columns)
        held = cells.groupby("condition", sort=False)
        return found.assign(
            labelled_cells=held.digit.apply(lambda digit: digit.notna().mean()),
            spikes_per_image=held.spikes_per_image.mean() * self.n,
            networks=self.networks,
        ).reset_index()

    def _under_modulator(self, recall: pd.DataFrame) -> pd.DataFrame:
        """Recall at the end of classes with which `modulated` has its modulator, and of others."""
        last = recall[recall.condition.isin(WEIGHTS) & (recall.stage == len(self.classes))]
        given = self.receives(last.network, last.learned_in_stage - 1)
        keys = ["condition", "network"]
        parts = {
            name: last[chosen].groupby(keys, sort=False).recall.mean()
            for name, chosen in (("released", given), ("not_released", ~given))
        }
        parts["difference"] = parts["released"] - parts["not_released"]
        found = pd.DataFrame(parts).groupby("condition", sort=False).agg(["mean", "std"])
        found.columns = _flat(found.columns)
        return found.reset_index()


def _flat(columns: pd.Index) -> list[str]:
    """Names of means and standard deviations."""
    return [name if kind == "mean" else f"{name}_sd" for name, kind in columns]


def _measures(own: pd.DataFrame, stages: int) -> dict[str, float]:
    """Recall of one network after the last stage: of all classes, and of older and newer ones."""
    last = own[own.stage == stages]
    older = last.learned_in_stage <= stages // 2
    new = own[own.stage == own.learned_in_stage]
    # Without stages of their own, classes are neither older nor newer.
    sequence = own.stage.nunique() > 1
    return {
        "recall": last.recall.mean(),
        "older": last.recall[older].mean() if sequence else np.nan,
        "newer": last.recall[~older].mean() if sequence else np.nan,
        "at_once": new.recall.mean() if sequence else np.nan,
    }


def _largest_share(classes: tuple[int, ...]) -> float:
    """Largest share that one pixel has of the ink of any image of some classes."""
    digits = load_digits()
    images = digits.images[np.isin(digits.target, classes)].reshape(-1, PIXELS)
    return float((images.max(axis=1) / images.sum(axis=1)).max())
