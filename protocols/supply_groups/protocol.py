"""Supplies for groups of a neuron's synapses: how many, how shared, how grouped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond

from neuromod.checks import check_distinct
from neuromod.chip import conversion, deployment
from neuromod.chip.conversion import Design, Layer, deploy, stored
from neuromod.chip.made import as_made, draw_layers
from neuromod.chip.variation import Deviations, Mismatch
from neuromod.experiment import Experiment
from neuromod.parameters import not_negative, parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families import networks
from neuromod.protocols.families.memory import Memory, check_mirrors, untuned_supply
from neuromod.protocols.supply_groups import page
from neuromod.protocols.supply_groups.tuner import Tuner, recipe
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.progress import watched
from neuromod.tuning.backbone import Backbone, with_weights
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import Features
from neuromod.tuning.training import TuningResult, tune

# Every neuron is updated once per image; the least time between volleys plays no part.
PERIOD = 330 * nsecond


@dataclass(frozen=True, eq=False)
class Chip:
    """One network on the chip, what distinguishes it, and how it was tuned before."""

    about: dict[str, Any]
    layers: Sequence[Layer]
    tuned: TuningResult


# How a network differs from others, its layers on the chip, and how it was tuned.
Found = tuple[dict[str, Any], Sequence[Layer], TuningResult]


@dataclass(frozen=True, eq=False)
class SupplyGroups(networks.NetworkOnChip):
    """Supplies for groups of a neuron's synapses: how many, how shared, how grouped.

    How many supplies, or rails, does a network on the chip need whose memory is never rewritten?

    A network that knows the digits 0 to 4 lies in the chip's memory as codes of a few bits, which
    are never rewritten. It learns the digits 5 to 9 by gains alone, trained on those codes within
    reach of a supply voltage, one for each group of a neuron's synapses. Compared are numbers of
    supplies, also where neurons share theirs; few voltages (rails) for the whole chip, with a
    switch for each group or synapse; bits of a code; ways of grouping; and chips with mismatch.

    All gains are tuned for as long, from 1. Where groups follow what gains have learned, these were
    tuned before, and nothing else is kept of that.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "studies": ("rails",),
        "rails": (5,),
        "seeds": 1,
        "images": 3,
    }

    shown = ("supplies",)

    studies: tuple[str, ...] = parameter(
        page.STUDIES, "what is compared", "chosen here", choices=page.STUDIES
    )
    groups: int = parameter(
        4,
        "groups of a neuron's synapses of each sign, each with a supply of its own",
        "chosen here; groups of synapses: Barton et al. 2022, section 5.2.1",
        low=1,
        high=16,
    )
    compared: tuple[int, ...] = parameter(
        (1, 2, 4, 8), "such numbers of groups that are compared", "chosen here", low=1, high=16
    )
    sharing: tuple[int, ...] = parameter(
        (2, 4, 8), "neurons that share the supplies of their groups", "chosen here", low=2
    )
    rails: tuple[int, ...] = parameter(
        (16, 8, 4, 2), "voltages of the whole chip, compared", "chosen here", low=1
    )
    bits: tuple[int, ...] = parameter(
        (2, 3, 4), "bits of a code besides its sign, compared", "chosen here", low=1, high=16
    )
    mismatch: Mismatch = parameter(Mismatch(), "one standard deviation", "see its own")
    sizes: np.ndarray = not_negative(
        np.array([1.0, 2.0, 4.0]),
        "sizes of the mismatch, in the standard deviations given",
        "chosen here, as in the protocol mismatch",
    )
    images: int = parameter(
        0, "test images that networks are simulated with, 0 for all", "chosen here", low=0
    )
    untuned: Quantity = untuned_supply()

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mirrors(self.circuit, self.untuned)
        for name in ("studies", "compared", "sharing", "rails", "bits", "sizes"):
            check_distinct(name, tuple(getattr(self, name)))

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest gain that a supply reaches."""
        return conversion.reachable_gains(self.circuit, self.untuned)

    def experiments(self) -> dict[str, Experiment]:
        """The networks of every seed that are simulated, each with all images."""
        each = self._volleys("test")[:, self._shown], PERIOD, self.dt, self.seed
        return {
            name: deployment.on_circuit(self.circuit, [c.layers for c in _simulated(chips)], *each)[
                1
            ]
            for name, chips in self.chips.items()
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Accuracies of every network in closed form, and of some by simulation."""
        rows = [
            row
            for name, chips in self.chips.items()
            for row in self._measured(chips, recordings[name])
        ]
        table = pd.DataFrame(rows)
        return {"table": table, "supplies": _summary(table)}

    @cached_property
    def task(self) -> tuple[Backbone, Features]:
        """The pre-trained network, and its features of the digits to learn."""
        backbone = networks.prepare_backbone()
        return backbone, networks.prepare_features(backbone, load_digits())

    @cached_property
    def chips(self) -> dict[str, list[Chip]]:
        """All networks that are compared, by the name of their experiment."""
        of_one = sum(linear.weight.numel() for linear in self.task[0].linears[1:])
        networks.check_synapses(2 * of_one, len(self._shown), "images")
        seeds = range(self.seed, self.seed + self.seeds)
        with stage("tuning"):
            return {
                f"seed {seed}": list(self._of_seed(seed))
                for seed in watched("tuning networks", seeds)
            }

    def _of_seed(self, seed: int) -> Iterator[Chip]:
        tuner = self._tuner(seed, self.circuit.bits)
        usual = {
            **{"seed": seed, "grouping": "index", "bits": self.circuit.bits},
            **{"supplies": 2.0 * self.groups, "sharing": 1, "rails": 0, "mismatch": 0.0},
            **{"tuned_on": "design", "simulated": False},
        }
        for study in ("groups", *self.studies):
            for differs, layers, tuned in getattr(self, f"_by_{study}")(tuner):
                yield Chip({"study": study} | usual | differs, layers, tuned)

    def _tuner(self, seed: int, bits: int) -> Tuner:
        backbone, features = self.task
        circuit = replace(self.circuit, bits=bits)
        memory = Memory.of(circuit, self.untuned, backbone, recipe("nt1_groups", seed).theta)
        return Tuner(features, memory, self.groups, seed)

    def _by_groups(self, tuner: Tuner) -> Iterator[Found]:
        """The network from which all others differ in one thing."""
        yield _found(tuner, tuner.own, simulated=True)

    def _by_supplies(self, tuner: Tuner) -> Iterator[Found]:
        yield from self._references(tuner.seed)
        yield _found(tuner, tuner.single(), supplies=1.0)
        for groups in self.compared:
            tuned = tuner.own if groups == self.groups else tuner.tune(groups)
            yield _found(tuner, tuned, supplies=2.0 * groups)
        for neurons in self.sharing:
            supplies = 2 * self.groups / neurons
            yield _found(tuner, tuner.sharing(neurons), supplies=supplies, sharing=neurons)

    def _references(self, seed: int) -> Iterator[Found]:
        """Free gains, for which the memory is rewritten, and everything trained, off the chip."""
        backbone, features = self.task
        free = tune(features, backbone, recipe("nt1", seed))
        design = Design("layer", self.untuned)
        layers = [
            deploy(self.circuit, *layer, free.recipe.theta, design)
            for layer in free.classifier.layer_parameters()
        ]
        yield {"grouping": "free gains", "supplies": 1.0}, layers, free
        every = tune(features, backbone, recipe("tft", seed))
        yield {"grouping": "everything trained", "supplies": 0.0}, (), every

    def _by_rails(self, tuner: Tuner) -> Iterator[Found]:
        for rails in self.rails:
            most = rails == max(self.rails)
            yield _found(tuner, tuner.rails(rails), rails=rails, simulated=most)
            tuned = tuner.rails_of_synapses(rails)
            yield _found(tuner, tuned, rails=rails, grouping="each synapse", supplies=0.0)

    def _by_bits(self, tuner: Tuner) -> Iterator[Found]:
        for bits in self.bits:
            other = tuner if bits == self.circuit.bits else self._tuner(tuner.seed, bits)
            yield _found(other, other.own, bits=bits)

    def _by_grouping(self, tuner: Tuner) -> Iterator[Found]:
        yield _found(tuner, tuner.own)
        yield _found(tuner, tuner.twice(), grouping="index, twice")
        activity = self._activity(tuner.memory.layers)
        for grouping in ("size", "significance", "source", "learned"):
            yield _found(tuner, tuner.grouped_by(grouping, activity), grouping=grouping)
        yield _found(tuner, tuner.each, grouping="each synapse", supplies=0.0)

    def _activity(self, layers: Sequence[Layer]) -> list[np.ndarray]:
        """Mean activity of every layer's sources, the bias last, with the training images."""
        volleys = self._volleys("train")
        ran = deployment.expected_spikes(self.circuit, layers, volleys, PERIOD, self.dt)
        return [np.append(of_layer.mean(axis=0), 1.0) for of_layer in (volleys[0], *ran[:-1])]

    def _by_mismatch(self, tuner: Tuner) -> Iterator[Found]:
        """One chip with deviations of several sizes, tuned as designed and as made."""
        memory, generator = tuner.memory, np.random.default_rng(tuner.seed)
        drawn = draw_layers(self.circuit, memory.layers, self.mismatch, generator)
        for size in self.sizes:
            deviations = [of_layer * float(size) for of_layer in drawn]
            again = replace(tuner, memory=self._made(memory, deviations))
            for tuned_on, tuned in (("design", tuner.own), ("chip", again.own)):
                designed = memory.supplied(tuned.classifier)
                layers = as_made(self.circuit, designed, deviations)
                yield {"mismatch": float(size), "tuned_on": tuned_on}, layers, tuned

    def _made(self, memory: Memory, deviations: Sequence[Deviations]) -> Memory:
        """The memory of a chip, and the weights that its codes really stand for at first."""
        made = as_made(self.circuit, memory.layers, deviations)
        weights = [stored(self.circuit, layer, memory.theta, self.untuned) for layer in made]
        return replace(memory, backbone=with_weights(memory.backbone, weights))

    @property
    def _shown(self) -> np.ndarray:
        """Which of the test images are simulated."""
        every = np.arange(len(self.task[1].split.test))
        return networks.evenly(every, self.images or len(every))

    def _volleys(self, part: str) -> np.ndarray:
        """Features of all images of a part of the data."""
        features = self.task[1]
        return np.asarray(features.values[getattr(features.split, part)], dtype=float)[None]

    def _measured(self, chips: Sequence[Chip], recording: Recording) -> Iterator[dict[str, Any]]:
        """Rows of one seed's networks."""
        test, shown, features = self.task[1].split.test, self._shown, self.task[1]
        labels, volleys = np.asarray(features.labels[test]), self._volleys("test")
        ran = _simulated(chips)
        sizes = len(ran), len(shown)
        simulated = deployment.as_simulated(self.circuit, self.costs, recording, *sizes)
        for chip in chips:
            row = chip.about | {
                "gains": chip.tuned.n_trained,
                "trained_accuracy": chip.tuned.accuracy["test"],
                "test_accuracy": np.nan,
                "test_images": len(test),
            }
            if chip.layers:
                layers = deployment.expected_spikes(
                    self.circuit, chip.layers, volleys, PERIOD, self.dt
                )
                row["test_accuracy"] = deployment.accuracy(layers[-1], labels)
            if chip.about["simulated"]:
                spikes, per_image = simulated[ran.index(chip)]
                outputs = spikes[:, -layers[-1].shape[1] :]
                row |= {
                    "simulated_accuracy": deployment.accuracy(outputs, labels[shown]),
                    "images_simulated": len(shown),
                    "neurons_compared": spikes.size,
                    "neurons_differ": int((spikes != np.hstack(layers)[shown]).sum()),
                    "energy_per_image_pJ": per_image[self.circuit.references],
                    **{f"energy_per_image_{kind}_pJ": own for kind, own in per_image.items()},
                }
            yield row


def _simulated(chips: Sequence[Chip]) -> list[Chip]:
    return [chip for chip in chips if chip.about["simulated"]]


def _found(tuner: Tuner, tuned: TuningResult, **differs: Any) -> Found:
    """A network with the codes of the tuner's memory."""
    return differs, tuner.memory.supplied(tuned.classifier), tuned


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means and standard deviations over seeds."""
    measured = [
        "gains",
        "trained_accuracy",
        "test_accuracy",
        "simulated_accuracy",
        "energy_per_image_pJ",
        "energy_per_image_always_pJ",
        "energy_per_image_pulsed_pJ",
    ]
    by = ["study", "grouping", "supplies", "sharing", "rails", "bits", "mismatch", "tuned_on"]
    summary = table.groupby(by, sort=False)[measured].agg(["mean", "std"])
    summary = summary.rename(columns={"std": "sd"})
    return summary.set_axis(summary.columns.map("_".join), axis="columns").reset_index()
