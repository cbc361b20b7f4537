"""Evolved controllers on disk: the network's file, with all else that a controller is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuromod.locomotion.bodies import Crowd, body
from neuromod.locomotion.coding import Moments
from neuromod.locomotion.controller import Controller, steps_between
from neuromod.locomotion.evolution import Evolved
from neuromod.plasticity.storage import load_network, save_network
from neuromod.support.tensor_file import TensorFileError


def save_controller(path: str | Path, evolved: Evolved) -> None:
    """Write a controller as `neuromod.plasticity.storage.save_network` writes its network."""
    recipe, seen = evolved.recipe, evolved.controller.moments
    moments = {"count": seen.count, "mean": seen.mean.tolist(), "squares": seen.squares.tolist()}
    about = {"body": recipe.body, "seed": recipe.seed, "moments": moments}
    save_network(path, evolved.controller.network, about)


def load_controller(path: str | Path) -> tuple[Controller, str]:
    """Read a controller, and the name of the body that it moves.

    Raises
    ------
    TensorFileError
        When the file is missing, damaged or not of a controller.
    """
    network, header = load_network(path)
    about = header.get("about", {})
    if "moments" not in about or "body" not in about:
        raise TensorFileError(f"{path} holds a network that moves no body.")
    body(about["body"])
    crowd, moments = Crowd(about["body"], [None]), about["moments"]
    seen = Moments(moments["count"], np.array(moments["mean"]), np.array(moments["squares"]))
    steps = steps_between(crowd.control_s, network.shape.dt_s)
    return Controller(network, seen, crowd.low, crowd.high, steps), about["body"]
