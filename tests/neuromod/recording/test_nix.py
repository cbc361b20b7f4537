"""NIX files hold every recording; those of version 0.1 are read."""

import json

import neo
import nixio
import numpy as np
import pytest
import quantities as pq
from brian2 import ms, second
from brian2.units.allunits import pjoule
from neo.io import NixIO

from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.recording import Recording

DT = 0.13 * ms


def test_totals_of_many_neurons_take_no_more_objects_in_the_file_than_those_of_few(tmp_path):
    def objects(neurons):
        totals = {"cells": {"energy": np.linspace(0.1, 2.3, neurons) * pjoule}}
        Recording({}, {}, 40 * DT, DT, {}, totals).save(tmp_path / f"{neurons}.nix")
        with nixio.File.open(str(tmp_path / f"{neurons}.nix"), nixio.FileMode.ReadOnly) as file:
            return len(file.blocks[0].data_arrays)

    assert objects(2) == objects(211) == 1


def test_spikes_of_many_neurons_take_no_more_objects_than_those_of_few(tmp_path):
    def objects(neurons):
        numbers = np.arange(neurons)
        spikes = {"cells": Spikes("cells", neurons, numbers, numbers * DT)}
        Recording(spikes, {}, neurons * DT, DT).save(tmp_path / f"{neurons}.nix")
        with nixio.File.open(str(tmp_path / f"{neurons}.nix"), nixio.FileMode.ReadOnly) as file:
            return len(file.blocks[0].data_arrays)

    assert objects(2) == objects(211)


def test_nobody_takes_the_spikes_of_all_neurons_for_a_spike_train(tmp_path):
    path = tmp_path / "two.nix"
    spikes = Spikes("cells", 2, np.array([1, 0, 1]), np.array([2, 5, 7]) * DT)
    Recording({"cells": spikes}, {}, 40 * DT, DT).save(path)
    with NixIO(str(path), "ro") as file:
        segment = file.read_block().segments[0]
    assert len(segment.spiketrains) == 0
    (signal,) = segment.irregularlysampledsignals
    assert signal.name == "neuron of every spike of cells"
    assert signal.magnitude[:, 0].tolist() == [1, 0, 1]
    np.testing.assert_allclose(signal.times.rescale("ms").magnitude, [0.26, 0.65, 0.91])


def test_spikes_of_one_time_may_stand_in_any_order(tmp_path):
    spikes = Spikes("cells", 3, np.array([2, 0, 1]), np.array([4, 4, 4]) * DT)
    Recording({"cells": spikes}, {}, 40 * DT, DT).save(tmp_path / "tied.nix")
    found = Recording.load(tmp_path / "tied.nix").spikes["cells"]
    assert found.neurons.tolist() == [2, 0, 1]


def test_a_file_of_version_0_1_is_read(tmp_path):
    """One spike train for all, whose array annotations say which neuron spiked."""
    segment = neo.Segment(name="experiment")
    for name, size, neurons, times in (("cells", 5, [3, 0, 3], [2, 5, 7]), ("silent", 2, [], [])):
        segment.spiketrains.append(
            neo.SpikeTrain(
                np.array(times) * 1e-3 * pq.s,
                t_stop=0.04,
                name=name,
                array_annotations={"neuron": np.array(neurons, dtype=int)},
                neurons=size,
            )
        )
    header = {"duration_s": 0.04, "dt_s": 1e-3, "provenance": {"seed": 3}}
    block = neo.Block(name="neuromod recording", neuromod=json.dumps(header))
    block.segments.append(segment)
    with NixIO(str(tmp_path / "old.nix"), "ow") as file:
        file.write_block(block)
    recording = Recording.load(tmp_path / "old.nix")
    assert recording.provenance == {"seed": 3}
    assert {name: spikes.size for name, spikes in recording.spikes.items()} == {
        "cells": 5,
        "silent": 2,
    }
    assert recording.spikes["cells"].neurons.tolist() == [3, 0, 3]
    np.testing.assert_array_equal(recording.spikes["cells"].times / second, [2e-3, 5e-3, 7e-3])
    assert len(recording.spikes["silent"].neurons) == 0


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
