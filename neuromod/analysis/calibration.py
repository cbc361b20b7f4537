"""How far probabilities of classes can be trusted: proper scores, reliability, disagreement.

Probabilities have the shape (samples, classes), those of an ensemble (members, samples, classes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuromod.errors import UserError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 10
"""Bins of confidence, of equal width (chosen here, as Naeini et al. 2015 have; Guo et al. 2017 have
15)."""

ROUNDING = 1e-6
"""By how much the sum of a sample's probabilities may miss 1: single precision gives 1e-7."""


def negative_log_likelihood(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean of ``-log p`` of the true class, in nats; infinite where such a p is 0."""
    p, own = _checked(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(p[np.arange(len(p)), own]).mean())


def brier_score(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean squared distance of probabilities from the truth, summed over the classes.

    It lies between 0 and 2, as Brier (Mon. Weather Rev. 78:1, 1950) defined it; of two classes it
    is twice the score of one of them.
    """
    p, own = _checked(probabilities, labels)
    return float(np.square(p - np.eye(p.shape[1])[own]).sum(axis=1).mean())


def reliability(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS
) -> pd.DataFrame:
    """Compare confidence, the largest probability of a sample, with how often it was right.

    Parameters
    ----------
    bins : int
        Bins of equal width from 0 to 1. A confidence between two belongs to the lower one.

    Returns
    -------
    DataFrame
        One row for each bin: its ends ``low`` and ``high``, number of ``samples``, and their mean
        ``confidence`` and ``accuracy``, nan where there are none.
    """
    p, own = _checked(probabilities, labels)
    confidence, right = p.max(axis=1), 1.0 * (p.argmax(axis=1) == own)
    inside = _places(confidence, bins)
    edges, count = np.linspace(0, 1, bins + 1), inside.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = {"confidence": confidence @ inside / count, "accuracy": right @ inside / count}
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "samples": count} | means)


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS
) -> float:
    """Return how far accuracy is from confidence, as a mean over the samples of their bins.

    ``sum over bins of samples_b/samples * |accuracy_b - confidence_b|`` (Naeini et al., AAAI 2015;
    Guo et al., ICML 2017), for the most probable class, with the bins of `reliability`.
    """
    p, own = _checked(probabilities, labels)
    confidence = p.max(axis=1)
    return float(_gap(confidence, p.argmax(axis=1) == own, _places(confidence, bins)))


def chance_calibration_error(
    probabilities: npt.ArrayLike, generator: np.random.Generator, bins: int = BINS, draws: int = 100
) -> float:
    """Return the calibration error that is to be expected if all confidences are true.

    It is above 0, because the few samples of a bin miss its confidence by chance. The idea is the
    consistency resampling of Broecker and Smith (Weather Forecast. 22:651, 2007).

    Parameters
    ----------
    generator : Generator
        Draws whether each sample is right, with its confidence as the chance of that.
    draws : int
        Over which the error is averaged.
    """
    confidence = _probabilities(probabilities).max(axis=1)
    right = generator.random((draws, len(confidence))) < confidence
    return float(_gap(confidence, right, _places(confidence, bins)).mean())


def disagreement(members: npt.ArrayLike) -> float:
    """Return the share of samples for which two members name different classes, over all pairs.

    Parameters
    ----------
    members : array, shape (members, samples, classes)

    Returns
    -------
    float
        0 for a single member.
    """
    named = _members(members).argmax(axis=2)
    one, other = np.triu_indices(len(named), 1)
    return float((named[one] != named[other]).mean()) if len(one) else 0.0


def diversity(members: npt.ArrayLike) -> float:
    """Return the variance of members' probabilities, summed over classes, as a mean over samples.

    It is exactly by how much the Brier score of the mean probabilities is below the members' mean
    score: the ambiguity of Krogh and Vedelsby (NIPS 1994), for classes.

    Parameters
    ----------
    members : array, shape (members, samples, classes)
    """
    return float(_members(members).var(axis=0).sum(axis=1).mean())


def _places(confidence: Floats, bins: int) -> npt.NDArray[np.bool_]:
    """Which bin each sample is in, shape (samples, bins)."""
    if bins < 1:
        raise UserError(f"bins is {bins}, but must be at least 1.")
    edges = np.linspace(0, 1, bins + 1)
    # No confidence is 0, and rounding may take one beyond 1.
    place = np.clip(np.searchsorted(edges, confidence) - 1, 0, bins - 1)
    inside: npt.NDArray[np.bool_] = np.equal(place[:, None], np.arange(bins))
    return inside


def _gap(confidence: Floats, right: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_]) -> Floats:
    """Calibration errors of samples that were right or not, shape (..., samples)."""
    misses = np.abs((right - confidence) @ inside)
    error: Floats = misses.sum(axis=-1) / len(confidence)
    return error


def _members(values: npt.ArrayLike) -> Floats:
    p = np.asarray(values, dtype=float)
    if p.ndim != 3 or not p.size:
        raise UserError(
            f"Members' probabilities have the shape (members, samples, classes), and not {p.shape}."
        )
    return p


def _probabilities(values: npt.ArrayLike) -> Floats:
    p = np.asarray(values, dtype=float)
    if p.ndim != 2 or not p.size:
        raise UserError(f"Probabilities have the shape (samples, classes), and not {p.shape}.")
    wrong = ~((p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= ROUNDING))
    if wrong.any():
        raise UserError(
            f"Probabilities of sample {np.argmax(wrong)} are {p[wrong][0].tolist()}: none may be "
            "negative, and their sum must be 1."
        )
    return p


def _checked(values: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Ints]:
    p, given = _probabilities(values), np.asarray(labels)
    classes = p.shape[1]
    if given.shape != (len(p),) or not np.isin(given, np.arange(classes)).all():
        raise UserError(
            f"Each of {len(p)} samples needs a label, a whole number from 0 to {classes - 1}."
        )
    return p, given.astype(np.int64)
