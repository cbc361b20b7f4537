"""From images to trained gains, to Brian2 neurons, to circuit neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, volt
from brian2.units.allunits import pjoule

from neuromod.checks import steps_in
from neuromod.chip.conversion import TIME_SCALE, Layer, deploy, energies, ledger
from neuromod.chip.deployment import Unrolled, accuracy, agreement, on_cells, on_circuit
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.classifier import SpikingClassifier
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import not_negative, parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.demo import page
from neuromod.protocols.families.networks import (
    NetworkOnChip,
    NetworkStudy,
    check_methods,
    check_synapses,
    evenly,
    prepare_features,
)
from neuromod.support.log import stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import RANDOM
from neuromod.tuning.datasets import load_data
from neuromod.tuning.features import Features
from neuromod.tuning.gains import load_result, save_gains
from neuromod.tuning.recipe import calibrated
from neuromod.tuning.training import TuningResult, tune

NETWORKS = (("rate", "cross_entropy"), ("spiking", "simple"), ("spiking", "membrane"))


@dataclass(frozen=True, eq=False)
class Tuned:
    """The tuned networks.

    Attributes
    ----------
    features : Features
    results : sequence of TuningResult
    best : TuningResult
        The spiking nt1 network with the best accuracy on validation images.
    shown : ndarray of int, shape (images,)
        Test images that run through neurons.
    """

    features: Features
    results: Sequence[TuningResult]
    best: TuningResult
    shown: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """Features of the shown images in double precision, shape (images, inputs)."""
        return np.asarray(self.features.values[self.shown], dtype=np.float64)

    @property
    def labels(self) -> np.ndarray:
        """Classes of the shown images, shape (images,)."""
        return np.asarray(self.features.labels[self.shown])


@dataclass(frozen=True, eq=False)
class Demo(NetworkStudy, NetworkOnChip):
    """One gain per neuron: from images to a trained network, to cells, to a chip.

    By default, a network that knows the digits 0 to 4 learns the digits 5 to 9. Its weights stay
    as they are, and it gets no new output: each neuron of its classifier only gets a gain, which
    multiplies its whole input. In a cell, a neuromodulator sets such a gain through metabotropic
    receptors. On a chip, the supply voltage of a neuron's synapses sets it.

    Gains alone (nt1) are compared with other ways of tuning: a bias added to every neuron
    (additive), the existing biases (nt2), everything (tft), and nothing (none). Each tunes an
    ordinary network with graded outputs (rate) and spiking networks whose neurons fire at most
    once. The spiking network with the best gains is then built twice from neurons: from biological
    integrate-and-fire neurons in Brian2, whose gain variable holds the trained gains, and from
    analog circuit neurons, whose weights are codes of a few bits and a sign and whose gains are
    supply voltages between 0.5 and 1 V. All test images run through both.
    """

    shown = ("summary", "deployment")

    data: str = parameter(
        "digits",
        "'digits' (5 to 9) or another data set's name, or a folder with one of images per class",
        "scikit-learn's handwritten digits (Alpaydin & Kaynak 1998, UCI)",
    )
    methods: tuple[str, ...] = parameter(
        ("none", "additive", "nt1", "nt2", "tft"),
        "ways of tuning",
        "Barton et al. 2022, section 3.2 and table 7",
    )
    gains: str = parameter(
        "",
        "gains file of a spiking network to deploy instead of tuning any",
        "a run's gains.safetensors",
    )
    deployed_images: int = not_negative(
        0, "test images to run through neurons, 0 for all", "chosen here"
    )
    neuron: GainLIF = parameter(
        GainLIF(synapse="pulse", receptors=()), "the biological neuron", "see its own"
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods)
        if "nt1" not in self.methods:
            raise UserError("methods must include nt1, whose gains are deployed.")
        if self.neuron.synapse != "pulse":
            raise UserError("neuron.synapse must be 'pulse': a spike is a pulse of one time step.")
        if self.neuron.v_reset != self.neuron.v_rest:
            raise UserError("neuron.v_reset must be neuron.v_rest: nothing but a volley moves it.")
        if self.neuron.site != "input" or self.neuron.receptors:
            raise UserError(
                "neuron.site must be 'input', without receptors: trained gains can be negative, "
                "which a threshold cannot be, and nothing else may change them."
            )
        steps_in("neuron.t_ref", self.neuron.t_ref, TIME_SCALE * self.dt)

    def experiments(self) -> dict[str, Experiment]:
        """The best spiking nt1 network, all test images at once, as cells and as a chip."""
        return {"cells": self._cells[1], "circuit": self._circuit[1]}

    def measure(self, recordings: Recordings) -> Tables:
        """Accuracies of all networks; agreement, changes, spikes and energy of the deployed one.

        Raises
        ------
        RuntimeError
            If a biological neuron does not do what torch's neuron does.
        """
        on_chip = recordings["circuit"]
        counts = on_chip.spikes["chip"].counts()
        sides = {
            "torch": self._reference(),
            "cells": self._cells[0].split(recordings["cells"].spikes["cell"].counts()),
            "circuit": self._circuit[0].split(counts),
        }
        agreed = agreement(sides)
        differ = agreed.loc[(agreed.pair == "torch – cells") & (agreed.layer == "all"), "differ"]
        if differ.item():
            raise RuntimeError(
                f"{differ.item()} neurons in Brian2 did not do what torch's did, and all must."
            )
        spent = energies(self.circuit, self.costs, on_chip.totals["chip"], counts, on_chip.duration)
        table = pd.DataFrame([_row(result) for result in self.tuned.results])
        tables = {
            "table": table,
            "summary": _summary(table),
            "task": self._task(),
            "deployment": self._deployment(sides, spent),
            "agreement": agreed,
            "changes": pd.DataFrame(
                [{"layer": name, **layer.changes} for name, layer in self._layers.items()]
            ),
            "neurons": self._neurons(),
            "ledger": self._ledger(spent, counts.sum()),
        }
        if self.pretrained.trained:
            return tables
        # The warning takes the name of the column that counts the weights on the chip.
        tables["changes"] = tables["changes"].rename(columns={"weights": "weights_in_all"})
        return {name: found.assign(weights=RANDOM) for name, found in tables.items()}

    def save_extras(self, folder: Path) -> None:
        """Write the trained gains of the deployed network."""
        tuned = self.tuned
        save_gains(folder / "gains.safetensors", tuned.best, self.pretrained, tuned.features)

    @cached_property
    def tuned(self) -> Tuned:
        """The tuned networks, or the one whose gains were given."""
        backbone = self.pretrained
        features = prepare_features(backbone, load_data(self.data))
        images = evenly(features.split.test, self.deployed_images or len(features.split.test))
        per_image = sum(linear.weight.numel() for linear in backbone.linears[1:])
        check_synapses(per_image, len(images), "deployed_images")
        if self.gains:
            loaded = load_result(self.gains, features, backbone)
            kind, method = loaded.recipe.kind, loaded.recipe.method
            if (kind, method) != ("spiking", "nt1"):
                raise UserError(
                    f"{self.gains} holds a {kind} {method} network; deploy a spiking nt1 one."
                )
            return Tuned(features, (loaded,), loaded, images)
        with stage("tuning"):
            results = self._tune_all(features)
        candidates = [r for r in results if (r.recipe.kind, r.recipe.method) == ("spiking", "nt1")]
        best = max(candidates, key=lambda result: result.accuracy["validation"])
        return Tuned(features, results, best, images)

    def _tune_all(self, features: Features) -> list[TuningResult]:
        recipes = [
            calibrated(method, kind, loss, seed=self.seed + number)
            for kind, loss in NETWORKS
            for method in self.methods
            for number in range(self.seeds)
        ]
        progress = task("tuning networks")
        results: list[TuningResult] = []
        for recipe in recipes:
            progress(len(results), len(recipes))
            results.append(tune(features, self.pretrained, recipe))
        progress(len(recipes), len(recipes))
        return results

    @cached_property
    def _cells(self) -> tuple[Unrolled, Experiment]:
        best = self.tuned.best
        return on_cells(
            self.neuron,
            best.classifier.layer_parameters(),
            best.recipe.theta,
            self.tuned.images,
            TIME_SCALE * self.circuit.t_pulse,
            TIME_SCALE * self.dt,
            self.seed,
        )

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        """The deployed network's layers on the chip, by name."""
        best = self.tuned.best
        layers = [
            deploy(self.circuit, layer.weight, layer.bias, layer.gain, best.recipe.theta)
            for layer in best.classifier.layer_parameters()
        ]
        names = [*(f"hidden {n + 1}" for n in range(len(layers) - 1)), "output"]
        return dict(zip(names, layers, strict=True))

    @cached_property
    def _circuit(self) -> tuple[Unrolled, Experiment]:
        layers, images = list(self._layers.values()), self.tuned.images[None]
        return on_circuit(self.circuit, [layers], images, self.circuit.t_pulse, self.dt, self.seed)

    def _reference(self) -> list[np.ndarray]:
        """Torch's spikes of every layer for the test images, in double precision."""
        classifier = cast(SpikingClassifier, deepcopy(self.tuned.best.classifier)).double()
        spikes = classifier.layer_spikes(torch.from_numpy(self.tuned.images))
        return [layer.numpy() for layer in spikes]

    def _task(self) -> pd.DataFrame:
        features, backbone = self.tuned.features, self.pretrained
        split, classes = features.split, len(features.classes)
        row = {
            "data": features.data,
            "classes": classes,
            "train_images": len(split.train),
            "validation_images": len(split.validation),
            "test_images": len(split.test),
            "features": features.values.shape[1],
            "backbone": backbone.name,
            "source_test_accuracy": backbone.source_accuracy,
            "chance_rate": 1 / classes,
            "chance_spiking": 1 / 2**classes,
        }
        return pd.DataFrame([row])

    def _deployment(
        self, sides: Mapping[str, Sequence[np.ndarray]], spent: Mapping[str, Quantity]
    ) -> pd.DataFrame:
        labels = self.tuned.labels
        total = float(sum(np.sum(entry) for entry in spent.values()) / pjoule)
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

    def _neurons(self) -> pd.DataFrame:
        """Gain and supply of every neuron."""
        trained = self.tuned.best.classifier.layer_parameters()
        rows = [
            {"layer": name, "neuron": neuron, "gain": gain, "vdd_V": vdd}
            for (name, on_chip), layer in zip(self._layers.items(), trained, strict=True)
            for neuron, (gain, vdd) in enumerate(
                zip(layer.gain, np.asarray(on_chip.vdd / volt), strict=True)
            )
        ]
        return pd.DataFrame(rows)

    def _ledger(self, spent: Mapping[str, Quantity], spikes: int) -> pd.DataFrame:
        images = len(self.tuned.labels)
        per_image = {name: entry / images for name, entry in spent.items()}
        table = ledger(per_image, spikes / images)
        return table.rename(columns={"energy_pJ": "energy_per_image_pJ"})


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
