"""The figure of `NetworkGain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from brian2 import second

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, RED, Family, panels
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.network_gain.protocol import NetworkGain

RASTER = 0.3 * second
LOOKS: dict[str, dict[str, Any]] = {
    "excitatory": {"marker": "o", "ls": "-"},
    "inhibitory": {"marker": "s", "ls": "--", "mfc": "none"},
}


def plot(
    protocol: NetworkGain, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Some trains without and with the modulator; rates, irregularity and correlations."""
    layout = [["least"] * 3 + ["most"] * 3, ["rate"] * 2 + ["cv"] * 2 + ["correlation"] * 2]
    figure, axes = panels(layout, width=11, height=7)
    for letter, name, conc in (("a", "least", protocol.conc[0]), ("b", "most", protocol.conc[-1])):
        some = [neurons[: protocol.sample] for neurons in protocol.populations.values()]
        groups = dict(zip(LOOKS, zip(some, (BLACK, RED), strict=True), strict=True))
        protocol.draw_raster(axes[name], recordings[protocol.name_of(conc)], RASTER, groups)
        axes[name].set_title(f"{letter}  {say(conc)} at the strongest drive")
    doses = Family(protocol.conc, protocol.ligand)
    for (_, rows), color in zip(tables["table"].groupby("conc_uM"), doses.colors, strict=True):
        for population, curve in rows.groupby("population"):
            look = LOOKS[population] | {"color": color, "ms": 4, "lw": 1}
            axes["rate"].plot(curve.drive_Hz, curve.rate_Hz, **look | {"ls": ""})
            theory = {"color": color, "lw": 1, "ls": look["ls"]}
            axes["rate"].plot(curve.drive_Hz, curve.mean_field_Hz, **theory)
            for name in ("cv", "correlation"):
                axes[name].plot(curve.drive_Hz, curve[name], **look)
    axes["rate"].set(ylabel="rate (Hz)", ylim=(0, None), title="c  Rates; mean field (lines)")
    axes["cv"].set(ylabel="CV of inter-spike intervals", ylim=(0, None), title="d  Irregularity")
    counted = f"correlation of counts in {say(protocol.bin)}"
    axes["correlation"].set(ylabel=counted, title="e  Synchrony")
    axes["correlation"].axhline(0, color=BLACK, lw=0.5)
    for name in ("rate", "cv", "correlation"):
        axes[name].set_xlabel("drive (Hz)")
    shapes = {name: look | {"color": BLACK, "ms": 4, "lw": 1} for name, look in LOOKS.items()}
    doses.explain(axes["correlation"], also=shapes)
    return figure
