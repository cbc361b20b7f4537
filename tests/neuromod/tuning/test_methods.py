"""One suite over all methods, and what is special to each."""

from __future__ import annotations

from copy import deepcopy

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torch.nn.functional import conv2d, linear  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import SpikingClassifier  # noqa: E402
from neuromod.models.modulated_layer import ModulatedLayer  # noqa: E402
from neuromod.tuning import attach, trained_parameters  # noqa: E402
from neuromod.tuning.backbone import IMAGENET, Backbone  # noqa: E402
from neuromod.tuning.hardware import seeded  # noqa: E402
from neuromod.tuning.methods import METHODS  # noqa: E402
from neuromod.tuning.methods.gained import GainedLayer, gain_penalty, keep_within, share_gains  # noqa: E402
from neuromod.tuning.recipe import TuningRecipe, build_classifier  # noqa: E402

TRAINED = {
    "none": {},
    "additive": {"shift": 8},
    "nt1": {"gain": 8},
    "nt1_inputs": {"gain": 6},
    "nt1_both": {"gain": 14},
    "nt1_groups": {"gain": 16},
    "nt1_bias": {"gain": 8},
    "nt2": {"bias": 8},
    "probe": {},
    "lora": {"down": 6, "up": 8},
    "tft": {"weight": 48, "bias": 8},
}
"""Trained numbers in a layer of 6 inputs and 8 neurons."""

GAINED = [method for method in METHODS if issubclass(METHODS[method], GainedLayer)]
NEED_BIAS = ("nt2", "nt1_bias")

BASES = {
    "linear": (lambda: torch.nn.Linear(6, 8), (20, 6)),
    "without bias": (lambda: torch.nn.Linear(6, 8, bias=False), (20, 6)),
    "on tokens": (lambda: torch.nn.Linear(6, 8), (3, 5, 6)),
    "convolution": (lambda: torch.nn.Conv2d(6, 8, (3, 2), stride=2, padding=1), (4, 6, 9, 7)),
    "wrapped edges": (
        lambda: torch.nn.Conv2d(6, 8, 3, padding=2, dilation=2, padding_mode="circular"),
        (6, 9, 7),
    ),
    "groups": (lambda: torch.nn.Conv2d(6, 8, 3, groups=2), (4, 6, 5, 5)),
}
LAYERS = [
    (method, kind)
    for method in METHODS
    for kind in BASES
    if not (kind == "without bias" and method in NEED_BIAS)
    and not (kind == "groups" and method == "lora")
]


def inputs(kind: str) -> torch.Tensor:
    return torch.randn(BASES[kind][1], generator=torch.Generator().manual_seed(3)).double()


def layer_and_base(method: str, kind: str) -> tuple[ModulatedLayer, torch.nn.Module]:
    with seeded(5):
        base = BASES[kind][0]().double()
        return METHODS[method](base), base


def trained(layer: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]


def perturbed(method: str, kind: str = "linear") -> ModulatedLayer:
    """A layer that has been trained, after a fashion."""
    layer, _ = layer_and_base(method, kind)
    drawn = torch.Generator().manual_seed(9)
    for parameter in trained(layer):
        parameter.data += torch.randn(parameter.shape, generator=drawn)
    return layer


@pytest.mark.parametrize(("method", "kind"), LAYERS)
def test_nothing_changes_before_training(method: str, kind: str) -> None:
    layer, base = layer_and_base(method, kind)
    torch.testing.assert_close(layer(inputs(kind)), base(inputs(kind)))


@pytest.mark.parametrize("method", METHODS)
def test_only_what_the_method_trains_is_trained_and_kept(method: str) -> None:
    layer, base = layer_and_base(method, "linear")
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    x = inputs("linear")
    if TRAINED[method]:
        optimizer = torch.optim.SGD(trained(layer), lr=0.1)
        layer(x).square().sum().backward()
        optimizer.step()
        assert not torch.equal(layer(x), base(x))
    sizes = {name: p.numel() for name, p in layer.named_parameters() if p.requires_grad}
    assert sizes == TRAINED[method]
    assert set(layer.state_dict()) == {"weight", "bias", *sizes}
    for name in {"weight", "bias"} - set(sizes):
        assert torch.equal(layer.state_dict()[name], before[name])
    for name, tensor in base.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(("method", "kind"), LAYERS)
def test_what_was_trained_can_be_switched_off(method: str, kind: str) -> None:
    layer = perturbed(method, kind)
    _, base = layer_and_base(method, kind)
    layer.enabled = False
    torch.testing.assert_close(layer(inputs(kind)), base(inputs(kind)))


@pytest.mark.parametrize(("method", "kind"), LAYERS)
def test_folded_tensors_are_what_the_layer_computes(method: str, kind: str) -> None:
    """Against torch's own functions, with the layer's weights, biases and gains put in."""
    layer = perturbed(method, kind)
    weight, bias, gain = layer.folded()
    x, base = inputs(kind), BASES[kind][0]().double()
    if isinstance(base, torch.nn.Linear):
        expected = gain * linear(x, weight, bias)
    else:
        base.weight.data = gain[:, None, None, None] * weight
        base.bias.data = gain * bias
        expected = base(x)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("method", "kind"), [(m, k) for m, k in LAYERS if TRAINED[m] and k in ("linear", "groups")]
)
def test_gradients_are_those_of_finite_differences(method: str, kind: str) -> None:
    layer = perturbed(method, kind)
    values = [p.detach().requires_grad_() for p in trained(layer)]
    x = inputs(kind).requires_grad_()

    def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        names = [name for name, p in layer.named_parameters() if p.requires_grad]
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_projection_is_kept_by_methods_that_say_so(method: str) -> None:
    x = inputs("linear")
    before, after = layer_and_base(method, "linear")[0].project(x), perturbed(method).project(x)
    assert torch.equal(before, after) == METHODS[method].keeps_projection


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_trained_tensors_take_the_layer_s_precision(method: str, dtype: torch.dtype) -> None:
    layer = METHODS[method](torch.nn.Linear(6, 8).to(dtype))
    assert all(parameter.dtype == dtype for parameter in layer.parameters())
    assert layer(torch.ones(2, 6, dtype=dtype)).dtype == dtype


def test_gains_on_inputs_weigh_them_before_the_product() -> None:
    """By hand: W = ((1, 2), (3, -4)), b = (0.5, -0.5), a = (3, 0.1), x = (1, 10): a x = (3, 1)."""
    base = torch.nn.Linear(2, 2)
    base.weight.data = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    base.bias.data = torch.tensor([0.5, -0.5])
    x = torch.tensor([[1.0, 10.0]])
    on_inputs, both, bias = (METHODS[m](base) for m in ("nt1_inputs", "nt1_both", "nt1_bias"))
    on_inputs.gain.data = torch.tensor([3.0, 0.1])
    torch.testing.assert_close(on_inputs(x), torch.tensor([[5.5, 4.5]]))
    both.gain.data = torch.tensor([3.0, 0.1, -2.0, 7.0])
    torch.testing.assert_close(both(x), torch.tensor([[-11.0, 31.5]]))
    bias.gain.data = torch.tensor([-2.0, 7.0])
    torch.testing.assert_close(bias(x), torch.tensor([[20.0, -40.5]]))


def test_a_gain_above_zero_acts_before_relu_as_on_the_next_layer_s_inputs() -> None:
    """Hence the paper's table 5: gains between the layers are gains of the neurons before."""
    with seeded(2):
        first, second = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
    neurons, next_inputs = METHODS["nt1"](first), METHODS["nt1_inputs"](second)
    gain = torch.linspace(0.13, 2.9, 8)
    neurons.gain.data, next_inputs.gain.data = gain, gain
    x = inputs("linear").float()
    torch.testing.assert_close(second(neurons(x).relu()), next_inputs(first(x).relu()))


def test_added_and_unfrozen_biases_are_trained_alike() -> None:
    """They differ in name only, as the paper notes of their capacity (section 3.2)."""
    layers = [layer_and_base(method, "linear")[0] for method in ("additive", "nt2")]
    for layer in layers:
        optimizer = torch.optim.SGD(trained(layer), lr=0.1)
        layer(inputs("linear")).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(*(layer(inputs("linear")) for layer in layers))


@pytest.mark.parametrize("rank", [1, 3])
def test_lora_adds_a_product_of_two_thin_matrices(rank: int) -> None:
    base = torch.nn.Linear(6, 8).double()
    layer = METHODS["lora"](base, rank=rank)
    layer.up.data = torch.randn(8, rank, generator=torch.Generator().manual_seed(1)).double()
    change = layer.up @ layer.down
    assert torch.linalg.matrix_rank(change) == rank
    expected = inputs("linear") @ (base.weight + change).T + base.bias
    torch.testing.assert_close(layer(inputs("linear")), expected)


def test_lora_on_a_convolution_adds_kernels_that_are_products() -> None:
    base = torch.nn.Conv2d(6, 8, 3, stride=2).double()
    layer = METHODS["lora"](base, rank=2)
    layer.up.data = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)).double()
    change = (layer.up @ layer.down.reshape(2, -1)).reshape(8, 6, 3, 3)
    expected = conv2d(inputs("groups"), base.weight + change, base.bias, stride=2)
    torch.testing.assert_close(layer(inputs("groups")), expected)


def test_lora_starts_as_its_authors_code_does() -> None:
    """``B`` at 0, ``A`` uniform within ``1/sqrt(inputs)``, whose variance is ``1/(3 inputs)``."""
    with seeded(7):
        layer = METHODS["lora"](torch.nn.Linear(400, 8), rank=25)
    assert not layer.up.any()
    assert 0.049 < layer.down.abs().max() < 0.05
    assert layer.down.var().item() == pytest.approx(1 / 1200, rel=0.05)


def test_gains_on_both_sides_are_as_many_as_lora_of_rank_one() -> None:
    layers = [METHODS[method](torch.nn.Linear(31, 17)) for method in ("nt1_both", "lora")]
    counts = [sum(p.numel() for p in trained(layer)) for layer in layers]
    assert counts == [48, 48]


@pytest.mark.parametrize("method", GAINED)
def test_gains_may_start_as_the_paper_s_do(method: str) -> None:
    base = torch.nn.Linear(400, 300)
    with seeded(11):
        gain = METHODS[method](base, start="uniform").gain
    with seeded(11):
        again = METHODS[method](base, start="uniform").gain
    assert torch.equal(gain, again)
    assert 0 <= gain.min() < 0.02
    assert 0.98 < gain.max() < 1
    assert gain.mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: METHODS["nt2"](torch.nn.Linear(2, 2, False)), "nt2 trains a layer's bias, and"),
        (lambda: METHODS["nt1_bias"](torch.nn.Linear(2, 2, False)), "has none: use nt1"),
        (lambda: METHODS["lora"](torch.nn.Conv2d(4, 4, 3, groups=4)), "this one has 4"),
        (lambda: METHODS["lora"](torch.nn.Linear(2, 2), rank=0), "but must be at least 1"),
        (lambda: METHODS["nt1"](torch.nn.Linear(2, 2), start="unifrom"), "did you mean uniform"),
    ],
)
def test_what_a_method_cannot_do_is_told(make, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()


def two_layers(method: str = "nt1") -> torch.nn.Sequential:
    with seeded(4):
        return torch.nn.Sequential(
            METHODS[method](torch.nn.Linear(2, 3)),
            torch.nn.ReLU(),
            METHODS[method](torch.nn.Linear(3, 2)),
        )


@pytest.mark.parametrize("method", GAINED)
def test_a_shared_gain_is_pulled_by_the_sum_of_its_places(method: str) -> None:
    own, shared = two_layers(method), two_layers(method)
    sizes = [layer.n_gains for layer in (own[0], own[2])]
    domain = torch.arange(sum(sizes)).numpy() % 3
    share_gains(shared, domain)
    x = torch.tensor([[0.7, -1.3], [1.9, 0.4]])
    assert torch.equal(own(x), shared(x))
    for model in (own, shared):
        model(x).square().sum().backward()
    pulls = torch.cat([own[0].gain.grad, own[2].gain.grad])
    (gain,) = trained(shared)
    torch.testing.assert_close(gain.grad, torch.stack([pulls[domain == k].sum() for k in range(3)]))
    assert gain.numel() == 3


def test_shared_gains_start_where_they_are_told() -> None:
    model = two_layers()
    share_gains(model, torch.tensor([1, 0, 1, 1, 0]).numpy(), [0.3, 1.7])
    torch.testing.assert_close(model[0].gains, torch.tensor([1.7, 0.3, 1.7]))
    torch.testing.assert_close(model[2].gains, torch.tensor([1.7, 0.3]))


@pytest.mark.parametrize(
    ("domain", "start", "sentence"),
    [
        ([0, 1, 0], None, "shared by 3 neurons, and the model has 5 with a gain"),
        ([0, 1, 0, 3, 0], None, "there are 3 from 0 to 3, and 3 gains"),
        ([1, 2, 1, 1, 1], None, "there are 2 from 1 to 2"),
        ([0, 1, 0, 0, 0], [1.0], "and 1 gains"),
    ],
)
def test_domains_that_do_not_fit_are_refused(domain, start, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        share_gains(two_layers(), torch.tensor(domain).numpy(), start)


def test_gains_are_brought_back_within_bounds() -> None:
    model = two_layers()
    model[0].gain.data = torch.tensor([-0.4, 0.7, 3.1])
    keep_within(model, 0.2, None)
    torch.testing.assert_close(model[0].gain.data, torch.tensor([0.2, 0.7, 3.1]))
    keep_within(model, None, 0.9)
    torch.testing.assert_close(model[0].gain.data, torch.tensor([0.2, 0.7, 0.9]))
    torch.testing.assert_close(model[2].gain.data, torch.full((2,), 0.9))


def test_the_l1_penalty_pulls_every_gain_towards_zero_alike() -> None:
    model = two_layers()
    model[0].gain.data = torch.tensor([-0.4, 0.7, 3.1])
    penalty = gain_penalty([model])
    torch.testing.assert_close(penalty, torch.tensor(0.4 + 0.7 + 3.1 + 2))
    penalty.backward()
    assert model[0].gain.grad.tolist() == [-1.0, 1.0, 1.0]
    torch.testing.assert_close(gain_penalty([model[0]]), torch.tensor(4.2))
    with pytest.raises(UserError, match="none of these layers has any"):
        gain_penalty([two_layers("nt2")])


PAPER = {
    # STL-10, Food-11, BCCD
    ("rate", "table 3"): (43_290, 44_291, 37_284),
    ("rate", "table 5"): (18_202, 19_203, 12_196),
    ("rate", "tft"): (123_652_866, 123_653_867, 123_646_860),
    ("spiking", "nt1"): (9_192, 20_203, 13_196),
    ("spiking", "nt2"): (9_192, 20_203, 13_196),
    ("spiking", "additive"): (9_192, 20_203, 13_196),
    ("spiking", "tft"): (123_642_856, 123_653_867, 123_646_860),
}
"""Trained parameters of VGG-19's classifier in the paper's tables 3, 5 and 8."""


def vgg19(n_classes: int) -> torch.nn.Module:
    """VGG-19, with a new output layer behind the old one."""
    with torch.device("meta"):
        network = torchvision.models.vgg19(weights=None)
        network.classifier.extend([torch.nn.ReLU(), torch.nn.Linear(1000, n_classes)])
    return network


@pytest.mark.parametrize(("n_classes", "column"), [(10, 0), (11, 1), (4, 2)])
@pytest.mark.parametrize(("kind", "setting"), PAPER)
def test_vgg19_has_the_paper_s_numbers_of_trained_parameters(
    kind: str, setting: str, n_classes: int, column: int
) -> None:
    """Every network's new output layer is trained; the spiking one has none for STL-10, whose ten
    classes are read at ten of the thousand old outputs."""
    network = vgg19(n_classes)
    old, new = [f"classifier.{i}" for i in (0, 3, 6)], "classifier.8"
    if setting == "table 3":
        attach(network, "nt1_inputs", old)
    elif setting == "table 5":
        attach(network, "nt1", old[:2])
    else:
        attach(network, setting, old)
    if kind == "rate" or n_classes != 10:
        attach(network, "tft", new)
    found = sum(parameter.numel() for parameter in trained_parameters(network))
    assert found == PAPER[kind, setting][column]


def test_the_classifiers_that_are_tuned_have_those_numbers_too() -> None:
    with torch.device("meta"):
        backbone = Backbone("vgg19", torchvision.models.vgg19(weights=None), IMAGENET)
    outputs = [7, 33, 207, 281, 354, 385, 404, 656, 817, 867]
    stl10 = SpikingClassifier(deepcopy(backbone.linears), outputs=outputs)
    attach(stl10, "nt1")
    assert stl10.n_trained == 9_192
    assert stl10(torch.empty(3, 25_088, device="meta")).spikes.shape == (3, 10)
    for method, kind, loss, n_classes, count in (
        ("nt1", "spiking", "simple", 11, 20_203),
        ("tft", "spiking", "simple", 4, 123_646_860),
        ("nt1_inputs", "rate", "cross_entropy", 10, 43_290),
        ("none", "rate", "cross_entropy", 4, 0),
    ):
        recipe = TuningRecipe(method, kind, loss, lr=0.1, epochs=1)
        assert build_classifier(backbone, recipe, n_classes).n_trained == count
