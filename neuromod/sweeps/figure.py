"""Figures of a sweep: lines over one setting, families of lines and heat maps over two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuromod.support.figures import (
    BLUE,
    COLORS,
    LOG_FROM,
    Family,
    label,
    legend,
    panels,
    style,
    thin,
)
from neuromod.support.text import say
from neuromod.sweeps.results import POINT, row_of

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6
"""Results that are drawn; the data set has all."""
FINE = 12
"""Values on both axes from which on a map shows more than lines."""
MOST_CELLS, MOST_DOTS = 500, 20_000
"""Along an axis of a map, and of points that are no grid; of more, some at equal intervals."""


def draw(dataset: xarray.Dataset, names: list[str] | None = None) -> Figure:
    """Draw results over the settings.

    Parameters
    ----------
    dataset : Dataset
    names : list of str, optional
        Results to draw; the first six that vary by default. Tables with several rows are drawn by
        their last. Of more than two settings, all but the two with the most values are held at
        their middle value.
    """
    chosen = names or _varying(dataset)
    columns = min(3, max(1, len(chosen)))
    layout: Any = [chosen[k : k + columns] for k in range(0, len(chosen), columns)] or [["none"]]
    layout[-1] += ["."] * (columns - len(layout[-1]))
    with style():
        figure, axes = panels(layout, width=4.4 * columns, height=3.3 * len(layout))
        for letter, name in zip("abcdefghijkl", chosen, strict=False):
            title = _draw_one(axes[name], dataset, dataset[name])
            label(axes[name], f"{letter}  {title}")
        if not chosen:
            label(axes["none"], "No result varies with the settings")
    return figure


def _varying(dataset: xarray.Dataset) -> list[str]:
    """Results that are not the same for all points; first those of which a point has one."""
    found = []
    for name, result in dataset.data_vars.items():
        if _is_number(result):
            values = _last_row(dataset, result)[0].values
            finite = values[np.isfinite(values)]
            if finite.size and finite.min() < finite.max():
                found.append(str(name))
    return sorted(found, key=lambda name: row_of(dataset[name]) != "")[:MOST_PANELS]


def _last_row(dataset: xarray.Dataset, result: Any) -> tuple[Any, str]:
    """A result with one number for each point, of tables the last row, and which that is."""
    row = row_of(result)
    if not row:
        return result, ""
    coordinates = [c for c in dataset.coords.values() if c.dims == (row,) and _is_number(c)]
    where = [f"{_named(c)} = {_value(c, -1)}" for c in coordinates]
    return result.isel({row: -1}), "".join(f", {told}" for told in where or ["last row"])


def _draw_one(axes: Axes, dataset: xarray.Dataset, result: Any) -> str:
    """Draw one result, and say what it is and where settings that are not drawn are held."""
    result, row = _last_row(dataset, result)
    title = f"{_named(result)}{row}"
    if result.dims == (POINT,):
        some = {POINT: slice(None, None, -(-dataset.sizes[POINT] // MOST_DOTS))}
        _draw_scatter(axes, dataset.isel(some), result.isel(some))
        return title
    settings = sorted(map(str, result.dims), key=lambda s: (dataset.sizes[s], s))
    *held, y, x = settings if len(settings) > 1 else ["", *settings]
    for name in held:
        middle = dataset.sizes[name] // 2 if name else 0
        if name:
            title += f", {name} = {_value(dataset[name], middle)}"
            result = result.isel({name: middle})
    ordered = [name for name in (x, y) if name and _is_number(dataset[name])]
    dataset, result = dataset.sortby(ordered), result.sortby(ordered)
    fine = y and all(_is_number(dataset[s]) and dataset.sizes[s] >= FINE for s in (x, y))
    if fine:
        _draw_map(axes, dataset[x], dataset[y], result.transpose(y, x))
    else:
        _draw_lines(axes, dataset, result, y, x)
    return title


def _draw_scatter(axes: Axes, dataset: xarray.Dataset, result: Any) -> None:
    """Points that are no grid: over the first setting, coloured by the second."""
    over, *others = (c for c in dataset.coords.values() if c.dims == (POINT,))
    by = next((other for other in others if _is_number(other)), None)
    colours: dict[str, Any] = {"c": BLUE} if by is None else {"c": by.values, "cmap": "viridis"}
    shown = axes.scatter(over.values, result.values, s=9, rasterized=True, **colours)
    if by is not None:
        axes.figure.colorbar(shown, ax=axes, label=_labelled(by))
    label(axes, x=_labelled(over), y=_labelled(result), log=_log(over, "x"))


def _draw_lines(axes: Axes, dataset: xarray.Dataset, result: Any, y: str, x: str) -> None:
    """Results over one setting, a line for each value of the other."""
    if y and _is_number(dataset[y]) and not _is_number(dataset[x]):
        x, y = y, x
    over = dataset[x]
    look: dict[str, Any] = {"marker": "o" if len(over) <= 2 * FINE else "", "ms": 3}
    if not _is_number(over):
        # Between words there is nothing.
        look = {"marker": "o", "ls": ""}
    values, rows = thin(over.values, result.transpose(*([y] if y else []), x).values)
    if not y:
        axes.plot(values, rows, color=BLUE, **look)
    elif _is_number(dataset[y]):
        family = Family(dataset[y].values, _labelled(dataset[y]))
        family.draw(axes, values, rows, **look)
        family.explain(axes)
    else:
        for k, (word, row) in enumerate(zip(dataset[y].values, rows, strict=True)):
            axes.plot(values, row, color=COLORS[k % len(COLORS)], label=str(word), **look)
        legend(axes, y)
    label(axes, x=_labelled(over), y=_labelled(result), log=_log(over, "x"))


def _draw_map(axes: Axes, x: Any, y: Any, result: Any) -> None:
    across, up = (slice(None, None, -(-len(side) // MOST_CELLS)) for side in (x, y))
    x, y, result = x[across], y[up], result[up, across]
    shown = axes.pcolormesh(x.values, y.values, result.values, shading="nearest", rasterized=True)
    axes.figure.colorbar(shown, ax=axes, label=_labelled(result))
    label(axes, x=_labelled(x), y=_labelled(y), log=_log(x, "x") + _log(y, "y"))


def _log(setting: Any, axis: str) -> str:
    """The axis, where values spread over a decade in equal ratios; else empty."""
    if not _is_number(setting) or len(setting) < 3 or setting.values.min() <= 0:
        return ""
    ratios = np.diff(np.log(np.unique(setting.values)))
    wide = setting.values.max() >= LOG_FROM * setting.values.min()
    return axis if wide and ratios.max() < 2 * ratios.min() else ""


def _is_number(setting: Any) -> bool:
    return bool(setting.dtype.kind in "iuf")


def _value(setting: Any, number: int) -> str:
    value, unit = setting.values[number], setting.attrs.get("units", "1")
    return say(float(value), "" if unit == "1" else unit) if _is_number(setting) else str(value)


def _named(variable: Any) -> str:
    return str(variable.attrs.get("long_name", variable.name))


def _labelled(variable: Any) -> str:
    unit = variable.attrs.get("units", "1")
    return _named(variable) if unit == "1" else f"{_named(variable)} ({unit})"
