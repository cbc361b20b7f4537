"""The state of a training on disk, from which an interrupted training goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.support.tensor_file import DamagedError, Kind, read_tensors, write_tensors

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
    optimizer : torch.optim.Adam
    schedule : LRScheduler
    history : list of tuple
        Epoch, loss and validation accuracy of every finished epoch.
    """

    classifier: Network
    optimizer: torch.optim.Adam
    schedule: torch.optim.lr_scheduler.LRScheduler
    history: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Trained parameters and Adam's moments of them."""
        found = {}
        for name, parameter in self.classifier.named_parameters():
            found[f"parameter.{name}"] = parameter.detach()
            for moment, value in self.optimizer.state[parameter].items():
                found[f"{moment}.{name}"] = value
        return found


def save_checkpoint(path: Path, key: str, training: Training[Any]) -> None:
    """Write a training's state after an epoch, whole or not at all.

    Parameters
    ----------
    path : Path
    key : str
        Hash of everything that determines the training.
    training : Training
    """
    header = {"key": key, "history": training.history, "schedule": training.schedule.state_dict()}
    write_tensors(path, CHECKPOINT, header, training.tensors)


def restore_checkpoint(path: Path, key: str, training: Training[Any]) -> None:
    """Bring a training to the state in a checkpoint, if there is one.

    Parameters
    ----------
    path : Path
        A damaged file is skipped with a warning.
    key : str
        As for `save_checkpoint`.
    training : Training
        Changed in place.

    Raises
    ------
    UserError
        If the file belongs to another training or is no checkpoint, and would be overwritten.
    """
    if not path.is_file():
        return
    try:
        found = read_tensors(path, CHECKPOINT)
    except DamagedError:
        log.warning("%s is damaged or no checkpoint: training starts anew.", path)
        return
    if found.header["key"] != key:
        raise UserError(
            f"{path} belongs to another training (recipe, data, weights or number of processes "
            "differ): remove it, or name another file."
        )
    training.schedule.load_state_dict(found.header["schedule"])
    training.history[:] = [(epoch, loss, share) for epoch, loss, share in found.header["history"]]
    _restore(training, found.tensors)


@torch.no_grad()
def _restore(training: Training[Any], tensors: dict[str, Tensor]) -> None:
    state = training.optimizer.state_dict()
    for number, (name, parameter) in enumerate(training.classifier.named_parameters()):
        parameter.copy_(tensors[f"parameter.{name}"])
        state["state"][number] = {
            moment: tensors[f"{moment}.{name}"]
            for moment in MOMENTS
            if f"{moment}.{name}" in tensors
        }
    for group, lr in zip(state["param_groups"], training.schedule.get_last_lr(), strict=True):
        group["lr"] = lr
    training.optimizer.load_state_dict(state)
