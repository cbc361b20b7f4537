"""An analog synapse's memory: a photoresistor whose conductance the current of a lamp sets.

Ryndin et al. 2021, Nano- i Mikrosistemnaya Tekhnika 23:317-326, emulate a memristive synapse by a
photoresistive optocoupler. Only their abstract was at hand; the law below is the one usual for
photoresistors (Bube 1960, Photoconductivity of Solids, Wiley), its values are chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Gohm, Mohm, Quantity, uA, volt

from neuromod.parameters import Parameters, positive, refuse_where


@dataclass(frozen=True, eq=False)
class Optocoupler(Parameters):
    """Photoresistor and light-emitting diode: conductance by the diode's current."""

    R_lit: Quantity = positive(
        5 * Mohm,
        "resistance at I_lit, besides what it has in the dark",
        "chosen here: so that the membrane of 50 fF can be charged in 100 ns; couplers on "
        "the market are kilohms",
    )
    I_lit: Quantity = positive(10 * uA, "diode current at which R_lit holds", "chosen here")
    gamma: float = positive(
        0.8,
        "exponent of conductance over light",
        "chosen here: 0.5 to 1 in photoconductors (Bube 1960)",
        high=1.5,
    )
    R_dark: Quantity = positive(2 * Gohm, "resistance in the dark", "chosen here")
    V_diode: Quantity = positive(
        1.8 * volt, "forward voltage of the diode", "chosen here: usual for red diodes"
    )

    def conductance(self, I_led: Quantity) -> Quantity:
        """Conductance of the photoresistor.

        Parameters
        ----------
        I_led : Quantity, shape () or (n,)
            Diode current, ampere, not negative.

        Returns
        -------
        Quantity, shape () or (n,)
            ``1/R_dark + (I_led/I_lit)**gamma/R_lit``, siemens.
        """
        return 1 / self.R_dark + np.asarray(I_led / self.I_lit) ** self.gamma / self.R_lit

    def current_for(self, conductance: Quantity) -> Quantity:
        """Diode current that gives a conductance: the inverse of `conductance`.

        Parameters
        ----------
        conductance : Quantity, shape () or (n,)
            In siemens.

        Returns
        -------
        Quantity, shape () or (n,)
            In ampere.

        Raises
        ------
        UserError
            For less than the conductance in the dark.
        """
        lit = np.asarray((conductance - 1 / self.R_dark) * self.R_lit)
        problem = "A conductance of {} is below the photoresistor's in the dark: use at least {}"
        refuse_where(lit < -1e-12, problem, conductance, 1 / self.R_dark)
        return np.maximum(lit, 0) ** (1 / self.gamma) * self.I_lit

    def power(self, I_led: Quantity) -> Quantity:
        """Power, watt, that the diode takes all the time.

        Parameters
        ----------
        I_led : Quantity, shape () or (n,)
            In ampere.
        """
        return I_led * self.V_diode
