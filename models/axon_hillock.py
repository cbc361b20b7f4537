"""Mead's axon-hillock: a capacitor, an amplifier of two inverters, and a capacitor that feeds back.

Mead 1989, Analog VLSI and Neural Systems, chapter 12. The input charges the membrane until the
amplifier switches. Its output then rises by the supply, and lifts the membrane through the
feedback capacitor by a part of that; with the output high, a transistor at the bias V_pw takes the
reset current from the membrane until the amplifier switches back. All of it follows from charges,
with ``C = C_mem + C_fb``:

    jump  = V_dd*C_fb/C                      of the membrane, up and down again
    t_lo  = C_fb*V_dd/I_in                   from the end of a spike to the next
    t_hi  = C_fb*V_dd/(I_reset - I_in)       width of a spike
    rate  = I_in*(1 - I_in/I_reset)/(C_fb*V_dd)

The rate is highest at half the reset current; at the reset current the output stays high.

What a spike takes from the supply is known too: the feedback capacitor draws C_fb*V_dd altogether,
half-way during the jump and while the membrane falls back; each inverter's load C_load*V_dd. And
while the membrane is near the switching threshold, both transistors of the first inverter conduct,
which costs far more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Mohm, Quantity, amp, euler, kelvin, nA, ohm, second, uA, volt
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.units.allunits import ffarad
from brian2.units.constants import boltzmann_constant, elementary_charge

from neuromod.errors import UserError
from neuromod.models.mirror import Mirror
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

CHOSEN = "chosen here"
CALIBRATED = "the circuit neuron's, calibrated here"
VDD = model_input(
    0.75 * volt, "synapse supply", "the circuit neuron's", low=0.5 * volt, high=1 * volt
)
TRANSISTOR = ("beta", "vto", "R_S")
"""Parameters of a mirror that neurons may have of their own."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)

EQUATIONS = """
dv/dt = (I_in - out*I_reset)/(C_mem + C_fb) : volt
denergy/dt = vdd*(I_in + mirrors*I_unit) + V_dd*I_short : joule
I_in = up*I_unit : amp
I_short = I_spec*log(1 + exp((v_low - vto_inverter)/v_ekv))**2 : amp
v_low = v - (2*v - V_dd)*int(v > V_dd/2) : volt  # Gate drive of the weaker transistor
vdd : volt
I_unit : amp  # Of a mirror at this supply, solved before the run
up : 1  # Units that push
mirrors : 1  # References that conduct
out : 1  # 1 while a spike lasts
rose : 1  # 1 in the step in which it begins
"""


class Latched(StateUpdateMethod):  # type: ignore[misc]
    """A membrane that moves in straight lines, and an output that is latched by its level.

    Within a step of constant input the membrane's way is known, and so is when it crosses: what
    is left of the step it goes on at its new slope. Trains therefore keep their period whatever
    the step.
    """

    def __call__(self, equations: Any, variables: Any = None, method_options: Any = None) -> str:
        """Abstract code of one step, as Brian2 asks for it."""
        step = euler(equations, variables, method_options)
        return "\n".join(["_in = 1*I_in", step, *LATCH])

    def __str__(self) -> str:
        return "straight lines, and a latch that is switched within steps"


# Where nothing is crossed, any slope that is not 0 will do to divide by.
LATCH = (
    "_falls = int(out > 0.5)*int(v <= V_dd/2)",
    "_rises = int(out < 0.5)*int(v >= V_dd/2)*int(_in > 0)",
    "_slope = _falls*(_in - I_reset) + _rises*_in + (1 - _falls - _rises)*I_reset",
    "_late = (v - V_dd/2)*(_falls + _rises)/_slope",
    "v = v + (_rises - _falls)*V_dd*C_fb/(C_mem + C_fb) + (_falls - _rises)*_late*I_reset",
    "out = out + _rises - _falls",
    "energy = energy + _rises*(C_fb + 2*C_load)*V_dd**2",
    "rose = 1.0*_rises",
)


@dataclass(frozen=True, eq=False)
class AxonHillock(Parameters):
    """Mead's axon-hillock, driven by current mirrors whose supply is its gain.

    `up` is the number of a mirror's units that push current onto the membrane, held or in pulses,
    and `mirrors` that of the references which conduct for them; the supply `vdd` sets the current
    of a unit as in the circuit neuron (`unit_current`). Units only push: `up` must not fall
    below 0.

    State: `out` is the output, 1 while a spike lasts; `energy` is what both supplies have given.

    Examples
    --------
    >>> from brian2 import volt
    >>> from neuromod.models import AxonHillock
    >>> AxonHillock().unit_current(0.75 * volt)
    10. * namp
    """

    C_mem: Quantity = positive(400 * ffarad, "membrane capacitor", CHOSEN)
    C_fb: Quantity = positive(100 * ffarad, "feedback capacitor", f"{CHOSEN}: a jump of V_dd/5")
    V_dd: Quantity = positive(1 * volt, "supply of the amplifier", f"{CHOSEN}: that of the circuit")
    I_reset: Quantity = positive(
        100 * nA, "reset current, which V_pw sets", f"{CHOSEN}: 250 kHz at the most"
    )
    beta_inverter: Quantity = positive(
        200 * uA / volt**2,
        "transconductance factor of the inverters' transistors, n and p alike",
        f"estimate, {CHOSEN}: about square ones",
    )
    C_load: Quantity = positive(
        1 * ffarad, "load of each inverter", f"estimate, {CHOSEN}: the gates that it drives"
    )
    vto_inverter: Quantity = not_negative(
        0.45 * volt, "threshold of the inverters' transistors", f"{CHOSEN}: near half of V_dd"
    )
    vto: Quantity = not_negative(0.35 * volt, "threshold of the mirror's transistor", CALIBRATED)
    beta: Quantity = positive(
        0.5 * uA / volt**2, "transconductance factor of the mirror", CALIBRATED
    )
    R_S: Quantity = positive(20 * Mohm, "load resistor of the mirror", CALIBRATED)
    slope_factor: float = parameter(
        1.5, "subthreshold slope factor of the inverters", CALIBRATED, low=1
    )
    temperature: Quantity = positive(300 * kelvin, "temperature of the inverters", CHOSEN)

    inputs: ClassVar[dict[str, ModelInput]] = {"vdd": VDD}
    equations: ClassVar[str] = EQUATIONS
    threshold: ClassVar[str] = "rose > 0.5"
    reset: ClassVar[str] = "rose = 0"
    refractory: ClassVar[Quantity] = 0 * second
    method: ClassVar[StateUpdateMethod] = Latched()
    totals: ClassVar[tuple[str, ...]] = ("energy",)
    pulsed: ClassVar[tuple[str, ...]] = ("up", "mirrors")
    """What pulses of synapses add to."""
    solvable: ClassVar[tuple[str, ...]] = TRANSISTOR

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse a feedback that would drive the membrane beyond the rails."""
        jump = own("V_dd") * own("C_fb") / (own("C_mem") + own("C_fb"))
        problem = (
            "C_fb = {} lifts the membrane by {}, which must be less than half of V_dd = {}: "
            "take a larger C_mem"
        )
        refuse_where(jump >= own("V_dd") / 2, problem, own("C_fb"), jump, own("V_dd"))

    @property
    def constants(self) -> dict[str, Any]:
        """Values of all that equations and steps name."""
        values = namespace(self) | {
            "v_ekv": self.inverter.v_ekv * volt,
            "I_spec": self.inverter.specific_current * amp,
        }
        return used(values, "\n".join([self.equations, *LATCH]))

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: where a spike leaves the membrane."""
        return {"v": self.v_switch - self.jump}

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A population's values, and the current of a unit at its supplies."""
        if "I_unit" in values:
            raise UserError("I_unit follows from the supply: give vdd.")
        completed = {"vdd": VDD.default} | dict(values)
        own = {name: completed.pop(name) for name in TRANSISTOR if name in values}
        completed["I_unit"] = self.unit_current(completed["vdd"], **own)
        return completed

    @property
    def v_switch(self) -> Quantity:
        """Switching threshold of inverters whose transistors are alike, volt."""
        return self.V_dd / 2

    @property
    def jump(self) -> Quantity:
        """How far the output lifts the membrane, volt."""
        return self.V_dd * self.C_fb / (self.C_mem + self.C_fb)

    @property
    def highest_rate(self) -> Quantity:
        """Rate at half the reset current, hertz."""
        return self.I_reset / (4 * self.C_fb * self.V_dd)

    @property
    def V_pw(self) -> Quantity:
        """Gate voltage at which the reset transistor, an inverter's, conducts I_reset, volt."""
        overdrive = self.inverter.overdrive_for(np.asarray(self.I_reset / amp))
        return self.vto_inverter + overdrive * volt

    def unit_current(self, vdd: Quantity, **own: Quantity) -> Quantity:
        """Current of one unit at a supply voltage, ampere; `own` are values of single neurons."""
        mirror = self.mirror(**own)
        return mirror.current(mirror.overdrive(np.asarray(vdd / volt))) * amp

    def vdd_for(self, current: Quantity) -> Quantity:
        """Supply voltage at which one unit gives a current: the exact inverse of `unit_current`."""
        return self.mirror().vdd_for(np.asarray(current / amp)) * volt

    def mirror(self, **own: Quantity) -> Mirror:
        """The mirror of the synapses; `own` are values of single neurons."""
        beta, vto, R_S = (own.get(name, getattr(self, name)) for name in TRANSISTOR)
        # The square law needs no slope.
        slope = 1.0
        beta, vto, R_S = (np.asarray(x) for x in (beta / (amp / volt**2), vto / volt, R_S / ohm))
        return Mirror("square", beta, vto, R_S, slope)

    def spike_width(self, I_in: Quantity) -> Quantity:
        """Width of a spike at a constant input, seconds; endless from the reset current on."""
        left = np.maximum(np.asarray((self.I_reset - I_in) / amp), 0)
        with np.errstate(divide="ignore"):
            return np.asarray(self.C_fb * self.V_dd / (amp * second)) / left * second

    def rate(self, I_in: Quantity) -> Quantity:
        """Rate at a constant input current.

        Parameters
        ----------
        I_in : Quantity, shape () or (n,)
            In ampere, not negative.

        Returns
        -------
        Quantity, shape () or (n,)
            In hertz; 0 from the reset current on.
        """
        share = np.maximum(1 - np.asarray(I_in / self.I_reset), 0)
        return I_in * share / (self.C_fb * self.V_dd)

    def energy_per_spike(self, I_in: Quantity) -> Quantity:
        """What the amplifier draws per spike at a constant input below the reset current.

        Parameters
        ----------
        I_in : Quantity, shape () or (n,)
            In ampere.

        Returns
        -------
        Quantity, shape () or (n,)
            In joule, of the supply V_dd alone. The conduction of the first inverter is integrated
            over the membrane's way, which is the same up and down.
        """
        way = float(self.jump / volt)
        v = float(self.v_switch / volt) - way * (NODES + 1) / 2
        short = self.inverter.current(v - float(self.vto_inverter / volt))
        mean = (WEIGHTS / 2 * short).sum() * amp
        return self.V_dd * (mean / self.rate(I_in) + (self.C_fb + 2 * self.C_load) * self.V_dd)

    def shortest_spike(self, own: Callable[[str], Any]) -> Quantity:
        """Shortest width of a spike, without input, seconds."""
        width = own("C_fb") * own("V_dd") / own("I_reset")
        return np.min(np.asarray(width / second)) * second

    def longest_step(self, own: Callable[[str], Any]) -> Quantity:
        """Longest time step, seconds: an output must not rise and fall within one."""
        return self.shortest_spike(own)

    @property
    def inverter(self) -> Mirror:
        """Law of the inverters' transistors."""
        v_ekv = 2 * self.slope_factor * boltzmann_constant * self.temperature / elementary_charge
        beta, vto = self.beta_inverter / (amp / volt**2), self.vto_inverter / volt
        return Mirror("ekv", np.asarray(beta), np.asarray(vto), 0.0, float(v_ekv / volt))
