"""The biological neuron: leaky integrate-and-fire with a gain set by a metabotropic receptor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Hz, Mohm, Quantity, amp, ms, mV, siemens

from neuromod.errors import UserError
from neuromod.models.cell import INPUTS, PAPER, SYNAPSE
from neuromod.models.integration import HeldCascade
from neuromod.models.receptive import Cascade, Receptive, receptor_list
from neuromod.models.receptors import Receptor
from neuromod.parameters import (
    ModelInput,
    namespace,
    not_negative,
    parameter,
    positive,
    refuse_where,
    used,
)

BRUNEL_WANG = "Brunel & Wang 2001, J. Comput. Neurosci. 11:63-85, pyramidal cell"

MEMBRANE = "dv/dt = (v_rest - v + R*{})/tau_m : volt (unless refractory)"
INPUT = {"input": "gain*(I_syn + I_ext)", "threshold": "(I_syn + I_ext)"}
SPIKE = {
    "input": ("v >= v_th", "v = v_reset"),
    "threshold": ("v >= v_rest + (v_th - v_rest)/gain", "v = v_rest + (v_reset - v_rest)/gain"),
}


@dataclass(frozen=True, eq=False)
class GainLIF(Receptive):
    """Leaky integrate-and-fire neuron with a gain on its input or, divided, on its threshold.

    The gain is the product of a trained gain and the gains that receptors set; a neuron without
    receptors (``receptors=()``) has the trained gain alone. Both sites give the same spikes while
    the gain is constant. Receptors may also open a K+ conductance and scale the after-spike
    current.

    Examples
    --------
    >>> from brian2 import nA, umolar
    >>> from neuromod.models import GainLIF
    >>> cell = GainLIF(receptors=("D1",))
    >>> cell.steady_gain({"dopamine": [0, 1] * umolar}).round(2)
    array([1.  , 1.31])
    >>> print(GainLIF(receptors=()).rate([0.4, 0.8] * nA, gain=2).round(1))
    [ 46.3 105.3] Hz
    """

    v_rest: Quantity = parameter(-70 * mV, "resting potential", BRUNEL_WANG)
    v_th: Quantity = parameter(-50 * mV, "spike threshold at gain 1", BRUNEL_WANG)
    v_reset: Quantity = parameter(
        -70 * mV, "potential after a spike", "chosen here: at rest, as on the chip"
    )
    tau_m: Quantity = positive(20 * ms, "membrane time constant", BRUNEL_WANG)
    R: Quantity = positive(40 * Mohm, "membrane resistance", f"{BRUNEL_WANG}: 1/25 nS")
    t_ref: Quantity = not_negative(2 * ms, "refractory period", BRUNEL_WANG)
    tau_syn: Quantity = positive(2 * ms, "decay of exponential synapses", f"{BRUNEL_WANG}: AMPA")
    b: Quantity = not_negative(
        0 * amp, "step of the after-spike current; 0: none", "chosen here: off"
    )
    tau_ahp: Quantity = positive(
        200 * ms,
        "decay of the after-spike current",
        "chosen here: between medium and slow after-hyperpolarisation "
        "(Sah 1996, Trends Neurosci. 19:150-154)",
    )
    E_K: Quantity = parameter(
        -90 * mV, "reversal potential of K+", "chosen here: usual for cortical cells"
    )
    receptors: tuple[Cascade, ...] = receptor_list((Receptor(),), "see their own")
    site: str = parameter(
        "input", "where the gain acts", f"{PAPER}, section 3.1", choices=tuple(INPUT)
    )
    synapse: str = parameter(
        "exponential", "shape of a synaptic current", "chosen here", choices=tuple(SYNAPSE)
    )

    refractory: ClassVar[str] = "t_ref"
    current: ClassVar[str] = "I_ext"
    potential: ClassVar[str] = "v"

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together, in the model or in single neurons."""
        v_th = own("v_th")
        for name in ("v_rest", "v_reset"):
            problem = f"{name} = {{}} must lie below v_th = {{}}"
            refuse_where(own(name) >= v_th, problem, own(name), v_th)
        # The exact solution divides by the difference of the time constants.
        decays = {"tau_syn": self.synapse == "exponential", "tau_ahp": self.adapts}
        for name, present in decays.items():
            if present:
                problem = f"{name} = {{}} must differ from tau_m, even if only by a millionth"
                refuse_where(own(name) == own("tau_m"), problem, own(name))
        super().check_values(own)
        each = (np.minimum(own(f"g_K_{r.name}"), 0 * siemens) for r in self._shifting)
        refuse_where(
            own("R") * sum(each, 0 * siemens) <= -1,
            "The sum of the negative g_K of the receptors must stay above -1/R = {}",
            -1 / own("R"),
        )

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """What reaches the neuron: a current, a trained gain, the concentration of each ligand."""
        return INPUTS | super().inputs

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        parts = [MEMBRANE.format(self._current), SYNAPSE[self.synapse]]
        if self.adapts:
            parts.append("dI_ahp/dt = -I_ahp/tau_ahp : amp")
        product = "*".join(["trained_gain", *(f"gain_{r.name}" for r in self.acting)])
        parts.append(f"gain = {product} : 1")
        if self._shifting:
            terms = " + ".join(f"g_K_{r.name}*activation_{r.name}" for r in self._shifting)
            parts.append(f"g_K = {terms} : siemens")
        if self.adapts and self.receptors:
            factors = (f"(1 + (ahp_max_{r.name} - 1)*activation_{r.name})" for r in self.acting)
            parts.append(f"adaptation = {'*'.join(factors)} : 1")
        return "\n".join(filter(None, [*parts, self.cascades]))

    @property
    def threshold(self) -> str:
        """Condition for a spike."""
        return SPIKE[self.site][0]

    @property
    def reset(self) -> str:
        """What a spike does."""
        return SPIKE[self.site][1] + ("\nI_ahp += b" if self.adapts else "")

    @property
    def method(self) -> Any:
        """Exact without receptors; with them, exact for the membrane alone."""
        return HeldCascade(("v", "I_syn", "I_ahp")) if self.receptors else "exact"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self) | self.cascade_constants
        return used(values, "\n".join([self.equations, self.threshold, self.reset, "t_ref"]))

    def steady(self, conc: Mapping[str, Quantity]) -> dict[str, Any]:
        """State at rest in a bath.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            Concentrations by ligand, mol/m^3; 0 where none is given.

        Returns
        -------
        dict of str to Quantity or ndarray
            Initial values of state variables.

        Raises
        ------
        UserError
            For a ligand that no receptor binds.
        """
        return {"v": self.rest(conc)} | self.bound(conc)

    def rest(self, conc: Mapping[str, Quantity]) -> Quantity:
        """Resting potential in a bath, where the K+ conductance that receptors open shifts it.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            As for `steady`.

        Returns
        -------
        Quantity, shape () or (n,)
            ``(v_rest + R*g_K*E_K)/(1 + R*g_K)``, volt.
        """
        activation = self.activations(conc)
        g_K = sum((p.g_K * activation[p.name] for p in self._shifting), 0 * siemens)
        return (self.v_rest + self.R * g_K * self.E_K) / (1 + self.R * g_K)

    def rate(self, I: Quantity, gain: Any = 1.0) -> Quantity:  # noqa: E741
        """Steady firing rate in closed form.

        Parameters
        ----------
        I : Quantity, shape (n,)
            Constant current, ampere.
        gain : float or ndarray, shape (n,)

        Returns
        -------
        Quantity, shape (n,)
            In hertz; 0 below rheobase. Gerstner et al. 2014, Neuronal Dynamics, equation 5.2,
            for any reset potential.

        Raises
        ------
        UserError
            With an after-spike current or a K+ conductance, which the closed form leaves out.
        """
        if self.adapts or self._shifting:
            raise UserError(
                "The closed form of the rate holds without after-spike current and K+ "
                "conductance: set b and g_K to 0."
            )
        drive = np.atleast_1d(np.asarray(self.R * gain * I / (self.v_th - self.v_rest)))
        from_reset = float((self.v_reset - self.v_rest) / (self.v_th - self.v_rest))
        fires = drive > 1
        safe = np.where(fires, drive, 2.0)
        charging = self.tau_m * np.log((safe - from_reset) / (safe - 1))
        return np.where(fires, 1 / (self.t_ref + charging) / Hz, 0.0) * Hz

    @property
    def _current(self) -> str:
        """Sum of the currents into the membrane."""
        current = INPUT[self.site]
        if self._shifting:
            current += " + g_K*(E_K - v)"
        if self.adapts:
            current += " - adaptation*I_ahp" if self.receptors else " - I_ahp"
        return current if current == INPUT[self.site] else f"({current})"

    @property
    def adapts(self) -> bool:
        """Whether the neuron has an after-spike current."""
        return bool(self.b > 0 * amp)

    @property
    def _shifting(self) -> tuple[Cascade, ...]:
        """What opens or closes a K+ conductance."""
        return tuple(r for r in self.acting if r.g_K != 0 * siemens)
