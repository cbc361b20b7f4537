"""Check a tuned model before hours of training: does what is trained do anything, and last?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neuromod.errors import UserError, listed
from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.tuning.attachment import merged_for_a_while, trained_of, tuned_layers
from neuromod.tuning.trained import bare

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}
"""Largest difference of a merged layer's outputs, relative to the largest of them (chosen: some
hundred times the rounding of one product)."""


@dataclass(frozen=True)
class Findings:
    """What is wrong with a tuned model, by names of layers; nothing where all is well.

    Attributes
    ----------
    without_gradient : tuple of str
        Layers with a trained tensor that no output depends on, or that gets no gradient but 0.
    in_training_mode : tuple of str
        Layers of batch normalisation that undo gains before them, and whose averages move.
    not_merged_alike : tuple of str
        Layers that would compute something else after `merge`.
    """

    without_gradient: tuple[str, ...]
    in_training_mode: tuple[str, ...]
    not_merged_alike: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return any(vars(self).values())

    def __str__(self) -> str:
        said = {
            "get no gradient": self.without_gradient,
            "normalise in training mode, which undoes gains: call model.eval()": (
                self.in_training_mode
            ),
            "would compute something else when merged": self.not_merged_alike,
        }
        parts = [f"{listed(names)} {what}" for what, names in said.items() if names]
        return "; ".join(parts) + "." if parts else "All is well."


def check(model: nn.Module, batch: Any) -> Findings:
    """Run a tuned model on a batch, forwards and backwards, and tell what would go wrong.

    The model, its gradients, its buffers and torch's generators are afterwards as they were.

    Parameters
    ----------
    model : nn.Module
        Tuned by `attach`.
    batch : Tensor, tuple or mapping
        Inputs: one, several, or several by name.

    Returns
    -------
    Findings
        True if anything is wrong; its text says what.

    Raises
    ------
    UserError
        If no layer is tuned, or the model puts out nothing that could be trained.
    """
    model = bare(model)
    tuned_layers(model)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, ModulatedLayer)}
    normalising = [n for n, m in model.named_modules() if isinstance(m, _BatchNorm) and m.training]
    other: set[str] = set()
    with _as_it_was(model), ExitStack() as hooks:
        for name, layer in layers.items():
            hook = layer.register_forward_hook(_comparing(name, other), with_kwargs=True)
            hooks.callback(hook.remove)
        with torch.enable_grad():
            outputs = _tensors(_run(model, batch))
            trained = [p for layer in layers.values() for p in trained_of(layer).values()]
            if trained and not any(out.requires_grad for out in outputs):
                raise UserError(
                    f"{type(model).__name__} puts out nothing that depends on what is trained: "
                    "give a batch that reaches the tuned layers."
                )
            silent = _without_gradient(layers, outputs)
    merged = tuple(name for name in layers if name in other)
    return Findings(silent, tuple(normalising), merged)


def _run(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


def _tensors(output: Any) -> list[Tensor]:
    """All floating tensors in an output of any structure."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        return [tensor for value in output.values() for tensor in _tensors(value)]
    if isinstance(output, tuple | list):
        return [tensor for value in output for tensor in _tensors(value)]
    return []


def _without_gradient(
    layers: Mapping[str, ModulatedLayer], outputs: list[Tensor]
) -> tuple[str, ...]:
    """Layers with a trained tensor that a generic sum of the outputs does not depend on."""
    trained = {n: [*trained_of(layer).values()] for n, layer in layers.items()}
    everything = [p.requires_grad_() for tensors in trained.values() for p in tensors]
    if not everything:
        return ()
    draw = torch.Generator().manual_seed(0)
    # A plain sum of outputs can be constant, as that of a softmax is.
    reached = [out for out in outputs if out.requires_grad]
    pulls = [torch.randn(out.shape, generator=draw).to(out) for out in reached]
    gradients = torch.autograd.grad(reached, everything, pulls, allow_unused=True)
    found = dict(zip(map(id, everything), gradients, strict=True))
    # The first gradient of LoRA's lower matrix is 0, because the upper one is.
    return tuple(
        name
        for name, tensors in trained.items()
        if tensors and not any(_is_pulled(found[id(p)]) for p in tensors)
    )


def _is_pulled(gradient: Tensor | None) -> bool:
    return gradient is not None and bool((gradient != 0).any())


def _comparing(name: str, other: set[str]) -> Any:
    """A hook that notes a layer which computes something else when it is merged."""

    def compare(layer: Any, args: Any, options: Any, output: Any) -> None:
        with torch.no_grad(), merged_for_a_while(layer):
            after = _tensors(layer.forward(*args, **options))
        for one, two in zip(_tensors(output), after, strict=True):
            scale = float(one.detach().abs().max()) if one.numel() else 0.0
            apart = float((one.detach() - two).abs().max()) if one.numel() else 0.0
            if not apart <= TOLERANCE.get(one.dtype, 1e-4) * scale:
                other.add(name)

    return compare


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Leave a model's flags, buffers and generators as they were; nothing is drawn or averaged."""
    flags = {parameter: parameter.requires_grad for parameter in model.parameters()}
    modes = {m: m.training for m in model.modules()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    with torch.random.fork_rng():
        for module in modes:
            # Those of NVIDIA's library go backwards in training mode alone.
            module.training = isinstance(module, nn.RNNBase)
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            for parameter, flag in flags.items():
                parameter.requires_grad_(flag)
            with torch.no_grad():
                for buffer, before in buffers.items():
                    buffer.copy_(before)
