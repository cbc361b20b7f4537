"""Best and worst cases of a sweep are told with the point at which they are."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import kelvin

from neuromod.sweeps.extremes import extremes
from neuromod.sweeps.points import points
from neuromod.sweeps.results import Gathered

pytest.importorskip("xarray")

GRID = {"corner": ("TT", "SS", "FF"), "temperature": [233, 300] * kelvin}
USUAL = {"corner": "TT", "temperature": 300 * kelvin}
# By point: TT, SS and FF, each cold and warm; two rows each.
ENERGY = np.array([[3.1, 7.0], [3.7, 7.0], [2.3, 6.1], [np.nan, 6.2], [4.9, 9.4], [4.4, 9.1]])


def gathered(chosen=GRID, energy=ENERGY):
    held = points(chosen)
    found = Gathered(held)
    columns = {
        "point": np.repeat(np.arange(len(held)), 2),
        "gate": np.tile(["widest", "paper"], len(held)),
        "always": np.tile([1.0, 2.0], len(held)),
        "energy_pJ": energy.ravel(),
    }
    found.add({"table": columns})
    return found.dataset({}), held


def test_each_row_of_a_table_has_its_lowest_and_highest_with_their_points():
    table = extremes(*gathered(), USUAL).set_index("row")
    assert table.index.tolist() == ["gate widest", "gate paper"]
    assert set(table.result) == {"energy_pJ"}
    widest, paper = table.loc["gate widest"], table.loc["gate paper"]
    assert (widest.lowest, widest.highest) == (2.3, 4.9)
    assert widest.lowest_at == "corner SS, temperature 233 K"
    assert widest.highest_at == "corner FF, temperature 233 K"
    assert paper.highest == 9.4


def test_the_farther_of_both_is_measured_from_what_is_usual():
    table = extremes(*gathered(), USUAL).set_index("row")
    assert table.nominal.tolist() == [3.7, 7.0]
    # 2.3 lies farther from 3.7 than 4.9 does; 9.4 farther from 7.0 than 6.1.
    assert table.farthest_percent["gate widest"] == pytest.approx(-100 * 1.4 / 3.7, rel=1e-12)
    assert table.farthest_percent["gate paper"] == pytest.approx(100 * 2.4 / 7, rel=1e-12)


@pytest.mark.parametrize("usual", [{}, USUAL | {"corner": "FS"}, {"corner": "TT"}])
def test_without_a_usual_point_nothing_is_measured_from_it(usual):
    table = extremes(*gathered(), usual)
    assert table.nominal.isna().all()
    assert table.farthest_percent.isna().all()
    assert table.lowest.tolist() == [2.3, 6.1]


def test_what_never_varies_is_left_out():
    table = extremes(*gathered(energy=np.tile([2.0, 3.0], (6, 1))), USUAL)
    assert table.empty
    assert table.columns[0] == "result"


def test_points_that_are_no_grid_are_told_alike():
    held = points({"corner": ("TT", "SS"), "temperature": [233, 300] * kelvin}, "zip")
    found = Gathered(held)
    found.add({"table": {"point": np.array([0, 1]), "rate_MHz": np.array([1.5, 0.75])}})
    (row,) = extremes(found.dataset({}), held, USUAL).itertuples()
    assert (row.lowest_at, row.highest_at) == (
        "corner SS, temperature 300 K",
        "corner TT, temperature 233 K",
    )
    assert np.isnan(row.nominal)
