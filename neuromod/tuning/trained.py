"""What was trained in a model: its parameters, its tensors by name, and its file."""

from __future__ import annotations

from collections.abc import Mapping
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
    TensorFile,
    TensorFileError,
    check_fit,
    hash_tensors,
    read_tensors,
    write_tensors,
)
from neuromod.tuning.attachment import (
    Tuning,
    attach_plan,
    detach,
    refuse_not_finite,
    trained_of,
    tuned_layers,
)
from neuromod.tuning.methods.gained import GainedLayer, gained_layers, refuse_blend, share_gains

GAINS = Kind("gains file", "neuromod-gains-1")
PRECISIONS = {"float64": 3, "float32": 2, "float16": 1, "bfloat16": 1}
"""Precisions in which frozen weights are compared, finest first."""


@dataclass(frozen=True)
class Base:
    """The pre-trained network that trained tensors belong to, with `hash_tensors` of them all."""

    name: str
    weight_hash: str


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained, for an optimiser.

    Where several adapters are in use at once, these are the parameters of all of them.
    """
    parts = {layer.gain: layer.gain_parts for layer in gained_layers(model)}
    found = _trained(model).values()
    return list(dict.fromkeys(part for p in found for part in parts.get(p, [p])))


def trained_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's trained tensors by name, and nothing else.

    A parameter that layers share comes once, and each of these layers has its ``domain``. Of a mix
    of adapters these are the mixed gains.
    """
    layers = gained_layers(model)
    used = {layer.gain: layer.of_all_samples(layer.gain_in_use) for layer in layers}
    state = {name: used.get(p, p).detach() for name, p in _trained(model).items()}
    for name, layer in bare(model).named_modules():
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
    model = bare(model)
    # Gains that were shared are shared here too.
    layers = {n: m for n, m in model.named_modules() if isinstance(m, GainedLayer)}
    for layer in layers.values():
        refuse_blend(layer)
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

    Buffers that have changed since `attach`, such as averages of batch normalisation, are written
    too. Wrappers of DistributedDataParallel and torch.compile are looked through.

    Parameters
    ----------
    path : path
        Safetensors with a JSON header, written whole or not at all.
    base : Base, optional
        The pre-trained network, where it is more than the model as it was before `attach`.
    **about
        Anything else worth knowing, of types that JSON holds.

    Raises
    ------
    UserError
        If a trained tensor is NaN or infinite.
    """
    model = bare(model)
    tensors = trained_state_dict(model)
    refuse_not_finite(tensors)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, ModulatedLayer)}
    own = {f"{name}.{own}" for name, layer in layers.items() for own in trained_of(layer)}
    changed = changed_buffers(model)
    header = {
        **about,
        "base": asdict(base)
        if base
        else _base_of(model, {id(p) for p in _trained(model).values()}),
        "tuned": {name: asdict(layer.attachment.tuning) for name, layer in layers.items()},
        "whole": [n for n in tensors if n not in own and not n.endswith(".domain")],
        "buffers": list(changed),
    }
    write_tensors(path, GAINS, header, tensors | changed)


def load_trained(path: str | Path, model: nn.Module, base: Base | None = None) -> list[str]:
    """Tune a model as a file says, and load the tensors that were trained.

    Parameters
    ----------
    path : path
        As `save_trained` writes it.
    model : nn.Module
        With the frozen weights that were tuned, in any precision; what the file replaces, such as a
        new head, may hold anything. Changed in place.

    Returns
    -------
    list of str
        Names of the tuned layers.

    Raises
    ------
    TensorFileError
        If the file is of another kind or another model. The model is then unchanged.
    """
    file, model = read_tensors(path, GAINS), bare(model)
    plan, expected = _told(path, file)
    if "weight_hash" in expected:
        found = base or Base(type(model).__name__, hash_tensors(model.state_dict()))
        check_base(str(path), Base(**expected), found)
    else:
        replaced = {id(p) for n, p in model.named_parameters() if n in file.tensors}
        _check_weights(str(path), expected, model, replaced)
    attach_plan(model, plan)
    try:
        _fill(model, file, str(path))
    except UserError:
        detach(model)
        raise
    return list(plan)


def read_for(path: str | Path, model: nn.Module) -> dict[str, Tensor]:
    """Read the trained tensors of a file that fits a model which is tuned already.

    Raises
    ------
    TensorFileError
        If other layers were tuned, or by other methods, on other weights or with other domains; or
        if more was trained than tuned layers.
    """
    file, model = read_tensors(path, GAINS), bare(model)
    plan, expected = _told(path, file)
    kind = type(model).__name__
    layers = {n: m for n, m in model.named_modules() if isinstance(m, ModulatedLayer)}
    own = {name: layer.attachment.tuning.method for name, layer in layers.items()}
    theirs = {name: tuning.method for name, tuning in plan.items()}
    for name in [*theirs, *own]:
        if theirs.get(name) != own.get(name):
            raise TensorFileError(
                f"{path} is of a model with {name} tuned by {theirs.get(name, 'nothing')}, and "
                f"{kind} has it tuned by {own.get(name, 'nothing')}: adapters of one model tune "
                "the same layers by the same methods."
            )
    if "weight_hash" in expected:
        raise TensorFileError(f"{path} tells too little of its weights: load_trained may load it.")
    if beside := [*file.header.get("whole", []), *file.header.get("buffers", [])]:
        raise TensorFileError(
            f"{path} changes {beside[0]}, which is in no tuned layer and belongs to all adapters: "
            "name its module in modules_to_save, or load the file into a model of its own."
        )
    _check_weights(str(path), expected, model, {id(p) for p in _trained(model).values()})
    there = trained_state_dict(model)
    within = {name: t for name, t in there.items() if name.rpartition(".")[0] in layers}
    check_fit(str(path), file.tensors, within, kind)
    for name, tensor in within.items():
        if name.endswith(".domain") and not torch.equal(file.tensors[name].to(tensor), tensor):
            raise TensorFileError(f"{path} has other power domains in {name} than {kind}.")
    return dict(file.tensors)


def check_base(source: str, expected: Base, found: Base) -> None:
    """Refuse tensors of a file that were trained on another network than this."""
    if expected.weight_hash != found.weight_hash:
        raise _other_base(source, expected.name, expected.weight_hash, found)


def bare(model: nn.Module) -> nn.Module:
    """A model without what trains or compiles it."""
    wrappers: dict[type, str] = {
        nn.parallel.DistributedDataParallel: "module",
        torch._dynamo.OptimizedModule: "_orig_mod",
    }
    while type(model) in wrappers:
        model = model.get_submodule(wrappers[type(model)])
    return model


def _told(path: str | Path, file: TensorFile) -> tuple[dict[str, Tuning], dict[str, Any]]:
    """How a file says that layers were tuned, and on which weights."""
    try:
        plan = {name: Tuning(**tuning) for name, tuning in file.header["tuned"].items()}
        return plan, dict(file.header["base"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TensorFileError(
            f"{path} was not written by save_trained: load_gains loads a classifier of version 0.1."
        ) from error


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that methods train, and others that are trained beside them, each once."""
    model = bare(model)
    own = {p for layer in tuned_layers(model) for p in trained_of(layer).values()}
    return {name: p for name, p in model.named_parameters() if p.requires_grad or p in own}


def _fill(model: nn.Module, file: TensorFile, source: str) -> None:
    """Put a file's tensors into a model that is tuned as it says."""
    buffers = file.header.get("buffers", [])
    found, places = dict(file.tensors), dict(model.named_buffers())
    changed = {name: found.pop(name) for name in buffers if name in found}
    there = {name: places[name] for name in changed if name in places}
    check_fit(source, changed, there, type(model).__name__)
    whole = {n: p for n, p in model.named_parameters() if n in file.header.get("whole", [])}
    for parameter in whole.values():
        parameter.requires_grad_(True)
    load_trained_state_dict(model, found, source)
    for name, buffer in there.items():
        buffer.copy_(changed[name])


def changed_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Stored buffers that no longer hold what they did when the model was tuned."""
    names = {module: name for name, module in model.named_modules()}
    averages = tuned_layers(model)[0].attachment.averages
    found = {}
    for module, name, before in averages:
        now = module._buffers.get(name)
        if now is not None and module in names and not torch.equal(now.to(before), before):
            found[f"{names[module]}.{name}".lstrip(".")] = now.detach().clone()
    return found


def _frozen(model: nn.Module, trained: set[int]) -> dict[str, Tensor]:
    """Parameters of a model, under all their names, but those with these identities."""
    named = model.named_parameters(remove_duplicate=False)
    return {name: p.detach() for name, p in named if id(p) not in trained}


def _precision(tensors: Mapping[str, Tensor]) -> str:
    """The coarsest precision of weights."""
    kinds = {str(t.dtype).removeprefix("torch.") for t in tensors.values()}
    return min((k for k in PRECISIONS if k in kinds), key=PRECISIONS.__getitem__, default="float32")


def _hash_in(tensors: Mapping[str, Tensor], precision: str) -> str:
    """Hash of weights as they are in a precision."""
    dtype = getattr(torch, precision)
    return hash_tensors(
        {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
    )


def _base_of(model: nn.Module, trained: set[int]) -> dict[str, Any]:
    """What a file tells of the weights that its tensors were trained with."""
    frozen = _frozen(model, trained)
    own = _precision(frozen)
    coarser = [p for p in PRECISIONS if PRECISIONS[p] < PRECISIONS[own]]
    weights = {precision: _hash_in(frozen, precision) for precision in (own, *coarser)}
    return {"name": type(model).__name__, "precision": own, "weights": weights}


def _check_weights(
    source: str, expected: Mapping[str, Any], model: nn.Module, trained: set[int]
) -> None:
    """Refuse a model whose frozen weights are not those of a file, in the coarser precision."""
    frozen = _frozen(model, trained)
    own, there = _precision(frozen), expected["weights"]
    precision = own if own in there else expected["precision"]
    found = _hash_in(frozen, precision)
    if found != there[precision]:
        base = Base(type(model).__name__, found)
        raise _other_base(source, expected["name"], there[precision], base)


def _other_base(source: str, name: str, weights: str, found: Base) -> TensorFileError:
    return TensorFileError(
        f"{source} was trained on {name} with weights {weights[:8]}, "
        f"and this is {found.name} with weights {found.weight_hash[:8]}: "
        "gains fit only the weights that they were trained with."
    )
