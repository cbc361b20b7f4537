import numpy as np
import pytest
from brian2 import Hz, ms, second, umolar

from neuromod.devices.simulation import simulate
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.coded_synapse import CodedSynapse
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

DT = 1 * ms
KEPT = np.exp(-1 / 17)
LSB, ALPHA, W = 0.07, 0.83, 0.031


def one_each(size, model, values, cells, at, steps, traced):
    """Synapses from one input, each onto a cell of its own."""
    spikes = Spikes("inputs", 1, np.zeros(len(at), int), np.array(at) * DT)
    i, j = np.zeros(size, int), np.arange(size)
    population = Population("cells", PlasticLIF(tau_m=17 * ms), size, cells)
    synapses = PlasticConnection("synapses", "inputs", "cells", model, i=i, j=j, values=values)
    traces = [Trace("cells", traced, j)]
    experiment = Experiment(
        populations=[population],
        sources=[spikes],
        plastic=[synapses],
        traces=traces,
        duration=steps * DT,
        dt=DT,
    )
    return simulate(experiment)


def test_a_spike_sees_the_nearest_code_while_the_trace_stays_analog():
    stored = np.array([-0.91, -0.4421, -0.043, -0.0415, 0.0, 0.0411, 0.0429, 0.3, 0.777])
    model = CodedSynapse(w=W, alpha=ALPHA, lsb=LSB, eta=0 * Hz, gate="direct")
    recording = one_each(9, model, {"E": stored}, {}, [2], 6, "v")
    nearest = np.array([round(ALPHA * value / LSB) for value in stored])
    assert sorted(set(nearest)) == [-11, -5, -1, 0, 1, 4, 9]
    v = recording.signals["cells"]["v"].values
    # Sent in step 2, it arrives in step 3, whose decay is seen at the start of step 4.
    np.testing.assert_allclose(v[:, 4], (W + LSB * nearest) * KEPT, rtol=1e-12)
    np.testing.assert_array_equal(recording.totals["synapses"]["E"], stored)


def changes(model, tonic):
    """Plastic traces after a cell's and an input's spikes, under a constant third factor."""
    fires = {"tonic": tonic, "v": np.full(len(tonic), 1.2)}
    return one_each(len(tonic), model, {}, fires, [1, 4], 9, "y").totals["synapses"]["E"]


@pytest.mark.parametrize("polarity", [1.0, -1.0])
@pytest.mark.thorough
def test_the_gate_has_one_sign_and_the_range_of_its_supply(polarity):
    wanted = np.array([-3.1, -0.4, 0.0, 0.11, 0.13, 0.19, 0.26, 0.9, 1.87, 1.9, 5.3])
    given = np.array([0, 0, 0, 0, 0.25, 0.25, 0.26, 0.9, 1.87, 1.88, 1.88])
    # BCM's changes do not depend on the trace, and are in proportion to the third factor.
    chosen = {"rule": "bcm", "gate": "direct", "w": 0.0, "alpha": 0.0, "eta": 3.7 * Hz}
    plain = changes(ThreeFactor(**chosen), np.ones(1))
    assert abs(plain[0]) > 1e-4
    found = changes(CodedSynapse(**chosen, polarity=polarity), polarity * wanted)
    np.testing.assert_allclose(found, polarity * given * plain, rtol=1e-12, atol=1e-18)


def test_without_limits_it_is_the_three_factor_synapse():
    tonic = np.array([-2.3, 0.17, 4.1])
    chosen = {"rule": "oja", "gate": "direct", "w": 0.0, "alpha": 0.4, "tau_e": 0.2 * second}
    open_gate = CodedSynapse(**chosen, lsb=1e-9, M_low=-1e9, M_high=1e9)
    expected = changes(ThreeFactor(**chosen), tonic)
    assert (np.abs(expected) > 1e-5).all()
    np.testing.assert_allclose(changes(open_gate, tonic), expected, rtol=1e-7)


@pytest.mark.thorough
def test_the_modulator_moves_the_gate_as_the_tonic_part_does():
    chosen = {"rule": "bcm", "gate": "direct", "w": 0.0, "alpha": 0.0, "eta": 3.7 * Hz}
    cells = {
        "tonic": np.zeros(1),
        "v": np.full(1, 1.2),
        "conc_modulator": np.full(1, 0.6) * umolar,
        "tau_clear_modulator": 1e9 * second,
    }
    by_conc = one_each(1, CodedSynapse(**chosen), {}, cells, [1, 4], 9, "y")
    np.testing.assert_allclose(
        by_conc.totals["synapses"]["E"], changes(CodedSynapse(**chosen), np.full(1, 0.6)), rtol=1e-9
    )
