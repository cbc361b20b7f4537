"""Tries a device on this machine against Brian2's runtime, and writes a file and a page of it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuromod.agreement import page
from neuromod.agreement.machine import machine
from neuromod.agreement.repetition import Repeated, network, refer, repeat
from neuromod.agreement.speed import SMALLEST, Timed, planned, timed
from neuromod.agreement.suite import AGREES, DIFFERS, FAILED, SAME_SPIKES, Compared, compare, reason
from neuromod.devices.simulation import PRECISIONS, check_request
from neuromod.errors import UserError, listed, unknown
from neuromod.runs.registry import names
from neuromod.support.cache import written_whole
from neuromod.support.paths import shown, usable
from neuromod.support.progress import hidden, seen, watched

SCHEMA = 1
"""Of the file; what is added leaves it, what is renamed or removed raises it."""
DATA, PAGE = "agreement.json", "agreement.html"
LARGEST = 1_000_000


@dataclass(eq=False)
class Agreed:
    """What was found of a device on this machine.

    Attributes
    ----------
    device, started : str
    machine : dict
        GPUs, driver, CUDA, processor, versions.
    compared : list of Compared
        Every experiment in every precision.
    repeated : list of Repeated
        A recurrent network, in every precision.
    timed : list of Timed
    failed : list of str
        Parts that could not be done at all, and why.
    wall_s : float
    complete : bool
        Whether it went on to the end.
    command : str
        What asks for it again in a shell.
    """

    device: str
    started: str
    machine: dict[str, Any]
    compared: list[Compared] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    complete: bool = False
    command: str = ""

    @property
    def same_spikes_expected(self) -> bool:
        """Whether the device adds up in one order; on a GPU it varies."""
        return self.device in SAME_SPIKES

    @property
    def problems(self) -> list[str]:
        """What does not agree, a sentence each; none where the device is right."""
        found = list(self.failed)
        for outcome in (DIFFERS, FAILED):
            rows = [row for row in self.compared if row.outcome == outcome]
            if rows:
                protocols = listed(dict.fromkeys(row.protocol for row in rows))
                said = "differ by more than is allowed" if outcome == DIFFERS else "failed"
                found.append(f"{len(rows)} comparisons of {protocols} {said}.")
        if not any(row.outcome == AGREES for row in self.compared):
            found.append("No experiment could be compared.")
        for run in self.repeated:
            exact = self.same_spikes_expected and run.precision == "double"
            if exact and not run.same_spikes:
                found.append("A recurrent network's spikes are not those of Brian2's runtime.")
            elif not run.within:
                found.append(
                    f"The rate of a recurrent network in {run.precision} precision is beyond "
                    f"{run.lowest_Hz:.4g} to {run.highest_Hz:.4g} Hz."
                )
        return found

    def as_json(self) -> str:
        """All of it, as it stands in the file."""
        found = {"schema": SCHEMA, "agrees": not self.problems, "problems": self.problems}
        return json.dumps(found | asdict(self), indent=1) + "\n"


@seen()
def agree(
    device: str = "genn",
    out: str | Path | None = None,
    protocols: Sequence[str] = (),
    largest: int = LARGEST,
) -> Agreed:
    """Try a device: compare it with Brian2's runtime, repeat a network on it, and time it.

    Experiments of protocols, at a small size, are compared spike by spike and sample by sample; a
    recurrent network runs ten times; networks of 10 000 neurons and more are timed against C++
    standalone. What fails is noted, and the rest goes on.

    Parameters
    ----------
    device : str
        ``"cpp"``, ``"genn"`` or ``"genn-cpu"``.
    out : path, optional
        Folder for ``agreement.json``, which is written as results come in, and for
        ``agreement.html``, a page; nothing is written without it.
    protocols : sequence of str
        Those to compare; all by default.
    largest : int
        Neurons of the largest network that is timed.

    Raises
    ------
    UserError
        When the device is unknown or cannot be used here, or anything else in the request cannot
        be done.
    """
    known = names("protocol")
    for name in protocols:
        if name not in known:
            raise unknown("protocol", name, known)
    if device == "cython":
        raise UserError("cython is what other devices are compared with: name another.")
    if largest < 1:
        raise UserError(f"largest = {largest} is no number of neurons: {SMALLEST} is usual.")
    check_request(device, "double")
    folder = None if out is None else _made(Path(out))
    begun, started = datetime.now(UTC), time.perf_counter()
    found = Agreed(
        device,
        begun.isoformat(timespec="seconds"),
        machine(),
        command=_command(device, protocols, largest),
    )
    try:
        for _ in _work(found, list(protocols) or known, largest):
            found.wall_s = round(time.perf_counter() - started, 1)
            if folder:
                # A driver that fails may take the process with it.
                _write(folder / DATA, found.as_json())
    except BaseException as error:
        if folder and found.compared:
            error.add_note(f"What came in until then is in {folder / DATA}.")
        raise
    found.complete = True
    if folder:
        _write(folder / DATA, found.as_json())
        _write(folder / PAGE, page.page(found))
    return found


def _command(device: str, protocols: Sequence[str], largest: int) -> str:
    asked = [word for name in protocols for word in ("--protocol", name)]
    return shlex.join(["neuromod", "agree", "--device", device, *asked, "--largest", str(largest)])


def _work(found: Agreed, protocols: Sequence[str], largest: int) -> Iterator[None]:
    """Fill in what is found, piece by piece."""
    for name in watched("comparing protocols", protocols):
        with hidden():
            found.compared += compare(name, found.device)
        yield
    reference = None
    for precision in watched("repeating a recurrent network", tuple(PRECISIONS)):
        try:
            with hidden():
                reference = reference or refer(network())
                found.repeated.append(repeat(reference, found.device, precision))
        # What is to be timed is still to come.
        except Exception as error:
            found.failed.append(f"Repeating a network in {precision} precision: {reason(error)}")
        yield
    for row in watched("timing networks", planned(found.device, largest)):
        with hidden():
            found.timed.append(timed(row))
        yield


def _made(folder: Path) -> Path:
    """A folder for results, which holds none yet."""
    if usable(folder / DATA).exists():
        raise UserError(f"{shown(folder)} already holds results: name another folder with --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{shown(folder)} cannot be made: {error.strerror}.") from error
    return folder


def _write(path: Path, text: str) -> None:
    with written_whole(path, len(text)) as file:
        file.write_text(text, encoding="utf-8")
