"""Elements follow the calcium trace, and rewiring keeps what the rule says it keeps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from brian2 import Hz, ms, second

from neuromod.errors import UserError
from neuromod.models.structural import StructuralPlasticity, Wiring

RULE = StructuralPlasticity(
    target=7.3 * Hz, growth=0.13, tau_calcium=8.7 * second, interval=0.9 * second
)
SIZE = 70


def random_wiring(seed, synapses=2300):
    generator = np.random.default_rng(seed)
    pre = generator.integers(0, SIZE, synapses)
    return Wiring(SIZE, pre, (pre + generator.integers(1, SIZE, synapses)) % SIZE), generator


def pairs(wiring):
    return Counter(zip(wiring.pre.tolist(), wiring.post.tolist(), strict=True))


def test_calcium_approaches_a_constant_rate_exponentially():
    calcium = np.array([2.9])
    for _ in range(31):
        calcium = RULE.traced(calcium, np.array([11.3 * 0.9]))
    assert calcium == pytest.approx(11.3 - (11.3 - 2.9) * np.exp(-31 * 0.9 / 8.7))


def test_at_the_target_rate_elements_stay():
    elements = RULE.grown(np.array([13.7]), np.array([7.3]))
    assert elements == pytest.approx([13.7])


def test_one_spike_costs_as_many_elements_as_growth_says():
    quiet, one = np.array([50.0]), np.array([50.0])
    calcium = [np.array([7.3]), RULE.traced(np.array([7.3]), np.array([7.3 * 0.9 + 1]))]
    for _ in range(300):
        quiet, one = RULE.grown(quiet, calcium[0]), RULE.grown(one, calcium[1])
        calcium = [RULE.traced(trace, np.array([7.3 * 0.9])) for trace in calcium]
    assert quiet - one == pytest.approx([0.13])


def test_elements_grow_without_spikes_and_never_fall_below_none():
    assert RULE.grown(np.array([0.4]), np.array([0.0])) == pytest.approx([0.4 + 0.13 * 7.3 * 0.9])
    assert RULE.grown(np.array([0.4]), np.array([77.0])) == [0]


@pytest.mark.parametrize("seed", [3, 11])
def test_pruned_synapses_are_old_ones_that_fit_the_elements(seed):
    wiring, generator = random_wiring(seed)
    axonal, dendritic = generator.integers(0, 60, (2, SIZE))
    left = wiring.pruned(axonal, dendritic, generator)
    assert np.all(left.outdegrees <= axonal)
    assert np.all(left.indegrees <= dendritic)
    assert pairs(left) <= pairs(wiring)


def test_a_shrinking_axon_loses_exactly_its_surplus_and_no_other_neuron_loses_any():
    wiring, generator = random_wiring(5)
    axonal = wiring.outdegrees
    axonal[17] -= 9
    left = wiring.pruned(axonal, wiring.indegrees, generator)
    assert np.array_equal(left.outdegrees, axonal)
    others = wiring.pre != 17
    assert pairs(Wiring(SIZE, wiring.pre[others], wiring.post[others])) <= pairs(left)


def test_which_synapses_an_axon_loses_is_random():
    post = np.repeat([1, 2], [300, 700])
    wiring = Wiring(3, np.zeros(1000, int), post)
    elements = np.array([400, 0, 0]), np.array([0, 1000, 1000])
    left = wiring.pruned(*elements, np.random.default_rng(8))
    # Hypergeometric: 400 of 1000 of which 300 are of the first kind.
    sd = np.sqrt(400 * 0.3 * 0.7 * 600 / 999)
    assert left.indegrees[1] == pytest.approx(120, abs=4 * sd)


def test_nothing_changes_where_elements_and_synapses_agree():
    wiring, generator = random_wiring(2)
    elements = wiring.outdegrees, wiring.indegrees
    again = wiring.pruned(*elements, generator).paired(*elements, generator)
    assert np.array_equal(again.pre, wiring.pre)
    assert np.array_equal(again.post, wiring.post)


@pytest.mark.parametrize("seed", [1, 7, 23])
def test_elements_that_only_move_between_neurons_leave_as_many_synapses(seed):
    wiring, generator = random_wiring(seed)
    axonal, dendritic = wiring.outdegrees, wiring.indegrees
    for elements in (axonal, dendritic):
        losers, winners = np.split(generator.permutation(SIZE)[:40], 2)
        elements[losers] -= 5
        elements[winners] += 5
    new = wiring.pruned(axonal, dendritic, generator).paired(axonal, dendritic, generator)
    # What met itself is free on both sides, and finds another partner later, down to the last.
    for _ in range(50):
        new = new.paired(axonal, dendritic, generator)
    free = axonal - new.outdegrees
    assert np.array_equal(free, dendritic - new.indegrees)
    assert np.count_nonzero(free) <= 1
    assert len(wiring.pre) - 3 < len(new.pre) == len(wiring.pre) - free.sum()


def test_a_deleted_synapse_leaves_its_other_side_free_for_a_new_one():
    # 0 -> 1 goes because the axon of 0 shrinks; 1 takes the axon of 2, which has grown.
    wiring = Wiring(3, np.array([0]), np.array([1]))
    axonal, dendritic = np.array([0, 0, 1]), np.array([0, 1, 0])
    generator = np.random.default_rng(1)
    new = wiring.pruned(axonal, dendritic, generator).paired(axonal, dendritic, generator)
    assert (new.pre.tolist(), new.post.tolist()) == ([2], [1])


@pytest.mark.parametrize(("axons", "dendrites"), [(900, 400), (300, 800)])
def test_the_scarcer_side_decides_on_the_number_of_new_synapses(axons, dendrites):
    axonal, dendritic = np.zeros((2, 4), int)
    axonal[:2], dendritic[2:] = axons // 2, dendrites // 2
    none = Wiring(4, np.zeros(0, int), np.zeros(0, int))
    assert len(none.paired(axonal, dendritic, np.random.default_rng(4)).pre) == min(
        axons, dendrites
    )


def test_free_elements_meet_in_proportion_to_their_numbers():
    # A sixth of the neurons with 5 free elements each, the others with 2.
    elements = np.repeat([5, 2], [1000, 5000])
    none = Wiring(6000, np.zeros(0, int), np.zeros(0, int))
    new = none.paired(elements, elements, np.random.default_rng(6))
    share, count = 5 / 15, 15000
    within = np.sum((new.pre < 1000) & (new.post < 1000))
    assert within == pytest.approx(count * share**2, abs=4 * np.sqrt(count) * share**2 * 2)


def test_no_neuron_is_its_own_partner():
    none = Wiring(3, np.zeros(0, int), np.zeros(0, int))
    new = none.paired(*np.full((2, 3), 400), np.random.default_rng(9))
    assert np.all(new.pre != new.post)
    # Two elements in three meet another neuron's.
    assert len(new.pre) == pytest.approx(800, abs=4 * np.sqrt(1200 * 2 / 9))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("target", 0 * Hz), ("growth", 0), ("tau_calcium", 0 * second), ("interval", -1 * ms)],
)
def test_impossible_rules_are_refused(setting, value):
    with pytest.raises(UserError, match=setting):
        StructuralPlasticity(**{setting: value})
