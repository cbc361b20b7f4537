"""Three-factor plasticity: spikes on both sides mark a synapse, and a modulator changes it.

The mark is not yet a change of strength. A third factor, the concentration of a neuromodulator
around the cell, decides whether and in which direction the synapse changes: at once or, through an
eligibility trace, seconds later (Izhikevich 2007, Cereb. Cortex 17:2443-2452; Frémaux & Gerstner
2016, Front. Neural Circuits 9:85). The modulator reaches a cell by volume transmission, so all of
its synapses see the same concentration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import sympy
from brian2 import Equations, Hz, Quantity, ms, second, umolar
from brian2.parsing.sympytools import sympy_to_str
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.stateupdaters.exponential_euler import get_conditionally_linear_system
from brian2.utils.stringtools import get_identifiers

from neuromod.errors import UserError
from neuromod.parameters import Parameters, namespace, not_negative, parameter, positive, used

IZHIKEVICH = "Izhikevich 2007, Cereb. Cortex 17:2443-2452"
WINDOW = f"{IZHIKEVICH}: of the order of its spike-timing window"
OJA = "Oja 1982, J. Math. Biol. 15:267-273"
BCM = "Bienenstock, Cooper & Munro 1982, J. Neurosci. 2:32-48"
LIGAND = "modulator"

MEMBRANE = """
dv/dt = -v/tau_m : 1
dy/dt = -y/tau_y : 1
dtheta/dt = (y**2/y_target - theta)/tau_theta : 1
dconc_modulator/dt = -conc_modulator/tau_clear_modulator : mole/meter**3
tonic : 1 (constant)
sensitivity : meter**3/mole (constant)
""".strip()

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
    """

    def __init__(self, bounds: Mapping[str, str]) -> None:
        self.bounds = bounds

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

    def _bounded(self, name: str) -> str:
        new = f"_{name}"
        if name not in self.bounds:
            return new
        bound = self.bounds[name]
        # GeNN computes clip in single precision.
        above = f"({new} - {bound})*int({new} > {bound})"
        below = f"({new} + {bound})*int({new} < -{bound})"
        return f"{new} - {above} - {below}"

    def __str__(self) -> str:
        return "exact for decay at a constant rate, Euler's for the rest"


@dataclass(frozen=True, eq=False)
class PlasticLIF(Parameters):
    """Leaky integrate-and-fire neuron with the state that plastic synapses onto it read.

    The membrane `v` is 0 at rest and in units of the threshold. The rest is a trace `y` of the
    neuron's own spikes, BCM's sliding threshold `theta`, and the concentration of the modulator
    around the cell, which spikes of modulatory neurons raise.
    """

    tau_m: Quantity = positive(
        20 * ms, "membrane time constant", "chosen here: usual for cortical cells"
    )
    v_th: float = positive(1.0, "spike threshold", "chosen here: the unit of v")
    tau_y: Quantity = positive(20 * ms, "decay of the trace of a neuron's own spikes", WINDOW)
    y_target: float = positive(
        1.0,
        "fixed point of BCM's threshold: the trace at which synapses do not change",
        f"{BCM}: exists; value chosen here",
    )
    tau_theta: Quantity = positive(
        1 * second,
        "time constant of BCM's threshold",
        f"{BCM}: slower than the trace; value chosen here",
    )
    tau_clear: Quantity = positive(
        200 * ms, "clearance of the modulator", f"{IZHIKEVICH}: dopamine"
    )
    tonic: float = parameter(
        0.0, "third factor without modulator", "chosen here: no change without modulator"
    )
    sensitivity: Quantity = parameter(
        1 / umolar,
        "third factor per concentration; negative where the modulator reverses changes",
        "chosen here: at 1 µM synapses change at the rate eta",
    )

    equations: ClassVar[str] = MEMBRANE
    threshold: ClassVar[str] = "v > v_th"
    reset: ClassVar[str] = "v = 0\ny += 1"
    refractory: ClassVar[Any] = False
    method: ClassVar[str] = "exponential_euler"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self)
        values[f"tau_clear_{LIGAND}"] = values.pop("tau_clear")
        return {name: value for name, value in values.items() if name not in self.start}

    @property
    def start(self) -> dict[str, Any]:
        """State at the start, where it is not 0."""
        # Every cell has its own tonic and sensitivity: GeNN's synapses cannot read shared ones.
        return {"theta": self.y_target, "tonic": self.tonic, "sensitivity": self.sensitivity}


@dataclass(frozen=True, eq=False)
class ThreeFactor(Parameters):
    """Synapse onto a `PlasticLIF` with a fixed and a plastic part, changed by three factors.

    The effective weight is ``w + alpha*E``. The trace `x` of presynaptic spikes and the trace `y`
    of postsynaptic ones propose a `change` of the plastic trace `E` by Oja's rule, BCM's or pairs
    of spikes (`stdp`). The third factor `M` scales that change directly, or later through the
    trace `eligibility`; with gate ``none`` there is no third factor.
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
    w: float = parameter(0.1, "fixed weight, in thresholds", "chosen here")
    alpha: float = parameter(1.0, "weight per plastic trace, in thresholds", "chosen here")
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
        return f"v_post += w + {self.plastic_weight}\nx += 1{marks}"

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
        self, neuron: PlasticLIF, lag: Quantity, delay: Quantity, conc: Quantity
    ) -> np.ndarray:
        """Change of a synapse of rule ``stdp`` by one pair of spikes and one release after it.

        Parameters
        ----------
        neuron : PlasticLIF
            The target, with a tonic part of 0.
        lag : Quantity, shape (n,)
            From the presynaptic to the postsynaptic spike, seconds; not 0.
        delay : Quantity, shape (n,)
            From the later spike to the release, seconds.
        conc : Quantity, shape (n,)
            Rise of the concentration at the release, mol/m^3.

        Returns
        -------
        ndarray, shape (n,)
            Change of the plastic trace: the integral of eligibility times concentration, both of
            which decay exponentially.
        """
        mark = np.where(
            lag > 0 * second,
            self.A_plus * np.exp(-lag / self.tau_x),
            -self.A_minus * np.exp(lag / neuron.tau_y),
        )
        both = 1 / (1 / self.tau_e + 1 / neuron.tau_clear)
        left = np.exp(-delay / self.tau_e)
        gained = self.eta * mark * left * neuron.sensitivity * conc * both
        return np.clip(np.asarray(gained), -self.bound, self.bound)
