"""Observations become spikes without chance, and many networks side by side are each one alone."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco", reason="needs brian2-neuromod[locomotion]")

from neuromod.errors import UserError  # noqa: E402
from neuromod.locomotion.coding import Moments, rates, start  # noqa: E402
from neuromod.locomotion.controller import (  # noqa: E402
    Controller,
    actions,
    founder,
    population,
    steps_between,
    vector,
)
from neuromod.plasticity.network import NETWORKS, PlasticNetwork, Shape  # noqa: E402

KINDS = [(network, "direct") for network in NETWORKS] + [
    ("modulated-oja", "eligibility"),
    ("modulated-bcm", "eligibility"),
]
LOW, HIGH = np.array([-3.0, 0.5]), np.array([3.0, 0.9])


def shape(network: str, gate: str = "direct") -> Shape:
    return Shape(6, 7, 2, network, gate, modulators=3, dt_s=0.01, tau_out_s=0.04)


def several(own: Shape, copies: int = 5) -> np.ndarray:
    """Networks well apart, whose plasticity is strong and whose modulators fire."""
    network = founder(own, 3)
    with torch.no_grad():
        if network.plasticity is not None:
            network.plasticity.alpha += 0.8
            network.plasticity.log_eta_Hz += 1.9
        if own.modulated:
            network.modulator_weight += 0.4
    mean = vector(network)
    return mean + 0.13 * np.random.default_rng(8).standard_normal((copies, len(mean)))


def run(controller: Controller, scaled: np.ndarray):
    """Actions and last status after a sequence of scaled observations, (actions, batch, ...)."""
    status, taken = controller.start(scaled.shape[1]), []
    for moment in scaled:
        action, status = controller.act(status, moment)
        taken.append(action)
    return np.array(taken), status


@pytest.mark.parametrize(("network", "gate"), KINDS)
def test_networks_side_by_side_act_as_each_would_alone(network, gate):
    own = shape(network, gate)
    vectors = several(own)
    seen = np.random.default_rng(2).standard_normal((25, len(vectors), 3))
    none = Moments.none(3)
    taken, status = run(Controller(population(own, vectors), none, LOW, HIGH, 4), seen)
    assert np.ptp(taken, axis=0).min() > 0
    if own.rule:
        assert status.network.traces.plastic.abs().max() > 0.05
    for row, single in enumerate(vectors):
        alone, last = run(
            Controller(population(own, single), none, LOW, HIGH, 4), seen[:, row : row + 1]
        )
        assert taken[:, row] == pytest.approx(alone[:, 0], abs=1e-12)
        assert (status.network.spikes[row] == last.network.spikes[0]).all()


def test_a_network_in_the_loop_is_the_one_that_learns_from_whole_episodes():
    own = shape("modulated-bcm", "eligibility")
    single = several(own, 1)[0]
    seen = np.random.default_rng(3).standard_normal((30, 1, 3))
    controller = Controller(population(own, single), Moments.none(3), LOW, HIGH, 4)
    taken, _ = run(controller, seen)
    integral, sent = start(6), []
    for moment in seen:
        for _ in range(4):
            integral = integral + rates(moment[0], 1.0)
            sent.append(integral >= 1)
            integral = integral - sent[-1]
    network = PlasticNetwork(own, 0).double()
    torch.nn.utils.vector_to_parameters(torch.from_numpy(single), network.parameters())
    with torch.no_grad():
        readout = network(torch.from_numpy(np.array(sent, dtype=float))[None])[0, 3::4].numpy()
    assert taken[:, 0] == pytest.approx(actions(readout, LOW, HIGH), abs=1e-12)


def test_spikes_follow_their_rates_to_within_one():
    draw, integral, sent, due = np.random.default_rng(1), start(8), np.zeros(8), np.zeros(8)
    for _ in range(300):
        grown = rates(draw.normal(0.4, 0.9, 4), 1.0)
        due += grown
        integral += grown
        spikes = integral >= 1
        integral -= spikes
        sent += spikes
        assert np.abs(sent - due).max() < 1
    assert sent.min() > 10


def test_a_pair_of_inputs_shares_one_rate():
    found = rates(np.array([0.0, 0.42, -0.42, 40.0]), 80.0)
    rising, falling = found[:4], found[4:]
    assert rising + falling == pytest.approx(80)
    assert rising[0] == 40
    assert rising[1] == pytest.approx(80 / (1 + np.exp(-2 * 0.42)))
    assert rising[2] == pytest.approx(falling[1])
    assert rising[3] == pytest.approx(80)


def test_inputs_do_not_begin_in_step():
    begun = np.sort(start(20))
    assert begun.min() > 0
    assert begun.max() < 1
    assert np.diff(begun).min() > 0.01


def test_moments_of_parts_are_those_of_the_whole():
    seen = np.random.default_rng(4).normal(3.1, [0.2, 40], (57, 2))
    both = Moments.none(2).with_(Moments.of(seen[:13])).with_(Moments.of(seen[13:]))
    assert both.count == 57
    assert both.mean == pytest.approx(seen.mean(0))
    assert both.scaled(seen).std(0) == pytest.approx([1, 1])
    assert both.scaled(seen).mean(0) == pytest.approx([0, 0], abs=1e-9)


def test_what_never_varies_is_only_centred_and_nothing_is_scaled_before_it_was_seen():
    same = Moments.of(np.full((9, 1), 2.5))
    assert same.scaled(np.array([[2.75]])) == 0.25
    assert Moments.none(1).scaled(np.array([[2.75]])) == 2.75


def test_every_row_of_a_batch_is_scaled_by_its_own_moments():
    seen = np.random.default_rng(6).normal(1.1, 2.3, (2, 31, 3))
    each = [Moments.of(part) for part in seen]
    rows = Moments.rows(each, [2, 1]).scaled(np.ones((3, 3)))
    assert rows[:2] == pytest.approx(np.tile(each[0].scaled(np.ones(3)), (2, 1)))
    assert rows[2] == pytest.approx(each[1].scaled(np.ones(3)))


def test_actions_stay_within_their_range_and_rest_in_its_middle():
    found = actions(np.array([[0.0, 0.0], [1e3, -1e3], [1.7, 1.7]]), LOW, HIGH)
    assert found[0] == pytest.approx([0, 0.7])
    assert found[1] == pytest.approx([3, 0.5])
    assert found[2] == pytest.approx([3 * np.tanh(0.34), 0.7 + 0.2 * np.tanh(0.34)])


def test_time_steps_fit_between_actions():
    assert steps_between(0.04, 0.01) == 4
    assert steps_between(0.05, 0.0125) == 4
    with pytest.raises(UserError, match="dt is 15 ms, but the body takes an action every 40 ms"):
        steps_between(0.04, 0.015)
    with pytest.raises(UserError, match="dt is 80 ms"):
        steps_between(0.04, 0.08)
