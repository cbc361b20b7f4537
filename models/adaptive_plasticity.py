"""Synapses that learn to forget: STDP with a weight leak whose rate follows what a synapse is for.

Cells compete in the manner of Diehl & Cook 2015 (Front. Comput. Neurosci. 9:99): every spike raises
their threshold and inhibits all others, and synapses change at spikes of the cell. Panda, Allred,
Ramanathan & Roy 2018 (IEEE J. Emerg. Sel. Topics Circuits Syst. 8:51-64, arXiv 1703.07655) let
weights leak, too, the more slowly the more the spikes of both sides have been correlated: adaptive
synaptic plasticity, ASP. This much their abstract says. The equations of the leak here are chosen,
and may differ from theirs. So is the third factor, a modulator that gates recovery from the leak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, ms, mV, second, umolar

from neuromod.parameters import (
    Parameters,
    namespace,
    not_negative,
    parameter,
    positive,
    refuse_where,
    used,
)

DIEHL_COOK = "Diehl & Cook 2015, Front. Comput. Neurosci. 9:99"
CODE = f"published code of {DIEHL_COOK}"
PANDA = "Panda et al. 2018, arXiv 1703.07655"
LIGAND = "modulator"

CELL = """
dv/dt = (v_rest - v + g_exc*(E_exc - v) + g_inh*(E_inh - v))/tau_m : volt (unless refractory)
dg_exc/dt = -g_exc/tau_exc : 1
dg_inh/dt = -g_inh/tau_inh : 1
dtheta/dt = -plastic*theta/tau_theta : volt
dconc_modulator/dt = -conc_modulator/tau_clear_modulator : mole/meter**3
plastic : 1
tonic : 1 (constant)
sensitivity : meter**3/mole (constant)
""".strip()

TRACE = "dx/dt = -x/tau_x : 1 (clock-driven)"
ADAPTIVE = """
dsignificance/dt = -plastic_post*significance/tau_significance : 1 (clock-driven)
dw/dt = -plastic_post*(w - w_base)/(tau_leak*(1 + significance)) : 1 (clock-driven)
""".strip()
WEIGHTS = {
    "stdp": "w : 1",
    "leak": "dw/dt = -plastic_post*(w - w_base)/tau_leak : 1 (clock-driven)",
    "asp": ADAPTIVE,
    "modulated": ADAPTIVE,
}
"""The rules: what a weight does between spikes of the cell."""

CHANGE = """
w += plastic_post*eta*(x - x_tar)*((w_max - w)*int(w < w_max))**mu
w += -w*int(w < 0) - (w - w_max)*int(w > w_max)
""".strip()
FACTOR = "(tonic_post + sensitivity_post*conc_modulator_post)"
RECOVERY = {
    "asp": "significance += plastic_post*recovery*x",
    "modulated": f"significance += plastic_post*recovery*{FACTOR}*x",
}


@dataclass(frozen=True, eq=False)
class DiehlCookCell(Parameters):
    """Excitatory cell of Diehl & Cook 2015: conductances on a membrane and an adaptive threshold.

    The conductances `g_exc` and `g_inh` are in units of that at rest. Every spike raises the
    threshold by `theta_plus`. While `plastic` is 0, neither the threshold nor the synapses onto the
    cell change, which asks it what it has learned. `conc_modulator` is the concentration of the
    modulator around the cell, which spikes of modulatory neurons raise.
    """

    tau_m: Quantity = positive(100 * ms, "membrane time constant", CODE)
    v_rest: Quantity = parameter(-65 * mV, "resting potential", CODE)
    v_reset: Quantity = parameter(-65 * mV, "potential after a spike", CODE)
    v_th: Quantity = parameter(-52 * mV, "spike threshold where theta is 0", CODE)
    t_ref: Quantity = not_negative(5 * ms, "refractory period", CODE)
    E_exc: Quantity = parameter(0 * mV, "reversal potential of excitation", CODE)
    E_inh: Quantity = parameter(-100 * mV, "reversal potential of inhibition", CODE)
    tau_exc: Quantity = positive(1 * ms, "decay of excitation", CODE)
    tau_inh: Quantity = positive(2 * ms, "decay of inhibition", CODE)
    theta_plus: Quantity = not_negative(0.05 * mV, "rise of the threshold at a spike", CODE)
    tau_theta: Quantity = positive(1e4 * second, "decay of that rise", CODE)
    tau_clear: Quantity = positive(
        200 * ms, "clearance of the modulator", "chosen here: as in PlasticLIF, for dopamine"
    )
    tonic: float = not_negative(
        0.0, "third factor without modulator", "chosen here: no recovery without modulator"
    )
    sensitivity: Quantity = not_negative(
        1 / umolar, "third factor per concentration", "chosen here: at 1 µM recovery is that of asp"
    )

    equations: ClassVar[str] = CELL
    threshold: ClassVar[str] = "v > v_th + theta"
    reset: ClassVar[str] = "v = v_reset\ntheta += plastic*theta_plus"
    refractory: ClassVar[str] = "t_ref"
    method: ClassVar[str] = "exponential_euler"

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse a threshold that the cell would be above by itself."""
        for name in ("v_rest", "v_reset"):
            problem = f"{name} = {{}} must lie below v_th = {{}}"
            refuse_where(own(name) >= own("v_th"), problem, own(name), own("v_th"))

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self)
        values[f"tau_clear_{LIGAND}"] = values.pop("tau_clear")
        return {name: value for name, value in values.items() if name not in self.start}

    @property
    def start(self) -> dict[str, Any]:
        """State at the start, where it is not 0: at rest, and plastic."""
        third = {"tonic": self.tonic, "sensitivity": self.sensitivity}
        return {"v": self.v_rest, "plastic": 1.0, **third}


@dataclass(frozen=True, eq=False)
class AdaptiveSynapse(Parameters):
    """Synapse onto a `DiehlCookCell`, with STDP and a weight that may leak.

    A spike of the cell changes the weight `w` by the trace `x` of presynaptic spikes: up where they
    came often enough just before, down otherwise (Diehl & Cook's rule with power-law weight
    dependence). Between them, by `rule`:

    - ``stdp``: nothing happens;
    - ``leak``: the weight leaks to `w_base` with the time constant `tau_leak`;
    - ``asp``: the time constant is ``tau_leak*(1 + significance)``. Every spike of the cell adds
      ``recovery*x`` to the significance, so it follows how often both sides have lately fired
      together;
    - ``modulated``: it adds ``recovery*M*x`` instead, where the third factor ``M = tonic +
      sensitivity*conc_modulator`` is that of the cell.

    With M = 1 ``modulated`` is ``asp``, with M = 0 or without recovery both are ``leak``, and with
    an endless `tau_leak` all are ``stdp``.
    """

    rule: str = parameter(
        "asp",
        "what a weight does between spikes of the cell",
        f"asp: {PANDA}; leak and stdp: its controls; modulated: chosen here",
        choices=tuple(WEIGHTS),
    )
    eta: float = not_negative(0.05, "learning rate", "chosen here: some 20 spikes learn an image")
    x_tar: float = not_negative(0.4, "trace of presynaptic spikes without change", CODE)
    w_max: float = positive(1.0, "largest weight, in conductances at rest", CODE)
    mu: float = not_negative(0.2, "exponent of the distance from w_max", CODE)
    tau_x: Quantity = positive(20 * ms, "decay of the trace of presynaptic spikes", CODE)
    w_base: float = not_negative(0.0, "weight to which the leak leads", "chosen here: none")
    tau_leak: Quantity = positive(
        20 * second, "time constant of the leak of a synapse without significance", "chosen here"
    )
    recovery: float = not_negative(
        1.0,
        "significance gained at a spike of the cell per trace of presynaptic spikes",
        "chosen here: a pair of spikes doubles the time constant of the leak",
    )
    tau_significance: Quantity = positive(
        100 * second, "decay of significance: what counts as lately", "chosen here"
    )

    on_pre: ClassVar[str] = "g_exc_post += w\nx += 1"
    method: ClassVar[str] = "exponential_euler"
    totals: ClassVar[tuple[str, ...]] = ("w",)

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse a weight to leak to that is above the largest."""
        problem = "w_base = {} must be w_max = {} at most"
        refuse_where(own("w_base") > own("w_max"), problem, own("w_base"), own("w_max"))

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        return f"{TRACE}\n{WEIGHTS[self.rule]}"

    @property
    def on_post(self) -> str:
        """What a spike of the cell does."""
        return f"{CHANGE}\n{RECOVERY.get(self.rule, '')}".strip()

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that equations and spikes name."""
        return used(namespace(self), f"{self.equations}\n{self.on_post}")

    def leaked(self, w: Any, significance: Any, time: Quantity) -> Any:
        """Weight after a time without spikes.

        Parameters
        ----------
        w, significance : float or array, shape () or (n,)
            At its start; significance does not matter to the rules without it.
        time : Quantity, shape () or (n,)
            In seconds.

        Returns
        -------
        float or ndarray, shape () or (n,)
            With ``a = tau_significance``, the integral of the leak's rate ``1/(tau_leak*(1 +
            s*exp(-t/a)))`` is ``a/tau_leak*log((exp(t/a) + s)/(1 + s))``.
        """
        w, significance = np.asarray(w), np.asarray(significance)
        if self.rule == "stdp":
            return w
        if self.rule == "leak":
            passed = np.asarray(time / self.tau_leak)
        else:
            since = np.asarray(time / self.tau_significance)
            # log(exp(t/a) + s) without exp(t/a), which overflows.
            grown = since + np.log1p(significance * np.exp(-since)) - np.log1p(significance)
            passed = float(self.tau_significance / self.tau_leak) * grown
        return self.w_base + (w - self.w_base) * np.exp(-passed)
