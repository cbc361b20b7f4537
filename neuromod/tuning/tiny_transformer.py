"""Small transformers of words or of sounds, pre-trained here on a source task and then kept.

Both are one network: an encoder whose layers look at all positions of a sample (Vaswani et al.,
NeurIPS 2017), with layer norm before attention and feed-forward (Xiong et al., ICML 2020), the mean
over positions, and a linear head. Its parts are plain linear layers, so that `attach` tunes each.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from neuromod.support.cache import digest, spared, to_keep, where_kept
from neuromod.support.tensor_file import (
    Kind,
    TensorFileError,
    check_fit,
    read_tensors,
    write_tensors,
)
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, IntArray
from neuromod.tuning.datasets.sounds import SOURCE_TIMBRES, FrameSpec, SoundRecipe, load_timbres
from neuromod.tuning.datasets.texts import (
    PADDING,
    SOURCE_TOPICS,
    TEXTS_VERSION,
    UNKNOWN,
    TokenSpec,
    load_docstrings,
    versions,
    vocabulary_of,
)
from neuromod.tuning.hardware import seeded, threads_for
from neuromod.tuning.row_file import Progress

log = logging.getLogger(__name__)

KEPT = Kind("file of a small transformer", "neuromod-transformer-1")


@dataclass(frozen=True)
class TransformerRecipe:
    """What determines a small transformer's weights; with the source's `origin`, its cache key.

    All values are chosen here: the network is small enough to be trained in a minute on one core.

    Attributes
    ----------
    width : int
        Of a position's vector.
    heads, layers, hidden : int
        Heads of attention, encoder layers, and hidden neurons of a feed-forward part.
    dropout : float
        Of positions' vectors and of the feed-forward parts' hidden neurons, in pre-training.
    epochs, lr, batch_size, weight_decay
        Of Adam with decoupled weight decay, on cross entropy; the learning rate falls to zero as
        a cosine.
    version : int
        Increased with every change of the code that changes the weights.
    """

    name: ClassVar[str]
    kind: ClassVar[str]

    width: int = 32
    heads: int = 4
    layers: int = 2
    hidden: int = 64
    dropout: float = 0.1
    epochs: int = 12
    lr: float = 3e-3
    batch_size: int = 32
    weight_decay: float = 1e-2
    seed: int = 20225
    split_seed: int = SPLIT_SEED
    version: int = 1

    def origin(self) -> dict[str, str]:
        """Return what the source task depends on beside the recipe."""
        raise NotImplementedError

    def source(self) -> ImageData:
        """Return the source task."""
        raise NotImplementedError

    def spec(self, data: ImageData) -> TokenSpec | FrameSpec:
        """Return the format of the network's input, from the source task."""
        raise NotImplementedError

    def kept_spec(self, vocabulary: Sequence[str]) -> TokenSpec | FrameSpec:
        """Return the same from the vocabulary that was kept, which is empty for sounds."""
        raise NotImplementedError

    def spoilt(self, inputs: Tensor) -> Tensor:
        """Return inputs as they are trained with, which may lack some of what they had."""
        return inputs


@dataclass(frozen=True)
class TextRecipe(TransformerRecipe):
    """A transformer of words, which tells the topics of docstrings.

    Attributes
    ----------
    topics : tuple of str
        Of the source task.
    per_topic : int
        Its texts of each topic at most; more than the target has, since words are learnt here.
    words : int
        Size of the vocabulary: the most frequent words of its training texts.
    hidden_words : float
        Fraction of the words that are unknown ones in training, as many are in other texts.
    texts : int
        Version of the texts.
    """

    name: ClassVar[str] = "tiny-text"
    kind: ClassVar[str] = TokenSpec.kind

    topics: tuple[str, ...] = SOURCE_TOPICS
    per_topic: int = 1000
    words: int = 1000
    hidden_words: float = 0.2
    texts: int = TEXTS_VERSION

    def origin(self) -> dict[str, str]:
        return versions(self.topics)

    def source(self) -> ImageData:
        return load_docstrings(self.topics, self.split_seed, self.per_topic)

    def spec(self, data: ImageData) -> TokenSpec:
        return TokenSpec(vocabulary_of(data, self.words))

    def kept_spec(self, vocabulary: Sequence[str]) -> TokenSpec:
        return TokenSpec(tuple(vocabulary))

    def spoilt(self, inputs: Tensor) -> Tensor:
        hidden = (torch.rand(inputs.shape) < self.hidden_words) & (inputs != PADDING)
        return inputs.masked_fill(hidden, UNKNOWN)


@dataclass(frozen=True)
class SoundNetworkRecipe(TransformerRecipe):
    """A transformer of sounds, which tells timbres.

    Attributes
    ----------
    timbres : tuple of str
        Of the source task.
    sounds : SoundRecipe
        Of its notes.
    frames : FrameSpec
    """

    name: ClassVar[str] = "tiny-sound"
    kind: ClassVar[str] = FrameSpec.kind

    timbres: tuple[str, ...] = SOURCE_TIMBRES
    sounds: SoundRecipe = field(default_factory=SoundRecipe)
    frames: FrameSpec = field(default_factory=FrameSpec)
    epochs: int = 20

    def origin(self) -> dict[str, str]:
        return {}

    def source(self) -> ImageData:
        return load_timbres(self.timbres, self.split_seed, self.sounds)

    def spec(self, data: ImageData) -> FrameSpec:  # noqa: ARG002
        return self.frames

    def kept_spec(self, vocabulary: Sequence[str]) -> FrameSpec:  # noqa: ARG002
        return self.frames


RECIPES: dict[str, type[TextRecipe] | type[SoundNetworkRecipe]] = {
    recipe.name: recipe for recipe in (TextRecipe, SoundNetworkRecipe)
}
"""Recipes of the small transformers, by the backbone's name."""


class Attention(nn.Module):
    """Attention of every position to all that are not padding, in several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, there[:, None, None])
        found: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return found


class EncoderLayer(nn.Module):
    """Attention and a feed-forward part, each added to what it reads."""

    def __init__(self, recipe: TransformerRecipe) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(recipe.width)
        self.attention = Attention(recipe.width, recipe.heads)
        self.feed_norm = nn.LayerNorm(recipe.width)
        self.feed = nn.Sequential(
            nn.Linear(recipe.width, recipe.hidden),
            nn.GELU(),
            nn.Dropout(recipe.dropout),
            nn.Linear(recipe.hidden, recipe.width),
        )

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), there)
        fed: Tensor = x + self.feed(self.feed_norm(x))
        return fed


class Encoder(nn.Module):
    """Words, shape (n, length), or frames, shape (n, length, bands), to (n, width)."""

    def __init__(self, recipe: TransformerRecipe, spec: TokenSpec | FrameSpec) -> None:
        super().__init__()
        self.of_words = isinstance(spec, TokenSpec)
        self.embedding = (
            nn.Embedding(spec.n_numbers, recipe.width)
            if isinstance(spec, TokenSpec)
            else nn.Linear(spec.bands, recipe.width)
        )
        self.positions = nn.Parameter(0.1 * torch.randn(spec.length, recipe.width))
        self.dropout = nn.Dropout(recipe.dropout)
        self.layers = nn.ModuleList(EncoderLayer(recipe) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(recipe.width)

    def forward(self, x: Tensor) -> Tensor:
        there = x != PADDING if self.of_words else x.new_ones(x.shape[:2], dtype=torch.bool)
        x = self.dropout(self.embedding(x) + self.positions)
        for layer in self.layers:
            x = layer(x, there)
        weight = there.to(x)[..., None]
        mean: Tensor = (self.norm(x) * weight).sum(1) / weight.sum(1).clamp(min=1)
        return mean


class TinyTransformer(nn.Module):
    """An `Encoder` and a linear head, in the parts that a backbone has."""

    def __init__(
        self, recipe: TransformerRecipe, spec: TokenSpec | FrameSpec, n_classes: int
    ) -> None:
        super().__init__()
        self.features = Encoder(recipe, spec)
        self.avgpool = nn.Identity()
        self.classifier = nn.Sequential(nn.Linear(recipe.width, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)))
        return logits


class Pretrained(NamedTuple):
    """A pre-trained transformer, in evaluation mode, and the format of its input.

    Attributes
    ----------
    source_accuracy : float
        Fraction of the source task's test samples classified right.
    from_cache : bool
        Whether it was on disk already.
    """

    network: TinyTransformer
    spec: TokenSpec | FrameSpec
    source_accuracy: float
    from_cache: bool


def pretrained(recipe: TransformerRecipe, progress: Progress | None = None) -> Pretrained:
    """Return a recipe's transformer from the cache, or train it on its source task.

    Parameters
    ----------
    progress : callable, optional
        Called with epochs done and in all, if it is trained.
    """
    about = {"recipe": asdict(recipe), "origin": recipe.origin()}
    wanted = digest([recipe.name, about])
    name = f"{recipe.name}-{wanted[:16]}.safetensors"
    path = where_kept(name)
    if path.exists():
        try:
            return _read(path, recipe, wanted)
        except TensorFileError:
            log.warning("%s is damaged or not neuromod's: it is trained anew.", path)
    data = recipe.source()
    spec = recipe.spec(data)
    with seeded(recipe.seed):
        network = TinyTransformer(recipe, spec, len(data.classes))
        with threads_for(network):
            _fit(network, recipe, *_prepared(data, data.split.train, spec), progress)
            network.eval().requires_grad_(False)
            inputs, labels = _prepared(data, data.split.test, spec)
            accuracy = float((network(inputs).argmax(1) == labels).double().mean())
    words = spec.vocabulary if isinstance(spec, TokenSpec) else ()
    header = {**about, "vocabulary": words, "source_accuracy": accuracy}
    with spared():
        write_tensors(to_keep(name), KEPT, header, network.state_dict())
    return Pretrained(network, spec, accuracy, from_cache=False)


def untrained(
    recipe: TransformerRecipe, seed: int
) -> tuple[TinyTransformer, TokenSpec | FrameSpec]:
    """Return a recipe's transformer as before any training, and the format of its input."""
    data = recipe.source()
    spec = recipe.spec(data)
    with seeded(seed):
        return TinyTransformer(recipe, spec, len(data.classes)).eval(), spec


def _read(path: Path, recipe: TransformerRecipe, wanted: str) -> Pretrained:
    found = read_tensors(path, KEPT)
    about = {part: found.header.get(part) for part in ("recipe", "origin")}
    # Another recipe's file may have been given this name.
    if digest([recipe.name, about]) != wanted:
        raise TensorFileError(f"{path} is of another recipe.")
    spec = recipe.kept_spec(found.header["vocabulary"])
    n_classes = len(found.tensors["classifier.0.bias"])
    with torch.device("meta"):
        network = TinyTransformer(recipe, spec, n_classes)
    check_fit(str(path), found.tensors, network.state_dict(), recipe.name)
    network.load_state_dict(found.tensors, assign=True)
    network.eval().requires_grad_(False)
    return Pretrained(network, spec, found.header["source_accuracy"], from_cache=True)


def _fit(
    network: nn.Module,
    recipe: TransformerRecipe,
    inputs: Tensor,
    labels: Tensor,
    progress: Progress | None,
) -> None:
    steps = -(-len(labels) // recipe.batch_size) * recipe.epochs
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(recipe.epochs):
        for batch in torch.randperm(len(labels)).split(recipe.batch_size):
            optimizer.zero_grad()
            outputs = network(recipe.spoilt(inputs[batch]))
            nn.functional.cross_entropy(outputs, labels[batch]).backward()
            optimizer.step()
            schedule.step()
        if progress:
            progress(epoch + 1, recipe.epochs)


def _prepared(
    data: ImageData, indices: IntArray, spec: TokenSpec | FrameSpec
) -> tuple[Tensor, Tensor]:
    inputs = torch.stack([spec.prepare(data.image(int(i))) for i in indices])
    return inputs, torch.from_numpy(data.labels[indices])
