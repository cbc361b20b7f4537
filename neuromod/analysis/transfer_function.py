"""The rate of any neuron under random input, measured once and interpolated.

No theory gives the rate of most neurons under noise; a simulation does. Neurons on a grid of
excitatory and inhibitory input fire at rates that a smooth surface then gives for any mean and
variance of the input (so Zerlaut et al. 2018, J. Comput. Neurosci. 44:45-61, for adaptive neurons,
with a formula in the place of the surface).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, second
from scipy.interpolate import RectBivariateSpline

from neuromod.analysis.mean_field import NeuronRates
from neuromod.analysis.spike_trains import between
from neuromod.experiment import Connection, Experiment, Population
from neuromod.inputs.spikes import fixed_indegree, poisson
from neuromod.models.receptive import Receptive
from neuromod.recording import Recording

# Chosen here. In `Engram` nets are a third of what noise spreads them by apart; noise rises with
# the root of inhibition, so that levels are the closer the weaker it is.
NETS = 41
LEVELS = np.array([0, 2, 6, 12, 20, 30, 42, 56])
# Neurons at every point, for rates and for their standard errors.
REPEATS = 8
# Chosen here: ten membrane time constants, and more than twice those of fast adaptation.
SETTLING = 0.5 * second
# Hertz; a source spikes once in a time step at most, which this far below its inverse hardly shows.
FASTEST_SOURCE = 50.0
# Sources for every synapse of the neuron with the most: two share a twentieth of their input.
SOURCES = 20


@dataclass(frozen=True, eq=False)
class Probe:
    """Neurons under Poisson input from a grid of excitatory and inhibitory rates.

    Attributes
    ----------
    neuron : Receptive
        With a synaptic current `I_syn`; no ligand reaches it.
    weight : Quantity
        Of an excitatory synapse, ampere.
    g : float
        Inhibitory over excitatory weight, above 0.
    lowest, highest : float
        Net drive: the rate at which excitatory spikes arrive, less g times that of inhibitory
        ones, hertz.
    inhibition : float
        Highest rate at which inhibitory spikes arrive, hertz.
    duration, dt : Quantity
        Time in which spikes are counted, and time step, seconds.
    """

    neuron: Receptive
    weight: Quantity
    g: float
    lowest: float
    highest: float
    inhibition: float
    duration: Quantity
    dt: Quantity

    @cached_property
    def nets(self) -> np.ndarray:
        """Net drive at the nodes of the grid, hertz."""
        return np.linspace(self.lowest, self.highest, NETS)

    @cached_property
    def levels(self) -> np.ndarray:
        """Inhibition at the nodes of the grid, hertz."""
        return np.asarray(LEVELS / LEVELS[-1] * self.inhibition)

    @cached_property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Net drive and inhibition at all nodes, then in the middle between each four of them."""
        grids = [(self.nets, self.levels), tuple(map(_middles, (self.nets, self.levels)))]
        pairs = [np.meshgrid(*grid, indexing="ij") for grid in grids]
        net, inhibition = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
        return net, inhibition

    def experiment(self, generator: np.random.Generator) -> Experiment:
        """One population: `REPEATS` neurons for each point, each with synapses of its own.

        Parameters
        ----------
        generator : numpy.random.Generator
            Of synapses and spikes.
        """
        net, inhibition = self.points
        size, duration = REPEATS * len(net), SETTLING + self.duration
        # Levels and their middles are whole numbers of sources.
        many = np.ceil(self.inhibition / LEVELS[-1] / FASTEST_SOURCE)
        source = self.inhibition / LEVELS[-1] / many
        # Where inhibition outweighs all excitation that there could be, the net is not reached.
        arriving = {"exciting": np.maximum(net + self.g * inhibition, 0), "inhibiting": inhibition}
        pool = SOURCES * int(max(rate.max() for rate in arriving.values()) / source + 1)
        weights = self.weight * np.array([1, -self.g])
        sources, connections = [], []
        for (name, rate), weight in zip(arriving.items(), weights, strict=True):
            spikes = poisson(name, pool, source * Hz, self.dt, duration, self.dt, generator)
            wanted = np.repeat(rate / source, REPEATS)
            indegree = np.where(wanted > 0, np.maximum(np.round(wanted), 1), 0).astype(int)
            drawn = [
                fixed_indegree(np.arange(pool), np.array([cell]), synapses, generator)
                for cell, synapses in enumerate(indegree.tolist())
            ]
            i, j = np.concatenate(drawn, axis=1)
            # What rounding took from the number of synapses is in their weight.
            each = weight * (wanted / np.maximum(indegree, 1))[j]
            sources.append(spikes)
            connections.append(Connection(name, "cells", "I_syn", i=i, j=j, weight=each))
        return Experiment(
            populations=[Population("cells", self.neuron, size)],
            sources=sources,
            connections=connections,
            duration=duration,
            dt=self.dt,
        )


class MeasuredRates(NeuronRates):
    """Rates of neurons as a probe has measured them; noise is of the synaptic current.

    The root of the rate, whose error hardly depends on the rate, is a bivariate spline that misses
    the nodes by no more than chance (Dierckx 1993, Curve and Surface Fitting with Splines, Oxford).
    Mean and variance of an input stand for the excitation and inhibition that have both.

    Parameters
    ----------
    probe : Probe
    recording : Recording
        Of the probe's experiment.
    """

    def __init__(self, probe: Probe, recording: Recording) -> None:
        super().__init__(1.0, 1.0)
        self._probe = probe
        ends = SETTLING, SETTLING + probe.duration
        counts = between(recording.spikes["cells"], *ends, probe.dt).counts()
        rates = counts.reshape(-1, REPEATS) / float(probe.duration / second)
        self._rates, self._errors = rates.mean(1), rates.std(1, ddof=1) / np.sqrt(REPEATS)
        nodes = len(probe.nets) * len(probe.levels)
        of_nodes, errors = self._rates[:nodes], self._errors[:nodes]
        chance = np.sum(errors**2 / (4 * np.where(of_nodes > 0, of_nodes, 1)))
        roots = np.sqrt(of_nodes).reshape(len(probe.nets), -1)
        self._root = RectBivariateSpline(probe.nets, probe.levels, roots, s=chance)

    def under(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Rates of neurons under noise, hertz, shape (n,); beyond the grid those at its edge."""
        return self._at(*self._place(mean, variance))

    def alone(self, indegree: np.ndarray, weight: Quantity, rate: Quantity) -> float:
        """Rate of a neuron under trains from several kinds of sources, hertz."""
        arriving, each = np.asarray(indegree * rate / Hz), np.asarray(weight / amp)
        moments = np.sum(arriving * each), np.sum(arriving * each**2)
        return float(self.under(*(np.array([moment]) for moment in moments))[0])

    def bound(self, inhibitory: int) -> float:
        """The rate that so many synapses make the strongest inhibition that was measured."""
        return self._probe.inhibition / inhibitory

    def known(self, mean: np.ndarray, variance: np.ndarray) -> bool:
        """Whether all of these lie on the grid."""
        probe, (net, inhibition) = self._probe, self._place(mean, variance)
        within = (net >= probe.lowest) & (net <= probe.highest) & (inhibition <= probe.inhibition)
        return bool(within.all())

    @property
    def table(self) -> pd.DataFrame:
        """What was measured and what is interpolated, at nodes and in the middle between them.

        Nodes have made the surface; what lies between them tests it.
        """
        net, inhibition = self._probe.points
        nodes = len(self._probe.nets) * len(self._probe.levels)
        return pd.DataFrame(
            {
                "point": np.where(np.arange(len(net)) < nodes, "node", "between"),
                "net_drive_Hz": net,
                "inhibition_Hz": inhibition,
                "rate_Hz": self._rates,
                "rate_se_Hz": self._errors,
                "interpolated_Hz": self._at(net, inhibition),
            }
        )

    def _place(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Net drive and inhibition that have a mean and a variance."""
        weight, g = float(self._probe.weight / amp), self._probe.g
        net, power = mean / weight, variance / weight**2
        return net, (power - net) / (g * (g + 1))

    def _at(self, net: np.ndarray, inhibition: np.ndarray) -> np.ndarray:
        probe = self._probe
        inside = np.clip(net, probe.lowest, probe.highest), np.clip(inhibition, 0, probe.inhibition)
        return np.asarray(np.maximum(self._root.ev(*inside), 0) ** 2)


def _middles(values: np.ndarray) -> np.ndarray:
    return np.asarray((values[:-1] + values[1:]) / 2)
