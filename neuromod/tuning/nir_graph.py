"""A tuned spiking classifier as a graph of NIR, which simulators and chips of others read.

NIR, the Neuromorphic Intermediate Representation (Pedersen et al., Nature Communications 15, 8122,
2024), describes its neurons in continuous time:

    tau dv/dt = v_leak - v + r I,    z = H(v - v_threshold),    v = v_reset where z = 1

Readers integrate that by forward Euler, ``v += dt/tau (v_leak - v + r I)``, with `DT` as step.
Then the update of `LIFClassifier`, ``v[t] = decay v[t-1] (1 - O[t-1]) + I[t]``, comes out with

    tau = dt/(1 - decay),    r = tau/dt,    v_leak = v_reset = 0

A reader that takes ``exp(-dt/tau)`` as decay computes other membranes. `SpikingClassifier` is the
case of ``decay = 0``, as in evaluation, where silent neurons give 0: a step remembers nothing of
the one before it. (NIR's ``Threshold`` would say the same without a step, but readers do not know
it: snnTorch, SpikingJelly, Norse and sinabs have no such node.)
NIR's neurons fire above their threshold and ours at it, so that the threshold is the number next
below theta, of the precision that the classifier has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from neuromod.errors import UserError, short
from neuromod.models.classifier import PASSIVE, LIFClassifier, SpikingClassifier
from neuromod.models.modulated_layer import LayerParameters
from neuromod.support.cache import written_whole

if TYPE_CHECKING:
    from nir import NIRGraph

Spiking = SpikingClassifier | LIFClassifier

DT = 1e-4
"""Seconds of a step, as snnTorch and SpikingJelly take it (Norse takes 1 ms unless it is told). A
graph has no place for it but its metadata."""


def save_nir(path: str | Path, classifier: Spiking, shape: Sequence[int] | None = None) -> None:
    """Write the graph that `to_nir` returns, whole or not at all.

    Parameters
    ----------
    path : str or path
        A name that ends in ``.nir``, as is usual.
    classifier, shape
        As `to_nir` takes them.

    Raises
    ------
    UserError
        As `to_nir` does, or if the file cannot be written.
    """
    graph = to_nir(classifier, shape)
    with written_whole(Path(path)) as temporary:
        _nir().write(temporary, graph)


def to_nir(classifier: Spiking, shape: Sequence[int] | None = None) -> NIRGraph:
    """Return a classifier as a graph of NIR, with the gains in its weights.

    Each layer with weights, ``layers_0`` and so on, is followed by its neurons, ``neurons_0``.
    Spikes reach the next layer within the step. The output has the classes, in their order. Drive
    the input with the features in every step, or with a frame in each. Weights are in double
    precision.

    Parameters
    ----------
    classifier : SpikingClassifier or LIFClassifier
        Tuned, merged or plain. NIR has no neurons for a `RateClassifier`.
    shape : sequence of int, optional
        Of one input, such as (channels, height, width). The first layer says it if it is linear.

    Returns
    -------
    nir.NIRGraph
        Its metadata are ``dt`` in seconds, the number of ``steps``, and what made it (``source``).

    Raises
    ------
    UserError
        If the package nir is not there, NIR has no node for something in the classifier, a weight
        is not finite, or the shape does not fit.

    References
    ----------
    Pedersen et al., Neuromorphic intermediate representation: A unified instruction set for
    interoperable brain-inspired computing, Nature Communications 15, 8122, 2024.
    """
    nir = _nir()
    decay = _decay(classifier)
    x = _example(classifier, shape)
    nodes: dict[str, Any] = {"input": nir.Input(_sizes(x))}
    parameters = _parameters(classifier)
    for number, layer in enumerate(classifier.layers):
        name = f"layers_{number}"
        passed = _passed(name, layer, x)
        if isinstance(layer, PASSIVE):
            nodes[name] = _passive(name, layer, x)
        else:
            read = parameters.pop(0)
            nodes[name] = _weights(name, layer, read)
            # Neurons of the output layer that nobody reads are left out.
            passed = passed if parameters else classifier.read(passed)
            nodes[f"neurons_{number}"] = _neurons(passed, decay, classifier.theta)
        x = passed
    nodes["output"] = nir.Output(_sizes(x))
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata=_about(classifier))


def _nir() -> Any:
    """The package, which only those who export need."""
    try:
        import nir
    except ModuleNotFoundError as error:
        raise UserError(
            "Graphs of NIR need nir: pip install 'brian2-neuromod[nir]' brings it."
        ) from error
    return nir


def _decay(classifier: Spiking) -> float:
    """Share of the membrane that is left after a step; refuse neurons that NIR has not."""
    if not isinstance(classifier, Spiking):
        raise UserError(
            f"NIR has spiking neurons, and a {type(classifier).__name__} has none: export a "
            "SpikingClassifier or a LIFClassifier."
        )
    decay = classifier.decay if isinstance(classifier, LIFClassifier) else 0.0
    if not 0 <= decay <= 1:
        raise UserError(f"A decay of {decay} is no leak that NIR has: 0 to 1 was expected.")
    return decay


def _about(classifier: Spiking) -> dict[str, Any]:
    """What NIR has no node for."""
    steps = classifier.steps if isinstance(classifier, LIFClassifier) else 1
    return {"dt": DT, "steps": steps, "source": f"brian2-neuromod {version('brian2-neuromod')}"}


def _example(classifier: Spiking, shape: Sequence[int] | None) -> Tensor:
    """One input, of zeros."""
    first = classifier.layers[0]
    if shape is None:
        if not isinstance(first, nn.Linear):
            raise UserError(
                "A classifier whose first layer is not linear does not say the shape of its "
                "inputs: give it, such as shape=(channels, height, width)."
            )
        shape = (first.in_features,)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise UserError(f"A shape has whole numbers above 0, not {short(shape)}.")
    return classifier.modulated_layers[0].stored_weight.new_zeros(1, *shape)


def _sizes(x: Tensor) -> Any:
    """Shape of one sample, as NIR takes it."""
    return np.array(x.shape[1:])


@torch.no_grad()
def _passed(name: str, layer: nn.Module, x: Tensor) -> Tensor:
    """What comes out of a layer, for its shape."""
    # Torch would take a picture of two axes, or lines of numbers, for several samples.
    if isinstance(layer, nn.Flatten) or x.dim() == (2 if isinstance(layer, nn.Linear) else 4):
        with suppress(RuntimeError):
            return cast(Tensor, layer(x))
    raise UserError(f"Inputs of shape {tuple(x.shape[1:])} do not fit {name}, {layer}.")


def _parameters(classifier: Spiking) -> list[LayerParameters]:
    """Numbers of the layers with weights; of the output layer, those of the classes alone."""
    if not all(layer.enabled for layer in classifier.modulated_layers):
        raise UserError("A disabled classifier has no numbers of its own: export it enabled.")
    found = classifier.layer_parameters()
    if classifier.outputs is not None:
        found[-1] = LayerParameters(*(tensor[classifier.outputs] for tensor in found[-1]))
    return found


def _weights(name: str, layer: Any, parameters: LayerParameters) -> Any:
    """Node of a layer with weights, with its gains in them."""
    gain = parameters.gain
    weight = parameters.weight * gain.reshape(-1, *[1] * (parameters.weight.ndim - 1))
    bias = parameters.bias * gain
    if weight.ndim == 2:
        return _nir().Affine(weight, bias)
    height, width = weight.shape[2:]
    if layer.groups != 1 or height != width or layer.padding_mode != "zeros":
        raise UserError(
            f"{name} is {layer}: convolutions of one group, with square kernels and zeros as "
            "padding, are what the package nir reads."
        )
    return _nir().Conv2d(None, weight, layer.stride, layer.padding, layer.dilation, 1, bias)


def _passive(name: str, layer: Any, x: Tensor) -> Any:
    """Node of a layer without neurons."""
    if isinstance(layer, nn.Flatten):
        # NIR has no axis of samples.
        return _nir().Flatten(_sizes(x), 0, -1)
    if any(_pair(layer.padding)) or layer.ceil_mode or layer.divisor_override is not None:
        raise UserError(f"{name} is {layer}: NIR has averages over whole windows without padding.")
    return _nir().AvgPool2d(_pair(layer.kernel_size), _pair(layer.stride), _pair(0))


def _pair(value: Any) -> Any:
    """Two numbers, down and across, from one or two."""
    return np.array(np.broadcast_to(value, 2))


def _neurons(x: Tensor, decay: float, theta: float) -> Any:
    """Node of a layer's neurons, with membranes like `x`."""

    def each(value: float) -> Any:
        return np.full(_sizes(x), value)

    ends = {"v_threshold": each(_below(theta, x.dtype)), "v_reset": each(0.0)}
    if decay == 1:
        return _nir().IF(r=each(1 / DT), **ends)
    tau = DT / (1 - decay)
    return _nir().LIF(tau=each(tau), r=each(tau / DT), v_leak=each(0.0), **ends)


def _below(theta: float, dtype: torch.dtype) -> float:
    """The number next below theta, as it is in that precision; half ones are read as single."""
    number = torch.tensor(theta, dtype=dtype)
    number = number if dtype == torch.float64 else number.float()
    return float(torch.nextafter(number, torch.full_like(number, -math.inf)))
