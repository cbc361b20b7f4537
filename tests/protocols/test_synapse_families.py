"""Mirrors are linear and blind to the membrane; conductances are neither, and differ by sign."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Gohm, Mohm, mV, usecond, volt

import neuromod
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.optocoupler import Optocoupler
from neuromod.protocols.synapse_families import SynapseFamilies
from neuromod.runs.report import draw

SMALL = {"v_start": [230, 250, 310] * mV, "duration": 33 * usecond}


@pytest.fixture(scope="module")
def run():
    stored = np.array([0, 0.11, 2 / 7, 0.43, 0.71, 1])
    return neuromod.run(SynapseFamilies(stored=stored, **SMALL))


def steps(run, **where):
    table = run.table
    for name, value in where.items():
        table = table[table[name] == value]
    return table


def test_every_step_is_that_of_its_closed_form(run):
    np.testing.assert_allclose(run.table.step_mV, run.table.closed_form_mV, atol=1e-9)


def test_full_scale_upwards_at_rest_is_the_same_for_all(run):
    full = steps(run, stored=1.0, sign="up", v_start_mV=250.0)
    np.testing.assert_allclose(full.step_mV, 7 * float(CircuitNeuron().step(0.75 * volt) / mV))


def test_a_mirror_moves_the_membrane_by_code_from_wherever_it_is(run):
    own = steps(run, family="mirror")
    unit = float(CircuitNeuron().step(0.75 * volt) / mV)
    np.testing.assert_allclose(own.step_mV, own.units * unit, rtol=1e-9, atol=1e-9)
    summary = run.tables["summary"].set_index("family").loc["mirror"]
    assert summary.nonlinearity_percent == pytest.approx(0, abs=1e-9)
    assert summary.change_up_percent == pytest.approx(0, abs=1e-9)
    assert summary.down_over_up == pytest.approx(1)


@pytest.mark.parametrize("family", ["optocoupler", "digital"])
def test_a_conductance_pushes_by_the_distance_to_its_rail(run, family):
    # Of supply and ground at 750 and 0 mV, seen from 250 and 310 mV, leak apart.
    up, down = (
        steps(run, family=family, stored=1.0, sign=s).step_mV.tolist() for s in ("up", "down")
    )
    assert up[2] / up[1] == pytest.approx(440 / 500, rel=2e-3)
    assert down[2] / down[1] == pytest.approx(310 / 250, rel=2e-3)
    assert down[1] / up[1] == pytest.approx(-250 / 500, rel=1e-9)


def test_supplies_scale_conductances_by_the_way_from_rest_and_mirrors_by_their_law(run):
    summary = run.tables["summary"].set_index("family")
    assert summary.gain_low.tolist() == pytest.approx([0.25, 0.5, 0.5])
    assert summary.gain_high.tolist() == pytest.approx([(7.5 - np.sqrt(14)) / 2, 1.5, 1.5])


def test_an_optocoupler_follows_the_power_of_its_diodes_current(run):
    spikes = run.tables["spikes"].set_index("stored").optocoupler_units
    dark, full = spikes[0], spikes[1]
    assert full == pytest.approx(7)
    lit = (spikes[0.43] - dark) / (full - dark)
    assert lit == pytest.approx(0.43**0.8)


def test_a_pulse_costs_supply_times_charge_and_a_diode_shines_all_the_time(run):
    summary = run.tables["summary"].set_index("family")
    # 7 units and a reference of 10 nA from 0.75 V for 100 ns.
    assert summary.energy_per_pulse_fJ["mirror"] == pytest.approx(6)
    # The charge that moved the membrane, no reference; and what leaked meanwhile.
    moved = 50e-15 * summary.full_scale_mV["digital"] * 1e-3
    assert summary.energy_per_pulse_fJ["digital"] == pytest.approx(0.75 * moved * 1e15, rel=2e-2)
    # The mirror's reference stays on: 10 nA from 0.75 V.
    assert summary.static_power_uW["mirror"] == pytest.approx(7.5e-3)
    assert summary.static_power_uW["digital"] == 0
    assert summary.static_power_uW["optocoupler"] > 1


@pytest.mark.thorough
def test_another_supply_moves_all_families_as_far_as_a_mirror_there():
    stored = np.array([0, 0.43, 1])
    run = neuromod.run(SynapseFamilies(vdd=0.6 * volt, stored=stored, **SMALL))
    np.testing.assert_allclose(run.table.step_mV, run.table.closed_form_mV, atol=1e-9)
    full = steps(run, stored=1.0, sign="up", v_start_mV=250.0)
    np.testing.assert_allclose(full.step_mV, 7 * float(CircuitNeuron().step(0.6 * volt) / mV))


def test_more_stored_gives_no_fewer_spikes(run):
    for family in ("mirror", "optocoupler", "digital"):
        counts = run.tables["spikes"][f"{family}_spikes"]
        assert (np.diff(counts) >= 0).all()
        assert counts.iloc[-1] > counts.iloc[0]


@pytest.mark.thorough
def test_the_figure_and_the_words_need_no_more_than_two_values():
    few = neuromod.run(SynapseFamilies(stored=np.array([0, 1]), **SMALL))
    assert draw(few.protocol, few.tables, few.recordings).png
    assert "reference included" in few.protocol.report(few.tables)[1].text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"circuit": CircuitNeuron(output="mosfet")}, "output must stay ideal: ideal synapses"),
        ({"circuit": CircuitNeuron(R_supply=1 * Mohm)}, "R_supply must stay 0 Ω"),
        ({"v_start": [230, 310] * mV}, "resting potential"),
        ({"v_start": [250, 350] * mV}, "below the threshold"),
        ({"stored": np.array([0.1, 1])}, "rise from 0 to 1"),
        ({"stored": np.array([0, 0.6, 0.4, 1])}, "rise from 0 to 1"),
        ({"optocoupler": Optocoupler(R_dark=3 * Mohm)}, "more than full scale"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        SynapseFamilies(**settings)


def test_a_darker_coupler_has_a_smaller_smallest_weight():
    dark = SynapseFamilies(optocoupler=Optocoupler(R_dark=20 * Gohm))
    assert dark.units["optocoupler"][0] < SynapseFamilies().units["optocoupler"][0] / 5


def test_evenly_spaced_values_become_every_code_equally_often():
    # In steps of a quarter of a code: four for each, and at the ends the half that lies within.
    whole = SynapseFamilies().units["mirror"]
    assert np.bincount(whole.astype(int)).tolist() == [2, 4, 4, 4, 4, 4, 4, 3]
