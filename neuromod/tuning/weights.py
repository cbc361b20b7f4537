"""Files of pre-trained weights: find torchvision's, read without running code, check before use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.support.tensor_file import check_fit

TORCHVISION_VGGS = tuple(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn"))


def torchvision_weights(name: str) -> Path:
    """Return the file of a torchvision VGG's ImageNet weights in torch's own cache folder."""
    url: str = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url
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
    if not path.is_file():
        raise UserError(f"There is no file of weights {path}.")
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
    if not named:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    if found != named[1]:
        raise UserError(
            f"{path} is damaged: by its name its SHA-256 begins with {named[1]}, but it begins "
            f"with {found}; fetch it again, or rename it if the name means something else."
        )


def assign_weights(
    network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str
) -> None:
    """Replace a network's tensors by those of a file, if they fit."""
    check_fit(str(path), tensors, network.state_dict(), name)
    network.load_state_dict(tensors, assign=True)
