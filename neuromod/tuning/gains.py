"""Trained tensors on disk: safetensors, with a JSON header that says what they belong to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuromod.cache import written_whole
from neuromod.errors import UserError
from neuromod.models.classifier import RateClassifier, SpikingClassifier
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.features import Features
from neuromod.tuning.recipe import TuningRecipe, build_classifier
from neuromod.tuning.training import TuningResult, evaluated

FORMAT = "neuromod-gains-1"


class GainsError(UserError):
    """A gains file that cannot be used, told in one sentence."""


@dataclass(frozen=True, eq=False)
class Gains:
    """What a gains file holds.

    Attributes
    ----------
    header : dict
        ``recipe`` (method, kind, loss, seed, ...), ``layers`` (shape of each trained tensor),
        ``classes``, ``data``, ``accuracy``, ``backbone`` (``name`` and ``weight_hash``) and
        ``versions``.
    tensors : dict
        The trained tensors by name, e.g. ``layers.0.gain``.
    """

    header: dict[str, Any]
    tensors: dict[str, Tensor]


def save_gains(
    path: str | Path, result: TuningResult, backbone: Backbone, features: Features
) -> None:
    """Write a tuned network's trained tensors, with a header to know them by.

    Parameters
    ----------
    path : path
        Written under a temporary name and renamed, so that it is either whole or not there.
    result : TuningResult
    backbone : Backbone
        The one that was tuned.
    features : Features
        What it was tuned on.
    """
    tensors = result.tensors
    header = {
        "format": FORMAT,
        "recipe": asdict(result.recipe),
        "layers": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "classes": list(features.classes),
        "data": features.data,
        "accuracy": result.accuracy,
        "backbone": {"name": backbone.name, "weight_hash": backbone.weight_hash},
        "versions": {
            package: version(package) for package in ("brian2-neuromod", "torch", "safetensors")
        },
    }
    with written_whole(Path(path)) as temporary:
        temporary.write_bytes(save(tensors, {"neuromod": json.dumps(header)}))


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


def load_gains(path: str | Path, backbone: Backbone) -> RateClassifier | SpikingClassifier:
    """Put the tensors of a gains file into the network that they were trained in.

    Parameters
    ----------
    path : path
    backbone : Backbone
        It must have the very weights that were tuned. It is not changed.

    Returns
    -------
    RateClassifier or SpikingClassifier
        In evaluation mode.
    """
    gains = read_gains(path)
    try:
        recipe = TuningRecipe(**gains.header["recipe"])
        n_classes = len(gains.header["classes"])
        tuned = gains.header["backbone"]
        name, weight_hash = tuned["name"], tuned["weight_hash"]
    except (KeyError, TypeError, ValueError) as error:
        raise GainsError(f"{path} has a header that cannot be understood: {error}.") from error
    classifier = build_classifier(backbone, recipe, n_classes)
    _check_shapes(Path(path), gains.tensors, classifier.state_dict(), backbone)
    if weight_hash != backbone.weight_hash:
        raise GainsError(
            f"{path} was trained on {name} with weights {weight_hash[:8]}, and this is "
            f"{backbone.name} with weights {backbone.weight_hash[:8]}: "
            "gains fit only the weights that they were trained with."
        )
    classifier.load_state_dict(gains.tensors)
    return classifier.eval()


def load_result(path: str | Path, features: Features, backbone: Backbone) -> TuningResult:
    """Load a gains file as a tuned network, and measure it on features of the task again.

    Parameters
    ----------
    path : path
    features : Features
        With as many classes as the network has outputs.
    backbone : Backbone
        As for `load_gains`.

    Returns
    -------
    TuningResult
        With an empty history.
    """
    classifier = load_gains(path, backbone)
    header = read_gains(path).header
    if len(header["classes"]) != len(features.classes):
        raise GainsError(
            f"{path} was trained for {len(header['classes'])} classes ({header['data']}), and "
            f"{features.data} has {len(features.classes)}."
        )
    recipe = TuningRecipe(**header["recipe"])
    return evaluated(recipe, classifier, features)


def _check_shapes(
    path: Path, found: dict[str, Tensor], expected: dict[str, Tensor], backbone: Backbone
) -> None:
    for name, tensor in expected.items():
        if name not in found:
            raise GainsError(f"{path} lacks {name!r}, which {backbone.name} needs.")
        if found[name].shape != tensor.shape:
            raise GainsError(
                f"{path} has {name!r} of shape {tuple(found[name].shape)} where "
                f"{backbone.name} needs {tuple(tensor.shape)}."
            )
    for name in found.keys() - expected.keys():
        raise GainsError(f"{path} has {name!r}, for which {backbone.name} has no place.")
