"""Measures of steps of current on trains and membranes whose measures are known."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, Quantity, ms, mV, nA, pA, second

from neuromod.analysis.excitability import (
    equivalent_gain,
    frequency_slope,
    rheobase,
    step_responses,
)
from neuromod.experiment import Spikes

ONSET, OFFSET = 300 * ms, 800 * ms
TIMES = np.arange(0, 1000, 2.0) * ms
REGULAR = np.arange(317.0, 800, 40)
# Intervals grow by the same factor, of which (b - a)/(b + a) depends alone.
SLOWING = 309 + np.concatenate([[0], np.cumsum(8 * 1.25 ** np.arange(10))])
PAIR = np.array([333.0, 391.0])


def responses(*trains, potential=None):
    """Measures of cells that spike at these times in ms."""
    at = np.concatenate([np.atleast_1d(train) for train in trains])
    cells = np.repeat(np.arange(len(trains)), [np.size(train) for train in trains])
    order = np.argsort(at, kind="stable")
    spikes = Spikes("cells", len(trains), cells[order], at[order] * ms)
    flat = np.full((len(trains), len(TIMES)), -65.0) * mV
    return step_responses(flat if potential is None else potential, TIMES, spikes, ONSET, OFFSET)


def test_latency_rate_and_adaptation_of_trains_by_hand():
    found = responses(REGULAR, SLOWING, PAIR, [])
    assert found.latency / ms == pytest.approx([17, 9, 33, np.nan], nan_ok=True)
    assert found.rate[0] / Hz == pytest.approx(25)
    assert found.adaptation == pytest.approx([0, 1 / 9, np.nan, np.nan], abs=1e-9, nan_ok=True)
    # One spike, or none, in the second half of the step.
    assert (found.rate[2:] == 0 * Hz).all()


def test_spikes_outside_of_the_step_do_not_count():
    inside = responses(REGULAR)
    around = responses(np.concatenate([[13.0, 29.0, 299.0], REGULAR, [800.0, 811.0]]))
    for name in ("latency", "rate", "adaptation"):
        assert np.array_equal(getattr(around, name), getattr(inside, name))


def test_rest_is_the_mean_at_the_end_of_the_baseline_and_ahp_the_fall_below_it():
    t = np.asarray(TIMES / ms)
    settling = np.where(t < 240, -90.0, -67.3)
    stepped = np.where((t >= 300) & (t < 800), -41.0, settling)
    below = np.where(t >= 800, -67.3 - 5.9 * np.exp(-(t - 800) / 50), stepped)
    above = np.where(t >= 800, -60.0, stepped)
    found = responses([], [], potential=np.array([below, above]) * mV)
    assert found.rest / mV == pytest.approx([-67.3, -67.3])
    assert found.ahp / mV == pytest.approx([5.9, 0])


@pytest.mark.parametrize(
    ("fired", "middle"),
    [
        ([False, False, True, True], 0.55),
        ([False, True, True, True], 0.35),
        ([False, True, False, True], 0.35),
        ([False, False, False, True], 0.75),
        ([False, False, False, False], np.nan),
        ([True, True, True, True], np.nan),
    ],
)
def test_rheobase_lies_between_the_last_silent_and_the_first_firing_current(fired, middle):
    found = rheobase([0.3, 0.4, 0.7, 0.8] * nA, np.array(fired))
    assert float(found / nA) == pytest.approx(middle, nan_ok=True)


def test_the_slope_is_that_of_the_currents_that_fire():
    current = np.array([0.1, 0.2, 0.4, 0.5, 0.9]) * nA
    rate = np.where(current > 0.3 * nA, 37 * (current / nA) - 4, 0) * Hz
    assert float(frequency_slope(current, rate) / (Hz / nA)) == pytest.approx(37)
    assert np.isnan(frequency_slope(current[:4], rate[:4]))


def f_of(current):
    """A saturating f-I curve with a rheobase of 0.4 nA, Hz."""
    return np.where(current > 0.4, 90 * np.sqrt(np.maximum(current - 0.4, 0)), 0)


CONTROL = np.linspace(0.1, 3, 2000)


@pytest.mark.parametrize("gain", [0.6, 1.0, 1.83])
def test_a_gain_on_the_current_is_recovered_from_any_f_i_curve(gain):
    current = np.array([0.8, 1.1, 1.45])
    found = equivalent_gain(
        current * nA, f_of(gain * current) * Hz, CONTROL * nA, f_of(CONTROL) * Hz
    )
    assert found == pytest.approx(gain, rel=1e-4)


def test_a_subtracted_current_is_a_gain_that_depends_on_the_current():
    current = np.array([0.8, 1.1, 1.45])
    found = equivalent_gain(
        current * nA, f_of(current - 0.13) * Hz, CONTROL * nA, f_of(CONTROL) * Hz
    )
    assert found == pytest.approx(1 - 0.13 / current, rel=1e-4)


def test_the_unit_of_currents_does_not_matter():
    gains = [
        equivalent_gain([0.9] * nA, [31] * Hz, CONTROL * nA, f_of(CONTROL) * Hz),
        equivalent_gain([900] * pA, [31] * Hz, CONTROL * 1000 * pA, f_of(CONTROL) * Hz),
    ]
    assert gains[0] == pytest.approx(gains[1])


def test_silent_cells_and_rates_beyond_the_curve_have_no_gain():
    rates = np.array([0, 1e3, f_of(0.9)]) * Hz
    found = equivalent_gain([0.9, 0.9, 0.9] * nA, rates, CONTROL * nA, f_of(CONTROL) * Hz)
    assert found == pytest.approx([np.nan, np.nan, 1], rel=1e-3, nan_ok=True)


def test_without_a_control_that_fires_no_gain_is_known():
    found = equivalent_gain([0.9] * nA, [31] * Hz, CONTROL * nA, 0 * CONTROL * Hz)
    assert np.isnan(found).all()


def test_a_curve_is_used_up_to_where_it_falls_and_through_the_rounding_of_intervals():
    at = np.array([0.1, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    rates = np.array([0, 20, 30, 29.7, 40, 12, 9])
    found = equivalent_gain([1, 1, 1] * nA, [25, 35, 12] * Hz, at * nA, rates * Hz)
    between = 0.7 + 0.1 * 5 / 10
    assert found == pytest.approx([0.55, between, np.nan], rel=1e-6, nan_ok=True)


def test_measures_keep_their_units():
    found = responses(REGULAR)
    for name, unit in {"rest": mV, "latency": second, "rate": Hz, "ahp": mV}.items():
        assert isinstance(getattr(found, name), Quantity)
        assert getattr(found, name).dim == unit.dim
