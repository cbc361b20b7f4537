"""Cortical neurons of Hodgkin and Huxley's kind with an M current (Pospischil et al. 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, cm, ms, msiemens, mV, nA, uF, um

from neuromod.models.cell import Cell
from neuromod.models.gating import Rate, Staggered, equations_of, lowest_rest, steady_state
from neuromod.parameters import not_negative, parameter, positive

POSPISCHIL = "Pospischil et al. 2008, Biol. Cybern. 99:427-441"
REGULAR = f"{POSPISCHIL}, the authors' RS cell (ModelDB 123623)"
BURSTING = f"{POSPISCHIL}, the authors' IB cell (ModelDB 123623)"
PER_CM2 = msiemens / cm**2
RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "alpha_m": Rate("linear", 0.32 * 4, 13, 4, above="V_T"),
        "beta_m": Rate("linear", 0.28 * 5, 40, -5, above="V_T"),
        "alpha_h": Rate("exponential", 0.128, 17, -18, above="V_T"),
        "beta_h": Rate("sigmoid", 4, 40, 5, above="V_T"),
        "alpha_n": Rate("linear", 0.032 * 5, 15, 5, above="V_T"),
        "beta_n": Rate("exponential", 0.5, 10, -40, above="V_T"),
    }
)
"""Rates of sodium and potassium at 36 °C above `V_T`: Traub & Miles 1991, Neuronal Networks of the
Hippocampus."""
L_RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "alpha_q": Rate("linear", 0.055 * 3.8, -27, 3.8),
        "beta_q": Rate("exponential", 0.94, -75, -17),
        "alpha_r": Rate("exponential", 0.000457, -13, -50),
        "beta_r": Rate("sigmoid", 0.0065, -15, 28),
    }
)
"""Rates of the L-type calcium current: Reuveni et al. 1993, J. Neurosci. 13:4609-4621."""


@dataclass(frozen=True, eq=False)
class CorticalHH(Cell):
    """Cortical neuron: sodium, potassium, and a slow M current that adapts it.

    It has no reset: a spike is a crossing of `v_th`, counted once within `t_ref`. Receptors'
    `ahp_max` scales the M current, as muscarinic receptors do. `patterns` has the authors' cells.
    """

    area: Quantity = positive(
        np.pi * 96 * 96 * um**2, "membrane area, through which a current goes", REGULAR
    )
    C: Quantity = positive(1 * uF / cm**2, "membrane capacitance per area", REGULAR)
    g_Na: Quantity = not_negative(50 * PER_CM2, "sodium conductance per area", REGULAR)
    g_Kd: Quantity = not_negative(5 * PER_CM2, "delayed potassium conductance per area", REGULAR)
    g_M: Quantity = not_negative(0.07 * PER_CM2, "M conductance per area", REGULAR)
    g_L: Quantity = positive(0.1 * PER_CM2, "leak conductance per area", REGULAR)
    E_Na: Quantity = parameter(50 * mV, "reversal potential of sodium", REGULAR)
    E_K: Quantity = parameter(
        -100 * mV, "reversal potential of potassium, also where receptors open it", REGULAR
    )
    E_L: Quantity = parameter(-70 * mV, "reversal potential of the leak", REGULAR)
    V_T: Quantity = parameter(
        -55 * mV, "zero of the axis of sodium's and potassium's rates", REGULAR
    )
    tau_max: Quantity = positive(1000 * ms, "scale of the M current's time constant", REGULAR)
    v_th: Quantity = parameter(
        0 * mV, "potential that counts as a spike", "chosen here: half way up a spike"
    )
    t_ref: Quantity = not_negative(
        2 * ms, "time within which a spike is counted once", "chosen here: more than its width"
    )

    intrinsic: ClassVar[str] = f"""
    dv/dt = (I_ionic + I_in)/(area*C) : volt
    I_ionic = area*(g_L*(E_L - v) + (g_Kd*n**4 + g_M*p)*(E_K - v) + g_Na*m**3*h*(E_Na - v)) : amp
    dm/dt = alpha_m*(1 - m) - beta_m*m : 1
    dh/dt = alpha_h*(1 - h) - beta_h*h : 1
    dn/dt = alpha_n*(1 - n) - beta_n*n : 1
    dp/dt = (p_inf - p)/tau_p : 1
    p_inf = 1/(1 + exp(-(v + 35*mV)/(10*mV))) : 1
    tau_p = tau_max/(3.3*exp((v + 35*mV)/(20*mV)) + exp(-(v + 35*mV)/(20*mV))) : second
    {equations_of(RATES)}
    """
    threshold: ClassVar[str] = "v > v_th"
    reset: ClassVar[str] = ""
    refractory: ClassVar[str] = "t_ref"
    method: ClassVar[Staggered] = Staggered()
    adaptation: ClassVar[str] = "g_M"

    def gates(self, v: Any) -> dict[str, Any]:
        """Settled gates at potentials in mV, by name."""
        zero = float(self.V_T / mV)
        fast = {
            gate: steady_state(RATES[f"alpha_{gate}"], RATES[f"beta_{gate}"], v, zero)
            for gate in "mhn"
        }
        return fast | {"p": 1 / (1 + np.exp(-(v + 35) / 10))}

    def outward(self, v: Any) -> Any:
        """Settled outward current per area at potentials in mV, µA/cm²."""
        gate = self.gates(v)
        sodium = float(self.g_Na / PER_CM2) * gate["m"] ** 3 * gate["h"]
        delayed = float(self.g_Kd / PER_CM2) * gate["n"] ** 4
        potassium = delayed + float(self.g_M / PER_CM2) * gate["p"]
        return (
            float(self.g_L / PER_CM2) * (v - float(self.E_L / mV))
            + potassium * (v - float(self.E_K / mV))
            + sodium * (v - float(self.E_Na / mV))
        )

    @property
    def resting(self) -> dict[str, Any]:
        """State in which no current flows."""
        v = lowest_rest(self.outward)
        return {"v": v, **self.gates(float(v / mV))}


@dataclass(frozen=True, eq=False)
class BurstingHH(CorticalHH):
    """Cortical neuron with calcium currents: L-type, which makes bursts, or low-threshold T-type.

    The activation `s` of the T-type current is instantaneous in the paper; here it follows within
    `tau_s`, as exponential steps need.
    """

    g_Ca: Quantity = not_negative(0.17 * PER_CM2, "L-type calcium conductance per area", BURSTING)
    g_T: Quantity = not_negative(0 * PER_CM2, "T-type calcium conductance per area", BURSTING)
    g_M: Quantity = not_negative(0.03 * PER_CM2, "M conductance per area", BURSTING)
    g_L: Quantity = positive(0.01 * PER_CM2, "leak conductance per area", BURSTING)
    E_L: Quantity = parameter(-85 * mV, "reversal potential of the leak", BURSTING)
    E_Ca: Quantity = parameter(
        120 * mV, "reversal potential of calcium", f"{BURSTING}: 2.4e-4 inside, 2 mM outside"
    )
    V_x: Quantity = parameter(2 * mV, "shift of the T-type current", f"{POSPISCHIL}, LTS cell")
    tau_s: Quantity = positive(
        0.1 * ms,
        "time constant of the T-type activation",
        "chosen here: against one that is instantaneous, the first three spikes of the LTS cell "
        "move by 0.6 ms at most",
    )

    intrinsic: ClassVar[str] = f"""
    {CorticalHH.intrinsic.replace("I_ionic + I_in", "I_ionic + I_calcium + I_in")}
    I_calcium = area*(g_Ca*q**2*r + g_T*s**2*u)*(E_Ca - v) : amp
    dq/dt = alpha_q*(1 - q) - beta_q*q : 1
    dr/dt = alpha_r*(1 - r) - beta_r*r : 1
    ds/dt = (s_inf - s)/tau_s : 1
    du/dt = (u_inf - u)/tau_u : 1
    s_inf = 1/(1 + exp(-(v + V_x + 57*mV)/(6.2*mV))) : 1
    u_inf = 1/(1 + exp((v + V_x + 81*mV)/(4*mV))) : 1
    tau_u = (30.8*ms + u_rise/(1 + exp((v + V_x + 84*mV)/(3.2*mV))))/3.0**1.2 : second
    u_rise = (211.4 + exp((v + V_x + 113.2*mV)/(5*mV)))*ms : second
    {equations_of(L_RATES)}
    """

    def gates(self, v: Any) -> dict[str, Any]:
        """Settled gates at potentials in mV, by name."""
        slow = {
            gate: steady_state(L_RATES[f"alpha_{gate}"], L_RATES[f"beta_{gate}"], v)
            for gate in "qr"
        }
        shifted = v + float(self.V_x / mV)
        slow["s"] = 1 / (1 + np.exp(-(shifted + 57) / 6.2))
        slow["u"] = 1 / (1 + np.exp((shifted + 81) / 4))
        return super().gates(v) | slow

    def outward(self, v: Any) -> Any:
        """Settled outward current per area at potentials in mV, µA/cm²."""
        gate = self.gates(v)
        calcium = (
            float(self.g_Ca / PER_CM2) * gate["q"] ** 2 * gate["r"]
            + float(self.g_T / PER_CM2) * gate["s"] ** 2 * gate["u"]
        )
        return super().outward(v) + calcium * (v - float(self.E_Ca / mV))


patterns: Mapping[str, CorticalHH] = MappingProxyType(
    {
        "RS": CorticalHH(),
        "FS": CorticalHH(
            area=np.pi * 67 * 67 * um**2, g_M=0 * PER_CM2, g_L=0.15 * PER_CM2, g_Kd=10 * PER_CM2
        ),
        "IB": BurstingHH(),
        "IB-repetitive": BurstingHH(g_Ca=0.22 * PER_CM2),
        "LTS": BurstingHH(g_Ca=0 * PER_CM2, g_T=0.4 * PER_CM2),
    }
)
"""The authors' cells of Pospischil et al. 2008 (ModelDB 123623): regular and fast spiking, one
burst and then regular, bursts again and again, and low-threshold spikes."""
steps: Mapping[str, Quantity] = MappingProxyType(
    {"RS": 0.75 * nA, "FS": 0.5 * nA, "IB": 0.15 * nA, "IB-repetitive": 0.15 * nA, "LTS": 0.15 * nA}
)
"""The current step that shows each, from the same scripts."""
