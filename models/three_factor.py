"""Three-factor plasticity: spikes on both sides mark a synapse, and a modulator changes it.

The mark is not yet a change of strength. A third factor, the concentration of a neuromodulator
around the cell, decides whether and in which direction the synapse changes: at once or, through an
eligibility trace, seconds later (Izhikevich 2007, Cereb. Cortex 17:2443-2452; Frémaux & Gerstner
2016, Front. Neural Circuits 9:85). The modulator reaches a cell by volume transmission, so all of
its synapses see the same concentration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import sympy
from brian2 import Equations, Hz, Quantity, get_dimensions, ms, second
from brian2.parsing.sympytools import sympy_to_str
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.stateupdaters.exponential_euler import get_conditionally_linear_system
from brian2.utils.stringtools import get_identifiers

from neuromod.errors import UserError
from neuromod.models.postsynaptic import BCM, IZHIKEVICH, WINDOW, Postsynaptic
from neuromod.parameters import (
    Parameters,
    in_words,
    namespace,
    not_negative,
    parameter,
    positive,
    unit_of,
    used,
)

OJA = "Oja 1982, J. Math. Biol. 15:267-273"

CHANGE = {"oja": "x*y_post - y_post**2*E", "bcm": "x*y_post*(y_post - theta_post)", "stdp": "0"}
"""The rules: the change of the plastic trace E that the traces of presynaptic spikes, x, and of
postsynaptic spikes, y, propose, with BCM's threshold theta; stdp acts at spikes alone."""

MODULATION = "M = tonic_post + sensitivity_post*conc_modulator_post : 1"
GATES = {
    "none": "dE/dt = eta*change : 1 (clock-driven)",
    "direct": "dE/dt = eta*M*change : 1 (clock-driven)",
    "eligibility": """
deligibility/dt = (change - eligibility)/tau_e : 1 (clock-driven)
dE/dt = eta*M*eligibility : 1 (clock-driven)
""".strip(),
}
"""Where the third factor acts: nowhere, on the change, or on the trace of past changes."""


class Decaying(StateUpdateMethod):  # type: ignore[misc]
    """Exact decay at constant rates, Euler's forward step for everything else.

    Traces of spikes thus decay exactly for any time step; what they drive follows from their
    values at the start of the step.

    Parameters
    ----------
    bounds : mapping of str to str
        Variables kept between a bound and its negative, and the name of the bound.
    clips : bool
        Whether by Brian2's ``clip``, of which compilers can make vectors.
    """

    def __init__(self, bounds: Mapping[str, str], clips: bool = False) -> None:
        self.bounds, self.clips = bounds, clips

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, as Brian2 wants it; there are no options."""
        del method_options
        steps: list[str] = []
        system = get_conditionally_linear_system(equations, variables)
        for name, parts in system.items():
            rate, drive = map(sympy.sympify, parts)
            names = get_identifiers(str(rate))
            if all(variables[n].constant for n in names if n in variables):
                kept, driven = f"{name}*exp(dt*({sympy_to_str(rate)}))", drive
            else:
                kept, driven = name, rate * sympy.Symbol(name, real=True) + drive
            steps.append(f"_{name} = {kept} + dt*({sympy_to_str(driven)})")
        moves = [f"{name} = {self._bounded(name)}" for name in system]
        return "\n".join([*steps, *moves])

    def renamed(self, names: Mapping[str, str]) -> Decaying:
        """The same method for variables of other names."""
        bounds = self.bounds.items()
        renamed = {names.get(n, n): names.get(bound, bound) for n, bound in bounds}
        return Decaying(renamed, self.clips)

    def clipping(self) -> Decaying:
        """The same method by Brian2's ``clip``."""
        return Decaying(self.bounds, clips=True)

    def _bounded(self, name: str) -> str:
        new = f"_{name}"
        if name not in self.bounds:
            return new
        bound = self.bounds[name]
        if self.clips:
            return f"clip({new}, -{bound}, {bound})"
        # Brian2GeNN computes clip in single precision.
        above = f"({new} - {bound})*int({new} > {bound})"
        below = f"({new} + {bound})*int({new} < -{bound})"
        return f"{new} - {above} - {below}"

    def __str__(self) -> str:
        return "exact for decay at a constant rate, Euler's for the rest"


@dataclass(frozen=True, eq=False)
class UnitLIF(Parameters):
    """Leaky integrate-and-fire neuron, 0 at rest and in units of its threshold."""

    tau_m: Quantity = positive(
        20 * ms, "membrane time constant", "chosen here: usual for cortical cells"
    )
    v_th: float = positive(1.0, "spike threshold", "chosen here: the unit of v")

    equations: ClassVar[str] = "dv/dt = -v/tau_m : 1"
    threshold: ClassVar[str] = "v > v_th"
    reset: ClassVar[str] = "v = 0"
    refractory: ClassVar[Any] = False
    method: ClassVar[str] = "exponential_euler"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        return namespace(self)

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest."""
        return {}


@dataclass(frozen=True, eq=False)
class PlasticLIF(Postsynaptic, UnitLIF):  # type: ignore[override]
    """Leaky integrate-and-fire neuron with the state that plastic synapses onto it read.

    The membrane `v` is 0 at rest and in units of the threshold. `with_plasticity` gives the same
    state to any other neuron.
    """

    bare: ClassVar[type[Parameters]] = UnitLIF


@dataclass(frozen=True, eq=False)
class ThreeFactor(Parameters):
    """Synapse with a fixed and a plastic part, changed by three factors.

    A spike adds the effective weight ``w + alpha*E`` to a variable of its target, a `PlasticLIF` or
    any neuron `with_plasticity`. The trace `x` of presynaptic spikes and the trace `y` of
    postsynaptic ones propose a `change` of the plastic trace `E` by Oja's rule, BCM's or pairs of
    spikes (`stdp`). The third factor `M` scales that change directly, or later through the trace
    `eligibility`; with gate ``none`` there is no third factor.
    """

    rule: str = parameter(
        "oja",
        "rule by which spikes propose a change",
        f"{OJA}; {BCM}; {IZHIKEVICH}",
        choices=tuple(CHANGE),
    )
    gate: str = parameter(
        "eligibility",
        "where the third factor acts",
        "Schmidgall et al. 2021 (SpikePropamine): directly or through an eligibility trace",
        choices=tuple(GATES),
    )
    variable: str = parameter("v", "variable of the target that a spike adds to", "chosen here")
    w: Any = parameter(
        0.1, "fixed weight, in the variable's unit", "chosen here, in thresholds", any_unit=True
    )
    alpha: Any = parameter(
        1.0,
        "weight per plastic trace, in the variable's unit",
        "chosen here, in thresholds",
        any_unit=True,
    )
    eta: Quantity = parameter(1 * Hz, "learning rate", "chosen here")
    tau_x: Quantity = positive(20 * ms, "decay of the trace of presynaptic spikes", WINDOW)
    tau_e: Quantity = positive(1 * second, "decay of eligibility", IZHIKEVICH)
    bound: float = positive(1.0, "largest plastic trace of either sign", "chosen here")
    A_plus: float = not_negative(
        1.0,
        "eligibility gained when post follows pre at once, for stdp",
        "chosen here: the unit of eligibility",
    )
    A_minus: float = not_negative(
        1.5,
        "eligibility lost when pre follows post at once, for stdp",
        f"{IZHIKEVICH}: pairs by chance depress",
    )

    modulation: ClassVar[str] = MODULATION
    plastic_weight: ClassVar[str] = "alpha*E"
    totals: ClassVar[tuple[str, ...]] = ("E",)
    method: ClassVar[Any] = Decaying({"E": "bound"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule == "stdp" and self.gate != "eligibility":
            raise UserError(
                f"rule='stdp' only marks synapses: gate must be 'eligibility', not {self.gate!r}."
            )
        if not (self.variable.isascii() and self.variable.isidentifier()):
            raise UserError(f"variable = {self.variable!r} must be a name, such as I_syn.")

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse two parts of a weight that do not add up."""
        super().check_values(own)
        if get_dimensions(own("w")) is not get_dimensions(own("alpha")):
            raise UserError(
                f"w and alpha need one unit, that of {self.variable}: w is "
                f"{in_words(unit_of(own('w')))}, and alpha {in_words(unit_of(own('alpha')))}."
            )

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        parts = ["dx/dt = -x/tau_x : 1 (clock-driven)", f"change = {CHANGE[self.rule]} : 1"]
        if self.gate != "none":
            parts.append(self.modulation)
        return "\n".join([*parts, GATES[self.gate]])

    @property
    def on_pre(self) -> str:
        """What a presynaptic spike does when it arrives."""
        marks = "\neligibility += -A_minus*y_post" if self.rule == "stdp" else ""
        return f"{self.variable}_post += w + {self.plastic_weight}\nx += 1{marks}"

    @property
    def on_post(self) -> str:
        """What a postsynaptic spike does."""
        return "eligibility += A_plus*x" if self.rule == "stdp" else ""

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        named = "\n".join([self.equations, self.on_pre, self.on_post, "bound"])
        return used(namespace(self), named)

    def credit(
        self, neuron: Postsynaptic, lag: Quantity, delay: Quantity, conc: Quantity
    ) -> np.ndarray:
        """Change of a synapse of rule ``stdp`` by one pair of spikes and one release after it.

        Parameters
        ----------
        neuron : Postsynaptic
            The target, with a tonic part of 0.
        lag : Quantity, shape (n,)
            From the presynaptic to the postsynaptic spike, seconds.
        delay : Quantity, shape (n,)
            From the later spike to the release, seconds; negative where that came first.
        conc : Quantity, shape (n,)
            Rise of the concentration at the release, mol/m^3.

        Returns
        -------
        ndarray, shape (n,)
            Change of the plastic trace: the integral of eligibility times concentration, both of
            which decay exponentially.
        """
        apart, wait = abs(lag), abs(delay)
        # Spikes in one time step do both.
        mark = np.where(lag >= 0 * second, self.A_plus * np.exp(-apart / self.tau_x), 0.0)
        mark = mark - np.where(lag <= 0 * second, self.A_minus * np.exp(-apart / neuron.tau_y), 0.0)
        both = 1 / (1 / self.tau_e + 1 / neuron.tau_clear)
        waiting = np.where(delay >= 0 * second, self.tau_e / second, neuron.tau_clear / second)
        left = np.exp(-np.asarray(wait / second) / waiting)
        gained = self.eta * mark * left * neuron.sensitivity * conc * both
        return np.clip(np.asarray(gained), -self.bound, self.bound)
