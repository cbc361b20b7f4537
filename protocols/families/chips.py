"""Settings of protocols on the chip: circuit, supplies, codes and input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, nsecond

from neuromod.chip.conversion import VDD_HIGH, VDD_LOW, VDD_REFERENCE, reachable_gains, vdd_of
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, positive
from neuromod.protocol import Protocol
from neuromod.protocols.families.timing import time_step
from neuromod.support.text import say


@dataclass(frozen=True, eq=False)
class ChipProtocol(Protocol):
    """Base of protocols that simulate circuit neurons.

    Raises
    ------
    UserError
        When a pulse or a spike is no whole number of time steps.
    """

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", "see its own")
    dt: Quantity = time_step(10 * nsecond, "a tenth of a pulse")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.circuit.check_step(self.dt)


def supply(default: Quantity = VDD_REFERENCE, meaning: str = "synapse supply") -> Any:
    """Setting of one or several synapse supplies, from 0.5 to 1 V; see `parameter`."""
    source = "Barton et al. 2022, section 5.2.1: 0.5 to 1 V"
    return parameter(default, meaning, source, low=VDD_LOW, high=VDD_HIGH)


def input_codes() -> Any:
    """Setting of the code of each input's synapse."""
    return parameter((4, 3, 2, -2), "code of each input's synapse", "chosen here")


def input_rate(default: Quantity, meaning: str = "mean rate of each input") -> Any:
    """Setting of the rate of random inputs; see `positive`."""
    return positive(default, meaning, "chosen here: below the neuron's own 3.3 MHz")


def check_reach(circuit: CircuitNeuron, gain: np.ndarray, remedy: str) -> None:
    """Refuse gains, relative to 0.75 V, that need less than 0.5 V or more than 1 V.

    Parameters
    ----------
    circuit : CircuitNeuron
    gain : ndarray, shape (n,)
    remedy : str
        What to change, for the message.
    """
    vdd = vdd_of(circuit, gain)
    if np.any(vdd < VDD_LOW) or np.any(vdd > VDD_HIGH):
        low, high = reachable_gains(circuit)
        raise UserError(
            f"Gains from {say(gain.min())} to {say(gain.max())} are out of the circuit's reach: "
            f"supplies from 0.5 to 1 V give {say(low)} to {say(high)}. {remedy}"
        )


def keep(circuit: CircuitNeuron, why: str, **settings: Any) -> None:
    """Refuse a circuit of another kind than a protocol is for.

    Parameters
    ----------
    circuit : CircuitNeuron
    why : str
        For the message.
    **settings : str or Quantity
        Values that parameters must have.
    """
    for name, value in settings.items():
        if getattr(circuit, name) != value:
            raise UserError(f"circuit.{name} must stay {say(value)}: {why}.")
