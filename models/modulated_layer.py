"""A pre-trained layer with places for gains. It needs torch.

From the outputs ``O`` of the layer before it, a layer computes the membrane

    v = a (W O + b)

with pre-trained weights ``W``, biases ``b`` and one gain ``a`` per neuron. Equation (3) of
Low-Power Machine Learning Architectures Inspired by Brain Neuromodulatory Signalling (J. Low Power
Electron. Appl. 12(4), 59, 2022) prints ``sum(O w) + b a``. Its text ("multiplied to the pre-trained
weights", "amplifier bias") and its hardware, where the supply scales the whole synaptic current,
say that the gain acts on weights and bias alike. In a convolution, each channel has one gain.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from neuromod.errors import UserError
from neuromod.models.layer_kinds import Kind, kind_of


class LayerParameters(NamedTuple):
    """A layer as numbers in double precision, such that ``v = gain*(weight x + bias)``.

    Attributes
    ----------
    weight : Tensor or array of float64
        Shape (out, in), of a convolution (out, in/groups, height, width).
    bias, gain : Tensor or array of float64, shape (out,)
    """

    weight: Any
    bias: Any
    gain: Any


class ModulatedLayer(nn.Module):
    """A pre-trained layer in which nothing is trained: the base of all tuned layers.

    A tuned layer is still the layer that it was: its class is made of a method's and of its own,
    so it has the names, tensors, hooks and attributes of before. Its weight and bias read as those
    that it computes with, so that whatever reads them sees what was trained; those that are stored
    under their names are frozen. A layer that is not `enabled` computes what it did untuned.

    Parameters
    ----------
    base : nn.Module
        The pre-trained layer, which is left as it is: the new one is a copy that shares its
        frozen tensors' memory.
    """

    keeps_projection: ClassVar[bool] = True
    """Whether tuning leaves `project` of the same inputs as it is."""

    adds: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that a method adds to a layer."""

    plain: ClassVar[type[nn.Module]]
    """The layer's own class."""
    kind: ClassVar[Kind]

    STATE: ClassVar[tuple[str, ...]] = (
        "originals",
        "on",
        "attachment",
        "adapters",
        "blend",
        "merged",
        "per_sign",
    )
    """Attributes that a layer has while it is tuned."""

    weight: Tensor
    bias: Tensor | None
    originals: dict[str, nn.Parameter]
    """Pre-trained tensors in whose places others are trained."""
    attachment: Any
    """What `neuromod.tuning.attach` did to the layer."""

    def __init__(self, base: nn.Module) -> None:
        state = vars(self)
        if self is not base:
            cast(Any, self).__class__ = tuned_class(type(self), type(base))
            own = {n: v.copy() if isinstance(v, dict) else v for n, v in vars(base).items()}
            state.update(own)
            frozen = {n: None if p is None else _frozen(p) for n, p in base._parameters.items()}
            state["_parameters"] = frozen
        state["originals"] = {}
        state["on"] = True
        for name in self.trained_names():
            original = cast(nn.Parameter, self._parameters[name])
            state["originals"][name] = original
            self._parameters[name] = nn.Parameter(original.detach().clone())

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Classes that are made on the fly have no name to be found by.
        method = next(c for c in type(self).__mro__ if "plain" not in vars(c))
        return _made, (method, self.plain), vars(self)

    def trained_names(self) -> tuple[str, ...]:
        """Which of the pre-trained tensors are trained themselves."""
        return ()

    @property
    def enabled(self) -> bool:
        """Whether the layer computes with what was trained."""
        return bool(vars(self)["on"])

    @enabled.setter
    def enabled(self, on: bool) -> None:
        if on != self.enabled:
            vars(self)["on"] = on
            self.exchange()

    def exchange(self) -> None:
        """Put trained tensors and their pre-trained originals into each other's places."""
        for name, other in self.originals.items():
            own = cast(nn.Parameter, self._parameters[name])
            self._parameters[name], self.originals[name] = followed(other, own), own

    @property
    def n_inputs(self) -> int:
        """Number of inputs; of a convolution, its input channels."""
        return self.kind.sizes(self)[0]

    @property
    def n_neurons(self) -> int:
        """Number of neurons; of a convolution, its output channels."""
        return self.kind.sizes(self)[1]

    @property
    def stored_weight(self) -> Tensor:
        """The weight without what multiplies it or is added to it."""
        return cast(Tensor, self.stored(self.kind.weight))

    @property
    def stored_bias(self) -> Tensor | None:
        """The bias without what multiplies it or is added to it."""
        return self.stored(self.kind.bias)

    def stored(self, name: str) -> Tensor | None:
        """A tensor as the layer stores it, or computes it if it is parametrized."""
        if name in vars(self):
            return cast(Tensor, vars(self)[name])
        if is_parametrized(self, name):
            parametrization = cast(Any, self.parametrizations)[name]
            return cast(Tensor, parametrization())
        return self._parameters[name]

    def tuned_weight(self, weight: Tensor) -> Tensor:
        """The weight that the layer computes with, from the one that it stores."""
        return weight

    def tuned_bias(self, bias: Tensor | None) -> Tensor | None:
        """The bias that the layer computes with, from the one that it stores."""
        return bias

    def read(self, name: str) -> Tensor | None:
        """Weight or bias as whoever reads it should see it."""
        stored = self.stored(name)
        if not self.enabled or _is_rewriting():
            return stored
        if name == self.kind.bias:
            return self.tuned_bias(stored)
        return self.tuned_weight(cast(Tensor, stored))

    def project(self, x: Tensor) -> Tensor:
        """Return ``W x``, shape (n, out), which tuning leaves alone where both are frozen."""
        return self.kind.product(self, x, self.stored_weight, None)

    def membrane(self, projection: Tensor) -> Tensor:
        """Return ``v``, shape (n, out), from the projection ``W x``."""
        bias = self.tuned_bias(self.stored_bias)
        return projection if bias is None else projection + self.kind.spread(bias)

    def folded(self) -> LayerParameters:
        """Return weights, biases and gains that compute what the layer does, for any method."""
        weight = in_double(self.stored_weight)
        bias = None if self.stored_bias is None else in_double(self.stored_bias)
        return LayerParameters(*(part.detach() for part in self.parted(weight, bias)))

    def parted(self, weight: Tensor, bias: Tensor | None) -> LayerParameters:
        """Tuned weights and biases of stored ones, and the gains that multiply both."""
        weight, bias = self.tuned_weight(weight), self.tuned_bias(bias)
        ones = weight.new_ones(self.n_neurons)
        return LayerParameters(weight, 0 * ones if bias is None else bias, ones)

    def layer_parameters(self) -> LayerParameters:
        """Weights, bias and gain as NumPy float64; a convolution's weights keep their shape.

        Raises
        ------
        UserError
            If any is NaN or infinite.
        """
        found = self.folded()
        for name, tensor in found._asdict().items():
            if not tensor.isfinite().all():
                raise UserError(
                    f"A {name} of a tuned layer is NaN or infinite: its training diverged; lower "
                    "the learning rate."
                )
        return LayerParameters(*(tensor.cpu().numpy().copy() for tensor in found))


_CLASSES: dict[tuple[type, type], type[ModulatedLayer]] = {}


def tuned_class(method: type[ModulatedLayer], plain: type[nn.Module]) -> type[ModulatedLayer]:
    """The class of layers of one class that are tuned by one method.

    Parameters
    ----------
    method : type
        Such as ``NT1``.
    plain : type
        Such as ``nn.Linear``.

    Returns
    -------
    type
        Such as ``NT1Linear``, of both.
    """
    if (method, plain) not in _CLASSES:
        kind = kind_of(plain)
        members: dict[str, Any] = {"plain": plain, "kind": kind, "__module__": method.__module__}
        if kind is not None:
            members |= {name: _effective(name) for name in (kind.weight, kind.bias)}
        name = f"{method.__name__}{plain.__name__}"
        _CLASSES[method, plain] = type(name, (method, plain), members)
    return _CLASSES[method, plain]


def _effective(name: str) -> property:
    """An attribute that reads as the tensor that the layer computes with."""

    def read(self: ModulatedLayer) -> Tensor | None:
        return self.read(name)

    def store(self: ModulatedLayer, value: Tensor) -> None:
        vars(self)[name] = value

    return property(read, store)


def _is_rewriting() -> bool:
    """Whether who reads a tensor is about to write what it has read, so needs what is stored.

    Raises
    ------
    UserError
        If it would write into a tensor that nothing stores.
    """
    if torch.compiler.is_compiling():
        return False
    # Above this function, `read` of the layer and that of its attribute.
    reader = sys._getframe(3)
    module = str(reader.f_globals.get("__name__"))
    if module.startswith("peft.tuners.") and reader.f_code.co_name in ("merge", "unmerge"):
        raise UserError(
            "peft would merge an adapter into a tuned layer, which loses one of the two: call "
            "neuromod's merge_and_unload on the model first."
        )
    return module.startswith("torch.distributed.fsdp.")


class Fused(ModulatedLayer):
    """A layer whose gains, or the like, are cheaper beside the product than in the weight.

    Where the product is not ours to compute, because a layer has a forward of its own or a parent
    reads its tensors, they are in the tensors that are read.
    """

    @property
    def fuses(self) -> bool:
        """Whether the product is ours to compute."""
        return self.plain.forward is self.kind.forward

    def forward(self, *args: Any, **options: Any) -> Any:
        if self.enabled and self.fuses:
            return self.respond(*args, **options)
        return super().forward(*args, **options)

    def respond(self, x: Tensor, **options: Any) -> Tensor:
        """What the layer computes with the stored tensors."""
        return self.kind.product(self, x, self.stored_weight, self.stored_bias, **options)


def in_double(tensor: Tensor) -> Tensor:
    """Return a tensor in double precision, outside the graph of gradients."""
    # Apple's GPUs have no double precision.
    device = "cpu" if tensor.device.type == "mps" else tensor.device
    return tensor.detach().to(device).double()


def followed(parameter: nn.Parameter, like: Tensor) -> nn.Parameter:
    """A parameter where another is, in its precision; the very same where torch lets it."""
    if (parameter.device, parameter.dtype) == (like.device, like.dtype):
        return parameter
    moved = parameter.detach().to(like)
    if moved.is_meta != parameter.is_meta:
        return nn.Parameter(moved, parameter.requires_grad)
    parameter.data = moved
    if parameter.grad is not None:
        parameter.grad = parameter.grad.to(like)
    return parameter


def _frozen(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach(), requires_grad=False)


def _made(method: type[ModulatedLayer], plain: type[nn.Module]) -> ModulatedLayer:
    """An empty layer, whose state follows."""
    return object.__new__(tuned_class(method, plain))
