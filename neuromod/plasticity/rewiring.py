"""A network whose excitatory synapses rewire themselves over hours.

Membranes take milliseconds and rewiring takes minutes, so between two rewirings the rates are
settled: mean-field theory gives the rate of every neuron from its own synapses. Calcium reads spike
counts drawn at these rates. Elements therefore also grow and shrink at random, and synapses turn
over while nothing happens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, second
from scipy.optimize import brentq
from scipy.sparse import csr_matrix

from neuromod.analysis.mean_field import NeuronRates, input_moments, noisy_rate
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.models.structural import StructuralPlasticity, Wiring
from neuromod.support.machine import check_memory
from neuromod.support.progress import watched

# Chosen here: rewirings per row of the history.
EVERY = 10
# On axons and dendrites, in order and shuffled.
ELEMENT_BYTES = 32


@dataclass(frozen=True, eq=False)
class RewiredNetwork:
    """A network whose first neurons rewire the synapses among themselves.

    Attributes
    ----------
    weight : Quantity
        Of a synapse that comes and goes, ampere.
    fixed : scipy.sparse.csr_matrix, shape (n, n)
        The other weights, ampere, from the column's neuron onto the row's.
    groups : ndarray of int, shape (m,)
        Of every neuron that rewires: 1 in the engram, 0 outside.
    irregularity : float
        Coefficient of variation of inter-spike intervals; its square is the variance over the mean
        of a long spike count (renewal theory: Cox 1962).
    """

    neuron: GainLIF
    plasticity: StructuralPlasticity
    weight: Quantity
    fixed: csr_matrix
    groups: np.ndarray
    irregularity: float

    @cached_property
    def rates(self) -> NeuronRates:
        """Mean-field theory of the neurons."""
        return NeuronRates(self.neuron)

    def weights(self, wiring: Wiring) -> csr_matrix:
        """All weights.

        Returns
        -------
        scipy.sparse.csr_matrix, shape (n, n)
            Ampere, from the column's neuron onto the row's.
        """
        values = np.full(len(wiring.pre), float(self.weight / amp))
        return self.fixed + csr_matrix((values, (wiring.post, wiring.pre)), self.fixed.shape)


def develop(
    network: RewiredNetwork,
    inputs: Sequence[np.ndarray],
    schedule: np.ndarray,
    kept: Collection[int],
    generator: np.random.Generator,
) -> tuple[pd.DataFrame, dict[int, Wiring]]:
    """Grow a network from no synapses and rewire it under changing input.

    Parameters
    ----------
    inputs : sequence of ndarray, each of shape (2, n)
        See `NeuronRates.outside`.
    schedule : ndarray of int, shape (intervals,)
        Number of the input in each interval between two rewirings.
    kept : collection of int
        Numbers of rewirings after which to keep the synapses.

    Returns
    -------
    tuple of (DataFrame, dict of int to Wiring)
        A row for every tenth interval: rates of the groups and of the other neurons (hertz),
        synapses per neuron, synapses per pair of neurons within and between groups, and
        `turnover`, the share of synapses deleted at every rewiring, summed from the beginning.
        Then the synapses kept.

    Raises
    ------
    UserError
        When rates do not settle, or the theory does not hold for the neuron.
    """
    rule, groups, size = network.plasticity, network.groups, len(network.groups)
    interval_s, spread = float(rule.interval / second), network.irregularity**2
    wiring = Wiring(size, np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    elements, calcium, rates = np.zeros(size), np.zeros(size), np.zeros(network.fixed.shape[0])
    turnover, rows, wirings = 0.0, [], {0: wiring} if 0 in kept else {}
    for step, present in enumerate(watched("rewiring", schedule.tolist())):
        rates = network.rates.settled(network.weights(wiring), inputs[present], rates)
        plastic, inhibitory = np.split(rates, [size])
        if step % EVERY == 0:
            row = {
                "time_s": step * interval_s,
                "input": present,
                "engram_Hz": plastic[groups == 1].mean(),
                "others_Hz": plastic[groups == 0].mean(),
                "inhibitory_Hz": inhibitory.mean(),
            }
            rows.append(row | synapses_between(groups, wiring) | {"turnover": turnover})
        # Spike counts of the mean and variance of a renewal process.
        counts = generator.gamma(plastic * interval_s / spread, spread)
        calcium = rule.traced(calcium, counts)
        elements = rule.grown(elements, calcium)
        check_memory("Pairing synaptic elements", ELEMENT_BYTES * float(elements.sum()))
        whole = elements.astype(int)
        left = wiring.pruned(whole, whole, generator)
        turnover += (len(wiring.pre) - len(left.pre)) / max(len(wiring.pre), 1)
        wiring = left.paired(whole, whole, generator)
        if step + 1 in kept:
            wirings[step + 1] = wiring
    return pd.DataFrame(rows), wirings


def homeostatic_indegree(
    neuron: GainLIF, target: Quantity, indegree: np.ndarray, weight: Quantity, drive: Quantity
) -> float:
    """Plastic synapses per neuron at which the neurons that rewire fire at their target rate.

    Parameters
    ----------
    target : Quantity
        Hertz.
    indegree : ndarray of int, shape (3,)
        Synapses onto an inhibitory neuron from excitatory ones, from inhibitory ones and from
        outside. Excitatory neurons have as many of the last two.
    weight : Quantity, shape (3,)
        Of each kind, ampere.
    drive : Quantity
        Rate of every neuron outside, hertz.

    Returns
    -------
    float
        By mean-field theory of two homogeneous populations.

    Raises
    ------
    UserError
        When no number of synapses reaches the target.
    """

    def excess(synapses: float, inhibitory: float, aim: float) -> float:
        rates = np.array([target / Hz, inhibitory, drive / Hz]) * Hz
        moments = input_moments(neuron, np.array([synapses, *indegree[1:]]), weight, rates)
        return float(noisy_rate(neuron, *moments) / Hz) - aim

    most = float(1 / neuron.t_ref / Hz)
    inhibitory = brentq(lambda rate: excess(indegree[0], rate, rate), 0, most)
    wanted = float(target / Hz)
    if excess(0, inhibitory, wanted) > 0:
        raise UserError(
            f"Neurons exceed their target of {target} without any plastic synapse: use a weaker "
            "drive or a higher target."
        )
    enough = 1.0
    while excess(enough, inhibitory, wanted) < 0:
        enough *= 2
    return float(brentq(excess, 0, enough, (inhibitory, wanted)))


def synapses_between(groups: np.ndarray, wiring: Wiring) -> dict[str, float]:
    """Synapses per neuron, and per ordered pair of neurons within and between two groups.

    Parameters
    ----------
    groups : ndarray of int, shape (m,)
        1 in the engram, 0 outside.
    """
    others, engram = np.bincount(groups, minlength=2)
    kinds = np.bincount(2 * groups[wiring.pre] + groups[wiring.post], minlength=4)
    return {
        "indegree": len(wiring.pre) / wiring.size,
        "within_engram": kinds[3] / (engram * (engram - 1)),
        "onto_engram": kinds[1] / (engram * others),
        "from_engram": kinds[2] / (engram * others),
        "among_others": kinds[0] / (others * (others - 1)),
    }
