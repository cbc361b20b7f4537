from dataclasses import replace

import numpy as np
import pytest
from brian2 import Quantity, ms, mV, nA, volt

from neuromod.models.izhikevich import Izhikevich, patterns, stimuli, types


@pytest.fixture(scope="module")
def recorded(clamp):
    """Spike times in ms and potential in mV of each pattern in the clamp that shows it."""
    found = {}
    for step in {float(one.dt / ms) for one in stimuli.values()}:
        names = [name for name, one in stimuli.items() if float(one.dt / ms) == step]
        courses = [stimuli[name].course() for name in names]
        steps = max(len(course) for course in courses)
        course = np.transpose([np.pad(np.asarray(c), (0, steps - len(c))) for c in courses])
        given = Quantity(course, dim=courses[0].dim)
        start = [stimuli[name].start for name in names]
        cells = [patterns[name] for name in names]
        run = clamp(cells, given, steps * step * ms, step * ms, ["v"], start)
        for name, one, train, v in zip(names, courses, run.spikes, run.traces["v"], strict=True):
            found[name] = train[train < len(one) * step - 1e-6], 1e3 * v[: len(one)]
    return found


@pytest.fixture(scope="module")
def fired(recorded):
    return {name: train for name, (train, _) in recorded.items()}


def published(name):
    """Spike times in ms by Izhikevich's scheme in his own numbers, written out."""
    cell, stimulus = patterns[name], stimuli[name]
    a, b = float(cell.a * ms), float(cell.b * ms)
    c, d = float(cell.c / mV), float(cell.d * ms / mV)
    slope, constant = (4.1, 108) if name in {"class-1-excitable", "integrator"} else (5, 140)
    v, dt = float(stimulus.start["v"] / mV), float(stimulus.dt / ms)
    u = -16 if name == "accommodation" else b * v
    times = []
    for k, current in enumerate(np.asarray(stimulus.course() / cell.C * ms / mV)):
        v += dt * (0.04 * v**2 + slope * v + constant - u + current)
        u += dt * (a * b * (v + 65) if name == "accommodation" else a * (b * v - u))
        if v > 30:
            times.append(k * dt)
            v, u = c, u + d
    return times


@pytest.mark.parametrize("name", patterns)
def test_spikes_are_those_of_the_published_scheme(fired, name):
    np.testing.assert_allclose(fired[name], published(name), atol=1e-9)


def test_tonic_spikes_go_on_evenly(fired):
    intervals = np.diff(fired["tonic-spiking"])
    assert intervals[-1] == pytest.approx(intervals[-2], abs=0.5)
    assert fired["tonic-spiking"][-1] > 80


def test_phasic_spiking_is_one_spike_under_a_lasting_current(fired):
    assert len(fired["phasic-spiking"]) == 1


def test_tonic_bursts_come_again(fired):
    intervals = np.diff(fired["tonic-bursting"])
    pauses = np.flatnonzero(intervals > 20)
    assert len(pauses) == 3
    assert (np.delete(intervals, pauses) < 10).all()


def test_a_phasic_burst_is_the_only_one(fired):
    train = fired["phasic-bursting"]
    assert len(train) > 4
    assert np.ptp(train) < 30
    assert train[-1] < 100


def test_mixed_mode_is_a_burst_and_then_single_spikes(fired):
    intervals = np.diff(fired["mixed-mode"])
    assert (intervals[:2] < 5).all()
    assert (intervals[2:] > 30).all()


def test_intervals_of_an_adapting_cell_lengthen(fired):
    assert (np.diff(np.diff(fired["spike-frequency-adaptation"])) > 0).all()


def test_class_1_begins_slowly_and_follows_the_ramp_and_class_2_begins_fast(fired):
    first, second = (np.diff(fired[f"class-{k}-excitable"]) for k in (1, 2))
    assert (np.diff(first) < 0).all()
    assert first[0] > 40
    assert first[0] / first[-1] > 2.5
    assert second[0] < 22
    assert second[0] / second[-1] < 2


def test_spike_latency_outlasts_the_pulse(fired):
    assert len(fired["spike-latency"]) == 1
    assert fired["spike-latency"][0] > 13 + 4


def test_the_potential_rings_below_threshold(recorded):
    train, v = recorded["subthreshold-oscillations"]
    assert len(train) == 1
    after = v[240:] + 62.5
    crossings = np.flatnonzero(np.diff(np.sign(after)))
    assert len(crossings) >= 5
    swings = [np.abs(part).max() for part in np.split(after, crossings)[1:-1]]
    assert (np.diff(swings) < 0).all()


def test_a_resonator_fires_at_its_own_interval_alone(fired):
    assert len(fired["resonator"]) == 1
    assert 320 < fired["resonator"][0] < 345


def test_an_integrator_fires_for_pulses_close_in_time_alone(fired):
    assert len(fired["integrator"]) == 1
    assert 14 < fired["integrator"][0] < 22


def test_inhibition_rebounds_in_a_spike_or_a_burst(fired):
    assert len(fired["rebound-spike"]) == 1
    assert len(fired["rebound-burst"]) > 4
    assert min(fired["rebound-spike"][0], fired["rebound-burst"][0]) > 25


def test_inhibition_lowers_the_threshold_for_the_same_pulse(fired):
    assert len(fired["threshold-variability"]) == 1
    assert 80 < fired["threshold-variability"][0] < 95


def test_one_pulse_turns_firing_on_and_the_next_off(fired):
    train = fired["bistability"]
    assert len(train) == 5
    assert (train > 37.5).all()
    assert (train < 216).all()


def test_a_spike_is_followed_by_a_depolarization(recorded):
    train, v = recorded["depolarizing-after-potential"]
    assert len(train) == 1
    after = v[round(train[0] / 0.1) + 1 :]
    assert after.max() > -55
    assert after[-1] == pytest.approx(-70, abs=1)


def test_only_a_fast_ramp_excites_an_accommodating_cell(fired):
    assert len(fired["accommodation"]) == 1
    assert 300 < fired["accommodation"][0] < 312.5


def test_inhibition_induces_spikes_and_bursts_while_it_lasts(fired):
    spiking, bursting = (fired[f"inhibition-induced-{kind}"] for kind in ("spiking", "bursting"))
    for train in (spiking, bursting):
        assert len(train) > 2
        assert (train > 50).all()
        assert (train < 251).all()
    assert (np.diff(spiking) > 60).all()
    assert sorted(np.diff(bursting))[-1] > 60
    assert (np.sort(np.diff(bursting))[:-1] < 6).all()


def test_three_patterns_are_of_the_scheme_and_not_of_the_equations(clamp):
    """At a tenth of the step the other cells keep theirs (docs/explanation/neurons.md)."""
    name = "depolarizing-after-potential"
    fine = replace(stimuli[name], dt=0.01 * ms)
    course = fine.course()[:, None]
    train = clamp([patterns[name]], course, 50 * ms, fine.dt, start=[fine.start]).spikes[0]
    assert len(train) > 1


def test_cells_of_2003_fire_as_they_are_called(clamp):
    names = ["RS", "IB", "CH", "FS", "LTS"]
    trains = clamp([types[name] for name in names], [1] * 5 * nA, 500 * ms, 0.25 * ms).spikes
    regular, intrinsic, chattering, fast, low = (np.diff(train) for train in trains)
    assert regular[-1] > 2 * regular[0]
    assert (intrinsic[:2] < 6).all()
    assert (intrinsic[4:] > 20).all()
    assert (np.sort(chattering)[: len(chattering) // 2] < 8).all()
    assert chattering.max() > 30
    assert fast.mean() < 0.3 * regular.mean()
    assert fast[-1] < 1.2 * fast[3]
    assert low[-1] > 2 * low[0]


def test_a_thalamic_cell_is_tonic_from_rest_and_bursts_from_hyperpolarization(clamp):
    cell = types["TC"]
    deep = {"v": -87 * mV, "u": cell.b * -87 * mV}
    current = Quantity([1.5e-10, 0] * nA / nA, dim=nA.dim)
    tonic, burst = clamp(
        [cell] * 2, current, 150 * ms, 0.25 * ms, start=[cell.resting, deep]
    ).spikes
    assert np.diff(tonic)[-1] > 20
    assert np.diff(burst)[0] < 6


@pytest.mark.parametrize("name", [*types, "class-1-excitable", "accommodation", "bistability"])
def test_rest_is_where_both_equations_stand_still(name):
    cell = (types | patterns)[name]
    v, u = cell.resting["v"], cell.resting["u"]
    slope = cell.k_2 * v**2 + cell.k_1 * v + cell.k_0 - u
    assert abs(float(slope / (volt / (1000 * ms)))) < 1e-9
    assert abs(float(cell.b * (v - cell.v_u) - cell.decay * u)) < 1e-9
    assert v < -50 * mV


def test_a_neuron_that_never_rests_starts_at_its_reset():
    cell = Izhikevich(b=0.3 / ms, k_0=160 * mV / ms)
    assert cell.resting["v"] == cell.c
