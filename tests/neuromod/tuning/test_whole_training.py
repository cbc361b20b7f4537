"""Whole networks learn a task, by what their way trains alone, and finished trainings are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import whole_training  # noqa: E402
from neuromod.tuning.backbone import Backbone  # noqa: E402
from neuromod.tuning.datasets.images import ImageData, InputSpec, Split  # noqa: E402
from neuromod.tuning.whole_network import Contender, WholeRecipe, whole_network  # noqa: E402
from neuromod.tuning.whole_training import (  # noqa: E402
    WholeOutcome,
    compare,
    embed,
    prepare_samples,
    tune_whole,
    whole_memory,
)

LABELS = np.arange(66, dtype=np.int64) % 3


def image(index: int) -> torch.Tensor:
    """The brightest channel is the class."""
    noise = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(index))
    noise[int(LABELS[index])] += 0.3
    return (noise / 1.3).clamp(0, 1)


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def data() -> ImageData:
    split = Split(*(np.arange(*ends, dtype=np.int64) for ends in ((0, 30), (30, 45), (48, 66))))
    return ImageData("bright", ("r", "g", "b"), image, LABELS, split, "bright-1")


@pytest.fixture(scope="module")
def small() -> Backbone:
    torch.manual_seed(6)
    network = nn.Sequential(
        nn.Conv2d(3, 9, 3, bias=False),
        nn.BatchNorm2d(9),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(9, 5),
    )
    with torch.no_grad():
        for step in range(8):
            network(torch.stack([image(i) for i in range(8 * step, 8 * step + 8)]))
    return Backbone("small", network, InputSpec(3, 6, (0.5,) * 3, (0.25,) * 3))


RECIPE = WholeRecipe("nt1", 0.07, 12, batch_size=8, seed=2)


def test_a_whole_network_learns_and_only_what_is_trained_changes(small, data):
    samples = prepare_samples(small, data)
    before = whole_network(small.network, RECIPE, 3).network.state_dict()
    outcome = tune_whole(samples, RECIPE)
    assert outcome.accuracy["test"] > 0.7
    assert outcome.losses[-1] < 0.7 * outcome.losses[0]
    assert (outcome.n_trained, outcome.n_head) == (9 + 30, 30)
    after = outcome.network.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"0.gain", "6.weight", "6.bias"}


def test_samples_of_another_kind_are_refused_before_any_is_read(small, data):
    sounds = replace(data, image=None, kind="sounds")
    with pytest.raises(UserError, match="small takes images, and bright holds sounds"):
        prepare_samples(small, sounds)


def test_the_same_recipe_gives_the_same(small, data):
    samples = prepare_samples(small, data)
    first, second = tune_whole(samples, RECIPE), tune_whole(samples, RECIPE)
    assert first.losses == second.losses
    other = tune_whole(samples, replace(RECIPE, seed=3))
    assert first.losses != other.losses


def test_samples_too_many_to_be_held_are_prepared_again_and_give_the_same(small, data, monkeypatch):
    held = prepare_samples(small, data)
    monkeypatch.setattr(whole_training, "HELD", 1000)
    streamed = prepare_samples(small, data)
    assert streamed.held is None
    recipe = replace(RECIPE, epochs=2)
    assert tune_whole(held, recipe).losses == tune_whole(streamed, recipe).losses


def test_a_head_alone_learns_the_same_from_what_it_reads(small, data):
    samples = prepare_samples(small, data)
    recipe = WholeRecipe("probe", 0.05, 6, seed=2)
    whole, fast = tune_whole(samples, recipe), tune_whole(samples, recipe, embedded=embed(samples))
    np.testing.assert_allclose(whole.losses, fast.losses, rtol=1e-5)
    assert whole.accuracy == fast.accuracy


def test_validation_samples_choose_a_rate_and_trainings_are_kept(small, data, monkeypatch):
    samples = prepare_samples(small, data)
    ways = [Contender("nt1"), Contender("lora", 4)]
    epochs: list[tuple[int, int]] = []
    found = compare(samples, [3, 4], 2, contenders=ways, progress=lambda *now: epochs.append(now))
    trainings = sum(len(whole_training.WAYS[way.method].rates) + 2 for way in ways)
    assert epochs[0] == (1, 2 * trainings)
    for way, outcomes in found.items():
        rates = whole_training.WAYS[way.method].rates
        tried = [
            tune_whole(samples, WholeRecipe(way.method, lr, 2, seed=3, rank=way.rank))
            for lr in rates
        ]
        first_two = sorted((one.accuracy["validation"] for one in tried), reverse=True)[:2]
        assert outcomes[0].accuracy["validation"] in first_two
        assert [one.recipe.seed for one in outcomes] == [3, 4]
        assert len({one.recipe.lr for one in outcomes}) == 1

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(whole_training, "tune_whole", never)
    again = compare(samples, [3, 4], 2, contenders=ways)
    for way, outcomes in found.items():
        assert [one.losses for one in again[way]] == [one.losses for one in outcomes]


def test_a_rate_that_suits_one_seed_and_fails_with_others_is_not_taken(small, data, monkeypatch):
    """And none is tried above one that collapses."""
    shares = {0.001: 0.5, 0.003: 0.7, 0.01: 0.9, 0.03: 0.8, 0.1: 0.3, 0.3: 1.0}
    tried = []

    def tuned(_, recipe, *__):
        tried.append(recipe.lr)
        fails = recipe.lr == 0.01 and recipe.seed != 3
        right = {"validation": 0.2 if fails else shares[recipe.lr], "test": 0.0}
        return WholeOutcome(recipe, 1, 0, right, [0.1], 0.1)

    monkeypatch.setattr(whole_training, "tune_whole", tuned)
    way = Contender("nt1")
    (outcomes,) = compare(prepare_samples(small, data), [3, 4, 5], 1, contenders=[way]).values()
    assert {one.recipe.lr for one in outcomes} == {0.03}
    assert [one.recipe.seed for one in outcomes] == [3, 4, 5]
    assert 0.3 not in tried


def test_a_training_that_diverged_is_wrong_not_lucky(small, data, caplog):
    recipe = WholeRecipe("tft", 1e30, 3, seed=2)
    outcome = tune_whole(prepare_samples(small, data), recipe)
    assert len(outcome.losses) < 3
    assert outcome.accuracy == {"validation": 0.0, "test": 0.0}
    assert "tft at learning rate 1e+30 diverged" in caplog.text


def test_memory_that_is_not_there_is_asked_for_in_a_sentence(small, data, monkeypatch):
    sample = small.image.prepare(image(0))
    # Two of a batch's layers' outputs, and five of every weight.
    layers = 9 * 16 * 3 + 9 + 9 + 9 + 5
    weights = sum(p.numel() for p in small.network.parameters())
    assert whole_memory(small.network, sample, 4) == 4 * (2 * 4 * layers + 5 * weights)
    monkeypatch.setattr(whole_training, "memory", lambda: 1e5)
    with pytest.raises(UserError, match=r"Tuning all of small on bright needs .* GB of memory"):
        prepare_samples(small, data)


def test_an_appended_bottleneck_is_refused_before_any_training(small, data, monkeypatch):
    monkeypatch.setattr(whole_training, "tune_whole", None)
    narrow = replace(small, network=nn.Sequential(*small.network[:-1], nn.Linear(9, 2)))
    samples = prepare_samples(narrow, data)
    with pytest.raises(UserError, match="3 classes behind 2 outputs is a bottleneck"):
        compare(samples, [1], 1, "append")
