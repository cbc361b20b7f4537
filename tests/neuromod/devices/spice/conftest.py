"""A small experiment of circuit neurons, and how SPICE's answer to a text is compared with it."""

import numpy as np
import pytest
from brian2 import Mohm, nsecond, volt

from neuromod.chip.pulses import code_pulses
from neuromod.devices.spice import ngspice
from neuromod.devices.spice.validation import validate
from neuromod.devices.spice.wiring import choose
from neuromod.experiment import Experiment, Population, Spikes
from neuromod.models.circuit import CircuitNeuron

DT = 1 * nsecond
WIDTH = 100 * nsecond


@pytest.fixture
def chip():
    """Make a circuit whose references are switched, with other values."""

    def make(**values):
        return CircuitNeuron(**{"references": "pulsed", "R_leak": 373 * Mohm} | values)

    return make


@pytest.fixture
def experiment():
    """Make two neurons from a circuit, of which the first drives the second, 37 steps late."""

    def make(circuit):
        at, who = np.array(sorted([(31, 0), (97, 1), (803, 0), (850, 1), (1467, 0), (1503, 1)])).T
        population = Population("chip", circuit, 2, {"vdd": [0.73, 0.89] * volt})
        ones, both = np.array([0, 1]), np.array([0, 0])
        late = code_pulses("chip", "chip", both[:1], ones[1:], 6, 90 * nsecond)
        return Experiment(
            populations=[population],
            sources=(Spikes("inputs", 2, who, at * DT),),
            connections=[
                *code_pulses("inputs", "chip", ones, both, np.array([7, 7]), WIDTH),
                *code_pulses("inputs", "chip", ones, both + 1, np.array([2, -3]), WIDTH),
                *(pulse.__class__(**{**vars(pulse), "delay": 37 * nsecond}) for pulse in late),
            ],
            duration=2300 * DT,
            dt=DT,
        )

    return make


@pytest.fixture
def compared(monkeypatch):
    """Compare ngspice's answer to a text with the model's to an experiment."""

    def compare(made, text):
        monkeypatch.setattr(ngspice, "netlist", lambda *_: text)
        return validate(made, choose(made, ()))

    return compare
