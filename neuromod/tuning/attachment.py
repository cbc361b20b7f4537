"""Tuning of any torch model: gains, biases or other methods on its Linear and Conv2d layers.

`attach` puts tuned layers into the places of chosen ones and freezes everything else; what is
trained may be merged into plain layers, taken out again, saved and loaded. All functions take the
model itself, so that they work on copies of it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from neuromod.errors import UserError, unknown
from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.support.tensor_file import (
    Kind,
    TensorFileError,
    check_fit,
    read_tensors,
    write_tensors,
)
from neuromod.tuning.backbone import seeded
from neuromod.tuning.layer_choice import candidates, choose, no_match
from neuromod.tuning.methods import METHODS
from neuromod.tuning.methods.gained import GainedLayer, share_gains
from neuromod.tuning.weights import hash_tensors

GAINS = Kind("gains file", "neuromod-gains-1")


@dataclass(frozen=True)
class Tuning:
    """What is to be trained in a layer.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    options : dict
        Of the method.
    """

    method: str
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Attached:
    """How a tuned layer came into its model.

    Attributes
    ----------
    tuning : Tuning
    frozen : list of nn.Parameter
        The model's parameters that were trained before and are not now.
    """

    tuning: Tuning
    frozen: list[nn.Parameter]


def attach(
    model: nn.Module,
    method: str,
    layers: str | Sequence[str] = "*",
    *,
    seed: int = 0,
    **options: Any,
) -> list[str]:
    """Put a method of tuning on layers of a model, and freeze everything else in it.

    The model computes what it did before, unless a method is asked to start otherwise. A layer
    that the model has in several places is tuned as one. Other layers may be tuned by another
    method in a second call. Batch normalisation in training mode takes back what gains do to the
    convolution before it, and follows the new data with averages that are not trained tensors:
    tune such a model in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    method : str
        One of `METHODS`. ``"probe"`` trains the weights and biases of the last chosen layer.
    layers : str or sequence of str
        Names of Linear or Conv2d layers, as `nn.Module.named_modules` has them, their last parts
        (``"fc"``, ``"attention.query"``), or patterns (``"features.*"``). All by default.
    seed : int
        For what a method draws at random.
    **options
        Of the method: ``start="uniform"`` for gains, ``rank`` for ``"lora"``.

    Returns
    -------
    list of str
        Names of the tuned layers.

    Raises
    ------
    UserError
        Before anything is changed: if a name or pattern has no layer, a layer is tuned already,
        or a method cannot tune a layer.
    """
    names = choose(model, [layers] if isinstance(layers, str) else layers)
    plan = {name: Tuning(method, options) for name in names}
    if method == "probe":
        plan[names[-1]] = Tuning("tft", options)
    _put(model, plan, seed)
    return names


def detach(model: nn.Module) -> None:
    """Take all tuned layers out of a model: it has the layers again that it had before `attach`.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    """
    unmerge(model)
    frozen = {layer: _attached(layer).frozen for layer in _tuned(model)}
    for layer in frozen:
        layer.base.to(layer.weight)
    _replace(model, {layer: layer.base.train(layer.training) for layer in frozen})
    for parameters in frozen.values():
        for parameter in parameters:
            parameter.requires_grad_(True)


def merge(model: nn.Module) -> None:
    """Put plain layers that compute the same into the places of all tuned layers of a model.

    It is then as fast as it was before `attach`, and its ``state_dict()`` has the same names. The
    tuned layers are kept for `unmerge`; merging twice changes nothing.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    """
    tuned = _tuned(model, merged=True)
    _replace(model, {layer: _merged(layer) for layer in tuned if isinstance(layer, ModulatedLayer)})


def unmerge(model: nn.Module) -> None:
    """Put the tuned layers back, exactly as they were before `merge`.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    """
    plain = [m for m in _tuned(model, merged=True) if not isinstance(m, ModulatedLayer)]
    _replace(model, {m: _unmerged(m).to(m.weight).train(m.training) for m in plain})


@contextmanager
def disabled(model: nn.Module) -> Iterator[None]:
    """Let a model compute what it did before `attach`, for the length of a block.

    Parameters
    ----------
    model : nn.Module
    """
    before = {layer: layer.enabled for layer in _tuned(model)}
    for layer in before:
        layer.enabled = False
    try:
        yield
    finally:
        for layer, enabled in before.items():
            layer.enabled = enabled


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained, for an optimiser."""
    _tuned(model)
    return [p for p in model.parameters() if p.requires_grad]


def trained_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's trained tensors alone, by name.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    dict
        Parameters that layers share come once, and with each layer's ``domain``.
    """
    _tuned(model)
    state = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    for name, layer in model.named_modules():
        if isinstance(layer, GainedLayer) and layer.domain is not None:
            state[f"{name}.domain"] = layer.domain
    return state


def load_trained_state_dict(
    model: nn.Module, tensors: Mapping[str, Tensor], source: str = "The state dict"
) -> None:
    """Put trained tensors into a model in which the same layers are tuned.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    tensors : mapping
        As `trained_state_dict` gives them.
    source : str
        Where they come from, for errors.
    """
    _share_alike(model, tensors)
    expected = trained_state_dict(model)
    check_fit(source, tensors, expected, type(model).__name__)
    for name, tensor in expected.items():
        tensor.copy_(tensors[name])


def save_trained(path: str | Path, model: nn.Module) -> None:
    """Write a model's trained tensors to a file, with what is needed to put them back.

    Parameters
    ----------
    path : path
        Safetensors with a JSON header, written whole or not at all.
    model : nn.Module
    """
    tuned = {
        name: {"method": _attached(m).tuning.method, "options": _attached(m).tuning.options}
        for name, m in model.named_modules()
        if isinstance(m, ModulatedLayer)
    }
    base = {"name": type(model).__name__, "weight_hash": _base_hash(model)}
    write_tensors(path, GAINS, {"base": base, "tuned": tuned}, trained_state_dict(model))


def load_trained(path: str | Path, model: nn.Module) -> list[str]:
    """Attach to a model what a file says, with the tensors that were trained.

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
        Before anything is changed, if the file is none of these, or of another model.
    """
    gains = read_tensors(path, GAINS)
    try:
        base = {key: str(gains.header["base"][key]) for key in ("name", "weight_hash")}
        plan = {name: Tuning(**tuning) for name, tuning in gains.header["tuned"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise TensorFileError(
            f"{path} was not written by save_trained: a tuned classifier is loaded by load_gains."
        ) from error
    check_base(str(path), base, type(model).__name__, _base_hash(model))
    _put(model, plan, seed=0)
    try:
        load_trained_state_dict(model, gains.tensors, str(path))
    except UserError:
        detach(model)
        raise
    return list(plan)


def check_base(source: str, tuned: Mapping[str, str], name: str, found_hash: str) -> None:
    """Refuse tensors that were trained on another network.

    Parameters
    ----------
    source : str
        The file that they come from.
    tuned : mapping
        ``name`` and ``weight_hash`` of the network that they were trained on.
    name, found_hash : str
        Of the network that they shall be put into.
    """
    if tuned["weight_hash"] != found_hash:
        raise TensorFileError(
            f"{source} was trained on {tuned['name']} with weights {tuned['weight_hash'][:8]}, "
            f"and this is {name} with weights {found_hash[:8]}: "
            "gains fit only the weights that they were trained with."
        )


def _put(model: nn.Module, plan: Mapping[str, Tuning], seed: int) -> None:
    """Make all tuned layers, then put them into the model and freeze the rest."""
    if any(is_lazy(parameter) for parameter in model.parameters()):
        raise UserError(f"{type(model).__name__} has layers without weights yet: call it once.")
    layers = candidates(model)
    new: dict[nn.Module, ModulatedLayer] = {}
    with seeded(seed):
        for name, tuning in plan.items():
            if name not in layers:
                raise no_match(model, name, layers)
            new[layers[name]] = _made(name, layers[name], tuning)
    _replace(model, new)
    own = {id(p) for layer in _tuned(model) for p in layer.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    for parameter in frozen:
        parameter.requires_grad_(False)
    for layer, tuning in zip(new.values(), plan.values(), strict=True):
        vars(layer)["attached"] = Attached(tuning, frozen)
        # torch's transformer layers read weights past a layer's forward unless it has a hook
        layer.register_forward_pre_hook(_nothing)


def _nothing(module: nn.Module, inputs: Any) -> None:
    """A hook that does nothing."""


def _made(name: str, layer: nn.Module, tuning: Tuning) -> ModulatedLayer:
    if isinstance(layer, ModulatedLayer):
        raise UserError(f"{name} is tuned already: detach the model, or choose other layers.")
    if "tuned" in vars(layer):
        raise UserError(f"{name} is merged with what was trained: unmerge and detach the model.")
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
        raise UserError(f"{name} has hooks, which would not be called: remove them to tune it.")
    if tuning.method not in METHODS:
        raise unknown("tuning method", tuning.method, METHODS)
    make: Callable[..., ModulatedLayer] = METHODS[tuning.method]
    valid = [option for option in signature(make).parameters if option != "base"]
    for option in tuning.options:
        if option not in valid:
            raise unknown(f"option of {tuning.method}", option, valid)
    try:
        return make(layer, **tuning.options).train(layer.training)
    except UserError as error:
        raise UserError(f"{name} cannot be tuned: {error}") from error


def _replace(model: nn.Module, new: Mapping[Any, nn.Module]) -> None:
    """Put modules into all places of others."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in new:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, new[module])


def _tuned(model: nn.Module, merged: bool = False) -> list[Any]:
    """All tuned layers of a model; with `merged`, also those that stand in for them."""
    layers = [m for m in model.modules() if isinstance(m, ModulatedLayer) or "tuned" in vars(m)]
    if not layers:
        raise UserError(f"{type(model).__name__} has no tuned layers: attach a method first.")
    if not merged and not all(isinstance(layer, ModulatedLayer) for layer in layers):
        raise UserError(f"The tuned layers of {type(model).__name__} are merged: unmerge it first.")
    return layers


def _attached(layer: ModulatedLayer) -> Attached:
    if "attached" not in vars(layer):
        raise UserError("A classifier's own layers are not attached: they cannot be detached.")
    found: Attached = vars(layer)["attached"]
    return found


def _unmerged(plain: nn.Module) -> ModulatedLayer:
    found: ModulatedLayer = vars(plain)["tuned"]
    return found


@torch.no_grad()
def _merged(layer: ModulatedLayer) -> nn.Module:
    """A plain layer of the same kind that computes the same."""
    weight, bias, gain = layer.folded()
    scale = gain.view(-1, *[1] * (weight.dim() - 1))
    base = layer.base
    folded = {"weight": weight * scale, "bias": gain * bias}
    new = {n: nn.Parameter(t.to(layer.weight), requires_grad=False) for n, t in folded.items()}
    # copied with other tensors in the places of its own
    own = {id(parameter): new[name] for name, parameter in base.named_parameters()}
    plain = deepcopy(base, own)
    if base.bias is None and bias.any():
        plain.bias = new["bias"]
    vars(plain)["tuned"] = layer
    return plain.train(layer.training)


def _base_hash(model: nn.Module) -> str:
    """Hash of a model's weights as they were before `attach`."""
    tuned = [m for m in model.modules() if isinstance(m, ModulatedLayer)]
    bases = {
        layer: base if base.weight.dtype == layer.weight.dtype else deepcopy(base).to(layer.weight)
        for layer in tuned
        for base in [layer.base]
    }
    _replace(model, bases)
    try:
        return hash_tensors(model.state_dict())
    finally:
        _replace(model, {base: layer for layer, base in bases.items()})


def _share_alike(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let gains be shared as in tensors that come with domains."""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, GainedLayer)}
    domains = [tensors[f"{name}.domain"] for name in layers if f"{name}.domain" in tensors]
    gains = [tensors[f"{name}.gain"] for name in layers if f"{name}.gain" in tensors]
    shared = any(layer.domain is not None for layer in layers.values())
    if domains and gains and not shared:
        share_gains(model, torch.cat(domains).cpu().numpy(), np.asarray(gains[0].cpu().double()))
