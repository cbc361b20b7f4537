"""Texts to tell apart: what the docstrings of installed packages are about.

The packages are ones that the project depends on, all under free licences
(docs/how-to/text-and-sound.md). Their files are read and none is run. The small text transformer is
pre-trained on `SOURCE_TOPICS`; the target task has others. Prose alone is kept, without code, names
in it or names of packages, so that a topic is told by what is said about it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from neuromod.errors import UserError, unknown
from neuromod.support.cache import digest
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, stratified_split

TOPICS = {
    "arrays": ("numpy",),
    "tables": ("pandas/core",),
    "plots": ("matplotlib",),
    "algebra": ("sympy/combinatorics", "sympy/geometry", "sympy/physics"),
    "networks": ("torch/nn", "torch/distributions", "torch/optim", "torchvision"),
    "numerics": ("scipy/linalg", "scipy/optimize", "scipy/sparse", "scipy/special"),
    "statistics": ("scipy/stats",),
    "signals": ("scipy/signal", "scipy/ndimage", "scipy/fft", "scipy/interpolate"),
    "graphs": ("networkx/algorithms",),
    "learning": ("sklearn/linear_model", "sklearn/ensemble", "sklearn/cluster", "sklearn/metrics"),
    "recordings": ("elephant", "neo"),
}
"""Folders of packages whose docstrings are about each topic (chosen here: several hundred each)."""

PROJECTS = {"sklearn": "scikit-learn"}
"""Names by which packages are installed, where they are others."""

SOURCE_TOPICS = ("arrays", "tables", "plots", "algebra", "networks", "numerics")
TARGET_TOPICS = ("statistics", "signals", "graphs", "learning", "recordings")

TEXTS_VERSION = 1
"""Increased with every change of this module that changes the texts."""

PER_TOPIC = 500
"""Texts of a topic in the target task (chosen here)."""

DRAWN_BY = 20223
"""Seed that draws them (chosen: any would do)."""

SHORTEST, LONGEST = 12, 48
"""Words of a text: those with fewer are left out, and others end there (chosen here)."""

TELLTALE = re.compile(
    "elephant|matplotlib|neo|networkx|numpy|pandas|scipy|sklearn|sympy|torch|torchvision|"
    "artists?|axes|dataframes?|estimators?|index|modules?|ndarrays?|series|spiketrains?|tensors?|"
    "edges?|figures?|graphs?|nodes?|signals?|spikes?"
)
"""Words that are left out: packages' names, those of their main objects, and topics' own (chosen
here)."""

PADDING, UNKNOWN = 0, 1
"""Numbers of no word, and of a word that is not in the vocabulary."""

NOT_PROSE = re.compile(r":[\w:]+:`[^`]*`|`+[^`]*`+|^\s*(>>>|\.\.).*$", re.MULTILINE)
AFTER_PROSE = re.compile(r"^\s*(Examples?|References|See Also):?\s*$", re.MULTILINE)
WORD = re.compile(r"[A-Za-z]?[a-z]+")


@dataclass(frozen=True)
class TokenSpec:
    """The format of a text transformer's input: a number for each word.

    Attributes
    ----------
    vocabulary : tuple of str
        Known words; word i has the number i + 2, after those of padding and of unknown words.
    length : int
        Words of a text; shorter ones are padded at their end, longer ones cut.
    """

    kind: ClassVar[str] = "texts"

    vocabulary: tuple[str, ...]
    length: int = LONGEST

    @property
    def n_numbers(self) -> int:
        """Numbers that there are."""
        return len(self.vocabulary) + 2

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.vocabulary, UNKNOWN + 1)}

    def prepare(self, text: Tensor) -> Tensor:
        """Turn a text, UTF-8 as uint8 of shape (bytes,), into numbers of shape (length,).

        Raises
        ------
        UserError
            If the sample is no text.
        """
        if text.dtype != torch.uint8 or text.dim() != 1:
            raise UserError(
                f"A text backbone reads texts, and not samples of shape {tuple(text.shape)} and "
                f"type {text.dtype}."
            )
        words = text_of(text).split()[: self.length]
        found = [self._numbers.get(word, UNKNOWN) for word in words]
        return torch.tensor(found + [PADDING] * (self.length - len(found)))


def load_docstrings(
    topics: Sequence[str] = TARGET_TOPICS, split_seed: int = SPLIT_SEED, per_topic: int = PER_TOPIC
) -> ImageData:
    """Load docstrings on some of `TOPICS` from the packages that are installed (no download).

    Other versions of the packages make another data set: they are part of its identity.

    Parameters
    ----------
    topics : sequence of str
        Some of `TOPICS`.
    split_seed : int
    per_topic : int
        Texts of a topic, drawn at random; all of them, where there are fewer.

    Returns
    -------
    ImageData
        Its samples are texts of lower-case words, UTF-8 as uint8 of shape (bytes,), where images
        have pixels. Label i is ``topics[i]``.

    Raises
    ------
    UserError
        If a topic is unknown, or a package or its text is missing.
    """
    for topic in topics:
        if topic not in TOPICS:
            raise unknown("topic of docstrings", topic, TOPICS)
    by_topic = [_of_topic(topic)[:per_topic] for topic in topics]
    texts = [text for own in by_topic for text in own]
    labels = np.repeat(np.arange(len(topics)), [len(own) for own in by_topic]).astype(np.int64)
    return ImageData(
        name="docstrings on " + ", ".join(topics),
        classes=tuple(topics),
        image=lambda index: as_bytes(texts[index]),
        labels=labels,
        split=stratified_split(labels, split_seed),
        identity=digest([versions(topics), texts, labels.tolist()]),
        kind=TokenSpec.kind,
    )


def versions(topics: Sequence[str]) -> dict[str, str]:
    """Return the versions of the packages that some topics' docstrings come from."""
    packages = {folder.split("/")[0] for topic in topics for folder in TOPICS[topic]}
    return {name: version(PROJECTS.get(name, name)) for name in sorted(packages)}


def vocabulary_of(data: ImageData, size: int) -> tuple[str, ...]:
    """Return the most frequent words of a data set's training texts, most frequent first."""
    counts = Counter(w for i in data.split.train for w in text_of(data.image(int(i))).split())
    # Words as frequent come by the alphabet, on every machine.
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:size])


def as_bytes(text: str) -> Tensor:
    """Return a text as a tensor of its UTF-8."""
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def text_of(sample: Tensor) -> str:
    """Return the text that a tensor of UTF-8 holds."""
    return bytes(sample.tolist()).decode()


def prose(docstring: str) -> str:
    """Return a docstring's first words of prose, in lower case and without `TELLTALE` ones.

    Code, references, what stands in backquotes and words with digits, underscores, dots or
    capitals inside are left out.
    """
    plain = NOT_PROSE.sub(" ", AFTER_PROSE.split(docstring, maxsplit=1)[0])
    bare = (piece.strip(".,;:()[]{}\"'!?*") for piece in re.split(r"[\s/-]+", plain))
    words = (w.lower() for w in bare if len(w) > 1 and WORD.fullmatch(w))
    return " ".join([word for word in words if not TELLTALE.fullmatch(word)][:LONGEST])


@cache
def _of_topic(topic: str) -> tuple[str, ...]:
    """All different texts of a topic, in an order that was drawn at random."""
    every = dict.fromkeys(
        text
        for folder in TOPICS[topic]
        for docstring in _docstrings(_installed(folder))
        if (text := prose(docstring)).count(" ") >= SHORTEST - 1
    )
    if not every:
        raise UserError(f"The installed {', '.join(TOPICS[topic])} have no docstrings to read.")
    order = np.random.default_rng(DRAWN_BY).permutation(len(every))
    texts = list(every)
    return tuple(texts[index] for index in order)


def _installed(folder: str) -> Path:
    package, *inside = folder.split("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"The docstrings of {package} are missing: install it.")
    return Path(found.submodule_search_locations[0], *inside)


def _docstrings(folder: Path) -> Iterator[str]:
    """Docstrings of all classes and functions in a folder, file by file, without tests."""
    for path in sorted(folder.rglob("*.py"), key=lambda p: p.relative_to(folder).as_posix()):
        if not {"test", "tests"} & set(path.relative_to(folder).parts):
            yield from _inside(ast.parse(path.read_bytes()))


def _inside(tree: ast.AST) -> Iterator[str]:
    for node in getattr(tree, "body", ()):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if docstring := ast.get_docstring(node):
                yield docstring
            yield from _inside(node)
