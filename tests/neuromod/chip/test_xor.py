"""XOR gates and the search for their codes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from brian2 import mV, nsecond, second, uA, volt

from neuromod.chip.pulses import PulseTrain
from neuromod.chip.variation import Deviations, Mismatch, draw
from neuromod.chip.xor import (
    CODES,
    ROWS,
    TRUTH,
    Gates,
    computes,
    designs,
    join,
    like_the_paper,
    pick,
    retune,
    search,
)
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron

CIRCUIT = CircuitNeuron()
TRAIN = PulseTrain(10, 370 * nsecond, 10 * nsecond)
COUNTS = ["spikes_01", "spikes_10", "spikes_11"]


def gates_of(codes, vdd):
    table = pd.DataFrame(np.reshape(codes, (-1, 6)), columns=list(CODES))
    return Gates.of(table.assign(vdd_V=vdd))


def test_two_neurons_that_each_subtract_the_other_input_make_xor():
    # 7 units of 20 mV pass 100 mV at once; with both inputs nothing is left in either.
    answers = gates_of([7, -7, -7, 7, 7, 7], 0.75).answers(CIRCUIT, TRAIN)
    assert answers.tolist() == [[0, 10, 10, 0]]


def test_two_neurons_that_add_make_or():
    answers = gates_of([7, 7, 7, 7, 7, 7], 0.75).answers(CIRCUIT, TRAIN)
    assert answers.tolist() == [[0, 10, 10, 10]]
    assert computes(answers).tolist() == [[True, True, True, False]]


def test_fewer_than_three_spikes_read_0():
    right = computes(np.array([[2, 3, 4, 0], [3, 2, 10, 2]]))
    assert right.tolist() == [[True, True, True, True], [False, False, True, True]]


@pytest.fixture(scope="module")
def small():
    """A neuron of two bits and a sign, of which all 7**6 networks can be tried one by one."""
    circuit = CircuitNeuron(bits=2, beta=1.7 * uA / volt**2)
    return circuit, search(circuit, TRAIN, 0.93 * volt)


def test_the_search_finds_every_network(small):
    circuit, found = small
    every = gates_of(list(product(range(-3, 4), repeat=6)), 0.93)
    answers = every.answers(circuit, TRAIN)
    right = computes(answers).all(axis=1)
    assert 100 < right.sum() < 0.5 * len(right)
    assert found.networks.sum() == right.sum()
    one_by_one = pd.DataFrame(answers[right][:, 1:]).value_counts().sort_index()
    grouped = found.groupby(COUNTS).networks.sum().sort_index()
    assert grouped.tolist() == one_by_one.tolist()
    assert list(grouped.index) == list(one_by_one.index)


def test_networks_within_the_rails_are_those_whose_membranes_stay_there(small):
    circuit, found = small
    every = gates_of(list(product(range(-3, 4), repeat=6)), 0.93)
    hidden = every.respond(circuit, TRAIN, "hidden", ROWS[:, None, :, None])
    output = every.respond(circuit, TRAIN, "output", hidden.fires[:, :, None])
    inside = [
        ((layer.lowest >= 0) & (layer.highest <= 0.93)).all(axis=(1, 2))
        for layer in (hidden, output)
    ]
    right = computes(every.answers(circuit, TRAIN)).all(axis=1)
    assert found.networks[found.within_rails].sum() == (right & inside[0] & inside[1]).sum() > 0


def test_codes_found_answer_as_the_search_says(small):
    circuit, found = small
    answers = Gates.of(found).answers(circuit, TRAIN)
    np.testing.assert_array_equal(answers[:, 1:], found[COUNTS])


def test_the_margin_is_the_least_of_the_three_neurons(small):
    circuit, found = small
    gates = Gates.of(found)
    hidden = gates.respond(circuit, TRAIN, "hidden", ROWS[:, None, :, None])
    output = gates.respond(circuit, TRAIN, "output", hidden.fires[:, :, None])
    least = np.minimum(hidden.margin.min(axis=(1, 2)), output.margin.min(axis=(1, 2)))
    np.testing.assert_allclose(found.margin_mV, 1e3 * least)
    assert (np.diff(found.margin_mV) <= 0).all()


def test_offsets_below_the_margin_change_no_spike(small):
    circuit, found = small
    chosen = found[found.margin_mV > 1]
    gates = Gates.of(chosen)
    offset = np.random.default_rng(3).choice([-1, 1], (len(chosen), 3))
    shift = 0.97e-3 * chosen.margin_mV.to_numpy()[:, None] * offset
    moved = replace(gates, values=gates.values | {"v_offset": shift * volt})
    np.testing.assert_array_equal(moved.answers(circuit, TRAIN), gates.answers(circuit, TRAIN))


@pytest.mark.parametrize("circuit", [CIRCUIT, CircuitNeuron(corner="FS", corner_vto=41 * mV)])
def test_a_simulation_answers_as_the_closed_form_with_neurons_that_all_differ(circuit):
    generator = np.random.default_rng(7)
    gates = Gates(
        generator.uniform(-7, 7, (83, 3, 2)),
        np.ones((83, 3, 2)),
        {
            "vdd": generator.uniform(0.6, 1, (83, 3)) * volt,
            "v_offset": generator.uniform(-0.04, 0.04, (83, 3)) * volt,
        },
    )
    recording = simulate(gates.experiment(circuit, TRAIN, 7, np.array([0])))
    answers = gates.answers(circuit, TRAIN)
    assert len(np.unique(answers)) > 5
    counted = recording.spikes["output"].counts().reshape(-1, 4)
    np.testing.assert_array_equal(counted, answers)


def test_a_neuron_whose_threshold_lies_below_rest_fires_without_pause():
    # The comparator decides anew at the end of each of its spikes of 80 ns.
    low = np.array([[-0.11, 0, 0]])
    values = {"vdd": 0.9 + 0 * low, "v_offset": low, "t_spike": np.full((1, 3), 80e-9)}
    units = {"vdd": volt, "v_offset": volt, "t_spike": second}
    gates = Gates(
        np.ones((1, 3, 2)), np.ones((1, 3, 2)), {n: v * units[n] for n, v in values.items()}
    )
    recording = simulate(gates.experiment(CIRCUIT, TRAIN, 7, np.array([0])))
    first = recording.spike_trains("hidden")[6].magnitude
    assert len(first) > 40
    assert np.diff(first).min() == pytest.approx(80e-9)


def test_the_widest_network_is_built_and_the_widest_that_answers_as_the_paper_s():
    found = pd.concat([search(CIRCUIT, TRAIN, v * volt) for v in (0.87, 0.91)])
    widest, paper = designs(found).itertuples()
    within = found[found.within_rails]
    assert widest.margin_mV == within.margin_mV.max()
    assert [paper.spikes_01, paper.spikes_10, paper.spikes_11] == [4, 4, 2]
    assert paper.margin_mV == within[like_the_paper(within)].margin_mV.max()


def test_a_supply_too_low_for_three_output_spikes_gives_no_network():
    assert search(CIRCUIT, TRAIN, 0.53 * volt).empty
    with pytest.raises(UserError, match="No network of such codes computes XOR"):
        designs(search(CIRCUIT, TRAIN, 0.53 * volt))


PAPER_LIKE = [1, 1, 7, 7, -2, 2]
LEVELS = 0.9 + np.array([-0.06, -0.03, 0, 0.03, 0.06])


def drawn(chips, size):
    deviations = draw(CIRCUIT, Mismatch(), (chips, 3), 2, np.random.default_rng(13)) * size
    copies = np.zeros(chips, dtype=int)
    return [gates_of(PAPER_LIKE, vdd).take(copies).made(CIRCUIT, deviations) for vdd in LEVELS]


def test_a_chip_without_deviations_is_the_design():
    gates = gates_of(PAPER_LIKE, 0.9)
    made = gates.made(CIRCUIT, Deviations())
    np.testing.assert_allclose(made.codes, gates.codes)
    np.testing.assert_allclose(made.mirrors, gates.mirrors)
    np.testing.assert_array_equal(made.answers(CIRCUIT, TRAIN), gates.answers(CIRCUIT, TRAIN))


def test_a_wider_spike_is_a_larger_charge_for_the_next_neuron_alone():
    wider = np.log([[1.07, 0.91, 1.3]])
    made = gates_of(PAPER_LIKE, 0.9).made(CIRCUIT, Deviations(t_spike=wider))
    np.testing.assert_allclose(made.codes[0], [[1, 1], [7, 7], [-2 * 1.07, 2 * 0.91]])
    np.testing.assert_allclose(made.mirrors[0], [[1, 1], [1, 1], [1.07, 0.91]])
    np.testing.assert_allclose(made.values["t_spike"][0] / nsecond, [107, 91, 130])


def test_gates_with_supplies_of_their_own_are_made_of_those_at_each_supply():
    levels = drawn(3, 2.0)
    level = np.array([[0, 4, 2], [1, 1, 3], [2, 2, 2]])
    mixed = pick(levels, level)
    np.testing.assert_allclose(mixed.values["vdd"] / volt, LEVELS[level])
    np.testing.assert_array_equal(mixed.codes[0, 1], levels[4].codes[0, 1])
    np.testing.assert_array_equal(mixed.codes[1, 2], levels[3].codes[1, 2])
    np.testing.assert_array_equal(mixed.codes[2], levels[2].codes[2])


def test_retuning_finds_the_least_change_with_the_most_rows_right():
    levels = drawn(29, 5.0)
    found = retune(CIRCUIT, TRAIN, levels, 2)
    combinations = np.array(list(product(range(5), repeat=3)))
    right = np.array(
        [
            computes(pick(levels, np.tile(c, (29, 1))).answers(CIRCUIT, TRAIN)).sum(axis=1)
            for c in combinations
        ]
    )
    reached = computes(pick(levels, found).answers(CIRCUIT, TRAIN)).sum(axis=1)
    np.testing.assert_array_equal(reached, right.max(axis=0))
    change = np.abs(combinations - 2).sum(axis=1)
    least = np.where(right == right.max(axis=0), change[:, None], 99).min(axis=0)
    np.testing.assert_array_equal(np.abs(found - 2).sum(axis=1), least)
    assert 0 < (least > 0).sum() < 29


def test_retuning_mends_comparators_that_are_all_too_high():
    # 100 mV become 109 mV; the same share more current needs 35 mV more of supply.
    high = Deviations(v_offset=0.009)
    levels = [gates_of(PAPER_LIKE, vdd).made(CIRCUIT, high) for vdd in LEVELS]
    as_designed = gates_of(PAPER_LIKE, 0.9).answers(CIRCUIT, TRAIN)
    every_higher = pick(levels, np.full((1, 3), 3)).answers(CIRCUIT, TRAIN)
    np.testing.assert_array_equal(every_higher, as_designed)
    assert computes(pick(levels, retune(CIRCUIT, TRAIN, levels, 2)).answers(CIRCUIT, TRAIN)).all()


def test_gates_joined_keep_their_order_and_their_units():
    levels = drawn(4, 1.0)
    joined = join([levels[1], levels[3]])
    np.testing.assert_array_equal(joined.codes[4:], levels[3].codes)
    assert joined.values["vdd"][5, 0] == levels[3].values["vdd"][1, 0]
    assert joined.values["v_offset"][3, 2] == levels[1].values["v_offset"][3, 2]


def test_xor_is_right_where_one_input_alone_is_on():
    assert TRUTH.tolist() == [a != b for a, b in ROWS]
