from dataclasses import replace

import numpy as np
import pytest
from brian2 import Quantity, ms, mV, nA, pA
from scipy.integrate import solve_ivp

from neuromod.models.gating import steady_state
from neuromod.models.pospischil import L_RATES, PER_CM2, RATES, CorticalHH, patterns, steps


@pytest.fixture(scope="module")
def stepped(clamp):
    """Spike times in ms of regular and fast spiking cells, and of the former without M current."""
    bare = replace(patterns["RS"], g_M=0 * PER_CM2)
    current = Quantity([steps["RS"], steps["FS"], steps["RS"]])
    trains = clamp([patterns["RS"], patterns["FS"], bare], current, 200 * ms).spikes
    return dict(zip(("RS", "FS", "without M"), trains, strict=True))


def test_a_regular_spiking_cell_adapts_through_its_m_current(stepped):
    intervals = np.diff(stepped["RS"])
    assert (np.diff(intervals) > 10).all()
    assert intervals[-1] > 2 * intervals[0]
    assert np.ptp(np.diff(stepped["without M"])[1:]) < 0.21


def test_a_fast_spiking_cell_does_not_adapt(stepped):
    intervals = np.diff(stepped["FS"])
    assert len(intervals) > 7
    assert np.ptp(intervals) < 0.21


def linear(x):
    return 1.0 if abs(x) < 1e-9 else x / np.expm1(x)


def test_spikes_are_those_of_an_independent_integration(stepped):
    """The equations of the paper in mV, ms and µA/cm², with the current through 96 by 96 µm."""
    density = 0.75e-3 / (np.pi * 96e-4 * 96e-4)

    def slope(_, state):
        v, m, h, n, p = state
        u = v + 55
        ionic = 0.1 * (v + 70) + 50 * m**3 * h * (v - 50) + (5 * n**4 + 0.07 * p) * (v + 100)
        tau_p = 1000 / (3.3 * np.exp((v + 35) / 20) + np.exp(-(v + 35) / 20))
        return (
            density - ionic,
            0.32 * 4 * linear((13 - u) / 4) * (1 - m) - 0.28 * 5 * linear((u - 40) / 5) * m,
            0.128 * np.exp((17 - u) / 18) * (1 - h) - 4 / (1 + np.exp((40 - u) / 5)) * h,
            0.032 * 5 * linear((15 - u) / 5) * (1 - n) - 0.5 * np.exp((10 - u) / 40) * n,
            (1 / (1 + np.exp(-(v + 35) / 10)) - p) / tau_p,
        )

    def rises(_, state):
        return state[0]

    rises.direction = 1
    rest = CorticalHH().resting
    start = [float(rest["v"] / mV), *(rest[gate] for gate in "mhnp")]
    done = solve_ivp(slope, (0, 200), start, "LSODA", events=rises, rtol=1e-8, atol=1e-9)
    assert len(done.t_events[0]) == 4
    np.testing.assert_allclose(stepped["RS"][:4], done.t_events[0], atol=0.15, rtol=0.009)


def bursts(train):
    """Numbers of spikes in groups whose intervals are below 50 ms."""
    return [len(group) for group in np.split(train, np.flatnonzero(np.diff(train) >= 50) + 1)]


CALCIUM = (0.1, 0.17, 0.2, 0.22)


def bursting(clamp, duration):
    cells = [replace(patterns["IB"], g_Ca=g * PER_CM2) for g in CALCIUM]
    trains = clamp(cells, [0.15] * len(cells) * nA, duration).spikes
    return dict(zip(CALCIUM, map(bursts, trains), strict=True))


def test_l_type_calcium_turns_regular_spiking_into_a_burst(clamp):
    groups = bursting(clamp, 200 * ms)
    assert set(groups[0.1]) == {1}
    assert 5 < groups[0.17][0] < groups[0.2][0] < groups[0.22][0]


@pytest.mark.thorough
def test_bursts_are_those_of_the_authors_note(clamp):
    """In their script: 0.1 regular, 0.17 one burst, 0.2 two, 0.22 repetitive bursting."""
    groups = bursting(clamp, 2000 * ms)
    assert set(groups[0.1]) == {1}
    assert [n > 1 for n in groups[0.17]] == [True] + [False] * (len(groups[0.17]) - 1)
    assert [n > 1 for n in groups[0.2]] == [True, True] + [False] * (len(groups[0.2]) - 2)
    assert all(n > 1 for n in groups[0.22][:4])


def test_t_type_calcium_makes_a_rebound_spike(clamp):
    """Released from -75 pA, in which it rests as with a lower potential of the leak."""
    cell = replace(patterns["LTS"], E_L=-60 * mV)
    held = replace(cell, E_L=cell.E_L - 75 * pA / (cell.g_L * cell.area))
    bare = replace(cell, g_T=0 * PER_CM2)
    rebound, none = clamp([cell, bare], [0] * 2 * nA, 90 * ms, start=[held.resting] * 2).spikes
    assert len(rebound) >= 1
    assert len(none) == 0


@pytest.mark.parametrize("name", patterns)
def test_rest_is_the_lowest_potential_without_current(name):
    cell = patterns[name]
    v = float(cell.resting["v"] / mV)
    assert cell.outward(v) == pytest.approx(0, abs=1e-9)
    assert (cell.outward(np.linspace(-150, v - 0.01, 999)) < 0).all()
    assert v == pytest.approx(float(cell.E_L / mV), abs=1.1)


def test_every_gate_settles_where_the_equations_hold_it(clamp):
    cell = patterns["LTS"]
    resting = cell.resting
    traces = clamp([cell], [0] * nA, 50 * ms, traces=list(resting)).traces
    for name, value in resting.items():
        assert traces[name][0, -1] == pytest.approx(float(value), abs=1e-6)


def test_rates_are_the_published_ones_by_hand():
    u = 27.3
    by_hand = {
        "alpha_m": 0.32 * (13 - u) / np.expm1((13 - u) / 4),
        "beta_m": 0.28 * (u - 40) / np.expm1((u - 40) / 5),
        "alpha_n": 0.032 * (15 - u) / np.expm1((15 - u) / 5),
        "beta_n": 0.5 * np.exp((10 - u) / 40),
        "alpha_h": 0.128 * np.exp((17 - u) / 18),
        "beta_h": 4 / (1 + np.exp((40 - u) / 5)),
    }
    for name, rate in by_hand.items():
        assert RATES[name].at(u - 55, -55) == pytest.approx(rate, rel=1e-12)
    v = -33.7
    alpha, beta = 0.055 * (-27 - v) / np.expm1((-27 - v) / 3.8), 0.94 * np.exp((-75 - v) / 17)
    steady = steady_state(L_RATES["alpha_q"], L_RATES["beta_q"], v)
    assert steady == pytest.approx(alpha / (alpha + beta), rel=1e-12)
