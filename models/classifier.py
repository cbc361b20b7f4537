"""The classifier of a VGG-shaped network: rate, spiking once, and integrating over time.

The spiking one is that of section 5.1 of Low-Power Machine Learning Architectures Inspired by Brain
Neuromodulatory Signalling (J. Low Power Electron. Appl. 12(4), 59, 2022). It needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from neuromod.models.modulated_layer import LayerParameters, ModulatedLayer

THETA = 0.5
"""Firing threshold of a spiking neuron, in units of the membrane (calibrated here; the paper
gives none)."""

LEAK = 1e-3
"""Output of a silent neuron in training, the ``s`` of equation (13) (chosen: the paper says only
that it approaches 0)."""

STEPS = 10
"""Updates of a neuron that integrates over time (chosen: as many as the paper's XOR has spikes in
a train)."""

DECAY = 0.9
"""What a membrane keeps from one step to the next (chosen: a time constant of about ten steps)."""

SLOPE = 2.0
"""Steepness of the surrogate derivative of neurons that integrate over time (calibrated here for
those that are updated once)."""


class SpikingOutput(NamedTuple):
    """Output layer of a spiking classifier: both tensors have the shape (n, classes). Spikes are
    counts where neurons are updated several times."""

    membrane: Tensor
    spikes: Tensor


class Classifier(nn.Module):
    """Classifier layers in series; the base of the rate and the spiking ones.

    Parameters
    ----------
    layers : sequence of ModulatedLayer
    outputs : sequence of int, optional
        Output neurons at which the classes are read, in the order of the classes, where there are
        more neurons than classes; all by default.
    """

    def __init__(
        self, layers: Sequence[ModulatedLayer], *, outputs: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.outputs = None if outputs is None else list(outputs)

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

    def correct(self, features: Tensor, labels: Tensor, projected: bool = False) -> Tensor:
        """Tell for each of n samples whether it is classified right: boolean, shape (n,).

        ``projected`` as in `forward`.
        """
        raise NotImplementedError

    def first_membrane(self, features: Tensor, projected: bool) -> Tensor:
        """Return ``v`` of the first layer, from the features or from its projection of them."""
        first = self.modulated_layers[0]
        return first.membrane(features) if projected else cast(Tensor, first(features))

    def read(self, output: Tensor) -> Tensor:
        """Return the columns of the output layer that stand for classes."""
        return output if self.outputs is None else output[:, self.outputs]


class RateClassifier(Classifier):
    """The usual network: ReLU between the layers, class = the largest output."""

    def forward(self, features: Tensor, projected: bool = False) -> Tensor:
        """Return the output layer's ``v`` (the logits), shape (n, classes).

        Parameters
        ----------
        features : Tensor, shape (n, inputs)
        projected : bool
            Whether they are the first layer's ``project(features)`` instead, of shape (n, out).
        """
        v = self.first_membrane(features, projected)
        for layer in self.modulated_layers[1:]:
            v = layer(nn.functional.relu(v))
        return self.read(v)

    def correct(self, features: Tensor, labels: Tensor, projected: bool = False) -> Tensor:
        return cast(Tensor, self(features, projected)).argmax(1) == labels


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
    outputs : sequence of int, optional
        As in `Classifier`.
    """

    def __init__(
        self,
        layers: Sequence[ModulatedLayer],
        theta: float = THETA,
        leak: float = LEAK,
        slope: float = 0.0,
        *,
        outputs: Sequence[int] | None = None,
    ) -> None:
        super().__init__(layers, outputs=outputs)
        self.theta = theta
        self.leak = leak
        self.slope = slope

    def fire(self, membrane: Tensor) -> Tensor:
        """Return 1 where the membrane reaches theta, else 0 (in training: ``leak``)."""
        leak = self.leak if self.training else 0.0
        return cast(Tensor, _Spike.apply(membrane, self.theta, leak, self.slope))

    def forward(self, features: Tensor, projected: bool = False) -> SpikingOutput:
        """Return membrane and spikes of the output layer; arguments as in `RateClassifier`."""
        v = self.first_membrane(features, projected)
        for layer in self.modulated_layers[1:]:
            v = layer(self.fire(v))
        v = self.read(v)
        return SpikingOutput(v, self.fire(v))

    def correct(self, features: Tensor, labels: Tensor, projected: bool = False) -> Tensor:
        spikes: Tensor = self(features, projected).spikes
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


class LIFClassifier(Classifier):
    """Leaky integrate-and-fire neurons that are updated several times and counted.

    The features drive the first layer with the same current in every step; later layers are driven
    by the spikes of the same step:

        v[t] = decay v[t-1] (1 - O[t-1]) + a (W O_before[t] + b),    O[t] = H(v[t] - theta)

    A neuron that fired starts again from 0. With a single step this is `SpikingClassifier` without
    leak. A sample counts as right if the right output neuron fires more often than any other.

    Parameters
    ----------
    layers : sequence of ModulatedLayer
    theta : float
        Firing threshold.
    steps : int
        Updates of every neuron.
    decay : float
        What is left of the membrane after a step, ``exp(-step/tau)``.
    slope : float
        Of the surrogate derivative, as in `SpikingClassifier`; the reset passes no gradient.
    outputs : sequence of int, optional
        As in `Classifier`.
    """

    def __init__(
        self,
        layers: Sequence[ModulatedLayer],
        theta: float = THETA,
        steps: int = STEPS,
        decay: float = DECAY,
        slope: float = SLOPE,
        *,
        outputs: Sequence[int] | None = None,
    ) -> None:
        super().__init__(layers, outputs=outputs)
        self.theta = theta
        self.steps = steps
        self.decay = decay
        self.slope = slope

    def forward(self, features: Tensor, projected: bool = False) -> SpikingOutput:
        """Return the output layer's membrane, averaged over the steps, and its spike counts.

        Arguments as in `RateClassifier`.
        """
        current = self.first_membrane(features, projected)
        # what each layer's neurons keep of their membranes from the step before
        kept: list[Tensor | float] = [0.0] * len(self.layers)
        membranes, spikes = [], []
        for _ in range(self.steps):
            drive = current
            for i, following in enumerate([*self.modulated_layers[1:], None]):
                v = kept[i] + drive
                fired = cast(Tensor, _Spike.apply(v, self.theta, 0.0, self.slope))
                kept[i] = self.decay * v * (1 - fired.detach())
                if following is not None:
                    drive = following(fired)
            membranes.append(self.read(v))
            spikes.append(self.read(fired))
        return SpikingOutput(torch.stack(membranes).mean(0), torch.stack(spikes).sum(0))

    def correct(self, features: Tensor, labels: Tensor, projected: bool = False) -> Tensor:
        counts: Tensor = self(features, projected).spikes
        right = counts.gather(1, labels[:, None])
        return (counts >= right).sum(1) == 1


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
