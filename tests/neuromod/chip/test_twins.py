from dataclasses import replace

import numpy as np
import pytest
from brian2 import Mohm, amp, ms, mV, nsecond, usecond, volt

from neuromod.chip.twins import firing_event, twins, unit_weight
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF

CHIP = CircuitNeuron()
CELL = GainLIF(t_ref=0.1 * ms, synapse="pulse", receptors=())
INPUTS = Spikes("inputs", 2, np.array([0, 1, 0]), [1, 3.1, 7] * usecond)


def unit(cell):
    return unit_weight(CHIP, firing_event(cell, 0.1 * ms, 10 * ms))


def both(cell=CELL, chip=CHIP):
    traces = [Trace(name, ("v",), np.arange(2)) for name in ("chip", "cell")]
    cells, chips = Population("cell", cell, 2), Population("chip", chip, 2)
    times = 12 * usecond, 10 * nsecond
    return twins(cells, chips, INPUTS, (3, -2), unit(CELL), traces, *times, 7)


@pytest.mark.thorough
def test_below_threshold_twins_do_the_same_a_thousand_times_faster():
    sides = {name: simulate(experiment) for name, experiment in both().items()}
    assert float(sides["bio"].duration / sides["circuit"].duration) == pytest.approx(1000)
    v_chip = (np.asarray(sides["circuit"].signals["chip"]["v"].values) - 0.25) / 0.1
    v_cell = (np.asarray(sides["bio"].signals["cell"]["v"].values) + 0.07) / 0.02
    assert v_chip.max() > 0.5
    assert v_chip.min() >= 0
    np.testing.assert_allclose(v_cell, v_chip, atol=1e-9)


def test_one_code_moves_the_cell_by_its_share_of_the_swing():
    # 10 nA into 400 Mohm are 40 swings of 100 mV; into 40 Mohm, 40 swings of 20 mV are 20 nA.
    assert float(unit(CELL) / amp) == pytest.approx(20e-9)


@pytest.mark.parametrize("tau_m", [7.3, 31])
def test_one_code_is_the_same_share_of_what_makes_either_neuron_fire_whatever_the_cells_leak(tau_m):
    cell = replace(CELL, tau_m=tau_m * ms, R=37 * Mohm, v_th=-47 * mV)
    rise = float(37e6 * unit(cell) / amp) * (1 - np.exp(-0.1 / tau_m))
    assert rise / 23e-3 == pytest.approx(float(CHIP.step(0.75 * volt) / volt) / 0.1)


def test_only_circuits_are_compared_with_cells():
    with pytest.raises(UserError, match="not CircuitNeuron and CircuitNeuron"):
        both(CHIP, CHIP)
