"""Any model of timm or torchvision by name, with weights from a file on this disk.

A model must be one that can be tuned as a whole network: its outputs are those of its last linear
layer, and depend on all that would be tuned.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchvision
from torch import nn

from neuromod.errors import UserError, unknown
from neuromod.tuning.datasets.images import InputSpec
from neuromod.tuning.hardware import seeded
from neuromod.tuning.weights_file import assign, read_weights, torchvision_file
from neuromod.tuning.whole_network import WholeRecipe, check_outputs, head_of, whole_network

LIBRARIES = ("timm", "torchvision")


class NamedModel(NamedTuple):
    """A model in evaluation mode, the format of its input, and the name of its head."""

    network: nn.Module
    image: InputSpec
    head: str


def named_model(name: str, weights: str | Path | None = None, seed: int = 0) -> NamedModel:
    """Build a model by a name such as ``timm:resnet18`` or ``torchvision:resnet18``.

    Parameters
    ----------
    weights : path or "random", optional
        As in `neuromod.tuning.backbone.load_backbone`.
    seed : int
        Of random weights.

    Returns
    -------
    NamedModel
        Size and normalisation of its images are those of timm's configuration, or of torchvision's
        weights: those that the file is named like, or else the first.

    Raises
    ------
    UserError
        If there is no such model or file, the weights do not fit, or it cannot be tuned.
    """
    library, _, own = name.partition(":")
    with seeded(seed):
        network, path, image = (_timm if library == "timm" else _torchvision)(own, weights)
    if path:
        assign(network, read_weights(path), path, name)
    network.eval()
    _check(network, image, name)
    return NamedModel(network, image, head_of(network))


def _timm(own: str, weights: str | Path | None) -> tuple[nn.Module, Path | None, InputSpec]:
    if find_spec("timm") is None:
        raise UserError(f"timm:{own} needs the package timm: install brian2-neuromod[imagenet].")
    timm = import_module("timm")
    if own not in (names := {*timm.list_models(), *timm.list_pretrained()}):
        raise unknown("model of timm", own, names)
    if weights is None:
        raise UserError(
            f"timm:{own} needs weights, and nothing is downloaded: name a file of them, or take "
            "weights='random' for timing."
        )
    known = timm.get_pretrained_cfg(own)
    classes = {} if known is None else {"num_classes": known.num_classes}
    network: nn.Module = timm.create_model(own, pretrained=False, **classes)
    config = timm.data.resolve_model_data_config(network)
    channels, height, width = config["input_size"]
    if height != width or channels not in (1, 3):
        raise UserError(
            f"timm:{own} takes images of shape {config['input_size']}, and not square ones that "
            "are grey or RGB."
        )
    image = InputSpec(channels, height, tuple(config["mean"]), tuple(config["std"]))
    return network, None if weights == "random" else Path(weights), image


def _torchvision(own: str, weights: str | Path | None) -> tuple[nn.Module, Path | None, InputSpec]:
    names = torchvision.models.list_models(module=torchvision.models)
    if own not in names:
        raise unknown("model of torchvision", own, names)
    path = torchvision_file(own) if weights is None else Path(weights)
    there: Any = list(torchvision.models.get_model_weights(own))
    named = next((each for each in there if each.url.endswith(f"/{path.name}")), there[0])
    shown = named.transforms()
    image = InputSpec(3, shown.crop_size[0], tuple(shown.mean), tuple(shown.std))
    network: nn.Module = torchvision.models.get_model(own, weights=None)
    return network, None if weights == "random" else path, image


def _check(network: nn.Module, image: InputSpec, name: str) -> None:
    """Refuse a model that cannot be tuned as a whole network."""
    sample = torch.zeros(image.channels, image.size, image.size)
    try:
        check_outputs(network, sample, name)
    except UserError:
        raise
    # What a network raises that is built in another way than the others is its own.
    except Exception as error:
        raise UserError(
            f"{name} takes no image of {image.size} x {image.size} pixels: {error}"
        ) from error
    parameters = dict(network.named_parameters())
    total = network(sample[None]).sum()
    found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    idle = [key for key, gradient in zip(parameters, found, strict=True) if gradient is None]
    if idle:
        raise UserError(
            f"{name} has {len(idle)} tensors that its outputs do not depend on, such as "
            f"{idle[0]!r}: it would be tuned where nothing changes."
        )
    whole_network(network, WholeRecipe("nt1", 1.0, 1), 2)
