import numpy as np
import pytest
from brian2 import amp, ms, nsecond, usecond

from neuromod.chip.twins import twins, unit_current
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF

CHIP = CircuitNeuron()
CELL = GainLIF(t_ref=0.1 * ms, synapse="pulse", receptors=())
INPUTS = Spikes("inputs", 2, np.array([0, 1, 0]), [1, 3.1, 7] * usecond)


def both(cell=CELL, chip=CHIP):
    traces = [Trace(name, ("v",), np.arange(2)) for name in ("chip", "cell")]
    cells, chips = Population("cell", cell, 2), Population("chip", chip, 2)
    return twins(cells, chips, INPUTS, (3, -2), traces, 12 * usecond, 10 * nsecond, 7)


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
    assert float(unit_current(CHIP, CELL) / amp) == pytest.approx(20e-9)


@pytest.mark.parametrize(
    ("models", "message"),
    [((GainLIF(receptors=()), CHIP), "pulse"), ((CHIP, CHIP), "not CircuitNeuron and")],
)
def test_models_that_cannot_share_an_input_are_refused(models, message):
    with pytest.raises(UserError, match=message):
        both(*models)
