"""The linear probe that every accuracy is compared with."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.tuning.datasets.images import Split
from neuromod.tuning.features import Features
from neuromod.tuning.reference import linear_probe


def features(signal: float) -> Features:
    draw = np.random.default_rng(4)
    labels = (np.arange(90) % 3).astype(np.int64)
    values = draw.normal(size=(90, 17)).astype(np.float32)
    values[np.arange(90), labels] += signal
    parts = np.split(np.arange(90, dtype=np.int64), [41, 60])
    return Features(values, labels, Split(*parts), ("a", "b", "c"), "drawn", "k", False)


def test_what_a_line_can_tell_apart_is_told_apart_and_what_is_not_there_is_not():
    assert linear_probe(features(6))["test"] > 0.93
    assert linear_probe(features(0))["test"] < 0.6


def test_features_in_other_units_give_the_same():
    plain = features(1.7)
    scaled = Features(**{**vars(plain), "values": plain.values * np.float32(173)})
    assert linear_probe(scaled) == linear_probe(plain)
