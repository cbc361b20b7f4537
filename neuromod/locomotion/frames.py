"""Pictures of a moving body: rendered by MuJoCo where that works, and outlines of its parts."""

from __future__ import annotations

import logging
from typing import Any

import mujoco
import numpy as np

from neuromod.errors import short

log = logging.getLogger(__name__)

CAPSULE, SPHERE = (
    int(kind) for kind in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE)
)
"""Shapes of which bodies are made; the ground is none of them."""


def outlines(environment: Any) -> np.ndarray:
    """Where the parts of a body are now.

    Returns
    -------
    ndarray, shape (parts, 7)
        Both ends of the axis of every capsule, three coordinates each, and its radius, in m; the
        ends of a sphere coincide.
    """
    model, data, found = environment.model, environment.data, []
    for part in range(model.ngeom):
        kind = model.geom_type[part]
        # What belongs to the world does not move.
        if kind not in (CAPSULE, SPHERE) or not model.geom_bodyid[part]:
            continue
        radius, half, _ = model.geom_size[part]
        axis = data.geom_xmat[part].reshape(3, 3)[:, 2]
        reach = axis * half if kind == CAPSULE else 0 * axis
        centre = data.geom_xpos[part]
        found.append([*(centre - reach), *(centre + reach), radius])
    return np.array(found)


def rendered(environment: Any, elevation: float, width: int, height: int) -> np.ndarray | None:
    """Picture of a body, or None where MuJoCo cannot render without a display.

    Parameters
    ----------
    environment : gymnasium environment of MuJoCo
    elevation : float
        Of the direction of view, in degrees: -90 is from above.
    width, height : int
        In pixels.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    # Whatever is missing, from libraries to a driver, is told by errors of many kinds.
    try:
        from mujoco.egl import GLContext

        context = GLContext(width, height)
    except Exception as error:
        log.info("MuJoCo does not render here (%s).", short(error))
        return None
    try:
        context.make_current()
        return _picture(environment, elevation, width, height)
    except Exception as error:
        log.info("MuJoCo does not render here (%s).", short(error))
        return None
    finally:
        context.free()


def _picture(environment: Any, elevation: float, width: int, height: int) -> np.ndarray:
    model, data = environment.model, environment.data
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    scene = mujoco.MjvScene(model, maxgeom=1000)
    drawn = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, drawn)
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    camera.lookat[:] = data.subtree_com[0]
    camera.distance = _distance(environment)
    camera.azimuth, camera.elevation = 90, elevation
    options = mujoco.MjvOption()
    every = mujoco.mjtCatBit.mjCAT_ALL.value
    mujoco.mjv_updateScene(model, data, options, None, camera, every, scene)
    area = mujoco.MjrRect(0, 0, width, height)
    mujoco.mjr_render(area, scene, drawn)
    picture = np.empty((height, width, 3), dtype=np.uint8)
    mujoco.mjr_readPixels(picture, None, area, drawn)
    drawn.free()
    return picture[::-1].copy()


def _distance(environment: Any) -> float:
    """From camera to body: its parts fill the picture."""
    ends = outlines(environment)[:, :6].reshape(-1, 3)
    return float(3 * np.ptp(ends, axis=0).max())
