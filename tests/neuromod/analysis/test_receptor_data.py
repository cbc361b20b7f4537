"""Data for a fit are read to their true value or refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms, pA, second, umolar

from neuromod.analysis.receptor_data import Course, Steady, Supplied, Traced, same_units
from neuromod.errors import UserError

CONC = [0, 0.3, 2.1, 17] * umolar
GAINS = [1.0, 1.2, 1.9, 2.3]
TIMES = [0, 0.4, 1.3, 2.9] * second
PUFF = Supplied(7 * umolar, 0.3 * second, 150 * ms, 200 * ms)


def test_a_supply_fills_and_empties_exponentially_on_top_of_the_bath():
    supply = Supplied(7 * umolar, 0.3 * second, 0.5 * second, 0.2 * second, 0.4 * umolar)
    full = 7 * -np.expm1(-0.5 / 0.2)
    expected = [0.4, 0.4 + 7 * -np.expm1(-0.1 / 0.2), 0.4 + full, 0.4 + full * np.exp(-0.7 / 0.2)]
    assert np.allclose(supply.level(np.array([0.1, 0.4, 0.8, 1.5])), expected)


def test_without_exchange_a_supply_is_a_step():
    step = Supplied(7 * umolar, [0.3, 1.1] * second, 0.5 * second)
    at = np.array([0.2999, 0.3, 0.7999, 0.8001, 1.1])
    assert step.level(at).tolist() == [0, 7, 7, 0, 7]
    assert step.kinks == pytest.approx([0.3, 0.8, 1.1, 1.6])


def test_a_trace_is_followed_by_straight_lines_and_held_at_its_ends():
    trace = Traced([1, 3] * second, [2.2, 0.2] * umolar)
    assert trace.level(np.array([0, 2.5, 9])).tolist() == pytest.approx([2.2, 0.7, 0.2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steady(conc=CONC, response=GAINS * pA), "is no gain: give its read-out a name"),
        (lambda: Steady(conc=[1, 2, 3, 4], response=GAINS), "wrong unit"),
        (lambda: Steady(conc=-CONC, response=GAINS), "a dose of at least 0"),
        (lambda: Steady(conc=CONC, response=GAINS[:3]), "not 4 and 3"),
        (lambda: Steady(conc=CONC, response=[np.nan] * 4), "All responses are missing"),
        (lambda: Steady(conc=CONC, response=GAINS, error=[0.1, 0, 0.1, 0.1]), "must be above 0"),
        (lambda: Steady(conc=CONC, response=GAINS, antagonist=[1] * umolar), "not 1 and 4"),
        (lambda: Supplied(-1 * umolar, 0 * second, 1 * second), "must not be negative"),
        (lambda: Supplied(1 * umolar, [0, 0.4] * second, 0.5 * second), "overlap"),
        (lambda: Supplied(1 * umolar, 0 * second, 0 * second), "must be above 0"),
        (lambda: Supplied(1 * umolar, 0 * second, 1 * second, -1 * second), "is negative"),
        (lambda: Supplied([1, 2] * umolar, 0 * second, 1 * second), "one concentration"),
        (lambda: Traced([1, 1] * second, [1, 2] * umolar), "must increase"),
        (lambda: Traced([1] * second, [1] * umolar), "at least two"),
        (lambda: Course(times=TIMES[::-1], response=GAINS, conc=PUFF), "in order"),
        (lambda: Course(times=TIMES[:3], response=GAINS, conc=PUFF), "not 3 and 4"),
        (lambda: Course(times=TIMES, response=GAINS, conc=3 * umolar), "a Supplied or a Traced"),
    ],
)
def test_what_is_no_data_is_refused_and_named(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_one_read_out_has_one_unit_and_errors_everywhere_or_nowhere():
    plain = Steady(conc=CONC, response=GAINS, readout="current")
    with pytest.raises(UserError, match="the units 1 and A"):
        same_units([plain, Steady(conc=CONC, response=GAINS * pA, readout="current")])
    with pytest.raises(UserError, match="Give errors for all data"):
        same_units([plain, Steady(conc=CONC, response=GAINS, readout="current", error=GAINS)])
