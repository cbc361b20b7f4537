"""Figures of receptors fitted to data: points, fits and residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.support.figures import BLACK, COLORS, label, legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_fit(points: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """Data over the fit, a panel for the steady responses and one for the courses of each read-out.

    Parameters
    ----------
    points, curves : DataFrame
        As those of `ReceptorFit`.
    """
    kinds = [
        (readout, steady)
        for readout in dict.fromkeys(points.readout)
        for steady in (True, False)
        if np.any((points.readout == readout) & (points.time_s.isna() == steady))
    ]
    names = [f"{readout} {steady}" for readout, steady in kinds]
    layout = [[f"{name} fit" for name in names], [f"{name} rest" for name in names]]
    figure, axes = panels(layout, width=1 + 5 * len(names), height=5.2)
    for place, (name, (readout, steady)) in enumerate(zip(names, kinds, strict=True)):
        own, fitted = (
            table[(table.readout == readout) & (table.time_s.isna() == steady)]
            for table in (points, curves)
        )
        upper, lower = axes[f"{name} fit"], axes[f"{name} rest"]
        draw_points(upper, own, fitted)
        draw_residuals(lower, own)
        what = "steady" if steady else "over time"
        unit = own.unit.iloc[0]
        y = f"{readout} ({unit})" if unit else readout
        label(upper, f"{chr(97 + place)}  {readout.capitalize()}, {what}", y=y)
    return figure


def draw_points(axes: Axes, points: pd.DataFrame, curves: pd.DataFrame, start: str = "") -> None:
    """Points and the fit to them against concentration or time, a colour for each data set.

    Parameters
    ----------
    axes : Axes
    points, curves : DataFrame
        As those of `ReceptorFit`, all steady or all courses.
    start : str
        Name of the receptor that the fit started from, which is drawn if it has one.
    """
    for color, (name, own) in zip(_colors(points), _sets(points), strict=True):
        axes.plot(*_against(own, "response"), "o", color=color, ms=4, label=name)
    for color, (_, own) in zip(_colors(curves), _sets(curves), strict=True):
        axes.plot(*_against(own, "fit"), color=color, lw=1.3)
        if start:
            axes.plot(*_against(own, "start"), "--", color=color, lw=1)
    _name_x(axes, points)
    looks = {"fit": {"color": "0.4", "lw": 1.3}}
    looks |= {start: {"color": "0.4", "lw": 1, "ls": "--"}} if start else {}
    legend(axes, also=looks)


def draw_residuals(axes: Axes, points: pd.DataFrame) -> None:
    """Standardised residuals of points, with lines at 0 and at two standard deviations."""
    for color, (_, own) in zip(_colors(points), _sets(points), strict=True):
        axes.plot(*_against(own, "standardised"), "o", color=color, ms=3)
    axes.axhline(0, color=BLACK, lw=0.8)
    for end in (-2, 2):
        axes.axhline(end, color=BLACK, lw=0.8, ls=":")
    _name_x(axes, points)
    label(axes, y="residual (SD)")


def _sets(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each data set, and of each concentration of an antagonist in it."""
    found = []
    for (name, rival), own in table.groupby(["data", "antagonist_uM"], sort=False):
        several = table[table.data == name].antagonist_uM.nunique() > 1
        found.append((f"{name}, {rival:g} µM antagonist" if several else str(name), own))
    return found


def _colors(table: pd.DataFrame) -> list[Any]:
    return [COLORS[place % len(COLORS)] for place in range(len(_sets(table)))]


def _against(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Concentrations, 0 placed left of the others, or else times, and a column."""
    if rows.time_s.notna().any():
        return rows.time_s.to_numpy(), rows[column].to_numpy()
    conc = rows.conc_uM.to_numpy()
    return np.where(conc > 0, conc, conc[conc > 0].min(initial=np.inf) / 3), rows[column].to_numpy()


def _name_x(axes: Axes, points: pd.DataFrame) -> None:
    if points.time_s.notna().any():
        label(axes, x="time (s)")
    else:
        label(axes, x="concentration (µM; none at the left end)", log="x")
