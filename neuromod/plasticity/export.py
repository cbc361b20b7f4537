"""A plastic network as a Brian2 experiment: cells, three-factor synapses, modulatory population.

Episodes are copies of the network, side by side. Torch and simulations (`neuromod.devices`) order
a time step alike, so spikes are the same, and plastic traces differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from brian2 import Hz, second, umolar
from torch import Tensor

from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.postsynaptic import LIGAND
from neuromod.models.three_factor import PlasticLIF, ThreeFactor
from neuromod.plasticity.network import PlasticNetwork
from neuromod.plasticity.rules import BOUND
from neuromod.recording import Recording

PLASTIC = "plastic"
"""Name of the plastic synapses, from ``inputs`` to ``cells``."""


def to_experiment(
    network: PlasticNetwork, inputs: Tensor, traced: tuple[str, ...] = ()
) -> Experiment:
    """Network in Brian2, one copy per episode.

    Parameters
    ----------
    inputs : Tensor, shape (batch, steps, inputs)
        1 where an input spikes, else 0.
    traced : tuple of str
        Variables of every plastic synapse to record, such as ``E``, for `plastic_traces`.

    Returns
    -------
    Experiment
        With the populations ``cells`` and, if the network is modulated, ``modulators``; one unit
        of the concentration is 1 uM.

    Raises
    ------
    UserError
        When the inputs do not fit the network, or it has no plastic synapses to trace.
    """
    network.check_inputs(inputs)
    if traced and not network.shape.rule:
        raise UserError(f"A network without plasticity has no {', '.join(traced)} to trace.")
    batch, steps, dt = len(inputs), inputs.shape[1], network.shape.dt_s * second
    plastic = [_plastic(network, batch)] if network.shape.rule else []
    return Experiment(
        populations=tuple(_populations(network, batch)),
        sources=[_played(inputs.numpy(), dt)],
        connections=tuple(_fixed(network, batch)),
        plastic=plastic,
        traces=[Trace(part.name, traced, np.arange(len(part.i))) for part in plastic if traced],
        duration=steps * dt,
        dt=dt,
    )


def readout(network: PlasticNetwork, recording: Recording) -> np.ndarray:
    """The network's readout of its cells' recorded spikes.

    Returns
    -------
    ndarray, shape (batch, steps, outputs)
        At the end of every step.
    """
    hidden, cells = network.shape.hidden, recording.spikes["cells"]
    steps = round(float(recording.duration / recording.dt))
    fired = network.output.new_zeros(cells.size // hidden, steps, hidden)
    step = np.round(np.asarray(cells.times / recording.dt)).astype(int)
    fired[cells.neurons // hidden, step, cells.neurons % hidden] = 1
    with torch.no_grad():
        return network.read(fired).numpy()


def plastic_traces(network: PlasticNetwork, recording: Recording, variable: str = "E") -> Any:
    """Course of a traced variable of the plastic synapses, at the start of every step.

    The shape is (batch, steps, hidden, inputs).
    """
    shape, values = network.shape, recording.signals[PLASTIC][variable].values
    # Sorted by source, then target.
    return values.reshape(-1, shape.inputs, shape.hidden, values.shape[-1]).transpose(0, 3, 2, 1)


def _populations(network: PlasticNetwork, batch: int) -> Iterator[Population]:
    shape, learned = network.shape, network.rule_values()
    given = _times(learned, tau_y="tau_post_s", tau_theta="tau_theta_s", tau_clear="tau_c_s")
    given["tau_m"] = shape.tau_m_s * second
    if "target" in learned:
        given["y_target"] = learned["target"]
    values = {}
    if shape.modulated:
        values["tonic"] = np.tile(_numbers(network.tonic), batch)
        values["sensitivity"] = np.tile(_numbers(network.sensitivity), batch) / umolar
    yield Population("cells", PlasticLIF(**given), batch * shape.hidden, values)
    if shape.modulated:
        membrane = PlasticLIF(tau_m=given["tau_m"])
        yield Population("modulators", membrane, batch * shape.modulators)


def _plastic(network: PlasticNetwork, batch: int) -> PlasticConnection:
    assert network.plasticity is not None
    learned, gate = network.rule_values(), network.plasticity.gate
    given = _times(learned, tau_x="tau_pre_s", tau_e="tau_e_s")
    # Torch sums eligibility over time, the model averages it.
    given["eta"] = learned["eta_Hz"] * learned.get("tau_e_s", 1) * Hz
    model = ThreeFactor(**given, rule=network.shape.rule, gate=gate, bound=BOUND)
    i, j, w = _side_by_side(network.weight, batch)
    values = {"w": w, "alpha": _side_by_side(network.plasticity.alpha, batch)[2]}
    return PlasticConnection(PLASTIC, "inputs", "cells", model, i=i, j=j, values=values)


def _times(learned: dict[str, float], **names: str) -> dict[str, Any]:
    """Time constants of a model by their names in it, where a network has learned them."""
    return {ours: learned[name] * second for ours, name in names.items() if name in learned}


def _fixed(network: PlasticNetwork, batch: int) -> Iterator[Connection]:
    """The synapses that do not change; every release reaches all cells of its episode."""
    shape = network.shape
    kinds: list[tuple[str, str, str, Any, Any]] = [("cells", "cells", "v", network.recurrent, 1)]
    if not shape.rule:
        kinds.append(("inputs", "cells", "v", network.weight, 1))
    if shape.modulated:
        release = np.full((shape.hidden, shape.modulators), 1 / shape.modulators)
        kinds += [
            ("inputs", "modulators", "v", network.modulator_weight, 1),
            ("cells", "modulators", "v", network.modulator_recurrent, 1),
            ("modulators", "cells", f"conc_{LIGAND}", release, umolar),
        ]
    for source, target, variable, weights, unit in kinds:
        i, j, w = _side_by_side(weights, batch)
        yield Connection(source, target, variable, i=i, j=j, weight=w * unit)


def _side_by_side(weights: Any, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and weight of every synapse of a layer's copies, sorted by source."""
    values = _numbers(weights).T
    copy, pre, post = (part.ravel() for part in np.indices((batch, *values.shape)))
    n_pre, n_post = values.shape
    return copy * n_pre + pre, copy * n_post + post, np.tile(values.ravel(), batch)


def _played(inputs: np.ndarray, dt: Any) -> Spikes:
    batch, _, size = inputs.shape
    step, copy, neuron = np.nonzero(inputs.transpose(1, 0, 2))
    return Spikes("inputs", batch * size, copy * size + neuron, step * dt)


def _numbers(values: Any) -> np.ndarray:
    """Array in double precision, which holds single precision exactly."""
    return np.asarray(values.detach() if isinstance(values, Tensor) else values, dtype=float)
