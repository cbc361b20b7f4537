"""The neuron of Hodgkin and Huxley: the squid's giant axon of 1952."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from brian2 import Quantity, cm, ms, msiemens, mV, uF, um

from neuromod.models.cell import Cell
from neuromod.models.gating import Rate, Staggered, equations_of, lowest_rest, steady_state
from neuromod.parameters import not_negative, parameter, positive

SQUID = "Hodgkin & Huxley 1952, J. Physiol. 117:500-544"
SHIFTED = f"{SQUID}, table 3, with rest at -65 mV"
PER_CM2 = msiemens / cm**2
RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "alpha_m": Rate("linear", 1, -40, 10),
        "beta_m": Rate("exponential", 4, -65, -18),
        "alpha_h": Rate("exponential", 0.07, -65, -20),
        "beta_h": Rate("sigmoid", 1, -35, 10),
        "alpha_n": Rate("linear", 0.1, -55, 10),
        "beta_n": Rate("exponential", 0.125, -65, -80),
    }
)
"""Rates of the gates at 6.3 °C: Hodgkin & Huxley 1952, with rest at -65 mV and signs of today."""


@dataclass(frozen=True, eq=False)
class HodgkinHuxley(Cell):
    """The squid's giant axon, space-clamped, with rest at -65 mV.

    It has no reset: a spike is a crossing of `v_th`, counted once within `t_ref`. Receptors'
    `ahp_max` has nothing to act on.

    Examples
    --------
    >>> from brian2 import mV
    >>> from neuromod.models import HodgkinHuxley
    >>> print(round(HodgkinHuxley().resting["v"] / mV))
    -65
    """

    area: Quantity = positive(
        20_000 * um**2,
        "membrane area, through which a current goes",
        "chosen here: as of the cells of Brette et al. 2007, J. Comput. Neurosci. 23:349-398; "
        "1 nA is then 5 µA/cm²",
    )
    C: Quantity = positive(1 * uF / cm**2, "membrane capacitance per area", SHIFTED)
    g_Na: Quantity = not_negative(120 * PER_CM2, "sodium conductance per area", SHIFTED)
    g_Kd: Quantity = not_negative(36 * PER_CM2, "potassium conductance per area", SHIFTED)
    g_L: Quantity = positive(0.3 * PER_CM2, "leak conductance per area", SHIFTED)
    E_Na: Quantity = parameter(50 * mV, "reversal potential of sodium", SHIFTED)
    E_K: Quantity = parameter(
        -77 * mV, "reversal potential of potassium, also where receptors open it", SHIFTED
    )
    E_L: Quantity = parameter(
        -54.387 * mV, "reversal potential of the leak", f"{SHIFTED}: no current flows at rest"
    )
    phi: float = positive(
        1.0, "factor on the rates, 3 for every 10 K above 6.3 °C", f"{SQUID}: at 6.3 °C"
    )
    v_th: Quantity = parameter(
        0 * mV, "potential that counts as a spike", "chosen here: half way up a spike"
    )
    t_ref: Quantity = not_negative(
        2 * ms,
        "time within which a spike is counted once",
        "chosen here: more than a spike's width, less than the shortest interval",
    )

    intrinsic: ClassVar[str] = f"""
    dv/dt = (g_L*(E_L - v) + g_Na*m**3*h*(E_Na - v) + g_Kd*n**4*(E_K - v) + I_in/area)/C : volt
    dm/dt = phi*(alpha_m*(1 - m) - beta_m*m) : 1
    dh/dt = phi*(alpha_h*(1 - h) - beta_h*h) : 1
    dn/dt = phi*(alpha_n*(1 - n) - beta_n*n) : 1
    {equations_of(RATES)}
    """
    threshold: ClassVar[str] = "v > v_th"
    reset: ClassVar[str] = ""
    refractory: ClassVar[str] = "t_ref"
    method: ClassVar[Staggered] = Staggered()

    def gates(self, v: Any) -> dict[str, Any]:
        """Settled gates at potentials in mV, by name."""
        return {
            gate: steady_state(RATES[f"alpha_{gate}"], RATES[f"beta_{gate}"], v) for gate in "mhn"
        }

    def outward(self, v: Any) -> Any:
        """Settled outward current per area at potentials in mV, µA/cm²."""
        gate = self.gates(v)
        sodium = float(self.g_Na / PER_CM2) * gate["m"] ** 3 * gate["h"]
        potassium = float(self.g_Kd / PER_CM2) * gate["n"] ** 4
        leak = float(self.g_L / PER_CM2)
        return (
            sodium * (v - float(self.E_Na / mV))
            + potassium * (v - float(self.E_K / mV))
            + leak * (v - float(self.E_L / mV))
        )

    @property
    def resting(self) -> dict[str, Any]:
        """State in which no current flows."""
        v = lowest_rest(self.outward)
        return {"v": v, **self.gates(float(v / mV))}
