"""Protocols on excitatory and inhibitory neurons with random synapses and a drive from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, ms, mV, pA, second

from neuromod.analysis.spike_trains import between
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.models.gain_lif import GainLIF
from neuromod.models.own_equations import read_equations
from neuromod.models.receptive import Receptive
from neuromod.models.structural import CODE
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Protocol
from neuromod.protocols.families.neurons import neuron_setting
from neuromod.protocols.families.timing import time_step
from neuromod.recording import Recording

SPREAD = 5 * mV
"""Of potentials above rest at the start; chosen here: below the threshold of any cortical cell."""


@dataclass(frozen=True, eq=False)
class RandomNetwork(Protocol):
    """Base of protocols on random networks; the defaults are those of `Engram`."""

    neuron: Receptive = neuron_setting(GainLIF(receptors=()), "every neuron")
    n_excitatory: int = parameter(
        800, "excitatory neurons", "chosen here: 1000 neurons in all", low=4
    )
    n_inhibitory: int = parameter(200, "inhibitory neurons", f"{CODE}: a quarter as many", low=2)
    indegree: int = parameter(
        80,
        "excitatory synapses onto every inhibitory neuron, as many from outside onto every "
        "neuron, and inhibitory ones in the proportion of the populations",
        f"{CODE}: a tenth of the possible ones",
        low=1,
    )
    weight: Quantity = positive(
        125 * pA,
        "step of the synaptic current after an excitatory spike",
        f"chosen here: lifts membranes by 0.5 mV; 0.1 mV at 12.5 times the neurons in the {CODE}",
    )
    g: float = not_negative(8.0, "inhibitory over excitatory weight", CODE)
    delay: Quantity = not_negative(1 * ms, "delay of every synapse", CODE)
    dwell: Quantity = positive(2 * second, "measured time of a cue", CODE)
    transient: Quantity = not_negative(
        0.2 * second, "time before that", "chosen here: ten membrane time constants"
    )
    dt: Quantity = time_step(0.1 * ms, "a twentieth of tau_syn")

    def __post_init__(self) -> None:
        super().__post_init__()
        if "I_syn" not in read_equations(self.neuron.equations).diff_eq_names:
            raise UserError(
                "The neuron must have a synaptic current I_syn that decays: set neuron.synapse to "
                "exponential, or give its equations one, as in 'dI_syn/dt = -I_syn/tau_syn : amp'."
            )
        if self.indegree * self.n_inhibitory % self.n_excitatory:
            raise UserError(
                f"indegree = {self.indegree} must be such that indegree*n_inhibitory/n_excitatory "
                "inhibitory synapses are a whole number."
            )
        for name in ("dwell", "transient", "delay"):
            steps_in(name, getattr(self, name), self.dt)

    @property
    def size(self) -> int:
        """Number of neurons; the excitatory ones come first."""
        return self.n_excitatory + self.n_inhibitory

    @property
    def indegrees(self) -> np.ndarray:
        """Synapses onto a neuron from excitatory and inhibitory ones and from outside."""
        inhibitory = self.indegree * self.n_inhibitory // self.n_excitatory
        return np.array([self.indegree, inhibitory, self.indegree])

    @property
    def weights(self) -> Quantity:
        """Of the same three kinds of synapses."""
        return np.array([1, -self.g, 1]) * self.weight

    def below_threshold(self, rise: np.ndarray) -> dict[str, Quantity]:
        """Membrane potentials at given shares of the way from rest to threshold.

        Of a neuron without a fixed threshold, they are shares of `SPREAD` above rest.
        """
        neuron = self.neuron
        if isinstance(neuron, GainLIF):
            return {"v": neuron.v_rest + rise * (neuron.v_th - neuron.v_rest)}
        return {neuron.potential: neuron.start[neuron.potential] + rise * SPREAD}

    def window(self, recording: Recording, end: Quantity, length: Quantity) -> Spikes:
        """Spikes of a part of a run, with times from its start."""
        return between(recording.spikes["cells"], end - length, end, self.dt)

    def draw_raster(
        self, axes: Any, recording: Recording, longest: Quantity, groups: Mapping[str, Any]
    ) -> None:
        """Spikes of the last of a run, up to `longest` (seconds), one group above the other.

        Each group has a colour and neurons that follow each other.
        """
        shown, first, middles = min(self.dwell, longest), 0, {}
        spikes = self.window(recording, recording.duration, shown)
        for name, (neurons, color) in groups.items():
            if not len(neurons):
                continue
            inside = np.isin(spikes.neurons, neurons)
            row = spikes.neurons[inside] - neurons[0] + first
            axes.plot(spikes.times[inside] / ms, row, ".", color=color, ms=1.7)
            middles[name] = first + len(neurons) / 2
            first += len(neurons)
        axes.set_yticks(list(middles.values()), list(middles), rotation=90, va="center")
        axes.set(xlabel="time (ms)", xlim=(0, shown / ms), ylim=(-1, first))
