"""Classifiers of a VGG-shaped network: rate, spiking once, and integrating over time.

Each is a plain torch module of frozen layers, which `neuromod.tuning.attach` puts a method on. The
spiking one is that of section 5.1 of Low-Power Machine Learning Architectures Inspired by Brain
Neuromodulatory Signalling (J. Low Power Electron. Appl. 12(4), 59, 2022). They need torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from neuromod.models.modulated_layer import LayerParameters, ModulatedLayer

THETA = 0.5
"""Firing threshold of a spiking neuron, in units of the membrane (calibrated here; the paper
gives none)."""

LEAK = 1e-3
"""Output of a silent neuron in training, ``s`` in equation (13) (chosen: the paper only says that
it approaches 0)."""

STEPS = 10
"""Updates of a neuron that integrates over time (chosen: the number of spikes in a train of the
paper's XOR)."""

DECAY = 0.9
"""Share of the membrane that is left after a step (chosen: a time constant of about ten steps)."""

SLOPE = 2.0
"""Steepness of the surrogate derivative of a spike (calibrated here for neurons that are updated
once)."""


class SpikingOutput(NamedTuple):
    """Output of a spiking classifier, both of shape (n, classes).

    Spikes are counts where neurons are updated several times.
    """

    membrane: Tensor
    spikes: Tensor


class Classifier(nn.Module):
    """Linear layers in series: the base of the rate and the spiking classifiers.

    Parameters
    ----------
    layers : sequence of nn.Linear
        Or tuned layers, first layer first.
    outputs : sequence of int, optional
        Output neurons that stand for the classes, in the order of the classes, where there are
        more neurons than classes. All by default.
    """

    def __init__(
        self, layers: Sequence[nn.Module], *, outputs: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.outputs = None if outputs is None else list(outputs)

    @property
    def modulated_layers(self) -> list[ModulatedLayer]:
        """All layers; one that is not tuned as a modulated layer that shares its tensors."""
        return [
            layer if isinstance(layer, ModulatedLayer) else ModulatedLayer(cast(nn.Linear, layer))
            for layer in self.layers
        ]

    @property
    def n_trained(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def layer_parameters(self) -> list[LayerParameters]:
        """Return each layer's numbers for building its neurons elsewhere, first layer first."""
        return [layer.layer_parameters() for layer in self.modulated_layers]

    def right(self, output: Any, labels: Tensor) -> Tensor:
        """Return for which labels the output is right: boolean, shape (n,)."""
        raise NotImplementedError

    def correct(self, features: Tensor, labels: Tensor, projected: bool = False) -> Tensor:
        """Return which samples are classified right: boolean, shape (n,).

        Features may be the first layer's ``project(features)``, if `projected`.
        """
        return self.right(self(features, projected), labels)

    def first_membrane(self, features: Tensor, projected: bool) -> Tensor:
        """Return ``v`` of the first layer, from the features or from its projection of them."""
        if projected:
            return self.modulated_layers[0].membrane(features)
        return cast(Tensor, self.layers[0](features))

    def last_membrane(self, v: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``v`` of the outputs that are read, from that of the first layer."""
        for layer in [*self.layers][1:]:
            v = layer(activation(v))
        return self.read(v)

    def read(self, output: Tensor) -> Tensor:
        """Return the columns of the output layer that stand for classes."""
        return output if self.outputs is None else output[:, self.outputs]


class RateClassifier(Classifier):
    """The usual network: ReLU between the layers; the largest output is the class."""

    def forward(self, features: Tensor, projected: bool = False) -> Tensor:
        """Return the output layer's ``v`` (the logits), shape (n, classes).

        Parameters
        ----------
        features : Tensor, shape (n, inputs)
        projected : bool
            Whether `features` are the first layer's ``project(features)``, of shape (n, out).
        """
        return self.last_membrane(self.first_membrane(features, projected), nn.functional.relu)

    def right(self, output: Tensor, labels: Tensor) -> Tensor:
        return output.argmax(1) == labels


class SpikingClassifier(Classifier):
    """Every neuron is updated once and fires if ``v >= theta`` (section 5.1 of the paper).

    A sample is right only if the right output neuron fires and no other does: chance is
    ``1/2**classes``.

    Parameters
    ----------
    theta : float
        Firing threshold.
    leak : float
        Output of a silent neuron in training, so that the chain of gradients does not break
        (equation (13)). In evaluation it is 0.
    slope : float
        Steepness of a spike's surrogate derivative ``1/(1 + slope*|v - theta|)**2``, the fast
        sigmoid of Zenke and Ganguli (2018). With 0 it is the paper's: 1, firing or not.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
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
        """Return membrane and spikes of the output layer."""
        v = self.last_membrane(self.first_membrane(features, projected), self.fire)
        return SpikingOutput(v, self.fire(v))

    def right(self, output: SpikingOutput, labels: Tensor) -> Tensor:
        spikes = output.spikes
        return (spikes == nn.functional.one_hot(labels, spikes.shape[1])).all(1)

    @torch.no_grad()
    def layer_spikes(self, features: Tensor) -> list[Tensor]:
        """Return which neurons of every layer fire, as silent ones give 0: bool, shape (n, out).

        In double precision (``classifier.double()``, features converted alike) it is the reference
        that neurons built elsewhere must reproduce.
        """
        fired: list[Tensor] = []
        for layer in self.layers:
            fired.append(layer(features) >= self.theta)
            features = fired[-1].to(features.dtype)
        return fired


class LIFClassifier(Classifier):
    """Leaky integrate-and-fire neurons that are updated several times and whose spikes are counted.

    The features drive the first layer with the same current in every step. Spikes drive the later
    layers within the step:

        v[t] = decay v[t-1] (1 - O[t-1]) + a (W O_before[t] + b),    O[t] = H(v[t] - theta)

    A neuron that fired starts again from 0. With a single step this is `SpikingClassifier` without
    leak. A sample is right if the right output neuron fires more often than any other.

    Parameters
    ----------
    steps : int
        Updates of every neuron.
    decay : float
        Share of the membrane that is left after a step, ``exp(-step/tau)``.
    slope : float
        Of the surrogate derivative, as in `SpikingClassifier`; the reset passes no gradient.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
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
        """Return the output layer's membrane, averaged over the steps, and its spike counts."""
        current = self.first_membrane(features, projected)
        # What each layer's neurons keep of their membranes from the step before.
        kept: list[Tensor | float] = [0.0] * len(self.layers)
        membranes, spikes = [], []
        for _ in range(self.steps):
            drive = current
            for i, following in enumerate([*self.layers, None][1:]):
                v = kept[i] + drive
                fired = cast(Tensor, _Spike.apply(v, self.theta, 0.0, self.slope))
                kept[i] = self.decay * v * (1 - fired.detach())
                if following is not None:
                    drive = following(fired)
            membranes.append(self.read(v))
            spikes.append(self.read(fired))
        return SpikingOutput(torch.stack(membranes).mean(0), torch.stack(spikes).sum(0))

    def right(self, output: SpikingOutput, labels: Tensor) -> Tensor:
        at_label = output.spikes.gather(1, labels[:, None])
        return (output.spikes >= at_label).sum(1) == 1


class _Spike(torch.autograd.Function):
    """Heaviside step with a leak, and a surrogate derivative."""

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
