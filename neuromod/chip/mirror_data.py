"""Sweeps of one's own mirror: the current of a unit by its supply, from a table or from SPICE."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from brian2 import nA, volt

from neuromod.electrophysiology.grids import (
    EXCEL,
    TEXTS,
    Column,
    Grid,
    decimal_mark,
    how,
    read_grid,
    read_numbers,
    role,
)
from neuromod.errors import UserError, listed
from neuromod.models.device_table import NOTHING, DeviceTable
from neuromod.support.cache import checksum
from neuromod.support.paths import file_at

RAW = ".raw"
# Compared in lower case, in which U+00B5 and U+03BC are one letter.
VOLT = {"v": 1.0, "mv": 1e-3}
NANOAMPERE = {"a": 1e9, "ma": 1e6, "ua": 1e3, "μa": 1e3, "na": 1.0, "pa": 1e-3, "fa": 1e-6}
COLUMNS: dict[str, tuple[tuple[str, ...], Mapping[str, float]]] = {
    "vdd": (("vdd", "supply"), VOLT),
    "v": (("v", "vout", "v out", "membrane", "drain"), VOLT),
    "current": (("current", "unit current", "i"), NANOAMPERE),
}
NAMES = {"vdd": "vdd_V", "v": "v_V", "current": "current_nA"}
FEWEST = 4
# Of volts: solved voltages of one source differ by less, and no two points of a sweep do.
DECIMALS = 9
HEADERS = {"ngspice", "xyce"}
"""Of simulators whose raw files look alike."""


@dataclass(frozen=True, eq=False)
class MirrorData:
    """Currents of one unit of a mirror.

    Attributes
    ----------
    name : str
        Of the file, without what is no letter, digit or underscore.
    points : DataFrame
        ``vdd_V``, ``current_nA`` and, where the current was taken at several voltages across the
        transistor, ``v_V``; the index counts rows of a table or points of a sweep, from 1 on.
    how : str
        How it was read: the columns or vectors used, and the file's own format.
    source : str
        The file and its SHA-256; empty for data that come from no file.
    """

    name: str
    points: pd.DataFrame
    how: str = ""
    source: str = ""

    @property
    def table(self) -> DeviceTable:
        """The same as a law of `CircuitNeuron`.

        Raises
        ------
        UserError
            When the current does not rise everywhere, or points are missing.
        """
        table = self.points
        drops = np.unique(table.v_V) if "v_V" in table else np.zeros(1)
        vdd = np.unique(table.vdd_V)
        if len(table) != len(vdd) * len(drops):
            met = table.groupby("v_V").vdd_V.agg(set)
            drop, has = next((v, has) for v, has in met.items() if len(has) < len(vdd))
            lacking = min(set(vdd) - has)
            raise UserError(
                f"{self.name} needs a current at every pair of vdd and v, and has none at vdd = "
                f"{lacking:g} V with v = {drop:g} V."
            )
        order = ["vdd_V", "v_V"] if "v_V" in table else ["vdd_V"]
        current = table.sort_values(order).current_nA.to_numpy()
        if len(drops) > 1:
            # What a simulator's gmin lets through, either way, where no voltage drives anything.
            grid = current.reshape(len(vdd), len(drops))
            nothing = (drops == 0) & (np.abs(grid) <= NOTHING * grid[:, [-1]])
            current = np.where(nothing, 0.0, grid).ravel()
        return DeviceTable(
            name=self.name,
            at_vdd=vdd * volt,
            at_drop=drops * volt,
            unit_current=current * nA,
            source=self.source,
        )


def read_mirror(path: str | Path, vdd: str = "", current: str = "", v: str = "") -> MirrorData:
    """The unit current of a mirror, from a table or a SPICE raw file.

    Parameters
    ----------
    path : path
        Text with tabs, semicolons or commas, or an Excel file, with columns ``vdd_V``,
        ``current_nA`` and, if the current depends on it, ``v_V``, the voltage across the output
        transistor; their units stand in their names. Or a raw file (``.raw``) of ngspice, LTspice,
        Xyce or QSPICE, binary or text, of a ``.dc`` sweep.
    vdd, current, v : str
        Vectors of a raw file, such as ``"v(vdd)"``; a minus before a name turns its sign, as in
        ``"-i(vout)"``. Without names, v(vdd) and the only current are taken.

    Raises
    ------
    UserError
        When the file cannot be read for certain, or its supply does not rise.
    """
    path = file_at(path)
    named = {"vdd": vdd, "current": current, "v": v}
    suffix = path.suffix.lower()
    if suffix == RAW:
        points, said = _raw(path, {held: name.strip() for held, name in named.items()})
    elif suffix not in (*TEXTS, EXCEL):
        raise UserError(
            f"{path} must be a table ({', '.join(TEXTS)}, {EXCEL}) or a SPICE raw file ({RAW})."
        )
    elif given := [name for name in named.values() if name]:
        raise UserError(
            f"{given[0]} names a vector of a raw file; in a table, columns are called vdd_V, "
            "current_nA and v_V."
        )
    else:
        points, said = _columns(path)
    name = re.sub(r"\W+", "_", path.stem, flags=re.ASCII) or "device"
    data = MirrorData(name, points, said, f"{path.name}, SHA-256 {checksum(path)}")
    return checked(data, str(path))


def checked(data: MirrorData, path: str = "the data") -> MirrorData:
    """The same data, refused where they are no sweep of a supply."""
    table, what = data.points, data.points.index.name or "row"
    for name in table:
        wrong = ~np.isfinite(table[name].to_numpy(dtype=float))
        if wrong.any():
            raise UserError(
                f"{path}: {name} in {what} {table.index[wrong][0]} is no finite number."
            )
    if len(table) < FEWEST:
        raise UserError(f"{path} has {len(table)} points: at least {FEWEST} were expected.")
    table = table.assign(**{n: table[n].round(DECIMALS) for n in ("vdd_V", "v_V") if n in table})
    for drop, own in table.groupby("v_V") if "v_V" in table else [(None, table)]:
        place = "" if drop is None else f" at v = {drop:g} V"
        steps = np.diff(own.vdd_V)
        if np.all(steps > 0):
            continue
        at = int(np.flatnonzero(steps <= 0)[0])
        before, after = own.vdd_V.iloc[at], own.vdd_V.iloc[at + 1]
        end = " A second sweep goes into v." if drop is None else ""
        raise UserError(
            f"{path}: vdd must rise{place}, and goes from {before:g} V in {what} {own.index[at]} "
            f"to {after:g} V in {what} {own.index[at + 1]}.{end}"
        )
    top = table.loc[table.vdd_V.idxmax()]
    if not table.current_nA.max() > -table.current_nA.min():
        raise UserError(
            f"{path}: the current is {top.current_nA:g} nA at {top.vdd_V:g} V and must be above 0 "
            "there; of a vector that counts the other way, write its name with a minus, such as "
            "-i(vout)."
        )
    return replace(data, points=table)


def _columns(path: Path) -> tuple[pd.DataFrame, str]:
    """Points of a table, and how it was read."""
    grid = read_grid(path, COLUMNS, {"vdd", "current"})
    found: dict[str, Column] = {}
    for place, header in enumerate(grid.header):
        held, unit = role(header, COLUMNS)
        if not held:
            continue
        units = COLUMNS[held][1]
        if unit not in units:
            raise UserError(f"{path}: {header} must end in its unit, as in {NAMES[held]}.")
        if held in found:
            both = listed([grid.header[found[held].place], header])
            raise UserError(f"{path} needs one column of {held}, and has {both}.")
        found[held] = Column(place, units[unit])
    _need(path, found, "column", [name for name in grid.header if name])
    if not grid.rows:
        raise UserError(f"{path} has no row below its header.")
    mark = decimal_mark(grid, found)
    read = {NAMES[held]: read_numbers(grid, found[held], mark) for held in NAMES if held in found}
    return pd.DataFrame(read, index=_rows(grid)), how(grid, found, mark)


def _rows(grid: Grid) -> pd.Index:
    return pd.Index(list(grid.rows), name="row")


def _need(path: Path, found: Iterable[str], what: str, there: list[str]) -> None:
    for held in ("vdd", "current"):
        if held not in found:
            raise UserError(
                f"{path} needs a {what} {NAMES[held]}, with its unit in its name; it has "
                f"{listed(there)}."
            )


def _raw(path: Path, named: Mapping[str, str]) -> tuple[pd.DataFrame, str]:
    """Points of a raw file, and the vectors used."""
    vectors, kinds, program = _vectors(path)
    chosen = {held: _named(path, name, kinds) for held, name in named.items() if name}
    if "vdd" not in chosen:
        fitting = [name for name in kinds if name.lower() in ("v(vdd)", "vdd")]
        # With nothing else to choose from, the swept voltage is the supply.
        first = next(iter(kinds))
        if not fitting and len(kinds) == 2 and "voltage" in kinds[first]:
            fitting = [first]
        chosen["vdd"] = (_only(path, "vdd", fitting, kinds), 1)
    if "current" not in chosen:
        fitting = [name for name in kinds if "current" in kinds[name]]
        chosen["current"] = (_only(path, "current", fitting, kinds), 1)
    for held, (name, _) in chosen.items():
        kind = "current" if held == "current" else "voltage"
        if kind not in kinds[name]:
            raise UserError(f"{path}: {name} is a {kinds[name]}, and {held} must be a {kind}.")
    values = {
        NAMES[held]: chosen[held][1] * vectors[chosen[held][0]] * (1e9 if held == "current" else 1)
        for held in NAMES
        if held in chosen
    }
    index = pd.RangeIndex(1, 1 + len(vectors[chosen["vdd"][0]]), name="point")
    used = [f"{held} = {'-' if sign < 0 else ''}{name}" for held, (name, sign) in chosen.items()]
    return pd.DataFrame(values, index=index), f"raw file of {program}; {', '.join(used)}"


def _named(path: Path, name: str, kinds: Mapping[str, str]) -> tuple[str, int]:
    """A vector by its name in any case, and its sign."""
    wanted, sign = (name[1:], -1) if name.startswith("-") else (name, 1)
    fitting = [known for known in kinds if known.lower() == wanted.strip().lower()]
    if len(fitting) != 1:
        raise UserError(f"{path} has no vector {wanted}: it has {listed(list(kinds))}.")
    return fitting[0], sign


def _only(path: Path, held: str, fitting: list[str], kinds: Mapping[str, str]) -> str:
    if len(fitting) != 1:
        raise UserError(
            f"{path}: name the vector that is {held}, as in {held}={_example(held)}: it has "
            f"{listed(list(kinds))}."
        )
    return fitting[0]


def _example(held: str) -> str:
    return {"vdd": "v(vdd)", "current": "-i(vout)"}[held]


def _vectors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str], str]:
    """Values and kinds of the vectors of a raw file's only sweep, and the program it is of."""
    try:
        from spicelib import RawRead
        from spicelib.raw.raw_classes import SpiceReadException
    except ImportError as error:
        raise UserError(
            f"{path} needs spicelib: pip install 'brian2-neuromod[spice]' brings it."
        ) from error

    def opened(dialect: str | None) -> RawRead:
        return RawRead(path, traces_to_read=None, dialect=dialect, verbose=False)

    try:
        try:
            read = opened(None)
        except SpiceReadException as error:
            if "auto detected" not in str(error):
                raise
            # Files of old ngspice and of Xyce do not say so, and look alike.
            read = opened("ngspice")
        plots = [plot for plot in read.plots if "dc" in plot.get_plot_name().lower().split()]
        if len(plots) != 1:
            held = listed([plot.get_plot_name() for plot in read.plots])
            raise UserError(f"{path} must hold one .dc sweep, and holds {held}.")
        (plot,) = plots
        # What a file defines by formulas stays out: spicelib would evaluate them.
        names = list(plot.get_raw_property("Variables"))
        if len(set(map(str.lower, names))) < len(names):
            raise UserError(f"{path} has two vectors of one name: {listed(names)}.")
        plot.read_trace_data(names)
        traces = {name: plot.get_trace(name) for name in names}
        vectors = {name: np.asarray(trace.data) for name, trace in traces.items()}
        kinds = {name: str(trace.whattype).lower() for name, trace in traces.items()}
    except UserError:
        raise
    except Exception as error:
        # Damaged files make it raise anything.
        raise UserError(f"{path} cannot be read as a SPICE raw file: {error}") from error
    if any(np.iscomplexobj(values) for values in vectors.values()):
        raise UserError(f"{path} has complex numbers: a .dc sweep was expected.")
    said = str(plot.dialect)
    program = "ngspice or Xyce" if said in HEADERS else said
    return {n: x.astype(float) for n, x in vectors.items()}, kinds, program
