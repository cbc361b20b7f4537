"""Fewer supplies than neurons: power domains that share one."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans


def power_domains(gain: np.ndarray, supplies: int, seed: int) -> np.ndarray:
    """Share out neurons among fewer supplies than neurons, by k-means on the logarithm of gain.

    Ratios of currents are what a shared supply gets wrong, hence the logarithm.

    Parameters
    ----------
    gain : ndarray, shape (neurons,)
        Above 0.
    supplies : int
        At most; as many as there are different gains, where there are fewer.
    seed : int
        Of k-means.

    Returns
    -------
    ndarray of int, shape (neurons,)
        Power domain of each neuron, from 0.
    """
    logarithms = np.log(gain)[:, None]
    few = min(supplies, len(np.unique(logarithms)))
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
