"""The same gain, once as a gain and once as a supply voltage."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms, nsecond, usecond

import neuromod
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.protocols.bio_vs_circuit import BioVsCircuit

GAINS = np.linspace(0.27, 1.83, 17)


@pytest.fixture(scope="module")
def clocked():
    return neuromod.run(BioVsCircuit(gain=GAINS, duration=90 * usecond))


@pytest.fixture(scope="module")
def continuous():
    circuit = CircuitNeuron(comparator="continuous")
    return neuromod.run(BioVsCircuit(gain=GAINS, duration=90 * usecond, circuit=circuit))


def test_with_a_continuous_comparator_both_neurons_are_the_same_but_for_the_cells_step(continuous):
    # A cell's spike is up to a step early; a comparator's crossing is found within its step.
    circuit = continuous.protocol.circuit
    finer = neuromod.run(
        BioVsCircuit(gain=GAINS[::4], duration=90 * usecond, dt=2 * nsecond, circuit=circuit)
    ).table
    coarse = continuous.table[::4]
    assert (finer.bio_spikes > 5).all()
    assert (finer.bio_spikes == finer.circuit_spikes).all()
    assert np.allclose(finer.coincidence_factor, 1)
    assert (finer.victor_purpura_distance < 0.01).all()
    assert (finer.rmse_of_swing < 0.01).all()
    assert finer.rmse_of_swing.max() < 0.5 * coarse.rmse_of_swing.max()


def test_the_clocked_comparator_fires_later_and_so_differs(clocked, continuous):
    assert (clocked.table.coincidence_factor > 0.2).all()
    assert clocked.table.coincidence_factor.mean() > 0.7
    assert not (clocked.table.circuit_spikes == continuous.table.circuit_spikes).all()


def test_more_gain_more_spikes_on_both_sides(clocked):
    for side in ("bio_spikes", "circuit_spikes"):
        assert np.corrcoef(clocked.table.gain, clocked.table[side])[0, 1] > 0.95


def test_supplies_are_the_mirror_s_inverse_of_the_gains(clocked):
    u = clocked.table.vdd_V.to_numpy() - 0.35
    x = 0.5e-6 * 20e6 * u
    current = (1 + x - np.sqrt(1 + 2 * x)) / (0.5e-6 * 20e6**2)
    assert np.allclose(current / 10e-9, clocked.table.gain, rtol=1e-9)


def test_the_chip_runs_a_thousand_times_faster(clocked):
    bio, chip = (clocked.recordings[side] for side in ("bio", "circuit"))
    assert float(bio.duration / chip.duration) == pytest.approx(1000)
    assert float(bio.dt / chip.dt) == pytest.approx(1000)


def test_gains_that_no_supply_gives_are_refused():
    with pytest.raises(neuromod.UserError, match=r"0\.25 to 1\.879"):
        BioVsCircuit(gain=np.array([1.0, 2.5]))


def test_synapses_of_another_shape_are_refused():
    with pytest.raises(neuromod.UserError, match="pulse"):
        BioVsCircuit(bio=GainLIF(t_ref=0.1 * ms))
    with pytest.raises(neuromod.UserError, match="site"):
        BioVsCircuit(bio=GainLIF(synapse="pulse", receptors=(), site="threshold"))
