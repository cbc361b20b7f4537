"""Adapters of IA3: peft loads ours, we load peft's, and what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.support.cache import NotWrittenError  # noqa: E402
from neuromod.support.tensor_file import TensorFileError  # noqa: E402
from neuromod.tuning import (  # noqa: E402
    attach,
    detach,
    disabled,
    load_ia3,
    merge,
    save_ia3,
    share_gains,
    trained_parameters,
    trained_state_dict,
)
from neuromod.tuning.hardware import seeded  # noqa: E402

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


class Convolutional(nn.Module):
    """Grouped and plain convolutions; ``fc`` is also the end of two other layers' names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        inner = {"conv": nn.Conv2d(6, 9, 3, groups=3), "fc": nn.Linear(9, 7, bias=False)}
        self.block = nn.ModuleDict(inner)
        self.fc = nn.Linear(7, 7)
        self.last_fc = nn.Linear(7, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        x = self.block["conv"](x).mean((2, 3))
        return self.last_fc(self.fc(self.block["fc"](x)).relu())


def convolutional() -> tuple[nn.Module, dict[str, Any]]:
    return Convolutional(), {"x": torch.randn(4, 3, 8, 8)}


def volumetric() -> tuple[nn.Module, dict[str, Any]]:
    layers = nn.Conv3d(2, 5, 2), nn.ReLU(), nn.Conv3d(5, 4, 2), nn.Flatten(), nn.Linear(32, 3)
    return nn.Sequential(*layers), {"input": torch.randn(3, 2, 4, 4, 4)}


def bert() -> tuple[nn.Module, dict[str, Any]]:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = transformers.BertConfig(
        vocab_size=31, intermediate_size=20, num_labels=3, initializer_range=0.4, **sizes
    )
    return transformers.BertForSequenceClassification(config), tokens()


def gpt2() -> tuple[nn.Module, dict[str, Any]]:
    transformers = pytest.importorskip("transformers")
    sizes = {"n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 16}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config = transformers.GPT2Config(vocab_size=31, initializer_range=0.4, **sizes, **ends)
    return transformers.GPT2LMHeadModel(config), tokens()


def tokens() -> dict[str, Any]:
    return {"input_ids": torch.randint(0, 31, (2, 9))}


BUILDERS: dict[str, Callable[[], Any]] = {
    "convolutional": convolutional,
    "3-d": volumetric,
    "BERT": bert,
    "GPT-2": gpt2,
}
# In peft's words: target modules, feedforward modules among them, modules to save.
THEIRS: dict[str, list[tuple[Any, Any, Any]]] = {
    "convolutional": [
        (["stem", "block.conv", "fc"], ["block.conv"], ["last_fc", "norm"]),
        (r"stem|.*\.conv|fc", r"f.|stem", None),
    ],
    "3-d": [(["0", "2", "4"], ["2"], None)],
    "BERT": [
        (["key", "value", "output.dense"], ["output.dense"], ["classifier"]),
        (r".*\.layer\.1\..*(query|dense)", r".*intermediate.*", ["layer.0.output"]),
        ("all-linear", [], None),
    ],
    "GPT-2": [(["c_attn", "mlp.c_proj"], ["mlp.c_proj"], ["ln_f"]), ("all-linear", ["c_fc"], None)],
}
# In ours: gains of neurons, gains of inputs, modules to save.
OURS: dict[str, tuple[Any, Any, Any]] = {
    "convolutional": (["stem", "block.fc"], ["block.conv", "[f]c"], ["last_fc", "norm"]),
    "3-d": (["0"], ["2", "4"], []),
    "BERT": (["*.key", "*.value"], ["*.output.dense"], ["classifier", "*.layer.1.output"]),
    "GPT-2": (["*.c_attn"], ["*.mlp.c_proj"], ["*.ln_f"]),
}


def made(kind: str) -> tuple[nn.Module, dict[str, Any]]:
    with seeded(7):
        model, batch = BUILDERS[kind]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean)
    return model.eval(), batch


def tuned(kind: str) -> nn.Module:
    """A model with gains as after a training: none is 1, and some are negative."""
    model, _ = made(kind)
    outputs, inputs, whole = OURS[kind]
    attach(model, "nt1_inputs", inputs, modules_to_save=whole)
    attach(model, "nt1", outputs)
    return perturbed(model)


def perturbed(model: nn.Module) -> nn.Module:
    with seeded(3), torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.7)
    return model.eval()


@torch.no_grad()
def run(model: nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    found = model(**batch)
    return found if isinstance(found, torch.Tensor) else found.logits


def vectors(model: Any) -> dict[str, bool]:
    """Names of the modules that peft tunes, and whether it tunes their inputs."""
    from peft.tuners.ia3.layer import IA3Layer

    layers = model.base_model.model.named_modules()
    return {name: m.is_feedforward for name, m in layers if isinstance(m, IA3Layer)}


@pytest.mark.parametrize(("kind", "words"), [(k, w) for k, all_ in THEIRS.items() for w in all_])
def test_an_adapter_of_peft_computes_the_same_here(kind, words, tmp_path):
    peft = pytest.importorskip("peft")
    targets, feedforward, whole = words
    config = peft.IA3Config(
        target_modules=targets, feedforward_modules=feedforward, modules_to_save=whole
    )
    theirs = perturbed(peft.get_peft_model(made(kind)[0], config))
    theirs.save_pretrained(tmp_path)
    ours, batch = made(kind)
    before = run(ours, batch)
    names = load_ia3(tmp_path, ours)
    assert not torch.allclose(run(ours, batch), before, atol=0.01)
    torch.testing.assert_close(run(ours, batch), run(theirs, batch), rtol=0, atol=1e-6)
    assert {*vectors(theirs)} <= {*names}
    count = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert sum(p.numel() for p in trained_parameters(ours)) == count
    detach(ours)
    torch.testing.assert_close(run(ours, batch), before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", OURS)
def test_peft_computes_the_same_with_an_adapter_of_ours(kind, tmp_path, recwarn):
    peft = pytest.importorskip("peft")
    model, batch = tuned(kind), made(kind)[1]
    save_ia3(tmp_path / "adapter", model)
    theirs = peft.PeftModel.from_pretrained(made(kind)[0], tmp_path / "adapter").eval()
    torch.testing.assert_close(run(theirs, batch), run(model, batch), rtol=0, atol=1e-6)
    # The very layers, and no others whose names end alike.
    own = {
        n: m.attachment.tuning.method for n, m in model.named_modules() if "attachment" in vars(m)
    }
    gained = {n: method == "nt1_inputs" for n, method in own.items() if method != "tft"}
    assert vectors(theirs) == gained
    assert not [str(w.message) for w in recwarn if "peft" in w.filename]
    merged = theirs.merge_and_unload()
    torch.testing.assert_close(run(merged, batch), run(model, batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", OURS)
def test_a_round_trip_keeps_every_bit(kind, tmp_path):
    model, batch = tuned(kind), made(kind)[1]
    save_ia3(tmp_path / "adapter", model)
    again = made(kind)[0]
    names = load_ia3(tmp_path / "adapter", again)
    assert names == [n for n, m in model.named_modules() if "attachment" in vars(m)]
    state = trained_state_dict(again)
    assert state.keys() == trained_state_dict(model).keys()
    assert all(torch.equal(state[name], t) for name, t in trained_state_dict(model).items())
    assert torch.equal(run(again, batch), run(model, batch))
    save_ia3(tmp_path / "again", again)
    for name in (CONFIG, TENSORS):
        assert (tmp_path / "again" / name).read_bytes() == (
            tmp_path / "adapter" / name
        ).read_bytes()


def test_shared_gains_are_written_for_each_neuron(tmp_path):
    model, batch = made("convolutional")
    attach(model, "nt1", ["stem", "last_fc"])
    share_gains(model, np.arange(11) % 4, [0.7, 1.3, -0.4, 2.1])
    save_ia3(tmp_path, model)
    again = made("convolutional")[0]
    load_ia3(tmp_path, again)
    assert torch.equal(run(again, batch), run(model, batch))
    found = again.stem.gain.tolist()
    assert found == pytest.approx([0.7, 1.3, -0.4, 2.1, 0.7, 1.3])


def test_gains_of_a_model_in_half_precision_keep_theirs(tmp_path):
    peft = pytest.importorskip("peft")
    config = peft.IA3Config(target_modules=["stem", "fc"], feedforward_modules=["fc"])
    theirs = perturbed(peft.get_peft_model(made("convolutional")[0].bfloat16(), config))
    theirs.save_pretrained(tmp_path)
    ours = made("convolutional")[0].bfloat16()
    load_ia3(tmp_path, ours)
    x = made("convolutional")[1]["x"].bfloat16()
    assert torch.equal(run(ours, {"x": x}), run(theirs, {"x": x}))
    assert ours.stem.gain.dtype == torch.float32


def test_the_task_of_an_adapter_is_of_no_account(tmp_path):
    peft = pytest.importorskip("peft")
    # peft adds heads of two usual names to what is saved; the model has one of them.
    config = peft.IA3Config(target_modules=["key"], feedforward_modules=[], task_type="SEQ_CLS")
    theirs = perturbed(peft.get_peft_model(made("BERT")[0], config))
    theirs.save_pretrained(tmp_path)
    ours, batch = made("BERT")
    assert load_ia3(tmp_path, ours)[-1] == "classifier"
    torch.testing.assert_close(run(ours, batch), run(theirs, batch), rtol=0, atol=1e-6)


def test_a_module_that_ends_like_one_trained_whole_is_written_too(tmp_path):
    peft = pytest.importorskip("peft")
    model, batch = made("convolutional")
    attach(model, "nt1", ["stem", "conv"], modules_to_save="[f]c")
    save_ia3(tmp_path, perturbed(model))
    theirs = peft.PeftModel.from_pretrained(made("convolutional")[0], tmp_path).eval()
    torch.testing.assert_close(run(theirs, batch), run(model, batch), rtol=0, atol=1e-6)
    again = made("convolutional")[0]
    assert load_ia3(tmp_path, again) == ["stem", "block.conv", "block.fc", "fc", "last_fc"]
    assert torch.equal(run(again, batch), run(model, batch))


def test_what_wraps_a_model_is_looked_through(tmp_path):
    model = tuned("convolutional")
    save_ia3(tmp_path / "plain", model)
    save_ia3(tmp_path / "wrapped", torch.compile(model))
    for name in (CONFIG, TENSORS):
        plain, wrapped = (tmp_path / kind / name for kind in ("plain", "wrapped"))
        assert plain.read_bytes() == wrapped.read_bytes()
    again, batch = made("convolutional")
    load_ia3(tmp_path / "wrapped", torch.compile(again))
    assert torch.equal(run(again, batch), run(model, batch))


def test_a_folder_keeps_what_else_it_has(tmp_path):
    (tmp_path / "README.md").write_text("A card.")
    save_ia3(tmp_path, tuned("3-d"))
    save_ia3(tmp_path, tuned("convolutional"))
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", CONFIG, TENSORS}
    assert load_ia3(tmp_path, made("convolutional")[0])[0] == "stem"


class Own(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).tanh()


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.ModuleDict({"again": self.first})


def with_gains(layer: nn.Module, method: str = "nt1", **options: Any) -> nn.Module:
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 2))
    attach(model, method, "*", **options)
    return model


def attention() -> nn.Module:
    model = nn.Sequential(nn.MultiheadAttention(6, 2))
    attach(model, "nt1", "0.out_proj")
    return model


def windows() -> nn.Module:
    models = pytest.importorskip("torchvision").models.swin_transformer
    model = nn.Sequential(models.ShiftedWindowAttention(6, [2, 2], [0, 0], 2))
    attach(model, "nt1", "0.qkv")
    return model


def colliding() -> nn.Module:
    model = made("convolutional")[0]
    attach(model, "nt1", ["stem", "last_fc"], modules_to_save="[f]c")
    return model


def also_trained() -> nn.Module:
    model = tuned("convolutional")
    model.block["fc"].bias = nn.Parameter(torch.ones(7))
    return model


def averaged() -> nn.Module:
    model, batch = made("convolutional")
    attach(model, "nt1", "stem")
    model.train()(**batch)
    return model


def diverged() -> nn.Module:
    model = tuned("convolutional")
    model.stem.gain.data[2] = float("nan")
    return model


def merged() -> nn.Module:
    model = tuned("3-d")
    merge(model)
    return model


@pytest.mark.parametrize(
    ("build", "told"),
    [
        *[
            (lambda m=m: with_gains(nn.Linear(3, 4), m), rf"cannot hold 0, which is tuned by {m}")
            for m in ("nt1_both", "nt1_bias", "nt2", "additive", "lora")
        ],
        (lambda: with_gains(nn.Linear(3, 4), "tft"), "has no gains"),
        (lambda: with_gains(nn.Conv1d(3, 4, 1)), "cannot tune 0, a Conv1d: it takes Linear,"),
        (lambda: with_gains(nn.ConvTranspose2d(3, 4, 1)), "cannot tune 0, a ConvTranspose2d"),
        (lambda: with_gains(Own(3, 4)), "cannot tune 0: Own has a forward of its own"),
        (attention, "cannot tune 0.out_proj: attention reads it past peft's vector"),
        (windows, "cannot tune 0.qkv: attention reads it past peft's vector"),
        (lambda: attach(s := Shared(), "nt1") and s, "first and second.again are one module"),
        (colliding, "finds fc, trained whole, by parts of names, and takes last_fc for it too"),
        (also_trained, "would lose block.fc.bias"),
        (averaged, "would lose norm.num_batches_tracked"),
        (diverged, "stem.gain is NaN or infinite"),
        (merged, "are merged: unmerge it first"),
        (lambda: made("3-d")[0], "has no tuned layers"),
    ],
)
def test_what_an_adapter_cannot_hold_is_not_written(build, told, tmp_path):
    with pytest.raises(UserError, match=told):
        save_ia3(tmp_path / "adapter", build())
    assert not (tmp_path / "adapter").exists()


def test_a_disabled_model_is_not_written(tmp_path):
    model = tuned("3-d")
    with disabled(model), pytest.raises(UserError, match="are disabled"):
        save_ia3(tmp_path, model)


def test_an_adapter_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(NotWrittenError, match="cannot be written"):
        save_ia3(tmp_path / "file", tuned("3-d"))
    old = tmp_path / "old"
    save_ia3(old, tuned("convolutional"))
    before = {path.name: path.read_bytes() for path in old.iterdir()}

    def full(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "write_bytes", full)
    for folder in (old, tmp_path / "new"):
        with pytest.raises(NotWrittenError, match="Input/output error"):
            save_ia3(folder, tuned("3-d"))
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    assert not (tmp_path / "new").exists()


def altered(folder: Path, config: dict[str, Any], tensors: dict[str, Any]) -> Path:
    """An adapter of the convolutional model with other settings and tensors; None drops one."""
    save_ia3(folder, tuned("convolutional"))
    found = json.loads((folder / CONFIG).read_text()) | config
    (folder / CONFIG).write_text(json.dumps({k: v for k, v in found.items() if v != "dropped"}))
    held = load_file(folder / TENSORS)
    held |= {f"base_model.model.{name}": tensor for name, tensor in tensors.items()}
    save_file({n: t for n, t in held.items() if t is not None}, folder / TENSORS)
    return folder


ONES = torch.ones


@pytest.mark.parametrize(
    ("config", "tensors", "told"),
    [
        ({"peft_type": "LORA"}, {}, "is of type 'LORA', and not IA3"),
        ({"peft_type": "dropped"}, {}, "it has no peft_type"),
        ({"use_dora": True}, {}, "sets 'use_dora', which is no option of IA3 here"),
        ({"target_modules": None}, {}, "leaves target_modules to a list of architectures"),
        ({"feedforward_modules": "dropped"}, {}, "leaves feedforward_modules to a list"),
        ({"target_modules": 3}, {}, "has 3 as target_modules, which are names"),
        ({"exclude_modules": ["stem", 3]}, {}, "as exclude_modules, which are names"),
        ({"target_modules": "(stem"}, {}, r"has a pattern '\(stem': missing \)"),
        ({"modules_to_save": "last_fc"}, {}, "has a string as modules_to_save"),
        ({"modules_to_save": ["norm", "(fc"]}, {}, r"has a pattern '\(fc'"),
        ({"modules_to_save": ["block", "norm", "conv"]}, {}, "block.conv whole, since it lies in"),
        ({"modules_to_save": ["block"]}, {}, "cannot keep block whole, a ModuleDict"),
        (
            {"target_modules": "stem|norm", "modules_to_save": None},
            {},
            "cannot tune norm, a BatchNorm2d",
        ),
        ({"target_modules": ["block"]}, {}, "cannot tune block, a ModuleDict"),
        ({"target_modules": ["stemm"]}, {}, "match no layer of Convolutional"),
        ({"exclude_modules": ["stem"]}, {}, "has 'base_model.model.stem.ia3_l', for which"),
        ({}, {"stem.ia3_l": None}, "lacks 'base_model.model.stem.ia3_l', which Convolutional"),
        ({}, {"last_fc.bias": None}, "lacks 'base_model.model.last_fc.bias'"),
        ({}, {"body.ia3_l": ONES(3, 1)}, "has 'base_model.model.body.ia3_l', for which"),
        ({}, {"stem.lora_A": ONES(3, 1)}, "has 'base_model.model.stem.lora_A', for which"),
        ({}, {"stem.ia3_l": ONES(6, 1)}, r"of shape \(6, 1\) where Convolutional needs \(1, 6,"),
        ({}, {"fc.ia3_l": ONES(7, 1)}, r"of shape \(7, 1\) where Convolutional needs \(1, 7\)"),
        ({}, {"fc.ia3_l": ONES(1, 7) * float("nan")}, "'base_model.model.fc.ia3_l' that are not"),
        ({}, {"fc.ia3_l": ONES(1, 7).int()}, "of type torch.int32, not torch.float32"),
        ({}, {"last_fc.bias": ONES(5).double() * 1e39}, "last_fc.bias' that are not finite"),
        ({}, {"norm.num_batches_tracked": ONES(())}, "float32, not torch.int64"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(config, tensors, told, tmp_path):
    folder = altered(tmp_path, config, tensors)
    model, batch = made("convolutional")
    before = run(model, batch)
    with pytest.raises(UserError, match=told):
        load_ia3(folder, model)
    assert all(p.requires_grad for p in model.parameters())
    assert torch.equal(run(model, batch), before)
    assert not [m for m in model.modules() if "attachment" in vars(m)]


def test_all_linear_layers_are_those_that_the_file_has(tmp_path):
    model, batch = made("3-d")
    attach(model, "nt1", "4")
    save_ia3(tmp_path, perturbed(model))
    config = json.loads((tmp_path / CONFIG).read_text()) | {"target_modules": "all-linear"}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    again = made("3-d")[0]
    assert load_ia3(tmp_path, again) == ["4"]
    assert torch.equal(run(again, batch), run(model, batch))


def test_an_option_that_is_off_is_no_option(tmp_path):
    folder = altered(tmp_path, {"use_dora": False, "trainable_token_indices": None}, {})
    assert load_ia3(folder, made("convolutional")[0])[0] == "stem"


def test_a_folder_without_an_adapter_is_told(tmp_path):
    model = made("convolutional")[0]
    with pytest.raises(TensorFileError, match=f"There is no {CONFIG} in .*adapter.$"):
        load_ia3(tmp_path / "adapter", model)
    save_ia3(tmp_path / "mine", tuned("convolutional"))
    with pytest.raises(TensorFileError, match=f"{CONFIG} in .*, but in its folders mine"):
        load_ia3(tmp_path, model)
    (tmp_path / "mine" / TENSORS).rename(tmp_path / "mine" / "adapter_model.bin")
    with pytest.raises(TensorFileError, match=r"pickled tensors.*safe_serialization=True"):
        load_ia3(tmp_path / "mine", model)
    (tmp_path / "mine" / "adapter_model.bin").unlink()
    with pytest.raises(TensorFileError, match="There is no adapter"):
        load_ia3(tmp_path / "mine", model)
    (tmp_path / "mine" / TENSORS).write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(TensorFileError, match="is no adapter, or a truncated one"):
        load_ia3(tmp_path / "mine", model)
    for text in ("{", "[3]", "[" * 100_000):
        (tmp_path / "mine" / CONFIG).write_text(text)
        with pytest.raises(TensorFileError, match=r"JSON|no configuration of peft"):
            load_ia3(tmp_path / "mine", model)


@pytest.mark.parametrize("name", ["nu\0l", "long" * 2000])
def test_what_is_no_path_is_told(name):
    with pytest.raises(NotWrittenError, match="cannot be written"):
        save_ia3(name, tuned("3-d"))
    with pytest.raises(TensorFileError, match="cannot be read as JSON"):
        load_ia3(name, made("3-d")[0])


def test_a_model_that_is_tuned_or_shares_the_layer_takes_no_adapter(tmp_path):
    save_ia3(tmp_path / "mine", tuned("convolutional"))
    with pytest.raises(UserError, match="is tuned already: detach it"):
        load_ia3(tmp_path / "mine", tuned("convolutional"))
    model = made("convolutional")[0]
    model.block["again"] = model.stem
    with pytest.raises(UserError, match=r"stem and block.again are one module"):
        load_ia3(tmp_path / "mine", model)
