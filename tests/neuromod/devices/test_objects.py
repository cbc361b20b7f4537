"""Names: whatever a neuron's variables are called, connections and synapses work with them."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms, prefs

from neuromod.devices.objects import apart
from neuromod.devices.simulation import simulate
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models import TsodyksMarkram, modulate

DT = 0.1 * ms


@pytest.fixture(autouse=True)
def _numpy(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")


def test_names_are_kept_where_they_are_free_and_lengthened_until_they_are():
    found = apart(["w", "u", "x"], {"w", "x", "x_syn", "v"})
    assert found == {"w": "w_syn", "u": "u", "x": "x_syn_syn"}


def cell(membrane, slow, adding):
    """A cell of two variables and one that spikes add to, by any names."""
    return modulate(
        f"d{membrane}/dt = (1.3 - {membrane} - {slow} + {adding})/(7*ms) : 1\n"
        f"d{slow}/dt = -{slow}/(61*ms) : 1\n"
        f"d{adding}/dt = -{adding}/(3*ms) : 1",
        threshold=f"{membrane} > 1",
        reset=f"{membrane} = 0; {slow} += 0.21",
        method="exponential_euler",
        potential=membrane,
    )


def recorded(membrane, slow, adding):
    """Spikes, and how synapses and a cell's slow variable went, with a cell of these names."""
    steps = np.array([13, 101, 187, 390, 412, 601])
    experiment = Experiment(
        populations=[Population("cells", cell(membrane, slow, adding), 2)],
        sources=[Spikes("inputs", 1, np.zeros(6, int), steps * DT)],
        connections=[
            Connection("inputs", "cells", adding, i=[0, 0], j=[0, 1], weight=[0.37, 0.81]),
            Connection("cells", "cells", slow, i=[0], j=[1], weight=0.07, delay=0.7 * ms),
        ],
        plastic=[
            PlasticConnection(
                "tiring",
                "inputs",
                "cells",
                TsodyksMarkram(
                    target=adding, weight=1.9, U=0.43, tau_rec=91 * ms, tau_facil=53 * ms
                ),
                i=[0, 0],
                j=[0, 1],
                values={"U": [0.43, 0.21]},
            )
        ],
        traces=[Trace("cells", [slow], [0, 1]), Trace("tiring", ["used", "raised"], [0, 1])],
        duration=70 * ms,
        dt=DT,
    )
    found = simulate(experiment)
    spikes = found.spikes["cells"]
    signals = found.signals
    courses = [signals["cells"][slow].values] + [
        signals["tiring"][name].values for name in ("used", "raised")
    ]
    return spikes.neurons.tolist(), (spikes.times / DT).tolist(), courses


# Ours are w, used, raised, U, weight and the time constants; users have these, and w, u, x.
NAMES = [("w", "u", "x"), ("U", "used", "w"), ("raised", "w", "weight"), ("x", "tau_rec", "used")]
PLAIN = recorded("mem", "adapting", "arriving")


@pytest.mark.parametrize("names", NAMES, ids="-".join)
def test_a_cell_with_a_synapse_s_names_receives_what_it_does_under_any_other(names):
    neurons, times, courses = recorded(*names)
    assert neurons == PLAIN[0]
    assert times == PLAIN[1]
    assert len(neurons) > 7
    for found, expected in zip(courses, PLAIN[2], strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12)
    # Both synapses have tired, by release probabilities of their own.
    assert (np.asarray(courses[1])[:, -1] > 0.1).all()
    assert courses[1][0, -1] != courses[1][1, -1]
