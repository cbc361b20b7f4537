"""Classifiers of layers in series: rate, spiking once, and integrating over time.

Each is a plain torch module of frozen layers, linear or convolutional, which
`neuromod.tuning.attach` puts a method on; in a convolution, the neurons of a channel share a gain.
The spiking one is that of section 5.1 of Low-Power Machine Learning Architectures Inspired by Brain
Neuromodulatory Signalling (J. Low Power Electron. Appl. 12(4), 59, 2022). They need torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.models.modulated_layer import LayerParameters, ModulatedLayer

PASSIVE = (nn.Flatten, nn.AvgPool2d)
"""Layers without neurons: they hand on what they get, in another shape or averaged."""

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
    """Output of a spiking classifier, both of shape (n, classes), or of one layer in one step.

    Spikes of a classifier are counts where neurons are updated several times.
    """

    membrane: Tensor
    spikes: Tensor


class Classifier(nn.Module):
    """Layers in series: the base of the rate and the spiking classifiers.

    Parameters
    ----------
    layers : sequence of nn.Module
        Linear and Conv2d layers, tuned or not, first layer first, the last one linear. Between
        them ``nn.AvgPool2d``, which averages what neurons put out, and ``nn.Flatten()``.
    outputs : sequence of int, optional
        Output neurons that stand for the classes, in the order of the classes, where there are
        more neurons than classes. All by default.

    Raises
    ------
    UserError
        If layers of other kinds are among them, or do not fit behind each other.
    """

    def __init__(
        self, layers: Sequence[nn.Module], *, outputs: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        _check_order(layers)
        self.layers = nn.ModuleList(layers)
        self.outputs = None if outputs is None else list(outputs)

    @property
    def modulated_layers(self) -> list[ModulatedLayer]:
        """All layers of neurons; one not tuned as a modulated layer that shares its tensors."""
        return [
            layer if isinstance(layer, ModulatedLayer) else ModulatedLayer(cast(nn.Linear, layer))
            for layer in self.layers
            if not isinstance(layer, PASSIVE)
        ]

    @property
    def stages(self) -> list[list[nn.Module]]:
        """What drives each layer of neurons: a layer with weights, behind any without."""
        stages: list[list[nn.Module]] = [[]]
        for layer in self.layers:
            stages[-1].append(layer)
            if not isinstance(layer, PASSIVE):
                stages.append([])
        return stages[:-1]

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
        return _through(self.stages[0], features)

    def last_membrane(self, v: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``v`` of the outputs that are read, from that of the first layer."""
        for stage in self.stages[1:]:
            v = _through(stage, activation(v))
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
        features : Tensor, shape (n, inputs), or (n, channels, height, width)
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
        """Return which neurons of every layer fire, as silent ones give 0: bool, shape (n, ...).

        In double precision (``classifier.double()``, features converted alike) it is the reference
        that neurons built elsewhere must reproduce.
        """
        fired: list[Tensor] = []
        for stage in self.stages:
            fired.append(_through(stage, features) >= self.theta)
            features = fired[-1].to(features.dtype)
        return fired


class LIFClassifier(Classifier):
    """Leaky integrate-and-fire neurons that are updated several times and whose spikes are counted.

    The features drive the first layer with the same current in every step, or with a frame of their
    own in each. Spikes drive the later layers within the step:

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
    frames : bool
        Whether features are frames, one for each step, such as an event camera's: of shape (n,
        steps, inputs) or (n, steps, channels, height, width).
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
        frames: bool = False,
    ) -> None:
        super().__init__(layers, outputs=outputs)
        self.theta = theta
        self.steps = steps
        self.decay = decay
        self.slope = slope
        self.frames = frames

    def forward(self, features: Tensor, projected: bool = False) -> SpikingOutput:
        """Return the output layer's membrane, averaged over the steps, and its spike counts."""
        membranes, spikes = [], []
        for updated in self.updates(features, projected):
            membranes.append(self.read(updated[-1].membrane))
            spikes.append(self.read(updated[-1].spikes))
        return SpikingOutput(torch.stack(membranes).mean(0), torch.stack(spikes).sum(0))

    def updates(self, features: Tensor, projected: bool = False) -> Iterator[list[SpikingOutput]]:
        """Yield membrane and spikes of every layer, first layer first, step after step.

        Membranes are those that are compared with theta, before a neuron that fired is reset.
        """
        currents = self._currents(features, projected)
        stages = self.stages
        # What each layer's neurons keep of their membranes from the step before.
        kept: list[Tensor | float] = [0.0] * len(stages)
        for drive in currents:
            updated = []
            for i, following in enumerate([*stages, None][1:]):
                v = kept[i] + drive
                fired = cast(Tensor, _Spike.apply(v, self.theta, 0.0, self.slope))
                kept[i] = self.decay * v * (1 - fired.detach())
                updated.append(SpikingOutput(v, fired))
                if following is not None:
                    drive = _through(following, fired)
            yield updated

    def _currents(self, features: Tensor, projected: bool) -> Iterator[Tensor]:
        """What drives the first layer in each step."""
        if not self.frames:
            yield from repeat(self.first_membrane(features, projected), self.steps)
            return
        if features.shape[1] != self.steps:
            raise UserError(
                f"There are {features.shape[1]} frames for {self.steps} steps: one frame for each "
                "step was expected."
            )
        for frame in features.unbind(1):
            yield self.first_membrane(frame, projected)

    def right(self, output: SpikingOutput, labels: Tensor) -> Tensor:
        at_label = output.spikes.gather(1, labels[:, None])
        return (output.spikes >= at_label).sum(1) == 1


def _through(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """What comes out of layers in series."""
    for layer in layers:
        x = layer(x)
    return x


def _check_order(layers: Sequence[nn.Module]) -> None:
    """Refuse layers that have no place in a classifier, or not this one."""
    spatial = False
    for number, layer in enumerate(layers):
        name = f"Layer {number} of a classifier, {type(layer).__name__},"
        if isinstance(layer, nn.Flatten):
            if (layer.start_dim, layer.end_dim) != (1, -1):
                raise UserError(f"{name} must flatten all of a sample: nn.Flatten() does.")
            spatial = False
        elif isinstance(layer, nn.Conv2d | nn.AvgPool2d):
            spatial = True
        elif isinstance(layer, nn.Linear) and spatial:
            raise UserError(f"{name} takes flat inputs: put nn.Flatten() before it.")
        elif not isinstance(layer, nn.Linear):
            raise UserError(f"{name} is no Linear, Conv2d, AvgPool2d or Flatten, as was expected.")
    if layers and (spatial or isinstance(layers[-1], PASSIVE)):
        raise UserError(
            f"A classifier ends in a {type(layers[-1]).__name__}: a Linear, with a neuron for each "
            "class, was expected."
        )


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
