"""The current mirror of a synapse: a diode-connected transistor behind a load resistor.

Its current follows from the supply alone, before anything is simulated: the gate's voltage is
``V_G = vdd - I*R_S``, and the transistor's law gives I from its overdrive ``V_G - vto``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LAWS = ("square", "ekv")
# Newton's steps roughly halve the distance until they are near, then square it.
STEPS = 200


@dataclass(frozen=True, eq=False)
class Mirror:
    """Current mirror of a synapse: one reference transistor behind a load resistor.

    Values are in SI units, each of shape () or (n,).

    Attributes
    ----------
    law : str
        ``"square"`` or ``"ekv"``.
    beta : ndarray
        Transconductance factor, A/V^2.
    vto : ndarray
        Threshold voltage, V.
    R_S : ndarray
        Load resistor, ohm.
    v_ekv : float
        Twice the slope factor times the thermal voltage, V.
    modulation : float
        Channel-length modulation, 1/V.
    """

    law: str
    beta: Any
    vto: Any
    R_S: Any
    v_ekv: float
    modulation: float = 0.0

    @property
    def specific_current(self) -> Any:
        """EKV's I_spec, at which its current joins the square law's: ``beta/2*v_ekv**2``."""
        return self.beta / 2 * self.v_ekv**2

    def overdrive(self, vdd: Any) -> Any:
        """Gate voltage above threshold behind the load.

        Parameters
        ----------
        vdd : ndarray, shape () or (n,)
            Supply, V.

        Returns
        -------
        ndarray, shape () or (n,)
            In volt; 0 where a square-law transistor is off, negative where EKV's is.
        """
        room = np.asarray(vdd - self.vto, dtype=float)
        if self.law == "square":
            room = np.maximum(room, 0)
            if not self.modulation:
                return 2 * room / (1 + np.sqrt(1 + 2 * self.beta * self.R_S * room))
        return _root(
            lambda x: x + self.R_S * self.current(x) - room,
            lambda x: 1 + self.R_S * self.conductance(x),
            room,
        )

    def current(self, overdrive: Any) -> Any:
        """Current of the reference transistor, whose drain is its gate, A."""
        return self._saturated(overdrive) * (1 + self.modulation * (overdrive + self.vto))

    def conductance(self, overdrive: Any) -> Any:
        """Slope of `current`, S."""
        slope = self._slope(overdrive) * (1 + self.modulation * (overdrive + self.vto))
        return slope + self.modulation * self._saturated(overdrive)

    def output(self, overdrive: Any, drop: Any, slope_factor: float = 1.0) -> Any:
        """Current of a copy of the reference, whose gate it shares, A.

        Parameters
        ----------
        overdrive : ndarray, shape () or (n,)
            That of the reference, V.
        drop : ndarray, shape () or (n,)
            From the copy's drain to its source, V, not negative.
        slope_factor : float
            Of EKV; 1 for the square law.
        """
        back = self._saturated(overdrive - slope_factor * drop)
        return (self._saturated(overdrive) - back) * (1 + self.modulation * drop)

    def overdrive_for(self, current: Any) -> Any:
        """Overdrive at which the reference conducts a current, V.

        Parameters
        ----------
        current : ndarray, shape () or (n,)
            In ampere, not negative; above 0 for EKV, whose transistor is never quite off.
        """
        current = np.asarray(current, dtype=float)
        if self.law == "square":
            guess = np.sqrt(2 * current / self.beta)
        else:
            with np.errstate(divide="ignore"):
                guess = self.v_ekv * np.log(np.expm1(np.sqrt(current / self.specific_current)))
        if not self.modulation:
            return guess
        return _root(lambda x: self.current(x) - current, self.conductance, guess)

    def vdd_for(self, current: Any) -> Any:
        """Supply at which the reference conducts a current: the inverse of the mirror, V."""
        return self.vto + self.overdrive_for(current) + self.R_S * np.asarray(current)

    def transconductance(self, vdd: Any) -> Any:
        """How the reference's current rises with its supply, S."""
        slope = self.conductance(self.overdrive(vdd))
        return slope / (1 + self.R_S * slope)

    def _saturated(self, overdrive: Any) -> Any:
        if self.law == "square":
            return self.beta / 2 * np.maximum(overdrive, 0) ** 2
        return self.specific_current * np.logaddexp(0, overdrive / self.v_ekv) ** 2

    def _slope(self, overdrive: Any) -> Any:
        if self.law == "square":
            return self.beta * np.maximum(overdrive, 0)
        x = overdrive / self.v_ekv
        logistic = np.exp(-np.logaddexp(0, -x))
        return self.specific_current * 2 * np.logaddexp(0, x) * logistic / self.v_ekv


def _root(f: Callable[[Any], Any], slope: Callable[[Any], Any], start: np.ndarray) -> Any:
    """Newton's method for convex rising functions, from a start that is not below the root."""
    x = np.asarray(start, dtype=float)
    for _ in range(STEPS):
        rise = slope(x)
        step = np.divide(f(x), rise, out=np.zeros_like(x + rise), where=rise > 0)
        x = x - step
        if np.all(np.abs(step) <= 1e-15 * (1 + np.abs(x))):
            break
    return x
