"""The circuit neuron: capacitor, leak, current-mirror synapses and a clocked comparator.

Barton et al. 2022, J. Low Power Electron. Appl. 12(4):59, sections 5.2 and 6.2, as a behavioural
model. It is no layout: parasitics, process corners and the devices' output resistance are left
out.

Erratum. The mirror obeys ``I = beta/2*(V_G - vto)**2`` with ``V_G = vdd - I*R_S`` (the paper's
equations 14 and 15). With ``U = vdd - vto`` the physical root is

    I = (1 + beta*R_S*U - sqrt(1 + 2*beta*R_S*U))/(beta*R_S**2).

Equation 16 as printed has ``+ sqrt(4*beta*R_S*U - 1)``: both signs are wrong and beta stands
without its 1/2. At beta = 0.5 uA/V^2, R_S = 20 Mohm, vto = 0.35 V and vdd = 0.75 V the physical
root is 10 nA; the printed form gives 32 nA, more than U/R_S = 20 nA could ever be. The form used
below is the same root without the cancellation of two nearly equal numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Mohm, Quantity, kelvin, mV, nsecond, ohm, register_new_unit, uA, volt
from brian2.units.allunits import ffarad
from brian2.units.constants import boltzmann_constant, elementary_charge

from neuromod.errors import UserError
from neuromod.models.parameters import Parameters, namespace, parameter

# So that it is shown as such, not in base units.
register_new_unit(uA / volt**2)

PAPER = "Barton et al. 2022"
CALIBRATED = "calibrated here, not from the paper"

EQUATIONS = """
dv/dt = (I_syn - I_leak)/C : volt (unless refractory)
I_syn = drive*I_unit : amp
I_unit = beta*U**2/(1 + beta*R_S*U + sqrt(1 + 2*beta*R_S*U)) : amp
U = (vdd - vto)*int(vdd > vto) : volt
drive : 1
active : 1
"""
LEAK = {
    "linear": "I_leak = (v - v_rest)/R_leak : amp",
    "one_sided": "I_leak = v_slope/R_leak*(exp((v - v_rest)/v_slope) - 1) : amp",
    "symmetric": "I_leak = v_slope/R_leak*sinh((v - v_rest)/v_slope) : amp",
}
# The NOR clocks the comparator when the last input pulse ends. Between pulses the membrane only
# leaks towards rest, below threshold, so that deciding at any time without a pulse is the same.
COMPARATOR = {"clocked": "v >= v_th and active < 0.5", "continuous": "v >= v_th"}


@dataclass(frozen=True, eq=False)
class CircuitNeuron(Parameters):
    """Analog leaky integrate-and-fire neuron whose synaptic current is set by a supply voltage.

    State: `drive` is the sum of the codes of the input pulses that are on, `active` their number.
    """

    C: Quantity = parameter(
        50 * ffarad,
        "membrane capacitor",
        source=f"{PAPER}, section 5.2",
        low=0 * ffarad,
        low_excluded=True,
    )
    v_rest: Quantity = parameter(
        250 * mV, "resting and reset potential", source=f"{PAPER}, section 5.2.2", low=0 * mV
    )
    v_th: Quantity = parameter(
        350 * mV, "comparator threshold", source=f"{PAPER}, section 5.2.2", low=0 * mV
    )
    t_spike: Quantity = parameter(
        100 * nsecond,
        "width of a spike, during which the membrane is held at reset",
        source=f"{PAPER}, section 5.2",
        low=0 * nsecond,
        low_excluded=True,
    )
    t_pulse: Quantity = parameter(
        100 * nsecond,
        "width of an input pulse",
        source=f"{PAPER}, section 5.2: a spike's width",
        low=0 * nsecond,
        low_excluded=True,
    )
    vdd: Quantity = parameter(
        0.75 * volt,
        "synapse supply",
        source=f"{PAPER}, figure 4",
        low=0.5 * volt,
        high=1 * volt,
    )
    beta: Quantity = parameter(
        0.5 * uA / volt**2,
        "transconductance factor of the mirror",
        source=CALIBRATED,
        low=0 * uA / volt**2,
        low_excluded=True,
    )
    R_S: Quantity = parameter(
        20 * Mohm,
        "load resistor of the mirror",
        source=CALIBRATED,
        low=0 * ohm,
        low_excluded=True,
    )
    vto: Quantity = parameter(
        0.35 * volt,
        "threshold of the mirror's transistor",
        source=CALIBRATED,
        low=0 * volt,
        high=0.7 * volt,
    )
    bits: int = parameter(
        3,
        "bits of a code besides its sign",
        source=f"{PAPER}, section 5.2: six sources",
        low=1,
        high=16,
    )
    R_leak: Quantity = parameter(
        400 * Mohm,
        "leak resistance at zero bias",
        source=f"{PAPER}, section 5.2.2",
        low=0 * ohm,
        low_excluded=True,
    )
    leak: str = parameter(
        "linear",
        "leak element: resistor, one transdiode pair, or two in opposition",
        source=f"{PAPER}, figure 6; linear chosen here",
        choices=tuple(LEAK),
    )
    slope_factor: float = parameter(
        1.5, "subthreshold slope factor of the pseudo-resistor", source=CALIBRATED, low=1
    )
    temperature: Quantity = parameter(
        300 * kelvin,
        "temperature of the pseudo-resistor",
        source="chosen here",
        low=0 * kelvin,
        low_excluded=True,
    )
    comparator: str = parameter(
        "clocked",
        "decides when the last input pulse ends, or at any time",
        source=f"{PAPER}, section 5.2.2",
        choices=tuple(COMPARATOR),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.v_rest >= self.v_th:
            raise UserError(f"v_rest = {self.v_rest} must lie below v_th = {self.v_th}.")

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        return f"{EQUATIONS}{LEAK[self.leak]}\n"

    @property
    def threshold(self) -> str:
        """Condition for a spike."""
        return COMPARATOR[self.comparator]

    @property
    def reset(self) -> str:
        """What a spike does."""
        return "v = v_rest"

    @property
    def refractory(self) -> str:
        """How long the membrane is held at reset, by name."""
        return "t_spike"

    @property
    def method(self) -> str:
        """Exponential Euler, which is exact, where the leak is linear."""
        return "exponential_euler" if self.leak == "linear" else "rk4"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        thermal = self.slope_factor * boltzmann_constant * self.temperature / elementary_charge
        return namespace(self) | {"v_slope": thermal}

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest."""
        return {"v": self.v_rest}

    @property
    def code_max(self) -> int:
        """Largest magnitude of a synapse's code."""
        return int(2**self.bits) - 1

    def check_step(self, dt: Quantity) -> None:
        """Refuse a time step of which pulses and spikes are no whole number.

        Parameters
        ----------
        dt : Quantity
            In seconds.

        Raises
        ------
        UserError
        """
        for name in ("t_pulse", "t_spike"):
            steps = float(getattr(self, name) / dt)
            if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
                raise UserError(
                    f"dt = {dt} must go into {name} = {getattr(self, name)} a whole number of "
                    "times."
                )

    def check_codes(self, codes: Sequence[int]) -> None:
        """Refuse codes that the synapses' bits cannot hold.

        Parameters
        ----------
        codes : sequence of int

        Raises
        ------
        UserError
        """
        for code in codes:
            if abs(code) > self.code_max:
                raise UserError(
                    f"code {code} is out of range: {-self.code_max} to {self.code_max} was "
                    f"expected for {self.bits} bits and a sign."
                )

    def unit_current(self, vdd: Quantity) -> Quantity:
        """Current of one least significant bit at a supply voltage.

        Parameters
        ----------
        vdd : Quantity, shape (n,)
            Synapse supply, volt.

        Returns
        -------
        Quantity, shape (n,)
            In ampere; 0 at and below the transistor's threshold. See the erratum above.
        """
        U = np.maximum(np.asarray(vdd / volt) - float(self.vto / volt), 0) * volt
        x = np.asarray(self.beta * self.R_S * U)
        return self.beta * U**2 / (1 + x + np.sqrt(1 + 2 * x))

    def vdd_for(self, current: Quantity) -> Quantity:
        """Supply voltage at which one least significant bit gives a current.

        Parameters
        ----------
        current : Quantity, shape (n,)
            In ampere, not negative.

        Returns
        -------
        Quantity, shape (n,)
            In volt, whether or not the synapse can be run there: the exact inverse of
            `unit_current`.
        """
        return self.vto + current * self.R_S + np.sqrt(2 * current / self.beta)

    def step(self, vdd: Quantity) -> Quantity:
        """How far one pulse at one least significant bit moves a membrane at rest.

        Parameters
        ----------
        vdd : Quantity, shape (n,)
            Synapse supply, volt.

        Returns
        -------
        Quantity, shape (n,)
            In volt, for the linear leak, at the end of the pulse.
        """
        decay = float(self.t_pulse / (self.R_leak * self.C))
        return self.unit_current(vdd) * self.R_leak * -np.expm1(-decay)
