"""A network on the chip: which ways of tuning survive there, and with how few supplies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond

from neuromod.checks import check_distinct
from neuromod.chip import conversion, deployment
from neuromod.chip.conversion import Design, Layer, deploy, gain_of, grouped, vdd_of
from neuromod.chip.power_domains import domain_gains, power_domains
from neuromod.chip.pulses import PulseTrain
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.modulated_layer import LayerParameters
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.chip_network import page
from neuromod.protocols.families import networks
from neuromod.protocols.families.memory import check_mirrors, untuned_supply
from neuromod.protocols.families.timing import time
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.progress import watched
from neuromod.tuning.backbone import Backbone, with_weights
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import Features
from neuromod.tuning.methods.gained import gained_layers
from neuromod.tuning.methods.nt1_groups import NT1Groups
from neuromod.tuning.recipe import SharedGains, TuningRecipe, build_classifier, calibrated
from neuromod.tuning.training import TuningResult, tune

# Section 6.2 of the paper reads fewer spikes as a 0.
THREE = 3
# Kind of classifier, loss, and the threshold that one spike of a weight of 1 has to reach. With
# counted spikes, an activation of 1 is a spike in every volley.
CODINGS = {"volley": ("spiking", "membrane", None), "counts": ("rate", "cross_entropy", 1.0)}


@dataclass(frozen=True, eq=False)
class Chip:
    """One network on the chip, what distinguishes it, and how it was tuned before."""

    about: dict[str, Any]
    layers: Sequence[Layer]
    tuned: TuningResult


@dataclass(frozen=True, eq=False)
class ChipNetwork(networks.NetworkOnChip):
    """Gains as supply voltages: what tuning reaches on the chip, and with how few supplies.

    Which ways of tuning survive on the chip, and with how few supplies?

    A network that knows the digits 0 to 4 lies in the chip's memory as codes of a few bits. It
    learns the digits 5 to 9 by gains alone (nt1). A gain is a supply voltage in its range; a
    negative gain, or one beyond those ends, needs another code in memory. Gains are tuned freely
    and deployed afterwards, with the memory rewritten for them (free) or not (clipped); kept within
    reach of a supply while they are tuned (bounded); tuned so on the rounded weights themselves (on
    codes), so that the trained network is the one that runs; or tuned so with several supplies a
    neuron, for groups of its synapses by their sign and source (groups).

    The neurons of the network tuned on the codes then share fewer and fewer supplies, found by
    clustering their gains, with codes kept or rewritten to make up for it, and supplies tuned again
    or not. Every network runs on circuit neurons, in single volleys or with counted spikes.
    """

    small: ClassVar[Mapping[str, Any]] = {"bits": (3,), "supplies": (5,), "seeds": 1, "images": 3}

    shown = ("methods", "supplies")

    coding: str = parameter(
        "volley",
        "every neuron updated once per image, or trains of counted spikes",
        "Barton et al. 2022, sections 5.1.1 and 6.2",
        choices=tuple(CODINGS),
    )
    bits: tuple[int, ...] = parameter(
        (2, 3, 4), "bits of a code besides its sign, compared", "chosen here", low=1, high=16
    )
    supplies: tuple[int, ...] = parameter(
        (16, 4, 1),
        "supplies that the chip's neurons share, besides one per neuron and one per layer",
        "chosen here; Barton et al. 2022, section 7, leave shared domains to the future",
        low=1,
    )
    groups: int = parameter(
        4,
        "groups of a neuron's synapses of each sign, by source, each with a supply of its own",
        "chosen here; groups of synapses: Barton et al. 2022, section 5.2.1",
        low=1,
        high=16,
    )
    images: int = parameter(
        30, "test images that every network is simulated with", "chosen here", low=1
    )
    mirrors: str = parameter(
        "layer",
        "what shares a size of mirrors and a scale of codes",
        "chosen here",
        choices=conversion.SHARED_BY,
    )
    untuned: Quantity = untuned_supply(
        "calibrated here: best of 0.52 to 0.75 V for volleys, on validation images"
    )
    train: int = parameter(
        10, "volleys of a train, for coding=counts", "Barton et al. 2022, section 6.2", low=2
    )
    period: Quantity = time(
        330 * nsecond, "from one volley to the next, for coding=counts", "above the paper's 300 ns"
    )
    decision: str = parameter(
        "most",
        "class of counted spikes: that of most spikes, or of the only neuron with three or more",
        "chosen here; three: Barton et al. 2022, section 6.2",
        choices=("most", "three"),
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mirrors(self.circuit, self.untuned)
        check_distinct("bits", self.bits)
        check_distinct("supplies", self.supplies)
        if self.coding == "counts":
            PulseTrain(self.train, self.period, self.dt).check(self.circuit)

    def experiments(self) -> dict[str, Experiment]:
        """Networks of a seed, or those with groups of synapses, each with all images."""
        volleys = self._volleys(networks.evenly(self.task[1].split.test, self.images))
        each = volleys, self.period, self.dt, self.seed
        return {
            name: deployment.on_circuit(self.circuit, [chip.layers for chip in chips], *each)[1]
            for name, chips in self.chips.items()
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Accuracies and energies of every network, in closed form and by simulation."""
        rows = [
            row
            for name, chips in self.chips.items()
            for row in self._measured(chips, recordings[name])
        ]
        table = pd.DataFrame(rows)
        methods, supplies = (table[table.study == study] for study in ("method", "supplies"))
        return {
            "table": table,
            "methods": _summary(methods, ["method", "memory", "bits", "supplies"]),
            "supplies": _summary(supplies, ["grouping", "supplies", "memory", "again"]),
            "changes": self._changes(),
            "gains": self._gains(),
        }

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest gain that a supply reaches."""
        return conversion.reachable_gains(self.circuit, self.untuned)

    @cached_property
    def task(self) -> tuple[Backbone, Features]:
        """The pre-trained network, and its features of the digits to learn."""
        backbone = networks.prepare_backbone()
        return backbone, networks.prepare_features(backbone, load_digits())

    @property
    def _theta(self) -> float:
        return CODINGS[self.coding][2] or self._recipe(0).theta

    def _recipe(self, seed: int) -> TuningRecipe:
        kind, loss, _ = CODINGS[self.coding]
        return calibrated("nt1", kind, loss, seed=seed)

    def _within_reach(
        self,
        seed: int,
        memory: Sequence[Layer] = (),
        shared: SharedGains | None = None,
        **changed: Any,
    ) -> TuningResult:
        """Tune gains within reach of a supply, on what codes in memory stand for if it is given.

        The recipe is the free gains' but for what is `changed`.
        """
        backbone, features = self.task
        if memory:
            weights = [
                conversion.stored(self.circuit, la, self._theta, self.untuned) for la in memory
            ]
            backbone = with_weights(backbone, weights)
        low, high = self.reach
        recipe = replace(self._recipe(seed), gain_low=low, gain_high=high, **changed)
        return tune(features, backbone, recipe, shared=shared)

    @cached_property
    def chips(self) -> dict[str, list[Chip]]:
        """All networks that are compared, by the name of their experiment."""
        by_method = len(page.METHODS) * len(self.bits)
        by_supplies = len(page.LINES) * (len(self.supplies) + 1) + 1
        of_one = sum(linear.weight.numel() for linear in self.task[0].linears[1:])
        per_image = self.seeds * (by_method + by_supplies) * of_one
        networks.check_synapses(per_image, self.images, "images")
        seeds = range(self.seed, self.seed + self.seeds)
        with stage("tuning"):
            found = {
                f"seed {seed}": [*self._by_method(seed), *self._by_supplies(seed)]
                for seed in watched("tuning networks", seeds)
            }
            # Apart, since every network that runs with them needs as many supplies; and together,
            # since it is their number, not that of the networks, that takes time to set up.
            again = watched("tuning groups of synapses", seeds)
            return found | {"groups": [chip for seed in again for chip in self._by_groups(seed)]}

    def _by_method(self, seed: int) -> Iterator[Chip]:
        """Ways of tuning, each with codes of several sizes."""
        backbone, features = self.task
        free, bounded = tune(features, backbone, self._recipe(seed)), self._within_reach(seed)
        for bits in self.bits:
            circuit = replace(self.circuit, bits=bits)
            memory = self._deployed(circuit, self._pretrained)
            on_codes = self._within_reach(seed, memory)
            rewritten = self._deployed(circuit, free.classifier.layer_parameters())
            clipped = self._supplied(memory, np.clip(free.gains, *self.reach))
            for method, layers, tuned in (
                ("free", rewritten, free),
                ("clipped", clipped, free),
                ("bounded", self._supplied(memory, bounded.gains), bounded),
                ("on codes", self._supplied(memory, on_codes.gains), on_codes),
            ):
                memory_is = "rewritten" if method == "free" else "kept"
                about = _about("method", seed, method, bits, len(tuned.gains), memory_is)
                yield Chip(about, layers, tuned)

    def _by_groups(self, seed: int) -> Iterator[Chip]:
        """Several supplies a neuron, tuned on codes of several sizes."""
        for bits in self.bits:
            memory = self._deployed(replace(self.circuit, bits=bits), self._pretrained)
            tuned = self._within_reach(seed, memory, method="nt1_groups", groups=self.groups)
            found = gained_layers(tuned.classifier)
            layers = [
                grouped(self.circuit, layer, *cast(NT1Groups, groups).supplies(), self.untuned)
                for layer, groups in zip(memory, found, strict=True)
            ]
            supplies = sum(layer.vdd.size for layer in layers)
            yield Chip(_about("method", seed, "groups", bits, supplies), layers, tuned)

    def _by_supplies(self, seed: int) -> Iterator[Chip]:
        """The network tuned on the codes, with fewer and fewer supplies."""
        memory = self._deployed(self.circuit, self._pretrained)
        tuned = self._within_reach(seed, memory)
        gains, of_layer = tuned.gains, tuned.classifier.layer_parameters()
        own = [
            layer._replace(gain=found.gain)
            for layer, found in zip(self._pretrained, of_layer, strict=True)
        ]
        about = _about("supplies", seed, "on codes", self.circuit.bits, len(gains))
        yield Chip(about, self._supplied(memory, gains), tuned)
        by_layer = np.repeat(np.arange(len(memory)), [len(layer.codes) for layer in memory])
        groupings = [("k-means", power_domains(gains, k, seed)) for k in self.supplies]
        for grouping, domain in [*groupings, ("layer", by_layer)]:
            shared = SharedGains(domain, domain_gains(gains, domain))
            supplied = self._supplied(memory, shared.gain[domain])
            rewritten = self._deployed(self.circuit, own, [layer.vdd for layer in supplied])
            about = about | {"grouping": grouping, "supplies": len(shared.gain)}
            for name, layers in (("kept", supplied), ("rewritten", rewritten)):
                again = self._within_reach(seed, layers, shared)
                tuned_again = self._supplied(layers, again.gains)
                yield Chip(about | {"memory": name}, layers, tuned)
                yield Chip(about | {"memory": name, "again": True}, tuned_again, again)

    @cached_property
    def _pretrained(self) -> list[LayerParameters]:
        """The layers before tuning: all gains are 1."""
        backbone, features = self.task
        untuned = replace(self._recipe(0), method="none")
        return build_classifier(backbone, untuned, len(features.classes)).layer_parameters()

    def _deployed(
        self, circuit: CircuitNeuron, layers: list[LayerParameters], vdd: Sequence[Quantity] = ()
    ) -> list[Layer]:
        """Layers on the chip, at supplies if these are given."""
        design, given = Design(self.mirrors, self.untuned), vdd or [None] * len(layers)
        return [
            deploy(circuit, *layer, self._theta, design, own)
            for layer, own in zip(layers, given, strict=True)
        ]

    def _supplied(self, memory: Sequence[Layer], gains: np.ndarray) -> list[Layer]:
        """The same codes at the supplies of all neurons' gains."""
        vdd = vdd_of(self.circuit, gains * gain_of(self.circuit, self.untuned))
        ends = np.cumsum([len(layer.codes) for layer in memory])[:-1]
        return [
            replace(layer, vdd=own) for layer, own in zip(memory, np.split(vdd, ends), strict=True)
        ]

    def _volleys(self, indices: np.ndarray) -> np.ndarray:
        features = np.asarray(self.task[1].values[indices], dtype=float)
        return (
            features[None]
            if self.coding == "volley"
            else deployment.spike_trains(features, self.train)
        )

    def right(self, output: np.ndarray, indices: np.ndarray) -> float:
        """Return the share of these images that the output layer's spikes classify right."""
        labels = np.asarray(self.task[1].labels[indices])
        if self.coding == "counts" and self.decision == "most":
            return deployment.accuracy_by_count(output, labels)
        return deployment.accuracy(output, labels, 1 if self.coding == "volley" else THREE)

    def _measured(self, chips: Sequence[Chip], recording: Recording) -> Iterator[dict[str, Any]]:
        """Rows of one experiment's networks."""
        test = self.task[1].split.test
        volleys, shown = self._volleys(test), networks.evenly(np.arange(len(test)), self.images)
        sizes = len(chips), len(shown)
        simulated = deployment.as_simulated(self.circuit, self.costs, recording, *sizes)
        outputs = slice(-len(self._pretrained[-1].gain), None)
        for chip, (spikes, per_image) in zip(chips, simulated, strict=True):
            layers = deployment.expected_spikes(
                self.circuit, chip.layers, volleys, self.period, self.dt
            )
            expected = np.hstack(layers)
            yield chip.about | {
                "trained_accuracy": chip.tuned.accuracy["test"],
                "test_accuracy": self.right(expected[:, outputs], test),
                "simulated_accuracy": self.right(spikes[:, outputs], test[shown]),
                "images_simulated": len(shown),
                "test_images": len(test),
                "neurons_compared": spikes.size,
                "neurons_differ": int((spikes != expected[shown]).sum()),
                "spikes_per_image": spikes.sum() / len(shown),
                "energy_per_image_pJ": per_image[self.circuit.references],
                **{f"energy_per_image_{kind}_pJ": own for kind, own in per_image.items()},
            }

    def _changes(self) -> pd.DataFrame:
        """What did not fit the chip in every layer of the first seed's networks."""
        rows = [
            {name: chip.about[name] for name in ("bits", "method")} | {"layer": n} | layer.changes
            for chip in self.chips[f"seed {self.seed}"]
            if chip.about["study"] == "method" and chip.about["method"] != "clipped"
            for n, layer in enumerate(chip.layers, 1)
        ]
        return pd.DataFrame(rows)

    def _gains(self) -> pd.DataFrame:
        """Gains of every neuron, tuned freely and within reach on the first codes compared."""
        parts = [
            pd.DataFrame(
                {name: chip.about[name] for name in ("seed", "method")} | {"gain": chip.tuned.gains}
            )
            for chips in self.chips.values()
            for chip in chips
            if chip.about["study"] == "method" and chip.about["bits"] == self.bits[0]
            if chip.about["method"] in ("free", "bounded")
        ]
        return pd.concat(parts, ignore_index=True)


def _about(
    study: str, seed: int, method: str, bits: int, supplies: int, memory: str = "kept"
) -> dict[str, Any]:
    """What distinguishes a network with a supply for each neuron."""
    return {
        **{"study": study, "seed": seed, "method": method, "bits": bits, "memory": memory},
        **{"again": False, "grouping": "neuron", "supplies": supplies},
    }


def _summary(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means and standard deviations over seeds."""
    energies = [f"energy_per_image{kind}_pJ" for kind in ("", "_always", "_pulsed")]
    measured = ["trained_accuracy", "test_accuracy", "simulated_accuracy", *energies]
    groups = table.groupby(by, sort=False)[measured]
    summary = groups.agg(["mean", "std"]).rename(columns={"std": "sd"})
    return summary.set_axis(summary.columns.map("_".join), axis="columns").reset_index()
