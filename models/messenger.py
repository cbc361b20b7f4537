"""A second messenger on which several receptors converge, such as cAMP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, nS, second

from neuromod.errors import UserError
from neuromod.models.receptors import check_word, response
from neuromod.parameters import Parameters, not_negative, parameter, positive, used

CYCLASE = "Nair et al. 2015, J. Neurosci. 35:14017-14030: Golf and Gi act on one cyclase"


@dataclass(frozen=True, eq=False)
class Messenger(Parameters):
    """A second messenger that some receptors raise and others lower, and what follows from it.

    Active Gs raises the production from its basal share to 1, active Gi takes its share of it
    away; each binds the cyclase independently of the others. Activation, gain and the other effects
    follow from the messenger as in a `Receptor`, whose own messengers the shared one replaces.

    Examples
    --------
    >>> from brian2 import umolar
    >>> from neuromod.models import GainLIF, Messenger, library
    >>> shared = Messenger(raised_by=("D1",), lowered_by=("M4",), gain_max=1.8)
    >>> cell = GainLIF(receptors=(library["D1"], library["M4"], shared))
    >>> cell.ligands
    ('dopamine', 'acetylcholine')
    """

    name: str = parameter("cAMP", "name, which its variables carry", "chosen here")
    raised_by: tuple[str, ...] = parameter(
        ("D1",), "names of the receptors that raise it", f"{CYCLASE}; D1 by Golf"
    )
    lowered_by: tuple[str, ...] = parameter(
        (), "names of the receptors that lower it", "chosen here: none"
    )
    basal: float = not_negative(
        0.0,
        "share of the greatest production without any ligand; Gi alone acts on this",
        "chosen here: none, so that the gain is 1 without ligands",
        high=1.0,
    )
    tau_messenger: Quantity = positive(
        5 * second,
        "time constant of production and breakdown",
        "estimate: cAMP takes seconds (Castro et al. 2013, J. Physiol. 591:3197-3214)",
    )
    n: float = positive(
        2.0,
        "Hill coefficient",
        "two cAMP sites on each PKA subunit (Taylor et al. 1990, Annu. Rev. Biochem. 59:971-1005)",
    )
    K: float = positive(0.3, "messenger level of half activation", "chosen here: as for D1")
    gain_max: float = not_negative(1.5, "gain at full activation", "chosen here: as for D1")
    g_K: Quantity = parameter(
        0 * nS, "K+ conductance opened at full activation; 0: none", "chosen here: off"
    )
    ahp_max: float = not_negative(
        1.0, "factor on the after-spike current at full activation", "chosen here: off"
    )

    ligands: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_word("name", self.name)
        if both := set(self.raised_by) & set(self.lowered_by):
            raise UserError(f"{min(both)} cannot both raise and lower {self.name}.")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all receptors that it depends on."""
        return (*self.raised_by, *self.lowered_by)

    def equations(self, signals: Mapping[str, str]) -> str:
        """Equations in Brian2's language.

        Parameters
        ----------
        signals : mapping of str to str
            By the name of a receptor, the expression of its signal.
        """
        m = self.name
        silent = "*".join(f"(1 - {signals[name]})" for name in self.raised_by)
        spared = "".join(f"*(1 - {signals[name]})" for name in self.lowered_by)
        production = f"(1 - (1 - basal_{m})*{silent}){spared}"
        return response(m, self.n, production)

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations, or a neuron with this messenger, name."""
        own = {f"{name}_{self.name}": value for name, value in vars(self).items()}
        named = self.equations(dict.fromkeys(self.sources, "signal"))
        return used(own, f"{named}\ng_K_{self.name}\nahp_max_{self.name}")

    def level(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Steady messenger, from 0 to 1, for steady signals of receptors by their names."""
        silent = np.prod([1 - signals[name] for name in self.raised_by], axis=0)
        spared = np.prod([1 - signals[name] for name in self.lowered_by], axis=0)
        return np.asarray((1 - (1 - self.basal) * silent) * spared)
