"""One backbone, N sets of gains: an ensemble, off the chip and on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond
from brian2.units.allunits import pfarad, pjoule

from neuromod.analysis import calibration
from neuromod.checks import check_distinct
from neuromod.chip import deployment
from neuromod.experiment import Experiment
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.ensemble import page
from neuromod.protocols.ensemble.chip import OnChip, Pass, chip_recipe, votes_to_shares
from neuromod.protocols.ensemble.classification import Classification, Task
from neuromod.protocols.ensemble.members import GAINED, groups_for
from neuromod.protocols.ensemble.regression import Regression
from neuromod.protocols.families import networks
from neuromod.protocols.families.memory import Memory, check_mirrors, untuned_supply
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.progress import watched
from neuromod.tuning.datasets import load_digits

Row = dict[str, Any]
Way = tuple[str, int, list[int], Callable[[Any], np.ndarray]]
"""Name, trained numbers of a member, sizes of ensembles, and what predicts."""

# Every neuron is updated once per image; the least time between volleys plays no part.
PERIOD = 330 * nsecond


@dataclass(frozen=True, eq=False)
class Ran:
    """A pass and what came of it.

    Attributes
    ----------
    ran : Pass
    spikes : list of ndarray, each of shape (images, neurons of the layer)
        Of all test images, in closed form.
    simulated : ndarray, shape (images simulated, neurons)
    energy : dict of str to float
        Of an image, in pJ, with references that stay on and with pulsed ones.
    """

    ran: Pass
    spikes: list[np.ndarray]
    simulated: np.ndarray
    energy: dict[str, float]


@dataclass(frozen=True, eq=False)
class Ensemble(networks.NetworkOnChip):
    """One backbone, N sets of gains: an ensemble of 173 numbers a member.

    What are N sets of gains worth as an ensemble, in accuracy, calibration and energy on the chip?

    A network that knows the digits 0 to 4 learns the digits 5 to 9 by gains alone, several times.
    Members of the ensemble are these sets of gains. They differ in the order of the images; in the
    gains that they start from as well; or in a bootstrap sample of the images (bagging). Their
    probabilities are averaged.

    Compared at equal numbers of trained parameters are one network with as many gains, for groups
    of each neuron's synapses, and ensembles of networks that start anew (deep ensembles), which are
    then very small. Such ensembles of full size are a reference with many times the numbers.

    The same ensembles regress: a network that is pre-trained on younger diabetes patients is tuned
    for older ones.

    On the chip, the codes of the network stay in memory. N sets of supplies are applied one after
    another, and output neurons vote.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "studies": ("chip",),
        "members": (1, 2),
        "seeds": 1,
        "images": 3,
    }

    shown = ("classification", "regression", "chip")

    studies: tuple[str, ...] = parameter(
        page.STUDIES, "what is done", "chosen here", choices=page.STUDIES
    )
    members: tuple[int, ...] = parameter(
        (1, 2, 4, 8),
        "sizes of the ensembles compared",
        "chosen here; above 20, layers of ten inputs have too few synapses for as many groups",
        low=1,
        high=20,
    )
    spread: float = not_negative(
        1.0,
        "standard deviation of gains at the start, about 1, where members differ in it",
        "calibrated here, on validation images, among 0 to 1",
    )
    noise: np.ndarray = positive(
        np.array([0.1, 0.2, 0.4]),
        "standard deviations of noise on the pixels, of 0 to 1, of further test images",
        "chosen here",
    )
    bins: int = parameter(
        calibration.BINS, "bins of confidence", "Naeini et al. 2015", low=1, high=1000
    )
    level: float = parameter(
        0.9, "level of the intervals whose coverage is counted", "chosen here", low=0.01, high=0.99
    )
    images: int = parameter(
        10, "test images that circuit neurons are simulated with", "chosen here", low=1
    )
    rail: Quantity = not_negative(
        0.1 * pfarad,
        "capacitance of a supply's rail, charged anew at every change",
        "estimate: some 0.3 mm of wire at 0.2 fF/um, and what hangs on it; twice a membrane's",
    )
    batch: int = parameter(
        1, "images that run before supplies change", "chosen here: each image by itself", low=1
    )
    untuned: Quantity = untuned_supply()

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mirrors(self.circuit, self.untuned)
        for name in ("studies", "members", "noise"):
            check_distinct(name, tuple(getattr(self, name)))

    def experiments(self) -> dict[str, Experiment]:
        """Passes of every seed: those of the sets of supplies, and those of groups."""
        if "chip" not in self.studies:
            return {}
        of_one = sum(linear.weight.numel() for linear in self.task.backbone.linears[1:])
        networks.check_synapses(of_one * self.largest, self.images, "images")
        each = self._volleys[:, self._shown], PERIOD, self.dt, self.seed
        return {
            name: deployment.on_circuit(self.circuit, [ran.layers for ran in passes], *each)[1]
            for name, passes in self.passes.items()
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Scores of every ensemble, and what members on the chip vote for, and spend."""
        rows: dict[str, list[Row]] = {}
        tables: Tables = {}
        if "classification" in self.studies:
            rows["classification"], tables["reliability"] = self._classified()
        if "regression" in self.studies:
            seeds = self._watched("regressing")
            rows["regression"] = [row for seed in seeds for row in self._regressed(seed)]
        if "chip" in self.studies:
            rows["chip"] = [row for seed in self._run for row in self._voted(seed, recordings)]
        for study, own in rows.items():
            by = ["way", "members", *(["noise"] if study == "classification" else [])]
            tables[study] = _summary(pd.DataFrame(own), by)
        if "classification" in tables:
            noisy = tables["classification"].noise > 0
            tables["shift"] = tables["classification"][noisy].reset_index(drop=True)
            tables["classification"] = tables["classification"][~noisy].drop(columns="noise")
        every = [{"study": study} | row for study, own in rows.items() for row in own]
        return {"table": pd.DataFrame(every)} | tables

    @property
    def largest(self) -> int:
        """Members of the largest ensemble."""
        return max(self.members)

    @property
    def _run(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    def _watched(self, doing: str) -> Iterator[int]:
        with stage(doing):
            yield from watched(doing, self._run)

    @cached_property
    def task(self) -> Task:
        """The pre-trained network, and the digits to learn."""
        backbone, data = networks.prepare_backbone(), load_digits()
        return Task(backbone, data, networks.prepare_features(backbone, data))

    @cached_property
    def passes(self) -> dict[str, list[Pass]]:
        """What runs on the chip, by the name of its experiment."""
        memory = Memory.of(self.circuit, self.untuned, self.task.backbone, chip_recipe().theta)
        found: dict[str, list[Pass]] = {}
        for seed in self._watched("tuning for the chip"):
            own = OnChip(self.task, memory, seed, self.largest)
            found[f"sets, seed {seed}"] = own.sets
            if self._grouped:
                # Apart, since every network that runs with them needs as many supplies.
                found[f"groups, seed {seed}"] = [own.grouped(size) for size in self._grouped]
        return found

    @property
    def _grouped(self) -> list[int]:
        """Sizes of ensembles to which one network with groups of synapses is equal."""
        return [size for size in sorted(self.members) if groups_for(size)]

    @property
    def _volleys(self) -> np.ndarray:
        """Features of all test images."""
        features = self.task.features
        return np.asarray(features.values[features.split.test], dtype=float)[None]

    @property
    def _shown(self) -> np.ndarray:
        """Which of the test images are simulated."""
        return networks.evenly(np.arange(len(self.task.test_labels)), self.images)

    def _classified(self) -> tuple[list[Row], pd.DataFrame]:
        """Rows of all ensembles, and how reliable they are over all seeds."""
        rows: list[Row] = []
        means: dict[tuple[str, int], list[np.ndarray]] = {}
        labels, ends = self.task.test_labels, {min(self.members), self.largest}
        for seed in self._watched("classifying"):
            for noise, about, p in self._predictions(seed):
                rows.append(about | self._scores(p, labels, seed))
                if not noise and about["members"] in ends:
                    means.setdefault((about["way"], about["members"]), []).append(p.mean(axis=0))
        parts = [
            calibration.reliability(
                np.concatenate(own), np.tile(labels, len(own)), self.bins
            ).assign(way=way, members=members)
            for (way, members), own in means.items()
        ]
        return rows, pd.concat(parts, ignore_index=True)

    def _predictions(self, seed: int) -> Iterator[tuple[float, Row, np.ndarray]]:
        """Noise, what distinguishes an ensemble, and its members' probabilities."""
        own = Classification(self.task, seed, self.largest, self.spread)
        levels = [0.0, *self.noise.tolist()]
        seen = {noise: self.task.test_images(noise, seed) for noise in levels}
        for way, numbers, sizes, predict in self._ways(own):
            for noise, images in seen.items():
                p = predict(images)
                for size in sizes:
                    row = {"seed": seed, "way": way, "members": size, "noise": noise}
                    yield noise, row | {"trained_numbers": numbers * size}, p[:size]

    def _ways(self, own: Classification | Regression) -> Iterator[Way]:
        """Name, trained numbers of a member, sizes, and predictions of every way."""
        sizes = sorted(self.members)
        for way in GAINED:
            yield way, own.numbers, sizes, own.gained(way)
        for size in self._grouped:
            yield "groups", own.numbers, [size], own.grouped(size)
        for way in own.fresh:
            yield way, own.numbers_of(way), sizes, own.anew(way)

    def _scores(self, p: np.ndarray, labels: np.ndarray, seed: int) -> Row:
        """Scores of an ensemble's mean probabilities, and of its members."""
        mean, drawn = p.mean(axis=0), np.random.default_rng(seed)
        right = (p.argmax(axis=2) == labels).mean(axis=1)
        return {
            "accuracy": float((mean.argmax(axis=1) == labels).mean()),
            "nll": calibration.negative_log_likelihood(mean, labels),
            "brier": calibration.brier_score(mean, labels),
            "ece": calibration.expected_calibration_error(mean, labels, self.bins),
            "ece_by_chance": calibration.chance_calibration_error(mean, drawn, self.bins),
            "member_accuracy": right.mean(),
            "best_member_accuracy": right.max(),
            "disagreement": calibration.disagreement(p),
            "diversity": calibration.diversity(p),
        }

    def _regressed(self, seed: int) -> Iterator[Row]:
        """Rows of one seed's regressions, in units of the disease's progression."""
        own = Regression(seed, self.largest)
        ways: list[Way] = [*self._ways(own), ("linear", own.numbers_of("linear"), [1], own.linear)]
        for way, numbers, sizes, predict in ways:
            for size in sizes:
                about = {"seed": seed, "way": way, "members": size}
                scores = own.scores(predict, size, self.level)
                yield about | {"trained_numbers": numbers * size} | scores

    def _voted(self, seed: int, recordings: Recordings) -> Iterator[Row]:
        """Rows of one seed's networks on the chip."""
        name = f"sets, seed {seed}"
        sets = self._ran(self.passes[name], recordings[name])
        for size in sorted(self.members):
            yield self._row(seed, "sets", size, sets[:size])
        if self._grouped:
            name = f"groups, seed {seed}"
            every = self._ran(self.passes[name], recordings[name])
            for size, ran in zip(self._grouped, every, strict=True):
                yield self._row(seed, "groups", size, [ran])

    def _ran(self, passes: Sequence[Pass], recording: Recording) -> list[Ran]:
        """What every pass put out and drew, in closed form for all images and simulated."""
        sizes = len(passes), len(self._shown)
        measured = deployment.as_simulated(self.circuit, self.costs, recording, *sizes)
        return [
            Ran(
                own,
                deployment.expected_spikes(
                    self.circuit, own.layers, self._volleys, PERIOD, self.dt
                ),
                simulated,
                energy,
            )
            for own, (simulated, energy) in zip(passes, measured, strict=True)
        ]

    def _row(self, seed: int, way: str, size: int, ran: Sequence[Ran]) -> Row:
        """One ensemble on the chip; a single pass's supplies never change."""
        labels, shown = self.task.test_labels, self._shown
        outputs = [own.spikes[-1] for own in ran]
        classes = outputs[0].shape[1]
        votes = np.sum(outputs, axis=0)
        shares = votes_to_shares(votes)
        simulated = np.sum([own.simulated[:, -classes:] for own in ran], axis=0)
        neurons = ran[0].simulated.shape[1]
        changes = [own.ran.charge(self.rail) for own in ran] if len(ran) > 1 else [0.0]
        passes = {k: sum(own.energy[k] for own in ran) for k in ran[0].energy}
        energy = {
            "passes": passes[self.circuit.references],
            "resets": len(ran) * neurons * float(self.costs.reset / pjoule),
            "changes": sum(changes) / self.batch,
        }
        differ = [(own.simulated != np.hstack(own.spikes)[shown]).sum() for own in ran]
        drawn = np.random.default_rng(seed)
        right = [deployment.accuracy_by_count(output, labels) for output in outputs]
        return {
            "seed": seed,
            "way": way,
            "members": size,
            "trained_numbers": sum(own.ran.tuned.n_trained for own in ran),
            "passes": len(ran),
            "accuracy": deployment.accuracy_by_count(votes, labels),
            "member_accuracy": float(np.mean(right)),
            "brier": calibration.brier_score(shares, labels),
            "ece": calibration.expected_calibration_error(shares, labels, self.bins),
            "ece_by_chance": calibration.chance_calibration_error(shares, drawn, self.bins),
            "simulated_accuracy": deployment.accuracy_by_count(simulated, labels[shown]),
            "neurons_compared": len(ran) * neurons * len(shown),
            "neurons_differ": int(sum(differ)),
            **{f"{what}_energy_pJ": spent for what, spent in energy.items()},
            "energy_per_image_pJ": sum(energy.values()),
            **{
                f"energy_per_image_{kind}_pJ": sum(energy.values()) + own - energy["passes"]
                for kind, own in passes.items()
            },
        }


def _summary(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means and standard deviations over seeds."""
    measured = table.columns.drop([*by, "seed", "trained_numbers"])
    groups = table.groupby(by, sort=False)
    found = groups[list(measured)].agg(["mean", "std"]).rename(columns={"std": "sd"})
    found = found.set_axis(found.columns.map("_".join), axis="columns")
    return pd.concat([groups.trained_numbers.first(), found], axis="columns").reset_index()
