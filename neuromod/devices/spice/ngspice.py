"""Runs ngspice, and gives what it found as a recording."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from brian2 import second, volt
from brian2.units.allunits import pjoule

from neuromod.devices.finding import said
from neuromod.devices.spice.netlist import netlist, saved
from neuromod.devices.spice.wiring import Neurons
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Spikes
from neuromod.recording import Recording, Signal
from neuromod.support.cache import cache_dir, check_room, spared, written_whole
from neuromod.support.claim import scratch

GET_NGSPICE = "apt install ngspice (macOS: brew install ngspice)"
LIMIT_S = 600


def version() -> str:
    """First line of what ngspice says of itself; empty where it is missing."""
    lines = said("ngspice", "--version").splitlines()
    return next((line.strip("* ") for line in lines if "ngspice-" in line), "")


def simulate_in_spice(experiment: Experiment, neurons: Neurons) -> Recording:
    """Let ngspice simulate some neurons of an experiment.

    Parameters
    ----------
    experiment : Experiment
    neurons : mapping of str to sequence of int
        From `wiring.choose`.

    Returns
    -------
    Recording
        Their spikes, membranes at the experiment's time steps, and total ``energy``, which is not
        a number for other neurons. Spikes lie wherever SPICE found them.

    Raises
    ------
    UserError
        When ngspice is missing or fails, or the netlist cannot be written.
    """
    text = netlist(experiment, neurons)
    begun, started = datetime.now(UTC), time.perf_counter()
    vectors = run(text)
    provenance = {
        "device": version(),
        "started": begun.isoformat(timespec="seconds"),
        "wall_s": time.perf_counter() - started,
    }
    at, names = vectors["time"].to_numpy(), saved(neurons)
    if at[-1] < float(experiment.duration / second) * (1 - 1e-9):
        raise _failed("stopped before its time")
    sizes = {population.name: population.size for population in experiment.populations}
    spikes, signals, totals = {}, {}, {}
    times = np.arange(round(float(experiment.duration / experiment.dt))) * float(experiment.dt)
    for name, numbers in neurons.items():
        fired = [(t, n) for n in numbers for t in _rises(at, vectors[names[name, n][1]])]
        when, who = np.array(sorted(fired)).reshape(-1, 2).T
        spikes[name] = Spikes(name, sizes[name], who.astype(int), when * second)
        v = [np.interp(times, at, vectors[names[name, n][0]]) for n in numbers]
        signals[name] = {"v": Signal(np.array(numbers), np.array(v) * volt)}
        energy = np.full(sizes[name], np.nan)
        energy[list(numbers)] = [vectors[names[name, n][2]].iloc[-1] for n in numbers]
        totals[name] = {"energy": energy * pjoule}
    return Recording(spikes, signals, experiment.duration, experiment.dt, provenance, totals)


def run(text: str, limit_s: float = LIMIT_S) -> pd.DataFrame:
    """Run a netlist.

    Parameters
    ----------
    text : str
    limit_s : float
        How long it may take, seconds.

    Returns
    -------
    DataFrame
        One column for each vector that it saves, ``time`` among them, a row for each point.

    Raises
    ------
    UserError
        When ngspice is missing, fails or takes too long.
    """
    program = shutil.which("ngspice")
    if program is None:
        raise UserError(f"This needs ngspice, which is not installed: {GET_NGSPICE} brings it.")
    with scratch() as folder:
        with written_whole(folder / "circuit.cir", len(text)) as netlist_file:
            netlist_file.write_text(text)
        command = [program, "-b", "-r", "out.raw", "-o", "log", "circuit.cir"]
        reason = ""
        try:
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, timeout=limit_s, check=False
            )
            if ended.returncode or not (folder / "out.raw").is_file():
                reason = "failed"
        except subprocess.TimeoutExpired:
            reason = f"was not done after {limit_s:g} s"
        log, kept = folder / "log", _log()
        said = log.read_text(errors="replace") if log.is_file() else ""
        with spared(), written_whole(kept, len(said)) as new:
            new.write_text(said)
        try:
            if reason:
                raise _failed(reason)
            return _read_raw(folder / "out.raw")
        except UserError:
            # It does not say so itself.
            check_room(folder)
            raise


def _rises(at: np.ndarray, level: pd.Series) -> np.ndarray:
    """When a logic level rises."""
    high = level.to_numpy() > 0.5
    rises: np.ndarray = at[1:][high[1:] & ~high[:-1]]
    return rises


def _read_raw(path: Path) -> pd.DataFrame:
    """SPICE's binary file: words about its vectors, then a row of doubles for each point."""
    words, _, numbers = path.read_bytes().partition(b"Binary:\n")
    lines = words.decode(errors="replace").splitlines()
    points = [int(line.split()[-1]) for line in lines if line.startswith("No. Points:")]
    if "Variables:" in lines and points:
        names = [line.split()[1] for line in lines[lines.index("Variables:") + 1 :]]
        # Their number is written last.
        if 0 < len(numbers) == 8 * len(names) * points[0]:
            table = np.frombuffer(numbers).reshape(points[0], len(names))
            return pd.DataFrame(table, columns=names)
    raise _failed("left its results unfinished")


def _log() -> Path:
    return cache_dir() / "ngspice.log"


def _failed(reason: str) -> UserError:
    return UserError(f"ngspice {reason}; what it said is in {_log()}.")
