"""Ensembles of gains: equal numbers, one set of codes, and the energy of changing supplies."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from brian2 import nsecond, usecond, volt
from brian2.units.allunits import ffarad, pjoule

import neuromod

pytest.importorskip("torch")

from neuromod.chip.deployment import expected_spikes, on_circuit
from neuromod.devices.simulation import simulate
from neuromod.inputs.supplies import schedule
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.ensemble import Ensemble, classification, regression
from neuromod.protocols.ensemble.chip import votes_to_shares
from neuromod.protocols.ensemble.members import draws, groups_for, network, numbers_in, widest
from neuromod.tuning import recipe

SMALL = {"members": (1, 2), "seeds": 1, "images": 3, "noise": [0.31], "rail": 71 * ffarad}
EQUAL = ("order", "start", "bagging", "groups", "pixels", "features", "sets", "small")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory, pretrained):
    with pytest.MonkeyPatch.context() as patch:
        own = shutil.copytree(pretrained, tmp_path_factory.mktemp("cache") / "own")
        patch.setenv("NEUROMOD_CACHE", str(own))
        yield


@pytest.fixture(scope="module")
def hasty():
    """Networks that have hardly learned, but for which all is done that is done for others."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("rate", "spiking"):
            patch.setitem(recipe.EPOCHS, kind, 2)
        for name in ("SMALL", "FULL"):
            patch.setattr(classification, name, replace(getattr(classification, name), epochs=2))
            patch.setattr(regression, name, replace(getattr(regression, name), epochs=3))
        yield neuromod.run(Ensemble(batch=3, **SMALL))


def test_ensembles_of_equal_size_have_equal_numbers(hasty):
    rows = hasty.table[hasty.table.way.isin(EQUAL)]
    of_a_set = rows.study.map({"classification": 173, "regression": 61, "chip": 173})
    assert (rows.trained_numbers == of_a_set * rows.members).all()
    assert set(rows.way) == set(EQUAL)


def test_small_networks_are_the_widest_that_so_many_numbers_allow():
    for inputs, outputs, numbers in ((36, 5, 173), (10, 1, 61), (7, 3, 100)):
        hidden = widest(inputs, outputs, numbers)
        assert numbers_in([inputs, hidden, outputs]) <= numbers
        assert numbers_in([inputs, hidden + 1, outputs]) > numbers
        made = network([inputs, hidden, outputs], 3)
        assert sum(p.numel() for p in made.parameters()) == numbers_in([inputs, hidden, outputs])
    assert [groups_for(members) for members in (1, 2, 3, 4, 8)] == [0, 1, 0, 2, 4]


def test_a_smaller_ensemble_is_the_first_members_of_a_larger_one():
    few, many = draws(5, 2, 173, 448), draws(5, 7, 173, 448)
    for one, other in zip(few, many, strict=False):
        assert one.seed == other.seed
        np.testing.assert_array_equal(one.normal, other.normal)
        np.testing.assert_array_equal(one.rows, other.rows)
    # A bootstrap sample holds 1 - 1/e of what it is drawn from.
    shares = [len(set(draw.rows)) / 448 for draw in many]
    assert np.mean(shares) == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert len({draw.seed for draw in many}) == 7


def test_members_differ_only_in_what_they_are_said_to():
    (draw,) = draws(5, 1, 173, 448)
    train = np.arange(1000, 1448)
    for way, varied in (("order", False), ("start", True), ("bagging", False)):
        assert np.any(draw.start(way, 0.7) != 1) == varied
        assert np.array_equal(draw.samples(way, train), train) == (way != "bagging")
    assert np.all((draw.within(0.48, 3.6) > 0.48) & (draw.within(0.48, 3.6) < 3.6))


def test_an_ensemble_is_never_worse_than_its_members_on_average(hasty):
    """Exact identities, which hold for any networks."""
    table = hasty.table[hasty.table.study == "regression"]
    pairs = table[table.members == 2].merge(table[table.members == 1], on="way")
    assert len(pairs) == 5
    assert (table[table.members == 2].rmse <= table[table.members == 2].member_rmse + 1e-9).all()
    single = hasty.table[(hasty.table.members == 1) & (hasty.table.study == "classification")]
    assert (single.disagreement == 0).all()
    assert np.allclose(single.diversity, 0)
    assert np.allclose(single.accuracy, single.member_accuracy)


def test_all_members_run_on_the_same_codes(hasty):
    for passes in hasty.protocol.passes.values():
        for ran in passes:
            first = hasty.protocol.passes["sets, seed 1"][0]
            for layer, own in zip(ran.layers, first.layers, strict=True):
                np.testing.assert_array_equal(layer.codes, own.codes)
                np.testing.assert_array_equal(layer.bias_codes, own.bias_codes)
    one, other = hasty.protocol.passes["sets, seed 1"]
    assert one.supplies == other.supplies == 173
    assert np.any(one.layers[0].vdd != other.layers[0].vdd)
    (groups,) = hasty.protocol.passes["groups, seed 1"]
    assert groups.supplies == 2 * 173


def test_circuit_neurons_do_what_the_closed_form_says(hasty):
    rows = hasty.table[hasty.table.study == "chip"]
    assert rows.neurons_compared.tolist() == [3 * 173, 2 * 3 * 173, 3 * 173]
    assert (rows.neurons_differ == 0).all()


def test_energy_is_that_of_the_passes_resets_and_changes(hasty):
    rows = hasty.table[hasty.table.study == "chip"].set_index(["way", "members"])
    passes = hasty.protocol.passes["sets, seed 1"]
    squares = sum(np.sum((la.vdd / volt) ** 2) for ran in passes for la in ran.layers)
    pair = rows.loc["sets", 2]
    # 71 fF at one volt squared is 0.071 pJ; supplies change after three images.
    assert pair.changes_energy_pJ == pytest.approx(0.071 * squares / 3)
    assert pair.resets_energy_pJ == pytest.approx(2 * 173 * 0.01)
    parts = ["passes_energy_pJ", "resets_energy_pJ", "changes_energy_pJ"]
    np.testing.assert_allclose(rows.energy_per_image_pJ, rows[parts].sum(axis=1))
    assert rows.changes_energy_pJ["sets", 1] == rows.changes_energy_pJ["groups", 2] == 0
    assert rows.passes.to_list() == [1, 2, 1]


def test_the_page_says_what_was_compared(hasty):
    words = " ".join(section.text for section in hasty.protocol.report(hasty.tables))
    for part in ("From 1 to 2 members (173 to 346 numbers)", "a tie is wrong", "0.31 of the"):
        assert part in words
    assert "after 3 images" in words


@pytest.mark.thorough
def test_a_run_repeats_to_the_bit():
    protocol = Ensemble(studies=("regression",), members=(1, 3), seeds=1)
    first, second = (neuromod.run(protocol).table for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    other = neuromod.run(replace(protocol, seed=2)).table
    assert not np.allclose(first.rmse, other.rmse)


def test_shares_of_votes():
    votes = np.array([[2, 0, 1], [0, 0, 0], [0, 3, 0]])
    expected = [[2 / 3, 0, 1 / 3], [1 / 3] * 3, [0, 1, 0]]
    np.testing.assert_allclose(votes_to_shares(votes), expected)


@pytest.mark.thorough
def test_supplies_that_change_between_passes_do_what_two_chips_do():
    """One network, whose supplies change while its membranes decay to rest."""
    protocol = Ensemble(studies=("chip",), **SMALL)
    one, other = protocol.passes["sets, seed 1"]
    circuit, period, dt = protocol.circuit, 200 * usecond, 10 * nsecond
    image = protocol._volleys[:, protocol._shown[:1]]
    twice = np.concatenate([image, image])
    _, experiment = on_circuit(circuit, [one.layers], twice, period, dt, 1)
    vdd = np.array(
        [np.concatenate([(la.vdd / volt).ravel() for la in p.layers]) for p in (one, other)]
    )
    (chip,) = experiment.populations
    own = {name: value for name, value in chip.values.items() if name != "vdd"}
    bare = replace(chip, values=own)
    change = schedule(bare, [0, 190] * usecond, vdd * volt, dt)
    recording = simulate(replace(experiment, populations=(bare,)).add(change))
    spikes = recording.spikes["chip"]
    for number, ran in enumerate((one, other)):
        expected = np.hstack(expected_spikes(circuit, ran.layers, image, period, dt))[0]
        during = np.asarray(spikes.times // period).astype(int) == number
        found = np.bincount(spikes.neurons[during], minlength=len(expected))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.thorough
def test_sets_of_gains_from_random_starts_gain_most_and_small_networks_beat_them():
    run = neuromod.run(Ensemble(studies=("classification",), members=(1, 8), seeds=1))
    rows = run.tables["classification"].set_index(["way", "members"])
    start = rows.loc["start"]
    assert start.accuracy_mean[8] > start.accuracy_mean[1] + 0.02
    assert start.nll_mean[8] < start.nll_mean[1] - 0.05
    assert start.diversity_mean[8] > rows.diversity_mean["order", 8]
    assert rows.accuracy_mean["pixels", 1] > start.accuracy_mean[8]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"members": (2, 2)}, "members names 2 2 times"),
        ({"members": (0,)}, "members"),
        ({"studies": ("regresion",)}, "regression"),
        ({"noise": [0.0]}, "noise"),
        ({"rail": -1 * ffarad}, "rail"),
        ({"rail": 1 * pjoule}, "rail"),
        ({"level": 1.0}, "level"),
        ({"circuit": CircuitNeuron(synapse="conductance")}, r"circuit\.synapse must be 'mirror'"),
    ],
)
def test_what_cannot_be_is_refused(settings, sentence):
    with pytest.raises(neuromod.UserError, match=sentence):
        Ensemble(**settings)
