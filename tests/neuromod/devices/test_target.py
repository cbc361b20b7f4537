"""NumPy or Cython: the user's choice, or else what is done sooner; both give the same spikes."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms, nA, prefs

from neuromod.devices.simulation import simulate
from neuromod.devices.target import InputSpikes, choose, computed_by, one_run
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.models.hodgkin_huxley import HodgkinHuxley


def cells(steps, size=3, model=None, dt=0.1 * ms, weight=1.9):
    """Cells with input spikes, of which one is traced."""
    model = model or GainLIF(receptors=())
    current = np.linspace(0.57, 1.31, size) * nA if isinstance(model, GainLIF) else 0 * nA
    values = {"I_ext": current} if isinstance(model, GainLIF) else {}
    wire = Connection(
        "inputs", "cells", "I_syn", i=np.array([0, 1]), j=np.array([2, 0]), weight=weight * nA
    )
    return Experiment(
        populations=[Population("cells", model, size, values)],
        sources=[Spikes("inputs", 2, np.array([0, 1, 1]), [3, 3, 4] * dt)],
        connections=[wire] if isinstance(model, GainLIF) else [],
        traces=[Trace("cells", ("v",), np.array([1]))],
        duration=steps * dt,
        dt=dt,
    )


def group(experiment):
    """Its neurons and what records them, not run."""
    from neuromod.devices.simulation import _build

    with computed_by("numpy"):
        return _build(experiment, clocks=True, vectors=False)


def compiled(experiment):
    """Names of the pieces of code that would be compiled."""
    parts = group(experiment)
    choose(parts.values(), experiment)
    inner = [piece for part in parts.values() for piece in part.contained_objects]
    pieces = [p for p in (*parts.values(), *inner) if getattr(p, "codeobj_class", None)]
    return {p.name for p in pieces if p.codeobj_class.class_name == "cython"}


@pytest.fixture
def wanted(monkeypatch):
    """Set the caller's own preference."""
    return lambda name: monkeypatch.setitem(prefs, "codegen.target", name)


STEP, CONDITION = "neurons_cells_stateupdater", "neurons_cells_spike_thresholder"


def test_a_piece_is_compiled_where_that_saves_more_than_it_takes(wanted):
    wanted("auto")
    # NumPy takes 13 us more for a step, and the compiler 2 s.
    assert compiled(cells(60_000)) == set()
    assert compiled(cells(270_000)) == {STEP}
    # Everything, in the end.
    assert {STEP, CONDITION, "spikes_cells", "trace_0"} <= compiled(cells(3_000_000))


def test_many_neurons_and_long_equations_are_compiled_for_fewer_time_steps(wanted):
    wanted("auto")
    assert compiled(cells(60_000, size=20_000)) == {STEP}
    assert compiled(cells(700, size=20_000)) == set()
    # 180 us for a step.
    assert compiled(cells(31_000, model=HodgkinHuxley(), dt=0.01 * ms)) == {STEP}


def test_what_is_compiled_serves_all_experiments_of_a_run_with_the_same_code(wanted):
    wanted("auto")
    one, other = cells(60_000), cells(91_000, weight=2.3)
    with one_run([one, other]):
        assert compiled(one) == compiled(other) == {STEP}
    with one_run([one, cells(91_000, model=GainLIF())]):
        assert compiled(one) == set()
    assert compiled(one) == set()


def test_nothing_is_compiled_where_there_is_no_compiler(wanted, monkeypatch):
    wanted("auto")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiled(cells(3_000_000)) == set()


@pytest.mark.parametrize("name", ["numpy", "cython"])
def test_a_user_s_own_choice_stands_and_is_there_again_after_the_run(wanted, name):
    wanted(name)
    for steps in (7, 3_000_000):
        assert choose(group(cells(steps)).values(), cells(steps)) == name
    if name == "numpy":
        assert simulate(cells(7)).provenance["target"] == name
    assert prefs["codegen.target"] == name


def test_nothing_is_chosen_for_the_caller_s_own_networks(wanted):
    wanted("auto")
    assert simulate(cells(7)).provenance["target"] == "numpy"
    assert prefs["codegen.target"] == "auto"


def test_numpy_does_not_convert_all_input_spikes_in_every_step(wanted):
    wanted("auto")
    experiment = cells(29)
    parts = group(experiment)
    choose(parts.values(), experiment)
    assert parts["neurons_inputs"].codeobj_class is InputSpikes
    trace = Trace("cells", ("I_syn",), np.array([2, 0]))
    found = simulate(replace(experiment, traces=[trace])).signals["cells"]["I_syn"].values / nA
    # A spike of step 3 acts in step 4, whose end is seen at the start of step 5.
    once = 1.9 * np.exp(-np.arange(1, 25) * 0.1 * ms / GainLIF().tau_syn)
    np.testing.assert_allclose(found[0, 5:], once, rtol=1e-9)
    np.testing.assert_allclose(found[1, 5:], once + np.append(0, once[:-1]), rtol=1e-9)
    assert (found[:, :5] == 0).all()


@pytest.mark.slow
def test_numpy_and_cython_give_the_same_spikes_and_say_who_they_are(wanted):
    wanted("auto")
    experiment = cells(700)
    by_numpy = simulate(experiment)
    with computed_by("cython"):
        by_cython = simulate(experiment)
    with one_run([cells(270_000)]):
        by_both = simulate(experiment)
    assert prefs["codegen.target"] == "auto"
    targets = [found.provenance["target"] for found in (by_numpy, by_cython, by_both)]
    assert targets == ["numpy", "cython", "cython"]
    assert (by_numpy.spikes["cells"].counts() > 0).any()
    for other in (by_cython, by_both):
        for one in ("neurons", "times"):
            spikes, others = (getattr(r.spikes["cells"], one) for r in (by_numpy, other))
            np.testing.assert_array_equal(spikes, others)
