"""Runs a protocol from settings to results, and keeps runs on disk; the only writer of runs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from neuromod.devices.simulation import check_request, simulate
from neuromod.errors import UserError
from neuromod.protocol import Study, Training
from neuromod.recording import Recording
from neuromod.runs.earlier import current_settings
from neuromod.runs.registry import find, name_of, version_of
from neuromod.runs.report import draw, page
from neuromod.settings import change, flatten, format_value, read
from neuromod.support.log import journal

VERSIONED = [
    "brian2-neuromod",
    "brian2",
    "numpy",
    "scipy",
    "pandas",
    "neo",
    "nixio",
    "elephant",
    "matplotlib",
    "scikit-learn",
    "torch",
    "torchvision",
    "safetensors",
]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes
    ----------
    protocol : Study
        With its settings; running it again repeats the run.
    tables : dict of str to DataFrame
    recordings : mapping of str to Recording
    info : dict
        What ``run.json`` holds.
    """

    protocol: Study
    tables: dict[str, pd.DataFrame]
    recordings: Mapping[str, Recording]
    info: dict[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """The main table."""
        return self.tables["table"]


DEFAULT = ("cython", "double")


def run(
    protocol: str | Study,
    device: str = "cython",
    out: str | Path | None = None,
    overwrite: bool = False,
    precision: str = "double",
    **settings: Any,
) -> Run:
    """Run a protocol.

    Parameters
    ----------
    protocol : str or Study
        A name, or a protocol with its settings.
    device : str
        ``"cython"``, ``"cpp"``, ``"genn"`` or ``"genn-cpu"``.
    out : path, optional
        Folder to write the run into; nothing is written without it. Of processes that torchrun
        has started, the first writes.
    overwrite : bool
        Whether a run that is already there may be replaced.
    precision : str
        ``"double"`` or ``"single"``.
    **settings
        Settings to change; a model's parameter by its name, or as in
        ``**{"circuit.v_rest": 0.2*volt}`` where two models share it.

    Raises
    ------
    UserError
        For anything in the request that cannot be done; nothing has been run or lost then.
    """
    base = find("protocol", protocol)() if isinstance(protocol, str) else protocol
    chosen = change(base, settings)
    check_request(device, precision)
    if isinstance(chosen, Training) and (device, precision) != DEFAULT:
        raise UserError(
            f"{name_of(chosen)} works with torch alone: --device and --precision, which are of "
            "Brian2's simulations, would have no effect."
        )
    if out is None or (chosen.shares_work and not is_first_process()):
        return _work(chosen, device, precision)
    with _new_folder(Path(out).absolute(), overwrite) as folder:
        finished = _work(chosen, device, precision)
        _save(finished, folder)
    return finished


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun has started, or alone."""
    return int(os.environ.get("RANK", 0)) == 0


def load_run(folder: str | Path) -> Run:
    """Read a run from its folder.

    Raises
    ------
    UserError
        When there is no run, or it is damaged.
    """
    folder = Path(folder)
    info = _read_info(folder)
    try:
        default = find("protocol", info["protocol"])()
        settings = current_settings(info["settings"], flatten(default))
        protocol = change(default, read(default, settings))
        tables = {name: _read_table(folder / f"{name}.csv") for name in info["tables"]}
        recordings = {name: Recording.load(folder / f"{name}.nix") for name in info["recordings"]}
    except UserError as error:
        by = info.get("versions", {}).get("brian2-neuromod")
        raise UserError(
            f"The run in {folder}, stored by neuromod {by}, cannot be read by "
            f"{version_of('brian2-neuromod')} ({str(error).rstrip('.')}): repeat it, or read it "
            "with the version that stored it."
        ) from error
    except (KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        raise UserError(f"The run in {folder} is damaged: {error}.") from error
    return Run(protocol, tables, recordings, info)


def render(folder: str | Path) -> Path:
    """Draw a stored run's figure and write its report again.

    Returns
    -------
    Path
        Of the report.

    Raises
    ------
    UserError
        When there is no run, or it is damaged.
    """
    folder = Path(folder)
    stored = load_run(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        _save_pages(stored, Path(partial))
        for name in ("figure.png", "report.html"):
            (Path(partial) / name).replace(folder / name)
    return folder / "report.html"


def _work(study: Study, device: str, precision: str) -> Run:
    started = datetime.now(UTC)
    with journal() as notes:
        found = study.perform(lambda experiment: simulate(experiment, device, precision))
    versions = {"python": platform.python_version()}
    versions |= {name: version_of(name) for name in VERSIONED if version_of(name)}
    info = {
        "protocol": name_of(study),
        "settings": {name: format_value(value) for name, value in flatten(study).items()},
        "seed": study.seed,
        "device": device,
        "precision": precision,
        "started": started.isoformat(timespec="seconds"),
        "wall_s": {name: round(seconds, 3) for name, seconds in notes.wall_s.items()},
        "notes": notes.notes,
        "versions": versions,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "tables": list(found.tables),
        "recordings": list(found.recordings),
    }
    return Run(study, found.tables, found.recordings, info)


def _save(finished: Run, folder: Path) -> None:
    for name, table in finished.tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    for name, recording in finished.recordings.items():
        recording.save(folder / f"{name}.nix")
    finished.protocol.save_extras(folder)
    _save_pages(finished, folder)
    (folder / "run.json").write_text(json.dumps(finished.info, indent=2) + "\n")


def _save_pages(finished: Run, folder: Path) -> None:
    image = draw(finished.protocol, finished.tables, finished.recordings)
    (folder / "figure.png").write_bytes(image)
    sections = finished.protocol.report(finished.tables)
    text = page(finished.protocol, finished.info, finished.tables, sections, image)
    (folder / "report.html").write_text(text, encoding="utf-8")


@contextmanager
def _new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Folder that appears under its name only when all is written, replacing a run or nothing."""
    try:
        _check_free(folder, overwrite)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-partial-", dir=folder.parent))
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a part of its path is a file" if is_file else error.strerror
        raise UserError(f"{folder} cannot be written: {reason}.") from error
    try:
        yield partial
        # mkdtemp makes folders that only their owner can read.
        partial.chmod(0o755)
        # Another run may have taken the name meanwhile.
        _check_free(folder, overwrite)
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, folder: Path) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.rename(old / folder.name)
    try:
        partial.rename(folder)
    except BaseException:
        (old / folder.name).rename(folder)
        old.rmdir()
        raise
    shutil.rmtree(old)


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; --out names a folder.")
    if (folder / "run.json").exists():
        if not overwrite:
            raise UserError(
                f"{folder} already holds a run: name another folder with --out, or "
                "add --overwrite to replace it."
            )
    elif any(folder.iterdir()):
        raise UserError(f"{folder} holds files that are no run: name another folder with --out.")


def _read_table(path: Path) -> pd.DataFrame:
    """Table as it was written, to the last digit; only an empty cell means a missing number."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], engine="python")


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    if not path.is_file():
        raise UserError(f"There is no run in {folder}: it has no run.json.")
    try:
        info = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}.") from error
    if not isinstance(info, dict) or "protocol" not in info:
        raise UserError(f"{path} was not written by neuromod.")
    # Before there was a choice, it was double.
    return {"precision": "double", **info}
