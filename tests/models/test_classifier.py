"""The classifier's layers against values worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuromod.models.classifier import (  # noqa: E402
    ModulatedLayer,
    RateClassifier,
    SpikingClassifier,
)
from neuromod.tuning.methods import METHODS  # noqa: E402
from neuromod.tuning.methods.nt1 import NT1  # noqa: E402


def linear(weight: list[list[float]], bias: list[float]) -> torch.nn.Linear:
    layer = torch.nn.Linear(len(weight[0]), len(weight))
    layer.weight.data = torch.tensor(weight)
    layer.bias.data = torch.tensor(bias)
    return layer


def two_neurons() -> SpikingClassifier:
    """Two neurons that read two inputs, then two that read those; theta 0.5, leak 0.01.

    For the input (1, 2): v = (0.3 + 0.4 - 0.1, -0.3 + 0.8 - 0.1) = (0.6, 0.4): only the first
    fires.
    """
    first = ModulatedLayer(linear([[0.3, 0.2], [-0.3, 0.4]], [-0.1, -0.1]))
    second = ModulatedLayer(linear([[0.7, 0.5], [0.2, 0.9]], [0.05, 0.15]))
    return SpikingClassifier([first, second], theta=0.5, leak=0.01)


X = torch.tensor([[1.0, 2.0]])


def test_silent_neurons_give_nothing_in_evaluation() -> None:
    membrane, spikes = two_neurons().eval()(X)
    torch.testing.assert_close(membrane, torch.tensor([[0.75, 0.35]]))
    assert spikes.tolist() == [[1.0, 0.0]]


def test_silent_neurons_give_the_leak_in_training() -> None:
    membrane, spikes = two_neurons().train()(X)
    torch.testing.assert_close(membrane, torch.tensor([[0.7 + 0.005 + 0.05, 0.2 + 0.009 + 0.15]]))
    torch.testing.assert_close(spikes, torch.tensor([[1.0, 0.01]]))


def test_a_membrane_exactly_at_threshold_fires() -> None:
    classifier = SpikingClassifier([ModulatedLayer(linear([[0.25]], [0.25]))], theta=0.5).eval()
    assert classifier(torch.ones(1, 1)).spikes.tolist() == [[1.0]]


def test_the_gain_multiplies_weights_and_bias_alike() -> None:
    layer = NT1(linear([[0.3, 0.2], [-0.3, 0.4]], [-0.1, -0.1]))
    layer.gain.data = torch.tensor([2.0, -3.0])
    torch.testing.assert_close(layer(X), torch.tensor([[1.2, -1.2]]))


@pytest.mark.parametrize("gain", [0.37, 1.9, 6.1])
def test_a_gain_on_the_input_is_a_threshold_divided_by_it(gain: float) -> None:
    drawn = torch.Generator().manual_seed(4)
    layer = linear(torch.randn(7, 5, generator=drawn).tolist(), torch.randn(7).tolist())
    tuned = NT1(layer)
    tuned.gain.data.fill_(gain)
    x = torch.randn(50, 5, generator=drawn)
    at_input = SpikingClassifier([tuned], theta=0.5).eval()(x).spikes
    at_threshold = SpikingClassifier([ModulatedLayer(layer)], theta=0.5 / gain).eval()(x).spikes
    assert torch.equal(at_input, at_threshold)
    assert 0 < at_input.mean() < 1


def test_the_paper_s_surrogate_passes_gradients_straight_through() -> None:
    classifier = two_neurons().train()
    v = torch.tensor([-3.0, 0.49, 0.5, 8.0], requires_grad=True)
    upstream = torch.tensor([0.3, -1.7, 2.2, 0.9])
    classifier.fire(v).backward(upstream)
    assert torch.equal(v.grad, upstream)


def test_the_fast_sigmoid_falls_with_the_distance_from_threshold() -> None:
    classifier = SpikingClassifier([], theta=0.5, slope=2.0)
    v = torch.tensor([0.5, 1.0, -0.25], requires_grad=True)
    classifier.fire(v).sum().backward()
    torch.testing.assert_close(v.grad, torch.tensor([1.0, 1 / 4, 1 / 6.25]))


def test_gradients_of_gains_reach_through_silent_neurons() -> None:
    """By hand, with derivative 1 everywhere: dO2_k/da_j = w2_kj * (W1 x + b1)_j."""
    first = NT1(linear([[0.3, 0.2], [-0.3, 0.4]], [-0.1, -0.1]))
    second = ModulatedLayer(linear([[0.7, 0.5], [0.2, 0.9]], [0.05, 0.15]))
    classifier = SpikingClassifier([first, second], theta=0.5, leak=0.01).train()
    classifier(X).spikes[0, 1].backward()
    torch.testing.assert_close(first.gain.grad, torch.tensor([0.2 * 0.6, 0.9 * 0.4]))


def test_chance_is_one_in_two_to_the_number_of_classes() -> None:
    identity = ModulatedLayer(linear(torch.eye(5).tolist(), [0.0] * 5))
    patterns = torch.tensor(list(product([0.0, 1.0], repeat=5)))
    classifier = SpikingClassifier([identity]).eval()
    for label in range(5):
        right = classifier.correct(patterns, torch.full((32,), label))
        assert right.sum() == 1
        assert patterns[right].argmax(1).tolist() == [label]


def test_the_rate_classifier_takes_the_largest_output() -> None:
    hidden = ModulatedLayer(linear([[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0]))
    output = ModulatedLayer(linear([[1.0, 2.0], [1.5, -1.0]], [0.0, 0.0]))
    classifier = RateClassifier([hidden, output])
    x = torch.tensor([[2.0, 9.0], [-2.0, 9.0]])
    torch.testing.assert_close(classifier(x), torch.tensor([[2.0, 3.0], [4.0, -2.0]]))
    assert classifier.correct(x, torch.tensor([1, 1])).tolist() == [True, False]


@pytest.mark.parametrize("method", METHODS)
def test_layer_parameters_are_all_that_another_simulator_needs(method: str) -> None:
    drawn = torch.Generator().manual_seed(9)
    layers = [METHODS[method](torch.nn.Linear(*shape)) for shape in ((6, 8), (8, 4))]
    for layer in layers:
        for parameter in layer.parameters():
            parameter.data += torch.randn(parameter.shape, generator=drawn)
    x = torch.randn(200, 6, generator=drawn).double()
    classifier = SpikingClassifier(layers, theta=0.2).double()
    o = x.numpy()
    for parameters, spikes in zip(
        classifier.layer_parameters(), classifier.layer_spikes(x), strict=True
    ):
        v = parameters.gain * (o @ parameters.weight.T + parameters.bias)
        o = (v >= 0.2).astype(float)
        np.testing.assert_array_equal(o.astype(bool), spikes.numpy())


def test_spikes_of_all_layers_end_in_those_of_the_output() -> None:
    classifier = two_neurons().eval()
    spikes = classifier.layer_spikes(X)
    assert [layer.tolist() for layer in spikes] == [[[True, False]], [[True, False]]]
    assert torch.equal(spikes[-1].float(), classifier(X).spikes)


def test_a_classifier_shares_frozen_weights_but_changes_none() -> None:
    base = linear([[0.1, 0.2]], [0.3])
    classifier = RateClassifier([NT1(base)])
    assert classifier.modulated_layers[0].weight.data_ptr() == base.weight.data_ptr()
    classifier.double()
    assert base.weight.dtype == torch.float32
    assert list(classifier.state_dict()) == ["layers.0.gain"]
