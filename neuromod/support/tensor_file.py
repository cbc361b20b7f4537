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
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from neuromod.errors import UserError
from neuromod.support.cache import digest, written_whole
from neuromod.support.paths import file_at


class TensorFileError(UserError):
    """A file of tensors that cannot be used."""


class DamagedError(TensorFileError):
    """A file that holds no tensors, is truncated, or was changed after it was written."""


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
    written = json.loads(json.dumps({**header, **about}))
    written["sha256"] = _seal(written, content)
    data = save(content, {"neuromod": json.dumps(written)})
    with written_whole(Path(path), len(data)) as temporary:
        temporary.write_bytes(data)


def read_tensors(path: str | Path, kind: Kind) -> TensorFile:
    """Read a file of a kind.

    Raises
    ------
    TensorFileError
        If it is not there, or of another kind.
    DamagedError
        If it cannot be read, or differs from what was written. Version 0.1 wrote no checksum.
    """
    path = _there(path, kind.what)
    found = _read(path, kind.what)
    if found.header.get("format") != kind.format:
        raise TensorFileError(f"{path} lacks the header of a {kind.what} ({kind.format}).")
    return found


def read_foreign(path: Path, what: str) -> dict[str, Tensor]:
    """Read the tensors of a file that another program wrote, with no header of ours.

    Raises
    ------
    TensorFileError
        If it is not there.
    DamagedError
        If it cannot be read.
    """
    return _read(_there(path, what), what).tensors


def _there(path: str | Path, what: str) -> Path:
    try:
        return file_at(path, what)
    except UserError as error:
        raise TensorFileError(str(error)) from error


def is_whole(path: Path) -> bool:
    """Whether a file of any kind is as it was written; version 0.1 left nothing to tell it by."""
    try:
        return "sha256" in _read(path, "file of tensors").header
    except DamagedError:
        return False


def _read(path: Path, what: str) -> TensorFile:
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("neuromod", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # What a foreign file raises depends on its first bytes.
    except Exception as error:
        raise DamagedError(f"{path} is no {what}, or a truncated one: {error}.") from error
    found = header if isinstance(header, dict) else {}
    if _is_sealed(found) and found.get("sha256") != _seal(found, tensors):
        raise DamagedError(
            f"{path} is damaged: its content is not what was written (SHA-256); take another copy "
            "of it, or make it again."
        )
    return TensorFile(found, tensors)


def _is_sealed(header: Mapping[str, Any]) -> bool:
    """Whether a header came with a checksum, which may be what is damaged; 0.1 wrote none."""
    versions = header.get("versions")
    by = versions.get("brian2-neuromod", "0.1") if isinstance(versions, dict) else "0.1"
    return "sha256" in header or not str(by).startswith("0.1")


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


def _seal(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Hash of all that a file holds, but for the hash itself."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    return digest([rest, hash_tensors(tensors)])


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of tensors and their names, whatever their order."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        sha.update(raw.numpy().data)
    return sha.hexdigest()
