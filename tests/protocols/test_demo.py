"""One gain per neuron, from images to cells to a chip."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import neuromod

pytest.importorskip("torch")

from neuromod.chip.deployment import accuracy
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.demo import Demo
from neuromod.protocols.families.networks import prepare_features
from neuromod.runs.files import PAGES
from neuromod.runs.run import load_run, render
from neuromod.support.tensor_file import read_tensors
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.gains import save_gains
from neuromod.tuning.recipe import calibrated
from neuromod.tuning.trained import GAINS
from neuromod.tuning.training import tune


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pretrained):
    folder = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:
        own = shutil.copytree(pretrained, tmp_path_factory.mktemp("cache") / "own")
        patch.setenv("NEUROMOD_CACHE", str(own))
        neuromod.run(Demo(methods=("none", "additive", "nt1"), seeds=2), out=folder)
        yield folder


@pytest.fixture(scope="module")
def run(folder):
    return load_run(folder)


def rows(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def test_cells_do_exactly_what_torch_does(run):
    agreed = rows(run.tables["agreement"], pair="torch – cells")
    assert (agreed.differ == 0).all()
    assert (agreed.images_agree == 1).all()
    shares = run.tables["deployment"].set_index("realisation").test_accuracy
    assert shares["cells"] == shares["torch"]


def test_the_deployed_network_is_the_best_on_validation_images(run):
    candidates = rows(run.table, method="nt1_groups")
    best = candidates.loc[candidates.validation_accuracy.idxmax()]
    torch_accuracy = run.tables["deployment"].set_index("realisation").test_accuracy["torch"]
    assert torch_accuracy == pytest.approx(best.test_accuracy)


def test_gains_beat_shifts_beat_nothing(run):
    for network, loss in (("rate", "cross_entropy"), ("spiking", "membrane")):
        mean = rows(run.tables["summary"], network=network, loss=loss).set_index("method")
        mean = mean.test_accuracy_mean
        assert mean["nt1"] > mean["additive"] + 0.05
        assert mean["additive"] > mean["none"] + 0.05


def test_a_chip_whose_codes_stay_does_better_than_free_gains_off_it(run):
    free = rows(run.table, network="spiking", loss="membrane", method="nt1")
    grouped = rows(run.table, method="nt1_groups")
    assert grouped.test_accuracy.min() > free.test_accuracy.max() + 0.1
    shares = run.tables["deployment"].set_index("realisation").test_accuracy
    assert shares["circuit"] > free.test_accuracy.max() + 0.1


def test_one_gain_is_trained_per_neuron_and_one_per_group(run):
    counts = run.tables["summary"].groupby("method").trained_parameters.first()
    neurons = len(run.tables["supplies"].groupby(["layer", "neuron"]))
    assert counts["none"] == 0
    assert counts["nt1"] == counts["additive"] == neurons
    assert counts["nt1_groups"] == 2 * 4 * neurons


def test_no_gain_of_the_chip_is_negative_and_supplies_stay_in_range(run):
    supplies, grouped = run.tables["supplies"], rows(run.table, method="nt1_groups")
    assert (grouped.negative_gains == 0).all()
    assert rows(run.table, method="nt1").negative_gains.min() > 0
    assert supplies.vdd_V.between(0.5, 1).all()
    assert supplies.gain.min() > 0
    # The square-law mirror behind its resistor, by hand.
    u = 10 * (supplies.vdd_V - 0.35)
    assert np.allclose(supplies.gain, (1 + u - np.sqrt(1 + 2 * u)) / (3.5 - np.sqrt(6)))


def test_every_weight_is_fed_by_one_supply_and_most_neurons_need_all_eight(run):
    supplies, changes = run.tables["supplies"], run.tables["changes"]
    biases = len(supplies.groupby(["layer", "neuron"]))
    assert supplies.synapses.sum() == changes.weights.sum()
    assert changes.weights.sum() == 44_309
    assert len(supplies) > 7 * biases
    assert changes.supplies.sum() == 8 * biases


def test_the_circuit_is_worse_than_torch_by_what_its_neurons_differ(run):
    shares = run.tables["deployment"].set_index("realisation").test_accuracy
    wrong = rows(run.tables["agreement"], pair="torch – circuit", layer="output")
    assert abs(shares["circuit"] - shares["torch"]) <= 1 - wrong.images_agree.item()


def test_energy_entries_add_up(run):
    ledger = run.tables["ledger"].set_index("entry").energy_per_image_pJ
    entries = ledger[~ledger.index.str.startswith("total")]
    assert entries.sum() == pytest.approx(ledger["total"])
    pulsed = ledger["total"] - ledger["idle references"]
    assert ledger["total, references pulsed"] == pytest.approx(pulsed)
    circuit = run.tables["deployment"].set_index("realisation").loc["circuit"]
    assert ledger["total"] == pytest.approx(circuit.energy_per_image_pJ)
    assert ledger["reset"] == pytest.approx(0.01 * circuit.spikes_per_image)


def test_the_folder_holds_what_repeats_and_explains_the_run(folder, run):
    held = {path.name for path in folder.iterdir()}
    expected = {"run.json", "table.csv", "gains.safetensors", *PAGES}
    assert expected | {"cells.nix", "circuit.nix"} <= held
    info = json.loads((folder / "run.json").read_text())
    assert {"settings", "seed", "versions", "device", "wall_s", "notes"} <= info.keys()
    assert info["notes"]["features from cache"] is False
    assert run.protocol == Demo(methods=("none", "additive", "nt1"), seeds=2)
    page = (folder / "report.html").read_text()
    ours = page.replace('a[href^="http"]', "").replace("http://www.w3.org", "")
    assert "http" not in ours
    assert 'src="data:image/png;base64,' in page


def test_the_gains_file_knows_what_it_belongs_to(folder, run):
    gains = read_tensors(folder / "gains.safetensors", GAINS)
    assert gains.header["recipe"]["method"] == "nt1_groups"
    assert gains.header["recipe"]["kind"] == "spiking"
    assert {"accuracy", "base", "data", "versions"} <= gains.header.keys()
    stored = np.concatenate([tensor.numpy() for _, tensor in sorted(gains.tensors.items())])
    used = run.tables["supplies"].gain
    # Gains are stored in single precision, and a group without synapses has no supply.
    assert len(stored) >= len(used)
    assert np.isin(used.round(5), stored.astype(float).round(5)).mean() > 0.999


def test_a_stored_run_is_rendered_again_without_training(folder):
    before = (folder / "figure.png").read_bytes()
    assert render(folder).is_file()
    assert (folder / "figure.png").read_bytes() == before


@pytest.mark.thorough
def test_saved_gains_can_be_deployed_without_tuning(folder, run):
    again = neuromod.run(Demo(gains=str(folder / "gains.safetensors")))
    assert len(again.table) == 1
    pd.testing.assert_frame_equal(again.tables["deployment"], run.tables["deployment"])


@pytest.mark.thorough
def test_saved_gains_can_be_deployed_on_some_test_images_alone(folder):
    gains = str(folder / "gains.safetensors")
    run = neuromod.run(Demo(gains=gains, deployed_images=17))
    assert len(run.table) == 1
    agreed = rows(run.tables["agreement"], pair="torch – cells", layer="output")
    assert agreed.neurons.item() == 17 * 5
    on_task, _, on_deployment, on_agreement, _, on_energy, _ = run.protocol.report(run.tables)
    assert "269 to test with" in on_task.text
    for section in (on_deployment, on_agreement, on_energy):
        assert "17 of 269 images" in section.text
        assert (run.tables[section.table].images == "17 of 269 images").all()
    figure = run.protocol.plot(run.tables, run.recordings)
    across = {axes.get_title(): axes.get_xlabel() for axes in figure.axes}
    assert across["b  Deployed network, codes kept"] == "on 17 of 269 images"
    assert sum("17 of 269 images" in words for words in across.values()) == 2


def test_where_all_test_images_are_deployed_the_report_says_so(run):
    assert "On all 269 test images, it is right in" in run.protocol.report(run.tables)[2].text


def test_what_memory_cannot_hold_is_refused_before_tuning(monkeypatch):
    monkeypatch.setattr("neuromod.protocols.families.networks.MOST_SYNAPSES", 100_000)
    with pytest.raises(neuromod.UserError, match="set deployed_images to 13 or less"):
        neuromod.run(Demo())


@pytest.mark.thorough
def test_random_weights_are_said_to_mean_nothing():
    run = neuromod.run(
        Demo(methods=("nt1",), seeds=1, groups=1, weights="random", deployed_images=3)
    )
    for table in run.tables.values():
        assert (table.weights == "random: accuracies mean nothing").all()
    report = run.protocol.report(run.tables)
    assert "accuracies mean nothing" in report[0].text
    assert "44 309 weights and biases" in report[4].text


def test_a_truncated_gains_file_is_refused(folder, tmp_path):
    truncated = tmp_path / "gains.safetensors"
    truncated.write_bytes((folder / "gains.safetensors").read_bytes()[:-100])
    with pytest.raises(neuromod.UserError, match="truncated"):
        neuromod.run(Demo(gains=str(truncated)))


def test_gains_of_whole_neurons_are_not_taken_for_those_of_groups(folder, tmp_path):
    codes = Demo()._memory.backbone
    features = prepare_features(codes, load_digits())
    recipe = replace(calibrated("nt1", "spiking", "membrane"), epochs=1)
    save_gains(tmp_path / "g.safetensors", tune(features, codes, recipe), codes, features)
    with pytest.raises(neuromod.UserError, match="holds a spiking nt1 network"):
        neuromod.run(Demo(gains=str(tmp_path / "g.safetensors")))
    with pytest.raises(neuromod.UserError, match="trained on"):
        neuromod.run(Demo(circuit=CircuitNeuron(bits=5), gains=str(folder / "gains.safetensors")))


def test_methods_are_those_that_there_are_each_once_and_none_for_the_chip():
    with pytest.raises(neuromod.UserError, match="did you mean nt"):
        Demo(methods=("nt1", "nt3"))
    with pytest.raises(neuromod.UserError, match="nt1 2 times"):
        Demo(methods=("nt1", "nt1"))
    with pytest.raises(neuromod.UserError, match="leave nt1_groups out"):
        Demo(methods=("nt1", "nt1_groups"))


def test_a_missing_data_folder_is_one_sentence(tmp_path):
    with pytest.raises(neuromod.UserError, match="nowhere"):
        neuromod.run(Demo(data=str(tmp_path / "nowhere")))


def test_accuracy_asks_for_the_right_neuron_alone():
    output = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])
    assert accuracy(output, np.array([0, 0, 2, 2])) == 0.5
