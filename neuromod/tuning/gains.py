"""Gains of a tuned classifier on disk, and what must be known of them to use them again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from neuromod.models.classifier import Classifier
from neuromod.support.tensor_file import TensorFile, TensorFileError, read_tensors, write_tensors
from neuromod.tuning.attachment import (
    GAINS,
    check_base,
    load_trained_state_dict,
    trained_state_dict,
)
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.features import Features
from neuromod.tuning.recipe import TuningRecipe, build_classifier
from neuromod.tuning.training import TuningResult, evaluated


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
    header = {
        "recipe": asdict(result.recipe),
        "classes": list(features.classes),
        "data": features.data,
        "accuracy": result.accuracy,
        "backbone": {"name": backbone.name, "weight_hash": backbone.weight_hash},
    }
    write_tensors(path, GAINS, header, trained_state_dict(result.classifier))


def load_gains(path: str | Path, backbone: Backbone) -> Classifier:
    """Put the tensors of a gains file into the network that they were trained in.

    Parameters
    ----------
    path : path
    backbone : Backbone
        It must have the very weights that were tuned. It is not changed.

    Returns
    -------
    Classifier
        In evaluation mode.
    """
    return _loaded(path, backbone)[1]


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
    gains, classifier = _loaded(path, backbone)
    trained_for, found = len(gains.header["classes"]), len(features.classes)
    if trained_for != found:
        raise TensorFileError(
            f"{path} was trained for {trained_for} classes ({gains.header['data']}), and "
            f"{features.data} has {found}."
        )
    return evaluated(TuningRecipe(**gains.header["recipe"]), classifier, features)


def _loaded(path: str | Path, backbone: Backbone) -> tuple[TensorFile, Classifier]:
    gains = read_tensors(path, GAINS)
    try:
        recipe = TuningRecipe(**gains.header["recipe"])
        n_classes = len(gains.header["classes"])
        tuned = {key: str(gains.header["backbone"][key]) for key in ("name", "weight_hash")}
    except (KeyError, TypeError, ValueError) as error:
        raise TensorFileError(f"{path} has a header that cannot be understood: {error}.") from error
    check_base(str(path), tuned, backbone.name, backbone.weight_hash)
    classifier = build_classifier(backbone, recipe, n_classes)
    load_trained_state_dict(classifier, gains.tensors, str(path))
    return gains, classifier.eval()
