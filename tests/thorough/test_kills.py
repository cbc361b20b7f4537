"""Runs that are killed at random moments while they replace an older run.

The killed are real processes, as a shell starts them; what is done afterwards is called in this
one. Every kill has its own moment: drawn over the whole run, or after something is seen on disk,
so that many come while results are saved and drawn and while files are kept for later runs.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from brian2 import prefs

pytest.importorskip("torch")

pytestmark = pytest.mark.thorough

SEED = 20260
RUNS = {
    "demo": "demo --set methods=nt1 --set seeds=1 --set deployed_images=3",
    "vdd-sweep on cython": "vdd-sweep --set duration=201*usecond --set vdd=0.6*volt,0.9*volt",
    "vdd-sweep on cpp": "vdd-sweep --set duration=201*usecond --set vdd=0.6*volt,0.9*volt "
    "--device cpp",
    "transfer": "transfer --set data=digits --set tables=equal --set methods=nt1,nt2 "
    "--set candidates=0.02 --set epochs=2 --set runs=1",
    "engram": "engram --set n_excitatory=120 --set n_inhibitory=30 --set n_outside=300 "
    "--set indegree=20 --set weight=410*pA --set growing=20*second --set stimulation=20*second "
    "--set rest=20*second --set forgetting=20*second --set cues=0,1 --set dwell=0.3*second "
    "--set transient=0.1*second",
}
KEEPING = {"demo", "transfer", "vdd-sweep on cpp"}
SIGNALS = {signal.SIGKILL: 137, signal.SIGTERM: 143, signal.SIGINT: 130}
# Where the moments of each protocol and signal lie.
STAGES = ("any", "saving", "drawing", "keeping", "any", "starting", "drawing", "any")
# Without these the cache holds what took longest, the trained network.
QUICK = ("features-*", "tuned-*", "builds")
WAIT_S = 900
STARTING_S = 0.8
TOO_EARLY = r"<frozen site>|__editable__|neuromod/__init__\.py"


@dataclass(frozen=True)
class Undisturbed:
    """What runs give that nobody kills, the older one and the newer, and how long the latter took.

    Attributes
    ----------
    older, newer : dict of str to bytes
        Tables by file.
    files : set of str
        Names of all files of a run.
    folder : Path
        With the older run.
    seconds : float
        Of the newer run.
    stages : dict of str to float
        Its stages.
    """

    older: dict[str, bytes]
    newer: dict[str, bytes]
    files: set[str]
    folder: Path
    seconds: float
    stages: dict[str, float]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's folder, with caches that are warmed once, and quick compiling."""
    home = tmp_path_factory.mktemp("home")
    (home / ".brian").mkdir()
    (home / ".brian" / "user_preferences").write_text(
        'codegen.cpp.extra_compile_args_gcc = ["-w", "-O0"]\n'
    )
    (home / "cache").mkdir(mode=0o700)
    # Started in the background of a shell, this process and its children would not hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(prefs, "codegen.cpp.extra_compile_args_gcc", ["-w", "-O0"])
        extensions = str(home / ".cython" / "brian_extensions")
        patch.setitem(prefs, "codegen.runtime.cython.cache_dir", extensions)
        yield home


@pytest.fixture(scope="module")
def undisturbed(home, tmp_path_factory):
    """Run a protocol twice, once only."""
    known = {}

    def make(name):
        if name not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            for out in ("warming", "older", "newer"):
                since = time.monotonic()
                process = start(name, folder / out, home, home / "cache", seed(out))
                assert process.wait() == 0, (folder.parent / "stderr").read_text()
            known[name] = Undisturbed(
                tables(folder / "older"),
                tables(folder / "newer"),
                listed(folder / "newer"),
                folder / "older",
                time.monotonic() - since,
                json.loads((folder / "newer" / "run.json").read_text())["wall_s"],
            )
        return known[name]

    return make


def seed(out):
    return "2" if out == "older" else "1"


def listed(folder):
    return {path.name for path in folder.iterdir()}


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def command(name, out, number):
    return ["run", *RUNS[name].split(), "--seed", number, "--out", str(out), "--overwrite"]


def start(name, out, home, cache, number="1"):
    place = out.parent
    (place.parent / "tmp").mkdir(exist_ok=True)
    environment = {"HOME": home, "NEUROMOD_CACHE": cache, "TMPDIR": place.parent / "tmp"}
    # A process whom its group outlives would keep a pipe open.
    with (place.parent / "stdout").open("w") as stdout, (place.parent / "stderr").open("w") as err:
        return subprocess.Popen(
            [Path(sys.executable).with_name("neuromod"), *command(name, out, number)],
            env={**os.environ, **{key: str(value) for key, value in environment.items()}},
            cwd=place.parent,
            stdout=stdout,
            stderr=err,
            start_new_session=True,
        )


def await_moment(stage, process, run, cache, generator, expected):
    """Wait for the moment to kill; give it in words, or nothing where the run ended before."""
    inode, before = run.stat().st_ino, len(list(cache.rglob("*")))
    news = int(generator.integers(1, 7))
    seen, span = {
        "any": (lambda: True, expected.seconds),
        "starting": (lambda: True, STARTING_S),
        "saving": (lambda: any(run.parent.glob(".run-partial/new/*")), expected.stages["saving"]),
        "drawing": (
            lambda: run.exists() and run.stat().st_ino != inode,
            expected.stages["drawing"] + 0.5,
        ),
        "keeping": (lambda: len(list(cache.rglob("*"))) >= before + news, 0.1),
    }[stage]
    give_up = time.monotonic() + WAIT_S
    while not seen():
        if process.poll() is not None:
            return ""
        assert time.monotonic() < give_up, (run.parent.parent / "stderr").read_text()
        time.sleep(0.002)
    delay = generator.uniform(0, span)
    with_timeout(process, delay)
    return f"{stage}{f' of {news}' if stage == 'keeping' else ''} + {delay:.3f} s" * (
        process.poll() is None
    )


def with_timeout(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.parametrize(
    ("moment", "name", "number"),
    [
        pytest.param(moment, name, number, id=f"{moment}-{name}-{number.name}")
        for moment, name, number in itertools.product(range(len(STAGES)), RUNS, SIGNALS)
    ],
)
def test_a_killed_run_loses_nothing_and_leaves_nothing(
    moment, name, number, home, undisturbed, neuromod, tmp_path, monkeypatch, capsys
):
    expected = undisturbed(name)
    generator = np.random.default_rng([SEED, moment, list(RUNS).index(name), number])
    stage = STAGES[moment]
    if stage == "keeping" and name not in KEEPING:
        stage = "any"
    cache = home / "cache"
    run = tmp_path / "runs" / "run"
    word, alone = "", generator.random() < 0.5
    while not word:
        for left in ("runs", "tmp", "cache"):
            shutil.rmtree(tmp_path / left, ignore_errors=True)
        shutil.copytree(expected.folder, run)
        if stage == "keeping":
            everything = generator.random() < 0.2 and name != "vdd-sweep on cpp"
            ignored = shutil.ignore_patterns(*(["*"] if everything else QUICK))
            cache = shutil.copytree(home / "cache", tmp_path / "cache", ignore=ignored)
        process = start(name, run, home, cache)
        older = run.stat().st_ino
        word = await_moment(stage, process, run, cache, generator, expected)
    try:
        if alone:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
        code = process.wait(300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    flaws = []
    stderr = (tmp_path / "stderr").read_text()
    code = 128 - code if code < 0 else code
    # Until a line of its own runs, the program cannot know of Ctrl-C.
    if not (number == signal.SIGINT and re.search(TOO_EARLY, stderr)):
        if code != SIGNALS[number]:
            flaws.append(f"exit code {code}")
        if "Traceback" in stderr and number != signal.SIGKILL:
            flaws.append(f"traceback: {stderr}")
    monkeypatch.setenv("NEUROMOD_CACHE", str(cache))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    flaws += after_a_kill(neuromod, run, older, expected)
    kept = "none" if not run.exists() else "old" if run.stat().st_ino == older else "new"
    flaws += next_run(neuromod, name, run, expected)
    with_group_gone(process)
    whom = "alone" if alone else "group"
    with capsys.disabled():
        print(f"\nKILL {name}|{number.name} {whom}|{word}|{code}|{kept}|{flaws}", flush=True)
    assert not flaws


def after_a_kill(neuromod: Callable, run: Path, older: int, expected: Undisturbed) -> list[str]:
    """What is wrong with what a killed process left, once the next command has seen it."""
    flaws = []
    verified = neuromod("verify", "runs/run")
    if "neuromod report" in verified.err:
        drawn = neuromod("report", "runs/run")
        if drawn.code:
            flaws.append(f"not drawn: {drawn.err}")
        verified = neuromod("verify", "runs/run")
    if verified.code:
        flaws.append(f"damaged: {verified.err}")
    if not run.exists():
        return [*flaws, f"lost: {listed(run.parent)}"]
    wanted = expected.older if run.stat().st_ino == older else expected.newer
    if tables(run) != wanted:
        flaws.append("damaged: other tables")
    if listed(run) != expected.files:
        flaws.append(f"lacking: {expected.files ^ listed(run)}")
    checked = neuromod("cache", "--check")
    if checked.code:
        flaws.append(f"cache: {checked.err}")
    return flaws


def next_run(neuromod: Callable, name: str, run: Path, expected: Undisturbed) -> list[str]:
    """What is wrong with the next run, or left over after it."""
    flaws = []
    ended = neuromod(*command(name, "runs/run", "1"))
    if ended.code:
        flaws.append(f"next run: {ended.err}")
    if tables(run) != expected.newer:
        flaws.append("next run: other tables")
    beside = listed(run.parent) - {"run"}
    temporary = {name for name in listed(run.parent.parent / "tmp") if name.startswith("neuromod-")}
    if beside | temporary:
        flaws.append(f"leftovers: {beside | temporary}")
    if neuromod("cache", "--check").code:
        flaws.append("cache after the next run")
    return flaws


def with_group_gone(process: subprocess.Popen) -> None:
    """End what the killed process had started, if that is still there."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
