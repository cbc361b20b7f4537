"""What a single event must be to make a neuron fire, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Mohm, ms, mV, usecond

from neuromod.analysis.thresholds import event_threshold
from neuromod.errors import UserError
from neuromod.inputs.events import Entrance
from neuromod.models import GainLIF, modulate

PULSED = GainLIF(synapse="pulse", receptors=(), tau_m=11 * ms, R=37 * Mohm, v_th=-51.3 * mV)
SWING = 18.7e-3


def measured(cell, width=0.3 * ms, dt=100 * usecond):
    return float(event_threshold(cell, Entrance.of(cell, width), dt))


def test_a_pulse_that_just_fires_a_lif_charges_its_membrane_to_threshold():
    exact = SWING / 37e6 / (1 - np.exp(-0.3 / 11))
    assert measured(PULSED) == pytest.approx(exact, rel=3e-7)


def test_of_a_decaying_current_it_is_the_membranes_peak_that_comes_to_threshold():
    cell = replace(PULSED, synapse="exponential", tau_syn=3.1 * ms)
    ratio = 3.1 / 11
    # The top of the difference of both exponentials, which lies between two steps.
    at = np.log(11 / 3.1) / (1 / 3.1 - 1 / 11)
    top = ratio / (1 - ratio) * (np.exp(-at / 11) - np.exp(-at / 3.1))
    exact = SWING / 37e6 / top
    assert measured(cell) == pytest.approx(exact, rel=1e-4)


FIRING = """
dx/dt = (1.3 - x)/(7*ms) : 1
I_ext : 1
"""


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (FIRING, "fires without input"),
        ("dx/dt = -x/(7*ms) : 1\nI_ext : 1", "No single event onto I_ext"),
    ],
)
def test_what_has_no_such_event_is_refused(monkeypatch, equations, message):
    # Up to a few decades, to save time.
    monkeypatch.setattr("neuromod.analysis.thresholds.MOST", 1e-10)
    with pytest.raises(UserError, match=message):
        measured(modulate(equations, threshold="x > 1", reset="x = 0"))
