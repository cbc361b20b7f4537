"""A trained feed-forward network as neurons, all images at once as copies in one simulation.

Every neuron is updated once per image (Barton et al. 2022, section 5.1.1), which in time is a
volley: all inputs of a layer arrive together, and its decision is the next layer's volley. The
analog features drive the first layer as charges that are worked out beforehand; biases are
inputs that spike with every volley.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Protocol

import numpy as np
import pandas as pd
from brian2 import Quantity, volt

from neuromod.experiment import (
    Connection,
    Experiment,
    Population,
    Spikes,
    Trace,
    code_pulses,
    mirror_pulses,
    pulses,
)
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.silicon import Layer


class TrainedLayer(Protocol):
    """A layer ``v = gain*(weight @ x + bias)`` of float64 arrays."""

    @property
    def weight(self) -> np.ndarray:
        """Shape (neurons, inputs)."""

    @property
    def bias(self) -> np.ndarray:
        """Shape (neurons,)."""

    @property
    def gain(self) -> np.ndarray:
        """Shape (neurons,)."""


@dataclass(frozen=True, eq=False)
class Volley:
    """A network and its images, as what each neuron gets before its gain.

    Attributes
    ----------
    first : ndarray, shape (images, neurons of the first layer)
        Input of the first layer, bias included.
    weights : tuple of ndarray, each of shape (neurons, inputs)
        Of the layers after the first.
    biases : tuple of ndarray, each of shape (neurons,)
    """

    first: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, features: np.ndarray, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]
    ) -> Volley:
        """Volley of a network's weights and biases, all layers, for some images' features."""
        return cls(features @ weights[0].T + biases[0], tuple(weights[1:]), tuple(biases[1:]))

    @property
    def images(self) -> int:
        """Number of copies of the network."""
        return len(self.first)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Where each layer starts among the neurons of a copy, shape (layers + 1,)."""
        return np.cumsum([0, self.first.shape[1], *(len(w) for w in self.weights)])

    @property
    def neurons(self) -> int:
        """Number of neurons of one copy."""
        return int(self.bounds[-1])

    def index(self, layer: int) -> np.ndarray:
        """Neurons of one layer in all copies, shape (images, neurons of the layer)."""
        first_of_copy = np.arange(self.images)[:, None] * self.neurons
        return first_of_copy + np.arange(self.bounds[layer], self.bounds[layer + 1])

    def from_inputs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Synapses from the inputs, one per layer: input, neuron and weight of each."""
        drives = [self.first, *(np.tile(bias, (self.images, 1)) for bias in self.biases)]
        neurons = [self.index(layer).ravel() for layer in range(len(drives))]
        sources = [np.full(len(n), layer) for layer, n in enumerate(neurons)]
        weights = np.concatenate([drive.ravel() for drive in drives])
        return np.concatenate(sources), np.concatenate(neurons), weights

    def between_layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Synapses between layers, those of weight 0 left out: neuron, neuron and weight."""
        nothing = np.zeros(0, dtype=int)
        parts = [(nothing, nothing, nothing)]
        for layer, weight in enumerate(self.weights):
            to, come_from = np.nonzero(weight)
            i = self.index(layer)[:, come_from].ravel()
            j = self.index(layer + 1)[:, to].ravel()
            parts.append((i, j, np.tile(weight[to, come_from], self.images)))
        i, j, w = (np.concatenate(part) for part in zip(*parts, strict=True))
        return i, j, w

    def split(self, by_neuron: np.ndarray) -> list[np.ndarray]:
        """Values of all neurons as one array per layer, each (images, neurons of the layer)."""
        copies = by_neuron.reshape(self.images, self.neurons)
        return np.split(copies, self.bounds[1:-1], axis=1)


def on_cells(
    neuron: GainLIF,
    layers: Sequence[TrainedLayer],
    theta: float,
    features: np.ndarray,
    latency: Quantity,
    dt: Quantity,
    seed: int,
) -> tuple[Volley, Experiment]:
    """A spiking network as biological neurons whose gain holds the trained gains.

    A delta synapse is a pulse one time step long, of the height that moves a neuron at rest by
    its weight; a trained threshold `theta` corresponds to the way from rest to threshold.

    Parameters
    ----------
    neuron : GainLIF
        With ``synapse="pulse"``.
    layers : sequence of TrainedLayer
    theta : float
        Threshold in training.
    features : ndarray, shape (images, inputs)
    latency : Quantity
        Delay of every synapse, seconds.
    dt : Quantity
        Time step, seconds.
    seed : int
        Of the experiment that this is part of.

    Returns
    -------
    tuple of (Volley, Experiment)
        The population is called ``"cell"``; the first image's neurons are traced.
    """
    volley = Volley.of(features, [la.weight for la in layers], [la.bias for la in layers])
    gain = np.tile(np.concatenate([layer.gain for layer in layers]), volley.images)
    reached = float(-np.expm1(-dt / neuron.tau_m))
    unit = (neuron.v_th - neuron.v_rest) / (theta * neuron.R * reached)
    population = Population("cell", neuron, len(gain), {"trained_gain": gain})
    connections = tuple(
        connection
        for source, (i, j, w) in (
            ("inputs", volley.from_inputs()),
            ("cell", volley.between_layers()),
        )
        for connection in pulses(source, "cell", "I_syn", i, j, w * unit, dt, latency)
    )
    return volley, _experiment(volley, population, connections, latency + dt, dt, seed)


def on_circuit(
    circuit: CircuitNeuron,
    layers: Sequence[Layer],
    features: np.ndarray,
    dt: Quantity,
    seed: int,
) -> tuple[Volley, Experiment]:
    """A spiking network as circuit neurons, each at its own supply voltage.

    Parameters
    ----------
    circuit : CircuitNeuron
    layers : sequence of Layer
    features : ndarray, shape (images, inputs)
        They set the charge of the first layer's pulses through the same codes and supplies as
        all others.
    dt : Quantity
        Time step, seconds.
    seed : int
        Of the experiment that this is part of.

    Returns
    -------
    tuple of (Volley, Experiment)
        The population is called ``"chip"``; the first image's neurons are traced.
    """
    volley = Volley.of(features, [la.codes for la in layers], [la.bias_codes for la in layers])
    vdd = (
        np.tile(np.concatenate([np.asarray(la.vdd / volt) for la in layers]), volley.images) * volt
    )
    population = Population("chip", circuit, len(vdd), {"vdd": vdd})
    i, j, w = volley.between_layers()
    source, neuron, _ = volley.from_inputs()
    connections = (
        *mirror_pulses("inputs", "chip", source, neuron, *_bundles(layers, features),
                       circuit.t_pulse),
        *code_pulses("chip", "chip", i, j, w, circuit.t_pulse),
    )  # fmt: skip
    return volley, _experiment(volley, population, connections, circuit.t_pulse + dt, dt, seed)


def _bundles(layers: Sequence[Layer], features: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of the synapses from the inputs: units up and down, and references, in their order.

    All features of an image that reach a neuron are one bundle; every one has its reference.
    """
    above, below = np.maximum(features, 0), np.maximum(-features, 0)
    parts = []
    for number, layer in enumerate(layers):
        bias = np.tile(layer.bias_codes, (len(features), 1))
        bundle = [np.maximum(bias, 0), np.maximum(-bias, 0), bias != 0]
        if number == 0:
            onto, off = np.maximum(layer.codes, 0).T, np.maximum(-layer.codes, 0).T
            wired = (features != 0) * 1.0 @ (layer.codes != 0).T
            from_features = (above @ onto + below @ off, above @ off + below @ onto, wired)
            bundle = [own + more for own, more in zip(bundle, from_features, strict=True)]
        parts.append([value.ravel() for value in bundle])
    return tuple(np.concatenate(kind) for kind in zip(*parts, strict=True))


def _experiment(
    volley: Volley,
    population: Population,
    connections: tuple[Connection, ...],
    period: Quantity,
    dt: Quantity,
    seed: int,
) -> Experiment:
    """Volleys one period apart: an input's spike, and a layer's, reach the next after one."""
    layers = len(volley.bounds) - 1
    inputs = Spikes("inputs", layers, np.arange(layers), np.arange(layers) * period)
    trace = Trace(population.name, ("v",), np.arange(volley.neurons))
    # One period after the last decision, so that traces show what follows it.
    duration = (layers + 1) * period
    return Experiment((population,), (inputs,), connections, (trace,), duration, dt, seed)


def agreement(sides: Mapping[str, Sequence[np.ndarray]]) -> pd.DataFrame:
    """How far several realisations of a network agree, neuron by neuron and image by image.

    Parameters
    ----------
    sides : mapping of str to sequence of ndarray, each of shape (images, neurons of the layer)
        Spikes of every layer by realisation.

    Returns
    -------
    DataFrame
        One row per pair and layer: ``neurons`` compared over all images, how many ``differ``,
        the share that agrees, and the share of images whose whole layer agrees.
    """
    rows = []
    for (a, of_a), (b, of_b) in combinations(sides.items(), 2):
        same = [np.equal(x > 0, y > 0) for x, y in zip(of_a, of_b, strict=True)]
        names = [*(f"hidden {n + 1}" for n in range(len(same) - 1)), "output", "all"]
        for name, layer in zip(names, [*same, np.hstack(same)], strict=True):
            differ = layer.size - int(layer.sum())
            rows.append((f"{a} – {b}", name, layer.size, differ, layer.mean(),
                         layer.all(axis=1).mean()))  # fmt: skip
    columns = ["pair", "layer", "neurons", "differ", "neurons_agree", "images_agree"]
    return pd.DataFrame(rows, columns=columns)


def accuracy(output: np.ndarray, labels: np.ndarray) -> float:
    """Share of images for which the right output neuron fires and no other does.

    Parameters
    ----------
    output : ndarray, shape (images, classes)
        Spikes of the output layer.
    labels : ndarray of int, shape (images,)

    Returns
    -------
    float
        Chance is ``1/2**classes`` (Barton et al. 2022, equation 1).
    """
    right = (output > 0) == (labels[:, None] == np.arange(output.shape[1]))
    return float(right.all(axis=1).mean())
