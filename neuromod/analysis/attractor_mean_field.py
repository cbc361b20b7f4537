"""Mean field of a network that holds one of several objects in mind (Brunel & Wang 2001, appendix).

Conductances shorten the membrane's time constant, NMDA saturates with the rate of the sender and
depends on the receiver's mean potential, and all noise is that of the AMPA synapses from outside.
Rates of four populations reproduce themselves: pyramidal cells of the object in mind, of the other
objects and of none, and interneurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Hz, Quantity, mV, nF, nS, second
from scipy.special import zeta

from neuromod.analysis.mean_field import FARTHEST, siegert_integral
from neuromod.models.brunel_wang import BrunelWangCell, SaturatingNMDA

# Chosen here: rates of the object in mind at which the others' are found, hertz, and how near those
# come to the rates that they would have at the next step.
GRID = np.concatenate([np.arange(0, 12, 0.5), np.arange(12, 100.1, 2)])
TOLERANCE = 1e-4
STEP = 0.2
# As the grid's steps let alike rates differ.
ALIKE = 0.1
MOST_STEPS = 800
EXCITATORY = 3
BRANCHES = ("spontaneous", "unstable", "persistent")


@dataclass(frozen=True, eq=False)
class AttractorMeanField:
    """Steady rates of a network with one group of pyramidal cells for each of several objects.

    Attributes
    ----------
    cells : tuple of BrunelWangCell
        Pyramidal cell and interneuron.
    synapse : SaturatingNMDA
    indegrees : tuple of int
        Pyramidal cells and interneurons onto every cell, of the network that conductances are for.
    groups : int
        Objects.
    coding : float
        Share of the pyramidal cells in a group.
    w_plus : float
        Strength of synapses within a group; that onto a group from outside it compensates it.
    """

    cells: tuple[BrunelWangCell, BrunelWangCell]
    synapse: SaturatingNMDA
    indegrees: tuple[int, int]
    groups: int
    coding: float
    w_plus: float

    def branches(
        self, drive: Quantity, nmda: Any = (1.0, 1.0), gaba: Any = (1.0, 1.0)
    ) -> dict[str, Quantity]:
        """Rates of a group in all steady states.

        Parameters
        ----------
        drive : Quantity, shape () or (n,)
            Spikes from outside onto every cell, hertz.
        nmda, gaba : tuple of array, each of shape () or (n,)
            Factors on these conductances of pyramidal cells and of interneurons.

        Returns
        -------
        dict of str to Quantity, shape (n,)
            Hertz: `spontaneous`, `unstable`, which separates the two others, `persistent`, and the
            rate of interneurons in the spontaneous state, `inhibitory`. nan where there is no such
            state. As in the paper, the rate of the group is held while all others relax; a state is
            where it reproduces itself, stable where it would return.
        """
        given = [np.atleast_1d(np.asarray(value)) for value in (drive / Hz, *nmda, *gaba)]
        outside, *factors = (value[:, None] for value in np.broadcast_arrays(*given))
        excess, rates = self._relaxed(outside, factors)
        found = {name: np.full(len(outside), np.nan) for name in (*BRANCHES, "inhibitory")}
        for row, change in enumerate(excess):
            crossings = np.flatnonzero(np.diff(np.sign(change)))
            # All groups are alike in the spontaneous state; there are states of other groups, too.
            for place in crossings:
                share = change[place] / (change[place] - change[place + 1])
                group, others, _, inhibitory = (
                    r[row, place] + share * (r[row, place + 1] - r[row, place]) for r in rates
                )
                if change[place] < 0:
                    found["unstable"][row] = group
                elif group > 2 * others + 1:
                    found["persistent"][row] = group
                elif abs(group - others) <= ALIKE * max(group, others) + TOLERANCE:
                    found["spontaneous"][row], found["inhibitory"][row] = group, inhibitory
        return {name: values * Hz for name, values in found.items()}

    def _relaxed(self, outside: Any, factors: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """How far the held rate is from the one that it leads to, and all rates, on the grid."""
        held = np.broadcast_to(GRID, (len(outside), len(GRID)))
        rates = np.stack([held, np.full(held.shape, 3.0), np.full(held.shape, 3.0), 3 * held**0])
        volts = np.full(rates.shape, self.cells[0].v_reset / mV)
        for _ in range(MOST_STEPS):
            new, moved = self._answers(rates, volts, outside, factors)
            change = new - rates
            rates = np.concatenate([held[None], (rates + STEP * change)[1:]])
            volts = volts + STEP * (moved - volts)
            if max(np.abs(change[1:]).max(), np.abs(moved - volts).max()) < TOLERANCE:
                break
        return change[0], rates

    def _answers(
        self, rates: np.ndarray, volts: np.ndarray, outside: Any, factors: list[Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rates and mean potentials, mV, that all rates lead to; equations 25 to 36."""
        spiking = self._mixed(rates[:EXCITATORY])
        gates = self._mixed(self.synapse.mean_gate(np.maximum(rates[:EXCITATORY], 0) * Hz))
        answers = [
            self._answer(kind, outside, spiking[at], gates[at], rates, volts[at], factors, at)
            for at, kind in enumerate((0, 0, 0, 1))
        ]
        new, moved = zip(*answers, strict=True)
        return np.stack(new), np.stack(moved)

    def _mixed(self, values: Any) -> list[Any]:
        """What arrives at each population from the three of pyramidal cells, per synapse."""
        group, others, rest = values
        f, p, w = self.coding, self.groups, self.w_plus
        less = 1 - f * (w - 1) / (1 - f)
        every = f * group + f * (p - 1) * others + (1 - f * p) * rest
        from_rest = (1 - f * p) * less * rest
        return [
            f * w * group + f * (p - 1) * less * others + from_rest,
            f * less * group + f * (w + (p - 2) * less) * others + from_rest,
            every,
            every,
        ]

    def _answer(
        self,
        kind: int,
        outside: Any,
        spiking: Any,
        gate: Any,
        rates: Any,
        volt: Any,
        factors: list[Any],
        at: int,
    ) -> tuple[Any, Any]:
        """Rate and mean potential of a population of one kind; equations 9 to 24, nS and mV."""
        cell, (excitatory, inhibitory) = self.cells[kind], self.indegrees
        nmda, gaba = factors[kind], factors[2 + kind]
        tau_ampa = float(cell.tau_ampa / second)
        leak, rest, exc, inh = cell.g_L / nS, cell.E_L / mV, cell.E_exc / mV, cell.E_inh / mV
        slope = float(mV / cell.v_block)
        ampa = tau_ampa * (cell.g_outside / nS * outside + cell.g_ampa / nS * excitatory * spiking)
        block = 1 + cell.magnesium / 3.57 * np.exp(-slope * volt)
        whole = cell.g_nmda / nS * nmda * excitatory * gate
        # The NMDA current is a straight line through the mean potential.
        opened, steeper = whole / block, whole * slope * (volt - exc) * (block - 1) / block**2
        gated = cell.g_gaba / nS * gaba * inhibitory * float(cell.tau_gaba / second) * rates[-1]
        total = leak + ampa + opened + steeper + gated
        mean = (leak * rest + (ampa + opened) * exc + steeper * volt + gated * inh) / total
        tau = cell.C / nF / total
        kick = cell.g_outside / nS * (volt - exc) * tau_ampa / (cell.C / nF)
        noise = np.abs(kick) * np.sqrt(outside * tau)
        rate = _noisy_rate(cell, mean, noise, tau)
        return rate, mean - (cell.v_th - cell.v_reset) / mV * rates[at] * tau


def _noisy_rate(cell: BrunelWangCell, mean: Any, noise: Any, tau: Any) -> Any:
    """Rate in hertz under noise of the time constant of AMPA; equations 21 to 23."""
    ratio = float(cell.tau_ampa / second) / tau
    shift = -zeta(0.5) / np.sqrt(2) * np.sqrt(ratio)
    above = (cell.v_th / mV - mean) / noise * (1 + ratio / 2) + shift - ratio / 2
    below = (cell.v_reset / mV - mean) / noise
    passage = tau * np.sqrt(np.pi) * (siegert_integral(above) - siegert_integral(below))
    return np.where(above > FARTHEST, 0, 1 / (float(cell.t_ref / second) + passage))
