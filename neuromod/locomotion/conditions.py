"""Conditions that a body was never trained under, made by changes of its model of MuJoCo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from neuromod.errors import unknown
from neuromod.locomotion.bodies import Body, Change, body, make
from neuromod.parameters import Parameters, positive

HELD = 1e4
"""Dry friction of a locked joint in N m (chosen here: far above the 150 N m of the strongest motor
and what a body's weight and momentum exert)."""


@dataclass(frozen=True, eq=False)
class Novel(Parameters):
    """How far novel conditions lie from those of training."""

    weak: float = positive(0.5, "share of its force left to the weakened motor", "chosen here")
    mass: float = positive(1.5, "factor on all masses", "chosen here: 50 % more")
    slippery: float = positive(0.5, "factor on friction or drag, halved", "chosen here")
    rough: float = positive(2.0, "factor on friction or drag, doubled", "chosen here")
    gravity: float = positive(1.5, "factor on gravity", "chosen here: as for masses")
    noise: float = positive(
        0.3, "noise on observations, in their standard deviations in training", "chosen here"
    )
    length: float = positive(0.7, "factor on the shortened limb's length", "chosen here", high=1)


@dataclass(frozen=True)
class Condition:
    """A novel condition.

    Attributes
    ----------
    meaning : str
        With a place for each part of the body that it names.
    change : callable or None
        From a body and the strengths of conditions to the change of a model; None where the model
        stays as it is.
    lacking : callable
        From a model to why the condition means nothing there; empty where it does.
    """

    meaning: str
    change: Callable[[Body, Novel], Change] | None
    lacking: Callable[[Any], str]


def weaken(own: Body, novel: Novel) -> Change:
    """A motor of less force."""

    def change(model: Any) -> None:
        motors = model.actuator_trnid[:, 0] == model.joint(own.joint).id
        model.actuator_gear[motors] *= novel.weak

    return change


def lock(own: Body, novel: Novel) -> Change:
    """A joint that no force moves: dry friction holds it where an episode begins."""
    del novel

    def change(model: Any) -> None:
        model.dof_frictionloss[model.joint(own.joint).dofadr] = HELD
        # As hard as the solver makes it; by default it would yield.
        model.dof_solimp[model.joint(own.joint).dofadr, :2] = 0.9999

    return change


def load(own: Body, novel: Novel) -> Change:
    """Masses and moments of inertia of every part."""
    del own

    def change(model: Any) -> None:
        model.body_mass *= novel.mass
        model.body_inertia *= novel.mass
        settle(model)

    return change


def rub(which: str) -> Callable[[Body, Novel], Change]:
    """Friction of every surface; of two that touch, the larger counts."""

    def condition(own: Body, novel: Novel) -> Change:
        del own

        def change(model: Any) -> None:
            model.geom_friction *= getattr(novel, which)

        return change

    return condition


def thicken(which: str) -> Callable[[Body, Novel], Change]:
    """Density and viscosity of the medium, to which drag is proportional."""

    def condition(own: Body, novel: Novel) -> Change:
        del own

        def change(model: Any) -> None:
            model.opt.density *= getattr(novel, which)
            model.opt.viscosity *= getattr(novel, which)

        return change

    return condition


def pull(own: Body, novel: Novel) -> Change:
    """Gravity."""
    del own

    def change(model: Any) -> None:
        model.opt.gravity[:] *= novel.gravity

    return change


def shorten(own: Body, novel: Novel) -> Change:
    """A capsule of the same density and radius, but shorter, with what hangs at its end."""

    def change(model: Any) -> None:
        limb = int(model.jnt_bodyid[model.joint(own.limb).id])
        shape = int(model.body_geomadr[limb])
        radius, half, _ = model.geom_size[shape]
        before, _ = capsule(radius, half)
        volume, inertia = capsule(radius, half * novel.length)
        density = model.body_mass[limb] / before
        model.geom_size[shape, 1] = half * novel.length
        model.geom_pos[shape] *= novel.length
        model.body_ipos[limb] = model.geom_pos[shape]
        model.body_mass[limb] = density * volume
        model.body_inertia[limb] = density * inertia
        model.body_pos[model.body_parentid == limb] *= novel.length
        settle(model)

    return change


def capsule(radius: float, half: float) -> tuple[float, np.ndarray]:
    """Volume of a capsule of length ``2*half`` between the centres of its ends, and its moments of
    inertia at a density of 1, the last about its axis."""
    length = 2 * half
    rod, ends = np.pi * radius**2 * length, 4 / 3 * np.pi * radius**3
    across = rod * (radius**2 / 4 + length**2 / 12)
    across += ends * (2 / 5 * radius**2 + length**2 / 4 + 3 / 8 * length * radius)
    along = rod * radius**2 / 2 + ends * 2 / 5 * radius**2
    return rod + ends, np.array([across, across, along])


def settle(model: Any) -> None:
    """Compute anew what MuJoCo derives from masses and lengths."""
    mujoco.mj_setConst(model, mujoco.MjData(model))


def _nothing(model: Any) -> str:
    del model
    return ""


def _one_motor(model: Any) -> str:
    return "its only motor moves that joint" if model.nu == 1 else ""


def _no_contact(model: Any) -> str:
    touching = model.geom_contype[:, None] & model.geom_conaffinity[None, :]
    return "" if touching.any() else "none of its surfaces touch"


def _no_medium(model: Any) -> str:
    return "" if model.opt.density or model.opt.viscosity else "it moves in a vacuum"


def _no_weight(model: Any) -> str:
    """Gravity does nothing where its force is perpendicular to all that can move."""
    data = mujoco.MjData(model)
    # Away from the upright and from every other symmetry.
    mujoco.mj_integratePos(model, data.qpos, np.linspace(0.05, 0.15, model.nv), 1.0)
    mujoco.mj_forward(model, data)
    return "" if np.abs(data.qfrc_bias).max() > 1e-9 else "it moves in a horizontal plane"


CONDITIONS = {
    "weak joint": Condition("motor of {joint} weakened", weaken, _nothing),
    "locked joint": Condition("{joint} locked", lock, _one_motor),
    "heavy": Condition("all masses greater", load, _nothing),
    "slippery": Condition("friction of surfaces less", rub("slippery"), _no_contact),
    "rough": Condition("friction of surfaces greater", rub("rough"), _no_contact),
    "thin medium": Condition("drag of the medium less", thicken("slippery"), _no_medium),
    "thick medium": Condition("drag of the medium greater", thicken("rough"), _no_medium),
    "gravity": Condition("gravity stronger", pull, _no_weight),
    "noise": Condition("noise on observations", None, _nothing),
    "short limb": Condition("limb at {limb} shorter", shorten, _nothing),
}
"""Conditions by name."""


def condition(name: str) -> Condition:
    """A condition of `CONDITIONS` by name."""
    if name not in CONDITIONS:
        raise unknown("novel condition", name, CONDITIONS)
    return CONDITIONS[name]


def change_for(name: str, own: str, novel: Novel) -> Change | None:
    """Change of a body's model under a condition, both by name; None where it stays as it is."""
    change = condition(name).change
    return None if change is None else change(body(own), novel)


def lacking(own: str) -> dict[str, str]:
    """Conditions that mean nothing for a body, by name, with the reason."""
    model = make(own).model
    reasons = {name: one.lacking(model) for name, one in CONDITIONS.items()}
    return {name: reason for name, reason in reasons.items() if reason}
