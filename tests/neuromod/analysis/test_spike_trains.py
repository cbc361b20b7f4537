from itertools import pairwise

import numpy as np
import pytest
from brian2 import Hz, ms, nA, second
from hypothesis import given, settings, strategies as st
from scipy.optimize import linear_sum_assignment

from neuromod.analysis.spike_trains import (
    _coincidences,
    between,
    coincidence_factor,
    count_correlation,
    interval_cvs,
    rmse,
    slope_ratio,
    steady_rates,
    van_rossum,
    victor_purpura,
)
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.inputs.spikes import poisson
from neuromod.models.gain_lif import GainLIF

NONE = np.array([])
trains = st.lists(st.integers(0, 300), max_size=9).map(lambda t: np.sort(np.array(t) / 7))
windows = st.floats(0.05, 6)


def test_identical_trains_coincide_wholly():
    train = np.array([0.013, 0.171, 0.172, 0.8])
    assert coincidence_factor(train, train, 0.002, 1.1) == pytest.approx(1)


@settings(deadline=None)
@given(trains, windows)
def test_any_train_coincides_with_itself(train, window):
    assert coincidence_factor(train, train, window, 12 * 9 * 1.3) == pytest.approx(1)


def test_three_spikes_around_one_count_once():
    # One of the three matches; by chance 2*0.01*1/2 = 0.01 per data spike.
    factor = coincidence_factor(np.array([0.995, 1.0, 1.004]), np.array([1.001]), 0.01, 2)
    assert factor == pytest.approx((1 - 0.03) / (0.5 * 4) / (1 - 0.01))


def test_a_hand_worked_pair_of_trains():
    data, model = np.array([0.1, 0.5, 0.9, 1.3]), np.array([0.103, 0.52, 0.899])
    # 0.1 and 0.9 match; by chance 2*0.005*3/1.6 = 0.01875 per data spike.
    assert coincidence_factor(data, model, 0.005, 1.6) == pytest.approx(
        (2 - 4 * 0.01875) / 3.5 / (1 - 0.01875)
    )


def test_trains_that_never_meet_are_below_chance():
    assert coincidence_factor(np.array([0.2]), np.array([0.7]), 0.01, 1.3) < 0


def test_two_silent_trains_coincide_and_one_silent_train_is_at_chance():
    train = np.array([0.21, 0.63])
    assert coincidence_factor(NONE, NONE, 0.01, 1.3) == 1
    assert coincidence_factor(NONE, train, 0.01, 1.3) == 0
    assert coincidence_factor(train, NONE, 0.01, 1.3) == 0


def test_where_the_models_windows_fill_the_run_there_is_no_factor():
    train = np.arange(50) / 50
    assert np.isnan(coincidence_factor(train, train, 0.01, 1))
    assert np.isfinite(coincidence_factor(train, train, 0.0099, 1))


def test_with_as_many_spikes_it_does_not_matter_which_train_is_the_model():
    a, b = np.array([0.11, 0.37, 0.52]), np.array([0.113, 0.3, 0.519])
    assert coincidence_factor(a, b, 0.004, 1.7) == coincidence_factor(b, a, 0.004, 1.7)


def test_independent_poisson_trains_are_at_chance():
    draw = np.random.default_rng(8)
    factors = []
    for _ in range(300):
        a, b = (np.sort(draw.uniform(0, 40, draw.poisson(40 * 5))) for _ in range(2))
        factors.append(coincidence_factor(a, b, 0.0017, 40))
    error = np.std(factors) / np.sqrt(300)
    assert error < 2e-3
    # Spikes share no partner, which takes about (rate*window)^2 from what chance expects.
    assert abs(np.mean(factors)) < 4 * error + (5 * 2 * 0.0017) ** 2 * 5


@settings(deadline=None)
@given(trains, trains, windows)
def test_the_matching_is_the_largest_there_is(data, model, window):
    if len(data) and len(model):
        near = np.abs(data[:, None] - model) <= window
        rows, columns = linear_sum_assignment(near, maximize=True)
        largest = near[rows, columns].sum()
    else:
        largest = 0
    assert _coincidences(data, model, window) == largest


def test_rates_of_regular_trains_are_exact_wherever_the_recording_stops():
    at = [(0, 13 + 17 * k) for k in range(9)] + [(2, 4), (3, 5), (3, 205)]
    neurons, steps = np.array(sorted(at, key=lambda pair: pair[1])).T
    rates = steady_rates(Spikes("cells", 4, neurons, steps * 0.1 * ms))
    np.testing.assert_allclose(rates / Hz, [1 / 1.7e-3, 0, 0, 50])


def test_rates_of_a_silent_population_are_zero():
    assert steady_rates(Spikes("cells", 3, NONE.astype(int), NONE * second)).tolist() == [0, 0, 0]


def test_one_spike_more_is_a_van_rossum_distance_of_one():
    assert van_rossum(np.array([0.31]), NONE, 0.013, 1.1) == pytest.approx(1)
    train = np.array([0.1, 0.55])
    assert van_rossum(train, np.append(train, 0.9), 0.013, 1.1) == pytest.approx(1)


@pytest.mark.parametrize("shift", [0, 0.002, 0.017, 0.5])
def test_the_van_rossum_distance_of_a_shift_is_its_closed_form(shift):
    found = van_rossum(np.array([0.3]), np.array([0.3 + shift]), 0.013, 1.1)
    assert found == pytest.approx(np.sqrt(-2 * np.expm1(-shift / 0.013)), abs=1e-7)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([0.31], [], 1),
        ([], [], 0),
        ([0.31], [0.314], 0.4),
        ([0.31], [0.9], 2),
        ([0.1, 0.5], [0.103, 0.5, 0.7], 1.3),
    ],
)
def test_victor_purpura_distances_by_hand(a, b, distance):
    found = victor_purpura(np.array(a), np.array(b), 0.01, 1.1)
    assert found == pytest.approx(distance, abs=1e-9)


@settings(deadline=None)
@given(trains, trains, trains)
def test_victor_purpura_is_a_metric(a, b, c):
    def distance(x, y):
        return victor_purpura(x, y, 1.7, 44)

    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, a) == 0
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


def test_rmse_by_hand_over_the_samples_that_count():
    a, b = np.array([1.5, 2.0, 7.0]), np.array([4.5, 6.0, -9.0])
    assert rmse(a, b, np.array([True, True, False])) == pytest.approx(np.sqrt(12.5))
    assert np.isnan(rmse(a, b, np.zeros(3, bool)))


@pytest.mark.parametrize("gain", [0.43, 1, 1.37, 2.6])
def test_the_slope_ratio_of_a_stretched_curve_is_its_stretch(gain):
    cell = GainLIF()
    currents = np.linspace(0.05, 3.1, 700)
    control, modulated = (np.asarray(cell.rate(currents * nA, g) / Hz) for g in (1, gain))
    assert slope_ratio(currents, control, modulated) == pytest.approx(gain, rel=5e-3)


def test_the_slope_ratio_of_straight_curves_is_exact():
    currents = np.linspace(0.3, 2, 23)
    assert slope_ratio(currents, 10 * currents, 17 * currents) == pytest.approx(1.7)
    assert slope_ratio(currents, 17 * currents, 10 * currents) == pytest.approx(1 / 1.7)


@pytest.mark.parametrize(
    ("control", "modulated", "message"),
    [
        ([0, 0, 1, 2], [0, 0, 0, 3], "at least two currents above rheobase"),
        ([0, 0, 0, 0], [0, 1, 2, 3], "at least two currents above rheobase"),
        ([1, 2, 3, 4], [5, 6, 7, 8], "share a range of rates"),
    ],
)
def test_curves_without_rates_in_common_have_no_slope_ratio(control, modulated, message):
    with pytest.raises(UserError, match=message):
        slope_ratio(np.arange(4.0), np.array(control, float), np.array(modulated, float))


def test_moving_spikes_apart_never_brings_trains_nearer():
    base = np.array([0.2, 0.6])
    shifts = (0, 0.003, 0.009, 0.02)
    for measure in (van_rossum, victor_purpura):
        distances = [measure(base, base + shift, 0.011, 1.3) for shift in shifts]
        assert all(near <= far for near, far in pairwise(distances))


DT = 0.1 * ms


def trains_of(*steps):
    """Spikes at these time steps, a list for each neuron."""
    neurons = np.repeat(np.arange(len(steps)), [len(s) for s in steps])
    flat = np.concatenate([np.asarray(s, dtype=float) for s in steps])
    order = np.argsort(flat, kind="stable")
    return Spikes("cells", len(steps), neurons[order], flat[order] * DT)


def test_a_part_of_a_run_has_its_first_step_and_not_the_one_after_its_last():
    spikes = trains_of([299, 300, 651], [699, 700])
    part = between(spikes, 30 * ms, 70 * ms, DT)
    assert part.counts().tolist() == [2, 1]
    np.testing.assert_allclose(part.times / DT, [0, 351, 399], atol=1e-9)
    with pytest.raises(UserError, match="start"):
        between(spikes, 30.03 * ms, 70 * ms, DT)


def test_a_clock_has_no_irregularity_and_alternating_intervals_have_it_by_hand():
    clock, alternating = np.arange(9) * 70, np.cumsum([0, 30, 90, 30, 90, 30, 90])
    cvs = interval_cvs(trains_of(clock, alternating), np.arange(2))
    # Six intervals, each 30 from their mean of 60: variance 6*900/5.
    assert cvs == pytest.approx([0, np.sqrt(1080) / 60], abs=1e-9)


def test_too_few_intervals_leave_irregularity_open():
    cvs = interval_cvs(trains_of(np.arange(5) * 31, np.arange(6) * 31, []), np.array([0, 1, 2]))
    assert np.isnan(cvs[[0, 2]]).all()
    assert cvs[1] == pytest.approx(0)


def test_poisson_trains_have_an_irregularity_of_1():
    spikes = poisson("in", 30, 37 * Hz, DT, 60 * second, DT, np.random.default_rng(5))
    cvs = interval_cvs(spikes, np.arange(30))
    # The standard error of an exponential's CV is 1/sqrt(n).
    assert abs(cvs.mean() - 1) < 4 / np.sqrt(len(spikes.neurons)) + 37 * 0.1e-3


def test_a_poisson_train_of_30_spikes_reads_a_little_too_regular():
    spikes = poisson("in", 3000, 30 * Hz, DT, 1 * second, DT, np.random.default_rng(6))
    assert np.nanmean(interval_cvs(spikes, np.arange(3000))) == pytest.approx(0.97, abs=0.01)


def test_counts_of_two_trains_correlate_as_by_hand():
    # Counts 2, 0, 1 and 0, 1, 2: deviations from 1 are 1, -1, 0 and -1, 0, 1. The rest is no bin.
    spikes = trains_of([3, 7, 52, 67], [31, 44, 58])
    assert count_correlation(spikes, np.arange(2), 2 * ms, 7.3 * ms) == pytest.approx(-0.5)


def test_independent_trains_do_not_correlate():
    spikes = poisson("in", 60, 23 * Hz, DT, 20 * second, DT, np.random.default_rng(7))
    # 1770 pairs of 1000 bins.
    error = 1 / np.sqrt(1770 * 1000)
    assert abs(count_correlation(spikes, np.arange(60), 20 * ms, 20 * second)) < 4 * error


def test_trains_that_share_half_their_spikes_correlate_by_one_half():
    generator = np.random.default_rng(8)
    own = poisson("in", 2, 21 * Hz, DT, 90 * second, DT, generator)
    common = poisson("in", 1, 21 * Hz, DT, 90 * second, DT, generator)
    steps = [np.concatenate([own.times[own.neurons == n] / DT, common.times / DT]) for n in (0, 1)]
    found = count_correlation(trains_of(*steps), np.arange(2), 20 * ms, 90 * second)
    # The standard error of a correlation is (1 - r^2)/sqrt(bins).
    assert abs(found - 0.5) < 4 * 0.75 / np.sqrt(4500)


def test_silent_neurons_are_left_out_of_correlations():
    spikes = trains_of([3, 7, 52], [31, 44, 58], [])
    assert count_correlation(spikes, np.arange(3), 2 * ms, 6 * ms) == pytest.approx(-0.5)
    assert np.isnan(count_correlation(spikes, np.array([0, 2]), 2 * ms, 6 * ms))
    assert np.isnan(count_correlation(spikes, np.arange(2), 4 * ms, 6 * ms))
