"""Where a network is tuned: device, precision, threads, seeds, processes.

None of this changes what is tuned, except for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from neuromod.errors import UserError, short
from neuromod.models.modulated_layer import ModulatedLayer


@dataclass(frozen=True)
class Hardware:
    """What torch computes with.

    Attributes
    ----------
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    mixed : bool
        Whether factors are rounded to bfloat16, while sums, gains and optimiser stay in float32.
        It saves time where the hardware multiplies bfloat16, as recent GPUs do.
    """

    device: str = "cpu"
    mixed: bool = False

    def __post_init__(self) -> None:
        there = available_devices()
        if self.device not in there:
            raise UserError(
                f"There is no device {short(self.device)} for torch here: {', '.join(there)} can "
                "be asked for."
            )

    def precision(self) -> AbstractContextManager[object]:
        """Return a context in which products have this precision."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.mixed)


@contextmanager
def frozen_in_bfloat16(model: nn.Module, hardware: Hardware) -> Iterator[None]:
    """Round a model's frozen weights to bfloat16 once, within a block, if the hardware is mixed.

    They never change, so the result is the same as rounding them for every product, which would
    take as long as many products. Afterwards the model has its own tensors again.
    """
    layers = [m for m in model.modules() if isinstance(m, ModulatedLayer) and hardware.mixed]
    weights = {layer: layer._parameters.get("weight") for layer in layers}
    frozen = {m: p for m, p in weights.items() if p is not None and not p.requires_grad}
    try:
        for layer, weight in frozen.items():
            layer._parameters["weight"] = nn.Parameter(weight.bfloat16(), requires_grad=False)
        yield
    finally:
        for layer, weight in frozen.items():
            layer._parameters["weight"] = weight


def available_devices() -> tuple[str, ...]:
    """Return the names of torch's devices on this machine."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("cpu", *(["cuda"] if cuda else []), *cuda, *mps)


CPU = Hardware()


@contextmanager
def processes() -> Iterator[None]:
    """Share the work within a block with the other processes that torchrun started, if any.

    Each process extracts features of its share of the images.
    `neuromod.tuning.training.tune` gives each its share of every batch and adds the gradients, so
    that all end with the gains that one process would find, up to rounding. If there are enough
    GPUs, each process has one of its own as ``"cuda"``.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    own = int(os.environ.get("LOCAL_RANK", 0))
    if own < torch.accelerator.device_count():
        torch.accelerator.set_device_index(own)
    distributed.init_process_group()
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank_and_size() -> tuple[int, int]:
    """Return this process's number, from 0, and the number of processes."""
    if distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def add_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes."""
    if rank_and_size()[1] == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)


def add_up(values: Tensor) -> Tensor:
    """Return values summed over the processes."""
    if rank_and_size()[1] > 1:
        distributed.all_reduce(values)
    return values


SMALL = 1_000_000
"""Number of weights below which a second thread does not help a network, and slows it down much
where the cores are busy (measured)."""


def is_small(network: nn.Module) -> bool:
    """Return whether a network has so few weights that a second thread does not help it."""
    tensors = [*network.parameters(), *network.buffers()]
    return sum(t.numel() for t in tensors) < SMALL


@contextmanager
def threads_for(network: nn.Module) -> Iterator[None]:
    """Let torch use a single thread for a small network, within a block.

    This also makes its results independent of the number of cores: torch groups sums by thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if is_small(network) else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, which draws weights and dropout, within a block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
