"""The figure of `PseudoResistor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV, usecond

from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, Family, legend, panels, thin
from neuromod.support.text import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.pseudo_resistor.protocol import PseudoResistor

LOOKS = {
    "resistor": {"color": BLACK, "ls": ":", "label": "resistor"},
    "one_sided": {"color": ORANGE, "ls": "-", "label": "one element"},
    "symmetric": {"color": BLUE, "ls": "-", "label": "pair, R_leak in all"},
    "pair": {"color": GREEN, "ls": "--", "label": "pair, R_leak each"},
}


def plot(
    protocol: PseudoResistor, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Figure:
    """Currents, resistances and asymmetry over the swing, decays, and temperature."""
    layout = [["current", "resistance", "asymmetry"], ["decay", "decay", "temperature"]]
    figure, axes = panels(layout, width=12)
    for device, look in LOOKS.items():
        own = protocol.own(tables["table"], device)
        axes["current"].plot(own.v_mV, own.current_pA, **look)
        axes["resistance"].plot(own.v_mV, own.chord_Mohm, **look)
        half = own[own.v_mV > 0]
        axes["asymmetry"].plot(half.v_mV, 100 * half.asymmetry, **look)
        _plot_decays(protocol, axes["decay"], recordings["decay"], device)
    _plot_temperature(protocol, axes["temperature"], tables["summary"])
    axes["current"].set(
        xlabel="membrane from rest (mV)", ylabel="leak current (pA)", title="a  Current"
    )
    axes["resistance"].set(
        xlabel="membrane from rest (mV)", ylabel="V/I (MΩ)", yscale="log", title="b  Resistance"
    )
    axes["resistance"].yaxis.set_major_formatter("{x:g}")
    axes["asymmetry"].set(
        xlabel="distance from rest (mV)",
        ylabel="asymmetry (%)",
        title="c  More current up than down",
    )
    legend(axes["asymmetry"], "leak")
    axes["decay"].axhline(0, color=BLACK, lw=0.6)
    axes["decay"].set(
        xlabel="time (µs)",
        ylabel="membrane from rest (mV)",
        xlim=(0, protocol.duration / usecond),
        title="d  Decay from both ends of the swing",
    )
    return figure


def _plot_decays(protocol: PseudoResistor, axes: Any, recording: Recording, device: str) -> None:
    slope_factor, temperature = protocol.conditions()
    circuit = protocol.circuit
    own = (slope_factor == circuit.slope_factor) & (temperature == circuit.temperature)
    (condition,) = np.flatnonzero(own)
    both = protocol.traces(device, recording)[condition] / mV
    times, *ends = thin(recording.times / usecond, *both)
    for v in ends:
        axes.plot(times, v, **LOOKS[device])


def _plot_temperature(protocol: PseudoResistor, axes: Any, summary: pd.DataFrame) -> None:
    pair = summary[summary.device == "symmetric"]
    by_slope = pair.pivot_table(
        index="slope_factor", columns="temperature_K", values="chord_up_Mohm"
    )
    family = Family(by_slope.index.to_numpy(), "slope factor")
    family.draw(axes, by_slope.columns.to_numpy(), by_slope.to_numpy(), "o-", ms=3)
    family.explain(axes)
    axes.set(
        xlabel="temperature (K)",
        ylabel="V/I (MΩ)",
        ylim=(0, None),
        title=f"e  Pair, R_leak in all, at {say(protocol.v[-1], mV)}",
    )
