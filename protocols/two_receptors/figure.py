"""The figure of `TwoReceptors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import umolar
from matplotlib.patheffects import withStroke

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, legend, panels
from neuromod.support.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.two_receptors.protocol import TwoReceptors

FINE = 60


def plot(
    protocol: TwoReceptors, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Maps of gain and of the rates' interaction, and the gains against their product."""
    del recordings
    surface = tables["surface"]
    figure, axes = panels([["gain", "product", "rates"]], width=13, height=4.3)
    gain, index = (
        surface[name].to_numpy().reshape(protocol.shape)
        for name in ("recovered_gain", "rate_interaction")
    )
    exact_gain, exact_index = _contours(protocol)
    limit = max(np.nanmax(np.abs(index)), 1e-3)
    diverging = {"cmap": "PuOr", "vmin": -limit, "vmax": limit}
    _plot_map(axes["gain"], protocol, gain, exact_gain, "recovered gain", {"cmap": "cividis"})
    _plot_map(axes["rates"], protocol, index, exact_index, "interaction index of rates", diverging)
    axes["gain"].set_title("a  Gain from rates; closed form (lines)")
    axes["rates"].set_title("c  Rates; closed form (lines)")
    _plot_product(axes["product"], surface)
    return figure


def _places(conc: Any) -> tuple[np.ndarray, np.ndarray]:
    """Fine places along a map's axis, and the concentrations in uM there, none before them."""
    levels = np.log(np.asarray(conc / umolar)[1:])
    places = np.linspace(0, len(levels) - 1, FINE)
    between = np.exp(np.interp(places, np.arange(len(levels)), levels))
    # The middle of a cell of the map; the cells of no concentration come first.
    return places + 1.5, np.concatenate([[0], between])


def _contours(protocol: TwoReceptors) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Places on the map with the closed form of the gain, and with that of the rates' index."""
    (x, first), (y, second) = _places(protocol.conc_first), _places(protocol.conc_second)
    gain, index = protocol.closed_form(first, second)
    return (x, y, gain[1:, 1:].T), (x, y, index[1:, 1:].T)


def _plot_map(
    axes: Any,
    protocol: TwoReceptors,
    values: np.ndarray,
    exact: tuple[np.ndarray, ...],
    label: str,
    look: dict[str, Any],
) -> None:
    image = axes.pcolormesh(values.T, edgecolors="white", lw=0.3, **look)
    axes.figure.colorbar(image, ax=axes, label=label)
    lines = axes.contour(*exact, colors=BLACK, linewidths=0.8)
    for text in axes.clabel(lines, fontsize=7):
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    concs = (protocol.conc_first, protocol.conc_second)
    for conc, ticks in zip(concs, (axes.set_xticks, axes.set_yticks), strict=True):
        ticks(np.arange(len(conc)) + 0.5, [number(c, 3) for c in np.asarray(conc / umolar)])
    axes.set(xlabel=f"{protocol.ligands[0]} (µM)", ylabel=f"{protocol.ligands[1]} (µM)")


def _plot_product(axes: Any, surface: pd.DataFrame) -> None:
    low, high = surface.gain.min(), surface.gain.max()
    axes.plot([low, high], [low, high], color=BLACK, lw=1, label="equal: log gains add")
    axes.errorbar(
        surface.single_gains_product,
        surface.recovered_gain,
        surface.recovered_gain_se,
        fmt="o",
        color=BLUE,
        ms=4,
        label="recovered from the rates",
    )
    axes.set(
        xlabel="product of the gains in each alone",
        ylabel="gain in both",
        title="b  Together against alone",
    )
    legend(axes, below=True)
