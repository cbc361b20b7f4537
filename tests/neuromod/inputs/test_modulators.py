"""Concentrations follow the closed forms of exchange, clearance, release and lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import metre, ms, nA, second, um, umolar
from hypothesis import given, settings, strategies as st
from scipy.integrate import trapezoid

from neuromod.analysis.time_course import integrated_gain
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.modulators import bath, exchanged, puffs, trace, volume, wash
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor

DT = 0.3 * ms
CELL = GainLIF(t_ref=2.4 * ms)


def cells(size):
    return Population("cells", CELL, size)


def simulated(delivery, population, duration, others=(), sources=(), variable="conc_modulator"):
    """Concentration in uM of every cell, or another variable, at the start of every step."""
    experiment = Experiment(
        populations=[population, *others],
        sources=sources,
        traces=[Trace("cells", variable, np.arange(population.size))],
        duration=duration,
        dt=DT,
    ).add(delivery)
    values = simulate(experiment).signals["cells"][variable].values
    return np.asarray(values / umolar if variable.startswith("conc") else values)


def at(conc, time):
    return conc[:, round(float(time / DT))]


def test_a_bath_is_exchanged_in_and_out_exponentially():
    conc = [0.7, 0, 3.1] * umolar
    tau = 47.1 * ms
    delivery = wash("modulator", cells(3), conc, 21.3 * ms, 162.6 * ms, tau, DT)
    washed = simulated(delivery, cells(3), 0.3 * second)
    # By hand: nothing before, 1 - exp(-3) of it after three time constants, 1/e of that one later.
    assert (at(washed, 21.3 * ms) == 0).all()
    assert at(washed, 162.6 * ms) == pytest.approx([0.7 * 0.950213, 0, 3.1 * 0.950213], rel=1e-5)
    assert at(washed, 209.7 * ms)[2] == pytest.approx(3.1 * 0.950213 * 0.367879, rel=1e-5)
    times = np.arange(1000) * DT
    exact = exchanged(times, 1 * umolar, [21.3 * ms], 141.3 * ms, tau) / umolar
    # The error of trapezoids: a twelfth of the square of a step's share of the time constant.
    assert np.allclose(washed, np.outer([0.7, 0, 3.1], exact), rtol=2e-5, atol=1e-12)


def test_each_exchange_may_have_a_time_constant_of_its_own():
    tau = [9.3, 81] * ms
    delivery = wash("modulator", cells(2), 1.7 * umolar, 3 * ms, 60 * ms, tau, DT)
    washed = simulated(delivery, cells(2), 90 * ms)
    expected = 1.7 * (1 - np.exp(-57 / np.array([9.3, 81])))
    assert at(washed, 60 * ms) == pytest.approx(expected, rel=2e-4)


def test_a_puff_of_one_half_life_gives_half_and_loses_half_in_the_next():
    width = 33 * ms
    tau = width / np.log(2)
    delivery = puffs("modulator", cells(1), 5.3 * umolar, [12, 111] * ms, width, tau, DT)
    conc = simulated(delivery, cells(1), 0.21 * second)
    assert at(conc, 45 * ms) == pytest.approx(5.3 / 2, rel=1e-5)
    assert at(conc, 78 * ms) == pytest.approx(5.3 / 4, rel=1e-5)
    # 99 ms after the first, an eighth of its peak is left, halved again under the second puff.
    assert at(conc, 111 * ms) == pytest.approx(5.3 / 8, rel=1e-5)
    assert at(conc, 144 * ms) == pytest.approx(5.3 / 16 + 5.3 / 2, rel=1e-5)


def test_a_train_of_puffs_is_the_sum_of_its_puffs():
    onsets = [6.9, 41.1, 75.3, 150.9] * ms
    delivery = puffs("modulator", cells(1), 2.9 * umolar, onsets, 17.7 * ms, 63 * ms, DT)
    conc = simulated(delivery, cells(1), 0.27 * second)[0]
    exact = exchanged(np.arange(900) * DT, 2.9 * umolar, onsets, 17.7 * ms, 63 * ms) / umolar
    assert np.allclose(conc, exact, rtol=2e-5, atol=1e-12)


def test_a_puff_comes_on_top_of_the_bath_and_decays_back_to_it():
    level = [0.9, 0, 2.3]
    bathed = cells(3).given(bath(cells(3), {"modulator": level * umolar}))
    onsets, width, tau = [12] * ms, 33 * ms, 41 * ms
    delivery = puffs("modulator", bathed, 5.3 * umolar, onsets, width, tau, DT)
    conc = simulated(delivery, bathed, 0.6 * second)
    above = exchanged(np.arange(2000) * DT, 5.3 * umolar, onsets, width, tau) / umolar
    assert np.allclose(conc, np.add.outer(level, above), rtol=1e-4, atol=1e-12)
    assert np.allclose(conc[:, -1], level, atol=1e-4)


def test_the_gain_in_a_bath_is_steady_until_a_puff_comes():
    bathed = cells(2).given(bath(cells(2), {"modulator": [0.9, 2.3] * umolar}))
    delivery = puffs("modulator", bathed, 5.3 * umolar, [60] * ms, 33 * ms, 41 * ms, DT)
    gain = simulated(delivery, bathed, 0.21 * second, variable="gain")
    steady = CELL.steady_gain({"modulator": [0.9, 2.3] * umolar})
    assert np.allclose(gain[:, :200], steady[:, np.newaxis], rtol=1e-9)
    assert (gain[:, -1] > steady + 0.005).all()


def test_releases_come_on_top_of_the_bath_too():
    once = Spikes("releases", 1, np.array([0]), [3] * ms)
    bathed = cells(4).given(bath(cells(4), {"modulator": 0.7 * umolar}))
    plain, raised = (
        simulated(
            volume("modulator", c, "releases", FLAT[:1], FLAT, 0.31 * umolar, 50 * um, 29 * ms),
            c,
            60 * ms,
            sources=[once],
        )
        for c in (cells(4), bathed)
    )
    assert np.allclose(raised, plain + 0.7, rtol=1e-9)


def test_a_bath_and_a_puff_of_one_ligand_that_do_not_know_of_each_other_are_refused():
    plain = Experiment(populations=[cells(1)], duration=60 * ms, dt=DT)
    both = (bath(cells(1), {"modulator": 1 * umolar}), some_puffs([12] * ms))
    for add in (plain.add, lambda first, second: plain.add(first).add(second)):
        for order in (both, both[::-1]):
            with pytest.raises(UserError, match="give different values to conc_modulator"):
                add(*order)


def test_one_puff_cannot_be_given_twice_under_one_name():
    plain = Experiment(populations=[cells(1)], duration=60 * ms, dt=DT)
    once = some_puffs([12] * ms)
    with pytest.raises(UserError, match="give a second input a name of its own"):
        plain.add(once, once)
    with pytest.raises(UserError, match="give a second input a name of its own"):
        plain.add(once).add(once)


def test_one_puff_needs_no_list_and_no_puff_is_none():
    alone, listed, none = map(some_puffs, (12 * ms, [12 * ms], [] * ms))
    assert len(none.sources[0].times) == 0
    for once in (alone, listed):
        # A spike acts in the step after its own.
        assert once.sources[0].times / DT == pytest.approx([12 * ms / DT - 1])


spans = st.floats(0.01, 3)


@settings(deadline=None)
@given(width=spans, tau=spans, gap=spans, count=st.integers(1, 5))
def test_clearance_changes_the_shape_of_a_puff_but_not_its_area(width, tau, gap, count):
    onsets = 0.3 + np.arange(count) * (width + gap)
    end = onsets[-1] + width + 30 * tau
    kinks = np.concatenate([onsets, onsets + width])
    times = np.union1d(np.linspace(0, end, 60_000), kinks)
    conc = exchanged(times * second, 1.7 * umolar, onsets * second, width * second, tau * second)
    area = trapezoid(conc / umolar, times)
    assert area == pytest.approx(count * 1.7 * width, rel=2e-3)
    assert (conc <= 1.7 * umolar * (1 + 1e-12)).all()


@settings(deadline=None)
@given(width=spans, tau=spans, early=spans)
def test_two_puffs_that_touch_are_one_of_their_joint_length(width, tau, early):
    times = np.linspace(0, 9, 500) * second
    first, second_ = early * second, (early + width) * second
    two = exchanged(times, 1 * umolar, [first, second_], width * second, tau * second)
    one = exchanged(times, 1 * umolar, [first], 2 * width * second, tau * second)
    assert np.allclose(two / umolar, one / umolar, rtol=1e-9, atol=1e-12)


def traced(times, conc, duration):
    delivery = trace("modulator", cells(2), times, conc, DT)
    found = simulated(delivery, cells(2), duration)
    assert np.array_equal(found[0], found[1])
    return found[0]


def test_a_trace_is_interpolated_by_lines_and_held_at_its_ends():
    times, conc = [3.3, 12.3, 15.3, 30] * ms, [0.4, 3.1, 0.9, 1.3] * umolar
    found = traced(times, conc, 45 * ms)
    assert found[:12] == pytest.approx(np.full(12, 0.4))
    # 4.5 ms of 9 are half the way from 0.4 to 3.1.
    assert found[26] == pytest.approx(1.75)
    assert found[41] == pytest.approx(3.1)
    assert found[51] == pytest.approx(0.9)
    assert found[100:] == pytest.approx(np.full(50, 1.3))


def test_a_trace_sampled_off_the_grid_has_its_value_at_every_step():
    draw = np.random.default_rng(37)
    times = np.sort(draw.uniform(-5, 70, 400))
    conc = draw.uniform(0, 4, 400)
    found = traced(times * ms, conc * umolar, 66 * ms)
    assert np.allclose(found, np.interp(np.arange(220) * 0.3, times, conc), rtol=1e-9)


def test_a_trace_that_ends_at_zero_ends_at_zero_and_never_below():
    draw = np.random.default_rng(5)
    times = np.linspace(1.7, 40.3, 23)
    conc = np.append(draw.uniform(0, 1e3, 22), 0)
    found = traced(times * ms, conc * umolar, 90 * ms)
    assert (found >= 0).all()
    assert found[140:].max() < 1e-9


def test_a_trace_that_is_over_before_the_start_is_held():
    found = traced([-30, -12] * ms, [0.2, 1.9] * umolar, 3 * ms)
    assert found == pytest.approx(np.full(10, 1.9))


# A triangle of sides 3, 4 and 5, and one place beyond the reach of seven space constants.
FLAT = np.array([[0, 0], [30, 0], [30, 40], [400, 0]]) * um
DEEP = np.array([[0, 0, 0], [20, 30, 60], [10, -20, 20], [0, 0, -400]]) * um
RELEASES = Spikes("releases", 2, np.array([0, 1, 0]), [3, 9, 12] * ms)


def released(places, sites, spikes, delay=0 * ms, duration=30 * ms):
    amount, length, tau = 0.31 * umolar, 50 * um, 29 * ms
    delivery = volume(
        "modulator", cells(4), "releases", sites, places, amount, length, tau, delay=delay
    )
    return simulated(delivery, cells(4), duration, sources=(spikes,))


@pytest.mark.parametrize(
    ("places", "distance"), [(FLAT, [0, 30, 50]), (DEEP, [0, 70, 30])], ids=["2-D", "3-D"]
)
def test_a_release_falls_exponentially_with_distance_and_time(places, distance):
    once = Spikes("releases", 1, np.array([0]), [3] * ms)
    conc = released(places, places[:1], once)
    assert (at(conc, 3.3 * ms) == 0).all()
    # It acts one step after the spike.
    expected = 0.31 * np.exp(-np.array(distance) / 50) * np.exp(-(24.3 - 3.3) / 29)
    assert at(conc, 24.3 * ms)[:3] == pytest.approx(expected, rel=1e-5)
    assert (conc[3] == 0).all()


def test_releases_add_up():
    sites = FLAT[[0, 2]]
    together = released(FLAT, sites, RELEASES)
    single = [
        released(FLAT, sites, Spikes("releases", 2, RELEASES.neurons[[k]], RELEASES.times[[k]]))
        for k in range(3)
    ]
    assert (sum(single)[:3].max(axis=1) > 0).all()
    assert np.allclose(together, sum(single), rtol=1e-9, atol=1e-15)


def test_releases_at_a_steady_rate_hold_a_mean_of_rate_and_clearance_times_the_kernels():
    steps = 20 * np.arange(60)
    spikes = Spikes("releases", 2, np.tile([0, 1], 60), np.repeat(steps, 2) * DT)
    conc = released(FLAT, FLAT[[0, 2]], spikes, duration=360 * ms)
    # 29 ms of clearance every 6 ms; distances by the triangle. Samples miss half a step of it.
    kernels = np.exp(-np.array([[0, 50], [30, 40], [50, 0]]) / 50).sum(axis=1)
    expected = 0.31 * 29 / 6 * kernels * (1 - 0.15 / 29)
    assert conc[:3, -20:].mean(axis=1) == pytest.approx(expected, rel=1e-4)


def test_a_delay_moves_a_release():
    sites = FLAT[[0, 2]]
    prompt, late = released(FLAT, sites, RELEASES), released(FLAT, sites, RELEASES, 6 * ms)
    assert np.allclose(late[:, 20:], prompt[:, :-20], rtol=1e-12)


def test_modulatory_neurons_of_the_simulation_release_when_they_fire():
    modulatory = Population("releases", replace(CELL, receptors=()), 1, {"I_ext": 1.1 * nA})
    place, amount = FLAT[1:2], 0.31 * umolar
    delivery = volume("modulator", cells(1), "releases", FLAT[:1], place, amount, 50 * um, 29 * ms)
    conc = simulated(delivery, cells(1), 30 * ms, others=(modulatory,))[0]
    # From rest, 1.1 nA through 40 MOhm reach 20 of 44 mV after 20 ms*log(44/24) = 12.123 ms.
    assert np.flatnonzero(conc)[0] * DT / ms == pytest.approx(12.123 + 0.3, abs=0.31)


@pytest.mark.parametrize(
    ("dimensions", "inside"),
    [(2, 1 - 8 * np.exp(-7)), (3, 1 - 32.5 * np.exp(-7))],
    ids=["2-D", "3-D"],
)
def test_what_a_release_adds_to_a_whole_tissue_is_its_kernels_integral(dimensions, inside):
    # By hand, of exp(-r) in the plane 1 - (1 + r)exp(-r) lies within r, in space
    # 1 - (1 + r + r^2/2)exp(-r); the whole is 2 pi and 8 pi space constants to the dimension.
    spacing = 0.4
    axis = np.arange(-8, 8, spacing)
    places = np.stack(np.meshgrid(*[axis + 0.13] * dimensions), -1).reshape(-1, dimensions)
    tissue = cells(len(places))
    site = np.zeros((1, dimensions)) * metre
    delivery = volume(
        "modulator", tissue, "releases", site, places * metre, 1 * umolar, 1 * metre, 1 * second
    )
    total = np.sum(delivery.connections[0].weight / umolar) * spacing**dimensions
    whole = {2: 2 * np.pi, 3: 8 * np.pi}[dimensions]
    assert total == pytest.approx(whole * inside, rel=5e-3)
    assert inside > 0.97


def some_bath(conc, ligand="modulator"):
    return bath(cells(2), {ligand: conc})


def some_trace(times, conc, population=None, ligand="modulator"):
    return trace(ligand, population or cells(1), times, conc, DT)


def some_puffs(onsets, width=6 * ms, conc=1 * umolar, tau=30 * ms, ligand="modulator"):
    return puffs(ligand, cells(1), conc, onsets, width, tau, DT)


def some_release(amount=1 * umolar, tau=30 * ms):
    return volume("modulator", cells(4), "releases", FLAT[:1], FLAT, amount, 50 * um, tau)


UNLIKE = Population("cells", CELL, 2, {"k_off_generic": [1, 2] / second})
IN_A_BATH = cells(1).given(bath(cells(1), {"modulator": 1 * umolar}))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: some_puffs([3, 8.1] * ms), "overlap"),
        (lambda: some_puffs([12, 3] * ms), "in order"),
        (lambda: some_puffs([0] * ms), "at least one time step"),
        (lambda: some_puffs([3.1] * ms), "whole number of time steps"),
        (lambda: some_puffs([3]), "onset of a puff has the wrong unit"),
        (lambda: some_puffs([3] * ms, width=6), "width must be a time"),
        (lambda: wash("modulator", cells(1), 1 * umolar, 9 * ms, 6 * ms, 1 * ms, DT), "must end"),
        (lambda: some_trace([3] * ms, [1] * umolar), "at least two"),
        (lambda: some_trace([3, 6] * ms, [1, 2, 3] * umolar), "as many times"),
        (lambda: some_trace([3, 3] * ms, [1, 2] * umolar), "increase"),
        (lambda: some_trace([3, np.nan] * ms, [1, 2] * umolar), "must be finite"),
        (lambda: some_trace([3, 6] * ms, [1, -2] * umolar), "not be negative"),
        (lambda: some_trace([3, 6] * ms, [1, np.inf] * umolar), "must be finite"),
        (
            lambda: some_trace([3, 6] * ms, [1, 2] * umolar, IN_A_BATH),
            "use either the bath or the trace",
        ),
        (lambda: some_trace([3, 6] * ms, [1, 2] * umolar, ligand="GABA"), "no ligand of cells"),
        (lambda: some_puffs([3] * ms, ligand="GABA"), "no ligand of cells named 'GABA'"),
        (lambda: some_puffs([3] * ms, conc=-1 * umolar), "must not be negative, as -1"),
        (lambda: some_puffs([3] * ms, conc=np.nan * umolar), "must be finite"),
        (lambda: some_puffs([3] * ms, conc=3), "wrong unit"),
        (lambda: some_puffs([3] * ms, tau=0 * ms), "time constant of 0 ms must be above 0"),
        (lambda: some_puffs([3] * ms, tau=np.inf * ms), "tau_clear of modulator must be finite"),
        (lambda: some_bath([0.3, -1] * umolar), "not be negative, as -1 .* .neuron 1."),
        (lambda: some_bath([0.3, np.nan] * umolar), "must be finite: value 1 is nan"),
        (lambda: some_bath(0.3), "concentration of modulator has the wrong unit"),
        (lambda: some_bath(1 * umolar, "modulater"), "did you mean modulator"),
        (lambda: bath(Population("chip", CircuitNeuron(), 2), {"GABA": 0 * umolar}), "of chip"),
        (lambda: bath(UNLIKE, {"modulator": 1 * umolar}), "k_off_generic of single neurons"),
        (lambda: some_release(-1 * umolar), "must not be negative"),
        (lambda: some_release(tau=-1 * ms), "must be above 0"),
        (lambda: released(FLAT, DEEP, RELEASES), "do not fit"),
        (lambda: released(FLAT[:3], FLAT, RELEASES), "do not fit"),
        (lambda: released(FLAT[:, :1], FLAT[:, :1], RELEASES), "2 or 3 columns"),
        (lambda: released(FLAT + 1e-3 * metre, FLAT, RELEASES), "within 7 space constants"),
    ],
)
def test_deliveries_that_cannot_be_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_a_puff_that_lasts_a_fraction_of_a_step_is_refused():
    with pytest.raises(UserError, match=r"width = 0\.4 ms must be a whole number"):
        simulated(some_puffs([3] * ms, 0.4 * ms), cells(1), 9 * ms)


def test_the_gain_follows_a_puff_to_second_order_in_the_time_step():
    neuron = replace(CELL, receptors=(Receptor(k_desensitise=0.7 / second),))
    onset, width, tau = [9.6] * ms, 36 * ms, 63 * ms
    puffed = Population("cells", neuron, 1)
    off = []
    for dt in (1.2 * ms, 0.3 * ms):
        experiment = Experiment(
            populations=[puffed], traces=[Trace("cells", "gain", [0])], duration=0.6 * second, dt=dt
        ).add(puffs("modulator", puffed, 40 * umolar, onset, width, tau, dt))
        recording = simulate(experiment)
        exact = integrated_gain(
            neuron,
            lambda time: np.asarray(exchanged([time] * second, 40 * umolar, onset, width, tau)),
            recording.times,
            [0.0096, 0.0456],
        )
        assert exact.max() > 1.5
        off.append(np.abs(recording.signals["cells"]["gain"].values - exact).max())
    # A quarter of the step leaves a sixteenth of the error.
    assert off[0] < 1e-3
    assert off[0] / off[1] == pytest.approx(16, rel=0.05)
