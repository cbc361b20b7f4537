"""What a drawn figure shows, in words and point by point, for those who cannot see or touch it."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST_POINTS = 2000
"""Of a figure; where there are more, nobody could tell them apart."""
FINE, MOST_JOINED = 400, 5
"""Steps across a figure within which markers lie on each other, and of those the ones told."""
MOST_NAMES = 9
"""Categories and curves that are named one by one."""
TICKS = ("None", "none", " ", "", ".", ",", "|")
"""Markers of spikes and of lines that have none."""
PANEL = re.compile(r"([a-z])  (.*)")
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
            for point in _points_of(axes, line, name):
                place = (round(FINE * point.x), round(FINE * point.y))
                together.setdefault(place, []).append(point)
    found = [_joined(at_one_place) for at_one_place in together.values()]
    return found if len(found) <= MOST_POINTS else []


def alternative(figure: Figure) -> str:
    """What a figure shows: of every panel the title, the quantities, their ranges and the curves.

    The figure has to be drawn.
    """
    told = list(filter(None, map(_panel, _panels(figure))))
    if len(told) == 1:
        return f"Figure. {told[0]}"
    return f"Figure of {len(told)} panels. {' '.join(told)}" if told else "Figure without axes."


def _panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.axison]


def _marked(axes: Axes) -> Iterator[tuple[Line2D, str]]:
    """Lines with markers, each with the name of its series, if it has any."""
    bars = [held for held in axes.containers if isinstance(held, ErrorbarContainer)]
    names = {id(held[0]): str(held.get_label()) for held in bars if held[0] is not None}
    for line in axes.lines:
        if line.get_marker() not in TICKS and line.get_visible():
            label = names.get(id(line), str(line.get_label()))
            # Matplotlib's own begin with _child or _nolegend_, those of a family with one _.
            is_none = re.fullmatch(r"_(child\d+|nolegend_)?", label)
            yield line, "" if is_none else label.removeprefix("_")


def _joined(points: list[Point]) -> Point:
    """One point for several that lie on each other."""
    texts = list(dict.fromkeys(point.text for point in points))
    more = [f"and {len(texts) - MOST_JOINED} more"] if len(texts) > MOST_JOINED else []
    return replace(points[0], text="\n\n".join(texts[:MOST_JOINED] + more))


def _points_of(axes: Axes, line: Line2D, name: str) -> Iterator[Point]:
    width, height = axes.figure.bbox.size
    values = np.asarray(line.get_xydata(), dtype=float)
    pixels = line.get_transform().transform(values)
    for (x, y), (across, up) in zip(values, pixels, strict=True):
        if np.isfinite([x, y, across, up]).all() and axes.bbox.padded(2).contains(across, up):
            told = (name, _said(axes, "x", x), _said(axes, "y", y))
            text = "\n".join(filter(None, told))
            yield Point(float(across / width), float(1 - up / height), text)


def _said(axes: Axes, axis: str, value: float) -> str:
    """A value on an axis with its name and unit, such as ``gain: 1.5``."""
    name, unit = _quantity(axes, axis)
    text = _value(axes, axis, value)
    known = with_unit(text, unit) if unit and text == number(value) else text
    return f"{name}: {known}" if name else known


def _value(axes: Axes, axis: str, value: float) -> str:
    """A value in words: what the axes format themselves, the name of a tick, or the number."""
    formatter = axes.fmt_xdata if axis == "x" else axes.fmt_ydata
    if formatter is not None:
        return str(formatter(value))
    names = _categories(getattr(axes, f"{axis}axis"))
    if names:
        nearest = min(names, key=lambda place: abs(place - value))
        places = sorted(names)
        apart = min(np.diff(places)) if len(places) > 1 else 1.0
        if abs(nearest - value) < 0.4 * apart:
            return names[nearest]
    return number(value)


def _categories(axis: Axis) -> dict[float, str]:
    """Names by place, where the ticks of an axis are names."""
    formatter = axis.get_major_formatter()
    if not isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
        return {}
    places = [float(place) for place in axis.get_majorticklocs()]
    # A label may be a number, which Matplotlib turns into text when it draws.
    names = [_plain(str(text)) for text in formatter.format_ticks(places)]
    found = {place: text for place, text in zip(places, names, strict=True) if text}
    return {} if any(_is_number(text, place) for place, text in found.items()) else found


def _is_number(text: str, value: float) -> bool:
    try:
        return bool(np.isclose(float(text), value))
    except ValueError:
        return False


def _quantity(axes: Axes, axis: str) -> tuple[str, str]:
    """Name and unit on an axis; the name is empty where it has no label."""
    text = _plain(getattr(axes, f"get_{axis}label")())
    found = MEASURED.fullmatch(text)
    return (found[1], found[2]) if found else (text, "")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _panel(axes: Axes) -> str:
    """One sentence on a panel; empty where neither a title nor an axis says what it shows."""
    title = axes.get_title("left") or axes.get_title()
    found = PANEL.fullmatch(" ".join(title.split("\n")))
    name = f"Panel {found[1]}, {_plain(found[2])}" if found else _plain(title)
    told = [_range(axes, axis) for axis in "yx"]
    if not (name or told[0]):
        return ""
    seen = " against ".join(filter(None, told))
    words = f"{name}: {seen}".removesuffix(": ") if name else seen[:1].upper() + seen[1:]
    return f"{words}{_colours(axes)}{_curves(axes)}."


def _range(axes: Axes, axis: str) -> str:
    """What is drawn along an axis and from where to where; empty where the axis says nothing."""
    name, unit = _quantity(axes, axis)
    categories = _categories(getattr(axes, f"{axis}axis"))
    ends = np.sort(getattr(axes.viewLim, f"interval{axis}"))
    inside = [text for place, text in categories.items() if ends[0] <= place <= ends[1]]
    if inside:
        shown = listed(inside) if len(inside) <= MOST_NAMES else f"{len(inside)} kinds"
        return f"{name} {shown}".strip()
    low, high = np.clip(np.sort(getattr(axes.dataLim, f"interval{axis}")), *ends)
    if not np.isfinite([low, high]).all() or not name:
        return name
    first, last = (_value(axes, axis, value) for value in (low, high))
    reach = first if first == last else f"from {first} to {last}"
    return f"{name} {with_unit(reach, unit)}"


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
    if legend is None:
        return ""
    names = [_plain(text.get_text()) for text in legend.get_texts()]
    title = _plain(legend.get_title().get_text())
    shown = listed(names) if len(names) <= MOST_NAMES else f"{len(names)} curves"
    return f"; {title}: {shown}" if title else f"; drawn are {shown}"
