"""Tune a frozen classifier on a new task. The network of the last epoch is the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR

from neuromod.models.classifier import Classifier
from neuromod.support.cache import digest, spared
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.checkpoint import Training, restore_checkpoint, save_checkpoint
from neuromod.tuning.datasets.images import IntArray
from neuromod.tuning.features import Features
from neuromod.tuning.hardware import (
    CPU,
    Hardware,
    add_gradients,
    add_up,
    frozen_in_bfloat16,
    is_small,
    rank_and_size,
    threads_for,
)
from neuromod.tuning.methods.gained import keep_within, share_gains
from neuromod.tuning.recipe import SharedGains, TuningRecipe, build_classifier, loss_of
from neuromod.tuning.row_file import Progress
from neuromod.tuning.trained import trained_parameters, trained_state_dict

EVALUATED_AT_ONCE = 1024
"""Images whose features are in memory at a time while an accuracy is measured (chosen)."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a training went.

    Attributes
    ----------
    n_trained : int
        Number of trained parameters.
    accuracy : dict
        Fraction of the "train", "validation" and "test" images classified right. Chance is
        ``1/classes``, for spiking classifiers ``1/2**classes``.
    history : DataFrame
        One row per epoch: epoch, loss (mean over its batches), validation_accuracy.
    from_cache : bool
        Whether it was on disk already.
    """

    recipe: TuningRecipe
    n_trained: int
    accuracy: dict[str, float]
    history: pd.DataFrame
    from_cache: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class TuningResult(Outcome):
    """A tuned network, in evaluation mode and single precision, and how its training went."""

    classifier: Classifier

    @property
    def gains(self) -> npt.NDArray[np.float64]:
        """Gain of every neuron, first layer first; 1 where the method trains none."""
        return np.concatenate([layer.gain for layer in self.classifier.layer_parameters()])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The trained tensors."""
        return trained_state_dict(self.classifier)


@dataclass(frozen=True, eq=False)
class Images:
    """The inputs of a classifier while it is tuned and measured.

    They are features or, if `projected`, the first layer's products ``W x`` with them.
    """

    features: Features
    projected: bool = False
    hardware: Hardware = CPU

    def load(self, indices: IntArray) -> tuple[Tensor, Tensor]:
        """Read some images' values, in float32, and labels from disk."""
        values = torch.from_numpy(self.features.values[indices])
        labels = torch.from_numpy(self.features.labels[indices])
        device = self.hardware.device
        return values.to(device, torch.float32), labels.to(device)


def tune(
    features: Features,
    backbone: Backbone,
    recipe: TuningRecipe,
    progress: Progress | None = None,
    shared: SharedGains | None = None,
    projected: Features | None = None,
    hardware: Hardware = CPU,
    checkpoint: Path | None = None,
) -> TuningResult:
    """Tune a backbone's classifier on features of a new task.

    Parameters
    ----------
    features : Features
        Of the same backbone.
    backbone : Backbone
        It is not changed.
    progress : callable, optional
        Called with epochs done and in all.
    shared : SharedGains, optional
        Gains that neurons share, and where they start; only for ``nt1``.
    projected : Features, optional
        The first layer's products with these features, from `neuromod.tuning.features.projections`.
        Methods that do not change them read them instead of the features.
    checkpoint : Path, optional
        File that holds the state after every epoch; if it exists, training goes on from there.

    Returns
    -------
    TuningResult
        Always the same on one machine for the same recipe, backbone and features, however often
        training was interrupted.
    """
    classifier = build_classifier(backbone, recipe, len(features.classes))
    if shared:
        share_gains(classifier, shared.domain, shared.gain)
    images = Images(features, hardware=hardware)
    if projected is not None and classifier.modulated_layers[0].keeps_projection:
        images = Images(projected, True, hardware)
    key = _key(recipe, backbone, images, shared) if checkpoint is not None else ""
    classifier.to(hardware.device)
    with threads_for(classifier), frozen_in_bfloat16(classifier, hardware):
        history = _train(classifier, images, recipe, progress, checkpoint, key)
        accuracy = _accuracies(classifier, images)
    n_trained = classifier.n_trained
    return TuningResult(recipe, n_trained, accuracy, history, classifier=classifier.cpu())


def evaluated(recipe: TuningRecipe, classifier: Classifier, features: Features) -> TuningResult:
    """Measure a network that was tuned before on all three parts of the data."""
    with threads_for(classifier):
        accuracy = _accuracies(classifier, Images(features))
    n_trained, history = classifier.n_trained, history_table([])
    return TuningResult(recipe, n_trained, accuracy, history, classifier=classifier)


def _accuracies(classifier: Classifier, images: Images) -> dict[str, float]:
    split = vars(images.features.split)
    return {part: measure_accuracy(classifier, images, indices) for part, indices in split.items()}


def measure_accuracy(classifier: Classifier, images: Images, indices: IntArray) -> float:
    """Return the fraction of the images with these indices that is classified right."""
    classifier.eval()
    rank, size = rank_and_size()
    right = torch.zeros(1)
    with torch.no_grad(), images.hardware.precision():
        for batch in _batches(indices[rank::size], EVALUATED_AT_ONCE):
            right += classifier.correct(*images.load(batch), images.projected).sum().cpu()
    return float(add_up(right)) / len(indices)


def _batches(indices: IntArray, size: int) -> Iterator[IntArray]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def training_memory(classifier: Classifier, batch_size: int, hardware: Hardware = CPU) -> int:
    """Return the bytes that tuning takes at most, without those of torch itself.

    They hold every frozen weight in float32, and in bfloat16 if the hardware is mixed; every
    trained number five times (itself, its start, its gradient and Adam's two moments); and a
    batch's membranes and their gradients.
    """
    layers = classifier.modulated_layers
    frozen = (p for layer in layers for p in layer.parameters() if not p.requires_grad)
    weights = sum(tensor.numel() for tensor in frozen)
    widths = layers[0].n_inputs + sum(3 * layer.n_neurons for layer in layers)
    rounded = 2 * weights if hardware.mixed else 0
    return rounded + 4 * (weights + 5 * classifier.n_trained + 2 * batch_size * widths)


def _key(
    recipe: TuningRecipe, backbone: Backbone, images: Images, shared: SharedGains | None
) -> str:
    """Hash of everything that determines a training, including its rounding."""
    domains = [shared.domain.tolist(), shared.gain.tolist()] if shared else []
    inputs = [images.features.identity, images.projected, asdict(images.hardware)]
    return digest([asdict(recipe), backbone.weight_hash, *inputs, domains, rank_and_size()[1]])


def _train(
    classifier: Classifier,
    images: Images,
    recipe: TuningRecipe,
    progress: Progress | None,
    checkpoint: Path | None,
    key: str,
) -> pd.DataFrame:
    if classifier.n_trained == 0:
        return history_table([])
    train, validation = images.features.split.train, images.features.split.validation
    # One pass over memory a step saves time where there are many parameters.
    fused = None if is_small(classifier) else True
    optimizer = torch.optim.Adam(trained_parameters(classifier), lr=recipe.lr, fused=fused)
    steps = recipe.epochs * -(-len(train) // recipe.batch_size)
    falls = recipe.schedule == "cosine"
    schedule = CosineAnnealingLR(optimizer, steps) if falls else ConstantLR(optimizer, 1.0)
    training = Training(classifier, optimizer, schedule)
    if checkpoint is not None:
        restore_checkpoint(checkpoint, key, training)
    generator = torch.Generator().manual_seed(recipe.seed)
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(train), generator=generator).numpy()
        if epoch <= len(training.history):
            continue
        loss = _epoch(training, images, recipe, train[order])
        training.history.append((epoch, loss, measure_accuracy(classifier, images, validation)))
        if checkpoint is not None and rank_and_size()[0] == 0:
            with spared():
                save_checkpoint(checkpoint, key, training)
        if progress:
            progress(epoch, recipe.epochs)
    return history_table(training.history)


def history_table(history: list[tuple[int, float, float]]) -> pd.DataFrame:
    """Return a table of epochs: epoch, loss, validation_accuracy."""
    return pd.DataFrame(history, columns=["epoch", "loss", "validation_accuracy"])


def _epoch(
    training: Training[Classifier], images: Images, recipe: TuningRecipe, order: IntArray
) -> float:
    """Train on all images once. Returns the mean of the batches' losses."""
    classifier = training.classifier
    rank, size = rank_and_size()
    batches = list(_batches(order, recipe.batch_size))
    losses = torch.zeros(len(batches), dtype=torch.float64)
    classifier.train()
    for number, batch in enumerate(batches):
        training.optimizer.zero_grad()
        share = batch[rank::size]
        if len(share):
            with images.hardware.precision():
                loss = loss_of(classifier, recipe, *images.load(share), images.projected)
            loss = loss * (len(share) / len(batch)) if size > 1 else loss
            loss.backward()
            losses[number] = loss.detach()
        add_gradients(trained_parameters(classifier))
        training.optimizer.step()
        keep_within(classifier, recipe.gain_low, recipe.gain_high)
        training.schedule.step()
    return float(add_up(losses).mean())
