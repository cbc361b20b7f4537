"""A neuron fires no faster than its spike is wide and its volley charges."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Mohm, nsecond, um, usecond, volt

import neuromod
from neuromod.chip.area import area_ledger
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.neuron_table import NeuronTable, page
from neuromod.runs.report import draw


@pytest.fixture(scope="module")
def run():
    return neuromod.run(
        NeuronTable(
            vdd=[0.5, 0.75, 0.93] * volt,
            v_bias=[0.47, 0.65] * volt,
            intervals=np.arange(110, 401, 10) * nsecond,
            duration=17 * usecond,
        )
    )


def best(run, drive, vdd, v_bias=0.55):
    rates = run.tables["rates"]
    near = np.isclose(rates.vdd_V, vdd) & np.isclose(rates.v_bias_V, v_bias)
    return rates[near & (rates.drive == drive)].iloc[0]


def test_volleys_that_need_their_whole_pulse_allow_5_mhz(run):
    # At 0.5 V 20 units of 2.5 nA would lose 0.25 mV of their 100 mV to the leak.
    row = best(run, "fewest units", 0.5)
    assert row.units == 21
    assert row.rate_MHz == pytest.approx(5, rel=1e-9)


def test_a_stronger_volley_may_begin_within_the_spike(run):
    # 21 units of 10 nA cross 100 mV in the third step of 10 ns.
    row = best(run, "all units", 0.75)
    assert row.units == 21
    assert row.rate_MHz == pytest.approx(1e3 / 130, rel=1e-9)
    # Six of them need nine steps.
    assert best(run, "fewest units", 0.75).rate_MHz == pytest.approx(1e3 / 190, rel=1e-9)


def test_highest_rates_are_those_of_a_spike_s_width_and_the_charging_time(run):
    rates = run.tables["rates"]
    np.testing.assert_allclose(rates.rate_MHz, rates.closed_form_MHz, rtol=1e-9)
    assert len(rates) == 3 * 2 + 2


def test_no_neuron_fires_more_often_than_it_is_driven(run):
    sweep = run.tables["sweep"]
    assert (sweep.rate_MHz <= sweep.asked_MHz * (1 + 3e-3)).all()
    slow = sweep[sweep.asked_MHz <= 3.34]
    slow = slow[slow.simulated_width_ns == 100]
    np.testing.assert_allclose(slow.rate_MHz, slow.asked_MHz, rtol=3e-3)
    assert len(slow) > 50


def test_the_charging_time_is_that_of_a_capacitor_with_a_leak(run):
    # -RC*ln(1 - swing/(n*I*R)) at 0.75 V: 6 units 84.2 ns, 21 units 23.8 ns.
    tau, push = 20e-6, np.array([6, 21]) * 10e-9 * 400e6
    exact = -tau * np.log(1 - 0.1 / push) * 1e9
    found = [best(run, drive, 0.75).charging_ns for drive in ("fewest units", "all units")]
    assert found == (np.ceil(exact / 10) * 10).tolist()


def test_a_wider_spike_is_a_lower_rate(run):
    # 2 fF to half a volt by 0.25 uA/V^2*(bias - 0.35 V)^2.
    widths = [1e6 / (0.25e3 * (b - 0.35) ** 2) * 1e-3 for b in (0.47, 0.55, 0.65)]
    rows = [best(run, "fewest units", 0.75, b) for b in (0.47, 0.55, 0.65)]
    np.testing.assert_allclose([row.width_ns for row in rows], widths)
    simulated = [row.simulated_width_ns for row in rows]
    assert simulated == [280, 100, 40]
    np.testing.assert_allclose([row.rate_MHz for row in rows], 1e3 / (np.array(simulated) + 90))


def test_at_the_paper_s_rate_the_core_takes_the_paper_s_energy(run):
    own = run.table[run.table.design.str.endswith("at 3.3 MHz")]
    np.testing.assert_allclose(own.max_rate_MHz, 3.3, rtol=2e-3)
    np.testing.assert_allclose(own.energy_core_pJ, 1.08, rtol=3e-3)
    # 21 units of 2.5 nA at 0.5 V, 6 of 10 nA at 0.75 V, for 100 ns; 3 and 1 references all along.
    resting = np.array([3 * 1.25e-3, 7.5e-3]) / 3.3
    np.testing.assert_allclose(
        own.energy_synapse_pJ.iloc[:2], np.array([2.625e-3, 4.5e-3]) + resting, rtol=2e-2
    )
    total = own.energy_core_pJ + own.energy_synapse_pJ
    np.testing.assert_allclose(own.energy_per_spike_pJ, total)


def test_at_the_highest_rate_a_decision_per_spike_is_spared(run):
    rates = run.tables["rates"]
    np.testing.assert_allclose(rates.decisions_per_spike, 1, atol=0.03)
    slow = run.tables["sweep"]
    slow = slow[slow.drive == "at 3.3 MHz"]
    np.testing.assert_allclose(slow.decisions_per_spike, 2, atol=0.03)


def test_published_rows_are_the_paper_s(run):
    table = run.table.set_index("design")
    paper = table.loc["Barton et al. 2022"]
    assert (paper.max_rate_MHz, paper.energy_per_spike_pJ, paper.core_area_um2) == (3.3, 1.08, 132)
    assert table.loc["Cruz-Albrecht et al. 2012"].max_rate_MHz == pytest.approx(100e-6)
    own = run.table[run.table.design.str.startswith("this model")]
    assert len(own) == 9
    assert own.source.str.contains("calibrated").all()


def test_the_report_says_what_the_paper_s_rate_leaves(run):
    text = run.protocol.report(run.tables)[1].text
    assert "leave 103 ns beside a pulse and a spike" in text
    assert "does not say what fills it" in text


def test_another_leak_and_other_supplies_make_a_figure_too():
    few = neuromod.run(
        NeuronTable(
            circuit=CircuitNeuron(R_leak=150 * Mohm),
            vdd=[0.83] * volt,
            intervals=[170, 210] * nsecond,
            duration=5 * usecond,
        )
    )
    assert draw(few.protocol, few.tables, few.recordings).png
    assert len(few.protocol.report(few.tables)) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": 2}, "do not fire a neuron"),
        ({"intervals": [100, 200] * nsecond}, "never leave the comparator a gap"),
        ({"intervals": [203] * nsecond}, "whole number of time steps"),
        ({"circuit": CircuitNeuron(comparator="continuous")}, "clocked comparator"),
        ({"v_bias": [0.3] * volt}, "without current"),
    ],
)
def test_what_cannot_be_driven_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        NeuronTable(**settings)


def test_the_model_s_area_is_that_of_its_ledger(run):
    area = run.tables["area"].set_index("entry").area_um2
    own = run.table[run.table.process_nm.isna()]
    assert (own.area_um2 == area["total"]).all()
    np.testing.assert_allclose(own.core_area_um2, 132, rtol=1e-12)
    # Six loads of 10 000 squares, each 0.35 um long and 0.83 um wide.
    assert area["mirrors' loads"] == pytest.approx(6 * 1e4 * 0.35 * 0.83, rel=1e-12)


def area_told(**settings):
    protocol = NeuronTable(circuit=CircuitNeuron(**settings))
    tables = {"area": area_ledger(protocol.circuit, protocol.layout, protocol.inputs)}
    return page._say_area(protocol, tables["area"])


def test_a_load_that_does_not_fit_is_said():
    told = area_told()
    assert "takes 2905 µm², and there is one in each of 6 mirrors" in told
    assert "a single one does not fit into 598 µm²" in told
    assert "leaves no room for any" in told


def test_loads_that_fit_are_said_as_well():
    # Short transistors: 132 + 24 + 48*0.2*1.1 um^2 leave 71.9 for each load, of 2 kohm on 0.2905.
    told = area_told(R_S=1.3 * Mohm, L=1 * um)
    assert "3 of them would fill 598 µm²" in told
    assert "beside all else, 167 µm², each could have 495 kΩ" in told


def test_conductances_have_no_loads_to_tell_of():
    assert "Conductances are left out" in area_told(synapse="conductance")
