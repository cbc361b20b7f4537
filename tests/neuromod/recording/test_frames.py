"""Recordings as tables and data sets: every value at its neuron, time and unit."""

import sys

import numpy as np
import pandas as pd
import pytest
from brian2 import amp, ms, mV, nA, second, umolar, volt

from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.recording import Recording, Signal

DT = 0.13 * ms
DRAW = np.random.default_rng(7)
NEURONS = np.array([7, 2, 11])
V, CONC = DRAW.normal(-61, 3, (3, 14)) * mV, DRAW.uniform(0, 3, (3, 14)) * umolar
RECORDING = Recording(
    {
        "cells": Spikes("cells", 13, np.array([4, 11, 4]), np.array([0, 3, 17]) * DT),
        "silent": Spikes("silent", 3, np.array([], dtype=int), [] * second),
        "others": Spikes("others", 2, np.array([1]), np.array([5]) * DT),
    },
    {
        # Of every third step, and of every step.
        "cells": {"v": Signal(NEURONS, V, 3 * DT), "conc": Signal(NEURONS, CONC, 3 * DT)},
        "others": {
            "v": Signal(np.array([1]), V[:1, :1] * np.ones(40)),
            "I_ext": Signal(np.array([0]), np.ones((1, 40)) * nA),
        },
        "untraced": {},
    },
    40 * DT,
    DT,
    {"device": "cpp", "seed": 3, "compiled": True},
)


def test_spikes_are_a_tidy_table_of_all_populations():
    table = RECORDING.to_pandas()
    assert table.population.tolist() == ["cells"] * 3 + ["others"]
    assert table.neuron.tolist() == [4, 11, 4, 1]
    np.testing.assert_allclose(table.time_s, np.array([0, 3, 17, 5]) * 0.13e-3, rtol=1e-12)
    assert table.attrs["units"] == {"time_s": "second"}
    rates = table.groupby(["population", "neuron"]).size()
    assert rates["cells", 4] == 2


def test_no_spikes_are_a_table_with_the_same_columns():
    table = Recording({}, {}, 4 * DT, DT).to_pandas()
    assert (len(table), [*table.columns]) == (0, ["population", "neuron", "time_s"])
    assert table.neuron.dtype.kind == "i"


def test_traces_are_a_table_with_a_row_for_every_neuron_and_sample():
    table = RECORDING.to_pandas("cells")
    assert [*table.columns] == ["neuron", "time_s", "v", "conc"]
    assert len(table) == 3 * 14
    row = table[(table.neuron == 2) & np.isclose(table.time_s, 9 * 0.13e-3)]
    assert row.v.item() == float(V[1, 3] / volt)
    assert row.conc.item() == pytest.approx(float(CONC[1, 3] / umolar) * 1e-3, rel=1e-12)
    assert table.attrs["units"] == {"time_s": "second", "v": "volt", "conc": "mmolar"}
    pd.testing.assert_frame_equal(
        RECORDING.to_pandas("cells", "v"), table[["neuron", "time_s", "v"]]
    )


def test_a_data_set_has_neurons_and_times_as_coordinates_and_units_as_attributes():
    pytest.importorskip("xarray")
    found = RECORDING.to_xarray("cells")
    assert found.v.dims == ("neuron", "time")
    assert float(found.v.sel(neuron=11).isel(time=5)) == float(V[2, 5] / volt)
    np.testing.assert_allclose(found.time, np.arange(14) * 0.39e-3, rtol=1e-12)
    assert (found.v.attrs["units"], found.conc.attrs["units"]) == ("volt", "mmolar")
    assert found.time.attrs["units"] == "second"
    assert found.attrs == {"population": "cells", "device": "cpp", "seed": 3}
    assert found.v.mean("time").shape == (3,)


def test_variables_of_different_neurons_are_told_apart():
    message = r"v and I_ext of others were not recorded .*ask for one of them.*\('others', 'v'\)"
    with pytest.raises(UserError, match=message):
        RECORDING.to_pandas("others")
    assert len(RECORDING.to_pandas("others", ["I_ext"])) == 40
    assert RECORDING.to_pandas("others", "I_ext").attrs["units"]["I_ext"] == repr(amp)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("cell",), "no recorded population named 'cell': did you mean cells"),
        (("cells", "V"), "no recorded variable named 'V': did you mean v"),
        (("untraced",), "no recorded variable"),
    ],
)
def test_what_was_not_recorded_is_refused(asked, message):
    for give in (RECORDING.to_pandas, RECORDING.to_xarray):
        with pytest.raises(UserError, match=message):
            give(*asked)


def test_without_xarray_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(UserError, match=r"need xarray: pip install '.*\[recordings\]'"):
        RECORDING.to_xarray("cells")
