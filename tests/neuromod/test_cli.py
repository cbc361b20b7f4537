import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

import neuromod as package
from neuromod import cli
from neuromod.devices import doctor
from neuromod.devices.finding import Finding
from neuromod.models import CircuitNeuron, library
from neuromod.parameters import parameters
from neuromod.runs import registry
from neuromod.runs.run import load_run


def words(text):
    return " ".join(text.split())


def listed(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal in which no table wraps."""
    monkeypatch.setenv("COLUMNS", "400")


def test_everything_that_has_a_name_is_listed(neuromod):
    ended = neuromod("list")
    assert ended.code == 0
    for kind in registry.KINDS:
        for name in set(registry.names(kind)) - {"lost"}:
            assert re.search(rf"^{name} ", ended.out, re.MULTILINE), name
    assert "Spikes of neurons driven by constant currents." in ended.out
    assert "needs no-such-package: pip install 'tiny[dream]'" in ended.out
    assert ended.err == "The protocol 'lost' needs no_such_module, which is not installed.\n"


def test_a_broken_guest_is_named_and_left_out_and_all_else_works(neuromod, guest):
    guest("crooked", "raise OSError('no licence')")
    ended = neuromod("list")
    assert ended.code == 0
    assert "crooked" not in ended.out
    assert "Spikes of neurons driven by constant currents." in ended.out
    assert re.search(
        r"The protocol 'crooked' cannot .*guest_of_.*\(OSError: no licence\)", ended.err
    )
    assert neuromod("describe", "tiny").code == 0
    assert neuromod("run", "tiny", "--out", "here").code == 0
    for command in ("describe", "run", "validate"):
        ended = neuromod(command, "crooked")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.count("\n") == 1
        assert "no licence" in ended.err
    assert "Traceback" in neuromod("describe", "crooked", "--debug").err


def test_a_model_is_described_with_equations_inputs_units_and_sources(neuromod):
    ended = neuromod("describe", "circuit")
    assert CircuitNeuron().equations.strip() in ended.out
    assert "exponential_euler" in ended.out
    inputs, _, settings = ended.out.partition("\nParameters")
    assert re.search(r"vdd +0\.75 V +.*supply.* +0\.5 to 1 V +the circuit", inputs)
    for name, _, about in parameters(CircuitNeuron):
        assert re.search(rf"^{name} .*{re.escape(about.source)}", settings, re.MULTILINE)


def test_a_receptor_is_described_by_its_name(neuromod):
    ended = neuromod("describe", "D1")
    assert ended.out.startswith("Dopamine D1: Gs.")
    assert library["D1"].equations in ended.out
    assert re.search(r"k_off +8/s +unbinding rate.* above 0/s +estimate: sensors", ended.out)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bath", "bath(population, conc)"),
        ("trace", "dlevel_{ligand}/dt = slope_{ligand}"),
        ("volume", "amount, length, tau_clear, reach=7.0, delay=0*ms)"),
        ("mirror", "vto : ndarray"),
        ("nt1", "v = a (W x + b)"),
        ("structural-plasticity", "tau_calcium"),
        ("modulated-layer", "ModulatedLayer(base)"),
        ("mirror", "from neuromod.models import Mirror\n\nMirror("),
        ("rate-classifier", "from neuromod.models import RateClassifier\n\nRateClassifier("),
        ("SpikingClassifier", "import SpikingClassifier\n\nSpikingClassifier("),
        ("nt1_inputs", "from neuromod.tuning.methods import NT1Inputs\n\nNT1Inputs("),
        ("wash", "from neuromod.inputs.modulators import wash\n\nwash("),
    ],
)
def test_whatever_has_a_name_is_described(name, shown, neuromod):
    kind = registry.kinds_of(name)[-1]
    if registry.missing(kind, name):
        pytest.skip("needs torch")
    ended = neuromod("describe", name)
    assert (ended.code, ended.err) == (0, "")
    assert shown in ended.out


def test_a_name_of_several_kinds_is_described_as_each(neuromod):
    ended = neuromod("describe", "wash")
    protocol, _, delivery = ended.out.partition("DELIVERY wash")
    assert "tau_exchange" in protocol
    assert "wash(ligand, population, conc, onset, offset, tau_exchange, dt)" in delivery


def test_a_protocol_is_described_with_settings_and_devices(neuromod):
    ended = neuromod("describe", "tiny")
    assert "They start at random potentials." in ended.out
    assert "Runs on cython, cpp, genn, genn-cpu (neuromod doctor says" in ended.out
    assert re.search(r"mode +plain +word +plain or fancy +chosen here", ended.out)
    assert re.search(r"neuron.receptors +none +metabotropic", ended.out)


def test_a_protocol_that_processes_do_not_share_is_refused_under_torchrun(neuromod, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    ended = neuromod("run", "tiny")
    assert ended.code == 2
    assert ended.err.strip() == "tiny is not shared among processes: start it without torchrun."


def test_a_protocol_whose_model_genn_cannot_run_says_why(neuromod, tiny, monkeypatch):
    class Noisy(type(tiny().neuron)):
        threshold = "v > v_th + 0.1*mV*rand()"

    noisy = tiny(neuron=Noisy(receptors=()))
    monkeypatch.setattr(registry, "find", lambda *_: lambda: noisy)
    ended = neuromod("describe", "tiny")
    assert "Runs on cython, cpp; not on GeNN: rand() draws on the device" in ended.out


def test_a_run_writes_its_recordings_in_the_format_asked_for(neuromod, tmp_path):
    assert neuromod("run", "tiny", "--format", "nwb", "--out", "here").code == 0
    assert (tmp_path / "here" / "tiny.nwb").is_file()
    assert load_run(tmp_path / "here").info["format"] == "nwb"
    told = neuromod("run", "tiny", "--format", "csv", "--out", "there")
    assert (told.code, told.err.strip()) == (
        2,
        "There is no format of recordings named 'csv'; there are nix, nwb.",
    )


def test_a_run_says_in_what_precision_it_was_made(neuromod, tmp_path):
    for precision in ("double", "single"):
        assert neuromod("run", "tiny", "--precision", precision, "--out", precision).code == 0
        assert load_run(tmp_path / precision).info["precision"] == precision
    assert re.search(r"precision +double +single", neuromod("compare", "double", "single").out)


def test_genn_that_is_not_here_is_told_with_the_next_step(neuromod, monkeypatch):
    monkeypatch.delenv("GENN_PATH", raising=False)
    monkeypatch.setattr("neuromod.devices.genn.installation.look_for_genn", lambda: None)
    ended = neuromod("run", "tiny", "--device", "genn-cpu")
    assert ended.code == 2
    assert "The device genn-cpu cannot be used here" in ended.err
    assert "next step: " in ended.err
    assert ended.err.count("\n") == 1


def test_a_run_is_written_and_shown(neuromod, tmp_path):
    ended = neuromod(
        "run",
        "tiny",
        "--set",
        "tau_m=17.3*ms",
        "--set",
        "current=[0.7, 0.9, 1.1]*nA",
        "--seed",
        "5",
        "--out",
        "here",
    )
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"current nA +spikes +rate Hz *\n0\.7 ", ended.out)
    assert "Figure: here/figure.png\nReport: here/report.html" in ended.out
    protocol = load_run(tmp_path / "here").protocol
    assert (protocol.seed, len(protocol.current)) == (5, 3)


def test_a_long_table_is_cut(neuromod):
    ended = neuromod("run", "tiny", "--set", "current=linspace(0.5, 1, 40)*nA", "--out", "here")
    assert "24 more rows in table.csv" in ended.out


def test_without_out_a_run_has_its_name_and_time(neuromod, tmp_path):
    assert neuromod("run", "tiny").code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    # To the microsecond: a loop over seeds starts several runs in a second.
    assert re.fullmatch(r"tiny-\d{8}-\d{6}-\d{6}", folder.name)


def test_demo_is_an_ordinary_run(neuromod, tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(registry, "find", lambda *_: tiny)
    assert neuromod("demo", "--seed", "9", "--out", "here").code == 0
    assert json.loads((tmp_path / "here" / "run.json").read_text())["seed"] == 9


def test_runs_are_compared(neuromod):
    for seed, folder in (("3", "a"), ("3", "b"), ("4", "c")):
        assert neuromod("run", "tiny", "--seed", seed, "--out", folder).code == 0
    same = neuromod("compare", "a", "b")
    assert same.code == 0
    assert "Settings: no difference." in same.out
    assert "Circumstances: no difference." in same.out
    assert re.search(r"tiny +cells +(\d+) +\1 +0 +0 +yes", same.out)
    other = neuromod("compare", "a", "c")
    assert re.search(r"seed +3 +4", other.out)
    assert re.search(r"tiny +cells +\d+ +\d+ +\d+ +\d+ +no", other.out)


def test_names_of_compared_columns_stay_whole_on_a_usual_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    row = {
        "column": "gain_over_control",
        **{"rows": 108, "different": 72, "largest_difference": 0.76781, "largest_relative": 0.3028},
        **{"unmatched": 0, "of": "table.csv"},
    }
    cli._print_table(pd.DataFrame([row]), "Columns", 1)
    shown = capsys.readouterr().out
    assert re.search(r"^gain_over_control +108 +72 +0.7678 ", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_report_is_written_again(neuromod, tmp_path):
    neuromod("run", "tiny", "--out", "here")
    (tmp_path / "here" / "report.html").unlink()
    ended = neuromod("report", "here")
    assert (ended.code, ended.out) == (0, "here/report.html\n")
    assert (tmp_path / "here" / "report.html").exists()


def test_what_a_run_has_written_is_verified(neuromod, tmp_path):
    neuromod("run", "tiny", "--out", "here")
    assert neuromod("verify", "here").out == "here: all 6 files are what was written.\n"
    with (tmp_path / "here" / "figure.png").open("ab") as figure:
        figure.write(b"x")
    ended = neuromod("verify", "here")
    assert (ended.code, ended.out) == (2, "")
    assert "not what was written: figure.png; neuromod report here draws" in ended.err


def test_a_run_is_repeated_to_the_bit_or_not(neuromod, tmp_path):
    neuromod("run", "tiny", "--seed", "7", "--precision", "single", "--out", "here")
    ended = neuromod("repeat", "here", "--out", "again")
    assert ended.out == "The same to the bit: table.csv and recording tiny.\n"
    assert (ended.code, ended.err) == (0, "")
    assert load_run(tmp_path / "again").info["precision"] == "single"
    (tmp_path / "here" / "tiny.nix").unlink()
    ended = neuromod("repeat", "here")
    assert (ended.code, ended.out) == (1, "The same to the bit: table.csv.\n")
    assert ended.err == "Not the same as in here, or damaged there: recording tiny.\n"


@pytest.mark.parametrize("command", ["verify", "repeat", "report"])
def test_a_run_whose_replacing_was_killed_is_found(command, neuromod, tmp_path):
    neuromod("run", "tiny", "--seed", "7", "--out", "here")
    work = tmp_path / ".here-partial"
    work.mkdir()
    (work / "owner").write_text(f"process 1 on {os.uname().nodename}")
    (tmp_path / "here").rename(work / "old")
    assert neuromod(command, "here").code == 0
    assert listed(tmp_path) == {"here"}


def test_a_figure_that_fails_loses_no_results(neuromod, tiny, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiny, "save_extras", fail)
    ended = neuromod("run", "tiny", "--out", "here")
    assert ended.code == 2
    assert re.search(r"here cannot be written, because the disk /.* is full: .* free", ended.err)
    assert "here: neuromod report " in ended.err
    assert neuromod("report", "here").code == 0
    assert neuromod("verify", "here").code == 0


def finding(name, works):
    return Finding(name, works, "found", "" if works else "apt install it")


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_doctor_fails_with_the_default_device(works, code, neuromod, monkeypatch):
    found = {"Devices": [finding("cython", works), finding("cpp", not works)]}
    monkeypatch.setattr(doctor, "examine", lambda: found)
    ended = neuromod("doctor")
    assert ended.code == code
    assert "found -> apt install it" in ended.out
    assert ("cython, does not work" in ended.err) is not works


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_doctor_of_one_device_fails_with_that_device(works, code, neuromod, monkeypatch):
    monkeypatch.setattr(
        doctor, "examine_device", lambda device: {"Devices": [finding(device, works)]}
    )
    ended = neuromod("doctor", "--device", "genn-cpu")
    assert ended.code == code
    assert ("The device genn-cpu does not work." in ended.err) is not works


def test_pretraining_tells_the_accuracy(neuromod, monkeypatch):
    backbone = pytest.importorskip("neuromod.tuning.backbone")

    class Trained:
        name, source_accuracy = "digits-vgg", 0.987654

    monkeypatch.setattr(backbone, "pretrain", lambda progress: progress(1, 1) or Trained())
    ended = neuromod("pretrain")
    assert (ended.code, ended.out) == (0, "digits-vgg: 98.8% of its test images right.\n")


def test_pretraining_without_torch_is_told(neuromod, monkeypatch):
    monkeypatch.delitem(sys.modules, "neuromod.tuning.backbone", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    ended = neuromod("pretrain")
    assert ended.code == 2
    assert "pip install 'brian2-neuromod[train]'" in ended.err


def test_version(neuromod):
    ended = neuromod("--version")
    assert (ended.code, ended.out) == (0, f"neuromod {package.__version__}\n")


NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
MISTAKES = [
    (["sweep", "vdd-sweep", *2 * ["--grid", "vdd=[0.6, 0.7]*volt"]], "given twice by --grid"),
    (["sweep", "vdd-sweep", "--grid", "vdd=[0.6]*volt", "--resume"], "Give the folder"),
    (["run", "vddsweep"], "no protocol named 'vddsweep': did you mean vdd-sweep?"),
    (["describe", "gainlif"], "sensor or circuit named 'gainlif': did you mean gain-lif or"),
    (["run", "needy"], "needs no_such_package, which is not installed: pip install 'tiny[dream]'"),
    (["run", "tiny", "--set", "tua_m=3*ms"], "no setting named 'tua_m': did you mean tau_m"),
    (["run", "tiny", "--device", "cp"], "no device named 'cp': did you mean cpp?"),
    (["run", "tiny", "--precision", "half"], "no precision named 'half'; there are double, single"),
    (["run", "tiny", "--set", "tau_m=3*mV"], "a value in second was expected"),
    (["run", "tiny", "--set", "tau_m=3*mz"], "no unit named 'mz'"),
    (["run", "tiny", "--set", "tau_m=__import__('os')"], "is not a value that can be read"),
    (
        ["run", "tiny", "--set", "tau_m=-1.5*ms"],
        "tau_m = -1.5 ms is out of range: expected above 0 ms",
    ),
    (
        ["run", "vdd-sweep", "--set", "vdd=1.2*volt"],
        "vdd = 1.2 V is out of range: expected 0.5 to 1 V",
    ),
    (
        ["run", "vdd-sweep", "--set", "vdd=[0.3, 0.6]*volt"],
        "vdd = 0.3 V is out of range: expected 0.5 to 1 V",
    ),
    (["run", "vdd-sweep", "--set", "C=0*fF"], "C = 0 F is out of range: expected above 0 F"),
    (["run", "tiny", "--set", "tau_m"], "'tau_m' is not of the form name=value"),
    (["run", "tiny", "--seed", "-1"], "seed = -1 is out of range"),
    (["run", "tiny", "--set", "duration=31.75*ms"], "whole number of time steps"),
    (["run", "tiny", "--out", "file/run"], "file/run cannot be written"),
    (["run", "tiny", "--out", "file"], "file is a file"),
    (["run", "tiny", "--out", "old"], "old already holds a run"),
    (["run", "tiny", "--out", "full", "--overwrite"], "full holds files that are no run"),
    pytest.param(
        ["run", "demo", "--set", "data=nowhere"],
        "no data set or folder named 'nowhere'",
        marks=NEEDS_TORCH,
    ),
    pytest.param(["run", "demo", "--set", "backbone=vgg91"], "mean vgg19", marks=NEEDS_TORCH),
    (["report", "full"], "There is no run in full"),
    *[
        (arguments, "x' cannot be used: File name too long.")
        for arguments in (
            ["report", "x" * 700],
            ["verify", "x" * 700],
            ["repeat", "x" * 700],
            ["compare", "x" * 700, "old"],
            ["run", "tiny", "--out", "x" * 700],
        )
    ],
    (["verify", " "], "There is no run in ' ': it has no run.json."),
    (
        ["export", "spice", "vdd-sweep", "--out", "x" * 700],
        f"'{'x' * 39}...{'x' * 39}' cannot be written (File name too long).",
    ),
    (["compare", "old", "nowhere"], "old"),
    (["run", "tiny", "--sett", "x=1"], "No such option"),
    (["run"], "Missing argument"),
    (["run", "tiny", "--seed", "x"], "Invalid value"),
    (["walk"], "No such command"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_gets_one_sentence_and_loses_nothing(arguments, message, neuromod, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text("{}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    before = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    ended = neuromod(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in words(ended.err)
    assert "Traceback" not in ended.err
    if "Usage" not in ended.err:
        assert ended.err.count("\n") == 1
    after = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    assert {path: text for path, text in after.items() if path.name != "runs"} == before


@pytest.mark.parametrize("place", [0, 1, 4])
def test_debug_shows_the_traceback_wherever_it_stands(place, neuromod):
    arguments = ["run", "tiny", "--set", "tau_m=3*mV"]
    arguments.insert(place, "--debug")
    ended = neuromod(*arguments)
    assert ended.code == 2
    assert ended.err.startswith("Traceback")
    assert ended.err.endswith("such as 20*ms.\n")


def test_an_unexpected_error_is_named(neuromod, tmp_path):
    ended = neuromod("run", "tiny", "--set", "broken=true", "--out", "here")
    assert ended.code == 1
    assert ended.err.startswith("RuntimeError: measuring failed (unexpected: --debug")
    assert ended.err.count("\n") == 1
    assert not listed(tmp_path)
    assert "Traceback" in neuromod("--debug", "run", "tiny", "--set", "broken=true").err


MAIN = "from neuromod.cli import main; main()"


@pytest.mark.thorough
def test_an_ascii_terminal_gets_escapes_and_the_whole_run(plugin, tmp_path):
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    place = "Läufe µ".encode()
    for arguments in (
        ["run", "tiny", "--set", "note=Käse".encode(), "--out", place],
        ["report", place],
    ):
        ended = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            env={**plugin, **ascii_only},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert r"L\udcc3\udca4ufe \udcc2\udcb5/report.html" in ended.stdout
    stored = load_run(tmp_path / place.decode())
    assert os.fsencode(stored.protocol.note).decode() == "Käse"


FAIL_BUILDING = "from neuromod.devices import simulation; simulation.SpikeMonitor = None; "


@pytest.mark.parametrize(
    ("code", "setting", "exit_code"),
    [(MAIN, "tau_m=3*mV", 2), (MAIN, "broken=true", 1), (FAIL_BUILDING + MAIN, "seed=3", 1)],
)
def test_brian_adds_no_words_and_no_files(
    code, setting, exit_code, plugin, tmp_path, tmp_path_factory
):
    # Brian2 has a word to say of a cache that has grown beyond 1 GB.
    home = str(tmp_path_factory.mktemp("home"))
    ended = subprocess.run(
        [sys.executable, "-c", code, "run", "tiny", "--set", setting],
        env={**plugin, "TMPDIR": str(tmp_path), "HOME": home},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == exit_code
    assert ended.stderr.count("\n") == 1
    assert not [name for name in listed(tmp_path) if "brian" in name]


def test_importing_the_package_is_light(python):
    ended = python(
        "import time, brian2; start = time.perf_counter(); import neuromod\n"
        "from neuromod import Experiment, UserError; print(time.perf_counter() - start)\n"
        "import sys; print({'torch', 'elephant', 'pandas', 'sklearn'} & set(sys.modules))"
    )
    seconds, modules = ended.out.splitlines()
    assert float(seconds) < 1
    assert modules == "set()"


def test_the_command_line_alone_needs_no_brian(python):
    ended = python(
        "import sys; from neuromod import cli; from neuromod.runs import registry\n"
        "[registry.title('protocol', name) for name in registry.names('protocol')]\n"
        "print({'torch', 'brian2', 'pandas'} & set(sys.modules))"
    )
    assert ended.out == "set()\n"


def descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [*children, *(deeper for child in children for deeper in descendants(child))]


def runs_program(pid, name):
    try:
        return any(
            Path(f"/proc/{child}/comm").read_text().strip() == name for child in descendants(pid)
        )
    except (FileNotFoundError, ProcessLookupError):
        # It ended between being listed and being read.
        return False


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("device", "program", "number"),
    [
        ("cython", "", signal.SIGINT),
        pytest.param("cython", "", signal.SIGTERM, marks=pytest.mark.thorough),
        ("cpp", "make", signal.SIGINT),
        pytest.param("cpp", "main", signal.SIGINT, marks=pytest.mark.thorough),
        pytest.param("cpp", "main", signal.SIGTERM, marks=pytest.mark.thorough),
    ],
)
def test_a_signal_leaves_nothing(device, program, number, plugin, tmp_path, tmp_path_factory):
    """Hours of biological time, interrupted as a terminal does it: the whole process group."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from neuromod.cli import main; main()",
            "run",
            "tiny",
            "--device",
            device,
            "--set",
            "duration=20160*second",
            "--out",
            "here",
        ],
        # A program that was kept would not be compiled.
        env={
            **plugin,
            "TMPDIR": str(tmp_path),
            "NEUROMOD_CACHE": str(tmp_path_factory.mktemp("cache")),
        },
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        give_up = time.monotonic() + 200
        while time.monotonic() < give_up and not (
            runs_program(process.pid, program) if program else any(tmp_path.glob(".here-*"))
        ):
            time.sleep(0.05)
        # Well into the simulation, or wherever a slow machine is by then: the end is the same.
        time.sleep(0 if program == "make" else 3)
        os.killpg(process.pid, number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    code, word = (143, "Terminated") if number == signal.SIGTERM else (130, "Interrupted")
    assert process.returncode == code
    assert stderr.endswith(f"{word}: nothing was written.\n")
    assert "Traceback" not in stderr
    # The compiler removes its own files when it is interrupted, and may end after neuromod.
    give_up = time.monotonic() + 20
    while listed(tmp_path) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not listed(tmp_path)
    assert not any(str(tmp_path) in line for line in running("main"))


def running(name):
    """Command lines of all processes of a name."""
    found = subprocess.run(["ps", "-C", name, "-o", "args="], capture_output=True, text=True)
    return found.stdout.splitlines()
