"""The paper's numbers as they are printed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.tuning.published import (
    DATA,
    STL10_OUTPUTS,
    cells_on,
    published_best,
    published_cells,
    recipe_of,
)


def row(table: int, method: str, data: str) -> np.ndarray:
    found = [c for c in published_cells() if (c.table, c.method, c.data) == (table, method, data)]
    return np.array([cell.accuracy for cell in found])


@pytest.mark.parametrize(
    ("table", "method", "averages"),
    [
        (2, "nt1_inputs", (0.8253, 0.6720, 0.3979)),
        (2, "nt2", (0.8224, 0.6536, 0.3831)),
        (3, "nt1_inputs", (0.7596, 0.5819, 0.3880)),
        (3, "tft", (0.5750, 0.4899, 0.3198)),
    ],
)
def test_rows_average_to_the_averages_in_print(
    table: int, method: str, averages: tuple[float, ...]
) -> None:
    for data, average in zip(DATA, averages, strict=True):
        assert row(table, method, data).mean() == pytest.approx(average, abs=1e-4)


def test_table_8_holds_the_best_of_table_7_but_for_one_entry() -> None:
    unlike = [
        (data, method)
        for (data, method), best in published_best().accuracy.items()
        if row(7, method, data).max() != best
    ]
    assert unlike == [("food11", "tft")]


def test_every_cell_of_the_tables_is_there() -> None:
    """3 x 2, 3 x 8, 3 x 10, 4 + 3, 3 x 2, 2 x 4 and 3 x 5 x 4 accuracies."""
    counts = np.bincount([cell.table for cell in published_cells()])
    assert counts.tolist() == [0, 6, 24, 30, 7, 6, 8, 60]


def test_other_data_get_the_same_trainings_once() -> None:
    ours = cells_on("digits")
    assert {cell.data for cell in ours} == {"digits"}
    assert len({(c.table, recipe_of(c, 3, 5)) for c in ours}) == len(ours)
    on_food = {(c.table, recipe_of(c, 3, 5)) for c in cells_on("food11")}
    assert on_food == {(c.table, recipe_of(c, 3, 5)) for c in ours}


def test_the_spiking_network_on_stl10_is_read_at_ten_of_imagenet_s_outputs() -> None:
    torchvision = pytest.importorskip("torchvision")
    names = torchvision.models.VGG19_Weights.IMAGENET1K_V1.meta["categories"]
    assert " ".join(names[i].split()[-1] for i in STL10_OUTPUTS) == (
        "airliner hummingbird car tabby hartebeest retriever sorrel macaque ship truck"
    )
    for cell in cells_on("stl10"):
        read = recipe_of(cell, 1, 1000).outputs
        assert read == (STL10_OUTPUTS if cell.kind == "spiking" else ())
        assert recipe_of(cell, 1, 5).outputs == ()
