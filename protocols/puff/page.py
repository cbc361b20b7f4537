"""The page of `Puff`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second
from matplotlib.figure import Figure

from neuromod.analysis.time_course import momentary_rates
from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.families.measured import ROW, about_measured, draw_measured
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, Family, label, legend, panels, thin
from neuromod.support.text import number, say, span

if TYPE_CHECKING:
    from neuromod.protocols.puff.protocol import Puff


def plot(protocol: Puff, tables: Tables, recordings: Recordings) -> Figure:
    """Time courses of single puffs and of trains, and what was measured of them."""
    tables = protocol.as_gains(tables)
    beside = {"conc": "peak", "gain": "times", "rate": "summation"}
    layout = [[f"single {course}", f"train {course}", last] for course, last in beside.items()]
    layout += [[*ROW, "."]] if "read" in tables else []
    figure, axes = panels(layout, width=15, height=3 * len(layout))
    conc = Family(protocol.conc, "in the pipette")
    interval = Family(protocol.interval, "interval", hue="orange")
    middle = len(protocol.width) // 2
    for cell, color in enumerate(conc.colors):
        _plot_course(axes, protocol, "single", recordings[f"single_{middle}"], cell, color)
    # The longest train first, so that the shorter ones lie on top of it.
    for train, color in reversed(list(enumerate(interval.colors))):
        _plot_course(axes, protocol, "train", recordings[f"train_{train}"], -1, color)
    conc.explain(axes["single conc"])
    interval.explain(axes["train conc"])
    every = f"{protocol.puffs} puffs of {say(protocol.width[0])} and {say(protocol.conc[-1])}"
    axes["single conc"].set_title(f"a  One puff of {say(protocol.width[middle])}")
    axes["train conc"].set_title(f"b  {every}")
    _plot_singles(axes["peak"], axes["times"], protocol, tables["table"])
    summation = tables["summation"]
    curves = [rows.summation for _, rows in summation.groupby("interval_s")]
    interval.draw(axes["summation"], np.unique(summation.conc_uM), curves, "o-", ms=4)
    axes["summation"].axhline(1, color=BLACK, lw=0.8, ls=":", label="one puff alone")
    x, y = f"{protocol.ligand} in the pipette (µM)", "change by the last puff over one"
    label(axes["summation"], "e  Summation in trains", x, y, log="x")
    legend(axes["summation"])
    if "read" in tables:
        draw_measured(axes, tables, "f")
    return figure


def _plot_course(
    axes: Any, protocol: Puff, kind: str, recording: Recording, cell: int, color: str
) -> None:
    onset = float(protocol.onset / second)
    signals = (signal[cell] for signal in protocol.signals(recording))
    since, conc, gain = thin(np.asarray(recording.times / second) - onset, *signals)
    at, rate = momentary_rates(recording.spikes["neurons"], cell % len(protocol.conc))
    for name, y, *course in (
        ("conc", f"{protocol.ligand} (µM)", since, conc, "-"),
        ("gain", protocol.effect, since, gain, "-"),
        ("rate", "firing rate (Hz)", at - onset, rate, "."),
    ):
        axes[f"{kind} {name}"].plot(*course, color=color, ms=2)
        axes[f"{kind} {name}"].set_ylabel(y)
    # A cell may fall silent long before the end.
    axes[f"{kind} rate"].set_xlim(axes[f"{kind} gain"].get_xlim())
    axes[f"{kind} rate"].set_xlabel("time since the first puff (s)")


def _plot_singles(peak: Any, times: Any, protocol: Puff, table: pd.DataFrame) -> None:
    width = Family(protocol.width, "width", hue="green")
    curves = [rows for _, rows in table.groupby("width_ms")]
    conc = np.unique(table.conc_uM)
    width.draw(peak, conc, [rows.peak_gain for rows in curves], "o-", ms=4)
    width.draw(times, conc, [rows.latency_s for rows in curves], "o-", ms=4)
    width.draw(times, conc, [rows.half_decay_s for rows in curves], "s--", ms=4)
    x = f"{protocol.ligand} in the pipette (µM)"
    label(peak, "c  Single puffs", x, f"peak {protocol.effect}", log="x")
    label(times, "d  Latency and half-decay", x, "time (s)", log="x", ylim=(0, None))
    width.explain(peak)
    latency = {"color": BLACK, "marker": "o", "ms": 4}
    half = latency | {"marker": "s", "ls": "--"}
    legend(times, also={"latency of the peak": latency, "from peak to half": half})


def report(protocol: Puff, tables: Tables) -> list[Section]:
    """Responses in words, and how well simulation and independent solutions agree."""
    tables, effect = protocol.as_gains(tables), protocol.effect
    table, agreement = tables["table"], tables["agreement"]
    change = (table.peak_gain - float(protocol.steady_effect(0)))[: len(protocol.conc)]
    singles = (
        f"The {effect} peaks {span(table.latency_s, 's', 2)} after the start of a puff, later than "
        f"the concentration. The shortest puff of {say(protocol.conc[-1], digits=3)} changes it "
        f"{number(change.iloc[-1] / change.iloc[0], 3)} times as much as that of "
        f"{say(protocol.conc[0], digits=3)}: weak doses lie where the Hill function is steep, "
        "strong ones saturate it. Half-decay times are missing where the run ends too early."
    )
    trains = (
        f"Puffs of {say(protocol.width[0])} add up when the effect of the last one has not passed. "
        f"Summation is the change of the {effect} after a train's last puff over that after a "
        "single puff. Whatever the clearance, the mean concentration tends to that in the pipette "
        f"times width over interval; the last column is the steady {effect} in a bath of it."
    )
    every = f"Each row gives the {effect} furthest from control between one puff and the next."
    agree = (
        "Concentrations differ from the closed form of clearance by at most "
        f"{number(agreement.conc_deviation.max(), 1)} of that in the pipette, and {effect}s from "
        "an independent integration of the cascade by at most "
        f"{number(agreement.gain_deviation.max(), 1)}."
    )
    return [
        Section("Single puffs", singles, "table"),
        Section("Trains", trains, "summation"),
        Section("Every puff of the trains", every, "trains"),
        Section("Agreement", agree, "agreement"),
        *about_measured(tables),
    ]
