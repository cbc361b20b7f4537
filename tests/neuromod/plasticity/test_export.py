"""A trained network in Brian2 does over a held-out episode what it does in torch."""

from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuromod.devices.simulation import simulate  # noqa: E402
from neuromod.errors import UserError  # noqa: E402
from neuromod.plasticity.export import plastic_traces, readout, to_experiment  # noqa: E402
from neuromod.plasticity.network import NETWORKS, PlasticNetwork, Shape  # noqa: E402

KINDS = [(network, "direct") for network in NETWORKS] + [
    ("modulated-oja", "eligibility"),
    ("modulated-bcm", "eligibility"),
]
plastic = [kind for kind in KINDS if kind[0] != "none"]
INPUTS, STEPS, EPISODES = 9, 120, 3


def spikes(episodes, seed):
    draw = np.random.default_rng(seed)
    return torch.from_numpy((draw.random((episodes, STEPS, INPUTS)) < 0.23).astype(np.float32))


@cache
def trained(network, gate):
    """A few steps of gradient descent move every parameter off where it started."""
    made = PlasticNetwork(Shape(INPUTS, 11, 2, network, gate), seed=5)
    if made.shape.modulated:
        # So that its modulatory neurons fire often.
        made.modulator_weight.data += 0.4
    optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
    for step in range(5):
        optimizer.zero_grad()
        answer = made(spikes(8, [3, step]))[:, -40:].mean(1)
        torch.nn.functional.cross_entropy(answer, torch.arange(8) % 2).backward()
        optimizer.step()
    return made.double()


@cache
def both(network, gate):
    """The held-out episodes in torch and in Brian2."""
    made, inputs = trained(network, gate), spikes(EPISODES, 11).double()
    with torch.no_grad():
        states = list(made.steps(inputs))
    traced = ("E",) if made.plasticity else ()
    return made, states, simulate(to_experiment(made, inputs, traced))


def raster(recording, population, size):
    found = np.zeros((STEPS, EPISODES, size))
    recorded = recording.spikes[population]
    step = np.round(np.asarray(recorded.times / recording.dt)).astype(int)
    found[step, recorded.neurons // size, recorded.neurons % size] = 1
    return found


@pytest.mark.parametrize(("network", "gate"), KINDS)
def test_every_spike_of_cells_and_modulators_is_torchs(network, gate):
    made, states, recording = both(network, gate)
    fired = np.array([state.spikes.numpy() for state in states])
    assert fired.sum() > 50
    np.testing.assert_array_equal(raster(recording, "cells", made.shape.hidden), fired)
    if made.shape.modulated:
        released = np.array([state.modulator.spikes.numpy() for state in states])
        assert released.sum() > 10
        np.testing.assert_array_equal(
            raster(recording, "modulators", made.shape.modulators), released
        )


@pytest.mark.parametrize(("network", "gate"), plastic)
def test_plastic_traces_are_torchs_to_a_millionth(network, gate):
    made, states, recording = both(network, gate)
    traces = np.array([state.traces.plastic.numpy() for state in states]).transpose(1, 0, 2, 3)
    assert np.abs(traces).max() > 0.05
    # A trace is recorded at the start of a step, a state is that of its end.
    found = plastic_traces(made, recording)
    np.testing.assert_allclose(found[:, 1:], traces[:, :-1], atol=1e-6 * np.abs(traces).max())


@pytest.mark.parametrize(("network", "gate"), KINDS)
def test_the_readout_is_torchs(network, gate):
    made, states, recording = both(network, gate)
    expected = np.array([state.readout.numpy() for state in states]).transpose(1, 0, 2)
    np.testing.assert_allclose(readout(made, recording), expected, rtol=1e-9, atol=1e-12)


def test_episodes_do_not_touch_each_other():
    made, inputs = trained("modulated-oja", "direct"), spikes(EPISODES, 11).double()
    alone = simulate(to_experiment(made, inputs[1:2]))
    among = both("modulated-oja", "direct")[2]
    np.testing.assert_array_equal(readout(made, alone)[0], readout(made, among)[1])


def test_inputs_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"takes \(batch, steps, 9\)"):
        to_experiment(trained("oja", "direct"), torch.zeros(1, 7, 8))


def test_a_network_without_plasticity_has_no_trace_to_record():
    with pytest.raises(UserError, match="has no E to trace"):
        to_experiment(trained("none", "direct"), torch.zeros(1, 7, INPUTS), ("E",))
