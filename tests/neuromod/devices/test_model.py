"""What GeNN is given of an experiment; none of it needs GeNN."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import defaultclock, ms, nA, prefs

from neuromod.devices.genn.model import network
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

DT = 0.1 * ms


@pytest.fixture(autouse=True)
def on_numpy():
    before = prefs.codegen.target, defaultclock.dt
    prefs.codegen.target, defaultclock.dt = "numpy", DT
    yield
    prefs.codegen.target, defaultclock.dt = before


def wired(**changes):
    """Pulses from a source, of a weight for each pair or of one for all."""
    pairs = {"i": np.array([2, 0, 2]), "j": np.array([0, 1, 1])}
    weights = {"weight": np.array([0.3, 0.7, 0.2]) * nA, **changes}
    pulses = Connection(
        "inputs", "cells", "I_syn", **pairs, delay=0.7 * ms, width=1.3 * ms, **weights
    )
    return Experiment(
        populations=[Population("cells", GainLIF(receptors=()), 2)],
        sources=[Spikes("inputs", 3, np.array([1]), np.array([7]) * DT)],
        connections=[pulses],
        traces=[Trace("cells", ("v",), np.array([1, 0]), every=0.3 * ms)],
        duration=3 * ms,
        dt=DT,
    )


def test_a_pulse_is_what_is_added_and_what_is_taken_away_later():
    rising, falling = network(wired(), np.float64).synapses.values()
    assert (rising.delay, falling.delay) == (7, 20)
    np.testing.assert_allclose(rising.variables["weight"][1], [7e-10, 3e-10, 2e-10])
    np.testing.assert_allclose(falling.variables["weight"][1], [-7e-10, -3e-10, -2e-10])
    assert rising.i.tolist() == [0, 2, 2]
    assert rising.j.tolist() == [1, 0, 1]


def test_one_weight_for_all_takes_no_array():
    rising, _ = network(wired(weight=0.3 * nA), np.float32).synapses.values()
    assert rising.variables == {}
    assert rising.parameters["weight"][0] == "float"


def test_a_trace_has_a_place_in_its_buffer_for_each_of_its_neurons():
    cells = network(wired(), np.float64).neurons["cells"]
    [traced] = cells.traced
    assert cells.variables["slot_0"][1].tolist() == [0, 1]
    assert traced.order.tolist() == [1, 0]
    assert cells.parameters["every_0"] == ("int32_t", 3)


def test_what_arrives_is_added_before_the_state_moves_and_after_it_is_sampled():
    step = network(wired(), np.float64).neurons["cells"].step
    places = [step.index(text) for text in ("trace_0_v[", "+ in_I_syn", "u_v = ", "u__cond = ")]
    assert places == sorted(places)


def test_values_are_no_part_of_the_code():
    one, other = (network(wired(**w), np.float64) for w in ({}, {"weight": np.ones(3) * nA}))
    assert one.neurons["cells"].step == other.neurons["cells"].step
    changed = replace(
        wired(), populations=[Population("cells", GainLIF(receptors=(), tau_m=9 * ms), 2)]
    )
    cells = network(changed, np.float64).neurons["cells"]
    assert cells.step == one.neurons["cells"].step
    assert cells.parameters["u_tau_m"] == ("double", pytest.approx(0.009))


def test_neurons_hold_what_synapses_read_and_synapses_what_they_change():
    pairs = {"i": np.array([0, 1]), "j": np.array([1, 1])}
    model = ThreeFactor(rule="stdp")
    found = network(
        Experiment(
            populations=[Population("cells", PlasticLIF(), 2)],
            plastic=[
                PlasticConnection("synapses", "cells", "cells", model, **pairs, delay=0.3 * ms)
            ],
            duration=3 * ms,
            dt=DT,
        ),
        np.float64,
    )
    synapses, cells = found.synapses["synapses"], found.neurons["cells"]
    read = {name for _, name in synapses.of_target.values()}
    assert {"y", "tonic", "sensitivity"} <= read
    assert {f"u_{name}" for name in read} <= cells.variables.keys()
    assert synapses.written == {"u_E", "u_x", "u_eligibility"}
    assert (synapses.adds_to, cells.inputs, synapses.delay) == ("v", ("v",), 3)
