"""Features of a frozen convolutional stack, computed once and kept on disk."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from neuromod.cache import cache_dir, digest, written_whole
from neuromod.tuning.backbone import Backbone, Progress, threads_for
from neuromod.tuning.datasets import ImageData, IntArray, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Features:
    """What a classifier is tuned on.

    Attributes
    ----------
    values : array of float32, shape (n, inputs)
        Memory-mapped, read-only.
    labels : array of int, shape (n,)
    split : Split
    classes : tuple of str
        Name of each label.
    data : str
        Name of the data set.
    from_cache : bool
        Whether they had been computed before.
    """

    values: npt.NDArray[np.float32]
    labels: IntArray
    split: Split
    classes: tuple[str, ...]
    data: str
    from_cache: bool


def extract_features(
    backbone: Backbone, data: ImageData, batch_size: int = 64, progress: Progress | None = None
) -> Features:
    """Compute a data set's features, or find them where they were kept.

    They are kept in the cache folder under a hash of the backbone's weights, the data and what is
    done to an image before it reaches the backbone.

    Parameters
    ----------
    backbone : Backbone
    data : ImageData
    batch_size : int
        Images held in memory at a time.
    progress : callable, optional
        Called with images done and in all.

    Returns
    -------
    Features
    """
    key = digest([backbone.weight_hash, data.identity, asdict(backbone.image)])
    path = cache_dir() / f"features-{key[:16]}.npy"
    values = _read_cached(path, len(data))
    from_cache = values is not None
    if values is None:
        _compute(backbone, data, path, batch_size, progress)
        values = np.load(path, mmap_mode="r")
    return Features(values, data.labels, data.split, data.classes, data.name, from_cache)


def _read_cached(path: Path, n_images: int) -> npt.NDArray[np.float32] | None:
    if not path.exists():
        return None
    try:
        values: npt.NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        if values.dtype == np.float32 and values.ndim == 2 and len(values) == n_images:
            return values
    except (OSError, ValueError, EOFError):
        pass
    log.warning("%s is damaged or not ours: the features are computed anew.", path)
    return None


def _compute(
    backbone: Backbone, data: ImageData, path: Path, batch_size: int, progress: Progress | None
) -> None:
    inputs = backbone.linears[0].in_features
    with written_whole(path) as temporary, threads_for(backbone.network):
        out = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.float32, shape=(len(data), inputs)
        )
        for start in range(0, len(data), batch_size):
            stop = min(start + batch_size, len(data))
            images = [backbone.image.prepare(data.images[i][0]) for i in range(start, stop)]
            out[start:stop] = backbone.embed(torch.stack(images)).numpy()
            if progress:
                progress(stop, len(data))
        out.flush()
