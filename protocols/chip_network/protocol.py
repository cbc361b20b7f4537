"""A network on the chip: which ways of tuning survive there, and with how few supplies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import (
    SHARED_BY,
    VDD_HIGH,
    VDD_LOW,
    Design,
    Layer,
    deploy,
    energies,
    gain_of,
    reachable_gains,
    stored,
    vdd_of,
)
from neuromod.chip.deployment import (
    Unrolled,
    accuracy,
    accuracy_by_count,
    expected_spikes,
    on_circuit,
    spike_trains,
)
from neuromod.chip.power_domains import domain_gains, power_domains
from neuromod.chip.pulses import PulseTrain
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.chip_network import page
from neuromod.protocols.families.networks import (
    NetworkOnChip,
    check_distinct,
    check_synapses,
    evenly,
    prepare_backbone,
    prepare_features,
)
from neuromod.protocols.families.timing import time
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.progress import task
from neuromod.support.text import say
from neuromod.tuning.backbone import Backbone, with_weights
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import Features
from neuromod.tuning.recipe import SharedGains, TuningRecipe, calibrated
from neuromod.tuning.training import TuningResult, tune

# Section 6.2 of the paper reads fewer spikes as a 0.
THREE = 3
# Kind of classifier, loss, and the threshold that one spike of a weight of 1 has to reach. With
# counted spikes, an activation of 1 is a spike in every volley.
CODINGS = {"volley": ("spiking", "membrane", None), "counts": ("rate", "cross_entropy", 1.0)}


@dataclass(frozen=True, eq=False)
class Chip:
    """One network on the chip.

    Attributes
    ----------
    about : dict of str to value
        What distinguishes it: study, seed, method, bits, memory, again, grouping, supplies.
    layers : sequence of Layer
    tuned : TuningResult
        The network before the chip.
    """

    about: dict[str, Any]
    layers: Sequence[Layer]
    tuned: TuningResult


@dataclass(frozen=True, eq=False)
class ChipNetwork(NetworkOnChip):
    """Gains as supply voltages: what tuning reaches on the chip, and with how few supplies.

    A network that knows the digits 0 to 4 lies in the chip's memory as codes of a few bits. It
    learns the digits 5 to 9 by gains alone (nt1). A gain is a supply voltage from 0.5 to 1 V; a
    negative gain, or one beyond those ends, needs another code in memory. Four ways of tuning are
    compared: gains tuned freely and deployed afterwards, with the memory rewritten for them
    (free) or not (clipped); gains kept within reach of a supply while they are tuned (bounded);
    and such gains tuned on the codes themselves (on codes), so that the trained network is the one
    that runs. The forward pass then has the rounded weights, which are frozen, and the gradient
    reaches only the gains.

    The neurons of the last network then share fewer and fewer supplies, found by clustering their
    gains. Codes are kept or rewritten to make up for it, and the shared supplies are tuned again
    or not.

    Every network runs on circuit neurons, in single volleys or with counted spikes.
    """

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
        "supplies shared by all neurons of the chip, besides one per neuron and one per layer",
        "chosen here; Barton et al. 2022, section 7, leave shared domains to the future",
        low=1,
    )
    images: int = parameter(
        30, "test images that every network is simulated with", "chosen here", low=1
    )
    mirrors: str = parameter(
        "layer",
        "what shares one size of mirrors and one scale of codes",
        "chosen here",
        choices=SHARED_BY,
    )
    untuned: Quantity = parameter(
        0.6 * volt,
        "supply of a gain of 1",
        "calibrated here: best of 0.52 to 0.75 V on validation images (coding=volley)",
        low=VDD_LOW,
        high=VDD_HIGH,
    )
    train: int = parameter(
        10, "volleys of a train, for coding=counts", "Barton et al. 2022, section 6.2", low=2
    )
    period: Quantity = time(
        330 * nsecond,
        "from one volley to the next, for coding=counts",
        "above 300 ns, the paper's highest rate",
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
        if self.circuit.synapse != "mirror":
            raise UserError("circuit.synapse must be 'mirror': mirrors are sized for the network.")
        check_distinct("bits", self.bits)
        check_distinct("supplies", self.supplies)
        if not self.reach[0] > 0:
            raise UserError(
                f"circuit.vto = {say(self.circuit.vto)} leaves no current at 0.5 V, and a gain of "
                "0 cannot be tuned: use a lower threshold."
            )
        if self.coding == "counts":
            PulseTrain(self.train, self.period, self.dt).check(self.circuit)

    def experiments(self) -> dict[str, Experiment]:
        """All networks of a seed, each with all images, as one population."""
        return {name: experiment for name, (_, experiment) in self._built.items()}

    def measure(self, recordings: Recordings) -> Tables:
        """Accuracies and energies of every network, in closed form and by simulation."""
        parts = [
            self._measured(chips, self._built[name][0], recordings[name])
            for name, chips in self.chips.items()
        ]
        table = pd.DataFrame([row for part in parts for row in part])
        return {
            "table": table,
            "methods": _summary(table[table.study == "method"], ["method", "memory", "bits"]),
            "supplies": _summary(
                table[table.study == "supplies"], ["grouping", "supplies", "memory", "again"]
            ),
            "changes": self._changes(),
            "gains": self._gains(),
        }

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest gain that a supply reaches."""
        return reachable_gains(self.circuit, self.untuned)

    @cached_property
    def task(self) -> tuple[Backbone, Features]:
        """The pre-trained network, and its features of the digits to learn."""
        backbone = prepare_backbone()
        return backbone, prepare_features(backbone, load_digits())

    @property
    def _design(self) -> Design:
        return Design(self.mirrors, self.untuned)

    @property
    def _theta(self) -> float:
        return CODINGS[self.coding][2] or self._recipe(0).theta

    def _recipe(self, seed: int) -> TuningRecipe:
        kind, loss, _ = CODINGS[self.coding]
        return calibrated("nt1", kind, loss, seed=seed)

    def _bounded(self, seed: int) -> TuningRecipe:
        low, high = self.reach
        return replace(self._recipe(seed), gain_low=low, gain_high=high)

    @cached_property
    def chips(self) -> dict[str, list[Chip]]:
        """All networks that are compared, by the name of their seed's experiment."""
        self._check_size()
        progress = task("tuning networks")
        with stage("tuning"):
            chips: dict[str, list[Chip]] = {}
            for number in range(self.seeds):
                progress(number, self.seeds)
                seed = self.seed + number
                chips[f"seed {seed}"] = [*self._by_method(seed), *self._by_supplies(seed)]
            progress(self.seeds, self.seeds)
        return chips

    def _check_size(self) -> None:
        """Refuse what memory cannot hold, before anything is tuned."""
        by_method = len(page.METHODS) * len(self.bits)
        by_supplies = len(page.LINES) * (len(self.supplies) + 1) + 1
        copy = sum(linear.weight.numel() for linear in self.task[0].linears[1:])
        check_synapses(self.seeds * (by_method + by_supplies) * copy, self.images, "images")

    def _by_method(self, seed: int) -> Iterator[Chip]:
        """Ways of tuning, each with codes of several sizes."""
        backbone, features = self.task
        free = tune(features, backbone, self._recipe(seed))
        bounded = tune(features, backbone, self._bounded(seed))
        for bits in self.bits:
            circuit = replace(self.circuit, bits=bits)
            memory = self._memory(circuit)
            on_codes = tune(features, self._coded(memory), self._bounded(seed))
            rewritten = [
                deploy(circuit, la.weight, la.bias, la.gain, self._theta, self._design)
                for la in free.classifier.layer_parameters()
            ]
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

    def _by_supplies(self, seed: int) -> Iterator[Chip]:
        """The network tuned on the codes, with fewer and fewer supplies."""
        features = self.task[1]
        memory = self._memory(self.circuit)
        tuned = tune(features, self._coded(memory), self._bounded(seed))
        gains = tuned.gains
        about = _about("supplies", seed, "on codes", self.circuit.bits, len(gains))
        yield Chip(about, self._supplied(memory, gains), tuned)
        by_layer = np.repeat(np.arange(len(memory)), [len(layer.codes) for layer in memory])
        groupings = [("k-means", power_domains(gains, k, seed)) for k in self.supplies]
        for grouping, domain in [*groupings, ("layer", by_layer)]:
            shared = SharedGains(domain, domain_gains(gains, domain))
            supplied = self._supplied(memory, shared.gain[domain])
            about = about | {"grouping": grouping, "supplies": len(shared.gain)}
            own, supplies = _by_layer(gains, memory), [layer.vdd for layer in supplied]
            rewritten = self._deployed(self.circuit, own, supplies)
            for name, layers in (("kept", supplied), ("rewritten", rewritten)):
                about = about | {"memory": name}
                yield Chip(about | {"again": False}, layers, tuned)
                again = tune(features, self._coded(layers), self._bounded(seed), shared=shared)
                yield Chip(about | {"again": True}, self._supplied(layers, again.gains), again)

    def _memory(self, circuit: CircuitNeuron) -> list[Layer]:
        """The network before tuning, all neurons at the untuned supply."""
        linears = self.task[0].linears
        untuned = [np.ones(len(linear.bias)) for linear in linears]
        return self._deployed(circuit, untuned, [None] * len(linears))

    def _deployed(
        self,
        circuit: CircuitNeuron,
        gains: Sequence[np.ndarray],
        supplies: Sequence[Quantity | None],
    ) -> list[Layer]:
        """The pre-trained layers on the chip, with these gains, and supplies if they are given."""
        layers = []
        for linear, gain, vdd in zip(self.task[0].linears, gains, supplies, strict=True):
            weight, bias = linear.weight.double().numpy(), linear.bias.double().numpy()
            layers.append(deploy(circuit, weight, bias, gain, self._theta, self._design, vdd))
        return layers

    def _coded(self, memory: Sequence[Layer]) -> Backbone:
        """The backbone with the weights that codes in memory stand for."""
        weights = [stored(self.circuit, layer, self._theta, self.untuned) for layer in memory]
        return with_weights(self.task[0], weights)

    def _supplied(self, memory: Sequence[Layer], gains: np.ndarray) -> list[Layer]:
        """The same codes at the supplies of all neurons' gains."""
        of_one = gain_of(self.circuit, self.untuned)
        return [
            layer.at(vdd_of(self.circuit, own * of_one))
            for layer, own in zip(memory, _by_layer(gains, memory), strict=True)
        ]

    @cached_property
    def _built(self) -> dict[str, tuple[Unrolled, Experiment]]:
        volleys = self._volleys(evenly(self.task[1].split.test, self.images))
        found = {}
        for name, chips in self.chips.items():
            networks = [chip.layers for chip in chips]
            found[name] = on_circuit(
                self.circuit, networks, volleys, self.period, self.dt, self.seed
            )
        return found

    def _volleys(self, indices: np.ndarray) -> np.ndarray:
        features = np.asarray(self.task[1].values[indices], dtype=float)
        return features[None] if self.coding == "volley" else spike_trains(features, self.train)

    def right(self, output: np.ndarray, indices: np.ndarray) -> float:
        """Return the share of these images that the output layer's spikes classify right."""
        labels = np.asarray(self.task[1].labels[indices])
        if self.coding == "counts" and self.decision == "most":
            return accuracy_by_count(output, labels)
        return accuracy(output, labels, 1 if self.coding == "volley" else THREE)

    def _measured(
        self, chips: Sequence[Chip], network: Unrolled, recording: Recording
    ) -> Iterator[dict[str, Any]]:
        """Rows of one seed's networks."""
        counts = recording.spikes["chip"].counts()
        spent = energies(
            self.circuit, self.costs, recording.totals["chip"], counts, recording.duration
        )
        energy = np.asarray(sum(spent.values()) / pjoule)
        simulated, drawn = (
            [network.split(part) for part in np.split(values, len(chips))]
            for values in (counts, energy)
        )
        test = self.task[1].split.test
        volleys, shown = self._volleys(test), evenly(np.arange(len(test)), self.images)
        for chip, spikes, own in zip(chips, simulated, drawn, strict=True):
            expected = expected_spikes(self.circuit, chip.layers, volleys, self.period, self.dt)
            differ = sum(int((a != b[shown]).sum()) for a, b in zip(spikes, expected, strict=True))
            yield chip.about | {
                "trained_accuracy": chip.tuned.accuracy["test"],
                "test_accuracy": self.right(expected[-1], test),
                "simulated_accuracy": self.right(spikes[-1], test[shown]),
                "neurons_compared": len(counts) // len(chips),
                "neurons_differ": differ,
                "spikes_per_image": np.hstack(spikes).sum() / network.images,
                "energy_per_image_pJ": np.hstack(own).sum() / network.images,
            }

    def _changes(self) -> pd.DataFrame:
        """What did not fit the chip in every layer of the first seed's networks."""
        chips = next(iter(self.chips.values()))
        return pd.DataFrame(
            [
                {"bits": chip.about["bits"], "method": chip.about["method"], "layer": n + 1}
                | layer.changes
                for chip in chips
                if chip.about["study"] == "method" and chip.about["method"] != "clipped"
                for n, layer in enumerate(chip.layers)
            ]
        )

    def _gains(self) -> pd.DataFrame:
        """Gains of every neuron, tuned freely and within reach on the first codes compared."""
        rows = [
            {"seed": chip.about["seed"], "method": chip.about["method"], "gain": gain}
            for chips in self.chips.values()
            for chip in chips
            if chip.about["study"] == "method"
            and chip.about["method"] in ("free", "bounded")
            and chip.about["bits"] == self.bits[0]
            for gain in chip.tuned.gains
        ]
        return pd.DataFrame(rows)


def _about(
    study: str, seed: int, method: str, bits: int, supplies: int, memory: str = "kept"
) -> dict[str, Any]:
    """What distinguishes a network with a supply for each neuron."""
    return {
        **{"study": study, "seed": seed, "method": method, "bits": bits, "memory": memory},
        **{"again": False, "grouping": "neuron", "supplies": supplies},
    }


def _by_layer(gains: np.ndarray, layers: Sequence[Layer]) -> list[np.ndarray]:
    return np.split(gains, np.cumsum([len(layer.codes) for layer in layers])[:-1])


def _summary(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means and standard deviations over seeds."""
    measured = ["trained_accuracy", "test_accuracy", "simulated_accuracy", "energy_per_image_pJ"]
    groups = table.groupby(by, sort=False, dropna=False)[measured]
    summary = groups.agg(["mean", "std"]).rename(columns={"std": "sd"})
    summary.columns = [f"{name}_{what}" for name, what in summary.columns]
    return summary.reset_index()
