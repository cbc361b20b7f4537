"""Trained feed-forward networks as neurons, all images at once as copies in one simulation.

Every neuron is updated once per image (Barton et al. 2022, section 5.1.1), which in time is a
volley: all inputs of a layer arrive together, and its decision is the next layer's volley. The
analog features drive the first layer as charges that are worked out beforehand; biases are
inputs that spike with every volley.

With counted spikes (as in section 6.2) there are several volleys one after another, a spike of
every active input in some of them; neurons integrate over all, and numbers are spikes per train.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import pandas as pd
from brian2 import Quantity, second, volt

from neuromod.chip.conversion import Layer
from neuromod.errors import UserError
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
    first : ndarray, shape (volleys, images, neurons of the first layer)
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
        """Volleys of a network's weights and biases, all layers.

        Parameters
        ----------
        features : ndarray, shape (volleys, images, inputs)
        weights, biases : sequence of ndarray
        """
        return cls(features @ weights[0].T + biases[0], tuple(weights[1:]), tuple(biases[1:]))

    @property
    def images(self) -> int:
        """Number of copies of the network."""
        return len(self.first[0])

    @cached_property
    def bounds(self) -> np.ndarray:
        """Where each layer starts among the neurons of a copy, shape (layers + 1,)."""
        return np.cumsum([0, self.first.shape[2], *(len(w) for w in self.weights)])

    @property
    def neurons(self) -> int:
        """Number of neurons of one copy."""
        return int(self.bounds[-1])

    def index(self, layer: int) -> np.ndarray:
        """Neurons of one layer in all copies, shape (images, neurons of the layer)."""
        first_of_copy = np.arange(self.images)[:, None] * self.neurons
        return first_of_copy + np.arange(self.bounds[layer], self.bounds[layer + 1])

    def from_inputs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Synapses from the inputs: input, neuron and weight of each.

        There is one input for every volley into the first layer, then one for the biases of
        every later layer.
        """
        drives = [*self.first, *(np.tile(bias, (self.images, 1)) for bias in self.biases)]
        layers = [0] * len(self.first) + [*range(1, len(self.biases) + 1)]
        neurons = [self.index(layer).ravel() for layer in layers]
        sources = [np.full(len(n), source) for source, n in enumerate(neurons)]
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
    volley = Volley.of(features[None], [la.weight for la in layers], [la.bias for la in layers])
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
    return volley, _experiment(volley, population, connections, latency + dt, latency, dt, seed)


def on_circuit(
    circuit: CircuitNeuron,
    networks: Sequence[Sequence[Layer]],
    volleys: np.ndarray,
    period: Quantity,
    dt: Quantity,
    seed: int,
) -> tuple[Volley, Experiment]:
    """Spiking networks as circuit neurons, each neuron at its own supply voltage.

    Parameters
    ----------
    circuit : CircuitNeuron
    networks : sequence of sequence of Layer
        Networks of the same sizes, which all get all images; they lie one after another in the
        population.
    volleys : ndarray, shape (volleys, images, inputs)
        Features set the charge of the first layer's pulses through the same codes and supplies
        as all others; of counted spikes each is 0 or 1.
    period : Quantity
        From one volley to the next, seconds.
    dt : Quantity
        Time step, seconds.
    seed : int
        Of the experiment that this is part of.

    Returns
    -------
    tuple of (Volley, Experiment)
        Where the first network's neurons are, and the experiment. The population is called
        ``"chip"``; the first image's neurons in the first network are traced.

    Raises
    ------
    UserError
        When a volley comes while neurons are still held at reset by a spike of the one before.
    """
    delay = circuit.t_pulse + dt
    if len(volleys) > 1 and period < delay + circuit.t_spike + dt:
        raise UserError(
            f"A period of {period} is too short: {delay + circuit.t_spike + dt} was expected at "
            "least, for a pulse and a spike."
        )
    coded = [
        Volley.of(volleys, [la.codes for la in layers], [la.bias_codes for la in layers])
        for layers in networks
    ]
    sizes = [volley.images * volley.neurons for volley in coded]
    bundles = [_bundled(v, layers, volleys) for v, layers in zip(coded, networks, strict=True)]
    source, onto, up, down, mirrors = _one_after_another(bundles, sizes, {1})
    i, j, codes = _one_after_another([v.between_layers() for v in coded], sizes, {0, 1})
    population = _chips(circuit, networks, len(volleys[0]))
    connections = (
        *mirror_pulses("inputs", "chip", source, onto, up, down, mirrors, circuit.t_pulse),
        *code_pulses("chip", "chip", i, j, codes, circuit.t_pulse),
    )
    return coded[0], _experiment(coded[0], population, connections, delay, period, dt, seed)


def _one_after_another(
    parts: Sequence[Sequence[np.ndarray]], sizes: Sequence[int], neurons: Set[int]
) -> tuple[np.ndarray, ...]:
    """Columns of several networks' synapses as one list; those named number neurons."""
    starts = np.cumsum([0, *sizes[:-1]])
    moved = [
        [column + start if number in neurons else column for number, column in enumerate(part)]
        for part, start in zip(parts, starts, strict=True)
    ]
    return tuple(np.concatenate(columns) for columns in zip(*moved, strict=True))


def _chips(circuit: CircuitNeuron, networks: Sequence[Sequence[Layer]], images: int) -> Population:
    """Every network once per image, with the supplies and mirrors of its layers."""

    def everywhere(values: Callable[[Layer], Any]) -> np.ndarray:
        one_each = [np.concatenate([values(la) for la in layers]) for layers in networks]
        return np.concatenate([np.tile(network, images) for network in one_each])

    values = {"vdd": everywhere(lambda la: np.asarray(la.vdd / volt)) * volt}
    scale = everywhere(lambda la: np.broadcast_to(la.scale, len(la.codes)))
    if np.any(scale != 1):
        values |= {"beta": circuit.beta / scale, "R_S": circuit.R_S * scale}
    return Population("chip", circuit, len(scale), values)


def _bundled(
    volley: Volley, layers: Sequence[Layer], volleys: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Synapses from the inputs: input, neuron, units up and down, and references.

    All features of an image that reach a neuron are one bundle; every one has its reference.
    """
    source, neuron, _ = volley.from_inputs()
    first = layers[0]
    above, below = np.maximum(volleys, 0), np.maximum(-volleys, 0)
    onto, off = np.maximum(first.codes, 0).T, np.maximum(-first.codes, 0).T
    features = (
        above @ onto + below @ off,
        above @ off + below @ onto,
        (volleys != 0) * 1.0 @ (first.codes != 0).T,
    )
    parts = []
    for number, layer in enumerate(layers):
        bias = np.tile(layer.bias_codes, (len(volleys) if number == 0 else 1, volley.images, 1))
        own = (np.maximum(bias, 0), np.maximum(-bias, 0), bias != 0)
        parts.append([a + b for a, b in zip(own, features, strict=True)] if number == 0 else own)
    kinds = zip(*parts, strict=True)
    return source, neuron, *(np.concatenate([k.ravel() for k in kind]) for kind in kinds)


def _experiment(
    volley: Volley,
    population: Population,
    connections: tuple[Connection, ...],
    delay: Quantity,
    period: Quantity,
    dt: Quantity,
    seed: int,
) -> Experiment:
    """An input's spike, and a layer's, reach the next layer after one delay."""
    volleys, layers = len(volley.first), len(volley.bounds) - 1
    starts = np.arange(volleys) * period
    source = np.concatenate(
        [np.arange(volleys), np.repeat(volleys + np.arange(layers - 1), volleys)]
    )
    times = np.concatenate([np.asarray((starts + n * delay) / second) for n in range(layers)])
    order = np.argsort(times, kind="stable")
    inputs = Spikes("inputs", volleys + layers - 1, source[order], times[order] * second)
    trace = Trace(population.name, ("v",), np.arange(volley.neurons))
    # One delay after the last decision, so that traces show what follows it.
    duration = (volleys - 1) * period + (layers + 1) * delay
    return Experiment((population,), (inputs,), connections, (trace,), duration, dt, seed)


def spike_trains(features: np.ndarray, volleys: int) -> np.ndarray:
    """Features as counted spikes, spread evenly over a train.

    Parameters
    ----------
    features : ndarray, shape (images, inputs)
        From 0; 1 and more are a spike in every volley.
    volleys : int
        Length of a train.

    Returns
    -------
    ndarray of 0 and 1, shape (volleys, images, inputs)
        Of each input ``round(feature*volleys)`` spikes.
    """
    counts = np.round(np.clip(features, 0, 1) * volleys)
    # A spike whenever the count that is due rises by one, half a step early so as to be centred.
    due = np.floor(np.arange(volleys + 1)[:, None, None] * counts / volleys + 0.5)
    return np.diff(due, axis=0)


def expected_spikes(
    circuit: CircuitNeuron, layers: Sequence[Layer], volleys: np.ndarray, period: Quantity,
    dt: Quantity,
) -> list[np.ndarray]:  # fmt: skip
    """Spikes of a network on the chip by arithmetic, for the linear leak and ideal mirrors.

    A pulse moves the membrane by its codes times the step of its supply; the membrane decays in
    the time step before the comparator's decision and until the next volley. It is what a
    simulation gives but for rounding, and quick for many images.

    Parameters
    ----------
    circuit, layers, volleys, period, dt
        As in `on_circuit`, of one network.

    Returns
    -------
    list of ndarray, each of shape (images, neurons of the layer)
        Number of spikes.
    """
    tau = circuit.R_leak * circuit.C
    swing = float((circuit.v_th - circuit.v_rest) / volt)
    pulse, decision, rest = (
        float(np.exp(-time / tau)) for time in (circuit.t_pulse, dt, period - circuit.t_pulse - dt)
    )
    v = [np.zeros((volleys.shape[1], len(layer.codes))) for layer in layers]
    counts = [np.zeros_like(membrane) for membrane in v]
    for arriving in volleys:
        for n, layer in enumerate(layers):
            moved = (arriving @ layer.codes.T + layer.bias_codes) * layer.steps(circuit)
            reached = (v[n] * pulse + moved) * decision
            arriving = (reached >= swing) * 1.0
            counts[n] += arriving
            v[n] = np.where(arriving, 0, reached * rest)
    return counts


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


def accuracy(output: np.ndarray, labels: np.ndarray, least: int = 1) -> float:
    """Share of images for which the right output neuron fires and no other does.

    Parameters
    ----------
    output : ndarray, shape (images, classes)
        Spikes of the output layer.
    labels : ndarray of int, shape (images,)
    least : int
        Spikes that count as firing; section 6.2 of Barton et al. 2022 reads three of ten.

    Returns
    -------
    float
        Chance is ``1/2**classes`` (Barton et al. 2022, equation 1).
    """
    right = (output >= least) == (labels[:, None] == np.arange(output.shape[1]))
    return float(right.all(axis=1).mean())


def accuracy_by_count(output: np.ndarray, labels: np.ndarray) -> float:
    """Share of images for which the right output neuron gives more spikes than every other.

    Parameters
    ----------
    output : ndarray, shape (images, classes)
        Spikes of the output layer.
    labels : ndarray of int, shape (images,)

    Returns
    -------
    float
        Draws count as wrong.
    """
    right = labels[:, None] == np.arange(output.shape[1])
    return float((output[right] > np.where(right, -1, output).max(axis=1)).mean())
