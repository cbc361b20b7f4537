"""Synapse of a digital chip: a signed code of few bits is all that it keeps of its weight.

`CodedSynapse` has an analog trace behind its code, in which changes add up that are smaller than a
step of the code. Here nothing is behind it, as in the memory of a digital chip (Mehrtash et al.
2003): a change is rounded to whole steps when it comes, and what is rounded away is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, ms

from neuromod.parameters import (
    Parameters,
    namespace,
    not_negative,
    parameter,
    positive,
    refuse_where,
)

WIDROW_HOFF = "Widrow & Hoff 1960, IRE WESCON Conv. Rec. 4:96-104"
GUPTA = "Gupta et al. 2015, Proc. ICML (PMLR 37):1737-1746"
MODULUS, MULTIPLIER = 32749, 219
"""Of the generator in every synapse, x -> 219 x mod 32749: 219 is a primitive root of the prime, so
that all whole numbers from 1 to 32748 come once in a period; products stay below 2**24, which even
single precision counts exactly. Chosen here."""

TAUGHT = """
dv/dt = -v/tau_m : 1
dy/dt = -y/tau_y : 1
goal : 1
taught : 1
""".strip()


@dataclass(frozen=True, eq=False)
class TaughtLIF(Parameters):
    """Leaky integrate-and-fire neuron that is told how active it should be.

    The membrane `v` is 0 at rest and in units of the threshold; a spike takes one threshold off.
    `y` is a trace of the neuron's own spikes. While `taught` is 1, synapses bring it to `goal`.
    """

    tau_m: Quantity = positive(
        20 * ms, "membrane time constant", "chosen here: usual for cortical cells"
    )
    tau_y: Quantity = positive(20 * ms, "decay of the trace of spikes", "chosen here: as tau_m")

    equations: ClassVar[str] = TAUGHT
    threshold: ClassVar[str] = "v >= 1"
    reset: ClassVar[str] = "v -= 1\ny += 1"
    refractory: ClassVar[Any] = False
    method: ClassVar[str] = "exact"
    start: ClassVar[dict[str, Any]] = {}

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        return namespace(self)


@dataclass(frozen=True, eq=False)
class DigitalSynapse(Parameters):
    """Synapse onto a `TaughtLIF` whose weight is a signed code, changed by the delta rule.

    When a spike of the source comes, the memory is read: the target receives ``w_max*code/top``.
    If the target is taught and its trace `y` is off its `goal` by more than `margin`, the weight
    should change by `eta` times that difference (Widrow & Hoff 1960): the code by
    ``c = eta*(goal - y)*top/w_max``, which is rounded to the nearest whole number
    (`stochastic` 0) or to one of both neighbours (1), the upper one with the probability that makes
    the mean equal to ``c`` (Gupta et al. 2015). A code stays between ``-top`` and ``top``.

    `updates` counts the changes that were computed, `writes` those that changed the code. The
    random number of a rounding comes from a small generator in the synapse, as from the shift
    register of a chip; its state `draw` starts from a whole number between 1 and 32748, drawn
    beforehand.
    """

    top: float = positive(7.0, "largest code: 2**(bits - 1) - 1", "chosen here: 4 bits with sign")
    w_max: float = positive(
        0.2, "largest weight, in thresholds", "calibrated here: accuracy on digits, not rounded"
    )
    eta: float = not_negative(
        3e-4,
        "change of the weight per difference",
        f"{WIDROW_HOFF}: the rule; value calibrated here: accuracy on digits, not rounded",
    )
    margin: float = not_negative(
        1.0, "difference, in spikes, that is left as it is", "chosen here: one spike"
    )
    stochastic: float = parameter(
        1.0, "randomness of rounding: 1 stochastic, 0 to the nearest code", GUPTA, low=0, high=1
    )

    equations: ClassVar[str] = "code : 1\ndraw : 1\nupdates : 1\nwrites : 1"
    on_pre: ClassVar[str] = f"""
v_post += w_max*code/top
draw = {MULTIPLIER}*draw - {MODULUS}*floor({MULTIPLIER}*draw/{MODULUS})
_told = taught_post*int(abs(goal_post - y_post) > margin)
_change = _told*eta*(goal_post - y_post)*top/w_max
_wanted = code + floor(_change + 0.5 + stochastic*(draw/{MODULUS} - 0.5))
_kept = _wanted - (_wanted - top)*int(_wanted > top) - (_wanted + top)*int(_wanted < -top)
updates += _told
writes += int(_kept != code)
code = _kept
""".strip()
    on_post: ClassVar[str] = ""
    method: ClassVar[str] = "exact"
    totals: ClassVar[tuple[str, ...]] = ("code", "updates", "writes")
    code: ClassVar[float] = 0.0
    draw: ClassVar[float] = 1.0
    start: ClassVar[dict[str, Any]] = {"draw": draw}

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse what no memory holds, and states that the generator does not have."""
        top, code, draw = (np.asarray(own(name)) for name in ("top", "code", "draw"))
        refuse_where(top % 1 != 0, "top = {} must be a whole number", top)
        wrong = (code % 1 != 0) | (np.abs(code) > top)
        refuse_where(wrong, "code = {} must be a whole number between -top and top = {}", code, top)
        wrong = (draw % 1 != 0) | (draw < 1) | (draw >= MODULUS)
        refuse_where(wrong, f"draw = {{}} must be a whole number from 1 to {MODULUS - 1}", draw)

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that spikes name."""
        return namespace(self)


def largest_code(bits: int) -> int:
    """Largest code of so many bits, one of which is the sign; there are as many below 0."""
    return int(2 ** (bits - 1) - 1)
