import numpy as np
import pytest
from brian2 import Quantity, cm, ms, mV, nA, uA
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from neuromod.models.hodgkin_huxley import RATES, HodgkinHuxley

CELL = HodgkinHuxley()
PER_CM2 = uA / cm**2


def through(density):
    """Current of a cell for densities in µA/cm²."""
    return Quantity(np.asarray(density) * PER_CM2 * CELL.area)


def test_rest_and_its_gates_are_those_of_the_squid():
    resting = CELL.resting
    assert resting["v"] / mV == pytest.approx(-65, abs=0.01)
    # Hodgkin & Huxley 1952, table 3, evaluated at rest by hand.
    assert resting["m"] == pytest.approx(0.0529, abs=1e-4)
    assert resting["h"] == pytest.approx(0.596, abs=1e-3)
    assert resting["n"] == pytest.approx(0.3177, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "v", "rate"),
    [
        # By hand, from the formulas of 1952 for a depolarization of V = v + 65 mV.
        ("alpha_m", -30, 0.1 * (25 - 35) / (np.exp((25 - 35) / 10) - 1)),
        ("beta_m", -30, 4 * np.exp(-35 / 18)),
        ("alpha_h", -30, 0.07 * np.exp(-35 / 20)),
        ("beta_h", -30, 1 / (np.exp((30 - 35) / 10) + 1)),
        ("alpha_n", -30, 0.01 * (10 - 35) / (np.exp((10 - 35) / 10) - 1)),
        ("beta_n", -30, 0.125 * np.exp(-35 / 80)),
    ],
)
def test_rates_are_the_published_ones(name, v, rate):
    assert RATES[name].at(v) == pytest.approx(rate, rel=1e-12)


def slopes(current):
    """Hodgkin and Huxley's equations in their own form, mV and ms, for a current in µA/cm²."""

    def linear(x):
        return 1 / np.polyval([1 / 24, 1 / 6, 1 / 2, 1], x) if abs(x) < 1e-3 else x / np.expm1(x)

    def slope(_, state):
        v, m, h, n = state
        V = v + 65
        ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
        return (
            current - ionic,
            linear((25 - V) / 10) * (1 - m) - 4 * np.exp(-V / 18) * m,
            0.07 * np.exp(-V / 20) * (1 - h) - h / (np.exp((30 - V) / 10) + 1),
            0.1 * linear((10 - V) / 10) * (1 - n) - 0.125 * np.exp(-V / 80) * n,
        )

    return slope


def integrated(current, end):
    """Times in ms at which the potential rises through 0 mV, by an independent integration."""

    def rises(_, state):
        return state[0]

    rises.direction = 1
    start = [float(CELL.resting["v"] / mV), *(CELL.resting[gate] for gate in "mhn")]
    done = solve_ivp(slopes(current), (0, end), start, "LSODA", events=rises, rtol=1e-9, atol=1e-10)
    return done.t_events[0]


@pytest.fixture(scope="module")
def stepped(clamp):
    """Spike times in ms under constant currents in µA/cm², and the potential at the end in mV."""
    densities = [2, 2.7, 5.9, 7, 10, 20, 50, 100, 165]
    run = clamp([CELL] * len(densities), through(densities), 150 * ms, 0.1 * ms, ["v"])
    return dict(zip(densities, zip(run.spikes, 1e3 * run.traces["v"], strict=True), strict=True))


@pytest.mark.parametrize("density", [10, 20, 50])
def test_the_rate_is_that_of_an_independent_integration(stepped, density):
    expected = np.diff(integrated(density, 150))[-1]
    # Spikes wait for the end of their step of 0.1 ms.
    assert np.diff(stepped[density][0])[-4:].mean() == pytest.approx(expected, rel=0.01)


@pytest.fixture(scope="module")
def fine(clamp):
    """Spike times in ms and potential in mV at 10 µA/cm², in steps of 0.05 ms."""
    run = clamp([CELL], through([10]), 50 * ms, 0.05 * ms, ["v"])
    return run.spikes[0], 1e3 * run.traces["v"][0]


def test_at_ten_microampere_per_cm2_it_fires_at_68_hertz(fine):
    assert 1000 / np.diff(fine[0])[-1] == pytest.approx(68.3, rel=0.005)
    assert 1000 / np.diff(integrated(10, 150))[-1] == pytest.approx(68.3, abs=0.05)


def test_a_spike_overshoots_to_40_millivolts_and_falls_below_rest(fine):
    assert fine[1].max() == pytest.approx(41, abs=1.5)
    assert fine[1].min() == pytest.approx(-76, abs=1)


def test_firing_begins_at_a_finite_rate_after_a_single_spike(stepped):
    """Class 2: repetitive firing begins at 6.3 µA/cm² near 50 Hz (Rinzel & Miller 1980)."""
    assert [len(stepped[density][0]) for density in (2, 2.7)] == [0, 1]
    assert 1 <= len(stepped[5.9][0]) <= 2
    assert 50 < 1000 / np.diff(stepped[7][0])[-1] < 60


def test_a_strong_current_blocks_conduction(stepped):
    """Above 154 µA/cm² rest is stable again (Hassard 1978, J. Theor. Biol. 71:401-420)."""
    train, v = stepped[165]
    assert len(train) == 1
    assert np.ptp(v[-200:]) < 0.5
    assert CELL.outward(v[-1]) == pytest.approx(165, rel=0.01)
    assert np.ptp(stepped[100][1][-200:]) > 20


def growth(density):
    """Fastest growth of a disturbance of rest per ms, under a current in µA/cm²."""
    v = brentq(lambda v: CELL.outward(v) - density, -70, -30)
    state, slope = np.array([v, *CELL.gates(v).values()]), slopes(density)
    steps = np.eye(4) * 1e-5
    columns = [np.subtract(slope(0, state + s), slope(0, state - s)) / 2e-5 for s in steps]
    return np.linalg.eigvals(np.transpose(columns)).real.max()


def test_rest_loses_its_stability_at_the_published_currents():
    """Hopf bifurcations at 9.78 and 154.5 µA/cm² (Hassard 1978)."""
    assert brentq(growth, 9, 11) == pytest.approx(9.78, abs=0.01)
    assert brentq(growth, 145, 160) == pytest.approx(154.5, abs=0.1)


def test_the_threshold_of_a_shock_lies_between_6_and_7_millivolts(clamp):
    """Hodgkin & Huxley 1952, figure 12."""
    start = [CELL.resting | {"v": CELL.resting["v"] + shock * mV} for shock in (6, 7, 15)]
    trains = clamp([CELL] * 3, through([0, 0, 0]), 15 * ms, 0.05 * ms, start=start).spikes
    assert [len(train) for train in trains] == [0, 1, 1]


def test_release_from_hyperpolarization_fires_it(clamp):
    """Anode break excitation: Hodgkin & Huxley 1952, figure 22."""
    course = np.where(np.arange(600) < 300, -10.0, 0.0)[:, None]
    train = clamp([CELL], through(course), 60 * ms, 0.1 * ms).spikes[0]
    assert len(train) == 1
    assert train[0] > 30


def test_no_potential_makes_a_rate_undefined(clamp):
    near = np.concatenate([[0.0], *(s * 10.0 ** np.arange(-16, -3) for s in (-1, 1))])
    for name in ("alpha_m", "alpha_n"):
        rate = RATES[name]
        np.testing.assert_allclose(rate.at(rate.midpoint + near), rate.rate, rtol=1e-4)
    start = [CELL.resting | {"v": rate.midpoint * mV} for rate in RATES.values()]
    traced = clamp([CELL] * len(start), [0] * len(start) * nA, 0.1 * ms, 0.02 * ms, ["v"], start)
    assert np.isfinite(traced.traces["v"]).all()
