"""Tuning of a frozen classifier on a new task. A tuned network is that of the last epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from neuromod.models.classifier import RateClassifier, SpikingClassifier
from neuromod.tuning.backbone import Backbone, Progress, threads_for
from neuromod.tuning.datasets import IntArray
from neuromod.tuning.features import Features
from neuromod.tuning.methods.nt1 import NT1
from neuromod.tuning.recipe import SharedGains, TuningRecipe, build_classifier, loss_of

EVALUATED_AT_ONCE = 1024
"""Images whose features are in memory at a time when an accuracy is measured (chosen)."""


@dataclass(frozen=True, eq=False)
class TuningResult:
    """A tuned network and how it came about.

    Attributes
    ----------
    recipe : TuningRecipe
    classifier : RateClassifier or SpikingClassifier
        In evaluation mode, in single precision.
    n_trained : int
        Number of trained parameters.
    accuracy : dict
        Fraction classified right of the "train", "validation" and "test" images. For spiking
        classifiers chance is ``1/2**classes``.
    history : DataFrame
        One row an epoch: epoch, loss (mean over its batches), validation_accuracy.
    """

    recipe: TuningRecipe
    classifier: RateClassifier | SpikingClassifier
    n_trained: int
    accuracy: dict[str, float]
    history: pd.DataFrame

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The trained tensors alone."""
        return self.classifier.state_dict()


def tune(
    features: Features,
    backbone: Backbone,
    recipe: TuningRecipe,
    progress: Progress | None = None,
    shared: SharedGains | None = None,
) -> TuningResult:
    """Tune a backbone's classifier on features of a new task.

    Parameters
    ----------
    features : Features
        Of the same backbone.
    backbone : Backbone
        It is not changed.
    recipe : TuningRecipe
    progress : callable, optional
        Called with epochs done and in all.
    shared : SharedGains, optional
        Gains that several neurons share, and where they start; only for ``nt1``.

    Returns
    -------
    TuningResult
        The same recipe, backbone and features on the same machine always give the same.
    """
    classifier = build_classifier(backbone, recipe, len(features.classes))
    if shared:
        shared.apply(classifier)
    with threads_for(classifier):
        history = _train(classifier, features, recipe, progress)
    return evaluated(recipe, classifier, features, history)


def evaluated(
    recipe: TuningRecipe,
    classifier: RateClassifier | SpikingClassifier,
    features: Features,
    history: pd.DataFrame,
) -> TuningResult:
    """Return a tuned network with its accuracy on all three parts of the data."""
    with threads_for(classifier):
        accuracy = {
            part: measure_accuracy(classifier, features, getattr(features.split, part))
            for part in ("train", "validation", "test")
        }
    return TuningResult(recipe, classifier, classifier.n_trained, accuracy, history)


def measure_accuracy(
    classifier: RateClassifier | SpikingClassifier, features: Features, indices: IntArray
) -> float:
    """Return the fraction classified right of the images with these indices."""
    classifier.eval()
    with torch.no_grad():
        right = sum(
            int(classifier.correct(*_load(features, batch)).sum())
            for batch in np.split(
                indices, range(EVALUATED_AT_ONCE, len(indices), EVALUATED_AT_ONCE)
            )
        )
    return right / len(indices)


def _train(
    classifier: RateClassifier | SpikingClassifier,
    features: Features,
    recipe: TuningRecipe,
    progress: Progress | None,
) -> pd.DataFrame:
    train = features.split.train
    history: list[tuple[int, float, float]] = []
    columns = ["epoch", "loss", "validation_accuracy"]
    if classifier.n_trained == 0:
        return pd.DataFrame(history, columns=columns)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=recipe.lr)
    steps = recipe.epochs * -(-len(train) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(recipe.seed)
    for epoch in range(1, recipe.epochs + 1):
        classifier.train()
        losses = []
        for batch in torch.randperm(len(train), generator=generator).split(recipe.batch_size):
            optimizer.zero_grad()
            loss = loss_of(classifier, recipe, *_load(features, train[batch.numpy()]))
            loss.backward()
            optimizer.step()
            _keep_within(classifier, recipe.gain_low, recipe.gain_high)
            schedule.step()
            losses.append(loss.item())
        validation = measure_accuracy(classifier, features, features.split.validation)
        history.append((epoch, float(np.mean(losses)), validation))
        if progress:
            progress(epoch, recipe.epochs)
    return pd.DataFrame(history, columns=columns)


@torch.no_grad()
def _keep_within(
    classifier: RateClassifier | SpikingClassifier, low: float | None, high: float | None
) -> None:
    if low is None and high is None:
        return
    for layer in classifier.modulated_layers:
        if isinstance(layer, NT1):
            layer.gain.clamp_(low, high)


def _load(features: Features, indices: IntArray) -> tuple[Tensor, Tensor]:
    """Read some images' features and labels from disk."""
    return torch.from_numpy(features.values[indices]), torch.from_numpy(features.labels[indices])
