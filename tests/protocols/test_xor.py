"""Three circuit neurons compute XOR with codes that the package finds itself."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import nsecond, ohm, volt
from brian2.units.allunits import fcoulomb, ffarad

import neuromod
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.xor import Xor


@pytest.fixture(scope="module")
def run():
    return neuromod.run(Xor(vdd=[0.63, 0.76, 0.91] * volt, period=410 * nsecond))


def test_both_networks_compute_xor(run):
    assert run.table.right.all()
    assert run.table.reads.tolist() == [0, 1, 1, 0] * 2


def test_one_answers_with_the_paper_s_spikes(run):
    paper = run.table[run.table.design == "paper"]
    assert paper.output_spikes.tolist() == [0, 4, 4, 2]


def test_the_simulation_answers_as_the_search_had_found(run):
    assert run.table.output_spikes.tolist() == run.table.searched_spikes.tolist()


def test_membranes_stay_within_the_rails_in_simulation_too(run):
    recording = run.recordings["rows"]
    vdd = run.tables["designs"].vdd_V.to_numpy()
    for population, neurons in (("hidden", 8), ("output", 4)):
        v = np.asarray(recording.signals[population]["v"].values / volt)
        assert v.min() >= 0
        assert (v.reshape(len(vdd), neurons, -1).max(axis=(1, 2)) <= vdd).all()


def test_no_input_costs_leakage_and_references_alone(run):
    # Three cores of 10 nW, for ten periods and one before and after.
    silent = run.table[run.table.row == "00"].reset_index(drop=True)
    assert silent.energy_pulsed_pJ.to_numpy() == pytest.approx(3 * 10e-9 * 12 * 0.41e-6 * 1e12)
    resting = silent.energy_always_pJ - silent.energy_pulsed_pJ
    assert silent.energy_pJ.tolist() == silent.energy_always_pJ.tolist()
    for k, network in run.tables["designs"].iterrows():
        codes = network[[c for c in network.index if c.startswith("code")]].to_numpy().astype(int)
        power = float(network.vdd_V * volt * CircuitNeuron().unit_current(network.vdd_V * volt))
        expected = np.count_nonzero(codes) * power * 12 * 0.41e-6 * 1e12
        assert resting[k] == pytest.approx(expected, rel=1e-9)


def test_synapses_draw_supply_times_charge(run):
    both_on = run.table[run.table.row == "11"].reset_index(drop=True)
    for k, network in run.tables["designs"].iterrows():
        codes = network[[c for c in network.index if c.startswith("code")]].to_numpy().astype(int)
        pulses = np.array([10, 10, 10, 10, *both_on.loc[k, ["hidden_1_spikes", "hidden_2_spikes"]]])
        units = np.sum(pulses * (np.maximum(codes, 0) + (codes != 0)))
        current = CircuitNeuron().unit_current(network.vdd_V * volt)
        energy = float(network.vdd_V * volt * current * 100 * nsecond * units) * 1e12
        drawn = both_on.energy_pulsed_pJ[k] - both_on.energy_core_pJ[k]
        assert drawn == pytest.approx(energy, rel=1e-9)


def test_supplies_are_counted_one_by_one(run):
    supplies = run.tables["supplies"]
    assert supplies.networks[0] == 0 < supplies.networks[1] < supplies.networks[2]
    assert (supplies.tried == 15**6).all()
    assert (supplies.within_rails <= supplies.networks).all()
    assert np.isnan(supplies.margin_mV[0])


def test_the_report_says_that_no_input_gives_no_spike(run):
    text = " ".join(section.text for section in run.protocol.report(run.tables))
    assert "0 for 00, 4 for 01, 4 for 10, 2 for 11 output spikes" in text
    assert "At 0.63 V and below" in text


@pytest.mark.slow
@pytest.mark.thorough
def test_the_networks_work_with_transistors_that_leave_saturation():
    chip = CircuitNeuron(output="mosfet")
    run = neuromod.run(Xor(circuit=chip, vdd=[0.76, 0.91] * volt))
    assert run.table.right.all()


@pytest.mark.thorough
def test_supplies_at_which_nothing_computes_xor_are_refused():
    with pytest.raises(neuromod.UserError, match="No network of such codes computes XOR"):
        neuromod.run(Xor(vdd=[0.52, 0.6] * volt))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"period": 280 * nsecond}, "dead time"),
        ({"circuit": CircuitNeuron(comparator="continuous")}, "comparator must stay clocked"),
        ({"circuit": CircuitNeuron(synapse="conductance")}, "synapse must stay mirror"),
        ({"vdd": 1.2 * volt}, r"expected 0\.5 to 1 V"),
    ],
)
def test_settings_that_cannot_be_searched_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        neuromod.run("xor", **settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"references": "pulsed", "C_gate": 2 * ffarad}, "C_gate must stay 0"),
        ({"Q_reset": 0.5 * fcoulomb}, "Q_reset must stay 0"),
        ({"t_comparator": 10 * nsecond}, "t_comparator must stay 0"),
        ({"R_domain": 1e6 * ohm}, "share_supplies"),
    ],
)
def test_what_the_search_leaves_out_is_refused(options, message):
    with pytest.raises(neuromod.UserError, match=message):
        Xor(circuit=CircuitNeuron(**options))
