"""Measured rates against theory where there is one, and the surface against what it was made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, ms, pA, second
from scipy.sparse import csr_matrix

from neuromod.analysis.mean_field import LIFRates, input_moments, noisy_rate
from neuromod.analysis.transfer_function import REPEATS, SETTLING, MeasuredRates, Probe
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.inputs.spikes import fixed_indegree
from neuromod.models.gain_lif import GainLIF
from neuromod.recording import Recording

NEURON, WEIGHT, G = GainLIF(receptors=()), 61 * pA, 3.1
PROBE = Probe(
    neuron=NEURON,
    weight=WEIGHT,
    g=G,
    lowest=-900.0,
    highest=8700.0,
    inhibition=2300.0,
    duration=0.6 * second,
    dt=0.2 * ms,
)


@pytest.fixture(scope="module")
def measured():
    recording = simulate(PROBE.experiment(np.random.default_rng(5)))
    return MeasuredRates(PROBE, recording)


def siegert(table):
    """Rates of the same neurons by theory, hertz."""
    rates = []
    for row in table.itertuples():
        excitation = max(row.net_drive_Hz + G * row.inhibition_Hz, 0)
        arriving = np.array([excitation, row.inhibition_Hz]) * Hz
        moments = input_moments(NEURON, np.ones(2), np.array([1, -G]) * WEIGHT, arriving)
        rates.append(float(noisy_rate(NEURON, *moments) / Hz) if excitation else 0.0)
    return np.array(rates)


def test_a_measured_lif_fires_at_siegerts_rate(measured):
    table = measured.table
    theory = siegert(table)
    firing = (theory > 2) & (theory < 40)
    off = (table.interpolated_Hz - theory)[firing]
    assert firing.sum() > 150
    assert np.abs(off).max() < 3
    assert np.sqrt(np.mean(off**2)) < 1
    assert abs(off.mean()) < 0.7
    assert table.interpolated_Hz[theory < 0.001].max() < 0.3


def test_between_the_nodes_the_surface_is_as_near_as_chance_allows(measured):
    between = measured.table.query("point == 'between'")
    off = np.sqrt(np.mean((between.rate_Hz - between.interpolated_Hz) ** 2))
    chance = np.sqrt(np.mean(between.rate_se_Hz**2))
    assert off < 1.35 * chance


def test_a_network_of_measured_neurons_settles_as_one_of_the_theory(measured):
    generator = np.random.default_rng(3)
    cells = np.arange(150)
    excitatory, inhibitory = np.split(cells, [120])
    pre, post = np.concatenate(
        [
            fixed_indegree(excitatory, cells, 40, generator, recurrent=True),
            fixed_indegree(inhibitory, cells, 10, generator, recurrent=True),
        ],
        axis=1,
    )
    weights = csr_matrix((np.where(pre < 120, 61e-12, -3.1 * 61e-12), (post, pre)), (150, 150))
    found = [
        rates.settled(weights, rates.outside(np.full(150, 130), 61e-12, 33), np.zeros(150))
        for rates in (measured, LIFRates(NEURON))
    ]
    assert found[1].mean() > 8
    assert found[0].mean() == pytest.approx(found[1].mean(), rel=0.1)


def test_rates_under_more_input_than_was_measured_are_refused(measured):
    alone = csr_matrix((3, 3))
    with pytest.raises(UserError, match="were not measured"):
        measured.settled(alone, measured.outside(np.full(3, 300), 61e-12, 33), np.zeros(3))
    inside = measured.settled(alone, measured.outside(np.full(3, 150), 61e-12, 33), np.zeros(3))
    arriving = np.array([150]), [61] * pA, [33] * Hz
    assert inside == pytest.approx(measured.alone(*arriving), abs=0.02)


def test_so_many_inhibitory_synapses_bound_the_rate_by_what_was_measured(measured):
    assert measured.bound(25) == pytest.approx(92)


def test_every_probed_neuron_receives_the_rates_of_its_point():
    small = replace(PROBE, duration=10 * ms)
    experiment = small.experiment(np.random.default_rng(8))
    net, inhibition = small.points
    arriving = {"exciting": np.maximum(net + G * inhibition, 0), "inhibiting": inhibition}
    each = {"exciting": 61, "inhibiting": -3.1 * 61}
    # The levels of inhibition are made of 56 sources, each of less than 50 Hz.
    source = 2300 / 56
    for connection in experiment.connections:
        current = np.bincount(connection.j, connection.weight / pA, minlength=len(net) * REPEATS)
        wanted = np.repeat(arriving[connection.source] * each[connection.source], REPEATS)
        assert np.allclose(current * source, wanted)


def test_the_same_seed_probes_with_the_same_spikes_and_another_with_others():
    small = replace(PROBE, highest=1000.0, inhibition=90.0, duration=10 * ms)
    first, again, other = (
        small.experiment(np.random.default_rng(seed)).sources[0] for seed in (4, 4, 7)
    )
    assert np.array_equal(first.times, again.times)
    assert np.array_equal(first.neurons, again.neurons)
    assert not np.array_equal(first.neurons, other.neurons)


def test_a_known_surface_is_found_again_to_half_of_the_chance_in_its_counts():
    probe = replace(PROBE, duration=4 * second)
    net, inhibition = probe.points

    def rate(net, inhibition):
        return 60 / (1 + np.exp(-(net - 4000 + inhibition) / 1100))

    counts = np.random.default_rng(2).poisson(np.repeat(4 * rate(net, inhibition), REPEATS))
    cells = np.repeat(np.arange(len(counts)), counts)
    spikes = Spikes("cells", len(counts), cells, np.full(len(cells), 2.0) * second)
    recording = Recording({"cells": spikes}, {}, SETTLING + 4 * second, 0.2 * ms, {}, {})
    found = MeasuredRates(probe, recording).table
    off = found.interpolated_Hz - rate(net, inhibition)
    assert np.sqrt(np.mean(off**2)) < 0.5 * np.sqrt(np.mean(found.rate_se_Hz**2))
