"""Recipes for tuning: which method and loss, and the classifier that is to be tuned with them.

Recipes were compared on validation images; nothing is chosen by looking at test images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neuromod.errors import UserError, unknown
from neuromod.models.classifier import (
    LEAK,
    THETA,
    ModulatedLayer,
    RateClassifier,
    SpikingClassifier,
)
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.datasets import IntArray
from neuromod.tuning.methods import METHODS
from neuromod.tuning.methods.nt1 import NT1

LOSSES: dict[str, tuple[str, ...]] = {
    "rate": ("cross_entropy",),
    "spiking": ("simple", "membrane"),
}
"""The losses that each kind of classifier can be tuned with."""

MEMBRANE_GAIN = 4.0
"""Logit per unit of ``v - theta`` in the membrane loss (calibrated here)."""

SURROGATE_SLOPE = 2.0
"""Steepness of the fast sigmoid that goes with the membrane loss (calibrated here)."""

LEARNING_RATES = {
    "cross_entropy": {"additive": 0.1, "nt1": 0.1, "nt2": 0.1, "tft": 0.01},
    "simple": {"additive": 0.1, "nt1": 0.01, "nt2": 0.1, "tft": 0.01},
    "membrane": {"additive": 0.1, "nt1": 0.1, "nt2": 0.1, "tft": 0.01},
}
EPOCHS = {"rate": 50, "spiking": 100}
"""Calibrated here on digits 5-9, by accuracy on their validation images (means of three seeds), of
learning rates from 1e-1 to 1e-4, as in the paper, and of 50 and 100 epochs; where differences lay
within the spread of the seeds, methods were left alike."""


@dataclass(frozen=True)
class TuningRecipe:
    """All that determines a tuned network, besides backbone and data.

    Attributes
    ----------
    method : str
        One of `METHODS`: what is trained.
    kind : str
        ``"rate"`` or ``"spiking"``.
    loss : str
        ``"cross_entropy"`` (rate); ``"simple"``, the paper's, whose gradient at the outputs is
        ``target - output`` (equation (2)), or ``"membrane"``, binary cross entropy with
        ``4 (v - theta)`` as logit (spiking).
    lr : float
        Learning rate of Adam at the start; it falls to zero as a cosine.
    epochs : int
    batch_size : int
        The paper's 64.
    seed : int
        Of the order of the training images, and of a new output layer's weights.
    theta, leak : float
        Of a spiking classifier: see `SpikingClassifier`.
    gain_low, gain_high : float or None
        What gains are kept within after every step of training, such as what a receptor or a
        supply voltage can reach; only for ``nt1``.
    """

    method: str
    kind: str
    loss: str
    lr: float
    epochs: int
    batch_size: int = 64
    seed: int = 0
    theta: float = THETA
    leak: float = LEAK
    gain_low: float | None = None
    gain_high: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("tuning method", self.method, METHODS)
        if self.kind not in LOSSES:
            raise unknown("kind of classifier", self.kind, LOSSES)
        if self.loss not in LOSSES[self.kind]:
            raise unknown(f"loss for a {self.kind} classifier", self.loss, LOSSES[self.kind])
        for name in ("lr", "epochs", "batch_size", "theta"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}, but must be greater than 0.")
        bounds = [end for end in (self.gain_low, self.gain_high) if end is not None]
        if bounds and self.method != "nt1":
            raise UserError(f"gain_low and gain_high bound gains, and {self.method} has none.")
        if len(bounds) == 2 and not bounds[0] < bounds[1]:
            raise UserError(
                f"gain_low is {self.gain_low}, but must be less than gain_high, {self.gain_high}."
            )


def calibrated(method: str, kind: str, loss: str, seed: int = 0) -> TuningRecipe:
    """Return the recipe with the learning rate and epochs that were calibrated on the digits."""
    lr = LEARNING_RATES.get(loss, {}).get(method, 0.1)
    epochs = EPOCHS.get(kind, 1)
    return TuningRecipe(method, kind, loss, lr, epochs, seed=seed)


@dataclass(frozen=True, eq=False)
class SharedGains:
    """One gain for all neurons of a power domain, trained as one number.

    Attributes
    ----------
    domain : array of int, shape (neurons,)
        Domain of each neuron that has a gain, first layer first.
    gain : array of float64, shape (domains,)
        Gain of each at the start of training.
    """

    domain: IntArray
    gain: npt.NDArray[np.float64]

    def apply(self, classifier: RateClassifier | SpikingClassifier) -> None:
        """Let the neurons of a classifier share gains; they start with these."""
        layers = [layer for layer in classifier.modulated_layers if isinstance(layer, NT1)]
        ends = np.cumsum([len(layer.gain) for layer in layers])
        if not layers or ends[-1] != len(self.domain):
            raise UserError(
                f"Gains are shared by {len(self.domain)} neurons, and the classifier has "
                f"{ends[-1] if layers else 0} with a gain."
            )
        gain = nn.Parameter(torch.tensor(self.gain, dtype=layers[0].gain.dtype))
        for layer, domain in zip(layers, np.split(self.domain, ends[:-1]), strict=True):
            layer.share(gain, torch.from_numpy(domain).long())


def build_classifier(
    backbone: Backbone, recipe: TuningRecipe, n_classes: int
) -> RateClassifier | SpikingClassifier:
    """Build the classifier to be tuned: the backbone's layers, and a new one if it is needed.

    Where the number of classes differs from the backbone's outputs, a new output layer is
    appended, which every method but ``none`` trains; else the classes are read at the outputs
    that are there.
    """
    wrap = METHODS[recipe.method]
    linears = backbone.linears
    layers = [wrap(linear) for linear in linears]
    if n_classes != linears[-1].out_features:
        trained = ModulatedLayer if recipe.method == "none" else METHODS["tft"]
        layers.append(trained(_new_output(linears[-1], n_classes, recipe.seed)))
    if recipe.kind == "rate":
        return RateClassifier(layers)
    slope = SURROGATE_SLOPE if recipe.loss == "membrane" else 0.0
    return SpikingClassifier(layers, recipe.theta, recipe.leak, slope)


def _new_output(last: nn.Linear, n_classes: int, seed: int) -> nn.Linear:
    """Return a linear layer that starts as torch's do, but from a generator of its own."""
    device = last.weight.device
    layer = nn.Linear(last.out_features, n_classes, device="meta").to_empty(device=device)
    generator = torch.Generator().manual_seed(seed)
    bound = last.out_features**-0.5
    for parameter in (layer.weight, layer.bias):
        uniform = 2 * torch.rand(parameter.shape, generator=generator) - 1
        parameter.data = (bound * uniform).to(device)
    return layer


def loss_of(
    classifier: RateClassifier | SpikingClassifier, recipe: TuningRecipe, x: Tensor, y: Tensor
) -> Tensor:
    """Return the loss of a batch of features ``x`` with labels ``y``, as the recipe defines it."""
    output = classifier(x)
    if recipe.loss == "cross_entropy":
        return nn.functional.cross_entropy(output, y)
    membrane, spikes = output
    target = nn.functional.one_hot(y, membrane.shape[1]).to(membrane.dtype)
    if recipe.loss == "simple":
        simple: Tensor = 0.5 * (target - spikes).square().sum(1).mean()
        return simple
    logit = MEMBRANE_GAIN * (membrane - recipe.theta)
    return nn.functional.binary_cross_entropy_with_logits(logit, target)
