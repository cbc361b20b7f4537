"""Codes that stay in memory: what gains are tuned on is what runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import volt

import neuromod

pytest.importorskip("torch")

import torch

from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.families.memory import UNTUNED, Memory, check_mirrors
from neuromod.tuning.backbone import load_backbone
from neuromod.tuning.recipe import build_classifier, calibrated

CIRCUIT = CircuitNeuron(bits=3)
THETA = 1.3


def current(vdd):
    """Of the square-law mirror behind its resistor, by hand: in units of 1/(beta*R_S**2)."""
    u = 10 * (vdd - 0.35)  # beta*R_S is 10 per volt, and the threshold 0.35 V
    return 1 + u - np.sqrt(1 + 2 * u)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("digits-vgg", "random", seed=4)


@pytest.fixture(scope="module")
def memory(backbone):
    return Memory.of(CIRCUIT, UNTUNED, backbone, THETA)


def test_weights_are_codes_of_three_bits_and_a_sign_times_one_step_a_layer(backbone, memory):
    for before, linear, layer in zip(
        backbone.linears, memory.backbone.linears, memory.layers, strict=True
    ):
        assert np.abs(layer.codes).max() == 7
        step = np.abs(before.weight.double().numpy()).max() / 7
        assert np.allclose(linear.weight.numpy(), layer.codes * step, rtol=1e-5, atol=1e-9)


def test_gains_within_reach_are_those_of_half_a_volt_and_one(memory):
    recipe = memory.within_reach(calibrated("nt1_groups", "spiking", "membrane"))
    assert recipe.gain_low == pytest.approx(current(0.5) / current(0.6))
    assert recipe.gain_high == pytest.approx(current(1) / current(0.6))


def test_tuned_groups_get_the_supplies_of_their_gains_and_codes_stay(memory):
    recipe = replace(calibrated("nt1_groups", "spiking", "membrane"), groups=2)
    classifier = build_classifier(memory.backbone, recipe, 5)
    gains = torch.linspace(0.5, 3.1, 4)
    for layer in classifier.modulated_layers:
        with torch.no_grad():
            layer.gain.copy_(gains.repeat(layer.n_neurons))
    layers = memory.supplied(classifier)
    for layer, before in zip(layers, memory.layers, strict=True):
        np.testing.assert_array_equal(layer.codes, before.codes)
        found = current(np.asarray(layer.vdd / volt)) / current(0.6)
        assert np.allclose(found, gains.numpy())


def test_mirrors_without_current_at_the_lowest_supply_are_refused():
    with pytest.raises(neuromod.UserError, match="leaves no current"):
        check_mirrors(CircuitNeuron(vto=0.53 * volt), UNTUNED)
    with pytest.raises(neuromod.UserError, match=r"circuit\.synapse must be 'mirror'"):
        check_mirrors(CircuitNeuron(synapse="conductance"), UNTUNED)
