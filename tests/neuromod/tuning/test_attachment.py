"""One behavioural suite for methods attached to models of several kinds."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import RateClassifier  # noqa: E402
from neuromod.models.modulated_layer import ModulatedLayer  # noqa: E402
from neuromod.support.tensor_file import TensorFileError, read_tensors  # noqa: E402
from neuromod.tuning import (  # noqa: E402
    attach,
    detach,
    disabled,
    load_trained,
    load_trained_state_dict,
    merge,
    merge_and_unload,
    save_trained,
    trained_parameters,
    trained_state_dict,
    unmerge,
)
from neuromod.tuning.backbone import DIGITS_INPUT, Backbone, DigitsVGG, PretrainingRecipe  # noqa: E402
from neuromod.tuning.hardware import seeded  # noqa: E402
from neuromod.tuning.methods import METHODS  # noqa: E402
from neuromod.tuning.methods.gained import share_gains  # noqa: E402
from neuromod.tuning.trained import GAINS  # noqa: E402


class Attention(nn.Module):
    """Of one head, with the names that transformers give their layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = self.query(x) @ self.key(x).transpose(-1, -2)
        return score.tanh() @ self.value(x)


class Encoder(nn.Module):
    """Nested as transformers are; its one feed-forward layer is called in both blocks."""

    def __init__(self, width: int = 6, tied: bool = False) -> None:
        super().__init__()
        shared = nn.Linear(width, width)
        self.embedding = nn.Embedding(11, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"attention": Attention(width), "output": shared}) for _ in range(2)
        )
        self.head = nn.Linear(width, 11)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = x + block["output"](block["attention"](x)).relu()
        return self.head(x)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.Flatten(),
        nn.Linear(24, 3),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[torch.Generator], torch.Tensor]]] = {
    "perceptron": (perceptron, lambda g: torch.randn(7, 6, generator=g)),
    "convolutional": (convolutional, lambda g: torch.randn(2, 3, 5, 6, generator=g)),
    "transformer": (Encoder, lambda g: torch.randint(11, (2, 5), generator=g)),
}


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return request.param


def built(kind: str) -> nn.Module:
    with seeded(8):
        return MODELS[kind][0]().eval()


def inputs(kind: str) -> torch.Tensor:
    return MODELS[kind][1](torch.Generator().manual_seed(1))


def train(model: nn.Module, kind: str) -> None:
    """Two steps on a made-up aim; models in which nothing is trained stay as they are."""
    trained = trained_parameters(model)
    if not trained:
        return
    optimizer = torch.optim.SGD(trained, lr=0.2)
    for _ in range(2):
        optimizer.zero_grad()
        (model(inputs(kind)) - 0.37).square().mean().backward()
        optimizer.step()


def tuned(kind: str, method: str) -> nn.Module:
    model = built(kind)
    attach(model, method)
    train(model, kind)
    return model


def everything(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(model: nn.Module, before: dict[str, torch.Tensor]) -> None:
    after = model.state_dict()
    assert list(after) == list(before)
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]), name


def layer_names(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_modules(remove_duplicate=False))


def test_a_model_computes_as_before_until_it_is_trained(kind: str, method: str) -> None:
    model = built(kind)
    expected = model(inputs(kind))
    assert attach(model, method)
    torch.testing.assert_close(model(inputs(kind)), expected)


def test_training_changes_the_trained_tensors_alone(kind: str, method: str) -> None:
    model = built(kind)
    names = attach(model, method)
    frozen = {n: t.clone() for n, t in model.named_buffers() if "num_batches" not in n}
    frozen |= {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    before = {name: tensor.clone() for name, tensor in trained_state_dict(model).items()}
    train(model, kind)
    after = trained_state_dict(model)
    assert {name.rpartition(".")[0] for name in after} <= set(names)
    assert bool(after) == (method != "none")
    for name, tensor in after.items():
        assert not torch.equal(tensor, before[name]), name
    now = {**dict(model.named_buffers()), **dict(model.named_parameters())}
    for name, tensor in frozen.items():
        assert torch.equal(now[name], tensor), name


def test_detaching_gives_back_the_very_layers_and_bits(kind: str, method: str) -> None:
    model = built(kind)
    model.get_parameter("head.bias" if kind == "transformer" else "0.bias").requires_grad_(False)
    before, layers = everything(model), layer_names(model)
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    attach(model, method)
    train(model, kind)
    detach(model)
    assert_same(model, before)
    assert layer_names(model) == layers
    assert {name: p.requires_grad for name, p in model.named_parameters()} == flags
    with pytest.raises(UserError, match="has no tuned layers: attach a method first"):
        detach(model)


def test_merging_makes_plain_layers_that_compute_the_same(kind: str, method: str) -> None:
    model, plain = tuned(kind, method), built(kind)
    expected = model(inputs(kind))
    merge(model)
    merge(model)
    assert not any(isinstance(module, ModulatedLayer) for module in model.modules())
    torch.testing.assert_close(model(inputs(kind)), expected)
    if method != "additive":
        assert list(model.state_dict()) == list(plain.state_dict())


def test_unmerging_is_exact(kind: str, method: str) -> None:
    model = tuned(kind, method)
    expected, before, layers = model(inputs(kind)), everything(model), layer_names(model)
    merge(model)
    unmerge(model)
    unmerge(model)
    assert_same(model, before)
    assert layer_names(model) == layers
    assert torch.equal(model(inputs(kind)), expected)


def test_a_merged_model_is_detached_as_well(kind: str, method: str) -> None:
    model, plain = tuned(kind, method), built(kind)
    merge(model)
    detach(model)
    assert_same(model, everything(plain))


def test_what_was_trained_is_disabled_for_a_block(kind: str, method: str) -> None:
    model, plain = tuned(kind, method), built(kind)
    expected = model(inputs(kind))
    with disabled(model):
        torch.testing.assert_close(model(inputs(kind)), plain(inputs(kind)))
        with disabled(model):
            pass
        torch.testing.assert_close(model(inputs(kind)), plain(inputs(kind)))
    assert torch.equal(model(inputs(kind)), expected)
    with pytest.raises(KeyError), disabled(model):
        raise KeyError
    assert torch.equal(model(inputs(kind)), expected)


def test_a_saved_model_comes_back_with_the_same_base(
    kind: str, method: str, tmp_path: Path
) -> None:
    model, fresh = tuned(kind, method), built(kind)
    save_trained(tmp_path / "tuned.safetensors", model)
    names = load_trained(tmp_path / "tuned.safetensors", fresh)
    assert names == [n for n, m in model.named_modules() if isinstance(m, ModulatedLayer)]
    assert torch.equal(fresh(inputs(kind)), model(inputs(kind)))
    assert_same(fresh, everything(model))
    torch.save(trained_state_dict(model), tmp_path / "tuned.pt")
    train(fresh, kind)
    load_trained_state_dict(fresh, torch.load(tmp_path / "tuned.pt", weights_only=True))
    assert torch.equal(fresh(inputs(kind)), model(inputs(kind)))


def test_a_copy_is_tuned_on_its_own(kind: str, method: str) -> None:
    model = tuned(kind, method)
    expected = model(inputs(kind))
    copy = deepcopy(model)
    assert torch.equal(copy(inputs(kind)), expected)
    train(copy, kind)
    merge(copy)
    assert torch.equal(model(inputs(kind)), expected)
    detach(copy)
    assert torch.equal(model(inputs(kind)), expected)
    assert_same(copy, everything(built(kind)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_is_tuned_in_its_own_precision(
    method: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = built("convolutional").to(dtype)
    before = everything(model)
    x = inputs("convolutional").to(dtype)
    attach(model, method)
    assert all(parameter.dtype == dtype for parameter in trained_parameters(model))
    assert model(x).dtype == dtype
    save_trained(tmp_path / "tuned.safetensors", model)
    merge(model)
    assert model(x).dtype == dtype
    detach(model)
    assert_same(model, before)
    load_trained(tmp_path / "tuned.safetensors", model)


@pytest.mark.parametrize("merged", [False, True])
def test_a_tuned_model_may_change_its_precision(method: str, merged: bool) -> None:
    model, x = tuned("transformer", method), inputs("transformer")
    if merged:
        merge(model)
    expected = model(x).double()
    model.double()
    torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-5)
    unmerge(model)
    torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-5)
    detach(model)
    assert_same(model, everything(built("transformer").double()))


def test_a_model_without_memory_can_be_tuned_and_counted(kind: str, method: str) -> None:
    model, real = built(kind).to("meta"), built(kind)
    assert attach(model, method) == attach(real, method)
    shapes = [p.shape for p in trained_parameters(model)]
    assert shapes == [p.shape for p in trained_parameters(real)]
    moved = real.to("meta")
    assert all(p.is_meta for p in moved.parameters())
    detach(moved)
    assert all(tensor.is_meta for tensor in moved.state_dict().values())


def test_layers_keep_their_mode(method: str) -> None:
    model = built("perceptron").train()
    attach(model, method)
    assert all(module.training for module in model.modules())
    model.eval()
    merge(model)
    model.train()
    unmerge(model)
    assert all(module.training for module in model.modules())
    model.eval()
    detach(model)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        ("head", ["head"]),
        ("query", ["blocks.0.attention.query", "blocks.1.attention.query"]),
        ("attention.key", ["blocks.0.attention.key", "blocks.1.attention.key"]),
        ("blocks.1.*.v*", ["blocks.1.attention.value"]),
        (["head", "blocks.0.attention.query"], ["blocks.0.attention.query", "head"]),
        ("blocks.1.output", ["blocks.1.output"]),
        ("output", ["blocks.0.output"]),
    ],
)
def test_layers_are_chosen_by_name_suffix_or_pattern(layers, chosen: list[str]) -> None:
    assert attach(built("transformer"), "nt1", layers) == chosen


def test_a_layer_in_two_places_is_tuned_as_one() -> None:
    model = built("transformer")
    attach(model, "nt1", "blocks.1.output")
    assert isinstance(model.blocks[0]["output"], ModulatedLayer)
    assert model.blocks[0]["output"] is model.blocks[1]["output"]
    assert list(trained_state_dict(model)) == ["blocks.0.output.gain"]
    detach(model)
    assert model.blocks[0]["output"] is model.blocks[1]["output"]


def test_tied_weights_may_have_gains_that_merging_parts_with_a_word(caplog) -> None:
    model = Encoder(tied=True).eval()
    embedding = model.embedding.weight.clone()
    attach(model, "nt1", "head")
    train(model, "transformer")
    expected = model(inputs("transformer"))
    assert torch.equal(model.embedding.weight, embedding)
    merge(model)
    assert "head shared its weight with another layer" in caplog.text
    assert torch.equal(model.embedding.weight, embedding)
    torch.testing.assert_close(model(inputs("transformer")), expected)
    detach(model)
    assert model.head.weight is model.embedding.weight


@pytest.mark.parametrize("method", ["tft", "probe"])
def test_tied_weights_are_not_trained_in_one_of_their_places(method: str) -> None:
    model = Encoder(tied=True)
    sentence = "head cannot be tuned by tft: it shares a tensor with embedding.weight"
    assert sentence in refusing(model, method, "head")
    assert sentence in refusing(model, "nt1", "query", modules_to_save="head")
    assert model.head.weight is model.embedding.weight
    assert type(model.head) is nn.Linear


def test_layers_may_be_tuned_by_different_methods() -> None:
    model = built("convolutional")
    attach(model, "nt1", ["0", "3"])
    attach(model, "tft", "5")
    assert list(trained_state_dict(model)) == ["0.gain", "3.gain", "5.weight", "5.bias"]
    assert not model[1].weight.requires_grad
    detach(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_probe_trains_the_last_layer_s_weights_and_biases() -> None:
    model = built("convolutional")
    attach(model, "probe")
    assert list(trained_state_dict(model)) == ["5.weight", "5.bias"]


def test_gains_may_start_at_random_as_the_paper_s_do() -> None:
    first, again, other = (built("perceptron") for _ in range(3))
    state = torch.get_rng_state()
    for model, seed in ((first, 3), (again, 3), (other, 4)):
        attach(model, "nt1", seed=seed, start="uniform")
    assert torch.equal(torch.get_rng_state(), state)
    drawn = [torch.cat(list(trained_state_dict(m).values())) for m in (first, again, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert len(set(drawn[0].tolist())) == 11


def test_the_rank_of_lora_is_an_option_that_files_remember(tmp_path: Path) -> None:
    model, fresh = built("perceptron"), built("perceptron")
    attach(model, "lora", rank=2)
    assert sum(p.numel() for p in trained_parameters(model)) == 2 * (6 + 8) + 2 * (8 + 3)
    train(model, "perceptron")
    save_trained(tmp_path / "tuned.safetensors", model)
    load_trained(tmp_path / "tuned.safetensors", fresh)
    assert torch.equal(fresh(inputs("perceptron")), model(inputs("perceptron")))


def test_power_domains_are_saved_with_their_gains(tmp_path: Path) -> None:
    model, fresh = built("perceptron"), built("perceptron")
    attach(model, "nt1")
    share_gains(model, np.arange(11) % 2, [0.8, 1.3])
    train(model, "perceptron")
    assert sum(p.numel() for p in trained_parameters(model)) == 2
    assert set(trained_state_dict(model)) == {"0.gain", "0.domain", "3.domain"}
    save_trained(tmp_path / "tuned.safetensors", model)
    load_trained(tmp_path / "tuned.safetensors", fresh)
    assert torch.equal(fresh(inputs("perceptron")), model(inputs("perceptron")))
    assert fresh[0].gain is fresh[3].gain


def test_an_attached_vgg_computes_what_a_classifier_of_its_layers_does() -> None:
    with seeded(3):
        network = DigitsVGG(PretrainingRecipe()).eval()
        images = torch.randn(4, 3, 32, 32)
    backbone = Backbone("vgg", deepcopy(network), DIGITS_INPUT)
    classifier = RateClassifier(backbone.linears)
    attach(classifier, "nt1")
    names = attach(network, "nt1", "classifier.*")
    drawn = torch.Generator().manual_seed(5)
    for name, layer in zip(names, classifier.modulated_layers, strict=True):
        layer.gain.data.uniform_(-1, 2, generator=drawn)
        network.get_submodule(name).gain.data = layer.gain.data.clone()
    attached, own = network(images), classifier(backbone.embed(images))
    torch.testing.assert_close(attached, own)
    for logits in (attached, own):
        logits.square().sum().backward()
    for name, layer in zip(names, classifier.modulated_layers, strict=True):
        torch.testing.assert_close(network.get_submodule(name).gain.grad, layer.gain.grad)


@pytest.mark.slow
def test_a_residual_network_of_torchvision_is_tuned() -> None:
    with seeded(3):
        model = torchvision.models.resnet18(num_classes=7).eval()
        x = torch.randn(1, 3, 32, 40)
    expected = model(x)
    assert len(attach(model, "nt1")) == 21
    torch.testing.assert_close(model(x), expected)
    layers = [m for m in model.modules() if isinstance(m, ModulatedLayer)]
    for layer in layers:
        layer.gain.data.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(5))
    changed = model(x)
    changed.square().sum().backward()
    assert all(layer.gain.grad.any() for layer in layers)
    assert not torch.allclose(changed, expected, rtol=1e-2)
    merge(model)
    torch.testing.assert_close(model(x), changed, rtol=1e-3, atol=1e-5)
    detach(model)
    assert torch.equal(model(x), expected)


def test_torch_s_own_transformer_does_not_read_past_the_gains() -> None:
    """In evaluation it would take weights from its layers and never call them."""
    with seeded(3):
        model = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True).eval()
        x = torch.randn(2, 5, 8)
    assert attach(model, "nt1") == ["self_attn", "self_attn.out_proj", "linear1", "linear2"]
    before = model(x)
    for layer in (model.self_attn, model.self_attn.out_proj, model.linear2):
        layer.gain.data.uniform_(0.3, 1.7, generator=torch.Generator().manual_seed(5))
        with torch.no_grad():
            fast = model(x)
        torch.testing.assert_close(fast, model(x))
        assert not torch.allclose(fast, before, atol=1e-2)
        before = fast
    merge(model)
    torch.testing.assert_close(model(x), before)


def refusing(model: nn.Module, *given: object, **options: object) -> str:
    """The sentence with which a model refuses to be tuned, unchanged."""
    layers = layer_names(model)
    with pytest.raises(UserError) as refused:
        attach(model, *given, **options)
    assert layer_names(model) == layers
    return str(refused.value)


def test_a_name_without_a_layer_is_answered_with_those_that_there_are() -> None:
    model = built("convolutional")
    assert refusing(model, "nt1", ["0", "fc"]).endswith("matches 'fc': it has 0, 3, 5.")
    many = nn.Sequential(*(nn.Linear(1, 1) for _ in range(43)))
    assert refusing(many, "nt1", "fc").endswith("38, 39 and 3 more.")
    nothing = "no linear or convolutional layers inside"
    assert nothing in refusing(nn.Sequential(nn.ReLU()), "nt1")
    assert nothing in refusing(nn.Linear(2, 2), "nt1")
    assert "No layers are named" in refusing(model, "nt1", [])


def test_what_cannot_be_tuned_is_refused_before_anything_is_changed() -> None:
    model = built("convolutional")
    assert "no tuning method named 'nt3'" in refusing(model, "nt3")
    assert "no option of nt1 named 'rank'" in refusing(model, "nt1", rank=2)
    model[3] = nn.Conv2d(4, 6, 3, stride=2, bias=False)
    assert refusing(model, "nt2").startswith("3 cannot be tuned: nt2 trains a layer's bias")
    assert "without weights yet: call it once" in refusing(nn.Sequential(nn.LazyLinear(3)), "nt1")


def test_hooks_of_a_layer_are_called_before_within_and_after() -> None:
    model, seen = built("convolutional"), []
    model[5].register_forward_hook(lambda *_: seen.append(type(model[5]).__name__))
    for change in (lambda m: attach(m, "nt1"), merge, unmerge, detach):
        change(model)
        model(inputs("convolutional"))
    assert seen == ["NT1Linear", "Linear", "NT1Linear", "Linear"]


def test_layers_that_compute_otherwise_read_the_gains_from_their_tensors() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    model = nn.Sequential(Doubled(2, 2), nn.Linear(2, 2), normed).eval()
    before, x = deepcopy(model), torch.randn(3, 2)
    assert attach(model, "nt1") == ["0", "1", "2"]
    assert torch.equal(model(x), before(x))
    for layer, gain in zip(model, ([0.4, 1.7], [1.2, 0.6], [2.1, 0.3]), strict=True):
        layer.gain.data = torch.tensor(gain)
    for plain, layer in zip(before, model, strict=True):
        torch.testing.assert_close(layer(x), layer.gain * plain(x))
    tuned = model(x)
    merge(model)
    torch.testing.assert_close(model(x), tuned)
    classes = ["Doubled", "Linear", "ParametrizedLinear"]
    assert [type(layer).__name__ for layer in model] == classes
    detach(model)
    assert torch.equal(model(x), before(x))


def test_a_layer_is_tuned_once() -> None:
    model = built("perceptron")
    attach(model, "nt1", "0")
    assert "0 is tuned already: detach the model" in refusing(model, "nt2")
    merge(model)
    assert "0 is merged with what was trained" in refusing(model, "nt2")
    sentence = "are merged: unmerge it first"
    with pytest.raises(UserError, match=sentence):
        trained_parameters(model)
    with pytest.raises(UserError, match=sentence):
        trained_state_dict(model)
    with pytest.raises(UserError, match=sentence), disabled(model):
        pass


def rewritten(path: Path, header: dict[str, object], tensors: dict[str, torch.Tensor]) -> Path:
    """With no checksum, as version 0.1 wrote files."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    rest["versions"] = {"brian2-neuromod": "0.1.0"}
    save_file(tensors, path, {"neuromod": json.dumps(rest)})
    return path


def test_files_of_other_models_are_refused_and_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tuned.safetensors"
    save_trained(path, tuned("perceptron", "nt1"))
    other = built("perceptron")
    other[0].weight.data[2, 3] += 1e-3
    before = everything(other)
    with pytest.raises(TensorFileError, match="fit only the weights that they were trained with"):
        load_trained(path, other)
    assert_same(other, before)


def test_averages_that_moved_with_the_new_data_are_kept_with_it(tmp_path: Path) -> None:
    model, other = built("convolutional").train(), built("convolutional")
    attach(model, "nt1")
    train(model, "convolutional")
    save_trained(tmp_path / "tuned.safetensors", model)
    load_trained(tmp_path / "tuned.safetensors", other)
    assert not torch.equal(other[1].running_mean, built("convolutional")[1].running_mean)
    assert_same(other, everything(model))
    assert torch.equal(other(inputs("convolutional")), model.eval()(inputs("convolutional")))


def test_files_that_were_changed_are_refused_and_change_nothing(tmp_path: Path) -> None:
    path, model = tmp_path / "tuned.safetensors", built("perceptron")
    save_trained(path, tuned("perceptron", "nt1"))
    before, gains = everything(model), read_tensors(path, GAINS)
    short = {**gains.tensors, "0.gain": torch.ones(5)}
    with pytest.raises(
        TensorFileError, match=r"'0.gain' of shape \(5,\) where Sequential needs \(8,\)"
    ):
        load_trained(rewritten(path, gains.header, short), model)
    few = {"0.gain": gains.tensors["0.gain"]}
    with pytest.raises(TensorFileError, match=r"lacks '3.gain', which Sequential needs"):
        load_trained(rewritten(path, gains.header, few), model)
    elsewhere = {**gains.header, "tuned": {"7": {"method": "nt1", "options": {}}}}
    with pytest.raises(UserError, match="matches '7': it has 0, 3"):
        load_trained(rewritten(path, elsewhere, gains.tensors), model)
    unknown = {**gains.header, "tuned": {"0": {"method": "nt3", "options": {}}}}
    with pytest.raises(UserError, match="no tuning method named 'nt3'"):
        load_trained(rewritten(path, unknown, gains.tensors), model)
    with pytest.raises(TensorFileError, match="was not written by save_trained"):
        load_trained(rewritten(path, {"format": gains.header["format"]}, gains.tensors), model)
    assert_same(model, before)


def test_wrappers_are_looked_through(tmp_path: Path) -> None:
    """Names in files are the model's own, whether it is compiled or not."""
    model, fresh = built("perceptron"), built("perceptron")
    attach(model, "nt1")
    compiled = torch.compile(model, backend="eager")
    train(compiled, "perceptron")
    assert list(trained_state_dict(compiled)) == ["0.gain", "3.gain"]
    save_trained(tmp_path / "tuned.safetensors", compiled)
    load_trained(tmp_path / "tuned.safetensors", fresh)
    assert torch.equal(fresh(inputs("perceptron")), model(inputs("perceptron")))


def test_a_fresh_head_need_not_be_the_same_where_the_file_replaces_it(tmp_path: Path) -> None:
    model, other = built("convolutional"), built("convolutional")
    names = attach(model, "nt1", ["0", "3"], modules_to_save=["5", "1"])
    assert names == ["0", "3", "1", "5"]
    train(model, "convolutional")
    other[5] = nn.Linear(24, 3)
    save_trained(tmp_path / "tuned.safetensors", model)
    load_trained(tmp_path / "tuned.safetensors", other)
    assert_same(other, everything(model))
    assert trained_state_dict(other).keys() == trained_state_dict(model).keys()
    assert isinstance(other[1], nn.BatchNorm2d)
    with disabled(model):
        assert torch.equal(model[1].weight, built("convolutional")[1].weight)
    detach(model)
    assert_same(model, everything(built("convolutional")))


def test_what_is_trained_beside_the_tuned_layers_is_kept_too(tmp_path: Path) -> None:
    """As in a script that unfreezes a new head itself."""
    model, other = built("perceptron"), built("perceptron")
    attach(model, "nt1", "0")
    model[3] = nn.Linear(8, 2)
    train(model, "perceptron")
    assert list(trained_state_dict(model)) == ["0.gain", "3.weight", "3.bias"]
    save_trained(tmp_path / "tuned.safetensors", model)
    other[3] = nn.Linear(8, 2)
    load_trained(tmp_path / "tuned.safetensors", other)
    assert torch.equal(other(inputs("perceptron")), model(inputs("perceptron")))
    assert other[3].weight.requires_grad


PRECISIONS = [
    (torch.float32, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.float64, torch.float16),
    (torch.float16, torch.float64),
]


@pytest.mark.parametrize(("saved", "loaded"), PRECISIONS)
def test_gains_load_into_the_same_weights_of_another_precision(
    saved: torch.dtype, loaded: torch.dtype, tmp_path: Path
) -> None:
    weights = built("perceptron").to(torch.float16 if torch.float16 in (saved, loaded) else saved)
    model, other = deepcopy(weights).to(saved), deepcopy(weights).to(loaded)
    attach(model, "nt1")
    model[0].gain.data.fill_(1.375)
    save_trained(tmp_path / "tuned.safetensors", model)
    changed = deepcopy(other)
    changed[3].weight.data[1, 2] *= 1.25
    with pytest.raises(TensorFileError, match="fit only the weights that they were trained with"):
        load_trained(tmp_path / "tuned.safetensors", changed)
    load_trained(tmp_path / "tuned.safetensors", other)
    assert other[0].gain.dtype == loaded
    assert (other[0].gain == 1.375).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_gains_that_are_no_numbers_are_neither_saved_nor_merged(value, tmp_path: Path) -> None:
    model = built("perceptron")
    attach(model, "nt1")
    model[3].gain.data[1] = value
    sentence = "3.gain is NaN or infinite: its training diverged; lower the learning rate"
    with pytest.raises(UserError, match=sentence):
        save_trained(tmp_path / "tuned.safetensors", model)
    assert not (tmp_path / "tuned.safetensors").exists()
    with pytest.raises(UserError, match=sentence):
        merge(model)
    assert isinstance(model[0], ModulatedLayer)
    with pytest.raises(UserError, match="A gain of a tuned layer is NaN or infinite"):
        model[3].layer_parameters()


def test_merging_for_good_keeps_nothing_twice(kind: str, method: str) -> None:
    model = tuned(kind, method)
    expected = model(inputs(kind))
    assert merge_and_unload(model) is model
    torch.testing.assert_close(model(inputs(kind)), expected)
    assert all(type(m).__module__.startswith(("torch", __name__)) for m in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    plain = built(kind)
    for module, other in zip(model.modules(), plain.modules(), strict=True):
        assert vars(module).keys() == vars(other).keys()
    with pytest.raises(UserError, match="has no tuned layers"):
        unmerge(model)


def test_a_tuned_model_is_pickled_for_other_processes(kind: str, method: str) -> None:
    model = tuned(kind, method)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(inputs(kind)), model(inputs(kind)))
    detach(again)
    assert_same(again, everything(built(kind)))


def test_what_reads_a_weight_sees_the_gain() -> None:
    model = built("perceptron")
    attach(model, "nt1", "0")
    layer, x = model[0], inputs("perceptron")
    layer.gain.data.uniform_(0.3, 1.8, generator=torch.Generator().manual_seed(2))
    read = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(read, layer(x))
    read.square().sum().backward()
    pulled = layer.gain.grad.clone()
    layer.gain.grad = None
    layer(x).square().sum().backward()
    torch.testing.assert_close(layer.gain.grad, pulled)
    assert layer._parameters["weight"].grad is None
    with disabled(model):
        assert torch.equal(layer.weight, built("perceptron")[0].weight)


def test_tensors_of_a_layer_s_own_with_a_method_s_name_are_not_hidden() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.gain = nn.Parameter(torch.tensor(1.3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain * super().forward(x)

    model = nn.Sequential(Scaled(), nn.Linear(2, 2))
    assert "0 cannot be tuned by nt1: it has its own 'gain'" in refusing(model, "nt1")
    assert attach(model, "additive") == ["0", "1"]


def test_what_is_left_out_is_named_with_its_reason() -> None:
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(5, 4),
            "lstm": nn.LSTM(4, 3),
            "hooked": nn.utils.weight_norm(nn.Linear(3, 2)),
            "cross": nn.MultiheadAttention(4, 2, kdim=6),
            "head": nn.Linear(2, 2),
        }
    )
    names = attach(model, "nt1")
    assert names == ["cross.out_proj", "head"]
    assert names.left_out == {
        "words": "an embedding looks up rows and has no neurons",
        "lstm": "a recurrent layer's weights are read all at once, past any gain",
        "hooked": "a hook computes its weight: use torch.nn.utils.parametrizations instead",
        "cross": "its queries, keys and values have weights of different sizes",
    }
    assert attach(detached(model), "nt1", "head").left_out == {}
    sentence = refusing(detached(model), "nt1", "lstm")
    assert sentence == f"lstm cannot be tuned: {names.left_out['lstm']}."


def detached(model: nn.Module) -> nn.Module:
    detach(model)
    return model
