"""The state of a training on disk, to go on from where it was interrupted."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from neuromod.cache import written_whole
from neuromod.errors import UserError

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

FORMAT = "neuromod-checkpoint-1"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of every parameter."""


@dataclass(eq=False)
class Training(Generic[Network]):
    """A training under way.

    Attributes
    ----------
    classifier : nn.Module
        What is trained.
    optimizer : torch.optim.Adam
    schedule : LRScheduler
    history : list of tuple
        epoch, loss, validation accuracy of every epoch done.
    """

    classifier: Network
    optimizer: torch.optim.Adam
    schedule: torch.optim.lr_scheduler.LRScheduler
    history: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Trained parameters and what Adam knows of them."""
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
        Of everything that determines the training; a checkpoint is used for no other.
    training : Training
    """
    header = {
        "format": FORMAT,
        "key": key,
        "history": training.history,
        "schedule": training.schedule.state_dict(),
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in training.tensors.items()}
    with written_whole(path) as temporary:
        temporary.write_bytes(save(tensors, {"neuromod": json.dumps(header)}))


def restore_checkpoint(path: Path, key: str, training: Training[Any]) -> None:
    """Put a training into the state that was written, or leave it at its beginning without one.

    Parameters
    ----------
    path : Path
        A file that is damaged is passed over with a warning.
    key : str
        As for `save_checkpoint`.
    training : Training
        Changed in place.

    Raises
    ------
    UserError
        When the file is of another training.
    """
    if not path.is_file():
        return
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["neuromod"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        of = header["key"] if header["format"] == FORMAT else None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        log.warning("%s is damaged or no checkpoint: training starts anew.", path)
        return
    if of != key:
        raise UserError(
            f"{path} is of another training (recipe, data, weights or number of processes "
            "differ): remove it, or name another file."
        )
    training.schedule.load_state_dict(header["schedule"])
    training.history[:] = [(epoch, loss, share) for epoch, loss, share in header["history"]]
    _restore(training, tensors)


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
