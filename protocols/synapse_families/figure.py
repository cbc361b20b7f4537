"""The figure of `SynapseFamilies`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV
from brian2.units.allunits import pjoule

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, legend, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.synapse_families.protocol import SynapseFamilies

# Open markers of several sizes, so that what lies over each other is seen.
LOOKS: dict[str, dict[str, Any]] = {
    "mirror": {"color": BLUE, "marker": "s", "ms": 6.5, "fillstyle": "none"},
    "optocoupler": {"color": ORANGE, "marker": "^", "ms": 4.5, "fillstyle": "none"},
    "digital": {"color": GREEN, "marker": "o", "ms": 3, "fillstyle": "none"},
}
ABOVE: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}


def plot(
    protocol: SynapseFamilies, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Steps against stored value and membrane, spikes against stored value, and energy."""
    del recordings
    figure, axes = panels([["linear", "membrane"], ["spikes", "energy"]], width=10)
    steps, rest = tables["table"], float(protocol.circuit.v_rest / mV)
    for family, look in LOOKS.items():
        own = steps[steps.family == family]
        _plot_family(axes, own, np.isclose(own.v_start_mV, rest), family, look)
        spikes = tables["spikes"][f"{family}_spikes"]
        axes["spikes"].plot(tables["spikes"].stored, spikes, ls="", **look)
    axes["linear"].axhline(0, color=BLACK, lw=0.6)
    axes["linear"].set(
        xlabel="stored value (share of full scale)",
        ylabel="step at rest (mV)",
        title="a  One pulse that pushes or pulls",
    )
    axes["membrane"].set(
        xlabel="membrane when the pulse begins (mV)",
        ylabel="step over step at rest",
        title="b  Full scale, from other potentials",
    )
    axes["spikes"].set(
        xlabel="stored value (share of full scale)",
        ylabel="output spikes",
        title="c  Output of the same input train",
    )
    lines = {"push": {"color": BLACK, "ls": "-"}, "pull": {"color": BLACK, "ls": ":"}}
    legend(axes["membrane"], also=lines)
    _plot_energy(axes["energy"], tables["summary"])
    return figure


def _plot_family(
    axes: Any, steps: pd.DataFrame, rest: np.ndarray, family: str, look: Mapping[str, Any]
) -> None:
    """Steps of one family, pushing and pulling."""
    for sign, line in (("up", "-"), ("down", ":")):
        own = steps.sign == sign
        at_rest, full = steps[own & rest], steps[own & (steps.stored == 1)]
        axes["linear"].plot(at_rest.stored, at_rest.step_mV, ls="", **look)
        relative = full.step_mV / at_rest.step_mV.iloc[-1]
        name = family if sign == "up" else None
        axes["membrane"].plot(full.v_start_mV, relative, ls=line, label=name, **look)


def _plot_energy(axes: Any, summary: pd.DataFrame) -> None:
    """Energy of one full-scale pulse, with what the diode takes meanwhile."""
    drawn = summary.energy_per_pulse_fJ / 1e3 + summary.static_per_pulse_pJ
    for place, (family, energy) in enumerate(zip(summary.family, drawn, strict=True)):
        axes.plot(place, energy, **LOOKS[family])
        axes.annotate(say(energy * pjoule, digits=3), (place, energy), (0, 8), **ABOVE)
    axes.set_xticks(range(len(summary)), summary.family)
    axes.set(
        yscale="log",
        ylabel="energy per pulse (pJ)",
        xlim=(-0.5, len(summary) - 0.5),
        ylim=(drawn.min() / 3, drawn.max() * 5),
        title="d  Synapse's energy, diode included",
    )
    axes.yaxis.set_major_formatter("{x:g}")
