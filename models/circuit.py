"""The circuit neuron: capacitor, leak, current-mirror synapses and a clocked comparator.

Barton et al. 2022, J. Low Power Electron. Appl. 12(4):59, sections 5.2 and 6.2, as a behavioural
model. It is no layout: parasitic capacitances are left out.

A synapse is a current mirror: a reference transistor behind a load resistor from its supply, and
binary-scaled copies of it, p-type to push current onto the membrane and n-type to pull it off.
The mirror's equations do not involve the membrane, so that they are solved before a run, once for
every supply voltage: `unit_current`. While an input pulse is on, the reference conducts too.

Erratum. The mirror obeys ``I = beta/2*(V_G - vto)**2`` with ``V_G = vdd - I*R_S`` (the paper's
equations 14 and 15). With ``U = vdd - vto`` the physical root is

    I = (1 + beta*R_S*U - sqrt(1 + 2*beta*R_S*U))/(beta*R_S**2).

Equation 16 as printed has ``+ sqrt(4*beta*R_S*U - 1)``: both signs are wrong and beta stands
without its 1/2. At beta = 0.5 uA/V^2, R_S = 20 Mohm, vto = 0.35 V and vdd = 0.75 V the physical
root is 10 nA; the printed form gives 32 nA, more than U/R_S = 20 nA could ever be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from brian2 import (
    Mohm,
    Quantity,
    amp,
    exponential_euler,
    kelvin,
    mV,
    nsecond,
    nsiemens,
    ohm,
    register_new_unit,
    rk4,
    siemens,
    uA,
    volt,
)
from brian2.units.allunits import ffarad
from brian2.units.constants import boltzmann_constant, elementary_charge

from neuromod.errors import UserError
from neuromod.models.integration import Clocked
from neuromod.models.mirror import LAWS, Mirror
from neuromod.parameters import Parameters, namespace, parameter, refuse_changed, used

# So that it is shown as such, not in base units.
register_new_unit(uA / volt**2)

PAPER = "Barton et al. 2022"
CALIBRATED = "calibrated here, not from the paper"
RYNDIN = "Ryndin et al. 2021, Nano- i Mikrosistemnaya Tekhnika 23:317-326"

MEMBRANE = """
dv/dt = (I_syn - I_leak)/C : volt (unless refractory)
I_syn = {} : amp
denergy/dt = {} : joule
active : 1
"""
# Of one supply; `up` and `down` are the sums of the codes of the pulses that are on, `mirrors` the
# number of their references.
SUPPLY = """
I_up{0} = up{0}*{1} : amp
I_down{0} = down{0}*{2} : amp
I_reference{0} = mirrors{0}*{3} : amp
up{0} : 1
down{0} : 1
mirrors{0} : 1
vdd{0} : volt
I_unit{0} : amp
"""
CONDUCTANCES = """
I_up{0} = up{0}*G_unit*(vdd{0} - v) : amp
I_down{0} = down{0}*G_unit*v : amp
I_reference{0} = 0*amp : amp
up{0} : 1
down{0} : 1
mirrors{0} : 1
vdd{0} : volt
"""
OVERDRIVE = "V_ov{0} : volt"
SAG = """
V_sag{0} : volt
I_sag{0} : amp
"""
# Drain current of one unit by overdrive and drain-source voltage: saturation less what flows back.
CHANNEL = {
    "square": "beta/2*({0}**2 - int({0} > {1})*({0} - {1})**2)",
    "ekv": "I_spec*(log(1 + exp({0}/v_ekv))**2 - log(1 + exp(({0} - slope_factor*{1})/v_ekv))**2)",
}
# Of a transistor in saturation, by its overdrive: its current, and how that rises.
SATURATED = {
    "square": ("beta/2*{0}**2", "beta*{0}"),
    "ekv": (
        "I_spec*log(1 + exp({0}/v_ekv))**2",
        "2*I_spec*log(1 + exp({0}/v_ekv))/(v_ekv*(1 + exp(-{0}/v_ekv)))",
    ),
}
SOLVED = ("I_unit", "V_ov")
"""What a mirror does at a supply, which is worked out before a run."""
# Newton's steps from the overdrive without sag, which roughly halve it until they are near: enough
# for loads of a thousand times R_S.
SAG_STEPS = 8
CLOCK = """
nor : 1
edge : 1
clocks : 1
"""
LATE = "late : 1"
LEAK = {
    "linear": "I_leak = (v - v_rest)/R_leak : amp",
    "one_sided": "I_leak = v_slope/R_leak*(exp((v - v_rest)/v_slope) - 1) : amp",
    "symmetric": "I_leak = v_slope/R_leak*sinh((v - v_rest)/v_slope) : amp",
}
COMPARATOR = {"clocked": "v >= v_th and edge > 0.5", "continuous": "v >= v_th"}


def suffix(domain: str) -> str:
    """What follows the names of the variables of a power domain."""
    return f"_{domain}" if domain else ""


@dataclass(frozen=True, eq=False)
class CircuitNeuron(Parameters):
    """Analog leaky integrate-and-fire neuron whose synaptic current is set by a supply voltage.

    State: `up` and `down` are the sums of the positive and negative codes of the input pulses that
    are on, `mirrors` the number of their references that conduct, `active` the number of pulses
    that the comparator's NOR sees. `energy` is what the synapses have drawn from their supply,
    `clocks` how often the comparator was clocked. With `domains` each of them has its own supply,
    and the name of its domain, as in ``up_soma``.
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
    C_delay: Quantity = parameter(
        2 * ffarad,
        "load of the spike generator's delay cells, which gives a width for each bias",
        source="calibrated here: 100 ns at a bias of 0.55 V",
        low=0 * ffarad,
        low_excluded=True,
    )
    V_core: Quantity = parameter(
        1 * volt,
        "supply of the core",
        source=f"{PAPER}, section 5.2.1",
        low=0 * volt,
        low_excluded=True,
    )
    vdd: Quantity = parameter(
        0.75 * volt,
        "synapse supply",
        source=f"{PAPER}, figure 4",
        low=0.5 * volt,
        high=1 * volt,
    )
    domains: tuple[str, ...] = parameter(
        ("",),
        "power domains among a neuron's synapses, by name; unnamed: one supply for all",
        source=f"{PAPER}, section 5.2.1: supplies of single synapses or of groups",
    )
    synapse: str = parameter(
        "mirror",
        "current mirror, or a conductance to the supply or to ground",
        source=f"{PAPER}, section 5.2.1; conductances: {RYNDIN}",
        choices=("mirror", "conductance"),
    )
    G_unit: Quantity = parameter(
        20 * nsiemens,
        "conductance of one unit, for synapse=conductance",
        source="calibrated here: 10 nA at rest from 0.75 V, as the mirror",
        low=0 * siemens,
        low_excluded=True,
    )
    law: str = parameter(
        "square",
        "transistors of the mirror: square law, or EKV, which conducts below threshold too",
        source=f"{PAPER}, equation 14; EKV: Enz, Krummenacher & Vittoz 1995, Analog Integr. "
        "Circuits Signal Process. 8:83-114",
        choices=LAWS,
    )
    output: str = parameter(
        "ideal",
        "the mirror's output: a current source, or a transistor that leaves saturation as the "
        "membrane nears its supply",
        source=f"{PAPER}, section 5.2.2; ideal chosen here",
        choices=("ideal", "mosfet"),
    )
    channel_modulation: Quantity = parameter(
        0 / volt,
        "relative rise of a saturated transistor's current with drain voltage, for output=mosfet",
        source="chosen here: none; 0.1 to 0.3/V is usual for short channels",
        low=0 / volt,
    )
    R_supply: Quantity = parameter(
        0 * ohm,
        "resistance between a supply and a neuron's synapses, over which it sags",
        source="chosen here: none",
        low=0 * ohm,
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
        1.5, "subthreshold slope factor of pseudo-resistor and mirror", source=CALIBRATED, low=1
    )
    temperature: Quantity = parameter(
        300 * kelvin,
        "temperature of the transistors",
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
        if len(set(self.domains)) < len(self.domains):
            raise UserError(f"domains need names of their own, not {', '.join(self.domains)}.")
        if self.synapse == "conductance":
            beside = ["law", "output", "R_supply", "channel_modulation"]
            refuse_changed("circuit", self, beside, "it belongs to synapse=mirror")
        for domain in self.domains:
            if domain and not suffix(domain).isidentifier():
                raise UserError(f"domain {domain!r} must be letters, digits and underscores.")

    totals: ClassVar[tuple[str, ...]] = ("energy", "clocks")
    """State variables that add up over a run."""

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        suffixes = [suffix(domain) for domain in self.domains]
        current = " + ".join(f"I_up{d} - I_down{d}" for d in suffixes)
        power = " + ".join(f"vdd{d}*(I_up{d} + I_reference{d})" for d in suffixes)
        parts = [MEMBRANE.format(current, power), CLOCK, *map(self._supply, suffixes)]
        if self.comparator == "continuous":
            parts.append(LATE)
        return "\n".join(part.strip() for part in [*parts, LEAK[self.leak]]) + "\n"

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
    def method(self) -> Clocked:
        """Exponential Euler, which is exact, where all is linear."""
        # A conductance's charge depends on the membrane, which moves within a step.
        mirrored = self.synapse == "mirror" and self.output == "ideal"
        linear = self.leak == "linear" and mirrored
        return Clocked(
            exponential_euler if linear else rk4,
            tuple(line for domain in self.domains for line in self._sagging(suffix(domain))),
            interpolated=self.comparator == "continuous",
        )

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self) | {
            "v_slope": self._v_slope,
            "v_ekv": 2 * self._v_slope,
            "I_spec": self.mirror().specific_current * amp,
        }
        text = "\n".join(
            [self.equations, self.threshold, self.reset, self.refractory, *self.method.first]
        )
        start = self.start
        return {k: value for k, value in used(values, text).items() if k not in start}

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest, every domain at the neuron's supply."""
        return {"v": self.v_rest, "nor": 1} | self.complete(
            {f"vdd{suffix(domain)}": self.vdd for domain in self.domains}
        )

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of single neurons, and what their mirrors do at the supplies among them.

        Parameters
        ----------
        values : mapping of str to Quantity, shape () or (n,)
            By name, such as ``vdd``, or ``vdd_soma`` of a domain.

        Returns
        -------
        dict of str to Quantity
            The same and, for each supply, the mirror's solution.
        """
        if self.synapse == "conductance":
            return dict(values)
        own = {name: values[name] for name in ("beta", "vto", "R_S") if name in values}
        if own:
            values = {f"vdd{suffix(domain)}": self.vdd for domain in self.domains} | dict(values)
        supplies = [name for name in values if name.partition("_")[0] == "vdd"]
        mirror = self.mirror(**own)
        solved = dict(values)
        if own:
            # What is solved here the equations need not know.
            own |= {"I_spec": mirror.specific_current * amp}
            unknown = own.keys() - self.constants.keys()
            solved = {k: v for k, v in (solved | own).items() if k not in unknown}
        for name in supplies:
            overdrive = mirror.overdrive(np.asarray(values[name] / volt))
            solved[f"I_unit{name[3:]}"] = mirror.current(overdrive) * amp
            if self.output == "mosfet" or self._sags:
                solved[f"V_ov{name[3:]}"] = overdrive * volt
        return solved

    def mirror(self, **own: Quantity) -> Mirror:
        """The mirror that is solved for every supply.

        Parameters
        ----------
        **own : Quantity, shape () or (n,)
            ``beta``, ``vto`` or ``R_S`` of single neurons, instead of the model's.

        Returns
        -------
        Mirror
        """
        value = {name: own.get(name, getattr(self, name)) for name in ("beta", "vto", "R_S")}
        return Mirror(
            self.law,
            np.asarray(value["beta"] / (amp / volt**2)),
            np.asarray(value["vto"] / volt),
            np.asarray(value["R_S"] / ohm),
            2 * float(self._v_slope / volt),
            float(self.channel_modulation * volt) if self.output == "mosfet" else 0.0,
        )

    @property
    def _v_slope(self) -> Quantity:
        """Slope factor times thermal voltage."""
        return self.slope_factor * boltzmann_constant * self.temperature / elementary_charge

    def _supply(self, mark: str) -> str:
        """Equations of the synapses at one supply."""
        if self.synapse == "conductance":
            return CONDUCTANCES.format(mark)
        up = down = reference = f"I_sag{mark}" if self._sags else f"I_unit{mark}"
        extra = ""
        if self.output == "mosfet":
            overdrive, room = f"V_ov{mark}", f"(vdd{mark} - v)"
            if self._sags:
                overdrive = f"V_sag{mark}"
                room = f"(vdd{mark} - R_supply*(up{mark} + mirrors{mark})*I_sag{mark} - v)"
            channel = "{}*(1 + channel_modulation*abs({}))"
            up, down = (
                channel.format(CHANNEL[self.law].format(overdrive, drop), drop)
                for drop in (room, "v")
            )
        if self.output == "mosfet" or self._sags:
            extra += OVERDRIVE.format(mark)
        if self._sags:
            extra += SAG.format(mark)
        return f"{SUPPLY.format(mark, up, down, reference).strip()}\n{extra.strip()}"

    @property
    def _sags(self) -> bool:
        return bool(self.R_supply > 0 * ohm)

    def _sagging(self, mark: str) -> list[str]:
        """Code that solves the mirrors of a supply behind its resistance.

        All that conducts there, and saturates, adds to the load of each mirror's reference:
        ``x + (R_S + R_supply*(up + mirrors))*I(x)`` is the supply above threshold for the
        overdrive x. Pulses, hence loads, are constant over a time step.
        """
        if not self._sags:
            return []

        def saturated(x: str) -> tuple[str, str]:
            current, slope = (text.format(x) for text in SATURATED[self.law])
            if self.output == "ideal":
                return current, slope
            gate = f"(1 + channel_modulation*({x} + vto))"
            return f"{current}*{gate}", f"({slope}*{gate} + channel_modulation*{current})"

        def newton(x: str) -> str:
            current, slope = saturated(x)
            return f"{sag} = {x} - ({x} + _load*{current} - _above)/(1 + _load*{slope})"

        sag, start = f"V_sag{mark}", f"V_ov{mark}"
        return [
            f"_load = R_S + R_supply*(up{mark} + mirrors{mark})",
            f"_above = {start} + R_S*I_unit{mark}",
            newton(start),
            *[newton(sag)] * (SAG_STEPS - 1),
            f"I_sag{mark} = {saturated(sag)[0]}",
        ]

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
            In ampere; 0 at and below a square-law transistor's threshold. See the erratum above.
            Of a conductance, into a membrane at rest.
        """
        if self.synapse == "conductance":
            return self.G_unit * (vdd - self.v_rest)
        mirror = self.mirror()
        return mirror.current(mirror.overdrive(np.asarray(vdd / volt))) * amp

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
        if self.synapse == "conductance":
            return self.v_rest + current / self.G_unit
        return self.mirror().vdd_for(np.asarray(current / amp)) * volt

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
        # A conductance that is on loads the membrane beside its leak.
        added = self.G_unit if self.synapse == "conductance" else 0 * siemens
        load = 1 / self.R_leak + added
        return self.unit_current(vdd) / load * -np.expm1(-float(self.t_pulse * load / self.C))

    def spike_width(self, v_bias: Quantity) -> Quantity:
        """Width of a spike at a bias of the spike generator.

        A spike lasts until it has gone through delay cells whose current a transistor starves, of
        the same law as the mirror's: the time in which that current takes their load to half the
        core's supply.

        Parameters
        ----------
        v_bias : Quantity, shape (n,)
            Gate voltage of the starving transistor, volt.

        Returns
        -------
        Quantity, shape (n,)
            In seconds; what `t_spike` is to be set to. Barton et al. 2022, section 5.2.2, has the
            circuit; its delay is a first-order estimate.

        Raises
        ------
        UserError
            When the transistor is off.
        """
        current = self._starving.current(np.asarray((v_bias - self.vto) / volt)) * amp
        if np.any(current <= 0 * amp):
            raise UserError(
                f"A bias of {v_bias} leaves the spike generator without current: above "
                f"{self.vto} was expected."
            )
        return self.C_delay * self.V_core / (2 * current)

    def bias_for(self, width: Quantity) -> Quantity:
        """Bias of the spike generator that gives a width: the exact inverse of `spike_width`.

        Parameters
        ----------
        width : Quantity, shape (n,)
            In seconds, above 0.

        Returns
        -------
        Quantity, shape (n,)
            In volt.
        """
        current = self.C_delay * self.V_core / (2 * width)
        return self.vto + self._starving.overdrive_for(np.asarray(current / amp)) * volt

    @property
    def _starving(self) -> Mirror:
        """A transistor of the mirror's kind, whose drain is not its gate."""
        return replace(self.mirror(), modulation=0.0)
