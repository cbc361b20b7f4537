"""Tables 1 to 8 of the paper: trainings on three data sets, and their accuracies.

Low-Power Machine Learning Architectures Inspired by Brain Neuromodulatory Signalling, J. Low Power
Electron. Appl. 12(4), 59, 2022. VGG-19; accuracies are those on validation images, means over runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from neuromod.tuning.recipe import TuningRecipe

IMAGENET_CLASSES = 1000

DATA = ("stl10", "food11", "bccd")
"""Columns of the paper's tables."""

STL10_OUTPUTS = (404, 94, 817, 281, 351, 207, 339, 373, 510, 867)
"""ImageNet's class that stands for each of STL-10's (chosen here; the paper does not name them):
airliner, hummingbird, sports car, tabby, hartebeest, golden retriever, sorrel, macaque, container
ship, trailer truck. The spiking network has no new output layer for STL-10 and is read at these."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes
    ----------
    data : str
        One of `DATA`.
    kind : str
        ``"rate"`` or ``"spiking"``.
    method : str
        Up to table 4 the gains are on the inputs of all three layers, in table 5 of the last two:
        "a set of tunable parameters applied after the VGG-19 convolutional layers" is left out
        (section 4).
    layers : int
        Number of VGG-19's three classifier layers that are tuned, counted from the output; 0 for
        all.
    accuracy : float or None
        Fraction of validation images; None for data that are not the paper's.
    """

    table: int
    data: str
    kind: str
    method: str
    layers: int
    lr: float
    batch_size: int
    epochs: int
    runs: int
    accuracy: float | None


def published_cells() -> list[Cell]:
    """Return every cell of tables 1 to 7; table 8 holds no training of its own."""
    return [Cell(*row) for row in _read("published_cells.csv").itertuples(index=False)]


def published_best() -> pd.DataFrame:
    """Return table 8 by data and method: best accuracy in table 7, and trained parameters.

    One entry does not fit table 7: 0.0356 for everything trained on Food-11, where its best is
    0.1168.
    """
    return _read("published_best.csv").set_index(["data", "method"])


def _read(name: str) -> pd.DataFrame:
    path = Path(__file__).with_name(name)
    # The method "none" is no missing value; older pandas rounds the last bit of numbers.
    exact = {"lr": float, "accuracy": float}
    return pd.read_csv(path, comment="#", keep_default_na=False, converters=exact)


def cells_on(data: str) -> list[Cell]:
    """Return the tables' cells for a data set; for one that is not the paper's, the same cells."""
    cells = published_cells()
    if data in DATA:
        return [cell for cell in cells if cell.data == data]
    return list(dict.fromkeys(replace(cell, data=data, accuracy=None) for cell in cells))


def recipe_of(cell: Cell, seed: int, n_outputs: int) -> TuningRecipe:
    """Return the paper's recipe for a cell.

    Adam with a constant learning rate, cross entropy (rate) or the simple loss (spiking). If the
    backbone's outputs are ImageNet's, STL-10's spiking network is read at ten of them.
    """
    kept = cell.kind == "spiking" and cell.data == "stl10" and n_outputs == IMAGENET_CLASSES
    return TuningRecipe(
        cell.method,
        cell.kind,
        "cross_entropy" if cell.kind == "rate" else "simple",
        cell.lr,
        cell.epochs,
        cell.batch_size,
        seed,
        layers=cell.layers,
        outputs=STL10_OUTPUTS if kept else (),
        schedule="constant",
    )
