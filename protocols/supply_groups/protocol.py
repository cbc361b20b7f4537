"""Supplies for groups of a neuron's synapses: how many, how shared, how grouped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, volt
from brian2.units.allunits import pjoule

from neuromod.chip import conversion, deployment
from neuromod.chip.conversion import Design, Layer, deploy, grouped
from neuromod.chip.power_domains import domain_gains, power_domains, synapse_groups
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.modulated_layer import LayerParameters
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families import networks
from neuromod.protocols.supply_groups import page
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.progress import watched
from neuromod.support.text import say
from neuromod.tuning.backbone import Backbone, with_weights
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import Features
from neuromod.tuning.methods.gained import gained_layers
from neuromod.tuning.methods.nt1_groups import NT1Groups
from neuromod.tuning.recipe import SharedGains, TuningRecipe, build_classifier, calibrated
from neuromod.tuning.training import TuningResult, tune

# Every neuron is updated once per image; the least time between volleys plays no part.
PERIOD = 330 * nsecond


@dataclass(frozen=True, eq=False)
class Chip:
    """One network on the chip, what distinguishes it, and its accuracy off the chip."""

    about: dict[str, Any]
    layers: Sequence[Layer]
    trained_accuracy: float


@dataclass(frozen=True, eq=False)
class SupplyGroups(networks.NetworkOnChip):
    """Supplies for groups of a neuron's synapses: how many, how shared, how grouped.

    A network that knows the digits 0 to 4 lies in the chip's memory as codes of a few bits, which
    are never rewritten. It learns the digits 5 to 9 by gains alone, trained on those codes within
    reach of a supply voltage, one for each group of a neuron's synapses. Compared are numbers of
    supplies, few voltages (rails) for the whole chip with a switch for each group, bits of a code,
    and ways of grouping.
    """

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
    rails: tuple[int, ...] = parameter(
        (16, 8, 4, 2), "voltages of the whole chip, compared", "chosen here", low=1
    )
    bits: tuple[int, ...] = parameter(
        (2, 3, 4), "bits of a code besides its sign, compared", "chosen here", low=1, high=16
    )
    images: int = parameter(
        0, "test images that networks are simulated with, 0 for all", "chosen here", low=0
    )
    untuned: Quantity = parameter(
        0.6 * volt,
        "supply of a gain of 1",
        "calibrated here: that of the protocol chip-network",
        low=conversion.VDD_LOW,
        high=conversion.VDD_HIGH,
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.circuit.synapse != "mirror":
            raise UserError("circuit.synapse must be 'mirror': mirrors are sized for the network.")
        for name in ("studies", "compared", "rails", "bits"):
            networks.check_distinct(name, getattr(self, name))
        if not self.reach[0] > 0:
            raise UserError(
                f"circuit.vto = {say(self.circuit.vto)} leaves no current at 0.5 V, and a gain of "
                "0 cannot be tuned: use a lower threshold."
            )

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest gain that a supply reaches."""
        return conversion.reachable_gains(self.circuit, self.untuned)

    def experiments(self) -> dict[str, Experiment]:
        """The networks of every seed that are simulated, each with all images."""
        values = self._volleys[:, self._shown]
        each = values, PERIOD, self.dt, self.seed
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
        memory = self._memory(self.circuit.bits)
        own = self._tuned(seed, memory, self.groups)
        yield self._chip(seed, own, memory, "own", simulated=True)
        if "supplies" in self.studies:
            yield from self._references(seed)
            yield from self._by_supplies(seed, memory, own)
        if "rails" in self.studies:
            yield from self._by_rails(seed, memory, own)
        if "bits" in self.studies:
            for bits in self.bits:
                codes = self._memory(bits)
                found = self._tuned(seed, codes, self.groups)
                yield self._chip(seed, found, codes, "bits", bits=bits)
        if "grouping" in self.studies:
            yield from self._by_grouping(seed, memory, own)

    def _references(self, seed: int) -> Iterator[Chip]:
        """Free gains, for which the memory is rewritten, and everything trained, off the chip."""
        backbone, features = self.task
        free = tune(features, backbone, self._recipe("nt1", seed))
        design = Design("layer", self.untuned)
        layers = [
            deploy(self.circuit, *layer, free.recipe.theta, design)
            for layer in free.classifier.layer_parameters()
        ]
        about = self._about(seed, "reference")
        accuracy = free.accuracy["test"]
        yield Chip(about | {"grouping": "free gains", "supplies": 1}, layers, accuracy)
        every = tune(features, backbone, self._recipe("tft", seed)).accuracy["test"]
        yield Chip(about | {"grouping": "everything trained", "supplies": 0}, (), every)

    def _by_supplies(self, seed: int, memory: Sequence[Layer], own: TuningResult) -> Iterator[Chip]:
        neurons = sum(len(layer.codes) for layer in memory)
        both = SharedGains(np.repeat(np.arange(neurons), 2), np.ones(neurons))
        single = self._tuned(seed, memory, 1, both)
        yield self._chip(seed, single, memory, "supplies", supplies=1)
        for groups in self.compared:
            found = own if groups == self.groups else self._tuned(seed, memory, groups)
            yield self._chip(seed, found, memory, "supplies", supplies=2 * groups)

    def _by_rails(self, seed: int, memory: Sequence[Layer], own: TuningResult) -> Iterator[Chip]:
        gains = np.concatenate(_gains(own))
        for rails in self.rails:
            rail = power_domains(gains, rails, seed)
            shared = SharedGains(rail, domain_gains(gains, rail))
            found = self._tuned(seed, memory, self.groups, shared)
            most = rails == max(self.rails)
            yield self._chip(seed, found, memory, "rails", simulated=most, rails=rails)

    def _by_grouping(self, seed: int, memory: Sequence[Layer], own: TuningResult) -> Iterator[Chip]:
        yield self._chip(seed, own, memory, "grouping")
        each = self._tuned(seed, memory, 0)
        of_synapse = [
            gains.reshape(len(layer.codes), 2, -1)
            for gains, layer in zip(_gains(each), memory, strict=True)
        ]
        negative = [np.column_stack([layer.codes, layer.bias_codes]) < 0 for layer in memory]
        learned = [
            np.take_along_axis(gains, sign[:, None].astype(int), axis=1)[:, 0]
            for gains, sign in zip(of_synapse, negative, strict=True)
        ]
        sizes = [
            np.maximum(np.abs(np.column_stack([layer.codes, layer.bias_codes])), 1)
            for layer in memory
        ]
        for name, values in (("weight", sizes), ("learned", learned)):
            domain = synapse_groups(values, negative, self.groups, seed)
            every = np.concatenate([gains.ravel() for gains in of_synapse])
            start = domain_gains(every, domain) if name == "learned" else None
            ones = np.ones(domain.max() + 1)
            shared = SharedGains(domain, ones if start is None else start)
            found = self._tuned(seed, memory, 0, shared)
            yield self._chip(seed, found, memory, "grouping", grouping=name)
        none = self._chip(seed, each, memory, "grouping", grouping="each synapse")
        none.about["supplies"] = 0
        yield none

    def _recipe(self, method: str, seed: int) -> TuningRecipe:
        return calibrated(method, "spiking", "membrane", seed=seed)

    def _tuned(
        self, seed: int, memory: Sequence[Layer], groups: int, shared: SharedGains | None = None
    ) -> TuningResult:
        """Tune gains of groups within reach of a supply, on what codes in memory stand for."""
        backbone, features = self.task
        recipe = self._recipe("nt1_groups", seed)
        on_codes = with_weights(
            backbone,
            [conversion.stored(self.circuit, la, recipe.theta, self.untuned) for la in memory],
        )
        low, high = self.reach
        recipe = replace(recipe, groups=groups, gain_low=low, gain_high=high)
        return tune(features, on_codes, recipe, shared=shared)

    def _memory(self, bits: int) -> list[Layer]:
        """The codes before tuning, which are never rewritten."""
        backbone, features = self.task
        untuned = replace(self._recipe("nt1", 0), method="none")
        before: list[LayerParameters] = build_classifier(
            backbone, untuned, len(features.classes)
        ).layer_parameters()
        circuit: CircuitNeuron = replace(self.circuit, bits=bits)
        design = Design("layer", self.untuned)
        return [deploy(circuit, *layer, untuned.theta, design) for layer in before]

    def _about(self, seed: int, study: str) -> dict[str, Any]:
        return {
            **{"study": study, "seed": seed, "grouping": "index", "bits": self.circuit.bits},
            **{"supplies": 2 * self.groups, "rails": 0, "simulated": False},
        }

    def _chip(
        self, seed: int, tuned: TuningResult, memory: Sequence[Layer], study: str, **differs: Any
    ) -> Chip:
        layers = [
            grouped(self.circuit, layer, *cast(NT1Groups, groups).supplies(), self.untuned)
            for layer, groups in zip(memory, gained_layers(tuned.classifier), strict=True)
        ]
        return Chip(self._about(seed, study) | differs, layers, tuned.accuracy["test"])

    @property
    def _shown(self) -> np.ndarray:
        """Which of the test images are simulated."""
        every = np.arange(len(self.task[1].split.test))
        return networks.evenly(every, self.images or len(every))

    @property
    def _volleys(self) -> np.ndarray:
        features = self.task[1]
        return np.asarray(features.values[features.split.test], dtype=float)[None]

    def _measured(self, chips: Sequence[Chip], recording: Recording) -> Iterator[dict[str, Any]]:
        """Rows of one seed's networks."""
        test, shown, features = self.task[1].split.test, self._shown, self.task[1]
        labels = np.asarray(features.labels[test])
        ran = _simulated(chips)
        counts, totals = recording.spikes["chip"].counts(), recording.totals["chip"]
        spent = conversion.energies(self.circuit, self.costs, totals, counts, recording.duration)
        spikes, energy = (
            np.reshape(values, (len(ran), len(shown), -1))
            for values in (counts, sum(spent.values()) / pjoule)
        )
        for chip in chips:
            row = chip.about | {
                "trained_accuracy": chip.trained_accuracy,
                "test_accuracy": np.nan,
                "test_images": len(test),
            }
            if chip.layers:
                layers = deployment.expected_spikes(
                    self.circuit, chip.layers, self._volleys, PERIOD, self.dt
                )
                row["test_accuracy"] = deployment.accuracy(layers[-1], labels)
            if chip.about["simulated"]:
                number = ran.index(chip)
                outputs = spikes[number][:, -layers[-1].shape[1] :]
                row |= {
                    "simulated_accuracy": deployment.accuracy(outputs, labels[shown]),
                    "images_simulated": len(shown),
                    "neurons_compared": spikes[number].size,
                    "neurons_differ": int((spikes[number] != np.hstack(layers)[shown]).sum()),
                    "energy_per_image_pJ": energy[number].sum() / len(shown),
                }
            yield row


def _simulated(chips: Sequence[Chip]) -> list[Chip]:
    return [chip for chip in chips if chip.about["simulated"]]


def _gains(tuned: TuningResult) -> list[np.ndarray]:
    """Gains of all places of every layer."""
    layers = gained_layers(tuned.classifier)
    return [layer.gain.detach().double().numpy() for layer in layers]


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means and standard deviations over seeds."""
    measured = ["trained_accuracy", "test_accuracy", "simulated_accuracy", "energy_per_image_pJ"]
    by = ["study", "grouping", "supplies", "rails", "bits"]
    summary = table.groupby(by, sort=False)[measured].agg(["mean", "std"])
    summary = summary.rename(columns={"std": "sd"})
    return summary.set_axis(summary.columns.map("_".join), axis="columns").reset_index()
