"""Three-factor synapse as an analog circuit could build it: a code, and a supply as its gate.

A current-mirror synapse holds a signed code of few bits, and its supply scales its current
(`neuromod.models.circuit`). Here the plastic part of the weight is such a code. The third factor
is a mirror's current that sets how fast the plastic trace changes: it has one sign, and is either
off or between the currents at the lowest and at the highest supply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neuromod.models.three_factor import ThreeFactor
from neuromod.parameters import parameter, positive

PAPER = "Barton et al. 2022"


@dataclass(frozen=True, eq=False)
class CodedSynapse(ThreeFactor):
    """Three-factor synapse with a code for its plastic part and a supply for its gate.

    A spike sees ``w`` and the whole number of `lsb` nearest to ``alpha*E``. The trace `E` itself
    stays analog, so that changes too small for a step of the code add up. The third factor that
    the modulator asks for is cut to the range of the supply, and is 0 below half of the lower end
    or against the sign of the supply.
    """

    lsb: float = positive(0.02, "plastic weight per step of the code", "chosen here")
    polarity: float = parameter(
        1.0, "sign of the third factor, fixed for a supply", "chosen here", low=-1, high=1
    )
    M_low: float = parameter(
        0.25, "third factor at the lowest supply", f"{PAPER}: 0.5 V over 0.75 V"
    )
    M_high: float = parameter(
        1.88, "third factor at the highest supply", f"{PAPER}: 1 V over 0.75 V"
    )

    plastic_weight: ClassVar[str] = "lsb*floor(alpha*E/lsb + 0.5)"
    modulation: ClassVar[str] = """
wanted = polarity*(tonic_post + sensitivity_post*conc_modulator_post) : 1
within = wanted*int(wanted >= M_low)*int(wanted <= M_high) : 1
ends = M_high*int(wanted > M_high) + M_low*int(wanted < M_low)*int(wanted > M_low/2) : 1
M = polarity*(within + ends) : 1
""".strip()
