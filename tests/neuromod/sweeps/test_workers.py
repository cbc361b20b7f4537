import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from brian2 import Hz, ms

from neuromod.errors import UserError
from neuromod.sweeps.chunks import Chunk, Request, compute
from neuromod.sweeps.workers import ALLOCATION, INHERITED, _jobs, connected, outcomes


def chunks(count=4):
    request = Request("tiny", {"duration": "11.3 * ms"})
    for number in range(count):
        points = np.arange(2) + 2 * number
        values = {"tau_m": np.linspace(14, 27, 2 * count)[points] * ms, "seed": points + 1}
        yield number, Chunk(request, points, values)


def spikes(found):
    return {number: outcome.tables["table"].to_dict() for number, _, outcome in found}


@pytest.fixture
def two_workers(monkeypatch, plugin):
    pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", plugin["PYTHONPATH"])
    with connected(2, "", None) as client:
        yield client


@pytest.mark.usefixtures("plugin")
def test_one_process_needs_no_dask():
    with connected(1, "", None) as client:
        assert client is None
        found = list(outcomes(chunks(2), client))
    assert [(number, size) for number, size, _ in found] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_two_workers_give_what_one_process_gives_even_if_one_is_killed(two_workers, killed):
    """Chunks of the worker that is killed while it works are computed by others."""
    alone = {number: compute(chunk).tables["table"].to_dict() for number, chunk in chunks()}

    def kill():
        time.sleep(1.5)
        for pid in list(two_workers.run(os.getpid).values())[:killed]:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = spikes(outcomes(chunks(), two_workers))
    killer.join()
    assert found == alone


@pytest.mark.thorough
def test_nothing_listens_beyond_this_machine():
    psutil = pytest.importorskip("psutil")
    with connected(2, "", None):
        here = psutil.Process()
        processes = [here, *here.children(recursive=True)]
        places = {
            socket.laddr.ip
            for process in processes
            for socket in process.net_connections()
            if socket.status == "LISTEN"
        }
    assert places == {"127.0.0.1"}


CLIENT = """
import os, time
from neuromod.sweeps.workers import connected
with connected(2, "", None) as client:
    print(*client.run(os.getpid).values(), flush=True)
    time.sleep(600)
"""


@pytest.mark.thorough
def test_workers_end_with_a_client_that_is_killed():
    psutil = pytest.importorskip("psutil")
    with subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, text=True) as one:
        workers = [psutil.Process(int(number)) for number in one.stdout.readline().split()]
        left = psutil.Process(one.pid).children(recursive=True)
        one.kill()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(left, timeout=120)
    assert alive == []


DEADLY = """
from dataclasses import dataclass
import os
import pandas as pd
from brian2 import Hz, Quantity
from neuromod import Training
from neuromod.parameters import positive

@dataclass(frozen=True, eq=False)
class Guest(Training):
    '''Ends its process at one value.'''
    rate: Quantity = positive(1 * Hz, "a rate", "chosen here")

    def train(self):
        if self.rate == 3 * Hz:
            os._exit(9)
        return {"table": pd.DataFrame({"twice_Hz": [2 * float(self.rate / Hz)]})}
"""


@pytest.mark.thorough
def test_a_point_that_kills_its_workers_fails_alone(guest, monkeypatch):
    """Its chunk is halved until it stands alone."""
    pytest.importorskip("distributed")
    guest("deadly", DEADLY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    values = {"rate": np.arange(1, 6) * Hz}
    chunk = Chunk(Request("deadly", {}), np.arange(5), values)
    with connected(2, "", None) as client:
        ((_, size, outcome),) = outcomes(iter([(0, chunk)]), client)
    assert size == 5
    assert set(outcome.failures) == {2}
    assert "worker" in outcome.failures[2]
    assert outcome.tables["table"].twice_Hz.tolist() == [2, 4, 8, 10]


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """The command of a batch system that never starts anything."""
    pytest.importorskip("dask_jobqueue")
    command = tmp_path / "bin" / "sbatch"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho Submitted batch job 7\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((2, "tcp://127.0.0.1:1", None), "one of workers, scheduler and cluster"),
        ((-1, "", None), "at least"),
        ((0, "", None), "at least"),
        ((None, "", "missing.toml"), "cannot be read"),
    ],
)
def test_what_is_no_place_to_compute_is_refused(asked, message):
    with pytest.raises(UserError, match=message), connected(*asked):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class = ", "cannot be read as TOML"),
        ('class = "SLURM"\njobs = 2', "did you mean SLURMCluster"),
        ('class = "SLURMCluster"', "number of jobs"),
        ('class = "SLURMCluster"\njobs = 2\njob_script_prologue = "ls"', "a list of lines"),
        ('class = "SLURMCluster"\njobs = 2\nmemory = "2GB"\nqeue = "long"', "does not take"),
    ],
)
@pytest.mark.usefixtures("sbatch")
def test_a_file_that_describes_no_cluster_is_refused(tmp_path, text, message):
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message), connected(None, "", path):
        pass


def test_a_cluster_needs_its_command(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "cluster.toml"
    path.write_text('class = "SLURMCluster"\njobs = 2')
    with pytest.raises(UserError, match="the command sbatch"), connected(None, "", path):
        pass


@pytest.mark.usefixtures("sbatch")
def test_a_batch_job_has_one_thread_for_each_worker(tmp_path, monkeypatch):
    jobqueue = pytest.importorskip("dask_jobqueue")
    asked = {}
    # Closing scales to none.
    monkeypatch.setattr(
        jobqueue.SLURMCluster, "scale", lambda _, *none, **some: none or asked.update(some)
    )
    path = tmp_path / "cluster.toml"
    own = 'job_script_prologue = ["module load python", "export MALLOC_ARENA_MAX=2"]'
    about = 'class = "SLURMCluster"\njobs = 3\ncores = 4\nmemory = "8GB"\nqueue = "long"'
    path.write_text(f"{about}\n{own}")
    with _jobs(path) as cluster:
        script = cluster.job_script()
    assert asked == {"jobs": 3}
    assert "--nworkers 4" in script
    assert "--nthreads 1" in script
    assert "-p long" in script
    lines = [line for line in script.splitlines() if line.startswith(("export", "module"))]
    expected = [f"export {name}={value}" for name, value in ALLOCATION.items()]
    assert lines == [*expected, "module load python", "export MALLOC_ARENA_MAX=2"]


def test_workers_keep_the_memory_of_arrays_for_the_next():
    pytest.importorskip("distributed")
    with connected(2, "", None) as client:
        for name, value in ALLOCATION.items():
            assert set(client.run(os.getenv, name).values()) == {str(value)}
    assert INHERITED not in os.environ
