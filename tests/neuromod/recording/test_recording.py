"""A recording finds its traces and spikes, and comes back from a file as it was, to the bit."""

import h5py
import numpy as np
import pytest
from brian2 import Quantity, amp, metre, mmolar, ms, mV, nA, second, umolar, volt
from brian2.units.allunits import pjoule
from brian2.units.fundamentalunits import DIMENSIONLESS, get_or_create_dimension
from hypothesis import given, settings, strategies as st

from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.recording import FORMATS, Recording, Signal

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
# Of every third step.
SPARSE = Signal(np.array([11, 2]), DRAW.normal(size=(2, 14)) * nA, 0.39 * ms)
TRACED = {name: Signal(NEURONS, values) for name, values in VALUES.items()}
RECORDING = Recording(
    SPIKES,
    {"cells": TRACED | {"I_ext": SPARSE}},
    STEPS * DT,
    DT,
    {"device": "cython", "seed": 3, "wall_s": 0.123456789, "note": "µ"},
    {"cells": {"energy": DRAW.uniform(0, 3, 13) * pjoule, "clocks": np.arange(13) * 7.0}},
)
BARE = Recording({}, {}, STEPS * DT, DT)


@pytest.fixture(scope="module", params=FORMATS)
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / f"run.{request.param}"
    RECORDING.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(path):
    return Recording.load(path)


def assert_same(after, before):
    """Equal in every order, name, unit and bit."""
    assert list(after.spikes) == list(before.spikes)
    for population, spikes in before.spikes.items():
        found = after.spikes[population]
        assert (found.name, found.size, found.times.dim) == (population, spikes.size, second.dim)
        np.testing.assert_array_equal(found.neurons, spikes.neurons)
        np.testing.assert_array_equal(found.times, spikes.times)
    assert {n: list(s) for n, s in after.signals.items()} == {
        n: list(s) for n, s in before.signals.items()
    }
    for population, signals in before.signals.items():
        for variable, signal in signals.items():
            found = after.signals[population][variable]
            np.testing.assert_array_equal(found.neurons, signal.neurons)
            np.testing.assert_array_equal(
                after.times_of(population, variable), before.times_of(population, variable)
            )
            assert_same_values(found.values, signal.values)
    assert {n: list(t) for n, t in after.totals.items()} == {
        n: list(t) for n, t in before.totals.items()
    }
    for part, totals in before.totals.items():
        for name, values in totals.items():
            assert_same_values(after.totals[part][name], values)
    assert (after.duration, after.dt) == (before.duration, before.dt)
    assert after.provenance == before.provenance


def assert_same_values(after, before):
    assert Quantity(after).dim == Quantity(before).dim
    # Signs of 0 and what is no number count too.
    assert np.asarray(after, dtype=float).tobytes() == np.asarray(before, dtype=float).tobytes()


def test_a_recording_comes_back_to_the_bit(loaded):
    assert_same(loaded, RECORDING)


def test_what_comes_back_can_be_saved_again(loaded, path, tmp_path):
    loaded.save(tmp_path / path.name)
    assert_same(Recording.load(tmp_path / path.name), RECORDING)


NAMES = st.sampled_from(["v", "I_ext", "gain", "x1"])
REALS = st.floats(width=64)
DIMENSIONS = st.sampled_from(
    [volt.dim, amp.dim, DIMENSIONLESS]
    + [
        get_or_create_dimension(powers)
        for powers in ([2, 1, -3.5, -1, 0, 0, 0], [-3, 0, 0, 0, 0, 1 / 3, 0], [0, 0, 0, 0, 1, 0, 2])
    ]
)


@st.composite
def values(draw, *shape):
    count = int(np.prod(shape))
    numbers = draw(st.lists(REALS, min_size=count, max_size=count))
    return Quantity(np.reshape(numbers, shape), dim=draw(DIMENSIONS))


@st.composite
def recordings(draw):
    """Recordings as simulations give them: spikes of one time in order of their neurons."""
    dt, steps = draw(st.floats(1e-9, 1)), draw(st.integers(1, 5))
    spikes, signals, totals = {}, {}, {}
    for name in draw(st.lists(st.sampled_from(["cells", "b", "A_1"]), unique=True)):
        size = draw(st.integers(1, 7))
        fired = st.tuples(st.integers(0, steps - 1), st.integers(0, size - 1))
        when, who = np.reshape(sorted(draw(st.lists(fired, unique=True))), (-1, 2)).astype(int).T
        spikes[name] = Spikes(name, size, who, when * dt * second)
        neurons = st.lists(st.integers(0, size - 1), unique=True, min_size=1)
        traced = {v: np.array(draw(neurons)) for v in draw(st.lists(NAMES, unique=True))}
        stride = draw(st.sampled_from([None, 1, 2, 3]))
        samples = -(-steps // (stride or 1))
        signals[name] = {
            v: Signal(n, draw(values(len(n), samples)), stride and stride * dt * second)
            for v, n in traced.items()
        }
        totals[name] = {v: draw(values(size)) for v in draw(st.lists(NAMES, unique=True))}
    about = draw(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none()))
    return Recording(spikes, signals, steps * dt * second, dt * second, about, totals)


@pytest.mark.parametrize("form", FORMATS)
@given(recording=recordings())
@settings(max_examples=15, deadline=None)
def test_any_recording_comes_back_to_the_bit(tmp_path_factory, form, recording):
    path = tmp_path_factory.mktemp("any") / f"any.{form}"
    recording.save(path)
    assert_same(Recording.load(path), recording)
    assert path.stat().st_size <= recording.most_bytes(form)


@given(recording=recordings())
@settings(max_examples=15, deadline=None)
def test_any_recording_comes_back_from_neo_to_the_bit(recording):
    assert_same(Recording.from_neo(recording.to_neo()), recording)


def test_loaded_spikes_are_counted_as_before(loaded):
    np.testing.assert_array_equal(loaded.spikes["cells"].counts(), SPIKES["cells"].counts())
    np.testing.assert_array_equal(loaded.spikes["silent"].counts(), [0, 0, 0])
    np.testing.assert_array_equal(loaded.times_of("cells", "v"), np.arange(40) * DT)


@pytest.mark.parametrize("form", FORMATS)
def test_saving_twice_leaves_one_recording_and_no_other_file(form, tmp_path):
    path = tmp_path / f"twice.{form}"
    RECORDING.save(path)
    BARE.save(path)
    assert_same(Recording.load(path), BARE)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_cannot_be_written_leaves_the_old_one(form, tmp_path):
    path = tmp_path / f"kept.{form}"
    RECORDING.save(path)
    with pytest.raises(UserError, match=r"provenance .*\bset is not JSON serializable"):
        Recording({}, {}, STEPS * DT, DT, {"seeds": {3, 5}}).save(path)
    assert_same(Recording.load(path), RECORDING)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["run", "run.h5", "run.nix.gz", ".nwb"])
def test_a_name_that_names_no_format_is_refused(name, tmp_path):
    with pytest.raises(UserError, match=rf"name ends in \.nix or \.nwb, which .*{name} does not"):
        RECORDING.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    (tmp_path / name).write_bytes(b"1")
    with pytest.raises(UserError, match=r"name ends in \.nix or \.nwb"):
        Recording.load(tmp_path / name)


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_that_is_not_there_is_told(form, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        RECORDING.save(tmp_path / "none" / f"run.{form}")
    with pytest.raises(
        UserError, match=rf"^'x{{39}}\..*{form}' cannot be written \(File name too long"
    ):
        RECORDING.save(f"{'x' * 10_000}.{form}")
    with pytest.raises(
        UserError, match=rf"^'a.x00\.{form}' cannot be written: it names no file\.$"
    ):
        RECORDING.save(f"a\0.{form}")


def test_saving_leaves_the_recording_as_it_was(loaded):  # noqa: ARG001
    assert RECORDING.signals["cells"]["v"].values.dim == volt.dim
    assert RECORDING.signals["cells"]["I_syn"].values.dim == amp.dim
    assert Quantity(RECORDING.signals["cells"]["gain"].values).dim is DIMENSIONLESS


def test_every_neuron_has_a_spike_train_of_its_own():
    trains = RECORDING.spike_trains("cells")
    assert len(trains) == 13
    assert [len(train) for train in trains] == SPIKES["cells"].counts().tolist()
    np.testing.assert_allclose(trains[4].rescale("ms").magnitude, [0, 17 * 0.13])
    assert trains[4].name == "cells[4]"
    assert float(trains[1].t_start) == 0
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


def test_every_variable_has_times_of_its_own_and_all_together_where_they_are_the_same():
    assert len(RECORDING.times_of("cells", "v")) == STEPS
    sparse = RECORDING.times_of("cells", "I_ext")
    # To the bit those of the steps, of which the last third began with step 39.
    np.testing.assert_array_equal(sparse, RECORDING.times_of("cells", "v")[::3])
    assert len(sparse) == 14
    with pytest.raises(UserError, match=r"different intervals: .*times_of\(population, variable\)"):
        _ = RECORDING.times
    alone = Recording({}, {"cells": {"I_ext": SPARSE}}, STEPS * DT, DT)
    np.testing.assert_array_equal(alone.times, sparse)
    assert len(BARE.times) == STEPS


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
    with pytest.raises(UserError, match=r"^There is no recording /.*/none\.nix\.$"):
        Recording.load(tmp_path / "none.nix")
    with pytest.raises(UserError, match=r"^/.* is a folder, and no recording\.$"):
        Recording.load(tmp_path)
    with pytest.raises(UserError, match=r"^'x{39}\..*\.nix' cannot be used: File name too long\.$"):
        Recording.load(f"{'x' * 10_000}.nix")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_file_of_another_kind_is_refused(tmp_path, form, content):
    path = tmp_path / f"other.{form}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, path, share):
    whole = path.read_bytes()
    cut = tmp_path / f"cut{path.suffix}"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(cut)


@pytest.mark.parametrize("form", FORMATS)
def test_an_hdf5_file_of_another_kind_is_refused(tmp_path, form):
    path = tmp_path / f"other.{form}"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)
