"""Homeostatic structural plasticity: synapses come and go to hold every neuron's firing rate.

A neuron has as many synaptic elements on its axon as on its dendrites. They grow while it fires
below its target rate and shrink while it fires above it. Elements that shrink take their synapses
with them; free elements of both sides pair at random. The rule reads the rate of one neuron, never
the correlation of two (Butz & van Ooyen 2013, PLoS Comput. Biol. 9:e1003259; Diaz-Pier et al. 2016,
Front. Neuroanat. 10:57; linear growth after Gallinaro & Rotter 2018, Sci. Rep. 8:3754).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Hz, Quantity, second

from neuromod.parameters import Parameters, positive

CODE = "published code of Gallinaro, Gašparović & Rotter 2022, PLoS Comput. Biol. 18:e1009836"


@dataclass(frozen=True, eq=False)
class StructuralPlasticity(Parameters):
    """Growth of synaptic elements in proportion to the distance of the rate from its target.

    Calcium is a decaying trace of the spikes that reads as a rate, ``dcalcium/dt = (rate -
    calcium)/tau_calcium``. Elements follow ``delements/dt = growth*(target - calcium)`` and never
    fall below 0; only whole elements make synapses.
    """

    target: Quantity = positive(8 * Hz, "rate to which every neuron returns", CODE)
    growth: float = positive(
        0.1,
        "elements grown per second and hertz below the target: the cost of one spike",
        f"calibrated here: 0.5 at 0.1 mV a synapse in the {CODE}; at 0.5 mV a fifth of it "
        "brings a rate back as fast",
    )
    tau_calcium: Quantity = positive(10 * second, "decay of the calcium trace", CODE)
    interval: Quantity = positive(
        1 * second,
        "time between two rewirings",
        f"chosen here: a tenth of tau_calcium; 0.1 s in the {CODE}",
    )

    def traced(self, calcium: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """Calcium at the end of an interval, hertz.

        Parameters
        ----------
        calcium : ndarray, shape (n,)
            At its start, hertz.
        spikes : ndarray, shape (n,)
            In the interval, spread evenly over it.
        """
        kept = np.exp(-float(self.interval / self.tau_calcium))
        return np.asarray(calcium * kept + spikes / float(self.interval / second) * (1 - kept))

    def grown(self, elements: np.ndarray, calcium: np.ndarray) -> np.ndarray:
        """Elements at the end of an interval, not rounded.

        Parameters
        ----------
        elements : ndarray, shape (n,)
            At its start.
        calcium : ndarray, shape (n,)
            Hertz.
        """
        missing = float(self.target / Hz) - calcium
        return np.maximum(elements + self.growth * missing * float(self.interval / second), 0)


@dataclass(frozen=True, eq=False)
class Wiring:
    """Synapses among neurons, several between the same two included.

    Attributes
    ----------
    size : int
        Number of neurons.
    pre, post : ndarray of int, shape (synapses,)
        Source and target neuron of each synapse.
    """

    size: int
    pre: np.ndarray
    post: np.ndarray

    @property
    def outdegrees(self) -> np.ndarray:
        """Synapses on each neuron's axon, shape (size,)."""
        return np.bincount(self.pre, minlength=self.size)

    @property
    def indegrees(self) -> np.ndarray:
        """Synapses on each neuron's dendrites, shape (size,)."""
        return np.bincount(self.post, minlength=self.size)

    def pruned(
        self, axonal: np.ndarray, dendritic: np.ndarray, generator: np.random.Generator
    ) -> Wiring:
        """Synapses left after elements have shrunk; those to go are chosen at random.

        Parameters
        ----------
        axonal, dendritic : ndarray of int, shape (size,)
            Elements of every neuron. A deleted synapse frees the element on its other side.
        generator : numpy.random.Generator

        Returns
        -------
        Wiring
            With no more synapses than elements on either side of every neuron.
        """
        left = self._without(_surplus(self.pre, axonal, generator))
        return left._without(_surplus(left.post, dendritic, generator))

    def paired(
        self, axonal: np.ndarray, dendritic: np.ndarray, generator: np.random.Generator
    ) -> Wiring:
        """Synapses after free elements have paired at random, until one side has none left.

        Parameters
        ----------
        axonal, dendritic, generator
            See `pruned`.

        Returns
        -------
        Wiring
            The old synapses first. Two elements of the same neuron stay free: no neuron synapses
            onto itself.
        """
        pre = _free(axonal - self.outdegrees, generator)
        post = _free(dendritic - self.indegrees, generator)
        pairs = min(len(pre), len(post))
        pre, post = pre[:pairs], post[:pairs]
        apart = pre != post
        return Wiring(self.size, np.append(self.pre, pre[apart]), np.append(self.post, post[apart]))

    def _without(self, deleted: np.ndarray) -> Wiring:
        return Wiring(self.size, np.delete(self.pre, deleted), np.delete(self.post, deleted))


def _surplus(
    owners: np.ndarray, elements: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Synapses to delete: those of a neuron in excess of its elements, at random."""
    surplus = np.bincount(owners, minlength=len(elements)) - elements
    candidates = np.flatnonzero(surplus[owners] > 0)
    shuffled = generator.permutation(candidates)
    by_owner = shuffled[np.argsort(owners[shuffled], kind="stable")]
    owner = owners[by_owner]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    doomed: np.ndarray = by_owner[rank < surplus[owner]]
    return doomed


def _free(counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Owners of free elements in random order."""
    return generator.permutation(np.repeat(np.arange(len(counts)), np.maximum(counts, 0)))
