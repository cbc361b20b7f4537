"""f-I curves from files: tables and recordings, of one cell or of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from brian2 import Quantity

from neuromod.electrophysiology import axon, nwb
from neuromod.electrophysiology.grids import EXCEL, TEXTS
from neuromod.electrophysiology.sweeps import READ, Sweep, measure
from neuromod.electrophysiology.tables import Table, read_table
from neuromod.errors import UserError, listed, unknown
from neuromod.support.cache import checksum
from neuromod.support.paths import file_at, folder_at, usable
from neuromod.support.text import span

RECORDINGS: dict[str, Callable[[Path], list[Sweep]]] = {
    ".nwb": nwb.read_sweeps,
    ".abf": axon.read_sweeps,
}
POOLED = "all cells"
READ_FILES = ["file", *READ]
COLUMNS = ["cell", "condition", "current_nA", "trial", "rate_Hz"]
# Reasons or paths that a message names.
NAMED = 3


@dataclass(frozen=True)
class Choice:
    """What to use of what there is; everything where nothing is chosen.

    Attributes
    ----------
    electrode, cell, stimulus : str
        Names, as `Curves.read` has them.
    pooled : bool
        Whether all cells count as one.
    """

    electrode: str = ""
    cell: str = ""
    stimulus: str = ""
    pooled: bool = False


@dataclass(frozen=True, eq=False)
class Curves:
    """f-I curves, and what they were read from.

    Attributes
    ----------
    rates : DataFrame
        ``cell``, ``condition``, ``current_nA``, ``trial`` and ``rate_Hz``, one row per trial.
    read : DataFrame
        ``file`` and the columns of `READ`: a row for every sweep, for every cell and condition of a
        table, and for every file that was passed over. Where ``used`` is false, ``why`` says why.
    files : dict of Path to str
        SHA-256 of every file that was read.
    """

    rates: pd.DataFrame
    read: pd.DataFrame
    files: dict[Path, str]


@dataclass(frozen=True)
class _Cell:
    """A cell by the name that a file gives it, or else by a name and where it comes from."""

    name: str
    where: str = ""


def read_curves(
    data: Sequence[Path], control: str, spike_level: Quantity, choice: Choice = Choice()
) -> Curves:
    """f-I curves in files.

    Parameters
    ----------
    data : sequence of Path
        Tables (``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.xlsx``), recordings (``.nwb``, ``.abf``),
        or folders, in which whatever cannot be read is passed over.
    control : str
        Name of the control condition.
    spike_level : Quantity
        Potential whose upward crossing is a spike in a recording, volt.
    choice : Choice

    Returns
    -------
    Curves
        Of every cell that has the control and another condition.

    Raises
    ------
    UserError
        When a file is missing or damaged, or nothing in them can be used.
    """
    if not data:
        raise UserError(f"No file was given: a {_kinds()} or a folder of them was expected.")
    paths = _paths(data)
    labels = _labels(paths)
    files, tables, sweeps, passed = _contents(paths, labels)
    _check_choice("electrode", choice.electrode, [sweep.electrode for _, sweep in sweeps])
    _check_choice("stimulus", choice.stimulus, [sweep.stimulus for _, sweep in sweeps])
    parts = [_tabulated(path, labels[path], table) for path, table in tables.items()]
    for kind in RECORDINGS:
        own = [(path, sweep) for path, sweep in sweeps if path.suffix.lower() == kind]
        parts += [_measured(own, labels, control, spike_level, choice)] if own else []
    frames = [frame.assign(part=part) for part, (frame, _) in enumerate(parts)]
    read = pd.concat([*frames, passed], ignore_index=True).reindex(columns=[*READ_FILES, "part"])
    read = read.assign(used=read.used.astype(bool), why=read.why.fillna(""))
    where = listed(map(str, data)) if len(data) <= NAMED else f"{len(data)} files and folders"
    if not read.used.any():
        raise UserError(f"Nothing in {where} can be used: {_reasons(read)}.")
    read["cell"] = _names(read)
    read = _paired(_picked(read, choice), control, choice, where)
    return Curves(_rates(read, [rates for _, rates in parts]), read.drop(columns="part"), files)


def _paths(data: Sequence[Path]) -> dict[Path, bool]:
    """Files, and whether they were named themselves."""
    found: dict[Path, bool] = {}
    for path in data:
        if usable(path).is_dir():
            held = folder_at(path, f"name a {_kinds()}").iterdir()
            inside = sorted(p for p in held if p.is_file() and p.name[0] != ".")
            if not any(_is_readable(p) for p in inside):
                raise UserError(f"There is no {_kinds()} in the folder {path}.")
            found = dict.fromkeys(inside, False) | found
        elif not _is_readable(file_at(path)):
            raise UserError(f"{path} must be a {_kinds()}.")
        else:
            found[path] = True
    return found


def _kinds() -> str:
    return f"table ({', '.join(TEXTS)}, {EXCEL}) or recording ({', '.join(RECORDINGS)})"


def _is_readable(path: Path) -> bool:
    return path.suffix.lower() in (*TEXTS, EXCEL, *RECORDINGS)


def _labels(paths: Iterable[Path]) -> dict[Path, str]:
    """The shortest ends of paths that tell all of them apart."""
    parts = {path: path.absolute().parts for path in paths}
    for depth in range(1, max(map(len, parts.values())) + 1):
        labels = {path: "/".join(own[-depth:]) for path, own in parts.items()}
        if len(set(labels.values())) == len(labels):
            break
    return labels


def _contents(
    paths: dict[Path, bool], labels: dict[Path, str]
) -> tuple[dict[Path, str], dict[Path, Table], list[tuple[Path, Sweep]], pd.DataFrame]:
    """Checksums, tables and sweeps of files, and a row for every file that is passed over."""
    files: dict[Path, str] = {}
    tables: dict[Path, Table] = {}
    sweeps: list[tuple[Path, Sweep]] = []
    passed = []
    for path, is_named in paths.items():
        try:
            digest = _digest(path, files, labels)
            if path.suffix.lower() in RECORDINGS:
                sweeps += [(path, sweep) for sweep in RECORDINGS[path.suffix.lower()](path)]
            else:
                tables[path] = read_table(path)
            files[path] = digest
        except UserError as error:
            if is_named:
                raise
            why = str(error).removeprefix(str(path)).lstrip(": ").rstrip(".")
            passed.append({"file": labels[path], "used": False, "why": why})
    return files, tables, sweeps, pd.DataFrame(passed, columns=["file", "used", "why"])


def _digest(path: Path, files: dict[Path, str], labels: dict[Path, str]) -> str:
    """Checksum of a file that can be read and is no copy of another one."""
    if not _is_readable(path):
        raise UserError(f"{path} is neither a table nor a recording.")
    try:
        digest = checksum(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    for other, known in files.items():
        if known == digest:
            raise UserError(f"{path} is a copy of {labels[other]}.")
    return digest


def _tabulated(path: Path, label: str, table: Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for every cell and condition of a table, and the rates, which name their rows."""
    groups = table.rates.groupby(["cell", "condition"], sort=False)
    read = pd.DataFrame(
        [
            {
                "file": label,
                "cell": _Cell(cell) if cell else _Cell(path.stem, label),
                "condition": condition,
                "used": True,
                "why": f"{_ranges(own)}; {table.how}",
            }
            for (cell, condition), own in groups
        ]
    )
    rates = table.rates[["current_nA", "trial", "rate_Hz"]]
    return read, rates.assign(row=groups.ngroup())


def _ranges(rates: pd.DataFrame) -> str:
    currents = rates.current_nA.unique()
    return (
        f"{len(rates)} rates of {span(rates.rate_Hz, 'Hz')} at {len(currents)} currents of "
        f"{span(currents, 'nA')}"
    )


def _measured(
    sweeps: list[tuple[Path, Sweep]],
    labels: dict[Path, str],
    control: str,
    spike_level: Quantity,
    choice: Choice,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for every sweep of one kind of file, and the rates, which name their rows."""
    owners = list(zip((labels[path] for path, _ in sweeps), _cells(sweeps, labels), strict=True))
    left = pd.DataFrame(
        [
            {"electrode": s.electrode, "sweep": s.name, "stimulus": s.stimulus, "condition": ""}
            | {"used": False, "why": _unchosen(s, choice)}
            for _, s in sweeps
        ]
    )
    chosen = left.index[left.why == ""]
    # A cell in one file is measured alone: only later is it known which files share a cell.
    places = {owner: str(place) for place, owner in enumerate(dict.fromkeys(owners))}
    alone = [replace(sweeps[row][1], cell=places[owners[row]]) for row in chosen]
    parts = [left[left.why != ""]]
    try:
        parts += [measure(alone, control, spike_level).set_index(chosen)] if alone else []
    except UserError as error:
        files = listed(dict.fromkeys(str(sweeps[row][0]) for row in chosen))
        raise UserError(f"{files}: {error}") from error
    read = pd.concat([part for part in parts if len(part)]).sort_index()
    read["file"], read["cell"] = zip(*owners, strict=True)
    rates = read.reindex(columns=READ).loc[read.used, ["current_nA", "rate_Hz"]]
    return read, rates.assign(trial="", row=rates.index)


def _cells(sweeps: list[tuple[Path, Sweep]], labels: dict[Path, str]) -> list[_Cell]:
    """Whose every sweep is: the file says it, or its several electrodes, or its own name."""
    electrodes: dict[Path, set[str]] = {}
    for path, sweep in sweeps:
        electrodes.setdefault(path, set()).add(sweep.electrode)
    found = []
    for path, sweep in sweeps:
        # The name of an ABF file is taken: it says the condition.
        name, where = path.stem, labels[path]
        if path.suffix.lower() == ".abf":
            name, where = path.absolute().parent.name, str(path.absolute().parent)
        if len(electrodes[path]) > 1:
            name = sweep.electrode
        found.append(_Cell(sweep.cell) if sweep.cell else _Cell(name, where))
    return found


def _unchosen(sweep: Sweep, choice: Choice) -> str:
    if choice.electrode not in ("", sweep.electrode):
        return "another electrode was chosen"
    return "" if choice.stimulus in ("", sweep.stimulus) else "another stimulus was chosen"


def _check_choice(what: str, chosen: str, there: Iterable[str]) -> None:
    names = {name for name in there if name}
    if chosen and not names:
        raise UserError(f"{what} = {chosen} chooses nothing: the files name no {what}.")
    if chosen and chosen not in names:
        raise unknown(what, chosen, names)


def _names(read: pd.DataFrame) -> list[str]:
    """Name of the cell of every row.

    A cell that several files name is one where they have no condition in common, as with a file for
    each condition. Otherwise it is one in each file, and carries the file's name.
    """
    conditions: dict[_Cell, dict[str, set[str]]] = {}
    for row in read[read.used].itertuples():
        conditions.setdefault(row.cell, {}).setdefault(row.file, set()).add(row.condition)
    shared = {
        cell
        for cell, by_file in conditions.items()
        if sum(map(len, by_file.values())) > len(set[str]().union(*by_file.values()))
    }
    owners = [
        (cell, file if cell in shared else cell.where) if isinstance(cell, _Cell) else None
        for cell, file in zip(read.cell, read.file, strict=True)
    ]
    same = Counter(owner[0].name for owner in set(owners) if owner)
    return [
        "" if not owner else owner[0].name if same[owner[0].name] == 1 else _longer(owner)
        for owner in owners
    ]


def _longer(owner: tuple[_Cell, str]) -> str:
    cell, where = owner
    return f"{cell.name} in {where}" if where else cell.name


def _picked(read: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """The same rows, with those of other cells than the chosen one left out."""
    _check_choice("cell", choice.cell, read.cell)
    if choice.cell:
        return _left_out(read, read.cell != choice.cell, "another cell was chosen")
    return read


def _left_out(read: pd.DataFrame, those: pd.Series, why: str) -> pd.DataFrame:
    """The same rows, with some that were used left out."""
    those = those & read.used
    return read.assign(used=read.used & ~those, why=read.why.mask(those, why))


def _paired(read: pd.DataFrame, control: str, choice: Choice, where: str) -> pd.DataFrame:
    """The same rows, with cells left out that lack the control or anything to compare with it."""
    used = read[read.used]
    conditions = list(dict.fromkeys(used.condition))
    _check_alike(where, "conditions", conditions)
    _check_alike(where, "cells", list(dict.fromkeys(used.cell)))
    if control not in conditions:
        raise UserError(f"{where}: {unknown('control condition', control, conditions)}")
    if len(conditions) < 2:
        raise UserError(
            f"{where} holds one condition, {control!r}: a modulated one is needed to compare."
        )
    for (file, cell), own in used.groupby(["file", "cell"], sort=False):
        electrodes = own.electrode.dropna().unique() if "electrode" in own else []
        if len(electrodes) > 1:
            raise UserError(
                f"{file} has sweeps of the cell {cell} from the electrodes {listed(electrodes)}: "
                f"choose one, such as electrode={electrodes[0]}."
            )
    if choice.pooled:
        return read.assign(cell=read.cell.mask(read.used, POOLED))
    for cell, own in used.groupby("cell", sort=False):
        only = set(own.condition)
        if control not in only or len(only) < 2:
            lacking = f"{control!r}" if control not in only else f"any condition but {control!r}"
            read = _left_out(read, read.cell == cell, f"its cell was not recorded in {lacking}")
    if not read.used.any():
        raise UserError(
            f"No cell in {where} was recorded in {control!r} and in another condition: the cells "
            f"are {listed(dict.fromkeys(used.cell))}."
        )
    return read


def _check_alike(where: str, what: str, names: list[str]) -> None:
    plain: dict[str, str] = {}
    for name in names:
        other = plain.setdefault(" ".join(name.lower().split()), name)
        if other != name:
            raise UserError(
                f"{where}: the {what} {other!r} and {name!r} differ in upper and lower case or in "
                "spaces only: write them alike, or clearly apart."
            )


def _reasons(read: pd.DataFrame) -> str:
    """Why rows were left out, the commonest reasons first."""
    counts = Counter(read.why[~read.used]).most_common(NAMED)
    return "; ".join(f"{why} ({count})" if count > 1 else why for why, count in counts)


def _rates(read: pd.DataFrame, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rates of all rows that are used, trials numbered where they have no name."""
    places = [read.index[read.part == part][rates.row] for part, rates in enumerate(parts)]
    rates = pd.concat(parts, ignore_index=True).set_index(pd.Index(np.concatenate(places)))
    own = read.loc[rates.index]
    rates = rates.assign(cell=own.cell, condition=own.condition)[own.used].reset_index(drop=True)
    order = rates.groupby(["cell", "condition", "current_nA"], sort=False).cumcount() + 1
    trial = rates.trial.where(rates.trial != "", order)
    return rates.assign(trial=order if (rates.trial == "").all() else trial)[COLUMNS]
