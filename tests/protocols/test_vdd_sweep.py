"""A higher synapse supply: more current, more spikes, less energy for each."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import linspace, nA, nsecond, usecond, volt

import neuromod
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.vdd_sweep import VddSweep


@pytest.fixture(scope="module")
def run():
    return neuromod.run(VddSweep(vdd=linspace(0.5, 1.0, 23) * volt, duration=37 * usecond))


def test_unit_current_solves_the_mirror_at_every_supply(run):
    current = run.table.unit_current_nA.to_numpy()
    gate = run.table.vdd_V.to_numpy() - current * 1e-9 * 20e6
    assert np.allclose(0.5 * 0.5e-6 * (gate - 0.35) ** 2, current * 1e-9, rtol=1e-12)


def test_spikes_rise_with_supply(run):
    spikes = run.table.output_spikes.to_numpy()
    assert spikes[-1] > 2 * spikes[0] > 0
    assert np.corrcoef(run.table.vdd_V, spikes)[0, 1] > 0.95


def test_energy_per_spike_falls_where_spikes_are_gained(run):
    table = run.table.drop_duplicates("output_spikes").sort_values("output_spikes")
    # One spike more may shift which pulses end within spikes, and with them a decision or two.
    assert (np.diff(table.energy_per_spike_pJ) < 0.12 / table.output_spikes[:-1]).all()
    assert table.energy_per_spike_pJ.iloc[-1] < 0.6 * table.energy_per_spike_pJ.iloc[0]


def test_energy_per_spike_stays_above_the_paper_s_best(run):
    assert (run.table.energy_per_spike_pJ > 1.08).all()


def test_synapse_energy_is_supply_times_charge(run):
    source = run.protocol.inputs
    # A pulse's own units where it pushes, and its reference's.
    pushed = np.maximum(run.protocol.codes, 0)[source.neurons].sum()
    charge_units = pushed + len(source.neurons)
    expected = run.table.vdd_V * run.table.unit_current_nA * 1e-9 * 100e-9 * charge_units
    assert np.allclose(run.table.energy_synapse_pJ * 1e-12, expected)


def test_membrane_never_fires_below_threshold(run):
    recording = run.recordings["sweep"]
    neuron = int(run.protocol.traced[0])
    v = recording.trace("chip", "v", neuron)
    spikes = recording.spikes["chip"]
    steps = np.round(spikes.times[spikes.neurons == neuron] / run.protocol.dt).astype(int)
    # At the start of the step of its spike the last pulse is just over.
    assert len(steps)
    assert (v[steps] >= 0.35 * volt * (1 - 1e-3)).all()


def test_one_supply_is_a_sweep_of_one():
    run = neuromod.run("vdd-sweep", vdd=0.75 * volt, duration=11 * usecond)
    assert run.table.gain.tolist() == [1.0]
    assert run.table.unit_current_nA[0] == pytest.approx(float(10 * nA / nA))


def test_codes_beyond_the_bits_are_refused():
    with pytest.raises(neuromod.UserError, match="code 8 is out of range: -7 to 7"):
        VddSweep(codes=(3, 8))
    VddSweep(codes=(3, 8), circuit=CircuitNeuron(bits=4))


def test_supply_out_of_range_is_refused():
    with pytest.raises(neuromod.UserError, match=r"expected 0\.5 to 1 V"):
        neuromod.run("vdd-sweep", vdd=2 * volt)


def test_a_time_step_must_divide_pulses():
    with pytest.raises(neuromod.UserError, match="t_pulse"):
        VddSweep(dt=30 * nsecond)


def test_supplies_may_be_a_plain_list_and_a_model_may_be_given_whole():
    chip = CircuitNeuron(leak="symmetric")
    run = neuromod.run(
        "vdd-sweep", vdd=[0.61 * volt, 0.7 * volt], circuit=chip, duration=9 * usecond
    )
    assert run.table.vdd_V.tolist() == [0.61, 0.7]
    assert run.protocol.circuit == chip


@pytest.mark.parametrize("empty", [{"codes": ()}, {"vdd": np.zeros(0) * volt}, {"vdd": []}])
def test_an_empty_sweep_is_refused(empty):
    with pytest.raises(neuromod.UserError, match=r"at least one value|wrong unit"):
        VddSweep(**empty)
