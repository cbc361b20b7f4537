"""Rates of neurons under many small random inputs, and of networks of them, by mean-field theory.

The diffusion approximation replaces synaptic input by its mean and white noise of its variance.
Then the rate of a leaky integrate-and-fire neuron is known (Siegert 1951, Phys. Rev. 81:617-623;
Brunel 2000, J. Comput. Neurosci. 8:183-208), exponential synapses correct it to first order in
the root of tau_syn/tau_m (Fourcaud & Brunel 2002, Neural Comput. 14:2057-2110), and a network's
rates are those that reproduce themselves.
"""

from __future__ import annotations

import numpy as np
from brian2 import Hz, Quantity
from scipy.integrate import quad, solve_ivp
from scipy.special import erfcx, zeta

from neuromod.analysis.dose_response import has_closed_form
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF

# A threshold this many times the noise above the mean is reached about once in 1e200 tau_m.
FARTHEST = 22.0
# In units of the time in which rates relax; the slowest mode of a stable network is near 1.
SETTLED = 100.0


def input_moments(
    neuron: GainLIF, indegree: np.ndarray, weight: Quantity, rate: Quantity
) -> tuple[Quantity, Quantity]:
    """Mean and noise that Poisson trains make in a membrane at gain 1.

    Parameters
    ----------
    neuron : GainLIF
    indegree : ndarray of int, shape (sources,)
        Synapses from each kind of source.
    weight : Quantity, shape (sources,)
        Step of the synaptic current for each spike, ampere.
    rate : Quantity, shape (sources,)
        Of every source neuron, hertz.

    Returns
    -------
    tuple of Quantity
        Mean depolarisation and noise in volt: ``R*tau_syn*sum(K*w*rate)`` and
        ``R*tau_syn*sqrt(sum(K*w**2*rate)/tau_m)``, the root of twice the variance that white
        noise would give the membrane potential without a threshold.
    """
    charge = neuron.R * neuron.tau_syn
    mean = charge * np.sum(indegree * weight * rate)
    return mean, charge * np.sqrt(np.sum(indegree * weight**2 * rate) / neuron.tau_m)


def noisy_rate(neuron: GainLIF, mean: Quantity, noise: Quantity, gain: float = 1.0) -> Quantity:
    """Steady firing rate under random input.

    Parameters
    ----------
    neuron : GainLIF
        With exponential synapses.
    mean, noise : Quantity
        See `input_moments`; volt.
    gain : float

    Returns
    -------
    Quantity
        In hertz. Siegert's formula, threshold and reset raised by
        ``noise*|zeta(1/2)|*sqrt(tau_syn/(2*tau_m))``.

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
    shift = abs(zeta(0.5)) * np.sqrt(float(neuron.tau_syn / neuron.tau_m) / 2)
    reset, threshold = (
        float((level - neuron.v_rest - gain * mean) / (gain * noise)) + shift
        for level in (neuron.v_reset, neuron.v_th)
    )
    if threshold > FARTHEST:
        return 0 * Hz
    # erfcx(-x) is exp(x**2)*(1 + erf(x)), which overflows at neither end.
    area, _ = quad(lambda x: erfcx(-x), reset, threshold)
    return 1 / (neuron.t_ref + neuron.tau_m * np.sqrt(np.pi) * area)


def network_rates(
    neuron: GainLIF, gain: np.ndarray, indegree: np.ndarray, weight: Quantity, drive: Quantity
) -> Quantity:
    """Steady rates of populations that excite and inhibit each other, and are driven.

    Every neuron receives as many synapses from each population, and from outside; their trains
    are taken to be independent, so that rates of networks in synchrony are others.

    Parameters
    ----------
    neuron : GainLIF
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
        As `noisy_rate`.
    """

    def change(_time: float, rates: np.ndarray) -> np.ndarray:
        arriving = np.append(np.maximum(rates, 0), drive / Hz) * Hz
        moments = input_moments(neuron, indegree, weight, arriving)
        steady = [noisy_rate(neuron, *moments, g) / Hz for g in gain]
        return np.asarray(steady - rates)

    silent = np.zeros(len(gain))
    rates = solve_ivp(change, (0, SETTLED), silent, "LSODA", rtol=1e-6, atol=1e-4).y[:, -1]
    settled = np.abs(change(0, rates)) < 1e-2 + 1e-3 * rates
    return np.where(settled.all(), rates, np.nan) * Hz
