"""The classifier layers of a VGG-shaped network, rate and spiking, with places for gains.

A layer computes, from the outputs ``O`` of the layer before it, the membrane

    v = a (W O + b)

with pre-trained weights ``W`` and bias ``b`` and one gain ``a`` per neuron. Equation (3) of
Low-Power Machine Learning Architectures Inspired by Brain Neuromodulatory Signalling (J. Low
Power Electron. Appl. 12(4), 59, 2022) prints ``sum(O w) + b a``; its text ("multiplied to the
pre-trained weights", "amplifier bias") and its hardware, where the supply scales the whole synaptic
current, say that the gain acts on weights and bias alike, which is what is built here.

This is the only module of ``neuromod.models`` that needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

FloatArray = npt.NDArray[np.float64]

THETA = 0.5
"""Firing threshold of a spiking neuron, in units of the membrane (calibrated here; the paper
gives none)."""

LEAK = 1e-3
"""Output of a silent neuron in training, the ``s`` of equation (13) (chosen: the paper says only
that it approaches 0)."""


@dataclass(frozen=True)
class LayerParameters:
    """What a layer's neurons need in order to be built elsewhere: ``v = gain*(weight@x + bias)``.

    Attributes
    ----------
    weight : array of float64, shape (out, in)
    bias : array of float64, shape (out,)
    gain : array of float64, shape (out,)
    """

    weight: FloatArray
    bias: FloatArray
    gain: FloatArray


class SpikingOutput(NamedTuple):
    """Output layer of a spiking classifier: both tensors have the shape (n, classes)."""

    membrane: Tensor
    spikes: Tensor


def _to_numpy(tensor: Tensor) -> FloatArray:
    return tensor.detach().to("cpu", torch.float64).numpy().copy()


class ModulatedLayer(nn.Module):
    """A pre-trained linear layer in which nothing is trained: the base of all tuned layers.

    Frozen tensors are buffers outside the state dict, so a classifier's ``state_dict()`` holds the
    trained tensors alone, and converting a classifier to double leaves the backbone, whose memory
    the buffers share, as it was.

    Parameters
    ----------
    linear : nn.Linear
        The pre-trained layer, with a bias; it is not changed.
    """

    trains: ClassVar[tuple[str, ...]] = ()
    """Which of the pre-trained tensors (``weight``, ``bias``) are trained."""

    weight: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        for name in ("weight", "bias"):
            tensor = getattr(linear, name).detach()
            if name in self.trains:
                self.register_parameter(name, nn.Parameter(tensor.clone()))
            else:
                self.register_buffer(name, tensor, persistent=False)

    def project(self, x: Tensor) -> Tensor:
        """Return ``W x``, shape (n, out): apart from the rest, since it is what stays the same
        throughout tuning in all layers whose inputs and weights are frozen."""
        return nn.functional.linear(x, self.weight)

    def membrane(self, projection: Tensor) -> Tensor:
        """Return ``v``, shape (n, out), from the projection ``W x``."""
        return projection + self.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.membrane(self.project(x))

    def layer_parameters(self) -> LayerParameters:
        """Weights, bias and gain as NumPy float64."""
        bias = _to_numpy(self.bias)
        return LayerParameters(_to_numpy(self.weight), bias, np.ones_like(bias))


class Classifier(nn.Module):
    """Classifier layers in series; the base of the rate and the spiking one.

    Parameters
    ----------
    layers : sequence of ModulatedLayer
    """

    def __init__(self, layers: Sequence[ModulatedLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    @property
    def modulated_layers(self) -> list[ModulatedLayer]:
        return [cast(ModulatedLayer, layer) for layer in self.layers]

    @property
    def n_trained(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def layer_parameters(self) -> list[LayerParameters]:
        """What each layer needs in order to be built elsewhere, first layer first."""
        return [layer.layer_parameters() for layer in self.modulated_layers]

    def correct(self, features: Tensor, labels: Tensor) -> Tensor:
        """Tell for each of n samples whether it is classified right: boolean, shape (n,)."""
        raise NotImplementedError


class RateClassifier(Classifier):
    """The usual network: ReLU between the layers, class = the largest output."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the output layer's ``v`` (the logits), shape (n, classes)."""
        *hidden, output = self.modulated_layers
        for layer in hidden:
            features = nn.functional.relu(layer(features))
        return cast(Tensor, output(features))

    def correct(self, features: Tensor, labels: Tensor) -> Tensor:
        return cast(Tensor, self(features)).argmax(1) == labels


class SpikingClassifier(Classifier):
    """Every neuron is updated once and fires if ``v >= theta`` (section 5.1 of the paper).

    A sample counts as right only if the right output neuron fires and no other does, so chance is
    ``1/2**classes``.

    Parameters
    ----------
    layers : sequence of ModulatedLayer
    theta : float
        Firing threshold.
    leak : float
        Output of a silent neuron in training, so that the chain of gradients does not break
        (equation (13)). In evaluation it is 0.
    slope : float
        Steepness of the surrogate derivative ``1/(1 + slope*|v - theta|)**2`` of a spike: the fast
        sigmoid of Zenke and Ganguli (2018). 0 is the paper's: 1 for all neurons, firing or not.
    """

    def __init__(
        self,
        layers: Sequence[ModulatedLayer],
        theta: float = THETA,
        leak: float = LEAK,
        slope: float = 0.0,
    ) -> None:
        super().__init__(layers)
        self.theta = theta
        self.leak = leak
        self.slope = slope

    def fire(self, membrane: Tensor) -> Tensor:
        """Return 1 where the membrane reaches theta, else 0 (in training: ``leak``)."""
        leak = self.leak if self.training else 0.0
        return cast(Tensor, _Spike.apply(membrane, self.theta, leak, self.slope))

    def forward(self, features: Tensor) -> SpikingOutput:
        """Return membrane and spikes of the output layer."""
        for layer in self.modulated_layers:
            membrane = layer(features)
            features = self.fire(membrane)
        return SpikingOutput(membrane, features)

    def correct(self, features: Tensor, labels: Tensor) -> Tensor:
        spikes: Tensor = self(features).spikes
        return (spikes == nn.functional.one_hot(labels, spikes.shape[1])).all(1)

    @torch.no_grad()
    def layer_membranes(self, features: Tensor) -> list[Tensor]:
        """Return every layer's membrane, shape (n, out) each, with silent neurons giving 0.

        In double precision (``classifier.double()``, features converted alike) this is the
        reference that neurons built elsewhere must reproduce.
        """
        membranes = []
        for layer in self.modulated_layers:
            membranes.append(layer(features))
            features = (membranes[-1] >= self.theta).to(features.dtype)
        return membranes

    def layer_spikes(self, features: Tensor) -> list[Tensor]:
        """Return which neurons of every layer fire: boolean, shape (n, out) each."""
        return [membrane >= self.theta for membrane in self.layer_membranes(features)]


class _Spike(torch.autograd.Function):
    """Heaviside step with a leak, and a surrogate for its derivative."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, theta: float, leak: float, slope: float) -> Tensor:
        ctx.theta, ctx.slope = theta, slope
        ctx.save_for_backward(v)
        return (v >= theta).to(v.dtype).clamp_min(leak)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grad_outputs
        if ctx.slope:
            (v,) = ctx.saved_tensors
            grad = grad / (1 + ctx.slope * (v - ctx.theta).abs()).square()
        return grad, None, None, None
