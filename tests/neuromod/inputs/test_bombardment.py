"""Spikes from outside are a Poisson process in every step, and shared as asked."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, kHz, ms, second
from scipy.stats import poisson

from neuromod.errors import UserError
from neuromod.inputs.bombardment import Bombardment, bombard

DT = 0.1 * ms


def arrivals(parts, cells, steps, seed=3):
    """Spikes that arrive at every cell in every step, shape (steps, cells)."""
    spikes, wires = bombard("o", "cells", "s", parts, DT, np.random.default_rng(seed))
    at = np.round(np.asarray(spikes.times / DT)).astype(int)
    found = np.zeros((steps, cells), dtype=int)
    for step, neuron in zip(at, spikes.neurons, strict=True):
        np.add.at(found[step], wires.j[wires.i == neuron], 1)
    return found


def test_counts_in_a_step_follow_poissons_law_several_at_once_included():
    cells = np.arange(7)[None]
    spikes, wires = bombard(
        "o",
        "cells",
        "s",
        [Bombardment(3.1 * kHz, 0 * second, 4 * second, cells)],
        DT,
        np.random.default_rng(3),
    )
    to = np.empty(spikes.size, dtype=int)
    to[wires.i] = wires.j
    counts = np.zeros((40_000, 7), dtype=int)
    at = np.round(np.asarray(spikes.times / DT)).astype(int)
    np.add.at(counts, (at, to[spikes.neurons]), 1)
    seen = np.bincount(counts.ravel(), minlength=5)[:5] / counts.size
    expected = poisson.pmf(np.arange(5), 0.31)
    assert seen == pytest.approx(expected, abs=4 * np.sqrt(0.25 / counts.size))
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.02)
    # Steps are independent, so counts of 5 ms vary as Poisson's do as well.
    longer = counts.reshape(-1, 50, 7).sum(axis=1)
    assert longer.var() / longer.mean() == pytest.approx(1, abs=0.08)


def test_cells_of_one_column_receive_the_same_spikes_and_others_their_own():
    parts = [Bombardment(900 * Hz, 2 * ms, 30 * ms, np.array([[0, 1], [3, 4]]))]
    found = arrivals(parts, 5, 400)
    assert found[:20].sum() == found[300:].sum() == found[:, 2].sum() == 0
    assert found[:, 0].sum() > 10
    assert np.array_equal(found[:, [0, 1]], found[:, [3, 4]])
    assert not np.array_equal(found[:, 0], found[:, 1])


def test_bombardments_of_one_cell_add_up():
    parts = [
        Bombardment(rate, 0 * second, 50 * ms, np.array([[0]])) for rate in (400 * Hz, 1.7 * kHz)
    ]
    both = arrivals(parts, 1, 500).sum()
    assert both == pytest.approx(105, abs=4 * np.sqrt(105))


def test_no_rate_is_silence_and_a_negative_one_is_refused():
    cells = np.array([[0]])
    assert not arrivals([Bombardment(0 * Hz, 0 * second, 9 * ms, cells)], 1, 90).sum()
    with pytest.raises(UserError, match="rate of at least 0"):
        arrivals([Bombardment(-3 * Hz, 0 * second, 9 * ms, cells)], 1, 90)
    with pytest.raises(UserError, match="end after its start"):
        arrivals([Bombardment(3 * Hz, 9 * ms, 7 * ms, cells)], 1, 90)
