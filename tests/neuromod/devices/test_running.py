"""Runs on PyGeNN: what Brian2GeNN refuses is right there, and what is kept or fetched in parts."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from brian2 import ms

from neuromod.devices.genn.installation import pygenn_version
from neuromod.devices.simulation import simulate
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace

pytestmark = pytest.mark.skipif(not pygenn_version(), reason="needs PyGeNN 5")
DT = 0.1 * ms
# Names that are GeNN's or C's own, and a function or a flag of each kind that matters.
CELL = """
dv/dt = (drive + Isyn - v)/(9.7*ms) : 1 (unless refractory)
dIsyn/dt = -Isyn/(3.1*ms) : 1
drive = I*(1 + 0.3*clip(sin(2*pi*t/(7*ms)), -0.5, 0.4)) + 0.05*int(2.9*double) + held*num : 1
held = 0.01*floor(3*v) : 1 (constant over dt)
waiting = not_refractory and v > 0.5 : boolean
phase = t/ms + num : 1
I : 1
double : 1
num : 1
common : 1 (shared)
"""


@dataclass(frozen=True)
class Cell:
    """A model as a third party would write it."""

    equations: str = CELL
    threshold: str = "v > 1 + 0.1*abs(common)"
    reset: str = "v = 0.1*exprel(-double)\nnum += sign(double - 0.5)*0.3"
    refractory: Any = field(default_factory=lambda: 0.7 * ms)
    method: str = "euler"
    constants: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=lambda: {"v": "0.1*i"})


@dataclass(frozen=True)
class Synapse:
    """One that reads both of its ends, also at spikes, and whose equations name a subexpression."""

    equations: str = "dw/dt = (0.2 - w)/tau : 1 (clock-driven)\nfall : 1\nscaled = w*gain : 1"
    on_pre: str = "Isyn_post += scaled*(1 + 0.1*v_pre)\nw += clip(0.1*I_post, 0, 0.14)"
    on_post: str = "w *= 1 - fall*int(v_post < 0.5)"
    method: str = "euler"
    constants: dict[str, Any] = field(default_factory=lambda: {"gain": 1.3, "tau": 31 * ms})
    totals: tuple[str, ...] = ("w", "scaled")


def network(drives=(1.9, 1.3, 2.7, 2.3, 1.1), **changes):
    cells = Population(
        "cells", Cell(), 5, {"I": np.array(drives), "double": np.linspace(0, 1, 5), "common": -0.4}
    )
    steps = np.array([0, 3, 3, 59, 61, 64, 200, 399])
    inputs = Spikes("inputs", 3, np.array([0, 1, 2, 0, 2, 0, 1, 1]), steps * DT)
    i, j = np.array([4, 0, 2, 0]), np.array([1, 3, 0, 1])
    experiment = Experiment(
        populations=[cells],
        sources=[inputs],
        connections=[
            Connection(
                *("inputs", "cells", "Isyn"),
                i=np.array([2, 0, 1, 0]),
                j=np.array([0, 4, 2, 1]),
                weight=np.array([0.3, 0.7, -0.2, 0.4]),
                delay=1.7 * ms,
                width=0.3 * ms,
            ),
            Connection("inputs", "cells", "double", i=i[1:3], j=j[1:3], weight=0.9),
        ],
        plastic=[
            PlasticConnection(
                *("synapses", "cells", "cells", Synapse()), i=i, j=j, values={"fall": 0.3}
            )
        ],
        traces=[
            Trace("cells", ("v", "drive", "held", "waiting"), np.array([3, 0, 4])),
            Trace("cells", ("phase", "common", "num"), np.arange(5), every=0.7 * ms),
            Trace("synapses", ("w", "scaled"), np.array([2, 0]), every=0.3 * ms),
        ],
        duration=40 * ms,
        dt=DT,
    )
    return replace(experiment, **changes)


def assert_same(one, other, within=1e-12):
    assert len(one.spikes["cells"].times) > 10
    np.testing.assert_array_equal(one.spikes["cells"].neurons, other.spikes["cells"].neurons)
    np.testing.assert_array_equal(one.spikes["cells"].times, other.spikes["cells"].times)
    for part, signals in one.signals.items():
        for name, signal in signals.items():
            ours, theirs = np.asarray(signal.values), np.asarray(other.signals[part][name].values)
            reach = np.ptp(ours) or 1.0
            np.testing.assert_allclose(ours / reach, theirs / reach, rtol=0, atol=within)
            assert signal.every == other.signals[part][name].every
    for name, values in one.totals["synapses"].items():
        np.testing.assert_allclose(values, other.totals["synapses"][name], rtol=within)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where this module keeps what it compiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def expected():
    return simulate(network())


@pytest.mark.usefixtures("cache")
def test_all_that_brian2genn_refuses_runs_as_on_the_runtime(expected):
    found = simulate(network(), "genn-cpu")
    assert_same(expected, found)
    assert found.signals["cells"]["waiting"].values.max() == 1
    assert np.ptp(np.asarray(found.totals["synapses"]["w"])) > 0.01
    assert found.provenance["target"] == "pygenn"
    assert found.provenance["genn"] == pygenn_version()


@pytest.mark.usefixtures("cache")
def test_other_values_spikes_and_durations_compile_nothing():
    simulate(network(), "genn-cpu")
    other = network((2.9, 2.3, 1.7, 1.3, 2.1), duration=31.3 * ms)
    [source] = other.sources
    fewer = replace(source, neurons=source.neurons[:5], times=source.times[:5])
    other = replace(other, sources=[fewer])
    found = simulate(other, "genn-cpu")
    assert not found.provenance["compiled"]
    assert_same(simulate(other), found)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("held", [1, 700, 4000])
def test_what_is_fetched_in_parts_is_the_same(held, expected, monkeypatch):
    """Of one step each, and of some that 400 is no multiple of."""
    monkeypatch.setattr("neuromod.devices.genn.running.BUFFERED", held)
    assert_same(expected, simulate(network(), "genn-cpu"))


@pytest.mark.usefixtures("cache")
def test_single_precision_comes_near(expected):
    found = simulate(network(), "genn-cpu", "single")
    assert found.spikes["cells"].counts().tolist() == expected.spikes["cells"].counts().tolist()
    ours, theirs = (r.signals["synapses"]["w"].values for r in (expected, found))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
