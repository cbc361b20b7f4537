"""Repeats a stored run, and says whether its results come out the same to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromod.errors import UserError
from neuromod.recording import Recording
from neuromod.runs.files import as_csv, read_info, read_recording
from neuromod.runs.folder import sought
from neuromod.runs.run import run, stored_protocol
from neuromod.support.cache import checksum
from neuromod.support.progress import seen


@dataclass(frozen=True)
class Repeated:
    """What a repeated run has the same as the stored one, to the bit, and what not."""

    same: tuple[str, ...]
    different: tuple[str, ...]


@seen()
def repeat(folder: str | Path, out: str | Path | None = None) -> Repeated:
    """Repeat a stored run, of which ``run.json`` must be whole.

    Parameters
    ----------
    folder : path
    out : path, optional
        Folder for the new run; nothing is written without it.

    Raises
    ------
    UserError
        When there is no run, or it cannot be repeated here.
    """
    folder = sought(folder)
    info = read_info(folder)
    study = stored_protocol(folder, info)
    again = run(study, info["device"], out, precision=info["precision"], format=info["format"])
    found = {f"{name}.csv": _has_table(folder, name, info, again.tables) for name in info["tables"]}
    found |= {
        f"recording {name}": _has_recording(folder, name, info, again.recordings)
        for name in info["recordings"]
    }
    return Repeated(
        tuple(name for name, is_same in found.items() if is_same),
        tuple(name for name, is_same in found.items() if not is_same),
    )


def _has_table(folder: Path, name: str, info: Mapping[str, Any], tables: Mapping[str, Any]) -> bool:
    path = folder / f"{name}.csv"
    # What was written is known even where the file is damaged.
    known = info.get("files", {}).get(path.name) or (path.is_file() and checksum(path))
    return name in tables and hashlib.sha256(as_csv(tables[name])).hexdigest() == known


def _has_recording(
    folder: Path, name: str, info: Mapping[str, Any], recordings: Mapping[str, Recording]
) -> bool:
    if name not in recordings:
        return False
    try:
        before = _arrays(read_recording(folder, name, info))
    except UserError:
        return False
    again = _arrays(recordings[name])
    return before.keys() == again.keys() and all(
        np.array_equal(before[part], again[part]) for part in before
    )


def _arrays(recording: Recording) -> dict[tuple[str, ...], Any]:
    """Every spike, trace and total of a recording."""
    found: dict[tuple[str, ...], Any] = {}
    intervals = recording.intervals()
    for name, spikes in recording.spikes.items():
        found |= {("neurons", name): spikes.neurons, ("times", name): spikes.times}
    for name, signals in recording.signals.items():
        found |= {("trace", name, variable): one.values for variable, one in signals.items()}
        found |= {("every", name, variable): apart for variable, apart in intervals[name].items()}
    for name, totals in recording.totals.items():
        found |= {("total", name, variable): values for variable, values in totals.items()}
    return found
