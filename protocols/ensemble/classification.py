"""Ensembles that classify: digits 5 to 9, by a network that knows the digits 0 to 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn

from neuromod.models.classifier import Classifier
from neuromod.protocols.ensemble.members import Draw, draws, groups_for, network, numbers_in, widest
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.datasets.images import ImageData, noisy
from neuromod.tuning.ensembles import add_members, outputs_of_members
from neuromod.tuning.features import Features
from neuromod.tuning.hardware import threads_for
from neuromod.tuning.recipe import SharedGains, TuningRecipe, build_classifier, calibrated
from neuromod.tuning.training import tune

COMPONENTS = 36
"""Principal components that the small networks read (chosen here: a network 36-4-5 has exactly as
many weights and biases as the backbone's classifier has neurons, 173)."""

SMALL, FULL = (
    TuningRecipe("tft", "rate", "cross_entropy", 0.03, 50),
    TuningRecipe("tft", "rate", "cross_entropy", 0.003, 50),
)
"""Of networks that start anew (learning rates calibrated here, on validation images)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What networks read of some images.

    Attributes
    ----------
    pixels : ndarray, shape (images, 64)
    features : ndarray, shape (images, 384)
        Of the backbone's convolutions.
    """

    pixels: np.ndarray
    features: np.ndarray


Predict = Callable[[Seen], np.ndarray]
"""Probabilities of all members for some images, shape (members, images, classes)."""


@dataclass(frozen=True, eq=False)
class Task:
    """The network that all start from, and the images."""

    backbone: Backbone
    data: ImageData
    features: Features

    @property
    def gains(self) -> int:
        """Gains of a set: one for each neuron of the classifier."""
        return sum(linear.out_features for linear in self.backbone.linears)

    @property
    def test_labels(self) -> np.ndarray:
        """Of the test images."""
        return self.data.labels[self.data.split.test]

    @cached_property
    def seen(self) -> Seen:
        """All images."""
        pixels = torch.stack([self.data.image(i) for i in range(len(self.data))])
        return Seen(pixels.flatten(1).numpy(), np.asarray(self.features.values))

    def test_images(self, noise: float, seed: int) -> Seen:
        """Test images with Gaussian noise on their pixels of 0 to 1, which are clipped again."""
        test, image = self.data.split.test, self.backbone.image
        if not noise:
            return Seen(self.seen.pixels[test], self.seen.features[test])
        data = noisy(self.data, noise, seed)
        images = [data.image(int(i)) for i in test]
        with threads_for(self.backbone.network):
            features = self.backbone.embed(torch.stack([image.prepare(each) for each in images]))
        return Seen(torch.stack(images).flatten(1).numpy(), features.numpy())

    def widths(self, small: bool) -> list[int]:
        """Layers of a network that starts anew, as large as a set of gains or as the classifier."""
        linears = self.backbone.linears
        classes = linears[-1].out_features
        if small:
            return [COMPONENTS, widest(COMPONENTS, classes, self.gains), classes]
        return [linears[0].in_features, *(linear.out_features for linear in linears)]


@dataclass(frozen=True, eq=False)
class Classification:
    """All networks of one seed.

    Attributes
    ----------
    task : Task
    seed, members : int
    spread : float
        Standard deviation of gains at the start, about 1.
    """

    task: Task
    seed: int
    members: int
    spread: float

    fresh: ClassVar[tuple[str, ...]] = ("pixels", "features", "full")
    """Networks that start anew, by what they read or their size."""

    @property
    def numbers(self) -> int:
        """Gains of a set."""
        return self.task.gains

    def numbers_of(self, way: str) -> int:
        """Weights and biases of a network that starts anew."""
        return numbers_in(self.task.widths(way != "full"))

    @cached_property
    def draws(self) -> list[Draw]:
        """What is random in each member."""
        return draws(self.seed, self.members, self.task.gains, len(self.task.data.split.train))

    def gained(self, way: str) -> Predict:
        """Members that are sets of gains: adapters of one network, computed in one batch."""
        task, recipe = self.task, calibrated("nt1", "rate", "cross_entropy")
        sets = []
        for draw in self.draws:
            own = draw.samples(way, task.features.split.train)
            features = replace(task.features, split=replace(task.features.split, train=own))
            start = SharedGains(np.arange(task.gains), draw.start(way, self.spread))
            tuned = tune(features, task.backbone, replace(recipe, seed=draw.seed), shared=start)
            sets.append(tuned.gains)
        model = build_classifier(task.backbone, recipe, len(task.data.classes))
        return partial(_together, model, add_members(model, sets))

    def grouped(self, members: int) -> Predict:
        """One network with as many gains as that many sets."""
        recipe = calibrated("nt1_groups", "rate", "cross_entropy", self.draws[0].seed)
        recipe = replace(recipe, groups=groups_for(members))
        tuned = tune(self.task.features, self.task.backbone, recipe)
        return partial(_apart, [tuned.classifier], _features)

    def anew(self, way: str) -> Predict:
        """Networks of their own: small ones that read leading components, or of full size."""
        task, full = self.task, way == "full"
        view = _features if full else self._components(way)
        features = replace(task.features, values=view(task.seen))
        found = []
        for draw in self.draws:
            fresh = _fresh(task.backbone, task.widths(not full), draw.seed)
            recipe = replace(FULL if full else SMALL, seed=draw.seed)
            found.append(tune(features, fresh, recipe).classifier)
        return partial(_apart, found, view)

    def _components(self, reads: str) -> Callable[[Seen], np.ndarray]:
        """Leading principal components of the training images, the first of unit variance."""
        train = self.task.data.split.train
        of_all = np.asarray(getattr(self.task.seen, reads))
        found = PCA(COMPONENTS, svd_solver="full").fit(of_all[train])
        scale = np.sqrt(found.explained_variance_[0])

        def view(seen: Seen) -> np.ndarray:
            return np.asarray(found.transform(getattr(seen, reads)) / scale, np.float32)

        return view


def _features(seen: Seen) -> np.ndarray:
    return seen.features


def _together(model: Classifier, names: Sequence[str], seen: Seen) -> np.ndarray:
    """Probabilities of adapters of one network."""
    with threads_for(model):
        logits = outputs_of_members(model, names, torch.from_numpy(seen.features))
    return logits.double().softmax(dim=-1).numpy()


@torch.no_grad()
def _apart(
    classifiers: Sequence[Classifier], view: Callable[[Seen], np.ndarray], seen: Seen
) -> np.ndarray:
    """Probabilities of networks that share nothing."""
    x = torch.from_numpy(view(seen))
    with threads_for(classifiers[0]):
        logits = torch.stack([classifier(x) for classifier in classifiers])
    return logits.double().softmax(dim=-1).numpy()


def _fresh(backbone: Backbone, widths: Sequence[int], seed: int) -> Backbone:
    """A classifier of torch's start, in the place of the backbone's."""
    whole = nn.Module()
    whole.classifier = network(widths, seed)
    return Backbone("a fresh classifier", whole, backbone.image)
