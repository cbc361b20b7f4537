"""The figure of `Volume`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second, um, umolar

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, RED, Family, legend, panels, thin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.volume.protocol import Volume

BINS = 25
COURSES = 6
EXACT = {"ls": ":", "color": BLACK, "lw": 0.8}


def plot(
    protocol: Volume, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Distance and time after the burst, the profile of a release, and the tissue's map."""
    layout = [["map", "conc", "gain"], ["profile", "tissue", "mean"]]
    figure, axes = panels(layout, width=14, height=8)
    _plot_distance_and_time(axes["map"], protocol, recordings["burst"])
    _plot_courses(axes["conc"], axes["gain"], protocol, tables["table"], recordings["burst"])
    _plot_profile(axes["profile"], protocol, recordings["burst"])
    _plot_tissue(axes["tissue"], protocol, tables["tissue"])
    _plot_means(axes["mean"], protocol, tables["tissue"])
    return figure


def _gain(recording: Recording) -> np.ndarray:
    return np.asarray(recording.signals["cells"]["gain"].values)


def _plot_distance_and_time(axes: Any, protocol: Volume, recording: Recording) -> None:
    """Mean gain over rings around the burst; a map changes slowly enough to be thinned evenly."""
    distance, gain = protocol.distances("burst")[:, 0], _gain(recording)
    edges = np.linspace(0, distance.max(), BINS + 1)
    ring = np.digitize(distance, edges[1:-1])
    rows = np.full((BINS, gain.shape[1]), np.nan)
    for k in np.unique(ring):
        rows[k] = gain[ring == k].mean(axis=0)
    times = np.asarray(recording.times / second)
    every = slice(None, None, max(1, len(times) // 600))
    middles = (edges[1:] + edges[:-1]) / 2
    image = axes.pcolormesh(times[every], middles, rows[:, every], cmap="viridis", rasterized=True)
    axes.figure.colorbar(image, ax=axes, label="gain")
    axes.set(xlabel="time (s)", ylabel="distance (µm)", title="a  Burst: gain")


def _plot_courses(
    conc_axes: Any, gain_axes: Any, protocol: Volume, table: pd.DataFrame, recording: Recording
) -> None:
    wanted = np.arange(COURSES) * float(protocol.length / um) * 0.75
    nearest = (int(table.cell[(table.distance_um - d).abs().idxmin()]) for d in wanted)
    shown = list(dict.fromkeys(nearest))
    distance = Family(np.round(protocol.distances("burst")[shown, 0]) * um, "distance")
    signals = (
        protocol.conc(recording)[shown],
        protocol.exact_conc("burst", recording.times)[shown],
        _gain(recording)[shown],
    )
    times, conc, exact, gain = thin(np.asarray(recording.times / second), *signals)
    distance.draw(conc_axes, times, conc)
    for row in exact:
        conc_axes.plot(times, row, **EXACT)
    distance.draw(gain_axes, times, gain)
    distance.explain(gain_axes)
    conc_axes.set(
        xlabel="time (s)",
        ylabel=f"{protocol.ligand} (µM)",
        title="b  Burst: concentration; closed form (dotted)",
    )
    gain_axes.set(xlabel="time (s)", ylabel="gain", title="c  Burst: gain")


def _plot_profile(axes: Any, protocol: Volume, recording: Recording) -> None:
    level, distance = protocol.after_first(recording), protocol.distances("burst")[:, 0]
    reached = level > 0
    axes.plot(distance[reached], level[reached], ".", color=BLUE, ms=4, label="cells")
    fine = np.linspace(0, distance.max(), 100)
    kernel = float(protocol.amount / umolar) * np.exp(-fine / float(protocol.length / um))
    axes.plot(fine, kernel, color=BLACK, lw=1, label="kernel")
    axes.set(
        yscale="log",
        xlabel="distance (µm)",
        ylabel=f"{protocol.ligand} (µM)",
        title="d  One release",
    )
    legend(axes, below=True)


def _plot_tissue(axes: Any, protocol: Volume, tissue: pd.DataFrame) -> None:
    _, sites = protocol.places()
    dots = axes.scatter(tissue.x_um, tissue.y_um, c=tissue.mean_gain, s=14, cmap="viridis")
    x, y = (sites["tissue"][:, k] / um for k in (0, 1))
    axes.plot(x, y, "x", color=RED, ms=8, mew=2, label="release", clip_on=False)
    axes.figure.colorbar(dots, ax=axes, label="mean gain")
    depth = "" if protocol.dimensions == 2 else ", seen from above"
    axes.set(aspect="equal", xlabel="x (µm)", ylabel="y (µm)", title=f"e  Tissue{depth}")
    legend(axes, below=True)


def _plot_means(axes: Any, protocol: Volume, tissue: pd.DataFrame) -> None:
    top = max(tissue.expected_conc_uM.max(), tissue.mean_conc_uM.max())
    axes.plot(tissue.expected_conc_uM, tissue.mean_conc_uM, ".", color=BLUE, ms=4, label="cells")
    axes.plot([0, top], [0, top], color=BLACK, lw=1, label="equal")
    axes.set(
        xlabel=f"{protocol.ligand}, closed form of the mean (µM)",
        ylabel=f"{protocol.ligand}, simulated mean (µM)",
        title="f  Tissue: mean concentration",
    )
    legend(axes, below=True)
