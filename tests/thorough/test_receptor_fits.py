"""Intervals of fitted receptors hold the truth as often as they promise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from brian2 import second, umolar

from neuromod.analysis.receptor_data import Course, Steady, Supplied
from neuromod.analysis.receptor_fit import fit_receptor
from neuromod.analysis.time_course import integrated_gain
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor

pytestmark = pytest.mark.thorough

TRUE = Receptor(
    k_on=0.7 * PER_UMOLAR_SECOND,
    k_off=1.9 / second,
    tau_messenger=0.31 * second,
    n=1.63,
    K=0.37,
    gain_max=2.7,
)
DOSES = np.repeat([0, 0.11, 0.3, 1.1, 3, 11, 30, 110], 2) * umolar
TIMES = np.linspace(1, 13, 31) * second
WASH = Supplied(4.3 * umolar, 1.7 * second, 5.3 * second, 0.13 * second)
TRIALS = 150


def washed():
    def level(time):
        return WASH.level(np.array([time])) * 1e-3

    return integrated_gain(GainLIF(receptors=(TRUE,)), level, TIMES, WASH.kinks)[0]


def coverage(make, names, **options):
    """Share of data sets whose interval holds the truth, of those that bound the parameter."""
    draw = np.random.default_rng(71)
    held, told = Counter(), Counter()
    for _ in range(TRIALS):
        fit = fit_receptor(*make(draw), **options)
        for name in names:
            found = fit.intervals[name]
            if name == "K_D":
                true = TRUE.k_off / TRUE.k_on
            else:
                true = TRUE.ec50 if name == "ec50" else getattr(TRUE, name)
            told[name] += 1
            held[name] += bool(found.low <= true <= found.high)
    return {name: held[name] / told[name] for name in names}


def test_intervals_of_steady_gains_hold_the_truth():
    exact = TRUE.gain(DOSES)

    def make(draw):
        noisy = exact + 0.05 * draw.standard_normal(len(exact))
        return [Steady(conc=DOSES, response=noisy)]

    found = coverage(make, ["ec50", "K_D", "n", "gain_max"], start=TRUE, fixed=["K"])
    assert min(found.values()) > 0.90, found
    assert max(found.values()) < 0.995, found
    print(found)


def test_intervals_of_steady_and_washed_gains_together_hold_the_truth():
    exact, course = TRUE.gain(DOSES), washed()

    def make(draw):
        steady = exact + 0.05 * draw.standard_normal(len(exact))
        over_time = course + 0.05 * draw.standard_normal(len(course))
        return [
            Steady(conc=DOSES, response=steady),
            Course(times=TIMES, response=over_time, conc=WASH),
        ]

    names = ["k_on", "k_off", "K_D", "ec50", "tau_messenger", "n", "gain_max"]
    found = coverage(make, names, start=TRUE, fixed=["K"])
    assert min(found.values()) > 0.90, found
    print(found)
