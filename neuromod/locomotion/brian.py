"""A trained controller in Brian2, in a closed loop with its body.

Input neurons, cells, modulatory neurons, plastic synapses and the leaky readout are Brian2's. Once
for every action, an operation of the network reads the readout, moves the body, and sets the rates
of the input neurons; nothing else passes between network and environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    defaultclock,
    second,
)

from neuromod.devices.bundles import bundled
from neuromod.devices.objects import neurons, plastic_synapses, synapses
from neuromod.devices.simulation import SCHEDULE
from neuromod.devices.target import choose, computed_by
from neuromod.experiment import Connection, Experiment
from neuromod.locomotion.bodies import Crowd
from neuromod.locomotion.coding import rates, start
from neuromod.locomotion.controller import Controller, actions
from neuromod.locomotion.episodes import Moment
from neuromod.plasticity.export import to_experiment
from neuromod.support.progress import seen, task

INPUTS = """
dintegral/dt = rate : 1
rate : hertz
"""
READOUT = """
dy/dt = -y/tau_out : 1
tau_out : second (shared, constant)
"""


class Loop:
    """A controller in Brian2 and the body that it moves, for one episode.

    Parameters
    ----------
    controller : Controller
        Of one network.
    crowd : Crowd
        Of one body.
    seed : int
        Of the body's first state.
    moves : int
        Actions in the episode, at most.

    Attributes
    ----------
    moments : list of Moment
        After `run`: every action, as `neuromod.locomotion.episodes.moments` gives them.
    spikes : SpikeMonitor
        Of the cells.
    """

    def __init__(self, controller: Controller, crowd: Crowd, seed: int, moves: int) -> None:
        self._controller, self._crowd = controller, crowd
        shape = controller.network.shape
        self._dt = shape.dt_s * second
        self._control, self._moves = controller.steps * self._dt, moves
        silent = torch.zeros(1, moves * controller.steps, shape.inputs)
        described = to_experiment(controller.network, silent)
        self.moments: list[Moment] = []
        self._observations = crowd.reset([seed])
        with self._settings():
            with computed_by("numpy"):
                objects = self._objects(described)
            choose(objects, described)
        self._network = Network(*objects)
        self._network.schedule = SCHEDULE

    def run(self) -> float:
        """Run the episode, once; its return."""
        progress, unit = task("moving in Brian2"), self._control
        with self._settings():
            self._network.run(
                self._moves * self._control,
                namespace={},
                report=lambda past, *_: progress(round(float(past / unit)), self._moves),
            )
            if len(self.moments) < self._moves and self._standing:
                self._act()
        return float(sum(moment.rewards[0] for moment in self.moments))

    def _objects(self, described: Experiment) -> list[Any]:
        shape = self._controller.network.shape
        inputs = NeuronGroup(
            shape.inputs,
            INPUTS,
            threshold="integral >= 1",
            reset="integral -= 1",
            method="euler",
            name="neurons_inputs",
        )
        inputs.integral = start(shape.inputs)
        readout = NeuronGroup(shape.outputs, READOUT, method="exact", name="neurons_readout")
        readout.tau_out = shape.tau_out_s * second
        self._inputs, self._readout = inputs, readout
        parts = {p.name: neurons(p) for p in described.populations}
        parts |= {"inputs": inputs, "readout": readout}
        weights = self._controller.network.output.detach().numpy()
        post, pre = (index.ravel() for index in np.indices(weights.shape))
        reading = Connection("cells", "readout", "y", i=pre, j=post, weight=weights.ravel())
        bundles = bundled([*described.connections, reading])
        made = [
            synapses(bundle, parts[bundle.source], parts[bundle.target], f"synapses_{n}")
            for n, bundle in enumerate(bundles)
        ]
        made += [
            plastic_synapses(p, parts[p.source], parts[p.target], f"plastic_{p.name}", {})
            for p in described.plastic
        ]
        self.spikes = SpikeMonitor(parts["cells"], name="spikes_cells")
        self._started, self._standing = False, True
        closing = NetworkOperation(self._close, dt=self._control, when="start")
        return [*parts.values(), *made, self.spikes, closing]

    def _close(self) -> None:
        """Act by what the network has read out since the last action, and show it the result."""
        if self._started:
            self._act()
        self._started = True
        if self._standing:
            scaled = self._controller.scaled(self._observations)
            self._inputs.rate = Quantity(rates(scaled, 1.0)[0]) / self._dt
        else:
            self._network.stop()

    def _act(self) -> None:
        taken = actions(self._readout.y[:], self._controller.low, self._controller.high)[None]
        before = self._observations
        self._observations, rewards, standing = self._crowd.step(taken)
        self.moments.append(Moment(before, taken, rewards, np.array([self._standing])))
        self._standing = bool(standing[0])

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """The network's time step; the caller's own afterwards."""
        dt = defaultclock.dt
        defaultclock.dt = self._dt
        try:
            yield
        finally:
            defaultclock.dt = dt


@seen()
def move_in_brian2(controller: Controller, crowd: Crowd, seed: int, moves: int) -> Loop:
    """Run an episode in Brian2; see `Loop`."""
    loop = Loop(controller, crowd, seed, moves)
    loop.run()
    return loop
