"""Networks with a supply for each group of synapses, on chips no two devices of which are alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from brian2 import farad, mV, nsecond, ohm, volt

from neuromod.chip.conversion import Layer
from neuromod.chip.deployment import expected_spikes, on_circuit
from neuromod.chip.made import as_made, draw_layers
from neuromod.chip.variation import Deviations, Mismatch, neuron_values
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron

CIRCUIT = CircuitNeuron()
DT = 10 * nsecond
SIZES = (9, 7, 3)
# Such that about half of the neurons fire.
SCALE = 0.3


def network(seed=3):
    draw = np.random.default_rng(seed)
    layers = []
    for inputs, neurons in pairwise(SIZES):
        codes = draw.integers(-7, 8, (neurons, inputs + 1))
        supply = draw.integers(0, 3, codes.shape)
        vdd = draw.uniform(0.5, 1, (neurons, 3)) * volt
        layers.append(Layer(codes[:, :-1], codes[:, -1], vdd, {}, SCALE, supply))
    return layers


def deviations(layers, size=1.0, circuit=CIRCUIT, seed=5, **spread):
    found = draw_layers(circuit, layers, Mismatch(**spread), np.random.default_rng(seed))
    return [own * size for own in found]


def volleys(images=40):
    return np.random.default_rng(8).uniform(0, 1, (1, images, SIZES[0]))


def test_a_chip_without_mismatch_is_the_design():
    layers = network()
    made = as_made(CIRCUIT, layers, deviations(layers, 0.0))
    for designed, found in zip(layers, made, strict=True):
        np.testing.assert_allclose(found.codes, designed.codes, rtol=1e-12)
        np.testing.assert_allclose(found.bias_codes, designed.bias_codes, rtol=1e-12)
        np.testing.assert_allclose(found.scale, designed.scale, rtol=1e-12)


def test_the_threshold_of_a_transistor_matters_most_at_a_low_supply():
    vdd = [0.5, 1.0] * volt
    layer = Layer(np.full((1, 2), 5), np.array([0]), vdd[None], {}, 1.0, np.array([[0, 1, 0]]))
    alike = Deviations(vto=np.full((1, 3, 4), 0.02), beta=np.zeros((1, 3, 4)), R_S=np.zeros((1, 3)))
    (made,) = as_made(CIRCUIT, [layer], [alike])
    ratio = CircuitNeuron(vto=0.37 * volt).unit_current(vdd) / CIRCUIT.unit_current(vdd)
    np.testing.assert_allclose(made.codes[0] / 5, ratio, rtol=1e-9)
    assert ratio[0] < ratio[1] < 1


@pytest.mark.thorough
def test_a_network_with_groups_fires_as_its_deviating_devices_say():
    """Circuit neurons have the capacitors, leaks and offsets for which the closed form scales."""
    layers, images = network(), 40
    drawn = deviations(layers, 2.0)
    made = as_made(CIRCUIT, layers, drawn)
    driven = (volleys(images), 330 * nsecond, DT)
    codes = [replace(layer, scale=SCALE) for layer in made]
    _, experiment = on_circuit(CIRCUIT, [codes], *driven, seed=1)
    own = [
        neuron_values(CIRCUIT, each, (len(la.codes),))
        for each, la in zip(drawn, layers, strict=True)
    ]
    values = {
        name: np.tile(np.concatenate([one[name] / unit for one in own]), images) * unit
        for name, unit in {"C": farad, "R_leak": ohm, "v_offset": volt}.items()
    }
    (chip,) = experiment.populations
    deviating = replace(chip, values={**chip.values, **values})
    recording = simulate(replace(experiment, populations=(deviating,)))
    spikes = recording.spikes["chip"].counts().reshape(images, -1)
    expected, designed = (np.hstack(expected_spikes(CIRCUIT, n, *driven)) for n in (made, layers))
    np.testing.assert_array_equal(spikes, expected)
    assert 0.2 < expected.mean() < 0.8
    assert 0 < (designed != expected).mean() < 0.2


def test_a_threshold_below_rest_is_refused():
    layers = network()
    with pytest.raises(UserError, match="use a smaller mismatch"):
        as_made(CIRCUIT, layers, deviations(layers, offset=300 * mV))
    with pytest.raises(UserError, match="use a smaller mismatch"):
        as_made(CIRCUIT, layers, deviations(layers, 1e6))
