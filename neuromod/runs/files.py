"""The files of a run's folder: what is written is known by its SHA-256, what is read is checked."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from neuromod.errors import UserError, listed
from neuromod.recording import FORMATS, Recording
from neuromod.support.cache import checksum, digest, reach_disk, reserve, written_whole
from neuromod.support.paths import shown, usable

INFO = "run.json"
PAGES = ("figure.png", "figure.svg", "report.html")
NEUROMOD = "brian2-neuromod"


def _is(*kinds: type) -> Callable[[Any], bool]:
    # True and False would pass as whole numbers.
    return lambda value: type(value) in kinds


def _holds(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(_is(*kinds), value.values()))


def _are_names(value: Any) -> bool:
    """Whether these are names of files in the run's own folder."""
    return isinstance(value, list) and all(
        isinstance(name, str) and name and Path(name).name == name for name in value
    )


# What there is in run.json, whichever version wrote it, and how to know it.
EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "protocol": (_is(str), "a name"),
    "settings": (_holds(str), "texts by name"),
    "seed": (_is(int), "a whole number"),
    "device": (_is(str), "a name"),
    "precision": (_is(str), "a name"),
    "format": (FORMATS.__contains__, listed(FORMATS, "or")),
    "started": (_is(str), "a time"),
    "wall_s": (_holds(int, float), "numbers by stage"),
    "notes": (_is(dict), "notes by name"),
    "versions": (lambda value: _holds(str)(value) and NEUROMOD in value, "versions by package"),
    "platform": (_is(str), "a text"),
    "cores": (_is(int, type(None)), "a whole number"),
    "tables": (_are_names, "a list of names"),
    "recordings": (_are_names, "a list of names"),
}


def store(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    recordings: Mapping[str, Recording],
    form: str,
    needed: int,
) -> dict[str, str]:
    """Write tables and recordings, in a format, onto the disk itself; give checksums by file.

    They take `needed` bytes at most, as `size` tells.
    """
    # HDF5 may crash on a disk that is full.
    reserve(folder, needed)
    for name, table in tables.items():
        (folder / f"{name}.csv").write_bytes(as_csv(table))
    for name, recording in recordings.items():
        recording.save(folder / f"{name}.{form}")
    return seal(folder)


def seal(folder: Path) -> dict[str, str]:
    """Checksums of all files of a folder but ``run.json``, which are then on the disk."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != INFO]
    for path in files:
        reach_disk(path)
    return {path.name: checksum(path) for path in files}


def size(tables: Mapping[str, pd.DataFrame], recordings: Mapping[str, Recording], form: str) -> int:
    """Bytes that tables and recordings, in a format, take on a disk, at most."""
    total = sum(len(as_csv(table)) for table in tables.values())
    return total + sum(recording.most_bytes(form) for recording in recordings.values())


def write_info(folder: Path, info: dict[str, Any]) -> None:
    """Write ``run.json`` with a checksum of its own."""
    text = json.dumps({k: v for k, v in info.items() if k != "sha256"}, default=str)
    info["sha256"] = digest(json.loads(text))
    with written_whole(folder / INFO) as path:
        path.write_text(json.dumps(info, indent=2, default=str) + "\n", encoding="utf-8")


def read_info(folder: Path) -> dict[str, Any]:
    """What ``run.json`` holds.

    Raises
    ------
    UserError
        When there is none, or it is damaged.
    """
    path = folder / INFO
    if not usable(path).is_file():
        raise UserError(f"There is no run in {shown(folder)}: it has no {INFO}.")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): run the protocol again.") from error
    if not isinstance(info, dict) or "protocol" not in info:
        raise UserError(f"{path} was not written by neuromod.")
    if {"files", "sha256"} & set(info):
        rest = {name: value for name, value in info.items() if name != "sha256"}
        if digest(rest) != info.get("sha256"):
            raise UserError(
                f"{path} is not what was written, but damaged or edited: run the protocol again."
            )
    # Before there was a choice.
    info.setdefault("precision", "double")
    info.setdefault("format", "nix")
    for name, (fits, what) in EXPECTED.items():
        if name not in info:
            raise UserError(f"{path} is damaged, without {name}: run the protocol again.")
        if not fits(info[name]):
            raise UserError(
                f"{path} is damaged: its {name} should be {what}, not {info[name]!r:.40}; run the "
                "protocol again."
            )
    return info


def as_csv(table: pd.DataFrame) -> bytes:
    """Table as it stands in a file."""
    text: str = table.to_csv(index=False)
    return text.encode(errors="backslashreplace")


def read_table(
    folder: Path, name: str, info: Mapping[str, Any], texts: Collection[str] = ()
) -> pd.DataFrame:
    """Table as it was written, to the last digit; only an empty cell means a missing number.

    Columns named in `texts` hold text, whatever it looks like.

    Raises
    ------
    UserError
        When the file is missing or damaged.
    """
    path = folder / f"{name}.csv"
    _check(path, info)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        for number, row in enumerate(rows, 1):
            if len(row) != len(header):
                raise ValueError(f"row {number} has {len(row)} cells and the head {len(header)}")
        kinds = {column: str for column in header if column in texts}
        empty: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
        table = pd.read_csv(path, dtype=kinds, engine="python", **empty)
        for place, cells in enumerate(zip(*rows, strict=True)):
            if table.dtypes.iloc[place].kind == "f":
                # Before 3.1, pandas reads one number in seven a last digit off.
                table.isetitem(place, [float(cell or "nan") for cell in cells])
        return table
    except (ValueError, csv.Error, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): {_again(folder)}.") from error


def read_recording(folder: Path, name: str, info: Mapping[str, Any]) -> Recording:
    """Recording as it was written.

    Raises
    ------
    UserError
        When the file is missing or damaged.
    """
    path = folder / f"{name}.{info['format']}"
    _check(path, info)
    return Recording.load(path)


def verify(folder: Path) -> int:
    """Check every file of a run; give their number.

    Raises
    ------
    UserError
        Where one is missing or is not what was written, naming all such files.
    """
    info = read_info(folder)
    if "files" not in info:
        raise UserError(
            f"{folder} was stored by neuromod {info['versions'][NEUROMOD]}, which kept no "
            f"checksums: {_again(folder)}."
        )
    # Older versions drew fewer; without any, the drawing has failed.
    pages = set(PAGES) & set(info["files"]) or set(PAGES)
    files = {name: info["files"].get(name) for name in (*info["files"], *sorted(pages))}
    wrong = [name for name, known in files.items() if not _is_whole(folder / name, known)]
    if wrong:
        work = f"neuromod report {folder} draws them again"
        cure = work if set(wrong) <= set(PAGES) else _again(folder)
        raise UserError(f"Missing in {folder}, or not what was written: {listed(wrong)}; {cure}.")
    return len(files) + 1


def _check(path: Path, info: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing, or no file: {_again(path.parent)}.")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} may not be read by you: change that, or {_again(path.parent)}.")
    if "files" in info and not _is_whole(path, info["files"].get(path.name)):
        raise UserError(
            f"{path} is not what was written, but damaged or edited: {_again(path.parent)}."
        )


def _is_whole(path: Path, known: str | None) -> bool:
    try:
        return path.is_file() and known == checksum(path)
    except OSError:
        return False


def _again(folder: Path) -> str:
    return f"neuromod repeat {folder} --out NEW makes the run again"
