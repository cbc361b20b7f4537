"""Between a network's numbers and a chip's: gain and supply voltage, weight and code, energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Quantity, joule, nwatt, uwatt, volt
from brian2.units.allunits import Mhertz, pjoule

from neuromod.models.circuit import CALIBRATED, PAPER, CircuitNeuron
from neuromod.models.parameters import Parameters, parameter

VDD_LOW, VDD_HIGH = 0.5 * volt, 1.0 * volt
VDD_REFERENCE = 0.75 * volt
# Biological over chip time: a membrane time constant of 20 ms against 20 us.
TIME_SCALE = 1000
ENERGY_AT_MAX_RATE, MAX_RATE = 1.08 * pjoule, 3.3 * Mhertz
DECISION, RESET, LEAKAGE = 0.12 * pjoule, 0.01 * pjoule, 10 * nwatt
CONTINUOUS = 1 * uwatt


def gain_of(circuit: CircuitNeuron, vdd: Quantity) -> np.ndarray:
    """Gain of a synapse at a supply voltage, relative to 0.75 V.

    Parameters
    ----------
    circuit : CircuitNeuron
    vdd : Quantity, shape (n,)
        In volt.

    Returns
    -------
    ndarray, shape (n,)
    """
    return np.asarray(circuit.unit_current(vdd) / circuit.unit_current(VDD_REFERENCE))


def vdd_of(circuit: CircuitNeuron, gain: np.ndarray) -> Quantity:
    """Supply voltage that gives a gain relative to 0.75 V: the exact inverse of `gain_of`.

    Parameters
    ----------
    circuit : CircuitNeuron
    gain : ndarray, shape (n,)
        Not negative.

    Returns
    -------
    Quantity, shape (n,)
        In volt, whether or not a synapse can be run there.
    """
    return circuit.vdd_for(np.asarray(gain) * circuit.unit_current(VDD_REFERENCE))


@dataclass(frozen=True, eq=False)
class Costs(Parameters):
    """What one event of the neuron core costs.

    The paper gives one total, 1.08 pJ a spike at 3.3 MHz (table 9), and no split. The split here
    is calibrated so that the parts add up to that total at that rate, where every spike goes with
    two decisions of the comparator, one after an input and one after the spike itself.
    """

    decision: Quantity = parameter(
        DECISION, "one decision of the comparator", source=CALIBRATED, low=0 * joule
    )
    continuous: Quantity = parameter(
        CONTINUOUS,
        "static power of a continuous comparator, instead of decisions",
        source="chosen here: 1 uA at the core's 1 V",
        low=0 * uwatt,
    )
    reset: Quantity = parameter(
        RESET, "switching the reset transistor once", source=CALIBRATED, low=0 * joule
    )
    leakage: Quantity = parameter(
        LEAKAGE, "static power of the core", source=CALIBRATED, low=0 * nwatt
    )
    spike: Quantity = parameter(
        ENERGY_AT_MAX_RATE - 2 * DECISION - RESET - LEAKAGE / MAX_RATE,
        "one spike of the spike generator",
        source=f"calibrated here: what is left of 1.08 pJ at 3.3 MHz ({PAPER}, table 9)",
        low=0 * joule,
    )


SOURCES = {
    "synapses": ("synapse", "VDD times the current of outputs and references, integrated"),
    "comparator": ("core", CALIBRATED),
    "spike generator": ("core", "remainder of 1.08 pJ per spike at 3.3 MHz, paper's table 9"),
    "reset": ("core", CALIBRATED),
    "leakage": ("core", CALIBRATED),
}


def energies(
    circuit: CircuitNeuron,
    costs: Costs,
    totals: Mapping[str, Any],
    spikes: np.ndarray,
    duration: Quantity,
) -> dict[str, Quantity]:
    """Energy that each neuron draws from its supplies, by what it is spent on.

    Parameters
    ----------
    circuit : CircuitNeuron
    costs : Costs
    totals : mapping of str to Quantity or ndarray, each of shape (neurons,)
        ``energy`` that the synapses drew, joule, and ``clocks`` of the comparator; a recording's
        `totals` of a population.
    spikes : ndarray, shape (neurons,)
        Number of output spikes.
    duration : Quantity
        In seconds.

    Returns
    -------
    dict of str to Quantity, each of shape (neurons,)
        In joule, the keys of `SOURCES`. What the synapses pull off a membrane goes to ground and
        is drawn from no supply; their references are.
    """
    every = np.ones(len(spikes))
    clocked = circuit.comparator == "clocked"
    return {
        "synapses": totals["energy"],
        "comparator": (
            np.asarray(totals["clocks"]) * costs.decision
            if clocked
            else every * costs.continuous * duration
        ),
        "spike generator": spikes * costs.spike,
        "reset": spikes * costs.reset,
        "leakage": every * costs.leakage * duration,
    }


def by_supply(entries: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Energy of each neuron by supply.

    Parameters
    ----------
    entries : mapping of str to Quantity, each of shape (neurons,)
        From `energies`.

    Returns
    -------
    dict of str to Quantity, each of shape (neurons,)
        ``"core"`` and ``"synapse"``, joule.
    """
    return {
        supply: sum(e for name, e in entries.items() if SOURCES[name][0] == supply)
        for supply in ("core", "synapse")
    }


def ledger(entries: Mapping[str, Quantity], spikes: int) -> pd.DataFrame:
    """Table of energies with the source of each.

    Parameters
    ----------
    entries : mapping of str to Quantity, each of shape (neurons,)
        From `energies`.
    spikes : int
        Output spikes over which the energy is shared out.

    Returns
    -------
    DataFrame
        ``entry``, ``supply``, ``energy_pJ``, ``per_spike_pJ``, ``source``; the last row the total.
    """
    rows = [
        (name, *SOURCES[name][:1], float(np.sum(energy) / pjoule), SOURCES[name][1])
        for name, energy in entries.items()
    ]
    total = sum(row[2] for row in rows)
    rows.append(("total", "both", total, "sum; the calibrated entries make it an estimate"))
    table = pd.DataFrame(rows, columns=["entry", "supply", "energy_pJ", "source"])
    share = table["energy_pJ"] / spikes if spikes else np.nan
    table.insert(3, "per_spike_pJ", share)
    return table


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of neurons on the chip.

    Attributes
    ----------
    codes : ndarray of int, shape (neurons, inputs)
        Signed codes of the weights.
    bias_codes : ndarray of int, shape (neurons,)
    vdd : Quantity, shape (neurons,)
        In volt.
    changes : dict of str to number
        What did not fit, counted, and the error of the codes.
    """

    codes: np.ndarray
    bias_codes: np.ndarray
    vdd: Quantity
    changes: dict[str, Any]


def deploy(
    circuit: CircuitNeuron,
    weight: np.ndarray,
    bias: np.ndarray,
    gain: np.ndarray,
    theta: float,
) -> Layer:
    """Put a layer ``v = gain*(weight @ x + bias)`` with threshold `theta` onto the chip.

    Each neuron has one scale, chosen so that its largest weight has the largest code; scale and
    gain together ask for a step per least significant bit, and the mirror's inverse gives the
    supply for it. Where that supply lies outside 0.5 to 1 V the nearest end is taken and the
    scale, hence the codes, make up for it: codes get coarser at the lower end and the largest
    weights saturate at the upper end. A supply cannot turn a current's sign, so a negative gain
    is stored in the codes' signs.

    Parameters
    ----------
    circuit : CircuitNeuron
    weight : ndarray, shape (neurons, inputs)
    bias : ndarray, shape (neurons,)
    gain : ndarray, shape (neurons,)
    theta : float
        Threshold in the units of v.

    Returns
    -------
    Layer
        Nothing is clipped in silence: `changes` counts it.
    """
    table = np.column_stack([weight, bias])
    largest = np.abs(table).max(axis=1)
    # Volt on the membrane that one unit of the network's weight stands for.
    per_unit = np.abs(gain) / theta * float((circuit.v_th - circuit.v_rest) / volt)
    wanted = largest / circuit.code_max * per_unit
    least, most, reference = (
        float(circuit.step(end) / volt) for end in (VDD_LOW, VDD_HIGH, VDD_REFERENCE)
    )
    reachable = np.clip(wanted, least, most)
    vdd = vdd_of(circuit, reachable / reference)
    # A mirror that conducts nothing at 0.5 V reaches down to a step of 0.
    per_code = np.divide(per_unit, reachable, out=np.zeros(len(gain)), where=reachable > 0)
    exact = table * (np.sign(gain) * per_code)[:, None]
    codes = np.clip(np.round(exact), -circuit.code_max, circuit.code_max).astype(int)
    weights_used = table != 0
    changes = {
        "neurons": len(gain),
        "negative_gain": int(np.count_nonzero(gain < 0)),
        "supply_at_lower_end": int(np.count_nonzero(wanted < least)),
        "supply_at_upper_end": int(np.count_nonzero(wanted > most)),
        "weights": int(table.size),
        "weights_rounded": int(np.count_nonzero(np.abs(codes - exact) > 1e-9)),
        "weights_to_zero": int(np.count_nonzero((codes == 0) & weights_used)),
        "weights_saturated": int(np.count_nonzero(np.abs(exact) > circuit.code_max + 0.5)),
        "rms_error_lsb": float(np.sqrt(np.mean((codes - exact) ** 2))),
    }
    # The inverse is exact up to rounding, which must not leave the range.
    vdd = np.clip(np.asarray(vdd / volt), float(VDD_LOW / volt), float(VDD_HIGH / volt)) * volt
    return Layer(codes[:, :-1], codes[:, -1], vdd, changes)
