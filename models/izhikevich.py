"""Izhikevich's simple model, with the seven cells of 2003 and the twenty patterns of 2004."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from brian2 import Equations, Quantity, ms, mV, pF
from brian2.stateupdaters.base import StateUpdateMethod

from neuromod.models.cell import Cell
from neuromod.parameters import not_negative, parameter, positive

SIMPLE_MODEL = "Izhikevich 2003, IEEE Trans. Neural Netw. 14:1569-1572"
WHICH_MODEL = "Izhikevich 2004, IEEE Trans. Neural Netw. 15:1063-1070"
PER_MS = 1 / ms
MV_PER_MS = mV / ms


class MembraneFirst(StateUpdateMethod):  # type: ignore[misc]
    """Euler's method, the potential `v` before all others, which see it at its new value.

    So Izhikevich's scripts step. Some of his patterns are those of this scheme at its step, not of
    the differential equations (see `stimuli`).
    """

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, for Brian2; there are no options."""
        del method_options
        slopes = dict(equations.get_substituted_expressions(variables))
        in_turn = ["v", *(name for name in slopes if name != "v")]
        return "\n".join(f"{name} = {name} + dt*({slopes[name].code})" for name in in_turn)

    def __str__(self) -> str:
        return "Euler's, the membrane first"


@dataclass(frozen=True, eq=False)
class Izhikevich(Cell):
    """Izhikevich's simple model: a quadratic membrane and a linear recovery variable `u`.

    The defaults are a regular spiking cell. `types` has the cells of the paper of 2003, `patterns`
    the twenty of 2004. Receptors' `ahp_max` has nothing to act on: `u` is adaptation and the
    membrane's own slow currents in one.

    Examples
    --------
    >>> from neuromod.models.izhikevich import types
    >>> types["FS"].a
    100. * hertz
    """

    a: Quantity = parameter(0.02 * PER_MS, "rate of the recovery", f"{SIMPLE_MODEL}, RS")
    b: Quantity = parameter(
        0.2 * PER_MS, "sensitivity of the recovery to the potential", f"{SIMPLE_MODEL}, RS"
    )
    c: Quantity = parameter(-65 * mV, "potential after a spike", f"{SIMPLE_MODEL}, RS")
    d: Quantity = parameter(8 * MV_PER_MS, "step of the recovery at a spike", f"{SIMPLE_MODEL}, RS")
    k_2: Quantity = positive(
        0.04 * PER_MS / mV, "quadratic coefficient of the membrane", SIMPLE_MODEL
    )
    k_1: Quantity = parameter(5 * PER_MS, "linear coefficient of the membrane", SIMPLE_MODEL)
    k_0: Quantity = parameter(140 * MV_PER_MS, "constant of the membrane", SIMPLE_MODEL)
    v_u: Quantity = parameter(
        0 * mV, "potential at which nothing drives the recovery", f"{SIMPLE_MODEL}: 0"
    )
    decay: float = not_negative(
        1.0,
        "decay of the recovery, in units of a",
        f"{SIMPLE_MODEL}: 1; the accommodation of {WHICH_MODEL} has none",
    )
    v_peak: Quantity = parameter(30 * mV, "potential that counts as a spike", SIMPLE_MODEL)
    C: Quantity = positive(
        100 * pF,
        "capacitance: the current that moves the membrane by 1 V/s, per V/s",
        "chosen here: the paper's currents are in mV/ms; with 100 pF, as his regular spiking cell "
        "of 2007, its 10 is 1 nA",
    )
    t_ref: Quantity = not_negative(0 * ms, "refractory period", f"{SIMPLE_MODEL}: none")

    intrinsic: ClassVar[str] = """
    dv/dt = k_2*v**2 + k_1*v + k_0 - u + I_in/C : volt (unless refractory)
    du/dt = a*(b*(v - v_u) - decay*u) : volt/second
    """
    threshold: ClassVar[str] = "v > v_peak"
    reset: ClassVar[str] = "v = c\nu += d"
    refractory: ClassVar[str] = "t_ref"
    method: ClassVar[StateUpdateMethod] = MembraneFirst()

    @property
    def resting(self) -> dict[str, Any]:
        """Where both equations stand still, at the lower potential; at `c` where there is none."""
        if self.decay == 0:
            v = self.v_u
            return {"v": v, "u": self.k_2 * v**2 + self.k_1 * v + self.k_0}
        b = self.b / self.decay
        slope, constant = self.k_1 - b, self.k_0 + b * self.v_u
        under = slope**2 - 4 * self.k_2 * constant
        v = self.c if under < 0 * PER_MS**2 else (-slope - np.sqrt(under)) / (2 * self.k_2)
        return {"v": v, "u": b * (v - self.v_u)}


@dataclass(frozen=True)
class Stimulus:
    """A current clamp: where the neuron starts, the time step, and the current at its corners.

    Between corners the current is a straight line; two corners at one time are a step.
    """

    start: Mapping[str, Quantity]
    dt: Quantity
    times: Quantity
    currents: Quantity

    @property
    def duration(self) -> Quantity:
        """Time of the last corner."""
        return self.times[-1]

    def course(self) -> Quantity:
        """Current in the middle of every time step, ampere, shape (steps,)."""
        steps = round(float(self.duration / self.dt))
        middle = (np.arange(steps) + 0.5) * float(self.dt)
        course = np.interp(middle, np.asarray(self.times), np.asarray(self.currents))
        return Quantity(course, dim=self.currents.dim)


def _cell(a: float, b: float, c: float, d: float, **others: Any) -> Izhikevich:
    """A neuron by the numbers of the papers, which are in ms and mV."""
    return Izhikevich(a=a * PER_MS, b=b * PER_MS, c=c * mV, d=d * MV_PER_MS, **others)


types: Mapping[str, Izhikevich] = MappingProxyType(
    {
        "RS": _cell(0.02, 0.2, -65, 8),
        "IB": _cell(0.02, 0.2, -55, 4),
        "CH": _cell(0.02, 0.2, -50, 2),
        "FS": _cell(0.1, 0.2, -65, 2),
        "LTS": _cell(0.02, 0.25, -65, 2),
        "TC": _cell(0.02, 0.25, -65, 0.05),
        "RZ": _cell(0.1, 0.26, -65, 2),
    }
)
"""Cells of Izhikevich 2003, figure 2: regular spiking, intrinsically bursting, chattering, fast
spiking, low-threshold spiking, thalamo-cortical, resonator."""

_INTEGRATOR = {"k_1": 4.1 * PER_MS, "k_0": 108 * MV_PER_MS}
_ACCOMMODATION = {"v_u": -65 * mV, "decay": 0.0}
patterns: Mapping[str, Izhikevich] = MappingProxyType(
    {
        "tonic-spiking": _cell(0.02, 0.2, -65, 6),
        "phasic-spiking": _cell(0.02, 0.25, -65, 6),
        "tonic-bursting": _cell(0.02, 0.2, -50, 2),
        "phasic-bursting": _cell(0.02, 0.25, -55, 0.05),
        "mixed-mode": _cell(0.02, 0.2, -55, 4),
        "spike-frequency-adaptation": _cell(0.01, 0.2, -65, 8),
        "class-1-excitable": _cell(0.02, -0.1, -55, 6, **_INTEGRATOR),
        "class-2-excitable": _cell(0.2, 0.26, -65, 0),
        "spike-latency": _cell(0.02, 0.2, -65, 6),
        "subthreshold-oscillations": _cell(0.05, 0.26, -60, 0),
        "resonator": _cell(0.1, 0.26, -60, -1),
        "integrator": _cell(0.02, -0.1, -55, 6, **_INTEGRATOR),
        "rebound-spike": _cell(0.03, 0.25, -60, 4),
        "rebound-burst": _cell(0.03, 0.25, -52, 0),
        "threshold-variability": _cell(0.03, 0.25, -60, 4),
        "bistability": _cell(0.1, 0.26, -60, 0),
        "depolarizing-after-potential": _cell(1, 0.2, -60, -21),
        "accommodation": _cell(0.02, 1, -55, 4, **_ACCOMMODATION),
        "inhibition-induced-spiking": _cell(-0.02, -1, -60, 8),
        "inhibition-induced-bursting": _cell(-0.026, -1, -45, -2),
    }
)
"""Neurons by pattern: Izhikevich 2004, figure 1, as in the script that draws it."""


def _stimulus(
    name: str, v: float, dt: float, end: float, *corners: tuple[float, float]
) -> Stimulus:
    """A clamp of a pattern in the script's units: ms, mV, and mV/ms for a current."""
    cell = patterns[name]
    # Recovery starts at b*V, but for accommodation.
    u = -16 * MV_PER_MS if cell.decay == 0 else cell.b * v * mV
    points = np.array([(0, corners[0][1]), *corners, (end, corners[-1][1])])
    return Stimulus(
        start=MappingProxyType({"v": v * mV, "u": u}),
        dt=dt * ms,
        times=points[:, 0] * ms,
        currents=points[:, 1] * MV_PER_MS * cell.C,
    )


def _step(at: float, current: float) -> tuple[tuple[float, float], ...]:
    """Nothing before a time, a current from then on."""
    return (at, 0), (at, current)


def _pulses(
    length: float, *pulses: tuple[float, float], base: float = 0
) -> tuple[tuple[float, float], ...]:
    """Pulses of one length above a base, each from a time on and of a current."""
    return tuple(
        corner
        for at, current in pulses
        for corner in (*((at, base), (at, current)), *((at + length, current), (at + length, base)))
    )


_CLAMPS: dict[str, Any] = {
    "tonic-spiking": (-70, 0.25, 100, *_step(10, 14)),
    "phasic-spiking": (-64, 0.25, 200, *_step(20, 0.5)),
    "tonic-bursting": (-70, 0.25, 220, *_step(22, 15)),
    "phasic-bursting": (-64, 0.2, 200, *_step(20, 0.6)),
    "mixed-mode": (-70, 0.25, 160, *_step(16, 10)),
    "spike-frequency-adaptation": (-70, 0.25, 85, *_step(8.5, 30)),
    "class-1-excitable": (-60, 0.25, 300, (30, 0), (300, 0.075 * 270)),
    "class-2-excitable": (-64, 0.25, 300, (30, -0.5), (300, -0.5 + 0.015 * 270)),
    "spike-latency": (-70, 0.2, 100, *_pulses(3, (10, 7.04))),
    "subthreshold-oscillations": (-62, 0.25, 200, *_pulses(5, (20, 2))),
    "resonator": (-62, 0.25, 400, *_pulses(4, *((at, 0.65) for at in (40, 60, 280, 320)))),
    "integrator": (
        -60,
        0.25,
        100,
        *_pulses(2, *((at, 9) for at in (100 / 11, 100 / 11 + 5, 70, 80))),
    ),
    "rebound-spike": (-64, 0.2, 200, *_pulses(5, (20, -15))),
    "rebound-burst": (-64, 0.2, 200, *_pulses(5, (20, -15))),
    "threshold-variability": (-64, 0.25, 100, *_pulses(5, (10, 1), (70, -6), (80, 1))),
    "bistability": (-61, 0.25, 300, *_pulses(5, (37.5, 1.24), (216, 1.24), base=0.24)),
    "depolarizing-after-potential": (-70, 0.1, 50, *_pulses(2, (9, 20))),
    "accommodation": (-65, 0.5, 400, (0, 0), (200, 8), (200, 0), (300, 0), (312.5, 4), (312.5, 0)),
    "inhibition-induced-spiking": (-63.8, 0.5, 350, *_pulses(200, (50, 75), base=80)),
    "inhibition-induced-bursting": (-63.8, 0.5, 350, *_pulses(200, (50, 75), base=80)),
}
stimuli: Mapping[str, Stimulus] = MappingProxyType(
    {name: _stimulus(name, *clamp) for name, clamp in _CLAMPS.items()}
)
"""The clamp that shows each pattern, from the same script, with its time step. At finer steps
bistability, the depolarizing after-potential and inhibition-induced bursting are lost: these three
are of the scheme, not of the equations."""
