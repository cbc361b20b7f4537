import numpy as np
import pytest

from neuromod.sweeps.figure import draw

xarray = pytest.importorskip("xarray")


def data(**sizes):
    values = {
        "vdd": np.linspace(0.5, 1, sizes.get("vdd", 3)),
        "conc": np.geomspace(0.1, 31, sizes.get("conc", 5)),
        "kind": np.array(["cold", "warm"][: sizes.get("kind", 2)]),
    }
    coords = {name: values[name] for name in sizes}
    shape = [len(values[name]) for name in sizes]
    rate = np.arange(np.prod(shape), dtype=float).reshape(shape)
    made = xarray.Dataset(
        {"rate_Hz": (tuple(sizes), rate), "same": (tuple(sizes), 0 * rate)}, coords
    )
    made.rate_Hz.attrs |= {"long_name": "rate", "units": "Hz"}
    return made


def test_one_setting_is_a_line_over_it():
    (axes,) = draw(data(conc=5)).axes
    (line,) = axes.lines
    assert line.get_ydata().tolist() == [0, 1, 2, 3, 4]
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == "rate (Hz)"
    assert axes.get_title(loc="left") == "a  rate"


def test_two_settings_are_a_family_of_lines_over_the_longer_one():
    (axes,) = draw(data(vdd=3, conc=5)).axes
    assert len(axes.lines) == 3
    assert axes.lines[2].get_ydata().tolist() == [10, 11, 12, 13, 14]
    assert axes.get_legend().get_title().get_text() == "vdd"


def test_words_are_lines_of_their_own_name_and_no_axis_of_numbers():
    (axes,) = draw(data(kind=2, conc=5)).axes
    assert [line.get_label() for line in axes.lines] == ["cold", "warm"]
    (axes,) = draw(data(kind=2)).axes
    assert axes.lines[0].get_linestyle() == "None"


def test_fine_grids_are_maps_and_a_third_setting_is_held():
    figure = draw(data(kind=2, vdd=13, conc=17))
    axes = figure.axes[0]
    (mesh,) = axes.collections
    assert mesh.get_array().shape == (13, 17)
    assert "kind = warm" in axes.get_title(loc="left")
    assert figure.axes[1].get_ylabel() == "rate (Hz)"


def test_values_in_any_order_are_drawn_in_theirs():
    mixed = data(vdd=3, conc=5).isel(conc=[3, 0, 4, 1, 2])
    (axes,) = draw(mixed).axes
    assert axes.lines[2].get_ydata().tolist() == [10, 11, 12, 13, 14]


def test_a_large_sweep_is_drawn_with_no_more_than_shows():
    many = data(vdd=100_003)
    many.rate_Hz[7_003] = 2e5
    (line,) = draw(many).axes[0].lines
    assert len(line.get_ydata()) <= 2001
    assert line.get_ydata().max() == 2e5
    figure = draw(data(vdd=13, conc=2000))
    assert figure.axes[0].collections[0].get_array().shape == (13, 500)


def test_points_without_a_grid_are_dots():
    points = xarray.Dataset(
        {"rate_Hz": ("point", [1.5, 2, 4])},
        {"vdd": ("point", [0.5, 0.7, 0.6]), "gain": ("point", [1.0, 3, 2])},
    )
    (dots,) = draw(points).axes[0].collections
    assert dots.get_offsets().tolist() == [[0.5, 1.5], [0.7, 2], [0.6, 4]]


def test_of_a_table_the_last_row_is_drawn_and_said():
    table = xarray.Dataset(
        {"rate_Hz": (("vdd", "row"), [[1, 2.5], [3, 4.5], [5, 6.5]])},
        {"vdd": [0.5, 0.7, 0.9], "conc": ("row", [0, 7.5], {"units": "µM"})},
    )
    (axes,) = draw(table).axes
    assert axes.lines[0].get_ydata().tolist() == [2.5, 4.5, 6.5]
    assert "conc = 7.5 µM" in axes.get_title(loc="left")


def test_results_without_variation_are_said_to_be_so():
    (axes,) = draw(data(vdd=3)[["same"]]).axes
    assert "No result varies" in axes.get_title(loc="left")
