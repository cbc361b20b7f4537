"""Which image is shown when, and what the cells' answers say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from brian2 import Quantity, second
from sklearn.datasets import load_digits

from neuromod.experiment import Spikes

LEARNING, LABELLED, TESTED = range(3)
PIXELS = 64


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of one network: some to learn, of which some label the cells, and others to recall.

    Attributes
    ----------
    classes : tuple of int
    pixels : ndarray, shape (images, 64)
        From 0 to 1.
    parts : list of list of ndarray of int
        Images of each class, by what they are for: `LEARNING`, `LABELLED` or `TESTED`.
    """

    classes: tuple[int, ...]
    pixels: np.ndarray
    parts: list[list[np.ndarray]]

    @classmethod
    def drawn(
        cls, classes: Sequence[int], counts: tuple[int, int, int], generator: np.random.Generator
    ) -> Digits:
        """Draw so many images of each class for learning, labelling and testing."""
        digits = load_digits()
        learning, labelled, tested = counts
        parts: list[list[np.ndarray]] = [[], [], []]
        for name in classes:
            own = generator.permutation(np.flatnonzero(digits.target == name))
            parts[LEARNING].append(own[:learning])
            parts[LABELLED].append(own[:labelled])
            parts[TESTED].append(own[learning : learning + tested])
        return cls(tuple(classes), digits.images.reshape(-1, PIXELS) / 16, parts)


def fewest(classes: Sequence[int]) -> int:
    """Images that there are of the class with the fewest."""
    return int(np.bincount(load_digits().target)[list(classes)].min())


@dataclass(frozen=True, eq=False)
class Showings:
    """Images shown to several networks side by side, one after another.

    Attributes
    ----------
    kind : ndarray of int, shape (showings,)
        `LEARNING`, `LABELLED` or `TESTED`; synapses change in the first alone.
    stage : ndarray of int, shape (showings,)
    place : ndarray of int, shape (networks, showings)
        Which of the classes, by its place in their order.
    image : ndarray of int, shape (networks, showings)
    """

    kind: np.ndarray
    stage: np.ndarray
    place: np.ndarray
    image: np.ndarray

    @property
    def recalls(self) -> np.ndarray:
        """Number of the first showing of every recall, and of the first after it, in turn."""
        asked = np.append(self.kind != LEARNING, False)
        return np.flatnonzero(np.diff(np.insert(asked, 0, False).astype(int)))


def in_sequence(networks: Sequence[Digits], generator: np.random.Generator) -> Showings:
    """One class after another; after each, all classes shown so far are recalled."""
    rows = []
    for stage in range(len(networks[0].classes)):
        rows.append(_shown(networks, LEARNING, stage, [stage], generator))
        for kind in (LABELLED, TESTED):
            rows.append(_shown(networks, kind, stage, range(stage + 1)))
    return _joined(rows)


def mixed(
    networks: Sequence[Digits], generator: np.random.Generator, learning: bool = True
) -> Showings:
    """All classes in random order, or no learning at all; then all are recalled."""
    last, every = len(networks[0].classes) - 1, range(len(networks[0].classes))
    rows = [_shown(networks, LEARNING, last, every, generator)] if learning else []
    rows += [_shown(networks, kind, last, every) for kind in (LABELLED, TESTED)]
    return _joined(rows)


def _shown(
    networks: Sequence[Digits],
    kind: int,
    stage: int,
    places: Sequence[int],
    generator: np.random.Generator | None = None,
) -> Showings:
    """Images of some classes, in random order if there is a generator."""
    image: list[np.ndarray] = []
    place: list[np.ndarray] = []
    for digits in networks:
        parts = [digits.parts[kind][k] for k in places]
        own = np.repeat(places, [len(part) for part in parts])
        order = np.arange(len(own)) if generator is None else generator.permutation(len(own))
        image.append(np.concatenate(parts)[order])
        place.append(own[order])
    count = len(place[0])
    return Showings(np.full(count, kind), np.full(count, stage), np.array(place), np.array(image))


def _joined(rows: Sequence[Showings]) -> Showings:
    names = ("kind", "stage", "place", "image")
    return Showings(*(np.concatenate([getattr(r, n) for r in rows], axis=-1) for n in names))


def pixel_spikes(
    name: str,
    networks: Sequence[Digits],
    showings: Showings,
    chance: float,
    steps: tuple[int, int],
    dt: Quantity,
    generator: np.random.Generator,
) -> Spikes:
    """Spikes of the pixels of all networks: independent in every step of a showing.

    Parameters
    ----------
    chance : float
        Expected spikes of all pixels together in a step, whatever the image's ink.
    steps : tuple of int
        Steps for which an image is shown, and from one image to the next.
    dt : Quantity
        Time step, seconds.
    """
    on, each = steps
    neurons: list[np.ndarray] = []
    times: list[np.ndarray] = []
    for showing in range(len(showings.kind)):
        shown = zip(networks, showings.image[:, showing], strict=True)
        ink = np.concatenate([digits.pixels[image] for digits, image in shown])
        share = ink.reshape(len(networks), PIXELS)
        share = share / share.sum(axis=1, keepdims=True)
        step, neuron = np.nonzero(generator.random((on, ink.size)) < chance * share.ravel())
        neurons.append(neuron)
        times.append(step + showing * each)
    at = np.concatenate(times) * float(dt / second)
    return Spikes(name, len(networks) * PIXELS, np.concatenate(neurons), at * second)


def counted(spikes: Spikes, showings: int, each: int, dt: Quantity) -> np.ndarray:
    """Spikes of every cell in every showing, shape (cells, showings)."""
    step = np.round(np.asarray(spikes.times / dt)).astype(int)
    found = np.bincount(spikes.neurons * showings + step // each, minlength=spikes.size * showings)
    return found.reshape(spikes.size, showings)


def labels(counts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Class to whose images every cell answers most, on average (Diehl & Cook 2015).

    Parameters
    ----------
    counts : ndarray, shape (cells, showings)
    place : ndarray of int, shape (showings,)
        Class of every image.

    Returns
    -------
    ndarray of int, shape (cells,)
        -1 for cells that never spiked; of equals the first.
    """
    known = np.unique(place)
    mean = np.stack([counts[:, place == one].mean(axis=1) for one in known])
    return np.where(mean.max(axis=0) > 0, known[mean.argmax(axis=0)], -1)


def votes(counts: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Class whose cells answer most to an image, on average over them (Diehl & Cook 2015).

    Parameters
    ----------
    counts : ndarray, shape (cells, showings)
    label : ndarray of int, shape (cells,)
        See `labels`.

    Returns
    -------
    ndarray of int, shape (showings,)
        -1 where no labelled cell spiked; of equals the first.
    """
    known = np.unique(label[label >= 0])
    if not len(known):
        return np.full(counts.shape[1], -1)
    mean = np.stack([counts[label == one].mean(axis=0) for one in known])
    return np.where(mean.max(axis=0) > 0, known[mean.argmax(axis=0)], -1)
