"""A training that was interrupted goes on to the very result that it would have had."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.backbone import Backbone  # noqa: E402
from neuromod.tuning.features import Features  # noqa: E402
from neuromod.tuning.gains import save_gains  # noqa: E402
from neuromod.tuning.recipe import SharedGains, TuningRecipe  # noqa: E402
from neuromod.tuning.training import TuningResult, tune  # noqa: E402

KILLED = """
import os, signal
from pathlib import Path
from neuromod.tuning.backbone import load_backbone
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import extract_features
from neuromod.tuning.recipe import TuningRecipe
from neuromod.tuning.training import tune

backbone = load_backbone()
recipe = TuningRecipe("nt1", "spiking", "membrane", 0.07, 7, seed=11)

def progress(epoch, _):
    if epoch == 4:
        os.kill(os.getpid(), signal.SIGKILL)

tune(extract_features(backbone, load_digits()), backbone, recipe, progress,
     checkpoint=Path({path!r}))
"""
RECIPE = TuningRecipe("nt1", "spiking", "membrane", 0.07, 7, seed=11)


class StoppedError(Exception):
    pass


def stop_after(last: int):
    def progress(epoch: int, _: int) -> None:
        if epoch == last:
            raise StoppedError

    return progress


def assert_same(one: TuningResult, other: TuningResult) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    assert one.history.equals(other.history)
    assert one.accuracy == other.accuracy


@pytest.mark.slow
@pytest.mark.thorough
def test_a_training_that_was_killed_ends_with_the_same_gains(
    features: Features, backbone: Backbone, tmp_path: Path, python
) -> None:
    path = tmp_path / "training.safetensors"
    assert python(KILLED.format(path=str(path))).code == -signal.SIGKILL
    epochs: list[int] = []
    resumed = tune(
        features, backbone, RECIPE, lambda epoch, _: epochs.append(epoch), checkpoint=path
    )
    assert epochs == [5, 6, 7]
    assert_same(resumed, tune(features, backbone, RECIPE))


@pytest.mark.parametrize("method", ["tft", "lora", "nt1_both", "nt2"])
def test_every_kind_of_parameter_is_resumed(
    features: Features, backbone: Backbone, tmp_path: Path, method: str
) -> None:
    recipe = TuningRecipe(method, "rate", "cross_entropy", 0.013, 4, seed=5)
    path = tmp_path / "training.safetensors"
    with pytest.raises(StoppedError):
        tune(features, backbone, recipe, stop_after(2), checkpoint=path)
    assert_same(tune(features, backbone, recipe, checkpoint=path), tune(features, backbone, recipe))


def test_gains_that_are_shared_are_resumed(
    features: Features, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "training.safetensors"
    shared = SharedGains(features.labels[:173] % 3, torch.tensor([0.9, 1.2, 0.7]).double().numpy())
    with pytest.raises(StoppedError):
        tune(features, backbone, RECIPE, stop_after(3), shared, checkpoint=path)
    resumed = tune(features, backbone, RECIPE, None, shared, checkpoint=path)
    assert_same(resumed, tune(features, backbone, RECIPE, None, shared))


def test_a_finished_training_is_only_measured(
    features: Features, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "training.safetensors"
    first = tune(features, backbone, RECIPE, checkpoint=path)
    again = tune(features, backbone, RECIPE, stop_after(7), checkpoint=path)
    assert_same(again, first)


@pytest.mark.parametrize("change", [{"seed": 12}, {"lr": 0.071}, {"epochs": 8}, {"method": "nt2"}])
def test_a_checkpoint_is_used_for_its_own_training_alone(
    features: Features, backbone: Backbone, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(StoppedError):
        tune(features, backbone, RECIPE, stop_after(1), checkpoint=path)
    with pytest.raises(UserError, match=r"training\.safetensors belongs to another training"):
        tune(features, backbone, replace(RECIPE, **change), checkpoint=path)


def test_a_file_of_another_kind_is_not_written_over(
    features: Features, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "gains.safetensors"
    save_gains(path, tune(features, backbone, RECIPE), backbone, features)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r" is a folder, and no checkpoint\.$"):
        tune(features, backbone, RECIPE, checkpoint=tmp_path)
    with pytest.raises(UserError, match=r"x{39}' cannot be used: File name too long\.$"):
        tune(features, backbone, RECIPE, checkpoint=Path("x" * 10_000))
    with pytest.raises(UserError, match="lacks the header of a checkpoint"):
        tune(features, backbone, RECIPE, checkpoint=path)
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_passed_over(
    features: Features, backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(StoppedError):
        tune(features, backbone, RECIPE, stop_after(2), checkpoint=path)
    path.write_bytes(path.read_bytes()[:-50])
    resumed = tune(features, backbone, RECIPE, checkpoint=path)
    assert "is damaged or no checkpoint" in caplog.text
    assert_same(resumed, tune(features, backbone, RECIPE))
    assert [p.name for p in tmp_path.iterdir()] == ["training.safetensors"]
