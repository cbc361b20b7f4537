"""The circuit neuron: capacitor, leak, current-mirror synapses and a clocked comparator.

Barton et al. 2022, J. Low Power Electron. Appl. 12(4):59, sections 5.2 and 6.2, as a behavioural
model. It is no layout: parasitic capacitances are left out.

A synapse is a current mirror: a reference transistor behind a load resistor from its supply, and
binary-scaled copies of it, p-type to push current onto the membrane and n-type to pull it off.
The mirror's equations do not involve the membrane, so that they are solved before a run, once for
every supply voltage: `unit_current`.

References stay on, and an input pulse switches the copies. A reference that its pulse switches as
well would have to charge the mirror's gate through the load in every pulse, which takes longer than
the pulse lasts: see `references`.

Erratum. The mirror obeys ``I = beta/2*(V_G - vto)**2`` with ``V_G = vdd - I*R_S`` (the paper's
equations 14 and 15). With ``U = vdd - vto`` the physical root is

    I = (1 + beta*R_S*U - sqrt(1 + 2*beta*R_S*U))/(beta*R_S**2).

Equation 16 as printed has ``+ sqrt(4*beta*R_S*U - 1)``: both signs are wrong and beta stands
without its 1/2. At beta = 0.5 uA/V^2, R_S = 20 Mohm, vto = 0.35 V and vdd = 0.75 V the physical
root is 10 nA; the printed form gives 32 nA, more than U/R_S = 20 nA could ever be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from brian2 import (
    Mohm,
    Quantity,
    amp,
    exponential_euler,
    farad,
    kelvin,
    mV,
    nsecond,
    nsiemens,
    ohm,
    register_new_unit,
    rk4,
    second,
    siemens,
    uA,
    um,
    volt,
)
from brian2.units.allunits import fcoulomb, ffarad
from brian2.units.constants import boltzmann_constant, elementary_charge
from brian2.utils.stringtools import word_substitute

from neuromod.errors import UserError
from neuromod.models import gates
from neuromod.models.circuit_equations import (
    CHANNEL,
    COMPARATOR,
    CONDUCTANCE,
    DECIDED,
    DECIDED_LATE,
    DECIDES,
    DUE,
    EQUATIONS,
    HELD,
    INJECTED,
    KICK,
    LATE,
    LEAK,
    MOSFET,
    N_TYPE,
    OF_SUPPLY,
    RELEASE,
    SAG,
    SAGGING_MOSFET,
    SHARED,
    SKEWED,
    SKEWED_MOSFET,
    SKEWED_SAG,
    for_domains,
    lines_of,
    marked,
    suffix,
)
from neuromod.models.device_table import DRAWN, DeviceTable, factors, looked_up
from neuromod.models.integration import Clocked
from neuromod.models.mirror import LAWS, Mirror
from neuromod.models.sagging import sag
from neuromod.parameters import (
    About,
    ModelInput,
    Parameters,
    model_input,
    namespace,
    not_negative,
    parameter,
    parameters,
    positive,
    refuse_where,
    used,
)

# So that it is shown as such, not in base units.
register_new_unit(uA / volt**2)

PAPER = "Barton et al. 2022"
PELGROM = "Pelgrom, Duinmaijer & Welbers 1989, IEEE J. Solid-State Circuits 24:1433-1440"
NEURON = f"{PAPER}, section 5.2.2"
CALIBRATED = "calibrated here, not from the paper"
ESTIMATE = "estimate, chosen here: no process kit was at hand"
FILANOVSKY = "Filanovsky & Allam 2001, IEEE Trans. Circuits Syst. I 48:876-884"
RYNDIN = "Ryndin et al. 2021, Nano- i Mikrosistemnaya Tekhnika 23:317-326"

# One beyond the swing makes a chip fail, which is no mistake.
OFFSET = model_input(
    0 * mV, "offset of the comparator, added to its threshold", "chosen here: none by design"
)

CORNERS = {"TT": (0, 0), "FF": (1, 1), "SS": (-1, -1), "FS": (1, -1), "SF": (-1, 1)}
"""Process corners: how fast n-type transistors are there, and p-type ones."""
SOLVED = ("I_unit", "V_ov", "I_n", "V_n")
"""What a mirror does at a supply, which is worked out before a run."""
TRANSISTOR = ("beta", "vto", "R_S")
"""Parameters of a mirror that neurons may have of their own."""
OF_TRANSISTORS = (*TRANSISTOR, "channel_modulation", "R_supply", "R_domain", "C_gate")
"""Parameters that mean something for a law of transistors only."""
WARMED = ("beta", "vto", "R_leak")
"""Parameters given at the nominal temperature."""

RK4_STABLE = 2.785


@dataclass(frozen=True, eq=False)
class CircuitNeuron(Parameters):
    """Analog leaky integrate-and-fire neuron whose synaptic current is set by a supply voltage.

    `vdd`, the supply of all synapses, is an input. A population that is given supplies by name
    instead, such as ``vdd_soma`` and ``vdd_tuft``, has these power domains (Barton et al. 2022,
    section 5.2.1: supplies of single synapses or of groups), each with its own state, such as
    ``up_soma``.

    State: `energy` is what outputs, and references during their pulses, have drawn from their
    supplies, and `idle` what references draw between pulses, if they stay on. How many mirrors a
    neuron has, `built`, is counted from its synapses unless it is given. A clocked comparator
    decides whether ``v >= v_th + v_offset`` in the step in which its clock `nor` rises; `nor` is
    then 2, and 3 if that is for a spike. For the rest see `circuit_equations.EQUATIONS`.

    Examples
    --------
    >>> from brian2 import volt
    >>> from neuromod.models import CircuitNeuron
    >>> CircuitNeuron().unit_current(0.75 * volt)
    10. * namp
    """

    C: Quantity = positive(50 * ffarad, "membrane capacitor", f"{PAPER}, section 5.2")
    v_rest: Quantity = not_negative(250 * mV, "resting and reset potential", NEURON)
    v_th: Quantity = not_negative(350 * mV, "comparator threshold", NEURON)
    t_spike: Quantity = positive(
        100 * nsecond,
        "width of a spike, during which the membrane is held at reset",
        f"{PAPER}, section 5.2",
    )
    t_pulse: Quantity = positive(
        100 * nsecond, "width of an input pulse", f"{PAPER}, section 5.2: a spike's width"
    )
    C_delay: Quantity = positive(
        2 * ffarad,
        "load of the spike generator's delay cells, which gives a width for each bias",
        "calibrated here: 100 ns at a bias of 0.55 V",
    )
    V_core: Quantity = positive(1 * volt, "supply of the core", f"{PAPER}, section 5.2.1")
    vdd_low: Quantity = positive(
        0.5 * volt, "lowest supply of a synapse", f"{PAPER}, section 5.2.1: 0.5 to 1 V"
    )
    vdd_high: Quantity = positive(
        1 * volt, "highest supply of a synapse", f"{PAPER}, section 5.2.1: 0.5 to 1 V", 100 * volt
    )
    vdd_reference: Quantity = positive(
        0.75 * volt, "supply of a synapse at which its gain is 1", f"{PAPER}, figure 4"
    )
    synapse: str = parameter(
        "mirror",
        "current mirror, or a conductance to the supply or to ground",
        f"{PAPER}, section 5.2.1; conductances: {RYNDIN}",
        choices=("mirror", "conductance"),
    )
    G_unit: Quantity = positive(
        20 * nsiemens,
        "conductance of one unit, for synapse=conductance",
        "calibrated here: 10 nA at rest from 0.75 V, as the mirror",
    )
    law: str = parameter(
        "square",
        "transistors of the mirror: square law; EKV, which conducts below threshold too; or those "
        "of a table",
        f"{PAPER}, equation 14; EKV: Enz, Krummenacher & Vittoz 1995, Analog Integr. "
        "Circuits Signal Process. 8:83-114",
        choices=(*LAWS, "table"),
    )
    table: tuple[DeviceTable, ...] = parameter(
        (),
        "unit current of one's own mirror, for law=table: on the command line a file's path",
        "measured or simulated by the user",
        kinds=(DeviceTable,),
    )
    output: str = parameter(
        "ideal",
        "the mirror's output: a current source, or a transistor that leaves saturation as the "
        "membrane nears its supply",
        f"{NEURON}; ideal chosen here",
        choices=("ideal", "mosfet"),
    )
    references: str = parameter(
        "always",
        "when the mirrors' references conduct: always, or only while their pulse is on",
        "chosen here: a load of 20 Mohm charges no gate within a pulse",
        choices=("always", "pulsed"),
    )
    channel_modulation: Quantity = not_negative(
        0 / volt,
        "relative rise of a saturated transistor's current with drain voltage, for output=mosfet",
        "chosen here: none; 0.1 to 0.3/V is usual for short channels",
    )
    C_gate: Quantity = not_negative(
        0 * ffarad,
        "capacitance of a mirror's gate, which its load charges; 0 for one that settles at once",
        "chosen here: none; W*L*C_ox for the reference and for each unit of its copies",
    )
    gate_step: Quantity = positive(
        10 * nsecond,
        "time step for which gates of pulsed references are solved, which is that of the run",
        "chosen here: the protocols' own",
    )
    R_domain: Quantity = not_negative(
        0 * ohm,
        "resistance of a supply that neurons share, over which it sags under all that they draw",
        "chosen here: none",
    )
    C_domain: Quantity = not_negative(
        0 * ffarad, "capacitor that holds a shared supply", "chosen here: none"
    )
    R_supply: Quantity = not_negative(
        0 * ohm,
        "resistance between a supply and a neuron's synapses, over which it sags",
        "chosen here: none",
    )
    beta: Quantity = positive(
        0.5 * uA / volt**2, "transconductance factor of the mirror", CALIBRATED
    )
    R_S: Quantity = positive(20 * Mohm, "load resistor of the mirror", CALIBRATED)
    vto: Quantity = not_negative(
        0.35 * volt, "threshold of the mirror's transistor", CALIBRATED, high=2 * volt
    )
    W: Quantity = positive(
        0.1 * um,
        "channel width of the mirror's unit transistor, which is that of beta",
        "chosen here: about the least of a 28-nm process",
    )
    L: Quantity = positive(
        60 * um,
        "channel length of the mirror's unit transistor, which is that of beta; a stack in series",
        "chosen here: with beta a transconductance parameter of 300 uA/V^2, usual at 28 nm",
    )
    A_vt: Quantity = not_negative(
        2 * mV * um,
        "threshold voltage's standard deviation times the root of the gate area",
        f"law: {PELGROM}; value for 28 nm: {ESTIMATE}",
    )
    A_beta: Quantity = not_negative(
        0.01 * um,
        "beta's relative standard deviation times the root of the gate area",
        f"law: {PELGROM}; 1 %*um for 28 nm: {ESTIMATE}",
    )
    C_ox: Quantity = positive(
        30 * ffarad / um**2,
        "gate capacitance of the mirror's transistors, by area",
        f"{ESTIMATE}; an oxide of 1.15 nm",
    )
    corner: str = parameter(
        "TT",
        "process corner: n-type transistors, which pull, fast or slow, then p-type ones, which "
        "push and leak",
        "chosen here: typical",
        choices=tuple(CORNERS),
    )
    corner_vto: Quantity = not_negative(
        30 * mV, "threshold voltage of a slow process corner above typical", ESTIMATE
    )
    corner_beta: float = not_negative(0.1, "beta of a fast process corner above typical", ESTIMATE)
    bits: int = parameter(
        3, "bits of a code besides its sign", f"{PAPER}, section 5.2: six sources", low=1, high=16
    )
    R_leak: Quantity = positive(400 * Mohm, "leak resistance at zero bias", NEURON)
    leak: str = parameter(
        "linear",
        "leak element: resistor, one transdiode pair, or two in opposition",
        f"{PAPER}, figure 6; linear chosen here",
        choices=tuple(LEAK),
    )
    slope_factor: float = parameter(
        1.5, "subthreshold slope factor of pseudo-resistor and mirror", CALIBRATED, low=1
    )
    temperature: Quantity = positive(300 * kelvin, "temperature of the transistors", "chosen here")
    T_nominal: Quantity = positive(
        300 * kelvin,
        "temperature at which beta, vto and R_leak are those given",
        "chosen here; SPICE's TNOM",
    )
    vto_drift: Quantity = not_negative(
        1 * mV / kelvin,
        "fall of the threshold voltage with temperature",
        f"law: {FILANOVSKY}; value: {ESTIMATE}",
    )
    mobility_exponent: float = not_negative(
        1.5,
        "exponent of the fall of mobility, hence of beta, with absolute temperature",
        f"law: {FILANOVSKY}; value: {ESTIMATE}",
    )
    comparator: str = parameter(
        "clocked",
        "decides when the last input pulse ends, or at any time",
        NEURON,
        choices=tuple(COMPARATOR),
    )
    t_comparator: Quantity = not_negative(
        0 * nsecond,
        "delay of the clocked comparator, from its decision to the spike",
        "chosen here: none",
    )
    Q_kick: Quantity = parameter(
        0 * fcoulomb,
        "charge that a clocked comparator kicks onto the membrane as it decides, and takes back as "
        "its clock falls",
        "chosen here: none",
    )
    Q_reset: Quantity = parameter(
        0 * fcoulomb,
        "charge that the reset switch leaves on the membrane as it opens",
        "chosen here: none",
    )

    domains: tuple[str, ...] = ("",)

    totals: ClassVar[tuple[str, ...]] = ("energy", "idle", "clocks")
    """State variables that add up over a run."""

    refractory: ClassVar[str] = "t_spike"
    solvable: ClassVar[tuple[str, ...]] = TRANSISTOR
    """Parameters of single neurons that `complete` may take up, whatever the equations name."""

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together, of the model or of single neurons."""
        v_rest, v_th = own("v_rest"), own("v_th")
        refuse_where(v_rest >= v_th, "v_rest = {} must lie below v_th = {}", v_rest, v_th)
        made = f" at corner {self.corner}" if self.corner != "TT" else ""
        at = "At temperature = {}" + made.replace("at", "and")
        for pushes in (True, False):
            warm = self.warm("vto", own("vto"), pushes)
            refuse_where(warm < 0 * volt, f"{at} vto is {{}}, below 0 V", self.temperature, warm)
        low, one, high = (own(f"vdd_{name}") for name in ("low", "reference", "high"))
        beyond = "vdd_reference = {} must lie between vdd_low = {} and vdd_high = {}"
        refuse_where(not low < one < high, beyond, one, low, high)
        if self.synapse == "mirror" and self.law == "square":
            off = "vto = {} must lie below vdd_reference = {}, at which the mirror must conduct"
            for pushes in (True, False):
                warm = self.warm("vto", own("vto"), pushes)
                refuse_where(warm >= one, off + made, warm, one)
        with np.errstate(all="ignore"):
            leak = self.warm("R_leak", own("R_leak"))
        frozen = ~((leak > 0 * ohm) & (leak < np.inf * ohm))
        refuse_where(frozen, f"{at} the leak conducts nothing that can be told", self.temperature)
        self._check_options()
        self._check_table()

    def _check_table(self) -> None:
        """Refuse what does not go with a table, or lies outside it."""
        if self.law != "table" or len(self.table) != 1:
            if self.law == "table":
                raise UserError(
                    f"law=table takes one table of a mirror, not {len(self.table)}: give "
                    "table=FILE, in Python read_mirror(FILE).table."
                )
            if self.table:
                raise UserError(f"A table is for law=table, not law={self.law}: set either.")
            return
        (table,) = self.table
        for name, default, _ in parameters(type(self)):
            if name in OF_TRANSISTORS and getattr(self, name) != default:
                raise UserError(
                    f"{name} needs transistors, and a table has but their current: leave it out, "
                    "or take the law that neuromod fit-mirror finds."
                )
        as_measured = self.temperature == self.T_nominal and self.corner == "TT"
        if self.synapse != "mirror" or not as_measured:
            raise UserError(
                "A table is that of a mirror at one temperature and corner: law=table goes with "
                "synapse=mirror, temperature = T_nominal and corner=TT."
            )
        if table.drops != (self.output == "mosfet"):
            has = "has currents by v" if table.drops else "has no voltages v"
            raise UserError(
                f"The table {table.name} {has}: use output={'mosfet' if table.drops else 'ideal'}."
            )
        low, high = table.supplies
        if self.vdd_low < low or self.vdd_high > high:
            raise UserError(
                f"The table {table.name} has supplies from {_volts(low)} to {_volts(high)}, and "
                f"synapses have {self.supply_range}: set vdd_low and vdd_high to what it has."
            )
        if table.drops and table.at_drop[-1] < self.vdd_high:
            raise UserError(
                f"The table {table.name} has v up to {_volts(table.at_drop[-1])}, and needs it up "
                f"to vdd_high = {_volts(self.vdd_high)}, which the membrane may reach."
            )
        if self.unit_current(self.vdd_reference) <= 0 * amp:
            raise UserError(
                f"The table {table.name} has no current at vdd_reference = "
                f"{_volts(self.vdd_reference)}."
            )

    def _check_options(self) -> None:
        """Refuse options that do not go together."""
        gate, shared = self._gated, bool(self.R_domain)
        slow = self.t_comparator > self.t_pulse
        for refused, why in (
            (
                self.synapse == "conductance" and (self._sags or gate or self.output != "ideal"),
                "A conductance has no mirror: output=mosfet, C_gate, R_supply and R_domain are for "
                "synapse=mirror.",
            ),
            (
                gate and self._sags,
                "Gates that take time are solved for a supply that does not sag: set C_gate, or "
                "R_supply or R_domain.",
            ),
            (
                gate == "pulsed" and self.output != "ideal",
                "Gates of pulsed references are solved for output=ideal: use it, or "
                "references=always.",
            ),
            (
                shared and (self.R_supply or self.output != "ideal"),
                "A supply that neurons share is solved for output=ideal and R_supply = 0 ohm: add "
                "what is private to the loads R_S.",
            ),
            (
                self.skewed and (gate or shared),
                f"corner={self.corner} makes mirrors that push and pull differ, and both are "
                "solved only for gates that take no time and supplies of single neurons: leave "
                "out C_gate and R_domain, or take corner FF or SS.",
            ),
            (
                self.C_domain and not shared,
                "C_domain holds a supply behind R_domain: give R_domain as well.",
            ),
            (
                self._deciding and self.comparator != "clocked",
                "t_comparator and Q_kick are a clocked comparator's: use comparator=clocked.",
            ),
            (
                slow,
                f"t_comparator = {self.t_comparator} must be at most t_pulse = {self.t_pulse}, so "
                "that one decision ends before the next.",
            ),
        ):
            if refused:
                raise UserError(why)

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """Supplies and comparators' offsets, which a population is given."""
        low, high = self.vdd_low, self.vdd_high
        source = "the circuit's vdd_low, vdd_high and vdd_reference"
        vdd = model_input(self.vdd_reference, "synapse supply", source, low=low, high=high)
        return {f"vdd{suffix(domain)}": vdd for domain in self.domains} | {"v_offset": OFFSET}

    @property
    def supply_range(self) -> str:
        """The supplies that synapses may have, in words."""
        return About("", "", low=self.vdd_low, high=self.vdd_high).range

    def given(self, values: Mapping[str, Any]) -> CircuitNeuron:
        """The circuit with the power domains whose supplies a population is given."""
        found = tuple(name[4:] for name in values if re.fullmatch(r"vdd_\w+", name))
        if found and "vdd" in values:
            raise UserError(
                f"vdd is the supply of all synapses, and vdd_{found[0]} that of some: give a "
                "population one or the other."
            )
        domains = found or ("",)
        return self if domains == self.domains else replace(self, domains=domains)

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        texts = [EQUATIONS, LEAK[self.leak]]
        if self.synapse == "conductance":
            texts.append(CONDUCTANCE)
        if self.skewed:
            texts.append(SKEWED)
        if self._sags:
            texts += [SAG, SKEWED_SAG] if self.skewed else [SAG]
        if self.output == "mosfet" and self.law == "table":
            powers = factors(len(self.table[0].at_drop) - 1)
            texts += [DRAWN, *(f"{name} : amp/volt**{power}" for name, power in powers.items())]
        elif self.output == "mosfet":
            texts += [MOSFET, CHANNEL[self.law]]
        if self.skewed and self.output == "mosfet":
            pulls = [line for name, line in lines_of(CHANNEL[self.law]).items() if "pull" in name]
            on = {"V_on": "V_n_sag"} if self._sags else {}
            texts += [SKEWED_MOSFET, word_substitute("\n".join(pulls), N_TYPE | on)]
        if self._sags and self.output == "mosfet":
            texts.append(SAGGING_MOSFET)
        if self._gated == "standing":
            texts.append(gates.standing(self.law, self.output))
        if self._gated == "pulsed":
            texts.append(self._pulsed_gates[0])
        options = {SHARED: self.R_domain, HELD: self.C_domain, INJECTED: self.Q_reset}
        options |= {DUE: self._deciding, LATE: self.comparator == "continuous"}
        texts += [text for text, wanted in options.items() if wanted]
        lines = {name: line for text in texts for name, line in lines_of(text).items()}
        return "\n".join(for_domains(lines, self.domains, self._of_supply)) + "\n"

    @property
    def threshold(self) -> str:
        """Condition for a spike."""
        return "abs(due) < 0.5" if self._deciding else COMPARATOR[self.comparator]

    @property
    def reset(self) -> str:
        """What a spike does."""
        return "v = v_rest\nheld = 1" if self.Q_reset else "v = v_rest"

    @property
    def method(self) -> Clocked:
        """Exponential Euler, which is exact, where all is linear."""
        # A conductance's charge depends on the membrane, which moves within a step.
        mirrored = self.synapse == "mirror" and self.output == "ideal"
        linear = self.leak == "linear" and mirrored and self._gated != "standing"
        of_supply = self._of_supply
        kept = [marked(line, d, of_supply) for d in self.domains for line in self._solved]
        clocked = self.comparator == "clocked"
        kicked = [KICK] if self.Q_kick else []
        first = [*(RELEASE if self.Q_reset else ()), *([DECIDES] if clocked else []), *kicked]
        last = DECIDED_LATE if self._deciding else DECIDED
        return Clocked(
            exponential_euler if linear else rk4,
            (*first, *kept),
            interpolated=not clocked,
            last=(last,) if clocked else (),
        )

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self) | {
            **{name: self.warm(name, getattr(self, name)) for name in WARMED},
            "v_slope": self.v_slope,
            "v_ekv": 2 * self.v_slope,
        }
        if self.law != "table":
            values["I_spec"] = self.mirror().specific_current * amp
            values["I_spec_n"] = self.mirror(pushes=False).specific_current * amp
            values["beta_n"] = self.warm("beta", self.beta, pushes=False)
            values["vto_n"] = self.warm("vto", self.vto, pushes=False)
        code = [*self.method.first, *self.method.last]
        texts = [self.equations, self.threshold, self.reset, self.refractory, *code]
        return used(values, "\n".join(texts))

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest."""
        return {"v": self.v_rest, "nor": 1} | ({"due": -1} if self._deciding else {})

    def wired(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """How many mirrors neurons have, by power domain, from the sums of their synapses."""
        kinds = {"built": "mirrors"} | ({"n_built": "n_mirrors"} if self.skewed else {})
        return {
            f"{built}{suffix(domain)}": weights[f"{pulsed}{suffix(domain)}"]
            for built, pulsed in kinds.items()
            for domain in self.domains
            if f"{pulsed}{suffix(domain)}" in weights
        }

    @property
    def ignored(self) -> Set[str]:
        """Variables of synapses that tell n-type mirrors apart, where both types are alike."""
        marks = set() if self.skewed else {suffix(domain) for domain in self.domains}
        return {f"{name}{mark}" for name in ("n_mirrors", "n_built") for mark in marks}

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A population's values, its supplies, and what its mirrors do at them.

        ``beta``, ``vto`` and ``R_S`` of single neurons are solved for here; they are left out
        where the equations do not name them. What is given at the nominal temperature becomes what
        it is at the circuit's.
        """
        completed = {name: given.default for name, given in self.inputs.items()} | dict(values)
        completed |= {n: self.warm(n, values[n]) for n in WARMED if n in values}
        if self.synapse == "conductance":
            return completed
        own = {name: values[name] for name in TRANSISTOR if name in values}
        # A table has none.
        mirror: Any = self.mirror(**own) if own or self.law != "table" else None
        n_type = self.mirror(pushes=False, **own) if self.skewed else None
        if own and mirror:
            completed["I_spec"] = mirror.specific_current * amp
            n_types = {"I_spec_n", "beta_n", "vto_n"}
            if n_type:
                completed["I_spec_n"] = n_type.specific_current * amp
                completed["beta_n"] = n_type.beta * amp / volt**2
                completed["vto_n"] = n_type.vto * volt
            unnamed = {*TRANSISTOR, "I_spec", *n_types} - self.constants.keys()
            completed = {k: v for k, v in completed.items() if k not in unnamed}
        for domain in self.domains:
            mark = suffix(domain)
            for name in SOLVED:
                if f"{name}{mark}" in values:
                    raise UserError(f"{name}{mark} follows from the supply: give vdd{mark}.")
            solved = self._solve(mirror, np.asarray(completed[f"vdd{mark}"] / volt))
            if n_type:
                other = self._solve(n_type, np.asarray(completed[f"vdd{mark}"] / volt))
                names = {"I_unit": "I_n", "V_ov": "V_n"}
                solved |= {names[name]: value for name, value in other.items()}
            completed |= {f"{name}{mark}": value for name, value in solved.items()}
            if self.C_domain and mirror:
                completed[f"V_domain{mark}"] = self._at_rest(mirror, completed, mark)
        return completed

    def _solve(self, mirror: Mirror | None, vdd: np.ndarray) -> dict[str, Quantity]:
        """What a mirror, or that of the table, does at a supply, V, by the name of a state."""
        if mirror is None:
            return self._look_up(vdd)
        overdrive = mirror.overdrive(vdd)
        if self._gated == "standing":
            return {"V_gate": (overdrive + mirror.vto) * volt}
        solved = {"I_unit": mirror.current(overdrive) * amp}
        if self.output == "mosfet" or self._sags:
            solved["V_ov"] = overdrive * volt
        if self._gated == "pulsed":
            times = float(self.C_gate / farad), float(self.gate_step / second)
            charged = gates.charging(mirror, vdd, *times, self._pulse_steps)
            solved |= {name: current * amp for name, current in charged.items()}
        return solved

    def _look_up(self, vdd: np.ndarray) -> dict[str, Quantity]:
        """The table at a supply, V, by the name of a state."""
        (table,) = self.table
        found = {"I_unit": self.unit_current(vdd * volt)}
        if table.drops:
            # How each stretch differs from the one before.
            pieces = np.diff(table.pieces(vdd)[1], axis=0, prepend=0)
            powers = factors(len(pieces))
            values = pieces.reshape(-1, *np.shape(vdd))
            pairs = zip(powers.items(), values, strict=True)
            found |= {name: value * amp / volt**power for (name, power), value in pairs}
        return found

    def _at_rest(self, mirror: Mirror, values: Mapping[str, Any], mark: str) -> Quantity:
        """A shared supply behind its resistance before any pulse."""
        vdd, resistance = np.asarray(values[f"vdd{mark}"] / volt), float(self.R_domain / ohm)
        units = np.asarray(values.get(f"others{mark}", 0)) * 1.0
        if self.references == "always":
            units = units + values.get(f"built{mark}", 0)
        loaded = replace(mirror, R_S=mirror.R_S + resistance * units)
        return (vdd - resistance * units * loaded.current(loaded.overdrive(vdd))) * volt

    def warm(self, name: str, value: Any, pushes: Any = True) -> Any:
        """One of `WARMED` at the circuit's temperature and corner, of its typical nominal value.

        The threshold falls in a straight line and mobility by a power (Filanovsky & Allam 2001).
        The leak, of whatever shape, is a p-type transistor below threshold, whose resistance is
        ``exp(vto/(n*U_T))/(beta*U_T)`` but for a factor.

        Parameters
        ----------
        name : str
        value : Quantity, shape () or (n,)
        pushes : bool or ndarray of bool
            Whether a transistor pushes, being p-type, or pulls.
        """
        speed = self._speed(pushes)
        if name == "vto":
            drift = self.vto_drift * (self.temperature - self.T_nominal)
            return value - drift - speed * self.corner_vto
        if name == "beta":
            return value * self._heat**-self.mobility_exponent * (1 + self.corner_beta) ** speed
        return value * self._heat / self._off_current(pushes=True)

    def _speed(self, pushes: Any) -> Any:
        """1 for a fast type of transistors, -1 for a slow one."""
        n, p = CORNERS[self.corner]
        return np.where(pushes, p, n) if np.ndim(pushes) else (p if pushes else n)

    @property
    def skewed(self) -> bool:
        """Whether mirrors that push and pull differ."""
        n, p = CORNERS[self.corner]
        return n != p and self.synapse == "mirror"

    @property
    def leak_resistance(self) -> Quantity:
        """Leak resistance at rest and at the circuit's temperature, ohm."""
        return self.warm("R_leak", self.R_leak)

    @property
    def leakage_growth(self) -> float:
        """Current of transistors that are off, relative to a typical one at nominal temperature.

        Of both types the mean.
        """
        return (self._off_current(pushes=True) + self._off_current(pushes=False)) / 2

    def _off_current(self, pushes: bool) -> float:
        """That of one type: it goes as ``beta*U_T**2*exp(-vto/(n*U_T))``, n the slope factor."""
        nominal = float(self.vto / self.v_slope) * self._heat
        rise = nominal - float(self.warm("vto", self.vto, pushes) / self.v_slope)
        beta = float(self.warm("beta", self.beta, pushes) / self.beta)
        return float(beta * self._heat**2 * np.exp(rise))

    @property
    def _heat(self) -> float:
        """Absolute temperature over the nominal one."""
        return float(self.temperature / self.T_nominal)

    def mirror(self, pushes: Any = True, **own: Quantity) -> Mirror:
        """The mirror that is solved for every supply.

        Parameters
        ----------
        pushes : bool or ndarray of bool
            Whether it pushes, its transistors being p-type, or pulls.
        **own : Quantity
            Values of single neurons.

        Raises
        ------
        UserError
            For ``law=table``, which has no transistors.
        """
        if self.law == "table":
            raise UserError(
                "A table has no beta, vto or R_S, which this needs: take the law that neuromod "
                "fit-mirror finds."
            )
        value = {name: own.get(name, getattr(self, name)) for name in TRANSISTOR}
        return Mirror(
            self.law,
            np.asarray(self.warm("beta", value["beta"], pushes) / (amp / volt**2)),
            np.asarray(self.warm("vto", value["vto"], pushes) / volt),
            np.asarray(value["R_S"] / ohm),
            2 * float(self.v_slope / volt),
            float(self.channel_modulation * volt) if self.output == "mosfet" else 0.0,
        )

    @property
    def v_slope(self) -> Quantity:
        """Slope factor times thermal voltage, volt."""
        return self.slope_factor * boltzmann_constant * self.temperature / elementary_charge

    @property
    def _sags(self) -> bool:
        return bool(self.R_supply or self.R_domain)

    @property
    def _gated(self) -> str:
        """How gates take time: not at all, those of references that stand, or of pulsed ones."""
        standing = self.references == "always"
        return ("standing" if standing else "pulsed") if self.C_gate else ""

    @property
    def _deciding(self) -> bool:
        """Whether a decision of the comparator takes more than a condition to find."""
        return bool(self.t_comparator or self.Q_kick)

    @property
    def _pulse_steps(self) -> int:
        return round(float(self.t_pulse / self.gate_step))

    @property
    def _pulsed_gates(self) -> tuple[str, list[str]]:
        return gates.pulsed(self._pulse_steps)

    @property
    def _of_supply(self) -> Set[str]:
        """Variables that a neuron has once for each power domain."""
        own: Set[str] = set()
        if self._gated == "pulsed":
            own = lines_of(self._pulsed_gates[0]).keys()
        elif self.law == "table" and self.output == "mosfet":
            own = lines_of(DRAWN).keys() | factors(len(self.table[0].at_drop) - 1).keys()
        return OF_SUPPLY | own

    @property
    def _solved(self) -> list[str]:
        """Code of one power domain that solves mirrors that are not solved before the run."""
        if self._gated == "pulsed":
            return self._pulsed_gates[1]
        if self.law == "table":
            drops = self.output == "mosfet"
            return looked_up(np.asarray(self.table[0].at_drop / volt)) if drops else []
        shared, held = bool(self.R_domain), bool(self.C_domain)
        kinds = self.law, self.output, self.references
        return sag(*kinds, shared, held, self.skewed) if self._sags else []

    @property
    def code_max(self) -> int:
        """Largest magnitude of a synapse's code."""
        return int(2**self.bits) - 1

    @property
    def dead_time(self) -> Quantity:
        """Least time between two spikes: the paper's 300 ns, or 3.3 MHz (section 5.2)."""
        return self.t_spike + 2 * self.t_pulse

    def check_step(self, dt: Quantity) -> None:
        """Refuse a time step, seconds, of which pulses and spikes are no whole number."""
        if self._gated == "pulsed":
            apart = abs(float(dt / self.gate_step) - 1) > 1e-6
            problem = (
                "dt = {} must be gate_step = {}, for which gates of pulsed references are solved"
            )
            refuse_where(apart, problem, dt, self.gate_step)
        names = (
            ("t_pulse", "t_spike", "t_comparator") if self.t_comparator else ("t_pulse", "t_spike")
        )
        for name in names:
            steps = float(getattr(self, name) / dt)
            off = not 0.5 < steps < np.inf or abs(steps - round(steps)) > 1e-6
            problem = f"dt = {{}} must go into {name} = {{}} a whole number of times"
            refuse_where(off, problem, dt, getattr(self, name))

    def longest_step(self, own: Callable[[str], Any]) -> Quantity | None:
        """Longest time step that its integration stands between rest and threshold, seconds.

        None where any will do. Runge-Kutta's method stands 2.785 of the membrane's time constant
        (Hairer & Wanner 1996, Solving Ordinary Differential Equations II, section IV.2), which an
        exponential leak, or a unit of conductance, makes shorter than R_leak*C.
        """
        if self.method.membrane is not rk4:
            return None
        slope = 1.0
        if self.leak != "linear":
            steep = np.exp if self.leak == "one_sided" else np.cosh
            with np.errstate(over="ignore"):
                slope = steep(np.asarray((own("v_th") - own("v_rest")) / own("v_slope")))
        load = slope / self.warm("R_leak", own("R_leak"))
        if self.synapse == "conductance":
            load = load + own("G_unit")
        longest = RK4_STABLE * own("C") / load
        if self._gated == "standing":
            mirror = self.mirror()
            slope = mirror.conductance(mirror.overdrive(float(self.vdd_high / volt)))
            gate = self.C_gate / ((1 / mirror.R_S + slope) * siemens)
            longest = np.minimum(longest, RK4_STABLE * np.min(gate))
        return longest

    def rails(self, own: Callable[[str], Any]) -> tuple[Any, Any] | None:
        """Ends of what the membrane can reach, by a swing too wide; None for ideal sources.

        Transistors and conductances pull no further than to the supply and to ground.
        """
        if self.synapse == "mirror" and self.output == "ideal":
            return None
        ends = [own("v_rest"), *(own(name) for name in self.inputs if name != "v_offset")]
        high = np.max(np.broadcast_arrays(*(np.asarray(end) for end in ends)), axis=0)
        return -high * volt, 2 * high * volt

    def check_codes(self, codes: Sequence[int]) -> None:
        """Refuse codes that the synapses' bits cannot hold."""
        for code in codes:
            if abs(code) > self.code_max:
                raise UserError(
                    f"code {code} is out of range: {-self.code_max} to {self.code_max} was "
                    f"expected for {self.bits} bits and a sign."
                )

    def unit_current(self, vdd: Quantity) -> Quantity:
        """Current of one least significant bit that pushes, at a supply voltage.

        Parameters
        ----------
        vdd : Quantity, shape () or (n,)
            Synapse supply, volt.

        Returns
        -------
        Quantity, shape () or (n,)
            In ampere; 0 at and below a square-law transistor's threshold. See the erratum above.
            Of a conductance, into a membrane at rest; of a table with voltages across the
            transistor, off one.
        """
        if self.synapse == "conductance":
            return self.G_unit * (vdd - self.v_rest)
        if self.law == "table":
            return self.table[0].current(np.asarray(vdd / volt), float(self.v_rest / volt)) * amp
        mirror = self.mirror()
        return mirror.current(mirror.overdrive(np.asarray(vdd / volt))) * amp

    def pushed(self, codes: np.ndarray, vdd: Quantity) -> np.ndarray:
        """Codes in units of what a code of 1 pushes at the same supply.

        Parameters
        ----------
        codes : ndarray of any shape
            Signed; real numbers are currents in units of their own type's.
        vdd : Quantity
            Synapse supply, volt, of a shape that goes with that of the codes.

        Returns
        -------
        ndarray
            Those that push as they are; those that pull too, but at a corner where n-type
            transistors are not as fast as p-type ones.
        """
        codes = np.asarray(codes)
        if not self.skewed:
            return codes
        supply, pulls = np.asarray(vdd / volt), self.mirror(pushes=False)
        unit = np.asarray(self.unit_current(vdd) / amp)
        off = f"Mirrors that push are off at VDD = {{}} and corner {self.corner}: use a higher one"
        refuse_where(unit <= 0, off, vdd)
        ratio = pulls.current(pulls.overdrive(supply)) / unit
        return np.where(codes < 0, codes * ratio, codes)

    def vdd_for(self, current: Quantity) -> Quantity:
        """Supply voltage at which one least significant bit gives a current.

        Parameters
        ----------
        current : Quantity, shape () or (n,)
            In ampere, not negative.

        Returns
        -------
        Quantity, shape () or (n,)
            In volt, whether or not the synapse can be run there: the exact inverse of
            `unit_current`.
        """
        if self.synapse == "conductance":
            return self.v_rest + current / self.G_unit
        if self.law == "table":
            rest = float(self.v_rest / volt)
            return self.table[0].vdd_for(np.asarray(current / amp), rest) * volt
        return self.mirror().vdd_for(np.asarray(current / amp)) * volt

    def transconductance(self, vdd: Quantity) -> Quantity:
        """How the current of one least significant bit rises with its supply.

        Parameters
        ----------
        vdd : Quantity, shape () or (n,)
            Synapse supply, volt.

        Returns
        -------
        Quantity, shape () or (n,)
            In siemens.
        """
        supply = np.asarray(vdd / volt)
        if self.synapse == "conductance":
            return self.G_unit * np.ones(supply.shape)
        if self.law == "table":
            return self.table[0].slope(supply, float(self.v_rest / volt)) * siemens
        return self.mirror().transconductance(supply) * siemens

    def step(self, vdd: Quantity) -> Quantity:
        """How far one pulse at one least significant bit moves a membrane at rest.

        Parameters
        ----------
        vdd : Quantity, shape () or (n,)
            Synapse supply, volt.

        Returns
        -------
        Quantity, shape () or (n,)
            In volt, for the linear leak, at the end of the pulse.
        """
        # A conductance that is on loads the membrane beside its leak.
        added = self.G_unit if self.synapse == "conductance" else 0 * siemens
        load = 1 / self.leak_resistance + added
        return self.unit_current(vdd) / load * -np.expm1(-float(self.t_pulse * load / self.C))

    def spike_width(self, v_bias: Quantity) -> Quantity:
        """Width of a spike at a bias of the spike generator.

        A spike lasts until it has gone through delay cells whose current a transistor starves, of
        the same law as the mirror's: the time in which that current takes their load to half the
        core's supply.

        Parameters
        ----------
        v_bias : Quantity, shape () or (n,)
            Gate voltage of the starving transistor, volt.

        Returns
        -------
        Quantity, shape () or (n,)
            In seconds; what `t_spike` is to be set to. Barton et al. 2022, section 5.2.2, has the
            circuit; its delay is a first-order estimate.

        Raises
        ------
        UserError
            When the transistor is off.
        """
        vto = self.warm("vto", self.vto, pushes=False)
        current = self._starving.current(np.asarray((v_bias - vto) / volt)) * amp
        off = "A bias of {} leaves the spike generator without current: above {} was expected"
        refuse_where(current <= 0 * amp, off, v_bias, vto)
        return self.C_delay * self.V_core / (2 * current)

    def bias_for(self, width: Quantity) -> Quantity:
        """Bias of the spike generator that gives a width: the exact inverse of `spike_width`.

        Parameters
        ----------
        width : Quantity, shape () or (n,)
            In seconds, above 0.

        Returns
        -------
        Quantity, shape () or (n,)
            In volt.
        """
        current = self.C_delay * self.V_core / (2 * width)
        overdrive = self._starving.overdrive_for(np.asarray(current / amp)) * volt
        return self.warm("vto", self.vto, pushes=False) + overdrive

    @property
    def _starving(self) -> Mirror:
        """An n-type transistor of the mirror's kind, whose drain is not its gate."""
        return replace(self.mirror(pushes=False), modulation=0.0)


def _volts(voltage: Quantity) -> str:
    return f"{float(voltage / volt):.6g} V"
