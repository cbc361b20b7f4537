"""Runs a protocol from settings to results, stores them first and draws them then."""

from __future__ import annotations

import copy
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neuromod.devices.simulation import check_request, simulate
from neuromod.errors import UserError, listed
from neuromod.protocol import Study, Training
from neuromod.recording import FORMATS, Recording, check_format
from neuromod.runs.earlier import current_settings
from neuromod.runs.files import (
    INFO,
    NEUROMOD,
    PAGES,
    read_info,
    read_recording,
    read_table,
    seal,
    size,
    store,
    write_info,
)
from neuromod.runs.folder import Place, reserved, room_for, sought
from neuromod.runs.picture import Picture, png
from neuromod.runs.registry import find, name_of, version_of
from neuromod.runs.report import draw, page, summary
from neuromod.settings import change, flatten, format_value, read
from neuromod.support.cache import checksum, written_whole
from neuromod.support.figures import style
from neuromod.support.log import Journal, journal, stage
from neuromod.support.machine import forced
from neuromod.support.progress import seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERSIONED = [
    "brian2-neuromod",
    "brian2",
    "numpy",
    "scipy",
    "pandas",
    "neo",
    "nixio",
    "pynwb",
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

    def plot(self) -> Figure:
        """The figure, to be changed or saved by Matplotlib."""
        with style():
            figure = self.protocol.plot(self.tables, self.recordings)
        # Without this, notebooks show it only once Matplotlib's inline backend is loaded.
        vars(figure)["_repr_png_"] = lambda: png(figure)
        return figure

    def report(self, path: str | Path | None = None) -> str:
        """The report, a self-contained HTML page.

        Parameters
        ----------
        path : path, optional
            File to write it to.
        """
        sections = self.protocol.report(self.tables)
        text = page(self.protocol, self.info, self.tables, sections, self._picture)
        if path is not None:
            with written_whole(Path(path), len(text)) as file:
                file.write_bytes(_encoded(text))
        return text

    def save(self, folder: str | Path, overwrite: bool = False, format: str = FORMATS[0]) -> Path:
        """Write the run into a folder, as `run` does with ``out``.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Whether a run that is already there may be replaced.
        format : str
            Of recordings: ``"nix"`` or ``"nwb"``.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UserError
            When a run cannot be written there, or this one is in a folder already.
        """
        if "files" in self.info:
            raise UserError("This run is in a folder already: copy that one.")
        check_format(format)
        with reserved(Path(folder).absolute(), overwrite) as place:
            return _write(replace(self, info=copy.deepcopy(self.info)), place, format)

    def __repr__(self) -> str:
        """Protocol, device and seed on one line."""
        info = self.info
        return f"<Run of {info['protocol']} on {_computed(info)}, seed {info['seed']}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the figure and the tables that the command line prints."""
        shown = {n: self.tables[n] for n in self.protocol.shown if len(self.tables.get(n, ()))}
        return summary(repr(self)[1:-1], shown, self._picture)

    @cached_property
    def _picture(self) -> Picture:
        return draw(self.protocol, self.tables, self.recordings)


DEFAULT = ("cython", "double", FORMATS[0])


@seen()
def run(
    protocol: str | Study,
    device: str = "cython",
    out: str | Path | None = None,
    overwrite: bool = False,
    precision: str = "double",
    force: bool = False,
    format: str = FORMATS[0],
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
    force : bool
        Whether to start what needs more memory or time than seems sensible on this machine.
    format : str
        Of recordings in the folder: ``"nix"``, or ``"nwb"``, which other programs read.
    **settings
        Settings to change; a model's parameter by its name, or as in
        ``**{"circuit.v_rest": 0.2*volt}`` where two models share it.

    Raises
    ------
    UserError
        For anything in the request that cannot be done; nothing has been run or lost then.

    Examples
    --------
    >>> import neuromod
    >>> from brian2 import volt
    >>> run = neuromod.run("vdd-sweep", vdd=[0.5, 0.7, 0.9] * volt)
    >>> run.table.output_spikes.tolist()
    [4, 13, 21]
    """
    base = find("protocol", protocol)() if isinstance(protocol, str) else protocol
    chosen = change(base, settings)
    check_request(device, precision)
    check_format(format)
    if isinstance(chosen, Training) and (device, precision, format) != DEFAULT:
        raise UserError(
            f"{name_of(chosen)} works with torch alone: --device, --precision and --format, which "
            "are of Brian2's simulations, would have no effect."
        )
    if out is None or (chosen.shares_work and not is_first_process()):
        return _work(chosen, device, precision, force)
    with reserved(Path(out).absolute(), overwrite) as place:
        finished = _work(chosen, device, precision, force)
        _write(finished, place, format)
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

    Examples
    --------
    >>> import neuromod
    >>> from brian2 import volt
    >>> run = neuromod.run("vdd-sweep", vdd=[0.5, 0.7, 0.9] * volt, out="supplies")
    >>> neuromod.load_run("supplies").table.equals(run.table)
    True
    """
    folder = sought(folder)
    info = read_info(folder)
    protocol = stored_protocol(folder, info)
    return Run(
        protocol,
        {name: read_table(folder, name, info, protocol.text_columns) for name in info["tables"]},
        {name: read_recording(folder, name, info) for name in info["recordings"]},
        info,
    )


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
    try:
        _draw(stored, folder)
    except Exception as error:
        # Where checksums say that nothing is damaged, it is the protocol that fails.
        if "files" in stored.info or isinstance(error, UserError | OSError):
            raise
        raise UserError(
            f"The figure of {folder} cannot be drawn from its tables ({type(error).__name__}: "
            f"{error}), which may be damaged: neuromod repeat {folder} --out NEW makes the run "
            "again."
        ) from error
    return folder / PAGES[-1]


def stored_protocol(folder: Path, info: Mapping[str, Any]) -> Study:
    """Protocol of a run with its settings.

    Raises
    ------
    UserError
        When this version does not know them.
    """
    try:
        default = find("protocol", info["protocol"])()
        settings = current_settings(info["settings"], flatten(default))
        protocol: Study = change(default, read(default, settings))
        return protocol
    except UserError as error:
        by = info["versions"][NEUROMOD]
        raise UserError(
            f"The run in {folder}, stored by neuromod {by}, cannot be read by "
            f"{version_of(NEUROMOD)} ({str(error).rstrip('.')}): repeat it, or read it "
            "with the version that stored it."
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"The settings in {folder / INFO} are damaged: {error}.") from error


def _work(study: Study, device: str, precision: str, force: bool = False) -> Run:
    started = datetime.now(UTC)
    with journal() as notes, forced(force):
        found = study.perform(lambda experiment: simulate(experiment, device, precision))
    versions = {"python": platform.python_version()}
    versions |= {name: version_of(name) for name in VERSIONED if version_of(name)}
    computed_by = [recording.provenance for recording in found.recordings.values()]
    versions |= {n: about[n] for about in computed_by for n in ("genn",) if n in about}
    info = {
        "protocol": name_of(study),
        "settings": {name: format_value(value) for name, value in flatten(study).items()},
        "seed": study.seed,
        "device": device,
        "target": sorted({about.get("target", device) for about in computed_by}),
        "precision": precision,
        "started": started.isoformat(timespec="seconds"),
        "wall_s": _rounded(notes),
        "notes": notes.notes,
        "versions": versions,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "tables": list(found.tables),
        "recordings": list(found.recordings),
    }
    return Run(study, found.tables, found.recordings, info)


def _write(finished: Run, place: Place, format: str) -> Path:
    """Write a run into its place; give the folder."""
    finished.info["format"] = format
    _store(finished, place)
    failure = _add_extras(finished, place)
    folder = place.settle()
    with _kept_in(folder):
        if failure:
            raise failure
        _draw(finished, folder)
    if folder != place.folder:
        raise UserError(f"{place.folder} was taken meanwhile: the run is in {folder}.")
    return folder


def _computed(info: Mapping[str, Any]) -> str:
    """The device, and who computed for it where that is another."""
    device: str = info["device"]
    targets = [target for target in info.get("target", ()) if target != device]
    return f"{device} (computed by {listed(targets)})" if targets else device


def _encoded(text: str) -> bytes:
    """A page as it stands in a file."""
    return text.encode(errors="backslashreplace")


def _store(finished: Run, place: Place) -> None:
    """Write what cannot be made again without running the protocol again."""
    form = finished.info["format"]
    needed = size(finished.tables, finished.recordings, form)
    with room_for(needed, place.folder, "nothing of the new run was kept"):
        try:
            with journal() as notes, stage("saving"):
                files = store(place.new, finished.tables, finished.recordings, form, needed)
        except BaseException:
            # What is written already would count as what is lacking.
            shutil.rmtree(place.new, ignore_errors=True)
            raise
        finished.info["wall_s"] |= _rounded(notes)
        finished.info["files"] = files
        write_info(place.new, finished.info)


def _add_extras(finished: Run, place: Place) -> BaseException | None:
    """Write the protocol's own files, before others see the run and an older one is gone.

    Returns what went wrong: the rest of the run is to be kept all the same.
    """
    try:
        with room_for(0, place.folder, "tables and recordings are kept"):
            finished.protocol.save_extras(place.new)
            finished.info["files"] |= seal(place.new)
            write_info(place.new, finished.info)
    except BaseException as error:
        return error
    return None


def _draw(run: Run, folder: Path) -> None:
    with journal() as notes, stage("drawing"):
        picture = run._picture
        drawn = (picture.png, picture.svg)
        sections = run.protocol.report(run.tables)
    if "files" in run.info:
        for name, seconds in _rounded(notes).items():
            run.info["wall_s"].setdefault(name, seconds)
    text = page(run.protocol, run.info, run.tables, sections, picture)
    pages = dict(zip(PAGES, (*drawn, _encoded(text)), strict=True))
    for name, content in pages.items():
        with written_whole(folder / name, len(content)) as path:
            path.write_bytes(content)
    if "files" in run.info:
        run.info["files"] |= {name: checksum(folder / name) for name in pages}
        write_info(folder, run.info)


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Let every failure say that the results are safe."""
    try:
        yield
    except BaseException as error:
        error.add_note(
            f"The tables and recordings are in {folder}: neuromod report {folder} draws the figure "
            "and writes the report."
        )
        raise


def _rounded(notes: Journal) -> dict[str, float]:
    return {name: round(seconds, 3) for name, seconds in notes.wall_s.items()}
