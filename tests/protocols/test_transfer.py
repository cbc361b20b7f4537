"""The paper's tables beside what is measured, and methods at equal numbers of parameters."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import neuromod

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError
from neuromod.protocols.families import networks
from neuromod.protocols.transfer import Transfer, protocol as transfer
from neuromod.protocols.transfer.page import MEANINGLESS
from neuromod.runs.run import load_run, render
from neuromod.tuning import grid
from neuromod.tuning.backbone import load_backbone
from neuromod.tuning.datasets import load_data
from neuromod.tuning.features import extract_features
from neuromod.tuning.published import cells_on
from neuromod.tuning.recipe import TuningRecipe
from neuromod.tuning.training import tune

SMALL = Transfer(
    data=("digits-noise", "digits"),
    tables=("1", "3", "7", "equal"),
    methods=("none", "nt1", "nt1_inputs", "nt1_both", "nt1_groups", "nt2", "lora"),
    learning_rates=np.array([0.01]),
    candidates=np.array([0.2, 0.007]),
    epochs=3,
    runs=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pretrained):
    folder = tmp_path_factory.mktemp("transfer") / "run"
    with pytest.MonkeyPatch.context() as patch:
        own = shutil.copytree(pretrained, tmp_path_factory.mktemp("cache") / "own")
        patch.setenv("NEUROMOD_CACHE", str(own))
        neuromod.run(SMALL, out=folder)
        yield folder


@pytest.fixture(scope="module")
def tables(folder):
    return load_run(folder).tables


def test_paper_s_numbers_stand_beside_what_is_measured_here_or_not(tables):
    table = tables["table"]
    for data in ("stl10", "food11", "bccd"):
        ours = table[table.data == data]
        wanted = [
            cell.accuracy
            for cell in cells_on(data)
            if cell.table in (1, 3, 7) and cell.method in SMALL.methods and cell.lr == 0.01
        ]
        assert sorted(ours.paper_accuracy) == sorted(wanted)
        assert set(ours.measured) == {"not here"}
        assert ours.validation_accuracy_mean.isna().all()
    here = table[table.data.isin(SMALL.data)]
    assert set(here.measured) == {"here"}
    assert here.paper_accuracy.isna().all()
    assert here.validation_accuracy_mean.notna().all()
    assert set(here.runs) == {2}


def test_tables_are_printed_as_in_the_paper_with_what_is_measured_beside(tables):
    printed = tables["paper"].set_index(["table", "data", "method"])
    row = tables["table"].set_index(["table", "data", "method"]).loc[(3, "digits", "nt1_inputs")]
    mean, sd = 100 * row.validation_accuracy_mean, 100 * row.validation_accuracy_sd
    cell = printed.loc[(3, "digits", "nt1_inputs"), "at 0.01"]
    assert cell == f"– / {mean:.1f} ± {sd:.1f}"
    assert printed.loc[(3, "stl10", "nt1_inputs"), "at 0.01"] == "84.9 / –"
    first = printed.loc[3].index.get_level_values("data")[0]
    assert first in SMALL.data
    assert len(printed) == len(tables["table"])


def test_a_cell_is_trained_by_the_paper_s_recipe(tables):
    features, backbone = digits()
    shares = [
        tune(
            features,
            backbone,
            TuningRecipe("nt1", "spiking", "simple", 0.01, 50, 64, seed, schedule="constant"),
        ).accuracy["validation"]
        for seed in (1, 2)
    ]
    table = tables["table"]
    cell = table[(table.table == 7) & (table.data == "digits") & (table.method == "nt1")]
    assert cell.validation_accuracy_mean.item() == pytest.approx(np.mean(shares))
    assert cell.validation_accuracy_sd.item() == pytest.approx(np.std(shares, ddof=1))


def digits():
    backbone = load_backbone()
    return extract_features(backbone, load_data("digits")), backbone


def test_gains_on_both_sides_are_as_many_numbers_as_rank_1(tables):
    """384-96-72-5: rank 1 of a layer is one number for each of its inputs and neurons."""
    counts = tables["equal"].set_index(["data", "method", "layers"]).trained_parameters
    for data in SMALL.data:
        for layers, count in ((2, 96 + 72 + 72 + 5), (0, 384 + 96 + 96 + 72 + 72 + 5)):
            assert counts[data, "lora", layers] == counts[data, "nt1_both", layers] == count
        assert counts[data, "nt1", 0] == counts[data, "nt2", 0] == 96 + 72 + 5
        assert counts[data, "lora", 1] == counts[data, "nt1", 2] == 72 + 5


def test_groups_of_synapses_have_a_gain_for_each_sign_and_share_of_the_sources(tables):
    counts = tables["equal"].set_index(["data", "method", "layers"]).trained_parameters
    for k in (1, 4):
        assert counts["digits", f"nt1_groups k={k}", 0] == 2 * k * (96 + 72 + 5)
        assert counts["digits", f"nt1_groups k={k}", 2] == 2 * k * (72 + 5)


def test_learning_rates_are_those_that_validation_images_prefer(tables):
    features, backbone = digits()
    shares = [
        np.mean(
            [
                tune(
                    features,
                    backbone,
                    TuningRecipe("nt2", "rate", "cross_entropy", lr, 3, seed=seed),
                ).accuracy["validation"]
                for seed in (1, 2)
            ]
        )
        for lr in SMALL.candidates
    ]
    row = tables["equal"].set_index(["data", "method", "layers"]).loc[("digits", "nt2", 0)]
    assert shares[0] != shares[1]
    assert row.learning_rate == SMALL.candidates[np.argmax(shares)]


def test_tasks_are_further_the_less_is_right_untuned(tables):
    untuned = tables["tasks"].set_index("data").untuned_test_accuracy
    assert untuned["digits-noise"] > untuned["digits"] + 0.3


def test_table_8_is_the_best_of_table_7(tables):
    best = tables["best"].set_index(["data", "method"])
    table = tables["table"]
    for method in ("nt1", "nt2"):
        cells = table[(table.table == 7) & (table.data == "digits") & (table.method == method)]
        found = best.loc["digits", method]
        assert found.validation_accuracy_mean == cells.validation_accuracy_mean.max()
        assert found.trained_parameters == 173
    assert best.loc["stl10", "nt1"].paper_accuracy == 0.5731
    assert best.loc["food11", "nt2"].paper_trained_parameters == 20_203


def test_finished_trainings_are_not_done_again(tables, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(grid, "tune", never)
    again = neuromod.run(SMALL)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, check_dtype=False)


@pytest.mark.thorough
def test_processes_share_the_work_and_the_first_writes_the_run(together, tmp_path):
    """Rounding aside: in other processes the sums of a batch are taken in another order."""
    settings = {
        "data": "digits",
        "tables": "2, equal",
        "methods": "nt1, nt2",
        "epochs": "2",
        "runs": "1",
        "learning_rates": "0.01",
        "candidates": "0.02",
    }
    changes = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = ["run", "transfer", *changes, "--out", str(tmp_path / "run")]
    first, second = together("from neuromod.cli import main; main()", *command)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "Report: " in first.out
    assert second.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    shared = load_run(tmp_path / "run")
    alone = neuromod.run(shared.protocol)
    for name in ("table", "equal"):
        here = alone.tables[name].filter(like="accuracy_mean")
        assert here.notna().any(axis=None)
        np.testing.assert_allclose(shared.tables[name].filter(like="accuracy_mean"), here)
    losses = [run.tables["curves"].loss for run in (shared, alone)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_the_run_s_figure_and_report_are_drawn_again_from_its_folder(folder):
    before = (folder / "figure.png").read_bytes()
    assert "At equal numbers" in render(folder).read_text()
    assert (folder / "figure.png").read_bytes() == before
    notes = json.loads((folder / "run.json").read_text())["notes"]
    assert notes["memory of the largest training, GB"] > 0


def test_random_weights_are_said_to_mean_nothing_in_every_output(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    settings = {"data": ("digits",), "tables": ("1", "equal"), "epochs": 1, "runs": 1}
    run = neuromod.run(Transfer(**settings, methods=("nt1", "nt1_inputs"), weights="random"))
    for table in run.tables.values():
        assert (table.weights == "random: accuracies mean nothing").all()
    for section in run.protocol.report(run.tables):
        assert section.text.startswith(MEANINGLESS)
    figure = run.protocol.plot(run.tables, {})
    assert figure.get_suptitle() == MEANINGLESS.strip()


def test_whole_networks_are_compared_beside_a_probe_of_the_features(
    pretrained, tmp_path_factory, monkeypatch
):
    own = shutil.copytree(pretrained, tmp_path_factory.mktemp("cache") / "own")
    monkeypatch.setenv("NEUROMOD_CACHE", str(own))
    settings = {"whole_epochs": 1, "per_class": 7, "runs": 1, "pixels": 16}
    run = neuromod.run(Transfer(data=("digits",), tables=("whole",), **settings))
    whole = run.tables["whole"].set_index("method")
    # Channels 16-32-64-64-96-96 and neurons 96-72-5; the network has no normalisation.
    assert whole.trained_parameters["nt1"] == 368 + 173
    assert "norm" not in whole.index
    assert set(whole.of_a_fresh_head) == {0}
    tasks = run.tables["tasks"]
    assert tasks.train_images.item() == 5 * 7
    assert set(whole.probe_test_accuracy) == {tasks.probe_test_accuracy.item()}
    (text,) = (s.text for s in run.protocol.report(run.tables) if s.title == "Whole networks")
    assert "the linear probe on the features" in text
    figure = run.protocol.plot(run.tables, {})
    assert [ax.get_title() for ax in figure.axes] == ["a  digits, whole network"]


@pytest.mark.parametrize(
    ("backbone", "data", "sentence"),
    [
        ("digits-vgg", "timbres", "digits-vgg takes images, and timbres .* holds sounds"),
        ("tiny-sound", "digits", "tiny-sound takes sounds, and digits 56789 holds images"),
        ("tiny-text", "timbres", "tiny-text takes texts, .* such as docstrings, or a backbone of"),
    ],
)
def test_samples_of_another_kind_than_the_backbone_s_end_the_run_before_any_work(
    backbone, data, sentence, monkeypatch
):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("worked")

    monkeypatch.setattr(networks, "load_backbone", never)
    with pytest.raises(UserError, match=sentence):
        neuromod.run(Transfer(backbone=backbone, data=(data,)))


@pytest.mark.thorough
def test_a_model_by_name_is_tuned_by_its_head_and_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    settings = {"tables": ("3", "whole"), "methods": ("nt1_inputs",), "whole_epochs": 1, "runs": 1}
    small = {"per_class": 3, "pixels": 32, "learning_rates": np.array([0.01]), "data": ("digits",)}
    name = "torchvision:mobilenet_v3_small"
    run = neuromod.run(Transfer(backbone=name, weights="random", **settings, **small))
    table = run.tables["table"]
    # A gain for each of the head's inputs, and a new output layer behind its 1000 outputs.
    assert set(table[table.measured == "here"].trained_parameters) == {1024 + 5005}
    whole = run.tables["whole"].set_index("method")
    assert whole.trained_parameters["probe"] == 5 * 1024 + 5
    assert len(whole) == 9


def test_a_network_that_takes_one_size_of_images_says_so():
    pytest.importorskip("timm", reason="timm is not installed")
    vit = load_backbone("timm:vit_tiny_patch16_224", "random")
    with pytest.raises(UserError, match=r"takes no images of 64 x 64 pixels: .* for 224 x 224\.$"):
        transfer.resized(vit, 64)


@pytest.mark.parametrize("name", ["stl10", "food11", "bccd", "no/such/folder"])
def test_data_that_are_not_there_end_the_run_before_any_work(name, monkeypatch, tmp_path):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("worked")

    monkeypatch.setattr(networks, "load_backbone", never)
    monkeypatch.setattr(networks, "extract_features", never)
    monkeypatch.setattr(transfer, "tune_all", never)
    protocol = Transfer(data=("digits", name), folder=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere" if "/" not in name else "no/such/folder"):
        neuromod.run(protocol)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"methods": ("nt1", "nt3")}, "no tuning method named 'nt3': did you mean nt"),
        ({"tables": ("9",)}, "no tables named '9'"),
        ({"data": ("digits", "digits")}, "data names digits 2 times"),
        ({"compute": "cuda:97"}, "no device 'cuda:97' for torch here: cpu"),
        ({"candidates": np.array([0.1, 0.0])}, "candidates = 0 is out of range"),
        (
            {"tables": ("1",), "methods": ("tft",)},
            "Nothing would be trained: tables 1 have no cell",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        Transfer(**settings)
