"""What several adapters on one model promise, each sentence against running one adapter alone."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.modulated_layer import ModulatedLayer  # noqa: E402
from neuromod.support.tensor_file import TensorFileError  # noqa: E402
from neuromod.tuning import (  # noqa: E402
    adapter_in_use,
    adapter_names,
    add_adapter,
    attach,
    detach,
    disabled,
    each_sample,
    gain_penalty,
    keep_within,
    load_adapter,
    load_trained,
    load_trained_state_dict,
    merge,
    merge_and_unload,
    remove_adapter,
    save_trained,
    share_gains,
    trained_parameters,
    trained_state_dict,
    unmerge,
    use_adapter,
)
from neuromod.tuning.hardware import seeded  # noqa: E402
from neuromod.tuning.methods import METHODS  # noqa: E402

NAMES = ["a", "default", "b", "a", "b"]


class Block(nn.Module):
    """Attention and a feed-forward layer over tokens, without torch's own attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.feed = nn.Linear(width, 2 * width)
        self.back = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        score = self.query(y) @ self.key(y).transpose(-1, -2)
        x = x + score.softmax(-1) @ self.value(y)
        return x + self.back(self.feed(x).relu())


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, groups=2, bias=False),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 2, stride=2),
        nn.Flatten(),
        nn.Linear(96, 3),
    )


def sounds() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 5, 3), nn.Tanh(), nn.Conv1d(5, 4, 2), nn.Flatten())


def tokens() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), Block(6), Block(6), nn.Linear(6, 3))


MODELS = {
    "perceptron": (perceptron, (6,)),
    "convolutional": (convolutional, (2, 4, 5)),
    "sounds": (sounds, (2, 7)),
    "tokens": (tokens, (7, 4)),
}


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["nt1", "nt1_inputs", "nt1_both"])
def method(request: pytest.FixtureRequest) -> str:
    return request.param


def built(kind: str) -> nn.Module:
    with seeded(8):
        return MODELS[kind][0]().eval()


def inputs(kind: str, samples: int = len(NAMES)) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(1)
    return torch.randn(samples, *MODELS[kind][1], generator=drawn)


def trained(model: nn.Module, seed: int) -> None:
    """Change all that the adapter in use trains, as if it had been trained."""
    drawn = torch.Generator().manual_seed(seed)
    for parameter in trained_parameters(model):
        parameter.data += torch.randn(parameter.shape, generator=drawn) / 3


def adapted(kind: str, method: str = "nt1", dtype: torch.dtype = torch.float32) -> nn.Module:
    """A model with three adapters, of which the first is in use."""
    model = built(kind)
    attach(model, method)
    for seed, name in enumerate(("a", "b")):
        add_adapter(model, name)
        use_adapter(model, name)
        trained(model, seed)
    use_adapter(model, "default")
    trained(model, 7)
    return model.to(dtype)


def gains_of(model: nn.Module, name: str) -> dict[str, torch.Tensor]:
    before = adapter_in_use(model)
    use_adapter(model, name)
    found = {n: t.clone() for n, t in trained_state_dict(model).items()}
    use_adapter(model, before)
    return found


def alone(model: nn.Module, x: torch.Tensor, names: list[str]) -> torch.Tensor:
    """Each sample run by itself, under its own adapter."""
    before, rows = adapter_in_use(model), []
    for name, row in zip(names, x, strict=True):
        use_adapter(model, name)
        rows.append(model(row[None]))
    use_adapter(model, before)
    return torch.cat(rows)


def every(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of all adapters."""
    with each_sample(model, adapter_names(model)):
        return trained_parameters(model)


def refusing(call, *given: object) -> str:
    with pytest.raises(UserError) as refused:
        call(*given)
    return str(refused.value)


# Switching


def test_a_model_begins_with_one_adapter_named_default() -> None:
    model = built("perceptron")
    attach(model, "nt1")
    assert adapter_names(model) == ["default"]
    assert adapter_in_use(model) == "default"


@pytest.mark.parametrize("method", METHODS)
def test_a_new_adapter_is_the_pre_trained_network_whatever_was_trained(method: str) -> None:
    model, plain, x = built("perceptron"), built("perceptron"), inputs("perceptron")
    attach(model, method)
    trained(model, 3)
    tuned = model(x)
    add_adapter(model, "new")
    assert torch.equal(model(x), tuned)
    use_adapter(model, "new")
    torch.testing.assert_close(model(x), plain(x))
    use_adapter(model, "default")
    assert torch.equal(model(x), tuned)


@pytest.mark.parametrize(
    ("method", "options"), [("lora", {"rank": 2}), ("nt1", {"start": "uniform"}), ("tft", {})]
)
def test_a_new_adapter_starts_as_attach_does(method: str, options: dict[str, object]) -> None:
    model, other = built("perceptron"), built("perceptron")
    attach(model, method, **options)
    attach(other, method, seed=5, **options)
    add_adapter(model, "new", seed=5)
    found, expected = gains_of(model, "new"), trained_state_dict(other)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_switching_back_is_exact_and_keeps_the_parameters(kind: str, method: str) -> None:
    model, x = adapted(kind, method), inputs(kind)
    before, state, parameters = model(x), deepcopy(model.state_dict()), trained_parameters(model)
    names = list(state)
    use_adapter(model, "b")
    assert list(model.state_dict()) == names
    assert not torch.allclose(model(x), before, rtol=1e-2)
    assert not {*map(id, parameters)} & {*map(id, model.parameters())}
    use_adapter(model, "default")
    assert [id(p) for p in trained_parameters(model)] == [id(p) for p in parameters]
    assert torch.equal(model(x), before)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_an_optimiser_trains_the_adapters_that_it_was_given_in_turn() -> None:
    """As two models would be trained, each with one adapter."""
    model, x = built("perceptron"), inputs("perceptron")
    attach(model, "nt1")
    add_adapter(model, "a")
    both = every(model)
    optimizer = torch.optim.Adam(both, lr=0.03)
    singles = []
    for aim in (0.4, -0.3):
        single = built("perceptron")
        attach(single, "nt1")
        singles.append((single, torch.optim.Adam(trained_parameters(single), lr=0.03), aim))
    for _ in range(3):
        for name, (single, own, aim) in zip(("default", "a"), singles, strict=True):
            use_adapter(model, name)
            for network, steps in ((model, optimizer), (single, own)):
                steps.zero_grad()
                (network(x) - aim).square().mean().backward()
                steps.step()
    for name, (single, *_) in zip(("default", "a"), singles, strict=True):
        for key, tensor in gains_of(model, name).items():
            assert torch.equal(tensor, trained_state_dict(single)[key]), key


def test_whole_modules_are_adapters_own_too() -> None:
    model, x = built("tokens"), inputs("tokens")
    attach(model, "nt1", "feed", modules_to_save=["3", "0"])
    add_adapter(model, "new")
    trained(model, 2)
    tuned, original = model(x), built("tokens")
    use_adapter(model, "new")
    assert torch.equal(model[3].weight, original[3].weight)
    torch.testing.assert_close(model(x), original(x))
    use_adapter(model, "default")
    assert torch.equal(model(x), tuned)
    with disabled(model):
        torch.testing.assert_close(model(x), original(x))
        assert "outside of that block" in refusing(use_adapter, model, "new")
    detach(model)
    assert torch.equal(model(x), original(x))
    assert all("adapters" not in vars(module) for module in model.modules())


def test_an_adapter_is_removed_unless_it_is_in_use() -> None:
    model = adapted("perceptron")
    assert "'default' is in use" in refusing(remove_adapter, model, "default")
    use_adapter(model, {"a": 0.3, "b": 0.7})
    assert "'b' is in use" in refusing(remove_adapter, model, "b")
    use_adapter(model, "b")
    remove_adapter(model, "default")
    remove_adapter(model, "a")
    assert adapter_names(model) == ["b"]
    assert "no adapter named 'a'" in refusing(use_adapter, model, "a")


def test_names_are_checked() -> None:
    model = adapted("perceptron")
    assert "did you mean default?" in refusing(use_adapter, model, "defalut")
    assert "named 'a' already" in refusing(add_adapter, model, "a")
    assert "each_sample takes a list" in refusing(use_adapter, model, ["a", "b"])
    assert "No adapter is named" in refusing(use_adapter, model, {})
    assert "weight of adapter 'a' is nan" in refusing(use_adapter, model, {"a": float("nan")})
    assert "has no tuned layers" in refusing(add_adapter, built("perceptron"), "a")
    assert adapter_in_use(model) == "default"


def test_all_layers_have_the_same_adapters() -> None:
    model = built("tokens")
    attach(model, "nt1", "feed")
    add_adapter(model[1], "a")
    assert "not in a part of it" in refusing(use_adapter, model, "a")
    assert "attach all before any is added" in refusing(attach, model, "nt1", "back")
    assert "share gains before any is added" in refusing(share_gains, model, np.arange(24) % 2)


# Mixing


def test_a_mix_is_the_sum_of_gains_with_weights(kind: str, method: str) -> None:
    model, x = adapted(kind, method, torch.float64), inputs(kind).double()
    a, b = gains_of(model, "a"), gains_of(model, "b")
    use_adapter(model, {"a": 0.3, "b": -1.7})
    assert adapter_in_use(model) == {"a": 0.3, "b": -1.7}
    other = built(kind).double()
    attach(other, method)
    load_trained_state_dict(other, {name: 0.3 * a[name] + -1.7 * b[name] for name in a})
    assert torch.equal(model(x), other(x))
    for name, tensor in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    use_adapter(model, "a")
    assert torch.equal(trained_state_dict(model)["0.gain"], a["0.gain"])


def test_gradients_reach_every_part_of_a_mix(kind: str, method: str) -> None:
    model, x = adapted(kind, method), inputs(kind)
    use_adapter(model, {"a": 0.3, "default": 1.9})
    parameters = trained_parameters(model)
    model(x).square().sum().backward()
    use_adapter(model, "a")
    parts = trained_parameters(model)
    use_adapter(model, "default")
    others = trained_parameters(model)
    assert {*map(id, parameters)} == {*map(id, [*parts, *others])}
    for a, default in zip(parts, others, strict=True):
        assert a.grad.any()
        torch.testing.assert_close(a.grad / 0.3, default.grad / 1.9)


def test_a_mix_is_merged_and_saved_as_one_adapter(tmp_path: Path) -> None:
    model, fresh, x = adapted("convolutional"), built("convolutional"), inputs("convolutional")
    use_adapter(model, {"a": 0.3, "b": 0.7})
    expected = model(x)
    save_trained(tmp_path / "mix.safetensors", model)
    load_trained(tmp_path / "mix.safetensors", fresh)
    torch.testing.assert_close(fresh(x), expected)
    merge(model)
    torch.testing.assert_close(model(x), expected)
    unmerge(model)
    assert torch.equal(model(x), expected)
    copy = deepcopy(model)
    torch.testing.assert_close(merge_and_unload(copy)(x), expected)
    assert all(type(module).__module__.startswith("torch.") for module in copy.modules())


def test_a_mix_does_not_change_but_by_its_adapters() -> None:
    model = adapted("perceptron")
    use_adapter(model, {"a": 0.3, "b": 0.7})
    state = model.state_dict()
    sentence = "use one by name before they change"
    assert sentence in refusing(model.load_state_dict, state)
    assert sentence in refusing(load_trained_state_dict, model, trained_state_dict(model))
    assert sentence in refusing(keep_within, model, 0.1, 1.2)
    use_adapter(model, "a")
    model.load_state_dict(state)


def test_what_is_no_gain_is_not_mixed() -> None:
    model = built("perceptron")
    attach(model, "nt1", "0")
    attach(model, "tft", "2")
    add_adapter(model, "a")
    assert "2 is tuned by tft" in refusing(use_adapter, model, {"a": 1.0})
    assert "2 is tuned by tft" in refusing(each_sample(model, ["a"]).__enter__)
    assert adapter_in_use(model) == "default"


def test_gains_of_all_adapters_are_kept_within_bounds() -> None:
    model = adapted("perceptron")
    keep_within(model, 0.9, 1.1)
    for name in adapter_names(model):
        for gain in gains_of(model, name).values():
            assert gain.min() >= 0.9
            assert gain.max() <= 1.1


# One adapter for each sample


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_each_sample_is_computed_as_by_its_adapter_alone(
    kind: str, method: str, dtype: torch.dtype, tolerance: float
) -> None:
    model, x = adapted(kind, method, dtype), inputs(kind).to(dtype)
    expected, before = alone(model, x, NAMES), model(x)
    with each_sample(model, NAMES):
        assert adapter_in_use(model) == {"a": 2, "default": 1, "b": 2}
        found = model(x)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert not torch.allclose(found, before, rtol=1e-2)
    assert torch.equal(model(x), before)


def test_a_batch_of_one_adapter_is_computed_to_the_bit(kind: str, method: str) -> None:
    model, x = adapted(kind, method), inputs(kind)
    before = model(x)
    with each_sample(model, ["default"] * len(x)):
        assert torch.equal(model(x), before)


def test_gradients_are_the_sums_of_those_of_each_sample_alone(kind: str, method: str) -> None:
    model, x = adapted(kind, method, torch.float64), inputs(kind).double()
    parameters = every(model)
    with each_sample(model, NAMES):
        assert {*map(id, trained_parameters(model))} == {*map(id, parameters)}
        model(x).square().sum().backward()
    found = [parameter.grad.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    alone(model, x, NAMES).square().sum().backward()
    for gradient, parameter in zip(found, parameters, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-12, atol=1e-12)


def test_the_penalty_counts_every_sample_s_gains() -> None:
    model = adapted("perceptron")
    sums = {n: sum(t.abs().sum() for t in gains_of(model, n).values()) for n in NAMES}
    with each_sample(model, NAMES):
        torch.testing.assert_close(gain_penalty([model]), sum(sums[name] for name in NAMES))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_vision_transformer_of_torchvision_has_one_adapter_for_each_image(dtype) -> None:
    with seeded(8):
        model = torchvision.models.VisionTransformer(16, 8, 2, 2, 12, 20, num_classes=3).eval()
        nn.init.normal_(model.heads.head.weight)
        x = torch.randn(len(NAMES), 3, 16, 16).to(dtype)
    attach(model, "nt1", ["conv_proj", "encoder.layers.*.mlp.*", "head"])
    for seed, name in enumerate(("a", "b")):
        add_adapter(model, name)
        use_adapter(model, name)
        trained(model, seed)
    model.to(dtype)
    expected = alone(model, x, NAMES)
    with each_sample(model, NAMES):
        found = model(x)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_samples_lie_along_the_first_axis_or_are_refused() -> None:
    model, x = adapted("perceptron"), inputs("perceptron")
    with each_sample(model, NAMES):
        assert "(4, 8): each sample must be one row" in refusing(model, x[:4])
        assert "(8,): each sample must be one row" in refusing(model, x[0])
    pictures = adapted("convolutional")
    with each_sample(pictures, ["a"] * 6):
        # One picture without an axis of samples, and as many channels as names.
        assert "(6, 2, 3)" in refusing(pictures[:3], inputs("convolutional")[0])


def test_models_with_time_first_are_refused() -> None:
    for inner in (nn.LSTM(6, 6), nn.MultiheadAttention(6, 2)):
        model = nn.Sequential(nn.Linear(6, 6), inner)
        attach(model, "nt1", "0")
        assert "1 has batch_first=False" in refusing(each_sample(model, ["default"]).__enter__)


def test_layers_whose_weights_others_read_are_refused() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, self.inner.weight)

    x, sentence = inputs("perceptron"), "0 cannot have gains for each sample"
    for layer in (Doubled(6, 6), nn.MultiheadAttention(6, 2, batch_first=True)):
        model = nn.Sequential(layer)
        attach(model, "nt1", "0")
        assert sentence in refusing(each_sample(model, ["default"]).__enter__)
    bias = built("perceptron")
    attach(bias, "nt1_bias")
    assert sentence in refusing(each_sample(bias, ["default"]).__enter__)
    reader = Reader()
    attach(reader, "nt1")
    with each_sample(reader, ["default"] * len(x)):
        assert "A weight has no value where every sample" in refusing(reader, x)


def test_samples_adapters_are_neither_merged_nor_saved(tmp_path: Path) -> None:
    model, x = adapted("perceptron"), inputs("perceptron")
    names, sentence = NAMES[:3], "merge, save or read it with one adapter in use"
    with each_sample(model, names):
        before = model(x[:3])
        assert sentence in refusing(merge, model)
        assert sentence in refusing(model.state_dict)
        assert sentence in refusing(trained_state_dict, model)
        assert sentence in refusing(save_trained, tmp_path / "x.safetensors", model)
        assert torch.equal(model(x[:3]), before)
        with disabled(model):
            torch.testing.assert_close(model(x), built("perceptron")(x))


def test_blocks_may_be_nested_and_end_in_whatever_is_in_use_then() -> None:
    model, x = adapted("perceptron"), inputs("perceptron")
    use_adapter(model, {"a": 0.3, "b": 0.7})
    with each_sample(model, NAMES):
        outer = model(x)
        with pytest.raises(KeyError), each_sample(model, ["b"]):
            raise KeyError
        assert torch.equal(model(x), outer)
        copy = deepcopy(model)
        assert torch.equal(copy(x), outer)
    assert adapter_in_use(model) == {"a": 0.3, "b": 0.7}
    use_adapter(copy, "b")
    assert torch.allclose(copy(x), alone(model, x, ["b"] * len(x)))
    with each_sample(model, NAMES):
        use_adapter(model, "a")
    assert adapter_in_use(model) == "a"
    with each_sample(model, NAMES):
        detach(model)
    assert not any("blend" in vars(module) for module in model.modules())


# Files and everything else


@pytest.mark.parametrize("method", METHODS)
def test_a_file_becomes_a_further_adapter(method: str, tmp_path: Path) -> None:
    model, other, x = built("perceptron"), built("perceptron"), inputs("perceptron")
    for network, seed in ((model, 3), (other, 4)):
        attach(network, method)
        trained(network, seed)
    before = model(x)
    save_trained(tmp_path / "other.safetensors", other)
    load_adapter(tmp_path / "other.safetensors", model, "other")
    assert adapter_in_use(model) == "default"
    assert torch.equal(model(x), before)
    use_adapter(model, "other")
    assert torch.equal(model(x), other(x))
    save_trained(tmp_path / "again.safetensors", model)
    fresh = built("perceptron")
    load_trained(tmp_path / "again.safetensors", fresh)
    assert torch.equal(fresh(x), other(x))


def test_files_of_other_models_become_no_adapters(tmp_path: Path) -> None:
    path = tmp_path / "gains.safetensors"

    def of(change, methods=(("nt1", "*"),)) -> str:
        other = built("perceptron")
        for method, layers in methods:
            attach(other, method, layers)
        change(other)
        save_trained(path, other)
        return refusing(load_adapter, path, model, "new")

    model = adapted("perceptron")
    assert "2 tuned by nothing" in of(lambda _: None, [("nt1", "0")])
    assert "2 tuned by nt2" in of(lambda _: None, [("nt1", "0"), ("nt2", "2")])
    assert "fit only the weights" in of(lambda m: m[0].stored_weight.data.mul_(1.01))
    assert "'0.gain' of shape (3,)" in of(lambda m: share_gains(m, np.arange(11) % 3))
    assert adapter_names(model) == ["default", "a", "b"]
    save_trained(path, model)
    assert "named 'a' already" in refusing(load_adapter, path, model, "a")


def test_what_belongs_to_all_adapters_is_not_loaded_for_one(tmp_path: Path) -> None:
    path = tmp_path / "gains.safetensors"

    def model() -> nn.Module:
        with seeded(3):
            made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
        attach(made, "nt1")
        return made

    trains, moved = model(), model()
    trains[1].weight.requires_grad_(True)
    moved.train()(torch.randn(5, 3))
    for other, name in ((trains, "1.weight"), (moved, "1.running_mean")):
        save_trained(path, other)
        with pytest.raises(TensorFileError, match=f"changes {name}, which is in no tuned layer"):
            load_adapter(path, model(), "new")


def test_adapters_share_their_power_domains(tmp_path: Path) -> None:
    domain, x = np.arange(11) % 3, inputs("perceptron").double()
    model, other = built("perceptron").double(), built("perceptron").double()
    for network, own in ((model, domain), (other, domain[::-1].copy())):
        attach(network, "nt1")
        share_gains(network, own, [0.8, 1.3, 0.7])
    save_trained(tmp_path / "own.safetensors", model)
    save_trained(tmp_path / "other.safetensors", other)
    add_adapter(model, "a")
    use_adapter(model, "a")
    assert model[0].gain is model[2].gain
    assert torch.equal(model[0].gain, torch.ones(3).double())
    trained(model, 2)
    assert len(every(model)) == 2
    expected = alone(model, x, ["a", "default", "a", "a", "default"])
    with each_sample(model, ["a", "default", "a", "a", "default"]):
        torch.testing.assert_close(model(x), expected)
    model.float()
    use_adapter(model, "default")
    assert model[0].gain is model[2].gain
    assert model[0].gain.dtype == torch.float32
    load_adapter(tmp_path / "own.safetensors", model.double(), "b")
    use_adapter(model, "b")
    assert torch.equal(model[2].gain, torch.tensor([0.8, 1.3, 0.7], dtype=torch.float64))
    assert model[0].gain is model[2].gain
    with pytest.raises(TensorFileError, match="other power domains in 0"):
        load_adapter(tmp_path / "other.safetensors", model, "c")


@pytest.mark.parametrize("how", ["copied", "pickled"])
def test_a_copy_has_adapters_of_its_own(how: str) -> None:
    model, x = adapted("tokens"), inputs("tokens")
    expected = alone(model, x, NAMES)
    copy = deepcopy(model) if how == "copied" else pickle.loads(pickle.dumps(model))
    use_adapter(copy, "b")
    trained(copy, 9)
    assert torch.equal(alone(model, x, NAMES), expected)
    assert not torch.allclose(alone(copy, x, NAMES), expected)
    assert torch.equal(alone(copy, x[:1], ["a"]), expected[:1])


def test_adapters_out_of_use_follow_their_model() -> None:
    model, x = adapted("perceptron"), inputs("perceptron")
    expected = alone(model, x, NAMES)
    parameters = every(model)
    model.double()
    torch.testing.assert_close(alone(model, x.double(), NAMES).float(), expected)
    assert {*map(id, every(model))} == {*map(id, parameters)}
    model.float()
    with each_sample(model, NAMES):
        model.double()
        torch.testing.assert_close(model(x.double()).float(), expected)
    model.to("meta")
    use_adapter(model, "b")
    assert all(parameter.is_meta for parameter in model.parameters())


def test_a_merged_model_is_unmerged_before_it_is_switched() -> None:
    model, x = adapted("perceptron"), inputs("perceptron")
    use_adapter(model, "b")
    expected = model(x)
    merge(model)
    torch.testing.assert_close(model(x), expected)
    for call in (lambda: use_adapter(model, "a"), lambda: add_adapter(model, "c")):
        assert "are merged: unmerge it first" in refusing(call)
    unmerge(model)
    use_adapter(model, "a")
    use_adapter(model, "b")
    assert torch.equal(model(x), expected)
    merge_and_unload(model)
    assert not any(isinstance(m, ModulatedLayer) or "adapters" in vars(m) for m in model.modules())


def test_a_compiled_model_computes_with_what_is_in_use() -> None:
    model, x = adapted("perceptron"), inputs("perceptron")
    # Tracing alone: a compiler of C++ is not everywhere.
    compiled = torch.compile(model, backend="eager")
    for use in ("a", "b", {"a": 0.3, "b": 0.7}, "default"):
        use_adapter(compiled, use)
        torch.testing.assert_close(compiled(x), model(x))
    expected = alone(model, x, NAMES)
    with each_sample(compiled, NAMES):
        torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(compiled(x), model(x))


def test_adapters_are_not_switched_where_processes_add_up_their_gradients(tmp_path: Path) -> None:
    model = adapted("perceptron")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        parallel = nn.parallel.DistributedDataParallel(model)
        for call in (lambda: use_adapter(parallel, "a"), each_sample(parallel, ["a"]).__enter__):
            assert "switch before it wraps the model" in refusing(call)
        assert adapter_names(parallel) == ["default", "a", "b"]
    finally:
        torch.distributed.destroy_process_group()
