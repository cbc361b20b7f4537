import nixio
import numpy as np
import pytest
import quantities as pq
from brian2 import Quantity, amp, metre, mmolar, ms, mV, nA, second, umolar, volt
from brian2.units.allunits import pjoule
from brian2.units.fundamentalunits import DIMENSIONLESS

from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.recording import Recording, Signal

DT = 0.13 * ms
STEPS = 40
DRAW = np.random.default_rng(5)
NEURONS = np.array([7, 2, 11])
VALUES = {
    "v": DRAW.normal(size=(3, STEPS)) * mV,
    "I_syn": DRAW.normal(size=(3, STEPS)) * nA,
    "conc": DRAW.uniform(size=(3, STEPS)) * umolar,
    "gain": DRAW.uniform(size=(3, STEPS)),
    "k_on": DRAW.uniform(size=(3, STEPS)) / (mmolar * second),
    "noise": DRAW.normal(size=(3, STEPS)) * volt / second**0.5,
    "speed": DRAW.normal(size=(3, STEPS)) * metre / second,
}
SPIKES = {
    "cells": Spikes("cells", 13, np.array([4, 11, 4, 0]), np.array([0, 3, 17, 39]) * DT),
    "silent": Spikes("silent", 3, np.array([], dtype=int), np.array([]) * second),
}
RECORDING = Recording(
    SPIKES,
    {"cells": {name: Signal(NEURONS, values) for name, values in VALUES.items()}},
    STEPS * DT,
    DT,
    {"device": "cython", "seed": 3, "wall_s": 0.123456789, "note": "µ"},
    {"cells": {"energy": DRAW.uniform(0, 3, 13) * pjoule, "clocks": np.arange(13) * 7.0}},
)
BARE = Recording({}, {}, STEPS * DT, DT)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "run.nix"
    RECORDING.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(path):
    return Recording.load(path)


@pytest.mark.parametrize("variable", VALUES)
def test_a_trace_comes_back_with_its_unit_neurons_and_every_value(loaded, variable):
    before, after = RECORDING.signals["cells"][variable], loaded.signals["cells"][variable]
    np.testing.assert_array_equal(after.neurons, before.neurons)
    assert Quantity(after.values).dim == Quantity(before.values).dim
    np.testing.assert_allclose(np.asarray(after.values), np.asarray(before.values), rtol=1e-14)


@pytest.mark.parametrize("variable", ["v", "I_syn", "gain"])
def test_familiar_units_come_back_to_the_last_bit(loaded, variable):
    before, after = RECORDING.signals["cells"][variable], loaded.signals["cells"][variable]
    np.testing.assert_array_equal(np.asarray(after.values), np.asarray(before.values))


def test_totals_come_back_one_value_for_every_neuron(loaded):
    before, after = RECORDING.totals["cells"], loaded.totals["cells"]
    assert after.keys() == before.keys()
    assert after["energy"].dim == before["energy"].dim
    np.testing.assert_allclose(np.asarray(after["energy"]), np.asarray(before["energy"]))
    np.testing.assert_array_equal(after["clocks"], before["clocks"])


def test_totals_of_many_neurons_take_no_more_objects_in_the_file_than_those_of_few(tmp_path):
    def objects(neurons):
        totals = {"cells": {"energy": np.linspace(0.1, 2.3, neurons) * pjoule}}
        Recording({}, {}, STEPS * DT, DT, {}, totals).save(tmp_path / f"{neurons}.nix")
        with nixio.File.open(str(tmp_path / f"{neurons}.nix"), nixio.FileMode.ReadOnly) as file:
            return len(file.blocks[0].data_arrays)

    assert objects(2) == objects(211) == 1


@pytest.mark.parametrize("population", SPIKES)
def test_spikes_come_back_silent_neurons_and_silent_populations_too(loaded, population):
    before, after = SPIKES[population], loaded.spikes[population]
    assert (after.name, after.size) == (before.name, before.size)
    np.testing.assert_array_equal(after.neurons, before.neurons)
    np.testing.assert_array_equal(after.times, before.times)
    assert after.times.dim == second.dim


def test_loaded_spikes_are_counted_as_before(loaded):
    np.testing.assert_array_equal(loaded.spikes["cells"].counts(), SPIKES["cells"].counts())


def test_loaded_spikes_of_a_silent_population_are_counted_as_before(loaded):
    np.testing.assert_array_equal(loaded.spikes["silent"].counts(), [0, 0, 0])


def test_times_and_provenance_come_back(loaded):
    assert loaded.duration == RECORDING.duration
    assert loaded.dt == RECORDING.dt
    assert loaded.provenance == RECORDING.provenance
    np.testing.assert_array_equal(loaded.times, RECORDING.times)


def test_a_recording_of_nothing_comes_back(tmp_path):
    BARE.save(tmp_path / "bare.nix")
    loaded = Recording.load(tmp_path / "bare.nix")
    assert loaded.spikes == {}
    assert loaded.signals == {}
    assert loaded.duration == BARE.duration


def test_saving_twice_leaves_one_recording(tmp_path):
    path = tmp_path / "twice.nix"
    RECORDING.save(path)
    BARE.save(path)
    assert Recording.load(path).spikes == {}


def test_saving_leaves_the_recording_as_it_was(loaded):
    assert loaded.signals["cells"]["v"].values.dim == volt.dim
    assert RECORDING.signals["cells"]["I_syn"].values.dim == amp.dim
    assert Quantity(RECORDING.signals["cells"]["gain"].values).dim is DIMENSIONLESS


def test_neo_gets_volts_amperes_and_the_neuron_of_every_spike():
    segment = RECORDING.to_neo().segments[0]
    signals = {signal.name: signal for signal in segment.analogsignals}
    assert signals["cells.v"].units == pq.V
    assert signals["cells.I_syn"].units == pq.A
    assert signals["cells.gain"].units == pq.dimensionless
    assert signals["cells.conc"].units.dimensionality == (pq.mol / pq.m**3).dimensionality
    assert signals["cells.v"].shape == (STEPS, 3)
    assert float(signals["cells.v"].sampling_period.rescale("s")) == pytest.approx(0.13e-3)
    train = next(train for train in segment.spiketrains if train.name == "cells")
    assert train.array_annotations["neuron"].tolist() == [4, 11, 4, 0]


def test_every_neuron_has_a_spike_train_of_its_own():
    trains = RECORDING.spike_trains("cells")
    assert len(trains) == 13
    assert [len(train) for train in trains] == SPIKES["cells"].counts().tolist()
    np.testing.assert_allclose(trains[4].rescale("ms").magnitude, [0, 17 * 0.13])
    assert trains[4].name == "cells[4]"
    assert float(trains[1].t_stop.rescale("ms")) == pytest.approx(STEPS * 0.13)


def test_spike_trains_of_some_neurons_come_in_the_order_asked_for():
    trains = RECORDING.spike_trains("cells", [11, 4])
    assert [train.name for train in trains] == ["cells[11]", "cells[4]"]
    assert [len(train) for train in trains] == [1, 2]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("cell",), "no recorded population named 'cell': did you mean cells"),
        (("cells", [4, 13]), "Spike trains of cells has indices 0 to 12, not 13"),
        (("cells", [-1]), "Spike trains of cells has indices 0 to 12, not -1"),
    ],
)
def test_spike_trains_of_what_was_not_recorded_are_refused(asked, message):
    with pytest.raises(UserError, match=message):
        RECORDING.spike_trains(*asked)


def test_a_trace_is_found_by_the_number_of_its_neuron():
    np.testing.assert_array_equal(RECORDING.trace("cells", "v", 2), VALUES["v"][1])
    assert RECORDING.trace("cells", "v", 2).dim == volt.dim
    assert len(RECORDING.times) == STEPS


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("cell", "v", 2), "no recorded population named 'cell': did you mean cells"),
        (("cells", "gian", 2), "no recorded variable named 'gian': did you mean gain"),
        (("cells", "v", 3), r"recorded for neurons \[7, 2, 11\], not 3"),
    ],
)
def test_a_trace_that_was_not_recorded_is_refused(asked, message):
    with pytest.raises(UserError, match=message):
        RECORDING.trace(*asked)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no recording at"):
        Recording.load(tmp_path / "none.nix")
    with pytest.raises(UserError, match="There is no recording at"):
        Recording.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.nix"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, path, share):
    whole = path.read_bytes()
    cut = tmp_path / "cut.nix"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(cut)


def test_somebody_elses_nix_file_is_refused(tmp_path):
    path = tmp_path / "theirs.nix"
    file = nixio.File.open(str(path), "w")
    file.create_block("theirs", "theirs")
    file.close()
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)


def test_an_empty_nix_file_is_refused(tmp_path):
    path = tmp_path / "empty.nix"
    nixio.File.open(str(path), "w").close()
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)


def test_an_hdf5_file_that_is_no_nix_file_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "other.nix"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)
