"""Adaptive exponential integrate-and-fire neuron, with the firing patterns of Naud et al."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, amp, ms, mV, nS, pA, pF, volt

from neuromod.models.cell import Cell
from neuromod.parameters import not_negative, parameter, positive, refuse_where

BRETTE_GERSTNER = "Brette & Gerstner 2005, J. Neurophysiol. 94:3637-3642"
NAUD = (
    "Naud et al. 2008, Biol. Cybern. 99:335-347, table 1, in the values with which an example of "
    "Brian2's draws its figures again"
)
STEEPEST = 100
"""Of the exponential, in slope factors above its threshold; beyond it nothing is resolved."""


@dataclass(frozen=True, eq=False)
class AdEx(Cell):
    """Adaptive exponential integrate-and-fire neuron.

    The membrane drives itself upwards above `V_T`; an adaptation current `w` follows it below and
    grows by `b` with every spike. `patterns` has parameters for eight firing patterns.

    Examples
    --------
    >>> from neuromod.models import AdEx
    >>> from neuromod.models.adex import patterns
    >>> patterns["adapting"].tau_w, AdEx(receptors=("D1",)).ligands
    (300. * msecond, ('dopamine',))
    """

    C: Quantity = positive(281 * pF, "membrane capacitance", BRETTE_GERSTNER)
    g_L: Quantity = positive(30 * nS, "leak conductance", BRETTE_GERSTNER)
    E_L: Quantity = parameter(-70.6 * mV, "reversal potential of the leak", BRETTE_GERSTNER)
    V_T: Quantity = parameter(-50.4 * mV, "threshold of the exponential", BRETTE_GERSTNER)
    Delta_T: Quantity = positive(2 * mV, "slope factor of the exponential", BRETTE_GERSTNER)
    V_peak: Quantity = parameter(20 * mV, "potential that counts as a spike", BRETTE_GERSTNER)
    V_r: Quantity = parameter(-70.6 * mV, "potential after a spike", BRETTE_GERSTNER)
    a: Quantity = parameter(
        4 * nS, "adaptation below threshold; negative: facilitation", BRETTE_GERSTNER
    )
    b: Quantity = parameter(80.5 * pA, "step of the adaptation at a spike", BRETTE_GERSTNER)
    tau_w: Quantity = positive(144 * ms, "time constant of the adaptation", BRETTE_GERSTNER)
    t_ref: Quantity = not_negative(0 * ms, "refractory period", f"{BRETTE_GERSTNER}: none")

    # Within a step that ends in a spike the potential overshoots without bound; `v_below` keeps
    # the exponential and the adaptation from following it.
    intrinsic: ClassVar[str] = """
    dv/dt = (g_L*(E_L - v_below) + g_L*Delta_T*exp((v_below - V_T)/Delta_T) - w + I_in)/C : volt (unless refractory)
    dw/dt = (a*(v_below - E_L) - w)/tau_w : amp
    v_below = v - (v - V_peak)*int(v > V_peak) : volt
    """  # noqa: E501
    threshold: ClassVar[str] = "v > V_peak"
    reset: ClassVar[str] = "v = V_r\nw += b"
    refractory: ClassVar[str] = "t_ref"
    # Of fourth order, since a spike is a steep upstroke.
    method: ClassVar[str] = "rk4"
    adaptation: ClassVar[str] = "w"

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together, in the model or in single neurons."""
        super().check_values(own)
        V_T, V_peak, V_r = own("V_T"), own("V_peak"), own("V_r")
        problem = "V_T = {} must lie below V_peak = {}"
        refuse_where(V_peak <= V_T, problem, V_T, V_peak)
        problem = "V_r = {} must lie below V_peak = {}"
        refuse_where(V_r >= V_peak, problem, V_r, V_peak)
        refuse_where(
            V_peak - V_T > STEEPEST * own("Delta_T"),
            f"V_peak = {{}} must lie within {STEEPEST} slope factors Delta_T = {{}} of V_T",
            V_peak,
            own("Delta_T"),
        )

    @property
    def resting(self) -> dict[str, Any]:
        """State at rest; at `E_L` without adaptation where the neuron never rests."""
        v = self._rest()
        return {"v": v, "w": self.a * (v - self.E_L)}

    @property
    def rheobase(self) -> Quantity:
        """Constant current above which no stable rest is left, ampere.

        Touboul & Brette 2008, Biol. Cybern. 99:319-334: rest and threshold merge where
        ``a/g_L < tau_m/tau_w`` (type I excitability), and rest turns unstable before that where the
        adaptation is stronger (type II).
        """
        slow = float(self.C / self.g_L / self.tau_w)
        ratio = float(self.a / self.g_L)
        edge = min(ratio, slow)
        way = self.V_T - self.E_L - self.Delta_T + self.Delta_T * np.log1p(edge)
        return (self.g_L + self.a) * way + self.Delta_T * self.g_L * (ratio - edge)

    def _rest(self) -> Quantity:
        """Lower root of ``(g_L + a)*(v - E_L) = g_L*Delta_T*exp((v - V_T)/Delta_T)``."""
        if self.g_L + self.a <= 0 * nS or self.rheobase <= 0 * amp:
            return self.E_L
        # Newton's method from the left of a convex function meets its lower root from below.
        step, slope = np.inf, float((self.g_L + self.a) / self.g_L)
        x, start = 0.0, float((self.E_L - self.V_T) / self.Delta_T)
        while abs(step) > 1e-13:
            rise = np.exp(x + start)
            step = (slope * x - rise) / (rise - slope)
            x += step
        return self.E_L + x * self.Delta_T


def _pattern(row: str) -> tuple[AdEx, Quantity]:
    """A neuron and its current from a row of the table."""
    C, g_L, E_L, V_T, Delta_T, a, tau_w, b, V_r, current = (float(x) for x in row.split())
    neuron = AdEx(
        C=C * pF,
        g_L=g_L * nS,
        E_L=E_L * mV,
        V_T=V_T * mV,
        Delta_T=Delta_T * mV,
        a=a * nS,
        tau_w=tau_w * ms,
        b=b * pA,
        V_r=V_r * mV,
        V_peak=0 * volt,
    )
    return neuron, current * pA


# C/pF g_L/nS E_L/mV V_T/mV Delta_T/mV a/nS tau_w/ms b/pA V_r/mV I/pA
_TABLE = {
    "tonic": "200 10 -70 -50 2 2 30 0 -58 500",
    "adapting": "200 12 -70 -50 2 2 300 60 -58 500",
    "initial-burst": "130 18 -58 -50 2 4 150 120 -50 400",
    "regular-bursting": "200 10 -58 -50 2 2 120 100 -46 210",
    "delayed-accelerating": "200 12 -70 -50 2 -10 300 0 -58 300",
    "delayed-regular-bursting": "100 10 -65 -50 2 -10 90 30 -47 110",
    "transient": "100 10 -65 -50 2 10 90 100 -47 180",
    "irregular": "100 12 -60 -50 2 -11 130 30 -48 160",
}
_made = {name: _pattern(row) for name, row in _TABLE.items()}
patterns: Mapping[str, AdEx] = MappingProxyType({name: made[0] for name, made in _made.items()})
"""Neurons by the pattern that they fire in under their current: Naud et al. 2008 (see `NAUD`)."""
steps: Mapping[str, Quantity] = MappingProxyType({name: made[1] for name, made in _made.items()})
"""The current step that shows each pattern, from the same table, ampere."""
