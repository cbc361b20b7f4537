"""What was trained in a model: its parameters, its tensors by name, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.support.tensor_file import (
    Kind,
    TensorFileError,
    check_fit,
    hash_tensors,
    read_tensors,
    write_tensors,
)
from neuromod.tuning.attachment import Tuning, attach_plan, detach, replace, tuned_layers
from neuromod.tuning.methods.gained import GainedLayer, share_gains

GAINS = Kind("gains file", "neuromod-gains-1")


@dataclass(frozen=True)
class Base:
    """The pre-trained network that trained tensors belong to, with `hash_tensors` of them all."""

    name: str
    weight_hash: str


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained, for an optimiser."""
    tuned_layers(model)
    return [p for p in model.parameters() if p.requires_grad]


def trained_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's trained tensors by name, and nothing else.

    A parameter that layers share comes once, and each of these layers has its ``domain``.
    """
    tuned_layers(model)
    state = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    for name, layer in model.named_modules():
        if isinstance(layer, GainedLayer) and layer.domain is not None:
            state[f"{name}.domain"] = layer.domain
    return state


def load_trained_state_dict(
    model: nn.Module, tensors: Mapping[str, Tensor], source: str = "The state dict"
) -> None:
    """Load trained tensors into a model in which the same layers are tuned.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    tensors : mapping
        As `trained_state_dict` returns them.
    source : str
        Where they come from, for error messages.
    """
    # Gains that were shared are shared here too.
    layers = {n: m for n, m in model.named_modules() if isinstance(m, GainedLayer)}
    domains = [tensors[f"{name}.domain"] for name in layers if f"{name}.domain" in tensors]
    gains = [tensors[f"{name}.gain"] for name in layers if f"{name}.gain" in tensors]
    shared = any(layer.domain is not None for layer in layers.values())
    if domains and gains and not shared:
        share_gains(model, torch.cat(domains).cpu().numpy(), np.asarray(gains[0].cpu().double()))
    expected = trained_state_dict(model)
    check_fit(source, tensors, expected, type(model).__name__)
    for name, tensor in expected.items():
        tensor.copy_(tensors[name])


def save_trained(
    path: str | Path, model: nn.Module, base: Base | None = None, **about: Any
) -> None:
    """Write a model's trained tensors to a file, with the layers and methods that they belong to.

    Parameters
    ----------
    path : path
        Safetensors with a JSON header, written whole or not at all.
    base : Base, optional
        The pre-trained network, where it is more than the model as it was before `attach`.
    **about
        Anything else worth knowing, of types that JSON holds.
    """
    tuned = {
        name: asdict(vars(module)["tuning"])
        for name, module in model.named_modules()
        if isinstance(module, ModulatedLayer)
    }
    header = {**about, "base": asdict(base or _base_of(model)), "tuned": tuned}
    write_tensors(path, GAINS, header, trained_state_dict(model))


def load_trained(path: str | Path, model: nn.Module, base: Base | None = None) -> list[str]:
    """Tune a model as a file says, and load the tensors that were trained.

    Parameters
    ----------
    path : path
        As `save_trained` writes it.
    model : nn.Module
        With the very weights that were tuned; changed in place.

    Returns
    -------
    list of str
        Names of the tuned layers.

    Raises
    ------
    TensorFileError
        If the file is of another kind or another model. The model is then unchanged.
    """
    gains = read_tensors(path, GAINS)
    try:
        expected = Base(**gains.header["base"])
        plan = {name: Tuning(**tuning) for name, tuning in gains.header["tuned"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise TensorFileError(
            f"{path} was not written by save_trained: load_gains loads a classifier of version 0.1."
        ) from error
    check_base(str(path), expected, base or _base_of(model))
    attach_plan(model, plan)
    try:
        load_trained_state_dict(model, gains.tensors, str(path))
    except UserError:
        detach(model)
        raise
    return list(plan)


def check_base(source: str, expected: Base, found: Base) -> None:
    """Refuse tensors of a file that were trained on another network than this."""
    if expected.weight_hash != found.weight_hash:
        raise TensorFileError(
            f"{source} was trained on {expected.name} with weights {expected.weight_hash[:8]}, "
            f"and this is {found.name} with weights {found.weight_hash[:8]}: "
            "gains fit only the weights that they were trained with."
        )


def _base_of(model: nn.Module) -> Base:
    """The model as it was before `attach`."""
    tuned = [m for m in model.modules() if isinstance(m, ModulatedLayer)]
    bases = {
        layer: base if base.weight.dtype == layer.weight.dtype else deepcopy(base).to(layer.weight)
        for layer in tuned
        for base in [layer.base]
    }
    replace(model, bases)
    try:
        return Base(type(model).__name__, hash_tensors(model.state_dict()))
    finally:
        replace(model, {base: layer for layer, base in bases.items()})
