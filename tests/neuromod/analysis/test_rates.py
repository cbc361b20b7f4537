"""Gains come back from steady rates."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, Quantity, ms, mV, nA, nS, pA, second

from neuromod.analysis.rates import gain_from_rate, has_closed_form, settled_rates
from neuromod.experiment import Spikes
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor


@pytest.mark.parametrize("v_reset", [-70 * mV, -58 * mV, -77 * mV])
def test_gains_come_back_from_rates_in_closed_form(v_reset):
    neuron = GainLIF(v_reset=v_reset)
    gains = np.array([0.71, 1.0, 1.93, 6.1])
    current = np.array([0.77, 0.61, 1.3, 0.9]) * nA
    rates = neuron.rate(current, gains)
    # On the grid of time steps intervals are half a step short.
    on_grid = rates / (1 - rates * 0.05 * ms / 2)
    assert gain_from_rate(neuron, current, on_grid, 0.05 * ms) == pytest.approx(gains)


def test_silent_cells_have_no_gain():
    gains = gain_from_rate(GainLIF(), [0.3, 0.9] * nA, [0, 37] * Hz, 0.1 * ms)
    assert np.isnan(gains).tolist() == [True, False]


def test_a_closed_form_needs_cells_without_adaptation_and_potassium_current():
    assert has_closed_form(GainLIF())
    assert not has_closed_form(GainLIF(b=30 * pA))
    assert not has_closed_form(GainLIF(receptors=(Receptor(), Receptor(name="M", g_K=3 * nS))))


def test_settled_rates_forget_the_first_half():
    times = Quantity([0.01, 0.02, 0.03, 0.51, 0.56, 0.61, 0.7, 0.95], dim=second.dim)
    spikes = Spikes("cells", 3, np.array([0, 0, 0, 0, 0, 0, 1, 1]), times)
    assert settled_rates(spikes, 1 * second) / Hz == pytest.approx([20, 4, 0])
