"""A neuron of the shelf: equations of its own, and the inputs and receptors that all have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from brian2 import Quantity, amp, ms, mV, siemens

from neuromod.errors import UserError
from neuromod.models.effects import modulated_equations
from neuromod.models.receptive import Cascade, Receptive, receptor_list
from neuromod.parameters import ModelInput, model_input, namespace, parameter, positive, used

PAPER = "Barton et al. 2022, J. Low Power Electron. Appl. 12(4):59"
SYNAPSE = {"exponential": "dI_syn/dt = -I_syn/tau_syn : amp", "pulse": "I_syn : amp"}
INPUTS = {
    "I_ext": model_input(0 * amp, "injected current", "chosen here: none"),
    "trained_gain": model_input(
        1.0, "gain from training, multiplies the receptors'", f"{PAPER}, equation 3"
    ),
}


@dataclass(frozen=True, eq=False)
class Cell(Receptive):
    """Base of neurons that a current drives; receptors scale it, open K+ channels, or both.

    A subclass has parameters and `intrinsic` equations, which read the current `I_in`. Receptors
    scale what the neuron receives by `gain`, add ``g_K*(E_K - v)``, and scale what the variable
    `adaptation` does to the membrane.
    """

    tau_syn: Quantity = positive(
        2 * ms,
        "decay of exponential synapses",
        "Brunel & Wang 2001, J. Comput. Neurosci. 11:63-85: AMPA",
    )
    synapse: str = parameter(
        "exponential", "shape of a synaptic current", "chosen here", choices=tuple(SYNAPSE)
    )
    E_K: Quantity = parameter(
        -90 * mV,
        "reversal potential of the K+ channels that receptors open",
        "chosen here: usual for cortical cells",
    )
    receptors: tuple[Cascade, ...] = receptor_list((), "chosen here: no modulation")

    intrinsic: ClassVar[str] = ""
    """Equations of the neuron alone, in Brian2's language, driven by `I_in` in ampere."""
    threshold: ClassVar[str] = "v > v_th"
    reset: ClassVar[str] = ""
    refractory: ClassVar[Any] = 0 * ms
    method: ClassVar[Any] = "euler"
    adaptation: ClassVar[str] = ""
    """Variable of `intrinsic` that adapts the neuron and that receptors' `ahp_max` scales."""
    current: ClassVar[str] = "I_ext"
    potential: ClassVar[str] = "v"

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse receptors that would act on an adaptation that the neuron does not have."""
        super().check_values(own)
        for part in self.acting:
            if part.ahp_max != 1 and not self.adapts:
                raise UserError(
                    f"{type(self).__name__} has no adaptation that {part.name} could scale: leave "
                    "its ahp_max at 1."
                )

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """What reaches the neuron: a current, a trained gain, the concentration of each ligand."""
        return INPUTS | super().inputs

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        own = modulated_equations(self.intrinsic, self._adapting)
        product = "*".join(["trained_gain", *(f"gain_{part.name}" for part in self.acting)])
        current = "gain*(I_syn + I_ext)"
        lines = [own, f"gain = {product} : 1", SYNAPSE[self.synapse]]
        if self._shifting:
            terms = " + ".join(f"g_K_{p.name}*activation_{p.name}" for p in self._shifting)
            lines.append(f"g_mod = {terms} : siemens")
            current += " + g_mod*(E_K - v)"
        return "\n".join([*lines, f"I_in = {current} : amp", self.cascades]).strip()

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self) | self.cascade_constants
        named = [self.equations, self.threshold, self.reset, str(self.refractory)]
        return used(values, "\n".join(named))

    @property
    def resting(self) -> dict[str, Any]:
        """State at rest, without input and receptors."""
        raise NotImplementedError

    def steady(self, conc: Mapping[str, Quantity]) -> dict[str, Any]:
        """State in a bath: receptors settled, the membrane at rest as it is without them.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            Concentrations by ligand, mol/m^3; 0 where none is given.
        """
        return self.resting | self.bound(conc)

    @property
    def adapts(self) -> bool:
        """Whether the neuron has a variable that adapts it."""
        return bool(self.adaptation)

    @property
    def _adapting(self) -> dict[str, str]:
        """What the adapting variable becomes in the equations of others."""
        scaling = [part.name for part in self.acting if part.ahp_max != 1]
        factors = (f"(1 + (ahp_max_{name} - 1)*activation_{name})" for name in scaling)
        name = self.adaptation
        return {name: "*".join([name, *factors])} if name and scaling else {}

    @property
    def _shifting(self) -> tuple[Cascade, ...]:
        """What opens or closes a K+ conductance."""
        return tuple(part for part in self.acting if part.g_K != 0 * siemens)
