"""The gain that an activation amounts to, against the gain of neurons that have one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import amp, ms, second, umolar, usecond

from neuromod.analysis.activation_gain import Drive, gain_by_activation
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.inputs.events import Entrance
from neuromod.models import GainLIF, Receptor
from neuromod.models.messenger import Messenger

FADING = Receptor(gain_max=1.63, k_desensitise=7 / second)
CELL = GainLIF(synapse="pulse", receptors=(FADING,), t_ref=0.3 * ms)
WANTED = np.array([0, 0.21, 0.47, 0.74])
GAINS = np.union1d(np.linspace(0.83, 1.71, 23), 1.0)
# Many weak inputs: of few strong ones, rates rise in steps with the gain.
DT, TRAINS, WEIGHTS = 100 * usecond, 6, np.array([19e-9, 13e-9, -7e-9])


def measured(cell, highest=90 * umolar, steps=9000):
    size = TRAINS * len(WEIGHTS)
    at, neurons = np.nonzero(np.random.default_rng(17).random((steps, size)) < 0.057)
    inputs = Spikes("inputs", size, neurons, at * DT)
    drive = Drive(inputs, WEIGHTS * amp, Entrance.of(cell, DT), steps * DT, DT)
    return gain_by_activation(cell, WANTED, highest, drive, GAINS)


def test_the_gain_of_a_neuron_with_one_is_found_to_two_percent_without_knowing_it():
    # A bath in which receptors desensitise would hold no activation above 0.2.
    found = measured(CELL)
    np.testing.assert_allclose(found.activation, WANTED, atol=0.0075)
    np.testing.assert_allclose(found.gain, 1 + 0.63 * found.activation, rtol=0.02)
    assert found.gain[0] == 1
    assert (np.diff(found.rate_Hz) > 10).all()


@pytest.mark.parametrize("gain_max", [0.1, 4])
def test_a_rate_that_no_gain_on_the_input_gives_is_refused(gain_max):
    cell = replace(CELL, receptors=(replace(FADING, gain_max=gain_max),))
    with pytest.raises(UserError, match=r"no gain on its input from 0\.83 to 1\.71"):
        measured(cell, steps=5000)


def test_activations_that_no_bath_holds_are_refused():
    raising, lowering = (Receptor(name=name, k_off=k / second) for name, k in (("A", 3), ("B", 1)))
    both = Messenger(name="m", raised_by=("A",), lowered_by=("B",), gain_max=1.5)
    with pytest.raises(UserError, match="No steady bath up to"):
        measured(replace(CELL, receptors=(raising, lowering, both)))
