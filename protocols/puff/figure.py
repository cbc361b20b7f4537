"""The figure of `Puff`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, second, umolar

from neuromod.analysis.time_course import momentary_rates
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.puff.protocol import Puff

COLORS = (SKY, BLUE, GREEN, ORANGE, RED, PURPLE, BLACK)


def plot(
    puff: Puff, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Time courses of single puffs and of trains, and what was measured of them."""
    figure, axes = panels(
        [
            ["single conc", "train conc", "peak"],
            ["single gain", "train gain", "times"],
            ["single rate", "train rate", "summation"],
        ],
        width=12,
        height=8,
    )
    middle = len(puff.width) // 2
    for number, conc in enumerate(puff.conc):
        _plot_course(puff, axes, "single", recordings[f"single_{middle}"], number,
                          COLORS[number % len(COLORS)], f"{conc / umolar:.3g} µM")  # fmt: skip
    for number, interval in reversed(list(enumerate(puff.interval))):
        color, label = COLORS[number % len(COLORS)], f"{interval / second:.3g} s"
        _plot_course(
            puff, axes, "train", recordings[f"train_{number}"], len(puff.conc) - 1, color, label
        )
    _label_courses(puff, axes, puff.width[middle])
    _plot_singles(puff, axes["peak"], axes["times"], tables["table"])
    _plot_summation(axes["summation"], tables["trains"])
    return figure


def _plot_course(
    puff: Puff, axes: Any, kind: str, recording: Recording, cell: int, color: str, label: str
) -> None:
    conc, gain = puff.signals(recording)
    times = np.asarray((recording.times - puff.onset) / second)
    # A few hundred points make a line.
    every = slice(None, None, max(1, len(times) // 2000))
    axes[f"{kind} conc"].plot(times[every], conc[cell, every], color=color, label=label)
    axes[f"{kind} gain"].plot(times[every], gain[cell, every], color=color)
    at, rate = momentary_rates(recording.spikes["neurons"], cell)
    axes[f"{kind} rate"].plot(at - float(puff.onset / second), rate, ".", color=color, ms=2)


def _label_courses(puff: Puff, axes: Any, width: Quantity) -> None:
    titles = {
        "single": ("a", f"One puff of {width / ms:.4g} ms"),
        "train": ("b", f"{puff.puffs} puffs of {puff.width[0] / ms:.4g} ms and "
                       f"{puff.conc[-1] / umolar:.3g} µM"),
    }  # fmt: skip
    for kind, (letter, title) in titles.items():
        axes[f"{kind} conc"].set(title=f"{letter}  {title}",
                                 ylabel=f"{puff.ligand} (µM)")  # fmt: skip
        axes[f"{kind} gain"].set(ylabel="gain")
        axes[f"{kind} rate"].set(ylabel="firing rate (Hz)",
                                 xlabel="time since the first puff (s)")  # fmt: skip
        axes[f"{kind} conc"].legend(title="in the pipette" if kind == "single" else "interval")


def _plot_singles(puff: Puff, peak: Any, times: Any, table: pd.DataFrame) -> None:
    for number, (width, rows) in enumerate(table.groupby("width_ms")):
        color, label = COLORS[number % len(COLORS)], f"{width:.4g} ms"
        peak.plot(rows.conc_uM, rows.peak_gain, "o-", color=color, ms=4, label=label)
        times.plot(rows.conc_uM, rows.latency_s, "o-", color=color, ms=4)
        times.plot(rows.conc_uM, rows.half_decay_s, "s--", color=color, ms=4)
    name = f"{puff.ligand} in the pipette (µM)"
    peak.set(xscale="log", xlabel=name, ylabel="peak gain", title="c  Single puffs")
    peak.legend(title="width")
    times.plot([], [], "o-", color=BLACK, ms=4, label="latency of the peak")
    times.plot([], [], "s--", color=BLACK, ms=4, label="from peak to half")
    times.set(xscale="log", ylim=(0, None), xlabel=name, ylabel="time (s)",
              title="d  Latency and half-decay")  # fmt: skip
    times.legend()


def _plot_summation(axes: Any, trains: pd.DataFrame) -> None:
    strongest = trains[trains.conc_uM == trains.conc_uM.max()]
    for number, (interval, rows) in enumerate(strongest.groupby("interval_s")):
        axes.plot(rows.puff, rows.peak_gain, "o-", color=COLORS[number % len(COLORS)], ms=4,
                  label=f"{interval:.3g} s")  # fmt: skip
    axes.set(xlabel="number of the puff in the train", ylabel="peak gain after the puff",
             title="e  Summation")  # fmt: skip
    axes.legend(title="interval")
