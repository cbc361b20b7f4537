"""The state of a training on disk, from which an interrupted training goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from neuromod.support.paths import usable
from neuromod.support.tensor_file import (
    DamagedError,
    Kind,
    TensorFileError,
    read_tensors,
    write_tensors,
)

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

CHECKPOINT = Kind("checkpoint", "neuromod-checkpoint-1")
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps for every parameter."""


@dataclass(eq=False)
class Training(Generic[Network]):
    """A training under way.

    Attributes
    ----------
    classifier : nn.Module
        The network that is trained.
    history : list of tuple
        Epoch, loss and validation accuracy of every finished epoch.
    """

    classifier: Network
    optimizer: torch.optim.Adam
    schedule: torch.optim.lr_scheduler.LRScheduler
    history: list[tuple[int, float, float]] = field(default_factory=list)


def save_checkpoint(path: Path, key: str, training: Training[Any]) -> None:
    """Write trained parameters and Adam's moments of them, whole or not at all.

    The key is a hash of everything that determines the training.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in _trained(training.classifier):
        tensors[f"parameter.{name}"] = parameter
        for moment, value in training.optimizer.state[parameter].items():
            tensors[f"{moment}.{name}"] = value
    header = {"key": key, "history": training.history, "schedule": training.schedule.state_dict()}
    write_tensors(path, CHECKPOINT, header, tensors)


def _trained(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in network.named_parameters() if p.requires_grad]


@torch.no_grad()
def restore_checkpoint(path: Path, key: str, training: Training[Any]) -> None:
    """Bring a training to the state in a checkpoint, if there is one.

    A damaged file is skipped with a warning. One that belongs to another training, or is no
    checkpoint, is refused: it would be overwritten.
    """
    if not usable(path).exists():
        return
    try:
        found = read_tensors(path, CHECKPOINT)
    except DamagedError:
        log.warning("%s is damaged or no checkpoint: training starts anew.", path)
        return
    if found.header["key"] != key:
        raise TensorFileError(
            f"{path} belongs to another training (recipe, data, weights or number of processes "
            "differ): remove it, or name another file."
        )
    training.schedule.load_state_dict(found.header["schedule"])
    training.history[:] = map(tuple, found.header["history"])
    state = training.optimizer.state_dict()
    for number, (name, parameter) in enumerate(_trained(training.classifier)):
        parameter.copy_(found.tensors[f"parameter.{name}"])
        moments = {moment: found.tensors.get(f"{moment}.{name}") for moment in MOMENTS}
        state["state"][number] = {k: v for k, v in moments.items() if v is not None}
    for group, lr in zip(state["param_groups"], training.schedule.get_last_lr(), strict=True):
        group["lr"] = lr
    training.optimizer.load_state_dict(state)
