"""What a chip does to a design: mismatch, process corners and temperature.

All three are deviations of devices from the design. A synapse's are solved exactly, like the
mirror itself: what its transistors really conduct, in units of the designed current, is an
effective code, a real number that any experiment takes in place of the code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from brian2 import Quantity, mV, um, volt

from neuromod.errors import UserError, unknown
from neuromod.models.circuit import CORNERS, ESTIMATE, PAPER, CircuitNeuron
from neuromod.models.mirror import Mirror
from neuromod.parameters import Parameters, not_negative, positive
from neuromod.support.text import say


@dataclass(frozen=True, eq=False)
class Mismatch(Parameters):
    """Standard deviations of devices that were drawn alike, but for the mirrors' transistors.

    Theirs fall with the root of their gate area (Pelgrom's law): they follow from the circuit's
    `A_vt` and `A_beta` over the root of `W*L`. A source of m units has m times the area of one.
    """

    load: float = not_negative(
        0.01, "relative standard deviation of the mirror's resistor", ESTIMATE
    )
    capacitor: float = not_negative(
        0.002, "relative standard deviation of the membrane's capacitor", ESTIMATE
    )
    leak_area: Quantity = positive(
        0.35 * um**2,
        "gate area of the pseudo-resistor, whose threshold varies as any transistor's",
        f"{PAPER}, section 5.2.2: 0.7 um x 0.5 um",
    )
    offset: Quantity = not_negative(
        5 * mV, "standard deviation of the comparator's threshold", ESTIMATE
    )
    width: float = not_negative(0.03, "relative standard deviation of a spike's width", ESTIMATE)


@dataclass(frozen=True, eq=False)
class Deviations:
    """Differences between neurons as made and as designed.

    They may be added, and multiplied by a number. Voltages are in volt; all others are natural
    logarithms of ratios, so that no draw makes a device negative.

    Attributes
    ----------
    vto, beta : ndarray, shape (..., synapses, 1 + bits)
        Of each synapse's reference, then of its sources from the least significant bit on.
    R_S : ndarray, shape (..., synapses)
    C, R_leak, v_offset, t_spike, thermal_voltage : ndarray, shape (...)
    """

    vto: Any = 0.0
    beta: Any = 0.0
    R_S: Any = 0.0
    C: Any = 0.0
    R_leak: Any = 0.0
    v_offset: Any = 0.0
    t_spike: Any = 0.0
    thermal_voltage: Any = 0.0

    def __add__(self, other: Deviations) -> Deviations:
        pairs = vars(self).items()
        return Deviations(**{name: value + getattr(other, name) for name, value in pairs})

    def __mul__(self, factor: float) -> Deviations:
        return Deviations(**{name: value * factor for name, value in vars(self).items()})

    def only(self, name: str) -> Deviations:
        """Deviations of one attribute alone."""
        return Deviations(**{name: getattr(self, name)})


def draw(
    circuit: CircuitNeuron,
    mismatch: Mismatch,
    shape: tuple[int, ...],
    synapses: int,
    generator: np.random.Generator,
) -> Deviations:
    """Mismatch of single devices.

    Parameters
    ----------
    circuit : CircuitNeuron
    mismatch : Mismatch
    shape : tuple of int
        Of the neurons.
    synapses : int
        Of each neuron.
    generator : numpy.random.Generator

    Returns
    -------
    Deviations
        Independent and normal; the pseudo-resistor's follows from its transistor's threshold.
    """
    units = np.append(1, 2 ** np.arange(circuit.bits))
    devices = (*shape, synapses, len(units))
    normal = generator.standard_normal
    root = np.sqrt(units * float(circuit.W * circuit.L / um**2))
    leak_vto = circuit.A_vt / np.sqrt(mismatch.leak_area)
    return Deviations(
        vto=normal(devices) * float(circuit.A_vt / (volt * um)) / root,
        beta=normal(devices) * float(circuit.A_beta / um) / root,
        R_S=normal((*shape, synapses)) * mismatch.load,
        C=normal(shape) * mismatch.capacitor,
        R_leak=normal(shape) * float(leak_vto / volt) / _slope(circuit),
        v_offset=normal(shape) * float(mismatch.offset / volt),
        t_spike=normal(shape) * mismatch.width,
    )


def at_corner(circuit: CircuitNeuron, corner: str, codes: np.ndarray) -> Deviations:
    """What all transistors of a type share at a process corner other than the circuit's own.

    Parameters
    ----------
    circuit : CircuitNeuron
    corner : str
        One of `CORNERS`: n-type fast or slow, then p-type.
    codes : ndarray, shape (..., synapses)
        Positive ones push through p-type mirrors, negative ones pull through n-type.

    Raises
    ------
    UserError
        When there is no such corner.
    """
    if corner not in CORNERS:
        raise unknown("corner", corner, CORNERS)
    n, p = np.subtract(CORNERS[corner], CORNERS[circuit.corner])
    speed = np.where(np.asarray(codes) > 0, p, n)[..., None]
    vto, beta = float(circuit.corner_vto / volt), np.log1p(circuit.corner_beta)
    return Deviations(
        vto=-vto * speed,
        beta=beta * speed,
        # A p-type transistor below threshold.
        R_leak=-p * (vto / _slope(circuit) + beta),
    )


def at_temperature(circuit: CircuitNeuron, temperature: Quantity) -> Deviations:
    """What all transistors share at a temperature other than the circuit's own.

    Parameters
    ----------
    circuit : CircuitNeuron
    temperature : Quantity
        In kelvin.
    """
    warm = replace(circuit, temperature=temperature)
    return Deviations(
        vto=float(warm.mirror().vto - circuit.mirror().vto),
        beta=float(np.log(warm.mirror().beta / circuit.mirror().beta)),
        R_leak=float(np.log(warm.leak_resistance / circuit.leak_resistance)),
        thermal_voltage=float(np.log(temperature / circuit.temperature)),
    )


def effective_codes(
    circuit: CircuitNeuron, codes: np.ndarray, vdd: Quantity, deviations: Deviations
) -> tuple[np.ndarray, np.ndarray]:
    """Currents of synapses as made, in units of the designed current at the same supply.

    Each branch of a source conducts by its own threshold and transconductance factor at the gate
    voltage that the synapse's own reference and resistor give.

    Parameters
    ----------
    codes : ndarray of int, shape (..., synapses)
    vdd : Quantity, shape (...)
        Supply of each neuron, volt; the designed mirror must conduct there.

    Returns
    -------
    tuple of ndarray, each of shape (..., synapses)
        Effective codes, and currents of the references, both for saturated transistors.
    """
    supply = np.asarray(vdd / volt)[..., None]
    pushes = np.asarray(codes) > 0
    designed = circuit.mirror(pushes)
    unit = designed.current(designed.overdrive(supply))
    if np.any(unit <= 0):
        raise UserError(
            f"A mirror of vto = {say(np.max(designed.vto), 'V')} is off at VDD = "
            f"{say(np.min(supply[unit <= 0]), 'V')}, and has no current to compare with: use a "
            "higher supply."
        )
    reference = _mirror(circuit, deviations, 0, pushes)
    overdrive = reference.overdrive(supply)
    gate = overdrive + reference.vto
    total = np.zeros(np.shape(gate))
    for bit in range(circuit.bits):
        branch = _mirror(circuit, deviations, 1 + bit, pushes)
        used = (np.abs(codes).astype(int) >> bit) & 1
        total = total + used * 2**bit * branch.current(gate - branch.vto)
    return np.sign(codes) * total / unit, (codes != 0) * reference.current(overdrive) / unit


def neuron_values(
    circuit: CircuitNeuron, deviations: Deviations, shape: tuple[int, ...]
) -> dict[str, Quantity]:
    """Parameters of neurons as made, in a shape, for a population.

    They are ``C``, ``R_leak``, ``v_offset``, ``t_spike``, and ``v_slope`` where the leak has one.
    """
    every = np.ones(shape)
    values = {
        name: getattr(circuit, name) * np.exp(getattr(deviations, name)) * every
        for name in ("C", "R_leak", "t_spike")
    }
    values["v_offset"] = deviations.v_offset * volt * every
    if circuit.leak != "linear":
        values["v_slope"] = _slope(circuit) * np.exp(deviations.thermal_voltage) * every * volt
    return values


def _mirror(
    circuit: CircuitNeuron, deviations: Deviations, device: int, pushes: np.ndarray
) -> Mirror:
    """The transistors of every synapse that are its reference, or one of its branches."""
    vto, beta = (
        np.broadcast_to(of, np.broadcast_shapes(np.shape(of), (1 + circuit.bits,)))[..., device]
        for of in (deviations.vto, deviations.beta)
    )
    designed = circuit.mirror(pushes)
    return replace(
        designed,
        vto=designed.vto + vto,
        beta=designed.beta * np.exp(beta),
        R_S=designed.R_S * np.exp(deviations.R_S),
        v_ekv=designed.v_ekv * np.exp(np.asarray(deviations.thermal_voltage)[..., None]),
    )


def _slope(circuit: CircuitNeuron) -> float:
    """Slope factor times thermal voltage, V."""
    return circuit.mirror().v_ekv / 2
