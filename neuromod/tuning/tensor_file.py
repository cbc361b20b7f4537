"""Trained tensors on disk: safetensors, with a JSON header that says what they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuromod.cache import written_whole
from neuromod.errors import UserError

FORMAT = "neuromod-gains-1"


class GainsError(UserError):
    """A gains file that cannot be used, told in one sentence."""


@dataclass(frozen=True, eq=False)
class Gains:
    """What a gains file holds.

    Attributes
    ----------
    header : dict
        What `write_gains` was given, and besides ``layers`` (shape of each trained tensor) and
        ``versions``.
    tensors : dict
        The trained tensors by name, e.g. ``layers.0.gain``.
    """

    header: dict[str, Any]
    tensors: dict[str, Tensor]


def write_gains(path: str | Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write trained tensors with a header to know them by.

    Parameters
    ----------
    path : path
        Written under a temporary name and renamed, so that it is either whole or not there.
    header : mapping
        What JSON can hold.
    tensors : mapping
    """
    whole = {
        **header,
        "format": FORMAT,
        "layers": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "versions": {
            package: version(package) for package in ("brian2-neuromod", "torch", "safetensors")
        },
    }
    with written_whole(Path(path)) as temporary:
        temporary.write_bytes(save(dict(tensors), {"neuromod": json.dumps(whole)}))


def read_gains(path: str | Path) -> Gains:
    """Read a gains file, whatever network it belongs to."""
    path = Path(path)
    if not path.is_file():
        raise GainsError(f"There is no gains file {path}.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("neuromod", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise GainsError(f"{path} is no gains file, or a truncated one: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise GainsError(
            f"{path} is a safetensors file without the header of a gains file ({FORMAT})."
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise GainsError(f"{path} has values in {name!r} that are not finite.")
    return Gains(header, tensors)


def check_base(source: str, tuned: Mapping[str, str], name: str, found_hash: str) -> None:
    """Refuse tensors that were trained on another network.

    Parameters
    ----------
    source : str
        The file that they come from.
    tuned : mapping
        ``name`` and ``weight_hash`` of the network that they were trained on.
    name, found_hash : str
        Of the network that they shall be put into.
    """
    if tuned["weight_hash"] != found_hash:
        raise GainsError(
            f"{source} was trained on {tuned['name']} with weights {tuned['weight_hash'][:8]}, "
            f"and this is {name} with weights {found_hash[:8]}: "
            "gains fit only the weights that they were trained with."
        )


def check_fit(
    source: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str
) -> None:
    """Refuse tensors whose names or shapes are not those that a network has places for.

    Parameters
    ----------
    source : str
        Where they come from.
    found, expected : mapping
        Tensors by name; those that come, and those that are there.
    name : str
        The network's.
    """
    for key, tensor in expected.items():
        if key not in found:
            raise GainsError(f"{source} lacks {key!r}, which {name} needs.")
        if found[key].shape != tensor.shape:
            raise GainsError(
                f"{source} has {key!r} of shape {tuple(found[key].shape)} where "
                f"{name} needs {tuple(tensor.shape)}."
            )
    for key in found.keys() - expected.keys():
        raise GainsError(f"{source} has {key!r}, for which {name} has no place.")
