"""A neuron from equations of one's own."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from brian2 import Quantity
from brian2.stateupdaters.base import StateUpdateMethod

from neuromod.models.gating import Staggered
from neuromod.models.izhikevich import MembraneFirst
from neuromod.models.own_equations import OwnEquations
from neuromod.parameters import parameter

OF_THE_SHELF: Mapping[str, StateUpdateMethod] = MappingProxyType(
    {"staggered": Staggered(), "membrane_first": MembraneFirst()}
)
"""Methods of neurons of the shelf by name; their potential is `v`."""
METHODS = ("exact", "euler", "exponential_euler", "rk2", "rk4", "heun", *OF_THE_SHELF)


@dataclass(frozen=True, eq=False)
class OwnNeuron(OwnEquations):
    """A neuron as its equations, threshold and reset say, in Brian2's language.

    Parameters that the equations declare, such as a current, are given to a population.
    """

    threshold: str = parameter("", "condition for a spike; none if empty", "the user")
    reset: str = parameter("", "what a spike does", "the user")
    refractory: str = parameter(
        "", "how long, or while what, it is refractory; not at all if empty", "the user"
    )
    method: str = parameter(
        "euler",
        "of integration, by its name in Brian2 or of the shelf; exact holds receptors over a step",
        "the user",
        choices=METHODS,
    )
    current: str = parameter("I_ext", "name of the injected current", "the user")
    potential: str = parameter("v", "name of the membrane potential", "the user")

    @property
    def conditions(self) -> tuple[str, ...]:
        """Threshold and refractoriness."""
        return (self.threshold, self.refractory)

    @property
    def statements(self) -> tuple[str, ...]:
        """The reset."""
        return (self.reset,)


def own_neuron(
    equations: str,
    *,
    threshold: str = "",
    reset: str = "",
    refractory: Any = False,
    method: Any = "euler",
    namespace: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    current: str = "I_ext",
    potential: str = "v",
) -> OwnNeuron:
    """A neuron from what one gives to Brian2's `NeuronGroup`.

    Parameters
    ----------
    equations, threshold, reset, refractory, method, namespace
        As for a `NeuronGroup`.
    start : mapping of str to value
        States at the start, where they are not 0.
    current, potential : str
        Names of the injected current and of the membrane potential, for protocols.
    """
    values = dict(namespace or {})
    if isinstance(refractory, Quantity):
        values["refractory_period"], refractory = refractory, "refractory_period"
    named = (name for name, ours in OF_THE_SHELF.items() if type(ours) is type(method))
    return OwnNeuron(
        textwrap.dedent(str(equations)).strip(),
        values,
        dict(start or {}),
        threshold=threshold or "",
        reset=textwrap.dedent(reset).strip(),
        refractory=refractory or "",
        method=next(named, method),
        current=current,
        potential=potential,
    )
