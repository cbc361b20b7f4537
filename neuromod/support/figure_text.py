"""What a drawn figure shows, in words and point by point, for those who cannot see or touch it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import Collection
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import FixedFormatter, FuncFormatter

from neuromod.errors import listed
from neuromod.support.text import number, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

MOST_POINTS = 2000
"""Of a figure; where there are more, nobody could tell them apart."""
FINE, MOST_JOINED = 400, 5
"""Steps across a figure within which markers lie on each other, and of those the ones told."""
MOST_NAMES = 9
"""Categories and curves that are named one by one."""
TICKS = ("None", "none", " ", "", ".", ",", "|")
"""Markers of spikes and of lines that have none."""
PANEL = re.compile(r"([a-z])(?:  (.*))?")
NUMBER = re.compile(r"[-+]?\d[\d .]*(e-?\d+)?")
MEASURED = re.compile(r"(.+) \(([^\s();,:]+|1/\([^()]+\))(?:;[^()]*)?\)")
"""An axis's label with a unit, and with what it says behind a semicolon."""


@dataclass(frozen=True)
class Point:
    """A marker: its place, as shares of the figure from its upper left corner, and its values."""

    x: float
    y: float
    text: str


def points(figure: Figure) -> list[Point]:
    """Every marker of a figure that has been drawn, with the values that it stands for.

    Returns
    -------
    list of Point
        Empty where there are more than `MOST_POINTS`.
    """
    together: dict[tuple[int, int], list[Point]] = {}
    for axes in _panels(figure):
        for line, name in _marked(axes):
            for point in _points_of(axes, line, name, figure.bbox.size):
                place = (round(FINE * point.x), round(FINE * point.y))
                together.setdefault(place, []).append(point)
    found = [_joined(at_one_place) for at_one_place in together.values()]
    return found if len(found) <= MOST_POINTS else []


def alternative(figure: Figure) -> str:
    """What a figure shows: of every panel the title, the quantities, their ranges and the curves.

    The figure has to be drawn.
    """
    panels = _panels(figure)
    if all(_heading(axes)[0] for axes in panels if _title(axes)):
        panels.sort(key=lambda axes: _heading(axes)[0])
    above = {axes: _titled_above(axes, panels) for axes in panels}
    told = [
        _panel(axes, [other for other in panels if above[other] is axes])
        for axes in panels
        if above[axes] is None
    ]
    told = [text for text in told if text]
    parts = (figure, *figure.subfigs)
    common = [_legend(legend) for part in parts for legend in part.legends]
    if not told:
        return "Figure without axes."
    head = "Figure." if len(told) == 1 else f"Figure of {len(told)} panels."
    return " ".join([head, *told, *(f"In all panels {text}." for text in common)])


def _panels(figure: Figure | SubFigure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.axison]


def _heading(axes: Axes) -> tuple[str, str]:
    """The letter before a panel's title, which panels are told in the order of, and the title."""
    title = _title(axes).replace("\n", " ")
    found = PANEL.fullmatch(title)
    return (found[1], _plain(found[2] or "")) if found else ("", _plain(title))


def _title(axes: Axes) -> str:
    return str(axes.get_title("left") or axes.get_title())


def _titled_above(axes: Axes, panels: list[Axes]) -> Axes | None:
    """The panel that axes without a title belong to: the nearest above them, of their width."""
    if _title(axes):
        return None
    higher = [
        other
        for other in panels
        if _title(other) and _is_along(axes, other, "x") and other.bbox.y0 >= axes.bbox.y1
    ]
    return min(higher, key=lambda other: float(other.bbox.y0), default=None)


def _is_along(axes: Axes, other: Axes, axis: str) -> bool:
    """Whether other axes begin and end where these do, within a pixel."""
    own, theirs = (getattr(one.bbox, f"interval{axis}") for one in (axes, other))
    return bool(np.allclose(own, theirs, atol=1))


def _labelled(axes: Axes, axis: str) -> str:
    """Label of an axis, or else that of the nearest panel to its left, or below it."""
    return next((str(text) for one in _towards(axes, axis) if (text := _label(one, axis))), "")


def _label(axes: Axes, axis: str) -> str:
    return _plain(getattr(axes, f"get_{axis}label")())


def _named(axes: Axes, axis: str) -> Axis:
    """An axis, or that of a panel to its left, or below it, which names the ticks of both."""
    limits = getattr(axes.viewLim, f"interval{axis}")
    for one in _towards(axes, axis):
        is_alike = np.allclose(limits, getattr(one.viewLim, f"interval{axis}"))
        if is_alike and _names(_axis(one, axis))[0]:
            return _axis(one, axis)
    return _axis(axes, axis)


def _axis(axes: Axes, axis: str) -> Axis:
    return axes.xaxis if axis == "x" else axes.yaxis


def _towards(axes: Axes, axis: str) -> list[Axes]:
    """Axes, then what lies in a line with them where an axis is named for several, nearest first.

    That is to the left for y, and below for x.
    """
    if not axes.has_data():
        return [axes]
    across = "x0" if axis == "y" else "y0"
    own = getattr(axes.bbox, across)
    others = [
        other
        for other in _panels(axes.figure)
        if getattr(other.bbox, across) < own - 1 and _is_along(axes, other, axis)
    ]
    return [axes, *sorted(others, key=lambda other: -float(getattr(other.bbox, across)))]


def _marked(axes: Axes) -> Iterator[tuple[Line2D, str]]:
    """Lines with markers, each with the name of its series, if it has any."""
    bars = [held for held in axes.containers if isinstance(held, ErrorbarContainer)]
    names = {id(held[0]): str(held.get_label()) for held in bars if held[0] is not None}
    for line in axes.lines:
        if line.get_marker() not in TICKS and line.get_visible():
            label = names.get(id(line), str(line.get_label()))
            # Matplotlib's own begin with these, those of a family with one _.
            is_none = re.fullmatch(r"_((child|container)\d+|nolegend_)?", label)
            yield line, "" if is_none else label.removeprefix("_")


def _joined(points: list[Point]) -> Point:
    """One point for several that lie on each other."""
    texts = list(dict.fromkeys(point.text for point in points))
    more = [f"and {len(texts) - MOST_JOINED} more"] if len(texts) > MOST_JOINED else []
    return replace(points[0], text="\n\n".join(texts[:MOST_JOINED] + more))


def _points_of(axes: Axes, line: Line2D, name: str, size: Any) -> Iterator[Point]:
    # The figure's own size: that of axes may be a part of it.
    width, height = size
    along, up_along = _Scale.of(axes, "x"), _Scale.of(axes, "y")
    values = np.asarray(line.get_xydata(), dtype=float)
    pixels = line.get_transform().transform(values)
    for (x, y), (across, up) in zip(values, pixels, strict=True):
        if np.isfinite([x, y, across, up]).all() and axes.bbox.padded(2).contains(across, up):
            told = (name, along.said(x), up_along.said(y))
            text = "\n".join(filter(None, told))
            yield Point(float(across / width), float(1 - up / height), text)


@dataclass(frozen=True)
class _Scale:
    """What an axis says of the values along it.

    Parameters
    ----------
    name, unit : str
        Empty where it has no label, or one without a unit.
    names : dict of float to str
        Ticks that are names, by place.
    are_all : bool
        Whether no tick is a number.
    own : callable or None
        Words of the axes' own for a value.
    """

    name: str
    unit: str
    names: dict[float, str]
    are_all: bool
    own: Callable[[float], str] | None

    @classmethod
    def of(cls, axes: Axes, axis: str) -> _Scale:
        """Take it from axes that have been drawn, and their neighbours."""
        text = _labelled(axes, axis)
        found = MEASURED.fullmatch(text)
        own = axes.fmt_xdata if axis == "x" else axes.fmt_ydata
        name, unit = (found[1], found[2]) if found else (text, "")
        return cls(name, unit, *_names(_named(axes, axis)), own)

    def value(self, value: float) -> str:
        """A value in words: what the axes format themselves, the name of a tick, or the number."""
        if self.own is not None:
            return str(self.own(value))
        if self.names and self.are_all:
            nearest = min(self.names, key=lambda place: abs(place - value))
            apart = min(np.diff(sorted(self.names)), default=1.0)
            if abs(nearest - value) < 0.4 * apart:
                return self.names[nearest]
        return number(value)

    def said(self, value: float) -> str:
        """A value with the axis's name and unit, such as ``gain: 1.5``."""
        text = self.value(value)
        known = with_unit(text, self.unit) if self.unit and NUMBER.fullmatch(text) else text
        return f"{self.name}: {known}" if self.name else known


def _names(axis: Axis) -> tuple[dict[float, str], bool]:
    """Ticks that are names, by place, and whether all are; spikes may lie above numbers."""
    formatter = axis.get_major_formatter()
    if not isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
        return {}, False
    places = [float(place) for place in axis.get_majorticklocs()]
    # A label may be a number, which Matplotlib turns into text when it draws.
    texts = [_plain(str(text)) for text in formatter.format_ticks(places)]
    found = {place: text for place, text in zip(places, texts, strict=True) if text}
    names = {place: text for place, text in found.items() if not _is_number(text, place)}
    return names, len(names) == len(found)


def _is_number(text: str, value: float) -> bool:
    try:
        return bool(np.isclose(float(text), value))
    except ValueError:
        return False


def _plain(text: str) -> str:
    return " ".join(text.split())


def _panel(axes: Axes, below: list[Axes]) -> str:
    """One sentence on a panel; empty where neither a title nor an axis says what it shows.

    `below` are axes without a title of their own.
    """
    letter, title = _heading(axes)
    name = ", ".join(filter(None, (f"Panel {letter}" if letter else "", title)))
    seen, is_told = _seen(axes)
    if not (name or is_told):
        return ""
    words = f"{name}: {seen}".removesuffix(": ") if name else seen[:1].upper() + seen[1:]
    more = [_seen(other)[0] for other in below]
    return (
        "; below it ".join([f"{words}{_colours(axes)}{_curves(axes)}", *filter(None, more)]) + "."
    )


def _seen(axes: Axes) -> tuple[str, bool]:
    """What is drawn against what, and whether an axis says what is drawn."""
    told = [_range(axes, axis) for axis in "yx"]
    return " against ".join(filter(None, told)), bool(told[0])


def _range(axes: Axes, axis: str) -> str:
    """What is drawn along an axis and from where to where; empty where the axis says nothing."""
    scale = _Scale.of(axes, axis)
    name, unit, names = scale.name, scale.unit, scale.names
    ends = np.sort(getattr(axes.viewLim, f"interval{axis}"))
    inside = {place: text for place, text in names.items() if ends[0] <= place <= ends[1]}
    rows = _rows(axes, axis, inside)
    if inside and scale.are_all:
        return with_unit(f"{name} {rows}".strip(), unit)
    low, high = np.clip(np.sort(_reach(axes, axis, names)), *ends)
    if not np.isfinite([low, high]).all() or not name:
        return name
    first, last = map(scale.value, (low, high))
    reach = first if first == last else f"from {first} to {last}"
    return f"{name} {with_unit(reach, unit)}" + (f" with {rows}" if rows else "")


def _rows(axes: Axes, axis: str, names: dict[float, str]) -> str:
    """Names along an axis, with the number of ticks that are drawn at each, such as spikes."""
    lines = [
        line for line in axes.lines if line.get_marker() == "|" and line.get_linestyle() == "None"
    ]
    others = [line for line, _ in _marked(axes)]
    places = np.concatenate([_along(line, axis) for line in lines] or [np.array([])])
    if lines and not others and np.isin(places, list(names)).all():
        counts = {text: int(np.sum(places == place)) for place, text in names.items()}
        texts = [f"{text} ({n} mark{'s' if n != 1 else ''})" for text, n in counts.items()]
    else:
        texts = list(names.values())
    if len(texts) > MOST_NAMES:
        return f"{len(texts)} kinds"
    return listed(texts) if texts else ""


def _reach(axes: Axes, axis: str, names: dict[float, str]) -> Any:
    """Both ends of what is drawn along an axis, without what lies at the places of names."""
    if not names:
        return getattr(axes.dataLim, f"interval{axis}")
    curves = [_along(line, axis) for line in axes.lines]
    drawn = [v for v in curves if not np.isin(v, list(names)).all()] or [np.array([np.nan])]
    return np.concatenate(drawn).min(), np.concatenate(drawn).max()


def _along(line: Line2D, axis: str) -> np.ndarray:
    data = line.get_xdata() if axis == "x" else line.get_ydata()
    values = np.asarray(data, dtype=float)
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _colours(axes: Axes) -> str:
    """What colours stand for, where a colour bar says it."""
    said = ""
    for shown in (*axes.images, *axes.collections):
        bar: Any = getattr(shown, "colorbar", None)
        values = shown.get_array()
        if bar is None or values is None or not np.isfinite(np.ma.filled(values, np.nan)).any():
            continue
        low, high = np.nanmin(values), np.nanmax(values)
        what = _plain(bar.ax.get_ylabel()) or ("values" if isinstance(shown, Collection) else "")
        said += f"; by colour {what} from {number(low)} to {number(high)}"
    return said


def _curves(axes: Axes) -> str:
    """What the legend names."""
    legend = axes.get_legend()
    return f"; {_legend(legend)}" if legend else ""


def _legend(legend: Legend) -> str:
    names = [_plain(text.get_text()) for text in legend.get_texts()]
    title = _plain(legend.get_title().get_text())
    shown = listed(names) if len(names) <= MOST_NAMES else f"{len(names)} curves"
    return f"{title}: {shown}" if title else f"drawn {'is' if len(names) == 1 else 'are'} {shown}"
