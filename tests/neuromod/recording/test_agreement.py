import numpy as np
import pytest
from brian2 import ms, mV

from neuromod.experiment import Spikes
from neuromod.recording import Recording, Signal
from neuromod.recording.agreement import agreement, lone_spikes, parting

DT = 0.1 * ms
STEPS = 23


def recording(*spikes, v=None, every=None):
    """Three cells with spikes as (step, neuron), and the membrane of one of them."""
    steps, neurons = np.array(sorted(spikes), dtype=int).reshape(-1, 2).T
    signals = {} if v is None else {"cells": {"v": Signal(np.array([1]), v * mV, every)}}
    return Recording({"cells": Spikes("cells", 3, neurons, steps * DT)}, signals, STEPS * DT, DT)


def ramp():
    return np.linspace(-70, -50, STEPS)[np.newaxis]


def test_a_recording_agrees_with_itself():
    one = recording((3, 0), (7, 1), (7, 2), v=ramp())
    found = agreement(one, one)
    assert (found.spikes, found.moved, found.missing, found.extra) == (3, 0, 0, 0)
    assert (found.differing, found.trace) == (0, 0)
    assert parting(one, one) is None


def test_silence_agrees_with_silence():
    assert agreement(recording(), recording()).differing == 0


def test_a_spike_in_another_step_has_moved():
    found = agreement(recording((3, 0), (7, 1)), recording((4, 0), (7, 1)))
    assert (found.moved, found.missing, found.extra) == (1, 0, 0)
    # Two of four spikes have no partner.
    assert found.differing == pytest.approx(0.5)


def test_spikes_of_other_cells_are_missing_and_extra():
    found = agreement(recording((3, 0), (5, 0), (7, 1)), recording((3, 0), (7, 2), (9, 2)))
    assert (found.moved, found.missing, found.extra) == (0, 2, 2)


def test_nothing_in_common_is_all_of_it():
    assert agreement(recording((3, 0)), recording((3, 1))).differing == 1


def test_lone_spikes_are_steps_and_neurons_in_order_of_time():
    one, other = recording((3, 2), (11, 0)), recording((3, 2), (4, 1), (2, 2))
    only, beyond = lone_spikes(one.spikes["cells"], other.spikes["cells"], DT)
    assert only.tolist() == [[11, 0]]
    assert beyond.tolist() == [[2, 2], [4, 1]]


def test_recordings_part_at_the_first_spike_that_differs():
    assert parting(recording((3, 0), (7, 1)), recording((3, 0), (7, 2))) == 7


def test_a_deviation_is_a_share_of_the_range_of_the_trace():
    off = ramp()
    off[0, 5] += 0.03
    assert agreement(recording(v=ramp()), recording(v=off)).trace == pytest.approx(0.03 / 20)


def test_traces_count_until_spikes_part():
    """The sample in the step of a spike is from before it."""
    off = ramp()
    off[0, 8:] += 7
    before, after = recording((7, 1), v=ramp()), recording((9, 1), v=off)
    assert agreement(before, after).trace == 0
    off[0, 7] += 0.01
    assert agreement(before, recording((9, 1), v=off)).trace == pytest.approx(0.01 / 20)


def test_traces_that_skip_steps_count_until_the_same_time():
    off = ramp()[:, ::5].copy()
    off[0, 2:] += 7
    sampled = [recording(*s, v=v, every=5 * DT) for s, v in (([], ramp()[:, ::5]), ([], off))]
    assert agreement(*sampled).trace > 0.3
    first, second = recording((9, 1), v=ramp()[:, ::5], every=5 * DT), sampled[1]
    assert agreement(first, second).trace == 0


def test_what_is_no_number_agrees_with_nothing():
    off = ramp()
    off[0, 5] = np.nan
    assert agreement(recording(v=ramp()), recording(v=off)).trace == np.inf
