"""Trained plastic networks on disk: safetensors, with a JSON header that says what they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuromod.cache import written_whole
from neuromod.errors import UserError
from neuromod.plasticity.network import PlasticNetwork, Shape

FORMAT = "neuromod-plastic-1"


def save_network(path: str | Path, network: PlasticNetwork, about: dict[str, Any]) -> None:
    """Write a network's learned parameters, with a header to know them by.

    Parameters
    ----------
    path : path
        Written under a temporary name and renamed, so that it is either whole or not there.
    network : PlasticNetwork
    about : dict
        Anything else worth knowing, such as task and seed, of types that JSON holds.
    """
    header = {
        "format": FORMAT,
        "shape": asdict(network.shape),
        "rule": network.rule_values(),
        "about": about,
        "versions": {
            package: version(package) for package in ("brian2-neuromod", "torch", "safetensors")
        },
    }
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with written_whole(Path(path)) as temporary:
        temporary.write_bytes(save(tensors, {"neuromod": json.dumps(header)}))


def load_network(path: str | Path) -> tuple[PlasticNetwork, dict[str, Any]]:
    """Read a network back, in the precision in which it was saved.

    Parameters
    ----------
    path : path

    Returns
    -------
    tuple of (PlasticNetwork, dict)
        The network and the file's header.

    Raises
    ------
    UserError
        When there is no such file, it is none of a plastic network, or it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path} of a plastic network.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("neuromod", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is no network's file, or a truncated one: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise UserError(f"{path} lacks the header of a plastic network ({FORMAT}).")
    try:
        network = PlasticNetwork(Shape(**header["shape"]), seed=0)
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"{path} has a header that cannot be understood: {error}.") from error
    precision = next(iter(tensors.values())).dtype if tensors else None
    network.to(precision)
    _check(path, tensors, network.state_dict())
    network.load_state_dict(tensors)
    return network, header


def _check(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise UserError(f"{path} lacks {name!r}, which its shape needs.")
        if name not in expected:
            raise UserError(f"{path} has {name!r}, for which its shape has no place.")
        if found[name].shape != expected[name].shape:
            raise UserError(
                f"{path} has {name!r} of shape {tuple(found[name].shape)} where its shape needs "
                f"{tuple(expected[name].shape)}."
            )
        if not found[name].isfinite().all():
            raise UserError(f"{path} has values in {name!r} that are not finite.")
