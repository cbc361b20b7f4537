"""The report of `SynapseFamilies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from brian2 import mV

from neuromod.protocol import Section
from neuromod.support.text import say, span

if TYPE_CHECKING:
    from neuromod.protocols.synapse_families.protocol import SynapseFamilies


def report(protocol: SynapseFamilies, tables: dict[str, pd.DataFrame]) -> list[Section]:
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
            "A supply from 0.5 to 1 V scales the mirror's step to "
            f"{span([mirror.gain_low, mirror.gain_high], digits=3)} times that at 0.75 V, a "
            f"conductance's only to {span([digital.gain_low, digital.gain_high], digits=3)} times. "
            "For a full-scale pulse up the mirror draws "
            f"{say(mirror.energy_per_pulse_fJ, 'fJ', 3)}, its reference included, and a "
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
