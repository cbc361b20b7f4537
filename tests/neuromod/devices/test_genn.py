"""What GeNN needs, and that it runs experiments as Brian2 does."""

import os
import shlex
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import ms, mV, nA

from neuromod.devices.finding import look_at
from neuromod.devices.genn import installation
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF

DT = 0.1 * ms


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder that looks like GeNN 4.9.0, and everything else in place."""
    for name in ("bin", "cuda/bin", "cuda/include"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin" / "genn-buildmodel.sh").write_text("")
    (tmp_path / "cuda" / "bin" / "nvcc").write_text("")
    (tmp_path / "cuda" / "include" / "curand_kernel.h").write_text("")
    (tmp_path / "version.txt").write_text("4.9.0\n")
    for program in ("g++", "make"):
        (tmp_path / program).write_text("")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("GENN_PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "cuda"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    versions = {"brian2genn": "1.7.0", "brian2": "2.9.0"}

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    words = {"nvcc": "Cuda compilation tools, release 12.4, V12.4.131", "nvidia-smi": "GPU 0: X\n"}
    monkeypatch.setattr(installation, "version", version)
    monkeypatch.setattr(installation, "said", lambda c, *_: words[str(c).rpartition("/")[2]])
    return tmp_path, versions, words


@pytest.fixture
def pygenn(tree, monkeypatch):
    """PyGeNN beside them, with a back end for GPUs."""
    tree[1]["pygenn"] = "5.4.0"
    module = SimpleNamespace(__file__="pygenn/__init__.py", backend_modules={"cuda": None})
    monkeypatch.setattr(installation, "import_module", lambda _: module)
    return module


def lacking(gpu=True, way="Brian2GeNN"):
    """What does not work on a way, and can be judged."""
    found = look_at(installation.ways(gpu)[way])
    return [step for step in found if not step.works and step.get]


def the_one_lacking(**options):
    (step,) = lacking(**options)
    return step.name, step.found, step.get


@pytest.mark.usefixtures("tree")
def test_with_everything_in_place_nothing_is_refused():
    assert not lacking()
    assert installation.taken() == "Brian2GeNN"
    installation.require(gpu=True)
    installation.require(gpu=False)


@pytest.mark.usefixtures("pygenn")
def test_pygenn_is_taken_where_it_is_installed(tree):
    assert installation.taken() == "PyGeNN"
    assert installation.genn_version() == "5.4.0"
    assert not lacking(way="PyGeNN")
    # What the other way lacks is no obstacle then.
    (tree[0] / "version.txt").unlink()
    assert lacking()
    installation.require(gpu=True)


def test_with_neither_pygenn_is_what_helps(tree):
    del tree[1]["brian2genn"]
    assert installation.taken() == "PyGeNN"
    with pytest.raises(UserError, match=r"pygenn: not installed \(next step: apt install libffi"):
        installation.require(gpu=False)


@pytest.mark.parametrize("version", ["5.3.0", "6.0.0"])
def test_another_pygenn_than_the_tested_is_refused(version, tree, pygenn):
    tree[1]["pygenn"] = version
    name, found, get = the_one_lacking(way="PyGeNN")
    assert (name, found) == ("pygenn", f"{version}; 5.4.0 was tested")
    assert "5.4.0.tar.gz" in get
    del pygenn


@pytest.mark.usefixtures("pygenn")
def test_a_pygenn_that_does_not_import_is_to_be_built_again(monkeypatch):
    def fail(_):
        raise ImportError("libgenn.so: undefined symbol\nand more")

    monkeypatch.setattr(installation, "import_module", fail)
    name, found, get = the_one_lacking(way="PyGeNN")
    assert (name, found) == ("pygenn's library", "cannot be imported: libgenn.so: undefined symbol")
    assert "--force-reinstall" in get


def test_a_pygenn_without_cuda_is_refused_on_a_gpu_alone(pygenn):
    pygenn.backend_modules.clear()
    assert the_one_lacking(way="PyGeNN")[0] == "pygenn's CUDA back end"
    installation.require(gpu=False)
    with pytest.raises(UserError, match="built without it"):
        installation.require(gpu=True)


@pytest.mark.parametrize(
    ("versions", "name", "get"),
    [
        ({"brian2genn": "1.6"}, "brian2genn", "pip install --no-deps 'brian2genn>=1.7'"),
        ({"brian2": "3.0.1"}, "brian2 for Brian2GeNN", "pip install brian2=="),
    ],
)
def test_packages_that_do_not_fit_say_which_do(versions, name, get, tree):
    tree[1].update(versions)
    step = the_one_lacking()
    assert step[0] == name
    assert step[2].startswith(get)
    with pytest.raises(UserError, match="The device genn-cpu cannot be used here") as told:
        installation.require(gpu=False)
    assert get in str(told.value)
    assert "doctor --device genn-cpu" in str(told.value)


@pytest.mark.parametrize(
    ("python", "get"),
    [((3, 13), "pip install brian2==2.9.0 'numpy<2.4'"), ((3, 14), installation.GET_PYGENN)],
)
def test_the_brian2_that_is_advised_exists_for_this_python(python, get, tree, monkeypatch):
    tree[1]["brian2"] = "3.0.1"
    monkeypatch.setattr(installation.sys, "version_info", python)
    assert the_one_lacking()[2] == get


def test_steps_that_hang_on_a_missing_one_are_shown_all_the_same(tree, monkeypatch):
    monkeypatch.delenv("GENN_PATH")
    tree[1]["brian2genn"] = "1.6"
    tree[2]["nvidia-smi"] = ""
    assert [step.name for step in lacking()] == ["brian2genn", "GeNN", "GPU"]
    found = {step.name: step.found for step in look_at(installation.ways(True)["Brian2GeNN"])}
    assert found["GeNN version"] == found["GeNN tree"] == "not judged before GeNN works"


@pytest.mark.parametrize("name", ["with a space", "cost$", "a#b", "it's", "a:b", "a;b"])
def test_a_path_that_make_cannot_take_is_refused_with_what_helps(name, tree, monkeypatch):
    odd = tree[0] / name
    odd.mkdir()
    for part in ("bin", "cuda", "version.txt"):
        (tree[0] / part).rename(odd / part)
    monkeypatch.setenv("GENN_PATH", str(odd))
    monkeypatch.setenv("CUDA_PATH", str(odd / "cuda"))
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    steps = {step.name: step for step in lacking()}
    assert set(steps) == {"GeNN", "temporary folder", "CUDA"}
    assert all("in it, at which make fails" in step.found for step in steps.values())
    assert steps["temporary folder"].get == "export TMPDIR=/tmp"
    assert shlex.split(steps["GeNN"].get)[:2] == ["mv", str(odd)]
    assert shlex.split(steps["CUDA"].get)[:3] == ["ln", "-s", str(odd / "cuda")]


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("5.1.0", "which Brian2GeNN cannot use"),
        ("4.2.1", "older than 4.8.1"),
        ("?", "does not say"),
    ],
)
def test_other_releases_of_genn_are_refused(version, reason, tree):
    (tree[0] / "version.txt").write_text(version)
    name, found, get = the_one_lacking()
    assert name == "GeNN version"
    assert reason in found
    assert "--branch 4.9.0" in get


def test_genn_that_is_nowhere_is_told_where_it_is_to_be_had(tree, monkeypatch):
    (tree[0] / "bin" / "genn-buildmodel.sh").unlink()
    assert "holds no bin/genn-buildmodel.sh" in the_one_lacking()[1]
    monkeypatch.delenv("GENN_PATH")
    _, found, get = the_one_lacking()
    assert "not found" in found
    assert "GENN_PATH" in get


def test_genn_is_found_on_the_path_as_well(tree, monkeypatch):
    (tree[0] / "bin" / "genn-buildmodel.sh").chmod(0o755)
    monkeypatch.delenv("GENN_PATH")
    monkeypatch.setenv("PATH", str(tree[0] / "bin"))
    assert installation.look_for_genn() == (tree[0], "PATH")


@pytest.mark.usefixtures("tree")
def test_a_tree_that_cannot_be_written_is_to_be_copied(monkeypatch):
    # What looks for programs asks as well.
    may = os.access
    monkeypatch.setattr(
        installation.os, "access", lambda path, mode: mode != os.W_OK and may(path, mode)
    )
    name, _, get = the_one_lacking()
    assert name == "GeNN tree"
    assert "GENN_PATH=~/genn" in get


def test_cuda_13_is_taken_with_a_header_before_every_source(tree, monkeypatch):
    assert set(installation.genn_environment()) == {"CUDA_PATH"}
    tree[2]["nvcc"] = "Cuda compilation tools, release 13.0, V13.0.88"
    assert not lacking()
    monkeypatch.setenv("CXXFLAGS", "-O2")
    flags = installation.genn_environment()["CXXFLAGS"]
    assert flags == f"-O2 -include {installation.SHIM}"
    assert installation.SHIM.is_file()


def test_a_header_that_make_cannot_be_given_is_refused(tree, monkeypatch, tmp_path):
    tree[2]["nvcc"] = "Cuda compilation tools, release 13.0, V13.0.88"
    monkeypatch.setattr(installation, "SHIM", tmp_path / "a place" / "cuda13.h")
    name, found, _ = the_one_lacking()
    assert name == "CUDA version"
    assert "a space" in found
    installation.require(gpu=False)


def test_a_cuda_that_was_never_tried_is_refused_on_gpus_alone(tree):
    tree[2]["nvcc"] = "Cuda compilation tools, release 14.1, V14.1.1"
    installation.require(gpu=False)
    with pytest.raises(
        UserError, match=r"The device genn cannot be used here, CUDA version: 14\.1"
    ):
        installation.require(gpu=True)


# As cuda.h has it; what is called says how many arguments it was given.
CUDA_H = """\
#pragma once
#define CUDA_VERSION {version}
typedef int CUresult;
typedef int CUdevice;
typedef struct context *CUcontext;
{arguments}
#define CU_CTX_FLAGS 7
"""
OLD = """
inline CUresult cuCtxCreate_v2(CUcontext *, unsigned int, CUdevice) { return 3; }
#define cuCtxCreate cuCtxCreate_v2
"""
NEW = """
struct CUctxCreateParams;
extern "C" inline CUresult cuCtxCreate_v4(
    CUcontext *, CUctxCreateParams *usual, unsigned int flags, CUdevice device)
{ return usual == nullptr && flags == 7 && device == 5 ? 4 : 1; }
#define cuCtxCreate cuCtxCreate_v4
"""
CALL = """
#include <cuda.h>
int main() { CUcontext made; return cuCtxCreate(&made, CU_CTX_FLAGS, 5); }
"""


@pytest.mark.parametrize(("version", "arguments"), [(12040, OLD), (13000, NEW)])
def test_the_header_lets_old_calls_compile_with_either_cuda(version, arguments, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    (tmp_path / "cuda.h").write_text(CUDA_H.format(version=version, arguments=arguments))
    (tmp_path / "call.cc").write_text(CALL)
    flags = ["-std=c++11", "-Wall", "-Wpedantic", "-Werror", "-Wno-unused-function"]
    given = [*flags, "-include", str(installation.SHIM), f"-I{tmp_path}"]
    subprocess.run(["g++", *given, "call.cc", "-o", "call"], cwd=tmp_path, check=True)
    ended = subprocess.run([tmp_path / "call"], check=False)
    assert ended.returncode == (3 if version < 13000 else 4)


@pytest.mark.parametrize("way", ["PyGeNN", "Brian2GeNN"])
@pytest.mark.parametrize(
    ("missing", "name"), [("bin/nvcc", "CUDA"), ("include/curand_kernel.h", "CUDA headers")]
)
def test_parts_of_cuda_that_are_missing_are_named(missing, name, way, tree, pygenn):
    (tree[0] / "cuda" / missing).unlink()
    assert the_one_lacking(way=way)[0] == name
    del pygenn


def test_the_headers_that_are_to_be_installed_are_of_the_cuda_that_is_here(tree):
    (tree[0] / "cuda" / "include" / "curand_kernel.h").unlink()
    assert "libcurand-dev-12-4" in the_one_lacking()[2]


def test_a_machine_without_a_gpu_is_sent_to_the_cpu(tree):
    tree[2]["nvidia-smi"] = ""
    name, _, get = the_one_lacking()
    assert name == "GPU"
    assert "genn-cpu" in get


def needs_genn():
    try:
        installation.require(gpu=False)
    except UserError as error:
        pytest.skip(str(error))


def test_links_of_interrupted_builds_are_removed_and_those_of_others_stay(tmp_path):
    needs_genn()
    device = pytest.importorskip("neuromod.devices.genn.device")
    mine, theirs = tmp_path / "neuromod-x1" / "work", tmp_path / "neuromod-x2" / "work"
    for folder in (mine, theirs):
        folder.mkdir(parents=True)
    targets = {
        "genn.mine": mine,
        "genn.running": theirs,
        "genn.killed": tmp_path / "neuromod-x3" / "work",
        "genn.foreign": tmp_path / "elsewhere",
    }
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
    device.remove_links(mine, tmp_path)
    left = {path.name for path in tmp_path.glob("genn.*")}
    assert left == {"genn.running", "genn.foreign"}


def wired(i, j, weight, *, steps=(0, 1, 30, 31, 200, 299), traced=("v", "I_syn")):
    """Cells that spikes reach over given pairs of neurons, at once and later."""
    inputs = Spikes("inputs", 3, np.arange(len(steps)) % 3, np.array(steps) * DT)
    cells = Population("cells", GainLIF(receptors=(), v_th=-69.1 * mV, v_reset=-70.3 * mV), 4)
    i, j, weight = np.array(i), np.array(j), np.array(weight) * nA
    # GeNN records every step: of the second variable it leaves six of seven out.
    intervals = zip(traced, (None, 7 * DT), strict=False)
    return Experiment(
        populations=(cells,),
        sources=(inputs,),
        connections=(
            Connection("inputs", "cells", "I_syn", i=i, j=j, weight=weight),
            Connection("inputs", "cells", "I_syn", i=i, j=j, weight=-0.4 * weight, delay=1.7 * ms),
            Connection(
                "cells", "cells", "I_syn", i=np.array([2, 1]), j=np.array([0, 3]), weight=0.9 * nA
            ),
        ),
        traces=[Trace("cells", name, np.array([3, 0, 2]), every) for name, every in intervals],
        duration=300 * DT,
        dt=DT,
        seed=1,
    )


UNSORTED = wired([2, 0, 1, 0, 2, 0], [0, 3, 1, 2, 0, 2], [0.71, 1.93, 2.47, 0.31, 1.17, 0.53])
# As many pairs, all from one neuron: GeNN's tables must hold twice as many to a row.
ONE_ROW = wired([1, 1, 1, 1, 1, 1], [0, 3, 1, 2, 0, 2], [0.71, 1.93, 2.47, 0.31, 1.17, 0.53])


def assert_same(experiment):
    by_cython, by_genn = simulate(experiment), simulate(experiment, "genn-cpu")
    spikes, others = by_cython.spikes["cells"], by_genn.spikes["cells"]
    assert len(set(spikes.neurons)) > 2
    np.testing.assert_array_equal(spikes.neurons, others.neurons)
    np.testing.assert_array_equal(spikes.times, others.times)
    for name, signal in by_cython.signals["cells"].items():
        other = by_genn.signals["cells"][name].values
        scale = np.ptp(signal.values)
        np.testing.assert_allclose(signal.values / scale, other / scale, rtol=0, atol=1e-12)
    return by_genn


@pytest.mark.slow
def test_genn_keeps_weights_delays_and_samples_in_order_whatever_the_order_of_synapses(
    monkeypatch, tmp_path
):
    needs_genn()
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    assert assert_same(UNSORTED).provenance["compiled"]
    other = wired(
        [2, 0, 1, 0, 2, 0],
        [0, 3, 1, 2, 0, 2],
        [1.9, 0.2, 2.1, 0.7, 0.6, 1.5],
        steps=(3, 40, 90, 120, 121),
    )
    assert not assert_same(other).provenance["compiled"]
    assert assert_same(ONE_ROW).provenance["compiled"]


@pytest.mark.slow
def test_genn_says_nothing_and_leaves_preferences_alone(capfd):
    needs_genn()
    from brian2 import get_device, prefs

    before = dict(prefs.items()), get_device()
    recording = simulate(UNSORTED, "genn-cpu", "single")
    assert capfd.readouterr() == ("", "")
    after = dict(prefs.items())
    assert {name: after[name] for name in before[0]} == before[0]
    assert get_device() is before[1]
    assert recording.provenance["precision"] == "single"
    assert recording.trace("cells", "v", 3).shape == (300,)
    np.testing.assert_array_equal(
        recording.spikes["cells"].times, simulate(UNSORTED).spikes["cells"].times
    )
