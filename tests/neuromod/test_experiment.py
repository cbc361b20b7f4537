import numpy as np
import pytest
from brian2 import Quantity, ms, mV, nA, nsecond, second, usecond
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import (
    Connection,
    Experiment,
    Population,
    Spikes,
    Trace,
    code_pulses,
    pulses,
)
from neuromod.models.gain_lif import GainLIF

CELLS = Population("cells", GainLIF(), 4)
INPUTS = Spikes("inputs", 2, np.array([0, 1]), [0.3, 0.7] * ms)


def experiment(connections=(), traces=(), populations=(CELLS,), sources=(INPUTS,), **times):
    times = {"duration": 3.1 * ms, "dt": 0.1 * ms} | times
    return Experiment(
        populations=populations,
        sources=sources,
        connections=connections,
        traces=traces,
        seed=3,
        **times,
    )


def connection(i=(0, 1), j=(3, 2), source="inputs", target="cells", **more):
    return Connection(
        source, target, "I_syn", i=np.array(i), j=np.array(j), weight=1.3 * nA, **more
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-9, 9)), max_size=40))
def test_sorting_keeps_every_synapses_weight(synapses):
    i, j = np.array([s[:2] for s in synapses], dtype=int).reshape(-1, 2).T
    made = Connection(
        "a", "b", "drive", i=i, j=j, weight=np.array([w for *_, w in synapses], dtype=int)
    )
    found = list(zip(made.i.tolist(), made.j.tolist(), made.weight.tolist(), strict=True))
    assert [f[:2] for f in found] == sorted(s[:2] for s in synapses)
    assert sorted(found) == sorted(synapses)


def test_one_weight_for_all_stays_one():
    made = Connection("a", "b", "I_syn", i=np.array([4, 1]), j=np.array([0, 2]), weight=1.3 * nA)
    assert np.ndim(made.weight) == 0
    assert made.i.tolist() == [1, 4]


def test_a_pulse_takes_away_what_it_added_after_its_width():
    weights = np.array([0.7, -1.1]) * nA
    rise, fall = pulses(
        "inputs", "cells", "I_syn", np.array([1, 0]), np.array([2, 3]), weights, 0.4 * ms, 1.2 * ms
    )
    assert [float(c.delay / ms) for c in (rise, fall)] == pytest.approx([1.2, 1.6])
    np.testing.assert_array_equal(rise.i, fall.i)
    np.testing.assert_array_equal(rise.j, fall.j)
    np.testing.assert_array_equal(rise.weight, [-1.1, 0.7] * nA)
    np.testing.assert_array_equal(rise.weight + fall.weight, 0 * nA)


def test_code_pulses_push_or_pull_by_their_codes_and_count_by_one():
    made = code_pulses(
        "inputs", "chip", np.array([0, 1, 2]), np.array([0, 0, 1]), np.array([5, -3, 0]),
        0.1 * usecond, "soma",
    )  # fmt: skip
    edges = {}
    for c in made:
        triples = zip(c.i.tolist(), c.j.tolist(), c.weight.tolist(), strict=True)
        edges.setdefault(c.variable, []).append((float(c.delay / usecond), list(triples)))
    assert edges == {
        "up_soma": [(0, [(0, 0, 5)]), (0.1, [(0, 0, -5)])],
        "down_soma": [(0, [(1, 0, 3)]), (0.1, [(1, 0, -3)])],
        "mirrors_soma": [(0, [(0, 0, 1), (1, 0, 1)]), (0.1, [(0, 0, -1), (1, 0, -1)])],
        "active": [
            (0, [(0, 0, 1), (1, 0, 1), (2, 1, 1)]),
            (0.1, [(0, 0, -1), (1, 0, -1), (2, 1, -1)]),
        ],
    }  # fmt: skip


@settings(deadline=None)
@given(st.integers(0, 10**7), st.floats(1e-9, 1))
def test_whole_numbers_of_steps_are_counted_whatever_the_step(steps, dt):
    assert steps_in("duration", steps * dt * second, dt * second) == steps


@settings(deadline=None)
@given(st.integers(0, 900), st.floats(0.001, 0.999))
def test_parts_of_steps_are_refused(steps, part):
    with pytest.raises(UserError, match="must be a whole number of time steps"):
        steps_in("duration", (steps + part) * 0.3 * ms, 0.3 * ms)


def test_half_a_step_is_refused_however_long_the_run():
    with pytest.raises(UserError):
        steps_in("duration", 700_000.5 * 10 * nsecond, 10 * nsecond)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": 3.14 * ms}, r"duration = 3\.14 ms must be a whole number of time steps"),
        ({"connections": (connection(delay=0.25 * ms),)}, "delay"),
        ({"connections": (connection(i=(0, 2)),)}, "inputs has neurons 0 to 1, not 2"),
        ({"connections": (connection(j=(4, 0)),)}, "cells has neurons 0 to 3, not 4"),
        ({"connections": (connection(j=(-1, 0)),)}, "cells has neurons 0 to 3"),
        ({"connections": (connection(source="input"),)}, "did you mean inputs"),
        ({"connections": (connection(target="cell"),)}, "did you mean cells"),
        ({"traces": (Trace("cell", ("v",), np.array([0])),)}, "did you mean cells"),
        ({"traces": (Trace("cells", ("v",), np.array([1, 4])),)}, "cells has neurons 0 to 3"),
        ({"populations": (CELLS, CELLS)}, "share a name"),
        ({"sources": (INPUTS, Spikes("cells", 1, np.array([0]), [0] * ms))}, "share a name"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        experiment(**arguments)


def test_the_refusal_of_a_negative_index_names_it():
    with pytest.raises(UserError, match="not -1"):
        experiment(connections=(connection(j=(-1, 2)),))


def test_more_weights_than_synapses_are_refused():
    with pytest.raises(UserError):
        Connection("a", "b", "I_syn", i=np.array([0, 1]), j=np.array([1, 0]), weight=[1, 2, 3] * nA)


@pytest.mark.parametrize(
    "arguments",
    [
        {"duration": -3.1 * ms},
        {"duration": 3},
        {"connections": (connection(delay=-0.2 * ms),)},
        {"sources": (Spikes("inputs", 2, np.array([2]), [0.3] * ms),)},
        {"sources": (Spikes("inputs", 2, np.array([1]), [0.35] * ms),)},
    ],
)
def test_times_and_spikes_that_no_run_can_have_are_refused(arguments):
    with pytest.raises(UserError):
        experiment(**arguments)


def test_what_fits_is_accepted():
    made = experiment(
        connections=(connection(), connection(source="cells", i=(3, 0), delay=0.2 * ms)),
        traces=(Trace("cells", ("v",), np.array([], dtype=int)),),
    )
    assert made.duration == 3.1 * ms


def test_spikes_are_counted_neuron_by_neuron_silent_ones_too():
    spikes = Spikes("cells", 5, np.array([3, 0, 3, 3]), [1, 2, 3, 4] * ms)
    assert spikes.counts().tolist() == [1, 0, 0, 3, 0]
    assert Spikes("cells", 2, np.array([], dtype=int), [] * mV).counts().tolist() == [0, 0]


def test_delays_are_none_unless_given():
    assert connection().delay == 0 * second
    assert isinstance(connection().delay, Quantity)
