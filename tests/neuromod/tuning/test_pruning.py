"""Neurons whose gains are small can go."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.backbone import Backbone  # noqa: E402
from neuromod.tuning.features import Features  # noqa: E402
from neuromod.tuning.pruning import pruning_curve  # noqa: E402
from neuromod.tuning.recipe import SharedGains, TuningRecipe  # noqa: E402
from neuromod.tuning.training import tune  # noqa: E402


def recipe(l1: float = 0.0, kind: str = "rate", method: str = "nt1") -> TuningRecipe:
    loss = "cross_entropy" if kind == "rate" else "membrane"
    return TuningRecipe(method, kind, loss, 0.1, 25, l1=l1)


@pytest.mark.parametrize("kind", ["rate", "spiking"])
def test_accuracy_is_that_of_the_network_without_the_neurons(
    features: Features, backbone: Backbone, kind: str
) -> None:
    result = tune(features, backbone, recipe(kind=kind))
    before = {name: tensor.clone() for name, tensor in result.tensors.items()}
    row = pruning_curve(result, features, [0.37]).iloc[0]
    assert row.neurons_left == 168 - 62
    assert row.fraction_pruned == 62 / 168
    layers = result.classifier.layer_parameters()
    order = np.argsort(np.abs(np.concatenate([layer.gain for layer in layers[:2]])))
    left = np.split(np.isin(np.arange(168), order[62:]), [96])
    x = features.values[features.split.test].astype(float)
    for layer, own in zip(layers[:2], left, strict=True):
        v = layer.gain * (x @ layer.weight.T + layer.bias)
        x = (np.maximum(v, 0) if kind == "rate" else (v >= result.recipe.theta)) * own
    v = layers[2].gain * (x @ layers[2].weight.T + layers[2].bias)
    labels = features.labels[features.split.test]
    if kind == "rate":
        right = v.argmax(1) == labels
    else:
        right = ((v >= result.recipe.theta) == np.eye(5)[labels]).all(1)
    assert row.test_accuracy == pytest.approx(right.mean(), abs=1.5 / len(labels))
    for name, tensor in result.tensors.items():
        assert torch.equal(tensor, before[name])


def test_the_curve_begins_at_the_network_and_ends_at_guessing(
    features: Features, backbone: Backbone
) -> None:
    result = tune(features, backbone, recipe())
    curve = pruning_curve(result, features, [0, 0.5, 1])
    assert curve.test_accuracy[0] == result.accuracy["test"]
    counts = np.bincount(features.labels[features.split.test])
    assert curve.test_accuracy[2] in counts / counts.sum()


def test_gains_trained_with_a_penalty_lose_less_by_pruning(
    features: Features, backbone: Backbone
) -> None:
    free, penalised = (
        pruning_curve(tune(features, backbone, recipe(l1)), features, [0, 0.8]).test_accuracy
        for l1 in (0.0, 0.003)
    )
    assert free[0] - free[1] > 2 * (penalised[0] - penalised[1])
    assert penalised[1] > free[1] + 0.1


def test_gains_that_neurons_share_are_pruned_one_by_one(
    features: Features, backbone: Backbone
) -> None:
    shared = SharedGains(np.arange(173) % 5, np.ones(5))
    result = tune(features, backbone, recipe(), shared=shared)
    curve = pruning_curve(result, features, [0, 0.25])
    assert curve.neurons_left.tolist() == [168, 126]
    assert result.n_trained == result.classifier.n_trained == 5
    assert curve.test_accuracy[0] == result.accuracy["test"]


def test_what_cannot_be_pruned_is_refused(features: Features, backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"Pruning needs gains .* tune with nt1"):
        pruning_curve(tune(features, backbone, recipe(method="nt2")), features, [0.5])
    with pytest.raises(UserError, match=r"fraction pruned is 1\.2"):
        pruning_curve(tune(features, backbone, recipe()), features, [0.5, 1.2])
