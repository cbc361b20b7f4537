"""Many trainings on one task, such as a paper's table. Finished ones are kept on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from neuromod.support.cache import digest, discard, spared, to_keep, where_kept, written_whole
from neuromod.support.tensor_file import TensorFileError
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.features import Features
from neuromod.tuning.hardware import CPU, Hardware, add_up, is_small, rank_and_size
from neuromod.tuning.recipe import TuningRecipe
from neuromod.tuning.row_file import Progress
from neuromod.tuning.training import Outcome, history_table, tune

log = logging.getLogger(__name__)

VERSION = 1
"""Increased with every change of the code that changes the result of a training."""


def tune_all(
    features: Features,
    backbone: Backbone,
    recipes: Sequence[TuningRecipe],
    projected: Features | None = None,
    hardware: Hardware = CPU,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Tune a backbone by many recipes. An interrupted grid goes on where it stopped.

    Arguments and several processes as in `neuromod.tuning.training.tune`; `progress` counts no
    epochs of finished trainings. Returns an outcome for each recipe.
    """
    given = [hardware.device, hardware.mixed, projected is not None, rank_and_size()[1]]
    versions = map(version, ("brian2-neuromod", "torch"))
    task = [VERSION, backbone.weight_hash, features.identity, *given, *versions]
    paths = [to_keep(f"tuned-{digest([task, asdict(r)])[:20]}.json") for r in recipes]
    read = [_read(where_kept(p.name), recipe) for p, recipe in zip(paths, recipes, strict=True)]
    kept = _common(read)
    total = sum(r.epochs for r, found in zip(recipes, kept, strict=True) if found is None)
    done, outcomes = 0, []

    def count(epoch: int, _: int) -> None:
        if progress:
            progress(done + epoch, total)

    for path, recipe, found in zip(paths, recipes, kept, strict=True):
        if found is None:
            # A small network's epoch takes less time than writing a checkpoint.
            small = is_small(backbone.classifier)
            checkpoint = None if small else to_keep(path.with_suffix(".safetensors").name)
            work = features, backbone, recipe, count, None, projected, hardware
            try:
                result = tune(*work, checkpoint)
            except TensorFileError as error:
                # A file of another training has its name.
                log.warning("%s The network is tuned anew.", error)
                discard(path.with_suffix(".safetensors"))
                result = tune(*work, checkpoint)
            found = Outcome(recipe, result.n_trained, result.accuracy, result.history)
            with spared():
                _write(path, found)
            if checkpoint:
                checkpoint.unlink(missing_ok=True)
            done += recipe.epochs
        outcomes.append(found)
    return outcomes


def _common(kept: list[Outcome | None]) -> list[Outcome | None]:
    """Those that all processes have found, so that all train the same."""
    found = add_up(torch.tensor([outcome is not None for outcome in kept], dtype=torch.float32))
    everywhere = (found == rank_and_size()[1]).tolist()
    return [outcome if by_all else None for outcome, by_all in zip(kept, everywhere, strict=True)]


def _write(path: Path, outcome: Outcome) -> None:
    history = list(outcome.history.itertuples(index=False, name=None))
    found = {"n_trained": outcome.n_trained, "accuracy": outcome.accuracy, "history": history}
    write_content(path, found)


def write_content(path: Path, found: dict[str, Any]) -> None:
    """Keep what a finished training found, sealed by its hash and its file's name."""
    text = json.dumps({**found, "sha256": _seal(path, found)})
    with written_whole(path, len(text)) as temporary:
        temporary.write_text(text)


def _seal(path: Path, found: dict[str, Any]) -> str:
    """Hash of what was found, and of the name that says for which training."""
    return digest([path.name, found])


def _read(path: Path, recipe: TuningRecipe) -> Outcome | None:
    if not path.is_file():
        return None
    try:
        found = read_content(path)
        history = history_table(found["history"])
        return Outcome(recipe, found["n_trained"], found["accuracy"], history, from_cache=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        log.warning("%s is damaged or not neuromod's: the network is tuned anew.", path)
        return None


def is_whole(path: Path) -> bool:
    """Whether the file of a finished training is as it was written."""
    try:
        return bool(read_content(path))
    except (OSError, ValueError, RecursionError):
        return False


def read_content(path: Path) -> dict[str, Any]:
    """Read what `write_content` has kept; a ValueError or OSError if it is not whole."""
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or found.pop("sha256", "") != _seal(path, found):
        raise ValueError(f"{path} is not what was written.")
    return found
