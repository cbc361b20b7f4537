"""Settings and first steps of studies that tune a network's gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neuromod.checks import check_distinct
from neuromod.chip.conversion import Costs
from neuromod.errors import UserError, unknown
from neuromod.parameters import parameter
from neuromod.protocol import Study
from neuromod.protocols.families.chips import ChipProtocol
from neuromod.support.log import note, stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import Backbone, load_backbone
from neuromod.tuning.datasets import ImageData
from neuromod.tuning.features import Features, extract_features
from neuromod.tuning.methods import METHODS

# A synapse between neurons takes some 200 bytes in Brian2 and in the experiment.
MOST_SYNAPSES = 30_000_000


@dataclass(frozen=True, eq=False)
class NetworkStudy(Study):
    """Base of studies that start from a pre-trained network of the user's choice."""

    backbone: str = parameter(
        "digits-vgg",
        "'digits-vgg' (pre-trained on digits 0 to 4), 'efficientnet-lite0' (on ImageNet), "
        "'tiny-text', 'tiny-sound', a VGG of torchvision, or any model of timm or torchvision, "
        "such as 'timm:resnet18'",
        "Barton et al. 2022 used VGG-19",
    )
    weights: str = parameter(
        "",
        "file with the weights of a model of timm or torchvision, or 'random' for timing alone",
        "torchvision's cache if empty",
    )

    @cached_property
    def pretrained(self) -> Backbone:
        """The pre-trained network."""
        return prepare_backbone(self.backbone, self.weights, self.seed)


@dataclass(frozen=True, eq=False)
class NetworkOnChip(ChipProtocol):
    """Base of protocols that tune several networks and run them as circuit neurons."""

    seeds: int = parameter(3, "networks tuned in each way", "chosen here", low=1)
    costs: Costs = parameter(Costs(), "energy of the core's events", "see its own")


def check_synapses(per_image: int, images: int, setting: str) -> None:
    """Refuse more synapses than memory holds, and say how many images fit."""
    if per_image * images > MOST_SYNAPSES:
        raise UserError(
            f"{images} images need {per_image * images:.2g} synapses between layers, and at most "
            f"{MOST_SYNAPSES:.2g} fit: set {setting} to {MOST_SYNAPSES // per_image} or less."
        )


def evenly(indices: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many indices, spread over all, because data sets are sorted by class."""
    count = min(most, len(indices))
    return np.asarray(indices[np.linspace(0, len(indices) - 1, count).round().astype(int)])


def check_methods(methods: Sequence[str]) -> None:
    """Refuse methods of tuning that do not exist, or are named twice."""
    for method in methods:
        if method not in METHODS:
            raise unknown("tuning method", method, METHODS)
    check_distinct("methods", methods)


def prepare_backbone(name: str = "digits-vgg", weights: str = "", seed: int = 0) -> Backbone:
    """Load a backbone, show the progress of its pre-training, and note it in the run."""
    with stage("backbone"):
        backbone = load_backbone(name, weights or None, task("pre-training the backbone"), seed)
    note("weights from cache", backbone.from_cache)
    note("backbone", f"{backbone.name}, weights {backbone.weight_hash[:12]}")
    return backbone


def prepare_features(backbone: Backbone, data: ImageData) -> Features:
    """Compute the features of a data set, show the progress, and note it in the run."""
    with stage("features"):
        features = extract_features(backbone, data, progress=task(f"features of {data.name}"))
    note("features from cache", features.from_cache)
    return features
