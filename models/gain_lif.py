"""The biological neuron: leaky integrate-and-fire with a gain set by a metabotropic receptor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from brian2 import Hz, Mohm, Quantity, amp, ms, mV, siemens, umolar

from neuromod.errors import UserError, short, unknown
from neuromod.models.integration import HeldCascade
from neuromod.models.receptor_library import library
from neuromod.models.receptors import Receptor
from neuromod.parameters import (
    ModelInput,
    Parameters,
    model_input,
    namespace,
    not_negative,
    parameter,
    positive,
    refuse_where,
    used,
)

BRUNEL_WANG = "Brunel & Wang 2001, J. Comput. Neurosci. 11:63-85, pyramidal cell"
PAPER = "Barton et al. 2022, J. Low Power Electron. Appl. 12(4):59"

MEMBRANE = "dv/dt = (v_rest - v + R*{})/tau_m : volt (unless refractory)"
INPUT = {"input": "gain*(I_syn + I_ext)", "threshold": "(I_syn + I_ext)"}
SYNAPSE = {"exponential": "dI_syn/dt = -I_syn/tau_syn : amp", "pulse": "I_syn : amp"}
SPIKE = {
    "input": ("v >= v_th", "v = v_reset"),
    "threshold": ("v >= v_rest + (v_th - v_rest)/gain", "v = v_rest + (v_reset - v_rest)/gain"),
}

INPUTS = {
    "I_ext": model_input(0 * amp, "injected current", "chosen here: none"),
    "trained_gain": model_input(
        1.0, "gain from training, multiplies the receptors'", f"{PAPER}, equation 3"
    ),
}
CONCENTRATION = model_input(
    0 * umolar, "concentration of a ligand", "chosen here: none", low=0 * umolar
)


@dataclass(frozen=True, eq=False)
class GainLIF(Parameters):
    """Leaky integrate-and-fire neuron with a gain on its input or, divided, on its threshold.

    The gain is the product of a trained gain and the gains that receptors set; a neuron without
    receptors (``receptors=()``) has the trained gain alone. Both sites give the same spikes while
    the gain is constant. Receptors may also open a K+ conductance and scale the after-spike
    current.
    """

    v_rest: Quantity = parameter(-70 * mV, "resting potential", BRUNEL_WANG)
    v_th: Quantity = parameter(-50 * mV, "spike threshold at gain 1", BRUNEL_WANG)
    v_reset: Quantity = parameter(
        -70 * mV, "potential after a spike", "chosen here: at rest, as on the chip"
    )
    tau_m: Quantity = positive(20 * ms, "membrane time constant", BRUNEL_WANG)
    R: Quantity = positive(40 * Mohm, "membrane resistance", f"{BRUNEL_WANG}: 1/25 nS")
    t_ref: Quantity = not_negative(2 * ms, "refractory period", BRUNEL_WANG)
    tau_syn: Quantity = positive(2 * ms, "decay of exponential synapses", f"{BRUNEL_WANG}: AMPA")
    b: Quantity = not_negative(
        0 * amp, "step of the after-spike current; 0: none", "chosen here: off"
    )
    tau_ahp: Quantity = positive(
        200 * ms,
        "decay of the after-spike current",
        "chosen here: between medium and slow after-hyperpolarisation "
        "(Sah 1996, Trends Neurosci. 19:150-154)",
    )
    E_K: Quantity = parameter(
        -90 * mV, "reversal potential of K+", "chosen here: usual for cortical cells"
    )
    receptors: tuple[Receptor, ...] = parameter(
        (Receptor(),),
        "metabotropic receptors, by name; none: no modulation",
        "see their own",
        named=library,
    )
    site: str = parameter(
        "input", "where the gain acts", f"{PAPER}, section 3.1", choices=tuple(INPUT)
    )
    synapse: str = parameter(
        "exponential", "shape of a synaptic current", "chosen here", choices=tuple(SYNAPSE)
    )

    refractory: ClassVar[str] = "t_ref"

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse values that do not go together, in the model or in single neurons."""
        v_th = own("v_th")
        for name in ("v_rest", "v_reset"):
            problem = f"{name} = {{}} must lie below v_th = {{}}"
            refuse_where(own(name) >= v_th, problem, own(name), v_th)
        # The exact solution divides by the difference of the time constants.
        decays = {"tau_syn": self.synapse == "exponential", "tau_ahp": self._adapts}
        for name, present in decays.items():
            if present:
                problem = f"{name} = {{}} must differ from tau_m, even if only by a millionth"
                refuse_where(own(name) == own("tau_m"), problem, own(name))
        names = [receptor.name for receptor in self.receptors]
        if len(set(names)) < len(names):
            raise UserError(f"Receptors of a neuron need names of their own, not {short(names)}.")
        each = (np.minimum(own(f"g_K_{r.name}"), 0 * siemens) for r in self._shifting)
        refuse_where(
            own("R") * sum(each, 0 * siemens) <= -1,
            "The sum of the negative g_K of the receptors must stay above -1/R = {}",
            -1 / own("R"),
        )

    @property
    def ligands(self) -> tuple[str, ...]:
        """All that binds to a receptor here, in order."""
        every = (ligand for receptor in self.receptors for ligand in receptor.ligands)
        return tuple(dict.fromkeys(every))

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """What reaches the neuron: a current, a trained gain, the concentration of each ligand."""
        return INPUTS | {f"conc_{ligand}": CONCENTRATION for ligand in self.ligands}

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        parts = [MEMBRANE.format(self._current), SYNAPSE[self.synapse]]
        if self._adapts:
            parts.append("dI_ahp/dt = -I_ahp/tau_ahp : amp")
        product = "*".join(["trained_gain", *(f"gain_{r.name}" for r in self.receptors)])
        parts.append(f"gain = {product} : 1")
        if self._shifting:
            terms = " + ".join(f"g_K_{r.name}*activation_{r.name}" for r in self._shifting)
            parts.append(f"g_K = {terms} : siemens")
        if self._adapts and self.receptors:
            factors = (f"(1 + (ahp_max_{r.name} - 1)*activation_{r.name})" for r in self.receptors)
            parts.append(f"adaptation = {'*'.join(factors)} : 1")
        return "\n".join([*parts, *(r.equations for r in self.receptors)])

    @property
    def threshold(self) -> str:
        """Condition for a spike."""
        return SPIKE[self.site][0]

    @property
    def reset(self) -> str:
        """What a spike does."""
        return SPIKE[self.site][1] + ("\nI_ahp += b" if self._adapts else "")

    @property
    def method(self) -> Any:
        """Exact without receptors; with them, exact for the membrane alone."""
        return HeldCascade(("v", "I_syn", "I_ahp")) if self.receptors else "exact"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        values = namespace(self)
        for receptor in self.receptors:
            values |= receptor.constants
        return used(values, "\n".join([self.equations, self.threshold, self.reset, "t_ref"]))

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest, with nothing bound."""
        return self.steady({})

    def steady(self, conc: Mapping[str, Quantity]) -> dict[str, Any]:
        """State at rest in a bath.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            Concentrations by ligand, mol/m^3; 0 where none is given.

        Returns
        -------
        dict of str to Quantity or ndarray
            Initial values of state variables.

        Raises
        ------
        UserError
            For a ligand that no receptor binds.
        """
        values: dict[str, Any] = {"v": self.rest(conc)}
        for receptor, levels in self._bathed(conc):
            values |= receptor.steady(*levels)
        return values

    def steady_gain(self, conc: Mapping[str, Quantity]) -> np.ndarray:
        """Steady gain in a bath.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            As for `steady`.

        Returns
        -------
        ndarray, shape () or (n,)
            The product of every receptor's.
        """
        gain = np.ones(())
        for receptor, levels in self._bathed(conc):
            gain = gain * receptor.gain(*levels)
        return gain

    def rest(self, conc: Mapping[str, Quantity]) -> Quantity:
        """Resting potential in a bath, where the K+ conductance that receptors open shifts it.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            As for `steady`.

        Returns
        -------
        Quantity, shape () or (n,)
            ``(v_rest + R*g_K*E_K)/(1 + R*g_K)``, volt.
        """
        g_K = 0 * siemens
        for receptor, levels in self._bathed(conc):
            if receptor in self._shifting:
                g_K = g_K + receptor.g_K * receptor.activation(*levels)
        return (self.v_rest + self.R * g_K * self.E_K) / (1 + self.R * g_K)

    def rate(self, I: Quantity, gain: Any = 1.0) -> Quantity:  # noqa: E741
        """Steady firing rate in closed form.

        Parameters
        ----------
        I : Quantity, shape (n,)
            Constant current, ampere.
        gain : float or ndarray, shape (n,)

        Returns
        -------
        Quantity, shape (n,)
            In hertz; 0 below rheobase. Gerstner et al. 2014, Neuronal Dynamics, equation 5.2,
            for any reset potential.

        Raises
        ------
        UserError
            With an after-spike current or a K+ conductance, which the closed form leaves out.
        """
        if self._adapts or self._shifting:
            raise UserError(
                "The closed form of the rate holds without after-spike current and K+ "
                "conductance: set b and g_K to 0."
            )
        drive = np.atleast_1d(np.asarray(self.R * gain * I / (self.v_th - self.v_rest)))
        from_reset = float((self.v_reset - self.v_rest) / (self.v_th - self.v_rest))
        fires = drive > 1
        safe = np.where(fires, drive, 2.0)
        charging = self.tau_m * np.log((safe - from_reset) / (safe - 1))
        return np.where(fires, 1 / (self.t_ref + charging) / Hz, 0.0) * Hz

    @property
    def _current(self) -> str:
        """Sum of the currents into the membrane."""
        current = INPUT[self.site]
        if self._shifting:
            current += " + g_K*(E_K - v)"
        if self._adapts:
            current += " - adaptation*I_ahp" if self.receptors else " - I_ahp"
        return current if current == INPUT[self.site] else f"({current})"

    @property
    def _adapts(self) -> bool:
        return bool(self.b > 0 * amp)

    @property
    def _shifting(self) -> tuple[Receptor, ...]:
        """Receptors that open or close a K+ conductance."""
        return tuple(r for r in self.receptors if r.g_K != 0 * siemens)

    def _bathed(
        self, conc: Mapping[str, Quantity]
    ) -> Iterator[tuple[Receptor, tuple[Quantity, ...]]]:
        """Every receptor, with the concentrations of what binds to it."""
        for ligand in conc:
            if ligand not in self.ligands:
                raise unknown("ligand of this neuron", ligand, self.ligands)
        for receptor in self.receptors:
            yield receptor, tuple(conc.get(ligand, 0 * umolar) for ligand in receptor.ligands)
