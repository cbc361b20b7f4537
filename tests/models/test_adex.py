from dataclasses import replace

import numpy as np
import pytest
from brian2 import Quantity, ms, mV, nS, pA, pF
from scipy.integrate import solve_ivp

from neuromod.errors import UserError
from neuromod.models.adex import AdEx, patterns, steps

NUDGED = ("irregular", "regular-bursting")


@pytest.fixture(scope="module")
def fired(clamp):
    """Spike times of each pattern under its step of current, in ms, and of two nearly the same."""
    nudged = [replace(patterns[name], E_L=patterns[name].E_L * (1 + 1e-7)) for name in NUDGED]
    current = Quantity([*steps.values(), *(steps[name] for name in NUDGED)])
    trains = clamp([*patterns.values(), *nudged], current, 590 * ms).spikes
    return dict(zip([*patterns, *(f"{name}, nudged" for name in NUDGED)], trains, strict=True))


def test_tonic_spiking_settles_at_one_interval(fired):
    intervals = np.diff(fired["tonic"])
    assert len(intervals) > 50
    assert np.ptp(intervals[8:]) <= 0.1001


def test_adapting_intervals_lengthen_until_they_are_steady(fired):
    intervals = np.diff(fired["adapting"])
    assert (np.diff(intervals[:7]) > 0).all()
    assert intervals[-1] > 5 * intervals[0]
    assert intervals[-1] == pytest.approx(intervals[-2], abs=0.21)


def test_an_initial_burst_is_followed_by_slow_regular_spikes(fired):
    intervals = np.diff(fired["initial-burst"])
    assert (intervals[:2] < 10).all()
    assert (intervals[2:] > 50).all()
    assert np.ptp(intervals[4:]) < 0.5


def test_regular_bursts_come_again_and_again(fired):
    intervals = np.diff(fired["regular-bursting"])
    settled = intervals[3:]
    assert (settled[::2] < 10).all()
    assert (settled[1::2] > 100).all()
    assert np.ptp(settled[1::2]) < 1


def test_delayed_spikes_accelerate(fired):
    train = fired["delayed-accelerating"]
    tau_m = 200 / 12
    assert train[0] > 2 * tau_m
    assert (np.diff(np.diff(train)) <= 0.1001).all()
    assert np.diff(train)[-1] < 0.6 * np.diff(train)[0]


def test_delayed_bursts_begin_late_and_repeat(fired):
    train = fired["delayed-regular-bursting"]
    tau_m = 100 / 10
    assert train[0] > 4 * tau_m
    pauses = np.flatnonzero(np.diff(train) > 40)
    assert len(pauses) >= 5
    assert set(np.diff(pauses)) == {4}
    assert np.ptp(np.diff(train)[pauses[1:]]) < 2


def test_transient_spiking_falls_silent_under_a_lasting_current(fired):
    assert len(fired["transient"]) == 1
    assert fired["transient"][0] < 50


def test_irregular_spiking_has_no_period(fired):
    intervals = np.diff(fired["irregular"])[8:]
    assert np.std(intervals) / np.mean(intervals) > 0.3
    for period in range(1, 7):
        assert np.abs(intervals[period:] - intervals[:-period]).max() > 5


def test_irregular_spiking_alone_forgets_where_it_began(fired):
    chaotic, regular = (fired[f"{name}, nudged"] for name in NUDGED)
    np.testing.assert_array_equal(regular, fired["regular-bursting"])
    same = min(len(chaotic), len(fired["irregular"]))
    assert np.abs(chaotic[:same] - fired["irregular"][:same]).max() > 5


def integrated(cell, current, end):
    """Spike times in ms of an adaptive integration that finds every spike by its root."""
    C, g_L, E_L, V_T, D, a, tau_w, b, V_r, peak = (
        float(value)
        for value in (
            *(cell.C / pF, cell.g_L / nS, cell.E_L / mV, cell.V_T / mV, cell.Delta_T / mV),
            *(cell.a / nS, cell.tau_w / ms, cell.b / pA, cell.V_r / mV, cell.V_peak / mV),
        )
    )

    def slope(_, state):
        v, w = state
        leak = g_L * (E_L - v) + g_L * D * np.exp((v - V_T) / D)
        return (leak - w + float(current / pA)) / C, (a * (v - E_L) - w) / tau_w

    def reached(_, state):
        return state[0] - peak

    reached.terminal = True
    rest = cell.resting
    t, state, found = 0.0, [float(rest["v"] / mV), float(rest["w"] / pA)], []
    while True:
        part = solve_ivp(slope, (t, end), state, "LSODA", events=reached, rtol=1e-9, atol=1e-9)
        if part.status != 1:
            return np.array(found)
        t = part.t_events[0][0]
        found.append(t)
        state = [V_r, part.y_events[0][0][1] + b]


SOME = {"adapting": steps["adapting"], "regular-bursting": steps["regular-bursting"]}


def test_spikes_are_those_of_an_independent_integration(clamp):
    # Higher up the exponential outruns the precision of time.
    cells = [replace(cell, V_peak=-30 * mV) for cell in (AdEx(), *(patterns[n] for n in SOME))]
    current = Quantity([913 * pA, *SOME.values()])
    trains = clamp(cells, current, 100 * ms, dt=0.02 * ms).spikes
    for cell, each, train in zip(cells, current, trains, strict=True):
        expected = integrated(cell, each, 100.0)
        assert len(train) == len(expected) > 2
        # Each spike waits for the end of its step, by 0.01 ms on average.
        np.testing.assert_allclose(train, expected, atol=0.02 * len(train))


def test_rheobase_is_the_closed_form_for_both_types_of_excitability(clamp):
    cells = [AdEx(), patterns["tonic"]]
    # Type II, for a/g_L = 0.133 > tau_m/tau_w = 0.065, and type I, for 0.2 < 0.667, by hand.
    assert cells[0].rheobase / pA == pytest.approx(627.18, abs=0.01)
    assert cells[1].rheobase / pA == pytest.approx(220.376, abs=0.001)
    ramp = np.minimum(np.arange(3500) / 2500, 1)[:, None]
    ends = Quantity([s * cell.rheobase for s in (0.98, 1.02) for cell in cells])
    trains = clamp(cells * 2, Quantity(ramp * np.asarray(ends), dim=ends.dim), 1050 * ms, 0.3 * ms)
    assert [len(train) > 0 for train in trains.spikes] == [False, False, True, True]


@pytest.mark.parametrize("name", ["tonic", "initial-burst", "delayed-accelerating", "irregular"])
def test_rest_is_where_both_equations_stand_still(name):
    cell = patterns[name]
    v, w = cell.resting["v"], cell.resting["w"]
    assert w == cell.a * (v - cell.E_L)
    total = cell.g_L * (cell.E_L - v) + cell.g_L * cell.Delta_T * np.exp(
        (v - cell.V_T) / cell.Delta_T
    )
    assert abs((total - w) / pA) < 1e-6
    assert v < cell.V_T


def test_a_neuron_that_never_rests_starts_at_its_leak():
    cell = AdEx(E_L=-43 * mV)
    assert cell.rheobase < 0 * pA
    assert cell.resting["v"] == -43 * mV


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"V_T": 21 * mV}, "V_T = 21 mV must lie below V_peak = 20 mV"),
        ({"V_r": 20 * mV}, "V_r = 20 mV must lie below V_peak = 20 mV"),
        ({"Delta_T": 0.7 * mV}, "within 100 slope factors Delta_T = 700 µV of V_T"),
    ],
)
def test_values_that_do_not_go_together_are_refused(given, problem):
    with pytest.raises(UserError, match=problem):
        AdEx(**given)
