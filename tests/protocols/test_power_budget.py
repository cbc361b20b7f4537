"""Every event of the core costs the same; leakage is shared by the spikes."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import nwatt, usecond, volt
from brian2.units.allunits import Mhertz, pjoule

import neuromod
from neuromod.chip.conversion import Costs
from neuromod.protocols.power_budget import PowerBudget
from neuromod.runs.report import draw

DURATION_US = 91.0
# What is left of 1.08 pJ at 3.3 MHz after two decisions, a reset and 10 nW for 303 ns.
GENERATOR_PJ = 1.08 - 2 * 0.12 - 0.01 - 0.01 / 3.3


@pytest.fixture(scope="module")
def run():
    return neuromod.run(
        PowerBudget(
            shown_rates=[0.7, 3.3] * Mhertz,
            rates=[0.0439, 0.21, 1.37, 4.76, 5] * Mhertz,
            duration=DURATION_US * usecond,
        )
    )


def test_every_volley_gives_a_spike_up_to_the_highest_rate(run):
    # The last one may not have ended, and the first comes at once.
    assert (np.abs(run.table.rate_MHz - run.table.asked_MHz) * DURATION_US <= 1).all()
    assert run.table.rate_MHz.iloc[-1] == pytest.approx(5, abs=0.02)


def test_the_core_s_energy_at_3_3_mhz_is_the_paper_s(run):
    assert run.table.energy_core_pJ[1] == pytest.approx(1.08, abs=2e-4)


def test_the_core_s_energy_per_spike_is_that_of_its_events_and_a_share_of_the_leakage(run):
    table = run.table[run.table.asked_MHz < 4]
    shared = 0.01 / table.rate_MHz
    expected = GENERATOR_PJ + 0.01 + 0.12 * table.decisions_per_spike + shared
    np.testing.assert_allclose(table.energy_core_pJ, expected, rtol=1e-12)
    np.testing.assert_allclose(table.decisions_per_spike, 2, rtol=4e-3)


def test_a_pulse_that_begins_within_a_spike_spares_the_decision_at_its_end(run):
    table = run.table.set_index("asked_MHz")
    assert table.decisions_per_spike[4.76] == pytest.approx(2, abs=0.01)
    assert table.decisions_per_spike[5.0] == pytest.approx(1, abs=0.01)
    saved = table.energy_core_pJ[4.76] - table.energy_core_pJ[5.0]
    assert saved == pytest.approx(0.12, abs=2e-3)


def test_a_volley_costs_supply_times_the_charge_of_its_units_and_reference(run):
    # 7 units, 10 nA for 100 ns each, from 0.75 V, and a reference for as long, or all the time.
    table = run.table[run.table.asked_MHz > 1]
    outputs = table.energy_synapse_pJ - 7.5e-3 / table.rate_MHz
    np.testing.assert_allclose(outputs, 5.25e-3, rtol=6e-3)
    pulsed = table.energy_per_spike_pulsed_pJ - table.energy_core_pJ
    np.testing.assert_allclose(pulsed, 6e-3, rtol=6e-3)


def test_powers_of_all_entries_add_up_to_energy_per_spike_times_rate(run):
    powers = run.table.filter(like="_nW").sum(axis=1)
    assert run.table.filter(like="_nW").shape[1] == 6
    per_spike = run.table.energy_per_spike_pJ
    np.testing.assert_allclose(powers, 1e3 * per_spike * run.table.rate_MHz, rtol=1e-12)


def test_shares_are_whole_and_every_entry_names_its_source(run):
    budget = run.tables["budget"]
    assert len(budget) == 12
    for _, entries in budget.groupby("rate_MHz"):
        assert entries.percent.sum() == pytest.approx(100)
        assert entries.core_percent.sum() == pytest.approx(100)
        assert entries.core_percent[entries.supply == "synapse"].isna().all()
    assert budget.source.str.contains("calibrated|table 9|VDD times").all()
    rows = budget[budget.entry == "leakage"]
    assert rows.power_nW.tolist() == pytest.approx([10, 10])
    assert rows.percent.iloc[0] > rows.percent.iloc[1]


def test_a_lower_supply_needs_more_synapses_and_other_costs_add_up_alike():
    costs = Costs(decision=0.2 * pjoule, reset=0.03 * pjoule, leakage=0 * nwatt, spike=0.5 * pjoule)
    run = neuromod.run(
        PowerBudget(
            vdd=0.5 * volt,
            costs=costs,
            codes=(7, 7, 7),
            shown_rates=[1.1] * Mhertz,
            rates=[0.3] * Mhertz,
            # Ends between volleys.
            duration=30.7 * usecond,
        )
    )
    # 21 units of 2.5 nA for 100 ns from 0.5 V, and three references all the time.
    expected = 21 * 1.25e-4 + 3 * 1.25e-9 * 30.7e-6 / (run.table.rate_MHz * 30.7) * 1e12
    np.testing.assert_allclose(run.table.energy_synapse_pJ, expected, rtol=1e-9)
    np.testing.assert_allclose(run.table.energy_core_pJ, 0.93, rtol=1e-9)
    assert draw(run.protocol, run.tables, run.recordings).png


def test_the_report_claims_no_numbers_of_the_paper_s_picture(run):
    where, energy = run.protocol.report(run.tables)
    assert "not at hand" in where.text
    assert "no longer clocks the comparator" in energy.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codes": (5,)}, r"add up to 5 moves the membrane by .* more than 100"),
        ({"codes": (7,), "vdd": 0.5 * volt}, "too little for a spike"),
        ({"codes": (9,)}, "code 9 is out of range"),
        ({"shown_rates": [5.1] * Mhertz}, "leaves no time for a pulse and a spike"),
    ],
)
def test_what_cannot_fire_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        PowerBudget(**settings)
