"""Short-term plasticity: synapses that tire and recover, or gain from spike to spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from brian2 import Quantity, ms, pA, second

from neuromod.parameters import Parameters, namespace, not_negative, parameter, positive, used

TSODYKS_MARKRAM = "Tsodyks & Markram 1997, PNAS 94:719-723"
FACILITATION = "Markram, Wang & Tsodyks 1998, PNAS 95:5323-5328"
USED = "dused/dt = -used/tau_rec : 1 (event-driven)"
RAISED = "draised/dt = -raised/tau_facil : 1 (event-driven)"
DEPRESSION = """
{target}_post += weight*U*(1 - used)
used += U*(1 - used)
""".strip()
BOTH = """
raised += U*(1 - raised)
{target}_post += weight*raised*(1 - used)
used += raised*(1 - used)
""".strip()


@dataclass(frozen=True, eq=False)
class TsodyksMarkram(Parameters):
    """Synapse with short-term depression, and with facilitation if `tau_facil` is above 0.

    A spike takes the share `U` of what the synapse has left, `1 - used`, and adds `weight` times
    that to a variable of the target. With facilitation the share is `raised`, which every spike
    raises by `U` of what is missing to 1 before it is taken.

    Examples
    --------
    >>> from neuromod.models import TsodyksMarkram
    >>> print(TsodyksMarkram().equations)
    dused/dt = -used/tau_rec : 1 (event-driven)
    """

    target: str = parameter("I_syn", "variable of the target that it adds to", "chosen here")
    weight: Quantity = parameter(
        100 * pA,
        "what a spike adds if it takes all that there is, in the variable's unit",
        "chosen here",
        any_unit=True,
    )
    U: float = positive(
        0.5, "share of what is left that a spike takes: the release probability", TSODYKS_MARKRAM, 1
    )
    tau_rec: Quantity = positive(800 * ms, "recovery of what was used", TSODYKS_MARKRAM)
    tau_facil: Quantity = not_negative(
        0 * second, "decay of facilitation; 0: none", f"chosen here: none; {FACILITATION}"
    )

    on_post: ClassVar[str] = ""
    method: ClassVar[str] = "exponential_euler"
    totals: ClassVar[tuple[str, ...]] = ()

    @property
    def equations(self) -> str:
        """Equations in Brian2's language, solved from spike to spike."""
        return f"{RAISED}\n{USED}" if self._facilitates else USED

    @property
    def on_pre(self) -> str:
        """What a spike of the source does when it arrives."""
        return (BOTH if self._facilitates else DEPRESSION).format(target=self.target)

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that equations and spikes name."""
        return used(namespace(self), f"{self.equations}\n{self.on_pre}")

    @property
    def _facilitates(self) -> bool:
        return bool(self.tau_facil > 0 * second)
