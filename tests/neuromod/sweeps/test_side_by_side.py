"""Experiments side by side give what each gives alone, to the bit."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, ms, mV, nA, nsecond as ns, uA, uM, umolar, usecond as us, volt

from neuromod import Connection, Experiment, PlasticConnection, Population, Spikes, Trace, simulate
from neuromod.chip.pulses import code_pulses
from neuromod.inputs.modulators import bath
from neuromod.models import AdEx, CircuitNeuron, GainLIF, PlasticLIF, Receptor, ThreeFactor
from neuromod.sweeps.side_by_side import kind, side_by_side


def same(a, b):
    assert a.spikes.keys() == b.spikes.keys()
    for name in a.spikes:
        assert np.array_equal(a.spikes[name].neurons, b.spikes[name].neurons)
        assert np.array_equal(a.spikes[name].times, b.spikes[name].times)
        assert a.spikes[name].size == b.spikes[name].size
    for name, signals in a.signals.items():
        for variable, signal in signals.items():
            other = b.signals[name][variable]
            assert np.array_equal(signal.neurons, other.neurons)
            np.testing.assert_allclose(
                np.asarray(signal.values), np.asarray(other.values), rtol=1e-12, atol=1e-15
            )
    for name, totals in a.totals.items():
        for variable, values in totals.items():
            np.testing.assert_allclose(
                np.asarray(values), np.asarray(b.totals[name][variable]), rtol=1e-12
            )


def check(parts):
    assert len({kind(part) for part in parts}) == 1
    joined = side_by_side(parts)
    assert joined is not None
    for part, recording in zip(parts, joined.split(simulate(joined.experiment)), strict=True):
        same(recording, simulate(part))


def network(tau_m, weight, seed, gain_max=2.0, size=4):
    """Two inputs drive cells, which excite each other; the last one is traced."""
    draw = np.random.default_rng(seed)
    steps = np.sort(draw.choice(900, 60, replace=False))
    neuron = GainLIF(tau_m=tau_m, receptors=(Receptor(gain_max=gain_max),))
    cells = Population("cells", neuron, size, {"v": draw.uniform(-70, -52, size) * mV})
    around = np.arange(size)
    return Experiment(
        populations=[cells],
        sources=[Spikes("inputs", 2, draw.integers(0, 2, 60), steps * 0.1 * ms)],
        connections=[
            Connection("inputs", "cells", "I_syn", i=around % 2, j=around, weight=weight),
            Connection(
                *("cells", "cells", "I_syn"),
                **{"i": around, "j": (around + 1) % size, "weight": 0.4 * nA, "delay": 1.5 * ms},
            ),
        ],
        traces=[Trace("cells", ("v", "gain"), np.array([1, size - 1]), 0.5 * ms)],
        duration=97 * ms,
        dt=0.1 * ms,
        seed=seed,
    ).add(bath(cells, {"modulator": 0.7 * uM}))


def test_networks_that_differ_in_constants_weights_input_and_size():
    check(
        [
            network(17 * ms, 2.1 * nA, seed=3),
            network(23 * ms, 1.7 * nA, seed=4, gain_max=1.4),
            network(17 * ms, 2.6 * nA, seed=3, gain_max=3.1, size=6),
        ]
    )


def test_an_input_that_all_share_stays_one_source():
    parts = [network(tau_m * ms, 2.1 * nA, seed=3) for tau_m in (17, 19)]
    joined = side_by_side(parts)
    assert joined.experiment.sources[0].size == 2
    other = side_by_side([parts[0], network(19 * ms, 2.1 * nA, seed=5)])
    assert other.experiment.sources[0].size == 4


def test_models_that_differ_in_method_constants_or_equations_are_of_another_kind():
    def alone(model):
        cells = Population("cells", model, 2)
        return Experiment(populations=[cells], duration=10 * ms, dt=0.1 * ms)

    lif = alone(GainLIF())
    assert kind(lif) == kind(alone(GainLIF(tau_m=31 * ms)))
    assert kind(lif) != kind(alone(GainLIF(site="threshold")))
    assert kind(lif) != kind(alone(GainLIF(receptors=())))
    assert kind(lif) != kind(alone(AdEx()))
    assert kind(lif) != kind(replace(lif, duration=11 * ms))
    assert kind(lif) != kind(replace(lif, dt=0.2 * ms))


def test_circuit_neurons_of_different_supplies_and_transistors():
    def chip(vdd, beta):
        circuit = CircuitNeuron(beta=beta * uA / volt**2)
        ends = "inputs", "chip", np.array([0, 0]), np.array([0, 1])
        return Experiment(
            populations=[Population("chip", circuit, 2, {"vdd": vdd * volt})],
            sources=[Spikes("inputs", 1, np.zeros(4, dtype=int), np.arange(4) * 0.4 * us)],
            connections=code_pulses(*ends, np.array([6, 3]), circuit.t_pulse),
            traces=[Trace("chip", ("v",), np.array([0]))],
            duration=3 * us,
            dt=10 * ns,
        )

    check([chip(np.array([0.61, 0.83]), 0.4), chip(np.array([0.97, 0.55]), 0.6)])


def test_plastic_synapses_and_their_totals():
    def learning(eta, seed):
        draw = np.random.default_rng(seed)
        steps = np.sort(draw.choice(190, 50, replace=False))
        cells = Population("cells", PlasticLIF(), 3, {"tonic": 0.8})
        return Experiment(
            populations=[cells],
            sources=[Spikes("inputs", 2, draw.integers(0, 2, 50), steps * ms)],
            plastic=[
                PlasticConnection(
                    *("learned", "inputs", "cells", ThreeFactor(gate="direct", eta=eta)),
                    **{"i": [0, 0, 1, 1], "j": [0, 2, 1, 2], "values": {"w": 0.6}},
                )
            ],
            traces=[Trace("learned", ("E",), np.array([0, 3]))],
            duration=200 * ms,
            dt=1 * ms,
        )

    check([learning(3 * Hz, 1), learning(7 * Hz, 2)])


@pytest.mark.parametrize("size", [1, 3])
def test_one_experiment_is_itself(size):
    part = network(17 * ms, 2.1 * nA, seed=3, size=size + 1)
    joined = side_by_side([part])
    assert joined.experiment is part


def test_concentrations_of_the_bath_stay_with_their_part():
    def bathed(conc):
        cells = Population("cells", GainLIF(), 2, {"I_ext": 1.1 * nA})
        run = Experiment(
            populations=[cells],
            traces=[Trace("cells", ("gain",), np.array([0]))],
            duration=20 * ms,
            dt=0.1 * ms,
        )
        return run.add(bath(cells, {"modulator": conc}))

    parts = [bathed(conc * umolar) for conc in (0.0, 0.3, 5.5)]
    check(parts)
