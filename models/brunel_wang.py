"""Cells and synapses of a cortical network that holds an object in mind (Brunel & Wang 2001).

Leaky integrate-and-fire cells with conductances: AMPA from outside and from within, NMDA with its
magnesium block, GABA_A. Conductances are those of one synapse in a network of 800 pyramidal cells
and 200 interneurons, and belong to the receiving cell; the gating variables `s_*` sum over its
synapses. A modulator that acts on a conductance thus acts on one name of the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from brian2 import Quantity, amp, ms, mV, nF, nS

from neuromod.parameters import (
    ModelInput,
    Parameters,
    model_input,
    namespace,
    not_negative,
    parameter,
    positive,
    refuse_where,
    used,
)

BRUNEL_WANG = "Brunel & Wang 2001, J. Comput. Neurosci. 11:63-85"
PYRAMIDAL = f"{BRUNEL_WANG}, pyramidal cell"
INTERNEURON = f"{BRUNEL_WANG}, interneuron"

CELL = """
dv/dt = (g_L*(E_L - v) + I_ext + I_outside + I_ampa + I_nmda + I_gaba)/C : volt (unless refractory)
I_outside = g_outside*s_outside*(E_exc - v) : amp
I_ampa = g_ampa*s_ampa*(E_exc - v) : amp
I_nmda = g_nmda*s_nmda*(E_exc - v)/(1 + magnesium/3.57*exp(-v/v_block)) : amp
I_gaba = g_gaba*s_gaba*(E_inh - v) : amp
ds_outside/dt = -s_outside/tau_ampa : 1
ds_ampa/dt = -s_ampa/tau_ampa : 1
ds_nmda/dt = -s_nmda/tau_nmda : 1
ds_gaba/dt = -s_gaba/tau_gaba : 1
""".strip()

CHANNELS = ("ampa", "nmda", "gaba")


@dataclass(frozen=True, eq=False)
class BrunelWangCell(Parameters):
    """Pyramidal cell of Brunel & Wang 2001: AMPA, NMDA and GABA_A conductances on a leaky membrane.

    A spike that arrives adds to `s_outside`, `s_ampa`, `s_nmda` or `s_gaba`, which are numbers of
    fully open synapses. NMDA synapses saturate, so they are `SaturatingNMDA`.
    """

    C: Quantity = positive(0.5 * nF, "membrane capacitance", PYRAMIDAL)
    g_L: Quantity = positive(25 * nS, "leak conductance", PYRAMIDAL)
    E_L: Quantity = parameter(-70 * mV, "reversal potential of the leak", BRUNEL_WANG)
    v_th: Quantity = parameter(-50 * mV, "spike threshold", BRUNEL_WANG)
    v_reset: Quantity = parameter(-55 * mV, "potential after a spike", BRUNEL_WANG)
    t_ref: Quantity = not_negative(2 * ms, "refractory period", PYRAMIDAL)
    E_exc: Quantity = parameter(0 * mV, "reversal potential of AMPA and NMDA", BRUNEL_WANG)
    E_inh: Quantity = parameter(-70 * mV, "reversal potential of GABA_A", BRUNEL_WANG)
    g_outside: Quantity = not_negative(
        2.08 * nS, "conductance of an AMPA synapse from outside the network", PYRAMIDAL
    )
    g_ampa: Quantity = not_negative(
        0.104 * nS, "conductance of an AMPA synapse, of 800 within the network", PYRAMIDAL
    )
    g_nmda: Quantity = not_negative(
        0.327 * nS, "conductance of an NMDA synapse, of 800, without block", PYRAMIDAL
    )
    g_gaba: Quantity = not_negative(1.25 * nS, "conductance of a GABA_A synapse, of 200", PYRAMIDAL)
    tau_ampa: Quantity = positive(2 * ms, "decay of AMPA", BRUNEL_WANG)
    tau_nmda: Quantity = positive(100 * ms, "decay of NMDA", BRUNEL_WANG)
    tau_gaba: Quantity = positive(10 * ms, "decay of GABA_A", BRUNEL_WANG)
    magnesium: float = not_negative(
        1.0, "magnesium outside, mM", f"{BRUNEL_WANG}; block of Jahr & Stevens 1990"
    )
    v_block: Quantity = positive(
        mV / 0.062,
        "voltage over which the block falls by e",
        "Jahr & Stevens 1990, J. Neurosci. 10:3178-3182",
    )

    equations: ClassVar[str] = CELL
    threshold: ClassVar[str] = "v >= v_th"
    reset: ClassVar[str] = "v = v_reset"
    refractory: ClassVar[str] = "t_ref"
    # As in the paper. Decays are off by 2e-5 of themselves in a step of a twentieth of their time.
    method: ClassVar[str] = "rk2"
    inputs: ClassVar[dict[str, ModelInput]] = {
        "I_ext": model_input(0 * amp, "injected current", "chosen here: none")
    }

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together, in the model or in single cells."""
        for name in ("E_L", "v_reset"):
            problem = f"{name} = {{}} must lie below v_th = {{}}"
            refuse_where(own(name) >= own("v_th"), problem, own(name), own("v_th"))

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        return used(namespace(self), "\n".join([CELL, self.threshold, self.reset, self.refractory]))

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest, with all channels closed."""
        return {"v": self.E_L}


@dataclass(frozen=True, eq=False)
class BrunelWangInterneuron(BrunelWangCell):
    """Interneuron of Brunel & Wang 2001: the pyramidal cell's equations with a faster membrane."""

    C: Quantity = positive(0.2 * nF, "membrane capacitance", INTERNEURON)
    g_L: Quantity = positive(20 * nS, "leak conductance", INTERNEURON)
    t_ref: Quantity = not_negative(1 * ms, "refractory period", INTERNEURON)
    g_outside: Quantity = not_negative(
        1.62 * nS, "conductance of an AMPA synapse from outside the network", INTERNEURON
    )
    g_ampa: Quantity = not_negative(
        0.081 * nS, "conductance of an AMPA synapse, of 800 within the network", INTERNEURON
    )
    g_nmda: Quantity = not_negative(
        0.258 * nS, "conductance of an NMDA synapse, of 800, without block", INTERNEURON
    )
    g_gaba: Quantity = not_negative(
        0.973 * nS, "conductance of a GABA_A synapse, of 200", INTERNEURON
    )


@dataclass(frozen=True, eq=False)
class SaturatingNMDA(Parameters):
    """NMDA synapse whose open share `gate` saturates: a spike opens a share of what is closed.

    Brunel & Wang let a variable `x` with a rise time of 2 ms open the channel,
    ``ds/dt = -s/tau + alpha*x*(1 - s)``. Taken at once, the rise is a jump of
    ``(1 - exp(-alpha*tau_rise))*(1 - s)``, and the cell needs one `s_nmda` for all of its synapses:
    exact, and computed at spikes alone.
    """

    strength: float = not_negative(
        1.0, "weight relative to others", f"{BRUNEL_WANG}: w+ within, w- between, or 1"
    )
    jump: float = positive(
        0.641,
        "share of the closed channels that a spike opens",
        "calibrated here: for Poisson trains of 1 to 50 Hz the mean gate is within 0.7 % of that "
        f"with the rise of 2 ms and alpha = 0.5/ms of {BRUNEL_WANG}; 1 - exp(-1) = 0.632 would be "
        "the limit of a fast rise",
        high=1,
    )
    tau_gate: Quantity = positive(100 * ms, "decay, as tau_nmda of the receiving cell", BRUNEL_WANG)

    equations: ClassVar[str] = "dgate/dt = -gate/tau_gate : 1 (event-driven)"
    on_pre: ClassVar[str] = "s_nmda_post += strength*jump*(1 - gate)\ngate += jump*(1 - gate)"
    on_post: ClassVar[str] = ""
    method: ClassVar[str] = "exact"
    totals: ClassVar[tuple[str, ...]] = ()

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that equations and spikes name."""
        return namespace(self)

    def mean_gate(self, rate: Quantity) -> Any:
        """Mean open share under a Poisson train.

        Parameters
        ----------
        rate : Quantity, shape () or (n,)
            In hertz.

        Returns
        -------
        float or ndarray, shape () or (n,)
            ``x/(1 + x)`` with ``x = jump*rate*tau_gate``: exact, because a train without memory
            sees the mean gate.
        """
        x = self.jump * rate * self.tau_gate
        return x / (1 + x)
