"""What of a three-factor synapse an analog circuit's synapse can be: a code, and a supply as gate.

A current-mirror synapse holds a signed code of few bits, and its supply scales its current
(`neuromod.models.circuit`). Here the plastic part of the weight is such a code, and the third
factor a mirror's current that sets how fast the plastic trace changes: it has one sign, and reaches
from what the lowest supply gives to what the highest gives, or is off.
"""

from __future__ import annotations

from dataclasses import dataclass

from neuromod.models.three_factor import MODULATION, ThreeFactor
from neuromod.parameters import parameter

GATE = """
wanted = polarity*(tonic_post + sensitivity_post*conc_modulator_post) : 1
within = wanted*int(wanted >= M_low)*int(wanted <= M_high) : 1
ends = M_high*int(wanted > M_high) + M_low*int(wanted < M_low)*int(wanted > M_low/2) : 1
M = polarity*(within + ends) : 1
""".strip()


@dataclass(frozen=True, eq=False)
class CodedSynapse(ThreeFactor):
    """Three-factor synapse with a code for its plastic part and a supply for its gate.

    A spike sees ``w`` and the whole number of `lsb` that is nearest to ``alpha*E``. The trace `E`
    itself stays analog, so that changes too small for a step of the code add up. What the
    modulator wants of the gate is cut to the range of the supply, and is nothing below half of
    its lower end or against its sign.
    """

    lsb: float = parameter(
        0.02, "plastic weight per step of the code", source="chosen here", low=0, low_excluded=True
    )
    polarity: float = parameter(
        1.0,
        "sign of the third factor, which a supply has not",
        source="chosen here",
        low=-1,
        high=1,
    )
    M_low: float = parameter(
        0.25, "third factor at the lowest supply", source="Barton et al. 2022: 0.5 V over 0.75 V"
    )
    M_high: float = parameter(
        1.88, "third factor at the highest supply", source="Barton et al. 2022: 1 V over 0.75 V"
    )

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        return super().equations.replace(MODULATION, GATE)

    @property
    def on_pre(self) -> str:
        """What a presynaptic spike does when it arrives."""
        return super().on_pre.replace("alpha*E", "lsb*floor(alpha*E/lsb + 0.5)")
