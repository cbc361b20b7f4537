"""Fewer supplies than neurons: power domains that share one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans


def power_domains(gain: np.ndarray, supplies: int, seed: int) -> np.ndarray:
    """Share out neurons among fewer supplies than neurons, by k-means on the logarithm of gain.

    Ratios of currents are what a shared supply gets wrong, hence the logarithm.

    Parameters
    ----------
    gain : ndarray, shape (neurons,) or (neurons, gains)
        Above 0; of neurons with several, all count.
    supplies : int
        At most; as many as there are neurons with different gains, where there are fewer.
    seed : int
        Of k-means.

    Returns
    -------
    ndarray of int, shape (neurons,)
        Power domain of each neuron, from 0.
    """
    logarithms = np.log(gain).reshape(len(gain), -1)
    few = min(supplies, len(np.unique(logarithms, axis=0)))
    return np.asarray(KMeans(few, n_init=10, random_state=seed).fit_predict(logarithms))


def domain_gains(gain: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Gain of every power domain: the geometric mean of its neurons'.

    Parameters
    ----------
    gain : ndarray, shape (neurons,)
        Above 0.
    domain : ndarray of int, shape (neurons,)
        From `power_domains`: from 0, none left out.

    Returns
    -------
    ndarray, shape (domains,)
    """
    return np.asarray(np.exp(np.bincount(domain, np.log(gain)) / np.bincount(domain)))


def synapse_groups(
    values: Sequence[np.ndarray], codes: Sequence[np.ndarray], groups: int, seed: int
) -> np.ndarray:
    """Group each neuron's synapses of each sign by k-means on the logarithm of a value.

    Parameters
    ----------
    values : sequence of ndarray, each of shape (neurons, inputs + 1)
        Of every layer's synapses, above 0: such as gains that each has learned, or sizes of codes.
    codes : sequence of ndarray of int, each of the same shape
        Of each synapse, the bias's last; 0 where there is none.
    groups : int
        Of each sign, at most.
    seed : int
        Of k-means.

    Returns
    -------
    ndarray of int, shape (places,)
        Group of each place of a gain per synapse, numbered over all layers from 0: for each neuron
        its places as positive synapses, then those as negative ones. A place without a synapse is
        in its neuron's first group of that sign.
    """
    found: list[np.ndarray] = []
    start = 0
    for of_layer, signed in zip(values, codes, strict=True):
        for of_neuron, own in zip(of_layer, signed, strict=True):
            for there in (own > 0, own < 0):
                group = np.zeros(len(own), dtype=int)
                if there.any():
                    group[there] = power_domains(of_neuron[there], groups, seed)
                found.append(start + group)
                start += group.max() + 1
    return np.concatenate(found)


def synapse_rails(
    values: Sequence[np.ndarray], codes: Sequence[np.ndarray], rails: int, seed: int
) -> np.ndarray:
    """Give every synapse one of a chip's few voltages, by k-means on the logarithm of a value.

    Parameters
    ----------
    values, codes, seed
        See `synapse_groups`.
    rails : int
        Voltages, at most.

    Returns
    -------
    ndarray of int, shape (places,)
        Voltage of each place, see `synapse_groups`; of one without a synapse, the first.
    """
    there = np.concatenate([(own != 0).ravel() for own in codes])
    rail = np.zeros(len(there), dtype=int)
    rail[there] = power_domains(np.concatenate([v.ravel() for v in values])[there], rails, seed)
    ends = np.cumsum([own.size for own in codes])[:-1]
    of_layers = [
        part.reshape(own.shape) for part, own in zip(np.split(rail, ends), codes, strict=True)
    ]
    places = [
        np.stack([of_layer * (own > 0), of_layer * (own < 0)], axis=1).ravel()
        for of_layer, own in zip(of_layers, codes, strict=True)
    ]
    return np.concatenate(places)


def source_groups(values: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Group each layer's sources by k-means on the logarithms of their synapses' values.

    All neurons of a layer have the same groups, so that supplies are wired by column.

    Parameters
    ----------
    values : sequence of ndarray, each of shape (neurons, inputs + 1)
        Of every layer's synapses, above 0, such as gains that each has learned.
    groups, seed : int
        See `synapse_groups`.

    Returns
    -------
    ndarray of int, shape (places,)
        See `synapse_groups`.
    """
    found: list[np.ndarray] = []
    start = 0
    for of_layer in values:
        group = power_domains(of_layer.T, groups, seed)
        of_sign = np.arange(2 * len(of_layer))[:, None] * (group.max() + 1)
        found.append((start + of_sign + group).ravel())
        start = found[-1].max() + 1
    return np.concatenate(found)


def shared_groups(gains: Sequence[np.ndarray], neurons: int, seed: int) -> np.ndarray:
    """Let neurons of a layer that have learned alike share the supplies of their groups.

    Parameters
    ----------
    gains : sequence of ndarray, each of shape (neurons, groups)
        Of every layer, above 0.
    neurons : int
        That share supplies, on average.
    seed : int
        Of k-means.

    Returns
    -------
    ndarray of int, shape (places,)
        Domain of each gain, numbered over all layers from 0.
    """
    found: list[np.ndarray] = []
    start = 0
    for of_layer in gains:
        many, groups = of_layer.shape
        alike = power_domains(of_layer, max(1, round(many / neurons)), seed)
        found.append((start + alike[:, None] * groups + np.arange(groups)).ravel())
        start = found[-1].max() + 1
    return np.concatenate(found)
