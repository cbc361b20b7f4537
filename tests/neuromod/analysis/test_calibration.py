"""Scores of probabilities against hand computation, exact identities, and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import binom
from sklearn.metrics import log_loss

from neuromod.analysis.calibration import (
    brier_score,
    chance_calibration_error,
    disagreement,
    diversity,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)
from neuromod.errors import UserError

SEEDS = st.integers(0, 2**31)


def sure_of_first(*confidences):
    """Probabilities of three classes: the first has a confidence, the others share the rest."""
    p = np.array(confidences)
    return np.column_stack([p, (1 - p) / 2, (1 - p) / 2])


def drawn(seed, members=5, samples=23, classes=4):
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.full(classes, 0.7), (members, samples))
    return p, generator.integers(classes, size=samples)


def test_a_forecast_that_is_right_as_often_as_it_says_has_no_calibration_error():
    p = sure_of_first(*[0.8] * 5, *[0.6] * 10)  # four and six of which are right
    labels = np.array([0, 0, 0, 0, 1, *[0] * 6, *[2] * 4])
    assert expected_calibration_error(p, labels) == pytest.approx(0, abs=1e-15)
    table = reliability(p, labels).set_index("low")
    assert table.samples.sum() == 15
    assert table.samples[0.5] == 10
    assert table.accuracy[0.5] == pytest.approx(0.6)


def test_calibration_error_by_hand():
    # Two bins: 0.93 and 0.97 with one of two right, 0.55 with one of one.
    p, labels = sure_of_first(0.93, 0.97, 0.55), [0, 1, 0]
    expected = 2 / 3 * abs(0.5 - 0.95) + 1 / 3 * abs(1 - 0.55)
    assert expected_calibration_error(p, labels) == pytest.approx(expected)
    # In a single bin, over- and underconfidence make up for each other.
    assert expected_calibration_error(p, labels, bins=1) == pytest.approx(abs(2 / 3 - 2.45 / 3))


def test_a_confidence_between_two_bins_belongs_to_the_lower_one():
    table = reliability(sure_of_first(0.7, 1.0), [0, 0])
    assert table.samples.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_the_brier_score_is_reliability_less_resolution_plus_uncertainty():
    """Murphy 1973, of two classes with forecasts of three values; both classes count alike."""
    values, counts, hits = np.array([0.13, 0.52, 0.87]), [7, 11, 5], [1, 7, 4]
    p = np.repeat(values, counts)
    each = zip(counts, hits, strict=True)
    labels = np.concatenate([[1] * hit + [0] * (n - hit) for n, hit in each])
    shares, weights = np.divide(hits, counts), np.divide(counts, sum(counts))
    base = sum(hits) / sum(counts)
    expected = weights @ (values - shares) ** 2 - weights @ (shares - base) ** 2 + base * (1 - base)
    assert brier_score(np.column_stack([1 - p, p]), labels) == pytest.approx(2 * expected)


def test_scores_of_certainty_and_of_guessing():
    right = np.eye(4)[[2, 0, 3]]
    assert brier_score(right, [2, 0, 3]) == 0
    assert brier_score(right, [1, 1, 1]) == 2
    assert negative_log_likelihood(right, [2, 0, 3]) == 0
    assert negative_log_likelihood(right, [2, 0, 1]) == np.inf
    guess = np.full((7, 4), 1 / 4)
    assert brier_score(guess, np.arange(7) % 4) == pytest.approx(1 - 1 / 4)
    assert negative_log_likelihood(guess, np.arange(7) % 4) == pytest.approx(np.log(4))


@given(SEEDS)
def test_the_likelihood_is_scikit_learn_s(seed):
    members, labels = drawn(seed)
    expected = log_loss(labels, members[0], labels=range(4))
    assert negative_log_likelihood(members[0], labels) == pytest.approx(expected)


@given(SEEDS)
def test_mean_probabilities_are_at_least_as_likely_as_members_are_on_average(seed):
    """Jensen's inequality: -log is convex."""
    members, labels = drawn(seed)
    apart = np.mean([negative_log_likelihood(p, labels) for p in members])
    assert negative_log_likelihood(members.mean(axis=0), labels) <= apart + 1e-12


@given(SEEDS)
def test_the_ensemble_s_brier_score_is_the_members_mean_less_their_diversity(seed):
    members, labels = drawn(seed)
    apart = np.mean([brier_score(p, labels) for p in members])
    together = brier_score(members.mean(axis=0), labels)
    assert together == pytest.approx(apart - diversity(members))


def test_members_that_are_all_the_same_are_one():
    members, labels = drawn(3)
    same = np.repeat(members[:1], 7, axis=0)
    for score in (brier_score, negative_log_likelihood, expected_calibration_error):
        assert score(same.mean(axis=0), labels) == pytest.approx(score(members[0], labels))
    assert disagreement(same) == 0
    assert diversity(same) == pytest.approx(0, abs=1e-15)


def test_disagreement_is_counted_over_pairs():
    named = np.eye(3)[[[0, 1], [0, 2], [1, 2]]]
    # First sample: two of three pairs differ. Second: two of three.
    assert disagreement(named) == pytest.approx(4 / 6)
    assert disagreement(named[:1]) == 0


def test_the_error_by_chance_is_the_binomial_s_mean_deviation():
    n, confidence = 7, 0.7
    hits = np.arange(n + 1)
    expected = binom.pmf(hits, n, confidence) @ np.abs(hits / n - confidence)
    generator = np.random.default_rng(5)
    found = chance_calibration_error(sure_of_first(*[confidence] * n), generator, draws=20_000)
    assert found == pytest.approx(expected, rel=0.03)
    of_many = chance_calibration_error(sure_of_first(*[confidence] * 100 * n), generator)
    assert of_many == pytest.approx(expected / 10, rel=0.2)


@pytest.mark.parametrize(
    ("p", "labels", "sentence"),
    [
        ([[0.7, 0.2]], [0], r"sample 0 are \[0\.7, 0\.2\]"),
        ([[0.4, 0.6], [1.2, -0.2]], [0, 0], "sample 1 are"),
        ([[np.nan, 0.5]], [0], "sample 0 are"),
        ([0.3, 0.7], [0, 1], r"shape \(samples, classes\), and not \(2,\)"),
        ([[0.3, 0.7]], [2], "a whole number from 0 to 1"),
        ([[0.3, 0.7]], [0.5], "a whole number from 0 to 1"),
        ([[0.3, 0.7]], [0, 1], "Each of 1 samples needs a label"),
    ],
)
def test_what_is_no_probability_or_label_is_refused(p, labels, sentence):
    with pytest.raises(UserError, match=sentence):
        brier_score(p, labels)


def test_bins_and_members_are_checked():
    with pytest.raises(UserError, match="bins is 0"):
        reliability([[0.3, 0.7]], [1], bins=0)
    with pytest.raises(UserError, match=r"and not \(1, 2\)"):
        disagreement([[0.3, 0.7]])
