"""Supplies for groups of a neuron's synapses: more are better, and codes stay."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from brian2 import volt

import neuromod

pytest.importorskip("torch")

from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.supply_groups import SupplyGroups
from neuromod.tuning import recipe

SMALL = {"compared": (1,), "sharing": (4,), "rails": (7,), "sizes": [4.0], "seeds": 1, "images": 5}


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
        patch.setitem(recipe.EPOCHS, "spiking", 2)
        few = {"studies": ("supplies", "rails", "mismatch"), "groups": 1}
        return neuromod.run(SupplyGroups(**few, **SMALL))


@pytest.fixture(scope="module")
def run():
    return neuromod.run(SupplyGroups(bits=(2, 3), **SMALL))


def networks(run):
    """All that have the codes in memory."""
    (found,) = run.protocol.chips.values()
    return [
        chip for chip in found if chip.about["grouping"] not in ("free gains", "everything trained")
    ]


def supplies(chip):
    """Supply of every synapse of a network."""
    return np.concatenate(
        [
            np.take_along_axis(np.asarray(layer.vdd / volt), layer.supply, axis=1).ravel()
            for layer in chip.layers
        ]
    )


def test_circuit_neurons_do_what_codes_times_steps_say(hasty):
    ran = hasty.table[hasty.table.simulated]
    assert ran.study.tolist() == ["groups", "rails"]
    assert ran.neurons_compared.min() > 600
    assert (ran.neurons_differ == 0).all()


def test_no_code_is_rewritten(hasty):
    first, *others = networks(hasty)
    for chip in others:
        if chip.about["study"] != "mismatch":
            for layer, own in zip(chip.layers, first.layers, strict=True):
                np.testing.assert_array_equal(layer.codes, own.codes)
                np.testing.assert_array_equal(layer.bias_codes, own.bias_codes)


def test_rails_are_as_many_voltages_as_are_asked_for(hasty):
    for chip in networks(hasty):
        if chip.about["study"] == "rails":
            assert 3 < len(np.unique(supplies(chip).round(9))) <= 7


def test_neurons_that_share_supplies_have_a_fourth_of_them(hasty):
    rows = hasty.table.set_index(["study", "sharing"]).gains
    assert rows["groups", 1].item() == 2 * 173
    assert rows["supplies", 4].item() == pytest.approx(2 * 173 / 4, rel=0.02)


def test_a_deviating_chip_has_other_currents_of_the_same_signs(hasty):
    first = networks(hasty)[0]
    made = [chip for chip in networks(hasty) if chip.about["study"] == "mismatch"]
    assert [chip.about["tuned_on"] for chip in made] == ["design", "chip"]
    for chip in made:
        for layer, own in zip(chip.layers, first.layers, strict=True):
            np.testing.assert_array_equal(np.sign(layer.codes), np.sign(own.codes))
            off = np.abs(layer.codes / np.where(own.codes, own.codes, 1) - 1)[own.codes != 0]
            assert 0.01 < np.median(off) < 0.5


def test_the_page_tells_every_study_and_how_many_images_ran(hasty):
    words = " ".join(section.text for section in hasty.protocol.report(hasty.tables))
    for title in ("Supplies for each neuron.", "Rails: voltages", "Mismatch. size 4"):
        assert title in words
    assert "5 of 269 test images" in words


@pytest.mark.thorough
def test_more_supplies_do_better_and_several_beat_free_gains(run):
    rows = run.table[run.table.grouping == "index"]
    by = rows[rows.sharing == 1].set_index(["study", "supplies"]).test_accuracy
    assert by["supplies", 1] + 0.05 < by["supplies", 2] < by["groups", 8] - 0.1
    free = run.table[run.table.grouping == "free gains"].test_accuracy.item()
    assert by["groups", 8] > free + 0.1


@pytest.mark.thorough
def test_eight_supplies_that_four_neurons_share_do_better_than_two_of_each_s_own(run):
    rows = run.table[(run.table.study == "supplies") & (run.table.supplies == 2)]
    assert rows[rows.sharing == 4].test_accuracy.item() > rows.test_accuracy.min() + 0.1


@pytest.mark.thorough
def test_what_is_trained_on_codes_is_what_runs(run):
    rows = run.table[run.table.grouping.ne("everything trained") & (run.table.supplies != 1)]
    rows = rows[rows.mismatch == 0]
    np.testing.assert_allclose(rows.test_accuracy, rows.trained_accuracy, atol=6 / 269)


@pytest.mark.thorough
def test_groups_by_what_synapses_learned_are_best_and_nearly_as_good_as_one_for_each(run):
    rows = run.table[run.table.study == "grouping"].set_index("grouping").test_accuracy
    others = ["index", "index, twice", "size", "significance", "source"]
    assert rows["learned"] > rows[others].max() + 0.05
    assert rows["learned"] > rows["each synapse"] - 0.05


@pytest.mark.thorough
def test_tuning_on_the_chip_as_made_takes_back_what_mismatch_costs(run):
    rows = run.table[run.table.study == "mismatch"].set_index("tuned_on").test_accuracy
    designed = run.table[run.table.study == "groups"].test_accuracy.item()
    assert rows["design"] < designed - 0.05
    assert rows["chip"] > rows["design"] + 0.05


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"circuit": CircuitNeuron(synapse="conductance")}, r"circuit\.synapse must be 'mirror'"),
        ({"circuit": CircuitNeuron(vto=0.53 * volt)}, "leaves no current at 0.5 V"),
        ({"rails": (3, 3)}, "rails names 3 2 times"),
        ({"sizes": [2.0, 2.0]}, r"sizes names 2\.0 2 times"),
        ({"sharing": (1,)}, "sharing"),
        ({"studies": ("railz",)}, "rails"),
    ],
)
def test_what_cannot_be_is_refused(settings, sentence):
    with pytest.raises(neuromod.UserError, match=sentence):
        SupplyGroups(**settings)
