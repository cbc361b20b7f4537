"""Kinds of layers that neurons can be tuned in: where their neurons and inputs are in a weight.

A kind whose `product` is known computes from any weight and bias. Layers with a forward of their
own, and attention, compute from the tensors that they have. It needs torch.
"""

from __future__ import annotations

import sys
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd


class Kind:
    """Layers with weights of shape (neurons, inputs), whose outputs have neurons last."""

    weight = "weight"
    bias = "bias"

    def __init__(self, forward: Any, dims: int = 0) -> None:
        # Of the layers whose outputs `product` computes.
        self.forward = forward
        # Axes of inputs and outputs behind that of inputs or neurons: those of a picture.
        self.dims = dims

    def sizes(self, layer: Any) -> tuple[int, int]:
        """Numbers of inputs and neurons."""
        neurons, inputs = layer.stored(self.weight).shape
        return inputs, neurons

    def product(self, layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ARG002
        """Outputs of a layer with other tensors in the places of its own."""
        return functional.linear(x, weight, bias)

    def by_neuron(self, layer: Any, values: Tensor) -> Tensor:  # noqa: ARG002
        """Shape one value per neuron so that it multiplies weights."""
        return values[:, None]

    def by_input(self, layer: Any, values: Tensor) -> Tensor:  # noqa: ARG002
        """Shape one value per input so that it multiplies weights."""
        return values

    def spread(self, values: Tensor) -> Tensor:
        """Shape values whose last axis is neurons, or inputs, so that they multiply outputs, or
        inputs."""
        return values.reshape(*values.shape, *[1] * self.dims)


class Convolution(Kind):
    """Weights of shape (neurons, inputs of a group, ...), and a picture behind the neurons."""

    def sizes(self, layer: Any) -> tuple[int, int]:
        return layer.in_channels, layer.out_channels

    def product(self, layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return cast(Tensor, layer._conv_forward(x, weight, bias))

    def by_neuron(self, layer: Any, values: Tensor) -> Tensor:  # noqa: ARG002
        return self.spread(values[:, None])

    def by_input(self, layer: Any, values: Tensor) -> Tensor:
        # A group's neurons see only the inputs of their own group.
        seen = values.view(layer.groups, -1)
        return self.spread(seen.repeat_interleave(layer.out_channels // layer.groups, 0))


class TransposedConvolution(Convolution):
    """Weights of shape (inputs, neurons of a group, ...)."""

    def product(
        self,
        layer: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        output_size: list[int] | None = None,
    ) -> Tensor:
        shape = layer.stride, layer.padding, layer.kernel_size
        padding = layer._output_padding(x, output_size, *shape, self.dims, layer.dilation)
        transposed = getattr(functional, f"conv_transpose{self.dims}d")
        options = layer.stride, layer.padding, padding, layer.groups, layer.dilation
        return cast(Tensor, transposed(x, weight, bias, *options))

    def by_neuron(self, layer: Any, values: Tensor) -> Tensor:
        of_group = values.view(layer.groups, -1)
        return self.spread(of_group.repeat_interleave(layer.in_channels // layer.groups, 0))

    def by_input(self, layer: Any, values: Tensor) -> Tensor:  # noqa: ARG002
        return self.spread(values[:, None])


class InputsFirst(Kind):
    """The ``Conv1D`` of transformers: a linear layer with weights of shape (inputs, neurons)."""

    def sizes(self, layer: Any) -> tuple[int, int]:
        inputs, neurons = layer.stored_weight.shape
        return inputs, neurons

    def product(self, layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.view(-1, x.shape[-1])
        v = rows @ weight if bias is None else bias.addmm(rows, weight)
        return v.view(*x.shape[:-1], layer.nf)

    def by_neuron(self, layer: Any, values: Tensor) -> Tensor:  # noqa: ARG002
        return values

    def by_input(self, layer: Any, values: Tensor) -> Tensor:  # noqa: ARG002
        return values[:, None]


class Projections(Kind):
    """The projections to queries, keys and values of torch's attention, which reads them."""

    weight = "in_proj_weight"
    bias = "in_proj_bias"


LINEAR = Kind(nn.Linear.forward)
PROJECTIONS = Projections(None)
CONVOLUTIONS: dict[type[_ConvNd], Convolution] = {
    nn.Conv1d: Convolution(nn.Conv1d.forward, 1),
    nn.Conv2d: Convolution(nn.Conv2d.forward, 2),
    nn.Conv3d: Convolution(nn.Conv3d.forward, 3),
    nn.ConvTranspose1d: TransposedConvolution(nn.ConvTranspose1d.forward, 1),
    nn.ConvTranspose2d: TransposedConvolution(nn.ConvTranspose2d.forward, 2),
    nn.ConvTranspose3d: TransposedConvolution(nn.ConvTranspose3d.forward, 3),
}


def kind_of(layer: type[nn.Module]) -> Kind | None:
    """The kind of a class of layers, if it is one that can be tuned."""
    if issubclass(layer, nn.Linear):
        return LINEAR
    if issubclass(layer, nn.MultiheadAttention):
        return PROJECTIONS
    if issubclass(layer, _ConvTransposeNd | _ConvNd):
        return next((kind for base, kind in CONVOLUTIONS.items() if issubclass(layer, base)), None)
    # Only who has imported it has layers of it.
    conv1d = getattr(sys.modules.get("transformers.pytorch_utils"), "Conv1D", None)
    return InputsFirst(conv1d.forward) if conv1d and issubclass(layer, conv1d) else None
