from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from brian2 import (
    Quantity,
    amp,
    defaultclock,
    get_device,
    ms,
    mV,
    nA,
    nsecond,
    prefs,
    second,
    set_device,
    umolar,
    usecond,
    volt,
)
from brian2.devices.device import reset_device

from neuromod.chip.pulses import code_pulses
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor

DT = 0.1 * ms
QUIET = GainLIF(receptors=(), v_th=50 * mV)


def spikes_at(steps, name="inputs"):
    return Spikes(name, 1, np.zeros(len(steps), int), np.array(steps) * DT)


def lone(values, steps=40, model=QUIET, size=2):
    return Experiment(
        populations=(Population("cell", model, size, values),),
        traces=(Trace("cell", ("v",), np.arange(size)),),
        duration=steps * DT,
        dt=DT,
        seed=3,
    )


def test_an_unknown_device_is_refused_with_the_ones_that_exist():
    with pytest.raises(UserError, match="did you mean cython"):
        simulate(lone({}), "cithon")


@cache
def delayed():
    """One spike at step 5 through delays of 0, 3 and 17 steps; what fires passes it on."""
    into = [
        Connection(
            "inputs",
            "cell",
            "I_syn",
            i=np.array([0]),
            j=np.array([to]),
            weight=1.7 * nA,
            delay=delay * DT,
        )
        for to, delay in ((0, 0), (1, 3), (2, 17))
    ]
    on = Connection(
        "relay", "cell", "I_syn", i=np.array([0]), j=np.array([3]), weight=1.7 * nA, delay=4 * DT
    )
    start = Connection(
        "inputs", "relay", "I_syn", i=np.array([0]), j=np.array([0]), weight=1e6 * nA
    )
    return simulate(
        Experiment(
            populations=(
                Population("cell", QUIET, 4),
                Population("relay", GainLIF(receptors=()), 1),
            ),
            sources=(spikes_at([5]),),
            connections=(*into, on, start),
            traces=(Trace("cell", ("v", "I_syn"), np.arange(4)),),
            duration=40 * DT,
            dt=DT,
            seed=3,
        )
    )


@pytest.mark.parametrize(("neuron", "delay"), [(0, 0), (1, 3), (2, 17)])
def test_a_spike_acts_in_the_step_after_its_own_and_its_delay(neuron, delay):
    v = np.asarray(delayed().trace("cell", "v", neuron) / volt)
    current = np.asarray(delayed().trace("cell", "I_syn", neuron) / nA)
    # Samples show the start of a step: what acts in step n is seen from sample n + 1 on.
    acts = 5 + 1 + delay
    np.testing.assert_array_equal(v[: acts + 1], -0.07)
    assert v[acts + 1] > -0.07
    assert not current[: acts + 1].any()
    assert current[acts + 1] == pytest.approx(1.7 * np.exp(-0.1 / 2), rel=1e-12)


def test_delays_shift_and_change_nothing_else():
    v = np.asarray(delayed().signals["cell"]["v"].values)
    np.testing.assert_array_equal(v[0, 6:20], v[1, 9:23])
    np.testing.assert_array_equal(v[0, 6:20], v[2, 23:37])


def test_a_cell_that_fires_passes_its_spike_on_by_the_same_rule():
    assert delayed().spikes["relay"].times[0] == 6 * DT
    v = np.asarray(delayed().signals["cell"]["v"].values)
    np.testing.assert_array_equal(v[0, 6:20], v[3, 11:25])


def test_a_cell_that_reaches_threshold_is_reset_at_the_end_of_the_step():
    recording = simulate(lone({"I_ext": [3.1, 0] * nA}, 80, GainLIF(receptors=())))
    v = np.asarray(recording.trace("cell", "v", 0) / volt)
    first = int(np.round(recording.spikes["cell"].times[0] / DT))
    charged = -0.07 + 0.124 * -np.expm1(-np.arange(first + 1) * 1e-4 / 0.02)
    np.testing.assert_allclose(v[: first + 1], charged, rtol=1e-12)
    assert charged[-1] < -0.05 < -0.07 + 0.124 * -np.expm1(-(first + 1) * 1e-4 / 0.02)
    np.testing.assert_array_equal(v[first + 1 : first + 21], -0.07)
    assert v[first + 21] > -0.07


def test_values_of_single_neurons_override_a_models_constants():
    start = np.array([-61.3, -75.2, -66.6]) * mV
    tau, rest = np.array([7.1, 19.3, 42.0]), np.array([-0.072, -0.068, -0.07])
    values = {"v": start, "tau_m": tau * ms, "v_rest": rest * volt}
    recording = simulate(lone(values, model=GainLIF(receptors=()), size=3))
    v = np.asarray(recording.signals["cell"]["v"].values)
    elapsed = np.arange(40) * 0.1
    decay = np.exp(-elapsed / tau[:, None])
    expected = rest[:, None] + (np.asarray(start)[:, None] - rest[:, None]) * decay
    np.testing.assert_allclose(v, expected, rtol=1e-12)


def test_one_value_of_a_population_overrides_a_models_constant_for_all():
    recording = simulate(lone({"v": -60.7 * mV, "tau_m": 3.3 * ms}))
    v = np.asarray(recording.signals["cell"]["v"].values) + 0.07
    np.testing.assert_allclose(v, np.tile(0.0093 * np.exp(-np.arange(40) / 33), (2, 1)), rtol=1e-9)


def test_single_neurons_can_be_refractory_for_longer():
    values = {"t_ref": [1.2, 30.7] * ms, "I_ext": 2 * nA}
    counts = simulate(lone(values, 900, GainLIF(receptors=()))).spikes["cell"].counts()
    # Charging to 20 of 80 mV takes 58 steps: spikes at 57 + 69 n and at 57 + 364 n of 900 steps.
    assert counts.tolist() == [13, 3]


def test_a_variable_of_a_population_is_traced_once_for_several_neurons():
    with pytest.raises(UserError, match="traced twice"):
        Experiment(
            populations=(Population("cell", QUIET, 2),),
            traces=tuple(Trace("cell", ("v",), np.array([neuron])) for neuron in (0, 1)),
            duration=4 * DT,
            dt=DT,
            seed=3,
        )


@pytest.mark.parametrize("variable", ["V", "I_sym"])
def test_an_unknown_variable_is_told_with_the_nearest(variable):
    cell = (Population("cell", QUIET, 2),)
    none = np.zeros(1, int)
    for connections, traces in (
        ((), (Trace("cell", (variable,), none),)),
        ((Connection("cell", "cell", variable, i=none, j=none, weight=1),), ()),
    ):
        with pytest.raises(UserError, match=f"no variable of cell named '{variable}'"):
            simulate(
                Experiment(
                    populations=cell,
                    connections=connections,
                    traces=traces,
                    duration=4 * DT,
                    dt=DT,
                    seed=3,
                )
            )


def test_values_of_single_neurons_are_checked_like_the_model_s():
    with pytest.raises(UserError, match="needs 2 values, not 3"):
        Population("cell", QUIET, 2, {"v": [-70, -71, -72] * mV})
    with pytest.raises(UserError, match="tau_m"):
        Population("cell", QUIET, 2, {"tau_m": [10, -1] * ms})


def test_a_recording_says_where_it_comes_from_and_how_long_it_is():
    recording = simulate(lone({}, steps=33))
    assert recording.provenance["device"] == "cython"
    assert recording.provenance["seed"] == 3
    assert recording.provenance["wall_s"] > 0
    assert recording.duration == 33 * DT
    assert recording.dt == DT
    assert recording.trace("cell", "v", 1).shape == (33,)
    np.testing.assert_allclose(np.asarray(recording.times / ms), np.arange(33) * 0.1)


def test_the_same_experiment_gives_the_same_recording_again():
    cells = lone({"I_ext": [0.83, 1.21] * nA}, 900, GainLIF(receptors=()))
    first, second_time = (simulate(cells) for _ in range(2))
    np.testing.assert_array_equal(
        first.signals["cell"]["v"].values, second_time.signals["cell"]["v"].values
    )
    np.testing.assert_array_equal(first.spikes["cell"].times, second_time.spikes["cell"].times)


def test_spikes_come_in_order_of_time_then_neuron():
    current = np.array([1.3, 0.9, 1.3, 2.2]) * nA
    spikes = simulate(lone({"I_ext": current}, 900, GainLIF(receptors=()), 4)).spikes["cell"]
    order = np.lexsort((spikes.neurons, spikes.times))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    assert (spikes.counts() > 0).all()
    assert spikes.counts()[0] == spikes.counts()[2]


def test_inputs_after_the_end_are_as_if_there_were_none():
    def kicked(steps):
        inputs = spikes_at(steps)
        wire = Connection(
            "inputs", "cell", "v", i=np.zeros(1, int), j=np.zeros(1, int), weight=3 * mV
        )
        return replace(lone({}), sources=(inputs,), connections=(wire,))

    within = simulate(kicked([7])).signals["cell"]["v"].values
    beyond = simulate(kicked([7, 40, 41, 42, 45])).signals["cell"]["v"].values
    assert np.ptp(within) > 1 * mV
    np.testing.assert_array_equal(within, beyond)


def test_connections_without_synapses_change_nothing():
    nothing = np.array([], dtype=int)
    connected = Experiment(
        populations=(Population("cell", QUIET, 2, {"v": -61.3 * mV}),),
        sources=(spikes_at([2]),),
        connections=(
            Connection("inputs", "cell", "I_syn", i=nothing, j=nothing, weight=nothing * nA),
        ),
        traces=(Trace("cell", ("v",), np.arange(2)),),
        duration=40 * DT,
        dt=DT,
        seed=3,
    )
    np.testing.assert_array_equal(
        simulate(connected).signals["cell"]["v"].values,
        simulate(lone({"v": -61.3 * mV})).signals["cell"]["v"].values,
    )


@pytest.fixture
def callers_own():
    """Preferences and a time step that nothing in the package uses."""
    before = prefs["core.network.default_schedule"], prefs["codegen.target"]
    prefs["core.network.default_schedule"] = [
        "start",
        "groups",
        "thresholds",
        "synapses",
        "resets",
        "end",
    ]
    prefs["codegen.target"] = "numpy"
    defaultclock.dt = 0.37 * ms
    state = callers_state()
    yield state
    prefs["core.network.default_schedule"], prefs["codegen.target"] = before
    defaultclock.dt = 0.1 * ms


def callers_state():
    return (
        tuple(prefs["core.network.default_schedule"]),
        prefs["codegen.target"],
        prefs.get("core.stop_on_keyboard_interrupt"),
        float(defaultclock.dt),
        get_device(),
    )


def test_a_run_leaves_the_callers_preferences_and_device_alone(callers_own):
    simulate(lone({}))
    assert callers_state() == callers_own


@pytest.mark.parametrize("device", ["cython", "cpp"])
def test_a_run_that_fails_leaves_the_callers_preferences_and_device_alone(callers_own, device):
    with pytest.raises(Exception, match="v_rset"):
        simulate(lone({"v_rset": -60 * mV}), device)
    assert callers_state() == callers_own
    simulate(lone({}))


def test_a_value_for_a_name_that_the_model_lacks_is_told_as_a_users_mistake():
    with pytest.raises(UserError):
        simulate(lone({"v_rset": -60 * mV}))


def test_a_callers_standalone_device_is_active_again_after_a_run(tmp_path):
    set_device("cpp_standalone", directory=str(tmp_path), build_on_run=False)
    own = get_device()
    defaultclock.dt = 0.37 * ms
    try:
        simulate(lone({}))
        assert get_device() is own
        assert defaultclock.dt == 0.37 * ms
    finally:
        own.reinit()
        reset_device()
    defaultclock.dt = 0.1 * ms


CHIP_DT = 10 * nsecond
SCALED = GainLIF(
    tau_m=20 * usecond,
    t_ref=0.1 * usecond,
    tau_syn=0.3 * usecond,
    receptors=(
        Receptor(k_on=7e5 / (umolar * second), k_off=3e5 / second, tau_messenger=0.8 * usecond),
    ),
)


@cache
def both_models(device):
    """Random spikes to circuit neurons at several supplies and on to modulated cells."""
    draw = np.random.default_rng(11)
    # Pulses last 10 steps and must not overlap.
    steps = 15 * np.arange(60) + draw.integers(0, 6, 60)
    inputs = Spikes("inputs", 6, draw.integers(0, 6, 60), steps * CHIP_DT)
    i, j = (side.ravel() for side in np.indices((6, 5)))
    codes = draw.integers(-3, 8, len(i))
    vdd = draw.uniform(0.6, 1, 5) * volt
    conc = draw.uniform(0, 4, 3) * umolar
    onward_i, onward_j = (side.ravel() for side in np.indices((5, 3)))
    onward = draw.uniform(2, 9, len(onward_i)) * nA
    return simulate(
        Experiment(
            populations=(
                Population("chip", CircuitNeuron(leak="symmetric"), 5, {"vdd": vdd}),
                Population("cell", SCALED, 3, {"conc_modulator": conc, "occupancy_generic": 0.13}),
            ),
            sources=(inputs,),
            connections=(
                *code_pulses("inputs", "chip", i, j, codes, 10 * CHIP_DT),
                Connection(
                    "chip",
                    "cell",
                    "I_syn",
                    i=onward_i,
                    j=onward_j,
                    weight=onward,
                    delay=7 * CHIP_DT,
                ),
            ),
            traces=(
                Trace("chip", ("v",), np.arange(5)),
                Trace("cell", ("v", "gain", "I_syn"), np.array([2, 0])),
            ),
            duration=1500 * CHIP_DT,
            dt=CHIP_DT,
            seed=11,
        ),
        device,
    )


def assert_same(a, b):
    for name in ("chip", "cell"):
        assert len(a.spikes[name].neurons) > 3
        np.testing.assert_array_equal(a.spikes[name].neurons, b.spikes[name].neurons)
        np.testing.assert_array_equal(
            np.round(np.asarray(a.spikes[name].times / CHIP_DT)),
            np.round(np.asarray(b.spikes[name].times / CHIP_DT)),
        )
        for variable, signal in a.signals[name].items():
            other = b.signals[name][variable]
            np.testing.assert_array_equal(signal.neurons, other.neurons)
            assert signal.values.dim == other.values.dim
            np.testing.assert_allclose(
                np.asarray(signal.values), np.asarray(other.values), rtol=1e-9, atol=1e-25
            )


@pytest.mark.slow
def test_the_runtime_and_cpp_give_the_same_spikes_and_traces():
    assert_same(both_models("cython"), both_models("cpp"))
    assert both_models("cpp").provenance["device"] == "cpp"


@pytest.mark.slow
def test_several_cpp_runs_in_one_process_are_independent_and_leave_no_device(callers_own):
    both_models("cpp")
    cells = lone({"v": [-61.3, -77.2] * mV})
    np.testing.assert_allclose(
        simulate(cells, "cpp").signals["cell"]["v"].values,
        simulate(cells).signals["cell"]["v"].values,
        rtol=1e-12,
    )
    assert callers_state() == callers_own


@pytest.mark.parametrize("device", ["cython", pytest.param("cpp", marks=pytest.mark.slow)])
def test_a_trace_with_an_interval_has_the_samples_of_those_steps_and_changes_no_spike(device):
    driven = {"I_ext": [0.83, 1.27] * nA}
    every = lone(driven, steps=503, model=GainLIF(receptors=()))
    seldom = Trace("cell", ("v",), np.arange(2), 7 * DT), Trace("cell", ("gain",), [1], 11 * DT)
    whole, sparse = simulate(every), simulate(replace(every, traces=seldom), device)
    assert len(whole.spikes["cell"].neurons) > 5
    np.testing.assert_array_equal(sparse.spikes["cell"].times, whole.spikes["cell"].times)
    np.testing.assert_allclose(
        sparse.signals["cell"]["v"].values, whole.signals["cell"]["v"].values[:, ::7], rtol=1e-12
    )
    np.testing.assert_array_equal(sparse.times_of("cell", "v"), whole.times[::7])
    assert len(sparse.times_of("cell", "gain")) == sparse.signals["cell"]["gain"].values.shape[1]


def test_traces_have_the_unit_of_their_variable():
    cells = Experiment(
        populations=(Population("cell", GainLIF(), 1),),
        traces=(Trace("cell", ("v", "I_syn", "gain"), np.array([0])),),
        duration=4 * DT,
        dt=DT,
        seed=3,
    )
    signals = simulate(cells).signals["cell"]
    assert signals["v"].values.dim == volt.dim
    assert signals["I_syn"].values.dim == amp.dim
    assert np.asarray(signals["gain"].values).tolist() == [[1, 1, 1, 1]]
    assert isinstance(signals["v"].values, Quantity)
