"""Plastic synapses as C++ standalone computes them: the same numbers, in loops without doubt."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import Hz, ms, prefs, umolar

from neuromod.devices import simulation, standalone
from neuromod.devices.simulation import simulate
from neuromod.devices.vectors import held, in_blocks, independent, reading
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
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


# As Brian2 writes them, for neurons with a refractory period.
STEP = """\
    static inline int64_t _timestep(double t, double dt)
    {
        return (int64_t)((t + 1e-3*dt)/dt);
    }
    for(int _idx=0; _idx<_N; _idx++)
    {
        const double lastspike = _ptr_array_cells_lastspike[_idx];
        char not_refractory = _ptr_array_cells_not_refractory[_idx];
        not_refractory = _timestep(t - lastspike, dt) >= _lio_1;
        if(not_refractory)
            v = _v;
        _ptr_array_cells_not_refractory[_idx] = not_refractory;
        _ptr_array_cells_v[_idx] = v;

    }
"""
THRESHOLD = """\
    long _count = 0;
    for(size_t _idx=0; _idx<N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        const char _cond = _ptr_array_cells_v[_idx] > 1;

        if(_cond) {
            _ptr_array_cells__spikespace[_count++] = _idx;
        }
    }
    _ptr_array_cells__spikespace[N] = _count;
"""


def test_who_is_refractory_is_stored_in_a_loop_of_its_own():
    first, second = independent(STEP).split("#pragma GCC ivdep")[1:]
    assert "std::trunc" in independent(STEP)
    assert "not_refractory[_idx] = not_refractory" not in first
    assert "_ptr_array_cells_v[_idx] = v;" in first
    assert second.splitlines()[1:] == [
        "    for(int _idx=0; _idx<_N; _idx++)",
        "        _ptr_array_cells_not_refractory[_idx] = "
        "_timestep(t - _ptr_array_cells_lastspike[_idx], dt) >= _lio_1;",
    ]
    # A condition in place of a time, or a period of each neuron, may read anything.
    for other in ("not_refractory || !(v > 1)", "_timestep(t - lastspike, dt) >= _timestep(r, dt)"):
        changed = STEP.replace("_timestep(t - lastspike, dt) >= _lio_1", other)
        assert independent(changed).count("#pragma GCC ivdep") == 1


def test_a_threshold_is_computed_once_and_spikes_are_looked_for_where_there_are_any():
    changed = in_blocks(THRESHOLD)
    assert changed.count("_ptr_array_cells_v[_idx] > 1") == 1
    assert changed.index("_any |= _cond;") < changed.index("_spikespace[_count++] = _idx;")
    assert changed.count("{") == changed.count("}") == THRESHOLD.count("{") + 2
    assert changed.startswith("    long _count = 0;\n")
    assert changed.endswith("    _ptr_array_cells__spikespace[N] = _count;\n")


def test_brian2_writes_what_is_looked_for(tmp_path, monkeypatch):
    """Both loops of this experiment's neurons are found in what Brian2 writes today."""
    texts = {}
    for name, change in (("step", independent), ("threshold", in_blocks)):
        kept = lambda text, name=name, change=change: texts.setdefault(name, change(text))  # noqa: E731
        monkeypatch.setitem(standalone.VECTORISED, PATTERNS[name], kept)
    monkeypatch.setattr(standalone.Standalone, "make", _stop)
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    circuit = CircuitNeuron()
    with pytest.raises(WrittenError):
        simulate(
            Experiment(
                populations=[Population("chip", circuit, 3)],
                duration=4 * circuit.t_spike,
                dt=circuit.t_spike,
            ),
            "cpp",
        )
    assert "std::trunc" in texts["step"]
    assert texts["step"].count("#pragma GCC ivdep") == 2
    assert "_any |= _cond;" in texts["threshold"]


PATTERNS = {
    "step": "code_objects/*_stateupdater_codeobject.cpp",
    "threshold": "code_objects/*_thresholder_codeobject.cpp",
}


class WrittenError(Exception):
    """All text is written."""


def _stop(*_):
    raise WrittenError
