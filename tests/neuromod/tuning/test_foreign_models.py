"""What tuning promises, for every model of a table of foreign ones (tests/foreign)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import foreign_models  # noqa: E402
from foreign_models import MODELS, answer, batch_of, bert_classifier, built  # noqa: E402
from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import (  # noqa: E402
    attach,
    detach,
    merge,
    merge_and_unload,
    save_trained,
    trained_parameters,
    trained_state_dict,
    unmerge,
)

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
GAINED = ("nt1", "nt1_inputs", "nt1_both")
TORCH_ATTENTION = {"ViT", "MultiheadAttention", "TransformerEncoder"}
TIED = {"BERT", "GPT-2", "T5", "Llama", "Mamba", "tied weights"}
# ResNet is the one that takes long, and its layers are plain convolutions.
CASES = [
    *((kind, "nt1") for kind in MODELS),
    *((kind, method) for kind in MODELS if kind != "ResNet" for method in GAINED[1:]),
    *((kind, "tft") for kind in ("Swin", "ViT", "LSTM", "MultiheadAttention", "Conv3d")),
]
HELPERS = str(Path(foreign_models.__file__).parent)


def needing(kind: str) -> None:
    if not MODELS[kind].installed:
        pytest.skip(f"{MODELS[kind].package} is not installed.")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Products as small as these only wait for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    needing(request.param)
    return str(request.param)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}, {case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    needing(request.param[0])
    return request.param


@torch.no_grad()
def scale(model: nn.Module) -> nn.Module:
    """Multiply all that is trained by factors off 1, as if it had been trained."""
    drawn = torch.Generator().manual_seed(5)
    for parameter in trained_parameters(model):
        parameter.mul_(torch.rand(parameter.shape, generator=drawn) + 0.5)
    return model


def tuned(kind: str, method: str = "nt1", seed: int = 8) -> nn.Module:
    model = built(kind, seed)
    attach(model, method)
    return scale(model)


def loss(model: nn.Module, kind: str) -> torch.Tensor:
    """A number that every output has an own part in."""
    result = answer(model, batch_of(kind))
    drawn = torch.Generator().manual_seed(11)
    return (result * torch.randn(result.shape, generator=drawn)).sum()


@torch.no_grad()
def run(model: nn.Module, kind: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return answer(model, batch_of(kind, dtype))


def assert_near(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """That numbers differ by little of their own spread, as sums in another order do."""
    spread = float(expected.detach().std())
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * spread)


def far(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return float((found - expected).std() / expected.std()) > 0.02


def holders(model: nn.Module) -> set[str]:
    """Modules, not embeddings, with matrices of their own: what is a layer of weights."""
    inside = ("parametrizations",)
    return {
        name
        for name, module in model.named_modules()
        if name and not isinstance(module, nn.Embedding) and not set(inside) & set(name.split("."))
        for own, p in module.named_parameters()
        if p.dim() > 1 and ("." not in own or own.startswith(inside))
    }


# What is trained


def test_every_layer_of_weights_is_tuned_or_left_out_with_a_reason(kind: str) -> None:
    model = built(kind)
    layers = holders(model)
    names = attach(model, "nt1")
    assert names
    assert layers <= {*names, *names.left_out}
    left = {name: model.get_submodule(name) for name in names.left_out}
    # Tables to look up, recurrent layers, and blocks with a tensor besides their layers.
    assert all(isinstance(m, nn.Embedding) or not hasattr(m, "weight") for m in left.values())
    assert not [name for name in left if "parametrizations" in name]
    assert not set(names) & set(names.left_out)
    assert all(reason for reason in names.left_out.values())


def test_every_gain_gets_a_gradient(case: tuple[str, str]) -> None:
    model = built(case[0])
    names = attach(model, case[1])
    loss(model, case[0]).backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[0] for name in trained} == set(names)
    for name, parameter in trained.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Of a rectifier's neurons many are silent for these few inputs.
        assert parameter.grad.count_nonzero() > 0.3 * parameter.numel(), name


def test_the_gradient_of_a_gain_is_that_of_its_neuron_s_weights_along_themselves(kind: str) -> None:
    model, plain = built(kind), built(kind)
    names = attach(model, "nt1")
    loss(model, kind).backward()
    loss(plain, kind).backward()
    compared = 0
    for name in names:
        layer = plain.get_submodule(name)
        weight = layer._parameters.get("weight")
        tied = kind in TIED and weight.shape[0] == foreign_models.VOCABULARY
        if tied or type(layer) not in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d):
            continue
        parts = (weight * weight.grad).detach().flatten(1)
        if layer.bias is not None:
            parts = torch.cat([parts, (layer.bias * layer.bias.grad).detach()[:, None]], 1)
        # A norm behind a layer undoes its gains: parts are large then, and sum up to little.
        tolerance = 1e-5 * float(parts.abs().sum(1).max())
        found = model.get_submodule(name).gain.grad
        torch.testing.assert_close(found, parts.sum(1), rtol=1e-3, atol=tolerance)
        compared += 1
    if not compared:
        pytest.skip("No layer of this model holds plain weights of the usual order.")


# The same network at the start


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_model_starts_as_itself_to_the_bit(kind: str, precision: str) -> None:
    if kind == "orthogonal" and precision == "bfloat16":
        pytest.skip("Torch has no orthogonal matrices in bfloat16.")
    dtype = PRECISIONS[precision]
    model = built(kind).to(dtype)
    # Torch multiplies in another order where a gradient is wanted.
    expected = run(model.requires_grad_(False), kind, dtype)
    attach(model, "nt1")
    assert torch.equal(run(model, kind, dtype), expected)
    if kind not in TORCH_ATTENTION:
        assert torch.equal(answer(model, batch_of(kind, dtype)), expected)


def test_a_model_starts_as_itself_in_mixed_precision(kind: str) -> None:
    model = built(kind).requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        expected = run(model, kind)
        attach(model, "nt1")
        assert torch.equal(run(model, kind), expected)


def test_a_model_starts_as_itself_by_other_methods(case: tuple[str, str]) -> None:
    model = built(case[0])
    expected = run(model, case[0])
    attach(model, case[1])
    assert_near(run(model, case[0]), expected, 1e-5)


@pytest.mark.parametrize("kind", sorted(TORCH_ATTENTION))
def test_torch_s_fast_path_does_not_read_past_the_gains(kind: str) -> None:
    """In evaluation without gradients it takes weights from layers and never calls them."""
    model = tuned(kind)
    assert_near(run(model, kind), answer(model, batch_of(kind)).detach(), 1e-5)


# Merging


def classes_of(model: nn.Module) -> dict[str, str]:
    """By name, since torch makes a class for every parametrized layer."""
    return {name: type(module).__qualname__ for name, module in model.named_modules()}


def test_a_merged_model_computes_what_the_tuned_one_does(case: tuple[str, str]) -> None:
    kind, method = case
    model, plain = tuned(kind, method), built(kind)
    expected, before = run(model, kind), run(plain, kind)
    classes = classes_of(plain)
    assert far(expected, before)
    merge(model)
    assert_near(run(model, kind), expected)
    # A gain times an orthogonal matrix is none: the layer's weights are its own then.
    if kind != "orthogonal":
        assert classes_of(model) == classes
        assert list(model.state_dict()) == list(plain.state_dict())
    unmerge(model)
    assert torch.equal(run(model, kind), expected)
    detach(model)
    assert torch.equal(run(model, kind), before)
    assert classes_of(model) == classes


# Saving


LOAD = """
import sys
import torch
import foreign_models
from neuromod.tuning import load_trained

torch.set_num_threads(1)
folder, *cases = sys.argv[1:]
answers = {}
for case in cases:
    kind, method = case.split(", ")
    model = foreign_models.built(kind)
    load_trained(f"{folder}/{case}.safetensors", model)
    with torch.no_grad():
        answers[case] = foreign_models.answer(model, foreign_models.batch_of(kind))
torch.save(answers, f"{folder}/answers.pt")
"""


SAVED = [case for case in CASES if case[1] in ("nt1", "tft")]
SAVED += [("GPT-2", "nt1_inputs"), ("Conv2d of groups", "nt1_both")]


@pytest.mark.thorough
def test_what_is_saved_loads_in_a_fresh_process(tmp_path: Path) -> None:
    expected = {}
    for kind, method in SAVED:
        if MODELS[kind].installed:
            model = tuned(kind, method)
            save_trained(tmp_path / f"{kind}, {method}.safetensors", model)
            expected[f"{kind}, {method}"] = run(model, kind)
    ended = python(LOAD, str(tmp_path), *expected)
    assert ended.returncode == 0, ended.stderr
    answers = torch.load(tmp_path / "answers.pt", weights_only=True)
    different = [n for n, t in expected.items() if not torch.allclose(answers[n], t, atol=1e-5)]
    assert not different


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code that knows the table in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": HELPERS}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_state_dict_holds_all_that_a_model_computes_with(case: tuple[str, str]) -> None:
    kind, method = case
    model, other = tuned(kind, method), built(kind, seed=9)
    plain = list(other.state_dict())
    attach(other, method)
    assert far(run(other, kind), run(model, kind))
    state = model.state_dict()
    assert set(plain) <= set(state)
    other.load_state_dict(state, strict=True)
    assert torch.equal(run(other, kind), run(model, kind))


# Trainer and Lightning


def classifier(seed: int) -> nn.Module:
    """A BERT that learns, with all its layers tuned."""
    pytest.importorskip("transformers", reason="transformers is not installed.")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = bert_classifier(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        foreign_models.roughen(model)
    attach(model, "nt1")
    return model


def examples() -> list[dict[str, torch.Tensor]]:
    drawn = torch.Generator().manual_seed(2)
    return [
        {
            "input_ids": torch.randint(1, foreign_models.VOCABULARY, (7,), generator=drawn),
            "labels": torch.randint(3, (), generator=drawn),
        }
        for _ in range(8)
    ]


def assert_same(model: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    assert list(model.state_dict()) == list(expected)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], msg=lambda m, name=name: f"{name}: {m}")


def test_a_training_goes_on_from_trainer_s_checkpoint(tmp_path: Path) -> None:
    """In a model of other weights even: the checkpoint holds the frozen ones too."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed.")
    pytest.importorskip("accelerate", reason="accelerate is not installed.")

    def trainer(model: nn.Module, folder: str) -> Any:
        settings = transformers.TrainingArguments(
            output_dir=str(tmp_path / folder),
            max_steps=3,
            save_steps=2,
            per_device_train_batch_size=4,
            learning_rate=0.03,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        return transformers.Trainer(model=model, args=settings, train_dataset=examples())

    straight, resumed = classifier(8), classifier(9)
    start = deepcopy(straight)
    trainer(straight, "straight").train()
    trainer(resumed, "resumed").train(str(tmp_path / "straight" / "checkpoint-2"))
    assert_same(resumed, straight)
    changed = {
        n for n, t in start.state_dict().items() if not torch.equal(t, straight.state_dict()[n])
    }
    assert changed == set(trained_state_dict(straight))


def test_a_training_goes_on_from_lightning_s_checkpoint(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="lightning is not installed.")

    class Task(lightning.LightningModule):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.model = classifier(seed)

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            return self.model(**batch).loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(trained_parameters(self.model), 0.03)

    def trainer(steps: int) -> Any:
        return lightning.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )

    data = torch.utils.data.DataLoader(examples(), 4)
    straight, resumed = Task(8), Task(9)
    half = trainer(2)
    half.fit(straight, data)
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(4).fit(straight, data, ckpt_path=str(tmp_path / "half.ckpt"))
    trainer(4).fit(resumed, data, ckpt_path=str(tmp_path / "half.ckpt"))
    assert_same(resumed, straight)
    assert far(straight.model.classifier.gain, torch.linspace(1, 1.1, 3))


@pytest.mark.parametrize("kind", ["BERT", "GPT-2", "T5", "Llama", "Mamba", "Wav2Vec2"])
def test_a_merged_model_is_saved_and_loaded_as_transformers_do(kind: str, tmp_path: Path) -> None:
    needing(kind)
    model = tuned(kind)
    expected = run(model, kind)
    merge(model)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert_near(run(loaded, kind), expected)


# Several processes


PARALLEL = """
import sys
import torch
import torch.distributed as dist
import foreign_models
from neuromod.tuning import attach

torch.set_num_threads(1)
dist.init_process_group("gloo")
sent, broadcast = [], []
kind, folder = sys.argv[1:]
model = foreign_models.built(kind)
attach(model, "nt1")
ddp = torch.nn.parallel.DistributedDataParallel(model)
original = dist._broadcast_coalesced


def counted(group, tensors, *rest):
    broadcast.extend(t.numel() for t in tensors)
    return original(group, tensors, *rest)


def hook(group, bucket):
    sent.append(bucket.buffer().numel())
    buffer = bucket.buffer().div_(dist.get_world_size())
    future = dist.all_reduce(buffer, group=group, async_op=True).get_future()
    return future.then(lambda f: f.value()[0])


dist._broadcast_coalesced = counted
ddp.register_comm_hook(dist.group.WORLD, hook)
batch = foreign_models.batch_of(kind)
for _ in range(2):
    ddp.zero_grad()
    sent.clear()
    part = {n: t.chunk(2)[dist.get_rank()] for n, t in batch.items()}
    foreign_models.answer(ddp, part).square().mean().backward()
gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
if dist.get_rank() == 0:
    torch.save((gradients, sum(sent), sum(broadcast)), folder + "/found.pt")
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.thorough
def test_two_processes_send_trained_tensors_alone_and_find_the_same_gradients(
    together: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", HELPERS)
    kind = "LSTM"
    for ended in together(PARALLEL, kind, str(tmp_path)):
        assert ended.code == 0, ended.err
    gradients, sent, broadcast = torch.load(tmp_path / "found.pt", weights_only=True)
    model = built(kind)
    attach(model, "nt1")
    answer(model, batch_of(kind)).square().mean().backward()
    trained = trained_state_dict(model)
    assert set(gradients) == set(trained)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad)
    assert sent == sum(tensor.numel() for tensor in trained.values())
    assert broadcast == 0


def test_fully_sharded_training_finds_the_same_gradients(tmp_path: Path) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    kind = "TransformerEncoder"
    model, alone = tuned(kind).train(), tuned(kind).train()
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        for block in model.layers:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for network in (model, alone):
            torch.manual_seed(4)
            loss(network, kind).backward()
        for name, parameter in alone.named_parameters():
            if parameter.requires_grad:
                found = model.get_parameter(name).grad.full_tensor()
                torch.testing.assert_close(found, parameter.grad)
    finally:
        dist.destroy_process_group()


# Compilers and other formats


COMPILED = ["GPT-2", "MultiheadAttention", "ConvTranspose2d", "subclass of its own", "weight norm"]
EXPORTED = ["Swin", "BERT", "TransformerEncoder", "weight norm"]
INTERCHANGED = ["GPT-2", "Conv1d"]


def ordinary(kinds: list[str]) -> list[Any]:
    """All models, of which some are tried in an ordinary run."""
    marks = {kind: [] if kind in kinds else [pytest.mark.thorough] for kind in MODELS}
    return [pytest.param(kind, marks=marks[kind]) for kind in MODELS]


@pytest.mark.parametrize("kind", ordinary(COMPILED))
def test_a_compiled_model_computes_the_same_in_one_graph(kind: str) -> None:
    needing(kind)
    torch.compiler.reset()
    model = tuned(kind)
    expected = run(model, kind)
    # Torch leaves its own recurrent layers, and accelerate's hooks, out of graphs.
    whole = kind not in ("LSTM", "accelerate")
    compiled = torch.compile(model, backend="eager", fullgraph=whole)
    assert_near(run(compiled, kind), expected)


def test_a_compiled_model_finds_the_same_gradients() -> None:
    torch.compiler.reset()
    model, eager = tuned("Conv3d"), tuned("Conv3d")
    loss(torch.compile(model, backend="aot_eager", fullgraph=True), "Conv3d").backward()
    loss(eager, "Conv3d").backward()
    for found, expected in zip(trained_parameters(model), trained_parameters(eager), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("kind", ordinary(EXPORTED))
def test_an_exported_model_computes_the_same(kind: str) -> None:
    needing(kind)
    model, batch = tuned(kind), dict(batch_of(kind))
    exported = torch.export.export(model, (), batch).module()
    assert_near(run(exported, kind), run(model, kind))


@pytest.mark.parametrize("kind", ordinary(INTERCHANGED))
def test_a_merged_model_computes_the_same_in_onnx(kind: str, tmp_path: Path) -> None:
    needing(kind)
    pytest.importorskip("onnxscript", reason="onnxscript is not installed.")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed.")
    model, batch, path = tuned(kind), dict(batch_of(kind)), str(tmp_path / "model.onnx")
    expected = run(model, kind)
    merge(model)
    torch.onnx.export(model, (), path, kwargs=batch, dynamo=True, verbose=False)
    session = runtime.InferenceSession(path)
    given = {i.name: batch[i.name].numpy() for i in session.get_inputs()}
    assert_near(torch.from_numpy(session.run(None, given)[0]), expected, 1e-3)


# Libraries that look for layers


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantisation_finds_the_linear_layers_of_a_merged_model() -> None:
    from torch.ao.quantization import quantize_dynamic

    model = tuned("LSTM")
    expected = run(model, "LSTM")
    merge(model)
    small = quantize_dynamic(model, {nn.Linear})
    assert "Dynamic" in str(small.embed)
    assert "Dynamic" in str(small.head)
    assert_near(run(small, "LSTM"), expected, 0.1)


@pytest.mark.parametrize(
    ("kind", "body"), [("BERT", "bert.*"), ("GPT-2", "transformer.*"), ("Llama", "model.*")]
)
def test_a_vocabulary_grows_above_tuned_layers(kind: str, body: str) -> None:
    needing(kind)
    model = built(kind)
    attach(model, "nt1", body)
    expected = run(scale(model), kind)
    model.resize_token_embeddings(foreign_models.VOCABULARY + 3)
    found = run(model, kind)
    assert found.shape[-1] == foreign_models.VOCABULARY + 3
    assert_near(found[..., : foreign_models.VOCABULARY], expected)
    loss(model, kind).backward()
    assert all(p.grad is not None for p in trained_parameters(model) if p.dim() == 1)


def test_a_tuned_head_is_not_resized() -> None:
    needing("Llama")
    with pytest.raises(UserError, match=r"with 31 gains has places for 34 now: resize .* before"):
        tuned("Llama").resize_token_embeddings(foreign_models.VOCABULARY + 3)


def test_peft_puts_its_own_adapters_on_tuned_layers() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed.")
    needing("BERT")
    model = tuned("BERT")
    expected, layer = run(model, "BERT"), model.bert.encoder.layer[0].output.dense
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["output.dense"]))
    assert model.bert.encoder.layer[0].output.dense.base_layer is layer
    assert_near(run(adapted, "BERT"), expected, 1e-5)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    expected = run(adapted, "BERT")
    with pytest.raises(UserError, match="call neuromod's merge_and_unload on the model first"):
        adapted.merge_and_unload()
    merge_and_unload(model)
    assert_near(run(adapted.merge_and_unload(), "BERT"), expected)


def test_layers_under_peft_are_refused_by_name() -> None:
    pytest.importorskip("peft", reason="peft is not installed.")
    model = foreign_models.under_peft()
    names = attach(model, "nt1")
    assert not [name for name in names if "query" in name]
    assert [name for name in names.left_out if "query" in name]
    detach(model)
    with pytest.raises(UserError, match="query"):
        attach(model, "nt1", "query")


# What a layer was


@pytest.mark.parametrize("when", ["before", "after"])
def test_hooks_of_a_layer_are_called(when: str) -> None:
    model = built("own forward")
    model.second.bias.requires_grad_(True)
    called = []
    layer = model.second

    def hook() -> None:
        layer.register_forward_pre_hook(lambda *_: called.append("before"))
        layer.register_forward_hook(lambda *_: called.append("behind"))
        layer.register_full_backward_hook(lambda *_: called.append("back"))

    if when == "before":
        hook()
    attach(model, "nt1")
    if when == "after":
        hook()
    loss(model, "own forward").backward()
    assert called == ["before", "behind", "back"]
    merge(model)
    run(model, "own forward")
    detach(model)
    run(model, "own forward")
    assert called[3:] == ["before", "behind"] * 2


def test_a_tuned_layer_is_the_very_layer(kind: str) -> None:
    model = built(kind)
    modules = dict(model.named_modules())
    classes = {name: type(module) for name, module in modules.items()}
    parameters = dict(model.named_parameters())
    names = attach(model, "nt1")
    assert dict(model.named_modules()) == modules
    for name in names:
        assert isinstance(modules[name], classes[name])
    for name, parameter in parameters.items():
        assert model.state_dict(keep_vars=True)[name] is parameter
        assert not parameter.requires_grad


def test_methods_that_train_weights_refuse_tied_ones_by_both_names() -> None:
    for kind, one, other in (
        ("tied weights", "embedding", "head"),
        ("Llama", "model.embed_tokens", "lm_head"),
    ):
        needing(kind)
        with pytest.raises(UserError, match=one) as refused:
            attach(built(kind), "tft")
        assert other in str(refused.value)
