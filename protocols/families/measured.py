"""Measured points that a protocol lays over what its receptor does, and fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, second, umolar

from neuromod.analysis.receptor_data import GAIN, Course, Steady, Supplied
from neuromod.analysis.receptor_fit import fit_receptor
from neuromod.electrophysiology.points import Measurements, read_points
from neuromod.errors import UserError
from neuromod.models.receptors import Receptor
from neuromod.parameters import parameter
from neuromod.protocol import Section, Tables
from neuromod.support.log import note
from neuromod.support.text import column_label, number, percent, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = ["measured", "residuals"]
"""Panels that `draw_measured` fills."""
TEXTS = ("data", "readout", "unit", "parameter", "the_data", "file", "column", "how")
"""Columns of names in the tables of `fitted`."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Tables of measured points and of the receptor fitted to them; none without a file.

    Attributes
    ----------
    tables : dict of str to DataFrame
    digests : dict of str to str
        SHA-256 of files by path.
    """

    tables: Tables = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def told(self) -> Tables:
        """The tables, noting in the run which file they come from."""
        for path, digest in self.digests.items():
            note(f"SHA-256 of {path}", digest)
        return self.tables


def measured_points(what: str) -> Any:
    """Setting of a file of measured points, of which `what` says what they are."""
    return parameter(
        "",
        f"table of measured {what}, laid over the curve and fitted; none if empty",
        "chosen here",
    )


def read(data: str) -> Measurements:
    """Responses in the file that a setting names."""
    return read_points(Path(data).absolute())


def steady(data: str, points: Measurements, receptor: Receptor, bath: Quantity) -> list[Steady]:
    """Dose-response points, with the antagonist of the file or else of the bath.

    Raises
    ------
    UserError
        When the file has no concentrations or is one of time courses, or of an antagonist that the
        receptor lacks.
    """
    values = points.values
    if "conc_uM" not in values or "time_s" in values:
        raise UserError(
            f"{data} needs a column conc_uM and none of times: points over time are for the "
            "protocols puff and wash."
        )
    if "antagonist_uM" in values and not receptor.antagonist:
        raise UserError(
            f"{data} has an antagonist: set receptors.{receptor.name}.antagonist to a name."
        )
    rival = values.get("antagonist_uM", float(bath / umolar) if receptor.antagonist else 0.0)
    conc = values.conc_uM.to_numpy() * umolar
    baths = np.broadcast_to(np.asarray(rival, dtype=float), len(values)) * umolar
    named = {"name": "measured"} | _response(points, np.ones(len(values), dtype=bool))
    return [Steady(conc=conc, antagonist=baths, **named)]


def courses(
    data: str, points: Measurements, conc: Quantity, width: Quantity, tau: Quantity
) -> list[Course]:
    """Time courses, one for each concentration, width and exchange.

    Parameters
    ----------
    data : str
    points : Measurements
        Times count from the start of the supply.
    conc, width, tau : Quantity, shape () or (n,)
        Those of the protocol, which hold where the file names none and there is only one.

    Raises
    ------
    UserError
        When the file has no times, or does not say which of several values holds.
    """
    values = points.values
    if "time_s" not in values:
        raise UserError(f"{data} needs a column time_s, which counts from the start of the supply.")
    own = {"conc_uM": conc / umolar, "width_s": width / second, "tau_exchange_s": tau / second}
    for column, of_protocol in own.items():
        if column in values:
            continue
        if np.size(of_protocol) > 1:
            unit = column.rpartition("_")[2]
            raise UserError(
                f"{data} needs a column {column}: the protocol has "
                f"{say(np.asarray(of_protocol))} {unit.replace('uM', 'µM')}."
            )
        values = values.assign(**{column: float(np.ravel(of_protocol)[0])})
    values = values.sort_values([*own, "time_s"], kind="stable")
    found = []
    for (level, lasts, exchange), rows in values.groupby([*own], sort=True):
        supply = Supplied(level * umolar, 0 * second, lasts * second, exchange * second)
        times = rows.time_s.to_numpy() * second
        named = {"name": f"{number(level)} µM"} | _response(points, rows.index)
        if values.width_s.nunique() > 1:
            named["name"] += f", {number(lasts)} s"
        if values.tau_exchange_s.nunique() > 1:
            named["name"] += f", exchange {number(exchange)} s"
        found.append(Course(times=times, conc=supply, **named))
    return found


def fitted(
    data: str,
    points: Measurements,
    sets: Iterable[Steady | Course],
    receptor: Receptor,
    fixed: Iterable[str] = (),
) -> Compared:
    """What was read, the fit, its parameters and its residuals.

    Parameters
    ----------
    data : str
    points : Measurements
    sets : iterable of Steady or Course
    receptor : Receptor
        What the fit starts from, and holds where the points do not determine it.
    fixed : iterable of str
        See `fit_receptor`.
    """
    fit = fit_receptor(*sets, start=receptor, fixed=[*fixed])
    ((offset, scale),) = fit.readouts.values()
    source = {
        "file": Path(data).name,
        "column": points.header,
        "responses": len(fit.points),
        "left_out": points.left_out,
        "offset": offset,
        "scale": scale,
        "how": points.how,
    }
    tables = {
        "measured": fit.points.drop(columns="unit"),
        "fitted_curve": fit.curves,
        "receptor_fit": fit.table.replace({"unit": {"": None}}),
        "read": pd.DataFrame([source]),
    }
    return Compared(tables, {str(Path(data).absolute()): points.digest})


def draw_measured(axes: dict[str, Axes], tables: Tables, first: str) -> None:
    """Points over the protocol's receptor and the fit, and the residuals.

    Parameters
    ----------
    axes : dict of str to Axes
        With those of `ROW`.
    tables : dict of str to DataFrame
    first : str
        Letter of the first panel.
    """
    # Imported here because Matplotlib takes its time.
    from neuromod.analysis.receptor_figure import draw_points, draw_residuals
    from neuromod.support.figures import label

    source = tables["read"].iloc[0]
    draw_points(axes["measured"], tables["measured"], tables["fitted_curve"], "receptor as set")
    draw_residuals(axes["residuals"], tables["measured"])
    title = f"{first}  Measured: {source.file}"
    label(axes["measured"], title, y=column_label(source.column))
    label(axes["residuals"], f"{chr(ord(first) + 1)}  Residuals of the fit")


def about_measured(tables: Tables) -> list[Section]:
    """What was read, what the fit says, and its residuals; nothing without data."""
    if "read" not in tables:
        return []
    source = tables["read"].iloc[0]
    return [
        Section("What was read", _about_reading(source, tables["measured"]), "read"),
        Section("Receptor fitted to the data", _about_fit(tables["receptor_fit"]), "receptor_fit"),
        Section("Residuals of the fit", _about_residuals(tables["measured"]), "measured"),
    ]


def _response(points: Measurements, rows: Any) -> dict[str, Any]:
    """Responses, their errors and their read-out in some rows."""
    own = points.values.loc[rows]
    error = own.error.to_numpy() if "error" in own else None
    readout = GAIN if points.is_gain else points.header
    return {"response": own.response.to_numpy(), "error": error, "readout": readout}


def _about_reading(source: Any, measured: pd.DataFrame) -> str:
    gone = int(source.left_out)
    rows = "row without a response was" if gone == 1 else "rows without a response were"
    left = f" {gone} {rows} left out." if gone else ""
    mapped = ""
    if (measured.readout != GAIN).any():
        mapped = (
            f" They are no gains: the fit takes {source.column} as {number(source.offset, 3)} + "
            f"{number(source.scale, 3)}*activation, with both numbers fitted, and the curve of the "
            "receptor as set is drawn with the same two."
        )
    return (
        f"{say(int(source.responses))} responses were read from {source.file} ({source.how})."
        f"{left}{mapped}"
    )


def _about_fit(fit: pd.DataFrame) -> str:
    open_ones = fit[fit.the_data.str.startswith("do not")]
    lines = [
        f"{row.parameter}: {row.the_data.removeprefix('do not determine it: ')}."
        for row in open_ones.itertuples()
    ]
    left = "\n\n" + "\n\n".join(lines) if lines else ""
    return (
        "The whole cascade of the first receptor is fitted by least squares, as if it were the "
        "only one, from the receptor as set. What the data do not determine is held at the value "
        "that was set. Intervals are 95 % profile-likelihood intervals with all parameters free; "
        "one that would be open then is that given what is held. They take the points to scatter "
        f"independently.{left}"
    )


def _about_residuals(measured: pd.DataFrame) -> str:
    beyond = float((measured.standardised.abs() > 2).mean())
    return (
        f"Residuals are the responses less the fit; {percent(beyond, 2)} of them lie beyond two "
        "standard deviations, of normal ones 5 % would. A run of one sign says that no receptor of "
        "this kind does what was measured."
    )
