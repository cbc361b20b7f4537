"""Devices, precision and processes change rounding at most."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import training  # noqa: E402
from neuromod.tuning.backbone import Backbone  # noqa: E402
from neuromod.tuning.features import Features  # noqa: E402
from neuromod.tuning.hardware import Hardware, available_devices, processes  # noqa: E402
from neuromod.tuning.recipe import TuningRecipe  # noqa: E402
from neuromod.tuning.training import tune  # noqa: E402

TOGETHER = """
import sys
import numpy as np
from neuromod.tuning.backbone import load_backbone
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import extract_features
from neuromod.tuning.hardware import processes, rank_and_size
from neuromod.tuning.recipe import TuningRecipe
from neuromod.tuning.training import tune

backbone = load_backbone()
features = extract_features(backbone, load_digits())
recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.03, 5, batch_size=149, seed=7)
with processes():
    rank, size = rank_and_size()
    assert size == 2
    result = tune(features, backbone, recipe)
gains = np.concatenate([layer.gain for layer in result.classifier.layer_parameters()])
np.savez(f"{sys.argv[1]}/{rank}.npz", gains=gains, losses=result.history["loss"],
         shares=list(result.accuracy.values()))
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_two_processes_end_with_the_gains_of_one(
    features: Features, backbone: Backbone, tmp_path: Path, together
) -> None:
    """448 images in batches of 149 leave one over, of which the second process gets none."""
    for ended in together(TOGETHER, str(tmp_path)):
        assert ended.code == 0, ended.err
    recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.03, 5, batch_size=149, seed=7)
    alone = tune(features, backbone, recipe)
    assert np.ptp(alone.gains) > 0.1
    both = [np.load(tmp_path / f"{rank}.npz") for rank in (0, 1)]
    for found in both:
        np.testing.assert_allclose(found["gains"], alone.gains, atol=1e-5)
        np.testing.assert_allclose(found["losses"], alone.history["loss"], rtol=1e-5)
        np.testing.assert_allclose(found["shares"], list(alone.accuracy.values()))
    np.testing.assert_array_equal(both[0]["gains"], both[1]["gains"])


def test_without_torchrun_a_process_works_alone(features: Features, backbone: Backbone) -> None:
    recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.03, 1)
    with processes():
        inside = tune(features, backbone, recipe)
    np.testing.assert_array_equal(inside.gains, tune(features, backbone, recipe).gains)


@pytest.mark.parametrize("name", ["cuda:97", "gpu", "tpu"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"no device '{name}' for torch here: cpu"):
        Hardware(name)


def test_a_device_of_a_long_name_is_refused_in_few_words() -> None:
    with pytest.raises(
        UserError, match=r"^There is no device 'x{39}\.\.\.x{39}' for torch here: cpu"
    ):
        Hardware("x" * 10_000)


@pytest.mark.parametrize("name", available_devices())
def test_every_device_gives_the_gains_of_the_cpu(
    features: Features, backbone: Backbone, name: str
) -> None:
    recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.03, 2)
    found = tune(features, backbone, recipe, hardware=Hardware(name))
    assert next(found.classifier.parameters()).device.type == "cpu"
    np.testing.assert_allclose(found.gains, tune(features, backbone, recipe).gains, atol=1e-4)


def test_weights_that_are_rounded_once_train_as_if_rounded_for_every_product(
    features: Features, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = TuningRecipe("nt1_both", "rate", "cross_entropy", 0.03, 2)
    once = tune(features, backbone, recipe, hardware=Hardware(mixed=True))
    monkeypatch.setattr(training, "frozen_in_bfloat16", lambda *_: nullcontext())
    always = tune(features, backbone, recipe, hardware=Hardware(mixed=True))
    for name, tensor in once.tensors.items():
        assert torch.equal(tensor, always.tensors[name])
    for layer, linear in zip(once.classifier.modulated_layers, backbone.linears, strict=True):
        assert layer.stored_weight.data_ptr() == linear.weight.data_ptr()


@pytest.mark.parametrize(("kind", "loss"), [("rate", "cross_entropy"), ("spiking", "simple")])
def test_products_of_bfloat16_train_nearly_the_same_gains_in_float32(
    features: Features, backbone: Backbone, kind: str, loss: str
) -> None:
    recipe = TuningRecipe("nt1", kind, loss, 0.01, 3)
    exact = tune(features, backbone, recipe)
    mixed = tune(features, backbone, recipe, hardware=Hardware(mixed=True))
    assert {tensor.dtype for tensor in mixed.tensors.values()} == {torch.float32}
    moved = np.abs(exact.gains - 1).mean()
    difference = np.abs(mixed.gains - exact.gains).mean()
    assert 0 < difference < 0.2 * moved
