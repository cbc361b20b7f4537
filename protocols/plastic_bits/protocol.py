"""Learning with weights of few bits, on a network that is told what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms
from brian2.units.allunits import pjoule

from neuromod.checks import check_distinct, steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes
from neuromod.models.digital_synapse import GUPTA, MODULUS, DigitalSynapse, TaughtLIF, largest_code
from neuromod.parameters import not_negative, parameter, positive, refuse_changed
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.plastic_bits import page
from neuromod.protocols.plastic_bits.lessons import (
    CLASSES,
    IMAGES,
    PIXELS,
    Lessons,
    Timing,
    draw_lessons,
)
from neuromod.support.text import say

ROUNDINGS = ("nearest", "stochastic")
# How weights that are not rounded are named, and the bits that stand for them.
EXACT, FINE = "none", 20
CELLS, SYNAPSES = "cells", "synapses"


@dataclass(frozen=True, eq=False)
class PlasticBits(Protocol):
    """Accuracy and writes of the weight memory, against the bits of weights that learn.

    How many bits must weights have that learn, how often are they written, and does random rounding
    help?

    A layer of spiking cells, one for each class, learns handwritten digits by the delta rule. Its
    weights are signed codes, as in the memory of a digital chip (Mehrtash et al. 2003), with
    nothing behind them: every change is rounded when it comes, to the nearest code or at random
    such that its mean is exact. Networks of all numbers of bits and both ways of rounding, and one
    whose weights are not rounded, learn side by side from the same spikes.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)
    text_columns: ClassVar[tuple[str, ...]] = ("rounding",)
    small: ClassVar[Mapping[str, Any]] = {
        "seeds": 1,
        "images": 13,
        "passes": 1,
        "tested": 7,
        "bits": (3, 8),
    }

    neuron: TaughtLIF = parameter(TaughtLIF(), "the cells", "see its own")
    synapse: DigitalSynapse = parameter(DigitalSynapse(), "from pixels to cells", "see its own")
    bits: tuple[int, ...] = parameter(
        (2, 3, 4, 5, 6, 7, 8), "bits of a code, one of them its sign", "chosen here", low=2, high=16
    )
    rounding: tuple[str, ...] = parameter(
        ROUNDINGS, "how changes are rounded", f"{GUPTA}: both", choices=ROUNDINGS
    )
    seeds: int = parameter(
        3, "networks, each with images, spikes and weights of its own", "chosen here", low=1
    )
    images: int = parameter(1000, "images to learn from", "chosen here", low=1)
    passes: int = parameter(2, "how often each of them comes", "chosen here", low=1)
    tested: int = parameter(500, "other images, of the test", "chosen here", low=1)
    rate: Quantity = positive(300 * Hz, "spikes of the brightest pixel", "chosen here, for speed")
    shown_for: Quantity = time(40 * ms, "time that an image is shown", "12 spikes at the most")
    pause: Quantity = time(10 * ms, "time between two images", "half of tau_m")
    told_after: Quantity = not_negative(
        10 * ms,
        "time from the start of an image until cells are told its class",
        "chosen here: their first spikes have come",
    )
    goal: float = positive(
        5.0, "trace that the cell of the class should have; the others 0", "chosen here: 250 Hz"
    )
    start: float = not_negative(
        0.3, "largest weight at the start, as a share of the largest", "chosen here", high=1
    )
    energy: Quantity = not_negative(
        10 / 64 * pjoule,
        "energy of one bit's write",
        "estimate: 10 pJ for 64 bits of an 8 KB cache at 45 nm and 0.9 V, Horowitz 2014, ISSCC "
        "Dig. Tech. Pap.:10-14, of any access; taken for a write",
    )
    dt: Quantity = time_step(1 * ms, "a twentieth of tau_m")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("synapse", self.synapse, ["top"], "set bits")
        refuse_changed("synapse", self.synapse, ["stochastic"], "set rounding")
        for name in ("bits", "rounding"):
            check_distinct(name, getattr(self, name))
        if self.images + self.tested > IMAGES:
            raise UserError(
                f"images + tested = {self.images + self.tested} must be at most {IMAGES}, of which "
                "the data set consists."
            )
        for name in ("shown_for", "pause", "told_after"):
            steps_in(name, getattr(self, name), self.dt)
        if self.told_after >= self.shown_for:
            raise UserError(
                f"told_after = {say(self.told_after)} must be shorter than shown_for = "
                f"{say(self.shown_for)}."
            )
        if self.rate * self.dt > 1:
            raise UserError(
                f"rate = {say(self.rate)} must be at most one spike in a time step of "
                f"{say(self.dt)}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """All networks side by side, variants of one seed with the same inputs."""
        steps = self._timing.whole * len(self._lessons[0].labels)
        return {
            "learning": Experiment(
                populations=[Population(CELLS, self.neuron, self._size)],
                sources=[self._inputs(), *self._teachers()],
                connections=self._telling(),
                plastic=[self._synapses()],
                duration=steps * self.dt,
                dt=self.dt,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Accuracy, changes and writes of every network, and which codes it ends with."""
        recording = recordings["learning"]
        counts = self._counts(recording.spikes[CELLS])
        found = {name: self._by_network(v) for name, v in recording.totals[SYNAPSES].items()}
        table = pd.DataFrame(
            self._row(
                seed,
                variant,
                counts[:, seed, variant],
                {name: values[seed, variant].sum() for name, values in found.items()},
            )
            for seed in range(self.seeds)
            for variant in range(len(self.variants))
        )
        return {
            "table": table,
            "summary": _summary(table),
            "codes": self._codes(found["code"]),
            "reads": pd.DataFrame({"seed": range(self.seeds), "reads_per_image": self._reads()}),
        }

    @property
    def variants(self) -> list[tuple[str, int]]:
        """Rounding and bits of the networks of a seed; the last one's weights are not rounded."""
        return [*product(self.rounding, self.bits), (ROUNDINGS[0], FINE)]

    @property
    def largest_rise(self) -> float:
        """Largest rise of a weight that is ever asked for: by a cell of the class, still silent."""
        return self.synapse.eta * self.goal

    def half_step(self, bits: int) -> float:
        """Half a step of a code of so many bits, as a weight."""
        return self.synapse.w_max / largest_code(bits) / 2

    @property
    def _timing(self) -> Timing:
        shown, pause, told = (
            steps_in(name, getattr(self, name), self.dt)
            for name in ("shown_for", "pause", "told_after")
        )
        return Timing(shown, shown + pause, told)

    @cached_property
    def _lessons(self) -> list[Lessons]:
        return [
            draw_lessons(
                np.random.default_rng([self.seed, number]),
                self.images,
                self.passes,
                self.tested,
                float(self.rate * self.dt),
                self._timing,
            )
            for number in range(self.seeds)
        ]

    @property
    def _size(self) -> int:
        """Cells: by seed, then by variant, then by class."""
        return self.seeds * len(self.variants) * CLASSES

    def _cells(self, seed: int, digit: int) -> np.ndarray:
        """Cells of one class in all networks of a seed."""
        first = seed * len(self.variants) * CLASSES
        return first + np.arange(len(self.variants)) * CLASSES + digit

    def _inputs(self) -> Spikes:
        """Pixels of the images of all seeds."""
        steps = np.concatenate([lesson.steps for lesson in self._lessons])
        neurons = np.concatenate(
            [lesson.pixels + k * PIXELS for k, lesson in enumerate(self._lessons)]
        )
        order = np.argsort(steps, kind="stable")
        return Spikes("pixels", self.seeds * PIXELS, neurons[order], steps[order] * self.dt)

    def _teachers(self) -> tuple[Spikes, Spikes]:
        """Who tells that there is a lesson, and in each seed which class it is of."""
        learned = self._lessons[0].learned
        begin = np.arange(learned) * self._timing.whole + self._timing.told
        told = np.stack([k * CLASSES + one.labels[:learned] for k, one in enumerate(self._lessons)])
        at = np.repeat(begin, self.seeds) * self.dt
        return (
            Spikes("lesson", 1, np.zeros(learned, int), begin * self.dt),
            Spikes("classes", self.seeds * CLASSES, told.T.ravel(), at),
        )

    def _telling(self) -> tuple[Connection, Connection]:
        """From the teachers: pulses for as long as cells are told."""
        width = self.shown_for - self.told_after
        all_cells = np.arange(self._size)
        classes = all_cells // (len(self.variants) * CLASSES) * CLASSES + all_cells % CLASSES
        one = np.zeros(self._size, int)
        return (
            Connection("lesson", CELLS, "taught", i=one, j=all_cells, weight=1.0, width=width),
            Connection(
                "classes", CELLS, "goal", i=classes, j=all_cells, weight=self.goal, width=width
            ),
        )

    def _synapses(self) -> PlasticConnection:
        """From every pixel to every cell; networks of a seed start from the same weights."""
        per_seed = len(self.variants) * CLASSES
        i = np.repeat(np.arange(self.seeds * PIXELS), per_seed)
        j = i // PIXELS * per_seed + np.tile(np.arange(per_seed), self.seeds * PIXELS)
        variant = j // CLASSES % len(self.variants)
        rounding, bits = (np.array(part) for part in zip(*self.variants, strict=True))
        top = np.array([float(largest_code(b)) for b in bits])[variant]
        rng = np.random.default_rng([self.seed, self.seeds])
        shares = rng.uniform(-self.start, self.start, (self.seeds * PIXELS, CLASSES))
        return PlasticConnection(
            SYNAPSES,
            "pixels",
            CELLS,
            self.synapse,
            i=i,
            j=j,
            values={
                "top": top,
                "stochastic": (rounding == ROUNDINGS[1])[variant].astype(float),
                "code": np.floor(shares[i, j % CLASSES] * top + 0.5),
                "draw": rng.integers(1, MODULUS, len(i)).astype(float),
            },
        )

    def _by_network(self, values: Any) -> np.ndarray:
        """Of all synapses, in their order: shape (seeds, variants, pixels, classes)."""
        plain = np.asarray(values).reshape(self.seeds, PIXELS, len(self.variants), CLASSES)
        return plain.swapaxes(1, 2)

    def _counts(self, spikes: Spikes) -> np.ndarray:
        """Spikes of all cells in test images, shape (tested, seeds, variants, classes)."""
        image = np.round(np.asarray(spikes.times / self.dt)).astype(int) // self._timing.whole
        learned = self._lessons[0].learned
        tested = image >= learned
        at = (image[tested] - learned) * self._size + spikes.neurons[tested]
        counts = np.bincount(at, minlength=self.tested * self._size)
        return counts.reshape(self.tested, self.seeds, len(self.variants), CLASSES)

    def _row(
        self, seed: int, variant: int, fired: np.ndarray, totals: dict[str, float]
    ) -> dict[str, Any]:
        """What became of one network, by its cells' spikes in the test and its synapses' sums."""
        rounding, bits = self.variants[variant]
        learned, finite = self._lessons[seed].learned, bits != FINE
        writes = totals["writes"] / learned
        energy = float(writes * bits * self.energy / pjoule)
        return {
            "rounding": rounding if finite else EXACT,
            "bits": float(bits) if finite else np.inf,
            "seed": seed,
            "accuracy": right(fired, self._lessons[seed].labels[learned:]).mean(),
            "silent": (fired.max(axis=1) == 0).mean(),
            "updates_per_image": totals["updates"] / learned,
            "writes_per_image": writes,
            "energy_per_image_pJ": energy if finite else np.nan,
        }

    def _reads(self) -> list[float]:
        """Codes that input spikes read in a network and image, before the test."""
        end = self._lessons[0].learned * self._timing.whole
        return [
            float((lesson.steps < end).sum() * CLASSES / lesson.learned) for lesson in self._lessons
        ]

    def _codes(self, code: np.ndarray) -> pd.DataFrame:
        """Share of the synapses at every code after learning."""
        parts = []
        for number, (rounding, bits) in enumerate(self.variants[:-1]):
            top = largest_code(bits)
            kept = np.round(code[:, number]).astype(int).ravel() + top
            share = np.bincount(kept, minlength=2 * top + 1) / kept.size
            levels = np.arange(-top, top + 1)
            parts.append(
                pd.DataFrame({"rounding": rounding, "bits": bits, "code": levels, "share": share})
            )
        return pd.concat(parts, ignore_index=True)


def right(fired: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the cell of the class fired more than every other.

    Parameters
    ----------
    fired : ndarray of int, shape (images, classes)
        Spikes.
    labels : ndarray of int, shape (images,)

    Returns
    -------
    ndarray of bool, shape (images,)
    """
    rows = np.arange(len(labels))
    others = np.array(fired)
    others[rows, labels] = -1
    return np.asarray(fired[rows, labels] > np.maximum(others.max(axis=1), 0))


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, and the standard deviation of the accuracy."""
    found = table.groupby(["rounding", "bits"], sort=False)
    means = found[["updates_per_image", "writes_per_image", "energy_per_image_pJ"]].mean()
    accuracy = found.accuracy
    spread = {"accuracy_mean": accuracy.mean(), "accuracy_sd": accuracy.std(ddof=1)}
    return pd.concat([pd.DataFrame(spread), means], axis=1).reset_index()
