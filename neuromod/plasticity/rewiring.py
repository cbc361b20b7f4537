"""A network whose excitatory synapses rewire themselves over hours.

Membranes take milliseconds and rewiring takes minutes, so between two rewirings the rates are
settled: every neuron has the rate that its own synapses give it, by mean-field theory or as it was
measured. Calcium reads spike
counts drawn at these rates. Elements therefore also grow and shrink at random, and synapses turn
over while nothing happens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, second
from scipy.optimize import brentq
from scipy.sparse import csr_matrix

from neuromod.analysis.mean_field import NeuronRates
from neuromod.errors import UserError
from neuromod.models.structural import StructuralPlasticity, Wiring
from neuromod.support.machine import check_memory
from neuromod.support.progress import watched
from neuromod.support.text import say

# Chosen here: rewirings per row of the history.
EVERY = 10
# Synapses onto a neuron; chosen here: more than any neuron has.
MOST = 1e9
# On axons and dendrites, in order and shuffled.
ELEMENT_BYTES = 32


@dataclass(frozen=True, eq=False)
class RewiredNetwork:
    """A network whose first neurons rewire the synapses among themselves.

    Attributes
    ----------
    rates : NeuronRates
        Of its neurons.
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

    rates: NeuronRates
    plasticity: StructuralPlasticity
    weight: Quantity
    fixed: csr_matrix
    groups: np.ndarray
    irregularity: float

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
        When rates do not settle, or only where they are not known.
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
    rates: NeuronRates, target: Quantity, indegree: np.ndarray, weight: Quantity, drive: Quantity
) -> float:
    """Plastic synapses per neuron at which the neurons that rewire fire at their target rate.

    Parameters
    ----------
    rates : NeuronRates
        Of a single neuron.
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
        By the mean field of two homogeneous populations.

    Raises
    ------
    UserError
        When no number of synapses reaches the target.
    """
    field = _MeanField(rates, indegree, weight, float(drive / Hz))
    wanted = float(target / Hz)
    if field.beyond(wanted, field.most) > 0:
        raise UserError(
            f"Inhibitory neurons would fire at more than {field.most:.3g} Hz: use a weaker drive, "
            "or more or stronger inhibition."
        )
    inhibitory = field.inhibition(wanted)

    def excess(synapses: float) -> float:
        return field.fired(synapses, wanted, inhibitory) - wanted

    if excess(0) > 0:
        raise UserError(
            f"Neurons exceed their target of {say(target)} without any plastic synapse: use "
            f"{field.calmer(wanted)}a higher target{field.lowest(wanted)}."
        )
    enough = 1.0
    while excess(enough) < 0:
        enough *= 2
        if enough > MOST:
            raise UserError(
                f"Neurons stay below their target of {say(target)} with any number of plastic "
                "synapses, as far as their rate is known: use a stronger drive or weight."
            )
    return float(brentq(excess, 0, enough))


@dataclass(frozen=True, eq=False)
class _MeanField:
    """Neurons that rewire, all at one rate, and inhibitory ones, all at another, in hertz."""

    rates: NeuronRates
    indegree: np.ndarray
    weight: Quantity
    drive: float

    @property
    def most(self) -> float:
        """A rate that inhibitory neurons do not exceed."""
        return self.rates.bound(int(self.indegree[1]))

    def fired(
        self, synapses: float, excitatory: float, inhibitory: float, drive: float | None = None
    ) -> float:
        """Rate of a neuron with so many synapses from neurons that rewire."""
        arriving = np.array([excitatory, inhibitory, self.drive if drive is None else drive]) * Hz
        indegree = np.array([synapses, *self.indegree[1:]])
        return self.rates.alone(indegree, self.weight, arriving)

    def beyond(self, excitatory: float, inhibitory: float) -> float:
        """By how much inhibitory neurons would fire faster than they do."""
        return self.fired(self.indegree[0], excitatory, inhibitory) - inhibitory

    def inhibition(self, excitatory: float) -> float:
        """Rate of inhibitory neurons."""
        return float(brentq(lambda rate: self.beyond(excitatory, rate), 0, self.most))

    def calmer(self, aim: float) -> str:
        """What drive would slow neurons down that exceed an aim without synapses, if any would."""

        # With as many synapses as inhibitory neurons they fire as these.
        def excess(drive: float) -> float:
            return self.fired(self.indegree[0], aim, aim, drive) - aim

        if excess(0) < 0 < excess(self.drive):
            return f"a weaker drive, such as {brentq(excess, 0, self.drive):.3g} Hz, or "
        return ""

    def lowest(self, aim: float) -> str:
        """The least rate in whole hertz, a tenth above another, that synapses could hold."""
        while (aim := ceil(1.1 * aim)) < self.most:
            steady = self.beyond(aim, self.most) <= 0
            if steady and self.fired(0, aim, self.inhibition(aim)) <= aim:
                return f" of {aim} Hz or more"
        return ""


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
