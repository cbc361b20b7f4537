"""A strip of frames of one episode, as a table."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd

from neuromod.locomotion.bodies import Crowd, body
from neuromod.locomotion.controller import Controller
from neuromod.locomotion.episodes import moments, play
from neuromod.locomotion.frames import outlines, rendered

FRAMES = 6
WIDTH, HEIGHT = 160, 120
ABOVE, ASIDE = -90.0, -12.0
"""Elevation of the camera in degrees, for bodies that are drawn from above and from the side."""


def strip(
    name: str, controller: Controller, crowd: Crowd, seed: int, actions: int, noise: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Frames at equal intervals from the first action of an episode to its last.

    Returns
    -------
    tuple of DataFrame
        Pictures, as PNG in base 64, empty where nothing can be rendered; and outlines, a row for
        every part of the body in every frame.
    """
    view, (environment,) = body(name).view, crowd.environments
    played = play(controller, crowd, [seed], actions, noise)
    last = int(played.standing.sum()) - 1
    wanted = set(np.linspace(0, last, FRAMES).round().astype(int))
    places, pictures = [], []
    episode = moments(controller, crowd, [seed], noise)
    for step in range(last + 1):
        next(episode)
        if step not in wanted:
            continue
        time_s = (step + 1) * crowd.control_s
        pictures.append({"time_s": time_s, "png": _png(environment, view)})
        for x0, y0, x1, y1, radius in _plane(outlines(environment), view):
            part = {"x0_m": x0, "y0_m": y0, "x1_m": x1, "y1_m": y1, "radius_m": radius}
            places.append({"time_s": time_s} | part)
    return pd.DataFrame(pictures), pd.DataFrame(places)


def picture(png: str) -> Any:
    """Pixels of a picture in a table."""
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(png)))


def _plane(parts: np.ndarray, view: tuple[int, int]) -> np.ndarray:
    across, up = view
    return parts[:, [across, up, 3 + across, 3 + up, 6]]


def _png(environment: Any, view: tuple[int, int]) -> str:
    elevation = ASIDE if view[1] == 2 else ABOVE
    pixels = rendered(environment, elevation, WIDTH, HEIGHT)
    if pixels is None:
        return ""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
