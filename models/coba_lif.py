"""Leaky integrate-and-fire neuron with conductances, of the COBA network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from brian2 import Quantity, ms, mV, nS, pF

from neuromod.models.cell import Cell
from neuromod.parameters import not_negative, parameter, positive, refuse_where

BENCHMARK = "Brette et al. 2007, J. Comput. Neurosci. 23:349-398, benchmark 1"


@dataclass(frozen=True, eq=False)
class CobaLIF(Cell):
    """Leaky integrate-and-fire neuron with an excitatory and an inhibitory conductance.

    A spike that arrives adds its weight to `g_exc` or `g_inh`, which decay exponentially. With the
    benchmark's weights, `EXCITATORY` and `INHIBITORY`, 4000 of them fire on irregularly by
    themselves (after Vogels & Abbott 2005, J. Neurosci. 25:10786-10795).
    """

    C: Quantity = positive(200 * pF, "membrane capacitance", BENCHMARK)
    g_L: Quantity = positive(10 * nS, "leak conductance", BENCHMARK)
    E_L: Quantity = parameter(-60 * mV, "reversal potential of the leak", BENCHMARK)
    v_th: Quantity = parameter(-50 * mV, "spike threshold", BENCHMARK)
    v_reset: Quantity = parameter(-60 * mV, "potential after a spike", BENCHMARK)
    t_ref: Quantity = not_negative(5 * ms, "refractory period", BENCHMARK)
    E_exc: Quantity = parameter(0 * mV, "reversal potential of excitation", BENCHMARK)
    E_inh: Quantity = parameter(-80 * mV, "reversal potential of inhibition", BENCHMARK)
    tau_exc: Quantity = positive(5 * ms, "decay of excitation", BENCHMARK)
    tau_inh: Quantity = positive(10 * ms, "decay of inhibition", BENCHMARK)

    intrinsic: ClassVar[str] = """
    dv/dt = (g_L*(E_L - v) + g_exc*(E_exc - v) + g_inh*(E_inh - v) + I_in)/C : volt (unless refractory)
    dg_exc/dt = -g_exc/tau_exc : siemens
    dg_inh/dt = -g_inh/tau_inh : siemens
    """  # noqa: E501
    threshold: ClassVar[str] = "v > v_th"
    reset: ClassVar[str] = "v = v_reset"
    refractory: ClassVar[str] = "t_ref"
    method: ClassVar[str] = "exponential_euler"

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together, in the model or in single neurons."""
        super().check_values(own)
        v_th, v_reset = own("v_th"), own("v_reset")
        refuse_where(v_reset >= v_th, "v_reset = {} must lie below v_th = {}", v_reset, v_th)

    @property
    def resting(self) -> dict[str, Any]:
        """At the leak's reversal potential, without conductances."""
        return {"v": self.E_L}


EXCITATORY = 6 * nS
"""Weight of an excitatory synapse of the benchmark, for 80 synapses a cell from each 4000 cells."""
INHIBITORY = 67 * nS
"""Weight of an inhibitory synapse of the benchmark."""
