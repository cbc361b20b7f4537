"""The page of `Wash`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second, umolar
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.families.measured import ROW, about_measured, draw_measured
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, Family, label, legend, panels, thin
from neuromod.support.text import number, percent, say

if TYPE_CHECKING:
    from neuromod.protocols.wash.protocol import Wash

STEADY: dict[str, Any] = {"ls": "--", "color": BLACK, "lw": 1}
LIMITS = {"slow exchange": STEADY, "a step": {"ls": ":", "color": BLACK, "lw": 1}}


def plot(protocol: Wash, tables: Tables, recordings: Recordings) -> Figure:
    """Time courses and loops at the highest concentration, and time constants of all."""
    tables, effect = protocol.as_gains(tables), protocol.effect.capitalize()
    layout = [["course", "course", "loop"], ["on", "off", "occupancy"]]
    layout += [[*ROW, "."]] if "read" in tables else []
    figure, axes = panels(layout, 13, 3.75 * len(layout))
    _plot_courses(axes["course"], axes["loop"], protocol, recordings["wash"])
    table = tables["time_constants"]
    conc = Family(protocol.conc, protocol.ligand, hue="orange")
    _plot_constants(axes["on"], conc, table, "tau_on", f"c  {effect}, washing in")
    _plot_constants(axes["off"], conc, table, "tau_off", f"d  {effect}, washing out")
    conc.explain(axes["off"], also=LIMITS)
    _plot_occupancy(axes["occupancy"], protocol, table, conc)
    if "read" in tables:
        draw_measured(axes, tables, "f")
    return figure


def _plot_courses(course: Any, loop: Any, protocol: Wash, recording: Recording) -> None:
    exchange = Family(protocol.tau_exchange, "exchange")
    times = np.asarray((recording.times - protocol.onset) / second)
    # Cells at the highest concentration come last.
    level, gain = (rows[-len(protocol.tau_exchange) :] for rows in protocol.signals(recording))
    for conc, row, color in zip(level, gain, exchange.colors, strict=True):
        course.plot(*thin(times, row), color=color)
        # Fast exchange has all of its loop in a few steps of time.
        loop.plot(conc, row, color=color, lw=1)
    fine = np.linspace(0, float(protocol.conc[-1] / umolar), 400)
    loop.plot(fine, protocol.steady_effect(fine), **STEADY, label="steady")
    exchange.explain(course)
    legend(loop)
    label(
        course,
        f"a  {say(protocol.conc[-1])} in and out",
        "time since the wash-in (s)",
        protocol.effect,
    )
    label(loop, "b  Hysteresis in (a)", f"momentary {protocol.ligand} (µM)", protocol.effect)


def _plot_constants(axes: Any, conc: Family, table: pd.DataFrame, name: str, title: str) -> None:
    exchange = np.unique(table.tau_exchange_s)
    for limit, look in (("_quasi_static", "--"), ("_step", ":"), ("", "o")):
        rows = [curve[f"{name}{limit}_s"] for _, curve in table.groupby("conc_uM")]
        conc.draw(axes, exchange, rows, look, lw=1, ms=4.5)
    label(axes, title, "time constant of exchange (s)", "fitted time constant (s)", log="xy")


def _plot_occupancy(axes: Any, protocol: Wash, table: pd.DataFrame, conc: Family) -> None:
    """Time constants of occupancy at the fastest exchange, and those of a step."""
    rows = table[table.tau_exchange_s == table.tau_exchange_s.min()]
    fine = np.geomspace(rows.conc_uM.min() / 2, rows.conc_uM.max() * 2, 200)
    k_on, k_off = protocol.receptor.k_on, protocol.receptor.k_off
    bound = 1 / (k_on * fine * umolar + k_off) / second
    axes.plot(fine, bound, color=BLACK, lw=1, label="1/(k_on c + k_off)")
    axes.axhline(float(1 / k_off / second), color=BLACK, lw=1, ls=":", label="1/k_off")
    axes.scatter(rows.conc_uM, rows.occupancy_tau_on_s, c=conc.colors, s=25, zorder=3)
    axes.scatter(rows.conc_uM, rows.occupancy_tau_off_s, c=conc.colors, s=25, marker="s", zorder=3)
    title, y = f"e  Occupancy, exchange {say(protocol.tau_exchange[0])}", "time constant (s)"
    label(axes, title, f"{protocol.ligand} (µM)", y, log="x", ylim=(0, None))
    binding = {"ls": "", "color": BLACK, "marker": "o", "ms": 5}
    legend(axes, also={"binding": binding, "unbinding": binding | {"marker": "s"}})


def report(protocol: Wash, tables: Tables) -> list[Section]:
    """Hysteresis and time constants in words."""
    tables, effect = protocol.as_gains(tables), protocol.effect
    table, constants = tables["table"], tables["time_constants"]
    exchange = constants.tau_exchange_s
    fastest, slowest = constants[exchange == exchange.min()], constants[exchange == exchange.max()]
    step = (fastest.tau_on_s / fastest.tau_on_step_s - 1).abs().max()
    quasi = (slowest.tau_on_s / slowest.tau_on_quasi_static_s - 1).abs().max()
    loops = (
        f"Hysteresis is the largest difference, at one concentration, between the {effect} on the "
        "way out and on the way in. It vanishes when exchange is slow compared with binding and "
        f"messenger. The {effect} differs from an independent integration of the cascade by at "
        f"most {number(table.gain_deviation.max(), 1)}."
    )
    fits = (
        "Exponentials are fitted to the part of each change from 10 to 90 %, and in the same way "
        f"to two limits: the steady {effect} of the momentary concentration, and the {effect} "
        f"after a step. Washing in, the slowest exchange is within {percent(quasi, 2)} of the "
        f"first limit and the fastest within {percent(step, 2)} of the second. After a step, "
        "occupancy rises with the time constant 1/(k_on*c + k_off), and falls with 1/k_off "
        f"whatever the concentration. The {effect} falls later from higher concentrations, because "
        "it stays saturated until much has unbound."
    )
    return [
        Section(f"{effect.capitalize()} and hysteresis", loops, "table"),
        Section("Time constants", fits, "time_constants"),
        *about_measured(tables),
    ]
