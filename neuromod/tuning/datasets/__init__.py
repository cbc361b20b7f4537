"""Labelled images with a fixed split: digits, sample pictures, the paper's sets, class folders.

And recordings of event cameras (`events`), texts (`texts`) and sounds (`sounds`).

Nothing is downloaded: an error says what is missing on this disk and where to get it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from neuromod.errors import UserError, short, unknown
from neuromod.support.cache import where_kept
from neuromod.tuning.datasets.archives import ARCHIVES, load_archive, load_stl10
from neuromod.tuning.datasets.digits import DIGIT_TASKS, load_digits
from neuromod.tuning.datasets.events import EventData, event_frames, moving_digits
from neuromod.tuning.datasets.folders import load_folder
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, balanced
from neuromod.tuning.datasets.pictures import load_pictures
from neuromod.tuning.datasets.sounds import load_timbres
from neuromod.tuning.datasets.texts import load_docstrings

__all__ = [
    "EventData",
    "ImageData",
    "balanced",
    "event_frames",
    "load_data",
    "load_digits",
    "load_docstrings",
    "load_folder",
    "load_pictures",
    "load_stl10",
    "load_timbres",
    "moving_digits",
]

PACKAGED: dict[str, Callable[[int], ImageData]] = {
    **DIGIT_TASKS,
    "pictures": load_pictures,
    "docstrings": lambda seed: load_docstrings(split_seed=seed),
    "timbres": lambda seed: load_timbres(split_seed=seed),
}
"""Data sets that installed packages hold or make, each a function of its split's seed."""

DATA_SETS = (*PACKAGED, "stl10", *ARCHIVES)
"""Names of the data sets that `load_data` knows."""

PAPER_PER_CLASS = {"stl10": 500, "food11": 280, "bccd": 2400}
"""Training images per class in the paper (its table 3)."""


def load_data(
    name: str | Path, folder: str | Path | None = None, split_seed: int = SPLIT_SEED
) -> ImageData:
    """Load a data set by name, or any folder of images by path.

    Parameters
    ----------
    name : str or path
        One of `DATA_SETS`, or a folder as `load_folder` takes it.
    folder : path, optional
        Where the archive of ``stl10``, ``food11`` or ``bccd`` was unpacked. By default
        ``data/<name>`` in neuromod's cache folder.
    split_seed : int
        For data without a split of its own.
    """
    if name == "stl10" or name in ARCHIVES:
        root = Path(folder) if folder is not None else where_kept(f"data/{name}")
        if name == "stl10":
            return load_stl10(root, split_seed)
        return load_archive(ARCHIVES[str(name)], root, split_seed)
    if folder is not None:
        raise UserError(
            f"folder says where an archive was unpacked, and {short(str(name))} is none."
        )
    if name in PACKAGED:
        return PACKAGED[str(name)](split_seed)
    path = Path(name)
    # To pathlib, a name of no letters is the current folder.
    if path == Path(path.name) and not os.path.lexists(name):
        raise unknown("data set or folder", str(name), DATA_SETS)
    return load_folder(path, split_seed)
