"""NumPy or Cython: the user's choice, or else what is done sooner; both give the same spikes."""

import numpy as np
import pytest
from brian2 import ms, nA, prefs

from neuromod.devices.doctor import two_neurons
from neuromod.devices.simulation import simulate
from neuromod.devices.target import compiled, target_of
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF


def cells(steps, size=3, dt=0.1 * ms):
    """Cells with an input spike, of which one is traced."""
    current = np.linspace(0.57, 1.31, size) * nA
    wire = Connection(
        "inputs", "cells", "I_syn", i=np.zeros(1, int), j=np.array([2]), weight=1.9 * nA
    )
    return Experiment(
        populations=[Population("cells", GainLIF(receptors=()), size, {"I_ext": current})],
        sources=[Spikes("inputs", 1, np.zeros(1, int), [3] * dt)],
        connections=[wire],
        traces=[Trace("cells", ("v",), np.array([1]))],
        duration=steps * dt,
        dt=dt,
    )


@pytest.fixture
def wanted(monkeypatch):
    """Set the caller's own preference."""
    return lambda name: monkeypatch.setitem(prefs, "codegen.target", name)


def test_what_takes_seconds_in_numpy_and_most_of_a_minute_to_compile_is_left_to_numpy(wanted):
    wanted("auto")
    # 6 s in NumPy, and 40 s with compiling in Cython.
    assert target_of(cells(60_000)) == "numpy"
    assert target_of(cells(3_000_000)) == "cython"


def test_many_neurons_are_compiled_for_fewer_time_steps(wanted):
    wanted("auto")
    assert target_of(cells(150_000)) == "numpy"
    assert target_of(cells(150_000, size=20_000)) == "cython"
    assert target_of(cells(700, size=20_000)) == "numpy"


@pytest.mark.parametrize("name", ["numpy", "cython"])
def test_a_user_s_own_choice_stands_and_is_there_again_after_the_run(wanted, name):
    wanted(name)
    assert {target_of(cells(steps)) for steps in (7, 3_000_000)} == {name}
    if name == "numpy":
        assert simulate(cells(7)).provenance["target"] == name
    assert prefs["codegen.target"] == name


def test_nothing_is_chosen_for_the_caller_s_own_networks(wanted):
    wanted("auto")
    assert simulate(cells(7)).provenance["target"] == "numpy"
    assert prefs["codegen.target"] == "auto"


@pytest.mark.slow
def test_numpy_and_cython_give_the_same_spikes_and_say_who_they_are(wanted):
    wanted("auto")
    by_numpy = simulate(two_neurons())
    with compiled():
        by_cython = simulate(two_neurons())
    assert prefs["codegen.target"] == "auto"
    targets = [found.provenance["target"] for found in (by_numpy, by_cython)]
    assert targets == ["numpy", "cython"]
    assert (by_numpy.spikes["pair"].counts() > 9).all()
    for one in ("neurons", "times"):
        spikes, others = (getattr(r.spikes["pair"], one) for r in (by_numpy, by_cython))
        np.testing.assert_array_equal(spikes, others)
