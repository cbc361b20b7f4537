"""One look for all figures: colours that the colour-blind can tell apart, readable in print."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Okabe & Ito 2008, Color Universal Design.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000",
)  # fmt: skip
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

    Returns
    -------
    tuple of (Figure, dict of str to Axes)
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplot_mosaic(layout)
