"""The biological neuron: leaky integrate-and-fire with a gain set by a metabotropic receptor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Hz, Mohm, Quantity, amp, ms, mV, second, umolar

from neuromod.errors import UserError
from neuromod.models.parameters import Parameters, namespace, parameter

BRUNEL_WANG = "Brunel & Wang 2001, J. Comput. Neurosci. 11:63-85, pyramidal cell"


@dataclass(frozen=True, eq=False)
class Receptor(Parameters):
    """A metabotropic receptor and its cascade: binding, second messenger, Hill function, gain.

    A generic receptor with an affinity in the micromolar range; numbers for named receptors are
    the user's to give.
    """

    k_on: Quantity = parameter(
        1 / (umolar * second),
        "binding rate",
        source="chosen here: with k_off, a time constant of 0.5 s at 1 uM",
        low=0 / (umolar * second),
        low_excluded=True,
    )
    k_off: Quantity = parameter(
        1 / second,
        "unbinding rate; K_D = k_off/k_on = 1 uM",
        source="chosen here: K_D of the order of low-affinity dopamine D1 sites "
        "(Richfield et al. 1989, Neuroscience 30:767-777)",
        low=0 / second,
        low_excluded=True,
    )
    tau_messenger: Quantity = parameter(
        500 * ms,
        "time constant of G protein to second messenger",
        source="chosen here: metabotropic responses take hundreds of milliseconds",
        low=0 * second,
        low_excluded=True,
    )
    n: float = parameter(2.0, "Hill coefficient", source="chosen here", low=0, low_excluded=True)
    K: float = parameter(
        0.5, "messenger level of half activation", source="chosen here", low=0, low_excluded=True
    )
    gain_max: float = parameter(
        3.0,
        "gain at full activation: above 1 Gs-like, below 1 Gi-like",
        source="chosen here",
        low=0,
    )

    def steady(self, conc: Quantity) -> dict[str, np.ndarray]:
        """State variables in the steady state at concentrations `conc` (mol/m^3)."""
        occupancy = self.occupancy(conc)
        return {"occupancy": occupancy, "messenger": occupancy}

    def occupancy(self, conc: Quantity) -> np.ndarray:
        """Steady share of bound receptors, c/(c + K_D), at concentrations `conc` (mol/m^3)."""
        return np.asarray(conc / (conc + self.k_off / self.k_on))

    def gain(self, conc: Quantity) -> np.ndarray:
        """Steady gain, dimensionless, at concentrations `conc` (mol/m^3)."""
        # In the steady state the second messenger equals the occupancy.
        driven = self.occupancy(conc) ** self.n
        return np.asarray(1 + (self.gain_max - 1) * driven / (driven + self.K**self.n))


PAPER = "Barton et al. 2022, J. Low Power Electron. Appl. 12(4):59"

MEMBRANE = {
    "input": "dv/dt = (v_rest - v + R*gain*(I_syn + I_ext))/tau_m : volt (unless refractory)",
    "threshold": "dv/dt = (v_rest - v + R*(I_syn + I_ext))/tau_m : volt (unless refractory)",
}
SYNAPSE = {
    "exponential": "dI_syn/dt = -I_syn/tau_syn : amp",
    "pulse": "I_syn : amp",
}
CASCADE = """
gain = trained_gain*(1 + (gain_max - 1)*activation) : 1
activation = messenger**n/(messenger**n + K**n) : 1
dmessenger/dt = (occupancy - messenger)/tau_messenger : 1
doccupancy/dt = k_on*conc*(1 - occupancy) - k_off*occupancy : 1
"""
NO_CASCADE = """
gain = trained_gain : 1
"""
SPIKE = {
    "input": ("v >= v_th", "v = v_reset"),
    "threshold": ("v >= v_rest + (v_th - v_rest)/gain", "v = v_rest + (v_reset - v_rest)/gain"),
}


@dataclass(frozen=True, eq=False)
class GainLIF(Parameters):
    """Leaky integrate-and-fire neuron with a gain on its input or, divided, on its threshold.

    The gain is the product of a trained gain and a receptor's. Both sites give the same spikes
    while the gain is constant.
    """

    v_rest: Quantity = parameter(-70 * mV, "resting potential", source=BRUNEL_WANG)
    v_th: Quantity = parameter(-50 * mV, "spike threshold at gain 1", source=BRUNEL_WANG)
    v_reset: Quantity = parameter(
        -70 * mV, "potential after a spike", source="chosen here: at rest, as on the chip"
    )
    tau_m: Quantity = parameter(
        20 * ms, "membrane time constant", source=BRUNEL_WANG, low=0 * second, low_excluded=True
    )
    R: Quantity = parameter(
        40 * Mohm,
        "membrane resistance",
        source=f"{BRUNEL_WANG}: 1/25 nS",
        low=0 * Mohm,
        low_excluded=True,
    )
    t_ref: Quantity = parameter(2 * ms, "refractory period", source=BRUNEL_WANG, low=0 * second)
    tau_syn: Quantity = parameter(
        2 * ms,
        "decay of exponential synapses",
        source=f"{BRUNEL_WANG}: AMPA",
        low=0 * second,
        low_excluded=True,
    )
    I_ext: Quantity = parameter(0 * amp, "injected current", source="chosen here: none")
    trained_gain: float = parameter(
        1.0, "gain from training, multiplies the receptor's", source=f"{PAPER}, equation 3"
    )
    conc: Quantity = parameter(
        0 * umolar, "concentration of the modulator", source="chosen here: none", low=0 * umolar
    )
    receptor: Receptor = parameter(Receptor(), "metabotropic receptor", source="see its own")
    modulated: bool = parameter(
        True, "whether the receptor's cascade is simulated", source="chosen here"
    )
    site: str = parameter(
        "input", "where the gain acts", source=f"{PAPER}, section 3.1", choices=tuple(MEMBRANE)
    )
    synapse: str = parameter(
        "exponential", "shape of a synaptic current", source="chosen here", choices=tuple(SYNAPSE)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("v_rest", "v_reset"):
            if getattr(self, name) >= self.v_th:
                raise UserError(
                    f"{name} = {getattr(self, name)} must lie below v_th = {self.v_th}."
                )

    @property
    def equations(self) -> str:
        """Equations in Brian2's language."""
        cascade = CASCADE if self.modulated else NO_CASCADE
        return f"{MEMBRANE[self.site]}\n{SYNAPSE[self.synapse]}{cascade}"

    @property
    def threshold(self) -> str:
        """Condition for a spike."""
        return SPIKE[self.site][0]

    @property
    def reset(self) -> str:
        """What a spike does."""
        return SPIKE[self.site][1]

    @property
    def refractory(self) -> str:
        """How long the membrane is held after a spike, by name."""
        return "t_ref"

    @property
    def method(self) -> str:
        """Exact where the equations are linear; the cascade's Hill function is not."""
        return "rk4" if self.modulated else "exact"

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations name."""
        return namespace(self)

    @property
    def start(self) -> dict[str, Any]:
        """State at the start: at rest, the cascade in the steady state of `conc`."""
        at_rest = {"v": self.v_rest}
        return at_rest | self.receptor.steady(self.conc) if self.modulated else at_rest

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
            In hertz; 0 below rheobase. Gerstner et al. 2014, Neuronal Dynamics, equation 5.2
            with a reset that need not be at rest.
        """
        drive = np.atleast_1d(np.asarray(self.R * gain * I / (self.v_th - self.v_rest)))
        from_reset = float((self.v_reset - self.v_rest) / (self.v_th - self.v_rest))
        fires = drive > 1
        safe = np.where(fires, drive, 2.0)
        charging = self.tau_m * np.log((safe - from_reset) / (safe - 1))
        return np.where(fires, 1 / (self.t_ref + charging) / Hz, 0.0) * Hz
