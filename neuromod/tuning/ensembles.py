"""An ensemble of sets of gains: one frozen model whose adapters are its members, in one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.tuning.adapters import adapter_in_use, add_adapter, each_sample, use_adapter
from neuromod.tuning.methods.gained import gained_layers


def add_members(model: nn.Module, sets: Sequence[npt.ArrayLike]) -> list[str]:
    """Add an adapter for each set of gains; the model goes on with the one that it used.

    Parameters
    ----------
    model : nn.Module
        Tuned by a method with gains.
    sets : sequence of array, each of shape (gains,)
        Gains of all its layers, first layer first.

    Returns
    -------
    list of str
        Names of the adapters, ``"member 1"`` and so on.

    Raises
    ------
    UserError
        If a set has another number of gains than the model. Nothing is then added.
    """
    sizes = [layer.gain.numel() for layer in gained_layers(model)]
    given = [torch.as_tensor(np.asarray(gains, dtype=float)) for gains in sets]
    for number, gains in enumerate(given, 1):
        if gains.shape != (sum(sizes),):
            raise UserError(
                f"Member {number} has gains of shape {tuple(gains.shape)}, and the model has "
                f"{sum(sizes)} gains."
            )
    before, names = adapter_in_use(model), []
    for number, gains in enumerate(given, 1):
        names.append(f"member {number}")
        add_adapter(model, names[-1])
        use_adapter(model, names[-1])
        with torch.no_grad():
            for layer, own in zip(gained_layers(model), gains.split(sizes), strict=True):
                layer.gain.copy_(own)
    use_adapter(model, before)
    return names


@torch.no_grad()
def outputs_of_members(model: nn.Module, names: Sequence[str], inputs: Tensor) -> Tensor:
    """Return what a model puts out with each of its adapters, all computed in one batch.

    Parameters
    ----------
    model : nn.Module
        As `each_sample` takes it, with one tensor as its output.
    names : sequence of str
        Adapters.
    inputs : Tensor, shape (samples, ...)

    Returns
    -------
    Tensor, shape (members, samples, ...)
    """
    samples = len(inputs)
    with each_sample(model, np.repeat(names, samples).tolist()):
        found: Tensor = model(torch.cat([inputs] * len(names)))
    return found.view(len(names), samples, *found.shape[1:])
