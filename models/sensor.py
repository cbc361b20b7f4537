"""A fluorescent sensor of a modulator, as fibre photometry reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, second, umolar

from neuromod.errors import UserError
from neuromod.models.receptors import PER_UMOLAR_SECOND
from neuromod.parameters import Parameters, not_negative, parameter, positive, used


@dataclass(frozen=True, eq=False)
class Sensor(Parameters):
    """A fluorescent sensor made from a receptor: it binds its ligand, and brightens in proportion.

    Binding is by mass action at one site. The protein's change of shape may lag behind it, which
    limits how fast the sensor rises at high concentrations. Variables end in the sensor's name, as
    in ``dff_dLight1_1``; `neuromod.models.sensors` has named ones.

    Examples
    --------
    >>> from neuromod.models import sensors
    >>> sensors.dLight1_1.ec50
    0.33 * umolar
    """

    name: str = parameter("generic", "name, which its variables carry", "chosen here")
    ligand: str = parameter("modulator", "what it binds", "chosen here")
    k_on: Quantity = positive(
        10 * PER_UMOLAR_SECOND, "binding rate", "chosen here: with k_off, K_D = 0.5 µM"
    )
    k_off: Quantity = positive(
        5 / second, "unbinding rate; K_D = k_off/k_on", "chosen here: a decay of 0.2 s"
    )
    tau_light: Quantity = not_negative(
        0 * second,
        "time constant with which brightness follows binding; 0: at once",
        "chosen here: off",
    )
    dF_max: float = positive(
        1.0, "(F - F0)/F0 of the saturated sensor; F0 is without ligand", "chosen here"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("name", "ligand"):
            word = getattr(self, field)
            if not re.fullmatch(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*", word):
                raise UserError(
                    f"{field} = {word!r} stands in the names of variables: use letters and digits, "
                    "with underscores between them, such as dLight1_1."
                )

    @property
    def equations(self) -> str:
        """Equations in Brian2's language; the concentration is the neuron's."""
        s = self.name
        binding = (
            f"dbound_{s}/dt = k_on_{s}*conc_{self.ligand}*(1 - bound_{s}) - k_off_{s}*bound_{s} : 1"
        )
        if not self._lags:
            return f"dff_{s} = dF_max_{s}*bound_{s} : 1\n{binding}"
        lag = f"dlight_{s}/dt = (bound_{s} - light_{s})/tau_light_{s} : 1"
        return f"dff_{s} = dF_max_{s}*light_{s} : 1\n{lag}\n{binding}"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        own = {f"{name}_{self.name}": value for name, value in vars(self).items()}
        return used(own, self.equations)

    @property
    def ec50(self) -> Quantity:
        """Concentration that saturates half of the sensor, mol/m^3."""
        return self.k_off / self.k_on

    def steady(self, conc: Quantity) -> dict[str, np.ndarray]:
        """State variables in the steady state.

        Parameters
        ----------
        conc : Quantity, shape () or (n,)
            Concentrations of the ligand, mol/m^3.
        """
        share = np.asarray(conc / (conc + self.ec50))
        return dict.fromkeys((f"bound_{self.name}", *self._lagging), share)

    def dff(self, conc: Quantity, baseline: Quantity = 0 * umolar) -> np.ndarray:
        """Steady (F - F0)/F0, with F0 as it is at a baseline.

        Parameters
        ----------
        conc, baseline : Quantity, shape () or (n,)
            Concentrations, mol/m^3.
        """
        bound = f"bound_{self.name}"
        light, dark = (self.dF_max * self.steady(c)[bound] for c in (conc, baseline))
        return rebased(light, dark)

    @property
    def _lags(self) -> bool:
        return bool(self.tau_light > 0 * second)

    @property
    def _lagging(self) -> tuple[str, ...]:
        return (f"light_{self.name}",) if self._lags else ()


def rebased(dff: Any, baseline: Any) -> np.ndarray:
    """(F - F0)/F0 with another F0, as photometry has it in tissue that is never without ligand.

    Parameters
    ----------
    dff : ndarray
        With the F0 of the sensor without ligand, as it is simulated.
    baseline : float or ndarray
        The same at the baseline, such as the mean before an event.
    """
    return np.asarray((dff - baseline) / (1 + baseline))
