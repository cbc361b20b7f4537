from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms, second

from neuromod.agreement.repetition import network, refer, repeat, side_by_side, tolerance
from neuromod.agreement.suite import feeds_back
from neuromod.devices.simulation import simulate
from neuromod.recording.agreement import parting


@pytest.fixture(scope="module")
def brief():
    return replace(network(110), duration=30 * ms)


def test_the_network_feeds_back_with_inhibition_and_delays(brief):
    assert feeds_back(brief)
    assert [np.sign(float(wire.weight)) for wire in brief.connections] == [1, -1]
    assert all(wire.delay > 0 * second for wire in brief.connections)


@pytest.mark.slow
def test_the_last_digit_of_single_precision_changes_its_course():
    """Otherwise its repetition would show nothing."""
    whole = network()
    assert parting(simulate(whole), simulate(whole, precision="single")) is not None


def test_copies_side_by_side_are_the_network(brief):
    """But for the start of one neuron each, and not before its first spikes."""
    alone, both = simulate(brief).spikes["cells"], simulate(side_by_side(brief, 2)).spikes["cells"]
    early = alone.times < 2 * ms
    for copy in (0, 1):
        own = (both.neurons // 110 == copy) & (both.times < 2 * ms)
        same = set(zip(both.neurons[own] % 110, np.asarray(both.times[own]), strict=True))
        expected = set(zip(alone.neurons[early], np.asarray(alone.times[early]), strict=True))
        assert {pair for pair in same ^ expected if pair[0] != copy} == set()


def test_a_wrong_device_is_seen_and_a_right_one_seldom_taken_for_it():
    """One more draw of the same distribution lies outside as often as is said."""
    draw = np.random.default_rng(3)
    outside = 0
    for _ in range(3000):
        *rates, more = draw.normal(23, 0.1, 11)
        lowest, highest = tolerance(tuple(rates), mistaken=0.1)
        outside += not lowest <= more <= highest
    # Three standard deviations of the count.
    assert abs(outside - 300) < 50


def test_a_device_that_repeats_itself_gives_one_set_of_trains(brief, pretended):
    pretended()
    found = repeat(refer(brief, 3), "genn", "double", 3)
    assert (found.runs, found.distinct, found.runs_part_at) == (3, 1, None)
    assert found.same_spikes
    assert found.rates_Hz == (found.reference_Hz,) * 3


def test_runs_that_part_are_counted_and_dated(brief, pretended):
    later = iter(range(9))

    def change(recording, experiment, precision):  # noqa: ARG001
        """Every run but the first loses its last spike."""
        spikes = recording.spikes["cells"]
        kept = slice(None, -1 if next(later) else None)
        less = replace(spikes, neurons=spikes.neurons[kept], times=spikes.times[kept])
        return replace(recording, spikes={"cells": less})

    pretended(change)
    found = repeat(refer(brief, 3), "genn", "double", 3)
    last = simulate(brief).spikes["cells"].times[-1]
    assert found.distinct == 2
    assert found.runs_part_at == round(float(last / brief.dt))
    assert found.reference_parts_at is None
    assert not found.same_spikes


def test_rates_beyond_those_of_copies_are_seen(brief, pretended):
    def change(recording, experiment, precision):  # noqa: ARG001
        spikes = recording.spikes["cells"]
        half = replace(spikes, neurons=spikes.neurons[::2], times=spikes.times[::2])
        return replace(recording, spikes={"cells": half})

    pretended(change)
    assert not repeat(refer(brief, 5), "genn", "single", 2).within
