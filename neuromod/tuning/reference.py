"""The reference of every accuracy: a logistic regression on the very features."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuromod.tuning.features import Features

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the L2 penalty, of standardised features (chosen here)."""


def linear_probe(features: Features) -> dict[str, float]:
    """Fit a logistic regression to the training samples' features.

    Validation samples choose the strength of its penalty; of equal ones, the strongest.

    Returns
    -------
    dict of str to float
        Fraction of the "train", "validation" and "test" samples classified right.
    """
    parts = {
        part: (np.asarray(features.values[rows], np.float32), features.labels[rows])
        for part, rows in vars(features.split).items()
    }
    fits = (
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        for strength in STRENGTHS
    )
    found = [
        {part: float(fit.score(*own)) for part, own in parts.items()}
        for fit in (unfitted.fit(*parts["train"]) for unfitted in fits)
    ]
    return max(found, key=lambda shares: shares["validation"])
