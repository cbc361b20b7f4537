"""What every neuron with receptors has: its cascade, and the steady state of that in a bath."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from brian2 import Hz, Quantity, siemens, umolar

from neuromod.errors import UserError, short, unknown
from neuromod.models.messenger import Messenger
from neuromod.models.own_equations import read_equations
from neuromod.models.receptor_library import library
from neuromod.models.receptors import Receptor
from neuromod.parameters import ModelInput, Parameters, model_input, parameter

Cascade: TypeAlias = Receptor | Messenger
EXPLICIT = ("euler", "rk2", "rk4", "heun", "milstein")
CONCENTRATION = model_input(
    0 * umolar, "concentration of a ligand", "chosen here: none", low=0 * umolar
)


def receptor_list(default: tuple[Cascade, ...], source: str) -> Any:
    """Field of a neuron's receptors and of the messengers on which they converge."""
    named = library | {"cAMP": Messenger()}
    meaning = "metabotropic receptors, by name; none: no modulation"
    return parameter(default, meaning, source, named=named, kinds=(Receptor, Messenger))


@dataclass(frozen=True, eq=False)
class Receptive(Parameters):
    """Base of neurons with `receptors`, a field of every subclass."""

    if TYPE_CHECKING:

        @property
        def receptors(self) -> tuple[Cascade, ...]:
            """Receptors, and messengers on which they converge."""

        @property
        def equations(self) -> str: ...
        @property
        def threshold(self) -> Any: ...
        @property
        def reset(self) -> str: ...
        @property
        def refractory(self) -> Any: ...
        @property
        def method(self) -> Any: ...
        @property
        def constants(self) -> dict[str, Any]: ...
        def steady(self, conc: Mapping[str, Quantity]) -> dict[str, Any]: ...
        @property
        def current(self) -> str: ...
        @property
        def potential(self) -> str: ...
        @property
        def adapts(self) -> bool: ...

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse receptors of one name, and messengers of receptors that are not there."""
        del own
        names = [receptor.name for receptor in self.receptors]
        if len(set(names)) < len(names):
            raise UserError(f"Receptors of a neuron need names of their own, not {short(names)}.")
        plain = [receptor.name for receptor in self.sites]
        for messenger in self._messengers:
            for name in messenger.sources:
                if name not in plain:
                    raise unknown(f"receptor for {messenger.name}", name, plain)

    @property
    def sites(self) -> tuple[Receptor, ...]:
        """The receptors, without messengers on which they converge."""
        return tuple(r for r in self.receptors if isinstance(r, Receptor))

    @property
    def ligands(self) -> tuple[str, ...]:
        """All that binds to a receptor here, in order."""
        every = (ligand for receptor in self.receptors for ligand in receptor.ligands)
        return tuple(dict.fromkeys(every))

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """What reaches the receptors: the concentration of each ligand."""
        return {f"conc_{ligand}": CONCENTRATION for ligand in self.ligands}

    @property
    def start(self) -> dict[str, Any]:
        """State at the start, with nothing bound."""
        return self.steady({})

    @property
    def acting(self) -> tuple[Cascade, ...]:
        """Receptors and messengers that act on the neuron, each by a messenger of its own."""
        behind = {name for messenger in self._messengers for name in messenger.sources}
        return tuple(r for r in self.receptors if r.name not in behind)

    @property
    def cascades(self) -> str:
        """Equations of all receptors and messengers in Brian2's language."""
        signals = {receptor.name: receptor.signal for receptor in self.sites}
        blocks = [
            r.equations(signals) if isinstance(r, Messenger) else r.equations for r in self.acting
        ]
        acting = [part.name for part in self.acting]
        behind = (receptor.binding for receptor in self.sites if receptor.name not in acting)
        return "\n".join([*blocks, *behind])

    @property
    def cascade_constants(self) -> dict[str, Any]:
        """Values of the parameters of all receptors and messengers."""
        values: dict[str, Any] = {}
        for receptor in self.receptors:
            values |= receptor.constants
        return values

    def bound(self, conc: Mapping[str, Quantity]) -> dict[str, np.ndarray]:
        """Steady states of the cascades in a bath.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            Concentrations by ligand, mol/m^3; 0 where none is given.

        Returns
        -------
        dict of str to ndarray
            By state variable.

        Raises
        ------
        UserError
            For a ligand that no receptor binds.
        """
        for ligand in conc:
            if ligand not in self.ligands:
                raise unknown("ligand of this neuron", ligand, self.ligands)
        states: dict[str, np.ndarray] = {}
        signals: dict[str, np.ndarray] = {}
        acting = [part.name for part in self.acting]
        for receptor in self.sites:
            levels = [conc.get(ligand, 0 * umolar) for ligand in receptor.ligands]
            found = receptor.steady(*levels)
            signals[receptor.name] = found[f"messenger_{receptor.name}"]
            if receptor.name not in acting:
                del found[f"messenger_{receptor.name}"]
            states |= found
        for messenger in self._messengers:
            states[f"messenger_{messenger.name}"] = messenger.level(signals)
        return states

    def activations(self, conc: Mapping[str, Quantity]) -> dict[str, np.ndarray]:
        """Steady activation of all that acts, by name, in a bath as for `bound`."""
        states, found = self.bound(conc), {}
        for part in self.acting:
            level = states[f"messenger_{part.name}"] ** part.n
            found[part.name] = np.asarray(level / (level + part.K**part.n))
        return found

    def steady_gain(self, conc: Mapping[str, Quantity]) -> np.ndarray:
        """Product of the steady gains of all that acts, in a bath as for `bound`."""
        gain, activation = np.ones(()), self.activations(conc)
        for part in self.acting:
            gain = gain * (1 + (part.gain_max - 1) * activation[part.name])
        return gain

    @property
    def has_gain(self) -> bool:
        """Whether receptors set a gain of the neuron's input, named ``gain``."""
        return "gain" in read_equations(self.equations).names

    @property
    def gain_alone(self) -> bool:
        """Whether all that receptors do to the neuron is to scale its input."""
        return self.has_gain and all(
            part.g_K == 0 * siemens and (part.ahp_max == 1 or not self.adapts)
            for part in self.acting
        )

    @property
    def effective(self) -> tuple[Cascade, ...]:
        """Receptors and messengers that do something to the neuron."""
        return tuple(
            part
            for part in self.acting
            if part.gain_max != 1 or part.g_K != 0 * siemens or (self.adapts and part.ahp_max != 1)
        )

    def longest_step(self, own: Callable[[str], Any]) -> Quantity | None:
        """Time in which the fastest receptor binds in its bath; None where any step is stable.

        Explicit methods overshoot with longer steps, and diverge with twice as long ones.

        Parameters
        ----------
        own : callable
            Of a parameter's or an input's name: its value, or one value for each neuron.
        """
        # Beside traces of plasticity the neuron keeps a method of its own.
        method = getattr(self.method, "own", self.method)
        if not isinstance(method, str) or method not in EXPLICIT or not self.sites:
            return None
        rates = []
        for site in self.sites:
            rate = own(f"k_off_{site.name}") + own(f"k_on_{site.name}") * own(f"conc_{site.ligand}")
            if site.antagonist:
                rival = own(f"conc_{site.antagonist}") * own(f"k_on_antagonist_{site.name}")
                rate = rate + rival + own(f"k_off_antagonist_{site.name}")
            rates.append(rate)
        return 1 / np.maximum.reduce(np.broadcast_arrays(*rates)) / Hz

    @property
    def _messengers(self) -> tuple[Messenger, ...]:
        return tuple(r for r in self.receptors if isinstance(r, Messenger))
