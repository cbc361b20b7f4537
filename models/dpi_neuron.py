"""The DPI neuron: an adaptive exponential neuron of subthreshold transistors, in current mode.

Every state is the voltage of a capacitor at a transistor's gate, and that transistor's current is
exponential in it: ``I_mem = I_0*exp(kappa*v/U_T)``. Membrane, synapse and adaptation are the same
circuit, a differential-pair integrator (DPI; Bartolozzi & Indiveri 2007, Neural Comput.
19:2581-2603): a pair of transistors shares a tail current between the capacitor and ground, and a
transistor of constant current discharges the capacitor. Written for the current instead of the
voltage, the membrane's equation is that of Chicca et al. 2014 (Proc. IEEE
102:1367-1388), with ``tau = C*U_T/(kappa*I_tau)``:

    tau*(1 + I_thr/I_mem)*dI_mem/dt + I_mem*(1 + I_ahp/I_tau)
        = I_thr/I_tau*(I_in - I_ahp - I_tau) + I_a/I_tau*(I_mem + I_thr)

A transistor conducts less when its drain nears ground, by ``1 - exp(-v/U_T)``; with this factor,
which Chicca et al. leave out, no capacitor is discharged below ground. The positive feedback I_a,
of which chips have several circuits and their simulators fitted sigmoids, is here that of the
simplest one: the membrane's gate drives a second transistor, whose current a mirror returns to the
membrane, ``I_a = feedback*I_mem``. In the voltage it is the exponential of an AdEx neuron, with a
slope factor of ``U_T/kappa``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, amp, kelvin, ms, nA, pA, pF, second, volt
from brian2.units.constants import boltzmann_constant, elementary_charge

from neuromod.parameters import (
    ModelInput,
    Parameters,
    model_input,
    namespace,
    not_negative,
    positive,
    refuse_where,
    used,
)

ROCKPOOL = "DYNAP-SE2's in Rockpool (rockpool.devices.dynapse)"
TEILI = "DYNAP-SE's in teili (dpi_neuron_param)"
CHOSEN = "chosen here"

RK4_STABLE = 2.785
"""Of a time constant: Hairer & Wanner 1996, Solving Ordinary Differential Equations II, IV.2."""
ROUNDS = 60
"""Of a fixed point, each of which brings it nearer by the share of the leak that is lacking."""
POINTS = 4000
"""Of the quadrature of a period, which is then right to 1e-7."""

EQUATIONS = """
dv/dt = (I_in/(1 + I_mem/I_thr) + I_a - (I_tau + I_ahp)*(1 - exp(-v/U_T)))/C : volt (unless refractory)
dv_syn/dt = (I_w/(1 + I_syn/(gain*I_gain)) - I_tau_syn*(1 - exp(-v_syn/U_T)))/C_syn : volt
dv_ahp/dt = (I_pulse/(1 + I_ahp/I_gain_ahp) - I_tau_ahp*(1 - exp(-v_ahp/U_T)))/C_ahp : volt
denergy/dt = V_dd*(I_in + I_w + I_pulse + (1 + feedback)*I_mem) : joule
I_in = I_dc + I_syn : amp
I_mem = I_0*exp(v/v_slope) : amp
I_syn = I_0*exp(v_syn/v_slope) : amp
I_ahp = I_0*exp(v_ahp/v_slope) : amp
I_a = feedback*I_mem : amp
I_pulse = I_ca*(1 - int(not_refractory)) : amp
I_w : amp  # Sum of the tail currents whose pulses are on
"""  # noqa: E501


@dataclass(frozen=True, eq=False)
class DPINeuron(Parameters):
    """Adaptive exponential neuron of a differential-pair integrator, with a DPI synapse.

    Inputs are a constant current `I_dc` and spikes: a pulse of width `t_pulse` on the state `I_w`,
    the tail current of the neuron's synapse, which pulses of several synapses share. `gain`
    multiplies the current `I_gain` of the synapse, and over a train the mean synaptic current is
    exactly proportional to it: ``gain*I_gain*(mean I_w/I_tau_syn - 1)``. On the chip it is a bias
    voltage, of which `bias_for` has the value.

    Examples
    --------
    >>> from brian2 import mV
    >>> from neuromod.models import DPINeuron
    >>> print(round(DPINeuron().bias_for(2.0) / mV))
    102
    """

    C: Quantity = positive(3 * pF, "membrane capacitor", ROCKPOOL)
    I_tau: Quantity = positive(
        5.5 * pA, "leak, which sets the membrane's time constant", f"20 ms of {ROCKPOOL}"
    )
    I_thr: Quantity = positive(
        22 * pA, "gain current of the membrane, I_thr/I_tau times its input", f"4 times: {ROCKPOOL}"
    )
    feedback: float = not_negative(
        0.1,
        "width ratio of the positive feedback's mirror",
        f"{CHOSEN}: the neuron rests without input, and spikes rise within milliseconds",
    )
    I_spk: Quantity = positive(1 * nA, "membrane current at which a spike begins", TEILI)
    t_ref: Quantity = positive(
        1 * ms, "refractory period, during which the membrane is held at ground", ROCKPOOL
    )
    C_syn: Quantity = positive(1 * pF, "capacitor of the synapse", CHOSEN)
    I_tau_syn: Quantity = positive(
        3.7 * pA, "leak of the synapse", f"10 ms of {ROCKPOOL}, with this capacitor"
    )
    I_gain: Quantity = positive(
        4 * pA, "gain current of the synapse at a gain of 1", f"{CHOSEN}: about its leak"
    )
    t_pulse: Quantity = positive(
        1 * ms, "width of an input pulse", f"{CHOSEN}: as long as a spike holds the membrane"
    )
    C_ahp: Quantity = positive(4 * pF, "capacitor of the adaptation", CHOSEN)
    I_tau_ahp: Quantity = positive(
        2.9 * pA, "leak of the adaptation", f"50 ms of {ROCKPOOL}, with this capacitor"
    )
    I_gain_ahp: Quantity = positive(
        2.9 * pA, "gain current of the adaptation", f"ratio: {ROCKPOOL}"
    )
    I_ca: Quantity = not_negative(
        400 * pA, "tail current of the adaptation while a spike lasts", CHOSEN
    )
    I_0: Quantity = positive(0.5 * pA, "current of a transistor at a gate of 0 V", ROCKPOOL)
    kappa: float = positive(
        0.7, "reciprocal of the subthreshold slope factor", f"mean of n and p: {ROCKPOOL}", high=1
    )
    temperature: Quantity = positive(
        300 * kelvin, "temperature, at which the currents are those given", CHOSEN
    )
    V_dd: Quantity = positive(1.8 * volt, "supply", f"{CHOSEN}: that of 180-nm processes")
    I_spec: Quantity = positive(
        200 * nA,
        "specific current: what conducts far less is in weak inversion, as the equations have it",
        f"estimate, {CHOSEN}: a square transistor of 180 nm; only netlists and `inversion` use it",
    )

    inputs: ClassVar[dict[str, ModelInput]] = {
        "I_dc": model_input(0 * pA, "constant input current", f"{CHOSEN}: none", low=0 * amp),
        "gain": model_input(
            1.0, "multiplies I_gain, the synapse's gain current", f"{CHOSEN}: untuned", low=1e-3
        ),
    }
    equations: ClassVar[str] = EQUATIONS
    threshold: ClassVar[str] = "I_mem >= I_spk"
    # A spike begins in the step at whose end it is seen, which is the first of its pulse.
    reset: ClassVar[str] = (
        "v = 0*volt\nv_ahp += dt*I_ca/(1 + I_ahp/I_gain_ahp)/C_ahp\nenergy += dt*V_dd*I_ca"
    )
    refractory: ClassVar[str] = "t_ref"
    method: ClassVar[str] = "rk4"
    start: ClassVar[dict[str, Any]] = {}
    totals: ClassVar[tuple[str, ...]] = ("energy",)
    pulsed: ClassVar[tuple[str, ...]] = ("I_w",)
    """What pulses of synapses add to."""

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse currents that no gate voltage above ground gives."""
        for name in ("I_spk", "I_thr", "I_gain_ahp", "I_gain"):
            problem = f"{name} = {{}} must lie above I_0 = {{}}, which flows at a gate of 0 V"
            refuse_where(own(name) <= own("I_0"), problem, own(name), own("I_0"))

    @property
    def constants(self) -> dict[str, Any]:
        """Values of all that the equations name."""
        values = namespace(self) | {
            "U_T": self.thermal_voltage,
            "v_slope": self.thermal_voltage / self.kappa,
        }
        codes = (self.equations, self.threshold, self.reset, self.refractory)
        return used(values, "\n".join(codes))

    @property
    def thermal_voltage(self) -> Quantity:
        """Thermal voltage U_T."""
        return boltzmann_constant * self.temperature / elementary_charge

    @property
    def tau_m(self) -> Quantity:
        """Membrane time constant, seconds."""
        return self.C * self.thermal_voltage / (self.kappa * self.I_tau)

    @property
    def tau_syn(self) -> Quantity:
        """Time constant of the synapse, seconds."""
        return self.C_syn * self.thermal_voltage / (self.kappa * self.I_tau_syn)

    @property
    def tau_ahp(self) -> Quantity:
        """Time constant of the adaptation, seconds."""
        return self.C_ahp * self.thermal_voltage / (self.kappa * self.I_tau_ahp)

    @property
    def v_spk(self) -> Quantity:
        """Gate voltage at which a spike begins, volt."""
        return self.gate(self.I_spk)

    @property
    def inversion(self) -> float:
        """Relative error of weak inversion at the largest current, ``sqrt(I_spk/I_spec)``."""
        return float(np.sqrt(float(self.I_spk / self.I_spec)))

    def gate(self, current: Quantity) -> Quantity:
        """Gate voltage at which a transistor conducts a current, volt, in weak inversion."""
        return self.thermal_voltage / self.kappa * np.log(np.asarray(current / self.I_0))

    def bias_for(self, gain: Any) -> Quantity:
        """Bias voltage that gives the synapse a gain.

        Parameters
        ----------
        gain : number or ndarray, shape () or (n,)
            Above 0.

        Returns
        -------
        Quantity, shape () or (n,)
            In volt: the gate of the pair's other transistor. It rises by U_T/kappa where the gain
            rises e times.
        """
        return self.gate(np.asarray(gain) * self.I_gain)

    def gain_of(self, bias: Quantity) -> Any:
        """Gain of the synapse at a bias voltage: the exact inverse of `bias_for`."""
        current = self.I_0 * np.exp(np.asarray(bias * self.kappa / self.thermal_voltage))
        return np.asarray(current / self.I_gain)

    def synaptic_current(self, mean: Quantity, gain: Any = 1.0) -> Quantity:
        """Mean of I_syn under a train, or its steady value.

        The synapse's equation, divided by its derivative in I_syn, holds for the time derivative of
        ``I_syn + I_gain*log(I_syn)``, whose mean over a periodic train is 0. What is left,
        ``gain*I_gain*(mean/I_tau_syn - 1)``, does not depend on the train's shape; the leak's lower
        current near ground is taken at the mean.

        Parameters
        ----------
        mean : Quantity, shape () or (n,)
            Mean of I_w, ampere, above I_tau_syn: ``I_w*t_pulse`` times the rate.
        gain : number or ndarray, shape () or (n,)

        Returns
        -------
        Quantity, shape () or (n,)
            In ampere; not a number where the synapse stays at rest.
        """
        ratio, unit = np.asarray(mean / self.I_tau_syn), np.asarray(gain * self.I_gain / self.I_0)
        current = np.where(unit * (ratio - 1) > 1, unit * (ratio - 1), np.nan)
        for _ in range(ROUNDS):
            current = unit * (ratio / -np.expm1(-np.log(current) / self.kappa) - 1)
        return current * self.I_0

    def rate(self, I_dc: Quantity) -> Quantity:
        """Rate without adaptation at a constant input current.

        Parameters
        ----------
        I_dc : Quantity, shape (n,)
            In ampere.

        Returns
        -------
        Quantity, shape (n,)
            In hertz: of the time in which the membrane goes from ground to threshold, by
            quadrature, and the refractory period; 0 below the rheobase. The idle synapse and
            the idle adaptation conduct I_0.
        """
        v = (np.arange(POINTS) + 0.5) / POINTS * self.v_spk
        slope = self._charging(np.atleast_1d(I_dc)[:, None], v)
        with np.errstate(divide="ignore"):
            rise = np.asarray(self.C * self.v_spk / POINTS / slope / second).sum(axis=1)
        stuck = np.any(np.asarray(slope) <= 0, axis=1)
        return np.where(stuck, 0, 1 / (rise + float(self.t_ref / second))) / second

    @property
    def rheobase(self) -> Quantity:
        """Largest constant current at which the neuron rests, without adaptation, ampere."""
        v = np.linspace(0, 1, POINTS + 1) * self.v_spk
        lacking = -self._charging(-self.I_0, v) * (1 + self._mem(v) / self.I_thr) - self.I_0
        return np.max(np.asarray(lacking / amp)) * amp

    def shortest_spike(self, own: Callable[[str], Any]) -> Quantity:
        """Shortest width of a spike, seconds."""
        return np.min(np.asarray(own("t_ref") / second)) * second

    def longest_step(self, own: Callable[[str], Any]) -> Quantity:
        """Longest time step that the leaks of the three capacitors stand, seconds."""
        leaks = {"C": "I_tau", "C_syn": "I_tau_syn", "C_ahp": "I_tau_ahp"}
        fastest = [
            np.min(np.asarray(own(C) / own(leak) / (second / volt))) for C, leak in leaks.items()
        ]
        return RK4_STABLE * min(fastest) * self.thermal_voltage * second / volt

    def _mem(self, v: Quantity) -> Quantity:
        return self.I_0 * np.exp(np.asarray(v * self.kappa / self.thermal_voltage))

    def _charging(self, I_dc: Quantity, v: Quantity) -> Quantity:
        """Current onto the membrane at a potential, with an idle synapse and adaptation."""
        mem = self._mem(v)
        leak = (self.I_tau + self.I_0) * -np.expm1(-np.asarray(v / self.thermal_voltage))
        return (I_dc + self.I_0) / (1 + np.asarray(mem / self.I_thr)) + self.feedback * mem - leak
