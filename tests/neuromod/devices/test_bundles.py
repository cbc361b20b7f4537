"""Synapses of several connections as one group: the same sums, in fewer groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Quantity, mV, nA, nsecond, prefs, usecond, volt

from neuromod.chip.pulses import code_pulses
from neuromod.devices import simulation
from neuromod.devices.bundles import bundled, single
from neuromod.devices.simulation import simulate
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron

WIDTH = 100 * nsecond
PRE, POST = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 1, 3])
# Two synapses from 0 to 1; one of no current, which clocks the comparator alone.
CODES = np.array([7, -3, 5, 0, -1, 2])


def wire(variable="up", i=PRE, j=POST, weight=1.0, **others):
    return Connection("inputs", "chip", variable, i=i, j=j, weight=weight, **others)


def by_pair(bundle, variable):
    """What each pair of neurons adds to a variable, one synapse after the other, without zeros."""
    weights = np.broadcast_to(np.asarray(bundle.weights[variable]), bundle.i.shape)
    rows = zip(bundle.i.tolist(), bundle.j.tolist(), weights.tolist(), strict=True)
    return sorted((row for row in rows if row[2]), key=lambda row: row[:2])


def test_all_that_a_pulse_moves_is_one_group_with_two_delays():
    wires = code_pulses("inputs", "chip", PRE, POST, CODES, WIDTH)
    assert len(wires) > 3
    (bundle,) = bundled(wires)
    assert list(bundle.weights) == [wire.variable for wire in wires]
    assert bundle.delays == (0 * nsecond, WIDTH)
    assert by_pair(bundle, "up") == [(0, 0, 7), (0, 1, 5), (2, 3, 2)]
    assert by_pair(bundle, "down") == [(0, 1, 3), (2, 1, 1)]
    assert len(by_pair(bundle, "mirrors")) == 5
    assert len(by_pair(bundle, "active")) == 6


def test_a_bundle_adds_what_its_connections_add_in_the_same_order():
    draw = np.random.default_rng(20261130)
    i, j = draw.integers(0, 3, 41), draw.integers(0, 2, 41)
    weights = draw.normal(size=41)
    all_of_them = wire("active", i, j)
    kept = draw.uniform(size=41) < 0.6
    some = wire("up", i[kept], j[kept], weights[kept] * nA)
    (bundle,) = bundled([some, all_of_them])
    (alone,) = bundled([some])
    assert by_pair(bundle, "up") == by_pair(alone, "up")
    assert bundle.weights["active"] == 1.0
    assert isinstance(bundle.weights["up"], Quantity)


def test_domains_are_bundled_apart():
    wires = code_pulses("inputs", "chip", PRE, POST, CODES, WIDTH, "soma")
    wires += code_pulses("inputs", "chip", PRE[:4] + 1, POST[:4], CODES[:4], WIDTH, "tuft")
    first, second = bundled(wires)
    assert {"up_soma", "active"} < set(first.weights)
    assert {"up_tuft", "active"} < set(second.weights)


@pytest.mark.parametrize(
    "other",
    [
        wire("up"),
        wire("down", delay=3 * nsecond),
        wire("down", width=WIDTH),
        wire("down", i=PRE[:5] + 1, j=POST[:5]),
        wire("down", i=[0, 0], j=[0, 0]),
        replace(wire("down"), source="others"),
        replace(wire("down"), target="others"),
    ],
    ids=["variable", "delay", "pulse", "pairs", "more of a pair", "source", "target"],
)
def test_what_differs_in_more_than_its_variable_stays_apart(other):
    assert len(list(bundled([wire("up"), other]))) == 2
    assert len(list(bundled([wire("up"), wire("down")]))) == 1


def test_genn_has_one_variable_and_one_delay_for_a_group():
    empty = wire("down", i=[], j=[], weight=[])
    rise, fall = single([wire("up", weight=2.3, width=WIDTH, delay=7 * nsecond), empty])
    assert (rise.weights, fall.weights) == ({"up": 2.3}, {"up": -2.3})
    assert np.asarray([*rise.delays, *fall.delays]) == pytest.approx([7e-9, 107e-9])
    assert len(list(bundled([empty, wire("up")]))) == 1


def test_bundled_circuits_have_the_same_spikes_and_membranes_to_the_last_bit(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")
    draw = np.random.default_rng(20261130)
    slot, neuron = np.nonzero(draw.uniform(size=(90, 3)) < 0.4)
    experiment = Experiment(
        populations=[
            Population("chip", CircuitNeuron(), 4, {"vdd": [0.61, 0.73, 0.88, 0.97] * volt})
        ],
        sources=[Spikes("inputs", 3, neuron, (slot * 110 + neuron * 10) * nsecond)],
        connections=code_pulses("inputs", "chip", PRE, POST, CODES, WIDTH),
        traces=[Trace("chip", ["v"], np.arange(4))],
        duration=10 * usecond,
        dt=10 * nsecond,
    )
    one = simulate(experiment)
    monkeypatch.setattr(simulation, "bundled", single)
    many = simulate(experiment)
    assert one.spikes["chip"].counts().sum() > 5
    np.testing.assert_array_equal(one.spikes["chip"].times, many.spikes["chip"].times)
    first, second = (r.signals["chip"]["v"].values / mV for r in (one, many))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
    for total in ("energy", "clocks"):
        np.testing.assert_array_equal(one.totals["chip"][total], many.totals["chip"][total])
