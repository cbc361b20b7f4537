"""The figure of `GainToVdd`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, ORANGE, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.gain_to_vdd.protocol import GainToVdd

LOOKS = {"square": (BLUE, "o", "-"), "ekv": (ORANGE, "^", "--")}
NAMES = {"square": "square law", "ekv": "EKV"}


def plot(
    protocol: GainToVdd, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Gain and sensitivity against the supply, error against bits, bits against precision."""
    del protocol, recordings
    figure, axes = panels([["gain", "sensitivity"], ["error", "bits"]], width=10)
    for law, (color, marker, line) in LOOKS.items():
        own, steps, bits = (
            tables[name][tables[name].law == law] for name in ("table", "quantised", "bits")
        )
        exact = {"color": color, "ls": line}
        simulated = {"color": color, "marker": marker, "ls": "", "ms": 4, "fillstyle": "none"}
        axes["gain"].plot(own.vdd_V, own.gain, **exact)
        axes["gain"].plot(own.vdd_V[::5], own.gain_measured[::5], **simulated)
        axes["sensitivity"].plot(own.vdd_V, own.relative_percent_per_mV, **exact)
        axes["error"].plot(steps.bits, steps.worst_percent, **exact)
        axes["error"].plot(steps.bits, steps.worst_measured_percent, **simulated)
        look = {"marker": marker, "ms": 5, "fillstyle": "none"}
        axes["bits"].plot(bits.precision_percent, bits.bits, **exact, **look)
    axes["gain"].axhline(1, color=BLACK, lw=0.6)
    axes["gain"].set(
        xlabel="synapse supply VDD (V)", ylabel="gain", ylim=(0, None), title="a  Gain"
    )
    axes["sensitivity"].set(
        xlabel="synapse supply VDD (V)",
        ylabel="change of gain (% per mV)",
        ylim=(0, None),
        title="b  Relative sensitivity",
    )
    axes["error"].set(
        xlabel="bits of the supply",
        ylabel="largest error of a gain (%)",
        yscale="log",
        title="c  Nearest supply to a wanted gain, at worst",
    )
    axes["bits"].set(
        xlabel="wanted precision of gains (%)",
        ylabel="bits of the supply",
        xscale="log",
        title="d  Bits that it takes",
    )
    for axis in (axes["error"].yaxis, axes["bits"].xaxis):
        axis.set_major_formatter("{x:g}")
    named = {
        f"{NAMES[law]}, {what}": {"color": color, "ls": ls, "marker": mark, "fillstyle": "none"}
        for law, (color, marker, line) in LOOKS.items()
        for what, ls, mark in (("closed form", line, ""), ("simulated", "", marker))
    }
    legend(axes["sensitivity"], also=named)
    return figure
