"""Tables 1 to 8 of the paper: trainings on three data sets, and their accuracies.

Low-Power Machine Learning Architectures Inspired by Brain Neuromodulatory Signalling, J. Low Power
Electron. Appl. 12(4), 59, 2022. VGG-19, in batches of 64 unless a cell says otherwise. Accuracies
are those on validation images, means of five runs (ten in tables 4 and 6).

Table 8 repeats the best of table 7, with numbers of trained parameters. One of its entries does not
fit table 7: 0.0356 for everything trained on Food-11, where the best in table 7 is 0.1168.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    table : int
    data : str
        One of `DATA`.
    kind : str
        ``"rate"`` or ``"spiking"``.
    method : str
        One of `neuromod.tuning.methods.METHODS`.
    layers : int
        Number of VGG-19's three classifier layers that are tuned, counted from the output; 0 for
        all.
    lr : float
        Learning rate.
    batch_size, epochs, runs : int
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


# Up to table 4 the gains are on the inputs of all three layers, in table 5 of the last two: "a set
# of tunable parameters applied after the VGG-19 convolutional layers" is left out (section 4).
_TABLE_1 = {"additive": (0.1000, 0.0863, 0.2498), "nt1_inputs": (0.8447, 0.7110, 0.3966)}
_NT1 = {
    1e-1: (0.8237, 0.6819, 0.3864),
    1e-2: (0.8491, 0.7184, 0.4126),
    1e-3: (0.8429, 0.6929, 0.3986),
    1e-4: (0.7856, 0.5946, 0.3939),
    1e-5: (0.4969, 0.2218, 0.3484),
}
_NT2 = {
    1e-1: (0.7626, 0.5309, 0.3280),
    1e-2: (0.8420, 0.7030, 0.3800),
    1e-3: (0.8517, 0.7173, 0.4234),
    1e-4: (0.8333, 0.6631, 0.4008),
}
_TFT = {
    1e-1: (0.1031, 0.0876, 0.2487),
    1e-2: (0.1540, 0.0987, 0.2496),
    1e-3: (0.8617, 0.7184, 0.2509),
    1e-4: (0.8836, 0.8060, 0.4291),
    1e-5: (0.8724, 0.7387, 0.4209),
}
_BATCHES = (16, 32, 64, 128)
_TABLE_4 = {
    ("nt1_inputs", 1e-2): (0.6924, 0.6861, 0.6933, 0.7162),
    ("tft", 1e-4): (0.7900, 0.8068, 0.8118),
}
_TABLE_5 = {("nt1_inputs", 2, 1e-2): (0.8213, 0.7056, 0.3680), ("tft", 0, 1e-4): _TFT[1e-4]}
_TABLE_6 = {
    ("nt1", 1e-1): (0.4568, 0.4605, 0.4570, 0.4647),
    ("tft", 1e-1): (0.1304, 0.1243, 0.1145, 0.0770),
}
_RATES_7 = (1e-4, 1e-3, 1e-2, 1e-1)
_TABLE_7 = {
    "stl10": {
        "none": (0.0007, 0.0007, 0.0007, 0.0007),
        "tft": (0.8888, 0.8014, 0.2582, 0.1274),
        "nt2": (0.0000, 0.0000, 0.3052, 0.3062),
        "nt1": (0.0000, 0.0009, 0.5428, 0.5731),
        "additive": (0.0010, 0.0008, 0.0006, 0.0025),
    },
    "food11": {
        "none": (0.0341, 0.0341, 0.0341, 0.0341),
        "tft": (0.0147, 0.0729, 0.1017, 0.1168),
        "nt2": (0.0063, 0.3645, 0.4537, 0.4615),
        "nt1": (0.0020, 0.3678, 0.4564, 0.4665),
        "additive": (0.0840, 0.1864, 0.1404, 0.1414),
    },
    "bccd": {
        "none": (0.0005, 0.0005, 0.0005, 0.0005),
        "tft": (0.1003, 0.2508, 0.2507, 0.2508),
        "nt2": (0.2501, 0.2509, 0.1371, 0.0680),
        "nt1": (0.2508, 0.2509, 0.2041, 0.0591),
        "additive": (0.1848, 0.2137, 0.2144, 0.2505),
    },
}
TABLE_8 = {
    "stl10": {"tft": 0.8888, "nt2": 0.3062, "nt1": 0.5731, "additive": 0.0025},
    "food11": {"tft": 0.0356, "nt2": 0.4615, "nt1": 0.4665, "additive": 0.1864},
    "bccd": {"tft": 0.2508, "nt2": 0.2509, "nt1": 0.2509, "additive": 0.2505},
}
"""Best accuracy by data and method, as printed."""

TRAINED_8 = {
    "stl10": {"tft": 123_642_856, "nt2": 9192, "nt1": 9192, "additive": 9192},
    "food11": {"tft": 123_653_867, "nt2": 20_203, "nt1": 20_203, "additive": 20_203},
    "bccd": {"tft": 123_646_860, "nt2": 13_196, "nt1": 13_196, "additive": 13_196},
}
"""Numbers of trained parameters in table 8."""


def published_cells() -> list[Cell]:
    """Return every cell of tables 1 to 7; table 8 holds no training of its own."""
    return [*_rate_cells(), *_spiking_cells()]


def cells_on(data: str) -> list[Cell]:
    """Return the tables' cells for a data set; for one that is not the paper's, the same cells."""
    cells = published_cells()
    if data in DATA:
        return [cell for cell in cells if cell.data == data]
    return list(dict.fromkeys(replace(cell, data=data, accuracy=None) for cell in cells))


def recipe_of(cell: Cell, seed: int, n_outputs: int) -> TuningRecipe:
    """Return the paper's recipe for a cell.

    Parameters
    ----------
    cell : Cell
    seed : int
    n_outputs : int
        Of the backbone. If they are ImageNet's, STL-10's spiking network is read at ten of them.

    Returns
    -------
    TuningRecipe
        Adam with a constant learning rate, cross entropy (rate) or the simple loss (spiking).
    """
    loss = "cross_entropy" if cell.kind == "rate" else "simple"
    kept = cell.kind == "spiking" and cell.data == "stl10" and n_outputs == IMAGENET_CLASSES
    return TuningRecipe(
        cell.method,
        cell.kind,
        loss,
        cell.lr,
        cell.epochs,
        cell.batch_size,
        seed,
        layers=cell.layers,
        outputs=STL10_OUTPUTS if kept else (),
        schedule="constant",
    )


def _rate_cells() -> Iterator[Cell]:
    for method, row in _TABLE_1.items():
        yield from _row(1, method, 0, 1e-2, 5, row)
    for table, methods in (
        (2, {"nt1_inputs": _NT1, "nt2": _NT2}),
        (3, {"nt1_inputs": _NT1, "tft": _TFT}),
    ):
        for method, rates in methods.items():
            for lr, row in rates.items():
                if table == 3 or lr >= 1e-4:
                    yield from _row(table, method, 0, lr, 10, row)
    for (method, lr), shares in _TABLE_4.items():
        for batch_size, share in zip(_BATCHES, shares, strict=False):
            yield Cell(4, "food11", "rate", method, 0, lr, batch_size, 10, 10, share)
    for (method, layers, lr), row in _TABLE_5.items():
        yield from _row(5, method, layers, lr, 10, row)


def _row(
    table: int, method: str, layers: int, lr: float, epochs: int, row: tuple[float, ...]
) -> Iterator[Cell]:
    for data, share in zip(DATA, row, strict=True):
        yield Cell(table, data, "rate", method, layers, lr, 64, epochs, 5, share)


def _spiking_cells() -> Iterator[Cell]:
    for (method, lr), shares in _TABLE_6.items():
        for batch_size, share in zip(_BATCHES, shares, strict=True):
            yield Cell(6, "food11", "spiking", method, 0, lr, batch_size, 10, 10, share)
    for data, methods in _TABLE_7.items():
        for method, shares in methods.items():
            for lr, share in zip(_RATES_7, shares, strict=True):
                yield Cell(7, data, "spiking", method, 0, lr, 64, 50, 5, share)
