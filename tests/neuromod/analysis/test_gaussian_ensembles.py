"""Ensembles that regress, against hand computation and exact identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neuromod.analysis.gaussian_ensembles import (
    Gaussians,
    ambiguity,
    coverage,
    gaussian_nll,
    mixture,
    rmse,
)
from neuromod.errors import UserError


def test_the_mixture_has_the_moments_of_what_is_drawn_from_it():
    means, variances = np.array([[1.3, -0.4], [2.9, 0.7], [1.1, 0.2]]), np.array([0.4, 1.7, 0.9])
    generator = np.random.default_rng(2)
    member = generator.integers(3, size=400_000)
    noise = generator.standard_normal(len(member)) * np.sqrt(variances[member])
    found = mixture(means, variances)
    for sample in (0, 1):
        values = means[member, sample] + noise
        assert found.mean[sample] == pytest.approx(values.mean(), abs=0.01)
        assert found.variance[sample] == pytest.approx(values.var(), rel=0.01)


def test_members_that_are_all_the_same_are_one():
    one = mixture([[1.3, -0.4]], [0.7])
    same = mixture([[1.3, -0.4]] * 5, [0.7] * 5)
    np.testing.assert_allclose(same.mean, one.mean)
    np.testing.assert_allclose(same.variance, one.variance)
    assert ambiguity([[1.3, -0.4]] * 5) == pytest.approx(0, abs=1e-15)


@given(st.integers(0, 2**31))
def test_the_squared_error_is_the_members_mean_less_their_ambiguity(seed):
    generator = np.random.default_rng(seed)
    means, truth = generator.normal(3.1, 2, (6, 13)), generator.normal(2.7, 2, 13)
    apart = np.square(means - truth).mean()
    together = rmse(mixture(means, np.ones(6)), truth) ** 2
    assert together == pytest.approx(apart - ambiguity(means))


def test_the_likelihood_by_hand():
    found = Gaussians(np.array([1.3, -0.4]), np.array([0.7, 2.3]))
    truth = np.array([1.9, 0.2])
    each = 0.5 * np.log(2 * np.pi * found.variance) + 0.36 / (2 * found.variance)
    assert gaussian_nll(found, truth) == pytest.approx(each.mean())


def test_intervals_of_true_gaussians_hold_as_many_as_they_say():
    generator = np.random.default_rng(3)
    mean, sd = generator.normal(0, 5, 100_000), generator.uniform(0.3, 4, 100_000)
    truth = mean + sd * generator.standard_normal(len(mean))
    found = Gaussians(mean, sd**2)
    for level in (0.31, 0.9):
        assert coverage(found, truth, level) == pytest.approx(level, abs=0.006)
    # Of 68.27 % within one deviation, one of these two is.
    two = Gaussians(np.zeros(2), np.ones(2))
    assert coverage(two, np.array([0.99, 1.01]), 0.6827) == 0.5


def test_what_is_no_prediction_is_refused():
    with pytest.raises(UserError, match="above 0"):
        Gaussians(np.zeros(2), np.array([0.3, 0.0]))
    with pytest.raises(UserError, match=r"means of shape \(2,\) and variances of shape \(3,\)"):
        Gaussians(np.zeros(2), np.ones(3))
    with pytest.raises(UserError, match=r"and not \(2, 3\) and \(3,\)"):
        mixture(np.zeros((2, 3)), np.ones(3))
    with pytest.raises(UserError, match=r"level is 1\.0"):
        coverage(Gaussians(np.zeros(2), np.ones(2)), np.zeros(2), 1.0)
