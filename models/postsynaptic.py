"""What plastic synapses read of the cell that they are on, and how any neuron gets it.

A synapse that changes by spikes on both sides reads a trace of its cell's spikes. The modulator
that decides on the change reaches the cell, not the synapse, so its concentration stands there too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

from brian2 import Equations, Quantity, exponential_euler, ms, second, umolar
from brian2.stateupdaters.base import StateUpdateMethod

from neuromod.errors import UserError, listed
from neuromod.models.integration import HeldCascade
from neuromod.models.modulation import modulate
from neuromod.models.own_equations import read_equations
from neuromod.parameters import Parameters, parameter, positive

IZHIKEVICH = "Izhikevich 2007, Cereb. Cortex 17:2443-2452"
WINDOW = f"{IZHIKEVICH}: of the order of its spike-timing window"
BCM = "Bienenstock, Cooper & Munro 1982, J. Neurosci. 2:32-48"
LIGAND = "modulator"

STATE = """
dy/dt = -y/tau_y : 1
dtheta/dt = (y**2/y_target - theta)/tau_theta : 1
dconc_modulator/dt = -conc_modulator/tau_clear_modulator : mole/meter**3
tonic : 1 (constant)
sensitivity : meter**3/mole (constant)
""".strip()


class Beside(StateUpdateMethod):  # type: ignore[misc]
    """A neuron's own method for its equations, and exact decay for traces beside them.

    Each sees the other as it is at the start of a step.

    Parameters
    ----------
    own : str or StateUpdateMethod
        Of the neuron, by its name in Brian2 or itself.
    traces : frozenset of str
        Names of the traces.
    """

    def __init__(self, own: Any, traces: frozenset[str]) -> None:
        self.own, self.traces = own, traces

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, for Brian2; there are no options."""
        del method_options
        own = StateUpdateMethod.stateupdaters[self.own] if isinstance(self.own, str) else self.own
        neuron = [eq for eq in equations.values() if eq.varname not in self.traces]
        traces = [eq for eq in equations.values() if eq.varname in self.traces]
        steps = own(Equations(neuron), variables), exponential_euler(Equations(traces), variables)
        return "\n".join(steps)

    def __str__(self) -> str:
        return f"{self.own}, and exact decay for {', '.join(sorted(self.traces))}"


@dataclass(frozen=True, eq=False)
class Postsynaptic(Parameters):
    """Base of neurons with the state that plastic synapses onto them read.

    It is a trace `y` of the neuron's own spikes, BCM's sliding threshold `theta`, and the
    concentration of the modulator around the cell, which spikes of modulatory neurons raise. The
    rest of the neuron is that of the class `bare`, the other base of a subclass.
    """

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

    bare: ClassVar[type[Parameters]]
    # The other base has them.
    threshold: ClassVar[Any]
    refractory: ClassVar[Any]

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse a neuron that has names of this state for something else."""
        super().check_values(own)
        # Receptors of the neuron may read the same concentration, if it is not their own.
        named = read_equations(self.neuron.equations).names | self.neuron.constants.keys()
        state = read_equations(STATE)
        if taken := sorted((named - self._declared) & (state.names | state.identifiers)):
            raise UserError(
                f"{listed(taken)} would be a name of the neuron and of what plastic synapses read "
                "of it: give it another one in the neuron."
            )

    @cached_property
    def neuron(self) -> Any:
        """The neuron without this state."""
        names = (field.name for field in dataclasses.fields(self.bare))
        return self.bare(**{name: getattr(self, name) for name in names})

    @property
    def equations(self) -> str:
        """The neuron's equations, and those of the state."""
        own = self.neuron.equations.splitlines()
        kept = (line for line in own if line.partition(":")[0].strip() not in self._declared)
        return "\n".join([*kept, STATE])

    @property
    def reset(self) -> str:
        """What a spike does to the neuron and its trace."""
        return "\n".join(filter(None, [self.neuron.reset, "y += 1"]))

    @property
    def method(self) -> Any:
        """The neuron's own, beside which traces decay exactly."""
        own = self.neuron.method
        if own == "exponential_euler":
            # Traces decay exactly by it.
            return own
        if own == "exact":
            own = HeldCascade.under(read_equations(self.neuron.equations))
        return Beside(own, read_equations(STATE).diff_eq_names)

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        own: dict[str, Any] = self.neuron.constants
        return own | {
            "tau_y": self.tau_y,
            "y_target": self.y_target,
            "tau_theta": self.tau_theta,
            f"tau_clear_{LIGAND}": self.tau_clear,
        }

    @property
    def start(self) -> dict[str, Any]:
        """State at the start, where it is not 0."""
        # Every cell has its own tonic and sensitivity: GeNN's synapses cannot read shared ones.
        state = {"theta": self.y_target, "tonic": self.tonic, "sensitivity": self.sensitivity}
        own: dict[str, Any] = self.neuron.start
        return own | state

    @property
    def _declared(self) -> set[str]:
        """Name of the concentration, where the neuron has it as something from outside."""
        own = read_equations(self.neuron.equations).parameter_names
        return {f"conc_{LIGAND}"} & set(own)


def with_plasticity(neuron: Any, **state: Any) -> Postsynaptic:
    """A neuron like another, with the state that plastic synapses onto it read.

    Parameters
    ----------
    neuron : model
        Any, such as ``AdEx()`` or what `modulate` makes of equations.
    **state
        Parameters of the state, such as ``tau_y``; see `Postsynaptic`.

    Returns
    -------
    Postsynaptic
        Of a class that also is the neuron's, with the parameters of both.

    Raises
    ------
    UserError
        For what is no neuron or has the state already, and for a name that both would have.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neuromod.models import AdEx, with_plasticity
    >>> with_plasticity(AdEx(), tau_y=30 * ms).tau_y
    30. * msecond
    """
    if isinstance(neuron, type) or not hasattr(neuron, "equations"):
        raise UserError(f"A neuron such as AdEx() was expected, not {neuron!r:.80}.")
    if isinstance(neuron, Postsynaptic):
        raise UserError(f"{type(neuron).__name__} has plasticity already.")
    if not isinstance(neuron, Parameters):
        neuron = modulate(neuron)
    values = {field.name: getattr(neuron, field.name) for field in dataclasses.fields(neuron)}
    kind: Any = type(neuron)
    return _plastic(kind)(**values, **state)


@cache
def _plastic(kind: type[Parameters]) -> type[Postsynaptic]:
    """A class of neurons like another, with the state that plastic synapses read."""
    ours = {field.name for field in dataclasses.fields(Postsynaptic)}
    if taken := sorted(ours & {field.name for field in dataclasses.fields(kind)}):
        raise UserError(
            f"{listed(taken)} would be a parameter of {kind.__name__} and of what plastic synapses "
            "read of it: give it another name in the neuron."
        )
    words = f"{kind.__name__} with the state that plastic synapses onto it read."
    return dataclasses.make_dataclass(
        f"Plastic{kind.__name__}",
        [],
        bases=(Postsynaptic, kind),
        frozen=True,
        eq=False,
        namespace={"__doc__": words, "bare": kind},
    )
