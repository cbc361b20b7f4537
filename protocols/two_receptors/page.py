"""The page of `TwoReceptors`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import umolar
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, label, legend, panels
from neuromod.support.text import column_label, number, percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.two_receptors.protocol import TwoReceptors

FINE = 60


def plot(protocol: TwoReceptors, tables: Tables, recordings: Recordings) -> Figure:
    """Maps of gain and of the rates' interaction, and the gains against their product."""
    del recordings
    surface = tables["surface"]
    figure, axes = panels([["gain", "product", "rates"]], width=13, height=4.3)
    (at, first), (up, second) = _places(protocol.conc_first), _places(protocol.conc_second)
    closed: list[tuple[np.ndarray, ...]] = [(), ()]
    if protocol.closed:
        closed = [(at, up, values[1:, 1:].T) for values in protocol.closed_form(first, second)]
    gain, index = surface.recovered_gain, surface.rate_interaction
    limit = max(index.abs().max(), 1e-3)
    diverging = {"cmap": "PuOr", "vmin": -limit, "vmax": limit}
    _plot_map(axes["gain"], protocol, gain, closed[0], cmap="cividis")
    _plot_map(axes["rates"], protocol, index, closed[1], **diverging)
    lines = "; closed form (lines)" if protocol.closed else ""
    axes["gain"].set_title(f"a  Gain from rates{lines}")
    axes["rates"].set_title(f"c  Interaction of rates{lines}")
    low, high = surface.single_gains_product.min(), surface.single_gains_product.max()
    axes["product"].plot([low, high], [low, high], color=BLACK, lw=1, label="equal: log gains add")
    look = {"fmt": "o", "color": BLUE, "ms": 4, "label": "recovered from the rates"}
    axes["product"].errorbar(surface.single_gains_product, gain, surface.recovered_gain_se, **look)
    label(axes["product"], "b  Together against alone", "product of gains alone", "gain in both")
    legend(axes["product"], below=True)
    return figure


def _places(conc: Any) -> tuple[np.ndarray, np.ndarray]:
    """Fine places along a map's axis, and the concentrations in uM there, none before them."""
    levels = np.log(np.asarray(conc / umolar)[1:])
    places = np.linspace(0, len(levels) - 1, FINE)
    between = np.exp(np.interp(places, np.arange(len(levels)), levels))
    # The middle of a cell of the map; the cells of no concentration come first.
    return places + 1.5, np.concatenate([[0], between])


def _plot_map(
    axes: Any, protocol: TwoReceptors, column: pd.Series, exact: tuple[np.ndarray, ...], **look: Any
) -> None:
    image = axes.pcolormesh(protocol.grid_of(column).T, edgecolors="white", lw=0.3, **look)
    axes.figure.colorbar(image, ax=axes, label=column_label(column.name))
    if exact:
        lines = axes.contour(*exact, colors=BLACK, linewidths=0.8)
        for text in axes.clabel(lines, fontsize=7):
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    for axis, (ligand, conc) in zip((axes.xaxis, axes.yaxis), protocol.doses.items(), strict=True):
        names = [number(c, 3) for c in np.asarray(conc / umolar)]
        axis.set_ticks(np.arange(len(conc)) + 0.5, names)
        axis.set_label_text(f"{ligand} (µM)")


def report(protocol: TwoReceptors, tables: Tables) -> list[Section]:
    """Interaction of gains and of rates."""
    surface = tables["surface"]
    off = (surface.recovered_gain / surface.single_gains_product - 1).abs().max()
    if not protocol.closed:
        measured = (
            f"{protocol.about_recovered(surface)} In both modulators it differs by at most "
            f"{percent(off, 2)} from the product of the gains in each alone."
        )
        return [
            Section("Together and alone", measured, "surface"),
            *protocol.about_excitability(tables),
            Section("All cells", "Rates, gains and what else was measured.", "table"),
        ]
    together = (
        "Gains recovered from the rates of cells in both modulators differ by at most "
        f"{percent(off, 2)} from the product of the gains in each alone, no more than rounding "
        f"intervals to time steps of {say(protocol.dt)} explains. Their interaction index, the "
        "natural logarithm of that ratio, is 0 in closed form. The index of the mean rates ranges "
        f"from {span(surface.rate_interaction, digits=2)}. It is -0.69 where the rate is half of "
        "what the rates in each modulator alone multiply to, and 0.69 where it is twice that. It "
        "describes the f-I curve, not the receptors."
    )
    return [
        Section("Together and alone", together, "surface"),
        Section("All cells", "Rates as simulated and in closed form, and gains.", "table"),
    ]
