"""The report of `SynapseFamilies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import say

if TYPE_CHECKING:
    from neuromod.protocols.synapse_families.protocol import SynapseFamilies


def report(protocol: SynapseFamilies, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """What each family is good for, in numbers."""
    by = tables["summary"].set_index("family")
    mirror, analog, digital = (by.loc[name] for name in ("mirror", "optocoupler", "digital"))
    return [
        Section(
            "Three synapses on one neuron",
            "Nonlinearity is the largest distance of the step at rest from a straight line "
            "between its ends, as a share of full scale. The mirror's is "
            f"{abs(mirror.nonlinearity_percent):.1f} %. A digital conductance bends by "
            f"{digital.nonlinearity_percent:.1f} %, because its driving force shrinks while it "
            f"charges the membrane. The optocoupler bends by {analog.nonlinearity_percent:.1f} %, "
            "mostly because its conductance grows with light to the power "
            f"{say(protocol.optocoupler.gamma)}. It is never quite dark either: a stored 0 still "
            f"moves the membrane by {analog.smallest_percent:.2g} % of full scale.\n\n"
            "A current source moves the membrane equally far from any potential. Conductances "
            f"push {-digital.change_up_percent:.0f} % less when the pulse begins at "
            f"{say(np.max(protocol.v_start))} instead of at rest, and pull "
            f"{digital.down_over_up:.2f} times as far as they push at rest, because ground and "
            "supply are not equally far: weights of the two signs need scales of their own.",
            "summary",
        ),
        Section(
            "Range and energy",
            f"A supply from 0.5 to 1 V scales the mirror's step from {mirror.gain_low:.2f} to "
            f"{mirror.gain_high:.2f} of that at 0.75 V, a conductance's only from "
            f"{digital.gain_low:.2f} to {digital.gain_high:.2f}. For a full-scale pulse up the "
            f"mirror draws {say(mirror.energy_per_pulse_fJ, 'fJ', 3)}, its reference included, "
            f"and a conductance {say(digital.energy_per_pulse_fJ, 'fJ', 3)}. The optocoupler's "
            f"diode shines all the time: {say(analog.static_power_uW, 'µW', 3)} at full scale, "
            f"which is {say(analog.static_per_pulse_pJ, 'pJ', 3)} for every pulse of this input. "
            "Its values here are chosen for a membrane of 50 fF; couplers on the market conduct a "
            "thousand times more and need capacitors as much larger.",
            "table",
        ),
        Section(
            "What drives the neuron to spike",
            "The same input train, through every stored value.",
            "spikes",
        ),
    ]
