"""The same gain, once as a gain and once as a supply voltage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from brian2 import Mohm, ms, mV, nsecond, usecond

import neuromod
from neuromod.models import AdEx, library, modulate
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


@pytest.mark.thorough
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


@pytest.mark.parametrize("bio", [GainLIF(t_ref=0.1 * ms), AdEx(receptors=(library["D1"],))])
def test_receptors_are_refused_because_the_gains_are_given(bio):
    with pytest.raises(neuromod.UserError, match=r"bio\.receptors=none"):
        BioVsCircuit(bio=bio)


COARSE = {"duration": 90 * usecond, "dt": 100 * nsecond}
OURS = replace(BioVsCircuit().bio, tau_m=13.7 * ms, R=37 * Mohm, v_th=-52 * mV)


@pytest.fixture(scope="module")
def ours():
    return neuromod.run(BioVsCircuit(bio=OURS, gain=GAINS[::4], **COARSE))


def test_a_lif_of_ones_own_equations_fires_as_ours_does_at_every_gain(ours, tmp_path):
    # Nothing is known of it: what one code is to it is measured, and its input has the gain.
    own = modulate(
        """
        dV/dt = (E - V + R_in*drive)/tau : volt (unless refractory)
        drive : amp
        """,
        threshold="V >= -52*mV",
        reset="V = E",
        refractory=0.1 * ms,
        method="exact",
        namespace={"E": -70 * mV, "R_in": 37 * Mohm, "tau": 13.7 * ms},
        start={"V": -70 * mV},
        current="drive",
        potential="V",
    )
    settings = {"bio": own, "gain": GAINS[::4], **COARSE}
    found = neuromod.run(BioVsCircuit(**settings), out=tmp_path / "run")
    here, there = (run.recordings["bio"].spikes["cell"] for run in (found, ours))
    assert len(there.times) > 100
    np.testing.assert_array_equal(here.neurons, there.neurons)
    np.testing.assert_array_equal(here.times, there.times)
    assert float(found.protocol.unit / ours.protocol.unit) == pytest.approx(1, abs=1e-6)
    assert found.tables["scale"].variable[0] == "drive"
    # Nobody says where it rests, nor that its threshold stays.
    assert "rmse_of_swing" not in found.table
    assert neuromod.load_run(tmp_path / "run").protocol == found.protocol
    assert "membranes" not in " ".join(part.text for part in found.protocol.report(found.tables))


def test_a_gain_on_the_threshold_is_that_on_the_input(ours):
    bio = replace(OURS, site="threshold")
    found = neuromod.run(BioVsCircuit(bio=bio, gain=GAINS[::4], **COARSE))
    pd.testing.assert_frame_equal(found.table, ours.table, rtol=1e-9)


@pytest.mark.thorough
def test_an_adaptive_exponential_neuron_is_compared_by_its_spikes_alone(tmp_path):
    run = neuromod.run(
        BioVsCircuit(bio=AdEx(tau_w=71 * ms), gain=np.array([0.3, 1, 1.8]), **COARSE),
        out=tmp_path / "run",
    )
    scale = run.tables["scale"].iloc[0]
    assert scale.variable == "I_syn"
    assert np.isnan(scale.pulse_ms)
    assert scale.unit == "amp"
    assert (np.diff(run.table.bio_spikes) > 0).all()
    assert "rmse_of_swing" not in run.table
    again = neuromod.load_run(tmp_path / "run")
    assert again.protocol.bio == run.protocol.bio
    assert "5.01 codes in one event" in again.report()
