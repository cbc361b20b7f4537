"""Trainings that are finished are not done again."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.support.tensor_file import Kind, write_tensors  # noqa: E402
from neuromod.tuning import grid  # noqa: E402
from neuromod.tuning.backbone import Backbone, load_backbone  # noqa: E402
from neuromod.tuning.features import Features  # noqa: E402
from neuromod.tuning.grid import tune_all  # noqa: E402
from neuromod.tuning.recipe import TuningRecipe  # noqa: E402
from neuromod.tuning.training import tune  # noqa: E402

RECIPES = [TuningRecipe("nt1", "rate", "cross_entropy", 0.031, 2, seed=seed) for seed in (1, 2)] + [
    TuningRecipe("none", "rate", "cross_entropy", 0.031, 1)
]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    return tmp_path


def test_outcomes_are_those_of_single_trainings(features: Features, backbone: Backbone) -> None:
    for outcome, recipe in zip(tune_all(features, backbone, RECIPES), RECIPES, strict=True):
        single = tune(features, backbone, recipe)
        assert outcome.recipe == recipe
        assert outcome.n_trained == single.n_trained
        assert outcome.accuracy == single.accuracy
        assert outcome.history.equals(single.history)


def test_finished_trainings_are_read_and_give_the_same(
    features: Features, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tune_all(features, backbone, RECIPES[:2])
    trained: list[TuningRecipe] = []

    def counting(features: Features, backbone: Backbone, recipe: TuningRecipe, *rest: object):
        trained.append(recipe)
        return tune(features, backbone, recipe, *rest)

    monkeypatch.setattr(grid, "tune", counting)
    epochs: list[tuple[int, int]] = []
    again = tune_all(features, backbone, RECIPES, progress=lambda *done: epochs.append(done))
    assert trained == RECIPES[2:]
    assert [outcome.from_cache for outcome in again] == [True, True, False]
    for one, other in zip(first, again, strict=False):
        assert one.accuracy == other.accuracy
        assert one.history.equals(other.history)


def test_progress_counts_the_epochs_that_are_left(features: Features, backbone: Backbone) -> None:
    tune_all(features, backbone, RECIPES[:1])
    epochs: list[tuple[int, int]] = []
    longer = replace(RECIPES[1], epochs=3)
    tune_all(features, backbone, [*RECIPES[:2], longer], progress=lambda *d: epochs.append(d))
    assert epochs == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("change", [{"lr": 0.032}, {"seed": 3}, {"batch_size": 63}, {"l1": 0.1}])
def test_another_recipe_is_another_training(
    features: Features, backbone: Backbone, change: dict[str, object]
) -> None:
    tune_all(features, backbone, RECIPES[:1])
    (other,) = tune_all(features, backbone, [replace(RECIPES[0], **change)])
    assert not other.from_cache


def test_other_weights_are_another_training(features: Features, backbone: Backbone) -> None:
    tune_all(features, backbone, RECIPES[:1])
    (other,) = tune_all(features, load_backbone("digits-vgg", "random", seed=5), RECIPES[:1])
    assert not other.from_cache


@pytest.mark.parametrize(
    "damage",
    [
        lambda text, _: text[:-9],
        lambda text, accuracy: text.replace(f'"test": {accuracy["test"]}', '"test": 0.9371'),
        lambda text, _: text.replace('"n_trained": ', '"n_trained": 1'),
        lambda text, _: text.replace('"sha256"', '"sha255"'),
        lambda text, _: f"[{text}]",
    ],
    ids=["truncated", "accuracy", "count", "no checksum", "a list"],
)
def test_a_damaged_outcome_is_trained_anew(
    features: Features, backbone: Backbone, empty: Path, caplog: pytest.LogCaptureFixture, damage
) -> None:
    (first,) = tune_all(features, backbone, RECIPES[:1])
    (path,) = empty.glob("tuned-*.json")
    whole = path.read_text()
    accuracy = json.loads(whole)["accuracy"]
    path.write_text(damage(whole, accuracy))
    assert path.read_text() != whole
    (again,) = tune_all(features, backbone, RECIPES[:1])
    assert caplog.messages == [f"{path} is damaged or not neuromod's: the network is tuned anew."]
    assert again.accuracy == first.accuracy
    assert path.read_text() == whole


def test_the_outcome_of_another_training_is_not_believed(
    features: Features, backbone: Backbone, empty: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = tune_all(features, backbone, RECIPES[:2])
    one, other = empty.glob("tuned-*.json")
    one.write_text(other.read_text())
    again = tune_all(features, backbone, RECIPES[:2])
    assert [outcome.from_cache for outcome in again].count(False) == 1
    assert f"{one} is damaged" in caplog.text
    assert [outcome.accuracy for outcome in again] == [outcome.accuracy for outcome in first]


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


@pytest.mark.parametrize("damage", [a_folder, lambda path: path.write_text("[" * 100_000)])
def test_what_stands_in_the_place_of_an_outcome_makes_way(
    features: Features, backbone: Backbone, empty: Path, caplog: pytest.LogCaptureFixture, damage
) -> None:
    (first,) = tune_all(features, backbone, RECIPES[:1])
    (path,) = empty.glob("tuned-*.json")
    damage(path)
    assert not grid.is_whole(path)
    (again,) = tune_all(features, backbone, RECIPES[:1])
    assert again.accuracy == first.accuracy
    assert len(caplog.messages) == 1
    assert str(path) in caplog.text
    (once_more,) = tune_all(features, backbone, RECIPES[:1])
    assert once_more.from_cache


@pytest.mark.parametrize("which", ["another training's", "of another kind"])
def test_a_kept_checkpoint_that_is_another_s_costs_nothing(
    features: Features,
    backbone: Backbone,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    which: str,
) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grid, "is_small", lambda _: False)
    expected = tune(features, backbone, RECIPES[0]).accuracy
    with pytest.raises(KeyboardInterrupt):
        tune_all(features, backbone, RECIPES[:1], progress=stop)
    (path,) = empty.glob("tuned-*.safetensors")
    if which == "of another kind":
        write_tensors(path, Kind("map", "map-1"), {}, {"w": torch.ones(3)})
    else:
        with pytest.raises(KeyboardInterrupt):
            tune_all(features, backbone, RECIPES[1:2], progress=stop)
        (other,) = set(empty.glob("tuned-*.safetensors")) - {path}
        other.replace(path)
    (outcome,) = tune_all(features, backbone, RECIPES[:1])
    assert outcome.accuracy == expected
    assert len(caplog.messages) == 1
    assert "The network is tuned anew." in caplog.text
    assert [found.suffix for found in empty.iterdir()] == [".json"]


def test_an_outcome_that_cannot_be_kept_is_returned(
    features: Features,
    backbone: Backbone,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    (outcome,) = tune_all(features, backbone, RECIPES[:1])
    assert outcome.accuracy == tune(features, backbone, RECIPES[0]).accuracy
    assert "is full" in caplog.text
    assert not list(empty.iterdir())
