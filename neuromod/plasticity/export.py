"""A plastic network as a Brian2 experiment: cells, three-factor synapses, modulatory population.

Episodes stand side by side as copies of the network. Torch steps in the order of a simulation
(`neuromod.devices.simulation`), so that spikes are the same and plastic traces differ by rounding
alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from brian2 import Hz, second, umolar
from scipy.signal import lfilter
from torch import Tensor

from neuromod.errors import UserError
from neuromod.experiment import (
    Connection,
    Experiment,
    PlasticConnection,
    Population,
    Spikes,
    Trace,
)
from neuromod.models.three_factor import LIGAND, PlasticLIF, ThreeFactor
from neuromod.plasticity.network import NETWORKS, PlasticNetwork
from neuromod.plasticity.rules import BOUND
from neuromod.recording import Recording

PLASTIC = "plastic"
"""Name of the plastic synapses, from ``inputs`` to ``cells``."""


def to_experiment(
    network: PlasticNetwork, inputs: Tensor, traced: tuple[str, ...] = (), **synapse: Any
) -> Experiment:
    """Build a network in Brian2, once for each episode.

    Parameters
    ----------
    network : PlasticNetwork
    inputs : Tensor, shape (batch, steps, inputs)
        1 where an input spikes, else 0.
    traced : tuple of str
        Variables of every plastic synapse to record, such as ``E``; ordered as `plastic_traces`
        takes them.
    **synapse
        Parameters of `ThreeFactor` to change, besides what the network learned.

    Returns
    -------
    Experiment
        Of the populations ``cells`` and, if it is modulated, ``modulators``; one unit of the
        concentration is 1 uM.

    Raises
    ------
    UserError
        When the inputs do not fit the network, or it has no plastic synapses to trace.
    """
    shape, rule = network.shape, NETWORKS[network.shape.network][0]
    if inputs.ndim != 3 or inputs.shape[2] != shape.inputs:
        raise UserError(
            f"Input spikes have the shape {tuple(inputs.shape)}, and this network takes "
            f"(batch, steps, {shape.inputs})."
        )
    if traced and not rule:
        raise UserError(f"A network without plasticity has no {', '.join(traced)} to trace.")
    batch, steps, dt = len(inputs), inputs.shape[1], shape.dt_s * second
    plastic = (_plastic(network, batch, synapse),) if rule else ()
    traces = tuple(Trace(part.name, traced, np.arange(len(part.i))) for part in plastic if traced)
    return Experiment(
        tuple(_populations(network, batch)),
        (_played(inputs.numpy(), dt),),
        tuple(_fixed(network, batch)),
        traces,
        steps * dt,
        dt,
        0,
        plastic,
    )


def readout(network: PlasticNetwork, recording: Recording) -> np.ndarray:
    """What the readout makes of the cells' spikes.

    Parameters
    ----------
    network : PlasticNetwork
    recording : Recording
        Of the network's experiment.

    Returns
    -------
    ndarray, shape (batch, steps, outputs)
        At the end of every step; the readout does not spike and acts on nothing.
    """
    shape, cells = network.shape, recording.spikes["cells"]
    fired = np.zeros((len(recording.times), cells.size // shape.hidden, shape.hidden))
    step = np.round(np.asarray(cells.times / recording.dt)).astype(int)
    fired[step, cells.neurons // shape.hidden, cells.neurons % shape.hidden] = 1
    kept = np.exp(-shape.dt_s / shape.tau_out_s)
    # A spike acts from the next step on.
    driven = lfilter([0, kept], [1, -kept], fired @ _numbers(network.output).T, axis=0)
    return np.asarray(driven.transpose(1, 0, 2))


def plastic_traces(network: PlasticNetwork, recording: Recording, variable: str = "E") -> Any:
    """A variable of the plastic synapses at the start of every step.

    Parameters
    ----------
    network : PlasticNetwork
    recording : Recording
        Of the network's experiment, with that variable traced.
    variable : str

    Returns
    -------
    ndarray, shape (batch, steps, hidden, inputs)
    """
    shape, values = network.shape, recording.signals[PLASTIC][variable].values
    # Sorted by source, then target.
    return values.reshape(-1, shape.inputs, shape.hidden, values.shape[-1]).transpose(0, 3, 2, 1)


def _populations(network: PlasticNetwork, batch: int) -> Iterator[Population]:
    shape, learned = network.shape, network.rule_values()
    times = {
        "tau_m": shape.tau_m_s,
        "tau_y": learned.get("tau_post_s"),
        "tau_theta": learned.get("tau_theta_s"),
        "tau_clear": learned.get("tau_c_s"),
    }
    given: dict[str, Any] = {name: value * second for name, value in times.items() if value}
    if "target" in learned:
        given["y_target"] = learned["target"]
    if not shape.modulated:
        yield Population("cells", PlasticLIF(**given), batch * shape.hidden)
        return
    values = {
        "tonic": np.tile(_numbers(network.tonic), batch),
        "sensitivity": np.tile(_numbers(network.sensitivity), batch) / umolar,
    }
    yield Population("cells", PlasticLIF(**given), batch * shape.hidden, values)
    membrane = PlasticLIF(tau_m=given["tau_m"])
    yield Population("modulators", membrane, batch * shape.modulators)


def _plastic(network: PlasticNetwork, batch: int, changes: dict[str, Any]) -> PlasticConnection:
    assert network.plasticity is not None
    learned, gate = network.rule_values(), network.plasticity.gate
    times = {"tau_x": learned["tau_pre_s"], "tau_e": learned.get("tau_e_s")}
    given: dict[str, Any] = {name: value * second for name, value in times.items() if value}
    # Torch adds eligibility up over time, the model averages it.
    given["eta"] = learned["eta_Hz"] * learned.get("tau_e_s", 1) * Hz
    given |= {"rule": NETWORKS[network.shape.network][0], "gate": gate, "bound": BOUND, **changes}
    i, j, w = _side_by_side(network.weight, batch)
    alpha = _side_by_side(network.plasticity.alpha, batch)[2]
    model = ThreeFactor(**given)
    return PlasticConnection(PLASTIC, "inputs", "cells", model, i, j, {"w": w, "alpha": alpha})


def _fixed(network: PlasticNetwork, batch: int) -> Iterator[Connection]:
    """All synapses that do not change; every release reaches all cells of its episode."""
    shape = network.shape
    kinds: list[tuple[str, str, str, Any, Any]] = [("cells", "cells", "v", network.recurrent, 1)]
    if not NETWORKS[shape.network][0]:
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
        yield Connection(source, target, variable, i, j, w * unit)


def _side_by_side(weights: Any, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and weight of every synapse of copies of a layer, sorted by source."""
    values = _numbers(weights).T
    copy, pre, post = (part.ravel() for part in np.indices((batch, *values.shape)))
    return (
        copy * values.shape[0] + pre,
        copy * values.shape[1] + post,
        np.tile(values.ravel(), batch),
    )


def _played(inputs: np.ndarray, dt: Any) -> Spikes:
    batch, _, size = inputs.shape
    step, copy, neuron = np.nonzero(inputs.transpose(1, 0, 2))
    return Spikes("inputs", batch * size, copy * size + neuron, step * dt)


def _numbers(values: Any) -> np.ndarray:
    """In double precision, where every single one is exact."""
    return np.asarray(values.detach() if isinstance(values, Tensor) else values, dtype=float)
