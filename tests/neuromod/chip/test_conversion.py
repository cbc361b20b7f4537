import warnings

import numpy as np
import pytest
from brian2 import usecond, volt
from brian2.units.allunits import Mhertz, fjoule, pjoule
from hypothesis import given, settings, strategies as st

from neuromod.chip.conversion import (
    SOURCES,
    Costs,
    Design,
    Layer,
    by_references,
    by_supply,
    deploy,
    energies,
    gain_of,
    grouped,
    ledger,
    nearest,
    reachable_gains,
    stored,
    vdd_of,
)
from neuromod.errors import UserError
from neuromod.models import circuits
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.mirror import LAWS

CHIP = CircuitNeuron()
WAY = 0.1
LEAST, MOST = (float(CHIP.step(end * volt) / volt) for end in (0.5, 1.0))


def test_halves_go_to_codes_away_from_zero_and_not_to_even_ones():
    values = [0, 0.49, 0.5, 1.5, 2.5, 2.51, -0.5, -1.5, -2.49, -0.2]
    found = nearest(np.array(values))
    assert found.tolist() == [0, 0, 1, 2, 3, 3, -1, -2, -2, 0]
    assert not np.signbit(found[values.index(-0.2)])


def test_the_gain_at_three_quarters_of_a_volt_is_one():
    assert gain_of(CHIP, 0.75 * volt) == 1


def test_supplies_from_half_a_volt_to_one_give_gains_from_a_quarter_to_1_88():
    low, high = gain_of(CHIP, [0.5, 1] * volt)
    assert low == pytest.approx(0.25, rel=1e-12)
    assert high == pytest.approx((7.5 - np.sqrt(14)) / 2, rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_the_gains_of_the_ends_of_the_range_lead_exactly_back_to_them(law):
    chip = CircuitNeuron(law=law)
    ends = [0.5, 1.0]
    assert np.asarray(vdd_of(chip, gain_of(chip, ends * volt)) / volt).tolist() == ends


@pytest.mark.parametrize("name", circuits)
def test_ends_of_gains_in_single_precision_lead_to_supplies_within_the_circuits_range(name):
    chip = circuits[name]
    ends = chip.vdd_low, chip.vdd_high
    gain = np.float32(np.array(reachable_gains(chip)))
    assert np.asarray(vdd_of(chip, gain) / volt).tolist() == [float(end) for end in ends]
    bare = Layer(np.ones((1, 2), dtype=int), np.ones(1, dtype=int), [1] * volt, {})
    groups = np.array([[0, 1, 1]])
    layer = grouped(chip, bare, groups, gain[None, :], chip.vdd_reference)
    assert np.asarray(layer.vdd[0]).tolist() == [float(end) for end in ends]
    for far in ([0.99, 1], [1, 1.01]):
        with pytest.raises(UserError, match=f"beyond {chip.supply_range}: gains from"):
            grouped(chip, bare, groups, gain[None, :] * far, chip.vdd_reference)


@settings(deadline=None)
@given(st.floats(0.36, 1.4), st.floats(0.35, 0.7))
def test_the_supply_of_a_gain_is_the_one_that_gave_it(vdd, vto):
    chip = CircuitNeuron(vto=vto * volt)
    expected = max(vdd, vto)
    assert float(vdd_of(chip, gain_of(chip, vdd * volt)) / volt) == pytest.approx(expected)


@settings(deadline=None)
@given(st.floats(0, 40))
def test_the_gain_of_a_supply_is_the_one_that_asked_for_it(gain):
    assert gain_of(CHIP, vdd_of(CHIP, gain)) == pytest.approx(gain, rel=1e-9, abs=1e-15)


def in_volt(layer):
    codes = np.column_stack([layer.codes, layer.bias_codes])
    return codes * np.asarray(CHIP.step(layer.vdd) / volt)[:, None]


def asked_for(weight, bias, gain, theta):
    return WAY / theta * gain[:, None] * np.column_stack([weight, bias])


def steps(layer):
    """How far one unit of a code moves each membrane at its supply, V."""
    return np.asarray(CHIP.step(layer.vdd) / (volt * layer.scale))


def random_layer(seed, reach):
    """A layer of 9 neurons whose largest weights move the membrane by `reach` volts."""
    draw = np.random.default_rng(seed)
    weight, bias = draw.normal(size=(9, 13)), draw.normal(size=9)
    theta = draw.uniform(0.2, 3)
    largest = np.abs(np.column_stack([weight, bias])).max(axis=1)
    gain = draw.uniform(*reach, 9) * theta / WAY / largest * draw.choice([-1, 1], 9)
    return weight, bias, gain, theta


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_in_range_every_weight_is_met_within_half_of_one_bit(seed):
    layer = random_layer(seed, (7.01 * LEAST, 6.99 * MOST))
    chip = deploy(CHIP, *layer)
    off = np.abs(in_volt(chip) - asked_for(*layer))
    half = np.asarray(CHIP.step(chip.vdd) / volt)[:, None] / 2
    assert (off <= half * (1 + 1e-9)).all()
    codes = np.column_stack([chip.codes, chip.bias_codes])
    assert (np.abs(codes).max(axis=1) == 7).all()
    assert chip.changes["supply_at_lower_end"] == chip.changes["supply_at_upper_end"] == 0
    assert chip.changes["weights_saturated"] == 0
    assert chip.changes["negative_gain"] == np.count_nonzero(layer[2] < 0)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_small_layers_run_at_the_lower_end_with_coarser_codes(seed):
    layer = random_layer(seed, (0.01 * LEAST, 6.99 * LEAST))
    chip = deploy(CHIP, *layer)
    np.testing.assert_allclose(chip.vdd / volt, 0.5, rtol=1e-12)
    assert (np.abs(in_volt(chip) - asked_for(*layer)) <= LEAST / 2 * (1 + 1e-9)).all()
    assert chip.changes["supply_at_lower_end"] == 9


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_codes_stay_within_their_bits_and_supplies_within_their_range(seed, bits):
    circuit = CircuitNeuron(bits=bits)
    chip = deploy(circuit, *random_layer(seed, (0.1 * LEAST, 40 * MOST)))
    codes = np.column_stack([chip.codes, chip.bias_codes])
    assert np.abs(codes).max() <= 2**bits - 1
    assert ((chip.vdd >= 0.5 * volt) & (chip.vdd <= 1 * volt)).all()


def test_every_change_is_counted_as_constructed():
    # Per neuron: in range, negative gain, no gain, no weights, small, large; theta makes one
    # unit of gain times weight 0.1 V.
    weight = np.array(
        [
            [1.4, -0.45, 0.0],
            [1.4, -0.45, 0.0],
            [1.4, -0.45, 0.7],
            [0.0, 0.0, 0.0],
            [0.1, 0.024, -0.02],
            [4.0, -1.0, 2.0],
        ]
    )
    bias = np.array([0.31, 0.31, 0.3, 0.0, 0.0, -3.0])
    gain = np.array([1.0, -1.0, 0.0, 1.3, 1.0, 1.0])
    layer = deploy(CHIP, weight, bias, gain, 1.0)
    # The small neuron's bit is 5 mV less leak at 0.5 V: codes 2, 0 and 0 for 10, 2.4 and -2 mV.
    # The large one's is 37.5 mV at 1 V: 10.7, -2.7, 5.3 and -8.0 bits for 400, -100, 200, -300.
    assert layer.codes.tolist() == [
        [7, -2, 0],
        [-7, 2, 0],
        [0, 0, 0],
        [0, 0, 0],
        [2, 0, 0],
        [7, -3, 5],
    ]
    assert layer.bias_codes.tolist() == [2, -2, 0, 0, 0, -7]
    changes = layer.changes
    assert changes["neurons"] == 6
    assert changes["weights"] == 24
    assert changes["negative_gain"] == 1
    assert changes["supply_at_lower_end"] == 3
    assert changes["supply_at_upper_end"] == 1
    assert changes["weights_to_zero"] == 4 + 2
    assert changes["weights_saturated"] == 2
    assert changes["rms_error_lsb"] > 0
    np.testing.assert_allclose(layer.vdd[2:] / volt, [0.5, 0.5, 0.5, 1], rtol=1e-12)
    assert layer.vdd[0] == layer.vdd[1]


def test_only_weights_between_two_codes_count_as_rounded():
    layer = deploy(CHIP, np.array([[1.4, -0.45, 0.0]]), np.array([0.31]), np.array([1.0]), 1.0)
    assert layer.changes["weights_rounded"] == 2


def test_the_error_in_bits_is_that_of_a_hand_worked_neuron():
    # Largest 7 units, so that a weight of 2.3 units is code 2 and one of -4.6 is code -5.
    layer = deploy(CHIP, np.array([[1.4, 0.46]]), np.array([-0.92]), np.array([1.0]), 1.0)
    assert layer.codes.tolist() == [[7, 2]]
    assert layer.bias_codes.tolist() == [-5]
    assert layer.changes["rms_error_lsb"] == pytest.approx(np.sqrt((0.09 + 0.16) / 3))


def test_neurons_without_weight_or_gain_give_no_codes_and_no_warning():
    weight = np.array([[0.0, 0.0], [0.3, -1.2], [0.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for vto in (0.35, 0.7):
            chip = CircuitNeuron(vto=vto * volt)
            layer = deploy(chip, weight, np.array([0, 0.2, 0]), np.array([1.7, 0, 0]), 0.5)
            assert not layer.codes.any()
            assert not layer.bias_codes.any()
            assert np.isfinite(np.asarray(layer.vdd / volt)).all()
            assert np.isfinite(layer.changes["rms_error_lsb"])


def test_a_layer_that_exactly_fits_loses_nothing():
    draw = np.random.default_rng(4)
    codes = np.column_stack([draw.integers(-7, 8, (5, 6)), np.full(5, 7)])
    vdd = draw.uniform(0.51, 0.99, 5)
    table = codes * np.asarray(CHIP.step(vdd * volt) / volt)[:, None] / WAY
    layer = deploy(CHIP, table[:, :-1], table[:, -1], np.ones(5), 1.0)
    np.testing.assert_array_equal(np.column_stack([layer.codes, layer.bias_codes]), codes)
    np.testing.assert_allclose(layer.vdd / volt, vdd, rtol=1e-9)
    assert layer.changes["rms_error_lsb"] < 1e-12


def one_neuron(**circuit):
    totals = {"energy": [9.75] * fjoule, "idle": [0.83] * pjoule, "clocks": np.array([5])}
    return energies(CircuitNeuron(**circuit), Costs(), totals, np.array([2]), 7 * usecond)


def test_the_energies_of_one_neuron_by_hand():
    in_pj = {name: float(energy[0] / pjoule) for name, energy in one_neuron().items()}
    spike = 1.08 - 2 * 0.12 - 0.01 - 0.01 / 3.3
    assert in_pj == pytest.approx(
        {
            "synapses": 9.75e-3,
            "idle references": 0.83,
            "comparator": 5 * 0.12,
            "spike generator": 2 * spike,
            "reset": 2 * 0.01,
            "leakage": 0.07,
        }
    )
    assert list(in_pj) == list(SOURCES)


def test_a_continuous_comparator_draws_power_instead_of_deciding():
    entries = one_neuron(comparator="continuous")
    assert float(entries["comparator"][0] / pjoule) == pytest.approx(7.0)


@pytest.mark.parametrize(("references", "synapses"), [("always", 0.83975), ("pulsed", 9.75e-3)])
def test_the_two_supplies_add_up_to_the_entries_that_they_pay_for(references, synapses):
    chip = CircuitNeuron(references=references)
    supplies = by_supply(chip, one_neuron())
    assert set(supplies) == {"core", "synapse"}
    total = float(by_references(one_neuron())[references][0] / pjoule)
    assert sum(float(s[0] / pjoule) for s in supplies.values()) == pytest.approx(total)
    assert float(supplies["synapse"][0] / pjoule) == pytest.approx(synapses)


@pytest.mark.parametrize(("references", "supply"), [("always", "synapse"), ("pulsed", "none")])
def test_a_ledger_has_the_total_of_either_kind_of_references(references, supply):
    table = ledger(CircuitNeuron(references=references), one_neuron(), 2).set_index("entry")
    entries = table[~table.index.str.startswith("total")]
    assert entries.supply["idle references"] == supply
    sums = {"always": entries.energy_pJ.sum(), "pulsed": entries.energy_pJ.sum() - 0.83}
    other = {"always": "references pulsed", "pulsed": "references always on"}[references]
    assert table.energy_pJ["total"] == pytest.approx(sums.pop(references))
    assert table.energy_pJ[f"total, {other}"] == pytest.approx(*sums.values())
    np.testing.assert_allclose(table.per_spike_pJ, table.energy_pJ / 2)
    assert table.source.str.len().min() > 0


def test_without_spikes_there_is_no_energy_per_spike():
    assert ledger(CHIP, one_neuron(), 0).per_spike_pJ.isna().all()


def test_at_the_maximum_rate_a_spike_costs_the_core_the_papers_energy():
    for count in (33, 70):
        totals = {"energy": [0.3] * pjoule, "idle": [0.7] * pjoule, "clocks": np.array([2 * count])}
        entries = energies(CHIP, Costs(), totals, np.array([count]), count / (3.3 * Mhertz))
        core = float(by_supply(CHIP, entries)["core"][0] / pjoule)
        assert core / count == pytest.approx(1.08, rel=1e-12)


def test_costs_below_nothing_are_refused():
    with pytest.raises(UserError, match="reset"):
        Costs(reset=-0.1 * pjoule)


def test_gains_within_reach_are_those_of_the_range_over_that_of_the_untuned_supply():
    assert reachable_gains(CHIP) == pytest.approx((0.25, (7.5 - np.sqrt(14)) / 2))
    # At 0.6 V, (1 + 2.5 - sqrt(6))/2 of the current at 0.75 V.
    one = (3.5 - np.sqrt(6)) / 2
    expected = 0.25 / one, (7.5 - np.sqrt(14)) / 2 / one
    assert reachable_gains(CHIP, 0.6 * volt) == pytest.approx(expected)


def designed(per, gain=None, seed=17, vdd=None, circuit=CHIP):
    draw = np.random.default_rng(seed)
    weight, bias = draw.normal(0, 0.03, (8, 211)), draw.normal(0, 0.03, 8)
    gain = np.ones(8) if gain is None else gain
    design = Design(per, 0.63 * volt)
    return deploy(circuit, weight, bias, gain, 0.7, design, vdd), weight, bias


@pytest.mark.parametrize("per", ["layer", "neuron"])
def test_mirrors_made_for_a_network_of_many_inputs_run_it_at_the_untuned_supply(per):
    layer, weight, bias = designed(per)
    np.testing.assert_allclose(layer.vdd / volt, 0.63)
    codes = np.column_stack([layer.codes, layer.bias_codes])
    table = np.column_stack([weight, bias])
    moved = codes * steps(layer)[:, None]
    half = steps(layer)[:, None] / 2
    assert (np.abs(moved - table * WAY / 0.7) <= half * (1 + 1e-9)).all()
    largest = np.abs(codes).max(axis=1)
    assert (largest == 7).all() if per == "neuron" else largest.max() == 7
    assert (np.asarray(layer.scale) > 2).all()
    assert layer.changes["mirror_scale"] == pytest.approx(np.median(layer.scale))


@pytest.mark.parametrize("per", ["layer", "neuron"])
def test_with_mirrors_made_for_the_network_supplies_carry_the_gain_and_codes_do_not(per):
    gain = np.linspace(*reachable_gains(CHIP, 0.63 * volt), 8)
    tuned, *_ = designed(per, gain)
    untuned, *_ = designed(per)
    np.testing.assert_array_equal(tuned.codes, untuned.codes)
    np.testing.assert_allclose(gain_of(CHIP, tuned.vdd) / gain_of(CHIP, 0.63 * volt), gain)
    assert tuned.changes["supply_at_lower_end"] == tuned.changes["supply_at_upper_end"] == 0


def test_a_layer_shares_one_size_of_mirrors_and_neurons_have_their_own():
    assert len(np.unique(designed("layer")[0].scale)) == 1
    assert len(np.unique(designed("neuron")[0].scale)) == 8


def test_beyond_reach_codes_make_up_for_what_supplies_cannot():
    low, high = reachable_gains(CHIP, 0.63 * volt)
    layer, *_ = designed("neuron", np.array([-1, 0.4 * low, *[1.0] * 5, 3 * high]))
    assert layer.changes["negative_gain"] == 1
    assert layer.changes["supply_at_lower_end"] == layer.changes["supply_at_upper_end"] == 1
    np.testing.assert_array_equal(layer.codes[0], -designed("neuron")[0].codes[0])
    assert np.abs(layer.codes[1]).max() == 3
    assert layer.changes["weights_saturated"] > 0


def test_codes_make_up_for_a_supply_that_is_there_already():
    gain = np.linspace(0.6, 1.7, 8)
    layer, weight, _ = designed("neuron", gain, vdd=np.full(8, 0.97) * volt)
    np.testing.assert_array_equal(layer.vdd / volt, 0.97)
    asked = gain[:, None] * weight * WAY / 0.7
    off = np.abs(layer.codes * steps(layer)[:, None] - asked)
    assert (off <= steps(layer)[:, None] / 2 * (1 + 1e-9)).all()


@pytest.mark.parametrize("bits", [2, 5])
def test_what_codes_stand_for_is_stored_as_the_same_codes(bits):
    circuit = CircuitNeuron(bits=bits)
    layer, weight, bias = designed("layer", circuit=circuit)
    kept = stored(circuit, layer, 0.7, 0.63 * volt)
    unit = np.abs(np.column_stack([weight, bias])).max() / (2**bits - 1)
    assert np.abs(kept[0] - weight).max() <= unit / 2 * (1 + 1e-9)
    assert np.abs(kept[1] - bias).max() <= unit / 2 * (1 + 1e-9)
    again = deploy(circuit, *kept, np.ones(8), 0.7, Design("layer", 0.63 * volt))
    np.testing.assert_array_equal(again.codes, layer.codes)
    np.testing.assert_array_equal(again.bias_codes, layer.bias_codes)


def test_a_neuron_without_weights_gets_mirrors_as_they_are():
    weight = np.array([[0.0, 0.0], [0.3, -0.1]])
    layer = deploy(CHIP, weight, np.zeros(2), np.ones(2), 1.0, Design("neuron"))
    assert layer.scale[0] == 1
    assert layer.codes.tolist() == [[0, 0], [7, -2]]


def test_only_mirrors_can_be_sized():
    with pytest.raises(UserError, match="Only synapse=mirror can be sized"):
        designed("layer", circuit=CircuitNeuron(synapse="conductance"))
    with pytest.raises(UserError, match="did you mean neuron"):
        Design("neurons")
