"""A network on the chip: which ways of tuning survive there, and with how few supplies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, second, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import (
    SHARED_BY,
    Costs,
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
    Volley,
    accuracy,
    accuracy_by_count,
    expected_spikes,
    on_circuit,
    spike_trains,
)
from neuromod.chip.power_domains import domain_gains, power_domains
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, panels
from neuromod.support.log import stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import Backbone, load_backbone, with_weights
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import Features, extract_features
from neuromod.tuning.recipe import SharedGains, TuningRecipe, calibrated
from neuromod.tuning.training import TuningResult, tune

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A synapse between neurons takes some 200 bytes in Brian2 and in the experiment.
MOST_SYNAPSES = 30_000_000
# Section 6.2 of the paper reads fewer spikes as a 0.
THREE = 3
# Kind of classifier, loss, and the threshold that one spike of a weight of 1 has to reach: of
# counted spikes, an activation of 1 is a spike in every volley.
CODINGS = {"volley": ("spiking", "membrane", None), "counts": ("rate", "cross_entropy", 1.0)}
METHODS = {
    "free": "gains as they come, memory rewritten for them",
    "clipped": "the same, by supplies alone",
    "bounded": "gains kept within reach",
    "on codes": "within reach, tuned on the codes",
}
LINES = {
    ("kept", False): "by supplies alone",
    ("kept", True): "supplies tuned again",
    ("rewritten", False): "codes rewritten",
    ("rewritten", True): "codes rewritten, supplies tuned again",
}


@dataclass(frozen=True, eq=False)
class Chip:
    """One network on the chip.

    Attributes
    ----------
    about : dict of str to value
        What tells it from the others.
    layers : sequence of Layer
    trained : float
        Accuracy on test images that its tuning ended with, before the chip.
    gains : ndarray, shape (neurons,)
        That its tuning ended with.
    """

    about: dict[str, Any]
    layers: Sequence[Layer]
    trained: float
    gains: np.ndarray


@dataclass(frozen=True, eq=False)
class ChipNetwork(Protocol):
    """Gains as supply voltages: what tuning reaches on the chip, and with how few supplies.

    A network that knows the digits 0 to 4 lies in the chip's memory as codes of a few bits, and is
    taught the digits 5 to 9 by gains alone (nt1). A gain is a supply voltage, and a supply reaches
    from 0.5 to 1 V: gains that are negative, or beyond what those ends give, need the memory to be
    rewritten. Compared are gains that are tuned freely and deployed afterwards, with the memory
    rewritten for them or not; gains that are kept within reach while they are tuned; and such
    gains tuned on the codes themselves, so that what is trained is what runs: the forward pass
    has the rounded weights, and the gradient passes their rounding straight through, to gains
    alone, as the weights are frozen. The last network's
    neurons then share fewer and fewer supplies, found by clustering their gains, with codes kept
    or rewritten to make up, and with the shared supplies tuned again or not.

    Every network runs on circuit neurons, either in single volleys or with counted spikes.
    """

    shown = ("methods", "supplies")

    coding: str = parameter(
        "volley",
        "every neuron updated once per image, or trains of counted spikes",
        source="Barton et al. 2022, sections 5.1.1 and 6.2",
        choices=tuple(CODINGS),
    )
    bits: tuple[int, ...] = parameter(
        (2, 3, 4), "bits of a code besides its sign, compared", source="chosen here", low=1, high=16
    )
    supplies: tuple[int, ...] = parameter(
        (16, 4, 1),
        "supplies shared by all neurons of the chip, besides one per neuron and one per layer",
        source="chosen here; Barton et al. 2022, section 7, leave shared domains to the future",
        low=1,
    )
    seeds: int = parameter(3, "networks tuned in each way", source="chosen here", low=1)
    images: int = parameter(
        30, "test images that every network is simulated with", source="chosen here", low=1
    )
    mirrors: str = parameter(
        "layer",
        "what shares one size of mirrors and one scale of codes",
        source="chosen here",
        choices=SHARED_BY,
    )
    untuned: Quantity = parameter(
        0.6 * volt,
        "supply of a gain of 1",
        source="calibrated here: best of 0.52 to 0.75 V on validation images (coding=volley)",
        low=0.5 * volt,
        high=1 * volt,
    )
    train: int = parameter(
        10,
        "volleys of a train, for coding=counts",
        source="Barton et al. 2022, section 6.2",
        low=2,
    )
    period: Quantity = parameter(
        330 * nsecond,
        "from one volley to the next, for coding=counts",
        source="chosen here: above 300 ns, the paper's highest rate",
        low=0 * second,
        low_excluded=True,
    )
    decision: str = parameter(
        "most",
        "class of counted spikes: that of most spikes, or of the only neuron with three or more",
        source="chosen here; three: Barton et al. 2022, section 6.2",
        choices=("most", "three"),
    )
    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    costs: Costs = parameter(Costs(), "energy of the core's events", source="see its own")
    dt: Quantity = parameter(
        10 * nsecond,
        "time step",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["vdd"], "tuning sets the supplies")
        refuse_changed("circuit", self.circuit, ["domains"], "a neuron has one supply here")
        refuse_changed("circuit", self.circuit, ["synapse"], "mirrors are sized for the network")
        self.circuit.check_step(self.dt)
        for name in ("bits", "supplies"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise UserError(f"{name} name one number twice: {getattr(self, name)}.")
        if not reachable_gains(self.circuit, self.untuned)[0] > 0:
            raise UserError(
                f"circuit.vto = {self.circuit.vto} leaves no current at 0.5 V, and a gain of 0 "
                "cannot be tuned: a lower one was expected."
            )

    def experiments(self) -> dict[str, Experiment]:
        """All networks of a seed, each with all images, as one population."""
        return {name: experiment for name, (_, experiment) in self._built.items()}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Accuracies and energies of every network, by arithmetic and by simulation."""
        parts = [
            self._measured(chips, self._built[name][0], recordings[name])
            for name, chips in self._chips.items()
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

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Accuracy by method and bits, gains, accuracy and energy against supplies."""
        del recordings
        figure, axes = panels([["methods", "gains"], ["supplies", "energy"]], height=7)
        _plot_methods(axes["methods"], tables["methods"])
        self._plot_gains(axes["gains"], tables["gains"])
        shares = ("test_accuracy_mean", "test_accuracy_sd", 100)
        energy = ("energy_per_image_pJ_mean", "energy_per_image_pJ_sd", 1)
        _plot_supplies(axes["supplies"], tables["supplies"], *shares)
        _plot_supplies(axes["energy"], tables["supplies"], *energy)
        axes["supplies"].set(ylabel="test images right (%)", ylim=(0, None),
                             title="c  Accuracy with shared supplies")  # fmt: skip
        axes["supplies"].legend()
        axes["energy"].set(ylabel="energy per image (pJ)", ylim=(0, None),
                           title="d  Energy from both supplies")  # fmt: skip
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What helps and what does not."""
        low, high = reachable_gains(self.circuit, self.untuned)
        return [
            Section(
                "Ways of tuning",
                f"A supply from 0.5 to 1 V reaches gains of {low:.2g} to {high:.2g}; 1 lies at "
                f"{self.untuned}. {_compare_methods(tables['methods'], self.circuit.bits)}\n\n"
                f"{_free_gains(tables['gains'], low, high)}",
                "methods",
            ),
            Section(
                "Fewer supplies",
                f"With codes of {self.circuit.bits} bits. {_compare_supplies(tables)}\n\n"
                "Neurons were put together by k-means on the logarithm of their gains, over the "
                "whole chip; layer means one supply for each layer instead. Supply wires, "
                "regulators and the energy of rewriting codes are not in the figures.",
                "supplies",
            ),
            self._report_chip(tables["changes"]),
            self._report_simulation(tables["table"]),
        ]

    @cached_property
    def _task(self) -> tuple[Backbone, Features]:
        with stage("backbone"):
            backbone = load_backbone(progress=task("pre-training the backbone"))
        with stage("features"):
            progress = task("computing features")
            return backbone, extract_features(backbone, load_digits(), progress=progress)

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
        low, high = reachable_gains(self.circuit, self.untuned)
        return replace(self._recipe(seed), gain_low=low, gain_high=high)

    @cached_property
    def _chips(self) -> dict[str, list[Chip]]:
        """Every network that is compared, by the name of its seed's experiment."""
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
        """Refuse what memory cannot hold before anything is tuned."""
        networks = self.seeds * (
            len(METHODS) * len(self.bits) + len(LINES) * (len(self.supplies) + 1) + 1
        )
        copy = sum(linear.weight.numel() for linear in self._task[0].linears[1:])
        if networks * copy * self.images > MOST_SYNAPSES:
            most = MOST_SYNAPSES // (networks * copy)
            raise UserError(
                f"{networks} networks with {self.images} images each need "
                f"{networks * copy * self.images:.2g} synapses, and at most {MOST_SYNAPSES:.2g} "
                f"fit: set images to {most} or less, or fewer seeds, bits or supplies."
            )

    def _by_method(self, seed: int) -> Iterator[Chip]:
        """Ways of tuning, each with codes of several sizes."""
        backbone, features = self._task
        reach = reachable_gains(self.circuit, self.untuned)
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
            clipped = self._supplied(memory, np.clip(_gains(free), *reach))
            for method, layers, tuned in (
                ("free", rewritten, free),
                ("clipped", clipped, free),
                ("bounded", self._supplied(memory, _gains(bounded)), bounded),
                ("on codes", self._supplied(memory, _gains(on_codes)), on_codes),
            ):
                about = {"study": "method", "seed": seed, "method": method, "bits": bits,
                         "memory": "rewritten" if method == "free" else "kept", "again": False,
                         "grouping": "neuron", "supplies": len(_gains(tuned))}  # fmt: skip
                yield Chip(about, layers, tuned.accuracy["test"], _gains(tuned))

    def _by_supplies(self, seed: int) -> Iterator[Chip]:
        """The network tuned on the codes, with fewer and fewer supplies."""
        features = self._task[1]
        memory = self._memory(self.circuit)
        tuned = tune(features, self._coded(memory), self._bounded(seed))
        gains = _gains(tuned)
        about = {"study": "supplies", "seed": seed, "method": "on codes",
                 "bits": self.circuit.bits, "memory": "kept", "again": False,
                 "grouping": "neuron", "supplies": len(gains)}  # fmt: skip
        yield Chip(about, self._supplied(memory, gains), tuned.accuracy["test"], gains)
        by_layer = np.repeat(np.arange(len(memory)), [len(layer.codes) for layer in memory])
        groupings = [("k-means", power_domains(gains, k, seed)) for k in self.supplies]
        for grouping, domain in [*groupings, ("layer", by_layer)]:
            shared = SharedGains(domain, domain_gains(gains, domain))
            supplied = self._supplied(memory, shared.gain[domain])
            about = about | {"grouping": grouping, "supplies": len(shared.gain)}
            for name, layers in (
                ("kept", supplied),
                ("rewritten", self._rewritten(supplied, gains)),
            ):
                about = about | {"memory": name}
                yield Chip(about | {"again": False}, layers, tuned.accuracy["test"], gains)
                again = tune(features, self._coded(layers), self._bounded(seed), shared=shared)
                yield Chip(about | {"again": True}, self._supplied(layers, _gains(again)),
                           again.accuracy["test"], _gains(again))  # fmt: skip

    def _rewritten(self, supplied: Sequence[Layer], gains: np.ndarray) -> list[Layer]:
        """Codes that make up for supplies that are not those of the gains."""
        return [
            deploy(self.circuit, linear.weight.double().numpy(), linear.bias.double().numpy(), own,
                   self._theta, self._design, layer.vdd)
            for linear, own, layer in zip(
                self._task[0].linears, _by_layer(gains, supplied), supplied, strict=True
            )
        ]  # fmt: skip

    def _memory(self, circuit: CircuitNeuron) -> list[Layer]:
        """The network before tuning, all neurons at the untuned supply."""
        return [
            deploy(circuit, linear.weight.double().numpy(), linear.bias.double().numpy(),
                   np.ones(len(linear.bias)), self._theta, self._design)
            for linear in self._task[0].linears
        ]  # fmt: skip

    def _coded(self, memory: Sequence[Layer]) -> Backbone:
        """The backbone with the weights that codes in memory stand for."""
        weights = [stored(self.circuit, layer, self._theta, self.untuned) for layer in memory]
        return with_weights(self._task[0], weights)

    def _supplied(self, memory: Sequence[Layer], gains: np.ndarray) -> list[Layer]:
        """The same codes at the supplies of all neurons' gains."""
        of_one = gain_of(self.circuit, self.untuned)
        return [
            layer.at(vdd_of(self.circuit, own * of_one))
            for layer, own in zip(memory, _by_layer(gains, memory), strict=True)
        ]

    @cached_property
    def _built(self) -> dict[str, tuple[Volley, Experiment]]:
        volleys = self._volleys(self._task[1].split.test[self._shown])
        return {
            name: on_circuit(
                self.circuit, [chip.layers for chip in chips], volleys, self.period, self.dt,
                self.seed,
            )
            for name, chips in self._chips.items()
        }  # fmt: skip

    @property
    def _shown(self) -> np.ndarray:
        """Which test images are simulated: spread evenly, because they may be sorted by class."""
        there = len(self._task[1].split.test)
        return np.linspace(0, there - 1, min(self.images, there)).round().astype(int)

    def _volleys(self, indices: np.ndarray) -> np.ndarray:
        features = np.asarray(self._task[1].values[indices], dtype=float)
        return features[None] if self.coding == "volley" else spike_trains(features, self.train)

    def _right(self, output: np.ndarray, indices: np.ndarray) -> float:
        """Share of these images that the output layer's spikes classify right."""
        labels = np.asarray(self._task[1].labels[indices])
        if self.coding == "counts" and self.decision == "most":
            return accuracy_by_count(output, labels)
        return accuracy(output, labels, 1 if self.coding == "volley" else THREE)

    def _measured(
        self, chips: Sequence[Chip], volley: Volley, recording: Recording
    ) -> Iterator[dict[str, Any]]:
        """Rows of one seed's networks."""
        counts = recording.spikes["chip"].counts()
        spent = energies(
            self.circuit, self.costs, recording.totals["chip"], counts, recording.duration
        )
        energy = np.asarray(sum(spent.values()) / pjoule)
        simulated, drawn = (
            [volley.split(part) for part in np.split(values, len(chips))]
            for values in (counts, energy)
        )
        test = self._task[1].split.test
        volleys, shown = self._volleys(test), self._shown
        for chip, spikes, own in zip(chips, simulated, drawn, strict=True):
            expected = expected_spikes(self.circuit, chip.layers, volleys, self.period, self.dt)
            differ = sum(int((a != b[shown]).sum()) for a, b in zip(spikes, expected, strict=True))
            yield chip.about | {
                "trained_accuracy": chip.trained,
                "test_accuracy": self._right(expected[-1], test),
                "simulated_accuracy": self._right(spikes[-1], test[shown]),
                "neurons_compared": len(counts) // len(chips),
                "neurons_differ": differ,
                "spikes_per_image": np.hstack(spikes).sum() / volley.images,
                "energy_per_image_pJ": np.hstack(own).sum() / volley.images,
            }

    def _changes(self) -> pd.DataFrame:
        """What deployment did to every layer of the first seed's networks."""
        chips = next(iter(self._chips.values()))
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
            for chips in self._chips.values()
            for chip in chips
            if chip.about["study"] == "method"
            and chip.about["method"] in ("free", "bounded")
            and chip.about["bits"] == self.bits[0]
            for gain in chip.gains
        ]
        return pd.DataFrame(rows)

    def _plot_gains(self, axes: Any, gains: pd.DataFrame) -> None:
        low, high = reachable_gains(self.circuit, self.untuned)
        edges = np.linspace(-8, 8, 65)
        for method, color in (("free", ORANGE), ("bounded", BLUE)):
            own = gains.gain[gains.method == method].clip(-8, 8)
            axes.hist(own, edges, color=color, histtype="stepfilled", alpha=0.7, label=method)
        axes.axvspan(low, high, color=BLACK, alpha=0.12, lw=0,
                     label="reach of 0.5 to 1 V")  # fmt: skip
        axes.set(xlabel="gain of a neuron (beyond ±8 at the ends)", ylabel="neurons",
                 title="b  Gains, all seeds")  # fmt: skip
        axes.legend()

    def _report_chip(self, changes: pd.DataFrame) -> Section:
        sizes = changes[(changes.bits == self.bits[0]) & (changes.method == "bounded")]
        listed = ", ".join(f"{scale:.3g}" for scale in sizes.mirror_scale)
        return Section(
            "What the chip is",
            "A layer of many inputs has small weights, so its mirrors are made weaker than the "
            "circuit's, by narrower transistors and larger loads; gains and supplies do not "
            f"change by that. Sized by {self.mirrors}, they are weaker in the layers {listed} "
            f"times at {self.bits[0]} bits (medians). The largest weight has the largest code.\n\n"
            "Counts are those of the first seed. supply_at_lower_end and supply_at_upper_end are "
            "neurons that asked for less than 0.5 V or more than 1 V, for which the codes make "
            "up; negative_gain are neurons whose codes are stored inverted.",
            "changes",
        )

    def _report_simulation(self, table: pd.DataFrame) -> Section:
        compared, differ = table.neurons_compared.sum(), table.neurons_differ.sum()
        decided = {
            ("volley", self.decision): "the right output neuron fires and no other does",
            ("counts", "most"): "the right output neuron gives more spikes than every other",
            ("counts", "three"): "the right output neuron alone gives three spikes or more",
        }[self.coding, self.decision]
        return Section(
            "How this was measured",
            f"Every network ran on circuit neurons with {self.images} test images, which gave "
            "simulated_accuracy and the energies. test_accuracy is of all test images, by "
            "arithmetic: codes times the step of their supply, for the linear leak and ideal "
            "mirrors. Where both were there they were compared neuron by neuron and image by "
            f"image: {differ} of {compared} differ. trained_accuracy is what the tuning ended "
            f"with, off the chip. An image counts as right if {decided}.\n\n"
            "Synapses' energies follow from the mirror equation; the core's entries are "
            "calibrated here to the paper's 1.08 pJ per spike at 3.3 MHz, so that totals are "
            "estimates. The convolutional stack is not on the chip.",
            "table",
        )


def _gains(result: TuningResult) -> np.ndarray:
    """Gains of all neurons, first layer first."""
    return np.concatenate([layer.gain for layer in result.classifier.layer_parameters()])


def _by_layer(gains: np.ndarray, layers: Sequence[Layer]) -> list[np.ndarray]:
    return np.split(gains, np.cumsum([len(layer.codes) for layer in layers])[:-1])


def _summary(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means and standard deviations over seeds."""
    measured = ["trained_accuracy", "test_accuracy", "simulated_accuracy", "energy_per_image_pJ"]
    groups = table.groupby(by, sort=False, dropna=False)[measured]
    summary = groups.agg(["mean", "std"]).rename(columns={"std": "sd"})
    summary.columns = [f"{name}_{what}" for name, what in summary.columns]
    return summary.reset_index()


def _percent(row: Any) -> str:
    spread = row.test_accuracy_sd
    return f"{100 * row.test_accuracy_mean:.0f}" + (
        f" ± {100 * spread:.0f} %" if spread == spread else " %"
    )


def _compare_methods(methods: pd.DataFrame, bits: int) -> str:
    shown = bits if (methods.bits == bits).any() else methods.bits.iloc[0]
    rows = methods[methods.bits == shown].set_index("method")
    listed = "; ".join(
        f"{method} ({METHODS[method]}): {_percent(row)}"
        for method, row in zip(rows.index, rows.itertuples(), strict=True)
    )
    mean = rows.test_accuracy_mean
    best = mean.drop("free").idxmax()
    lost = 100 * (mean["free"] - mean[best])
    coarse = methods[methods.bits == methods.bits.min()].set_index("method").test_accuracy_mean
    helped = 100 * (coarse["on codes"] - coarse["bounded"])
    return (
        f"Test images right on the chip with codes of {shown} bits: {listed}. Of the ways that "
        f"leave the memory alone, {best!r} does best, {abs(lost):.0f} points "
        f"{'below' if lost >= 0 else 'above'} free gains. Tuning on the codes instead of the "
        f"exact weights changes accuracy by {helped:+.0f} points with the coarsest codes "
        f"({methods.bits.min()} bits)."
    )


def _free_gains(gains: pd.DataFrame, low: float, high: float) -> str:
    free = gains[gains.method == "free"].gain
    return (
        f"Of the gains tuned freely {100 * (free < 0).mean():.0f} % are negative and "
        f"{100 * free.between(low, high).mean():.0f} % within reach of a supply."
    )


def _compare_supplies(tables: dict[str, pd.DataFrame]) -> str:
    supplies = tables["supplies"]
    own = next(supplies[supplies.grouping == "neuron"].itertuples())
    lines = [f"One supply for each of the {own.supplies} neurons: {_percent(own)}."]
    shared = supplies[supplies.grouping != "neuron"]
    rows = list(shared.itertuples())
    for (grouping, k), group in groupby(rows, key=lambda row: (row.grouping, row.supplies)):
        listed = ", ".join(f"{LINES[row.memory, row.again]} {_percent(row)}" for row in group)
        lines.append(f"{k} {'supplies' if k > 1 else 'supply'} ({grouping}): {listed}.")
    energy = supplies.energy_per_image_pJ_mean
    lines.append(
        f"An image takes {energy.min():.0f} to {energy.max():.0f} pJ. {_what_helps(shared)}"
    )
    return " ".join(lines)


def _what_helps(shared: pd.DataFrame) -> str:
    wide = 100 * shared.pivot(
        index=["grouping", "supplies"], columns=["memory", "again"], values="test_accuracy_mean"
    )
    rewriting = wide["rewritten", False] - wide["kept", False]
    again = wide["kept", True] - wide["kept", False]
    return (
        "Rewriting the codes to make up for shared supplies changes accuracy by "
        f"{rewriting.min():+.0f} to {rewriting.max():+.0f} points, tuning the shared supplies "
        f"again by {again.min():+.0f} to {again.max():+.0f}."
    )


def _plot_methods(axes: Any, methods: pd.DataFrame) -> None:
    names = list(METHODS)
    sizes = sorted(methods.bits.unique())
    width = 0.8 / len(sizes)
    colors = (SKY, BLUE, GREEN, PURPLE)
    for number, bits in enumerate(sizes):
        rows = methods[methods.bits == bits].set_index("method").reindex(names)
        at = np.arange(len(names)) + (number - (len(sizes) - 1) / 2) * width
        axes.bar(at, 100 * rows.test_accuracy_mean, width * 0.92,
                 yerr=100 * rows.test_accuracy_sd.fillna(0), color=colors[number % len(colors)],
                 ecolor=BLACK, label=f"{bits} bits")  # fmt: skip
        axes.plot(at, 100 * rows.trained_accuracy_mean, "_", color=ORANGE, ms=16, mew=2.5)
    axes.set_xticks(np.arange(len(names)), names)
    axes.set(ylabel="test images right (%)", ylim=(0, None),
             title="a  On the chip (bars), before the chip (orange)")  # fmt: skip
    axes.legend()


def _plot_supplies(
    axes: Any, supplies: pd.DataFrame, mean: str, spread: str, factor: float
) -> None:
    own = supplies[supplies.grouping == "neuron"]
    for ((memory, again), name), color, marker in zip(
        LINES.items(), (BLUE, SKY, ORANGE, PURPLE), "osD^", strict=True
    ):
        rows = supplies[(supplies.memory == memory) & (supplies.again == again)]
        line = pd.concat([own, rows[rows.grouping == "k-means"]]).sort_values("supplies")
        axes.errorbar(line.supplies, factor * line[mean], factor * line[spread].fillna(0),
                      color=color, marker=marker, ms=5, label=name, capsize=2)  # fmt: skip
        layer = rows[rows.grouping == "layer"]
        axes.plot(layer.supplies, factor * layer[mean], marker, color=color, mfc="white", ms=6)
    axes.set(xlabel="supplies (hollow: one per layer)", xscale="log")
    ticks = sorted(supplies.supplies.unique())
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
