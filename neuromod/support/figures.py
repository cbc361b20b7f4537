"""One look for all figures: colours that the colour-blind can tell apart, readable in print."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize, to_hex
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neuromod.support.text import column_label, handy, number, with_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Okabe & Ito 2008, Color Universal Design.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, RED, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, BLACK)
"""For conditions without an order; yellow is too pale for lines."""
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
}
# From light to dark in equal steps of lightness; the lightest still stands out from white.
SCALES = {
    "blue": ["#089FD2", "#0288BE", "#0171AA", "#045A96", "#014583", "#022F71", "#0E1A59"],
    "orange": ["#E57506", "#CB6206", "#AF4F06", "#923E06", "#762F05", "#5A2104", "#3E1503"],
    "green": ["#18A961", "#139255", "#0E7B49", "#0A643D", "#064F31", "#043B25", "#02271A"],
}
ORDERED = {hue: LinearSegmentedColormap.from_list(hue, scale) for hue, scale in SCALES.items()}
MOST_NAMED = 7
"""Curves that a legend names; more get a colour bar."""
MOST_PANELS = 12
LOG_FROM = 20


def style() -> AbstractContextManager[None]:
    """Context in which figures have the common look."""
    return matplotlib.rc_context(STYLE)


def panels(layout: list[Any], width: float = 9.0, height: float = 6.0) -> tuple[Figure, Any]:
    """Empty figure with named panels.

    Parameters
    ----------
    layout : list of lists
        As for `matplotlib.figure.Figure.subplot_mosaic`.
    width, height : float
        In inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplot_mosaic(layout)


def label(
    axes: Axes, title: str = "", x: str = "", y: str = "", log: str = "", **more: Any
) -> None:
    """Write the title and labels of axes; those left empty stay as they are.

    Parameters
    ----------
    axes : Axes
    title, x, y : str
    log : str
        Which axes are logarithmic: ``"x"``, ``"y"`` or ``"xy"``.
    **more
        As for `Axes.set`, such as limits.
    """
    named = {"title": title, "xlabel": x, "ylabel": y}
    scales = {f"{axis}scale": "log" for axis in log}
    axes.set(**scales, **{name: text for name, text in named.items() if text}, **more)
    if more.get("ylim") == (0, None) and np.isfinite(axes.dataLim.y1) and axes.dataLim.y1 > 0:
        # The margin of data that lie close together would cut their markers off.
        axes.set_ylim(top=max(axes.get_ylim()[1], 1.05 * axes.dataLim.y1))


def none_at_left(axes: Axes, least: float) -> None:
    """Let the smallest value on a logarithmic axis, where 0 is drawn, be read as none."""
    axes.fmt_xdata = lambda x: "none" if x <= 1.001 * least else number(x)


def thin(times: Any, *traces: Any, points: int = 2000) -> tuple[Any, ...]:
    """Fewer samples of traces, with every peak and trough still there.

    The samples are divided into bins of equal length, and of each bin the smallest and the largest
    value of every trace are kept, each at its own time.

    Parameters
    ----------
    times : array or Quantity, shape (steps,)
    *traces : array or Quantity, shape (steps,) or (n, steps)
    points : int
        Samples to keep, roughly; nothing is left out where there are no more.

    Returns
    -------
    tuple of array or Quantity
        `times` and `traces` at the same samples.
    """
    steps = len(times)
    if steps <= points:
        return (times, *traces)
    rows = np.vstack([np.atleast_2d(np.asarray(trace)) for trace in traces])
    width = -(-steps // max(1, points // (2 * len(rows))))
    # The last bin is filled up with the last sample.
    bins = np.pad(rows, ((0, 0), (0, -steps % width)), mode="edge").reshape(len(rows), -1, width)
    first = np.arange(bins.shape[1]) * width
    lowest = np.where(np.isnan(bins), np.inf, bins).argmin(axis=2) + first
    highest = np.where(np.isnan(bins), -np.inf, bins).argmax(axis=2) + first
    kept = np.unique(np.concatenate([[0, steps - 1], lowest.ravel(), highest.ravel()]))
    kept = kept[kept < steps]
    return (times[kept], *(trace[..., kept] for trace in traces))


def ordered_colors(n: int, hue: str = "blue") -> list[str]:
    """Colours for values that have an order, from light to dark in one hue.

    Parameters
    ----------
    n : int
    hue : str
        ``"blue"``, ``"orange"`` or ``"green"``.

    Returns
    -------
    list of str
        The darkest last; the middle of the scale where `n` is 1.
    """
    places = np.linspace(0, 1, n) if n > 1 else [0.5]
    return [to_hex(ORDERED[hue](place)) for place in places]


@dataclass(frozen=True, eq=False)
class Family:
    """Curves over values that have an order, such as doses: one colour for each value.

    Attributes
    ----------
    values : array or Quantity, shape (n,)
    title : str
        What the values are.
    hue : str
        As for `ordered_colors`; a figure gives each of its families one of its own.
    """

    values: Any
    title: str
    hue: str = "blue"

    @property
    def colors(self) -> list[str]:
        """Colour of every value, shape (n,), the same in all panels of a figure."""
        plain, _ = handy(self.values)
        if len(plain) <= MOST_NAMED:
            ranks = np.argsort(np.argsort(plain, kind="stable"), kind="stable")
            return [ordered_colors(len(plain), self.hue)[rank] for rank in ranks]
        return [to_hex(ORDERED[self.hue](self._norm(value))) for value in plain]

    def draw(self, axes: Axes, x: Any, rows: Any, *look: Any, **more: Any) -> None:
        """Draw one curve for each value.

        Parameters
        ----------
        axes : Axes
        x : array, shape (m,) or (n, m)
        rows : array, shape (n, m)
        *look, **more
            As for `Axes.plot`.
        """
        plain, unit = handy(self.values)
        for place, (row, color) in enumerate(zip(rows, self.colors, strict=True)):
            # A label that begins with an underscore is in no legend.
            known = {"label": f"_{self.title}: {with_unit(number(plain[place]), unit)}"} | more
            axes.plot(x if np.ndim(x) == 1 else x[place], row, *look, color=color, **known)

    def explain(
        self, axes: Axes, below: bool = False, also: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Say beside the axes which colour is which: a legend of up to seven, else a colour bar.

        For `below` and `also` see `legend`.
        """
        plain, unit = handy(self.values)
        if len(plain) > MOST_NAMED:
            shades = ScalarMappable(self._norm, ORDERED[self.hue])
            bar = axes.figure.colorbar(shades, ax=axes, aspect=30)
            bar.set_label(f"{self.title} ({unit})" if unit else self.title)
            if also:
                legend(axes, "", below, also)
            return
        names = [with_unit(number(value), unit) for value in plain]
        looks = {name: {"color": color} for name, color in zip(names, self.colors, strict=True)}
        legend(axes, self.title, below, looks | dict(also or {}))

    @property
    def _norm(self) -> Normalize:
        plain, _ = handy(self.values)
        low, high = float(plain.min()), float(plain.max())
        return LogNorm(low, high) if 0 < LOG_FROM * low < high else Normalize(low, high)


def legend(
    axes: Axes,
    title: str = "",
    below: bool = False,
    also: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Legend outside the axes, so that it lies on no data, of what is drawn there.

    Parameters
    ----------
    axes : Axes
        What has a label is named unless none of it can be seen.
    title : str
    below : bool
        Whether it stands under the axes, in a row, not to their right.
    also : mapping of str to mapping, optional
        Further names and their looks, such as ``{"closed form": {"ls": ":", "color": BLACK}}``.
    """
    handles, labels = axes.get_legend_handles_labels()
    named = {label: h for h, label in zip(handles, labels, strict=True) if _is_drawn(h)}
    named |= {label: Line2D([], [], **look) for label, look in (also or {}).items()}
    if not named:
        return
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    if below:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": len(named)}
    axes.legend(list(named.values()), list(named), title=title or None, **place)


def plain_figure(tables: Mapping[str, pd.DataFrame], recordings: Mapping[str, Any]) -> Figure:
    """Figure of a protocol that draws none: the main table's numbers, or else what was recorded.

    Every column of numbers of ``"table"`` is drawn against the first column. Where there are none,
    traces are drawn, and spikes where there are no traces.
    """
    drawings: list[tuple[Any, ...]] = []
    if "table" in tables:
        table = tables["table"]
        numeric = [name for name in table.columns[1:] if table[name].dtype.kind in "iuf"]
        drawings = [(_draw_column, table, table.columns[0], name) for name in numeric]
    alone = len(recordings) == 1
    drawings = drawings or [
        (
            _draw_traces,
            recording.times_of(cells, what),
            signal,
            what,
            cells if alone else f"{name}: {cells}",
        )
        for name, recording in recordings.items()
        for cells, signals in recording.signals.items()
        for what, signal in signals.items()
    ]
    drawings = drawings or [
        (_draw_spikes, spikes, f"{name}: {cells}")
        for name, recording in recordings.items()
        for cells, spikes in recording.spikes.items()
        if len(spikes.neurons)
    ]
    shown = drawings[:MOST_PANELS]
    across = min(3, max(1, len(shown)))
    down = -(-len(shown) // across)
    figure = Figure(figsize=(4 * across, 2.8 * down or 2), layout="constrained")
    for place, (draw, *what) in enumerate(shown, start=1):
        draw(figure.add_subplot(down, across, place), *what)
    if not shown:
        figure.text(0.5, 0.5, "No numbers, traces or spikes to show.", ha="center")
    return figure


def _draw_column(axes: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    # A line joins the points of one condition; where x comes again there are several.
    joined = table[x].is_monotonic_increasing and table[x].is_unique
    axes.plot(table[x].to_numpy(), table[y].to_numpy(), "o-" if joined else "o", color=BLUE, ms=4)
    axes.set(xlabel=column_label(x), ylabel=column_label(y))


def _draw_traces(axes: Axes, times: Any, signal: Any, what: str, title: str) -> None:
    rows = signal.values[:MOST_NAMED]
    at, values = thin(times, rows)
    x, x_unit = handy(at)
    y, y_unit = handy(values)
    for neuron, row, color in zip(signal.neurons, y, COLORS, strict=False):
        axes.plot(x, row, color=color, lw=1, label=f"neuron {neuron}")
    label(axes, title, f"time ({x_unit})", f"{what} ({y_unit})" if y_unit else what)
    if len(rows) > 1:
        legend(axes)


def _draw_spikes(axes: Axes, spikes: Any, title: str) -> None:
    times, unit = handy(spikes.times)
    axes.plot(times, spikes.neurons, ".", color=BLACK, ms=2)
    label(axes, title, f"time ({unit})", "neuron")


def _is_drawn(handle: Any) -> bool:
    """Whether something of what a legend would name is there to be seen."""
    if isinstance(handle, Container):
        return any(_is_drawn(part) for part in handle.get_children())
    if not handle.get_visible():
        return False
    if isinstance(handle, Line2D):
        return bool(np.isfinite(handle.get_xydata()).all(axis=1).any())
    if isinstance(handle, PathCollection):
        return bool(np.size(handle.get_offsets()))
    return True
