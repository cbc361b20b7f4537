"""Rewiring ends at the homeostatic fixed point, stores what it should, and forgets by turnover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, amp, pA, second
from scipy.sparse import csr_matrix

from neuromod.analysis.mean_field import LIFRates, network_rates
from neuromod.errors import UserError
from neuromod.inputs.spikes import fixed_indegree
from neuromod.models.gain_lif import GainLIF
from neuromod.models.structural import StructuralPlasticity, Wiring
from neuromod.plasticity.rewiring import (
    RewiredNetwork,
    develop,
    homeostatic_indegree,
    synapses_between,
)

NEURON = GainLIF(receptors=())
RATES = LIFRates(NEURON)
INDEGREES, WEIGHTS, DRIVE = np.array([44, 11, 44]), [190, -1430, 190] * pA, 33 * Hz
EXCITATORY, CELLS = 440, 550
RULE = StructuralPlasticity(target=7.7 * Hz, growth=0.07, tau_calcium=9 * second)
GROWING, STIMULUS, REST = 600, 160, 400


def network(irregularity):
    generator = np.random.default_rng(4)
    excitatory, inhibitory = np.split(np.arange(CELLS), [EXCITATORY])
    among = fixed_indegree(excitatory, inhibitory, INDEGREES[0], generator)
    off = fixed_indegree(inhibitory, np.arange(CELLS), INDEGREES[1], generator, recurrent=True)
    pre, post = np.append(among, off, axis=1)
    values = np.where(pre < EXCITATORY, *(WEIGHTS[:2] / amp))
    fixed = csr_matrix((values, (post, pre)), (CELLS, CELLS))
    groups = (np.arange(EXCITATORY) < 55).astype(int)
    return RewiredNetwork(RATES, RULE, WEIGHTS[0], fixed, groups, irregularity)


def developed(irregularity, schedule, kept=()):
    plastic = network(irregularity)
    over = np.where(np.arange(CELLS) < 55, 1.21, 1)
    inputs = [
        plastic.rates.outside(INDEGREES[2] * share, float(WEIGHTS[2] / amp), float(DRIVE / Hz))
        for share in (np.ones(CELLS), over)
    ]
    return develop(plastic, inputs, schedule, kept, np.random.default_rng(6))


@pytest.fixture(scope="module")
def learning():
    phases = [GROWING, STIMULUS, REST, 1500]
    schedule = np.repeat([0, 1, 0, 0], phases)
    history, wirings = developed(0.7, schedule, np.cumsum(phases))
    return history.set_index("time_s"), wirings


@pytest.mark.thorough
def test_synapses_grow_until_rates_and_their_number_are_those_of_the_fixed_point(learning):
    history, _ = learning
    wanted = homeostatic_indegree(RATES, RULE.target, INDEGREES, WEIGHTS, DRIVE)
    grown = history.loc[450 : GROWING - 1].mean()
    assert grown.others_Hz == pytest.approx(7.7, rel=0.01)
    assert grown.engram_Hz == pytest.approx(7.7, rel=0.01)
    assert grown.indegree == pytest.approx(wanted, rel=0.02)
    assert wanted > 20


def test_the_fixed_point_is_the_network_whose_rates_are_the_target():
    rates = network_rates(NEURON, np.ones(2), INDEGREES, WEIGHTS, DRIVE)
    found = homeostatic_indegree(RATES, rates[0], INDEGREES, WEIGHTS, DRIVE)
    assert found == pytest.approx(INDEGREES[0], rel=0.01)


def test_a_target_below_what_the_drive_alone_gives_is_refused():
    with pytest.raises(UserError, match="without any plastic synapse") as refused:
        homeostatic_indegree(RATES, 5.3 * Hz, INDEGREES, WEIGHTS, 2 * DRIVE)
    # The drive that is named leaves as many to grow as there are onto inhibitory neurons.
    named = float(str(refused.value).partition("such as ")[2].partition(" Hz")[0]) * Hz
    found = homeostatic_indegree(RATES, 5.3 * Hz, INDEGREES, WEIGHTS, named)
    assert found == pytest.approx(INDEGREES[0], rel=0.05)
    # The target that is named is the lowest, to a tenth, that synapses hold.
    least = float(str(refused.value).rpartition("target of ")[2].partition(" Hz")[0])
    assert homeostatic_indegree(RATES, least * Hz, INDEGREES, WEIGHTS, 2 * DRIVE) < 0.2 * 44
    with pytest.raises(UserError, match="without any plastic synapse"):
        homeostatic_indegree(RATES, least / 1.2 * Hz, INDEGREES, WEIGHTS, 2 * DRIVE)


def test_a_neuron_without_refractory_period_has_a_fixed_point_too():
    # A refractory period of a millionth of an interval is as good as none.
    found = [
        homeostatic_indegree(
            LIFRates(replace(NEURON, t_ref=t_ref)), RULE.target, INDEGREES, WEIGHTS, DRIVE
        )
        for t_ref in (0 * second, 1e-7 * second)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_target_that_no_synapses_reach_is_refused():
    inhibiting = np.array([-3, -1430, 190]) * pA
    with pytest.raises(UserError, match="any number of plastic synapses"):
        homeostatic_indegree(RATES, RULE.target, INDEGREES, inhibiting, DRIVE)


def test_a_stimulated_group_loses_its_synapses_and_regrows_them_with_itself(learning):
    history, _ = learning
    before, stimulated, after = (
        history.loc[time] for time in (590, GROWING + STIMULUS, GROWING + STIMULUS + REST)
    )
    assert history.engram_Hz.loc[GROWING : GROWING + 20].max() > 1.3 * 7.7
    assert stimulated.within_engram < 0.4 * before.within_engram
    assert after.within_engram > 2 * before.within_engram
    assert after.onto_engram < before.onto_engram
    assert after.engram_Hz == pytest.approx(after.others_Hz, rel=0.05)


def test_learning_conserves_the_number_of_synapses(learning):
    _, wirings = learning
    before, after = (len(wirings[step].pre) for step in (GROWING, GROWING + STIMULUS + REST))
    assert after == pytest.approx(before, rel=0.02)


def test_forgetting_takes_what_turnover_takes(learning):
    history, _ = learning
    after = history.loc[GROWING + STIMULUS + REST :]
    everyone = after.indegree / (EXCITATORY - 1)
    pairs, lost = 55 * 54, after.turnover.iloc[-1] - after.turnover.iloc[0]
    excess = pairs * (after.within_engram - everyone)
    assert lost > 0.5
    # Synapses within the engram are so few that their number is a Poisson one.
    spread = np.sqrt(pairs * after.within_engram.iloc[-1])
    assert excess.iloc[-1] == pytest.approx(excess.iloc[0] * np.exp(-lost), abs=4 * spread)
    assert excess.iloc[0] > 8 * spread


def test_turnover_is_that_of_elements_that_follow_a_gaussian_trace(learning):
    history, _ = learning
    after = history.loc[GROWING + STIMULUS + REST :]
    duration = after.index[-1] - after.index[0]
    kept = np.exp(-1 / 9)
    sd = np.sqrt(0.49 * 7.7 * (1 - kept) / (1 + kept))
    # A neuron that shrinks by a whole element loses one synapse of its axon and one of its
    # dendrites; the mean of a Gaussian's negative part is its deviation over sqrt(2*pi).
    per_neuron = 2 * 0.07 * sd / np.sqrt(2 * np.pi)
    measured = (after.turnover.iloc[-1] - after.turnover.iloc[0]) / duration
    assert measured == pytest.approx(per_neuron / after.indegree.mean(), rel=0.1)


def test_synapses_are_counted_within_and_between_groups_by_hand():
    wiring = Wiring(5, np.array([0, 0, 1, 2, 3, 4, 4]), np.array([1, 1, 0, 0, 4, 3, 2]))
    found = synapses_between(np.array([1, 1, 0, 0, 0]), wiring)
    assert found == {
        "indegree": 7 / 5,
        "within_engram": 3 / 2,
        "onto_engram": 1 / 6,
        "from_engram": 0,
        "among_others": 3 / 6,
    }


def test_weights_add_up_where_two_synapses_join_the_same_neurons():
    plastic = replace(network(0.7), weight=31 * pA)
    wiring = Wiring(EXCITATORY, np.array([3, 3, 7]), np.array([5, 5, 3]))
    added = (plastic.weights(wiring) - plastic.fixed).tocoo()
    found = {(i, j): w for i, j, w in zip(added.row, added.col, added.data, strict=True) if w}
    assert found == pytest.approx({(5, 3): 62e-12, (3, 7): 31e-12})


def test_the_same_seed_rewires_alike():
    first, again = (developed(0.7, np.zeros(60, int))[0] for _ in range(2))
    assert first.equals(again)
