"""Steady firing rates in closed form, as simulated, and the gains that they tell."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from brian2 import Hz, Quantity, second, siemens

from neuromod.analysis.spike_trains import steady_rates
from neuromod.experiment import Spikes
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptive import Receptive


def has_closed_form(neuron: Receptive) -> TypeGuard[GainLIF]:
    """Whether the closed form of the rate holds: a LIF without after-spike and K+ current."""
    if not isinstance(neuron, GainLIF) or neuron.adapts:
        return False
    return all(part.g_K == 0 * siemens for part in neuron.acting)


def closed_form_rates(neuron: Receptive, current: Quantity, gain: Any) -> np.ndarray:
    """Steady rates in closed form, where there is one.

    Parameters
    ----------
    current : Quantity, shape (n,)
        Constant, ampere.
    gain : float or ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        In hertz; nan for a neuron without closed form.
    """
    if not has_closed_form(neuron):
        return np.full(np.broadcast_shapes(np.shape(current), np.shape(gain)), np.nan)
    return np.asarray(neuron.rate(current, gain) / Hz)


def settled_rates(spikes: Spikes, duration: Quantity) -> Quantity:
    """Rate of every neuron in the second half of a run, once after-spike currents have settled.

    Parameters
    ----------
    duration : Quantity
        Length of the run, seconds.

    Returns
    -------
    Quantity, shape (neurons,)
        In hertz; 0 with fewer than two spikes in that half.
    """
    late = np.asarray(spikes.times >= duration / 2)
    return steady_rates(Spikes(spikes.name, spikes.size, spikes.neurons[late], spikes.times[late]))


def gain_from_rate(neuron: GainLIF, current: Quantity, rate: Quantity, dt: Quantity) -> np.ndarray:
    """Gain at which the closed form of the f-I curve gives a rate.

    Parameters
    ----------
    neuron : GainLIF
        Without after-spike current and K+ conductance.
    current, rate : Quantity, shape (n,)
        Constant, ampere; as simulated, hertz.
    dt : Quantity
        Time step, seconds: on its grid intervals are half a step short on average.

    Returns
    -------
    ndarray, shape (n,)
        The inverse of `GainLIF.rate`; nan for silent neurons.
    """
    with np.errstate(divide="ignore"):
        charging = (1 / np.asarray(rate) * second + dt / 2 - neuron.t_ref) / neuron.tau_m
    swing = neuron.v_th - neuron.v_rest
    from_reset = float((neuron.v_reset - neuron.v_rest) / swing)
    drive = 1 + (1 - from_reset) / np.expm1(np.asarray(charging))
    gain = np.asarray(drive * swing / (neuron.R * current))
    return np.where(np.asarray(rate) > 0, gain, np.nan)
