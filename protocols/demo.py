"""From images to trained gains, to Brian2 neurons, to circuit neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, amp, ms, nsecond, second, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import TIME_SCALE, Costs, Layer, deploy, energies, ledger
from neuromod.chip.deployment import (
    Volley,
    accuracy,
    agreement,
    on_cells,
    on_circuit,
)
from neuromod.errors import UserError, unknown
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.classifier import SpikingClassifier
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, panels
from neuromod.support.log import note, stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import RANDOM, Backbone, load_backbone
from neuromod.tuning.datasets import load_data
from neuromod.tuning.features import Features, extract_features
from neuromod.tuning.gains import load_result, save_gains
from neuromod.tuning.methods import METHODS
from neuromod.tuning.recipe import calibrated
from neuromod.tuning.training import TuningResult, tune

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A synapse takes some 200 bytes in Brian2.
MOST_SYNAPSES = 30_000_000
NETWORKS = (("rate", "cross_entropy"), ("spiking", "simple"), ("spiking", "membrane"))


@dataclass(frozen=True, eq=False)
class Tuned:
    """What training gave.

    Attributes
    ----------
    backbone : Backbone
    features : Features
    results : tuple of TuningResult
    best : TuningResult
        The spiking nt1 network with the best accuracy on validation images.
    deployed : ndarray of int, shape (images,)
        Test images that run through neurons.
    """

    backbone: Backbone
    features: Features
    results: tuple[TuningResult, ...]
    best: TuningResult
    deployed: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """Features of the deployed images in double precision, shape (images, inputs)."""
        return np.asarray(self.features.values[self.deployed], dtype=np.float64)

    @property
    def labels(self) -> np.ndarray:
        """Classes of the deployed images, shape (images,)."""
        return np.asarray(self.features.labels[self.deployed])


@dataclass(frozen=True, eq=False)
class Demo(Protocol):
    """One gain per neuron: from images to a trained network, to cells, to a chip.

    By default, a network that can tell the digits 0 to 4 apart is taught the digits 5 to 9 without
    touching its weights or adding an output: each neuron of its classifier only gets a gain, by
    which its whole input is multiplied. In a cell, a neuromodulator sets such a gain through
    metabotropic receptors; on a chip, the supply voltage of a neuron's synapses does.

    Gains alone (nt1) are compared with other ways of tuning: shifting every neuron's input by an
    added bias (additive), training the biases that are there (nt2), training everything (tft),
    and nothing (none). This is done for an ordinary network with graded outputs (rate) and for
    spiking networks whose neurons fire once or not at all. The spiking network with the best
    gains is then built twice from neurons: as biological integrate-and-fire neurons in Brian2,
    whose gain variable holds the trained gains, and as analog circuit neurons, whose weights are
    stored in a few bits and a sign and whose gains are supply voltages between 0.5 and 1 V. All
    test images run through both.
    """

    shown = ("summary", "deployment")

    data: str = parameter(
        "digits",
        "'digits' (5 to 9) or another data set's name, or a folder with one of images per class",
        source="scikit-learn's handwritten digits (Alpaydin & Kaynak 1998, UCI)",
    )
    backbone: str = parameter(
        "digits-vgg",
        "'digits-vgg' (pre-trained on digits 0 to 4), or a VGG of torchvision",
        source="Barton et al. 2022 used VGG-19",
    )
    weights: str = parameter(
        "",
        "file with the weights of a torchvision VGG, or 'random' for timing alone",
        source="torchvision's cache where empty",
    )
    methods: tuple[str, ...] = parameter(
        ("none", "additive", "nt1", "nt2", "tft"),
        "ways of tuning",
        source="Barton et al. 2022, section 3.2 and table 7",
    )
    gains: str = parameter(
        "",
        "gains file of a spiking network to deploy instead of tuning any",
        source="a run's gains.safetensors",
    )
    deployed_images: int = parameter(
        0, "test images to run through neurons, 0 for all", source="chosen here", low=0
    )
    seeds: int = parameter(3, "networks tuned in each way", source="chosen here", low=1)
    neuron: GainLIF = parameter(
        GainLIF(synapse="pulse", modulated=False), "the biological neuron", source="see its own"
    )
    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the circuit neuron", source="see its own")
    costs: Costs = parameter(Costs(), "energy of the core's events", source="see its own")
    dt: Quantity = parameter(
        10 * nsecond,
        "time step, chip time",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for method in self.methods:
            if method not in METHODS:
                raise unknown("tuning method", method, METHODS)
        if len(set(self.methods)) < len(self.methods):
            raise UserError(f"methods name one twice: {', '.join(self.methods)}.")
        if "nt1" not in self.methods:
            raise UserError("methods must include nt1, whose gains are deployed.")
        if self.neuron.synapse != "pulse":
            raise UserError("neuron.synapse must be 'pulse', of which delta synapses are made.")
        refuse_changed("circuit", self.circuit, ["vdd"], "training sets the supplies")
        refuse_changed("neuron", self.neuron, ["trained_gain"], "training sets the gains")
        if self.neuron.I_ext != 0 * amp or self.neuron.v_reset != self.neuron.v_rest:
            raise UserError("neuron.I_ext must be 0 and neuron.v_reset at v_rest: a volley is all.")
        self.circuit.check_step(self.dt)
        if self.neuron.site != "input" or self.neuron.modulated:
            raise UserError(
                "neuron.site must be 'input' and neuron.modulated false: trained gains can be "
                "negative, which a threshold cannot take, and nothing else may change them."
            )

    def experiments(self) -> dict[str, Experiment]:
        """The best spiking nt1 network, all test images at once, as cells and as a chip."""
        return {"cells": self._cells[1], "circuit": self._circuit[1]}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Accuracies of all networks; agreement, changes, spikes and energy of the deployed one.

        Raises
        ------
        RuntimeError
            When a biological neuron does not do what torch's neuron does.
        """
        sides = {
            "torch": self._reference(),
            "cells": self._cells[0].split(recordings["cells"].spikes["cell"].counts()),
            "circuit": self._circuit[0].split(recordings["circuit"].spikes["chip"].counts()),
        }
        agreed = agreement(sides)
        differ = agreed.loc[(agreed.pair == "torch – cells") & (agreed.layer == "all"), "differ"]
        if differ.item():
            raise RuntimeError(
                f"{differ.item()} neurons in Brian2 did not do what torch's did, and all must."
            )
        on_chip = recordings["circuit"]
        spent = energies(
            self.circuit, self.costs, on_chip.totals["chip"], on_chip.spikes["chip"].counts(),
            on_chip.duration,
        )  # fmt: skip
        table = pd.DataFrame([_row(result) for result in self._tuned.results])
        tables = {
            "table": table,
            "summary": _summary(table),
            "task": self._task(),
            "deployment": self._deployment(sides, spent),
            "agreement": agreed,
            "changes": self._changes(),
            "neurons": self._neurons(),
            "ledger": self._ledger(spent, sides["circuit"]),
        }
        if self._tuned.backbone.trained:
            return tables
        return {name: found.assign(weights=RANDOM) for name, found in tables.items()}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Accuracies, deployment, supplies, energy, and traces of cells over the circuit's."""
        figure, axes = panels(
            [
                [[["methods", "methods", "deployed"]]],
                [[["supply", "energy"]]],
                [[[f"trace {n}" for n in range(4)]]],
            ],
            width=10,
            height=10,
        )
        _plot_methods(axes["methods"], tables["summary"], tables["task"])
        _plot_deployed(axes["deployed"], tables["deployment"])
        _plot_supplies(axes["supply"], tables["neurons"])
        _plot_energy(axes["energy"], tables["ledger"])
        self._plot_traces([axes[f"trace {n}"] for n in range(4)], tables["neurons"], recordings)
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """The story in the order in which it happens."""
        return [
            self._report_task(tables["task"].iloc[0]),
            _report_tuning(tables["summary"]),
            _report_deployment(tables["deployment"], tables["table"]),
            Section(
                "Who agrees with whom",
                "Every neuron of every test image is compared. The biological neurons must do "
                "exactly what torch's do, or the run counts as failed. The circuit differs where "
                "weights of few bits, or a supply at the end of its range, move a neuron across "
                "its threshold.",
                "agreement",
            ),
            _report_changes(tables["changes"]),
            Section(
                "Energy of one image on the chip",
                "What flows through the synapses follows from codes, spikes and the mirror "
                "equation. Of the core the paper gives one total, 1.08 pJ per spike at 3.3 MHz; "
                "its split is calibrated here, so that these entries are estimates. The analog "
                "features count as pulses of their own charge; the convolutional stack that "
                "computes them is not on the chip and not counted.",
                "ledger",
            ),
            Section(
                "All tuned networks",
                "Shares of images classified right. The network of the last epoch is taken, and "
                "test images were never looked at for any choice.",
                "table",
            ),
        ]

    def save_extras(self, folder: Path) -> None:
        """Write the trained gains of the deployed network."""
        tuned = self._tuned
        save_gains(folder / "gains.safetensors", tuned.best, tuned.backbone, tuned.features)

    @cached_property
    def _tuned(self) -> Tuned:
        """Everything that is trained; worked out once, when it is first asked for."""
        with stage("backbone"):
            progress = task("pre-training the backbone")
            backbone = load_backbone(self.backbone, self.weights or None, progress)
        with stage("features"):
            data = load_data(self.data)
            features = extract_features(backbone, data, progress=task("computing features"))
        note("weights from cache", backbone.from_cache)
        note("features from cache", features.from_cache)
        note("backbone", f"{backbone.name}, weights {backbone.weight_hash[:12]}")
        images = _evenly(features.split.test, self.deployed_images)
        _check_size(backbone, len(images))
        if self.gains:
            loaded = load_result(self.gains, features, backbone)
            best = _deployable(loaded, self.gains)
            return Tuned(backbone, features, (loaded,), best, images)
        with stage("tuning"):
            results = tuple(self._tune_all(features, backbone))
        candidates = [r for r in results if (r.recipe.kind, r.recipe.method) == ("spiking", "nt1")]
        best = max(candidates, key=lambda result: result.accuracy["validation"])
        return Tuned(backbone, features, results, best, images)

    def _tune_all(self, features: Features, backbone: Backbone) -> list[TuningResult]:
        recipes = [
            calibrated(method, kind, loss, seed=self.seed + number)
            for kind, loss in NETWORKS
            for method in self.methods
            for number in range(self.seeds)
        ]
        progress = task("tuning networks")
        results = []
        for done, recipe in enumerate(recipes):
            progress(done, len(recipes))
            results.append(tune(features, backbone, recipe))
        progress(len(recipes), len(recipes))
        return results

    @cached_property
    def _cells(self) -> tuple[Volley, Experiment]:
        best = self._tuned.best
        return on_cells(
            self.neuron, best.classifier.layer_parameters(), best.recipe.theta,
            self._tuned.images, TIME_SCALE * self.circuit.t_pulse, TIME_SCALE * self.dt, self.seed,
        )  # fmt: skip

    @cached_property
    def _layers(self) -> list[Layer]:
        best = self._tuned.best
        return [
            deploy(self.circuit, layer.weight, layer.bias, layer.gain, best.recipe.theta)
            for layer in best.classifier.layer_parameters()
        ]

    @cached_property
    def _circuit(self) -> tuple[Volley, Experiment]:
        images = self._tuned.images[None]
        return on_circuit(
            self.circuit, [self._layers], images, self.circuit.t_pulse, self.dt, self.seed
        )

    def _reference(self) -> list[np.ndarray]:
        """Torch's spikes of every layer for the test images, in double precision."""
        classifier = cast(SpikingClassifier, deepcopy(self._tuned.best.classifier)).double()
        spikes = classifier.layer_spikes(torch.from_numpy(self._tuned.images))
        return [layer.numpy() for layer in spikes]

    def _task(self) -> pd.DataFrame:
        tuned = self._tuned
        split, classes = tuned.features.split, len(tuned.features.classes)
        return pd.DataFrame(
            [
                {
                    "data": tuned.features.data,
                    "classes": classes,
                    "train_images": len(split.train),
                    "validation_images": len(split.validation),
                    "test_images": len(split.test),
                    "features": tuned.features.values.shape[1],
                    "backbone": tuned.backbone.name,
                    "source_test_accuracy": tuned.backbone.source_accuracy,
                    "chance_rate": 1 / classes,
                    "chance_spiking": 1 / 2**classes,
                }
            ]
        )

    def _deployment(
        self, sides: Mapping[str, Sequence[np.ndarray]], energies: Mapping[str, Quantity]
    ) -> pd.DataFrame:
        labels = self._tuned.labels
        total = float(sum(np.sum(entry) for entry in energies.values()) / pjoule)
        rows = [
            {
                "realisation": name,
                "test_accuracy": accuracy(spikes[-1], labels),
                "spikes_per_image": np.hstack(spikes).sum() / len(labels),
                "energy_per_image_pJ": total / len(labels) if name == "circuit" else np.nan,
            }
            for name, spikes in sides.items()
        ]
        return pd.DataFrame(rows)

    def _changes(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {"layer": name, **layer.changes}
                for name, layer in zip(self._layer_names(), self._layers, strict=True)
            ]
        )

    def _neurons(self) -> pd.DataFrame:
        trained = self._tuned.best.classifier.layer_parameters()
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "layer": name,
                        "neuron": np.arange(len(layer.gain)),
                        "gain": layer.gain,
                        "vdd_V": np.asarray(on_chip.vdd / volt),
                    }
                )
                for name, layer, on_chip in zip(
                    self._layer_names(), trained, self._layers, strict=True
                )
            ],
            ignore_index=True,
        )

    def _layer_names(self) -> list[str]:
        return [*(f"hidden {n + 1}" for n in range(len(self._layers) - 1)), "output"]

    def _ledger(
        self, energies: Mapping[str, Quantity], spikes: Sequence[np.ndarray]
    ) -> pd.DataFrame:
        images = len(self._tuned.labels)
        per_image = {name: entry / images for name, entry in energies.items()}
        table = ledger(per_image, np.hstack(spikes).sum() / images)
        return table.rename(columns={"energy_pJ": "energy_per_image_pJ"})

    def _report_task(self, task: pd.Series) -> Section:
        known = (
            f" On its source task it classifies {100 * task.source_test_accuracy:.1f} % of unseen "
            "images right."
            if pd.notna(task.source_test_accuracy)
            else ""
        )
        meaningless = "" if "weights" not in task else f"Weights are {RANDOM}. "
        return Section(
            "The task",
            f"{meaningless}{task.classes} classes of {task.data}: {task.train_images} images to "
            f"train on, {task.validation_images} to choose by, {task.test_images} to test with. "
            f"The convolutional stack of {task.backbone} turns each into {task.features} numbers, "
            f"once; only the classifier behind it is tuned.{known} Guessing is right in "
            f"{100 * task.chance_rate:.3g} % for the rate network, and in "
            f"{100 * task.chance_spiking:.3g} % for the spiking ones, where the right output "
            "neuron must fire and all others stay silent.",
        )

    def _plot_traces(
        self, axes: Sequence[Any], neurons: pd.DataFrame, recordings: Mapping[str, Recording]
    ) -> None:
        """Neurons of the first test image, which are the first of both populations."""
        sides = (
            ("cell", "cells", recordings["cells"], self.neuron, 1, GREEN, 2.4),
            ("chip", "circuit", recordings["circuit"], self.circuit, TIME_SCALE, BLUE, 1.0),
        )
        fired = {
            name: np.isin(np.arange(len(neurons)), recording.spikes[name].neurons)
            for name, _, recording, *_ in sides
        }
        peak = recordings["cells"].signals["cell"]["v"].values.max(axis=1)
        for ax, (what, neuron) in zip(axes, _chosen(neurons, fired, peak).items(), strict=True):
            for name, side, recording, model, scale, color, width in sides:
                v = recording.trace(name, "v", neuron)
                time = recording.times * scale / ms
                swing = np.asarray((v - model.v_rest) / (model.v_th - model.v_rest))
                ax.plot(time, swing, color=color, lw=width, label=side)
                spikes = recording.spikes[name]
                at = np.asarray(spikes.times[spikes.neurons == neuron] * scale / ms)
                ax.vlines(at, 0, 1.15, color=color, lw=width)
                ax.plot(
                    at,
                    np.full(len(at), 1.15),
                    "^",
                    color=color,
                    ms=4 + 2 * width,
                    label=f"{side}, spike",
                )
            ax.axhline(1, color=BLACK, lw=0.8, ls=":")
            row = neurons.iloc[neuron]
            ax.set(
                xlabel="time (cells: ms, circuit: µs)",
                title=f"{what}: {row.layer}, no. {row.neuron}\n"
                f"gain {row.gain:.2f}, {row.vdd_V:.3f} V",
            )
        axes[0].set_ylabel("(v − rest)/swing")
        axes[0].set_title(f"e  {axes[0].get_title(loc='left')}")
        axes[0].legend(loc="upper right")


def _deployable(result: TuningResult, path: str) -> TuningResult:
    kind, method = result.recipe.kind, result.recipe.method
    if (kind, method) != ("spiking", "nt1"):
        raise UserError(f"{path} holds a {kind} {method} network; a spiking nt1 one is deployed.")
    return result


def _evenly(indices: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, spread over all, because data sets are sorted by class."""
    if not most or most >= len(indices):
        return indices
    return np.asarray(indices[np.linspace(0, len(indices) - 1, most).round().astype(int)])


def _check_size(backbone: Backbone, images: int) -> None:
    """Refuse what memory cannot hold before anything is tuned."""
    per_image = sum(linear.weight.numel() for linear in backbone.linears[1:])
    if per_image * images > MOST_SYNAPSES:
        raise UserError(
            f"{images} images need {per_image * images:.2g} synapses between layers, and at most "
            f"{MOST_SYNAPSES:.2g} fit: set deployed_images to {MOST_SYNAPSES // per_image} or less."
        )


def _row(result: TuningResult) -> dict[str, Any]:
    recipe = result.recipe
    return {
        "network": recipe.kind,
        "loss": recipe.loss,
        "method": recipe.method,
        "seed": recipe.seed,
        "trained_parameters": result.n_trained,
        "learning_rate": recipe.lr if result.n_trained else np.nan,
        "epochs": recipe.epochs if result.n_trained else 0,
        "train_accuracy": result.accuracy["train"],
        "validation_accuracy": result.accuracy["validation"],
        "test_accuracy": result.accuracy["test"],
    }


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds."""
    groups = table.groupby(["network", "loss", "method"], sort=False)
    summary = groups.agg(
        trained_parameters=("trained_parameters", "first"),
        seeds=("seed", "size"),
        test_accuracy_mean=("test_accuracy", "mean"),
        test_accuracy_sd=("test_accuracy", "std"),
        validation_accuracy_mean=("validation_accuracy", "mean"),
    )
    return summary.reset_index()


def _report_tuning(summary: pd.DataFrame) -> Section:
    lines = []
    for (network, loss), rows in summary.groupby(["network", "loss"], sort=False):
        shares = ", ".join(
            f"{row.method} {100 * row.test_accuracy_mean:.0f} %" for row in rows.itertuples()
        )
        lines.append(f"{network} network, {loss.replace('_', ' ')} loss: {shares}.")
    nt1, tft = (
        summary.loc[summary.method == method, "trained_parameters"] for method in ("nt1", "tft")
    )
    ratio = (
        f" Gains are {nt1.iloc[0]} trained numbers where training everything is {tft.iloc[0]}."
        if len(tft)
        else ""
    )
    return Section(
        "What each way of tuning reaches",
        f"Test images classified right, means over the seeds. {' '.join(lines)}{ratio}\n\n"
        "The simple loss is the paper's, target minus output at each output neuron; the membrane "
        "loss, added here, is the cross entropy of the output neurons' membranes and a smoother "
        "gradient through the spikes.",
        "summary",
    )


def _report_deployment(deployment: pd.DataFrame, table: pd.DataFrame) -> Section:
    candidates = table[(table.network == "spiking") & (table.method == "nt1")]
    best = candidates.loc[candidates.validation_accuracy.idxmax()]
    accuracy_of = deployment.set_index("realisation").test_accuracy
    return Section(
        "From torch to cells to a chip",
        f"The spiking network tuned by gains with the {best.loss} loss and seed {best.seed} "
        f"{'was the best on validation images' if len(candidates) > 1 else 'is deployed'}. "
        "In torch it classifies "
        f"{100 * accuracy_of['torch']:.1f} % of the test images right, as biological neurons in "
        f"Brian2 {100 * accuracy_of['cells']:.1f} %, and as circuit neurons "
        f"{100 * accuracy_of['circuit']:.1f} %.",
        "deployment",
    )


def _report_changes(changes: pd.DataFrame) -> Section:
    total = changes.drop(columns=["layer", "rms_error_lsb"]).sum()
    return Section(
        "What the chip changed",
        f"Of {total.neurons} gains {total.negative_gain} are negative. Training is free to make "
        "them so, but no receptor can turn an input's sign, and no supply a current's: the codes "
        "of these neurons are stored inverted, which rewrites the chip's memory where a supply "
        f"alone should do. {total.supply_at_lower_end} neurons asked for less than 0.5 V and "
        f"{total.supply_at_upper_end} for more than 1 V. Of {total.weights} weights and biases "
        f"{total.weights_to_zero} became 0, and {total.weights_saturated} were cut to the "
        "largest code.\n\n"
        "Each neuron's weights share one scale, which is folded into its gain, and the two "
        "together ask for a supply voltage. weights_rounded counts weights that no code meets "
        "exactly. A neuron with a supply beyond the range gets the end of the range "
        "(supply_at_lower_end, supply_at_upper_end), and its codes are scaled to make up for it. "
        "rms_error_lsb is the error of the codes in units of the smallest step.",
        "changes",
    )


def _chosen(
    neurons: pd.DataFrame, fired: Mapping[str, np.ndarray], peak: np.ndarray
) -> dict[str, int]:
    """Neurons to show by what they do; the first of all where none does that."""
    cell, chip = fired["cell"], fired["chip"]
    hidden = (neurons.layer != "output").to_numpy()
    nearly = np.where(~cell & ~chip & hidden, peak, -np.inf)
    return {
        "both fire": int(np.argmax(cell & chip & hidden)),
        "none fires": int(np.argmax(nearly)),
        "an output": int(np.argmax((cell | chip) & ~hidden) or np.argmax(~hidden)),
        "they differ" if (cell != chip).any() else "first": int(np.argmax(cell != chip)),
    }


def _plot_methods(axes: Any, summary: pd.DataFrame, task: pd.DataFrame) -> None:
    methods = list(dict.fromkeys(summary.method))
    networks = list(dict.fromkeys(zip(summary.network, summary.loss, strict=True)))
    width = 0.8 / len(networks)
    for number, ((network, loss), color) in enumerate(
        zip(networks, (BLACK, SKY, BLUE), strict=False)
    ):
        rows = summary[(summary.network == network) & (summary.loss == loss)].set_index("method")
        at = np.arange(len(methods)) + (number - (len(networks) - 1) / 2) * width
        mean = 100 * rows.test_accuracy_mean.reindex(methods)
        spread = 100 * rows.test_accuracy_sd.reindex(methods).fillna(0)
        axes.bar(at, mean, width * 0.92, yerr=spread, color=color, ecolor=ORANGE,
                 label=f"{network}, {loss.replace('_', ' ')} loss")  # fmt: skip
    for chance, style in ((task.chance_rate[0], ":"), (task.chance_spiking[0], "--")):
        axes.axhline(100 * chance, color=PURPLE, lw=0.9, ls=style)
    counts = summary.groupby("method").trained_parameters.first()
    axes.set_xticks(np.arange(len(methods)), [f"{m}\n{counts[m]} trained" for m in methods])
    axes.set(ylabel="test images right (%)", ylim=(0, 105),
             title="a  Ways of tuning; chance dotted (rate) and dashed (spiking)")  # fmt: skip
    axes.legend(loc="upper left")


def _plot_deployed(axes: Any, deployment: pd.DataFrame) -> None:
    shares = 100 * deployment.test_accuracy
    bars = axes.bar(deployment.realisation, shares,
                    color=[ORANGE, GREEN, BLUE])  # fmt: skip
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set(ylabel="test images right (%)", ylim=(0, 105), title="b  Deployed nt1 network")


def _plot_supplies(axes: Any, neurons: pd.DataFrame) -> None:
    for (layer, rows), color, marker in zip(
        neurons.groupby("layer", sort=False), (GREEN, SKY, ORANGE, PURPLE), "os^D", strict=False
    ):
        axes.plot(rows.gain, rows.vdd_V, marker, color=color, ms=4, mec=BLACK, mew=0.3,
                  label=layer)  # fmt: skip
    for end in (0.5, 1.0):
        axes.axhline(end, color=BLACK, lw=0.8, ls=":")
    axes.set(xlabel="trained gain", ylabel="supply VDD (V)", ylim=(0.45, 1.05),
             title="c  Supply of every neuron, range dotted")  # fmt: skip
    axes.legend()


def _plot_energy(axes: Any, entries: pd.DataFrame) -> None:
    parts = entries[entries.entry != "total"].iloc[::-1]
    colors = [BLUE if supply == "synapse" else ORANGE for supply in parts.supply]
    bars = axes.barh(parts.entry, parts.energy_per_image_pJ, color=colors)
    axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
    total = entries.energy_per_image_pJ.iloc[-1]
    axes.set(xlabel="energy per image (pJ)", xlim=(0, 1.15 * parts.energy_per_image_pJ.max()),
             title=f"d  Circuit: {total:.3g} pJ per image (blue: synapse supply)")  # fmt: skip
