"""Rates of single neurons against the scalar theory, homogeneous networks, and limits."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, mV, nS, pA
from scipy.sparse import csr_matrix

from neuromod.analysis.mean_field import input_moments, network_rates, noisy_rate
from neuromod.analysis.neuron_rates import NeuronRates
from neuromod.errors import UserError
from neuromod.inputs.spikes import fixed_indegree
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor

NEURON = GainLIF(receptors=(), v_reset=-61 * mV)
SILENT = csr_matrix((3, 3))


def test_without_synapses_every_neuron_is_alone():
    theory = NeuronRates(NEURON)
    indegree = np.array([61, 97, 143])
    rates = theory.settled(SILENT, theory.outside(indegree, 117e-12, 23), np.zeros(3))
    alone = [
        noisy_rate(NEURON, *input_moments(NEURON, np.array([k]), [117] * pA, [23] * Hz)) / Hz
        for k in indegree
    ]
    assert rates == pytest.approx(alone, abs=0.01)
    assert alone[0] < 1 < alone[2]


def test_neurons_with_equal_indegrees_fire_as_populations_do():
    generator = np.random.default_rng(3)
    excitatory, inhibitory, cells = np.arange(120), np.arange(120, 150), np.arange(150)
    pre, post = np.concatenate(
        [
            fixed_indegree(excitatory, cells, 28, generator, recurrent=True),
            fixed_indegree(inhibitory, cells, 7, generator, recurrent=True),
        ],
        axis=1,
    )
    weights = np.where(pre < 120, 230, -1270) * 1e-12
    theory = NeuronRates(NEURON)
    outside = theory.outside(np.full(150, 28), 230e-12, 43)
    rates = theory.settled(csr_matrix((weights, (post, pre)), (150, 150)), outside, np.zeros(150))
    populations = network_rates(
        NEURON, np.ones(2), np.array([28, 7, 28]), [230, -1270, 230] * pA, 43 * Hz
    )
    assert rates == pytest.approx(np.repeat(populations / Hz, [120, 30]), rel=5e-3)
    assert rates[0] > 5


def test_two_synapses_from_one_neuron_are_one_of_twice_the_weight():
    theory = NeuronRates(NEURON)
    outside = theory.outside(np.array([140, 90, 90]), 117e-12, 23)

    def rate(weight, pre):
        values = (np.full(len(pre), weight), (np.full(len(pre), 2), pre))
        return theory.settled(csr_matrix(values, (3, 3)), outside, np.zeros(3))[2]

    twice, double, pair = rate(3e-10, [0, 0]), rate(6e-10, [0]), rate(3e-10, [0, 1])
    assert twice == double
    # Neuron 1 fires less than neuron 0, so that two different sources give less.
    assert pair < twice


def test_a_network_that_never_settles_is_refused():
    # Strong inhibition of all by all flips the rates at every step of the search.
    weights = csr_matrix(-6e-9 * (1 - np.eye(40)))
    theory = NeuronRates(NEURON)
    with pytest.raises(UserError, match="did not settle"):
        theory.settled(weights, theory.outside(np.full(40, 300), 117e-12, 23), np.zeros(40))


@pytest.mark.parametrize(
    "neuron", [GainLIF(b=7 * pA), GainLIF(receptors=(Receptor(g_K=1.3 * nS),))]
)
def test_what_the_theory_leaves_out_is_refused(neuron):
    with pytest.raises(UserError, match="b and g_K"):
        NeuronRates(neuron)
