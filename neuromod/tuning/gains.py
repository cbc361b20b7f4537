"""A tuned classifier on disk: its gains, and the recipe, backbone and task that they belong to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from neuromod.models.classifier import Classifier
from neuromod.support.tensor_file import TensorFile, TensorFileError, read_tensors
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.features import Features
from neuromod.tuning.recipe import TuningRecipe, build_classifier
from neuromod.tuning.trained import GAINS, Base, check_base, load_trained_state_dict, save_trained
from neuromod.tuning.training import TuningResult, evaluated


def save_gains(
    path: str | Path, result: TuningResult, backbone: Backbone, features: Features
) -> None:
    """Write a tuned classifier as `save_trained` does, with its recipe, backbone and task."""
    save_trained(
        path,
        result.classifier,
        Base(backbone.name, backbone.weight_hash),
        recipe=asdict(result.recipe),
        classes=list(features.classes),
        data=features.data,
        accuracy=result.accuracy,
    )


def load_gains(path: str | Path, backbone: Backbone) -> Classifier:
    """Build the tuned classifier that a gains file describes.

    Parameters
    ----------
    path : path
        As `save_gains` writes it.
    backbone : Backbone
        With the very weights that were tuned. It is not changed.

    Returns
    -------
    Classifier
        In evaluation mode.

    Raises
    ------
    TensorFileError
        If the file is of another kind, backbone or shape.
    """
    return _loaded(path, backbone)[1]


def load_result(path: str | Path, features: Features, backbone: Backbone) -> TuningResult:
    """Load a tuned classifier from a gains file, and measure it again.

    Parameters
    ----------
    path, backbone
        As for `load_gains`.
    features : Features
        Of a task with as many classes as the network has outputs.

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
    header = gains.header
    try:
        recipe = TuningRecipe(**header["recipe"])
        n_classes = len(header["classes"])
        # Version 0.1 wrote the same format with another name for the base.
        base = Base(**(header.get("base") or header["backbone"]))
    except (KeyError, TypeError, ValueError) as error:
        raise TensorFileError(f"{path} has a header that cannot be understood: {error}.") from error
    check_base(str(path), base, Base(backbone.name, backbone.weight_hash))
    classifier = build_classifier(backbone, recipe, n_classes)
    load_trained_state_dict(classifier, gains.tensors, str(path))
    return gains, classifier.eval()
