"""The classifier's layers against values worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import LIFClassifier, RateClassifier, SpikingClassifier  # noqa: E402
from neuromod.models.modulated_layer import ModulatedLayer  # noqa: E402
from neuromod.tuning import attach, detach, merge  # noqa: E402
from neuromod.tuning.hardware import seeded  # noqa: E402
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
    weight, bias = (torch.randn(shape, generator=drawn).tolist() for shape in ((7, 5), (7,)))
    layer = linear(weight, bias)
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
    stored = classifier.modulated_layers[0].stored_weight
    assert stored.data_ptr() == base.weight.data_ptr()
    classifier.double()
    assert base.weight.dtype == torch.float32
    assert list(classifier.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.0.gain"]


def drawn_layers(method: str = "nt1", *widths: int) -> list[ModulatedLayer]:
    drawn = torch.Generator().manual_seed(6)
    layers = []
    for n_inputs, n_neurons in pairwise(widths or (5, 7, 4)):
        weight = torch.randn(n_neurons, n_inputs, generator=drawn).double()
        bias = torch.randn(n_neurons, generator=drawn)
        layer = METHODS[method](linear(weight.tolist(), bias.tolist())).double()
        for parameter in layer.parameters():
            parameter.data += (
                parameter.requires_grad * 0.3 * torch.randn(parameter.shape, generator=drawn)
            )
        layers.append(layer)
    return layers


def drawn_inputs(n: int = 9, width: int = 5) -> torch.Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(2)).double()


KINDS = [
    lambda layers, **more: RateClassifier(layers, **more),
    lambda layers, **more: SpikingClassifier(layers, **more),
    lambda layers, **more: LIFClassifier(layers, steps=4, **more),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_is_a_plain_module_that_methods_attach_to(kind) -> None:
    """Untuned, merged and detached, its layers are plain ones, and it computes alike."""
    with seeded(4):
        linears = [torch.nn.Linear(5, 7).double(), torch.nn.Linear(7, 4).double()]
    classifier, x = kind(linears), drawn_inputs()
    before = classifier(x)
    assert classifier.layer_parameters()[0].gain.tolist() == [1.0] * 7
    attach(classifier, "nt1")
    for layer in classifier.modulated_layers:
        layer.gain.data += 0.3
    assert classifier.n_trained == 7 + 4
    tuned = classifier(x)
    merge(classifier)
    assert not any(isinstance(layer, ModulatedLayer) for layer in classifier.layers)
    for one, other in zip(classifier(x), tuned, strict=True):
        torch.testing.assert_close(one, other)
    detach(classifier)
    assert list(classifier.layers) == linears
    for one, other in zip(classifier(x), before, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_first_layer_s_projection_may_be_given_instead_of_features(kind, method: str) -> None:
    layers, x = drawn_layers(method), drawn_inputs()
    classifier, labels = kind(layers), torch.arange(9) % 4
    projected = layers[0].project(x)
    for one, other in zip(classifier(x), classifier(projected, projected=True), strict=True):
        torch.testing.assert_close(one, other)
    expected = classifier.correct(x, labels)
    assert torch.equal(classifier.correct(projected, labels, projected=True), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_may_be_read_at_some_of_the_outputs(kind) -> None:
    layers, x = drawn_layers(), drawn_inputs()
    every, some = kind(layers)(x), kind(layers, outputs=[3, 1])(x)
    if isinstance(every, torch.Tensor):
        every, some = (every,), (some,)
    for columns, read in zip(every, some, strict=True):
        assert torch.equal(read, columns[:, [3, 1]])


def test_only_the_outputs_that_are_read_decide_what_is_right() -> None:
    identity = ModulatedLayer(linear(torch.eye(3).tolist(), [0.0] * 3))
    classifier = SpikingClassifier([identity], outputs=[2, 0]).eval()
    fired = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    assert classifier.correct(fired, torch.tensor([1, 0, 0])).tolist() == [True, True, False]


def test_a_single_step_of_integration_is_a_single_update() -> None:
    layers, x = drawn_layers(), drawn_inputs()
    once = SpikingClassifier(layers, slope=2.0).eval()(x)
    integrated = LIFClassifier(layers, steps=1, decay=0.37, slope=2.0)(x)
    assert torch.equal(integrated.membrane, once.membrane)
    assert torch.equal(integrated.spikes, once.spikes)
    assert 0 < once.spikes.mean() < 1


@pytest.mark.parametrize("decay", [0.35, 0.83, 0.97])
def test_a_constant_drive_gives_spikes_as_often_as_the_closed_form_says(decay: float) -> None:
    """From rest, v after k steps is I (1 - decay**k)/(1 - decay), so a neuron fires every k steps
    with k the first at which it reaches theta, and never below I = theta (1 - decay)."""
    drives = torch.linspace(0.013, 0.91, 211).double()
    layer = ModulatedLayer(linear([[1.0]], [0.0])).double()
    counts = LIFClassifier([layer], 0.5, steps=53, decay=decay)(drives[:, None]).spikes[:, 0]
    expected = []
    for drive in drives.tolist():
        left = 1 - 0.5 * (1 - decay) / drive
        period = math.ceil(math.log(left) / math.log(decay)) if left > 0 else math.inf
        expected.append(53 // period)
    assert counts.tolist() == expected
    assert len(set(expected)) > 5


def test_the_mean_membrane_of_a_silent_neuron_is_that_of_a_leaky_sum() -> None:
    """decay 1/2, drive 0.1: 0.1, 0.15, 0.175, 0.1875."""
    layer = ModulatedLayer(linear([[1.0]], [0.0])).double()
    output = LIFClassifier([layer], 0.5, steps=4, decay=0.5)(torch.tensor([[0.1]]).double())
    torch.testing.assert_close(output.membrane, torch.tensor([[0.6125 / 4]]).double())
    assert output.spikes.item() == 0


def test_a_neuron_that_integrates_must_fire_more_often_than_any_other() -> None:
    identity = ModulatedLayer(linear(torch.eye(3).tolist(), [0.0] * 3))
    classifier = LIFClassifier([identity], 0.5, steps=6, decay=0.9)
    drives = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.7, 0.1], [0.01, 0.02, 0.0]])
    assert classifier(drives).spikes.tolist() == [[6, 3, 0], [6, 6, 0], [0, 0, 0]]
    assert classifier.correct(drives, torch.tensor([0, 1, 1])).tolist() == [True, False, False]
    assert not classifier.correct(drives[:1], torch.tensor([1])).any()


def test_gradients_run_through_time_and_stop_at_the_reset() -> None:
    """By hand: one neuron, drive a x, decay d, two steps, slope m. v1 = a x and, if it is silent,
    v2 = (d + 1) a x, else v2 = a x; with s(v) = 1/(1 + m |v - theta|)**2 the counts have the
    derivative s(v1) x + s(v2) (d + 1) x, or s(v1) x + s(v2) x, by a."""

    def surrogate(v: float) -> float:
        return 1 / (1 + 3 * abs(v - 0.5)) ** 2

    for x, by_hand in (
        (0.4, surrogate(0.4) * 0.4 + surrogate(0.72) * 1.8 * 0.4),
        (0.7, surrogate(0.7) * 0.7 + surrogate(0.7) * 0.7),
    ):
        layer = NT1(linear([[1.0]], [0.0])).double()
        classifier = LIFClassifier([layer], 0.5, steps=2, decay=0.8, slope=3.0)
        classifier(torch.tensor([[x]]).double()).spikes.sum().backward()
        torch.testing.assert_close(layer.gain.grad, torch.tensor([by_hand]).double())


@pytest.mark.parametrize("method", ["nt1", "nt1_inputs", "additive", "lora"])
def test_where_nothing_fires_membranes_have_the_gradients_of_finite_differences(
    method: str,
) -> None:
    layers, x = drawn_layers(method, 5, 4), drawn_inputs()
    classifier = LIFClassifier(layers, theta=1e6, steps=3, decay=0.8)
    names = [name for name, _ in classifier.named_parameters()]

    def membrane(*values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(classifier, given, (x,)).membrane

    trained = [p.detach().requires_grad_() for p in classifier.parameters()]
    assert torch.autograd.gradcheck(membrane, trained)


@pytest.mark.parametrize("method", ["nt1", "nt1_both", "nt1_bias", "lora", "tft"])
def test_cross_entropy_on_rates_has_the_gradients_of_finite_differences(method: str) -> None:
    classifier, x = RateClassifier(drawn_layers(method)), drawn_inputs()
    names = [name for name, _ in classifier.named_parameters()]

    def loss(*values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, values, strict=True))
        logits = torch.func.functional_call(classifier, given, (x,))
        return torch.nn.functional.cross_entropy(logits, torch.arange(9) % 4)

    trained = [p.detach().requires_grad_() for p in classifier.parameters()]
    assert torch.autograd.gradcheck(loss, trained, fast_mode=True)


def pictures(n: int = 6) -> torch.Tensor:
    return torch.randn(n, 2, 8, 7, generator=torch.Generator().manual_seed(5)).double()


def convolutional() -> list[torch.nn.Module]:
    """Pictures of 2 x 8 x 7 to 3 x 4 x 7, pooled to 3 x 2 x 3, to 4 x 1 x 2, to 5 neurons."""
    drawn = torch.Generator().manual_seed(8)
    layers = [
        torch.nn.Conv2d(2, 3, 3, stride=(2, 1), padding=1),
        torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(3, 4, 2),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 5),
    ]
    for layer in layers:
        for parameter in layer.parameters():
            parameter.data = 0.7 * torch.randn(parameter.shape, generator=drawn)
    return [layer.double() for layer in layers]


def tuned(classifier):
    attach(classifier, "nt1")
    drawn = torch.Generator().manual_seed(1)
    for parameter in classifier.parameters():
        if parameter.requires_grad:
            parameter.data += 0.6 * torch.randn(parameter.shape, generator=drawn).to(parameter)
    return classifier.eval()


def by_hand(classifier, x: torch.Tensor, fire) -> list[torch.Tensor]:
    """Membranes of all layers, from the numbers of `layer_parameters`."""
    first, second, third = classifier.layer_parameters()
    weights = [torch.from_numpy(p.weight * p.gain[:, None, None, None]) for p in (first, second)]
    biases = [torch.from_numpy(p.bias * p.gain) for p in (first, second)]
    one = torch.nn.functional.conv2d(x, weights[0], biases[0], stride=(2, 1), padding=1)
    pooled = fire(one)[:, :, :, :6].unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean((3, 5))
    two = torch.nn.functional.conv2d(pooled, weights[1], biases[1])
    flat = fire(two).flatten(1)
    weight, bias, gain = (torch.from_numpy(tensor) for tensor in third)
    return [one, two, (flat @ weight.T + bias) * gain]


def test_convolutions_and_pooling_stand_between_neurons_as_linear_layers_do() -> None:
    x = pictures()
    rate = tuned(RateClassifier(convolutional()))
    torch.testing.assert_close(rate(x), by_hand(rate, x, torch.relu)[-1])
    once = tuned(SpikingClassifier(convolutional()))
    membranes = by_hand(once, x, lambda v: (v >= 0.5).double())
    torch.testing.assert_close(once(x).membrane, membranes[-1])
    for spikes, v in zip(once.layer_spikes(x), membranes, strict=True):
        assert torch.equal(spikes, v >= 0.5)
        assert 0 < spikes.double().mean() < 1


def test_channels_of_a_convolution_have_one_gain_each() -> None:
    classifier = tuned(SpikingClassifier(convolutional()))
    assert classifier.n_trained == 3 + 4 + 5
    assert [p.weight.shape for p in classifier.layer_parameters()] == [
        (3, 2, 3, 3),
        (4, 3, 2, 2),
        (5, 8),
    ]


def test_neurons_of_a_convolution_integrate_over_time() -> None:
    """Against a loop over neurons' own equation, whatever layer they are in."""
    classifier = tuned(LIFClassifier(convolutional(), steps=7, decay=0.8))
    x, kept = pictures(), [0.0, 0.0, 0.0]
    counts = torch.zeros(6, 5).double()
    for updated in classifier.updates(x):
        drive = by_hand(classifier, x, lambda v: v)[0]
        for i, (v, spikes) in enumerate(updated):
            torch.testing.assert_close(v, kept[i] + drive)
            assert torch.equal(spikes, (v >= 0.5).double())
            kept[i] = 0.8 * v * (1 - spikes)
            if i < 2:
                stage = classifier.stages[i + 1]
                drive = torch.nn.Sequential(*stage)(spikes)
        counts += spikes
    assert torch.equal(classifier(x).spikes, counts)
    assert len(counts.unique()) > 3


def test_frames_drive_one_step_each() -> None:
    layers, frames = convolutional(), pictures(12).unflatten(0, (3, 4))
    moving = LIFClassifier(layers, steps=4, decay=0.0, frames=True)
    still = SpikingClassifier(layers).eval()
    for step, updated in enumerate(moving.updates(frames)):
        assert torch.equal(updated[-1].spikes, still(frames[:, step]).spikes)
    repeated = frames[:, :1].expand(-1, 4, -1, -1, -1)
    moving.decay = 0.9
    same = LIFClassifier(layers, steps=4)(frames[:, 0])
    assert torch.equal(moving(repeated).spikes, same.spikes)
    assert not torch.equal(moving(frames).spikes, same.spikes)
    with pytest.raises(UserError, match="There are 3 frames for 4 steps"):
        moving(frames[:, :3])


def test_frames_may_be_projected_beforehand() -> None:
    layers = drawn_layers()
    frames = drawn_inputs(12).unflatten(0, (3, 4))
    classifier = LIFClassifier(layers, steps=4, frames=True)
    projected = classifier(layers[0].project(frames), projected=True)
    assert torch.equal(classifier(frames).spikes, projected.spikes)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([torch.nn.Linear(3, 4), torch.nn.ReLU()], "Layer 1 of a classifier, ReLU, is no Linear"),
        ([torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(3, 4)], "put nn.Flatten.. before it"),
        ([torch.nn.AvgPool2d(2), torch.nn.Linear(3, 4)], "put nn.Flatten.. before it"),
        ([torch.nn.Conv2d(1, 2, 3)], "ends in a Conv2d: a Linear, with a neuron for each class"),
        ([torch.nn.Linear(3, 4), torch.nn.Flatten()], "ends in a Flatten"),
        ([torch.nn.Flatten(2), torch.nn.Linear(3, 4)], "must flatten all of a sample"),
    ],
)
def test_layers_that_make_no_classifier_are_refused(layers, told: str) -> None:
    with pytest.raises(UserError, match=told):
        SpikingClassifier(layers)
