"""Metabotropic receptors: binding, second messenger, Hill function, and what they act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, ms, nS, second, umolar

from neuromod.errors import UserError
from neuromod.parameters import Parameters, not_negative, parameter, positive, used

PER_UMOLAR_SECOND = 1 / (umolar * second)


@dataclass(frozen=True, eq=False)
class Receptor(Parameters):
    """A metabotropic receptor and its cascade: binding, second messenger, Hill function, gain.

    Its variables end in its name, as in ``occupancy_D1``, and concentrations in their ligand's,
    as in ``conc_dopamine``. The defaults are those of a generic receptor with an affinity in the
    micromolar range; `neuromod.models.library` has named ones.

    Examples
    --------
    >>> from brian2 import umolar
    >>> from neuromod.models import Receptor
    >>> receptor = Receptor(gain_max=2.5)
    >>> receptor.gain([0, 1, 10] * umolar).round(2)
    array([1.  , 1.75, 2.15])
    >>> print(round(receptor.ec50 / umolar, 2))
    0.69
    """

    name: str = parameter("generic", "name, which its variables carry", "chosen here")
    ligand: str = parameter("modulator", "what it binds", "chosen here")
    k_on: Quantity = positive(
        PER_UMOLAR_SECOND,
        "binding rate",
        "chosen here: with k_off, a time constant of 0.5 s at 1 µM",
    )
    k_off: Quantity = positive(
        1 / second,
        "unbinding rate; K_D = k_off/k_on",
        "chosen here: K_D = 1 µM, of the order of low-affinity dopamine D1 sites "
        "(Richfield et al. 1989, Neuroscience 30:767-777)",
    )
    antagonist: str = parameter(
        "", "a ligand that competes for the binding site; none if empty", "chosen here"
    )
    k_on_antagonist: Quantity = positive(
        PER_UMOLAR_SECOND, "the antagonist's binding rate", "chosen here"
    )
    k_off_antagonist: Quantity = positive(
        0.1 / second,
        "the antagonist's unbinding rate; K_B = k_off_antagonist/k_on_antagonist",
        "chosen here: K_B = 0.1 µM",
    )
    k_desensitise: Quantity = not_negative(
        0 / second, "rate at which bound receptors stop responding; 0: never", "chosen here: off"
    )
    tau_recover: Quantity = positive(
        100 * second,
        "time constant in which they respond again",
        "chosen here: resensitisation takes minutes (Ferguson 2001, Pharmacol. Rev. 53:1-24)",
    )
    tau_messenger: Quantity = positive(
        500 * ms,
        "time constant of G protein to second messenger",
        "chosen here: metabotropic responses take hundreds of milliseconds",
    )
    n: float = positive(2.0, "Hill coefficient", "chosen here")
    K: float = positive(0.5, "messenger level of half activation", "chosen here")
    gain_max: float = not_negative(
        3.0, "gain at full activation: above 1 Gs-like, below 1 Gi-like", "chosen here"
    )
    g_K: Quantity = parameter(
        0 * nS,
        "K+ conductance opened at full activation (negative: closed), which shifts the resting "
        "potential; 0: none",
        "chosen here: off",
    )
    ahp_max: float = not_negative(
        1.0,
        "factor on the after-spike current at full activation; 1: no effect",
        "chosen here: off",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("name", "ligand", *(("antagonist",) if self.antagonist else ())):
            check_word(field, getattr(self, field))
        if self.antagonist == self.ligand:
            raise UserError(f"{self.ligand} cannot compete with itself for {self.name}.")

    @property
    def ligands(self) -> tuple[str, ...]:
        """What binds here: the ligand and, if there is one, the antagonist."""
        return (self.ligand, self.antagonist) if self.antagonist else (self.ligand,)

    @property
    def equations(self) -> str:
        """Equations of the cascade in Brian2's language; concentrations are the neuron's."""
        return f"{response(self.name, self.n, self.signal)}\n{self.binding}"

    @property
    def signal(self) -> str:
        """Expression of the share of receptors that are bound and respond."""
        r = self.name
        return f"occupancy_{r}*available_{r}" if self._desensitises else f"occupancy_{r}"

    @property
    def binding(self) -> str:
        """Equations of the receptors alone, without what follows from their signal."""
        r = self.name
        free = f"1 - occupancy_{r} - blocked_{r}" if self.antagonist else f"1 - occupancy_{r}"
        lines = []
        if self._desensitises:
            lines.append(
                f"davailable_{r}/dt = (1 - available_{r})/tau_recover_{r}"
                f" - k_desensitise_{r}*occupancy_{r}*available_{r} : 1"
            )
        lines.append(
            f"doccupancy_{r}/dt = k_on_{r}*conc_{self.ligand}*({free})"
            f" - k_off_{r}*occupancy_{r} : 1"
        )
        if self.antagonist:
            lines.append(
                f"dblocked_{r}/dt = k_on_antagonist_{r}*conc_{self.antagonist}*({free})"
                f" - k_off_antagonist_{r}*blocked_{r} : 1"
            )
        return "\n".join(lines)

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations, or a neuron with this receptor, name."""
        own = {f"{name}_{self.name}": value for name, value in vars(self).items()}
        beyond = f"{self.equations}\ng_K_{self.name}\nahp_max_{self.name}"
        return used(own, beyond)

    def steady(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> dict[str, np.ndarray]:
        """State variables in the steady state.

        Parameters
        ----------
        conc, antagonist : Quantity, shape () or (n,)
            Concentrations of the ligand and of the antagonist, mol/m^3.
        """
        occupancy, blocked = self._shares(conc, antagonist)
        available = 1 / (1 + self._silencing * occupancy)
        states = {"occupancy": occupancy, "messenger": occupancy * available}
        if self.antagonist:
            states["blocked"] = blocked
        if self._desensitises:
            states["available"] = available
        return {f"{name}_{self.name}": np.asarray(value) for name, value in states.items()}

    def occupancy(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> np.ndarray:
        """Steady share of receptors that the ligand occupies.

        Parameters
        ----------
        conc, antagonist : Quantity, shape () or (n,)
            Concentrations, mol/m^3.

        Returns
        -------
        ndarray, shape () or (n,)
            ``c/(c + K_D*(1 + c_antagonist/K_B))``; Gaddum 1937, J. Physiol. 89:7P-9P.
        """
        return np.asarray(self._shares(conc, antagonist)[0])

    def activation(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> np.ndarray:
        """Steady activation, from 0 to below 1, at concentrations in mol/m^3."""
        messenger = self.steady(conc, antagonist)[f"messenger_{self.name}"]
        return np.asarray(messenger**self.n / (messenger**self.n + self.K**self.n))

    def gain(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> np.ndarray:
        """Steady gain, dimensionless, at concentrations in mol/m^3."""
        return np.asarray(1 + (self.gain_max - 1) * self.activation(conc, antagonist))

    @property
    def ec50(self) -> Quantity:
        """Concentration of half the greatest steady effect, without antagonist, mol/m^3."""
        occupancy = self._half()[1]
        return self.k_off / self.k_on * occupancy / (1 - occupancy)

    @property
    def hill_slope(self) -> float:
        """Slope at EC50 of ``log(effect/(greatest effect - effect))`` against log concentration."""
        activation, occupancy = self._half()
        per_messenger = 2 * self.n * (1 - activation)
        return float(per_messenger * (1 - occupancy) / (1 + self._silencing * occupancy))

    def _half(self) -> tuple[float, float]:
        """Activation and occupancy of half the greatest steady effect."""
        greatest = 1 / (1 + self._silencing)
        half = greatest**self.n / (greatest**self.n + self.K**self.n) / 2
        messenger = self.K * (half / (1 - half)) ** (1 / self.n)
        return half, messenger / (1 - self._silencing * messenger)

    def _shares(self, conc: Quantity, antagonist: Quantity) -> tuple[Any, Any]:
        """Steady shares of receptors that the ligand and the antagonist occupy."""
        bound = conc * self.k_on / self.k_off
        rival = antagonist * self.k_on_antagonist / self.k_off_antagonist if self.antagonist else 0
        return bound / (1 + bound + rival), rival / (1 + bound + rival)

    @property
    def _desensitises(self) -> bool:
        return bool(self.k_desensitise > 0 / second)

    @property
    def _silencing(self) -> float:
        """Desensitisation at full occupancy: silent per responding receptors."""
        return float(self.k_desensitise * self.tau_recover)


def check_word(field: str, text: str) -> None:
    """Refuse a name that cannot stand at the end of the names of variables."""
    if not (text.isascii() and text.isalnum()):
        raise UserError(
            f"{field} = {text!r} stands in the names of variables: use letters and digits, such as "
            "D1."
        )


def response(name: str, n: float, signal: str) -> str:
    """Equations of a messenger that follows a signal, of its Hill function and of the gain."""
    # The exponent is written out: compilers turn whole ones into products, 5 times faster.
    power = f"{n:g}" if n == float(f"{n:g}") else repr(n)
    return "\n".join(
        [
            f"gain_{name} = 1 + (gain_max_{name} - 1)*activation_{name} : 1",
            f"activation_{name} = messenger_{name}**{power}"
            f"/(messenger_{name}**{power} + K_{name}**{power}) : 1",
            f"dmessenger_{name}/dt = ({signal} - messenger_{name})/tau_messenger_{name} : 1",
        ]
    )
