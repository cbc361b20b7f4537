"""Small models of other people's classes, with random weights and a batch for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from types import MethodType
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_leaves

VOCABULARY = 31
N_CLASSES = 5

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Foreign:
    """A model that knows nothing of tuning.

    Attributes
    ----------
    make : function
        Returns the model, with whatever weights its class draws.
    batch : function
        Returns the keyword arguments of one call, from a generator of random numbers.
    package : str
        Where its class comes from.
    """

    make: Callable[[], nn.Module]
    batch: Callable[[Generator], Batch]
    package: str = "torch"

    @property
    def installed(self) -> bool:
        return find_spec(self.package) is not None


def resnet() -> nn.Module:
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=N_CLASSES)


def swin(**version: Any) -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([2, 2], 8, [1, 2], [2, 2], [2, 2], num_classes=N_CLASSES, **version)


def swin_v2() -> nn.Module:
    from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

    return swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)


def vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=N_CLASSES)


def efficientnet() -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    blocks = [FusedMBConvConfig(2, 3, 2, 8, 8, 1), MBConvConfig(2, 3, 1, 8, 12, 1)]
    return EfficientNet(blocks, 0.2, num_classes=N_CLASSES, last_channel=24)


def convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 1)], num_classes=N_CLASSES)


def transformers_model(kind: str, **config: Any) -> nn.Module:
    """A model of `transformers` whose configuration is its class's with other sizes."""
    import transformers

    model_class = getattr(transformers, kind)
    return model_class(model_class.config_class(use_cache=False, **config))


ENCODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 14,
    "max_position_embeddings": 16,
}
bert = partial(transformers_model, "BertForMaskedLM", **ENCODER)
bert_classifier = partial(
    transformers_model, "BertForSequenceClassification", **ENCODER, num_labels=3
)
gpt2 = partial(
    transformers_model,
    "GPT2LMHeadModel",
    vocab_size=VOCABULARY,
    n_positions=16,
    n_embd=8,
    n_layer=2,
    n_head=2,
    bos_token_id=0,
    eos_token_id=0,
)
t5 = partial(
    transformers_model,
    "T5ForConditionalGeneration",
    vocab_size=VOCABULARY,
    d_model=8,
    d_kv=4,
    d_ff=14,
    num_layers=1,
    num_heads=2,
    tie_word_embeddings=True,
)
llama = partial(
    transformers_model,
    "LlamaForCausalLM",
    **ENCODER,
    num_key_value_heads=1,
    tie_word_embeddings=True,
    pad_token_id=0,
)
mamba = partial(
    transformers_model,
    "MambaForCausalLM",
    vocab_size=VOCABULARY,
    hidden_size=8,
    state_size=3,
    num_hidden_layers=2,
    time_step_rank=2,
)
wav2vec2 = partial(
    transformers_model,
    "Wav2Vec2Model",
    vocab_size=VOCABULARY,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=14,
    conv_dim=(8, 8),
    conv_stride=(5, 2),
    conv_kernel=(6, 3),
    num_conv_pos_embeddings=4,
    num_conv_pos_embedding_groups=2,
    layerdrop=0.0,
)


class Tied(nn.Module):
    """An embedding and the output layer that reads its weights backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.body = nn.Linear(6, 6)
        self.head = nn.Linear(6, VOCABULARY, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(self.embedding(tokens)).tanh())


class Recurrent(nn.Module):
    """A Linear before an LSTM, and one behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 7)
        self.lstm = nn.LSTM(7, 5, batch_first=True)
        self.head = nn.Linear(5, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(x).tanh())[0][:, -1])


class Attending(nn.Module):
    """Torch's attention of a sequence to itself, then of a learned question to the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.pooling = nn.MultiheadAttention(8, 2, bias=False)
        self.question = nn.Parameter(torch.randn(1, 1, 8))
        self.head = nn.Linear(8, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.self_attention(x, x, x, need_weights=False)[0]).transpose(0, 1)
        pooled, _ = self.pooling(self.question.expand(1, x.shape[1], -1), x, x)
        return self.head(pooled[0])


class Pixels(nn.Module):
    """Two layers and a smooth function between them, over a batch named ``x``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.first, self.second = layers

    def forward(self, x: Tensor) -> Tensor:
        return self.second(nn.functional.gelu(self.first(x)))


class Doubled(nn.Linear):
    """A Linear that is more than one, and says so to the class above it."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input) + 0.3


class Centred(nn.Linear):
    """A Linear that reads its weights on its own and never calls the class above it."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x - x.mean(-1, keepdim=True), self.weight, self.bias).sin()


class Encoder(nn.TransformerEncoder):
    """In evaluation without gradients it takes a fast path that never calls its layers."""

    def __init__(self) -> None:
        block = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True)
        super().__init__(block, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def with_own_forward() -> nn.Module:
    """The first layer's forward was replaced on the object, as dispatching libraries do."""
    model = Pixels(nn.Linear(6, 9), nn.Linear(9, N_CLASSES))
    old = model.first.forward

    def forward(layer: nn.Module, x: Tensor) -> Tensor:  # noqa: ARG001
        return old(1.5 * x) - 0.2

    model.first.forward = MethodType(forward, model.first)
    return model


def moved_by_accelerate() -> nn.Module:
    """Accelerate's hooks move what layers are given and give back."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    model = Pixels(nn.Linear(6, 9), nn.Linear(9, N_CLASSES))
    for layer in (model.first, model.second):
        add_hook_to_module(layer, AlignDevicesHook("cpu", io_same_device=True))
    return model


def under_peft() -> nn.Module:
    """A BERT with LoRA on its queries, whose other layers are free."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(bert_classifier(), LoraConfig(r=2, target_modules=["query"]))


def pair(first: Callable[[], nn.Module], second: Callable[[], nn.Module]) -> Callable[..., Pixels]:
    """A maker of two layers, each made when the model is."""
    return lambda: Pixels(first(), second())


def numbers(*shape: int, name: str = "x") -> Callable[[Generator], Batch]:
    return lambda drawn: {name: torch.randn(shape, generator=drawn)}


def tokens(*names: str) -> Callable[[Generator], Batch]:
    def batch(drawn: Generator) -> Batch:
        return {name: torch.randint(1, VOCABULARY, (3, 7), generator=drawn) for name in names}

    return batch


IMAGES, VECTORS, SERIES = numbers(2, 3, 32, 32), numbers(4, 6), numbers(3, 7, 8)
LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv1d": (
        lambda: nn.Conv1d(4, 6, 3, padding=1),
        lambda: nn.Conv1d(6, 3, 3, stride=2, padding=1, padding_mode="circular"),
        (2, 4, 9),
    ),
    "Conv2d of groups": (
        lambda: nn.Conv2d(4, 8, 3, groups=2, padding="same"),
        lambda: nn.Conv2d(8, 8, 3, groups=8, bias=False),
        (2, 4, 6, 5),
    ),
    "Conv3d": (
        lambda: nn.Conv3d(2, 4, 3, padding=1),
        lambda: nn.Conv3d(4, 6, 2, groups=2, dilation=2),
        (2, 2, 4, 3, 5),
    ),
    "ConvTranspose1d": (
        lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1),
        lambda: nn.ConvTranspose1d(6, 4, 3, groups=2, bias=False),
        (2, 4, 5),
    ),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1),
        lambda: nn.ConvTranspose2d(6, 4, 2, groups=2),
        (2, 4, 5, 4),
    ),
    "ConvTranspose3d": (
        lambda: nn.ConvTranspose3d(2, 4, 2),
        lambda: nn.ConvTranspose3d(4, 2, 2, groups=2),
        (2, 2, 3, 2, 3),
    ),
    "subclass that calls its parent": (
        lambda: Doubled(6, 9),
        lambda: nn.Linear(9, N_CLASSES),
        (4, 6),
    ),
    "subclass of its own": (lambda: Centred(6, 9), lambda: Centred(9, N_CLASSES), (4, 6)),
    "weight norm": (
        lambda: parametrizations.weight_norm(nn.Linear(6, 9)),
        lambda: parametrizations.weight_norm(nn.Linear(9, N_CLASSES), dim=None),
        (4, 6),
    ),
    "orthogonal": (
        lambda: parametrizations.orthogonal(nn.Linear(6, 9), orthogonal_map="matrix_exp"),
        lambda: nn.Linear(9, N_CLASSES),
        (4, 6),
    ),
}

MODELS: dict[str, Foreign] = {
    "ResNet": Foreign(resnet, IMAGES, "torchvision"),
    "Swin": Foreign(swin, numbers(2, 3, 16, 16), "torchvision"),
    "Swin v2": Foreign(swin_v2, numbers(2, 3, 16, 16), "torchvision"),
    "ViT": Foreign(vit, numbers(2, 3, 8, 8), "torchvision"),
    "EfficientNet": Foreign(efficientnet, IMAGES, "torchvision"),
    "ConvNeXt": Foreign(convnext, IMAGES, "torchvision"),
    "BERT": Foreign(bert, tokens("input_ids"), "transformers"),
    "GPT-2": Foreign(gpt2, tokens("input_ids"), "transformers"),
    "T5": Foreign(t5, tokens("input_ids", "decoder_input_ids"), "transformers"),
    "Llama": Foreign(llama, tokens("input_ids"), "transformers"),
    "Mamba": Foreign(mamba, tokens("input_ids"), "transformers"),
    "Wav2Vec2": Foreign(wav2vec2, numbers(2, 120, name="input_values"), "transformers"),
    "tied weights": Foreign(Tied, tokens("tokens")),
    "LSTM": Foreign(Recurrent, numbers(4, 3, 6)),
    "MultiheadAttention": Foreign(Attending, SERIES),
    "TransformerEncoder": Foreign(Encoder, SERIES),
    "own forward": Foreign(with_own_forward, VECTORS),
    "accelerate": Foreign(moved_by_accelerate, VECTORS, "accelerate"),
    **{name: Foreign(pair(a, b), numbers(*shape)) for name, (a, b, shape) in LAYERS.items()},
}


def built(kind: str, seed: int = 8) -> nn.Module:
    """A model of the table in evaluation mode; a seed gives the same weights in any process."""
    if MODELS[kind].package in ("torchvision", "transformers"):
        # A copy takes less time. A replaced forward would stay that of the first.
        return deepcopy(first(kind, seed))
    return made(kind, seed)


def made(kind: str, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[kind].make().eval()
        roughen(model)
    return model


first = cache(made)


@torch.no_grad()
def roughen(model: nn.Module) -> None:
    """Move all weights off the round numbers with which norms, scales and heads begin."""
    for parameter in model.parameters():
        spread = float(parameter.std()) if parameter.numel() > 1 else 0.0
        parameter.add_(torch.randn_like(parameter), alpha=0.1 * (spread or 1.0))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)


def batch_of(kind: str, dtype: torch.dtype = torch.float32) -> Batch:
    """The batch of a model of the table, its numbers in a precision."""
    batch = MODELS[kind].batch(torch.Generator().manual_seed(3))
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in batch.items()}


def answer(model: nn.Module, batch: Batch) -> Tensor:
    """What a model computes, as one tensor: of several outputs the first."""
    return next(t for t in tree_leaves(model(**batch)) if isinstance(t, Tensor))
