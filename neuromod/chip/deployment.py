"""Trained feed-forward networks as neurons: one simulation runs all images, each in its own copy.

Every neuron is updated once per image (Barton et al. 2022, section 5.1.1). In time this is a
volley: all inputs of a layer arrive together, and the layer's decision is the next layer's volley.
Analog features drive the first layer as charges that are known beforehand. Biases are inputs that
spike with every volley.

With counted spikes (section 6.2 there) several volleys follow one another, every active input
spikes in some of them, neurons integrate over all, and numbers are spikes per train.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, second, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import (
    Costs,
    Layer,
    by_references,
    check_dense,
    energies,
    gain_of,
    nearest,
)
from neuromod.chip.pulses import PulseTrain, code_pulses, mirror_pulses, respond
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.circuit_equations import suffix
from neuromod.models.gain_lif import GainLIF
from neuromod.recording import Recording
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.models.modulated_layer import LayerParameters


@dataclass(frozen=True, eq=False)
class Unrolled:
    """A network with one copy for each image, and the input of every neuron before its gain.

    Attributes
    ----------
    first : ndarray, shape (volleys, images, neurons of the first layer)
        Input of the first layer, including the bias.
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
    ) -> Unrolled:
        """Unroll a network over its images.

        Parameters
        ----------
        features : ndarray, shape (volleys, images, inputs)
        weights, biases : sequence of ndarray
            Of all layers, each of shape (neurons, inputs) and (neurons,).
        """
        for weight in weights:
            check_dense(weight)
        return cls(features @ weights[0].T + biases[0], tuple(weights[1:]), tuple(biases[1:]))

    @property
    def images(self) -> int:
        """Number of copies of the network."""
        return len(self.first[0])

    @cached_property
    def bounds(self) -> np.ndarray:
        """First neuron of each layer in a copy, shape (layers + 1,)."""
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

        Each volley into the first layer is one input; the biases of each later layer are another.
        """
        drives = [*self.first, *(np.tile(bias, (self.images, 1)) for bias in self.biases)]
        layers = [0] * len(self.first) + [*range(1, len(self.biases) + 1)]
        neurons = [self.index(layer).ravel() for layer in layers]
        sources = [np.full(len(n), source) for source, n in enumerate(neurons)]
        weights = np.concatenate([drive.ravel() for drive in drives])
        return np.concatenate(sources), np.concatenate(neurons), weights

    def between_layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Synapses between layers without those of weight 0: neuron, neuron and weight of each."""
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
        """Split values of all neurons into one array per layer, (images, neurons of the layer)."""
        copies = by_neuron.reshape(self.images, self.neurons)
        return np.split(copies, self.bounds[1:-1], axis=1)


def on_cells(
    neuron: GainLIF,
    layers: Sequence[LayerParameters],
    theta: float,
    features: np.ndarray,
    latency: Quantity,
    dt: Quantity,
    seed: int,
) -> tuple[Unrolled, Experiment]:
    """Build a spiking network from biological neurons, whose gains are the trained ones.

    A synapse is a pulse of one time step that moves a neuron at rest by its weight.

    Parameters
    ----------
    neuron : GainLIF
        With ``synapse="pulse"``.
    layers : sequence of LayerParameters
        Each ``v = gain*(weight @ x + bias)``.
    theta : float
        Threshold in training, in the units of the weights: the way from rest to threshold.
    features : ndarray, shape (images, inputs)
    latency, dt : Quantity
        Delay of every synapse, and time step, seconds.

    Returns
    -------
    tuple of (Unrolled, Experiment)
        The population is called ``"cell"``. The first image's neurons are traced.
    """
    network = Unrolled.of(features[None], [la.weight for la in layers], [la.bias for la in layers])
    gain = np.tile(np.concatenate([layer.gain for layer in layers]), network.images)
    reached = float(-np.expm1(-dt / neuron.tau_m))
    unit = (neuron.v_th - neuron.v_rest) / (theta * neuron.R * reached)
    population = Population("cell", neuron, len(gain), {"trained_gain": gain})
    wired = {"inputs": network.from_inputs(), "cell": network.between_layers()}
    connections = [
        Connection(source, "cell", "I_syn", i=i, j=j, weight=w * unit, delay=latency, width=dt)
        for source, (i, j, w) in wired.items()
    ]
    return network, _experiment(network, population, connections, latency + dt, latency, dt, seed)


def on_circuit(
    circuit: CircuitNeuron,
    networks: Sequence[Sequence[Layer]],
    volleys: np.ndarray,
    period: Quantity,
    dt: Quantity,
    seed: int,
) -> tuple[Unrolled, Experiment]:
    """Build spiking networks from circuit neurons, each with a supply voltage of its own.

    Parameters
    ----------
    circuit : CircuitNeuron
    networks : sequence of sequence of Layer
        Networks of the same sizes, one after another in the population. All get all images.
    volleys : ndarray, shape (volleys, images, inputs)
        Features, which scale the first layer's pulses, or counted spikes, each 0 or 1.
    period, dt : Quantity
        From one volley to the next, and time step, seconds.

    Returns
    -------
    tuple of (Unrolled, Experiment)
        The first network, and the experiment. The population is called ``"chip"``. The first
        image's neurons of the first network are traced.

    Raises
    ------
    UserError
        If a volley arrives while a spike still holds neurons at reset.
    """
    delay = circuit.t_pulse + dt
    if len(volleys) > 1 and period < delay + circuit.t_spike + dt:
        raise UserError(
            f"A period of {say(period)} is too short: a pulse and a spike need at least "
            f"{say(delay + circuit.t_spike + dt)}."
        )
    first = _unrolled(networks[0], volleys, 0)
    supplies = max(layer.supplies for layers in networks for layer in layers)
    connections = [
        connection
        for supply in range(supplies)
        for connection in _wired(circuit, networks, volleys, supply, _domain(supply, supplies))
    ]
    population = _chips(circuit, networks, first.images)
    together = _by_variable(connections)
    return first, _experiment(first, population, together, delay, period, dt, seed)


def _by_variable(connections: Sequence[Connection]) -> list[Connection]:
    """One connection from each source to each variable: pulses of all domains clock alike."""
    found: dict[tuple[str, str], list[Connection]] = {}
    for connection in connections:
        found.setdefault((connection.source, connection.variable), []).append(connection)
    return [
        replace(
            parts[0],
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("i", "j", "weight")
            },
        )
        for parts in found.values()
    ]


def _unrolled(layers: Sequence[Layer], volleys: np.ndarray, supply: int) -> Unrolled:
    """A network with the codes of the synapses that one of its neurons' supplies feeds."""
    codes, biases = zip(*(layer.fed_by(supply) for layer in layers), strict=True)
    return Unrolled.of(volleys, codes, biases)


def _domain(supply: int, supplies: int) -> str:
    """Name of a power domain; a neuron's only supply has none."""
    return f"group{supply}" if supplies > 1 else ""


def _wired(
    circuit: CircuitNeuron,
    networks: Sequence[Sequence[Layer]],
    volleys: np.ndarray,
    supply: int,
    domain: str,
) -> list[Connection]:
    """All synapses that one of their neurons' supplies feeds."""
    bundles, between, size = [], [], 0
    for layers in networks:
        network = _unrolled(layers, volleys, supply)
        source, onto, _ = network.from_inputs()
        bundles.append((source, onto + size, *_bundled(layers, volleys, supply)))
        i, j, codes = network.between_layers()
        between.append((i + size, j + size, codes))
        size += network.images * network.neurons
    bundled = _joined(bundles)
    mirrors = bundled[4]
    # Every bundle clocks the comparator, whichever supplies feed it.
    fed = np.ones(len(mirrors), dtype=bool) if supply == 0 else mirrors > 0
    source, onto, up, down, mirrors, n_mirrors = (part[fed] for part in bundled)
    i, j, codes = _joined(between)
    width = circuit.t_pulse
    return [
        *mirror_pulses("inputs", "chip", source, onto, up, down, mirrors, width, domain, n_mirrors),
        *code_pulses("chip", "chip", i, j, codes, width, domain),
    ]


def _joined(parts: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, ...]:
    """Columns of several networks' synapses, one network after another."""
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _chips(circuit: CircuitNeuron, networks: Sequence[Sequence[Layer]], images: int) -> Population:
    """All networks, once per image, with the supplies and mirrors of their layers."""

    def everywhere(values: Callable[[Layer], Any]) -> np.ndarray:
        one_each = [np.concatenate([values(la) for la in layers]) for layers in networks]
        return np.concatenate([np.tile(network, images) for network in one_each])

    supplies = max(layer.supplies for layers in networks for layer in layers)
    domains = {suffix(_domain(n, supplies)): methodcaller("vdd_of", n) for n in range(supplies)}
    values = {f"vdd{mark}": np.asarray(everywhere(vdd)) * volt for mark, vdd in domains.items()}
    # Volleys share mirrors, and inputs that are silent have theirs too.
    for n, mark in enumerate(domains):
        values[f"built{mark}"] = everywhere(methodcaller("mirrors", n))
        if circuit.skewed:
            values[f"n_built{mark}"] = everywhere(methodcaller("n_mirrors", n))
    scale = everywhere(lambda la: np.broadcast_to(la.scale, len(la.codes)))
    if np.any(scale != 1):
        values |= {"beta": circuit.beta / scale, "R_S": circuit.R_S * scale}
    return Population("chip", circuit, len(scale), values)


def _bundled(layers: Sequence[Layer], volleys: np.ndarray, supply: int) -> tuple[np.ndarray, ...]:
    """Units up and down, references, and n-type ones, of the synapses from inputs at a supply.

    All features of an image that reach a neuron are one bundle. Each has its own reference.
    """
    above, below = np.maximum(volleys, 0), np.maximum(-volleys, 0)
    codes = layers[0].fed_by(supply)[0]
    onto, off = np.maximum(codes, 0).T, np.maximum(-codes, 0).T
    features = (
        above @ onto + below @ off,
        above @ off + below @ onto,
        (volleys != 0) * 1.0 @ (codes != 0).T,
        (above > 0) * 1.0 @ (codes < 0).T + (below > 0) * 1.0 @ (codes > 0).T,
    )
    parts: list[Any] = []
    for count, layer in zip([len(volleys)] + [1] * len(layers[1:]), layers, strict=True):
        bias = np.tile(layer.fed_by(supply)[1], (count, len(volleys[0]), 1))
        parts.append((np.maximum(bias, 0), np.maximum(-bias, 0), bias != 0, bias < 0))
    parts[0] = [a + b for a, b in zip(parts[0], features, strict=True)]
    return _joined([[kind.ravel() for kind in part] for part in parts])


def _experiment(
    network: Unrolled,
    population: Population,
    connections: Sequence[Connection],
    delay: Quantity,
    period: Quantity,
    dt: Quantity,
    seed: int,
) -> Experiment:
    """Spikes of inputs, and of each layer, reach the next layer after one delay."""
    volleys, layers = len(network.first), len(network.bounds) - 1
    starts = np.arange(volleys) * period
    source = np.concatenate(
        [np.arange(volleys), np.repeat(volleys + np.arange(layers - 1), volleys)]
    )
    times = np.asarray(np.arange(layers)[:, None] * delay + starts).ravel()
    order = np.argsort(times, kind="stable")
    inputs = Spikes("inputs", volleys + layers - 1, source[order], times[order] * second)
    trace = Trace(population.name, ("v",), np.arange(network.neurons))
    # One delay more, so that traces show what follows the last decision.
    duration = (volleys - 1) * period + (layers + 1) * delay
    return Experiment(
        populations=(population,),
        sources=(inputs,),
        connections=connections,
        traces=(trace,),
        duration=duration,
        dt=dt,
        seed=seed,
    )


def spike_trains(features: np.ndarray, volleys: int) -> np.ndarray:
    """Turn features into counted spikes, spread evenly over a train.

    Parameters
    ----------
    features : ndarray, shape (images, inputs)
        From 0. Features of 1 and more spike in every volley.
    volleys : int
        Length of a train.

    Returns
    -------
    ndarray of 0 and 1, shape (volleys, images, inputs)
        Each input has as many spikes as are nearest to ``feature*volleys``.
    """
    counts = nearest(np.clip(features, 0, 1) * volleys)
    # An input spikes when its due count rises by one, half a step early to be centred.
    due = np.floor(np.arange(volleys + 1)[:, None, None] * counts / volleys + 0.5)
    return np.diff(due, axis=0)


def as_simulated(
    circuit: CircuitNeuron, costs: Costs, recording: Recording, networks: int, images: int
) -> list[tuple[np.ndarray, dict[str, float]]]:
    """What each network of an experiment from `on_circuit` did and drew.

    Parameters
    ----------
    circuit : CircuitNeuron
    costs : Costs
    recording : Recording
        Of that experiment.
    networks, images : int
        How many it has of each.

    Returns
    -------
    list of tuple
        Of every network the spikes, shape (images, neurons), and its energy an image, pJ, with
        references that stay on and with pulsed ones, as `by_references` names them.
    """
    counts, totals = recording.spikes["chip"].counts(), recording.totals["chip"]
    spent = energies(circuit, costs, totals, counts, recording.duration)
    kinds = {
        kind: np.reshape(energy / pjoule, (networks, -1)).sum(axis=1) / images
        for kind, energy in by_references(spent).items()
    }
    spikes = counts.reshape(networks, images, -1)
    return [
        (spikes[n], {kind: float(energy[n]) for kind, energy in kinds.items()})
        for n in range(networks)
    ]


def expected_spikes(
    circuit: CircuitNeuron,
    layers: Sequence[Layer],
    volleys: np.ndarray,
    period: Quantity,
    dt: Quantity,
) -> list[np.ndarray]:
    """Count a network's spikes on the chip in closed form, for a linear leak and ideal mirrors.

    Apart from rounding it gives what a simulation gives, quickly for many images.

    Parameters
    ----------
    circuit, layers, volleys, period, dt
        As in `on_circuit`, of one network.

    Returns
    -------
    list of ndarray, each of shape (images, neurons of the layer)
        Number of spikes.
    """
    train = PulseTrain(len(volleys), period, dt)
    counts = []
    for layer in layers:
        codes, vdd = _at_one_supply(circuit, layer)
        drive = (volleys @ codes[:, :-1].T + codes[:, -1]) / layer.scale
        fires = respond(circuit, train, np.moveaxis(drive, 0, -1), vdd).fires
        counts.append(fires.sum(axis=-1))
        volleys = np.moveaxis(fires, -1, 0) * 1.0
    return counts


def _at_one_supply(circuit: CircuitNeuron, layer: Layer) -> tuple[np.ndarray, Quantity]:
    """Codes, the biases' last, that do at one supply what a layer's do at its neurons' several."""
    codes = np.column_stack([layer.codes, layer.bias_codes])
    if layer.supply is None:
        return circuit.pushed(codes, layer.vdd[:, None]), layer.vdd
    at = np.take_along_axis(np.asarray(layer.vdd), layer.supply, axis=1) * volt
    return circuit.pushed(codes, at) * gain_of(circuit, at), circuit.vdd_reference


def agreement(sides: Mapping[str, Sequence[np.ndarray]]) -> pd.DataFrame:
    """Compare realisations of a network, neuron by neuron and image by image.

    Parameters
    ----------
    sides : mapping of str to sequence of ndarray, each of shape (images, neurons of the layer)
        Each realisation's spikes of every layer.

    Returns
    -------
    DataFrame
        One row per pair and layer: ``neurons`` compared over all images, the number that
        ``differ``, the share that agrees, and the share of images whose whole layer agrees.
    """
    rows = []
    for (a, of_a), (b, of_b) in combinations(sides.items(), 2):
        same = [np.equal(x > 0, y > 0) for x, y in zip(of_a, of_b, strict=True)]
        names = [*(f"hidden {n + 1}" for n in range(len(same) - 1)), "output", "all"]
        for name, layer in zip(names, [*same, np.hstack(same)], strict=True):
            differ = layer.size - int(layer.sum())
            agree = layer.mean(), layer.all(axis=1).mean()
            rows.append((f"{a} – {b}", name, layer.size, differ, *agree))
    columns = ["pair", "layer", "neurons", "differ", "neurons_agree", "images_agree"]
    return pd.DataFrame(rows, columns=columns)


def accuracy(output: np.ndarray, labels: np.ndarray, least: int = 1) -> float:
    """Return the share of images for which the right output neuron fires and no other does.

    Parameters
    ----------
    output : ndarray, shape (images, classes)
        Spikes of the output layer.
    labels : ndarray of int, shape (images,)
    least : int
        Spikes that count as firing: three of ten in section 6.2 of Barton et al. 2022.

    Returns
    -------
    float
        Chance is ``1/2**classes`` (Barton et al. 2022, equation 1).
    """
    right = (output >= least) == (labels[:, None] == np.arange(output.shape[1]))
    return float(right.all(axis=1).mean())


def accuracy_by_count(output: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images whose right output neuron spikes more than every other.

    Parameters
    ----------
    output, labels
        See `accuracy`.

    Returns
    -------
    float
        A tie is wrong.
    """
    right = labels[:, None] == np.arange(output.shape[1])
    return float((output[right] > np.where(right, -1, output).max(axis=1)).mean())
