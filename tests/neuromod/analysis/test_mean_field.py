"""Mean-field rates against closed forms, limits, and simulated neurons and networks."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms, mV, nA, nS, pA, second, usecond
from scipy.integrate import quad
from scipy.sparse import csr_matrix
from scipy.special import erfcx, zeta

from neuromod.analysis.mean_field import LIFRates, input_moments, network_rates, noisy_rate
from neuromod.analysis.spike_trains import between
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population
from neuromod.inputs.spikes import fixed_indegree, poisson
from neuromod.models.gain_lif import GainLIF
from neuromod.models.messenger import Messenger
from neuromod.models.receptor_library import library
from neuromod.models.receptors import Receptor

NEURON = GainLIF(receptors=())
HIGHER = GainLIF(receptors=(), v_reset=-61 * mV)
SILENT = csr_matrix((3, 3))


def test_moments_are_those_of_shot_noise_by_hand():
    mean, noise = input_moments(
        NEURON, np.array([30, 10]), [110, -450] * pA, np.array([17, 23]) * Hz
    )
    # 40 MOhm * 2 ms * (30*110*17 - 10*450*23) pA/s
    assert mean / mV == pytest.approx(80e3 * (56100 - 103500) * 1e-12 * 1e3)
    variance = (80e3**2) * (30 * 110**2 * 17 + 10 * 450**2 * 23) * 1e-24 / 20e-3
    assert noise / mV == pytest.approx(np.sqrt(variance) * 1e3)


@pytest.mark.parametrize("current", [0.57, 0.83, 1.9])
def test_without_noise_the_rate_is_the_closed_form(current):
    quick = GainLIF(receptors=(), tau_syn=1e-3 * usecond, v_reset=-63 * mV)
    mean = quick.R * current * nA
    assert noisy_rate(quick, mean, 0.003 * mV, 1.3) / Hz == pytest.approx(
        quick.rate(current * nA, 1.3)[0] / Hz, rel=1e-3
    )


@pytest.mark.parametrize(
    "neuron",
    [
        GainLIF(receptors=(), v_reset=-61 * mV),
        GainLIF(tau_m=31 * ms, v_th=-53 * mV, t_ref=3.1 * ms),
    ],
)
@pytest.mark.parametrize("noise", [0.03, 0.9, 4.1, 13])
def test_the_rate_is_siegerts_integral(neuron, noise):
    shift = abs(zeta(0.5)) * np.sqrt(neuron.tau_syn / neuron.tau_m / 2)

    def by_integral(mean):
        reset, threshold = (
            (level - neuron.v_rest - mean * mV) / (noise * mV) + shift
            for level in (neuron.v_reset, neuron.v_th)
        )
        if threshold > 22:
            return 0
        area = quad(lambda u: erfcx(-u), reset, threshold, limit=200)[0]
        return 1 / (neuron.t_ref + neuron.tau_m * np.sqrt(np.pi) * area) / Hz

    mean = np.array([-13, 0.7, 11, 17.3, 23.9, 71])
    rates = noisy_rate(neuron, mean * mV, noise * mV) / Hz
    assert rates == pytest.approx([by_integral(m) for m in mean], rel=1e-6, abs=1e-100)


def test_far_below_threshold_without_noise_nothing_fires():
    assert noisy_rate(NEURON, 11 * mV, 0.1 * mV) == 0 * Hz


def test_a_gain_is_a_gain_of_mean_and_noise():
    assert noisy_rate(NEURON, 9 * mV, 4 * mV, 1.7) == noisy_rate(NEURON, 15.3 * mV, 6.8 * mV)


@pytest.mark.thorough
@pytest.mark.parametrize("drive", [81, 93])
def test_simulated_neurons_under_poisson_input_fire_at_the_predicted_rate(drive):
    # Below threshold in the mean at gain 1, and above it at gain 1.6.
    size, duration, dt = 400, 2.1 * second, 0.05 * ms
    indegree, weight, rate = np.array([150, 50]), [61, -183] * pA, [drive, 57] * Hz
    generator = np.random.default_rng(11)
    cells = np.arange(size)
    pools = [
        poisson(name, 30 * k, r, 0 * ms, duration, dt, generator)
        for name, k, r in zip(("up", "down"), indegree, rate, strict=True)
    ]
    synapses = [fixed_indegree(np.arange(30 * k), cells, k, generator) for k in indegree]
    connections = tuple(
        Connection(pool.name, "cells", "I_syn", i=i, j=j, weight=w)
        for pool, (i, j), w in zip(pools, synapses, weight, strict=True)
    )
    gains = np.repeat([1, 1.6], size // 2)
    population = Population("cells", NEURON, size, {"trained_gain": gains})
    experiment = Experiment(
        populations=(population,),
        sources=tuple(pools),
        connections=connections,
        duration=duration,
        dt=dt,
        seed=11,
    )
    spikes = simulate(experiment).spikes["cells"]
    counts = between(spikes, 0.1 * second, duration, dt).counts()
    moments = input_moments(NEURON, indegree, weight, rate)
    for gain in (1, 1.6):
        predicted = noisy_rate(NEURON, *moments, gain) / Hz
        assert counts[gains == gain].mean() / 2.0 == pytest.approx(predicted, rel=0.04)


def test_without_recurrence_a_network_is_its_neurons():
    indegree, weight = np.array([0, 0, 340]), [0, 0, 83] * pA
    rates = network_rates(NEURON, np.array([0.9, 1.4]), indegree, weight, 11 * Hz)
    moments = input_moments(NEURON, indegree, weight, [0, 0, 11] * Hz)
    alone = [noisy_rate(NEURON, *moments, gain) / Hz for gain in (0.9, 1.4)]
    assert np.allclose(rates / Hz, alone, rtol=1e-3)
    assert alone[0] > 1


def test_a_network_reproduces_its_own_rates():
    indegree, weight, gain = np.array([340, 85, 340]), [83, -470, 83] * pA, np.array([1.3, 1.1])
    rates = network_rates(NEURON, gain, indegree, weight, 13 * Hz)
    moments = input_moments(NEURON, indegree, weight, np.append(rates / Hz, 13) * Hz)
    again = [noisy_rate(NEURON, *moments, g) / Hz for g in gain]
    assert np.allclose(rates / Hz, again, rtol=1e-3)
    assert rates[0] > rates[1] > 0 * Hz


@pytest.mark.parametrize("gain", [1.0, 1.9])
def test_with_very_many_synapses_inhibition_alone_sets_the_slope(gain):
    # Weights fall with the root of the number of synapses: van Vreeswijk & Sompolinsky 1996.
    many, g = 4e7, 5.7
    indegree, weight = many * np.array([1, 0.25, 1]), np.array([1, -g, 1]) * 2 * nA / np.sqrt(many)
    low, high = (
        network_rates(NEURON, np.full(2, gain), indegree, weight, drive * Hz)[0] / Hz
        for drive in (7, 9)
    )
    assert (high - low) / 2 == pytest.approx(1 / (0.25 * g - 1), rel=0.01)


def test_runaway_excitation_ends_at_the_refractory_period():
    indegree, weight = np.array([400, 0, 400]), [900, 0, 900] * pA
    rates = network_rates(NEURON, np.ones(2), indegree, weight, 30 * Hz)
    assert np.all((rates > 0.95 / NEURON.t_ref) & (rates < 1 / NEURON.t_ref))


def test_without_synapses_every_neuron_is_alone():
    theory = LIFRates(HIGHER)
    indegree = np.array([61, 97, 143])
    rates = theory.settled(SILENT, theory.outside(indegree, 117e-12, 23), np.zeros(3))
    alone = [
        noisy_rate(HIGHER, *input_moments(HIGHER, np.array([k]), [117] * pA, [23] * Hz)) / Hz
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
    theory = LIFRates(HIGHER)
    outside = theory.outside(np.full(150, 28), 230e-12, 43)
    rates = theory.settled(csr_matrix((weights, (post, pre)), (150, 150)), outside, np.zeros(150))
    populations = network_rates(
        HIGHER, np.ones(2), np.array([28, 7, 28]), [230, -1270, 230] * pA, 43 * Hz
    )
    assert rates == pytest.approx(np.repeat(populations / Hz, [120, 30]), rel=5e-3)
    assert rates[0] > 5


def test_two_synapses_from_one_neuron_are_one_of_twice_the_weight():
    theory = LIFRates(HIGHER)
    outside = theory.outside(np.array([140, 90, 90]), 117e-12, 23)

    def rate(weight, pre):
        values = (np.full(len(pre), weight), (np.full(len(pre), 2), pre))
        return theory.settled(csr_matrix(values, (3, 3)), outside, np.zeros(3))[2]

    twice, double, pair = rate(3e-10, [0, 0]), rate(6e-10, [0]), rate(3e-10, [0, 1])
    assert twice == double
    # Neuron 1 fires less than neuron 0, so that two different sources give less.
    assert pair < twice


def test_a_basal_messenger_is_a_gain_of_neurons_in_no_bath():
    cAMP = Messenger(raised_by=("D1",), lowered_by=(), basal=0.31, gain_max=2.3, n=2, K=0.4)
    theory = LIFRates(GainLIF(v_reset=-61 * mV, receptors=(library["D1"], cAMP)))
    gain = 1 + 1.3 * 0.31**2 / (0.31**2 + 0.4**2)
    arriving = np.array([61]), [117] * pA, [23] * Hz
    assert theory.alone(*arriving) == pytest.approx(
        noisy_rate(HIGHER, *input_moments(HIGHER, *arriving), gain) / Hz
    )
    assert gain > 1.05


def test_a_network_that_never_settles_is_refused():
    # Strong inhibition of all by all flips the rates at every step of the search.
    weights = csr_matrix(-2e-9 * (1 - np.eye(400)))
    theory = LIFRates(HIGHER)
    with pytest.raises(UserError, match="did not settle"):
        theory.settled(weights, theory.outside(np.full(400, 3000), 117e-12, 23), np.zeros(400))


def test_strong_inhibition_that_a_whole_step_overshoots_settles_by_smaller_ones():
    theory, weights = LIFRates(HIGHER), csr_matrix(-6e-9 * (1 - np.eye(40)))
    rates = theory.settled(weights, theory.outside(np.full(40, 300), 117e-12, 23), np.zeros(40))
    arriving = np.array([39, 300]), [-6000, 117] * pA, np.array([rates[0], 23]) * Hz
    assert rates == pytest.approx(theory.alone(*arriving), abs=0.02)
    assert rates[0] > 3


@pytest.mark.parametrize(
    "neuron", [GainLIF(b=7 * pA), GainLIF(receptors=(Receptor(g_K=1.3 * nS),))]
)
def test_what_the_theory_leaves_out_is_refused(neuron):
    with pytest.raises(UserError, match="b and g_K"):
        noisy_rate(neuron, 13 * mV, 4 * mV)
    with pytest.raises(UserError, match="b and g_K"):
        LIFRates(neuron)
