from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms, nA

from neuromod.agreement.suite import allowed, compare, feeds_back, small
from neuromod.errors import UnsupportedError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.models.gain_lif import GainLIF


def wired(*wires):
    """Two populations of three cells, with synapses as (source, target, i, j)."""
    cells = [Population(name, GainLIF(receptors=()), 3) for name in ("first", "second")]
    connections = [
        Connection(source, target, "I_syn", i=np.array([i]), j=np.array([j]), weight=1 * nA)
        for source, target, i, j in wires
    ]
    outside = Spikes("outside", 3, np.array([0]), [1] * ms)
    return Experiment(
        populations=cells,
        connections=connections,
        sources=[outside],
        duration=3 * ms,
        dt=0.1 * ms,
        seed=1,
    )


@pytest.mark.parametrize(
    "wires",
    [
        [("first", "first", 1, 1)],
        [("first", "first", 0, 2), ("first", "first", 2, 0)],
        [("first", "second", 0, 1), ("second", "first", 1, 0)],
    ],
)
def test_neurons_that_reach_themselves_feed_back(wires):
    assert feeds_back(wired(*wires))


@pytest.mark.parametrize(
    "wires",
    [
        [],
        [("outside", "first", 0, 0), ("outside", "second", 0, 0)],
        [("first", "first", 0, 1), ("first", "first", 1, 2)],
        # Between the same populations, but through other neurons.
        [("first", "second", 0, 1), ("second", "first", 2, 0)],
    ],
)
def test_neurons_that_never_reach_themselves_do_not(wires):
    assert not feeds_back(wired(*wires))


def test_synapses_that_learn_feed_back():
    assert feeds_back(next(iter(small("reward-learning").values())))


def test_only_a_gpu_and_single_precision_may_move_spikes():
    chain = wired(("first", "second", 0, 1))
    loop = wired(("first", "first", 1, 1))
    for device in ("cpp", "genn-cpu"):
        assert allowed(chain, device, "double") == allowed(loop, device, "double") == 0
        assert 0 < allowed(chain, device, "single") < allowed(loop, device, "single")
    assert 0 < allowed(chain, "genn", "double") < allowed(loop, "genn", "double")


def test_a_device_that_does_the_same_agrees(pretended):
    pretended()
    rows = list(compare("gain-curve", "cpp"))
    assert [row.precision for row in rows] == ["double", "single"]
    assert all(row.outcome == "agrees" and row.spikes > 100 for row in rows)


def late_by(steps, every):
    """Delay every so many spikes."""

    def change(recording, experiment, precision):  # noqa: ARG001
        spikes = {}
        for name, own in recording.spikes.items():
            times = own.times.copy()
            times[every - 1 :: every] += steps * experiment.dt
            order = np.argsort(np.asarray(times), kind="stable")
            spikes[name] = replace(own, neurons=own.neurons[order], times=times[order])
        return replace(recording, spikes=spikes)

    return change


def test_one_spike_too_late_is_too_much_but_on_a_gpu(pretended):
    pretended(late_by(1, every=150))
    rows = {row.precision: row for row in compare("gain-curve", "cpp")}
    assert rows["double"].moved == 1
    assert {name: row.outcome for name, row in rows.items()} == {
        "double": "differs",
        "single": "agrees",
    }
    assert all(row.outcome == "agrees" for row in compare("gain-curve", "genn"))


def test_many_spikes_too_late_are_too_many_everywhere(pretended):
    pretended(late_by(2, every=7))
    assert all(row.outcome == "differs" for row in compare("gain-curve", "genn"))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(UnsupportedError("no such\nthing"), "refused"), (RuntimeError("it broke\nhere"), "failed")],
)
def test_what_cannot_run_says_why(pretended, error, outcome):
    def change(*_):
        raise error

    pretended(change)
    row = next(compare("gain-curve", "genn"))
    assert row.outcome == outcome
    assert row.why.startswith(("no such", "it broke"))


def test_a_protocol_that_cannot_be_used_here_is_left_out(pretended, guest):
    guest("crooked", "raise OSError('no licence')")
    pretended()
    (row,) = compare("crooked", "cpp")
    assert row.outcome == "left out"
    assert "no licence" in row.why


def test_a_protocol_without_a_small_size_is_none_of_it(tiny, pretended):  # noqa: ARG001
    pretended()
    assert list(compare("tiny", "cpp")) == []
