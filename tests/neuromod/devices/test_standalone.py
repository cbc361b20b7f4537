import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from brian2 import BrianObject, Hz, ms, nA, umolar
from brian2.devices import cpp_standalone

from neuromod.devices.simulation import simulate
from neuromod.devices.standalone import RULE, Size, Standalone
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.models.postsynaptic import LIGAND
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

DT = 0.1 * ms
OTHERS = GainLIF(receptors=())


def network(
    cells=3, others=2, inputs=4, pairs=5, watched=2, changing=3, spikes=37, steps=611, dt=DT
):
    """Plastic and other cells, driven and rewarded; every argument is one number of it."""
    draw = np.random.default_rng(20261130)
    at = np.sort(draw.choice(steps * inputs, spikes, replace=False))
    sources = (
        Spikes("inputs", inputs, at % inputs, at // inputs * dt),
        Spikes("rewards", 1, np.zeros(2, int), np.array([31, 207]) * dt),
    )
    i, j = np.unravel_index(draw.permutation(inputs * others)[:pairs], (inputs, others))
    everyone, one = np.arange(cells), np.zeros(cells, int)
    synapses = np.unravel_index(np.arange(changing), (inputs, cells))
    model = ThreeFactor(rule="stdp", eta=7.3 * Hz)
    return Experiment(
        populations=(
            Population("cells", PlasticLIF(), cells, {"v": np.linspace(0.1, 0.9, cells)}),
            Population("others", OTHERS, others, {"I_ext": np.linspace(0.83, 0.91, others) * nA}),
        ),
        sources=sources,
        connections=(
            Connection(
                "inputs", "others", "I_syn", i=i, j=j, weight=draw.uniform(1, 2, pairs) * nA
            ),
            Connection("inputs", "cells", "v", i=one, j=everyone, weight=0.71),
            Connection("others", "others", "I_syn", i=one[:1], j=one[:1], weight=0.3 * nA),
            Connection("rewards", "cells", f"conc_{LIGAND}", i=one, j=everyone, weight=umolar),
        ),
        plastic=(
            PlasticConnection("changing", "inputs", "cells", model, i=synapses[0], j=synapses[1]),
        ),
        traces=(
            Trace("others", ("v", "I_syn"), np.arange(watched)),
            Trace("changing", ("E", "eligibility"), np.arange(watched)),
        ),
        duration=steps * dt,
        dt=dt,
        seed=1,
    )


NUMBERS = [
    {"cells": 1},
    {"others": 1, "pairs": 3, "watched": 1},
    {"others": 4},
    {"inputs": 1, "pairs": 2},
    {"pairs": 1},
    {"changing": 1, "watched": 1},
    {"spikes": 0},
    {"spikes": 1},
    {"steps": 401},
    {"dt": 0.2 * ms},
    {"cells": 1009, "others": 517, "inputs": 211, "pairs": 4001, "changing": 7003, "watched": 23},
]


def test_no_number_of_anything_stands_in_the_text_of_a_program(key):
    expected = key(network())
    for change in NUMBERS:
        assert key(network(**change)) == expected, change


@pytest.mark.parametrize(
    "change",
    [
        {"traces": (Trace("others", ("v",), np.arange(2)),)},
        {"traces": ()},
        {"connections": ()},
        {"plastic": (), "traces": ()},
    ],
    ids=["variable", "traces", "connections", "plastic"],
)
def test_what_an_experiment_is_made_of_does(change, key):
    assert key(replace(network(), **change)) != key(network())


def test_so_does_precision(key):
    assert key(network(), "single") != key(network())


def agree(one, other):
    """Whether two recordings are of the same run, but for the last digits of values."""
    assert one.spikes.keys() == other.spikes.keys()
    for name, spikes in one.spikes.items():
        np.testing.assert_array_equal(spikes.neurons, other.spikes[name].neurons)
        np.testing.assert_array_equal(spikes.times, other.spikes[name].times)
    for name, signals in one.signals.items():
        for variable, signal in signals.items():
            expected = other.signals[name][variable].values
            np.testing.assert_allclose(
                np.asarray(signal.values), np.asarray(expected), rtol=1e-9, atol=1e-15
            )
    for name, totals in one.totals.items():
        for variable, values in totals.items():
            np.testing.assert_allclose(values, other.totals[name][variable], rtol=1e-9)


def test_one_program_runs_at_every_size(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    gc.collect()
    before = set(BrianObject.__instances__())
    first = simulate(network(), "cpp")
    assert first.provenance["compiled"]
    # Names that are still in use would be numbered in the next run, in another text. A collection
    # that another thread began during the run may have left some to the one before the next run.
    gc.collect()
    left = {made().name for made in set(BrianObject.__instances__()) - before}
    assert not any("cells" in name or "synapses" in name for name in left)
    assert gc.isenabled()
    agree(first, simulate(network()))
    monkeypatch.setattr(Standalone, "make", None)
    for change in (
        {"cells": 1, "others": 1, "inputs": 2, "pairs": 1, "changing": 1, "watched": 1},
        {"cells": 7, "others": 7, "inputs": 7, "spikes": 411, "changing": 29, "steps": 1203},
        {"cells": 131, "others": 67, "inputs": 31, "spikes": 1511, "pairs": 401, "changing": 501},
    ):
        at_size = simulate(network(**change), "cpp")
        assert not at_size.provenance["compiled"]
        assert all(spikes.counts().any() for spikes in at_size.spikes.values())
        agree(at_size, simulate(network(**change)))


def test_a_size_counts_and_stands_in_text_by_its_name():
    size = Size(7)
    size.name = "_size_cells"
    assert size + 1 == 8
    assert f"{size}" == str(size) == repr(size) == "_size_cells"
    assert f"{(0, size)}" == "(0, _size_cells)"


def test_headers_are_compiled_once_where_brian2_compiles_them_with_every_source():
    templates = Path(cpp_standalone.__file__).parent / "templates"
    assert RULE in (templates / "makefile").read_text()
