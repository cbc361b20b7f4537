"""Frozen, pre-trained networks: of ImageNet, and small ones that are trained here.

Those are a VGG of scikit-learn's digits, and transformers of texts and of sounds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from neuromod.errors import UserError, unknown
from neuromod.support.cache import digest, spared, to_keep, where_kept
from neuromod.support.tensor_file import (
    Kind,
    TensorFileError,
    hash_tensors,
    read_tensors,
    write_tensors,
)
from neuromod.tuning.datasets.digits import SOURCE_DIGITS, load_digits
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, InputSpec, check_kind
from neuromod.tuning.datasets.sounds import FrameSpec
from neuromod.tuning.datasets.texts import TokenSpec
from neuromod.tuning.hardware import is_small, seeded, threads_for
from neuromod.tuning.imagenet import LITE0, LITE0_INPUT, efficientnet_lite0
from neuromod.tuning.named_models import LIBRARIES, named_model
from neuromod.tuning.row_file import Progress
from neuromod.tuning.tiny_transformer import RECIPES, pretrained, untrained
from neuromod.tuning.weights_file import assign, read_weights, torchvision_file

log = logging.getLogger(__name__)

TORCHVISION_VGGS = tuple(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn"))

IMAGENET = InputSpec(3, 256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The paper's 256 x 256 pixels, with the normalisation of torchvision's ImageNet weights."""

EMBEDDED = Kind("file of the embedded backbone", "neuromod-backbone-1")

RANDOM = "random: accuracies mean nothing"
"""How outputs mark weights that were never trained."""

DIGITS_INPUT = InputSpec(3, 32, mean=(0.5,) * 3, std=(0.5,) * 3)
"""Grey digits of 8 x 8 pixels, enlarged four times, in three equal channels."""


@dataclass(frozen=True)
class PretrainingRecipe:
    """Everything that determines the embedded backbone's weights; its hash is their cache key.

    All values are chosen or calibrated here. Among a few widths, quantiles (0.95 to 0.999) and
    dropouts (0 to 0.5), these gave spiking ``nt1`` the best accuracy on the target digits'
    validation images, averaged over four other seeds of this recipe. Wider layers would make too
    many synapses, because every test image runs through its own copy of the network.

    Attributes
    ----------
    convolutions : tuple
        In torchvision's notation: channels of each 3 x 3 convolution, "M" for max-pooling.
    pooled : int
        Height and width of the features after average pooling.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    epochs, lr, batch_size, weight_decay
        Of Adam with decoupled weight decay, on cross entropy; the learning rate falls to zero as
        a cosine.
    quantile : float
        Quantile of each layer's activations that is scaled to 1 after training.
    version : int
        Increased with every change of the code that changes the weights.
    """

    convolutions: tuple[int | str, ...] = (16, "M", 32, "M", 64, 64, "M", 96, 96, "M")
    pooled: int = 2
    hidden: tuple[int, ...] = (96, 72)
    dropout: float = 0.5
    image: InputSpec = DIGITS_INPUT
    source_classes: tuple[int, ...] = SOURCE_DIGITS
    epochs: int = 25
    lr: float = 1e-3
    batch_size: int = 32
    weight_decay: float = 1e-2
    quantile: float = 0.99
    seed: int = 20222
    split_seed: int = SPLIT_SEED
    version: int = 1


class DigitsVGG(nn.Module):
    """torchvision's VGG (``features``, ``avgpool``, ``classifier``), small."""

    def __init__(self, recipe: PretrainingRecipe) -> None:
        super().__init__()
        channels = [c for c in recipe.convolutions if isinstance(c, int)][-1]
        widths = (channels * recipe.pooled**2, *recipe.hidden, len(recipe.source_classes))
        self.features = make_layers(list(recipe.convolutions))
        self.avgpool = nn.AdaptiveAvgPool2d(recipe.pooled)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(recipe.dropout)]
        # Neither follows the output layer.
        self.classifier = nn.Sequential(*layers[:-2])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Torch's own start is too small for a stack this deep without batch norm.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)
        logits: Tensor = self.classifier(x)
        return logits


@dataclass(frozen=True)
class Backbone:
    """A frozen, pre-trained network.

    Attributes
    ----------
    network : nn.Module
        Its outputs are those of its classifier.
    image : InputSpec, TokenSpec or FrameSpec
        The format of its input: images, texts or sounds.
    source_accuracy : float or None
        Fraction of its source task's test images classified right; None if not measured here.
    from_cache : bool
        Whether its weights were on disk already.
    trained : bool
        Whether its weights are pre-trained. If they are random, accuracies mean nothing.
    head : str
        Name of its classifier: a linear layer, or several with nothing but ReLU and dropout
        between them. What the classifier reads are the network's features.
    """

    name: str
    network: nn.Module
    image: InputSpec | TokenSpec | FrameSpec
    source_accuracy: float | None = None
    from_cache: bool = True
    trained: bool = True
    head: str = "classifier"

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    @property
    def classifier(self) -> nn.Module:
        """The part that reads the features."""
        return self.network.get_submodule(self.head)

    @property
    def linears(self) -> list[nn.Linear]:
        """Copies of the classifier's linear layers that share their memory, first layer first."""
        layers = [m for m in self.classifier.modules() if isinstance(m, nn.Linear)]
        parameters = [p for layer in layers for p in layer.parameters()]
        frozen = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in parameters}
        return [deepcopy(layer, frozen) for layer in layers]

    @cached_property
    def _trunk(self) -> nn.Module:
        """The network with nothing in its classifier's place, which shares its memory."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        trunk = deepcopy(self.network, {id(tensor): tensor for tensor in tensors})
        trunk.set_submodule(self.head, nn.Identity())
        return trunk

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Return prepared images' features, which the classifier reads: shape (n, inputs).

        Large networks get their images with channels last, which is faster (measured).
        """
        if not is_small(self.network):
            images = images.to(memory_format=torch.channels_last)
        features: Tensor = self._trunk(images)
        return features

    def check(self, data: ImageData) -> None:
        """Refuse samples of another kind than it takes."""
        check_kind(self.name, self.image.kind, data)

    @cached_property
    def weight_hash(self) -> str:
        """Hash of all weights, by which gains recognise their network."""
        return self._hashed(self.network.state_dict())

    @cached_property
    def feature_hash(self) -> str:
        """Hash of the weights that features depend on: all but the classifier's."""
        state = self.network.state_dict()
        rest = {k: t for k, t in state.items() if not k.startswith(f"{self.head}.")}
        # By names within a VGG's convolutions, as ever, so that features on disk stay valid.
        return self._hashed({k.removeprefix("features."): t for k, t in rest.items()})

    def _hashed(self, tensors: Mapping[str, Tensor]) -> str:
        found = hash_tensors(tensors)
        # Different models of a library can have tensors of the same names and shapes.
        return digest([self.name, found]) if ":" in self.name else found


def with_weights(
    backbone: Backbone, layers: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
) -> Backbone:
    """Return a backbone whose classifier has other weights, such as those of a chip's codes.

    Parameters
    ----------
    layers : sequence of tuple of array, shapes (out, in) and (out,)
        Weight and bias of each of the classifier's linear layers, first layer first.
    """
    network = deepcopy(backbone.network)
    changed = replace(backbone, network=network, source_accuracy=None)
    for linear, (weight, bias) in zip(changed.linears, layers, strict=True):
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))
    return changed


def load_backbone(
    name: str = "digits-vgg",
    weights: str | Path | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> Backbone:
    """Load a frozen backbone by name.

    Parameters
    ----------
    name : str
        ``"digits-vgg"``, ``"tiny-text"`` or ``"tiny-sound"``, which are pre-trained unless the
        cache holds them, ``"efficientnet-lite0"``, whose ImageNet weights come with the extra
        ``imagenet``, a VGG of torchvision, or any other model of a library, such as
        ``"torchvision:resnet18"`` or ``"timm:resnet18"``.
    weights : path or "random", optional
        File of a library's model's weights: ``.safetensors``, or ``.pth`` as torchvision
        distributes them. Without it, torch's own cache folder must hold the file of a torchvision
        model: nothing is downloaded. ``"random"`` draws weights as before any training: run times
        stay the same, and accuracies mean nothing.
    progress : callable, optional
        Called with epochs done and in all, if the backbone is pre-trained.
    seed : int
        Of random weights.
    """
    if name in RECIPES:
        return _transformer(name, weights, progress, seed)
    if name == LITE0:
        if weights not in (None, "random"):
            raise UserError(
                f"{LITE0} has its weights from a package and takes no weights from a file."
            )
        trained = weights is None
        return Backbone(name, efficientnet_lite0(trained, seed), LITE0_INPUT, trained=trained)
    if name.partition(":")[0] in LIBRARIES:
        if (own := name.partition(":")[2]) in TORCHVISION_VGGS and name != f"timm:{own}":
            raise UserError(f"{name} is called {own} here.")
        model = named_model(name, weights, seed)
        trained = weights != "random"
        return Backbone(name, model.network, model.image, trained=trained, head=model.head)
    if name not in ("digits-vgg", *TORCHVISION_VGGS):
        raise unknown("backbone", name, ("digits-vgg", *RECIPES, LITE0, *TORCHVISION_VGGS))
    if weights == "random":
        with seeded(seed):
            if name == "digits-vgg":
                recipe = PretrainingRecipe()
                return Backbone(name, DigitsVGG(recipe), recipe.image, trained=False)
            network = torchvision.models.get_model(name, weights=None)
        return Backbone(name, network, IMAGENET, trained=False)
    if name == "digits-vgg":
        if weights is not None:
            raise UserError("digits-vgg is trained by its recipe and takes no weights from a file.")
        return pretrain(progress=progress)
    path = torchvision_file(name) if weights is None else Path(weights)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    assign(network, read_weights(path), path, name)
    return Backbone(name, network, IMAGENET)


def takes(name: str) -> str:
    """Return which kind of samples a backbone of some name takes, before it is loaded."""
    return RECIPES[name].kind if name in RECIPES else InputSpec.kind


def _transformer(
    name: str, weights: str | Path | None, progress: Progress | None, seed: int
) -> Backbone:
    """Return one of the project's own small transformers."""
    recipe = RECIPES[name]()
    if weights == "random":
        return Backbone(name, *untrained(recipe, seed), trained=False)
    if weights is not None:
        raise UserError(f"{name} is trained by its recipe and takes no weights from a file.")
    return Backbone(name, *pretrained(recipe, progress))


def pretrain(recipe: PretrainingRecipe | None = None, progress: Progress | None = None) -> Backbone:
    """Return the embedded backbone from the cache, or train it on the source digits.

    It comes with its accuracy on the source digits' test images. `progress` is called with epochs
    done and in all.
    """
    recipe = recipe or PretrainingRecipe()
    wanted = digest(asdict(recipe))
    name = f"digits-vgg-{wanted[:16]}.safetensors"
    path = where_kept(name)
    if path.exists():
        try:
            found = read_tensors(path, EMBEDDED)
            # Version 0.1 wrote no checksum. Another recipe's file may have been given this name.
            if "sha256" not in found.header or digest(found.header["recipe"]) != wanted:
                raise TensorFileError
            with torch.device("meta"):
                network = DigitsVGG(recipe)
            assign(network, found.tensors, path, "digits-vgg")
            return Backbone("digits-vgg", network, recipe.image, found.header["source_accuracy"])
        except TensorFileError:
            log.warning(
                "%s is damaged, of version 0.1 or not neuromod's: it is trained anew.", path
            )
    data = load_digits(recipe.source_classes, recipe.split_seed)
    with seeded(recipe.seed):
        network = DigitsVGG(recipe)
        with threads_for(network):
            _fit(network, recipe, data, progress)
            network.eval().requires_grad_(False)
            normalise(network, _prepared(data, data.split.train, recipe.image)[0], recipe.quantile)
    images, labels = _prepared(data, data.split.test, recipe.image)
    accuracy = float((network(images).argmax(1) == labels).double().mean())
    header = {"recipe": asdict(recipe), "source_accuracy": accuracy}
    with spared():
        write_tensors(to_keep(name), EMBEDDED, header, network.state_dict())
    return Backbone("digits-vgg", network, recipe.image, accuracy, from_cache=False)


def _fit(
    network: nn.Module, recipe: PretrainingRecipe, data: ImageData, progress: Progress | None
) -> None:
    images, labels = _prepared(data, data.split.train, recipe.image)
    steps = -(-len(labels) // recipe.batch_size) * recipe.epochs
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(recipe.epochs):
        for batch in torch.randperm(len(labels)).split(recipe.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
        if progress:
            progress(epoch + 1, recipe.epochs)


@torch.no_grad()
def normalise(network: DigitsVGG, images: Tensor, quantile: float) -> None:
    """Scale features and layers so that their activations on some images reach about 1.

    ReLU passes a factor on to the next layer, so every image keeps its class. But activations now
    have the size of the spikes that replace them, and the weights suit one threshold for all
    layers. This is the data-based normalisation of Diehl et al. (IJCNN 2015), with a quantile
    instead of the maximum as in Rueckauer et al. (Front. Neurosci. 11:682, 2017). The network, in
    evaluation mode, is changed in place. Images have the shape (n, channels, height, width).
    """
    last_convolution = [m for m in network.features if isinstance(m, nn.Conv2d)][-1]
    x = network.avgpool(network.features(images)).flatten(1)
    before = float(x.quantile(quantile))
    _scale(last_convolution, 1 / before, 1 / before)
    for module in network.classifier:
        x = module(x)
        if isinstance(module, nn.Linear):
            after = float(x.relu().quantile(quantile))
            _scale(module, before / after, 1 / after)
            before = after


def _scale(layer: nn.Conv2d | nn.Linear, weight: float, bias: float) -> None:
    layer.weight.mul_(weight)
    if layer.bias is not None:
        layer.bias.mul_(bias)


def _prepared(data: ImageData, indices: np.ndarray, image: InputSpec) -> tuple[Tensor, Tensor]:
    images = torch.stack([image.prepare(data.image(i)) for i in indices])
    return images, torch.from_numpy(data.labels[indices])
