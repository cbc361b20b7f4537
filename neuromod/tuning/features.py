"""Features of a frozen convolutional stack, and a first layer's products with them, on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from neuromod.errors import unknown
from neuromod.support.cache import NotWrittenError, digest, layers
from neuromod.support.claim import scratch
from neuromod.support.tensor_file import hash_tensors
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.datasets.image_files import check_readable
from neuromod.tuning.datasets.images import ImageData, IntArray, Split
from neuromod.tuning.hardware import CPU, Hardware, rank_and_size, threads_for
from neuromod.tuning.row_file import Progress, RowFile, Rows

log = logging.getLogger(__name__)

DTYPES = ("float32", "float16")
"""Types in which features are kept; float16 takes half the space and rounds to three digits."""

PROJECTED_AT_ONCE = 256
"""Images whose features are in memory at a time when they are projected (chosen)."""


@dataclass(frozen=True)
class Features:
    """What a classifier is tuned on.

    Attributes
    ----------
    values : array of float32 or float16, shape (n, inputs)
        Memory-mapped, read-only. Rows of images outside the split may be zeros.
    labels : array of int, shape (n,)
    classes : tuple of str
        Name of each label.
    key : str
        Hash of everything that the values depend on.
    from_cache : bool
        Whether they were on disk already.
    """

    values: Rows
    labels: IntArray
    split: Split
    classes: tuple[str, ...]
    data: str
    key: str
    from_cache: bool

    @property
    def identity(self) -> str:
        """Hash of the values, the labels and the split."""
        parts = [part.tolist() for part in vars(self.split).values()]
        return digest([self.key, self.labels.tolist(), parts])


def extract_features(
    backbone: Backbone,
    data: ImageData,
    batch_size: int = 16,
    progress: Progress | None = None,
    dtype: str = "float32",
    hardware: Hardware = CPU,
) -> Features:
    """Compute the features of the images in a data set's split, or read them from the cache.

    The cache key is a hash of the convolutional stack's weights, the data, the preparation of an
    image, the type of the numbers, and the device and precision that compute them. Rows that were
    computed before an interruption, or for another split of the same data, are not computed again.
    Inside `neuromod.tuning.hardware.processes`, every process computes a share.

    Parameters
    ----------
    batch_size : int
        Images in memory at a time.
    progress : callable, optional
        Called with images done and in all.
    dtype : str
        One of `DTYPES`.
    hardware : Hardware
        ``mixed`` computes the convolutions in bfloat16: about twice as fast on processors that
        multiply it, with features about 1 % off (docs/explanation/tuning.md).
    """
    backbone.check(data)
    computed = [torch.device(hardware.device).type, hardware.mixed]
    key = digest([backbone.feature_hash, data.identity, asdict(backbone.image), dtype, computed])
    rows = data.split.rows
    if hardware.device != "cpu":
        backbone = replace(backbone, network=deepcopy(backbone.network).to(hardware.device))

    def compute(batch: IntArray) -> Rows:
        images = [backbone.image.prepare(data.image(int(i))) for i in batch]
        with hardware.precision():
            embedded = backbone.embed(torch.stack(images).to(hardware.device))
        return embedded.float().cpu().numpy()

    def fill(kept: RowFile, rank: int, size: int) -> bool:
        if data.files:
            check_readable([data.files[i] for i in kept.missing(rows[rank::size])])
        with threads_for(backbone.network):
            return kept.fill(rows, compute, batch_size, progress, rank, size)

    shape = len(data), backbone.linears[0].in_features
    values, done = _filled(f"features-{key[:16]}", *shape, dtype, rows, fill)
    return Features(values, data.labels, data.split, data.classes, data.name, key, done)


def projections(
    features: Features, linear: nn.Linear, progress: Progress | None = None, dtype: str = "float32"
) -> Features:
    """Compute a first layer's products ``W x`` with features, or read them from the cache.

    They never change while a network is tuned whose gains or biases come after the product. The
    result has the same images, labels and split, with values of shape (n, outputs of the layer).
    Several processes share the work as in `extract_features`, which has the same options.
    """
    weight = linear.weight.detach()
    key = digest([features.key, hash_tensors({"weight": weight}), dtype])
    rows, count = features.split.rows, len(features.labels)

    def compute(batch: IntArray) -> Rows:
        x = torch.from_numpy(features.values[batch]).to(weight.dtype)
        return nn.functional.linear(x, weight).numpy()

    def fill(kept: RowFile, rank: int, size: int) -> bool:
        with threads_for(linear):
            return kept.fill(rows, compute, PROJECTED_AT_ONCE, progress, rank, size)

    name = f"projections-{key[:16]}"
    values, done = _filled(name, count, linear.out_features, dtype, rows, fill)
    return replace(features, values=values, key=key, from_cache=done)


def _filled(
    name: str,
    count: int,
    width: int,
    dtype: str,
    rows: IntArray,
    fill: Callable[[RowFile, int, int], bool],
) -> tuple[Rows, bool]:
    """Rows after `fill` has computed what is missing, and whether nothing was.

    Where they cannot be kept, they lie among temporary files and belong to this process.
    """
    try:
        kept = _open(name, count, width, dtype, rows)
        done = fill(kept, *rank_and_size())
        return kept.values, done
    except NotWrittenError as error:
        log.warning("%s What it was to hold is computed for this run alone.", error)
    with scratch() as folder:
        spare = RowFile(folder / f"{name}.npy", count, width, dtype)
        fill(spare, 0, 1)
        # What is mapped outlives the names of its files.
        return spare.values, False


def _open(name: str, count: int, width: int, dtype: str, rows: IntArray) -> RowFile:
    """The file in which rows are kept; one that is only read must have them all."""
    if dtype not in DTYPES:
        raise unknown("type of number to keep", dtype, DTYPES)
    own, *others = [layer / f"{name}.npy" for layer in layers()]
    found = (RowFile(path, count, width, dtype, only_read=True) for path in others)
    if own.exists() or not (whole := next((file for file in found if file.holds(rows)), None)):
        return RowFile(own, count, width, dtype)
    return whole
