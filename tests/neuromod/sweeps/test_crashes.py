"""Sweeps whose processes are killed at any moment, and what `--resume` makes of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms

from neuromod.sweeps import sweep as module
from neuromod.sweeps.workers import _local

pytest.importorskip("xarray")
pytest.importorskip("zarr")

GRID = {"tau_m": [14.5, 17.5, 20.5, 23.5] * ms, "t_ref": [2, 4, 6] * ms}
SEEDS = [pytest.param(seed, marks=pytest.mark.thorough) for seed in range(50)]
"""Of the moments, which lie anywhere from the start to the last file."""

# Imports everything once; each line that it reads is a sweep in a process of its own.
FORKS = """
import os, sys
import neuromod.protocols, zarr
from neuromod.sweeps import sweep as module
from brian2 import ms
module.chunk_size = lambda *_: 2
grid = {"tau_m": [14.5, 17.5, 20.5, 23.5] * ms, "t_ref": [2, 4, 6] * ms}
print(flush=True)
for line in sys.stdin:
    place, resume = line.split()
    child = os.fork()
    if not child:
        module.sweep("tiny", grid, workers=1, out=place, resume=resume == "resume")
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Forks:
    """Sweeps in processes that can be killed."""

    def __init__(self, environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.process.stdout.readline()

    def run(self, place, resume="begin", kill_after=None):
        """How a sweep ended, and after how many seconds."""
        begun = time.perf_counter()
        print(place, resume, file=self.process.stdin, flush=True)
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            # A quick one may have ended.
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(self.process.stdout.readline())
        return status, time.perf_counter() - begun


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    plugin = Path(__file__).parents[2] / "plugin"
    forks = Forks({**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), *sys.path])})
    forks.whole = tmp_path_factory.mktemp("whole") / "sweep"
    # The first sweep in a process takes longer.
    for _ in range(2):
        status, forks.takes = forks.run(forks.whole.with_name(f"sweep{_}"))
        assert status == 0
    forks.whole = forks.whole.with_name("sweep1")
    yield forks
    forks.process.stdin.close()
    forks.process.wait()


def contents(folder):
    """Every file below a folder and its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def different(folder, other):
    """Names of files that are not the same in two folders."""
    here, there = contents(folder), contents(other)
    names = sorted(here.keys() | there.keys())
    return [name for name in names if here.get(name) != there.get(name)]


@pytest.mark.parametrize("seed", [50, *SEEDS])
def test_a_client_killed_at_any_moment_is_resumed_to_the_same_bits(forks, tmp_path, seed):
    place = tmp_path / "sweep"
    moment = np.random.default_rng(seed).uniform(0, forks.takes)
    forks.run(place, kill_after=moment)
    before = contents(place) if place.is_dir() else {}
    chunks = sum(name.endswith(".npz") for name in before)
    print(f"killed after {moment:.2f} of {forks.takes:.2f} s with {chunks} chunks")
    status, _ = forks.run(place, "resume" if place.is_dir() else "begin")
    print(f"resumed with {status}, different: {different(place, forks.whole)}")
    assert status == 0
    assert different(place, forks.whole) == []


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed")
    plugin = Path(__file__).parents[2] / "plugin"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(plugin)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(plugin), *sys.path]))
        patch.setattr(module, "chunk_size", lambda *_: 2)
        with _local(2) as cluster:
            yield cluster


def swept(cluster, place):
    """Seconds that a sweep on those workers takes, which are both there at its start."""
    from distributed import Client

    with Client(cluster) as client:
        client.wait_for_workers(2)
    begun = time.perf_counter()
    module.sweep("tiny", GRID, scheduler=cluster.scheduler_address, out=place)
    return time.perf_counter() - begun


@pytest.fixture(scope="module")
def takes(cluster, tmp_path_factory):
    """Seconds of a sweep of which no worker is killed."""
    return [swept(cluster, tmp_path_factory.mktemp("warm") / name) for name in "ab"][-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_killed_at_any_moment_changes_no_bit(cluster, takes, forks, tmp_path, seed):
    from distributed import Client

    draw = np.random.default_rng(seed)
    moment, number = draw.uniform(0, takes), draw.integers(2)
    with Client(cluster) as client:
        client.wait_for_workers(2)
        # One that was killed at the end of another sweep may still be listed, and not answer.
        processes = sorted(client.run(os.getpid, on_error="ignore").values())
        process = processes[number % len(processes)]
    killer = threading.Timer(moment, os.kill, [process, signal.SIGKILL])
    killer.start()
    swept(cluster, tmp_path / "sweep")
    killer.join()
    print(f"killed after {moment:.2f} of {takes:.2f} s")
    assert different(tmp_path / "sweep", forks.whole) == []
