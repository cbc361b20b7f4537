"""Rates of every single neuron of a given network by mean-field theory.

The theory of `neuromod.analysis.mean_field`, one neuron at a time: each receives noise of the
mean and variance that its own synapses carry, and the rates are those that reproduce themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from brian2 import ohm, second, volt
from scipy.interpolate import CubicSpline
from scipy.sparse import csr_matrix
from scipy.special import erfcx, zeta

from neuromod.analysis.dose_response import has_closed_form
from neuromod.analysis.mean_field import FARTHEST
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF

# Chosen here: knots that keep the integral to 1e-8 of itself, over distances to threshold of up
# to 100 times the noise.
KNOTS = np.linspace(-100, FARTHEST, 24401)
# Chosen here: hertz, far below what a spike count can tell.
TOLERANCE = 0.01
# Of the way to the rates that present input gives; recurrent inhibition would overshoot with 1.
STEP = 0.5
MOST_STEPS = 400


def rate_function(neuron: GainLIF) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Rate against mean and noise of the input, for many neurons at once.

    Parameters
    ----------
    neuron : GainLIF

    Returns
    -------
    callable of (ndarray, ndarray)
        Rates in hertz of mean depolarisation and noise, both in volt and of the same shape: as
        `mean_field.noisy_rate`, whose integral is taken from a table.

    Raises
    ------
    UserError
        As `mean_field.noisy_rate`.
    """
    if not has_closed_form(neuron):
        raise UserError(
            "The mean field holds without after-spike current and K+ conductance: set b and g_K "
            "to 0."
        )
    area = CubicSpline(KNOTS, erfcx(-KNOTS)).antiderivative()
    shift = abs(zeta(0.5)) * np.sqrt(float(neuron.tau_syn / neuron.tau_m) / 2)
    reset, threshold = (
        float((level - neuron.v_rest) / volt) for level in (neuron.v_reset, neuron.v_th)
    )
    refractory, scale = float(neuron.t_ref / second), float(neuron.tau_m / second) * np.sqrt(np.pi)

    def rate(mean: np.ndarray, noise: np.ndarray) -> np.ndarray:
        low, high = ((level - mean) / noise + shift for level in (reset, threshold))
        within = np.clip([low, high], KNOTS[0], KNOTS[-1])
        interval = refractory + scale * np.diff(area(within), axis=0)[0]
        return np.where(high > FARTHEST, 0, 1 / interval)

    return rate


class NeuronRates:
    """Rates of a network's neurons, each by its own synapses.

    Parameters
    ----------
    neuron : GainLIF

    Raises
    ------
    UserError
        As `mean_field.noisy_rate`.
    """

    def __init__(self, neuron: GainLIF) -> None:
        self._rate = rate_function(neuron)
        # Volt per ampere and hertz, and its square over the membrane's time constant.
        self._charge = float(neuron.R * neuron.tau_syn / (ohm * second))
        self._spread = self._charge**2 / float(neuron.tau_m / second)

    def outside(self, indegree: np.ndarray, weight: float, rate: float) -> np.ndarray:
        """Mean and variance that trains from outside make.

        Parameters
        ----------
        indegree : ndarray, shape (n,)
        weight : float
            Ampere.
        rate : float
            Of every neuron outside, hertz.

        Returns
        -------
        ndarray, shape (2, n)
            Volt, and its square.
        """
        arriving = np.asarray(indegree) * rate
        return np.array([self._charge * weight * arriving, self._spread * weight**2 * arriving])

    def settled(self, weights: csr_matrix, outside: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Rates that reproduce themselves.

        Parameters
        ----------
        weights : scipy.sparse.csr_matrix, shape (n, n)
            Ampere, from the column's neuron onto the row's; several synapses between the same two
            fire together and are one of their summed weight.
        outside : ndarray, shape (2, n)
            See `outside`.
        start : ndarray, shape (n,)
            Where to begin, hertz.

        Returns
        -------
        ndarray, shape (n,)
            Hertz.

        Raises
        ------
        UserError
            When rates do not settle.
        """
        squares = weights.power(2)
        rates: np.ndarray = start
        for _ in range(MOST_STEPS):
            mean = outside[0] + self._charge * (weights @ rates)
            variance = outside[1] + self._spread * (squares @ rates)
            change = self._rate(mean, np.sqrt(variance)) - rates
            rates = rates + STEP * change
            if np.abs(change).max() < TOLERANCE:
                return rates
        raise UserError(
            f"Rates did not settle in {MOST_STEPS} steps: the network is unstable; weaker "
            "excitatory or inhibitory weights would let them."
        )
