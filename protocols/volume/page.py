"""The page of `Volume`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second, um, umolar
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, RED, Family, label, legend, panels, thin
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.volume.protocol import Volume

BINS = 25
COURSES = 6


def plot(protocol: Volume, tables: Tables, recordings: Recordings) -> Figure:
    """Distance and time after the burst, the profile of a release, and the tissue's map."""
    tables, effect = protocol.as_gains(tables), protocol.effect
    layout = [["map", "conc", "gain"], ["profile", "tissue", "mean"]]
    figure, axes = panels(layout, width=14, height=8)
    conc, gain = protocol.signals(recordings["burst"])
    times, distance = recordings["burst"].times, protocol.distances("burst")[:, 0]
    _plot_distance_and_time(axes["map"], np.asarray(times / second), distance, gain, effect)
    exact, table = protocol.exact_conc("burst", times), tables["table"]
    wanted = np.arange(COURSES) * float(protocol.length / um) * 0.75
    nearest = (int(table.cell[(table.distance_um - d).abs().idxmin()]) for d in wanted)
    shown = list(dict.fromkeys(nearest))
    family = Family(np.round(distance[shown]) * um, "distance")
    times, conc, exact, gain = thin(times / second, conc[shown], exact[shown], gain[shown])
    family.draw(axes["conc"], times, conc)
    axes["conc"].plot(times, exact.T, ls=":", color=BLACK, lw=0.8)
    family.draw(axes["gain"], times, gain)
    family.explain(axes["gain"])
    title = "b  Burst: concentration; closed form (dotted)"
    label(axes["conc"], title, "time (s)", f"{protocol.ligand} (µM)")
    label(axes["gain"], f"c  Burst: {effect}", "time (s)", effect)
    _plot_profile(axes["profile"], protocol, recordings["burst"])
    _plot_tissue(axes["tissue"], protocol, tables["tissue"])
    _plot_means(axes["mean"], protocol, tables["tissue"])
    return figure


def _plot_distance_and_time(
    axes: Any, times: np.ndarray, distance: np.ndarray, gain: np.ndarray, effect: str
) -> None:
    """Mean effect over rings around the burst; a map changes slowly enough to be thinned evenly."""
    edges = np.linspace(0, distance.max(), BINS + 1)
    ring = np.digitize(distance, edges[1:-1])
    rows = np.full((BINS, len(times)), np.nan)
    for k in np.unique(ring):
        rows[k] = gain[ring == k].mean(axis=0)
    every = slice(None, None, max(1, len(times) // 600))
    middles = (edges[1:] + edges[:-1]) / 2
    image = axes.pcolormesh(times[every], middles, rows[:, every], cmap="viridis", rasterized=True)
    axes.figure.colorbar(image, ax=axes, label=effect)
    label(axes, f"a  Burst: {effect}", "time (s)", "distance (µm)")


def _plot_profile(axes: Any, protocol: Volume, recording: Recording) -> None:
    distance, level = protocol.first_release(recording)
    axes.plot(distance, level, ".", color=BLUE, ms=4, label="cells")
    fine = np.linspace(0, protocol.distances("burst").max(), 100)
    kernel = float(protocol.amount / umolar) * protocol.kernel(fine)
    axes.plot(fine, kernel, color=BLACK, lw=1, label="kernel")
    label(axes, "d  One release", "distance (µm)", f"{protocol.ligand} (µM)", log="y")
    legend(axes, below=True)


def _plot_tissue(axes: Any, protocol: Volume, tissue: pd.DataFrame) -> None:
    _, sites = protocol.places()
    dots = axes.scatter(tissue.x_um, tissue.y_um, c=tissue.mean_gain, s=14, cmap="viridis")
    x, y = (sites["tissue"][:, k] / um for k in (0, 1))
    axes.plot(x, y, "x", color=RED, ms=8, mew=2, label="release", clip_on=False)
    axes.figure.colorbar(dots, ax=axes, label=f"mean {protocol.effect}")
    depth = "" if protocol.dimensions == 2 else ", seen from above"
    label(axes, f"e  Tissue{depth}", "x (µm)", "y (µm)", aspect="equal")
    legend(axes, below=True)


def _plot_means(axes: Any, protocol: Volume, tissue: pd.DataFrame) -> None:
    top = max(tissue.expected_conc_uM.max(), tissue.mean_conc_uM.max())
    axes.plot(tissue.expected_conc_uM, tissue.mean_conc_uM, ".", color=BLUE, ms=4, label="cells")
    axes.plot([0, top], [0, top], color=BLACK, lw=1, label="equal")
    x, y = (f"{protocol.ligand}, {what} (µM)" for what in ("expected mean", "simulated mean"))
    label(axes, "f  Tissue: mean concentration", x, y)
    legend(axes, below=True)


def report(protocol: Volume, tables: Tables) -> list[Section]:
    """The burst over distance, the fitted space constant, and the steady mean."""
    tables, effect = protocol.as_gains(tables), protocol.effect
    table, tissue = tables["table"], tables["tissue"]
    profile = tables["profile"].iloc[0]
    near, far = table.iloc[0], table.iloc[-1]
    share = tissue.mean_conc_uM.sum() / tissue.expected_conc_uM.sum()
    release = (
        "A line through the logarithm of the concentrations after the burst's first spike gives a "
        f"space constant of {say(profile.fitted_length_um, 'µm')}; {say(profile.length_um, 'µm')} "
        "was set. All concentrations differ from the sum of releases in closed form by at most "
        f"{percent(profile.conc_deviation, 1)} of the highest. The kernel is cut off at 7 space "
        "constants, where 0.1 % of it is left."
    )
    burst = (
        f"The cell {say(near.distance_um, 'µm', 3)} from the burst reaches {effect} "
        f"{number(near.peak_gain, 3)} after {say(near.peak_s, 's', 3)}, the one "
        f"{say(far.distance_um, 'µm', 3)} away {number(far.peak_gain, 3)}. Concentrations peak "
        "with the last spike everywhere, because the kernel spreads at once; "
        f"the {effect} peaks later."
    )
    means = (
        "Means are taken from four time constants of clearance on until the neurons fall silent. "
        "At a steady rate the mean concentration tends to the product of amount, rate, tau_clear "
        "and the sum of the kernels. With these spikes, drawn at random, the cells' means add up "
        f"to {percent(share)} of that."
    )
    return [
        Section("One release", release, "profile"),
        Section("A burst over distance and time", burst, "table"),
        Section("Releases all over the tissue", means, "tissue"),
    ]
