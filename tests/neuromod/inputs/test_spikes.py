import numpy as np
import pytest
from brian2 import Hz, khertz, ms, nsecond, second, usecond
from brian2.units.allunits import Mhertz
from hypothesis import given, settings, strategies as st
from scipy.stats import chisquare, kstest

from neuromod.errors import UserError
from neuromod.inputs.spikes import (
    circuit_inputs,
    fixed_indegree,
    inhomogeneous,
    poisson,
    regular,
    staircase,
)
from neuromod.models.circuit import CircuitNeuron

DT = 0.01 * ms


def drawn(seed=1, size=7, rate=37 * Hz, dead=3 * ms, duration=4.1 * second, dt=DT):
    return poisson("inputs", size, rate, dead, duration, dt, np.random.default_rng(seed))


def gaps(spikes, dt=DT):
    steps = np.round(np.asarray(spikes.times / dt)).astype(int)
    return np.concatenate(
        [np.diff(steps[spikes.neurons == neuron]) for neuron in range(spikes.size)]
    )


def test_the_mean_rate_is_the_one_asked_for_dead_time_included():
    rate, dead, duration, size = 80.0, 5e-3, 50.0, 60
    spikes = drawn(size=size, rate=rate * Hz, dead=dead * second, duration=duration * second)
    # A renewal process: the variance of a count is that of an interval times rate^3 T.
    variance = (1 / rate - dead) ** 2 * rate**3 * duration
    error = np.sqrt(variance * size)
    assert abs(len(spikes.neurons) - rate * duration * size) < 4 * error + size / 2
    assert error < 0.005 * rate * duration * size


def test_intervals_are_exponential_after_the_dead_time():
    dt = 1e-4 * ms
    spikes = drawn(size=40, rate=90 * Hz, dead=4 * ms, duration=3 * second, dt=dt)
    intervals = gaps(spikes, dt) * 1e-7
    assert len(intervals) > 9000
    assert kstest(intervals - 4e-3, "expon", args=(0, 1 / 90 - 4e-3)).pvalue > 0.01


def test_without_a_dead_time_the_train_is_poisson():
    dt = 1e-4 * ms
    spikes = drawn(size=40, rate=90 * Hz, dead=0 * ms, duration=3 * second, dt=dt)
    assert kstest(gaps(spikes, dt) * 1e-7, "expon", args=(0, 1 / 90)).pvalue > 0.01


def test_the_first_spike_is_not_put_off_by_a_dead_time():
    dt = 1e-3 * ms
    spikes = drawn(size=900, rate=100 * Hz, dead=6 * ms, duration=0.2 * second, dt=dt)
    _, first = np.unique(spikes.neurons, return_index=True)
    assert kstest(spikes.times[first] / second, "expon", args=(0, 4e-3)).pvalue > 0.01


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(1, 240), st.integers(0, 40))
def test_spikes_lie_on_the_grid_in_order_before_the_end_and_keep_their_distance(seed, rate, dead):
    spikes = drawn(seed, rate=rate * Hz, dead=dead * 0.1 * ms, duration=0.71 * second)
    steps = np.asarray(spikes.times / DT)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert (np.diff(steps) >= 0).all()
    assert (steps >= 0).all()
    assert (np.round(steps) < 71_000).all()
    assert ((spikes.neurons >= 0) & (spikes.neurons < spikes.size)).all()
    assert (gaps(spikes) >= dead * 10).all()


def test_a_dead_time_of_broken_steps_is_kept():
    spikes = drawn(rate=180 * Hz, dead=3.06 * ms, duration=9 * second, dt=0.1 * ms)
    assert (gaps(spikes, 0.1 * ms) * 0.1 >= 3.06).all()


def test_a_neuron_spikes_once_per_step_without_a_dead_time_too():
    spikes = drawn(rate=180 * Hz, dead=0 * ms, duration=9 * second, dt=1 * ms)
    assert (gaps(spikes, 1 * ms) > 0).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rate_of_nothing_gives_no_spikes():
    assert not len(drawn(rate=0 * Hz).neurons)


def test_the_same_seed_gives_the_same_spikes_and_another_seed_others():
    np.testing.assert_array_equal(drawn(5).times, drawn(5).times)
    np.testing.assert_array_equal(drawn(5).neurons, drawn(5).neurons)
    assert drawn(5).times.tolist() != drawn(6).times.tolist()


def test_trains_are_independent():
    spikes = drawn(size=2, duration=9 * second)
    first, second_train = (spikes.times[spikes.neurons == n] / ms for n in (0, 1))
    assert not np.intersect1d(first, second_train).size > 0.05 * len(first)


def test_a_dead_time_that_leaves_no_room_for_the_rate_is_refused():
    with pytest.raises(UserError, match="does not fit a dead time"):
        drawn(rate=400 * Hz, dead=2.5 * ms)
    with pytest.raises(UserError, match="duration"):
        drawn(duration=1.0001 * 0.3 * ms)


def test_nothing_is_drawn_for_a_run_that_takes_longer_than_a_week():
    with pytest.raises(UserError, match=r"A simulation of 7e.12 time steps takes 8\.1 days"):
        drawn(rate=1e-9 * Hz, duration=7e12 * DT)
    with pytest.raises(UserError, match=r"A simulation of 7e.12 time steps takes 8\.1 days"):
        regular("clock", [1e-9] * Hz, 7e12 * DT, DT)


def test_inputs_of_circuit_neurons_keep_to_the_papers_maximum_rate():
    spikes = circuit_inputs(CircuitNeuron(), 4, 2.9 * Mhertz, 60 * usecond, 10 * nsecond, 3)
    assert spikes.name == "inputs"
    assert spikes.size == 4
    assert gaps(spikes, 10 * nsecond).min() == 30
    assert (spikes.counts() <= 60 * 3.34).all()
    with pytest.raises(UserError, match="does not fit"):
        circuit_inputs(CircuitNeuron(), 4, 3.4 * Mhertz, 60 * usecond, 10 * nsecond, 3)


def test_a_seed_fixes_the_inputs_of_circuit_neurons():
    first, again = (
        circuit_inputs(CircuitNeuron(), 3, 310 * khertz, 90 * usecond, 10 * nsecond, 8)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.times, again.times)


def test_every_stair_has_its_own_rate():
    rates, dwell, size = [31, 7, 83], 2.3, 50
    generator = np.random.default_rng(4)
    spikes = staircase("in", size, rates * Hz, dwell * second, DT, generator)
    assert (np.diff(spikes.times) >= 0 * ms).all()
    counts = np.histogram(spikes.times / second - 1e-9, np.arange(4) * dwell - 1e-6)[0]
    expected = np.array(rates) * dwell * size
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()
    assert counts.sum() == len(spikes.times)


@settings(deadline=None)
@given(st.lists(st.floats(0.11, 97), min_size=1, max_size=5))
def test_regular_trains_begin_at_0_and_never_stray_by_a_step(rates):
    spikes = regular("in", rates * khertz, 0.31 * second, DT)
    for neuron, rate in enumerate(rates):
        steps = np.asarray(spikes.times[spikes.neurons == neuron] / DT)
        ideal = np.arange(len(steps)) * 100 / rate
        assert (steps > ideal - 1 - 1e-5).all()
        assert (steps < ideal + 1e-5).all()
        assert len(steps) == pytest.approx(310 * rate, abs=1)
    assert (np.diff(spikes.times) >= 0 * ms).all()


def test_a_whole_number_of_steps_makes_a_perfect_clock():
    spikes = regular("in", [1 / 3] * Mhertz, 90 * usecond, 10 * nsecond)
    assert set(gaps(spikes, 10 * nsecond)) == {300}


@pytest.mark.parametrize("rate", [0, -1, 101])
def test_regular_trains_without_a_rate_or_beyond_the_steps_are_refused(rate):
    with pytest.raises(UserError, match="above 0 and up to 100"):
        regular("in", [3, rate] * khertz, 2 * ms, DT)


def test_every_target_has_as_many_different_sources():
    sources, targets = np.arange(30, 71), np.arange(5, 90, 2)
    i, j = fixed_indegree(sources, targets, 13, np.random.default_rng(2))
    for target in targets:
        mine = i[j == target]
        assert len(np.unique(mine)) == len(mine) == 13
        assert np.isin(mine, sources).all()
    assert len(i) == 13 * len(targets)


def test_no_neuron_of_a_recurrent_population_is_its_own_source():
    sources, targets = np.arange(4, 13), np.arange(20)
    i, j = fixed_indegree(sources, targets, 8, np.random.default_rng(3), recurrent=True)
    assert not (i == j).any()
    # Nine sources for those outside, the eight others for each of the nine.
    for target in sources:
        assert sorted(i[j == target]) == sorted(set(sources) - {target})


def test_from_another_population_the_same_number_is_another_neuron():
    i, j = fixed_indegree(np.arange(6), np.arange(6), 6, np.random.default_rng(3))
    assert (i == j).sum() == 6


def test_sources_are_drawn_evenly():
    i, _ = fixed_indegree(np.arange(40), np.arange(3000), 7, np.random.default_rng(9), True)
    # Draws without replacement vary a little less than those that the test assumes.
    assert chisquare(np.bincount(i, minlength=40)).pvalue > 0.01


def test_more_synapses_than_sources_are_refused():
    sources = np.arange(11)
    with pytest.raises(UserError, match="there are 10"):
        fixed_indegree(sources, sources, 11, np.random.default_rng(1), recurrent=True)
    with pytest.raises(UserError, match="there are 11"):
        fixed_indegree(sources, sources, 12, np.random.default_rng(1))


def test_the_same_seed_draws_the_same_synapses():
    first, again, other = (
        fixed_indegree(np.arange(50), np.arange(50), 9, np.random.default_rng(seed))[0]
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def swelling(size=3000, seed=41, dt=0.5 * ms, rates=(12, 310, 310, 0)):
    """Rates that rise, stay, and are cut off, over 0.9 s."""
    times = [0.1, 0.4, 0.7, 0.701] * second
    draw = np.random.default_rng(seed)
    return inhomogeneous("inputs", size, times, rates * Hz, 0.9 * second, dt, draw)


def test_counts_of_an_inhomogeneous_process_have_the_mean_and_fano_factor_of_its_rate():
    counts = swelling().counts()
    k = np.arange(1800)
    share = np.interp(0.5 * k + 0.25, [100, 400, 700, 701], [12, 310, 310, 0]) * 0.5e-3
    mean = 0.1 * 12 + 0.3 * 161 + 0.3 * 310 + 0.0005 * 310
    assert share.sum() == pytest.approx(mean, rel=1e-9)
    fano = 1 - (share**2).sum() / share.sum()
    assert fano < 0.88
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean * fano / 3000))
    # The standard error of a variance is sqrt(2/n) of it.
    assert counts.var() / counts.mean() == pytest.approx(fano, rel=4 * np.sqrt(2 / 3000))


def test_spikes_of_an_inhomogeneous_process_come_when_its_rate_is_high():
    spikes = swelling()
    when = np.asarray(spikes.times / ms)
    bins = np.arange(0, 701, 50)
    expected = np.interp(bins[:-1] + 25, [100, 400], [12, 310]) * 0.05 * 3000
    found = np.histogram(when, bins)[0]
    assert chisquare(found, expected * found.sum() / expected.sum()).pvalue > 1e-3
    assert not (when > 701).any()
    assert (np.diff(when) >= 0).all()


def test_trains_may_have_rates_of_their_own_and_a_constant_rate_is_homogeneous():
    rates = np.array([[30, 200], [30, 200]]) * Hz
    draw = np.random.default_rng(5)
    spikes = inhomogeneous("inputs", 2, [0, 1] * second, rates, 60 * second, 0.1 * ms, draw)
    counts = spikes.counts()
    assert abs(counts[0] - 1800) < 4 * np.sqrt(1800)
    assert abs(counts[1] - 12000) < 4 * np.sqrt(12000)
    intervals = gaps(spikes, 0.1 * ms)[: counts[0] - 1] * 1e-4
    assert kstest(intervals, "expon", (0, 1 / 30)).pvalue > 1e-3
    still = inhomogeneous("inputs", 2, [0] * second, [0] * Hz, 1 * second, 0.1 * ms, draw)
    assert not len(still.neurons)


@pytest.mark.parametrize(
    ("times", "rates", "message"),
    [
        ([0, 0] * second, [1, 2] * Hz, "must increase"),
        ([0, 1] * second, [1, 2, 3] * Hz, "a rate for each of 2 times"),
        ([0, 1] * second, [[1, 2]] * Hz, "a rate for each of 2 times"),
        ([0, 1] * second, [-1, 2] * Hz, "between 0 and 10 kHz"),
        ([0, 1] * second, [1, 10001] * Hz, "between 0 and 10 kHz, a spike a step"),
        ([0, 1] * second, [1, 2] * second, "wrong unit"),
    ],
)
def test_rates_that_cannot_be_are_refused(times, rates, message):
    draw = np.random.default_rng(1)
    with pytest.raises(UserError, match=message):
        inhomogeneous("inputs", 3, times, rates, 1 * second, 0.1 * ms, draw)
