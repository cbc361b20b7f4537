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

SMALL = {"studies": ("supplies", "rails"), "compared": (1,), "rails": (7,), "seeds": 1, "images": 5}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory, pretrained):
    with pytest.MonkeyPatch.context() as patch:
        own = shutil.copytree(pretrained, tmp_path_factory.mktemp("cache") / "own")
        patch.setenv("NEUROMOD_CACHE", str(own))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("supply-groups") / "run"
    return neuromod.run(SupplyGroups(**SMALL), out=out)


@pytest.mark.thorough
def test_circuit_neurons_do_what_codes_times_steps_say(run):
    ran = run.table[run.table.simulated]
    assert len(ran) == 2
    assert ran.neurons_compared.min() > 600
    assert (ran.neurons_differ == 0).all()


@pytest.mark.thorough
def test_more_supplies_do_better_and_several_beat_free_gains(run):
    rows = run.tables["supplies"]
    by = rows.set_index(["study", "supplies"]).test_accuracy_mean
    assert by["supplies", 1] + 0.05 < by["supplies", 2] < by["own", 8] - 0.1
    free = rows[rows.grouping == "free gains"].test_accuracy_mean.iloc[0]
    assert by["own", 8] > free + 0.1


@pytest.mark.thorough
def test_what_is_trained_on_codes_is_what_runs_and_the_codes_are_one(run):
    rows = run.table[run.table.study != "reference"]
    np.testing.assert_allclose(rows.test_accuracy, rows.trained_accuracy, atol=6 / 269)
    (chips,) = run.protocol.chips.values()
    kept = [chip for chip in chips if chip.about["study"] != "reference"]
    for chip in kept:
        for layer, first in zip(chip.layers, kept[0].layers, strict=True):
            np.testing.assert_array_equal(layer.codes, first.codes)


@pytest.mark.thorough
def test_rails_are_as_many_voltages_as_are_asked_for(run):
    (chips,) = run.protocol.chips.values()
    (chip,) = [chip for chip in chips if chip.about["study"] == "rails"]
    used = [
        np.take_along_axis(np.asarray(layer.vdd / volt), layer.supply, axis=1).ravel()
        for layer in chip.layers
    ]
    assert len(np.unique(np.concatenate(used).round(9))) <= 7


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"circuit": CircuitNeuron(synapse="conductance")}, r"circuit\.synapse must be 'mirror'"),
        ({"circuit": CircuitNeuron(vto=0.53 * volt)}, "leaves no current at 0.5 V"),
        ({"rails": (3, 3)}, "rails names 3 2 times"),
        ({"studies": ("railz",)}, "rails"),
    ],
)
def test_what_cannot_be_is_refused(settings, sentence):
    with pytest.raises(neuromod.UserError, match=sentence):
        SupplyGroups(**settings)
