"""The page of `SynapseFamilies`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import mV
from brian2.units.allunits import pjoule
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, label, legend, panels
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.synapse_families.protocol import SynapseFamilies

# Open markers of several sizes, so that what lies over each other is seen.
LOOKS: dict[str, dict[str, Any]] = {
    "mirror": {"color": BLUE, "marker": "s", "ms": 6.5, "fillstyle": "none"},
    "optocoupler": {"color": ORANGE, "marker": "^", "ms": 4.5, "fillstyle": "none"},
    "digital": {"color": GREEN, "marker": "o", "ms": 3, "fillstyle": "none"},
}
STORED = "stored value (share of full scale)"
LABELS = {
    "linear": ("a  One pulse that pushes or pulls", STORED, "step at rest (mV)"),
    "membrane": (
        "b  Full scale, from other potentials",
        "membrane when the pulse begins (mV)",
        "step over step at rest",
    ),
    "spikes": ("c  Output of the same input train", STORED, "output spikes"),
    "energy": ("d  Energy, idle diode and reference included", "", "energy per pulse (pJ)", "y"),
}


def plot(protocol: SynapseFamilies, tables: Tables, recordings: Recordings) -> Figure:
    """Steps against stored value and membrane, spikes against stored value, and energy."""
    del recordings
    figure, axes = panels([["linear", "membrane"], ["spikes", "energy"]], width=10)
    steps, summary = tables["table"], tables["summary"].set_index("family")
    rest = np.isclose(steps.v_start_mV, float(protocol.circuit.v_rest / mV))
    # What a diode or a reference takes meanwhile is a synapse's energy too.
    drawn = summary.energy_per_pulse_fJ / 1e3 + summary.static_per_pulse_pJ
    for place, (family, look) in enumerate(LOOKS.items()):
        for sign, line in (("up", "-"), ("down", ":")):
            own = (steps.family == family) & (steps.sign == sign)
            at_rest, full = steps[own & rest], steps[own & (steps.stored == 1)]
            axes["linear"].plot(at_rest.stored, at_rest.step_mV, ls="", **look)
            relative = full.step_mV / at_rest.step_mV.iloc[-1]
            name = family if sign == "up" else None
            axes["membrane"].plot(full.v_start_mV, relative, ls=line, label=name, **look)
        spikes = tables["spikes"]
        axes["spikes"].plot(spikes.stored, spikes[f"{family}_spikes"], ls="", **look)
        axes["energy"].plot(place, drawn[family], **look)
        text = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
        at = place, drawn[family]
        axes["energy"].annotate(say(drawn[family] * pjoule, digits=3), at, (0, 8), **text)
    for panel, texts in LABELS.items():
        label(axes[panel], *texts)
    axes["linear"].axhline(0, color=BLACK, lw=0.6)
    lines = {"push": {"color": BLACK, "ls": "-"}, "pull": {"color": BLACK, "ls": ":"}}
    legend(axes["membrane"], also=lines)
    axes["energy"].set(xlim=(-0.5, len(LOOKS) - 0.5), ylim=(drawn.min() / 3, drawn.max() * 5))
    axes["energy"].set_xticks(range(len(LOOKS)), LOOKS)
    axes["energy"].yaxis.set_major_formatter("{x:g}")
    return figure


def _say_resting(mirror: Any) -> str:
    """What a reference that stays on adds."""
    if not mirror.static_per_pulse_pJ:
        return ""
    resting = say(1e3 * mirror.static_per_pulse_pJ, "fJ", 3)
    return f" ({resting} more for the reference until the next pulse)"


def report(protocol: SynapseFamilies, tables: Tables) -> list[Section]:
    """What each family is good for, in numbers."""
    by = tables["summary"].set_index("family")
    mirror, analog, digital = (by.loc[name] for name in ("mirror", "optocoupler", "digital"))
    bends = {name: say(round(bent, 1), "%") for name, bent in by.nonlinearity_percent.items()}
    return [
        Section(
            "Three synapses on one neuron",
            "Nonlinearity is the largest distance of the step at rest from a straight line "
            f"between its ends, as a share of full scale. The mirror's is {bends['mirror']}. A "
            f"digital conductance bends by {bends['digital']}, because its driving force shrinks "
            f"while it charges the membrane. The optocoupler bends by {bends['optocoupler']}, "
            "mostly because its conductance grows with light to the power "
            f"{say(protocol.optocoupler.gamma)}. It is never quite dark either: a stored 0 still "
            f"moves the membrane by {say(analog.smallest_percent, '%', 2)} of full scale.\n\n"
            "A current source moves the membrane equally far from any potential. Conductances "
            f"push {say(-digital.change_up_percent, '%', 2)} less when the pulse begins at "
            f"{say(np.max(protocol.v_start), mV)} instead of at rest, and pull "
            f"{say(digital.down_over_up, digits=2)} times as far as they push at rest, because "
            "ground and supply are not equally far: weights of the two signs need scales of their "
            "own.",
            "summary",
        ),
        Section(
            "Range and energy",
            f"A supply from {protocol.circuit.supply_range} scales the mirror's step to "
            f"{span([mirror.gain_low, mirror.gain_high], digits=3)} times that at "
            f"{say(protocol.circuit.vdd_reference)}, a "
            f"conductance's only to {span([digital.gain_low, digital.gain_high], digits=3)} times. "
            "For a full-scale pulse up the mirror draws "
            f"{say(mirror.energy_per_pulse_fJ, 'fJ', 3)} with its reference"
            f"{_say_resting(mirror)}, and a "
            f"conductance {say(digital.energy_per_pulse_fJ, 'fJ', 3)}. The optocoupler's diode "
            f"shines all the time: {say(analog.static_power_uW, 'µW', 3)} at full scale, which is "
            f"{say(analog.static_per_pulse_pJ, 'pJ', 3)} for every pulse of this input. Its "
            "values here are chosen for a membrane of 50 fF; couplers on the market conduct a "
            "thousand times more and need capacitors as much larger.",
            "table",
        ),
        Section(
            "What drives the neuron to spike",
            "The same input train, through every stored value.",
            "spikes",
        ),
    ]
