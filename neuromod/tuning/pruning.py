"""How accurate a network is without the neurons whose gains are small.

An L1 penalty shrinks those that matter little, so that no training is needed after pruning, as Lee
et al. (J. Nanosci. Nanotechnol. 20(11):6603, 2020) found for weights of a spiking network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.tuning.features import Features
from neuromod.tuning.hardware import threads_for
from neuromod.tuning.methods.nt1 import NT1
from neuromod.tuning.training import Images, TuningResult, measure_accuracy


def pruning_curve(
    result: TuningResult, features: Features, fractions: Sequence[float]
) -> pd.DataFrame:
    """Measure a network's accuracy while more and more of its hidden neurons are pruned.

    Neurons with the smallest ``|gain|`` go first, whatever their layer. A gain of 0 silences a
    neuron, in a rate network and in a spiking one.

    Parameters
    ----------
    result : TuningResult
        Tuned by ``nt1`` on these features; it is not changed.
    fractions : sequence of float
        Of the hidden neurons, from 0 to 1.

    Returns
    -------
    DataFrame
        One row per fraction: fraction_pruned (rounded to whole neurons), neurons_left,
        validation_accuracy, test_accuracy.
    """
    hidden = result.classifier.modulated_layers[:-1]
    layers = [layer for layer in hidden if isinstance(layer, NT1)]
    if not layers or len(layers) < len(hidden):
        raise UserError("Pruning needs gains on every hidden layer: tune with nt1.")
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise UserError(f"A fraction pruned is {fraction}, but must lie between 0 and 1.")
    order = torch.cat([layer.gains.detach() for layer in layers]).abs().argsort(stable=True)
    images, split = Images(features), features.split
    rows = []
    for count in (round(fraction * len(order)) for fraction in fractions):
        with _silenced(layers, order[:count]), threads_for(result.classifier):
            validation = measure_accuracy(result.classifier, images, split.validation)
            test = measure_accuracy(result.classifier, images, split.test)
        rows.append((count / len(order), len(order) - count, validation, test))
    columns = ["fraction_pruned", "neurons_left", "validation_accuracy", "test_accuracy"]
    return pd.DataFrame(rows, columns=columns)


@contextmanager
def _silenced(layers: list[NT1], neurons: Tensor) -> Iterator[None]:
    """Set the gain of these neurons, counted through all layers, to 0 within a block."""
    before = [(layer.gain, layer.domain) for layer in layers]
    gains = torch.cat([layer.gains.detach() for layer in layers])
    gains[neurons] = 0
    for layer, own in zip(layers, gains.split([layer.n_gains for layer in layers]), strict=True):
        layer.share(nn.Parameter(own), torch.arange(len(own)))
    try:
        yield
    finally:
        for layer, (gain, domain) in zip(layers, before, strict=True):
            layer.gain, layer.domain = gain, domain
