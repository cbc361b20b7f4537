"""Episodes are what their task says: answers follow from the spikes, rates and times are right."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms

pytest.importorskip("torch")

from neuromod.errors import UserError
from neuromod.plasticity.tasks import CueAssociation, Difficulty, PatternRecall

DT = 3e-3
CUES = CueAssociation(cues=5, neurons=7, cue=27 * ms, gap=12 * ms, response=45 * ms, rate=170 * Hz)
PATTERNS = PatternRecall(
    pairs=3,
    neurons=20,
    active=6,
    group=5,
    show=60 * ms,
    gap=12 * ms,
    response=60 * ms,
    rate=300 * Hz,
)


def drawn(task, noise: float, delay_s: float, batch: int = 300, seed: int = 4):
    episodes = task.draw(np.random.default_rng(seed), batch, Difficulty(noise, delay_s), DT)
    return episodes.spikes.numpy(), episodes.labels.numpy(), episodes.response


def sides(spikes: np.ndarray) -> np.ndarray:
    """Whether the left and the right fire during every cue, shape (batch, 5, 2)."""
    cued = spikes[:, : 5 * 13].reshape(len(spikes), 5, 13, 4, 7)[:, :, :9]
    return cued.any(axis=(2, 4))[..., :2]


def test_the_side_with_more_cues_is_the_answer():
    spikes, labels, _ = drawn(CUES, 0, 0.03)
    fired = sides(spikes)
    assert (fired.sum(2) == 1).all()
    counts = fired.sum(1)
    assert (counts.argmax(1) == labels).all()
    assert labels.mean() == pytest.approx(0.5, abs=0.09)
    majorities = np.bincount(counts.max(1))[3:] / len(labels)
    assert majorities == pytest.approx([1 / 3] * 3, abs=0.09)


def test_cues_come_in_any_order():
    spikes, labels, _ = drawn(CUES, 0, 0.03)
    first = sides(spikes)[np.arange(len(labels)), :, labels].mean(0)
    # Of 5 cues 3, 4 or 5 are on the side that wins.
    assert first == pytest.approx([0.8] * 5, abs=0.1)


def test_nothing_but_context_and_noise_fires_in_the_delay():
    spikes, _, response = drawn(CUES, 0, 0.06)
    assert spikes.shape == (300, 65 + 20 + 15, 28)
    assert response == 15
    groups = spikes.reshape(300, 100, 4, 7)
    assert groups[:, 65:85, :3].sum() == 0
    assert groups[:, 85:, :2].sum() == 0
    assert groups[:, :85, 2].sum() == 0
    assert groups[:, 85:, 2].mean() / DT == pytest.approx(170, rel=0.02)
    assert groups[:, :, 3].mean() / DT == pytest.approx(40, rel=0.03)


def test_noise_adds_its_rate_to_cues_and_go():
    spikes, _, _ = drawn(CUES, 33, 0.06)
    groups = spikes.reshape(300, 100, 4, 7)
    assert groups[:, 65:85, :3].mean() / DT == pytest.approx(33, rel=0.04)
    assert groups[:, 85:, 2].mean() / DT == pytest.approx(203, rel=0.02)
    assert groups[:, :, 3].mean() / DT == pytest.approx(40, rel=0.03)


def shown(spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patterns and answers of every pair, shapes (batch, 3, 20) and (batch, 3)."""
    active = spikes[:, : 3 * 24].reshape(len(spikes), 3, 24, 35)[:, :, :20].any(2)
    return active[..., :20], active[..., 20:].reshape(-1, 3, 3, 5).any(3).argmax(2)


def test_the_answer_is_what_the_pattern_asked_for_was_shown_with():
    spikes, labels, response = drawn(PATTERNS, 0, 0.03)
    patterns, answers = shown(spikes)
    assert (patterns.sum(2) == 6).all()
    assert (np.sort(answers, 1) == [0, 1, 2]).all()
    question = spikes[:, -20:, :20].any(1)
    asked = (question[:, None] == patterns).all(2).argmax(1)
    assert (question == patterns[np.arange(300), asked]).all()
    assert (answers[np.arange(300), asked] == labels).all()
    assert response == 10
    assert spikes[:, 72:82].sum() == 0
    assert spikes[:, 82:, 20:].sum() == 0
    assert np.bincount(labels) / 300 == pytest.approx([1 / 3] * 3, abs=0.09)


def test_patterns_are_new_in_every_episode():
    patterns = shown(drawn(PATTERNS, 0, 0.03)[0])[0]
    assert len(np.unique(patterns[:, 0], axis=0)) > 290
    assert patterns.mean((0, 1)) == pytest.approx([0.3] * 20, abs=0.06)


def test_noise_exchanges_a_share_of_the_pattern_for_other_neurons():
    spikes, labels, _ = drawn(PATTERNS, 1 / 3, 0.03)
    patterns, answers = shown(spikes)
    asked = (answers == labels[:, None]).argmax(1)
    question = spikes[:, -20:, :20].any(1)
    assert (question.sum(1) == 6).all()
    assert ((question & patterns[np.arange(300), asked]).sum(1) == 4).all()


@pytest.mark.parametrize("task", [CUES, PATTERNS], ids=["cues", "patterns"])
def test_a_seed_gives_the_same_episodes_and_another_others(task):
    one, again, other = (drawn(task, 0, 0.03, 5, seed)[0] for seed in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_time_step_must_divide_the_durations_and_hold_no_two_spikes_of_an_input():
    CUES.check_grid(3 * ms, 160)
    with pytest.raises(UserError, match="cue = 27 ms must be a whole number of time steps"):
        CUES.check_grid(5 * ms, 0)
    with pytest.raises(UserError, match="340 Hz would spike more than once in a time step"):
        CUES.check_grid(3 * ms, 170)


def test_tasks_without_an_answer_are_refused():
    with pytest.raises(UserError, match="cues is 4, but must be odd"):
        CueAssociation(cues=4)
    with pytest.raises(UserError, match="pairs is 1, but one answer alone is no question"):
        PatternRecall(pairs=1)
    with pytest.raises(UserError, match="active is 13, but must be from 1 to half of 24 neurons"):
        PatternRecall(active=13)
