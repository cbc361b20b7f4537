"""Synaptic channels that any neuron of the shelf may have: AMPA, NMDA with its block, GABA_A."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, ms, mV

from neuromod.models.cell import Cell
from neuromod.parameters import Parameters, not_negative, parameter, positive, refuse_where

BRUNEL_WANG = "Brunel & Wang 2001, J. Comput. Neurosci. 11:63-85"
JAHR_STEVENS = "Jahr & Stevens 1990, J. Neurosci. 10:3178-3182"

CHANNELS = """
I_channels = I_ampa + I_nmda + I_gaba : amp
I_ampa = g_ampa*(E_exc - v) : amp
I_nmda = g_nmda*unblocked*(E_exc - v) : amp
I_gaba = g_gaba*(E_gaba - v) : amp
dg_ampa/dt = -g_ampa/tau_ampa : siemens
dg_nmda/dt = (peak*x_nmda - g_nmda)/tau_nmda : siemens
dx_nmda/dt = -x_nmda/tau_rise : siemens
dg_gaba/dt = -g_gaba/tau_gaba : siemens
dunblocked/dt = (1/(1 + magnesium/half_block*exp(-v/v_block)) - unblocked)/tau_block : 1
peak = (tau_nmda/tau_rise)**(tau_nmda/(tau_nmda - tau_rise)) : 1
""".strip()


@dataclass(frozen=True, eq=False)
class Conductances(Parameters):
    """AMPA, NMDA and GABA_A channels of a neuron whose membrane potential is `v`.

    A spike that arrives adds its weight, a conductance, to `g_ampa`, `x_nmda` or `g_gaba`. NMDA
    opens and closes: `g_nmda` then peaks at the weight, if nothing else arrives. Of it, the share
    `unblocked` conducts. `I_channels` is the current into the cell.
    """

    E_exc: Quantity = parameter(0 * mV, "reversal potential of AMPA and NMDA", BRUNEL_WANG)
    E_gaba: Quantity = parameter(-70 * mV, "reversal potential of GABA_A", BRUNEL_WANG)
    tau_ampa: Quantity = positive(2 * ms, "decay of AMPA", BRUNEL_WANG)
    tau_rise: Quantity = positive(2 * ms, "rise of NMDA", BRUNEL_WANG)
    tau_nmda: Quantity = positive(100 * ms, "decay of NMDA", BRUNEL_WANG)
    tau_gaba: Quantity = positive(10 * ms, "decay of GABA_A", BRUNEL_WANG)
    magnesium: float = not_negative(1.0, "magnesium outside, mM", BRUNEL_WANG)
    half_block: float = positive(
        3.57, "magnesium that blocks half of the NMDA channels at 0 mV, mM", JAHR_STEVENS
    )
    v_block: Quantity = positive(
        mV / 0.062, "depolarization that raises this e-fold", f"{JAHR_STEVENS}: 0.062/mV"
    )
    tau_block: Quantity = positive(
        0.5 * ms,
        "time in which the block follows the potential",
        "chosen here: short against the channel's own times; with it, the membrane stays linear "
        "in its potential, as exponential steps need",
    )

    equations: ClassVar[str] = CHANNELS

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse an NMDA channel that rises as slowly as it decays."""
        rise, decay = own("tau_rise"), own("tau_nmda")
        problem = "tau_rise = {} must lie below tau_nmda = {}"
        refuse_where(rise >= decay, problem, rise, decay)

    def share_unblocked(self, v: Quantity) -> Any:
        """Share of NMDA channels that magnesium leaves free.

        Parameters
        ----------
        v : Quantity, shape () or (n,)
            Membrane potential.

        Returns
        -------
        float or ndarray, shape () or (n,)
            Jahr & Stevens 1990; at 1 mM and -60 mV, 0.08.
        """
        return 1 / (1 + self.magnesium / self.half_block * np.exp(-np.asarray(v / self.v_block)))


@cache
def with_conductances(kind: type[Cell]) -> type[Cell]:
    """A class of neurons like another, with channels.

    Parameters
    ----------
    kind : type
        A class of the shelf.

    Returns
    -------
    type
        With a further parameter, `channels`, whose current joins what the neuron receives. The
        gain that receptors scale stays on the injected and the synaptic current.

    Examples
    --------
    >>> from neuromod.models import AdEx, with_conductances
    >>> cell = with_conductances(AdEx)()
    >>> "I_ampa" in cell.equations
    True
    """
    joined = re.sub(r"\bI_in\b", "(I_in + I_channels)", kind.intrinsic)
    channels = parameter(Conductances(), "synaptic channels", "see their own")

    def resting(self: Any) -> dict[str, Any]:
        state: dict[str, Any] = super(made, self).resting
        return state | {"unblocked": self.channels.share_unblocked(state["v"])}

    made: type[Cell] = dataclasses.make_dataclass(
        f"Conducting{kind.__name__}",
        [("channels", Conductances, channels)],
        bases=(kind,),
        frozen=True,
        eq=False,
        namespace={
            "__doc__": f"{kind.__name__} with AMPA, NMDA and GABA_A channels.",
            "intrinsic": f"{joined}\n{Conductances.equations}",
            "resting": property(resting),
        },
    )
    return made
