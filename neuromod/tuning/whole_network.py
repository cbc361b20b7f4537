"""Whole networks on another task: a head of their own, and what each way of tuning trains in them.

The paper tunes a classifier behind frozen convolutions; here convolutions are tuned too. Networks
are in evaluation mode while they are tuned: batch normalisation keeps its frozen statistics, and
dropout drops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from neuromod.errors import UserError, unknown
from neuromod.models.layer_kinds import kind_of
from neuromod.tuning.attachment import Tuning, attach_plan
from neuromod.tuning.hardware import seeded

HEADS = ("replace", "append")
"""Where classes and outputs differ in number: a new last layer, or one more layer behind it."""

NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
KEYS_AND_VALUES = {"key", "value", "k", "v", "k_proj", "v_proj"}
"""Ends of the names that peft's (IA)^3 aims at in transformers, besides feed-forward parts."""


@dataclass(frozen=True)
class WholeRecipe:
    """Everything that determines a tuned whole network, apart from backbone and data.

    Attributes
    ----------
    method : str
        One of `WAYS`.
    lr : float
        Learning rate of Adam at the start; it falls to zero as a cosine.
    batch_size : int
        Chosen here: half the paper's, because there are few training images.
    seed : int
        Of the order of the training images, a new head's weights, and LoRA's.
    rank : int
        Of ``lora``.
    head : str
        One of `HEADS`. Where the network has as many outputs as there are classes, its head stays.
    """

    method: str
    lr: float
    epochs: int
    batch_size: int = 32
    seed: int = 0
    rank: int = 1
    head: str = "replace"

    def __post_init__(self) -> None:
        if self.method not in WAYS:
            raise unknown("way of tuning a whole network", self.method, WAYS)
        if self.head not in HEADS:
            raise unknown("head", self.head, HEADS)
        for name in ("lr", "epochs", "batch_size", "rank"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}, but must be greater than 0.")
        if self.rank != 1 and self.method != "lora":
            raise UserError(f"rank is of lora, and {self.method} has none.")


class Way(NamedTuple):
    """A way of tuning a whole network.

    Attributes
    ----------
    start : callable
        Of network, names of what is trained whole besides, and recipe.
    rates : tuple of float
        Learning rates to choose from, about 3 apart (chosen here: from what EfficientNet-Lite0
        liked on the digits to what the small transformers liked).
    trains : str
        In words.
    """

    start: Callable[[nn.Module, list[str], WholeRecipe], None]
    rates: tuple[float, ...]
    trains: str


class Headed(NamedTuple):
    """A network for so many classes; `head` is its last layer, `fresh` if that was not trained."""

    network: nn.Module
    head: str
    fresh: bool

    @property
    def n_trained(self) -> int:
        """Number of trained parameters, those of a fresh head included."""
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)

    @property
    def n_head(self) -> int:
        """Number of parameters of a fresh head, which every method trains; 0 if there is none."""
        head = self.network.get_submodule(self.head)
        return sum(p.numel() for p in head.parameters()) if self.fresh else 0


def head_of(network: nn.Module) -> str:
    """Return the name of a network's head: its last linear layer."""
    modules = network.named_modules()
    names: list[str] = [name for name, module in modules if isinstance(module, nn.Linear)]
    if not names:
        raise UserError(f"{type(network).__name__} has no linear layer that could be its head.")
    return names[-1]


def for_classes(network: nn.Module, n_classes: int, head: str = "replace", seed: int = 0) -> Headed:
    """Copy a network and give it as many outputs as there are classes.

    Parameters
    ----------
    network : nn.Module
        Its last linear layer gives its outputs. It is not changed.
    head : str
        One of `HEADS`. Nothing is replaced or appended if the network has as many outputs.
    seed : int
        Of the new layer's weights, which start as torch's do.

    Raises
    ------
    UserError
        If a layer is to be appended behind fewer outputs than there are classes.
    """
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    network, name = deepcopy(network).eval(), head_of(network)
    last = network.get_submodule(name)
    assert isinstance(last, nn.Linear)
    there = last.out_features
    if there == n_classes:
        return Headed(network, name, False)
    if head == "append":
        check_bottleneck(n_classes, there)
        network = nn.Sequential(network, _linear(there, n_classes, last, seed))
        return Headed(network.eval(), "1", True)
    new = _linear(last.in_features, n_classes, last, seed)
    if not name:
        return Headed(nn.Sequential(new), "0", True)
    outer, _, own = name.rpartition(".")
    setattr(network.get_submodule(outer), own, new)
    return Headed(network, name, True)


def check_bottleneck(n_classes: int, n_outputs: int) -> None:
    """Refuse a layer for more classes than the outputs that it would read."""
    if n_classes > n_outputs:
        raise UserError(
            f"A layer for {n_classes} classes behind {n_outputs} outputs is a bottleneck: replace "
            "the head instead (head=replace, in transfer with tables=whole)."
        )


def whole_network(network: nn.Module, recipe: WholeRecipe, n_classes: int) -> Headed:
    """Copy a network, give it a head for the classes, and make ready what a recipe trains.

    A fresh head is trained whole by every method. If the head stays, ``probe`` trains it, and the
    other methods tune it as any layer.

    Raises
    ------
    UserError
        If the network has no layers that the method tunes.
    """
    headed = for_classes(network, n_classes, recipe.head, recipe.seed)
    if why := why_not(headed.network, recipe.method):
        raise UserError(f"{recipe.method} does not fit {type(network).__name__}: {why}.")
    saved = [headed.head] if headed.fresh else []
    if recipe.method == "probe":
        saved = [headed.head]
    WAYS[recipe.method].start(headed.network, saved, recipe)
    headed.network.eval()
    return headed


def why_not(network: nn.Module, method: str) -> str:
    """Return why a way of tuning does not fit a network; nothing where it does."""
    if method == "norm" and not _of_norms(network):
        return "it has no normalisation layers with trained factors"
    if method == "biases" and not _biases(network):
        return "it has no biases"
    if method == "ia3" and not _ia3_plan(network):
        return "it has neither keys and values nor layers with more inputs than neurons"
    return ""


def _linear(inputs: int, outputs: int, like: nn.Linear, seed: int) -> nn.Linear:
    with seeded(seed):
        return nn.Linear(inputs, outputs).to(like.weight)


def _gains(network: nn.Module, saved: list[str], recipe: WholeRecipe) -> None:
    names = [n for n, m in network.named_modules() if n and kind_of(type(m)) and n not in saved]
    _attach(network, {name: Tuning("nt1", {}) for name in names}, saved, recipe)


def _attach(
    network: nn.Module, plan: dict[str, Tuning], saved: list[str], recipe: WholeRecipe
) -> None:
    """Tune layers by exact names: a head's could also end the name of another layer."""
    attach_plan(network, plan | {name: Tuning("tft", {}) for name in saved}, recipe.seed)


def _lora(network: nn.Module, saved: list[str], recipe: WholeRecipe) -> None:
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | _ConvNd) and getattr(module, "groups", 1) == 1
    ]
    plan = {n: Tuning("lora", {"rank": recipe.rank}) for n in names if n not in saved}
    _attach(network, plan, saved, recipe)


def _ia3(network: nn.Module, saved: list[str], recipe: WholeRecipe) -> None:
    plan = {name: way for name, way in _ia3_plan(network).items() if name not in saved}
    _attach(network, plan, saved, recipe)


def _ia3_plan(network: nn.Module) -> dict[str, Tuning]:
    """Gains on keys and values, and on inputs of layers that narrow, as feed-forward parts' do."""
    plan = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            narrows = module.in_features > module.out_features
        elif isinstance(module, _ConvNd):
            narrows = module.groups == 1 and module.in_channels > module.out_channels
        else:
            continue
        if name.rpartition(".")[2] in KEYS_AND_VALUES:
            plan[name] = Tuning("nt1", {})
        elif narrows:
            plan[name] = Tuning("nt1_inputs", {})
    return plan


def _biases(network: nn.Module) -> dict[str, nn.Parameter]:
    return {n: p for n, p in network.named_parameters() if n.rpartition(".")[2].endswith("bias")}


def _of_norms(network: nn.Module) -> dict[str, nn.Parameter]:
    return {
        f"{name}.{own}": parameter
        for name, module in network.named_modules()
        if isinstance(module, NORMS)
        for own, parameter in module.named_parameters(recurse=False)
    }


def _parameters(
    chosen: Callable[[nn.Module], Mapping[str, nn.Parameter]],
) -> Callable[[nn.Module, list[str], WholeRecipe], None]:
    """A way that trains parameters that the network has."""

    def start(network: nn.Module, saved: list[str], recipe: WholeRecipe) -> None:
        del recipe
        network.requires_grad_(False)
        heads = (p for name in saved for p in network.get_submodule(name).parameters())
        _train(chosen(network).values())
        _train(heads)

    return start


def _train(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(True)


# Deep networks with a gain per channel of every layer diverge where shallow ones learn best.
GAIN_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
WAYS: dict[str, Way] = {
    "nt1": Way(_gains, GAIN_RATES, "a gain per neuron and channel of every layer"),
    "biases": Way(_parameters(_biases), GAIN_RATES[:5], "all biases, BatchNorm's too (BitFit)"),
    "ia3": Way(
        _ia3,
        (*GAIN_RATES[1:], 1.0),
        "gains on keys and values, and on the inputs of layers that narrow: (IA)^3",
    ),
    "norm": Way(_parameters(_of_norms), GAIN_RATES, "factors and biases of normalisation"),
    "lora": Way(
        _lora,
        (0.001, 0.003, 0.01, 0.03, 0.1),
        "changes of weights of low rank, not of depthwise ones",
    ),
    "probe": Way(
        _parameters(lambda _: {}), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), "the head alone"
    ),
    "tft": Way(
        _parameters(lambda network: dict(network.named_parameters())),
        (0.0001, 0.0003, 0.001, 0.003, 0.01),
        "all weights and biases",
    ),
}


class Contender(NamedTuple):
    """A way of tuning in a comparison."""

    method: str
    rank: int = 1

    @property
    def name(self) -> str:
        """Such as ``lora r=4``."""
        return f"{self.method} r={self.rank}" if self.method == "lora" else self.method


CONTENDERS = (
    Contender("nt1"),
    Contender("biases"),
    Contender("ia3"),
    Contender("norm"),
    *(Contender("lora", rank) for rank in (1, 4, 8)),
    Contender("probe"),
    Contender("tft"),
)
"""What gains are compared with."""


def check_outputs(network: nn.Module, sample: torch.Tensor, name: str) -> None:
    """Refuse a network whose last linear layer does not give its outputs."""
    last = network.get_submodule(head_of(network))
    given: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _, __, output: given.append(output))
    try:
        with torch.no_grad():
            outputs = network(sample[None])
    finally:
        hook.remove()
    assert isinstance(last, nn.Linear)
    shape = (1, last.out_features)
    alike = isinstance(outputs, torch.Tensor) and outputs.shape == shape and len(given) == 1
    if not alike or given[0].shape != shape or not torch.equal(given[0], outputs):
        raise UserError(f"{name} has outputs that its last linear layer does not give: no head.")
