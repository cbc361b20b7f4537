"""Settings of protocols that build XOR gates of circuit neurons, and the gates found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, nsecond, volt

from neuromod.chip.pulses import PulseTrain
from neuromod.chip.xor import designs, search
from neuromod.parameters import parameter
from neuromod.protocols.families.chips import ChipProtocol, keep, supply
from neuromod.protocols.families.timing import time


@dataclass(frozen=True, eq=False)
class GateProtocol(ChipProtocol):
    """Base of protocols with XOR gates, whose codes are searched in closed form.

    Raises
    ------
    UserError
        When the circuit is none that the search is for, or neurons cannot follow the input.
    """

    vdd: Quantity = supply(
        linspace(0.5, 1.0, 11) * volt,
        "supplies at which codes are searched, each for all three neurons of a gate",
    )
    spikes: int = parameter(
        10, "input spikes of a 1", "Barton et al. 2022, section 6.2", low=1, high=64
    )
    period: Quantity = time(
        370 * nsecond,
        "from one input spike to the next; at least a neuron's dead time, 300 ns",
        "off the dead time, far below the membrane's 20 us",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        why = "codes are searched for mirrors and a clocked comparator"
        keep(self.circuit, why, synapse="mirror", comparator="clocked")
        self.train.check(self.circuit)

    @property
    def train(self) -> PulseTrain:
        """Input of a 1."""
        return PulseTrain(self.spikes, self.period, self.dt)

    @cached_property
    def found(self) -> list[pd.DataFrame]:
        """What the search finds at each supply."""
        return [search(self.circuit, self.train, vdd) for vdd in np.atleast_1d(self.vdd)]

    @cached_property
    def designs(self) -> pd.DataFrame:
        """Gates to build: the widest margin of all, and that of those like the paper's."""
        return designs(pd.concat(self.found, ignore_index=True))
