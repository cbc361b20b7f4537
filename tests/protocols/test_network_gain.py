"""A balanced network under a modulator follows mean-field theory, limits and hand counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, amp, ms, mV, nS, pA, second, umolar

import neuromod
from neuromod.devices.simulation import simulate
from neuromod.experiment import Input
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptor_library import library
from neuromod.protocols.network_gain import NetworkGain
from neuromod.runs.report import draw

SMALL = NetworkGain(
    conc=[0, 0.7] * umolar,
    drive=[13, 17, 23] * Hz,
    n_excitatory=1600,
    n_inhibitory=400,
    indegree=160,
    weight=120 * pA,
    g=5.7,
    dwell=0.6 * second,
    transient=0.1 * second,
    sample=60,
)
TINY = replace(
    SMALL,
    n_excitatory=240,
    n_inhibitory=60,
    indegree=40,
    weight=310 * pA,
    dwell=0.11 * second,
    transient=0.03 * second,
    conc=[0.7] * umolar,
)


@pytest.fixture(scope="module")
def run():
    return neuromod.run(SMALL)


def trains(protocol):
    (experiment,) = protocol.experiments().values()
    return fired(experiment)


def fired(experiment):
    spikes = simulate(experiment).spikes["cells"]
    return spikes.neurons, np.round(spikes.times / experiment.dt)


def test_rates_agree_with_mean_field_theory(run):
    assert np.allclose(run.table.rate_Hz, run.table.mean_field_Hz, rtol=0.1)


def test_trains_are_irregular_and_hardly_correlated(run):
    assert run.table.cv.between(0.35, 1.2).all()
    assert run.table.correlation.abs().max() < 0.06


def test_the_error_of_the_correlation_comes_from_five_parts_of_the_time(run):
    spikes = run.recordings["bath of 0 uM"].spikes["cells"]
    steps = np.round(spikes.times / run.protocol.dt).astype(int)
    found = []
    for start in range(1000, 7000, 1200):
        here = (steps >= start) & (steps < start + 1200) & (spikes.neurons < 60)
        counts = np.zeros((60, 6))
        np.add.at(counts, (spikes.neurons[here], (steps[here] - start) // 200), 1)
        varying = counts[counts.std(axis=1) > 0]
        found.append(np.corrcoef(varying)[np.triu_indices(len(varying), 1)].mean())
    row = run.table[run.table.population == "excitatory"].iloc[0]
    assert row.correlation_se == pytest.approx(np.std(found, ddof=1) / np.sqrt(5))
    assert 0 < row.cv_se < row.cv


def test_gain_follows_binding_and_hill_by_hand(run):
    occupancy = 0.7 / (0.7 + 1.0)
    gains = run.table.groupby("conc_uM").gain.unique()
    assert gains[0.0] == [1]
    assert gains[0.7] == pytest.approx([1 + 2 * occupancy**2 / (occupancy**2 + 0.25)])


def test_a_gain_of_all_cells_shifts_the_response_rather_than_multiplying_it(run):
    without, modulated = (
        rows.set_index("population") for _, rows in run.tables["response"].groupby("conc_uM")
    )
    assert (modulated.gain / without.gain > 1.6).all()
    assert (np.abs(modulated.over_control - 1) < 0.3).all()
    assert (without.onset_Hz - modulated.onset_Hz > 4).all()


def test_response_gain_is_the_slope_by_hand(run):
    rates = run.table[(run.table.conc_uM == 0) & (run.table.population == "inhibitory")].rate_Hz
    # Deviations of 13, 17, 23 from their mean of 53/3 are (-14, -2, 16)/3.
    slope = np.dot([-14, -2, 16], rates) / 3 / (456 / 9)
    response = run.tables["response"].set_index(["conc_uM", "population"])
    assert response.response_gain[0.0, "inhibitory"] == pytest.approx(slope)


def test_a_gain_of_inhibitory_cells_alone_quietens_the_network_and_of_excitatory_ones_stirs_it():
    tables = {
        target: neuromod.run(replace(TINY, target=target)).table
        for target in ("all", "excitatory", "inhibitory")
    }
    rates = {name: table.groupby("population").rate_Hz.mean() for name, table in tables.items()}
    assert rates["inhibitory"].excitatory < 0.3 * rates["all"].excitatory
    assert rates["excitatory"].excitatory > 1.5 * rates["all"].excitatory
    for target in ("excitatory", "inhibitory"):
        table = tables[target]
        assert (table.gain[table.population == target] > 1.6).all()
        assert (table.gain[table.population != target] == 1).all()


def test_a_gain_of_every_cell_is_a_gain_of_every_weight_spike_by_spike():
    # A power of two, which leaves every digit of every current as it is.
    (double,) = TINY.experiments().values()
    (heavy,) = replace(TINY, weight=2 * TINY.weight).experiments().values()
    double = double.add(Input("cells", {"trained_gain": 2.0}))
    for one, other in zip(fired(double), fired(heavy), strict=True):
        assert len(one) > 300
        assert np.array_equal(one, other)


def test_the_same_seed_is_the_same_network_and_another_seed_another():
    first, again, other = (trains(replace(TINY, seed=seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0][:200], other[0][:200])


def test_every_cell_has_as_many_synapses_of_each_kind_and_none_from_itself():
    (experiment,) = TINY.experiments().values()
    excitatory, inhibitory, outside = experiment.connections
    for connection, indegree in ((excitatory, 40), (inhibitory, 10), (outside, 40)):
        assert np.all(np.bincount(connection.j, minlength=300) == indegree)
        assert connection.delay == 1.5 * ms
    assert not np.any(excitatory.i == excitatory.j)
    assert not np.any(inhibitory.i == inhibitory.j)
    assert excitatory.i.max() == 239
    assert inhibitory.i.min() == 240
    assert inhibitory.weight == -5.7 * excitatory.weight
    assert outside.weight == excitatory.weight > 0 * amp


def test_every_bath_has_the_same_network_the_same_input_and_the_same_start():
    first, other = replace(TINY, conc=[0, 0.7] * umolar).experiments().values()
    assert first.connections is other.connections
    assert first.sources[0] is other.sources[0]
    assert np.array_equal(first.populations[0].values["v"], other.populations[0].values["v"])


def test_cells_start_between_rest_and_threshold():
    (experiment,) = TINY.experiments().values()
    v = experiment.populations[0].values["v"] / mV
    assert -70 <= v.min() < -69
    assert -51 < v.max() < -50
    assert v.mean() == pytest.approx(-60, abs=4 * 20 / np.sqrt(12 * 300))


def test_the_transient_of_every_stair_is_left_out():
    (experiment,) = TINY.experiments().values()
    recording = simulate(experiment)
    table = TINY.measure({"bath of 0.7 uM": recording})["table"]
    spikes = recording.spikes["cells"]
    steps = np.round(spikes.times / TINY.dt)
    by_hand = [
        np.sum((spikes.neurons < 240) & (steps >= end - 1100) & (steps < end)) / 240 / 0.11
        for end in (1400, 2800, 4200)
    ]
    found = table[table.population == "excitatory"].rate_Hz
    assert found.tolist() == pytest.approx(by_hand)


def test_where_theory_does_not_hold_there_is_none_to_compare_with():
    neuron = GainLIF(receptors=(replace(library["M1"], g_K=-3 * nS),), b=11 * pA)
    run = neuromod.run(replace(TINY, neuron=neuron))
    assert "mean_field_Hz" not in run.table
    assert run.table.rate_Hz.min() > 0
    text = " ".join(section.text for section in run.protocol.report(run.tables))
    assert "none to compare with" in text


def test_report_says_what_balance_makes_of_a_gain(run):
    response, theory = run.protocol.report(run.tables)
    # 1/(5.7/4 - 1)
    assert "2.35" in response.text
    off = (run.table.rate_Hz - run.table.mean_field_Hz).abs().max()
    assert f"{off:.2g} Hz at most" in theory.text
    assert "synchrony" not in theory.text
    assert "1/(g" not in replace(run.protocol, g=3.1).report(run.tables)[0].text
    assert "1/(g" not in replace(run.protocol, target="excitatory").report(run.tables)[0].text


def test_an_excitatory_gain_that_outruns_inhibition_synchronises_the_network_and_is_reported():
    stirred = replace(TINY, target="excitatory", conc=[0.3] * umolar, sample=200)
    stirred = replace(stirred, weight=TINY.weight / 2, drive=[27, 35] * Hz)
    run = neuromod.run(stirred)
    assert run.table.correlation.min() > 0.3
    assert "synchrony" in run.protocol.report(run.tables)[1].text
    # Two drives make a line, and leave nothing to judge it by.
    response = run.tables["response"]
    assert response.response_gain.notna().all()
    assert response.response_gain_se.isna().all()


def test_the_figure_is_drawn_of_a_silent_network_too(run):
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")
    # Runs of earlier versions have no errors of CV and correlation.
    earlier = {"table": run.table.drop(columns=["cv_se", "correlation_se"])}
    assert draw(run.protocol, run.tables | earlier, run.recordings).png.startswith(b"\x89PNG")
    silent = neuromod.run(replace(TINY, drive=[1.3, 1.9, 2.7] * Hz))
    assert silent.table.rate_Hz.max() < 1
    assert silent.tables["response"].over_control.isna().all()
    assert draw(silent.protocol, silent.tables, silent.recordings).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("target", "interneurons", "target"),
        ("drive", [13] * Hz, "drive must be at least 2"),
        ("drive", [17, 13] * Hz, "ascending"),
        ("conc", [3, 1] * umolar, "conc"),
        ("indegree", 41, "whole number"),
        ("indegree", 240, "there are 239"),
        ("dwell", 31 * ms, "two bins"),
        ("transient", 0.05 * ms, "transient"),
        ("delay", 0.13 * ms, "delay"),
        ("neuron", GainLIF(receptors=()), "needs a receptor"),
        ("neuron", GainLIF(synapse="pulse"), "exponential"),
    ],
)
def test_impossible_settings_are_refused_before_the_work(setting, value, message):
    with pytest.raises(neuromod.UserError, match=message):
        replace(TINY, **{setting: value}).experiments()
