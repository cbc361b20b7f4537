"""Tune any torch model: put gains, biases or another method on its Linear and Conv2d layers.

All functions take the model itself, so they work on copies of it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from neuromod.errors import MAX_LISTED, UserError, unknown
from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.tuning.hardware import seeded
from neuromod.tuning.methods import METHODS


@dataclass(frozen=True)
class Tuning:
    """How a layer is tuned: one of `METHODS`, and its options."""

    method: str
    options: dict[str, Any]


def attach(
    model: nn.Module,
    method: str,
    layers: str | Sequence[str] = "*",
    *,
    seed: int = 0,
    **options: Any,
) -> list[str]:
    """Tune layers of a model by a method, and freeze everything else in it.

    The model computes what it did before, unless an option says otherwise. A layer that stands in
    several places of the model is tuned as one. A second call can tune other layers by another
    method. Tune a model with batch normalisation in evaluation mode: in training mode, batch
    normalisation undoes the gains of the convolution before it, and its running averages follow
    the new data although they are no trained tensors.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    method : str
        One of `METHODS`; ``"probe"`` trains the weights and biases of the last chosen layer.
    layers : str or sequence of str
        Linear or Conv2d layers: names as in `nn.Module.named_modules`, last parts of names
        (``"fc"``, ``"attention.query"``), or patterns (``"features.*"``). All by default.
    seed : int
        Of what a method draws at random.
    **options
        Of the method: ``start="uniform"`` for gains, ``rank`` for ``"lora"``.

    Returns
    -------
    list of str
        Names of the tuned layers.

    Raises
    ------
    UserError
        If a name or pattern matches no layer, a layer is tuned already, or a method cannot tune a
        layer. The model is then unchanged.
    """
    names = _choose(model, [layers] if isinstance(layers, str) else layers)
    plan = {name: Tuning(method, options) for name in names}
    if method == "probe":
        plan[names[-1]] = Tuning("tft", options)
    attach_plan(model, plan, seed)
    return names


def attach_plan(model: nn.Module, plan: Mapping[str, Tuning], seed: int = 0) -> None:
    """Tune each layer of a plan in its own way, as `attach` does for one method."""
    if any(is_lazy(parameter) for parameter in model.parameters()):
        raise UserError(f"{type(model).__name__} has layers without weights yet: call it once.")
    layers = _candidates(model)
    new: dict[nn.Module, ModulatedLayer] = {}
    with seeded(seed):
        for name, tuning in plan.items():
            if name not in layers:
                raise _no_match(model, name, layers)
            new[layers[name]] = _made(name, layers[name], tuning)
    replace(model, new)
    own = {id(p) for layer in tuned_layers(model) for p in layer.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    for parameter in frozen:
        parameter.requires_grad_(False)
    for layer, tuning in zip(new.values(), plan.values(), strict=True):
        # Past torch, which would count the frozen parameters as the layer's own.
        vars(layer).update(tuning=tuning, froze=frozen)
        # Torch's transformer layers read weights and skip a layer's forward unless it has a hook.
        layer.register_forward_pre_hook(_nothing)


def detach(model: nn.Module) -> None:
    """Give a model back the layers that it had before `attach`, in place."""
    unmerge(model)
    layers = tuned_layers(model)
    for layer in layers:
        layer.base.to(layer.weight)
    replace(model, {layer: layer.base.train(layer.training) for layer in layers})
    for layer in layers:
        for parameter in layer.froze:
            parameter.requires_grad_(True)


def merge(model: nn.Module) -> None:
    """Replace all tuned layers of a model by plain layers that compute the same, in place.

    The model is then as fast as before `attach`, and its ``state_dict()`` has the same names. The
    tuned layers are kept for `unmerge`. Merging twice changes nothing.
    """
    tuned = tuned_layers(model, merged=True)
    replace(model, {layer: _merged(layer) for layer in tuned if isinstance(layer, ModulatedLayer)})


def unmerge(model: nn.Module) -> None:
    """Put the tuned layers back in place, exactly as they were before `merge`."""
    plain = [m for m in tuned_layers(model, merged=True) if not isinstance(m, ModulatedLayer)]
    replace(model, {m: vars(m)["tuned"].to(m.weight).train(m.training) for m in plain})


@contextmanager
def disabled(model: nn.Module) -> Iterator[None]:
    """Let a model compute what it did before `attach`, within a block."""
    before = {layer: layer.enabled for layer in tuned_layers(model)}
    for layer in before:
        layer.enabled = False
    try:
        yield
    finally:
        for layer, enabled in before.items():
            layer.enabled = enabled


def tuned_layers(model: nn.Module, merged: bool = False) -> list[Any]:
    """Return all tuned layers of a model; with `merged`, also the plain ones in their places."""
    layers = [m for m in model.modules() if isinstance(m, ModulatedLayer) or "tuned" in vars(m)]
    if not layers:
        raise UserError(f"{type(model).__name__} has no tuned layers: attach a method first.")
    if not merged and not all(isinstance(layer, ModulatedLayer) for layer in layers):
        raise UserError(f"The tuned layers of {type(model).__name__} are merged: unmerge it first.")
    return layers


def replace(model: nn.Module, new: Mapping[Any, nn.Module]) -> None:
    """Put modules into all places of others."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in new:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, new[module])


def _candidates(model: nn.Module) -> dict[str, nn.Module]:
    """All layers that can be tuned or are tuned, under each of their names."""
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if name and (isinstance(module, ModulatedLayer) or _can_be_tuned(module))
    }


def _can_be_tuned(module: nn.Module) -> bool:
    # A subclass with a forward of its own is no linear layer. Torch's attention never calls its
    # output layer, but reads the weights.
    return (
        isinstance(module, nn.Linear | nn.Conv2d)
        and type(module).forward in (nn.Linear.forward, nn.Conv2d.forward)
        and not isinstance(module, NonDynamicallyQuantizableLinear)
        and not is_parametrized(module)
        and module.weight.is_floating_point()
    )


def _choose(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """One name for every layer that a pattern matches, in the model's order."""
    layers = _candidates(model)
    chosen = set()
    for pattern in patterns:
        names = [n for n in layers if fnmatchcase(n, pattern) or f".{n}".endswith(f".{pattern}")]
        if not names:
            raise _no_match(model, pattern, layers)
        chosen.update(names)
    if not chosen:
        raise UserError("No layers are named: name at least one to tune.")
    by_layer = {layers[name]: name for name in reversed(layers) if name in chosen}
    return [name for name in layers if name in by_layer.values()]


def _no_match(model: nn.Module, pattern: str, layers: Iterable[str]) -> UserError:
    """The error for a name that no layer has, with the names that there are."""
    kind, names = type(model).__name__, list(layers)
    if not names:
        return UserError(f"{kind} has no Linear or Conv2d layers inside that could be tuned.")
    more = len(names) - MAX_LISTED
    listed = ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
    return UserError(f"No Linear or Conv2d layer of {kind} matches {pattern!r}: it has {listed}.")


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


@torch.no_grad()
def _merged(layer: ModulatedLayer) -> nn.Module:
    """A plain layer of the same kind that computes the same."""
    weight, bias, gain = layer.folded()
    scale = gain.view(-1, *[1] * (weight.dim() - 1))
    base = layer.base
    folded = {"weight": weight * scale, "bias": gain * bias}
    new = {n: nn.Parameter(t.to(layer.weight), requires_grad=False) for n, t in folded.items()}
    # The base is copied with the folded tensors in the places of its own.
    own = {id(parameter): new[name] for name, parameter in base.named_parameters()}
    plain = deepcopy(base, own)
    if base.bias is None and bias.any():
        plain.bias = new["bias"]
    vars(plain)["tuned"] = layer
    return plain.train(layer.training)
