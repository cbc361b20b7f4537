from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from brian2 import ms, mV, second, umolar

from neuromod.devices.genn.limits import refuse
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.adaptive_plasticity import LIGAND, WEIGHTS, AdaptiveSynapse, DiehlCookCell

DT, STEP = 0.5 * ms, 0.5
STEPS, INPUTS, CELLS = 700, 9, 5
CELL = DiehlCookCell(theta_plus=0.37 * mV, tau_theta=0.31 * second, tau_clear=47 * ms)
SYNAPSE = AdaptiveSynapse(
    eta=0.11,
    mu=0.7,
    x_tar=0.43,
    tau_x=17 * ms,
    w_base=0.07,
    tau_leak=0.23 * second,
    recovery=0.9,
    tau_significance=0.13 * second,
)
AMOUNT, INHIBITION = 0.41, 1.7
_draw = np.random.default_rng(20261130)
INPUT = _draw.uniform(size=(STEPS, INPUTS)) < 0.12
RELEASE = np.flatnonzero(_draw.uniform(size=STEPS) < 0.02)
W = _draw.uniform(0.1, 1, (INPUTS, CELLS))
TONIC = _draw.uniform(0, 0.3, CELLS)
PAUSED = (310, 420)

ENDLESS = 1e15 * second
MADE = {
    **{rule: (replace(SYNAPSE, rule=rule), TONIC, 1.3) for rule in WEIGHTS},
    "endless": (replace(SYNAPSE, tau_leak=ENDLESS), TONIC, 1.3),
    "never": (replace(SYNAPSE, recovery=0), TONIC, 1.3),
    "M = 1": (replace(SYNAPSE, rule="modulated"), np.ones(CELLS), 0.0),
    "M = 0": (replace(SYNAPSE, rule="modulated"), np.zeros(CELLS), 0.0),
}


def played(name, size, steps, neurons=None):
    neurons = np.zeros(len(steps), int) if neurons is None else neurons
    return Spikes(name, size, neurons, np.asarray(steps) * DT)


def onto(name, variable, weight, size):
    there = np.arange(size)
    return Connection(name, "cells", variable, i=np.zeros(size, int), j=there, weight=weight)


@cache
def experiment():
    """The same input, and synapses of every kind onto cells of their own, side by side."""
    size = CELLS * len(MADE)
    values = {
        "tonic": np.concatenate([tonic for _, tonic, _ in MADE.values()]),
        "sensitivity": np.repeat([s for *_, s in MADE.values()], CELLS) / umolar,
    }
    step, neuron = np.nonzero(INPUT)
    off, on = PAUSED
    cells = np.arange(size)
    near = (cells[:, None] // CELLS == cells // CELLS) & (cells[:, None] != cells)
    i, j = np.nonzero(near)
    pre, post = (side.ravel() for side in np.indices((INPUTS, CELLS)))
    plastic = [
        PlasticConnection(
            f"kind{number}",
            "inputs",
            "cells",
            synapse,
            i=pre,
            j=post + number * CELLS,
            values={"w": W.ravel()},
        )
        for number, (synapse, *_) in enumerate(MADE.values())
    ]
    return Experiment(
        populations=[Population("cells", CELL, size, values)],
        sources=[
            played("inputs", INPUTS, step, neuron),
            played("release", 1, RELEASE),
            played("pause", 1, [off]),
        ],
        connections=[
            Connection("cells", "cells", "g_inh", i=i, j=j, weight=INHIBITION),
            onto("release", f"conc_{LIGAND}", AMOUNT * umolar, size),
            replace(onto("pause", "plastic", -1.0, size), width=(on - off) * DT),
        ],
        plastic=plastic,
        traces=[Trace("cells", ("theta",), np.arange(size))],
        duration=STEPS * DT,
        dt=DT,
    )


@cache
def simulated():
    return simulate(experiment())


def fired(kind):
    """Which cells of a kind spiked in every step."""
    spikes, first = simulated().spikes["cells"], list(MADE).index(kind) * CELLS
    found = np.zeros((STEPS, CELLS * len(MADE)))
    found[np.round(np.asarray(spikes.times / DT)).astype(int), spikes.neurons] = 1
    return found[:, first : first + CELLS]


def weights(kind):
    return np.asarray(simulated().totals[f"kind{list(MADE).index(kind)}"]["w"])


def by_hand(kind):
    """The equations of one kind step by step: changes, arriving spikes, membranes, spikes."""
    rule, synapse = kind, MADE[kind][0]
    tau_x, leak, lately = 17, 230, 130
    v, theta, g_exc, g_inh, conc = np.full(CELLS, -65.0), *np.zeros((4, CELLS))
    x, s, w = np.zeros((INPUTS, 1)), np.zeros((INPUTS, CELLS)), W.copy()
    arriving, spiking, held = np.zeros((INPUTS, 1)), np.zeros(CELLS), np.zeros(CELLS)
    spikes = []
    for step in range(STEPS):
        plastic = 0.0 if PAUSED[0] + 1 < step <= PAUSED[1] + 1 else 1.0
        x = x * np.exp(-STEP / tau_x)
        slower = {"stdp": np.inf, "leak": 1.0}.get(rule, 1 + s)
        w = 0.07 + (w - 0.07) * np.exp(-plastic * STEP / leak / slower)
        s = s * np.exp(-plastic * STEP / lately)

        # What spikes of the last step do, now that it is known whether cells are plastic.
        plastic = 0.0 if PAUSED[0] < step <= PAUSED[1] else 1.0
        g_exc = g_exc + (w * arriving).sum(axis=0)
        x = x + arriving
        g_inh = g_inh + INHIBITION * (spiking.sum() - spiking)
        if step - 1 in RELEASE:
            conc = conc + AMOUNT
        M = TONIC + 1.3 * conc if rule == "modulated" else 1.0
        moved = w + plastic * 0.11 * (x - 0.43) * (1 - w) ** 0.7
        w = np.where(spiking, np.clip(moved, 0, 1), w)
        s = s + spiking * plastic * synapse.recovery * M * x

        g = 1 + g_exc + g_inh
        rest = (-65 - 100 * g_inh) / g
        held = held - 1
        free = held <= 0
        v = np.where(free, rest + (v - rest) * np.exp(-STEP * g / 100), v)
        g_exc, g_inh = g_exc * np.exp(-STEP / 1), g_inh * np.exp(-STEP / 2)
        theta = theta * np.exp(-plastic * STEP / 310)
        conc = conc * np.exp(-STEP / 47)
        spiking = ((v > -52 + theta) & free).astype(float)
        v = np.where(spiking, -65, v)
        theta = theta + spiking * plastic * 0.37
        held = np.where(spiking, 10, held)
        spikes.append(spiking)
        arriving = INPUT[step][:, None].astype(float)
    return w.ravel(), np.array(spikes)


@pytest.mark.parametrize("rule", WEIGHTS)
def test_a_network_fires_and_changes_as_a_loop_by_hand(rule):
    w, spikes = by_hand(rule)
    assert spikes.sum() > 50
    np.testing.assert_array_equal(fired(rule), spikes)
    assert np.abs(w - W.ravel()).max() > 0.1
    np.testing.assert_allclose(weights(rule), w, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "limit"), [("endless", "stdp"), ("never", "leak"), ("M = 0", "leak"), ("M = 1", "asp")]
)
def test_a_rule_has_the_simpler_one_as_its_limit(kind, limit):
    np.testing.assert_array_equal(fired(kind), fired(limit))
    np.testing.assert_allclose(weights(kind), weights(limit), atol=1e-12)


def test_the_rules_do_not_do_the_same():
    found = np.array([weights(rule) for rule in WEIGHTS])
    assert all(np.abs(a - b).max() > 1e-3 for a, b in pairwise(found))


def test_thresholds_rest_while_cells_are_not_plastic():
    theta = np.asarray(simulated().signals["cells"]["theta"].values / mV)
    off, on = PAUSED
    assert np.ptp(theta[:, off + 2 : on], axis=1).max() == 0
    assert np.ptp(theta[:, on:], axis=1).max() > 1


def alone(synapse, values, pre, post, steps):
    """A synapse for each value onto one cell that is made to fire, without any other input."""
    size = len(next(iter(values.values())))
    return simulate(
        Experiment(
            populations=[Population("cells", DiehlCookCell(), 1)],
            sources=[played("inputs", 1, pre), played("driving", 1, post)],
            connections=[onto("driving", "v", 1 * second * mV / ms, 1)],
            plastic=[
                PlasticConnection(
                    "synapses",
                    "inputs",
                    "cells",
                    synapse,
                    i=np.zeros(size, int),
                    j=np.zeros(size, int),
                    values=values,
                )
            ],
            duration=steps * DT,
            dt=DT,
        )
    ).totals["synapses"]


@pytest.mark.parametrize("rule", WEIGHTS)
def test_without_spikes_a_weight_leaks_as_its_closed_form(rule):
    synapse = replace(SYNAPSE, rule=rule)
    w, s = np.array([0.93, 0.41, 0.02, 0.93]), np.array([0, 0.7, 3.3, 11])
    values = {"w": w} | ({"significance": s} if rule in ("asp", "modulated") else {})
    found = alone(synapse, values, [], [], 1200)["w"]
    expected = synapse.leaked(w, s, 0.6 * second)
    # The rate is held over a step, in which significance falls by 0.4 %.
    np.testing.assert_allclose(found, expected, atol=2e-3)
    by_hand = {"stdp": w, "leak": 0.07 + (w - 0.07) * np.exp(-0.6 / 0.23)}
    if rule in by_hand:
        np.testing.assert_allclose(found, by_hand[rule], atol=1e-12)
    else:
        # What is significant leaks more slowly.
        assert found[3] > found[0] + 0.15


def test_the_closed_form_is_the_integral_of_the_rate():
    times = np.linspace(0, 0.83, 20_001)
    rate = 1 / (0.23 * (1 + 2.7 * np.exp(-times / 0.13)))
    expected = 0.07 + 0.6 * np.exp(-np.trapezoid(rate, times))
    assert SYNAPSE.leaked(0.67, 2.7, 0.83 * second) == pytest.approx(expected, rel=1e-7)
    # A time in which exp(t/tau_significance) would overflow.
    assert SYNAPSE.leaked(0.67, 2.7, 1000 * second) == pytest.approx(0.07)


@pytest.mark.parametrize(("lag", "sign"), [(8, 1), (60, -1)])
def test_a_pair_of_spikes_changes_a_weight_as_computed_by_hand(lag, sign):
    synapse = replace(SYNAPSE, rule="stdp")
    w = np.array([0.13, 0.52, 0.9])
    # The cell is driven in the step in which it fires.
    found = alone(synapse, {"w": w}, [3], [3 + lag - 1], lag + 20)["w"]
    trace = np.exp(-lag * 0.5 / 17)
    expected = w + 0.11 * (trace - 0.43) * (1 - w) ** 0.7
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (np.sign(found - w) == sign).all()


@pytest.mark.parametrize(("lag", "bound"), [(2, 1), (60, 0)])
def test_no_spike_takes_a_weight_beyond_its_bounds(lag, bound):
    fast = replace(SYNAPSE, rule="stdp", eta=23.0)
    found = alone(fast, {"w": np.array([0.13, 0.9])}, [3], [3 + lag - 1], lag + 20)["w"]
    assert np.all(np.asarray(found) == bound)


def test_genn_is_refused_what_it_cannot_run():
    with pytest.raises(UserError, match=r"GeNN cannot run .* cannot read its"):
        refuse(experiment())


def test_values_that_do_not_go_together_are_refused():
    with pytest.raises(UserError, match=r"w_base = 0\.31 must be w_max = 0\.3 at most"):
        AdaptiveSynapse(w_base=0.31, w_max=0.3)
    with pytest.raises(UserError, match="v_reset = -51 mV must lie below v_th = -52 mV"):
        DiehlCookCell(v_reset=-51 * mV)
    with pytest.raises(UserError, match="did you mean asp"):
        AdaptiveSynapse(rule="aps")
    with pytest.raises(UserError, match="sensitivity"):
        DiehlCookCell(sensitivity=-1 / umolar)
