"""A figure as pictures: pixels, vectors, words, and the values at its points."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from neuromod.support.figure_text import Point, alternative, points
from neuromod.support.figures import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

DPI = 150
MOST_VERTICES = 5000
"""Of a curve or of dots; more are pixels in the SVG file too, which would be large otherwise."""
# Text stays text, and the same figure is the same file at any time.
SVG: Any = {"svg.fonttype": "none", "svg.hashsalt": "neuromod"}


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, drawn when it is asked for.

    Attributes
    ----------
    figure : Figure
        Not to be changed any more.
    """

    figure: Figure

    @cached_property
    def png(self) -> bytes:
        """PNG at 150 dots per inch."""
        with style():
            drawn = png(self.figure)
        # Panels stay where they are: laying them out takes as long as drawing them.
        self.figure.set_layout_engine("none")
        return drawn

    @cached_property
    def svg(self) -> bytes:
        """SVG, with text that can be searched and edited."""
        assert self.png
        for artist in self.figure.findobj(_is_heavy):
            artist.set_rasterized(True)
        buffer = io.BytesIO()
        with style(), matplotlib.rc_context(SVG):
            self.figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
        return buffer.getvalue()

    @property
    def data(self) -> str:
        """The PNG as a page holds it."""
        return base64.b64encode(self.png).decode()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the PNG in pixels."""
        width, height = (self.figure.get_size_inches() * DPI).round().astype(int)
        return int(width), int(height)

    @property
    def alternative(self) -> str:
        """What is to be seen, in words."""
        assert self.png
        return alternative(self.figure)

    @property
    def points(self) -> list[Point]:
        """Markers with their values."""
        assert self.png
        # A savefig at another resolution leaves the figure at its own.
        return points(self.figure)


def png(figure: Figure) -> bytes:
    """Picture of a figure: PNG at 150 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _is_heavy(artist: Artist) -> bool:
    """Whether an artist has so many vertices that its vectors would take megabytes."""
    for count in ("get_xydata", "get_offsets"):
        if hasattr(artist, count):
            return len(np.atleast_1d(getattr(artist, count)())) > MOST_VERTICES
    return False
