"""Rates of every single neuron of a given network by mean-field theory.

Each neuron receives noise of the mean and variance that its own synapses carry; the rates are
those that reproduce themselves (see `neuromod.analysis.mean_field`).
"""

from __future__ import annotations

import numpy as np
from brian2 import Hz, ohm, second, volt
from scipy.sparse import csr_matrix

from neuromod.analysis.mean_field import check_theory, noisy_rate
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF

# Chosen here: hertz, far below what a spike count can tell.
TOLERANCE = 0.01
# Share of the way to the rates that the present input gives; a full step would overshoot with
# recurrent inhibition.
STEP = 0.5
MOST_STEPS = 400


class NeuronRates:
    """Rates of a network's neurons, each from its own synapses.

    Raises
    ------
    UserError
        As `check_theory`.
    """

    def __init__(self, neuron: GainLIF) -> None:
        check_theory(neuron)
        self._neuron = neuron
        # Volt per ampere and hertz, and its square over the membrane's time constant.
        self._charge = float(neuron.R * neuron.tau_syn / (ohm * second))
        self._spread = self._charge**2 / float(neuron.tau_m / second)

    def outside(self, indegree: np.ndarray, weight: float, rate: float) -> np.ndarray:
        """Mean and variance of the depolarisation by trains from outside.

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
            Ampere, from the column's neuron onto the row's. Several synapses from one neuron onto
            another fire together and count as one of their summed weight.
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
            noise = np.sqrt(outside[1] + self._spread * (squares @ rates))
            change = np.asarray(noisy_rate(self._neuron, mean * volt, noise * volt) / Hz) - rates
            rates = rates + STEP * change
            if np.abs(change).max() < TOLERANCE:
                return rates
        raise UserError(
            f"Rates did not settle in {MOST_STEPS} steps: the network is unstable; weaker "
            "excitatory or inhibitory weights would let them."
        )
