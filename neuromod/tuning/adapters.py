"""Several named adapters on one model: one in use, a mix of them, or one for each sample.

An adapter is a named set of all tensors that are trained in a model's tuned layers. The first is
``"default"``. Tensors of the adapter in use stand in the layers, under their usual names; those of
the others wait beside them, with their gradients, and follow when they come into use. What is
trained in no tuned layer belongs to all adapters: `attach` has ``modules_to_save`` for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from neuromod.errors import UserError, unknown
from neuromod.models.modulated_layer import ModulatedLayer, followed
from neuromod.tuning.attachment import started, trained_of, tuned_layers
from neuromod.tuning.hardware import seeded
from neuromod.tuning.methods.gained import GainedLayer
from neuromod.tuning.trained import read_for

DEFAULT = "default"
Kept = dict[str, dict[str, nn.Parameter] | None]
"""A layer's tensors by adapter and name; None where they stand in the layer itself."""


@dataclass(frozen=True, eq=False)
class Mix:
    """A sum of adapters' gains with weights, for `GainedLayer.gain_in_use`."""

    weights: dict[str, float]

    def parts(self, layer: Any) -> list[nn.Parameter]:
        """The parameters that these gains are made of."""
        return [_trained_gain(layer, name) for name in self.weights]

    def gain(self, layer: Any) -> Tensor:
        """The gains that a layer has, shape (gains,)."""
        return reduce(add, [weight * _gain(layer, name) for name, weight in self.weights.items()])


@dataclass(frozen=True, eq=False)
class EachSample:
    """One adapter for each sample of a batch, for `GainedLayer.gain_in_use`.

    Attributes
    ----------
    weights : dict
        Of the adapters that occur, how many samples have it.
    rows : Tensor of int, shape (samples,)
        Which of them each sample has.
    """

    weights: dict[str, int]
    rows: Tensor

    def parts(self, layer: Any) -> list[nn.Parameter]:
        """The parameters that these gains are made of."""
        return [_trained_gain(layer, name) for name in self.weights]

    def gain(self, layer: Any) -> Tensor:
        """The gains that a layer has, shape (samples, gains)."""
        table = torch.stack([_gain(layer, name) for name in self.weights])
        # As `index_select`, whose gradient took 10 ms a layer of a transformer, and this 0.06 ms.
        return functional.embedding(self.rows.to(table.device), table)


def adapter_names(model: nn.Module) -> list[str]:
    """Return the names of a model's adapters, the oldest first."""
    return list(_kept(_adapted(model)[0]))


def adapter_in_use(model: nn.Module) -> str | dict[str, float]:
    """Return the adapter that a model computes with, or the weights of those that are mixed.

    Where each sample has its own, they are counted.
    """
    layer = _adapted(model)[0]
    blend = vars(layer).get("blend")
    return dict(blend.weights) if blend else _in_place(layer)


def add_adapter(model: nn.Module, name: str, seed: int = 0) -> None:
    """Add an adapter to a tuned model, without using it yet.

    It starts as `attach` starts one, with the same options, whatever was trained since: an adapter
    is a change of the pre-trained network, and must not depend on which other was in use.

    Parameters
    ----------
    name : str
        Which no other adapter of the model has.
    seed : int
        Of what the method draws at random.
    """
    layers = _adapted(model)
    if name in _kept(layers[0]):
        raise UserError(f"There is an adapter named {name!r} already: remove it, or name another.")
    with seeded(seed):
        new = {layer: started(layer) for layer in layers}
    shared: dict[nn.Parameter, nn.Parameter] = {}
    for layer, tensors in new.items():
        if getattr(layer, "domain", None) is not None:
            # Power domains are the model's: all adapters have the same.
            ones = nn.Parameter(torch.ones_like(layer.gain))
            tensors["gain"] = shared.setdefault(layer.gain, ones)
        vars(layer)["adapters"] = {**_kept(layer), name: tensors}


def remove_adapter(model: nn.Module, name: str) -> None:
    """Remove an adapter that is not in use from a model."""
    layers = _named(model, [name])
    if name in _used(layers[0]) or name == _in_place(layers[0]):
        raise UserError(f"The adapter {name!r} is in use: use another before it is removed.")
    for layer in layers:
        del vars(layer)["adapters"][name]
        if list(_kept(layer)) == [DEFAULT]:
            del vars(layer)["adapters"]


def use_adapter(model: nn.Module, adapters: str | Mapping[str, float]) -> None:
    """Let a model compute with one of its adapters, or with a mix of their gains.

    One adapter is then what is trained, saved, merged and in ``state_dict()``. Its parameters are
    the very ones that an optimiser was given when it was in use before.

    Of a mix, gradients reach all parts (`trained_parameters` returns them); merged or saved are the
    mixed gains, as one adapter's.

    Parameters
    ----------
    adapters : str or mapping of str to float
        A name, or weights by name, of any sign and sum, for models in which gains alone are
        trained.

    Raises
    ------
    UserError
        If there is no such adapter, or what is trained does not mix. The model is then unchanged.
    """
    if isinstance(adapters, str):
        layers = _named(model, [adapters])
        _refuse_parallel(model)
        _put_in_place(layers, adapters)
        _blend(layers, None)
        return
    if not isinstance(adapters, Mapping):
        raise UserError("A model uses one name, or weights by name: each_sample takes a list.")
    weights = {name: float(weight) for name, weight in adapters.items()}
    layers = _blendable(model, list(weights))
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise UserError(f"The weight of adapter {name!r} is {weight}, but must be finite.")
    _blend(layers, Mix(weights))


@contextmanager
def each_sample(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Let every sample of a batch have an adapter of its own, within a block.

    It costs no more than one adapter: a gain is one product with a layer's output. Samples must lie
    along the first axis of what every tuned layer takes. Where that shows to be otherwise, a layer
    refuses; a model that has as many steps in time as samples, and time first, or that deals out
    tokens to experts, may not show it. A model that computes activations again for the gradient
    needs ``backward()`` in the block too.

    Parameters
    ----------
    names : sequence of str
        Adapter of each sample. Gains alone may be trained in the model.

    Raises
    ------
    UserError
        If there is no such adapter, or a layer cannot have gains for each sample.
    """
    if isinstance(names, str):
        raise UserError("A list is needed, with the name of each sample's adapter.")
    layers = _blendable(model, list(names))
    for name, module in model.named_modules():
        if getattr(module, "batch_first", True) is False:
            raise UserError(
                f"{name or type(module).__name__} has batch_first=False, so that samples lie along "
                "the second axis: gains for each sample need them along the first."
            )
        if isinstance(module, GainedLayer) and not module.takes_samples:
            raise UserError(
                f"{name} cannot have gains for each sample: they are in its weight or bias, which "
                "all samples share; use one adapter at a time."
            )
    counts = dict(Counter(names))
    numbers = {name: number for number, name in enumerate(counts)}
    device = next((p.device for layer in layers for p in layer.parameters()), None)
    rows = torch.tensor([numbers[name] for name in names], device=device)
    blend = EachSample(counts, rows)
    before = [vars(layer).get("blend") for layer in layers]
    _blend(layers, blend)
    try:
        yield
    finally:
        for layer, earlier in zip(layers, before, strict=True):
            # Whatever was put into use within the block stays.
            if vars(layer).get("blend") is blend:
                _blend([layer], earlier)


def load_adapter(path: str | Path, model: nn.Module, name: str) -> None:
    """Add an adapter to a tuned model, with the tensors of a file, without using it yet.

    Parameters
    ----------
    path : path
        As `save_trained` writes it, of a model with the same frozen weights in which the same
        layers were tuned by the same methods.
    name : str
        Which no other adapter of the model has.

    Raises
    ------
    TensorFileError
        If the file is of another kind or another model. The model is then unchanged.
    """
    tensors = read_for(path, model)
    add_adapter(model, name)
    with torch.no_grad():
        for place, layer in model.named_modules():
            if isinstance(layer, ModulatedLayer):
                for own, parameter in (_kept(layer)[name] or {}).items():
                    # Of a parameter that layers share, only the first has an entry.
                    found = tensors.get(f"{place}.{own}")
                    if found is not None:
                        parameter.copy_(found)


def _kept(layer: ModulatedLayer) -> Kept:
    return cast(Kept, vars(layer).get("adapters", {DEFAULT: None}))


def _in_place(layer: ModulatedLayer) -> str:
    """The adapter whose tensors stand in a layer."""
    return next(name for name, tensors in _kept(layer).items() if tensors is None)


def _used(layer: ModulatedLayer) -> list[str]:
    """The adapters that a layer computes with."""
    blend = vars(layer).get("blend")
    return list(blend.weights) if blend else [_in_place(layer)]


def _trained_gain(layer: GainedLayer, name: str) -> nn.Parameter:
    """An adapter's gains."""
    tensors = _kept(layer)[name]
    return layer.gain if tensors is None else tensors["gain"]


def _gain(layer: GainedLayer, name: str) -> Tensor:
    """An adapter's gains, in the place and precision of the layer's."""
    return _trained_gain(layer, name).to(layer.gain)


def _adapted(model: nn.Module) -> list[Any]:
    """A model's tuned layers, which must agree on their adapters."""
    layers = tuned_layers(model)
    if not all(layer.enabled for layer in layers):
        raise UserError("What was trained is disabled: adapters are changed outside of that block.")
    if len({(tuple(_kept(layer)), _in_place(layer)) for layer in layers}) > 1:
        raise UserError(
            f"Layers of {type(model).__name__} have different adapters: add, use and remove them "
            "in the whole model, not in a part of it."
        )
    return layers


def _named(model: nn.Module, names: Sequence[str]) -> list[Any]:
    """A model's tuned layers, which must have these adapters."""
    layers = _adapted(model)
    known = _kept(layers[0])
    if not names:
        raise UserError("No adapter is named: name at least one.")
    for name in names:
        if name not in known:
            raise unknown("adapter", name, known)
    return layers


def _blendable(model: nn.Module, names: Sequence[str]) -> list[Any]:
    """A model's tuned layers, in which gains alone may be trained."""
    layers = _named(model, names)
    _refuse_parallel(model)
    for name, layer in model.named_modules():
        others = isinstance(layer, ModulatedLayer) and set(trained_of(layer)) - {"gain"}
        if others:
            raise UserError(
                f"Adapters are mixed where gains alone are trained, and {name} is tuned by "
                f"{cast(Any, layer).attachment.tuning.method}: use one of them at a time."
            )
    return [layer for layer in layers if trained_of(layer)] or layers


def _refuse_parallel(model: nn.Module) -> None:
    if any(isinstance(module, DistributedDataParallel) for module in model.modules()):
        raise UserError(
            "DistributedDataParallel adds up gradients of the adapter that it found in use: switch "
            "before it wraps the model."
        )


def _put_in_place(layers: Sequence[ModulatedLayer], name: str) -> None:
    """Exchange the tensors that stand in layers for those of an adapter, if it is another."""
    _follow(layers, name)
    for layer in layers:
        kept = _kept(layer)
        coming = kept[name]
        if coming is not None:
            kept[_in_place(layer)], kept[name] = trained_of(layer), None
            layer._parameters.update(coming)


def _follow(layers: Sequence[ModulatedLayer], name: str) -> None:
    """Take an adapter's tensors to where its layers are, in their precision."""
    new: dict[nn.Parameter, nn.Parameter] = {}
    for layer in layers:
        own, tensors = trained_of(layer), _kept(layer)[name] or {}
        for place, parameter in tensors.items():
            # Layers that share a parameter go on sharing it.
            if parameter not in new:
                new[parameter] = followed(parameter, own[place])
            tensors[place] = new[parameter]


def _blend(layers: Sequence[ModulatedLayer], blend: Mix | EachSample | None) -> None:
    """Let layers compute with a blend of adapters, or with the one that stands in them."""
    for name in blend.weights if blend is not None else ():
        _follow(layers, name)
    for layer in layers:
        vars(layer).pop("blend", None)
        if blend is not None:
            vars(layer)["blend"] = blend
