"""Learning repeats, goes on where it was stopped, and plastic networks come to remember."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, ms, second

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.plasticity.learning import ROUND, Recipe, checkpoint_of, learn, learn_all, success  # noqa: E402
from neuromod.plasticity.network import PlasticNetwork, Shape  # noqa: E402
from neuromod.plasticity.tasks import CueAssociation, Difficulty  # noqa: E402

TASK = CueAssociation(cues=1, neurons=3, gap=0 * second, response=20 * ms)
RECIPE = Recipe(
    Shape(12, 5, 2, "modulated-bcm"), TASK, (0.0, 13.0), (0.0, 0.01), 2 * ROUND, batch=4, seed=3
)


class StoppedError(Exception):
    pass


def stop(_done: int, _total: int) -> None:
    raise StoppedError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))


def assert_same(one, other):
    for name, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name
    assert one.history.equals(other.history)


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been():
    with pytest.raises(StoppedError):
        learn(RECIPE, stop)
    rounds = []
    resumed = learn(RECIPE, lambda done, total: rounds.append((done, total)))
    assert resumed.resumed == ROUND
    assert rounds == [(2 * ROUND, 2 * ROUND)]
    checkpoint_of(RECIPE).unlink()
    whole = learn(RECIPE)
    assert whole.resumed == 0
    assert_same(resumed, whole)


def test_what_was_learned_is_kept():
    first = learn(RECIPE)
    again = learn(RECIPE, stop)
    assert again.resumed == 2 * ROUND
    assert_same(first, again)


@pytest.mark.thorough
def test_several_networks_learn_as_each_does_alone():
    recipes = [RECIPE, replace(RECIPE, seed=4)]
    learned = learn_all(recipes)
    assert [one.recipe for one in learned] == recipes
    for one, recipe in zip(learned, recipes, strict=True):
        checkpoint_of(recipe).unlink()
        assert_same(one, learn(recipe))


def test_every_parameter_of_the_rule_is_learned():
    learned, start = learn(RECIPE).network, PlasticNetwork(RECIPE.shape, RECIPE.seed)
    for (name, value), (_, before) in zip(
        learned.named_parameters(), start.named_parameters(), strict=True
    ):
        assert not torch.equal(value, before), name


def test_learning_that_diverges_is_told_with_what_to_do():
    with pytest.raises(UserError, match=r"oja diverged after \d+ steps .* choose a smaller one"):
        learn(replace(RECIPE, shape=Shape(12, 5, 2, "oja"), lr=1e30))


def test_different_recipes_share_no_checkpoint():
    others = [
        replace(RECIPE, seed=4),
        replace(RECIPE, noises=(0.0,)),
        replace(RECIPE, task=replace(TASK, rate=70 * Hz)),
        replace(RECIPE, shape=replace(RECIPE.shape, gate="eligibility")),
    ]
    assert len({checkpoint_of(recipe) for recipe in [RECIPE, *others]}) == 5


def test_a_fixed_network_learns_where_no_memory_is_needed():
    # While the cue is still in the membranes; learning itself works without plasticity.
    shape = Shape(12, 10, 2, "none")
    learned = learn(Recipe(shape, TASK, (0.0,), (0.0,), 4 * ROUND, seed=3))
    assert learned.history.success.iloc[-1] > 0.95
    assert success(learned.network, TASK, Difficulty(0.0, 0.0), 300, 3) > 0.95


def test_success_is_the_share_of_answers_that_are_largest_in_the_mean():
    network = PlasticNetwork(RECIPE.shape, 3)
    difficulty = Difficulty(13.0, 0.01)
    drawn = TASK.draw(np.random.default_rng([9, 1]), 50, difficulty, 5e-3)
    with torch.no_grad():
        readout = network(drawn.spikes).numpy()
    right = (readout[:, -4:].sum(1).argmax(1) == drawn.labels.numpy()).mean()
    assert success(network, TASK, difficulty, 50, 9) == right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 30}, "multiple of 20"),
        ({"lr": 0.0}, "lr is 0.0, but must be greater than 0"),
        ({"shape": Shape(11, 5, 2, "oja")}, "has 11 inputs and 2 outputs, and the task needs 12"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        replace(RECIPE, **change)


@pytest.mark.parametrize("damage", [lambda b: b[:-7] + b"changed", lambda _: b"foreign"])
def test_what_was_learned_and_then_damaged_is_learned_anew(damage, caplog):
    first = learn(RECIPE)
    path = checkpoint_of(RECIPE)
    path.write_bytes(damage(path.read_bytes()))
    again = learn(RECIPE)
    assert again.resumed == 0
    (told,) = caplog.messages
    assert str(path) in told
    assert_same(again, first)


def test_what_another_training_learned_is_not_taken(caplog):
    other = replace(RECIPE, seed=RECIPE.seed + 1)
    learn(other)
    checkpoint_of(other).replace(checkpoint_of(RECIPE))
    assert learn(RECIPE).resumed == 0
    assert f"{checkpoint_of(RECIPE)} belongs to another training" in caplog.text
