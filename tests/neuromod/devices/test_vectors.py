"""Plastic synapses as C++ standalone computes them: the same numbers, in loops without doubt."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import Hz, ms, prefs, umolar

from neuromod.devices import simulation
from neuromod.devices.simulation import simulate
from neuromod.devices.vectors import held, independent, reading
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.coded_synapse import CodedSynapse
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

INPUTS, CELLS, STEPS = 5, 3, 230


def between(model, **values):
    i, j = (side.ravel() for side in np.indices((INPUTS, CELLS)))
    return PlasticConnection("synapses", "inputs", "cells", model, i=i, j=j, values=values)


def network(**rule):
    draw = np.random.default_rng(20261130)
    step, neuron = np.nonzero(draw.uniform(size=(STEPS, INPUTS)) < 0.11)
    third = {"tonic": draw.normal(size=CELLS), "sensitivity": draw.normal(size=CELLS) / umolar}
    held_from_the_start = {"conc_modulator": [0.37, 0, 1.9] * umolar}
    model = ThreeFactor(w=0.53, eta=83 * Hz, bound=0.57, **rule)
    eligible = between(model, eligibility=draw.uniform(-1, 1, INPUTS * CELLS))
    return Experiment(
        populations=[Population("cells", PlasticLIF(), CELLS, third | held_from_the_start)],
        sources=[
            Spikes("inputs", INPUTS, neuron, step * ms),
            Spikes("reward", 1, [0, 0], [31, 107] * ms),
        ],
        connections=[
            Connection(
                "reward",
                "cells",
                "conc_modulator",
                i=np.zeros(CELLS, int),
                j=np.arange(CELLS),
                weight=2.3 * umolar,
            )
        ],
        plastic=[eligible],
        traces=[Trace("synapses", ("E", "eligibility", "x"), np.arange(INPUTS * CELLS))],
        duration=STEPS * ms,
        dt=1 * ms,
    )


@pytest.mark.parametrize("rule", ["stdp", "oja", "bcm"])
def test_what_targets_hold_for_their_synapses_changes_no_result(rule, monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")
    experiment = network(rule=rule)
    plain = simulate(experiment)
    build = simulation._build
    monkeypatch.setattr(simulation, "_build", lambda e, clocks, **_: build(e, clocks, vectors=True))
    vectors = simulate(experiment)
    assert plain.spikes["cells"].counts().sum() > 30
    np.testing.assert_array_equal(vectors.spikes["cells"].times, plain.spikes["cells"].times)
    for variable in ("E", "eligibility", "x"):
        first, second = (
            np.asarray(r.signals["synapses"][variable].values) for r in (plain, vectors)
        )
        np.testing.assert_allclose(second, first, atol=1e-13)
    values = np.abs(np.asarray(plain.signals["synapses"]["E"].values))
    # Some are at the bound, and some are not.
    assert 0.1 < np.median(values[:, -1]) <= values.max() == pytest.approx(0.57, rel=1e-12)


def test_a_target_holds_what_depends_on_it_alone():
    (name, equation), *others = held(between(ThreeFactor())).items()
    assert not others
    assert (name, equation.expr.code) == ("M", "tonic + sensitivity*conc_modulator")
    assert "M = M_of_synapses_post : 1" in reading(between(ThreeFactor()), {name: equation})
    # Its third factor has a polarity that belongs to the synapse.
    assert held(between(CodedSynapse())) == {}


def test_a_spike_reads_its_target_as_it_is_then():
    model = SimpleNamespace(
        equations="M = tonic_post : 1\ndx/dt = M/(3*ms) : 1 (clock-driven)",
        on_pre="x += 1",
        on_post="",
    )
    assert held(SimpleNamespace(name="synapses", model=model))
    model.on_pre = "x += M"
    assert not held(SimpleNamespace(name="synapses", model=model))


def test_only_loops_are_marked_and_only_gathering_ones_narrowed():
    loop = "    for(int _idx=0; _idx<_N; _idx++)\n    {\n"
    marked = f"#pragma GCC ivdep\n{loop}"
    assert independent(loop) == marked
    gathers = "        const int32_t _postsynaptic_idx = p[_idx];\n"
    narrowed = independent(f"{loop}{gathers}")
    assert narrowed.startswith("#ifdef __x86_64__\n#pragma GCC target")
    assert narrowed.endswith(f"#endif\n{marked}{gathers}")
    spikes = "    for(int _spiking_synapse_idx=0; _spiking_synapse_idx<_num; )\n"
    assert independent(spikes) == spikes
