"""A third party's package of protocols, and the command line and Python as tests call them."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_cache_dir

from neuromod import cli
from neuromod.runs import registry

PLUGIN = Path(__file__).parent / "plugin"


def pytest_configure(config: pytest.Config) -> None:
    """Compile little and quickly in the default suite; with any other ``-m``, as users do.

    Compiling hundreds of small models would take most of the suite's time, half of that for
    optimising what runs for milliseconds. What is compiled is kept apart from users' own.
    """
    # With -n only the workers run tests; elsewhere Brian2 would take Ctrl-C from pytest.
    runs_tests = hasattr(config, "workerinput") or not config.getoption("numprocesses", None)
    if runs_tests and config.getoption("markexpr") == "not thorough":
        from brian2 import prefs

        prefs["codegen.cpp.extra_compile_args_gcc"] = ["-w", "-O1"]
        prefs["codegen.runtime.cython.cache_dir"] = str(Path(user_cache_dir("neuromod"), "tests"))


@pytest.fixture(autouse=True)
def _as_found() -> Iterator[None]:
    """Fail a test that leaves later ones to another target of Brian2's."""
    from brian2 import prefs

    before = prefs["codegen.target"]
    yield
    after, prefs["codegen.target"] = prefs["codegen.target"], before
    assert after == before, f"The test left Brian2's codegen.target at {after!r}, not {before!r}."


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep what collecting has imported out of every later search for unreachable objects.

    Brian2 asks for such a search at every run; half a million objects of PyTorch, Brian2 and pandas
    made it a fifth of the suite's time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium without a window; skips where it is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no run to NumPy."""
    monkeypatch.setattr("neuromod.devices.target._compile_s", lambda _: -1)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The package in tests/plugin, as if installed; gives the environment of a child process."""
    monkeypatch.syspath_prepend(PLUGIN)
    return {**os.environ, "PYTHONPATH": str(PLUGIN)}


@pytest.fixture
def guest(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Install, as it were, a package of one module whose name is its own, with an entry point."""

    def install(name: str, source: str, place: str = "{module}:Guest", kind: str = "protocol"):
        folder = tmp_path_factory.mktemp("guest_of_this_test", numbered=True)
        module = folder.name
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        about = folder / f"{module}-0.3.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.3\n")
        group = f"[{registry.GROUPS[kind]}]"
        (about / "entry_points.txt").write_text(f"{group}\n{name} = {place}".format(module=module))
        monkeypatch.syspath_prepend(folder)

    return install


@pytest.fixture
def needs() -> Callable[[str], None]:
    """Skips a test on a device that cannot be used here, with the reason."""

    def check(device: str) -> None:
        from neuromod.devices.simulation import check_request
        from neuromod.errors import UserError

        try:
            check_request(device, "double")
        except UserError as error:
            pytest.skip(str(error))

    return check


@pytest.fixture
def tiny(plugin: dict[str, str]) -> Any:  # noqa: ARG001
    """The protocol class `Tiny` of that package."""
    return import_module("tiny_protocol").Tiny


@pytest.fixture
def neuromod(
    plugin: dict[str, str],  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Outcome]:
    """Call the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    # On a slow machine lines of progress would stand among what tests expect.
    monkeypatch.setattr("neuromod.support.progress.EVERY_S", 1e5)

    def command(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["neuromod", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(int(end.value.code or 0), captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with nothing but the embedded network, trained once for all test processes."""
    filelock = pytest.importorskip("filelock")
    from neuromod.tuning.backbone import load_backbone

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pretrained"
    with filelock.FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(folder))
        load_backbone()
    return folder


@pytest.fixture
def python() -> Callable[[str], Outcome]:
    """Run Python code in a process of its own."""

    def command(code: str) -> Outcome:
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        return Outcome(ended.returncode, ended.stdout, ended.stderr)

    return command


@pytest.fixture
def together() -> Callable[..., list[Outcome]]:
    """Run Python code in two processes with what torchrun sets, without the launcher's own."""

    def command(code: str, *arguments: str) -> list[Outcome]:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
        common = {
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        }
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in "01"
        ]
        ended = [(process, process.communicate(timeout=300)) for process in started]
        return [Outcome(process.returncode, *texts) for process, texts in ended]

    return command
