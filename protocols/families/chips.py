"""Settings of protocols on the chip: circuit, supplies, codes and input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brian2 import Quantity, hertz, nsecond

from neuromod.chip.conversion import VDD_HIGH, VDD_LOW, VDD_REFERENCE
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter
from neuromod.protocol import Protocol
from neuromod.protocols.families.timing import time_step


@dataclass(frozen=True, eq=False)
class ChipProtocol(Protocol):
    """Base of protocols that simulate circuit neurons.

    Raises
    ------
    UserError
        When a pulse or a spike is no whole number of time steps.
    """

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    dt: Quantity = time_step(10 * nsecond, "a tenth of a pulse")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.circuit.check_step(self.dt)


def supply(default: Quantity = VDD_REFERENCE, meaning: str = "synapse supply") -> Any:
    """Setting of one or several synapse supplies, from 0.5 to 1 V.

    Parameters
    ----------
    default : Quantity, shape () or (n,)
        In volt.
    meaning : str

    Returns
    -------
    dataclasses.Field
    """
    return parameter(
        default,
        meaning,
        source="Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
        low=VDD_LOW,
        high=VDD_HIGH,
    )


def input_codes() -> Any:
    """Setting of the code of each input's synapse.

    Returns
    -------
    dataclasses.Field
    """
    return parameter((4, 3, 2, -2), "code of each input's synapse", source="chosen here")


def input_rate(default: Quantity, meaning: str = "mean rate of each input") -> Any:
    """Setting of the rate of random inputs.

    Parameters
    ----------
    default : Quantity
        In hertz.
    meaning : str

    Returns
    -------
    dataclasses.Field
    """
    return parameter(
        default,
        meaning,
        source="chosen here: below the neuron's own 3.3 MHz",
        low=0 * hertz,
        low_excluded=True,
    )
