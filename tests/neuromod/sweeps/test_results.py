import numpy as np
import pandas as pd
import pytest
from brian2 import mV, nA

from neuromod.sweeps.points import points
from neuromod.sweeps.results import Gathered, as_arrays, tidy

pytest.importorskip("xarray")


def gathered(found, *parts):
    made = Gathered(found)
    for part in parts:
        made.add(as_arrays(part))
    return made.dataset({"protocol": "tiny"})


def test_a_grid_has_a_dimension_for_each_setting_with_its_unit():
    found = points({"I": [0.5, 1.5] * nA, "kind": "cold, warm"})
    first = {"table": pd.DataFrame({"point": [2, 3], "rate_Hz": [2.5, 3.5]})}
    second = {"table": pd.DataFrame({"point": [0, 1], "rate_Hz": [0.5, 1.5]})}
    data = gathered(found, first, second)
    assert data.rate_Hz.dims == ("I", "kind")
    assert data.rate_Hz.sel(I=1.5, kind="cold") == 2.5
    assert data.rate_Hz.attrs == {"long_name": "rate", "units": "Hz"}
    assert data.I.attrs["units"] == "nA"
    assert data.attrs == {"protocol": "tiny"}


def test_points_that_are_no_grid_have_one_dimension():
    found = points({"v": [-70.5, -61] * mV, "n": [3, 4]}, "zip")
    data = gathered(found, {"table": pd.DataFrame({"point": [0, 1], "x": [7, 8]})})
    assert data.x.dims == ("point",)
    assert data.v.values.tolist() == [-70.5, -61]
    assert data.v.dims == data.n.dims == ("point",)


def test_rows_that_all_points_have_alike_are_coordinates():
    found = points({"n": [3, 4]})
    table = pd.DataFrame(
        {"point": [0, 0, 1, 1], "conc_uM": [0, 1.5, 0, 1.5], "rate_Hz": [1, 2.5, 3, 4]}
    )
    data = gathered(found, {"gains": table})
    assert data["gains.conc_uM"].dims == ("gains.row",)
    assert data["gains.conc_uM"].attrs == {"long_name": "gains: conc", "units": "µM"}
    assert data["gains.rate_Hz"].values.tolist() == [[1, 2.5], [3, 4]]


def test_missing_rows_and_failed_points_are_empty():
    found = points({"n": [3, 4, 5]})
    data = gathered(
        found,
        {"table": pd.DataFrame({"point": [0], "x": [1], "word": ["a"]})},
        {"table": pd.DataFrame({"point": [2, 2], "x": [5, 6], "word": ["b", "longer"]})},
    )
    assert np.array_equal(data.x, [[1, np.nan], [np.nan] * 2, [5, 6]], equal_nan=True)
    assert data.word.values.tolist() == [["a", ""], ["", ""], ["b", "longer"]]


def test_a_column_named_like_a_setting_keeps_its_values():
    found = points({"n": [3, 4]})
    data = gathered(found, {"table": pd.DataFrame({"point": [0, 1], "n": [30, 40]})})
    assert data.n.values.tolist() == [3, 4]
    assert data.n_.values.tolist() == [30, 40]


def test_the_tidy_table_has_settings_before_results():
    found = points({"n": [3, 4], "kind": "cold, warm"})
    table = pd.DataFrame({"point": np.repeat(range(4), 2), "x": np.arange(8) + 0.5})
    fits = pd.DataFrame({"point": range(4), "y": [1, 2, 3, 4]})
    frame = tidy(gathered(found, {"table": table, "fits": fits}))
    assert frame.x.tolist() == (np.arange(8) + 0.5).tolist()
    assert frame.n.tolist() == [3] * 4 + [4] * 4
    assert frame.kind.tolist() == ["cold", "cold", "warm", "warm"] * 2
