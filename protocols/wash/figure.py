"""The figure of `Wash`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second, umolar

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, Family, legend, panels, thin
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.wash.protocol import Wash

STEADY: dict[str, Any] = {"ls": "--", "color": BLACK, "lw": 1}
LIMITS = {"slow exchange": STEADY, "a step": {"ls": ":", "color": BLACK, "lw": 1}}


def plot(
    protocol: Wash, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Time courses and loops at the highest concentration, and time constants of all."""
    figure, axes = panels([["course", "course", "loop"], ["on", "off", "occupancy"]], 13, 7.5)
    _plot_courses(axes["course"], axes["loop"], protocol, recordings["wash"])
    table = tables["time_constants"]
    conc = Family(protocol.conc, protocol.ligand, hue="orange")
    _plot_constants(axes["on"], conc, table, "tau_on", "c  Gain, washing in")
    _plot_constants(axes["off"], conc, table, "tau_off", "d  Gain, washing out")
    conc.explain(axes["off"], also=LIMITS)
    _plot_occupancy(axes["occupancy"], protocol, table, conc)
    return figure


def _plot_courses(course: Any, loop: Any, protocol: Wash, recording: Recording) -> None:
    conc, tau = protocol.grid()
    highest = np.flatnonzero(conc == protocol.conc[-1])
    exchange = Family(tau[highest], "exchange")
    times = np.asarray((recording.times - protocol.onset) / second)
    for cell, color in zip(highest, exchange.colors, strict=True):
        level, _, gain = protocol.signals(recording, cell)
        course.plot(*thin(times, gain), color=color)
        # Fast exchange has all of its loop in a few steps of time.
        loop.plot(level, gain, color=color, lw=1)
    fine = np.linspace(0, float(protocol.conc[-1] / umolar), 400)
    loop.plot(fine, protocol.steady_gain(fine), **STEADY, label="steady")
    exchange.explain(course)
    legend(loop)
    course.set(
        xlabel="time since the wash-in (s)",
        ylabel="gain",
        title=f"a  {say(protocol.conc[-1])} in and out",
    )
    loop.set(
        xlabel=f"momentary {protocol.ligand} (µM)", ylabel="gain", title="b  Hysteresis in (a)"
    )


def _plot_constants(axes: Any, conc: Family, table: pd.DataFrame, name: str, title: str) -> None:
    exchange = np.unique(table.tau_exchange_s)
    looks = {"_quasi_static_s": LIMITS["slow exchange"], "_step_s": LIMITS["a step"]}
    for limit, look in looks.items():
        rows = [curve[f"{name}{limit}"] for _, curve in table.groupby("conc_uM")]
        conc.draw(axes, exchange, rows, ls=look["ls"], lw=1)
    fitted = [curve[f"{name}_s"] for _, curve in table.groupby("conc_uM")]
    conc.draw(axes, exchange, fitted, "o", ms=4.5)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="time constant of exchange (s)",
        ylabel="fitted time constant (s)",
        title=title,
    )


def _plot_occupancy(axes: Any, protocol: Wash, table: pd.DataFrame, conc: Family) -> None:
    """Time constants of occupancy at the fastest exchange, and those of a step."""
    rows = table[table.tau_exchange_s == table.tau_exchange_s.min()]
    fine = np.geomspace(rows.conc_uM.min() / 2, rows.conc_uM.max() * 2, 200)
    k_on, k_off = protocol.receptor.k_on, protocol.receptor.k_off
    binding = 1 / (k_on * fine * umolar + k_off) / second
    axes.plot(fine, binding, color=BLACK, lw=1, label="1/(k_on c + k_off)")
    axes.axhline(float(1 / k_off / second), color=BLACK, lw=1, ls=":", label="1/k_off")
    axes.scatter(rows.conc_uM, rows.occupancy_tau_on_s, c=conc.colors, s=25, zorder=3)
    axes.scatter(rows.conc_uM, rows.occupancy_tau_off_s, c=conc.colors, s=25, marker="s", zorder=3)
    axes.set(
        xscale="log",
        ylim=(0, None),
        xlabel=f"{protocol.ligand} (µM)",
        ylabel="time constant of occupancy (s)",
        title=f"e  Occupancy, exchange {say(protocol.tau_exchange[0])}",
    )
    markers = {"binding": "o", "unbinding": "s"}
    looks = {
        name: {"ls": "", "color": BLACK, "marker": marker, "ms": 5}
        for name, marker in markers.items()
    }
    legend(axes, also=looks)
