"""Weights from files that other programs wrote, read without running any code in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.support.cache import checksum
from neuromod.support.paths import file_at
from neuromod.support.tensor_file import check_fit


def torchvision_file(name: str) -> Path:
    """Return the file of a torchvision model's first ImageNet weights in torch's cache folder."""
    url: str = next(iter(torchvision.models.get_model_weights(name))).url
    path = Path(str(torch.hub.get_dir()), "checkpoints", url.rsplit("/", 1)[-1])
    if not path.is_file():
        raise UserError(
            f"The weights of {name} are not at {path}, and nothing is downloaded: fetch {url} and "
            "put the file there, name another file, or take weights='random' for timing."
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors`` or ``.pth``, without running any code in it.

    If a file is named as torchvision names its own, ``vgg19-dcbb9e9d.pth``, its content must have
    the hash in its name.
    """
    path = file_at(path, "file of weights")
    _check_hash(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    # What torch.load raises for a foreign file depends on the file's first bytes.
    except Exception as error:
        raise UserError(f"{path} cannot be read as weights: is it whole?") from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise UserError(f"{path} holds no state dict: save one, a dictionary of tensors by name.")
    return tensors


def _check_hash(path: Path) -> None:
    named = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    if named and (found := checksum(path)[:8]) != named[1]:
        raise UserError(
            f"{path} is damaged: by its name its SHA-256 begins with {named[1]}, but it begins "
            f"with {found}; fetch it again, or rename it if the name means something else."
        )


def assign(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Replace a network's tensors by those of a file, if they fit.

    Batch normalisation counts batches only since torch 0.4.1, and older files have no counts.
    """
    state = network.state_dict()
    counts = {key: torch.tensor(0) for key in state if key.endswith("num_batches_tracked")}
    tensors = {**counts, **tensors}
    check_fit(str(path), tensors, state, name)
    network.load_state_dict(tensors, assign=True)
