import numpy as np
import pytest
from brian2 import Quantity, ms, mV

from neuromod.errors import UserError
from neuromod.sweeps.points import MOST, from_table, points


def test_a_full_grid_has_every_combination_the_last_setting_changing_fastest():
    found = points({"tau_m": [10.5, 20.5] * ms, "kind": "cold, warm", "n": "arange(1, 4, 1)"})
    assert found.shape == (2, 2, 3)
    assert len(found) == 12
    assert found.at(4) == {"tau_m": 10.5 * ms, "kind": "warm", "n": 2}
    assert found.of(found.axes[2]).tolist() == [1, 2, 3] * 4


def test_zipped_settings_go_together():
    found = points({"a": [1, 2.5, 7], "b": [3, 1, 2] * mV}, "zip")
    assert [found.at(k) for k in range(3)] == [
        {"a": 1, "b": 3 * mV},
        {"a": 2.5, "b": 1 * mV},
        {"a": 7, "b": 2 * mV},
    ]
    assert found.shape == (3,)


@pytest.mark.parametrize("design", ["latin", "sobol"])
def test_a_random_design_fills_its_ranges_and_returns_with_its_seed(design):
    ranges = {"tau_m": [10, 30] * ms, "gain_max": [3, 1]}
    found, again, other = (points(ranges, design, 64, seed) for seed in (7, 7, 8))
    tau_m, gain = (found.of(axis) for axis in found.axes)
    assert tau_m.min() >= 10 * ms
    assert tau_m.max() <= 30 * ms
    assert gain.min() >= 1
    assert gain.max() <= 3
    # Of 64 equal parts each has one value, by construction of both designs.
    assert sorted(((gain - 1) / 2 * 64).astype(int)) == list(range(64))
    assert np.array_equal(gain, again.of(again.axes[1]))
    assert not np.array_equal(gain, other.of(other.axes[1]))


def test_a_table_is_read_by_its_headings(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("tau_m (ms), mode, E_K\n10.5, plain, -90*mV\n20, fancy, -0.08*volt\n")
    found = from_table(path)
    assert found.at(0) == {"tau_m": 10.5 * ms, "mode": "plain", "E_K": -90 * mV}
    assert found.at(1) == {"tau_m": 20 * ms, "mode": "fancy", "E_K": -80 * mV}


def test_points_are_known_by_what_they_are():
    a, b, c = (points({"x": [1, 2], "y": y}) for y in ([3, 4] * mV, [3, 4] * mV, [3, 4] * ms))
    assert a.fingerprint == b.fingerprint != c.fingerprint
    zipped = points({"x": [1, 2], "y": [3, 4] * mV}, "zip")
    assert zipped.fingerprint != a.fingerprint


@pytest.mark.parametrize(
    ("grid", "more", "message"),
    [
        ({}, {}, "at least one setting"),
        ({"a": "[]"}, {}, "at least one value"),
        ({"a": [1, 1]}, {}, "a value twice"),
        ({"a": [1 * ms, 2 * mV]}, {}, "numbers of one unit"),
        ({"a": [1, "x"]}, {}, "single numbers or words"),
        ({"a": [[1, 2], [3, 4]]}, {}, "single numbers or words"),
        ({"a": "1uM"}, {}, r"write 1\*uM"),
        ({"a": [1, 2]}, {"design": "ful"}, "did you mean full"),
        ({"a": [1, 2], "b": [1, 2, 3]}, {"design": "zip"}, "a has 2 and b has 3"),
        ({"a": [1, 2]}, {"samples": 3}, "latin and sobol"),
        ({"a": [1, 2]}, {"design": "sobol"}, "how many points"),
        ({"a": [1, 2, 3]}, {"design": "latin", "samples": 4}, "two ends of a"),
        ({"a": "x, y"}, {"design": "latin", "samples": 4}, "two ends of a"),
        ({"a": np.arange(9e3), "b": np.arange(9e3)}, {}, "more than the 10 000 000"),
    ],
)
def test_what_is_no_set_of_points_is_refused_in_a_sentence(grid, more, message):
    with pytest.raises(UserError, match=message):
        points(grid, **more)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a table"),
        ("a,b\n", "has no points"),
        ("a,b\n1,\n", "Row 1 .* has no b"),
        ("a (mz)\n1\n", "no unit named 'mz'"),
        ("a\n1\n2*ms\n", "numbers of one unit"),
        ("a (ms),a (ms)\n1,2\n", "a is given twice"),
        ("a (ms)\n1\n2x\n", "a = '2x' in .* is no number"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        from_table(path)


def test_a_large_list_stays_an_array():
    found = points({"x": np.linspace(0, 1, 100_003) * mV})
    assert isinstance(found.of(found.axes[0]), Quantity)
    assert len(found) == 100_003 < MOST
