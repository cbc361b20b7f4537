"""Stimuli follow their closed forms on every model, and devices agree on them spike for spike."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeMonitor,
    TimedArray,
    ms,
    mV,
    nA,
    nS,
    pA,
    pF,
    prefs,
    second,
    umolar,
)

from neuromod.devices.genn.limits import obstacles
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs import currents
from neuromod.models import AdEx, GainLIF, HodgkinHuxley, Izhikevich, library, modulate

DT = 0.1 * ms
LIF = GainLIF(receptors=())
MODELS = {
    "exact": LIF,
    "held cascade": GainLIF(receptors="D1"),
    "rk4": AdEx(),
    "exponential steps": HodgkinHuxley(),
    "Euler's": Izhikevich(),
}
CELLS = Population("cells", LIF, 3, {"I_ext": [0.1, 0.2, 0.3] * nA})


def simulated(*stimuli, cells=CELLS, steps=400, device="cython", traced=("I_ext",), dt=DT):
    made = Experiment(
        populations=[cells],
        traces=[Trace(cells.name, traced, np.arange(cells.size))],
        duration=steps * dt,
        dt=dt,
    )
    return simulate(made.add(*stimuli), device)


def current(recording):
    return np.asarray(recording.signals["cells"]["I_ext"].values / nA)


def seen(course, own=(0.1, 0.2, 0.3)):
    """What a trace shows of a course by time step: jumps act in a step and are seen after it."""
    return np.add.outer(own, course)


def test_steps_jump_and_stay_for_all_neurons_alike():
    made = currents.steps(CELLS, [0, 7, 31.3] * ms, [0.4, -0.7, 0] * nA, DT)
    k = np.arange(400)
    course = np.where(k <= 70, 0.4, np.where(k <= 313, -0.7, 0))
    np.testing.assert_allclose(current(simulated(made)), seen(course), atol=1e-12)


def test_every_neuron_may_have_steps_of_its_own_and_some_none():
    made = currents.steps(CELLS, [1, 3] * ms, [[0.5, -0.3], [1.1, 0.2]] * nA, DT, neurons=[2, 0])
    late = current(simulated(made, steps=50))[:, -1]
    np.testing.assert_allclose(late, [0.1 + 0.2, 0.2, 0.3 + 1.1], rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_ramp_is_a_line_under_every_method_of_integration(name):
    cells = Population("cells", MODELS[name], 2)
    made = currents.ramp(cells, 3.7 * ms, 21.2 * ms, [0.3, 0.9] * nA, DT)
    k = np.arange(400)
    rise = np.where(k <= 212, np.clip(k - 37, 0, None) / 175, 0)
    found = current(simulated(made, cells=cells))
    np.testing.assert_allclose(found, np.outer([0.3, 0.9], rise), atol=1e-13)


def test_a_recorded_current_is_met_at_its_samples_and_held_outside():
    times, values = np.array([2.05, 9, 11.73, 30.1]), np.array([0.2, -0.4, 0.9, 0.5])
    made = currents.recorded(CELLS, times * ms, values * nA, DT)
    found = current(simulated(made)) - np.array([[0.1], [0.2], [0.3]])
    k = np.arange(400)
    knots = np.array([20, 21, 90, 117, 118, 301])
    course = np.interp(k, knots, np.interp(knots / 10, times, values))
    np.testing.assert_allclose(found, [course] * 3, atol=1e-13)
    # Held at its first and last value.
    assert found[0, 3] == pytest.approx(0.2, abs=1e-12)
    assert found[0, -1] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("precision", "share"), [("double", 1e-6), ("single", 1e-4)])
def test_a_long_recording_does_not_drift_in_either_precision(precision, share):
    values = np.random.default_rng(13).normal(size=4000) * 0.2
    cells = Population("cells", LIF, 1)
    made = currents.recorded(cells, np.arange(4000) * DT, values * nA, DT)
    run = Experiment(
        populations=[cells], traces=[Trace("cells", "I_ext", [0])], duration=4000 * DT, dt=DT
    )
    found = current(simulate(run.add(made), precision=precision))[0]
    assert np.abs(found - values).max() < share * 0.2


def test_a_sinusoid_stays_within_a_thousandth_of_its_amplitude_and_ends_at_0():
    made = currents.sinusoid(
        CELLS, [0.3, 0.7, 1.1] * nA, [7, 11, 23] * Hz, 250 * ms, DT, phase=[0, 0.4, 1.3]
    )
    t = np.arange(2600) * 1e-4
    exact = np.array([[0.3], [0.7], [1.1]]) * np.sin(
        2 * np.pi * np.array([[7], [11], [23]]) * t + np.array([[0], [0.4], [1.3]])
    )
    exact[:, t > 0.25 + 1e-9] = 0
    found = current(simulated(made, steps=2600)) - np.array([[0.1], [0.2], [0.3]])
    # A line's greatest distance from a sine is (angle between knots)**2/8.
    bound = (2 * np.pi / 72) ** 2 / 8
    assert np.abs(found[2] - exact[2]).max() / 1.1 < bound
    assert np.abs(found[2] - exact[2]).max() / 1.1 > bound / 2
    assert np.abs(found[:2] - exact[:2]).max() / 0.7 < bound
    np.testing.assert_allclose(found[:, -50:], 0, atol=1e-12)


def test_noise_has_the_spread_and_the_correlation_of_an_ornstein_uhlenbeck_process():
    many = Population("cells", LIF, 400)
    draw = np.random.default_rng(29)
    interval, tau, length = 0.5, 3.7, 600
    made = currents.ornstein_uhlenbeck(
        many, 37 * pA, tau * ms, length * ms, DT, draw, interval=interval * ms
    )
    weights = np.zeros((int(length / interval) + 1, 400))
    wire = made.connections[0]
    weights[wire.i + 1, wire.j] = np.asarray(wire.weight / pA)
    weights[0] = np.asarray(made.values["I_ext"] / pA)
    x = np.cumsum(weights, axis=0)[:-1]
    # Some 600/(2*3.7) independent values of each of 400 neurons.
    assert x.std() == pytest.approx(37, rel=0.01)
    assert np.abs(x.mean(axis=0)).max() < 5 * 37 * np.sqrt(2 * tau / length)
    for lag in (1, 5, 11):
        correlation = (x[lag:] * x[:-lag]).mean() / 37**2
        assert correlation == pytest.approx(np.exp(-lag * interval / tau), abs=0.015)
    # From the start on, and independent between neurons.
    assert x[0].std() == pytest.approx(37, rel=5 / np.sqrt(800))
    assert abs(np.corrcoef(x[:, 0], x[:, 1])[0, 1]) < 5 / np.sqrt(length / (2 * tau))
    np.testing.assert_allclose(np.cumsum(weights, axis=0)[-1], 0, atol=1e-9)


def test_shared_noise_is_the_same_for_all_and_a_seed_gives_it_again():
    def drawn(**more):
        draw = np.random.default_rng(3)
        made = currents.ornstein_uhlenbeck(CELLS, 50 * pA, 2 * ms, 30 * ms, DT, draw, **more)
        return current(simulated(made))

    shared = drawn(shared=True) - np.array([[0.1], [0.2], [0.3]])
    np.testing.assert_allclose(shared[1:], shared[:2], atol=1e-12)
    np.testing.assert_array_equal(drawn(), drawn())
    assert np.ptp(drawn() - np.array([[0.1], [0.2], [0.3]]), axis=0).max() > 0.05


def test_stimuli_of_one_population_add_up():
    wave = currents.sinusoid(CELLS, 0.4 * nA, 31 * Hz, 40 * ms, DT, phase=0.7)
    step = currents.steps(CELLS, [0, 11] * ms, [0.5, 0.2] * nA, DT)
    both = current(simulated(currents.together(CELLS, wave, step)))
    alone = [current(simulated(one)) for one in (wave, step)]
    np.testing.assert_allclose(both, sum(alone) - np.array([[0.1], [0.2], [0.3]]), atol=1e-12)
    # Those that start at nothing need no more than being added.
    late = currents.steps(CELLS, [11] * ms, [0.2] * nA, DT)
    rise = currents.ramp(CELLS, 3 * ms, 20 * ms, 0.3 * nA, DT)
    added = current(simulated(late, rise))
    np.testing.assert_allclose(added, current(simulated(currents.together(CELLS, late, rise))))


def test_a_cell_under_a_stimulus_fires_as_brian2_s_own_does_under_a_timed_array(monkeypatch):
    """Brian2 holds a TimedArray over each step too; its own neuron is written out by hand."""
    cells = Population("cells", LIF, 1)
    made = currents.recorded(cells, [10, 90, 140] * ms, [0, 1.3, 0.6] * nA, DT)
    spikes = simulated(made, cells=cells, steps=1500).spikes["cells"]
    held = np.interp(np.arange(1500), [100, 900, 1400], [0, 1.3, 0.6]) * nA
    group = NeuronGroup(
        1,
        "dv/dt = (-70*mV - v + 40*Mohm*I(t))/(20*ms) : volt (unless refractory)",
        threshold="v >= -50*mV",
        reset="v = -70*mV",
        refractory=2 * ms,
        method="exact",
        namespace={"I": TimedArray(held, dt=DT)},
        dt=DT,
    )
    group.v = -70 * mV
    monitor = SpikeMonitor(group)
    monkeypatch.setitem(prefs, "codegen.target", "numpy")
    Network(group, monitor).run(150 * ms)
    assert len(spikes.neurons) > 4
    np.testing.assert_allclose(spikes.times / ms, monitor.t / ms, atol=1e-9)


def test_other_inputs_and_parameters_of_own_equations_are_driven_in_their_own_unit():
    gained = currents.ramp(CELLS, 1 * ms, 11 * ms, 0.5, DT, variable="trained_gain")
    found = simulated(gained, traced=("trained_gain", "I_ext"))
    assert found.trace("cells", "trained_gain", 0)[60] == pytest.approx(1.25, rel=1e-9)
    own = SimpleNamespace(
        equations="dv/dt = (-v + drive)/(10*ms) : 1\ndrive : 1",
        threshold="v > 1",
        reset="v = 0",
        refractory=False,
        method="euler",
        constants={},
        start={},
    )
    cells = Population("cells", own, 2, {"drive": [0.2, 0.4]})
    pushed = currents.steps(cells, [2] * ms, [1.7], DT, variable="drive")
    found = simulated(pushed, cells=cells, traced=("drive",))
    np.testing.assert_allclose(found.signals["cells"]["drive"].values[:, -1], [1.9, 2.1])
    assert (found.spikes["cells"].counts() > 0).all()


@cache
def everything(device):
    """All kinds of stimuli onto cells of two integration methods."""
    draw = np.random.default_rng(17)
    made = {}
    for name in ("exact", "held cascade"):
        cells = Population("cells", MODELS[name], 3, {"I_ext": [0.4, 0.5, 0.6] * nA})
        noise = currents.ornstein_uhlenbeck(
            cells, 0.2 * nA, 5 * ms, 100 * ms, DT, draw, interval=1 * ms
        )
        wave = currents.sinusoid(cells, 0.3 * nA, 20 * Hz, 150 * ms, DT, phase=0.3)
        rest = (
            currents.ramp(cells, 30 * ms, 80 * ms, 0.4 * nA, DT),
            currents.steps(cells, [40, 60] * ms, [[0.2, 0.1, 0], [0, 0, 0.3]] * nA, DT),
            currents.recorded(cells, [0, 70, 90] * ms, [0, 0.3, 0] * nA, DT),
        )
        both = currents.together(cells, noise, wave, *rest)
        made[name] = simulated(both, cells=cells, steps=1600, device=device)
    return made


@pytest.mark.thorough
@pytest.mark.parametrize("device", ["cpp", "genn-cpu"])
def test_devices_agree_on_stimuli_spike_for_spike(device):
    if device == "genn-cpu":
        from neuromod.devices.genn.installation import require

        try:
            require(gpu=False)
        except UserError as error:
            pytest.skip(str(error))
    for name, ours in everything("cython").items():
        theirs = everything(device)[name]
        assert len(ours.spikes["cells"].neurons) > 10
        np.testing.assert_array_equal(ours.spikes["cells"].neurons, theirs.spikes["cells"].neurons)
        np.testing.assert_array_equal(ours.spikes["cells"].times, theirs.spikes["cells"].times)
        np.testing.assert_allclose(current(ours), current(theirs), atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_genn_has_nothing_against_stimuli(name):
    cells = Population("cells", MODELS[name], 2)
    driven = cells.given(currents.ramp(cells, 1 * ms, 2 * ms, 1 * nA, DT))
    assert not [*obstacles(driven.model, driven.equations, driven.constants)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: currents.steps(CELLS, [3, 1] * ms, [1, 2] * nA, DT), "must increase"),
        (lambda: currents.steps(CELLS, [0.13] * ms, [1] * nA, DT), "starts of time steps"),
        (lambda: currents.steps(CELLS, [1] * ms, [1] * mV, DT), "wrong unit: a value in amp"),
        (lambda: currents.steps(CELLS, [1] * ms, [1, 2] * nA, DT), "as many times as values"),
        (
            lambda: currents.steps(CELLS, [1] * ms, [[1, 2]] * nA, DT),
            r"one for each of 3, not values of shape \(1, 2\)",
        ),
        (
            lambda: currents.steps(CELLS, [1] * ms, [1] * nA, DT, variable="I_exd"),
            "no input of cells named 'I_exd': did you mean I_ext",
        ),
        (lambda: currents.steps(CELLS, [1] * ms, [1] * nA, DT, neurons=[3]), "indices 0 to 2"),
        (lambda: currents.ramp(CELLS, 5 * ms, 5 * ms, 1 * nA, DT), "must end after its start"),
        (
            lambda: currents.recorded(CELLS, [1, 1] * ms, [1, 2] * nA, DT),
            "at least two times, which increase",
        ),
        (
            lambda: currents.sinusoid(CELLS, 1 * nA, 1100 * Hz, 9 * ms, DT),
            r"A frequency of 1\.1 kHz leaves fewer than 10 time steps",
        ),
        (
            lambda: currents.ornstein_uhlenbeck(
                CELLS, 1 * nA, 0 * ms, 9 * ms, DT, np.random.default_rng(1)
            ),
            "tau = 0 ms must be above 0",
        ),
        (
            lambda: currents.together(
                CELLS, *[currents.steps(CELLS, [1] * ms, [1] * nA, DT) for _ in range(2)]
            ),
            "need names of their own",
        ),
    ],
)
def test_stimuli_that_cannot_be_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_stimulus_out_of_the_range_of_its_input_is_refused():
    cells = Population("cells", GainLIF(receptors="D1"), 2)
    (ligand,) = cells.model.ligands
    driven = {"variable": f"conc_{ligand}", "dt": DT}
    with pytest.raises(UserError, match="is out of range"):
        currents.steps(cells, [1, 2] * ms, [1, -1] * umolar, **driven)
    assert currents.steps(cells, [1, 2] * ms, [1, 0] * umolar, **driven).connections


def test_a_stimulus_of_hours_in_every_step_is_refused_before_it_is_drawn():
    cells = Population("cells", LIF, 100_000)
    with pytest.raises(UserError, match=r"events onto 100 000 neurons needs .* GB of memory"):
        currents.ornstein_uhlenbeck(
            cells, 1 * nA, 5 * ms, 3600 * second, DT, np.random.default_rng(1)
        )


@pytest.mark.parametrize("receptors", [[], [library.D1]], ids=["none", "D1"])
def test_a_stimulus_moves_an_exact_neuron_whose_terms_have_names(receptors):
    def potential(equations):
        cell = modulate(
            equations,
            receptors,
            on={"I": "D1"} if receptors else {},
            threshold="v > 0*mV",
            reset="v = -71*mV",
            method="exact",
            namespace={"g": 11 * nS, "C": 130 * pF, "E": -71 * mV},
            start={"v": -71 * mV},
            current="I",
        )
        cells = Population("cells", cell, 1)
        wave = currents.sinusoid(cells, 0.17 * nA, 23 * Hz, 40 * ms, DT)
        return simulated(wave, cells=cells, traced=("v",)).signals["cells"]["v"].values / mV

    plain = potential("dv/dt = (g*(E - v) + I)/C : volt\nI : amp")
    named = potential("dv/dt = I_all/C : volt\nI_all = g*(E - v) + I : amp\nI : amp")
    assert np.ptp(plain) > 5
    assert np.allclose(named, plain, rtol=1e-12)
