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
from neuromod.chip.deployment import accuracy, agreement, on_cells, on_circuit
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.classifier import SpikingClassifier
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import not_negative, parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.demo import page
from neuromod.protocols.families import networks
from neuromod.support.log import stage
from neuromod.support.progress import watched
from neuromod.tuning.backbone import RANDOM
from neuromod.tuning.datasets import load_data
from neuromod.tuning.features import Features
from neuromod.tuning.gains import load_result, save_gains
from neuromod.tuning.recipe import calibrated
from neuromod.tuning.training import TuningResult, tune

NETWORKS = (("rate", "cross_entropy"), ("spiking", "simple"), ("spiking", "membrane"))


@dataclass(frozen=True, eq=False)
class Demo(networks.NetworkStudy, networks.NetworkOnChip):
    """One gain per neuron: from images to a trained network, to cells, to a chip.

    By default, a network that knows the digits 0 to 4 learns the digits 5 to 9. Its weights stay
    as they are, and it gets no new output: each neuron of its classifier only gets a gain, which
    multiplies its whole input. In a cell, a neuromodulator sets such a gain through metabotropic
    receptors. On a chip, the supply voltage of a neuron's synapses sets it.

    Gains alone (nt1) are compared with a bias added to every neuron (additive), the existing biases
    (nt2), everything (tft), and nothing (none). Each tunes an ordinary network with graded outputs
    (rate) and spiking networks whose neurons fire at most once. The spiking network with the best
    gains is then built twice: from integrate-and-fire neurons in Brian2, whose gain variable holds
    the trained gains, and from analog circuit neurons, whose weights are codes of a few bits and a
    sign and whose gains are supplies from 0.5 to 1 V. All test images run
    through both, or `deployed_images` of them.
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
        networks.check_methods(self.methods)
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
        # Before anything is tuned.
        per_image = sum(linear.weight.numel() for linear in self.pretrained.linears[1:])
        networks.check_synapses(per_image, len(self._shown), "deployed_images")
        trained, theta = self._best.classifier.layer_parameters(), self._best.recipe.theta
        pulse, images = self.circuit.t_pulse, self._images
        times = TIME_SCALE * pulse, TIME_SCALE * self.dt
        layers = [list(self._layers.values())]
        return {
            "cells": on_cells(self.neuron, trained, theta, images, *times, self.seed)[1],
            "circuit": on_circuit(self.circuit, layers, images[None], pulse, self.dt, self.seed)[1],
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Accuracies of all networks; agreement, changes, spikes and energy of the deployed one.

        A RuntimeError tells of biological neurons that do not do what torch's do.
        """
        on_chip = recordings["circuit"]
        counts, totals = on_chip.spikes["chip"].counts(), on_chip.totals["chip"]
        # In double precision.
        best = cast(SpikingClassifier, deepcopy(self._best.classifier)).double()
        spikes = best.layer_spikes(torch.from_numpy(self._images))
        sides = {
            "torch": [layer.numpy() for layer in spikes],
            "cells": self._by_layer(recordings["cells"].spikes["cell"].counts()),
            "circuit": self._by_layer(counts),
        }
        agreed = agreement(sides)
        differ = agreed.loc[(agreed.pair == "torch – cells") & (agreed.layer == "all"), "differ"]
        if differ.item():
            raise RuntimeError(
                f"{differ.item()} neurons in Brian2 did not do what torch's did, and all must."
            )
        images = len(self._shown)
        spent = energies(self.circuit, self.costs, totals, counts, on_chip.duration)
        entries = ledger({name: e / images for name, e in spent.items()}, counts.sum() / images)
        entries = entries.rename(columns={"energy_pJ": "energy_per_image_pJ"})
        changes = [{"layer": name} | layer.changes for name, layer in self._layers.items()]
        table = pd.DataFrame([_row(result) for result in self._results])
        tables = {
            "table": table,
            "summary": _summary(table),
            "task": self._task(),
            "deployment": self._deployment(sides, spent),
            "agreement": agreed,
            "changes": pd.DataFrame(changes),
            "neurons": self._neurons(),
            "ledger": entries,
        }
        run_on = page.deployed_on(self, tables)
        for name in ("deployment", "agreement", "ledger"):
            tables[name] = tables[name].assign(images=run_on)
        if self.pretrained.trained:
            return tables
        # The warning takes the name of the column that counts the weights on the chip.
        tables["changes"] = tables["changes"].rename(columns={"weights": "weights_in_all"})
        return {name: found.assign(weights=RANDOM) for name, found in tables.items()}

    def save_extras(self, folder: Path) -> None:
        """Write the trained gains of the deployed network."""
        save_gains(folder / "gains.safetensors", self._best, self.pretrained, self._features)

    @cached_property
    def _features(self) -> Features:
        return networks.prepare_features(self.pretrained, load_data(self.data))

    @property
    def _shown(self) -> np.ndarray:
        """Test images that run through neurons."""
        test = self._features.split.test
        return networks.evenly(test, self.deployed_images or len(test))

    @property
    def _images(self) -> np.ndarray:
        """Features of these images in double precision, shape (images, inputs)."""
        return np.asarray(self._features.values[self._shown], dtype=np.float64)

    @cached_property
    def _results(self) -> list[TuningResult]:
        """The tuned networks, or the one whose gains were given."""
        if self.gains:
            loaded = load_result(self.gains, self._features, self.pretrained)
            kind, method = loaded.recipe.kind, loaded.recipe.method
            if (kind, method) != ("spiking", "nt1"):
                raise UserError(
                    f"{self.gains} holds a {kind} {method} network; deploy a spiking nt1 one."
                )
            return [loaded]
        recipes = [
            calibrated(method, kind, loss, seed=self.seed + number)
            for kind, loss in NETWORKS
            for method in self.methods
            for number in range(self.seeds)
        ]
        with stage("tuning"):
            every = watched("tuning networks", recipes)
            return [tune(self._features, self.pretrained, recipe) for recipe in every]

    @property
    def _best(self) -> TuningResult:
        """The spiking nt1 network with the best accuracy on validation images."""
        gained = [found for found in self._results if found.recipe.method == "nt1"]
        spiking = [found for found in gained if found.recipe.kind == "spiking"]
        return max(spiking, key=lambda found: found.accuracy["validation"])

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        """The deployed network's layers on the chip, by name."""
        theta, trained = self._best.recipe.theta, self._best.classifier.layer_parameters()
        names = [*(f"hidden {n}" for n in range(1, len(trained))), "output"]
        return {
            name: deploy(self.circuit, *layer, theta)
            for name, layer in zip(names, trained, strict=True)
        }

    def _by_layer(self, counts: np.ndarray) -> list[np.ndarray]:
        """Spikes of every layer, each of shape (images, neurons)."""
        ends = np.cumsum([len(layer.codes) for layer in self._layers.values()])[:-1]
        return np.split(counts.reshape(len(self._shown), -1), ends, axis=1)

    def _task(self) -> pd.DataFrame:
        features, backbone = self._features, self.pretrained
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
        labels = np.asarray(self._features.labels[self._shown])
        total = float(sum(np.sum(entry) for entry in spent.values()) / pjoule)
        found = {
            "realisation": list(sides),
            "test_accuracy": [accuracy(spikes[-1], labels) for spikes in sides.values()],
            "spikes_per_image": [np.hstack(s).sum() / len(labels) for s in sides.values()],
            "energy_per_image_pJ": [np.nan, np.nan, total / len(labels)],
        }
        return pd.DataFrame(found)

    def _neurons(self) -> pd.DataFrame:
        """Gain and supply of every neuron."""
        trained, parts = self._best.classifier.layer_parameters(), []
        for (name, on_chip), layer in zip(self._layers.items(), trained, strict=True):
            supplies = {"gain": layer.gain, "vdd_V": np.asarray(on_chip.vdd / volt)}
            parts.append(
                pd.DataFrame({"layer": name, "neuron": range(len(layer.gain)), **supplies})
            )
        return pd.concat(parts, ignore_index=True)


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
