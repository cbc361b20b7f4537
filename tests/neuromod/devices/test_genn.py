"""What GeNN needs, what it cannot run, and that it runs the rest as Brian2 does."""

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from typing import Any

import numpy as np
import pytest
from brian2 import TimedArray, check_units, ms, mV, nA

from neuromod.devices.genn import installation
from neuromod.devices.genn.limits import RESERVED, obstacles, refuse
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF

DT = 0.1 * ms


@dataclass(frozen=True)
class Cell:
    """A model as a third party would write it, as plain as can be."""

    equations: str = "dv/dt = (I - v)/(9.7*ms) : 1\nI : 1"
    threshold: str = "v > 1"
    reset: str = "v = 0"
    refractory: Any = False
    method: str = "euler"
    constants: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)


def drawn(drive):
    return f"dv/dt = ({drive} - v)/(9.7*ms) : 1\nI : 1\nd = 1 : 1"


@check_units(x=1, result=1)
def double(x):
    return 2 * x


REFUSED = {
    "rand": (Cell(threshold="v > 1 + 0.1*rand()"), "draw numbers beforehand"),
    "randn": (Cell(reset="v = 0.1*randn()"), "draw numbers beforehand"),
    "poisson": (Cell(reset="v = 0\nI = poisson(3.7)"), "draw numbers beforehand"),
    "xi": (Cell("dv/dt = (I - v)/(9.7*ms) + 0.1*xi*ms**-0.5 : 1\nI : 1"), "noise drawn on"),
    "xi of two": (Cell("dv/dt = (I - v)/(9.7*ms) + 0.1*xi_1*ms**-0.5 : 1\nI : 1"), "xi_1 is noise"),
    "int of a number": (Cell(drawn("int(I*3.3)")), r"write floor\(I \* 3.3\)"),
    "int of a sum": (Cell(reset="v = int((v > 1) + (I > 2))"), "would be 0 or 1"),
    "clip": (Cell(drawn("clip(I, 0, 2)")), "single precision"),
    "expm1": (Cell(drawn("expm1(I)")), r"write exp\(x\) - 1"),
    "exprel": (Cell(threshold="v > exprel(I)"), "exprel"),
    "held for a step": (
        Cell("dv/dt = (d - v)/(9.7*ms) : 1\nI : 1\nd = 2*I : 1 (constant over dt)"),
        "leave the flag out",
    ),
    "array over time": (
        Cell(drawn("I*f(t)"), constants={"f": TimedArray([1.3, 0.2], dt=10 * ms)}),
        "closed form of t",
    ),
    "function": (Cell(drawn("double(I)"), constants={"double": double}), "double is a function"),
    "GSL": (Cell(method="gsl_rkf45"), "choose rk4"),
    "refractory": (Cell(refractory="v > 0.1*rand()"), "draw numbers beforehand"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_genn_lacks_or_does_otherwise_is_refused_with_what_to_do(name):
    model, instead = REFUSED[name]
    cells = Experiment(
        populations=(Population("cells", model, 2, {"I": 1.7}),), duration=3 * ms, dt=DT, seed=1
    )
    with pytest.raises(UserError, match="GeNN cannot run the population cells: ") as told:
        refuse(cells)
    assert told.match(instead)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_that_genn_uses_itself_are_refused_as_variables_and_as_constants(name):
    for model in (
        Cell(f"dv/dt = (I + {name} - v)/(9.7*ms) : 1\nI : 1\n{name} : 1"),
        Cell(f"dv/dt = (I + {name} - v)/(9.7*ms) : 1\nI : 1", constants={name: 0.3}),
    ):
        assert next(obstacles(model)) == f"the name {name} is GeNN's own; choose another one"


@pytest.mark.parametrize(
    "model",
    [
        Cell(drawn("I*int(v > 0.5 and not (t < 3*ms))")),
        Cell("dv/dt = (I*int(high) - v)/(9.7*ms) : 1\nI : 1\nhigh = v > 0.5 : boolean"),
        Cell(
            "dv/dt = (I - v)/(9.7*ms) : 1 (unless refractory)\nI : 1",
            refractory=2 * ms,
            reset="v = 0.1*int(not_refractory)",
        ),
        Cell(drawn("I*sqrt(1 + tanh(v)**2)*(1 + floor(3*v) % 2)")),
        GainLIF(),
        GainLIF(site="threshold", synapse="pulse"),
        GainLIF(receptors=()),
        *(CircuitNeuron(leak=leak) for leak in ("linear", "one_sided", "symmetric")),
    ],
)
def test_what_genn_runs_as_brian2_does_is_not_refused(model):
    assert not list(obstacles(model))


@pytest.mark.parametrize(
    ("equations", "traced", "reason"),
    [
        ("dv/dt = (I*g - v)/(9.7*ms) : 1\nI : 1\ng : 1 (shared)", "g", "shared by all neurons"),
        (drawn("I") + "\nr = s + 1 : 1\ns = sin(t/ms) : 1", "r", "r depends on time"),
        (drawn("I") + "\nr = dt/ms : 1", "r", "r depends on time"),
    ],
)
def test_what_genn_cannot_trace_is_refused_only_if_it_is_traced(equations, traced, reason):
    cells = (Population("cells", Cell(equations), 2, {"I": 1.7}),)
    one = np.array([1])
    refuse(
        Experiment(
            populations=cells, traces=(Trace("cells", ("v",), one),), duration=3 * ms, dt=DT, seed=1
        )
    )
    with pytest.raises(UserError, match=reason):
        refuse(
            Experiment(
                populations=cells,
                traces=(Trace("cells", (traced,), one),),
                duration=3 * ms,
                dt=DT,
                seed=1,
            )
        )


def test_values_computed_on_the_device_are_refused():
    cells = Population("cells", Cell(start={"v": "0.1*rand()"}), 2)
    with pytest.raises(UserError, match="give numbers"):
        refuse(Experiment(populations=(cells,), duration=3 * ms, dt=DT, seed=1))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder that looks like GeNN 4.9.0, and everything else in place."""
    for name in ("bin", "cuda/bin", "cuda/include"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin" / "genn-buildmodel.sh").write_text("")
    (tmp_path / "cuda" / "bin" / "nvcc").write_text("")
    (tmp_path / "cuda" / "include" / "curand_kernel.h").write_text("")
    (tmp_path / "version.txt").write_text("4.9.0\n")
    monkeypatch.setenv("GENN_PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "cuda"))
    monkeypatch.setenv("PATH", "")
    versions = {"brian2genn": "1.7.0", "brian2": "2.9.0"}

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    words = {"nvcc": "Cuda compilation tools, release 12.4, V12.4.131", "nvidia-smi": "GPU 0: X\n"}
    monkeypatch.setattr(installation, "version", version)
    monkeypatch.setattr(installation, "said", lambda c, *_: words[str(c).rpartition("/")[2]])
    return tmp_path, versions, words


def last_step(gpu=True):
    return list(installation.steps(gpu))[-1]


@pytest.mark.usefixtures("tree")
def test_with_everything_in_place_nothing_is_refused():
    assert all(step.works for step in installation.steps(gpu=True))
    installation.require(gpu=True)
    installation.require(gpu=False)


@pytest.mark.parametrize(
    ("versions", "name", "get"),
    [
        ({"brian2genn": None}, "brian2genn", "pip install --no-deps 'brian2genn>=1.7'"),
        ({"brian2genn": "1.6"}, "brian2genn", "pip install --no-deps 'brian2genn>=1.7'"),
        ({"brian2": "3.0.1"}, "brian2 for GeNN", "pip install brian2==2.9.0"),
    ],
)
def test_packages_that_do_not_fit_say_which_do(versions, name, get, tree):
    tree[1].update(versions)
    if versions.get(name, "") is None:
        del tree[1][name]
    step = last_step()
    assert (step.name, step.works, step.get) == (name, False, get)
    with pytest.raises(UserError, match="The device genn-cpu cannot be used here") as told:
        installation.require(gpu=False)
    assert get in str(told.value)


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
    step = last_step()
    assert (step.name, step.works) == ("GeNN version", False)
    assert reason in step.found
    assert "--branch 4.9.0" in step.get


def test_genn_that_is_nowhere_is_told_where_it_is_to_be_had(tree, monkeypatch):
    (tree[0] / "bin" / "genn-buildmodel.sh").unlink()
    assert "holds no bin/genn-buildmodel.sh" in last_step().found
    monkeypatch.delenv("GENN_PATH")
    step = last_step()
    assert "not found" in step.found
    assert "GENN_PATH" in step.get


def test_genn_is_found_on_the_path_as_well(tree, monkeypatch):
    (tree[0] / "bin" / "genn-buildmodel.sh").chmod(0o755)
    monkeypatch.delenv("GENN_PATH")
    monkeypatch.setenv("PATH", str(tree[0] / "bin"))
    assert installation.look_for_genn() == (tree[0], "PATH")


@pytest.mark.usefixtures("tree")
def test_a_tree_that_cannot_be_written_is_to_be_copied(monkeypatch):
    monkeypatch.setattr(installation.os, "access", lambda *_: False)
    step = last_step()
    assert (step.name, step.works) == ("GeNN tree", False)
    assert "GENN_PATH=~/genn" in step.get


def test_cuda_13_is_refused_with_the_reason_and_only_for_gpus(tree):
    tree[2]["nvcc"] = "Cuda compilation tools, release 13.0, V13.0.88"
    step = last_step()
    assert (step.name, step.works) == ("CUDA version", False)
    assert "cuCtxCreate" in step.found
    assert "toolkit 11 or 12" in step.get
    installation.require(gpu=False)
    with pytest.raises(
        UserError, match=r"The device genn cannot be used here, CUDA version: 13\.0"
    ):
        installation.require(gpu=True)


@pytest.mark.parametrize(
    ("missing", "name"), [("bin/nvcc", "CUDA"), ("include/curand_kernel.h", "CUDA headers")]
)
def test_parts_of_cuda_that_are_missing_are_named(missing, name, tree):
    (tree[0] / "cuda" / missing).unlink()
    assert (last_step().name, last_step().works) == (name, False)


def test_a_machine_without_a_gpu_is_sent_to_the_cpu(tree):
    tree[2]["nvidia-smi"] = ""
    step = last_step()
    assert (step.name, step.works) == ("GPU", False)
    assert "genn-cpu" in step.get


def needs_genn():
    try:
        installation.require(gpu=False)
    except UserError as error:
        pytest.skip(str(error))


def wired(i, j, weight, *, steps=(0, 1, 30, 31, 200, 299), traced=("v", "I_syn")):
    """Cells that spikes reach over given pairs of neurons, at once and later."""
    inputs = Spikes("inputs", 3, np.arange(len(steps)) % 3, np.array(steps) * DT)
    cells = Population("cells", GainLIF(receptors=(), v_th=-69.1 * mV, v_reset=-70.3 * mV), 4)
    i, j, weight = np.array(i), np.array(j), np.array(weight) * nA
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
        traces=(Trace("cells", traced, np.array([3, 0, 2])),),
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
