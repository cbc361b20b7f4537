"""Trained plastic networks on disk: safetensors with a JSON header."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuromod.errors import UserError
from neuromod.plasticity.network import PlasticNetwork, Shape
from neuromod.support.tensor_file import (
    Kind,
    TensorFileError,
    check_fit,
    read_tensors,
    write_tensors,
)

PLASTIC = Kind("plastic-network file", "neuromod-plastic-1")


def save_network(path: str | Path, network: PlasticNetwork, about: dict[str, Any]) -> None:
    """Write a network's learned parameters, with a header that describes them.

    Parameters
    ----------
    path : path
        The file is either whole or absent.
    about : dict
        Further facts, such as task and seed, of types that JSON holds.
    """
    header = {"shape": asdict(network.shape), "rule": network.rule_values(), "about": about}
    write_tensors(path, PLASTIC, header, network.state_dict())


def load_network(path: str | Path) -> tuple[PlasticNetwork, dict[str, Any]]:
    """Read a network, in the precision in which it was saved.

    Returns
    -------
    tuple of (PlasticNetwork, dict)
        The network and the file's header.

    Raises
    ------
    TensorFileError
        When the file is missing, damaged or not of a plastic network.
    """
    found = read_tensors(path, PLASTIC)
    try:
        network = PlasticNetwork(Shape(**found.header["shape"]), seed=0)
    except (KeyError, TypeError, UserError) as error:
        raise TensorFileError(f"{path} has a header that cannot be understood: {error}.") from error
    precision = next(iter(found.tensors.values())).dtype if found.tensors else None
    network.to(precision)
    check_fit(str(path), found.tensors, network.state_dict(), "its shape")
    network.load_state_dict(found.tensors)
    return network, found.header
