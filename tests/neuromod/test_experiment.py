import numpy as np
import pytest
from brian2 import Mohm, Quantity, ms, mV, nA, nS, nsecond, pA, second, umolar
from hypothesis import given, settings, strategies as st

from neuromod.checks import steps_in
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Input, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor

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


def connection(
    i=(0, 1), j=(3, 2), source="inputs", target="cells", variable="I_syn", weight=1.3 * nA, **more
):
    return Connection(source, target, variable, i=i, j=j, weight=weight, **more)


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
    weights = [0.7, -1.1] * nA
    pulse = connection(i=(1, 0), j=(2, 3), weight=weights, width=0.4 * ms, delay=1.2 * ms)
    (rise, start), (fall, end) = pulse.edges
    assert [float(start / ms), float(end / ms)] == pytest.approx([1.2, 1.6])
    np.testing.assert_array_equal(rise, [-1.1, 0.7] * nA)
    np.testing.assert_array_equal(rise + fall, 0 * nA)


def test_a_weight_without_a_width_stays():
    ((weight, delay),) = connection(delay=0.3 * ms).edges
    assert (weight, delay) == (1.3 * nA, 0.3 * ms)


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
        ({"connections": (connection(i=(0, 2)),)}, "inputs has indices 0 to 1, not 2"),
        ({"connections": (connection(j=(4, 0)),)}, "cells has indices 0 to 3, not 4"),
        ({"connections": (connection(j=(-1, 0)),)}, "cells has indices 0 to 3, not -1"),
        ({"connections": (connection(source="input"),)}, "did you mean inputs"),
        ({"connections": (connection(target="cell"),)}, "did you mean cells"),
        ({"traces": (Trace("cell", ("v",), np.array([0])),)}, "did you mean cells"),
        ({"traces": (Trace("cells", ("v",), np.array([1, 4])),)}, "cells has indices 0 to 3"),
        ({"traces": (Trace("cells", "V", [0]),)}, "no variable of cells named 'V'.*did you mean v"),
        ({"traces": (Trace("cells", "v", [0]), Trace("cells", "v", [1]))}, "traced twice"),
        ({"traces": (Trace("cells", "v", [0], 0.25 * ms),)}, r"every of .* = 0\.25 ms .*whole"),
        ({"traces": (Trace("cells", "v", [0], 0 * ms),)}, r"every of .* step of 0\.1 ms at least"),
        ({"traces": (Trace("cells", "v", [0], 2 * mV),)}, "every .* must be a time"),
        ({"populations": (CELLS, CELLS)}, "needs its own name"),
        ({"sources": (INPUTS, Spikes("cells", 1, np.array([0]), [0] * ms))}, "needs its own name"),
        ({"connections": (connection(variable="I_sin"),)}, "variable of cells .* did you mean"),
        (
            {"connections": (connection(weight=1.3 * mV),)},
            "weight onto I_syn of cells has the wrong unit: a value in amp was expected, not",
        ),
        ({"connections": (connection(weight=1.3),)}, "I_syn of cells has the wrong unit"),
        ({"connections": (connection(width=0.25 * ms),)}, "width = 0.25 ms must be a whole number"),
        ({"connections": (connection(width=0 * ms),)}, "must last a time step"),
        ({"populations": (Population("cells", GainLIF(t_ref=2.09 * ms), 4),)}, "t_ref of cells"),
        (
            {"populations": (Population("cells", GainLIF(), 2, {"t_ref": [2, 2.09] * ms}),)},
            r"t_ref of cells = 2\.09 ms must be a whole number of time steps of",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        experiment(**arguments)


def test_more_weights_than_synapses_are_refused():
    with pytest.raises(UserError):
        connection(weight=[1, 2, 3] * nA)


@pytest.mark.parametrize(
    "arguments",
    [
        {"duration": -3.1 * ms},
        {"duration": 3},
        {"dt": 0 * ms},
        {"connections": (connection(delay=-0.2 * ms),)},
        {"sources": (Spikes("inputs", 2, np.array([1]), [0.35] * ms),)},
        {"sources": (Spikes("inputs", 2, np.array([1]), [-0.1] * ms),)},
    ],
)
def test_times_that_no_run_can_have_are_refused(arguments):
    with pytest.raises(UserError):
        experiment(**arguments)


def played(neurons, times):
    return experiment(sources=[Spikes("inputs", 3, np.array(neurons), times)])


@pytest.mark.parametrize(
    ("neurons", "times", "message"),
    [
        ([0, 1, 0], [0.3, np.nan, 0.7] * ms, "Times of inputs must be finite: value 1 is nan"),
        ([0, 1], [0.3, np.inf] * ms, "must be finite"),
        ([0, 1], [0.7, 0.3] * ms, "must be in order of time"),
        ([0, 1], [0.3] * ms, "need a time each: 2 neurons came with 1 times"),
        ([0, 1], [0.3, 0.7], "Times of inputs has the wrong unit"),
        ([0, 3], [0.3, 0.7] * ms, "indices 0 to 2, not 3"),
        ([True, False], [0.3, 0.7] * ms, "not a mask"),
        ([0.0, 1.0], [0.3, 0.7] * ms, "whole numbers as indices"),
        ([1, 2, 1], [0.3, 0.3, 0.3] * ms, "Neuron 1 of inputs spikes twice in the time step at"),
    ],
)
def test_spikes_that_no_source_can_fire_are_refused(neurons, times, message):
    with pytest.raises(UserError, match=message):
        played(neurons, times)


def test_neurons_may_fire_together_and_in_steps_that_follow():
    assert played([1, 2, 1], [0.3, 0.3, 0.4] * ms)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([False, False, True], "needs indices, not a mask of true and false: use numpy.flatnonz"),
        ([0.0, 2.0], "needs whole numbers as indices, not 0.0"),
        ([[0, 1]], "needs a list of indices, not an array of shape"),
        (2, "needs a list of indices"),
    ],
)
def test_what_is_no_list_of_indices_is_refused_wherever_neurons_are_named(indices, message):
    size = np.size(indices)
    for make in (
        lambda: Trace("cells", "v", indices),
        lambda: connection(i=indices, j=np.arange(size)),
        lambda: connection(i=np.arange(size), j=indices),
    ):
        with pytest.raises(UserError, match=message):
            make()


def test_no_neurons_at_all_are_a_list_too():
    assert Trace("cells", "v", []).neurons.dtype == int
    assert len(connection(i=[], j=[]).i) == 0


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_refused(weight):
    with pytest.raises(UserError, match="weight of a connection from inputs to cells must be fin"):
        connection(weight=[1.3, weight] * nA)


def test_pulses_of_one_source_must_not_overlap():
    sources = [Spikes("inputs", 2, np.array([0, 1, 0]), [0.3, 0.5, 0.7] * ms)]
    for width in (0.1 * ms, 0.4 * ms):
        assert experiment(sources=sources, connections=[connection(width=width)])
    with pytest.raises(UserError, match=r"overlap: neuron 0 of inputs spikes at 0\.3 ms and"):
        experiment(sources=sources, connections=[connection(width=0.5 * ms)])
    # Neuron 1 fires once, and nothing but it is connected.
    assert experiment(sources=sources, connections=[connection((1,), (2,), width=0.5 * ms)])


ADAPTING = GainLIF(b=3 * pA, tau_ahp=31 * ms)
CLOSER = GainLIF(receptors=(Receptor(g_K=-5 * nS),))


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (GainLIF(), {"I_ext": [0.1, np.nan, 0.3] * nA}, "I_ext of cells must be finite: value 1"),
        (GainLIF(), {"I_ext": np.inf * nA}, "I_ext of cells must be finite"),
        (GainLIF(), {"trained_gain": [1, np.nan, 1]}, "trained_gain of cells must be finite"),
        (GainLIF(), {"v": np.nan * mV}, "v of cells must be finite"),
        (GainLIF(), {"v": "rand()*mV"}, "v of cells needs real numbers, .*draw random ones"),
        (GainLIF(), {"I_ext": 0.3}, "I_ext of cells has the wrong unit: a value in amp was exp"),
        (GainLIF(), {"trained_gain": 1 * mV}, "trained_gain of cells has the wrong unit"),
        (GainLIF(), {"I_exd": 0.3 * nA}, "parameter or state of cells named 'I_exd': did you mean"),
        (GainLIF(), {"I_ext": [0.1, 0.2] * nA}, "I_ext of cells needs 3 values, not 2"),
        (GainLIF(), {"tau_m": [20, -3, 20] * ms}, "tau_m of cells = -3 ms is out of range"),
        (GainLIF(), {"conc_modulator": [0, 1, -1] * umolar}, "conc_modulator of cells .* range"),
        (GainLIF(), {"tau_m": [17, 2, 9] * ms}, r"tau_syn = .* must differ from tau_m.*neuron 1"),
        (GainLIF(), {"tau_syn": [3, 1, 20] * ms}, r"must differ from tau_m.*neuron 2"),
        (ADAPTING, {"tau_m": [31, 9, 7] * ms}, r"tau_ahp = .* must differ.*neuron 0"),
        (GainLIF(), {"v_reset": [-70, -49, -70] * mV}, r"v_reset = .* below v_th .*neuron 1"),
        (GainLIF(), {"v_th": [-50, -50, -71] * mV}, r"must lie below v_th .*neuron 2"),
        (CLOSER, {"R": [40, 210, 40] * Mohm}, r"negative g_K .* above -1/R.*neuron 1"),
        (CLOSER, {"g_K_generic": [-5, -5, -26] * nS}, r"negative g_K .* above -1/R.*neuron 2"),
    ],
)
def test_what_a_model_refuses_for_itself_it_refuses_for_single_neurons(model, values, message):
    with pytest.raises(UserError, match=message):
        Population("cells", model, 3, values)


def test_a_model_without_the_equation_has_no_rule_for_its_time_constant():
    pulsed = GainLIF(synapse="pulse")
    assert Population("cells", pulsed, 3, {"tau_m": [17, 2, 9] * ms})
    assert Population("cells", GainLIF(), 3, {"tau_m": [17, 31, 9] * ms})


def test_an_input_reaches_its_population_and_brings_its_spikes():
    source = Spikes("extra", 1, np.array([0]), [0.2] * ms)
    wire = connection((0,), (1,), source="extra")
    given = Input("cells", {"I_ext": 0.4 * nA}, sources=(source,), connections=(wire,))
    made = experiment().add(given)
    assert made.populations[0].values == {"I_ext": 0.4 * nA}
    assert made.sources == (INPUTS, source)
    assert made.connections == (wire,)


def test_inputs_share_a_source_and_agree_on_values_or_are_refused():
    shared = Input("cells", {"I_ext": 0.4 * nA}, sources=(INPUTS,))
    assert experiment().add(shared, shared).sources == (INPUTS,)
    with pytest.raises(UserError, match="Two inputs of cells give different values to I_ext"):
        experiment().add(shared, Input("cells", {"I_ext": 0.5 * nA}))
    other = Spikes("inputs", 2, np.array([0]), [0.3] * ms)
    with pytest.raises(UserError, match="Two sources of different spikes are named inputs"):
        experiment().add(Input("cells", sources=(other,)))
    with pytest.raises(UserError, match="did you mean cells"):
        experiment().add(Input("cell"))


def test_what_fits_is_accepted():
    made = experiment(
        connections=(connection(), connection(source="cells", i=(3, 0), delay=0.2 * ms)),
        traces=(Trace("cells", ("v",), np.array([], dtype=int)),),
    )
    assert made.duration == 3.1 * ms


def test_spikes_are_counted_neuron_by_neuron_silent_ones_too():
    spikes = Spikes("cells", 5, np.array([3, 0, 3, 3]), [1, 2, 3, 4] * ms)
    assert spikes.counts().tolist() == [1, 0, 0, 3, 0]
    assert Spikes("cells", 2, np.array([], dtype=int), [] * ms).counts().tolist() == [0, 0]


def test_delays_are_none_unless_given():
    assert connection().delay == 0 * second
    assert isinstance(connection().delay, Quantity)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 2, None, 4], dtype=object),
        np.array(["1", "2", "3", "4"]),
        np.array([True, False, True, True]),
        np.array([1.5, 2j, 3, 4]),
        np.ma.masked_invalid([1.3, np.nan, 2, 3]),
        None,
        "1.3",
        {1.3},
        [1.3, [2, 3], 4],
        [1.3 * ms, 2 * nA, 3 * ms, 4 * ms],
    ],
)
def test_what_is_no_real_number_is_refused(value):
    with pytest.raises(UserError, match="trained_gain of cells needs"):
        Population("cells", GainLIF(), 4, {"trained_gain": value})
    with pytest.raises(UserError, match="weight of a connection from inputs to cells needs"):
        connection(weight=value)


def test_lists_of_quantities_are_read_as_arrays():
    cells = Population("cells", GainLIF(), 2, {"tau_m": [13 * ms, 17 * ms]})
    np.testing.assert_array_equal(np.asarray(cells.values["tau_m"] / ms), [13, 17])
    wires = connection((1, 0), (2, 2), weight=[1.3 * nA, 0.7 * nA])
    np.testing.assert_allclose(np.asarray(wires.weight / nA), [0.7, 1.3])


@pytest.mark.parametrize("size", [0, -1, 2.0, None, "3", True, 2**40])
def test_a_number_of_neurons_is_whole_and_at_least_one(size):
    with pytest.raises(UserError, match="whole number of neurons, at least 1"):
        Population("cells", GainLIF(), size)
    with pytest.raises(UserError, match="whole number of neurons, at least 1"):
        Spikes("inputs", size, [], [] * ms)


@pytest.mark.parametrize("name", ["a b", "é", "c.d", "", None, 3])
def test_names_are_those_that_brian2_can_carry(name):
    with pytest.raises(UserError, match="letters, digits and underscores"):
        Population(name, GainLIF(), 1)


@pytest.mark.parametrize("model", ["gain-lif", None, GainLIF, Receptor()])
def test_what_is_no_neuron_is_refused(model):
    with pytest.raises(UserError, match=r"cells needs a neuron such as GainLIF\(\)"):
        Population("cells", model, 1)


def test_an_index_beyond_32_bits_is_refused_instead_of_wrapped():
    with pytest.raises(UserError, match="not 4294967296"):
        connection(i=[2**32], j=[0])


def test_what_is_computed_from_other_variables_takes_no_input():
    with pytest.raises(UserError, match="gain of cells is computed from other variables: add to"):
        experiment(connections=[connection(variable="gain", weight=1.3)])


@pytest.mark.parametrize(
    "wrong", [{"populations": Population("cells", GainLIF(), 4)}, {"sources": "inputs"}]
)
def test_parts_of_an_experiment_come_in_lists(wrong):
    with pytest.raises(UserError, match="needs a list of"):
        experiment(**wrong)


def test_pulses_of_a_population_that_overlapped_are_told_after_the_run():
    firing = Population("first", GainLIF(receptors=(), t_ref=0 * ms), 1, {"I_ext": 40 * nA})
    second = Population("second", GainLIF(receptors=()), 1)
    wire = connection((0,), (0,), source="first", target="second", width=30 * ms)
    made = Experiment(
        populations=[firing, second], connections=[wire], duration=50 * ms, dt=0.1 * ms
    )
    with pytest.raises(UserError, match="Pulses of 30 ms overlap: neuron 0 of first"):
        simulate(made)
