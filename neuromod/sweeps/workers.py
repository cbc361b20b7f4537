"""Chunks computed by Dask: in processes on this machine, or on a cluster.

Brian2 keeps its state in a process, so every worker is one with a single thread. A worker that dies
is replaced, and its chunk tried again elsewhere; a chunk that kills every worker is halved until
the point that does so stands alone.
"""

from __future__ import annotations

import logging
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from neuromod.errors import UserError, unknown
from neuromod.sweeps.chunks import Chunk, Outcome, compute

TRIES = 3
"""Of a chunk whose worker dies, before it is halved (chosen here)."""
AHEAD = 3
"""Chunks handed out for each worker, so that none waits and few are held in memory."""
QUIET = logging.CRITICAL
"""Dask's own messages that are shown: what matters of them is told as what became of points."""
ALLOCATION = {
    "MALLOC_TRIM_THRESHOLD_": 2**29,
    "MALLOC_MMAP_THRESHOLD_": 2**28,
    "MALLOC_ARENA_MAX": 1,
}
"""Of glibc in workers. Dask's own setting gives back the memory of every array after its use; a
worker that steps a network then spends most of its time on getting it again. Raising the first
alone does not help: whoever sets it also stops the second from growing with what is used."""
INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"
"""The variable by which Dask hands its configuration to programs that it starts."""
ANSWER_S, WORKERS_S = 30, 600
"""How long a scheduler may take to answer, and a queue to start the first job (chosen here)."""


@contextmanager
def connected(workers: int | None, scheduler: str, cluster: str | Path | None) -> Iterator[Any]:
    """Dask client of a scheduler by its address, of a cluster from a file, or of this machine.

    Nothing is given where this process is to do the work itself.

    Parameters
    ----------
    workers : int or None
        Processes on this machine, by default one for each core; 1 is this process.
    scheduler : str
        Address of a running scheduler, such as ``tcp://node7:8786``.
    cluster : path or None
        TOML file that names a class of dask-jobqueue, as in ``class = "SLURMCluster"``, how many
        ``jobs`` it starts, and the arguments of the class.

    Raises
    ------
    UserError
        When Dask is missing, nothing answers, or the file does not describe a cluster.
    """
    if (workers is not None) + bool(scheduler) + bool(cluster) > 1:
        raise UserError("Give one of workers, scheduler and cluster: each says where to compute.")
    wanted = (os.cpu_count() or 1) if workers is None else workers
    if wanted < 1:
        raise UserError(f"workers = {workers} must be 1 at least.")
    if not scheduler and not cluster and wanted == 1:
        yield None
        return
    distributed = _distributed()
    with ExitStack() as stack:
        if cluster:
            where = stack.enter_context(_jobs(Path(cluster)))
        elif scheduler:
            where = scheduler
        else:
            where = stack.enter_context(_local(wanted))
        try:
            client = stack.enter_context(distributed.Client(where, timeout=ANSWER_S))
            # How many there are decides how large chunks are.
            client.wait_for_workers(1 if scheduler or cluster else wanted, timeout=WORKERS_S)
        except (OSError, ValueError) as error:
            place = scheduler or cluster or "this machine"
            raise UserError(f"No Dask workers answer at {place}: {error}.") from error
        yield client


def crowd(client: Any) -> int:
    """Number of workers; 1 without any, where this process does the work."""
    return max(1, len(client.nthreads())) if client else 1


def outcomes(
    chunks: Iterator[tuple[int, Chunk]], client: Any
) -> Iterator[tuple[int, int, Outcome]]:
    """Number, points and outcome of every chunk, in the order in which they end.

    Parameters
    ----------
    chunks : iterator of (int, Chunk)
        With their numbers.
    client : distributed.Client or None
        See `connected`.
    """
    if client is None:
        yield from ((number, len(chunk), compute(chunk)) for number, chunk in chunks)
        return
    work, ending = _Work(client), _distributed().as_completed()
    for number, chunk in islice(chunks, AHEAD * crowd(client)):
        ending.add(work.begun(number, chunk))
    for future in ending:
        whole, again = work.ended(future)
        for more in again:
            ending.add(more)
        if whole is not None:
            yield whole
            for number, chunk in islice(chunks, 1):
                ending.add(work.begun(number, chunk))


class _Work:
    """Chunks under way, and what is there already of those that had to be halved."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # By task: number of the chunk and which part of it.
        self._under_way: dict[str, tuple[int, Chunk]] = {}
        self._found: dict[int, list[Outcome]] = {}
        self._sizes: dict[int, int] = {}

    def begun(self, number: int, chunk: Chunk) -> Any:
        """The task of a chunk."""
        self._found[number], self._sizes[number] = [], len(chunk)
        return self._submitted(number, chunk)

    def ended(self, future: Any) -> tuple[tuple[int, int, Outcome] | None, list[Any]]:
        """A chunk's outcome, if this was the last of it, and tasks that take this one's place."""
        number, part = self._under_way.pop(future.key)
        error = future.exception()
        if error is not None and len(part) > 1:
            half = len(part) // 2
            halves = part.part(0, half), part.part(half, len(part))
            return None, [self._submitted(number, one) for one in halves]
        if error is not None:
            why = f"Its worker failed: {error}"
            self._found[number].append(Outcome(failures={int(part.numbers[0]): why}))
        else:
            self._found[number].append(future.result())
        if any(number == other for other, _ in self._under_way.values()):
            return None, []
        found = Outcome.of(self._found.pop(number))
        return (number, self._sizes.pop(number), found), []

    def _submitted(self, number: int, part: Chunk) -> Any:
        future = self._client.submit(compute, part, pure=False, retries=TRIES)
        self._under_way[future.key] = number, part
        return future


def _distributed() -> Any:
    """Dask's part for many processes, whose types are not complete."""
    try:
        distributed: Any = import_module("distributed")
    except ModuleNotFoundError as error:
        raise UserError(
            f"A sweep on several workers needs {error.name}, which is not installed: "
            "pip install 'brian2-neuromod[sweep]' brings it; workers=1 does without."
        ) from error
    return distributed


@contextmanager
def _local(workers: int) -> Iterator[Any]:
    """Processes on this machine, which listen to nobody outside it, and end with this one.

    They are started as programs of their own: as copies of this one they would run a script again
    that has no ``if __name__ == "__main__"``. The scheduler stays in this process: in one of its
    own it would outlive this one, and the workers with it.
    """
    distributed, here = _distributed(), "127.0.0.1"
    web = {"dashboard": False, "dashboard_address": f"{here}:0"}
    worker = {
        "cls": import_module("distributed.deploy.subprocess").SubprocessWorker,
        "options": {"worker_kwargs": {"host": here, "nthreads": 1, "silence_logs": QUIET} | web},
    }
    config, before = import_module("dask").config, os.environ.get(INHERITED)
    own = {f"distributed.nanny.pre-spawn-environ.{name}": n for name, n in ALLOCATION.items()}
    with config.set(own):
        os.environ[INHERITED] = config.serialize(config.global_config)
    try:
        with distributed.SpecCluster(
            scheduler={"cls": distributed.Scheduler, "options": {"host": here} | web},
            workers=dict.fromkeys(range(workers), worker),
            silence_logs=QUIET,
        ) as cluster:
            yield cluster
    finally:
        del os.environ[INHERITED]
        if before is not None:
            os.environ[INHERITED] = before


def _jobs(path: Path) -> Any:
    """Jobs of a batch system, as a file describes them."""
    try:
        about = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from error
    try:
        dask_jobqueue: Any = import_module("dask_jobqueue")
    except ModuleNotFoundError as error:
        raise UserError(
            f"A cluster's jobs need {error.name}, which is not installed: pip install "
            "dask-jobqueue brings it."
        ) from error
    known = [name for name in vars(dask_jobqueue) if name.endswith("Cluster")]
    kind, jobs = about.pop("class", ""), about.pop("jobs", 0)
    if kind not in known:
        raise unknown(f"class in {path}", str(kind), known)
    if not isinstance(jobs, int) or jobs < 1:
        raise UserError(f"{path} needs the number of jobs, such as jobs = 10, not {jobs!r}.")
    submit = getattr(dask_jobqueue, kind).job_cls.submit_command.split()
    if submit and not shutil.which(submit[0]):
        raise UserError(f"{kind} needs the command {submit[0]}, which is not on this machine.")
    # A worker with several threads would mix the states of Brian2.
    about.setdefault("cores", 1)
    about.setdefault("processes", about["cores"])
    own = about.get("job_script_prologue", [])
    if not isinstance(own, list):
        raise UserError(f"job_script_prologue in {path} must be a list of lines, not {own!r}.")
    exports = [f"export {name}={value}" for name, value in ALLOCATION.items()]
    about["job_script_prologue"] = [*exports, *own]
    try:
        cluster = getattr(dask_jobqueue, kind)(**about)
    except (TypeError, ValueError) as error:
        raise UserError(f"{kind} does not take what {path} says: {error}.") from error
    cluster.scale(jobs=jobs)
    return cluster
