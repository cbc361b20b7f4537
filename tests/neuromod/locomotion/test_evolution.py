"""The evolution strategy climbs, goes on from where it stopped, and does not depend on company."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco", reason="needs brian2-neuromod[locomotion]")

from neuromod.errors import UserError  # noqa: E402
from neuromod.locomotion.coding import Moments  # noqa: E402
from neuromod.locomotion.conditions import Novel  # noqa: E402
from neuromod.locomotion.controller import founder, vector  # noqa: E402
from neuromod.locomotion.evolution import (  # noqa: E402
    Recipe,
    Tried,
    Workers,
    attempt,
    checkpoint_of,
    evolve,
    started,
    utilities,
)
from neuromod.locomotion.storage import load_controller, save_controller  # noqa: E402
from neuromod.locomotion.trials import TRAINED, Trials  # noqa: E402
from neuromod.plasticity.network import Shape  # noqa: E402
from neuromod.plasticity.storage import save_network  # noqa: E402

SHAPE = Shape(8, 6, 1, "modulated-bcm", "eligibility", 2, dt_s=0.01, tau_out_s=0.04)
TINY = Shape(8, 2, 1, "none", dt_s=0.01)
RECIPE = Recipe(SHAPE, "inverted-pendulum", 8, 20, pairs=2, spread=0.13, lr=0.07, seed=5)


def alone(count: int = 1) -> Workers:
    """So many shares of the work, one after another in this process."""
    return Workers(count, lambda shares: [attempt(share) for share in shares])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))


def end(recipe: Recipe = RECIPE, workers: Workers | None = None):
    (evolved,) = evolve([recipe], workers or alone())
    return evolved


def same(one, other) -> bool:
    """To the bit."""
    parameters = [vector(evolved.controller.network) for evolved in (one, other)]
    means = [evolved.controller.moments.mean for evolved in (one, other)]
    return (
        np.array_equal(*parameters) and np.array_equal(*means) and one.history.equals(other.history)
    )


def test_ranks_count_and_equal_returns_share_them():
    assert utilities(np.array([3.7, -20.0, 0.1])).tolist() == [0.5, -0.5, 0.0]
    assert utilities(np.array([1.0, 5.0, 1.0, 9.0])) == pytest.approx([-1 / 3, 1 / 6, -1 / 3, 0.5])
    assert (utilities(np.full(4, 2.2)) == 0).all()


def test_it_climbs_to_the_top_of_a_known_hill():
    recipe = replace(RECIPE, shape=TINY, generations=60, pairs=12, spread=0.05, lr=0.03)
    begun = vector(founder(TINY, recipe.seed))
    top = begun + np.random.default_rng(7).normal(0, 0.3, len(begun))

    def hill(shares):
        seen = [Moments.of(np.random.default_rng(1).standard_normal((5, 4)))]
        return [[Tried(-((t.vectors - top) ** 2).sum(1), seen) for t in share] for share in shares]

    found = end(recipe, Workers(1, hill))
    returns = found.history["return"]
    assert returns.iloc[-1] > 0.03 * returns.iloc[0]


def test_an_interrupted_evolution_ends_like_an_uninterrupted_one(tmp_path, monkeypatch):
    whole = end()
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "other"))

    def killed(done: int, total: int) -> None:
        assert total == 20
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evolve([RECIPE], alone(), killed)
    resumed = end()
    assert resumed.resumed == 10
    assert same(whole, resumed)
    # And what is done is not done again.
    assert same(whole, end(workers=Workers(1, lambda _: pytest.fail("evolved twice"))))


def test_company_and_shares_of_the_work_change_nothing(tmp_path, monkeypatch):
    recipe = replace(RECIPE, generations=10)
    ones = [end(replace(recipe, seed=seed)) for seed in (5, 6)]
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "other"))
    both = evolve([recipe, replace(recipe, seed=6)], alone(3))
    assert all(same(*pair) for pair in zip(ones, both, strict=True))
    assert not same(*both)


@pytest.mark.thorough
def test_the_number_of_processes_changes_nothing(tmp_path, monkeypatch):
    own = end()
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "other"))
    with started(2) as workers:
        assert same(own, end(workers=workers))


def test_a_pendulum_stands_longer_after_a_few_generations():
    shape = replace(SHAPE, network="oja", hidden=12)
    history = end(Recipe(shape, "inverted-pendulum", 40, 20, 8, 0.1, 0.05, seed=2)).history
    first, last = history.population_return[:2].mean(), history.population_return[-5:].mean()
    assert last > 1.5 * first
    assert history.steps.is_monotonic_increasing


@pytest.mark.thorough
def test_a_pendulum_learns_to_stand():
    shape = Shape(8, 24, 1, "none", dt_s=0.01, tau_out_s=0.04)
    history = end(Recipe(shape, "inverted-pendulum", 200, 60, 16, 0.1, 0.05, seed=1)).history
    assert history["return"][-10:].mean() > 180


def test_a_damaged_checkpoint_is_told_and_evolution_starts_anew(caplog):
    whole = end()
    path = checkpoint_of(RECIPE)
    path.write_bytes(path.read_bytes()[:-40])
    assert same(whole, end())
    assert "evolution starts anew" in caplog.text


def test_a_stored_controller_moves_its_body_as_before(tmp_path):
    evolved = end(replace(RECIPE, generations=10))
    save_controller(tmp_path / "own.safetensors", evolved)
    read, name = load_controller(tmp_path / "own.safetensors")
    assert name == "inverted-pendulum"
    trials = Trials(name, ("heavy", "noise"), Novel(), 3, 25, seed=9)
    returns = trials.returns(read)
    assert trials.conditions == (TRAINED, "heavy", "noise")
    assert returns.shape == (3, 3)
    assert (returns == trials.returns(evolved.controller)).all()
    save_network(tmp_path / "other.safetensors", read.network, {})
    with pytest.raises(UserError, match="moves no body"):
        load_controller(tmp_path / "other.safetensors")


def test_noise_is_that_of_one_condition_and_the_same_for_all_controllers():
    trials = Trials("inverted-pendulum", ("heavy", "noise"), Novel(noise=0.27), 40, 50, seed=9)
    assert not trials.noise[:, :80].any()
    assert trials.noise[:, 80:].std() == pytest.approx(0.27, rel=0.02)
    assert (trials.seeds.reshape(3, 40) == trials.seeds[:40]).all()
    again = Trials("inverted-pendulum", ("heavy", "noise"), Novel(noise=0.27), 40, 50, seed=9)
    assert (again.noise == trials.noise).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generations": 15}, "multiple of 10"),
        ({"pairs": 0}, "pairs is 0"),
        ({"spread": float("nan")}, "spread is nan"),
        ({"body": "antt"}, "did you mean ant"),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        replace(RECIPE, **change)
