"""Neurons that share supplies."""

from __future__ import annotations

import numpy as np
import pytest

from neuromod.chip.power_domains import (
    domain_gains,
    power_domains,
    shared_groups,
    source_groups,
    synapse_groups,
    synapse_rails,
)

DRAW = np.random.default_rng(43)


def test_gains_of_well_separated_groups_are_found_whatever_their_ratio():
    groups = np.repeat([0, 1, 2], [9, 21, 4])
    gain = np.array([0.03, 0.3, 2.6])[groups] * DRAW.uniform(0.9, 1.1, len(groups))
    found = power_domains(gain, 3, 5)
    pairs = set(zip(groups.tolist(), found.tolist(), strict=True))
    assert len(pairs) == 3


def test_one_supply_is_for_all():
    assert set(power_domains(DRAW.uniform(0.2, 3, 17), 1, 5)) == {0}


def test_there_are_no_more_supplies_than_gains():
    gain = np.array([0.48, 3.58, 0.48, 1.1, 3.58])
    domain = power_domains(gain, 16, 5)
    assert sorted(set(domain.tolist())) == [0, 1, 2]
    np.testing.assert_allclose(domain_gains(gain, domain)[domain], gain)


def test_a_domain_runs_at_the_geometric_mean_of_its_gains():
    gains = domain_gains(np.array([0.5, 2.0, 3.0, 0.5, 0.25]), np.array([1, 1, 0, 1, 1]))
    assert gains == pytest.approx([3.0, (0.5 * 2 * 0.5 * 0.25) ** 0.25])


def test_more_supplies_are_nearer_to_the_gains():
    gain = np.exp(DRAW.normal(0, 0.7, 173))
    off = []
    for supplies in (1, 3, 12, 50):
        domain = power_domains(gain, supplies, 5)
        off.append(np.abs(np.log(domain_gains(gain, domain)[domain] / gain)).mean())
    assert (np.diff(off) < 0).all()


def test_synapses_of_a_neuron_are_grouped_by_value_and_never_across_signs():
    values = [np.array([[0.51, 0.53, 2.9, 3.1, 0.52], [1.7, 0.61, 1.69, 0.6, 0.62]])]
    codes = [np.array([[3, 1, 7, 2, -4], [1, 2, 3, 4, 5]])]
    domain = synapse_groups(values, codes, 2, 3).reshape(2, 2, 5)
    assert set(domain.ravel()) == set(range(6))
    first, second = domain[0, 0], domain[1, 0]
    assert first[0] == first[1] != first[2] == first[3]
    assert second[0] == second[2] != second[1] == second[3] == second[4]
    assert len({*domain[0, 0], *domain[0, 1]}) == len({*domain[0, 0]}) + 1


def test_a_synapse_s_rail_is_the_chip_s_and_code_0_takes_none():
    values = [np.array([[0.5, 2.0, 17.0], [2.1, 0.52, 0.51]]), np.array([[2.05, 0.49]])]
    codes = [np.array([[3, -2, 0], [1, -7, 4]]), np.array([[-1, 5]])]
    rail = synapse_rails(values, codes, 2, 3)
    assert set(rail.tolist()) == {0, 1}
    first, second = rail[:12].reshape(2, 2, 3), rail[12:].reshape(1, 2, 2)
    low, high = first[0, 0, 0], first[0, 1, 1]
    assert low != high
    assert [first[1, 0, 0], first[1, 1, 1], first[1, 0, 2]] == [high, low, low]
    assert [second[0, 1, 0], second[0, 0, 1]] == [high, low]


def test_sources_are_grouped_once_for_all_neurons_of_a_layer_and_apart_by_sign():
    learned = np.array([[0.5, 3.0, 0.52, 3.1], [2.0, 0.3, 2.1, 0.31], [1.0, 1.1, 1.0, 1.1]])
    domain = source_groups([learned, learned[:1]], 2, 3)
    first, second = domain[:24].reshape(3, 2, 4), domain[24:].reshape(1, 2, 4)
    for of_sign in (*first.reshape(-1, 4), *second.reshape(-1, 4)):
        assert of_sign[0] == of_sign[2] != of_sign[1] == of_sign[3]
    assert sorted(set(domain.tolist())) == list(range(2 * 2 * 3 + 2 * 2))


def test_neurons_that_learned_alike_share_every_group_s_supply_within_their_layer():
    alike = np.array([[0.5, 2.0], [3.0, 0.6], [0.51, 2.1], [2.9, 0.61]])
    domain = shared_groups([alike, alike[:2]], 2, 3)
    first, second = domain[:8].reshape(4, 2), domain[8:].reshape(2, 2)
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(first[1], first[3])
    np.testing.assert_array_equal(second[0], second[1])
    assert sorted(set(domain.tolist())) == list(range(2 * 2 + 2))
