"""Copies of the network of Brunel & Wang 2001 side by side, each under conditions of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from brian2 import Quantity

from neuromod.experiment import Connection, PlasticConnection, Population
from neuromod.inputs.bombardment import Bombardment
from neuromod.models.brunel_wang import BrunelWangCell, SaturatingNMDA

CELLS = "cells"
# Conductances are those of synapses in this network (Brunel & Wang 2001, section 2.3).
PAPERS = (800, 200)
KINDS = ("pyramidal", "interneuron")


@dataclass(frozen=True, eq=False)
class Network:
    """A fully connected network with groups of pyramidal cells, in several copies.

    Pyramidal cells come first in every copy, those of the first object at their head. As in the
    paper, every cell has a synapse from every cell, itself included. Synapses of a smaller network
    are stronger in proportion, which leaves all means as they are and lets noise grow.

    Attributes
    ----------
    cells : tuple of BrunelWangCell
        Pyramidal cell and interneuron.
    synapse : SaturatingNMDA
    sizes : tuple of int
        Pyramidal cells and interneurons of a copy.
    groups : int
        Objects.
    members : int
        Pyramidal cells of a group.
    w_plus : float
    delay : Quantity
        Of every synapse, seconds.
    copies : int
    """

    cells: tuple[BrunelWangCell, BrunelWangCell]
    synapse: SaturatingNMDA
    sizes: tuple[int, int]
    groups: int
    members: int
    w_plus: float
    delay: Quantity
    copies: int

    @property
    def size(self) -> int:
        """Cells of a copy."""
        return sum(self.sizes)

    def per_kind(self, pyramidal: Any, interneuron: Any) -> Any:
        """Values of all cells from one, or one for each copy, for each kind."""
        both = [np.broadcast_to(value, self.copies) for value in (pyramidal, interneuron)]
        return np.repeat(np.stack(both, axis=1), self.sizes, axis=1).ravel()

    def every(self, values: Any) -> Any:
        """Values of all cells from one for each copy."""
        return np.repeat(values, self.size)

    def population(self, model: Any, values: Mapping[str, Any], rise: np.ndarray) -> Population:
        """All cells of all copies, starting at shares of the way from rest to threshold."""
        own: dict[str, Any] = {}
        pyramidal, interneuron = self.cells
        for name, value in pyramidal.constants.items():
            if np.any(value != getattr(interneuron, name)):
                pair = (value, getattr(interneuron, name))
                own[name] = self.per_kind(*pair) * Quantity(1, dim=getattr(value, "dim", None))
        rest = pyramidal.E_L
        v = rest + np.tile(rise, self.copies) * (pyramidal.v_th - rest)
        return Population(CELLS, model, self.copies * self.size, {**own, **values, "v": v})

    def targets(self, copies: Sequence[int] | np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Numbers of some cells of some copies, shape (copies, cells)."""
        first = np.asarray(copies, dtype=int)[:, None] * self.size
        return np.asarray(first + cells)

    def group(self, number: int) -> np.ndarray:
        """Pyramidal cells of an object."""
        return np.arange(self.members) + number * self.members

    def nested(
        self, rates: Quantity, start: Quantity, stop: Quantity, cells: np.ndarray
    ) -> list[Bombardment]:
        """Bombardment of the same cells at a rate for each copy, as alike as rates allow.

        Copies with a higher rate receive all spikes that those with a lower one receive, and more.
        """
        levels, parts = np.unique(np.asarray(rates)), []
        for below, level in zip([0, *levels[:-1]], levels, strict=True):
            reached = np.flatnonzero(np.asarray(rates) >= level)
            if level > below:
                rate = Quantity(level - below, dim=rates.dim)
                parts.append(Bombardment(rate, start, stop, self.targets(reached, cells)))
        return parts

    def synapses(self) -> tuple[tuple[Connection, ...], PlasticConnection]:
        """AMPA and GABA_A, and NMDA, of all copies."""
        pyramidal, _ = self.sizes
        i, j = np.divmod(np.arange(pyramidal * self.size), self.size)
        strength = self._strength(i, j) * PAPERS[0] / self.sizes[0]
        i, j = self._copied(i, j)
        strength = np.tile(strength, self.copies)
        k, m = np.divmod(np.arange(self.sizes[1] * self.size), self.size)
        k, m = self._copied(k + pyramidal, m)
        inhibitory = PAPERS[1] / self.sizes[1]
        return (
            Connection(CELLS, CELLS, "s_ampa", i=i, j=j, weight=strength, delay=self.delay),
            Connection(CELLS, CELLS, "s_gaba", i=k, j=m, weight=inhibitory, delay=self.delay),
        ), PlasticConnection(
            *("nmda", CELLS, CELLS, self.synapse),
            **{"i": i, "j": j, "values": {"strength": strength}, "delay": self.delay},
        )

    def rates(self, counts: np.ndarray, length: float) -> dict[str, np.ndarray]:
        """Mean rates of every copy by population.

        Parameters
        ----------
        counts : ndarray, shape (copies*size,)
            Spikes of all cells.
        length : float
            Time in which they came, seconds.

        Returns
        -------
        dict of str to ndarray, shape (copies,) or, of `groups`, (copies, groups)
        """
        rates = counts.reshape(self.copies, self.size) / length
        selective = self.groups * self.members
        grouped = rates[:, :selective].reshape(self.copies, self.groups, self.members)
        return {
            "groups": grouped.mean(axis=2),
            "rest": rates[:, selective : self.sizes[0]].mean(axis=1),
            "inhibitory": rates[:, self.sizes[0] :].mean(axis=1),
        }

    @cached_property
    def w_minus(self) -> float:
        """Strength onto a group from outside it: the mean stays 1 (Brunel & Wang 2001)."""
        coding = self.members / self.sizes[0]
        return 1 - coding * (self.w_plus - 1) / (1 - coding)

    def _strength(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Strength of excitatory synapses of a copy."""
        selective = self.groups * self.members
        onto_group = j < selective
        within = onto_group & (i < selective) & (i // self.members == j // self.members)
        return np.where(within, self.w_plus, np.where(onto_group, self.w_minus, 1.0))

    def _copied(self, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same synapses in every copy."""
        first = np.arange(self.copies)[:, None] * self.size
        return (i + first).ravel(), (j + first).ravel()
