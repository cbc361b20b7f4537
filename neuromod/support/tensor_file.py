"""Tensors on disk: safetensors, with a JSON header that says what they are and belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuromod.errors import UserError
from neuromod.support.cache import written_whole


class TensorFileError(UserError):
    """A file of tensors that cannot be used."""


class DamagedError(TensorFileError):
    """A file that holds no tensors, or is truncated."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name in error messages, and the format that its header names."""

    what: str
    format: str


@dataclass(frozen=True, eq=False)
class TensorFile:
    """What a file holds: the header as written, with ``format`` and ``versions``, and tensors."""

    header: dict[str, Any]
    tensors: dict[str, Tensor]


def write_tensors(
    path: str | Path, kind: Kind, header: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write tensors whole or not at all, with a header, of types that JSON holds, about them."""
    packages = ("brian2-neuromod", "torch", "safetensors")
    about = {"format": kind.format, "versions": {name: version(name) for name in packages}}
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(Path(path)) as temporary:
        temporary.write_bytes(save(content, {"neuromod": json.dumps({**header, **about})}))


def read_tensors(path: str | Path, kind: Kind) -> TensorFile:
    """Read a file of a kind.

    Raises
    ------
    TensorFileError
        If it is not there, or of another kind.
    DamagedError
        If it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise TensorFileError(f"There is no {kind.what} {path}.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("neuromod", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedError(f"{path} is no {kind.what}, or a truncated one: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != kind.format:
        raise TensorFileError(f"{path} lacks the header of a {kind.what} ({kind.format}).")
    return TensorFile(header, tensors)


def check_fit(
    source: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str
) -> None:
    """Refuse tensors from some source that do not fit those of a network, or are not finite."""
    for key, tensor in expected.items():
        if key not in found:
            raise TensorFileError(f"{source} lacks {key!r}, which {name} needs.")
        if found[key].shape != tensor.shape:
            raise TensorFileError(
                f"{source} has {key!r} of shape {tuple(found[key].shape)} where "
                f"{name} needs {tuple(tensor.shape)}."
            )
    for key, tensor in found.items():
        if key not in expected:
            raise TensorFileError(f"{source} has {key!r}, for which {name} has no place.")
        if not tensor.isfinite().all():
            raise TensorFileError(f"{source} has values in {key!r} that are not finite.")


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of tensors and their names, whatever their order."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        sha.update(raw.numpy().data)
    return sha.hexdigest()
