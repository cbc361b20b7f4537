"""A table of a mirror passes through its points, rises, and is inverted exactly."""

import numpy as np
import pytest
from brian2 import amp, nA, volt
from hypothesis import given, settings, strategies as st

from neuromod.errors import UserError
from neuromod.models.device_table import MOST_DROPS, DeviceTable
from neuromod.models.mirror import Mirror

THERMAL = 0.025852
VDD = np.linspace(0.43, 1.07, 33)
DROPS = np.array([0, 0.03, 0.06, 0.1, 0.15, 0.22, 0.31, 0.5, 0.8, 1.07])
SLOPE = 1.37
EKV = Mirror("ekv", 0.61e-6, 0.34, 17e6, 2 * SLOPE * THERMAL, 0.11)


def alone(mirror, vdd=VDD):
    return DeviceTable(at_vdd=vdd * volt, unit_current=mirror.current(mirror.overdrive(vdd)) * amp)


def grid(mirror=EKV):
    vdd, drop = np.meshgrid(VDD, DROPS, indexing="ij")
    return mirror.output(mirror.overdrive(vdd), drop, SLOPE)


def with_drops(current):
    return DeviceTable(at_vdd=VDD * volt, at_drop=DROPS * volt, unit_current=current.ravel() * amp)


rising = st.lists(st.floats(0.01, 3), min_size=3, max_size=30).map(
    lambda steps: np.exp(np.cumsum([-25.0, *steps]))
)


@settings(deadline=None)
@given(rising, st.integers(0, 3))
def test_any_rising_currents_are_met_rise_in_between_and_are_inverted(current, silent):
    current = np.concatenate([np.zeros(silent), current])
    vdd = np.linspace(0.47, 1.03, len(current))
    table = DeviceTable(at_vdd=vdd * volt, unit_current=current * amp)
    np.testing.assert_allclose(table.current(vdd), current, rtol=1e-12)
    fine = np.linspace(0.47, 1.03, 1999)
    found = table.current(fine)
    steps = np.diff(found)
    assert np.all(steps >= 0)
    # A step of the supply that is below rounding is none of the current.
    clear = (found > 1e-3 * current[-1]) & (table.slope(fine) > 1e-3 * current[-1])
    np.testing.assert_allclose(table.vdd_for(found[clear]), fine[clear], rtol=1e-10)
    np.testing.assert_allclose(table.current(table.vdd_for(found)), found, rtol=1e-9, atol=0)


def test_exponentials_are_kept_to_a_thousandth_at_fifty_millivolt_a_point():
    mirror = Mirror("ekv", 0.61e-6, 0.49, 1e3, 2 * SLOPE * THERMAL)
    vdd, fine = np.arange(0.2, 0.71, 0.05), np.linspace(0.2, 0.7, 777)
    off = alone(mirror, vdd).current(fine) / mirror.current(mirror.overdrive(fine)) - 1
    assert np.abs(off).max() < 4e-3
    assert np.abs(off[fine < 0.35]).max() < 1e-3


def test_the_slope_is_continuous_at_the_points():
    table = alone(EKV)
    inner = VDD[1:-1]
    before, after = (
        (table.current(inner + side * 1e-7) - table.current(inner)) / (side * 1e-7)
        for side in (-1, 1)
    )
    np.testing.assert_allclose(before, after, rtol=1e-4)
    np.testing.assert_allclose(table.slope(inner), after, rtol=1e-4)


def test_a_square_law_s_threshold_is_where_the_last_point_without_current_is():
    square = Mirror("square", 0.53e-6, 0.55, 11e6, 1.0)
    table = alone(square)
    off = VDD[VDD <= 0.55]
    assert not table.current(off).any()
    assert table.vdd_for(0.0) == pytest.approx(off[-1], abs=1e-12)
    fine = np.linspace(0.43, 1.07, 501)
    exact = square.current(square.overdrive(fine))
    assert np.abs(table.current(fine) - exact).max() < 2e-3 * exact.max()


def test_current_over_both_voltages_is_that_of_the_transistor():
    table = with_drops(grid())
    generator = np.random.default_rng(5)
    vdd, drop = generator.uniform(0.43, 1.07, 400), generator.uniform(0.1, 1.07, 400)
    exact = EKV.output(EKV.overdrive(vdd), drop, SLOPE)
    np.testing.assert_allclose(table.current(vdd, drop), exact, rtol=4e-3)
    np.testing.assert_allclose(table.current(VDD[:, None], DROPS), grid(), rtol=1e-12)
    assert table.vdd_for(table.current(0.777, 0.25), 0.25) == pytest.approx(0.777, abs=1e-12)


def test_pieces_are_the_same_cubic_as_the_current():
    table = with_drops(grid())
    vdd = np.array([0.52, 0.71, 0.98])
    knots, pieces = table.pieces(vdd)
    drop, total = 0.42, np.zeros(3)
    for k, (start, slope, bend, twist) in enumerate(pieces):
        np.testing.assert_allclose(start, table.current(vdd, knots[k]), rtol=1e-12, atol=1e-22)
        part = min(max(drop - knots[k], 0), knots[k + 1] - knots[k])
        total += slope * part + bend * part**2 + twist * part**3
    np.testing.assert_allclose(total, table.current(vdd, drop), rtol=1e-13)
    np.testing.assert_allclose(total, EKV.output(EKV.overdrive(vdd), drop, SLOPE), rtol=4e-3)


def test_nothing_is_extrapolated():
    table = alone(EKV)
    for vdd in (0.42, 1.08):
        with pytest.raises(
            UserError, match=r"outside the table device, which has 0\.43 to 1\.07 V"
        ):
            table.current(vdd)
    with pytest.raises(UserError, match=r"unit current of .* outside the table device, .* nA to"):
        table.vdd_for(1.01 * table.current(1.07))
    with pytest.raises(UserError, match=r"\(neuron 2\)"):
        table.current(np.array([0.5, 0.6, 1.2]))
    with pytest.raises(UserError, match=r"v = 1\.2 V is outside .* 0 V to 1\.07 V"):
        with_drops(grid()).current(0.8, 1.2)


def changed(place, value):
    current = grid().copy()
    current[place] = value
    return current


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"at_vdd": [0.5, 0.6, 0.6, 0.7] * volt}, r"vdd of device must rise, .* 0\.6 to 0\.6 V"),
        ({"unit_current": [1, 2, 2, 3] * nA}, r"goes from 2 nA to 2 nA between vdd = 0\.65 V"),
        ({"unit_current": [1, 2, 0, 3] * nA}, r"from 2 nA to 0 nA between vdd = 0\.65 V and 0\.8"),
        ({"unit_current": [0, 0, 0, 0] * nA}, "no current at its highest supply"),
        ({"unit_current": [-1, 2, 3, 4] * nA}, "at least 0 nA"),
        ({"unit_current": [1, 2, 3] * nA}, "3 currents, and needs 4 x 1"),
        ({"at_vdd": [0.5, 0.6, 0.7] * volt}, "4 to 10000 supplies, and device has 3"),
        ({"unit_current": [1, np.nan, 3, 4] * nA}, "must be finite"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(values, said):
    with pytest.raises(UserError, match=said):
        DeviceTable(**values)


@pytest.mark.parametrize(
    ("current", "said"),
    [
        (changed((7, 4), 0.5 * grid()[7, 4]), r"vdd = 0\.55 V, v = 0\.15 V and 0\.57 V"),
        (changed((32, 9), 0.5 * grid()[32, 9]), r"v = 0\.8 V and .*|vdd = 1\.05"),
        (changed((4, 0), 0.2 * grid()[4, 9]), r"At v = 0 nothing flows .* at vdd = 0\.51 V"),
    ],
)
def test_a_table_over_both_voltages_is_refused_with_the_place(current, said):
    with pytest.raises(UserError, match=said):
        with_drops(current)


def test_voltages_across_the_transistor_begin_at_none_and_are_not_too_many():
    with pytest.raises(UserError, match=r"must begin at 0 V, not 0\.1 V"):
        DeviceTable(at_drop=[0.1, 0.2] * volt, unit_current=np.arange(1, 9) * nA)
    many = MOST_DROPS + 1
    with pytest.raises(UserError, match=f"41 voltages v at most, .* has {many}"):
        DeviceTable(at_drop=np.linspace(0, 1, many) * volt, unit_current=np.arange(4.0 * many) * nA)
