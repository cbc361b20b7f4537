from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import RateClassifier, SpikingClassifier  # noqa: E402
from neuromod.tuning.backbone import Backbone  # noqa: E402
from neuromod.tuning.datasets import load_folder  # noqa: E402
from neuromod.tuning.features import Features, extract_features, projections  # noqa: E402
from neuromod.tuning.hardware import Hardware  # noqa: E402
from neuromod.tuning.methods.gained import share_gains  # noqa: E402
from neuromod.tuning.methods.nt1 import NT1  # noqa: E402
from neuromod.tuning.recipe import SharedGains, TuningRecipe, build_classifier, calibrated, loss_of  # noqa: E402
from neuromod.tuning.training import training_memory, tune  # noqa: E402


def one_layer() -> torch.nn.Linear:
    layer = torch.nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[0.3, 0.2], [-0.3, 0.4]])
    layer.bias.data = torch.tensor([-0.1, -0.1])
    return layer


def test_the_simple_loss_pulls_outputs_by_target_minus_output() -> None:
    """Input (1, 2): v = (0.6, 0.4), O = (1, s); target (0, 1); so a_i moves by (t - O)_i v_i."""
    layer = NT1(one_layer())
    recipe = TuningRecipe("nt1", "spiking", "simple", 0.1, 1, leak=0.01)
    classifier = SpikingClassifier([layer], 0.5, 0.01).train()
    loss_of(classifier, recipe, torch.tensor([[1.0, 2.0]]), torch.tensor([1])).backward()
    pull = torch.tensor([(0 - 1) * 0.6, (1 - 0.01) * 0.4])
    torch.testing.assert_close(-layer.gain.grad, pull)


def test_the_membrane_loss_is_cross_entropy_of_four_times_the_distance() -> None:
    """dL/dv_i = 4 (sigmoid(4 (v_i - theta)) - t_i), averaged over the two outputs."""
    layer = NT1(one_layer())
    recipe = TuningRecipe("nt1", "spiking", "membrane", 0.1, 1)
    classifier = SpikingClassifier([layer], 0.5).train()
    loss_of(classifier, recipe, torch.tensor([[1.0, 2.0]]), torch.tensor([1])).backward()
    v = np.array([0.6, 0.4])
    expected = 4 * (1 / (1 + np.exp(-4 * (v - 0.5))) - [0, 1]) * v / 2
    np.testing.assert_allclose(layer.gain.grad.numpy(), expected, rtol=1e-5)


def test_a_seed_determines_the_result(features: Features, backbone: Backbone) -> None:
    def gains(seed: int) -> np.ndarray:
        recipe = TuningRecipe("nt1", "spiking", "membrane", 0.1, 3, seed=seed)
        parameters = tune(features, backbone, recipe).classifier.layer_parameters()
        return np.concatenate([layer.gain for layer in parameters])

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = gains(4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert np.array_equal(gains(4), first)
    assert not np.array_equal(gains(5), first)


def test_tuning_leaves_the_backbone_as_it_is(features: Features, backbone: Backbone) -> None:
    before = {name: t.clone() for name, t in backbone.network.state_dict().items()}
    tune(features, backbone, TuningRecipe("tft", "rate", "cross_entropy", 0.01, 1))
    for name, tensor in backbone.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_results_tell_what_was_done(features: Features, backbone: Backbone) -> None:
    done: list[tuple[int, int]] = []
    recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.1, 3)
    result = tune(features, backbone, recipe, lambda *epoch: done.append(epoch))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert result.n_trained == 96 + 72 + 5
    assert list(result.tensors) == [f"layers.{i}.gain" for i in range(3)]
    assert list(result.history["epoch"]) == [1, 2, 3]
    assert result.history["loss"].is_monotonic_decreasing
    assert result.history["validation_accuracy"].iloc[-1] == result.accuracy["validation"]
    test = features.split.test
    with torch.no_grad():
        logits = result.classifier(torch.from_numpy(features.values[test]))
    right = logits.argmax(1).numpy() == features.labels[test]
    assert result.accuracy["test"] == right.mean()


def test_without_tuning_the_network_is_the_backbone_s(
    features: Features, backbone: Backbone
) -> None:
    result = tune(features, backbone, calibrated("none", "rate", "cross_entropy"))
    x = torch.from_numpy(np.array(features.values[:50]))
    torch.testing.assert_close(result.classifier(x), backbone.network.classifier(x))
    assert result.n_trained == 0
    assert result.history.empty


@pytest.mark.parametrize(
    ("kind", "loss"), [("rate", "cross_entropy"), ("spiking", "simple"), ("spiking", "membrane")]
)
def test_methods_come_in_the_paper_s_order(
    features: Features, backbone: Backbone, kind: str, loss: str
) -> None:
    """Tables 1, 7 and 8 in small: nothing <= biases < gains < everything.

    Biases gave the paper's spiking network next to nothing on STL-10.
    """
    accuracy = {
        method: tune(features, backbone, calibrated(method, kind, loss)).accuracy["test"]
        for method in ("none", "additive", "nt2", "nt1", "tft")
    }
    assert accuracy["none"] < min(accuracy["additive"], accuracy["nt2"]) + 0.03
    assert max(accuracy["additive"], accuracy["nt2"]) + 0.05 < accuracy["nt1"]
    assert accuracy["nt1"] + 0.05 < accuracy["tft"]


def test_the_membrane_loss_beats_the_simple_one(features: Features, backbone: Backbone) -> None:
    simple, membrane = (
        tune(features, backbone, calibrated("nt1", "spiking", loss)).accuracy["test"]
        for loss in ("simple", "membrane")
    )
    assert 1 / 2**5 < simple < membrane
    assert membrane > 0.5


def test_a_class_folder_gets_a_new_output_layer(class_folder: Path, backbone: Backbone) -> None:
    features = extract_features(backbone, load_folder(class_folder))
    result = tune(features, backbone, TuningRecipe("nt1", "rate", "cross_entropy", 0.1, 30))
    assert result.n_trained == 96 + 72 + 5 + (5 * 3 + 3)
    assert result.history["loss"].iloc[-1] < 0.7 * result.history["loss"].iloc[0]
    assert [len(layer.gain) for layer in result.classifier.layer_parameters()] == [96, 72, 5, 3]
    untuned = build_classifier(backbone, calibrated("none", "rate", "cross_entropy"), 3)
    assert isinstance(untuned, RateClassifier)
    assert untuned.n_trained == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "nt3"}, "no tuning method named 'nt3': did you mean nt"),
        ({"kind": "spking"}, "no kind of classifier named 'spking': did you mean spiking"),
        ({"loss": "cross_entropy"}, "no loss for a spiking classifier named 'cross_entropy'"),
        ({"lr": 0}, "lr is 0, but must be greater than 0"),
        ({"epochs": -1}, "epochs is -1, but must be greater than 0"),
        ({"theta": float("nan")}, "theta is nan, but must be greater than 0"),
        ({"method": "nt2", "gain_low": 0.3}, "bound gains, and nt2 has none"),
        ({"method": "tft", "l1": 0.1}, "l1 shrinks gains, and tft has none"),
        ({"l1": -0.1}, r"l1 is -0\.1, but must be at least 0"),
        ({"schedule": "cosinus"}, "no schedule of learning rates named 'cosinus': did you mean"),
        ({"gain_low": 1.9, "gain_high": 0.3}, r"gain_low is 1\.9, but must be less than"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change: dict[str, object], sentence: str) -> None:
    settings = {"method": "nt1", "kind": "spiking", "loss": "simple", "lr": 0.1, "epochs": 1}
    with pytest.raises(UserError, match=sentence):
        TuningRecipe(**{**settings, **change})


def bounded(seed: int = 3, epochs: int = 4) -> TuningRecipe:
    return TuningRecipe(
        "nt1", "spiking", "membrane", 0.1, epochs, seed=seed, gain_low=0.53, gain_high=1.61
    )


def test_bounded_gains_stay_within_their_bounds_and_reach_them(
    features: Features, backbone: Backbone
) -> None:
    found = tune(features, backbone, bounded()).gains
    assert found.min() == pytest.approx(0.53)
    assert found.max() == pytest.approx(1.61)
    assert 0.2 < ((found > 0.54) & (found < 1.6)).mean() < 1
    free = tune(features, backbone, TuningRecipe("nt1", "spiking", "membrane", 0.1, 4)).gains
    assert free.min() < 0.53
    assert free.max() > 1.61


def test_bounds_that_are_never_met_change_nothing(features: Features, backbone: Backbone) -> None:
    free = TuningRecipe("nt1", "spiking", "membrane", 0.1, 3)
    wide = replace(free, gain_low=-1e6, gain_high=1e6)
    np.testing.assert_array_equal(
        tune(features, backbone, free).gains, tune(features, backbone, wide).gains
    )


def test_neurons_of_a_power_domain_are_tuned_as_one_number(
    features: Features, backbone: Backbone
) -> None:
    domain = np.arange(96 + 72 + 5) % 4
    start = np.array([0.7, 1.3, 0.9, 1.1])
    shared = SharedGains(domain, start)
    result = tune(features, backbone, bounded(), shared=shared)
    assert result.n_trained == 4
    found = result.gains
    for k in range(4):
        assert len(set(found[domain == k])) == 1
    assert (found[:4] != start.astype(np.float32)).all()


def test_a_domain_for_every_neuron_is_tuning_without_domains(
    features: Features, backbone: Backbone
) -> None:
    everyone = SharedGains(np.arange(173), np.ones(173))
    alone = tune(features, backbone, bounded())
    shared = tune(features, backbone, bounded(), shared=everyone)
    np.testing.assert_allclose(shared.gains, alone.gains, rtol=1e-4)


def test_a_shared_gain_is_pulled_by_the_sum_of_its_neurons() -> None:
    layers = [NT1(one_layer()), NT1(one_layer())]
    recipe = TuningRecipe("nt1", "spiking", "membrane", 0.1, 1)
    data = torch.tensor([[1.0, 2.0]]), torch.tensor([1])
    own = SpikingClassifier(layers, 0.5, slope=2.0).train()
    loss_of(own, recipe, *data).backward()
    pulls = torch.cat([layer.gain.grad for layer in layers])
    shared = SpikingClassifier([NT1(one_layer()), NT1(one_layer())], 0.5, slope=2.0).train()
    share_gains(shared, np.array([1, 0, 1, 1]), np.ones(2))
    loss_of(shared, recipe, *data).backward()
    gain = shared.modulated_layers[0].gain
    torch.testing.assert_close(gain.grad, torch.stack([pulls[1], pulls[[0, 2, 3]].sum()]))


def test_domains_that_do_not_fit_the_neurons_are_refused(
    features: Features, backbone: Backbone
) -> None:
    few = SharedGains(np.zeros(7, dtype=int), np.ones(1))
    with pytest.raises(UserError, match="shared by 7 neurons, and the model has 173"):
        tune(features, backbone, bounded(), shared=few)
    with pytest.raises(UserError, match="has 0 with a gain"):
        tune(features, backbone, calibrated("tft", "spiking", "membrane"), shared=few)


def test_a_first_layer_s_products_stand_in_for_the_features(
    features: Features, backbone: Backbone
) -> None:
    projected = projections(features, backbone.linears[0])
    for method in ("nt1", "nt2", "additive"):
        recipe = TuningRecipe(method, "rate", "cross_entropy", 0.02, 3)
        plain, cached = (tune(features, backbone, recipe, projected=p) for p in (None, projected))
        assert plain.accuracy == pytest.approx(cached.accuracy, abs=0.01)
        for name, tensor in plain.tensors.items():
            torch.testing.assert_close(cached.tensors[name], tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["tft", "lora", "nt1_inputs", "nt1_both"])
def test_methods_that_change_the_first_products_read_the_features(
    features: Features, backbone: Backbone, method: str
) -> None:
    wrong = replace(features, values=np.zeros((len(features.labels), 96), np.float32))
    recipe = TuningRecipe(method, "rate", "cross_entropy", 0.02, 1)
    plain, other = (tune(features, backbone, recipe, projected=p) for p in (None, wrong))
    for name, tensor in plain.tensors.items():
        assert torch.equal(tensor, other.tensors[name])


def test_nothing_frozen_gets_a_gradient(features: Features, backbone: Backbone) -> None:
    recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.02, 1)
    classifier = build_classifier(backbone, recipe, 5).train()
    x = torch.from_numpy(features.values[:7])
    loss_of(classifier, recipe, x, torch.zeros(7, dtype=torch.long)).backward()
    for name, parameter in classifier.named_parameters():
        assert (parameter.grad is not None) == (name.endswith("gain") or name[:8] == "layers.3")
    assert not any(buffer.requires_grad for buffer in classifier.buffers())
    assert not any(parameter.requires_grad for parameter in backbone.network.parameters())


def test_only_the_layers_asked_for_are_tuned(features: Features, backbone: Backbone) -> None:
    recipe = TuningRecipe("nt1_inputs", "rate", "cross_entropy", 0.02, 2, layers=2)
    result = tune(features, backbone, recipe)
    assert {name: tuple(tensor.shape) for name, tensor in result.tensors.items()} == {
        "layers.1.gain": (96,),
        "layers.2.gain": (72,),
    }
    with pytest.raises(UserError, match="layers is 4, and digits-vgg has 3"):
        tune(features, backbone, replace(recipe, layers=4))


def test_a_probe_trains_the_output_layer_and_no_other(
    features: Features, backbone: Backbone
) -> None:
    result = tune(features, backbone, TuningRecipe("probe", "rate", "cross_entropy", 0.02, 2))
    assert result.n_trained == 72 * 5 + 5
    assert list(result.tensors) == ["layers.2.weight", "layers.2.bias"]
    new = build_classifier(backbone, TuningRecipe("probe", "rate", "cross_entropy", 0.02, 2), 7)
    assert new.n_trained == 5 * 7 + 7


def test_classes_may_be_read_at_some_of_the_outputs(features: Features, backbone: Backbone) -> None:
    """Three classes at outputs 4, 0 and 2; without a new layer all five gains are trained."""
    three = np.isin(features.labels, (0, 1, 2))
    split = replace(
        features.split,
        **{part: indices[three[indices]] for part, indices in vars(features.split).items()},
    )
    fewer = replace(features, split=split, classes=features.classes[:3])
    recipe = TuningRecipe("nt1", "spiking", "membrane", 0.1, 15, outputs=(4, 0, 2))
    result = tune(fewer, backbone, recipe)
    assert result.n_trained == 173
    images = torch.from_numpy(features.values[split.test])
    fired = result.classifier.layer_spikes(images)[-1][:, [4, 0, 2]].int()
    right = (fired == torch.eye(3)[features.labels[split.test]]).all(1)
    assert result.accuracy["test"] == right.double().mean().item()
    with pytest.raises(UserError, match="3 output neurons up to 4, but needs one for each of 5"):
        tune(features, backbone, recipe)


def test_a_constant_learning_rate_stays_and_a_cosine_falls(
    features: Features, backbone: Backbone
) -> None:
    """Adam's steps have the size of the learning rate, so that distances walked add up to it."""
    walked = {}
    for schedule in ("constant", "cosine"):
        recipe = TuningRecipe("nt1", "rate", "cross_entropy", 1e-3, 8, schedule=schedule)
        walked[schedule] = np.abs(tune(features, backbone, recipe).gains - 1).max()
    # 56 steps: all of 0.001, or half of it on average.
    assert walked["constant"] == pytest.approx(0.056, rel=0.15)
    assert walked["cosine"] == pytest.approx(0.028, rel=0.15)


def test_a_penalty_on_gains_makes_hidden_gains_small_and_leaves_outputs(
    features: Features, backbone: Backbone
) -> None:
    def sizes(l1: float, seed: int) -> np.ndarray:
        recipe = TuningRecipe("nt1", "rate", "cross_entropy", 0.1, 20, l1=l1, seed=seed)
        return np.abs(tune(features, backbone, recipe).gains)

    seeds = (0, 1, 2)
    free, penalised = ([sizes(l1, seed) for seed in seeds] for l1 in (0.0, 0.004))
    for without, found in zip(free, penalised, strict=True):
        assert np.median(found[:168]) < 0.1 * np.median(without[:168])
    # A single seed's five outputs depend on the last digits of the products before them.
    assert np.median([np.median(found[168:]) for found in penalised]) > 1


def test_neurons_that_integrate_over_time_are_tuned_by_their_counts(
    features: Features, backbone: Backbone
) -> None:
    recipe = TuningRecipe("nt1", "lif", "counts", 0.1, 6)
    before = tune(features, backbone, TuningRecipe("none", "lif", "counts", 0.05, 1))
    assert tune(features, backbone, recipe).accuracy["test"] > before.accuracy["test"] + 0.1


def test_memory_counts_what_is_kept_for_every_number(backbone: Backbone) -> None:
    """384-96-72-5; float32: frozen numbers once, trained ones five times, and a batch's values."""
    weights, biases = 384 * 96 + 96 * 72 + 72 * 5, 96 + 72 + 5
    batch = 2 * 64 * (384 + 3 * biases)
    recipes = {m: TuningRecipe(m, "rate", "cross_entropy", 0.1, 1) for m in ("nt1", "tft")}
    found = {m: training_memory(build_classifier(backbone, r, 5), 64) for m, r in recipes.items()}
    assert found["nt1"] == 4 * (weights + biases + 5 * biases + batch)
    assert found["tft"] == 4 * (5 * (weights + biases) + batch)
    mixed = training_memory(build_classifier(backbone, recipes["nt1"], 5), 64, Hardware(mixed=True))
    assert mixed == found["nt1"] + 2 * (weights + biases)
