"""Tune any torch model: put gains, biases or another method on layers that it has.

A tuned layer stays the module that it was, at its place, with another class (`ModulatedLayer`). All
functions take the model itself, so they work on copies of it too.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from neuromod.errors import MAX_LISTED, UserError, unknown
from neuromod.models.layer_kinds import kind_of
from neuromod.models.modulated_layer import ModulatedLayer, in_double, tuned_class
from neuromod.tuning.hardware import seeded
from neuromod.tuning.methods import METHODS
from neuromod.tuning.methods.gained import GainedLayer
from neuromod.tuning.methods.tft import TFT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """How a layer is tuned: one of `METHODS`, and its options."""

    method: str
    options: dict[str, Any]


class Tuned(list[str]):
    """Names of the layers that were tuned.

    Attributes
    ----------
    left_out : dict of str to str
        Names of layers that were asked for, or of all, that cannot be tuned, and why.
    """

    def __init__(self, names: Iterable[str], left_out: Mapping[str, str]) -> None:
        super().__init__(names)
        self.left_out = dict(left_out)


@dataclass(eq=False)
class Attachment:
    """What `attach` has done to a layer and its model, for `detach` and for files.

    Attributes
    ----------
    froze : list of Parameter
        Of the whole model, which were trained before.
    averages : list of tuple
        Modules with buffers, the buffers' names, and what they held.
    """

    tuning: Tuning
    froze: list[nn.Parameter]
    averages: list[tuple[nn.Module, str, Tensor]]


@dataclass(eq=False)
class Merged:
    """A tuned layer whose tensors are merged: its class, and what it had."""

    tuned: type[ModulatedLayer]
    parameters: dict[str, nn.Parameter | None]
    buffers: dict[str, Tensor | None]
    modules: dict[str, nn.Module | None]


def attach(
    model: nn.Module,
    method: str,
    layers: str | Sequence[str] = "*",
    *,
    modules_to_save: str | Sequence[str] = (),
    seed: int = 0,
    **options: Any,
) -> Tuned:
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
        Names as in `nn.Module.named_modules`, last parts of names (``"fc"``,
        ``"attention.query"``), or patterns (``"features.*"``) of linear layers, convolutions,
        transposed ones too, and torch's attention, whose gains are of its projections to queries,
        keys and values. All by default.
    modules_to_save : str or sequence of str
        Names or patterns of modules that are trained whole, of whatever kind, such as a new head.
    seed : int
        Of what a method draws at random.
    **options
        Of the method: ``start="uniform"`` for gains, ``rank`` for ``"lora"``.

    Returns
    -------
    Tuned
        A list of the tuned layers' names; its ``left_out`` has those that were asked for and could
        not be tuned, and why.

    Raises
    ------
    UserError
        If a name or pattern matches no layer, a layer is tuned already, or a method cannot tune a
        layer. The model is then unchanged.
    """
    saved = _whole(model, _patterns(modules_to_save))
    names, left_out = _choose(model, _patterns(layers), saved)
    plan = {name: Tuning(method, options) for name in names}
    if method == "probe":
        plan[names[-1]] = Tuning("tft", options)
    attach_plan(model, plan | {name: Tuning("tft", {}) for name in saved}, seed)
    return Tuned([*names, *saved], left_out)


def attach_plan(model: nn.Module, plan: Mapping[str, Tuning], seed: int = 0) -> None:
    """Tune each layer of a plan in its own way, as `attach` does for one method."""
    if any(is_lazy(parameter) for parameter in model.parameters()):
        raise UserError(f"{type(model).__name__} has layers without weights yet: call it once.")
    places = dict(model.named_modules(remove_duplicate=False))
    if any(isinstance(m, ModulatedLayer) and "adapters" in vars(m) for m in places.values()):
        raise UserError("All adapters tune the same layers: attach all before any is added.")
    for name, tuning in plan.items():
        if name not in places:
            raise _no_match(model, name, _tunable(model))
        _check(model, name, places[name], tuning)
    new: dict[ModulatedLayer, Tuning] = {}
    try:
        with seeded(seed):
            for name, tuning in plan.items():
                layer = _turned(name, places[name], tuning)
                new[layer] = tuning
        for (layer, tuning), name in zip(new.items(), plan, strict=True):
            vars(layer)["attachment"] = Attachment(tuning, [], [])
            _refuse_tied(model, name, layer)
    except BaseException:
        for layer in new:
            _turn_back(layer)
        raise
    own = {id(p) for layer in tuned_layers(model) for p in trained_of(layer).values()}
    froze = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    for parameter in froze:
        parameter.requires_grad_(False)
    earlier = (layer.attachment for layer in tuned_layers(model) if layer not in new)
    known = next(earlier, None)
    averages = known.averages if known else _averages(model)
    for layer, tuning in new.items():
        vars(layer)["attachment"] = Attachment(tuning, froze, averages)


def _averages(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """What the stored buffers of a model hold."""
    return [
        (module, name, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in (*module._non_persistent_buffers_set, "domain")
    ]


def detach(model: nn.Module) -> None:
    """Give a model back the layers that it had before `attach`, in place."""
    unmerge(model)
    froze = [p for layer in tuned_layers(model) for p in layer.attachment.froze]
    for layer in tuned_layers(model):
        _turn_back(layer)
    for parameter in froze:
        parameter.requires_grad_(True)


def merge(model: nn.Module) -> None:
    """Let all tuned layers of a model be plain layers that compute the same, in place.

    The model is then as fast as before `attach`, and its ``state_dict()`` has the same names. What
    was tuned is kept for `unmerge`. Merging twice changes nothing.

    Raises
    ------
    UserError
        If a trained tensor is NaN or infinite. The model is then unchanged.
    """
    layers = {m: n for n, m in model.named_modules() if isinstance(m, ModulatedLayer)}
    tuned_layers(model, merged=True)
    for layer, name in layers.items():
        refuse_not_finite({f"{name}.{own}": p for own, p in _in_use(layer).items()})
    parted = [
        name
        for layer, name in layers.items()
        if _rewrites(layer) and _tied(model, layer, [layer.stored_weight])
    ]
    try:
        for layer in layers:
            _merge(layer)
    except BaseException:
        unmerge(model)
        raise
    for name in parted:
        log.warning(
            "%s shared its weight with another layer; merged, it has one of its own: a format that "
            "ties them again on loading would lose what was trained.",
            name,
        )


@contextmanager
def merged_for_a_while(layer: ModulatedLayer) -> Iterator[None]:
    """Let one tuned layer be merged within a block."""
    _merge(layer)
    try:
        yield
    finally:
        _unmerge(layer)


def unmerge(model: nn.Module) -> None:
    """Put the tuned layers back in place, exactly as they were before `merge`."""
    for layer in tuned_layers(model, merged=True):
        if not isinstance(layer, ModulatedLayer):
            _unmerge(layer)


def merge_and_unload(model: nn.Module) -> nn.Module:
    """Make a plain model of a tuned one, in place, that computes the same; nothing is kept twice.

    Returns
    -------
    nn.Module
        The model, in which all parameters can be trained that could be before `attach`.
    """
    merge(model)
    layers = tuned_layers(model, merged=True)
    froze = {id(p) for layer in layers for p in layer.attachment.froze}
    for layer in layers:
        for name, own in layer.merged.parameters.items():
            if id(own) in froze and name in layer._parameters:
                layer._parameters[name].requires_grad_(True)
        for parameter in layer.attachment.froze:
            parameter.requires_grad_(True)
    for layer in layers:
        _forget(layer)
    return model


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
    """Return all tuned layers of a model; with `merged`, also those that are merged."""
    layers = [m for m in model.modules() if isinstance(m, ModulatedLayer) or "merged" in vars(m)]
    if not layers:
        raise UserError(f"{type(model).__name__} has no tuned layers: attach a method first.")
    if not merged and not all(isinstance(layer, ModulatedLayer) for layer in layers):
        raise UserError(f"The tuned layers of {type(model).__name__} are merged: unmerge it first.")
    return layers


def trained_of(layer: ModulatedLayer) -> dict[str, nn.Parameter]:
    """Trained tensors of a layer by their names in it."""
    names = [*layer.originals, *layer.adds]
    found = {name: layer._parameters.get(name) for name in names}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def started(layer: ModulatedLayer) -> dict[str, nn.Parameter]:
    """Trained tensors of a layer as `attach` starts them, apart from the layer."""
    tuning = layer.attachment.tuning
    twin = object.__new__(type(layer))
    plain = _without(layer, layer.adds)
    plain["_parameters"] |= layer.originals
    vars(twin).update({**vars(layer), **plain})
    _forget(twin)
    start: Callable[..., None] = METHODS[tuning.method].__init__
    start(twin, twin, **tuning.options)
    return trained_of(twin)


def refuse_not_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse trained tensors that are NaN or infinite."""
    for name, tensor in tensors.items():
        if not tensor.is_meta and not tensor.isfinite().all():
            raise UserError(
                f"{name} is NaN or infinite: its training diverged; lower the learning rate."
            )


def _in_use(layer: ModulatedLayer) -> dict[str, Tensor]:
    """Trained tensors that a layer computes with: of several adapters, what is made of them."""
    found: dict[str, Tensor] = dict(trained_of(layer))
    if isinstance(layer, GainedLayer):
        found["gain"] = layer.of_all_samples(layer.gain_in_use)
    return found


def _patterns(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or f".{name}".endswith(f".{pattern}")


def _tunable(model: nn.Module) -> dict[str, nn.Module]:
    """All layers that can be tuned or are tuned, under each of their names."""
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if name and kind_of(type(module)) and not _why_not(model, name, module)
    }


def _why_not(model: nn.Module, name: str, module: nn.Module) -> str:
    """Why a module with weights of its own cannot be tuned; nothing where it can or has none."""
    if isinstance(module, ModulatedLayer):
        return ""
    if foreign := _foreign(model, name):
        return f"it is part of {foreign}, an adapter of another library: merge that first"
    kind = kind_of(type(module))
    if isinstance(module, ParametrizationList):
        return ""
    if kind is None:
        tables = [n for n, p in module._parameters.items() if p is not None and p.dim() > 1]
        if isinstance(module, nn.RNNBase):
            return "a recurrent layer's weights are read all at once, past any gain"
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            return "an embedding looks up rows and has no neurons"
        described = f"{type(module).__name__} with {', '.join(tables)} of its own"
        return f"{described} is no kind of layer that is known" if tables else ""
    weight = module._parameters.get(kind.weight)
    if is_parametrized(module, kind.weight):
        return ""
    if weight is None and isinstance(module, nn.MultiheadAttention):
        return "its queries, keys and values have weights of different sizes"
    if weight is None:
        return "a hook computes its weight: use torch.nn.utils.parametrizations instead"
    return "" if weight.is_floating_point() else f"its weight is of {weight.dtype}: it is quantised"


def _foreign(model: nn.Module, name: str) -> str:
    """Name of the layer around a module, or itself, that another library has adapted."""
    # Only who has imported peft has layers of it.
    adapted = getattr(sys.modules.get("peft.tuners.tuners_utils"), "BaseTunerLayer", None)
    parts = name.split(".")
    outer = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((n for n in outer if adapted and isinstance(model.get_submodule(n), adapted)), "")


def _choose(
    model: nn.Module, patterns: Sequence[str], saved: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """One name for every layer that a pattern matches, in the model's order; others with reason."""
    layers = _tunable(model)
    reasons = {
        name: why
        for name, module in model.named_modules()
        if name and (why := _why_not(model, name, module))
    }
    chosen: set[str] = set()
    left_out: dict[str, str] = {}
    for pattern in patterns:
        names = [n for n in layers if _matches(n, pattern)]
        others = {n: why for n, why in reasons.items() if _matches(n, pattern)}
        if not names:
            if others:
                name, why = next(iter(others.items()))
                raise UserError(f"{name} cannot be tuned: {why}.")
            raise _no_match(model, pattern, layers)
        chosen.update(names)
        left_out |= others
    if not chosen:
        raise UserError("No layers are named: name at least one to tune.")
    by_layer = {layers[name]: name for name in reversed(layers) if name in chosen}
    whole = {model.get_submodule(name) for name in saved}
    names = [n for n in layers if n in by_layer.values() and layers[n] not in whole]
    if not names:
        raise UserError("All layers that are named are modules_to_save too: name others to tune.")
    return names, {n: why for n, why in left_out.items() if n not in saved}


def _whole(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of all modules with parameters in those that patterns match."""
    found: dict[nn.Module, str] = {}
    for pattern in patterns:
        outer = [n for n, _ in model.named_modules() if n and _matches(n, pattern)]
        if not outer:
            known = [n for n, _ in model.named_modules() if n]
            raise unknown("module", pattern, known)
        inside = [
            (name, module)
            for name, module in model.named_modules()
            if any(name == o or name.startswith(f"{o}.") for o in outer)
            and any(p is not None for p in module._parameters.values())
        ]
        found |= {module: name for name, module in reversed(inside)}
    return [name for name, module in model.named_modules() if module in found]


def _no_match(model: nn.Module, pattern: str, layers: Iterable[str]) -> UserError:
    """The error for a name that no layer has, with the names that there are."""
    kind, names = type(model).__name__, list(layers)
    if not names:
        return UserError(f"{kind} has no linear or convolutional layers inside that can be tuned.")
    more = len(names) - MAX_LISTED
    listed = ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
    return UserError(f"No layer of {kind} that can be tuned matches {pattern!r}: it has {listed}.")


def _check(model: nn.Module, name: str, layer: nn.Module, tuning: Tuning) -> None:
    """Refuse what can be known before anything is changed."""
    if isinstance(layer, ModulatedLayer):
        raise UserError(f"{name} is tuned already: detach the model, or choose other layers.")
    if "merged" in vars(layer):
        raise UserError(f"{name} is merged with what was trained: unmerge and detach the model.")
    if tuning.method not in METHODS:
        raise unknown("tuning method", tuning.method, METHODS)
    method = METHODS[tuning.method]
    valid = list(signature(method.__init__).parameters)[2:]
    for option in tuning.options:
        if option not in valid:
            raise unknown(f"option of {tuning.method}", option, valid)
    own = sorted(set(dir(method)) - set(dir(nn.Module)))
    hidden = ["plain", "kind", *method.adds, *method.STATE, *own]
    if clash := next((n for n in hidden if hasattr(layer, n)), None):
        raise UserError(f"{name} cannot be tuned by {tuning.method}: it has its own {clash!r}.")
    if not issubclass(method, TFT):
        if kind_of(type(layer)) is None:
            raise UserError(f"{name} cannot be tuned: {type(layer).__name__} is no kind of layer.")
        if why := _why_not(model, name, layer):
            raise UserError(f"{name} cannot be tuned: {why}.")
    elif is_parametrized(layer):
        raise UserError(
            f"{name} cannot be tuned by {tuning.method}: its weight is computed from others; "
            "remove its parametrization first."
        )


def _refuse_tied(model: nn.Module, name: str, layer: ModulatedLayer) -> None:
    """Refuse to train a tensor in one place that has others."""
    if others := _tied(model, layer, layer.originals.values()):
        raise UserError(
            f"{name} cannot be tuned by {layer.attachment.tuning.method}: it shares a tensor with "
            f"{others[0]}, which training would part; tune it by nt1, or untie them."
        )


def _tied(model: nn.Module, layer: nn.Module, tensors: Iterable[Tensor | None]) -> list[str]:
    """Parameters of other modules that are some of a layer's too."""
    own = {id(tensor) for tensor in tensors if tensor is not None}
    return [
        f"{name}.{parameter}"
        for name, module in model.named_modules()
        if module is not layer
        for parameter, tensor in module._parameters.items()
        if id(tensor) in own
    ]


def _turned(name: str, layer: nn.Module, tuning: Tuning) -> ModulatedLayer:
    """A layer that has become a tuned one."""
    plain = type(layer)
    method = METHODS[tuning.method]
    _become(layer, tuned_class(method, plain))
    start: Callable[..., None] = method.__init__
    try:
        start(layer, layer, **tuning.options)
    except UserError as error:
        _become(layer, plain)
        raise UserError(f"{name} cannot be tuned: {error}") from error
    return cast(ModulatedLayer, layer)


def _turn_back(layer: ModulatedLayer) -> None:
    """Let a tuned layer be what it was."""
    layer.enabled = True
    layer.exchange()
    vars(layer).update(_without(layer, layer.adds))
    _forget(layer)
    _become(layer, layer.plain)


def _become(layer: Any, cls: type[nn.Module]) -> None:
    layer.__class__ = cls


def _without(layer: nn.Module, names: Sequence[str]) -> dict[str, Any]:
    """A layer's parameters and buffers but some."""
    kept = ("_parameters", "_buffers")
    return {k: {n: t for n, t in vars(layer)[k].items() if n not in names} for k in kept}


def _forget(layer: nn.Module) -> None:
    for name in ModulatedLayer.STATE:
        vars(layer).pop(name, None)


def _rewrites(layer: ModulatedLayer) -> bool:
    """Whether merging gives a layer another weight than the one that it stores."""
    return bool(trained_of(layer)) and layer.kind is not None and not layer.originals


@torch.no_grad()
def _merge(layer: ModulatedLayer) -> None:
    """Let a tuned layer be a plain one of the same kind that computes the same."""
    merged = Merged(type(layer), layer._parameters, layer._buffers, layer._modules)
    kind, state, plain = layer.kind, vars(layer), layer.plain
    kept = _without(layer, layer.adds)
    new = kept["_parameters"]
    if _rewrites(layer):
        like = layer.stored_weight
        weight, bias = in_double(like), layer.stored_bias
        tuned = {
            kind.weight: layer.tuned_weight(weight),
            kind.bias: layer.tuned_bias(None if bias is None else in_double(bias)),
        }
        made = {n: t.to(like) for n, t in tuned.items() if t is not None}
        new |= {n: nn.Parameter(t, requires_grad=False) for n, t in made.items()}
        if is_parametrized(layer):
            others = _reparametrized(layer, made)
            state["_modules"] = {n: m for n, m in layer._modules.items() if n != "parametrizations"}
            if others is None:
                plain = plain.__bases__[0]
            else:
                state["_modules"]["parametrizations"] = others
                kept["_parameters"] = {n: p for n, p in new.items() if n not in others}
    state.update(kept, merged=merged)
    _become(layer, plain)


def _reparametrized(layer: Any, tensors: Mapping[str, Tensor]) -> nn.ModuleDict | None:
    """Parametrizations like a layer's that compute other tensors, where there are such."""
    others: Any = deepcopy(layer.parametrizations)
    for name, tensor in tensors.items():
        if name in others:
            try:
                others[name].right_inverse(tensor)
            except (NotImplementedError, RuntimeError, ValueError):
                # It has no inverse, or not of this tensor: the merged weight stands alone.
                return None
            precision = 8 * torch.finfo(tensor.dtype).eps
            largest = float(tensor.abs().max())
            if not torch.allclose(others[name](), tensor, rtol=0, atol=precision * largest):
                return None
    return cast(nn.ModuleDict, others)


def _unmerge(layer: nn.Module) -> None:
    """Let a merged layer be the tuned one that it was, where the model has moved it since."""
    state = vars(layer)
    merged = state.pop("merged")
    like = next(layer.parameters())
    _become(layer, merged.tuned)
    state.update(_parameters=merged.parameters, _buffers=merged.buffers, _modules=merged.modules)
    layer.to(like)
