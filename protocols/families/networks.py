"""Settings and first steps of studies that tune a network's gains: backbone, methods, features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuromod.chip.conversion import Costs
from neuromod.errors import UserError, unknown
from neuromod.parameters import parameter
from neuromod.support.log import note, stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import Backbone, load_backbone
from neuromod.tuning.datasets import ImageData
from neuromod.tuning.features import Features, extract_features
from neuromod.tuning.methods import METHODS


def backbone_name() -> Any:
    """Setting of the pre-trained network.

    Returns
    -------
    dataclasses.Field
    """
    return parameter(
        "digits-vgg",
        "'digits-vgg' (pre-trained on digits 0 to 4), or a VGG of torchvision",
        source="Barton et al. 2022 used VGG-19",
    )


def weights_file() -> Any:
    """Setting of the pre-trained network's weights.

    Returns
    -------
    dataclasses.Field
    """
    return parameter(
        "",
        "file with the weights of a torchvision VGG, or 'random' for timing alone",
        source="torchvision's cache if empty",
    )


def network_count(default: int = 3) -> Any:
    """Setting of the number of networks, each of a seed of its own.

    Parameters
    ----------
    default : int

    Returns
    -------
    dataclasses.Field
    """
    return parameter(default, "networks tuned in each way", source="chosen here", low=1)


def core_costs() -> Any:
    """Setting of the energy of the circuit neuron's core.

    Returns
    -------
    dataclasses.Field
    """
    return parameter(Costs(), "energy of the core's events", source="see its own")


def check_distinct(name: str, values: Sequence[object]) -> None:
    """Refuse a setting that names something twice.

    Parameters
    ----------
    name : str
    values : sequence

    Raises
    ------
    UserError
    """
    if len(set(values)) < len(values):
        raise UserError(f"{name} = {', '.join(map(str, values))} names one twice: name each once.")


def check_methods(methods: Sequence[str]) -> None:
    """Refuse methods of tuning that do not exist, or are named twice.

    Parameters
    ----------
    methods : sequence of str

    Raises
    ------
    UserError
    """
    for method in methods:
        if method not in METHODS:
            raise unknown("tuning method", method, METHODS)
    check_distinct("methods", methods)


def prepare_backbone(name: str = "digits-vgg", weights: str = "", seed: int = 0) -> Backbone:
    """Load a backbone, show the progress of its pre-training, and note it in the run.

    Parameters
    ----------
    name, weights : str
        As the settings.
    seed : int
        Of random weights.

    Returns
    -------
    Backbone
    """
    with stage("backbone"):
        backbone = load_backbone(name, weights or None, task("pre-training the backbone"), seed)
    note("weights from cache", backbone.from_cache)
    note("backbone", f"{backbone.name}, weights {backbone.weight_hash[:12]}")
    return backbone


def prepare_features(backbone: Backbone, data: ImageData) -> Features:
    """Compute the features of a data set, show the progress, and note it in the run.

    Parameters
    ----------
    backbone : Backbone
    data : ImageData

    Returns
    -------
    Features
    """
    with stage("features"):
        features = extract_features(backbone, data, progress=task(f"features of {data.name}"))
    note("features from cache", features.from_cache)
    return features
