"""A current clamp for neurons of the shelf, written in plain Brian2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    amp,
    ms,
    prefs,
)

from neuromod.parameters import namespace, unit_of, used


@dataclass(frozen=True)
class Clamped:
    """Spike times of each cell in ms; traces by variable, of shape (cells, steps)."""

    spikes: list[np.ndarray]
    traces: dict[str, np.ndarray]


def _clamp(
    cells: Sequence[Any],
    current: Quantity,
    duration: Quantity,
    dt: Quantity = 0.1 * ms,
    traces: Sequence[str] = (),
    start: Sequence[Mapping[str, Any]] | None = None,
) -> Clamped:
    """Inject currents into cells of one class, one a cell (n,) or a time course of each (steps, n).

    Cells start at rest, unless their states are given. They are one group with their parameters as
    single neurons' and integrate the equations of the neuron alone.
    """
    first, n = cells[0], len(cells)
    text = "\n".join([first.intrinsic, first.threshold, first.reset, str(first.refractory)])
    values = {
        name: [namespace(cell)[name] for cell in cells] for name in used(namespace(first), text)
    }
    own = [f"{name} : {unit_of(each[0])} (constant)" for name, each in values.items()]
    course = np.atleast_2d(np.asarray(current))
    every = dt if len(course) > 1 else duration
    equations = "\n".join([first.intrinsic, "I_in = clamp(t, i) : amp", *own])
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    try:
        group = NeuronGroup(
            n,
            equations,
            threshold=first.threshold,
            reset=first.reset,
            refractory=first.refractory,
            method=first.method,
            dt=dt,
            namespace={"clamp": TimedArray(course * amp, dt=every)},
        )
        for name, each in values.items():
            setattr(group, name, Quantity(each))
        states = start or [cell.resting for cell in cells]
        for name in states[0]:
            setattr(group, name, Quantity([state[name] for state in states]))
        spikes = SpikeMonitor(group)
        traced = StateMonitor(group, list(traces), record=True)
        Network(group, spikes, traced).run(duration)
    finally:
        prefs.codegen.target = before
    trains = [np.asarray(times / ms) for times in spikes.spike_trains().values()]
    return Clamped(trains, {name: np.asarray(getattr(traced, name)) for name in traces})


@pytest.fixture(scope="session")
def clamp() -> Callable[..., Clamped]:
    """Current clamp of cells without receptors and synapses."""
    return _clamp
