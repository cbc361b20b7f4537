"""Predictions of an ensemble that regresses: one Gaussian for each sample, and its scores.

Every member predicts a mean and knows how large its own errors are. The ensemble's prediction has
the mean and the variance of the mixture of its members' Gaussians (Lakshminarayanan et al., NIPS
2017): what they disagree about adds to the errors that each makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from neuromod.errors import UserError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gaussians:
    """One Gaussian for each sample.

    Attributes
    ----------
    mean, variance : ndarray, shape (samples,)
    """

    mean: Floats
    variance: Floats

    def __post_init__(self) -> None:
        if np.shape(self.mean) != np.shape(self.variance):
            raise UserError(
                f"There are means of shape {np.shape(self.mean)} and variances of shape "
                f"{np.shape(self.variance)}: one of each for every sample was expected."
            )
        if not np.all(np.asarray(self.variance) > 0):
            raise UserError("A variance must be above 0: a prediction is never certain.")


def mixture(means: npt.ArrayLike, variances: npt.ArrayLike) -> Gaussians:
    """Return Gaussians with the mean and variance of a mixture of members, all of equal weight.

    Parameters
    ----------
    means : array, shape (members, samples)
    variances : array, shape (members,)
        Of each member's errors.
    """
    of_members, own = np.asarray(means, dtype=float), np.asarray(variances, dtype=float)
    if of_members.ndim != 2 or own.shape != of_members.shape[:1]:
        raise UserError(
            f"Members' means have the shape (members, samples), with a variance for each member, "
            f"and not {of_members.shape} and {own.shape}."
        )
    return Gaussians(of_members.mean(axis=0), own.mean() + of_members.var(axis=0))


def rmse(found: Gaussians, truth: npt.ArrayLike) -> float:
    """Return the root of the mean squared error of the means."""
    return float(np.sqrt(np.square(found.mean - np.asarray(truth, dtype=float)).mean()))


def gaussian_nll(found: Gaussians, truth: npt.ArrayLike) -> float:
    """Return the mean of ``-log`` of the densities at the truth, in nats."""
    return float(-norm.logpdf(truth, found.mean, np.sqrt(found.variance)).mean())


def coverage(found: Gaussians, truth: npt.ArrayLike, level: float) -> float:
    """Return the share of samples whose central interval of a level, such as 0.9, holds the truth.

    Of calibrated predictions it is the level.
    """
    if not 0 < level < 1:
        raise UserError(f"level is {level}, but must lie between 0 and 1.")
    half = norm.ppf((1 + level) / 2) * np.sqrt(found.variance)
    off = np.abs(found.mean - np.asarray(truth, dtype=float))
    return float((off <= half).mean())


def ambiguity(means: npt.ArrayLike) -> float:
    """Return the mean variance of members' predictions about the ensemble's.

    The ensemble's mean squared error is exactly the members' mean of theirs less this (Krogh and
    Vedelsby, NIPS 1994): it is never worse than its members are on average, and members help as far
    as they differ.

    Parameters
    ----------
    means : array, shape (members, samples)
    """
    return float(np.asarray(means, dtype=float).var(axis=0).mean())
