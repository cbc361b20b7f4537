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

from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn


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

    Frozen tensors are buffers outside the state dict, so a model's ``state_dict()`` holds what was
    trained in the layer and nothing else. They share the pre-trained layer's memory until the
    model changes its precision or device, which leaves the pre-trained layer as it was. A layer
    that is not `enabled` computes what its base does.
    """

    trains: ClassVar[tuple[str, ...]] = ()
    """Which of the pre-trained tensors (``weight``, ``bias``) are trained."""

    keeps_projection: ClassVar[bool] = True
    """Whether tuning leaves `project` of the same inputs as it is."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.enabled = True
        # A tuple hides the pre-trained layer's tensors from torch's list of this one's.
        self._base = (base,)
        for name in ("weight", "bias"):
            tensor = getattr(base, name)
            frozen = None if tensor is None else tensor.detach()
            if name in self.trains and frozen is not None:
                self.register_parameter(name, nn.Parameter(frozen.clone()))
            else:
                self.register_buffer(name, frozen, persistent=False)

    @property
    def base(self) -> nn.Linear | nn.Conv2d:
        """The pre-trained layer."""
        return self._base[0]

    @property
    def n_inputs(self) -> int:
        """Number of inputs; of a convolution, its input channels."""
        base = self.base
        return base.in_channels if isinstance(base, nn.Conv2d) else base.in_features

    @property
    def n_neurons(self) -> int:
        """Number of neurons; of a convolution, its output channels."""
        return self.weight.shape[0]

    def weigh(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the product of inputs and weights, or their convolution."""
        if isinstance(self.base, nn.Conv2d):
            return cast(Tensor, self.base._conv_forward(x, weight, None))
        return nn.functional.linear(x, weight)

    def spread(self, values: Tensor) -> Tensor:
        """Shape one value per neuron, or per input, so that it multiplies outputs, or inputs."""
        return values[:, None, None] if isinstance(self.base, nn.Conv2d) else values

    def project(self, x: Tensor) -> Tensor:
        """Return ``W x``, shape (n, out), which tuning leaves alone where both are frozen."""
        return self.weigh(x, self.weight)

    def membrane(self, projection: Tensor) -> Tensor:
        """Return ``v``, shape (n, out), from the projection ``W x``."""
        return projection if self.bias is None else projection + self.spread(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.enabled:
            return self.membrane(self.project(x))
        v = self.weigh(x, self._frozen("weight"))
        return v if self.bias is None else v + self.spread(self._frozen("bias"))

    def _frozen(self, name: str) -> Tensor:
        """A pre-trained tensor: the base's where this layer trains its own."""
        tensor: Tensor = getattr(self.base if name in self.trains else self, name)
        return tensor.detach().to(self.weight)

    def folded(self) -> LayerParameters:
        """Return weights, biases and gains that compute what the layer does, for any method."""
        weight = in_double(self.weight)
        bias = weight.new_zeros(self.n_neurons) if self.bias is None else in_double(self.bias)
        return LayerParameters(weight, bias, torch.ones_like(bias))

    def layer_parameters(self) -> LayerParameters:
        """Weights, bias and gain as NumPy float64; a convolution's weights keep their shape."""
        return LayerParameters(*(tensor.cpu().numpy().copy() for tensor in self.folded()))


def in_double(tensor: Tensor) -> Tensor:
    """Return a tensor in double precision, outside the graph of gradients."""
    # Apple's GPUs have no double precision.
    device = "cpu" if tensor.device.type == "mps" else tensor.device
    return tensor.detach().to(device).double()
