"""Where input spikes arrive in neurons of several kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from brian2 import amp, ms, mV, nA, second, volt

from neuromod.devices.simulation import simulate
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.events import Entrance
from neuromod.models import AdEx, GainLIF, modulate


@dataclass(frozen=True, eq=False)
class WithoutSynapses(GainLIF):
    """A LIF whose only input is the injected current."""

    @property
    def equations(self):
        return super().equations.replace("I_syn + I_ext", "I_ext").replace("I_syn : amp", "")


OWN = "dv/dt = -v/(9*ms) + k*drive : volt\ndrive : volt/second\nk : 1"


@pytest.mark.parametrize(
    ("neuron", "variable", "decays", "dim"),
    [
        (AdEx(), "I_syn", True, amp.dim),
        (GainLIF(synapse="pulse"), "I_syn", False, amp.dim),
        (WithoutSynapses(synapse="pulse"), "I_ext", False, amp.dim),
        (modulate(OWN, current="drive"), "drive", False, (volt / second).dim),
    ],
)
def test_it_is_the_synaptic_current_or_else_the_injected_one(neuron, variable, decays, dim):
    entrance = Entrance.of(neuron, 0.3 * ms)
    assert entrance.variable == variable
    assert (entrance.width is None) == decays
    assert entrance.dim is dim


def test_a_pulse_of_injected_current_does_what_one_of_synaptic_current_does():
    peaks = []
    for kind in (GainLIF, WithoutSynapses):
        cell = kind(synapse="pulse", receptors=())
        cells = Population("cells", cell, 2)
        run = Experiment(
            populations=[cells],
            traces=[Trace("cells", "v", np.arange(2))],
            duration=9 * ms,
            dt=0.1 * ms,
        )
        event = Spikes("event", 1, np.array([0]), [1.7] * ms)
        here, there = np.array([0, 0]), np.array([0, 1])
        entrance = Entrance.of(cell, 0.3 * ms)
        given = entrance.input(cells, event, here, there, [13, 29] * nA)
        peaks.append(simulate(run.add(given)).signal("cells", "v").values.max(axis=1) / mV + 70)
    np.testing.assert_allclose(peaks[0], peaks[1], rtol=1e-9)
    charged = 40 * np.array([13, 29]) * (1 - np.exp(-0.3 / 20))
    np.testing.assert_allclose(peaks[0], charged, rtol=1e-9)
