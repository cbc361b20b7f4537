"""From images to trained gains, to Brian2 neurons, to circuit neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, volt
from brian2.units.allunits import pjoule

from neuromod.checks import steps_in
from neuromod.chip.conversion import TIME_SCALE, Layer, drawn, energies, gain_of, ledger
from neuromod.chip.deployment import accuracy, agreement, on_cells, on_circuit
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.classifier import SpikingClassifier
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import not_negative, parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.demo import page
from neuromod.protocols.families import networks
from neuromod.protocols.families.memory import Memory, check_mirrors, untuned_supply
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

    How well do gains alone tune a network, and what of it survives in cells and on a chip?

    By default, a network that knows the digits 0 to 4 learns the digits 5 to 9. Its weights stay
    as they are, and it gets no new output: each neuron of its classifier only gets a gain, which
    multiplies its whole input. In a cell, a neuromodulator sets such a gain through metabotropic
    receptors. On a chip, the supply voltage of a neuron's synapses sets it.

    Gains alone (nt1) are compared with a bias added to every neuron (additive), the existing biases
    (nt2), everything (tft), and nothing (none). Each tunes an ordinary network with graded outputs
    (rate) and spiking networks whose neurons fire at most once.

    Free gains win largely by turning signs, which neither a receptor nor a supply can do. So a last
    network is tuned as a chip can have it: its weights are codes of a few bits and a sign, which
    are never rewritten, and a neuron's synapses have gains by group, of one sign and some of the
    sources each, within reach of a supply (nt1_groups). It is built twice, from
    integrate-and-fire neurons in Brian2 and from analog circuit neurons with a supply for each
    group. All test images run through both, or `deployed_images` of them.
    """

    small: ClassVar[Mapping[str, Any]] = {"methods": ("nt1",), "seeds": 1}

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
    groups: int = parameter(
        4,
        "groups of a neuron's synapses of each sign, by source, each with a supply of its own",
        "chosen here; groups of synapses: Barton et al. 2022, section 5.2.1",
        low=1,
        high=16,
    )
    untuned: Quantity = untuned_supply()
    gains: str = parameter(
        "",
        "gains file of a network of such groups to deploy instead of tuning any",
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
        if "nt1_groups" in self.methods:
            raise UserError(
                "methods compares networks without a chip: leave nt1_groups out, which is tuned "
                "for the chip in any case."
            )
        check_mirrors(self.circuit, self.untuned)
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
        """The best network of groups, all test images at once, as cells and as a chip."""
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
        of_image = {name: e / images for name, e in spent.items()}
        entries = ledger(self.circuit, of_image, counts.sum() / images)
        entries = entries.rename(columns={"energy_pJ": "energy_per_image_pJ"})
        changes = [_kept(name, layer) for name, layer in self._layers.items()]
        table = pd.DataFrame([_row(result) for result in self._results])
        tables = {
            "table": table,
            "summary": _summary(table),
            "task": self._task(),
            "deployment": self._deployment(sides, spent),
            "agreement": agreed,
            "changes": pd.DataFrame(changes),
            "supplies": self._supplies(),
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
        backbone = self._memory.backbone
        save_gains(folder / "gains.safetensors", self._best, backbone, self._features)

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
    def _memory(self) -> Memory:
        """What the chip stores of the pre-trained network."""
        theta = calibrated("nt1_groups", "spiking", "membrane").theta
        return Memory.of(self.circuit, self.untuned, self.pretrained, theta)

    @cached_property
    def _results(self) -> list[TuningResult]:
        """The tuned networks, those for the chip last, or the one whose gains were given."""
        on_codes = self._memory.backbone
        if self.gains:
            loaded = load_result(self.gains, self._features, on_codes)
            kind, method = loaded.recipe.kind, loaded.recipe.method
            if (kind, method) != ("spiking", "nt1_groups"):
                raise UserError(
                    f"{self.gains} holds a {kind} {method} network; deploy a spiking nt1_groups "
                    "one, tuned on the chip's codes."
                )
            return [loaded]
        seeds = range(self.seed, self.seed + self.seeds)
        free = [
            calibrated(method, kind, loss, seed=seed)
            for kind, loss in NETWORKS
            for method in self.methods
            for seed in seeds
        ]
        groups = [calibrated("nt1_groups", "spiking", "membrane", seed=seed) for seed in seeds]
        kept = [self._memory.within_reach(replace(recipe, groups=self.groups)) for recipe in groups]
        every = [(self.pretrained, recipe) for recipe in free]
        every += [(on_codes, recipe) for recipe in kept]
        with stage("tuning"):
            return [
                tune(self._features, backbone, recipe)
                for backbone, recipe in watched("tuning networks", every)
            ]

    @property
    def _best(self) -> TuningResult:
        """The network of groups with the best accuracy on validation images."""
        grouped = [found for found in self._results if found.recipe.method == "nt1_groups"]
        return max(grouped, key=lambda found: found.accuracy["validation"])

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        """The deployed network's layers on the chip, by name."""
        layers = self._memory.supplied(self._best.classifier)
        names = [*(f"hidden {n}" for n in range(1, len(layers))), "output"]
        return dict(zip(names, layers, strict=True))

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
        paid = drawn(self.circuit, spent).values()
        total = float(sum(np.sum(entry) for entry in paid) / pjoule)
        found = {
            "realisation": list(sides),
            "test_accuracy": [accuracy(spikes[-1], labels) for spikes in sides.values()],
            "spikes_per_image": [np.hstack(s).sum() / len(labels) for s in sides.values()],
            "energy_per_image_pJ": [np.nan, np.nan, total / len(labels)],
        }
        return pd.DataFrame(found)

    def _supplies(self) -> pd.DataFrame:
        """Gain and voltage of every supply that feeds synapses, and which these are."""
        parts = [_fed(name, layer) for name, layer in self._layers.items()]
        table = pd.concat(parts, ignore_index=True)
        gain = gain_of(self.circuit, table.vdd_V.to_numpy() * volt)
        return table.assign(gain=gain / gain_of(self.circuit, self.untuned))


def _fed(name: str, layer: Layer) -> pd.DataFrame:
    """One row for each supply of each neuron of a layer that has synapses."""
    codes = np.column_stack([layer.codes, layer.bias_codes])
    supply = np.zeros(codes.shape, int) if layer.supply is None else layer.supply
    neuron = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
    at = {"layer": name, "neuron": neuron.ravel(), "supply": supply.ravel()}
    synapses = pd.DataFrame(at | {"synapses": 1, "negative": (codes < 0).ravel()})
    by = ["layer", "neuron", "supply"]
    table = synapses.groupby(by).agg({"synapses": "sum", "negative": "max"}).reset_index()
    vdd = np.asarray(layer.vdd / volt).reshape(len(codes), -1)
    return table.assign(vdd_V=vdd[table.neuron, table.supply])


def _kept(name: str, layer: Layer) -> dict[str, Any]:
    """What codes made of a layer's weights."""
    counted = ("weights", "weights_rounded", "weights_to_zero", "rms_error_lsb", "mirror_scale")
    sizes = {"layer": name, "neurons": len(layer.codes), "supplies": int(layer.vdd.size)}
    return sizes | {name: layer.changes[name] for name in counted}


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
        "gains": result.gains.size,
        "negative_gains": int(np.count_nonzero(result.gains < 0)),
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
