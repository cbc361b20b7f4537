import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms, mV, nA, prefs
from brian2.codegen.runtime.cython_rt.extension_manager import cython_extension_manager

from neuromod.devices import builds
from neuromod.devices.simulation import simulate
from neuromod.devices.standalone import Standalone
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF

DT = 0.1 * ms


def experiment(
    tau_m=17.3,
    start=-66.1,
    current=(0.61, 0.93),
    weight=0.83,
    weights=(0.7, 1.3),
    delay=1.3,
    steps=(3, 40, 41),
    size=2,
    duration=31.7,
    trace=("v",),
    constant="tau_m",
):
    """Two cells driven by currents, spikes and one another; every argument is one aspect."""
    model = GainLIF(receptors=(), tau_m=tau_m * ms)
    values = {"v": start * mV, "I_ext": np.resize(current, size) * nA, constant: model.tau_m}
    inputs = Spikes("inputs", 3, np.arange(len(steps)) % 3, np.array(steps) * DT)
    two, one = np.arange(2), np.zeros(2, int)
    return Experiment(
        populations=(Population("cells", model, size, values),),
        sources=(inputs,),
        connections=(
            Connection("inputs", "cells", "I_syn", i=two, j=one, weight=np.array(weights) * nA),
            Connection(
                "cells", "cells", "I_syn", i=two, j=one, weight=weight * nA, delay=delay * ms
            ),
        ),
        traces=(Trace("cells", trace, np.arange(2)),),
        duration=duration * ms,
        dt=DT,
        seed=1,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"tau_m": 11.9},
        {"start": -61.7},
        {"current": (0.71, 0.44)},
        {"weight": -0.31},
        {"weights": (0.2, 4.1)},
        {"delay": 4.7},
        {"steps": (0, 300)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_values_do_not_stand_in_the_text_of_a_program(change, key):
    assert key(experiment(**change)) == key(experiment())


def test_other_compiler_options_make_another_program(key):
    before, own = key(experiment()), prefs["codegen.cpp.extra_compile_args_gcc"]
    try:
        prefs["codegen.cpp.extra_compile_args_gcc"] = ["-O1"]
        assert key(experiment()) != before
    finally:
        prefs["codegen.cpp.extra_compile_args_gcc"] = own


@pytest.mark.parametrize("device", ["cpp", "genn-cpu"])
@pytest.mark.thorough
def test_a_program_keeps_its_name_in_another_process(device, needs):
    needs(device)
    # Two fresh processes, because Brian2 numbers names that other tests may still hold in this one.
    names = {key_in_process(device, seed) for seed in ("17", "23")}
    assert len(names) == 1
    assert re.fullmatch("[0-9a-f]{64}", names.pop())


def key_in_process(device, seed):
    """Name of the program of `experiment`, as a process with another hash of strings finds it."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from neuromod.devices import builds; import test_builds as t\n"
        "t.prefs['codegen.cpp.extra_compile_args_gcc'] = sys.argv[3:]\n"
        "own = builds._key\n"
        "builds._key = lambda *a: print(own(*a), file=sys.__stdout__) or 1/0\n"
        "t.simulate(t.experiment(), sys.argv[2])"
    )
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            str(Path(__file__).parent),
            device,
            *prefs["codegen.cpp.extra_compile_args_gcc"],
        ],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.strip()


@pytest.mark.thorough
def test_a_kept_program_runs_with_other_values_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    first = simulate(experiment(), "cpp").provenance
    assert first["compiled"]
    monkeypatch.setattr(Standalone, "make", None)
    other = experiment(
        tau_m=11.9,
        start=-61.7,
        current=(0.71, 0.95),
        weight=1.31,
        weights=(0.2, 4.1),
        delay=4.7,
        steps=(0, 300),
    )
    by_cpp, by_cython = simulate(other, "cpp"), simulate(other)
    assert not by_cpp.provenance["compiled"]
    assert by_cpp.provenance["build_s"] < first["build_s"]
    assert by_cpp.provenance["binary_s"] > 0
    assert by_cpp.spikes["cells"].counts().all()
    np.testing.assert_array_equal(by_cpp.spikes["cells"].times, by_cython.spikes["cells"].times)
    np.testing.assert_allclose(
        by_cpp.signals["cells"]["v"].values, by_cython.signals["cells"]["v"].values, rtol=1e-9
    )


def test_a_build_that_fails_is_told_in_one_sentence_with_its_log(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"Building failed in make.*no-such-compiler") as told:
        simulate(experiment(), "cpp")
    assert str(tmp_path / "failed-build.log") in str(told.value)
    assert "no-such-compiler" in (tmp_path / "failed-build.log").read_text()
    assert not list((tmp_path / "builds").glob("*"))


@pytest.fixture
def built(tmp_path):
    """A folder with a program in it, and where programs are kept."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "main").write_text("program")
    (tmp_path / "again").mkdir()
    return folder, tmp_path / "kept"


def test_without_programs_that_compile_one_sentence_says_what_brings_them(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"needs make, .*apt install build-essential") as told:
        simulate(experiment(), "cpp")
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("compiled")
def test_without_a_compiler_numpy_computes_what_brian2_s_runtime_would_compile(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setitem(prefs, "codegen.runtime.cython.cache_dir", str(tmp_path / "cython"))
    # Brian2 keeps in its process what an earlier test compiled, wherever its files are.
    monkeypatch.setattr(cython_extension_manager, "_code_cache", {})
    assert simulate(experiment()).provenance["target"] == "numpy"


def test_a_kept_program_is_taken_whole(built, tmp_path):
    folder, shelf = built
    assert not builds._take(shelf / "key", tmp_path / "again", ("main",))
    builds._keep(shelf / "key", folder, ("main",))
    assert builds._take(shelf / "key", tmp_path / "again", ("main",))
    assert (tmp_path / "again" / "main").read_text() == "program"
    assert not builds._take(shelf / "key", tmp_path / "again", ("main", "library.so"))


def test_of_two_processes_that_compile_the_same_the_first_one_s_program_stays(built):
    folder, shelf = built
    builds._keep(shelf / "key", folder, ("main",))
    (folder / "main").write_text("the same, later")
    builds._keep(shelf / "key", folder, ("main",))
    assert (shelf / "key" / "main").read_text() == "program"
    assert [path.name for path in shelf.iterdir()] == ["key"]


def test_the_program_that_was_not_used_for_longest_makes_room(built, monkeypatch, tmp_path):
    folder, shelf = built
    monkeypatch.setattr(builds, "KEPT", 3)
    for age, name in ((400, "used"), (300, "unused"), (200, "third"), (100, "fourth")):
        builds._keep(shelf / name, folder, ("main",))
        os.utime(shelf / name, (1e9 - age, 1e9 - age))
        if name == "third":
            assert builds._take(shelf / "used", tmp_path / "again", ("main",))
    assert {path.name for path in shelf.iterdir()} == {"used", "third", "fourth"}


@pytest.mark.parametrize("damage", ["truncated", "garbled", "empty", "lost", "exchanged", "old"])
def test_a_damaged_program_is_found_before_it_runs_and_makes_room(built, tmp_path, caplog, damage):
    folder, shelf = built
    builds._keep(shelf / "key", folder, ("main",))
    program, again = shelf / "key" / "main", tmp_path / "again"
    if damage == "lost":
        program.unlink()
    elif damage == "exchanged":
        builds._keep(shelf / "other", folder, ("main",))
        (shelf / "other" / builds.SEAL).replace(shelf / "key" / builds.SEAL)
    elif damage == "old":
        # Version 0.1 kept no hash.
        (shelf / "key" / builds.SEAL).unlink()
    else:
        program.write_bytes({"truncated": b"progr", "garbled": b"prograM", "empty": b""}[damage])
    assert not builds.is_whole(shelf / "key") or damage == "lost"
    before = sorted((shelf / "key").iterdir())
    assert not builds._take(shelf / "key", again, ("main",))
    # It may lie in a folder that is only read.
    assert sorted((shelf / "key").iterdir()) == before
    (told,) = caplog.messages
    assert told == f"The kept program {shelf / 'key'} is damaged or old: it is compiled anew."
    builds._keep(shelf / "key", folder, ("main",))
    assert builds._take(shelf / "key", again, ("main",))
    assert len(caplog.messages) == 1


def test_a_whole_program_without_room_to_run_is_not_called_damaged(
    built, tmp_path, monkeypatch, caplog
):
    folder, shelf = built
    builds._keep(shelf / "key", folder, ("main",))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(builds.shutil, "copy", full)
    with pytest.raises(UserError, match=r"disk .* is full"):
        builds._take(shelf / "key", tmp_path / "again", ("main",))
    assert not caplog.messages


def test_a_compiler_without_room_is_told_as_a_full_disk(tmp_path):
    said = "echo /tmp/cc.s: error: No space left on device >&2; exit 1"
    with pytest.raises(UserError, match=r"disk .* is full"):
        builds.call(["sh", "-c", said], tmp_path)
    builds.call(["sh", "-c", f'test "$TMPDIR" = "{tmp_path}"'], tmp_path)


def test_a_program_ends_where_it_cannot_write_a_result(tmp_path):
    text = tmp_path / "objects.cpp"
    text.write_text("f.open(x);\n  outfile__array_v_2.close();\n  other.close();\n")
    builds._check_results(text)
    assert text.read_text() == (
        "#include <cstdlib>\nf.open(x);\n  outfile__array_v_2.close(); "
        "if (!outfile__array_v_2) std::exit(EXIT_FAILURE);\n  other.close();\n"
    )


def test_a_program_on_a_shelf_that_cannot_be_written_is_taken(built, tmp_path, monkeypatch):
    folder, shelf = built
    builds._keep(shelf / "key", folder, ("main",))

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    assert builds._take(shelf / "key", tmp_path / "again", ("main",))
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "rename", refuse)
    builds._keep(shelf / "another", folder, ("main",))
    builds.discard(shelf / "key")
    assert [path.name for path in shelf.iterdir()] == ["key"]


@pytest.mark.thorough
def test_a_truncated_program_is_compiled_once_more(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    first = simulate(experiment(), "cpp")
    (program,) = (tmp_path / "builds").glob("*/main")
    program.write_bytes(program.read_bytes()[:-4001])
    again = simulate(experiment(), "cpp")
    assert again.provenance["compiled"]
    assert [text for text in caplog.messages if str(program.parent) in text and "anew" in text]
    np.testing.assert_array_equal(again.spikes["cells"].times, first.spikes["cells"].times)
    assert not simulate(experiment(), "cpp").provenance["compiled"]
