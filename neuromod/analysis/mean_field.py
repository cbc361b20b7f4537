"""Mean-field theory: rates of neurons under many small random inputs, and of networks of them.

The diffusion approximation replaces synaptic input by its mean and by white noise of its variance.
The rate of a leaky integrate-and-fire neuron is then known (Siegert 1951, Phys. Rev. 81:617-623;
Brunel 2000, J. Comput. Neurosci. 8:183-208). Exponential synapses correct it to first order in the
root of tau_syn/tau_m (Fourcaud & Brunel 2002, Neural Comput. 14:2057-2110). The rates of a network
are those that reproduce themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Any

import numpy as np
from brian2 import Hz, Quantity, ohm, second, volt
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.sparse import csr_matrix
from scipy.special import erfcx, zeta

from neuromod.analysis.rates import has_closed_form
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF

# A threshold this many times the noise above the mean is reached about once in 1e200 tau_m.
FARTHEST = 22.0
# Chosen here: the table's error is 1e-8 of the integral; below it the asymptotic series is as good.
KNOTS = np.linspace(-100, FARTHEST, 24401)
# In units of the time in which rates relax; the slowest mode of a stable network is near 1.
SETTLED = 100.0
# Chosen here for `NeuronRates`: hertz, far below what a spike count can tell.
TOLERANCE = 0.01
# Share of the way to the rates that the present input gives; a full step would overshoot with
# recurrent inhibition. Where the first does too, neurons with a steep rate settle by the second.
STEPS = (0.5, 0.1)
MOST_STEPS = 400
BEYOND = (
    "The rates of this network lie where those of its neuron were not measured, as when excitation "
    "runs away: use a weaker stimulus, more inhibition, or a stronger drive, which leaves fewer "
    "synapses to grow."
)
# Hertz; chosen here: faster than any input makes a neuron without refractory period fire.
FASTEST = 1e6


def input_moments(
    neuron: GainLIF, indegree: np.ndarray, weight: Quantity, rate: Quantity
) -> tuple[Quantity, Quantity]:
    """Mean and noise of the depolarisation by Poisson trains, at gain 1.

    Parameters
    ----------
    indegree : ndarray of int, shape (sources,)
        Synapses from each kind of source.
    weight, rate : Quantity, shape (sources,)
        Step of the synaptic current per spike, ampere; rate of every source neuron, hertz.

    Returns
    -------
    tuple of Quantity
        Mean and noise in volt: ``R*tau_syn*sum(K*w*rate)`` and
        ``R*tau_syn*sqrt(sum(K*w**2*rate)/tau_m)``. The noise is the root of twice the variance
        that the membrane potential would have without a threshold.
    """
    charge = neuron.R * neuron.tau_syn
    mean = charge * np.sum(indegree * weight * rate)
    return mean, charge * np.sqrt(np.sum(indegree * weight**2 * rate) / neuron.tau_m)


def check_theory(neuron: GainLIF) -> None:
    """Refuse a neuron that mean-field theory does not describe.

    Raises
    ------
    UserError
        With an after-spike current or a K+ conductance, which the theory leaves out.
    """
    if not has_closed_form(neuron):
        raise UserError(
            "The mean field holds without after-spike current and K+ conductance: set b and g_K "
            "to 0."
        )


def noisy_rate(neuron: GainLIF, mean: Quantity, noise: Quantity, gain: Any = 1.0) -> Quantity:
    """Steady firing rate under random input: Siegert's formula.

    Threshold and reset are raised by ``noise*|zeta(1/2)|*sqrt(tau_syn/(2*tau_m))``, the correction
    for exponential synapses.

    Parameters
    ----------
    neuron : GainLIF
        With exponential synapses.
    mean, noise : Quantity, shape () or (n,)
        See `input_moments`; volt.
    gain : float or ndarray, shape () or (n,)

    Returns
    -------
    Quantity, shape () or (n,)
        In hertz.

    Raises
    ------
    UserError
        As `check_theory`.
    """
    check_theory(neuron)
    shift = abs(zeta(0.5)) * np.sqrt(float(neuron.tau_syn / neuron.tau_m) / 2)
    reset, threshold = (
        np.asarray((level - neuron.v_rest - gain * mean) / (gain * noise)) + shift
        for level in (neuron.v_reset, neuron.v_th)
    )
    way = siegert_integral(threshold) - siegert_integral(reset)
    passage = neuron.tau_m * np.sqrt(np.pi) * way
    # Far below threshold the way is that of the table's end, and none without refractory period.
    with np.errstate(divide="ignore"):
        rate = 1 / (neuron.t_ref + passage)
    return np.where(threshold > FARTHEST, 0, np.asarray(rate)) * Hz


def network_rates(
    neuron: GainLIF, gain: np.ndarray, indegree: np.ndarray, weight: Quantity, drive: Quantity
) -> Quantity:
    """Steady rates of populations that excite and inhibit each other under an outside drive.

    Every neuron receives the same number of synapses from each population and from outside. Their
    trains are taken as independent, which they are not in a network that fires in synchrony.

    Parameters
    ----------
    gain : ndarray, shape (populations,)
    indegree : ndarray of int, shape (populations + 1,)
        From each population, and from outside.
    weight : Quantity, shape (populations + 1,)
        Of each kind, ampere.
    drive : Quantity
        Rate of every neuron outside, hertz.

    Returns
    -------
    Quantity, shape (populations,)
        The state into which rates relax from silence, hertz; nan where they do not settle.

    Raises
    ------
    UserError
        As `check_theory`.
    """

    def change(_time: float, rates: np.ndarray) -> np.ndarray:
        arriving = np.append(np.maximum(rates, 0), drive / Hz) * Hz
        moments = input_moments(neuron, indegree, weight, arriving)
        return np.asarray(noisy_rate(neuron, *moments, gain) / Hz - rates)

    silent = np.zeros(len(gain))
    rates = solve_ivp(change, (0, SETTLED), silent, "LSODA", rtol=1e-6, atol=1e-4).y[:, -1]
    settled = np.abs(change(0, rates)) < 1e-2 + 1e-3 * rates
    return np.where(settled.all(), rates, np.nan) * Hz


class NeuronRates(ABC):
    """Rates of every single neuron of a given network.

    Each neuron receives noise of the mean and variance that its own synapses carry; the rates are
    those that reproduce themselves. A subclass knows the rate of one neuron under such noise.

    Parameters
    ----------
    mean, variance : float
        What one synapse of 1 A from a source of 1 Hz adds to both, in units of the subclass's own.
    """

    def __init__(self, mean: float, variance: float) -> None:
        self._mean, self._variance = mean, variance

    @abstractmethod
    def under(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Rates of neurons under noise, hertz, shape (n,); of any kind where it is not known."""

    @abstractmethod
    def alone(self, indegree: np.ndarray, weight: Quantity, rate: Quantity) -> float:
        """Rate of a neuron under trains from several kinds of sources, hertz.

        Parameters are those of `input_moments`.
        """

    @abstractmethod
    def bound(self, inhibitory: int) -> float:
        """A rate that neurons with so many inhibitory synapses among themselves do not exceed."""

    def known(self, mean: np.ndarray, variance: np.ndarray) -> bool:
        """Whether rates are known under all of these."""
        del mean, variance
        return True

    def outside(self, indegree: np.ndarray, weight: float, rate: float) -> np.ndarray:
        """Mean and variance of the input by trains from outside.

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
            In the units of `under`.
        """
        arriving = np.asarray(indegree) * rate
        return np.array([self._mean * weight * arriving, self._variance * weight**2 * arriving])

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
            When rates do not settle, or only where they are not known.
        """
        squares = weights.power(2)
        for share in STEPS:
            rates: np.ndarray = start
            for _ in range(MOST_STEPS):
                mean = outside[0] + self._mean * (weights @ rates)
                variance = outside[1] + self._variance * (squares @ rates)
                change = self.under(mean, variance) - rates
                rates = rates + share * change
                if np.abs(change).max() < TOLERANCE:
                    if not self.known(mean, variance):
                        raise UserError(BEYOND)
                    return rates
        raise UserError(
            f"Rates did not settle in {MOST_STEPS} steps: the network is unstable; weaker "
            "excitatory or inhibitory weights would let them."
        )


class LIFRates(NeuronRates):
    """Rates by `noisy_rate`, in a bath without ligands; noise is of the depolarisation, in volt.

    Raises
    ------
    UserError
        As `check_theory`.
    """

    def __init__(self, neuron: GainLIF) -> None:
        check_theory(neuron)
        self._neuron, self._gain = neuron, float(neuron.steady_gain({}))
        # Volt per ampere and hertz, and its square over the membrane's time constant.
        charge = float(neuron.R * neuron.tau_syn / (ohm * second))
        super().__init__(charge, charge**2 / float(neuron.tau_m / second))

    def under(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Rates of neurons under noise, hertz, shape (n,)."""
        noise = np.sqrt(variance) * volt
        return np.asarray(noisy_rate(self._neuron, mean * volt, noise, self._gain) / Hz)

    def alone(self, indegree: np.ndarray, weight: Quantity, rate: Quantity) -> float:
        """Rate of a neuron under trains from several kinds of sources, hertz."""
        moments = input_moments(self._neuron, indegree, weight, rate)
        return float(noisy_rate(self._neuron, *moments, self._gain) / Hz)

    def bound(self, inhibitory: int) -> float:
        """The rate that the refractory period allows, hertz."""
        del inhibitory
        t_ref = float(self._neuron.t_ref / second)
        return 1 / t_ref if t_ref else FASTEST


def siegert_integral(x: np.ndarray) -> np.ndarray:
    """Integral of ``exp(u**2)*(1 + erf(u))`` from -100 to x, up to `FARTHEST`.

    Times ``tau*sqrt(pi)`` and between reset and threshold, it is the mean time to a spike.
    """
    # Written as erfcx(-u), it overflows at neither end.
    within = _table()(np.clip(x, KNOTS[0], KNOTS[-1]))
    if np.min(x) < KNOTS[0]:
        within = within - (_tail(np.minimum(x, KNOTS[0])) - _tail(KNOTS[0]))
    return np.asarray(within)


@cache
def _table() -> Any:
    return CubicSpline(KNOTS, erfcx(-KNOTS)).antiderivative()


def _tail(x: Any) -> Any:
    """Antiderivative of the first two terms of erfcx's asymptotic series, at ``-x``."""
    return (np.log(-x) + 1 / (4 * x**2)) / np.sqrt(np.pi)
