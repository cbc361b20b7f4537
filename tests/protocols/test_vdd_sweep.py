"""A higher synapse supply: more current, more spikes, less energy for each."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import khertz, linspace, nA, nsecond, usecond, volt

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


def test_energy_per_spike_falls_where_spikes_are_gained_with_pulsed_references(run):
    table = run.table.drop_duplicates("output_spikes").sort_values("output_spikes")
    # One spike more may shift which pulses end within spikes, and with them a decision or two.
    energy = table.energy_per_spike_pulsed_pJ
    assert (np.diff(energy) < 0.12 / table.output_spikes[:-1]).all()
    assert energy.iloc[-1] < 0.6 * energy.iloc[0]


def test_references_that_stay_on_turn_that_round_where_there_are_many():
    codes, rate = (4, 3, 2, -2) * 16, 300 * khertz / 16
    vdd = np.linspace(0.5, 1, 11) * volt
    run = neuromod.run(VddSweep(codes=codes, input_rate=rate, vdd=vdd, dt=20 * nsecond))
    table = run.table
    least = table.energy_per_spike_always_pJ.idxmin()
    assert 0 < least < 10
    assert table.energy_per_spike_always_pJ[10] > 1.3 * table.energy_per_spike_always_pJ[least]
    # 64 references for 40 us, or 64 of 300/16 kHz for 100 ns.
    apart = (table.energy_per_spike_always_pJ - table.energy_per_spike_pulsed_pJ)[10]
    units = 64 * 40e-6 - table.input_spikes[10] * 100e-9
    expected = units * 18.7917e-9 / table.output_spikes[10] * 1e12
    assert apart == pytest.approx(expected, rel=1e-3)


def test_energy_per_spike_stays_above_the_paper_s_best(run):
    assert (run.table.energy_per_spike_pJ > 1.08).all()


def test_synapse_energy_is_supply_times_charge(run):
    source = run.protocol.inputs
    # A pulse's own units where it pushes, and its reference's.
    pushed = 100e-9 * np.maximum(run.protocol.codes, 0)[source.neurons].sum()
    power = run.table.vdd_V * run.table.unit_current_nA * 1e-9
    # References stay on for the 37 us, or are as long on as their pulses.
    assert np.allclose(run.table.energy_synapse_pJ * 1e-12, power * (pushed + 4 * 37e-6))
    spared = run.table.energy_per_spike_always_pJ - run.table.energy_per_spike_pulsed_pJ
    between = power * (4 * 37e-6 - 100e-9 * len(source.neurons))
    assert np.allclose(spared * run.table.output_spikes * 1e-12, between)


def test_a_sweep_with_pulsed_references_pays_for_pulses_alone(run):
    pulsed = neuromod.run(run.protocol, circuit=CircuitNeuron(references="pulsed")).table
    assert pulsed.output_spikes.tolist() == run.table.output_spikes.tolist()
    assert np.allclose(pulsed.energy_per_spike_pJ, run.table.energy_per_spike_pulsed_pJ)
    assert np.allclose(pulsed.energy_per_spike_always_pJ, run.table.energy_per_spike_always_pJ)


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


def of_file(tmp_path, text, **settings):
    path = tmp_path / "network.csv"
    path.write_text(text)
    settings = {"vdd": [0.63, 0.75, 0.97] * volt, "duration": 29 * usecond} | settings
    return neuromod.run(VddSweep(network=str(path), **settings))


def test_one_neuron_in_a_file_is_the_neuron_with_those_codes(tmp_path):
    codes = (5, 3, -2)
    rows = "".join(f"0,{k},{code}\n" for k, code in enumerate(codes))
    own = of_file(tmp_path, f"neuron,input,code\n{rows}").table
    settings = {"vdd": [0.63, 0.75, 0.97] * volt, "duration": 29 * usecond}
    typed = neuromod.run(VddSweep(codes=codes, **settings)).table
    np.testing.assert_array_equal(own[typed.columns], typed)
    assert (own.inputs[0], own.neurons[0], own.synapses[0]) == (3, 1, 3)


def test_a_chain_that_one_spike_fires_hands_on_every_spike(tmp_path):
    # 7 units of 10 nA for 100 ns are 140 mV, less than a millivolt of which leaks.
    chain = "layer,neuron,input,code\n1,0,0,7\n2,0,0,7\n3,0,0,7\n"
    run = of_file(tmp_path, chain, vdd=[0.75, 0.97] * volt, seed=3)
    last = float(run.protocol.inputs.times[-1] / usecond)
    assert last < 28
    assert (run.table.output_spikes == run.table.input_spikes).all()
    # Each neuron pushes 7 units for 100 ns at every spike, and its reference is always on.
    power = run.table.vdd_V * run.table.unit_current_nA * 1e-9
    expected = 3 * power * (7 * 100e-9 * run.table.input_spikes + 29e-6)
    np.testing.assert_allclose(run.table.energy_synapse_pJ * 1e-12, expected, rtol=1e-9)


def test_weights_run_on_mirrors_sized_for_them(tmp_path):
    table = of_file(tmp_path, "neuron,input,weight\n0,0,0.7\n0,1,-0.2\n0,2,0.5\n").table
    # A unit is a tenth of the way to threshold, 10 mV instead of 20 at the reference supply.
    ten = CircuitNeuron().step(0.75 * volt) / (10e-3 * volt)
    circuit = CircuitNeuron()
    sized = CircuitNeuron(beta=circuit.beta / ten, R_S=circuit.R_S * ten)
    settings = {"vdd": [0.63, 0.75, 0.97] * volt, "duration": 29 * usecond}
    same = neuromod.run(VddSweep(codes=(7, -2, 5), circuit=sized, **settings)).table
    assert table.output_spikes.tolist() == same.output_spikes.tolist()
    np.testing.assert_allclose(table.energy_synapse_pJ, same.energy_synapse_pJ, rtol=1e-9)


def test_a_stored_run_of_a_file_is_drawn_and_told_without_it(tmp_path):
    run = of_file(tmp_path, "neuron,input,weight\n0,0,0.7\n0,1,-0.23\n1,1,0.5\n")
    (tmp_path / "network.csv").unlink()
    assert run.protocol.plot(run.tables, run.recordings).axes
    told = run.protocol.report(run.tables)[0].text
    assert "2 neurons with 2 inputs and 3 synapses" in told
    assert "Rounding is off by 0.17" in told


def test_a_network_and_codes_are_not_both_taken(tmp_path):
    with pytest.raises(neuromod.UserError, match="network takes the place of codes"):
        VddSweep(network=str(tmp_path / "network.csv"), codes=(1, 2))
