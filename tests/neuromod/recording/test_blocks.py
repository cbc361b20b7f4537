"""A Neo block has a spike train per neuron, which Elephant takes as it is."""

import numpy as np
import pytest
import quantities as pq
from brian2 import mmolar, ms, nA, second, volt
from elephant.conversion import BinnedSpikeTrain
from elephant.statistics import mean_firing_rate

from neuromod.experiment import Spikes
from neuromod.recording import Recording, Signal

DT = 0.13 * ms
STEPS = 4000
RNG = np.random.default_rng(7)
# Neurons of rates far apart, one of them silent.
COUNTS = [17, 0, 3, 41]
FIRED = sorted(
    (step, neuron)
    for neuron, count in enumerate(COUNTS)
    for step in RNG.choice(STEPS, count, replace=False).tolist()
)
STEP, NEURON = np.array(FIRED).T
RECORDING = Recording(
    {
        "cells": Spikes("cells", 4, NEURON, STEP * DT),
        "others": Spikes("others", 2, np.array([1]), np.array([5]) * DT),
    },
    {
        "cells": {
            "v": Signal(np.array([2, 0]), RNG.normal(size=(2, STEPS)) * volt),
            "I_syn": Signal(np.array([2]), RNG.normal(size=(1, STEPS)) * nA),
            "gain": Signal(np.array([1]), RNG.normal(size=(1, STEPS))),
            "conc": Signal(np.array([1]), RNG.normal(size=(1, STEPS)) * mmolar, DT),
            "slow": Signal(np.array([3]), RNG.normal(size=(1, -(-STEPS // 11))), 11 * DT),
        }
    },
    STEPS * DT,
    DT,
)
SEGMENT = RECORDING.to_neo().segments[0]


def test_every_neuron_has_a_train_that_says_whose_it_is():
    whose = [(t.annotations["population"], t.annotations["index"]) for t in SEGMENT.spiketrains]
    assert whose == [("cells", n) for n in range(4)] + [("others", n) for n in range(2)]
    assert [train.name for train in SEGMENT.spiketrains][3:5] == ["cells[3]", "others[0]"]
    for train in SEGMENT.spiketrains:
        assert (train.units, float(train.t_start)) == (pq.s, 0.0)
        assert float(train.t_stop) == float(RECORDING.duration / second)


def test_elephant_finds_the_rate_of_every_neuron():
    rates = [float(mean_firing_rate(train).rescale("Hz")) for train in SEGMENT.spiketrains]
    np.testing.assert_allclose(rates, np.array([*COUNTS, 0, 1]) / 0.52, rtol=1e-12)


def test_elephant_bins_them_together():
    binned = BinnedSpikeTrain(list(SEGMENT.spiketrains), bin_size=26 * pq.ms)
    np.testing.assert_array_equal(binned.to_array().sum(axis=1), [*COUNTS, 0, 1])


def test_signals_have_volts_and_amperes_and_the_neuron_of_every_channel():
    signals = {signal.name: signal for signal in SEGMENT.analogsignals}
    assert signals["cells.v"].units == pq.V
    assert signals["cells.I_syn"].units == pq.A
    assert signals["cells.gain"].units == pq.dimensionless
    assert signals["cells.conc"].units.dimensionality == (pq.mol / pq.m**3).dimensionality
    assert signals["cells.v"].shape == (STEPS, 2)
    assert signals["cells.v"].array_annotations["neuron"].tolist() == [2, 0]
    assert float(signals["cells.v"].sampling_period.rescale("s")) == pytest.approx(0.13e-3)
