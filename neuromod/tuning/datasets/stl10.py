"""STL-10 (Coates, Lee & Ng 2011): 5000 training and 8000 test images of 96 x 96 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset
from torchvision.datasets import STL10
from torchvision.datasets.utils import check_integrity

from neuromod.errors import UserError
from neuromod.support.cache import digest
from neuromod.tuning.datasets.folders import named
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, Split, halves


class _Labelled(STL10):  # type: ignore[misc]
    """torchvision's reader without the 2.8 GB of unlabelled images."""

    train_list: ClassVar = [
        each for each in STL10.train_list if not each[0].startswith("unlabeled")
    ]


class _Images(Dataset[tuple[Tensor, int]]):
    """What torchvision read, with values 0 to 1."""

    def __init__(self, read: STL10) -> None:
        self.read = read

    def __len__(self) -> int:
        return len(self.read)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = np.ascontiguousarray(self.read.data[index])
        return torch.from_numpy(pixels) / 255, int(self.read.labels[index])


def load_stl10(folder: str | Path, split_seed: int = SPLIT_SEED) -> ImageData:
    """Load STL-10's labelled images.

    The archive has no validation images. Half of every class's test images become validation
    images, so that all 500 training images per class can be trained on, as in the paper.

    Parameters
    ----------
    folder : path
        Where the archive was unpacked, with a folder ``stl10_binary``.
    split_seed : int

    Returns
    -------
    ImageData
        Read into memory, 0.4 GB.
    """
    folder = Path(folder)
    folder = folder.parent if folder.name == STL10.base_folder else folder
    hashes = _Labelled.train_list + _Labelled.test_list
    _check_whole(folder / STL10.base_folder, dict(hashes))
    train, test = (_Labelled(str(folder), split=part) for part in ("train", "test"))
    labels = np.concatenate([train.labels, test.labels]).astype(np.int64)
    later = np.arange(len(train), len(labels))
    validation, tested = halves(labels[later], later, split_seed)
    return ImageData(
        name="STL-10",
        classes=tuple(train.classes),
        images=ConcatDataset([_Images(train), _Images(test)]),
        labels=labels,
        split=Split(np.arange(len(train)), later[validation], later[tested]),
        identity=digest(hashes),
    )


def _check_whole(folder: Path, hashes: dict[str, str]) -> None:
    names = [*hashes, STL10.class_names_file]
    absent = [name for name in names if not (folder / name).is_file()]
    if len(absent) == len(names):
        raise UserError(
            f"STL-10 is not in {folder.parent}: get {STL10.url} and unpack it there, so that "
            f"there is a folder {STL10.base_folder} with {len(names)} files: {', '.join(names)}."
        )
    if absent:
        raise UserError(
            f"STL-10 in {folder} is not whole: {len(absent)} of {len(names)} files are missing "
            f"({named(absent)}); unpack {STL10.filename} again."
        )
    damaged = [name for name, md5 in hashes.items() if not check_integrity(folder / name, md5)]
    if damaged:
        raise UserError(
            f"STL-10 in {folder} is damaged: {len(damaged)} of {len(names)} files have another "
            f"hash than expected ({named(damaged)}); unpack {STL10.filename} again."
        )
