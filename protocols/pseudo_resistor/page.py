"""The page of `PseudoResistor`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import mV, usecond

from neuromod.protocol import Recordings, Section, Tables
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, Family, label, legend, panels, thin
from neuromod.support.text import percent, say, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuromod.protocols.pseudo_resistor.protocol import PseudoResistor

LOOKS = {
    "resistor": {"color": BLACK, "ls": ":", "label": "resistor"},
    "one_sided": {"color": ORANGE, "ls": "-", "label": "one element"},
    "symmetric": {"color": BLUE, "ls": "-", "label": "pair, R_leak in all"},
    "pair": {"color": GREEN, "ls": "--", "label": "pair, R_leak each"},
}


def plot(protocol: PseudoResistor, tables: Tables, recordings: Recordings) -> Figure:
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
    label(axes["current"], "a  Current", "membrane from rest (mV)", "leak current (pA)")
    label(axes["resistance"], "b  Resistance", "membrane from rest (mV)", "V/I (MΩ)", log="y")
    axes["resistance"].yaxis.set_major_formatter("{x:g}")
    label(
        axes["asymmetry"],
        "c  More current up than down",
        "distance from rest (mV)",
        "asymmetry (%)",
    )
    legend(axes["asymmetry"], "leak")
    axes["decay"].axhline(0, color=BLACK, lw=0.6)
    label(
        axes["decay"],
        "d  Decay from both ends of the swing",
        "time (µs)",
        "membrane from rest (mV)",
        xlim=(0, protocol.duration / usecond),
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
    label(
        axes,
        f"e  Pair, R_leak in all, at {say(protocol.v[-1], mV)}",
        "temperature (K)",
        "V/I (MΩ)",
        ylim=(0, None),
    )


def report(protocol: PseudoResistor, tables: Tables) -> list[Section]:
    """What the leaks do to the membrane, and which resistance the paper may mean."""
    summary = tables["summary"]
    by = {device: protocol.own(summary, device).iloc[0] for device in summary.device.unique()}
    swing = say(protocol.v[-1], mV)
    others = summary[summary.device == "symmetric"].chord_up_Mohm
    off = percent(_worst(tables["table"]), 1)
    return [
        Section("Symmetry", f"{_say_symmetry(by, swing)} {off} at most.", "summary"),
        Section("Which 400 MΩ", _say_readings(protocol, by, swing)),
        Section(
            "Temperature and slope factor",
            "Both enter through the voltage n*kT/q alone: the smaller it is, the more the "
            f"elements bend. At {swing} the pair's V/I is {span(others, 'MΩ', 3)} over the "
            "conditions here. The resistance at rest is a parameter of the model and stays; a "
            "transistor's own falls steeply as it warms, which is left out.",
            "table",
        ),
    ]


def _say_symmetry(by: dict[str, pd.Series], swing: str) -> str:
    one, pair = by["one_sided"], by["symmetric"]
    return (
        f"At {swing} above rest one element conducts so much more than as far below that the "
        f"difference is {percent(one.asymmetry)} of the sum; the pair's is "
        f"{percent(abs(pair.asymmetry), 1)}. From {swing} above rest a membrane with one element "
        f"takes {say(one.decay_up_us, 'µs', 3)} to 1/e, from as far below "
        f"{say(one.decay_down_us, 'µs', 3)}. With a pair it takes "
        f"{say(pair.decay_up_us, 'µs', 3)} both ways, less than the "
        f"{say(by['resistor'].decay_up_us, 'µs', 3)} of a resistor, because the pair's resistance "
        f"falls from {say(pair.R_zero_Mohm, 'MΩ')} at rest to {say(pair.chord_up_Mohm, 'MΩ', 3)} "
        f"(V/I) and {say(pair.slope_up_Mohm, 'MΩ', 3)} (dV/dI) at the end of the swing. Currents "
        "differ from their closed forms by"
    )


def _say_readings(protocol: PseudoResistor, by: dict[str, pd.Series], swing: str) -> str:
    pair, halves = by["symmetric"], by["pair"]
    tau = protocol.circuit.R_leak * protocol.circuit.C
    return (
        "The paper gives 400 MΩ and says that the second element halves the resistance, not "
        "whether 400 MΩ are before or after that. If they are the pair's, each element has "
        f"{say(2 * pair.R_zero_Mohm, 'MΩ')} at rest and the time constant is {say(tau, digits=3)}: "
        "this is what leak=symmetric takes. If they are one element's, the pair has "
        f"{say(halves.R_zero_Mohm, 'MΩ')}, its time constant is {say(tau / 2, digits=3)}, and from "
        f"{swing} it falls to 1/e in {say(halves.decay_up_us, digits=3)} instead of "
        f"{say(pair.decay_up_us, 'µs', 3)}."
    )


def _worst(table: pd.DataFrame) -> float:
    """Largest relative deviation of a current from its closed form."""
    flowing = table[table.v_mV != 0]
    return float(np.max(np.abs(flowing.current_pA / flowing.closed_form_pA - 1)))
