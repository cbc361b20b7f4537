"""The page of `PseudoResistor`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2 import mV, usecond
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, Family, label, legend, panels, thin
from neuromod.support.text import percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.pseudo_resistor.protocol import PseudoResistor

LOOKS = {
    "resistor": {"color": BLACK, "ls": ":", "label": "resistor"},
    "one_sided": {"color": ORANGE, "ls": "-", "label": "one element"},
    "symmetric": {"color": BLUE, "ls": "-", "label": "pair, R_leak in all"},
    "pair": {"color": GREEN, "ls": "--", "label": "pair, R_leak each"},
}
FROM_REST = "membrane from rest (mV)"
LABELS = {
    "current": ("a  Current", FROM_REST, "leak current (pA)"),
    "resistance": ("b  Resistance", FROM_REST, "V/I (MΩ)", "y"),
    "skew": ("c  More current up than down", "distance from rest (mV)", "asymmetry (%)"),
    "decay": ("d  Decay from both ends of the swing", "time (µs)", FROM_REST),
}


def plot(protocol: PseudoResistor, tables: Tables, recordings: Recordings) -> Figure:
    """Currents, resistances and asymmetry over the swing, decays, and temperature."""
    layout = [["current", "resistance", "skew"], ["decay", "decay", "warmth"]]
    figure, axes = panels(layout, width=12)
    table, decay = tables["table"], recordings["decay"]
    (condition,) = np.flatnonzero(protocol.is_own(protocol.conditions))
    for device, look in LOOKS.items():
        own = table[protocol.is_own(table) & (table.device == device)]
        axes["current"].plot(own.v_mV, own.current_pA, **look)
        axes["resistance"].plot(own.v_mV, own.chord_Mohm, **look)
        half = own[own.v_mV > 0]
        axes["skew"].plot(half.v_mV, 100 * half.asymmetry, **look)
        times, *ends = thin(decay.times / usecond, *protocol.traces(device, decay)[condition] / mV)
        for v in ends:
            axes["decay"].plot(times, v, **look)
    for name, texts in LABELS.items():
        label(axes[name], *texts)
    axes["resistance"].yaxis.set_major_formatter("{x:g}")
    axes["decay"].axhline(0, color=BLACK, lw=0.6)
    axes["decay"].set_xlim(0, protocol.duration / usecond)
    legend(axes["skew"], "leak")
    pair = tables["summary"].query("device == 'symmetric'")
    chords = pair.pivot(index="slope_factor", columns="temperature_K", values="chord_up_Mohm")
    family = Family(chords.index.to_numpy(), "slope factor")
    family.draw(axes["warmth"], chords.columns.to_numpy(), chords.to_numpy(), "o-", ms=3)
    family.explain(axes["warmth"])
    title = f"e  Pair, R_leak in all, at {say(protocol.v[-1], mV)}"
    label(axes["warmth"], title, "temperature (K)", "V/I (MΩ)", log="y")
    axes["warmth"].yaxis.set_major_formatter("{x:g}")
    return figure


def report(protocol: PseudoResistor, tables: Tables) -> list[Section]:
    """What the leaks do to the membrane, and which resistance the paper may mean."""
    table, summary = tables["table"], tables["summary"]
    by = summary[protocol.is_own(summary)].set_index("device")
    resistor, one, pair, halves = (by.loc[name] for name in LOOKS)
    swing, tau = say(protocol.v[-1], mV), protocol.circuit.leak_resistance * protocol.circuit.C
    every = summary[summary.device == "symmetric"]
    cold, hot = (every[every.temperature_K == t] for t in every.temperature_K.agg(["min", "max"]))
    flowing = table[table.v_mV != 0]
    off = np.max(np.abs(flowing.current_pA / flowing.closed_form_pA - 1))
    return [
        Section(
            "Symmetry",
            f"At {swing} above rest one element conducts so much more than as far below that the "
            f"difference is {percent(one.asymmetry)} of the sum; the pair's is "
            f"{percent(abs(pair.asymmetry), 1)}. From {swing} above rest a membrane with one "
            f"element takes {say(one.decay_up_us, 'µs', 3)} to 1/e, from as far below "
            f"{say(one.decay_down_us, 'µs', 3)}. With a pair it takes "
            f"{say(pair.decay_up_us, 'µs', 3)} both ways, less than the "
            f"{say(resistor.decay_up_us, 'µs', 3)} of a resistor, because the pair's resistance "
            f"falls from {say(pair.R_zero_Mohm, 'MΩ')} at rest to "
            f"{say(pair.chord_up_Mohm, 'MΩ', 3)} (V/I) and {say(pair.slope_up_Mohm, 'MΩ', 3)} "
            "(dV/dI) at the end of the swing. Currents differ from their closed forms by "
            f"{percent(off, 1)} at most.",
            "summary",
        ),
        Section(
            "Which 400 MΩ",
            "The paper gives 400 MΩ and says that the second element halves the resistance, not "
            "whether 400 MΩ are before or after that. If they are the pair's, each element has "
            f"{say(2 * pair.R_zero_Mohm, 'MΩ')} at rest and the time constant is "
            f"{say(tau, digits=3)}: this is what leak=symmetric takes. If they are one element's, "
            f"the pair has {say(halves.R_zero_Mohm, 'MΩ')}, its time constant is "
            f"{say(tau / 2, digits=3)}, and from {swing} it falls to 1/e in "
            f"{say(halves.decay_up_us, digits=3)} instead of {say(pair.decay_up_us, 'µs', 3)}.",
        ),
        Section(
            "Temperature and slope factor",
            "The smaller n*kT/q, the more the elements bend. The resistance at rest is that of a "
            "transistor below threshold, exp(vto/(n*kT/q))/(beta*T) but for a factor: from "
            f"{span(cold.temperature_K, 'K')} to {span(hot.temperature_K, 'K')} the pair's falls "
            f"from {span(cold.R_zero_Mohm, 'MΩ', 3)} to {span(hot.R_zero_Mohm, 'MΩ', 3)}, by slope "
            f"factor, and its V/I at {swing} from {span(cold.chord_up_Mohm, 'MΩ', 3)} to "
            f"{span(hot.chord_up_Mohm, 'MΩ', 3)}. R_leak holds at "
            f"{say(protocol.circuit.T_nominal)}, whatever the slope factor.",
            "table",
        ),
    ]
