from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from brian2 import joule, kelvin, ms, mV, nsecond, volt

from neuromod.chip.conversion import Layer, deploy, gain_of, grouped
from neuromod.chip.deployment import (
    Unrolled,
    accuracy,
    accuracy_by_count,
    agreement,
    expected_spikes,
    on_cells,
    on_circuit,
    spike_trains,
)
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF

CHIP = CircuitNeuron()
SIZES = (7, 6, 5, 3)
THETA = 0.43
IMAGES = 9
PERIOD = 330 * nsecond


@dataclass(frozen=True)
class Trained:
    weight: np.ndarray
    bias: np.ndarray
    gain: np.ndarray


_draw = np.random.default_rng(31)
LAYERS = [
    Trained(
        _draw.normal(0, 0.6, (out, into)),
        _draw.normal(0.4, 0.3, out),
        _draw.uniform(-0.3, 1.9, out),
    )
    for into, out in pairwise(SIZES)
]
FEATURES = _draw.uniform(0, 1, (IMAGES, SIZES[0]))
CODED = [deploy(CHIP, la.weight, la.bias, la.gain, THETA) for la in LAYERS]
CELL = GainLIF(receptors=(), synapse="pulse")


def network():
    """Membranes and spikes of every layer of the trained network, in plain NumPy."""
    inputs, membranes, spikes = FEATURES, [], []
    for layer in LAYERS:
        membranes.append(layer.gain * (inputs @ layer.weight.T + layer.bias))
        inputs = (membranes[-1] >= THETA).astype(float)
        spikes.append(inputs)
    return membranes, spikes


def quantised():
    """Membranes at the end of the pulse, and spikes, of the network as codes and supplies."""
    inputs, membranes, spikes = FEATURES, [], []
    leak = np.exp(-10 / 20_000)
    for layer in CODED:
        step = np.asarray(CHIP.step(layer.vdd) / volt)
        membranes.append((inputs @ layer.codes.T + layer.bias_codes) * step)
        inputs = (membranes[-1] * leak >= 0.1).astype(float)
        spikes.append(inputs)
    return membranes, spikes


@cache
def cells():
    volley, experiment = on_cells(CELL, LAYERS, THETA, FEATURES, 1.3 * ms, 0.1 * ms, 3)
    return volley, experiment, simulate(experiment)


@cache
def chip():
    volley, experiment = on_circuit(CHIP, [CODED], FEATURES[None], PERIOD, 10 * nsecond, 3)
    return volley, experiment, simulate(experiment)


def assert_spikes(volley, recorded, expected):
    for found, layer in zip(volley.split(recorded.counts()), expected, strict=True):
        assert 0 < layer.sum() < layer.size
        np.testing.assert_array_equal(found, layer)


def test_cells_give_the_networks_spikes():
    volley, _, recording = cells()
    assert_spikes(volley, recording.spikes["cell"], network()[1])


def test_cells_reach_the_networks_membranes_as_their_way_to_threshold():
    volley, _, recording = cells()
    v = np.asarray(recording.signals["cell"]["v"].values / mV) + 70
    for layer, membranes in enumerate(network()[0]):
        of_layer = v[volley.index(layer)[0]]
        # Latency of 13 steps, one step to charge in; samples show the start of a step.
        silent = membranes[0] < THETA
        assert silent.any()
        reached = of_layer[:, 14 * (layer + 1) + 1]
        np.testing.assert_allclose(reached[silent], 20 * membranes[0][silent] / THETA, rtol=1e-9)
        np.testing.assert_array_equal(of_layer[:, : 14 * (layer + 1) + 1], 0)


def test_circuit_neurons_give_the_spikes_of_the_quantised_network():
    volley, _, recording = chip()
    assert_spikes(volley, recording.spikes["chip"], quantised()[1])


def test_circuit_membranes_are_codes_times_the_step_of_their_supply():
    volley, _, recording = chip()
    v = np.asarray(recording.signals["chip"]["v"].values / volt) - 0.25
    for layer, membranes in enumerate(quantised()[0]):
        reached = v[volley.index(layer)[0], 11 * (layer + 1)]
        np.testing.assert_allclose(reached, membranes[0], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("side", "period"), [(cells, 14), (chip, 11)])
def test_a_layer_decides_one_period_after_the_one_before(side, period):
    volley, experiment, recording = side()
    (spikes,) = recording.spikes.values()
    layer = np.searchsorted(volley.bounds, spikes.neurons % volley.neurons, side="right")
    steps = np.round(np.asarray(spikes.times / experiment.dt)).astype(int)
    np.testing.assert_array_equal(steps, layer * period)
    assert round(float(experiment.duration / experiment.dt)) == 4 * period


def test_a_convolution_is_not_taken_for_a_linear_layer():
    kernel = Trained(np.ones((3, 7, 7, 7)), np.zeros(3), np.ones(3))
    told = r"Weights of shape \(3, 7, 7, 7\) are no linear layer's"
    with pytest.raises(UserError, match=told):
        on_cells(CELL, [kernel], THETA, FEATURES, 1 * ms, 0.1 * ms, seed=1)
    with pytest.raises(UserError, match=told):
        deploy(CHIP, kernel.weight, kernel.bias, kernel.gain, THETA)


def test_images_do_not_touch_each_other():
    volley, experiment = on_cells(CELL, LAYERS, THETA, FEATURES[4:5], 1.3 * ms, 0.1 * ms, 3)
    alone = volley.split(simulate(experiment).spikes["cell"].counts())
    for found, layer in zip(alone, network()[1], strict=True):
        np.testing.assert_array_equal(found[0], layer[4])


def test_neurons_of_a_layer_lie_together_in_every_copy():
    volley = chip()[0]
    assert volley.bounds.tolist() == [0, 6, 11, 14]
    assert (volley.images, volley.neurons) == (IMAGES, 14)
    assert volley.index(1)[0].tolist() == [6, 7, 8, 9, 10]
    assert volley.index(2)[2].tolist() == [39, 40, 41]
    everyone = np.concatenate([volley.index(layer).ravel() for layer in range(3)])
    assert sorted(everyone) == list(range(14 * IMAGES))


def test_splitting_finds_what_the_index_finds():
    volley = chip()[0]
    values = np.arange(14 * IMAGES) * 0.7
    for layer, part in enumerate(volley.split(values)):
        np.testing.assert_array_equal(part, values[volley.index(layer)])


def test_synapses_are_those_of_the_weights_without_zeros():
    first = np.array([[0.3, -1.1], [0.7, 0.0]])
    weights = (np.array([[2, 0], [0, -5], [3, 4]]),)
    volley = Unrolled(first[None], weights, (np.array([1, -1, 0]),))
    i, j, w = volley.between_layers()
    found = sorted(zip(i.tolist(), j.tolist(), w.tolist(), strict=True))
    one = [(0, 2, 2), (0, 4, 3), (1, 3, -5), (1, 4, 4)]
    assert found == one + [(a + 5, b + 5, c) for a, b, c in one]
    source, neuron, drive = volley.from_inputs()
    found = {(s, n): d for s, n, d in zip(source, neuron, drive, strict=True)}
    assert found == {
        (0, 0): 0.3,
        (0, 1): -1.1,
        (0, 5): 0.7,
        (0, 6): 0.0,
        (1, 2): 1,
        (1, 3): -1,
        (1, 4): 0,
        (1, 7): 1,
        (1, 8): -1,
        (1, 9): 0,
    }


def test_a_network_of_one_layer_gives_its_spikes():
    volley, experiment = on_cells(CELL, LAYERS[:1], THETA, FEATURES, 1.3 * ms, 0.1 * ms, 3)
    assert_spikes(volley, simulate(experiment).spikes["cell"], network()[1][:1])


def test_a_network_whose_codes_are_all_zero_between_layers_gives_the_biases_spikes():
    layers = [
        Layer(np.array([[3, -1]]), np.array([4]), [0.75] * volt, {}),
        Layer(np.array([[0]]), np.array([6]), [0.75] * volt, {}),
    ]
    volley, experiment = on_circuit(
        CHIP, [layers], np.array([[[1.0, 0.0]]]), PERIOD, 10 * nsecond, 3
    )
    counts = volley.split(simulate(experiment).spikes["chip"].counts())
    assert [count.tolist() for count in counts] == [[[1]], [[1]]]


def drawn_by(layers, features):
    """Energy of every neuron's synapses, in units of femtojoule, and clock edges."""
    _, experiment = on_circuit(CHIP, [layers], features[None], PERIOD, 10 * nsecond, 3)
    totals = simulate(experiment).totals["chip"]
    return np.asarray(totals["energy"] / joule) * 1e15, totals["clocks"].tolist()


def test_the_energy_of_two_neurons_by_hand():
    layers = [
        Layer(np.array([[3, -2, 4]]), np.array([6]), [0.75] * volt, {}),
        Layer(np.array([[-5]]), np.array([6]), [0.5] * volt, {}),
    ]
    energy, clocks = drawn_by(layers, np.array([[0.5, 0.25, 0.0]]))
    # One unit is 0.75 V * 10 nA and 0.5 V * 2.5 nA for 100 ns; only currents from the supply cost.
    assert energy == pytest.approx([0.75 * (0.5 * 3 + 6 + 2 + 1), 0.125 * (6 + 1 + 1)])
    # The first neuron's own spike clocks it once more.
    assert clocks == [2, 1]


def test_a_negative_feature_pulls_through_the_other_half_of_the_mirror():
    layers = [Layer(np.array([[3]]), np.array([0]), [0.75] * volt, {})]
    up, _ = drawn_by(layers, np.array([[0.7]]))
    down, _ = drawn_by(layers, np.array([[-0.7]]))
    assert up == pytest.approx([0.75 * (0.7 * 3 + 1)])
    assert down == pytest.approx([0.75])


def test_every_image_costs_what_it_costs_alone():
    together, clocks = drawn_by(CODED, FEATURES)
    for image in (0, 5):
        alone, edges = drawn_by(CODED, FEATURES[image : image + 1])
        mine = slice(14 * image, 14 * (image + 1))
        np.testing.assert_allclose(together[mine], alone)
        assert clocks[mine] == edges


def test_agreement_by_hand():
    numpy = [np.array([[1, 0], [0, 0]]), np.array([[1], [1]])]
    other = [np.array([[2, 0], [0, 1]]), np.array([[1], [1]])]
    table = agreement({"numpy": numpy, "chip": other}).set_index("layer")
    assert list(table.index) == ["hidden 1", "output", "all"]
    assert table.neurons.tolist() == [4, 2, 6]
    assert table.differ.tolist() == [1, 0, 1]
    assert table.neurons_agree.tolist() == pytest.approx([3 / 4, 1, 5 / 6])
    assert table.images_agree.tolist() == pytest.approx([1 / 2, 1, 1 / 2])


def test_every_pair_of_realisations_is_compared_once():
    side = [np.zeros((2, 3)), np.ones((2, 2))]
    table = agreement({"a": side, "b": side, "c": side})
    assert table.pair.nunique() == 3
    assert len(table) == 9
    assert (table.differ == 0).all()


def test_accuracy_asks_for_the_right_neuron_and_no_other():
    output = np.array([[1, 0, 0], [0, 3, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])
    labels = np.array([0, 1, 0, 2, 1])
    assert accuracy(output, labels) == pytest.approx(2 / 5)


def test_chance_is_one_in_two_to_the_number_of_classes():
    patterns = (np.arange(2**5)[:, None] >> np.arange(5)) & 1
    assert accuracy(patterns, np.full(32, 3)) == 1 / 32


def test_networks_side_by_side_do_what_each_does_alone():
    other = [replace(layer, vdd=np.full(len(layer.codes), 0.83) * volt) for layer in CODED]
    _, together = on_circuit(CHIP, [CODED, other], FEATURES[None], PERIOD, 10 * nsecond, 3)
    recording = simulate(together)
    counts = np.split(recording.spikes["chip"].counts(), 2)
    energy = np.split(np.asarray(recording.totals["chip"]["energy"] / joule), 2)
    for network, spikes, drawn in zip((CODED, other), counts, energy, strict=True):
        _, alone = on_circuit(CHIP, [network], FEATURES[None], PERIOD, 10 * nsecond, 3)
        found = simulate(alone)
        np.testing.assert_array_equal(spikes, found.spikes["chip"].counts())
        np.testing.assert_allclose(drawn * 1e15, found.totals["chip"]["energy"] / joule * 1e15)
    assert (counts[0] != counts[1]).any()


def test_an_integrating_neuron_counts_its_inputs_spikes_by_hand():
    # One unit at 0.75 V is 10 nA for 100 ns: 20 mV less leak. Two units, 40 mV, need three
    # volleys for 100 mV, since 40*(d + d^2 + d^3) > 100 with d = exp(-330/20000) and less.
    layers = [Layer(np.array([[2]]), np.array([0]), [0.75] * volt, {})]
    train = np.ones((10, 1, 1))
    _, experiment = on_circuit(CHIP, [layers], train, PERIOD, 10 * nsecond, 3)
    spikes = simulate(experiment).spikes["chip"]
    steps = np.round(np.asarray(spikes.times / (10 * nsecond))).astype(int)
    assert steps.tolist() == [2 * 33 + 11, 5 * 33 + 11, 8 * 33 + 11]


def test_what_leaks_between_volleys_is_missing():
    # 50.0 mV less leak twice: never 100 mV, so only every third volley brings a spike.
    unit = float(CHIP.step(0.75 * volt) / volt)
    layers = [Layer(np.array([[1]]), np.array([0]), [0.75] * volt, {}, unit / 0.05)]
    train = np.ones((9, 1, 1))
    counted = expected_spikes(CHIP, layers, train, PERIOD, 10 * nsecond)
    _, experiment = on_circuit(CHIP, [layers], train, PERIOD, 10 * nsecond, 3)
    assert counted[0].tolist() == [[3]]
    assert simulate(experiment).spikes["chip"].counts().tolist() == [3]


SKEWED = CircuitNeuron(corner="SF", corner_vto=37 * mV, temperature=287 * kelvin)


@pytest.mark.parametrize(("volleys", "chip"), [(1, CHIP), (7, CHIP), (7, SKEWED)])
def test_arithmetic_gives_the_simulations_spikes(volleys, chip):
    trains = FEATURES[None] if volleys == 1 else spike_trains(FEATURES, volleys)
    expected = expected_spikes(chip, CODED, trains, PERIOD, 10 * nsecond)
    volley, experiment = on_circuit(chip, [CODED], trains, PERIOD, 10 * nsecond, 3)
    found = volley.split(simulate(experiment).spikes["chip"].counts())
    for counts, layer in zip(found, expected, strict=True):
        np.testing.assert_array_equal(counts, layer)
        assert 0 < layer.sum() < layer.size * volleys


def test_weaker_mirrors_move_the_membrane_less_and_draw_less():
    strong = [Layer(np.array([[3, -2]]), np.array([0]), [0.64] * volt, {})]
    weak = [Layer(np.array([[3, -2]]), np.array([0]), [0.64] * volt, {}, 7.3)]
    features = np.array([[[0.31, 0.17]]])
    _, experiment = on_circuit(CHIP, [strong, weak], features, PERIOD, 10 * nsecond, 3)
    recording = simulate(experiment)
    energy = np.asarray(recording.totals["chip"]["energy"] / joule)
    assert energy[0] / energy[1] == pytest.approx(7.3)
    _, alone = on_circuit(CHIP, [weak], features, PERIOD, 10 * nsecond, 3)
    v = simulate(alone).trace("chip", "v", 0)[11]
    step = float(CHIP.step(0.64 * volt) / volt) / 7.3
    assert float(v / volt) - 0.25 == pytest.approx((3 * 0.31 - 2 * 0.17) * step, rel=1e-9)


@pytest.mark.parametrize("volleys", [3, 10])
def test_a_train_has_its_features_count_spread_evenly(volleys):
    features = np.append(np.arange(volleys + 1) / volleys, 1.7)[None]
    trains = spike_trains(features, volleys)
    assert trains.shape == (volleys, 1, volleys + 2)
    assert trains.sum(axis=0)[0].tolist() == [*range(volleys + 1), volleys]
    for train in trains[:, 0].T:
        gaps = np.diff(np.flatnonzero(train))
        assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_volleys_that_meet_neurons_held_at_reset_are_refused():
    trains = np.ones((2, IMAGES, SIZES[0]))
    with pytest.raises(
        UserError, match=r"210 ns is too short: a pulse and a spike need at least 220 ns"
    ):
        on_circuit(CHIP, [CODED], trains, 210 * nsecond, 10 * nsecond, 3)


def test_three_spikes_of_ten_read_as_one():
    output = np.array([[4, 2, 0], [3, 3, 0], [2, 0, 0]])
    assert accuracy(output, np.array([0, 0, 0]), 3) == pytest.approx(1 / 3)


def test_the_largest_count_decides_and_draws_are_wrong():
    output = np.array([[4, 2, 0], [3, 3, 0], [0, 0, 0], [5, 1, 6]])
    assert accuracy_by_count(output, np.array([0, 0, 1, 2])) == pytest.approx(1 / 2)


GROUPS = 4


def with_groups():
    """The network's codes, with four supplies a neuron: by sign, and by even and odd sources."""
    draw = np.random.default_rng(17)
    layers = []
    for layer in CODED:
        negative = np.column_stack([layer.codes, layer.bias_codes]) < 0
        supply = 2 * negative + np.arange(negative.shape[1]) % 2
        gain = draw.uniform(0.3, 1.8, (len(supply), GROUPS))
        layers.append(grouped(CHIP, layer, supply, gain, 0.75 * volt))
    return layers


@pytest.mark.parametrize(
    ("volleys", "chip"),
    [
        pytest.param(1, CHIP, marks=pytest.mark.thorough),
        (7, CHIP),
        pytest.param(7, SKEWED, marks=pytest.mark.thorough),
    ],
)
def test_arithmetic_gives_the_spikes_of_neurons_with_several_supplies(volleys, chip):
    trains = FEATURES[None] if volleys == 1 else spike_trains(FEATURES, volleys)
    layers = with_groups()
    expected = expected_spikes(chip, layers, trains, PERIOD, 10 * nsecond)
    volley, experiment = on_circuit(chip, [layers], trains, PERIOD, 10 * nsecond, 3)
    found = volley.split(simulate(experiment).spikes["chip"].counts())
    for counts, layer in zip(found, expected, strict=True):
        np.testing.assert_array_equal(counts, layer)
        assert 0 < layer.sum() < layer.size * volleys


def test_each_group_of_synapses_moves_the_membrane_by_its_own_supply():
    supply = np.array([[0, 1, 2, 0]])
    layer = Layer(np.array([[3, -2, 1]]), np.array([-1]), [[0.63, 0.81, 0.55]] * volt, {}, 2.6)
    layer = replace(layer, supply=supply)
    features = np.array([[[0.31, 0.17, 0.23]]])
    _, experiment = on_circuit(CHIP, [[layer]], features, PERIOD, 10 * nsecond, 3)
    v = simulate(experiment).trace("chip", "v", 0)[11]
    steps = np.asarray(CHIP.step([0.63, 0.81, 0.55] * volt) / volt) / 2.6
    moved = [3 * 0.31 - 1, -2 * 0.17, 0.23] @ steps
    assert float(v / volt) - 0.25 == pytest.approx(moved, rel=1e-9)


def test_each_group_draws_from_its_own_supply_by_hand():
    layer = Layer(np.array([[3, -2]]), np.array([0]), [[0.75, 0.5]] * volt, {})
    energy, clocks = drawn_by([replace(layer, supply=np.array([[0, 1, 0]]))], np.array([[0.5, 1]]))
    # Three half units and a reference at 0.75 V; a reference at 0.5 V, whose units pull to ground.
    assert energy == pytest.approx([0.75 * (0.5 * 3 + 1) + 0.125])
    assert clocks == [1]


@pytest.mark.thorough
def test_networks_with_one_supply_and_with_several_run_side_by_side():
    networks = [CODED, with_groups()]
    _, together = on_circuit(CHIP, networks, FEATURES[None], PERIOD, 10 * nsecond, 3)
    counts = simulate(together).spikes["chip"].counts().reshape(2, -1)
    for layers, found in zip(networks, counts, strict=True):
        _, alone = on_circuit(CHIP, [layers], FEATURES[None], PERIOD, 10 * nsecond, 3)
        np.testing.assert_array_equal(found, simulate(alone).spikes["chip"].counts())


def test_equal_supplies_are_one_supply():
    gain = 1.37
    several = [
        grouped(CHIP, la, base.supply, np.full((len(la.codes), GROUPS), gain), 0.6 * volt)
        for la, base in zip(CODED, with_groups(), strict=True)
    ]
    vdd = several[0].vdd[0, 0]
    assert gain_of(CHIP, vdd) / gain_of(CHIP, 0.6 * volt) == pytest.approx(gain, rel=1e-12)
    one = [replace(la, vdd=np.full(len(la.codes), float(vdd)) * volt) for la in CODED]
    spikes = [
        expected_spikes(CHIP, layers, FEATURES[None], PERIOD, 10 * nsecond)
        for layers in (several, one)
    ]
    for a, b in zip(*spikes, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_group_whose_gain_no_supply_reaches_is_refused():
    layer = Layer(np.array([[3, -2]]), np.array([0]), [0.75] * volt, {})
    with pytest.raises(UserError, match=r"1 groups of .* 0\.25 to 1\.88 are within reach"):
        grouped(CHIP, layer, np.array([[0, 1, 0]]), np.array([[1.2, 1.9]]), 0.75 * volt)
