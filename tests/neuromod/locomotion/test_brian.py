"""The same controller in Brian2, in the loop with its body, acts as it does in torch."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco", reason="needs brian2-neuromod[locomotion]")
from brian2 import defaultclock, ms, prefs  # noqa: E402

from neuromod.locomotion.bodies import Crowd  # noqa: E402
from neuromod.locomotion.brian import move_in_brian2  # noqa: E402
from neuromod.locomotion.coding import Moments  # noqa: E402
from neuromod.locomotion.controller import Controller, founder, steps_between  # noqa: E402
from neuromod.locomotion.episodes import moments  # noqa: E402
from neuromod.locomotion.evolution import Recipe, Workers, attempt, evolve  # noqa: E402
from neuromod.plasticity.network import NETWORKS, Shape  # noqa: E402


def strong(name: str, network: str, gate: str = "direct") -> tuple[Controller, Crowd]:
    """A controller whose plasticity matters within some actions."""
    crowd = Crowd(name, [None])
    sizes = 2 * crowd.observations, 11, len(crowd.low)
    made = founder(Shape(*sizes, network, gate, dt_s=0.01, tau_out_s=0.04), 3)
    with torch.no_grad():
        if made.plasticity is not None:
            made.plasticity.alpha += 0.3
            made.plasticity.log_eta_Hz += 1.5
    seen = np.random.default_rng(5).normal(0.1, 0.6, (40, crowd.observations))
    steps = steps_between(crowd.control_s, 0.01)
    return Controller(made, Moments.of(seen), crowd.low, crowd.high, steps), crowd


def compared(controller: Controller, crowd: Crowd, moves: int) -> int:
    """Actions that both took in an episode, having checked that they are the same."""
    own = list(islice(moments(controller, crowd, [17]), moves))
    other = move_in_brian2(controller, crowd, 17, moves)
    assert len(own) == len(other.moments)
    for one, two in zip(own, other.moments, strict=True):
        assert one.actions == pytest.approx(two.actions, abs=1e-6)
        assert one.observations == pytest.approx(two.observations, abs=1e-6)
        assert one.rewards == pytest.approx(two.rewards, abs=1e-6)
    assert np.ptp([moment.actions for moment in own]) > 0.1
    assert other.spikes.num_spikes > 0
    return len(own)


def test_a_trained_pendulum_is_held_by_the_same_actions(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    shape = Shape(8, 12, 1, "oja", dt_s=0.01, tau_out_s=0.04)
    recipe = Recipe(shape, "inverted-pendulum", 40, 10, 8, 0.1, 0.05, seed=2)
    workers = Workers(1, lambda shares: [attempt(share) for share in shares])
    (evolved,) = evolve([recipe], workers)
    assert compared(evolved.controller, Crowd("inverted-pendulum", [None]), 40) > 5


@pytest.mark.thorough
def test_an_unstable_body_stays_the_same_for_as_long_as_it_stands(tmp_path, monkeypatch):
    """A pole magnifies what is rounded by e about every 0.2 s: by 1e17 within 8 s."""
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    shape = Shape(8, 24, 1, "none", dt_s=0.01, tau_out_s=0.04)
    recipe = Recipe(shape, "inverted-pendulum", 200, 50, 16, 0.1, 0.05, seed=1)
    workers = Workers(1, lambda shares: [attempt(share) for share in shares])
    (evolved,) = evolve([recipe], workers)
    assert compared(evolved.controller, Crowd("inverted-pendulum", [None]), 250) > 150


def test_a_cheetah_with_modulated_eligible_synapses_moves_by_the_same_actions():
    assert compared(*strong("half-cheetah", "modulated-bcm", "eligibility"), 21) == 21


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["inverted-pendulum", "swimmer", "half-cheetah", "ant"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_moves_every_body_by_the_same_actions(name, network):
    compared(*strong(name, network), 100)


def test_the_callers_clock_and_code_generation_stay_as_they_are():
    before = defaultclock.dt, prefs["codegen.target"]
    defaultclock.dt = 0.37 * ms
    try:
        move_in_brian2(*strong("swimmer", "none"), 17, 2)
        assert defaultclock.dt == 0.37 * ms
        assert prefs["codegen.target"] == before[1]
    finally:
        defaultclock.dt = before[0]
